"""What a climb tells its caller while it runs. Progress only ever grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from freehold.core.measure import Climb, Estimate, RungResult
from freehold.models.remote import Spending

NO_SPENDING = Spending()
Phase = Literal[
    "building", "choosing on dev", "test", "timing alone", "kept ability", "audit", "other words"
]


@dataclass(frozen=True)
class ClimbStarted:
    """The ladder is known: the handle of the climb, its rungs in order, and the test size."""

    climb_id: str
    task: str
    rungs: tuple[str, ...]
    test_examples: int
    bar_quality: float
    resumed: bool


@dataclass(frozen=True)
class RungStarted:
    """One rung begins."""

    rung: str


@dataclass(frozen=True)
class Progress:
    """What a piece of work tells the climb: `done` of `total` units of a phase.

    `quality` is the estimate so far of a rung that is raced.
    """

    phase: Phase
    done: int
    total: int
    detail: str = ""
    quality: Estimate | None = None


@dataclass(frozen=True)
class RungProgress:
    """`done` of `total` units of one phase of one rung; `detail` is a variant or a dev score.

    `quality` is the estimate so far, with bounds that hold at every look, where the rung is raced.
    `spending` is what endpoints were asked so far.
    """

    rung: str
    phase: Phase
    done: int
    total: int
    detail: str = ""
    quality: Estimate | None = None
    spending: Spending = NO_SPENDING


@dataclass(frozen=True)
class RungFinished:
    """One rung is measured, skipped or failed. Verdicts are provisional until the climb ends."""

    result: RungResult
    from_store: bool = False


@dataclass(frozen=True)
class ClimbFinished:
    """Everything is measured and judged together."""

    climb: Climb


ClimbEvent: TypeAlias = ClimbStarted | RungStarted | RungProgress | RungFinished | ClimbFinished
OnEvent: TypeAlias = Callable[[ClimbEvent], None]


def ignore(event: ClimbEvent) -> None:
    """Take an event and do nothing: for callers that do not watch."""
    del event
