# pyright: standard
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from freehold.core.errors import DataError, ModelError, UsageError
from freehold.core.outcome import Failed
from freehold.core.sections import LoraSpec, RetentionSpec, TunedKind
from freehold.core.snapshot import Example
from freehold.models.door import Model
from freehold.models.local import LocalModel
from freehold.train.adapters import ADAPTERS
from freehold.train.lesson import Lesson
from freehold.train.objectives import Batch, sft
from freehold.train.records import (
    Check,
    Evaluated,
    Point,
    Started,
    Steered,
    TrainEvent,
    TrainingResult,
    Watch,
)
from freehold.train.retention import Retention, retention, watched_rows
from freehold.train.rows import TrainingRow
from freehold.train.sft import SftLesson, sft_lesson
from freehold.train.tune import Examiner, tune

OpenTiny = Callable[..., LocalModel]
RowsOf = Callable[[int], Sequence[TrainingRow]]
Score = Callable[[Model], float]
SPEC = LoraSpec(
    r=8, epochs=90, learning_rate=5e-3, batch_tokens=512, patience=3, seed=3, targets="all_linear"
)
ADAPTER = "adapter/adapter_model.safetensors"


def spec_of(**changed: Any) -> LoraSpec:
    return SPEC.model_copy(update=changed)


def lesson_of(
    base: LocalModel, rows: Sequence[TrainingRow], *, max_length: int | None = None
) -> SftLesson:
    examples = [
        Example(id=f"e{i}", input=str(i), target=row.answer, source="a.jsonl", row=i + 1)
        for i, row in enumerate(rows)
    ]
    return sft_lesson(
        examples, base=base, render=lambda example: rows[int(example.input)], max_length=max_length
    )


def accuracy_on(rows: Sequence[TrainingRow]) -> Score:
    def score(model: Model) -> float:
        answers = model.generate([row.prompt for row in rows], max_tokens=8)
        pairs = zip(answers, rows, strict=True)
        right = [not isinstance(a, Failed) and a.text == row.answer for a, row in pairs]
        return sum(right) / len(rows)

    return score


def train(
    base: LocalModel,
    rows: Sequence[TrainingRow],
    folder: Path,
    *,
    spec: LoraSpec = SPEC,
    score: Score | None = None,
    lesson: Lesson | None = None,
    held: Retention | None = None,
    watch: Watch | None = None,
) -> TrainingResult:
    checked = score
    return tune(
        spec,
        lesson or lesson_of(base, rows),
        base=base,
        retention=held,
        examiner=None
        if checked is None
        else Examiner(check=lambda model: Check(score=checked(model)), tokens=100),
        folder=folder,
        watch=watch or Watch(clock=time.monotonic),
    )


def telling(events: list[TrainEvent]) -> Watch:
    return Watch(clock=time.monotonic, on_event=events.append)


def test_twenty_rows_are_learnt_to_exact_answers_and_the_saved_adapter_gives_them(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    rows = rows_of(20)
    score = accuracy_on(rows)
    base = open_tiny()
    before = score(base)
    result = train(base, rows, tmp_path, score=score)
    assert (before, result.best_score) == (0.0, 1.0)
    assert score(open_tiny(adapter=tmp_path / result.adapter)) == 1.0
    assert result.dev_curve[0].value == 0.0
    assert result.loss_curve[-1].value < result.loss_curve[0].value
    assert result.rows == 20


def test_the_base_is_as_it_was_after_training_and_after_an_error(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    base = open_tiny()
    module = base.loaded.network.module
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}

    def fails(_model: Model) -> float:
        raise RuntimeError("the metric is broken")

    spec = spec_of(epochs=2.0, checkpointing=True)
    train(base, rows_of(8), tmp_path / "one", spec=spec)
    with pytest.raises(RuntimeError, match="metric is broken"):
        train(base, rows_of(8), tmp_path / "two", spec=spec, score=fails)
    after = module.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not module.training
    assert not module.is_activation_checkpointing


@pytest.mark.parametrize("family", ["gemma3", "llama", "mistral", "phi3", "qwen3"])
def test_every_family_trains_and_its_adapter_answers_like_the_model_in_training(
    family: str, open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    rows = rows_of(6)
    prompts, answers = [row.prompt for row in rows], [row.answer for row in rows]
    seen: list[list[float]] = []

    def score(model: Model) -> float:
        scored = model.answer_logprobs(prompts, answers)
        seen.append([x for one in scored if not isinstance(one, Failed) for x in one.logprobs])
        return sum(seen[-1])

    spec = spec_of(epochs=3.0, effort="quick")
    result = train(open_tiny(family), rows, tmp_path, spec=spec, score=score)
    assert result.best_step > 0
    best = [point.step for point in result.dev_curve].index(result.best_step)
    in_training = seen[best]
    score(open_tiny(family, adapter=tmp_path / result.adapter))
    assert seen[-1] == pytest.approx(in_training, abs=1e-4)
    assert seen[-1] != pytest.approx(seen[0], abs=1e-3)


def test_the_global_random_state_is_left_alone_and_decides_nothing(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    states: list[bytes] = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        train(open_tiny(), rows_of(8), tmp_path / str(seed), spec=spec_of(epochs=3.0))
        assert torch.equal(torch.get_rng_state(), before)
        states.append((tmp_path / str(seed) / ADAPTER).read_bytes())
    assert states[0] == states[1]


def test_rows_that_are_too_long_are_counted_with_their_place(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    rows = [*rows_of(5), TrainingRow(prompt=rows_of(1)[0].prompt, answer="again " * 60)]
    result = train(open_tiny(), rows, tmp_path, spec=spec_of(epochs=1.0))
    assert result.rows == 5
    assert [(drop.source, drop.row) for drop in result.dropped] == [("a.jsonl", 6)]
    assert result.dropped_by_reason == {"longer than 128 tokens": 1}


def test_with_no_row_left_there_is_no_lesson(open_tiny: OpenTiny, rows_of: RowsOf) -> None:
    with pytest.raises(DataError, match="longer than 10 tokens") as caught:
        lesson_of(open_tiny(), rows_of(3), max_length=10)
    assert caught.value.problems[0].code == "TRN-002"


def test_a_finished_training_is_returned_and_not_done_again(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    spec = spec_of(epochs=2.0)
    first = train(open_tiny(), rows_of(8), tmp_path, spec=spec)
    events: list[TrainEvent] = []
    again = train(open_tiny(), rows_of(8), tmp_path, spec=spec, watch=telling(events))
    assert again == first
    assert events == []


def test_what_a_killed_run_was_writing_is_swept_when_the_training_is_done(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    left = tmp_path / ".writing-checkpoint.safetensors-123"
    left.write_bytes(b"half")
    train(open_tiny(), rows_of(8), tmp_path, spec=spec_of(epochs=1.0))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["adapter", "result.json"]


def test_a_folder_of_another_training_is_refused(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    train(open_tiny(), rows_of(8), tmp_path, spec=spec_of(epochs=1.0))
    with pytest.raises(UsageError, match="TRN-003"):
        train(open_tiny(), rows_of(9), tmp_path, spec=spec_of(epochs=1.0))


def test_a_base_that_carries_an_adapter_is_refused(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    base = open_tiny()
    ADAPTERS["lora"](base.loaded.network.module, SPEC, "float32")
    with pytest.raises(ModelError, match="TRN-006"):
        train(base, rows_of(8), tmp_path)


def test_models_in_training_have_a_digest_of_their_own_at_every_step(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    digests: list[str] = []

    def note(model: Model) -> float:
        digests.append(model.digest)
        return 0.5

    base = open_tiny()
    train(base, rows_of(8), tmp_path, spec=spec_of(epochs=3.0), score=note)
    assert len(set(digests)) == len(digests) > 2
    assert base.digest not in digests


def test_the_dev_metric_is_told_as_it_is_measured(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    events: list[TrainEvent] = []
    result = train(
        open_tiny(),
        rows_of(8),
        tmp_path,
        spec=spec_of(epochs=4.0),
        score=lambda _: 0.25,
        watch=telling(events),
    )
    told = [(event.step, event.score) for event in events if isinstance(event, Evaluated)]
    assert told == [(point.step, point.value) for point in result.dev_curve]
    assert isinstance(events[0], Started)


class Broken(SftLesson):
    """A lesson whose loss is undefined at one row, from the third time it is met on."""

    seen: Iterator[int]

    @property
    def objective(self) -> Callable[[PreTrainedModel, Batch], Tensor]:
        def loss(model: PreTrainedModel, batch: Batch) -> Tensor:
            value = sft(model, batch)
            is_bad = "a.jsonl row 3" in batch.names and next(self.seen) > 1
            return value * float("nan") if is_bad else value

        return loss


def test_a_loss_that_is_not_finite_names_the_rows_and_leaves_the_last_good_checkpoint(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    base = open_tiny()
    whole = lesson_of(base, rows_of(6))
    lesson = Broken(whole.name, whole.rows, whole.names, (), whole.device)
    object.__setattr__(lesson, "seen", iter(range(99)))
    spec = spec_of(batch_tokens=64, epochs=4.0)
    with pytest.raises(ModelError, match=r"not finite, on .*a\.jsonl row 3") as caught:
        train(base, rows_of(6), tmp_path, spec=spec, lesson=lesson, score=lambda _: 0.5)
    assert caught.value.problems[0].code == "TRN-004"
    assert [one.name for one in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    result = train(base, rows_of(6), tmp_path, spec=spec, score=lambda _: 0.5)
    assert all(torch.isfinite(torch.tensor([point.value for point in result.loss_curve])))


def stopped_after(count: int) -> Watch:
    left = iter(range(count))
    return Watch(clock=time.monotonic, should_stop=lambda: next(left, None) is None)


def test_a_stop_between_steps_leaves_a_checkpoint_and_the_same_call_goes_on(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    spec = spec_of(epochs=6.0)
    train(open_tiny(), rows_of(12), tmp_path / "whole", spec=spec)
    with pytest.raises(KeyboardInterrupt):
        train(open_tiny(), rows_of(12), tmp_path / "parts", spec=spec, watch=stopped_after(4))
    assert not (tmp_path / "parts" / "result.json").exists()
    events: list[TrainEvent] = []
    train(open_tiny(), rows_of(12), tmp_path / "parts", spec=spec, watch=telling(events))
    started = [event for event in events if isinstance(event, Started)]
    assert [event.resumed_at for event in started] == [4]
    assert (tmp_path / "whole" / ADAPTER).read_bytes() == (
        tmp_path / "parts" / ADAPTER
    ).read_bytes()
    assert not (tmp_path / "parts" / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("kind", ["lora", "dora", "ia3", "full"])
def test_layers_that_are_computed_again_train_the_same_weights(
    kind: TunedKind, open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    spec = spec_of(kind=kind, epochs=4.0, learning_rate=1e-3)
    curves: list[Sequence[Point]] = []
    for again in (False, True):
        base = open_tiny()
        lesson = replace(lesson_of(base, rows_of(12)), network=None)
        how = spec.model_copy(update={"checkpointing": again})
        folder = tmp_path / str(again)
        result = train(base, (), folder, spec=how, lesson=lesson)
        curves.append(result.loss_curve)
    kept, again = ([point.value for point in curve] for curve in curves)
    assert len(kept) > 3
    assert again == pytest.approx(kept, abs=1e-6, rel=1e-6)


def test_layers_that_are_computed_again_are_not_kept_in_memory(
    open_tiny: OpenTiny, rows_of: RowsOf
) -> None:
    base = open_tiny()
    network = base.loaded.network.module
    sizes: list[int] = []
    for again in (False, True):
        if again:
            again_by = partial(checkpoint, use_reentrant=False)
            network._set_gradient_checkpointing(True, gradient_checkpointing_func=again_by)
        network.train()
        kept: list[int] = []

        def pack(tensor: Tensor, kept: list[int] = kept) -> Tensor:
            kept.append(tensor.numel())
            return tensor

        lesson = lesson_of(base, rows_of(8))
        for parameter in network.parameters():
            parameter.requires_grad_(True)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            lesson.objective(network, lesson.batch(tuple(range(8)), step=0))
        sizes.append(sum(kept))
    assert sizes[1] < sizes[0] / 2


def test_a_prefix_is_refused_where_layers_are_computed_again(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="TRN-008"):
        train(open_tiny(), rows_of(4), tmp_path, spec=spec_of(kind="prefix", checkpointing=True))


def test_a_run_with_replay_says_what_its_controller_saw_and_did(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    general = [
        TrainingRow(prompt=row.prompt[1:], answer=f"number {place}")
        for place, row in enumerate(rows_of(40))
    ]
    ends: list[float] = []
    for weight in (1e-9, 3.0):
        base = open_tiny()
        how = RetentionSpec(replay=0.4, weight=weight, kl_budget=1e9 if weight < 1 else 1e-6)
        held = retention(how, general, base=base)
        lesson = lesson_of(base, rows_of(12))
        events: list[TrainEvent] = []
        result = tune(
            spec_of(epochs=20.0, learning_rate=2e-3),
            lesson,
            base=base,
            retention=held,
            examiner=Examiner(
                check=lambda _: Check(score=0.5),
                tokens=10,
                task_rows=watched_rows(lesson.rows, base, top_k=32),
            ),
            folder=tmp_path / str(weight),
            watch=telling(events),
        )
        assert result.steering == tuple(event for event in events if isinstance(event, Steered))
        assert result.divergence_curve[0].value == pytest.approx(0.0, abs=1e-5)
        assert result.divergence_curve[-1].value > 1e-3
        assert 0.3 < result.replay_tokens / result.tokens < 0.7
        ends.append(result.steering[-1].weight)
    assert ends[0] <= 1e-9
    assert ends[1] >= 3.0
