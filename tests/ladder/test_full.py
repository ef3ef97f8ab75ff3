# pyright: standard
"""The full rung: a model of its own, from documents and examples, its size chosen from the base on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, load_file
from tests.ladder.tiny_ladder import BARE, Place, missing

from freehold.core.sections import BaseModelSpec
from freehold.ladder.climb import ClimbOutcome
from freehold.models.local import LocalModel
from freehold.train.records import TrainingResult

FULL = "effort: quick, epochs: 1, learning_rate: 1e-3"
DOCUMENTS = "\n\n".join(f"A tomato is red, says page {number}." for number in range(40))


@pytest.fixture(scope="module")
def outcome(place: Place) -> ClimbOutcome:
    (place.root / "colours.md").write_text(DOCUMENTS)
    ladder = f"rungs: [full], full: {{{FULL}, retention: {{replay: 0}}}}"
    return place.climb(place.task(ladder, data=", documents: colours.md"))


def test_the_candidate_is_a_model_of_its_own(place: Place, outcome: ClimbOutcome) -> None:
    rung = outcome.climb.rung("full")
    assert (rung.state, rung.variant) == ("measured", "documents + examples quick")
    _, files = place.candidate(outcome, "full")
    trained = load(files["model.safetensors"])
    base = load_file(place.root / "base" / "model.safetensors")
    assert trained.keys() == base.keys()
    assert all(not torch.equal(trained[name], base[name]) for name in base)


def test_the_base_in_memory_is_what_it_was(place: Place, outcome: ClimbOutcome) -> None:
    del outcome
    model = place.models.base(BaseModelSpec(id=f"{place.root}/base"))
    assert isinstance(model, LocalModel)
    stored = load_file(place.root / "base" / "model.safetensors")
    named = dict(model.loaded.network.module.named_parameters())
    assert all(torch.equal(named[name].detach(), stored[name]) for name in stored)


def test_its_size_lies_between_the_base_and_both_trainings(
    place: Place, outcome: ClimbOutcome
) -> None:
    """Documents and examples are scaled together: an error that scaled the examples alone would show."""
    from freehold.core.measure import Frontier

    _, files = place.candidate(outcome, "full")
    scale = Frontier.from_json(files["frontier.json"].decode()).chosen
    trained = TrainingResult.from_json(files["training.json"].decode())
    ends: dict[bool, Path] = {}
    for file in (place.root / ".freehold" / "training").glob("*/result.json"):
        result = TrainingResult.from_json(json.dumps(json.loads(file.read_text())["result"]))
        ends[result == trained] = file.parent / "adapter" / "model.safetensors"
    base = load_file(place.root / "base" / "model.safetensors")
    after_both, after_documents = load_file(ends[True]), load_file(ends[False])
    chosen = load(files["model.safetensors"])
    name = next(name for name in base if name.endswith("gate_proj.weight"))
    expected = torch.lerp(base[name], after_both[name], scale)
    assert not torch.allclose(after_documents[name], base[name], atol=1e-6)
    assert torch.allclose(chosen[name], expected, atol=1e-6)


def test_without_documents_it_learns_from_the_examples_alone(place: Place) -> None:
    rung = place.climb(place.task(f"rungs: [full], full: {{{FULL}, {BARE}}}")).climb.rung("full")
    assert (rung.state, rung.variant) == ("measured", "examples quick")


def test_documents_are_passed_over_where_their_epochs_are_none(place: Place) -> None:
    (place.root / "colours.md").write_text(DOCUMENTS)
    ladder = f"rungs: [full], full: {{document_epochs: 0, {FULL}, {BARE}}}"
    task = place.task(ladder, data=", documents: colours.md")
    assert place.climb(task).climb.rung("full").variant == "examples quick"


def test_an_adapter_is_sent_to_the_lora_rung(place: Place, root: Path) -> None:
    reason = missing(place.task("rungs: [full], full: {kind: dora}"), root, "full") or ""
    assert "set ladder.lora.kind: dora" in reason
