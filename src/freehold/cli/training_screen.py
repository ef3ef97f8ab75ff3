"""A training on stderr in four modes, and in a page for a browser, while it runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import JsonValue

from freehold.cli.console import Console, width_now
from freehold.cli.display import Clock, open_live, write_past_buffers
from freehold.cli.eta import Pace
from freehold.cli.progress import LEAST_SECONDS, PLAIN_SECONDS
from freehold.cli.training_files import (
    EVENTS_FILE,
    TRAININGS,
    EventLog,
    page_path,
    write_page_if_possible,
)
from freehold.core.sections import RungName
from freehold.core.task import Task
from freehold.ladder.events import Progress
from freehold.ladder.training import Trained, TrainingDone, TrainingEvent, TrainingStarted
from freehold.ladder.training_view import Seen
from freehold.ladder.work import MemoryWatch
from freehold.report import numbers
from freehold.report.lines import to_ascii
from freehold.report.live_training import LiveTraining, live_training, plain_training
from freehold.store.store import STATE_FOLDER
from freehold.train.records import Evaluated, Started, Stepped, Stopped, TrainEvent

MIB = 1024 * 1024


@dataclass(frozen=True)
class Running:
    """A training as the screen sees it: what was seen, its pace, and what is done besides steps."""

    seen: Seen
    pace: Pace = field(default_factory=Pace)
    work: Progress | None = None

    def advance(self, event: TrainingEvent, *, at_seconds: float) -> Running:
        """Return the training after an event. Steps have a bar of their own, other work another one."""
        match event:
            case TrainingStarted():
                seen = replace(
                    self.seen,
                    training_id=event.training_id,
                    train_examples=event.train_examples,
                )
                return replace(self, seen=seen)
            case Trained():
                return self._trained(event.event, at_seconds)
            case Progress():
                return self if self.is_stepping else replace(self, work=event)
            case TrainingDone():
                return replace(self, work=None)

    def _trained(self, event: TrainEvent, at_seconds: float) -> Running:
        pace = Pace() if isinstance(event, Started) else self.pace
        if isinstance(event, Stepped):
            pace = pace.observe(event.step, at_seconds=at_seconds)
        return Running(self.seen.advance(event), pace)

    @property
    def is_stepping(self) -> bool:
        """Whether the loop is at work."""
        return self.seen.started is not None and self.seen.stopped is None

    def live(self, *, memory: str, page: str) -> LiveTraining:
        """Return what is drawn."""
        seen, work = self.seen, self.work
        words = f"{work.phase} {work.detail}".strip() if work is not None else ""
        return LiveTraining(
            view=seen.view(),
            facts=seen.facts(),
            memory=memory,
            tokens_per_second=seen.tokens_per_second,
            eta_seconds=self.pace.seconds_left(seen.steps) if seen.steps else None,
            learning_rate=seen.learning_rate,
            work=words,
            done=work.done if work is not None else 0,
            total=work.total if work is not None else 0,
            patience=seen.patience,
            page=page,
        )


class TrainingScreen:
    """Shows a training in the console's display mode, and keeps its page and its event log."""

    def __init__(
        self,
        console: Console,
        seen: Seen,
        *,
        project: Path,
        clock: Clock,
    ) -> None:
        self.running = Running(seen)
        self._console = console
        self._project = project
        self._clock = clock
        self._log: EventLog | None = None
        self._memory = MemoryWatch()
        self._notice = ""
        self._lock = threading.Lock()
        self._said: tuple[str, int, float] = ("", 0, float("-inf"))
        self._live = open_live(console, self._draw) if console.display == "rich" else None

    def __enter__(self) -> TrainingScreen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def is_stepping(self) -> bool:
        """Whether the loop is at work: it stops by itself when asked, with a checkpoint."""
        return self.running.is_stepping

    def show(self, event: TrainingEvent) -> None:
        """Take one event: draw, write down, and keep the page up to date."""
        following = self.running.advance(event, at_seconds=self._clock())
        with self._lock:
            self.running = following
        if isinstance(event, TrainingStarted):
            self._begin(event)
        if isinstance(event, Trained):
            self._keep(event.event)
        match self._console.display:
            case "plain":
                self._say_plainly(event)
            case "json":
                shown = json.dumps(event_json(event), ensure_ascii=False)
                self._console.complain(shown)
            case "rich" | "none":
                pass

    def notice(self, text: str) -> None:
        """Show a message at once; may be called from a signal handler."""
        self._notice = text
        if self._console.display == "json":
            text = json.dumps({"event": "notice", "text": text})
        if self._live is None:
            write_past_buffers(self._console.stderr, text + "\n")

    def write_paused_page(self) -> None:
        """Leave a page that says that the training is paused and no longer asks to be read again."""
        if self.running.seen.started is not None:
            view = self.running.seen.view(is_paused=True)
            write_page_if_possible(self._project, view)

    def _begin(self, event: TrainingStarted) -> None:
        folder = self._project / STATE_FOLDER / TRAININGS / event.training_id
        self._log = EventLog(folder / EVENTS_FILE)
        if event.is_known:
            return
        seen = self.running.seen
        for earlier in self._log.earlier():
            seen = seen.advance(earlier)
        with self._lock:
            self.running = replace(self.running, seen=replace(seen, started=None, stopped=None))

    def _keep(self, event: TrainEvent) -> None:
        if self._log is not None:
            self._log.add(event)
        if isinstance(event, Started | Evaluated | Stopped):
            _, problem = write_page_if_possible(self._project, self.running.seen.view())
            if problem:
                self._notice = problem

    def _say_plainly(self, event: TrainingEvent) -> None:
        if isinstance(event, TrainingStarted):
            again = " (finished before)" if event.is_known else ""
            self._say(f"{event.training_id} {event.rung} · {event.task}{again}")
        elif isinstance(event, Trained | Progress) and self._is_due():
            self._say(plain_training(self._shown(), ascii=self._console.ascii))

    def _is_due(self) -> bool:
        """Say whether a log gets a line: every 10 % or 30 seconds of steps or of other work."""
        now, shown = self._clock(), self._shown()
        what = shown.work or "step"
        done, total = (shown.done, shown.total) if shown.work else (shown.view.step, 0)
        tenth = 10 * done // (total or max(shown.view.curves.steps, 1))
        before, reached, at = self._said
        has_moved = what != before or tenth > reached
        is_due = now - at >= PLAIN_SECONDS or (has_moved and now - at >= LEAST_SECONDS)
        if is_due:
            self._said = (what, tenth, now)
        return is_due

    def _say(self, text: str) -> None:
        self._console.complain(to_ascii(text) if self._console.ascii else text)

    def _shown(self) -> LiveTraining:
        with self._lock:
            running = self.running
        training_id = running.seen.training_id
        memory = f"memory {numbers.size(round(self._memory.look() * MIB))}"
        return running.live(memory=memory, page=page_path(training_id) if training_id else "")

    def _draw(self) -> str:
        drawn = live_training(
            self._shown(),
            width=width_now(),
            ascii=self._console.ascii,
            color=self._console.color,
        )
        return f"{drawn}\n{self._notice}".rstrip()


def open_training_screen(
    console: Console,
    task: Task,
    rung: RungName,
    *,
    after: str | None,
    project: Path,
    clock: Callable[[], float],
) -> TrainingScreen:
    """Return the screen of a training that is about to begin, to be entered."""
    seen = Seen(training_id="", rung=rung, task=task, after=after)
    return TrainingScreen(console, seen, project=project, clock=clock)


def event_json(event: TrainingEvent) -> dict[str, JsonValue]:
    """Return an event for programs: its kind, and what it holds."""
    match event:
        case TrainingStarted():
            return {
                "event": "training_started",
                "training": event.training_id,
                "task": event.task,
                "rung": event.rung,
                "train_examples": event.train_examples,
                "is_known": event.is_known,
            }
        case Trained():
            values = event.event.to_json()
            return {"event": "trained", **(values if isinstance(values, dict) else {})}
        case Progress():
            return {
                "event": "progress",
                "phase": event.phase,
                "done": event.done,
                "total": event.total,
                "detail": event.detail,
            }
        case TrainingDone():
            return {"event": "training_done", "rung": event.training.rung}
