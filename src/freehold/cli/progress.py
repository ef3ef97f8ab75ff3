"""The state of a running climb as the display sees it: events in, drawing out. Pure; time is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from freehold.cli.eta import Pace
from freehold.core.measure import Estimate, RungResult
from freehold.core.task import Task
from freehold.ladder.events import (
    NO_SPENDING,
    ClimbEvent,
    ClimbFinished,
    ClimbStarted,
    Phase,
    RungFinished,
    RungProgress,
    RungStarted,
)
from freehold.models.remote import Spending
from freehold.report import numbers
from freehold.report.live import LiveClimb, LiveRow

#: What a bar says besides its count. The examples of the test split need no word.
PHASE_NOTES: Mapping[Phase, str] = {
    "building": "building",
    "choosing on dev": "dev",
    "test": "",
    "timing alone": "timing",
    "kept ability": "kept",
    "other words": "again",
    "audit": "audit",
}
#: What one unit of a phase is called; building counts whatever the rung builds with.
PHASE_UNITS: Mapping[Phase, str] = {"building": "parts"}


PLAIN_SECONDS = 30.0
LEAST_SECONDS = 1.0
LONGEST_DETAIL = 12


@dataclass(frozen=True)
class RungState:
    """One rung: where it is, and how far its present phase is. `done` never falls in a phase."""

    rung: str
    state: Literal["queued", "running", "done"] = "queued"
    result: RungResult | None = None
    phase: Phase = "test"
    detail: str = ""
    done: int = 0
    total: int = 0
    pace: Pace = field(default_factory=Pace)
    quality: Estimate | None = None

    def advance(self, event: RungProgress, *, at_seconds: float) -> RungState:
        """Return the rung after some progress: a new phase begins its own bar."""
        is_new = self.state != "running" or event.phase != self.phase
        before = Pace() if is_new else self.pace
        done = event.done if is_new else max(event.done, self.done)
        total = max(event.total, 0 if is_new else self.total)
        return replace(
            self,
            state="running",
            phase=event.phase,
            detail=event.detail,
            done=min(done, total),
            total=total,
            pace=before.observe(done, at_seconds=at_seconds),
            quality=event.quality or self.quality,
        )

    def _note(self) -> str:
        """Return the phase, and its variant or loss where that is short: `dev k=4`."""
        note = PHASE_NOTES[self.phase]
        has_room = note and len(self.detail) <= LONGEST_DETAIL
        return f"{note} {self.detail}".strip() if has_room else note

    def row(self) -> LiveRow:
        """Return how the rung is drawn."""
        return LiveRow(
            rung=self.rung,
            state=self.state,
            result=self.result,
            note=self._note() if self.state == "running" else "",
            done=self.done,
            total=self.total,
            unit=PHASE_UNITS.get(self.phase, "ex"),
            per_second=self.pace.per_second,
            eta_seconds=self.pace.seconds_left(self.total) if self.total else None,
            quality=self.quality if self.phase == "test" else None,
        )


@dataclass(frozen=True)
class ClimbProgress:
    """A running climb. `began_seconds` is the clock when it began."""

    began_seconds: float
    climb_id: str = ""
    task: str = ""
    test_examples: int = 0
    rungs: tuple[RungState, ...] = ()
    from_store: int = 0
    spending: Spending = NO_SPENDING

    def advance(self, event: ClimbEvent, *, at_seconds: float) -> ClimbProgress:
        """Return the climb after an event."""
        match event:
            case ClimbStarted():
                return replace(
                    self,
                    climb_id=event.climb_id,
                    task=event.task,
                    test_examples=event.test_examples,
                    rungs=tuple(RungState(name) for name in event.rungs),
                )
            case RungStarted():
                return self._changed(event.rung, lambda rung: replace(rung, state="running"))
            case RungProgress():
                advanced = self._changed(
                    event.rung, lambda rung: rung.advance(event, at_seconds=at_seconds)
                )
                return replace(advanced, spending=event.spending)
            case RungFinished():
                hits = event.result.evaluated if event.from_store else 0
                return replace(
                    self._changed(event.result.rung, lambda rung: _finished(rung, event.result)),
                    from_store=self.from_store + hits,
                )
            case ClimbFinished():
                return self

    def _changed(self, name: str, change: Callable[[RungState], RungState]) -> ClimbProgress:
        rungs = tuple(change(rung) if rung.rung == name else rung for rung in self.rungs)
        return replace(self, rungs=rungs)

    @property
    def running(self) -> RungState | None:
        """The rung that is being worked on."""
        return next((rung for rung in self.rungs if rung.state == "running"), None)

    def live(self, task: Task, *, at_seconds: float) -> LiveClimb:
        """Return what is drawn at a time."""
        elapsed = max(0.0, at_seconds - self.began_seconds)
        failed = [rung.result.quality for rung in self.rungs if rung.result is not None]
        return LiveClimb(
            climb_id=self.climb_id,
            task=self.task,
            test_examples=self.test_examples,
            stop=task.ladder.stop,
            budget=_budget(task),
            elapsed_seconds=elapsed,
            rows=tuple(rung.row() for rung in self.rungs),
            cache_hits=self.from_store + self.spending.from_cache,
            retries=self.spending.retries,
            failed=sum(quality.failed for quality in failed if quality is not None),
            dollars=task.prices.dollars_per_machine_hour * elapsed / 3600
            + (self.spending.dollars or 0.0),
        )


def _finished(rung: RungState, result: RungResult) -> RungState:
    return replace(rung, state="done", result=result)


def _budget(task: Task) -> str:
    parts: list[str] = []
    if task.budget.dollars is not None:
        parts.append(f"${task.budget.dollars:g}")
    if task.budget.tokens is not None:
        parts.append(f"{numbers.short_count(task.budget.tokens)} tokens")
    if task.budget.wall_hours is not None:
        parts.append(f"{task.budget.wall_hours:g} h")
    return " ".join(parts)


@dataclass(frozen=True)
class Cadence:
    """When a log without a terminal gets a line: every 10 % or 30 seconds of one phase."""

    what: tuple[str, str] = ("", "")
    tenth: int = 0
    at_seconds: float = float("-inf")

    def next(self, rung: RungState, *, at_seconds: float) -> Cadence | None:
        """Return the cadence after printing a line now, or None where none is due.

        Lines are at least a second apart: a phase that is over in a moment needs none.
        """
        what = (rung.rung, rung.phase)
        tenth = 10 * rung.done // rung.total if rung.total else 0
        waited = at_seconds - self.at_seconds
        has_moved = what != self.what or tenth > self.tenth
        is_due = waited >= PLAIN_SECONDS or (has_moved and waited >= LEAST_SECONDS)
        return Cadence(what, tenth, at_seconds) if is_due else None
