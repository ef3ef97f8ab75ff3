"""Exactly what the page and the terminal show of one training, running or finished, as frozen values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from freehold.core.measure import Estimate, Frontier, Kept
from freehold.core.record import Record
from freehold.core.sections import Bar, RetentionSpec
from freehold.core.transfer import Transfer, TransferMatrix


class At(Record):
    """A value at a step; step 0 is before the first update."""

    step: Annotated[int, Field(ge=0)]
    value: float


class EstimateAt(Record):
    """A mean with its interval at a step."""

    step: Annotated[int, Field(ge=0)]
    estimate: Estimate


class TrainingCurves(Record):
    """What a training saw so far, over its optimizer steps.

    `divergence` is the forward KL from the base on the task's own prompts, `general_divergence` that
    on general prompts, both in nats per token. `weight` is the factor of replay. `steps` are planned.
    """

    steps: Annotated[int, Field(ge=0)]
    loss: tuple[At, ...] = ()
    dev: tuple[At, ...] = ()
    kept: tuple[EstimateAt, ...] = ()
    divergence: tuple[At, ...] = ()
    general_divergence: tuple[At, ...] = ()
    weight: tuple[At, ...] = ()
    best_step: int | None = None


class Forgotten(Record):
    """A general prompt that the base answered right and the trained weights do not."""

    family: str
    prompt: str
    before: str
    after: str


class Compute(Record):
    """The training compute of this run, 6 * N * D, and of its base where that is known.

    N are all parameters, D the tokens that were trained on. The measured operations of an adapter
    are fewer, as frozen weights need no gradient of their own.
    """

    parameters: int
    tokens: int
    operations: float
    base_operations: float | None = None

    @property
    def rule(self) -> float:
        """6 * N * D."""
        return 6.0 * self.parameters * self.tokens

    @property
    def share_of_base(self) -> float | None:
        """6 * N * D over the compute that made the base; None where that is not known."""
        return self.rule / self.base_operations if self.base_operations else None


class TrainingView(Record):
    """Everything that is shown of one training.

    `quality` is measured on dev, `kept` against the untouched base, both of the weights that were
    kept. `stopped` is the reason of stopping, None while it runs. `recipe` and `settings` are names
    with values. `forgotten_count` counts all forgotten probes, of which `forgotten` holds some.
    `after` is the training that this one goes on from; with it there is a matrix.
    """

    training_id: str
    task: str
    rung: str
    base: str
    metric: str
    bar: Bar
    retention: RetentionSpec
    state: Literal["running", "paused", "finished"]
    step: int = 0
    stopped: str | None = None
    after: str | None = None
    curves: TrainingCurves
    quality: Estimate | None = None
    quality_before: Estimate | None = None
    kept: Kept | None = None
    frontier: Frontier | None = None
    forgotten: tuple[Forgotten, ...] = ()
    forgotten_count: int = 0
    recipe: tuple[tuple[str, str], ...] = ()
    compute: Compute | None = None
    seconds: float | None = None
    evaluation_seconds: float | None = None
    peak_memory_bytes: int | None = None
    matrix: TransferMatrix | None = None
    transfer: Transfer | None = None
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    folder: str = ""
    commands: tuple[str, ...] = ()
