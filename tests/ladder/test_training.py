# pyright: standard
"""One training and one that goes on after it, on a tiny random model: what they leave and what they say."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tests.cli.conftest import ticket_rows, write_rows
from tests.ladder.tasks import at_noon, colour_rows
from tests.models.tiny import save_model
from transformers import AutoModelForCausalLM

from freehold.core.errors import ModelError, UsageError
from freehold.core.sections import (
    BaseModelSpec,
    DataSection,
    KeptSection,
    LadderSection,
    LoraSpec,
    ModelsSection,
    RetentionSpec,
    SplitSpec,
)
from freehold.core.taskfile import TaskFile
from freehold.ladder.prepare import Prepared, prepare
from freehold.ladder.tools import Models
from freehold.ladder.training import (
    Trained,
    TrainingEvent,
    TrainingOrder,
    TrainingOutcome,
    TrainingStarted,
    World,
    find_after,
    finished_training,
    train_rung,
    trained_rungs,
)
from freehold.ladder.training_view import finished_view
from freehold.models.local import LocalModel
from freehold.store.store import Store
from freehold.train.records import Stepped

LEARNS: dict[str, object] = {
    "epochs": 12.0,
    "learning_rate": 2e-2,
    "r": 4,
    "retention": RetentionSpec(prompts=4),
}
"""Enough steps for a random model to answer more dev rows than it did."""


@dataclass(frozen=True)
class Place:
    """A folder with two tasks' data, a model, a store and the models it opened."""

    root: Path
    store: Store
    models: Models

    def prepared(self, name: str, **change: object) -> Prepared:
        values: dict[str, object] = {
            "effort": "quick",
            "epochs": 1.0,
            "r": 2,
            "learning_rate": 1e-2,
            "retention": RetentionSpec(prompts=4, scale=False),
        }
        spec = LoraSpec.model_validate({**values, **change})
        return prepare(
            TaskFile(
                task=name,
                instruction=f"Do {name}.",
                data=DataSection(
                    examples=f"{name}.jsonl", split=SplitSpec(dev=24, test=12, audit=4)
                ),
                models=ModelsSection(base=BaseModelSpec(id=str(self.root / "model"))),
                ladder=LadderSection(lora=spec),
                kept=KeptSection(items=1, seed=5, suites=("keep.jsonl",)),
            ),
            root=self.root,
        )

    def world(
        self,
        events: list[TrainingEvent] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> World:
        seen = events if events is not None else []
        return World(self.store, self.models, lambda: 0.0, seen.append, should_stop)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("project")
    save_model(root / "model")
    write_rows(root / "colours.jsonl", colour_rows(160))
    write_rows(root / "tickets.jsonl", ticket_rows(100))
    write_rows(root / "keep.jsonl", [{"input": "Red?", "choices": ["yes", "no"], "target": "no"}])
    models = Models(cache=root / "cache")
    with Store.open(root, clock=at_noon) as store:
        yield Place(root, store, models)
    models.close()


@pytest.fixture(scope="module")
def first(place: Place) -> TrainingOutcome:
    return train_rung(TrainingOrder(place.prepared("colours", **LEARNS), "lora"), place.world())


@pytest.fixture(scope="module")
def second(place: Place, first: TrainingOutcome) -> TrainingOutcome:
    spec = {**LEARNS, "epochs": 4.0, "retention": RetentionSpec(prompts=4)}
    order = TrainingOrder(place.prepared("tickets", **spec), "lora", after=first.folder)
    return train_rung(order, place.world())


def logits(root: Path, folder: Path) -> torch.Tensor:
    """What plain transformers and peft make of base and adapter, without Freehold."""
    base = AutoModelForCausalLM.from_pretrained(root / "model", dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        adapted = PeftModel.from_pretrained(base, str(folder))
    with torch.no_grad():
        return adapted(torch.arange(5, 25)[None]).logits


def test_a_training_leaves_a_folder_that_peft_loads_and_that_changes_answers(
    place: Place, first: TrainingOutcome
) -> None:
    names = {file.name for file in first.folder.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "lineage.json"} <= names
    assert {"buffer.jsonl", "training.json", "freehold.json"} <= names
    base = AutoModelForCausalLM.from_pretrained(place.root / "model", dtype=torch.float32)
    with torch.no_grad():
        plain = base(torch.arange(5, 25)[None]).logits
    assert float((logits(place.root, first.folder) - plain).abs().max()) > 1e-4


def test_the_record_says_what_was_reached_kept_chosen_and_spent(first: TrainingOutcome) -> None:
    training = first.training
    assert training.rung == "lora"
    assert training.quality.n == training.quality_before.n > 0
    assert training.matrix.stages == ("base", "t1")
    assert training.matrix.families and training.kept.ratio.mean is None
    assert [(suite.family, suite.n) for suite in training.kept.suites] == [("keep", 1)]
    assert training.frontier is not None
    assert training.frontier.chosen in [point.scale for point in training.frontier.points]
    assert training.result.floating_point_operations > 0
    assert training.after is None and training.transfer.backward is None


def test_the_same_order_is_found_again_and_a_missing_folder_is_written_again(
    place: Place, first: TrainingOutcome
) -> None:
    order = TrainingOrder(place.prepared("colours", **LEARNS), "lora")
    weights = first.folder / "adapter_model.safetensors"
    content = weights.read_bytes()
    moved = first.folder.with_name("moved")
    first.folder.rename(moved)
    events: list[TrainingEvent] = []
    again = train_rung(order, place.world(events))
    assert again.training == first.training and again.training_id == "t1"
    assert weights.read_bytes() == content
    (started,) = [event for event in events if isinstance(event, TrainingStarted)]
    assert started.is_known
    assert not [event for event in events if isinstance(event, Trained)]
    for name in ("lineage.json", "buffer.jsonl"):
        assert (first.folder / name).read_bytes() == (moved / name).read_bytes()
    assert finished_training(place.store, "t1").training == first.training


def test_a_second_stage_measures_every_domain_and_the_new_one_before_it_was_learnt(
    second: TrainingOutcome,
) -> None:
    matrix = second.training.matrix
    assert matrix.domains == ("colours", "tickets")
    places = {(cell.stage, cell.column) for cell in matrix.cells}
    assert places == {
        (0, "colours"),
        (1, "colours"),
        (2, "colours"),
        (0, "tickets"),
        (1, "tickets"),
        (2, "tickets"),
    }
    assert {cell.stage for cell in matrix.general} == {0, 1, 2}
    found = second.training.transfer
    assert found.backward is not None and found.backward.low is not None
    assert found.forward is not None and len(found.general) == 2


def test_the_size_of_a_second_stage_is_chosen_by_the_mean_over_both_domains(
    second: TrainingOutcome,
) -> None:
    frontier, matrix = second.training.frontier, second.training.matrix
    assert frontier is not None
    chosen = next(point for point in frontier.points if point.scale == frontier.chosen)
    cells = [matrix.cell(2, name) for name in ("colours", "tickets")]
    scores = [
        cell.quality.mean for cell in cells if cell is not None and cell.quality.mean is not None
    ]
    assert chosen.overall == pytest.approx(sum(scores) / 2)


def test_a_second_stage_holds_the_update_of_the_first_for_the_untouched_base(
    place: Place, first: TrainingOutcome, second: TrainingOutcome
) -> None:
    config = json.loads((second.folder / "adapter_config.json").read_text())
    assert config["r"] == 8
    earlier = load_file(first.folder / "adapter_model.safetensors")
    later = load_file(second.folder / "adapter_model.safetensors")
    name = next(name for name in earlier if name.endswith("lora_A.weight"))
    assert torch.equal(later[name][:4], earlier[name])
    prepared = place.prepared("tickets")
    base = prepared.task.base.model_copy(update={"adapter": str(second.folder)})
    ours = place.models.base(base)
    assert isinstance(ours, LocalModel)
    network = ours.loaded.network.module
    with torch.no_grad():
        mine = network(torch.arange(5, 25)[None]).logits
    assert torch.allclose(mine, logits(place.root, second.folder), atol=1e-4)


def test_only_answers_that_the_past_domain_calls_right_are_rehearsed(
    second: TrainingOutcome,
) -> None:
    lines = (second.folder / "buffer.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    kept = [row for row in rows if row["domain"] == "colours" and row["use"] == "rehearse"]
    assert 0 <= second.training.rehearsed <= len(kept)
    assert {row["domain"] for row in rows} == {"colours", "tickets"}


def test_the_page_of_a_second_stage_shows_the_sequence(
    place: Place, second: TrainingOutcome
) -> None:
    task = place.prepared("tickets").task
    view = finished_view(second.training, task, training_id="t2", folder="there")
    assert view.after == "t1" and view.matrix is not None
    assert view.compute is not None and view.compute.base_operations is None
    names = [name for name, _ in view.recipe]
    assert "replay" in names and "learning rate" in names
    assert len(names) == len(set(names))


def test_an_interrupted_training_goes_on_and_ends_with_the_same_bytes(place: Place) -> None:
    spec: dict[str, object] = {"epochs": 1.0, "batch_tokens": 512, "seed": 3}
    whole = train_rung(TrainingOrder(place.prepared("colours", **spec), "lora"), place.world())
    other = place.root / "other"
    with Store.open(other, clock=at_noon) as store:
        elsewhere = Place(place.root, store, place.models)
        order = TrainingOrder(elsewhere.prepared("colours", **spec), "lora")
        events: list[TrainingEvent] = []

        def after_three_steps() -> bool:
            return (
                len([e for e in events if isinstance(e, Trained) and e.event.kind == "stepped"]) > 2
            )

        with pytest.raises(KeyboardInterrupt):
            train_rung(order, elsewhere.world(events, after_three_steps))
        stopped = [
            e.event.step for e in events if isinstance(e, Trained) and isinstance(e.event, Stepped)
        ]
        assert stopped == [1, 2, 3]
        with pytest.raises(UsageError) as unfinished:
            finished_training(store, "t1")
        assert unfinished.value.problems[0].code == "USE-008"
        again = train_rung(order, elsewhere.world())
        assert again.training_id == "t1"
        name = "adapter_model.safetensors"
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_training_of_another_base_cannot_be_gone_on_from(
    place: Place, first: TrainingOutcome
) -> None:
    save_model(place.root / "another", seed=1)
    prepared = place.prepared("tickets")
    base = BaseModelSpec(id=str(place.root / "another"))
    task = prepared.task.model_copy(update={"base": base})
    with pytest.raises(ModelError) as caught:
        train_rung(TrainingOrder(replace(prepared, task=task), "lora", first.folder), place.world())
    problem = caught.value.problems[0]
    assert problem.code == "MDL-021"
    assert "-s model=" in problem.help


def test_a_rung_that_trains_nothing_is_refused(place: Place) -> None:
    assert trained_rungs()[0] == "lora"
    with pytest.raises(UsageError) as caught:
        train_rung(TrainingOrder(place.prepared("colours"), "few_shot"), place.world())
    assert caught.value.problems[0].code == "USE-006"


def test_what_to_go_on_from_is_an_id_or_a_folder(place: Place, first: TrainingOutcome) -> None:
    assert find_after(place.store, "t1", project=place.root) == first.folder
    relative = first.folder.relative_to(place.root)
    assert find_after(place.store, str(relative), project=place.root).samefile(first.folder)
    with pytest.raises(UsageError) as caught:
        find_after(place.store, "t99", project=place.root)
    assert "known: t1" in caught.value.problems[0].message
