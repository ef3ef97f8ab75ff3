# pyright: standard
from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from freehold.core.errors import DataError, ModelError, UsageError
from freehold.core.outcome import Failed
from freehold.core.sections import LoraSpec
from freehold.core.snapshot import Example, TrainSplit
from freehold.models.door import Model
from freehold.models.local import LocalModel
from freehold.train.lora import train_lora
from freehold.train.records import Evaluated, Started, TrainEvent, TrainingResult, Watch
from freehold.train.rows import TrainingRow

OpenTiny = Callable[..., LocalModel]
RowsOf = Callable[[int], Sequence[TrainingRow]]
SPEC = LoraSpec(r=8, epochs=90, learning_rate=5e-3, batch_tokens=512, patience=3, seed=3)


def split_of(rows: Sequence[TrainingRow]) -> TrainSplit:
    return TrainSplit(
        examples=tuple(
            Example(id=f"e{i}", input=str(i), target=row.answer, source="a.jsonl", row=i + 1)
            for i, row in enumerate(rows)
        )
    )


def accuracy_on(rows: Sequence[TrainingRow]) -> Callable[[Model], float]:
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
    score_dev: Callable[[Model], float] | None = None,
    on_event: Callable[[TrainEvent], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    return train_lora(
        spec,
        split_of(rows),
        base=base,
        render=lambda example: rows[int(example.input)],
        score_dev=score_dev,
        folder=folder,
        watch=Watch(clock=time.monotonic, on_event=on_event, should_stop=should_stop),
    )


def test_twenty_rows_are_learnt_to_exact_answers_and_the_saved_adapter_gives_them(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    rows = rows_of(20)
    score = accuracy_on(rows)
    base = open_tiny()
    before = score(base)
    result = train(base, rows, tmp_path, score_dev=score)
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

    spec = SPEC.model_copy(update={"epochs": 2.0})
    train(base, rows_of(8), tmp_path / "one", spec=spec)
    with pytest.raises(RuntimeError, match="metric is broken"):
        train(base, rows_of(8), tmp_path / "two", spec=spec, score_dev=fails)
    after = module.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not module.training


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

    spec = SPEC.model_copy(update={"epochs": 3.0, "effort": "quick"})
    result = train(open_tiny(family), rows, tmp_path, spec=spec, score_dev=score)
    assert result.best_step > 0
    best = [point.step for point in result.dev_curve].index(result.best_step)
    in_training = seen[best]
    score(open_tiny(family, adapter=tmp_path / result.adapter))
    assert seen[-1] == pytest.approx(in_training, abs=1e-4)
    assert seen[-1] != pytest.approx(seen[0], abs=1e-3)


def test_the_global_random_state_is_left_alone_and_decides_nothing(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    spec = SPEC.model_copy(update={"epochs": 3.0})
    states: list[bytes] = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        train(open_tiny(), rows_of(8), tmp_path / str(seed), spec=spec)
        assert torch.equal(torch.get_rng_state(), before)
        states.append((tmp_path / str(seed) / "adapter/adapter_model.safetensors").read_bytes())
    assert states[0] == states[1]


def test_rows_that_are_too_long_are_counted_with_their_place(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    rows = [*rows_of(5), TrainingRow(prompt=rows_of(1)[0].prompt, answer="again " * 60)]
    result = train(open_tiny(), rows, tmp_path, spec=SPEC.model_copy(update={"epochs": 1.0}))
    assert result.rows == 5
    assert [(drop.source, drop.row) for drop in result.dropped] == [("a.jsonl", 6)]
    assert result.dropped_by_reason == {"longer than 128 tokens": 1}


def test_with_no_row_left_nothing_is_trained(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="longer than 10 tokens") as caught:
        train(open_tiny(), rows_of(3), tmp_path, spec=SPEC.model_copy(update={"max_length": 10}))
    assert caught.value.problems[0].code == "TRN-002"
    assert not list(tmp_path.iterdir())


def test_a_finished_training_is_returned_and_not_done_again(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    spec = SPEC.model_copy(update={"epochs": 2.0})
    first = train(open_tiny(), rows_of(8), tmp_path, spec=spec)
    events: list[TrainEvent] = []
    again = train(open_tiny(), rows_of(8), tmp_path, spec=spec, on_event=events.append)
    assert again == first
    assert events == []


def test_a_folder_of_another_training_is_refused(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    spec = SPEC.model_copy(update={"epochs": 1.0})
    train(open_tiny(), rows_of(8), tmp_path, spec=spec)
    with pytest.raises(UsageError, match="TRN-003"):
        train(open_tiny(), rows_of(9), tmp_path, spec=spec)


def test_a_base_with_an_adapter_is_refused(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    spec = SPEC.model_copy(update={"epochs": 1.0})
    train(open_tiny(), rows_of(8), tmp_path / "one", spec=spec)
    adapted = open_tiny(adapter=tmp_path / "one" / "adapter")
    with pytest.raises(ModelError, match="TRN-006"):
        train(adapted, rows_of(8), tmp_path / "two", spec=spec)


def test_models_in_training_have_a_digest_of_their_own_at_every_step(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    digests: list[str] = []

    def note(model: Model) -> float:
        digests.append(model.digest)
        return 0.5

    base = open_tiny()
    train(base, rows_of(8), tmp_path, spec=SPEC.model_copy(update={"epochs": 3.0}), score_dev=note)
    assert len(set(digests)) == len(digests) > 2
    assert base.digest not in digests


def test_a_stop_between_steps_leaves_a_checkpoint_and_the_same_call_goes_on(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    spec = SPEC.model_copy(update={"epochs": 6.0})
    train(open_tiny(), rows_of(12), tmp_path / "whole", spec=spec)
    answers = iter([False] * 4 + [True])
    with pytest.raises(KeyboardInterrupt):
        train(
            open_tiny(),
            rows_of(12),
            tmp_path / "parts",
            spec=spec,
            should_stop=lambda: next(answers),
        )
    assert not (tmp_path / "parts" / "result.json").exists()
    events: list[TrainEvent] = []
    train(open_tiny(), rows_of(12), tmp_path / "parts", spec=spec, on_event=events.append)
    started = [event for event in events if isinstance(event, Started)]
    assert [event.resumed_at for event in started] == [4]
    files = [tmp_path / name / "adapter/adapter_model.safetensors" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not (tmp_path / "parts" / "checkpoint.safetensors").exists()


SCRIPT = """
import json, sys, time
from pathlib import Path
import torch
from freehold.core.message import Message
from freehold.core.sections import BaseModelSpec, LoraSpec
from freehold.core.snapshot import TrainSplit
from freehold.models.local import open_local
from freehold.train.lora import train_lora
from freehold.train.records import Watch
from freehold.train.rows import TrainingRow

threads, base, folder, split, rows, spec = sys.argv[1:]
torch.set_num_threads(int(threads))
rows = [TrainingRow.from_json(json.dumps(row)) for row in json.loads(rows)]

def say(event):
    print(event.kind, getattr(event, "step", 0), flush=True)
    time.sleep(0.01)

class OftenSaving:
    now = 0.0
    def __call__(self):
        self.now += 20.0
        return self.now

train_lora(
    LoraSpec.from_json(spec), TrainSplit.from_json(split),
    base=open_local(BaseModelSpec(id=base), cache=Path(base)),
    render=lambda example: rows[int(example.input)], score_dev=lambda model: 0.5,
    folder=Path(folder), watch=Watch(clock=OftenSaving(), on_event=say),
)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_a_training_that_is_killed_goes_on_and_ends_bit_identical(
    folder_of: Callable[[str], Path], open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    rows = rows_of(24)
    spec = SPEC.model_copy(update={"epochs": 10.0, "batch_tokens": 256})
    arguments = [
        str(torch.get_num_threads()),
        str(folder_of("llama")),
        str(tmp_path / "parts"),
        split_of(rows).model_dump_json(),
        json.dumps([row.to_json() for row in rows]),
        spec.model_dump_json(),
    ]
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE, text=True
    ) as killed:
        for line in killed.stdout or ():
            if line.startswith("stepped") and int(line.split()[1]) >= 17:
                killed.send_signal(signal.SIGKILL)
                break
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "parts" / "result.json").exists()
    events: list[TrainEvent] = []
    for name in ("parts", "whole"):
        train(
            open_tiny(),
            rows,
            tmp_path / name,
            spec=spec,
            score_dev=lambda _: 0.5,
            on_event=events.append,
        )
    resumed, fresh = [event.resumed_at for event in events if isinstance(event, Started)]
    assert fresh == 0
    assert 10 <= resumed <= 20
    files = [tmp_path / name / "adapter/adapter_model.safetensors" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_dev_metric_is_told_as_it_is_measured(
    open_tiny: OpenTiny, rows_of: RowsOf, tmp_path: Path
) -> None:
    events: list[TrainEvent] = []
    spec = SPEC.model_copy(update={"epochs": 4.0})
    result = train(
        open_tiny(),
        rows_of(8),
        tmp_path,
        spec=spec,
        score_dev=lambda _: 0.25,
        on_event=events.append,
    )
    told = [(event.step, event.score) for event in events if isinstance(event, Evaluated)]
    assert told == [(point.step, point.value) for point in result.dev_curve]
    assert isinstance(events[0], Started)
