"""What a training says while it runs, and what it leaves behind. No ML stack is needed to read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field

from freehold.core.measure import Estimate
from freehold.core.record import Record
from freehold.core.snapshot import Drop
from freehold.train.compute import Compute

if TYPE_CHECKING:
    from freehold.train.processes import Processes

Precision: TypeAlias = Literal["float32", "bfloat16"]


class StopReason(StrEnum):
    """Why a training ended."""

    FINISHED = "every planned step was done"
    PATIENCE = "the dev metric stopped rising"
    TIME = "the time limit was reached"
    INTERRUPTED = "it was interrupted"
    FORGETTING = "general ability fell below its bar at two checks in a row"


class Point(Record):
    """A value at a step; step 0 is before the first update."""

    step: Annotated[int, Field(ge=0)]
    value: float


class KeptPoint(Record):
    """Kept general ability at a step."""

    step: Annotated[int, Field(ge=0)]
    kept: Estimate


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


class Lost(Record):
    """A general prompt that the untrained weights answered right and these weights do not."""

    family: str
    prompt: str
    before: str
    after: str


class Check(Record):
    """What a dev check found on the weights as they are.

    `score` is the dev metric, higher is better. `kept` is the share of general ability that is left;
    `lost` are examples of what is not. Both are absent where nothing was asked.
    """

    score: float
    kept: Estimate | None = None
    lost: tuple[Lost, ...] = ()


class Evaluated(Record):
    """The current weights were measured.

    `divergence` is the forward KL from the base in nats per token, on answers to the task's own prompts:
    the cheapest early warning of forgetting (Shenfeld et al. 2025, arXiv:2509.04259).
    """

    kind: Literal["evaluated"] = "evaluated"
    step: int
    score: float
    is_best: bool
    best_step: int
    seconds: float
    kept: Estimate | None = None
    lost: tuple[Lost, ...] = ()
    divergence: float | None = None


class Steered(Record):
    """The controller of replay looked: divergence from the base on general prompts, nats per token.

    `weight` and `replay` (share of tokens) are what the next steps use.
    """

    kind: Literal["steered"] = "steered"
    step: int
    divergence: float
    weight: float
    replay: float


class Stopped(Record):
    """The run has ended."""

    kind: Literal["stopped"] = "stopped"
    step: int
    reason: StopReason


TrainEvent: TypeAlias = Annotated[
    Started | Stepped | Evaluated | Steered | Stopped, Field(discriminator="kind")
]


@dataclass(frozen=True)
class Watch:
    """How a run meets the world: `clock` gives monotonic seconds.

    `should_stop` is asked between steps; once it says yes, a checkpoint is written and the run
    ends with `StopReason.INTERRUPTED`. `processes` are those that train together (`joined`), None for
    this one alone; clock, events and stop of the first one count.
    """

    clock: Callable[[], float]
    on_event: Callable[[TrainEvent], None] = lambda _event: None
    should_stop: Callable[[], bool] = lambda: False
    processes: Processes | None = None

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
    included, `replay_tokens` those of general prompts among them. `seconds` is training alone;
    `evaluation_seconds` the dev checks. `floating_point_operations` is the training compute. `steering`
    is what the controller of replay saw and did, `kept_curve` and `divergence_curve` what the dev checks
    found (see `Evaluated`), `lost` what the last check found lost. `peak_memory_bytes` is resident memory of the process on
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
    kept_curve: tuple[KeptPoint, ...] = ()
    divergence_curve: tuple[Point, ...] = ()
    steering: tuple[Steered, ...] = ()
    lost: tuple[Lost, ...] = ()
    replay_tokens: int = 0
    stopped: StopReason
    rows: int
    dropped: tuple[Drop, ...]
    trainable_parameters: int
    base_parameters: int
    floating_point_operations: float
    compute: Compute | None = None
    peak_memory_bytes: int

    @property
    def dropped_by_reason(self) -> dict[str, int]:
        """How many training rows were left out, by reason, most frequent first."""
        counts: dict[str, int] = {}
        for drop in self.dropped:
            counts[drop.reason] = counts.get(drop.reason, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
