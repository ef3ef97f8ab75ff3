"""Progress on stderr in four modes: a live drawing, plain lines, JSON lines, nothing."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from pydantic import JsonValue

from freehold.cli.console import Console, width_now, write
from freehold.cli.progress import Cadence, ClimbProgress, RungState
from freehold.core.measure import RungResult
from freehold.core.task import Task
from freehold.ladder.events import (
    ClimbEvent,
    ClimbFinished,
    ClimbStarted,
    RungFinished,
    RungProgress,
    RungStarted,
)
from freehold.models.remote import Spending
from freehold.report import findings, numbers
from freehold.report.lines import ASCII_SPINNER, SPINNER, to_ascii
from freehold.report.live import live_rows, plain_progress

if TYPE_CHECKING:
    from rich.live import Live

REDRAWS_PER_SECOND = 8
SPINNER_SECONDS = 0.1
Clock = Callable[[], float]


class Screen:
    """Shows nothing, and remembers where the climb is. The base of the other modes."""

    def __init__(self, console: Console, task: Task, clock: Clock) -> None:
        self._console = console
        self._task = task
        self._clock = clock
        self._progress = ClimbProgress(began_seconds=clock())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    @property
    def running(self) -> RungState | None:
        """The rung that is being worked on."""
        return self._progress.running

    def show(self, event: ClimbEvent) -> None:
        """Take one event."""
        self._progress = self._progress.advance(event, at_seconds=self._clock())

    def notice(self, text: str) -> None:
        """Write a message past all buffers, as a signal may come in the middle of a write."""
        write_past_buffers(self._console.stderr, text + "\n")


class PlainLines(Screen):
    """One line per 10 % or 30 s of a phase, and one per finished rung."""

    def __init__(self, console: Console, task: Task, clock: Clock) -> None:
        super().__init__(console, task, clock)
        self._cadence = Cadence()

    def show(self, event: ClimbEvent) -> None:
        """Take one event."""
        super().show(event)
        match event:
            case ClimbStarted():
                again = " (resumed)" if event.resumed else ""
                count = f"{numbers.count(event.test_examples)} test examples"
                self._say(f"{event.climb_id} {event.task} · {count}{again}")
            case RungProgress():
                self._tick()
            case RungFinished():
                self._say(result_line(event.result, event.from_store))
            case RungStarted() | ClimbFinished():
                pass

    def _tick(self) -> None:
        rung = self._progress.running
        if rung is None:
            return
        due = self._cadence.next(rung, at_seconds=self._clock())
        if due is not None:
            self._cadence = due
            phase = f" [{rung.phase}]" if rung.phase != "test" else ""
            spent = spent_text(self._progress.spending)
            self._say(plain_progress(rung.row(), ascii=self._console.ascii) + phase + spent)

    def _say(self, text: str) -> None:
        self._console.complain(to_ascii(text) if self._console.ascii else text)


class JsonLines(Screen):
    """One JSON object per event."""

    def show(self, event: ClimbEvent) -> None:
        """Take one event."""
        super().show(event)
        self._console.complain(json.dumps(event_json(event), ensure_ascii=False))

    def notice(self, text: str) -> None:
        """Write the message as an event."""
        super().notice(json.dumps({"event": "notice", "text": text}))


class LiveDrawing(Screen):
    """The drawing of experience.md 6.3, redrawn in place, gone when the climb ends."""

    def __init__(self, console: Console, task: Task, clock: Clock) -> None:
        super().__init__(console, task, clock)
        self._notice = ""
        self._lock = threading.Lock()
        self._live = open_live(console, self._draw)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, event: ClimbEvent) -> None:
        """Take one event; the drawing follows at its own pace."""
        following = self._progress.advance(event, at_seconds=self._clock())
        with self._lock:
            self._progress = following

    def notice(self, text: str) -> None:
        """Show the message below the drawing."""
        self._notice = text

    def _draw(self) -> str:
        with self._lock:
            progress = self._progress
        if not progress.rungs:
            return self._notice
        now = self._clock()
        tick = int(now / SPINNER_SECONDS)
        drawing = live_rows(
            progress.live(self._task, at_seconds=now),
            self._task.bar,
            tick=tick,
            width=width_now(),
            ascii=self._console.ascii,
            color=self._console.color,
        )
        lines = [drawing]
        if all(rung.state == "queued" for rung in progress.rungs):
            frames = ASCII_SPINNER if self._console.ascii else SPINNER
            lines.append(f"{frames[tick % len(frames)]} loading {self._task.base.id}")
        if self._notice:
            lines.append(self._notice)
        return "\n".join(lines)


def open_screen(console: Console, task: Task, clock: Clock) -> Screen:
    """Return the screen of the console's display mode, to be entered."""
    match console.display:
        case "rich":
            return LiveDrawing(console, task, clock)
        case "plain":
            return PlainLines(console, task, clock)
        case "json":
            return JsonLines(console, task, clock)
        case "none":
            return Screen(console, task, clock)


def open_live(console: Console, draw: Callable[[], str]) -> Live:
    """Return a region of the terminal that shows what `draw` returns, at most eight times a second."""
    from rich.console import Console as RichConsole
    from rich.live import Live
    from rich.text import Text

    target = RichConsole(
        file=console.stderr,
        color_system="256" if console.color else None,
        no_color=not console.color,
        highlight=False,
    )
    return Live(
        get_renderable=lambda: Text.from_ansi(draw()),
        console=target,
        refresh_per_second=REDRAWS_PER_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def write_past_buffers(stream: TextIO, text: str) -> None:
    """Write to the stream's file itself; where it has none, as usual."""
    try:
        os.write(stream.fileno(), text.encode())
    except (OSError, ValueError):
        write(stream, text)


def spent_text(spending: Spending) -> str:
    """Return what endpoints cost so far, for the end of a line; nothing where none was asked."""
    if spending.is_nothing:
        return ""
    if spending.dollars is None:
        return f", {numbers.short_count(spending.tokens)} tokens"
    return f", {numbers.money(spending.dollars)} spent"


def result_line(result: RungResult, from_store: bool) -> str:
    """Return a finished rung in one line: `retrieve 0.745 [.700 .785] ✗ FAIL`."""
    if result.state != "measured":
        return f"{result.rung} {result.state}: {result.reason or 'no reason was recorded'}"
    known = " (measured before)" if from_store else ""
    verdict = findings.verdict_text(result, None)
    return f"{result.rung} {numbers.estimate_n(result.quality)} {verdict}{known}"


def event_json(event: ClimbEvent) -> dict[str, JsonValue]:
    """Return an event for programs: its kind, and what it holds."""
    match event:
        case ClimbStarted():
            return {
                "event": "climb_started",
                "climb": event.climb_id,
                "task": event.task,
                "rungs": list(event.rungs),
                "test_examples": event.test_examples,
                "resumed": event.resumed,
            }
        case RungStarted():
            return {"event": "rung_started", "rung": event.rung}
        case RungProgress():
            shape: dict[str, JsonValue] = {
                "event": "rung_progress",
                "rung": event.rung,
                "phase": event.phase,
                "done": event.done,
                "total": event.total,
                "detail": event.detail,
            }
            if event.quality is not None:
                shape["quality"] = [event.quality.mean, event.quality.low, event.quality.high]
            return shape
        case RungFinished():
            return {
                "event": "rung_finished",
                "rung": event.result.rung,
                "state": event.result.state,
                "verdict": event.result.verdict.value,
                "reason": event.result.reason,
                "from_store": event.from_store,
            }
        case ClimbFinished():
            return {"event": "climb_finished", "recommended": event.climb.recommended}
