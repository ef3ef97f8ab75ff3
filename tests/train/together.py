# pyright: standard
"""A training that a test starts as a process of its own, alone or as one of several."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from freehold.core.measure import Estimate
from freehold.core.sections import BaseModelSpec, LoraSpec, RetentionSpec
from freehold.core.snapshot import Example
from freehold.models.local import LocalModel, open_local
from freehold.train import tune as tuning
from freehold.train.processes import Processes, joined
from freehold.train.records import Check, Lost, Precision, TrainEvent, TrainingResult, Watch
from freehold.train.retention import retention, watched_rows
from freehold.train.rows import TrainingRow
from freehold.train.sft import sft_lesson


class OftenSaving:
    """A clock that goes on by so much at each look that every few steps are saved."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 13.0
        return self.now


def in_float32(_network: object) -> Precision:
    """Stand in for `precision_for`: results are compared more closely than bfloat16 is exact."""
    return "float32"


def say(event: TrainEvent) -> None:
    sys.stdout.write(f"{event.kind} {getattr(event, 'step', 0)}\n")
    sys.stdout.flush()


def train(
    rows: Sequence[TrainingRow],
    base: LocalModel,
    folder: Path,
    *,
    spec: LoraSpec,
    processes: Processes | None = None,
    stop_after: int | None = None,
    on_event: Any = lambda _event: None,
) -> TrainingResult:
    """Train with replay, its controller, dev checks, kept ability and divergence: every kind of state."""
    examples = [
        Example(id=f"e{i}", input=str(i), target=row.answer, source="a.jsonl", row=i + 1)
        for i, row in enumerate(rows)
    ]
    lesson = sft_lesson(examples, base=base, render=lambda example: rows[int(example.input)])
    general = [TrainingRow(prompt=row.prompt[1:], answer=row.answer * 2) for row in rows]
    how = RetentionSpec(replay=0.3, kl_budget=1e-4, top_k=16)

    def check(model: Any) -> Check:
        got = model.answer_logprobs(
            [row.prompt for row in rows[:3]], [row.answer for row in rows[:3]]
        )
        score = sum(sum(one.logprobs) for one in got)
        kept = Estimate(mean=0.99, low=0.98, high=1.0 + score / 1e6, n=3)
        return Check(
            score=score, kept=kept, lost=(Lost(family="f", prompt="p", before="b", after="a"),)
        )

    stops = itertools.count()
    return tuning.tune(
        spec,
        lesson,
        base=base,
        retention=retention(how, general, base=base),
        examiner=tuning.Examiner(
            check=check, tokens=30, task_rows=watched_rows(lesson.rows, base, top_k=16)
        ),
        folder=folder,
        watch=Watch(
            clock=OftenSaving(),
            on_event=on_event,
            should_stop=lambda: stop_after is not None and next(stops) >= stop_after,
            processes=processes,
        ),
    )


def main(arguments: Sequence[str]) -> None:
    """Run the trainings of a JSON plan: base, rows, and for each its folder, spec and way."""
    plan = json.loads(Path(arguments[0]).read_text())
    torch.set_num_threads(1)
    tuning.precision_for = in_float32
    rows = [TrainingRow.from_json(json.dumps(row)) for row in plan["rows"]]
    for one in plan["trainings"]:
        processes = None if one["way"] == "alone" else joined(shards=one["way"] == "shards")
        try:
            train(
                rows,
                open_local(BaseModelSpec(id=plan["base"]), cache=Path(plan["base"])),
                Path(one["folder"]),
                spec=LoraSpec.from_json(json.dumps(one["spec"])),
                processes=processes,
                stop_after=one.get("stop_after"),
                on_event=say,
            )
        except KeyboardInterrupt:
            sys.stdout.write("paused\n")


if __name__ == "__main__":
    main(sys.argv[1:])
