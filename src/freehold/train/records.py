"""What a training says while it runs, and what it leaves behind. No ML stack is needed to read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from freehold.core.record import Record
from freehold.core.snapshot import Drop

Precision: TypeAlias = Literal["float32", "bfloat16"]


class StopReason(StrEnum):
    """Why a training ended."""

    FINISHED = "every planned step was done"
    PATIENCE = "the dev metric stopped rising"
    TIME = "the time limit was reached"
    INTERRUPTED = "it was interrupted"


class Point(Record):
    """A value at a step; step 0 is before the first update."""

    step: Annotated[int, Field(ge=0)]
    value: float


class Recipe(Record):
    """The numbers a run was made with, after `effort` filled in what was left out.

    `batch_tokens` counts padded tokens of one optimizer step, `micro_tokens` those that are in
    memory together. `evaluate_at` are the steps after which the dev metric may be measured.
    """

    learning_rate: float
    epochs: float
    steps: int
    warmup_steps: int
    batch_tokens: int
    micro_tokens: int
    max_length: int
    precision: Precision
    evaluate_at: tuple[int, ...]


class Started(Record):
    """The run is about to take its first step, or its first step after a resume."""

    kind: Literal["started"] = "started"
    recipe: Recipe
    rows: int
    dropped: int
    trainable_parameters: int
    base_parameters: int
    resumed_at: int = 0


class Stepped(Record):
    """One optimizer step is done. `tokens_per_second` counts real tokens since the run began."""

    kind: Literal["stepped"] = "stepped"
    step: int
    steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    seconds: float


class Evaluated(Record):
    """The dev metric was measured on the current weights."""

    kind: Literal["evaluated"] = "evaluated"
    step: int
    score: float
    is_best: bool
    best_step: int
    seconds: float


class Stopped(Record):
    """The run has ended."""

    kind: Literal["stopped"] = "stopped"
    step: int
    reason: StopReason


TrainEvent: TypeAlias = Annotated[
    Started | Stepped | Evaluated | Stopped, Field(discriminator="kind")
]


@dataclass(frozen=True)
class Watch:
    """How a run meets the world: `clock` gives monotonic seconds.

    `should_stop` is asked between steps; once it says yes, a checkpoint is written and the run
    ends with `StopReason.INTERRUPTED`.
    """

    clock: Callable[[], float]
    on_event: Callable[[TrainEvent], None] = lambda _event: None
    should_stop: Callable[[], bool] = lambda: False

    def tell(self, event: TrainEvent) -> None:
        """Report an event. A sink that is gone (a closed pipe, a full log disk) stops no training."""
        try:
            self.on_event(event)
        except OSError:
            return


class TrainingResult(Record):
    """A finished training.

    `adapter` is the name of the PEFT folder inside the folder the run was given: the weights of
    `best_step`. `tokens` are real tokens (no padding) that went through the model, prompts
    included. `seconds` is training alone; `evaluation_seconds` the dev checks. `floating_point_
    operations` is the training compute. `peak_memory_bytes` is resident memory of the process on
    a CPU, allocated memory on an accelerator.
    """

    adapter: str
    recipe: Recipe
    base: str
    steps: int
    epochs: float
    tokens: int
    seconds: float
    evaluation_seconds: float
    best_step: int
    best_score: float | None
    dev_curve: tuple[Point, ...]
    loss_curve: tuple[Point, ...]
    stopped: StopReason
    rows: int
    dropped: tuple[Drop, ...]
    trainable_parameters: int
    base_parameters: int
    floating_point_operations: float
    peak_memory_bytes: int

    @property
    def dropped_by_reason(self) -> dict[str, int]:
        """How many training rows were left out, by reason, most frequent first."""
        counts: dict[str, int] = {}
        for drop in self.dropped:
            counts[drop.reason] = counts.get(drop.reason, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
