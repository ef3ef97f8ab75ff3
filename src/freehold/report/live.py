"""The climb while it runs: finished rungs as a forest strip, the running one as a progress bar.

The caller redraws what these functions return, at most eight times a second; nothing here reads a
clock or prints. Progress is the caller's: a share that falls is drawn as it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from freehold.core.measure import Estimate, RungResult
from freehold.core.record import Record
from freehold.core.sections import Bar
from freehold.report import findings, numbers
from freehold.report.lines import (
    ASCII_SPINNER,
    SPINNER,
    Line,
    Look,
    Role,
    Span,
    clean,
    elide,
    line,
    look_of,
    render,
    spread,
)
from freehold.report.terminal import VERDICT_ROLES

_NAME = 10
_QUALITY = 17
_COST = 8
_TIME = 5
_BAR = 31
_LEAST_STRIP = 16

Part = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class _Frame:
    """What all rows share, so that their strips stand below each other."""

    bar: float
    axis: tuple[float, float]
    verdict_width: int
    look: Look


class LiveRow(Record):
    """One rung of a running climb.

    `note` says what a queued rung waits for (`if lora's errors on train give 200 pairs`), or what a
    running one does (`train`, `choose`). `done` of `total` are examples, or what `unit` names.
    `quality` is the estimate so far of a rung that races, with bounds that hold at every look.
    """

    rung: str
    state: Literal["queued", "running", "done"]
    result: RungResult | None = None
    note: str = ""
    done: Part = 0
    total: Part = 0
    unit: str = "ex"
    per_second: float | None = None
    eta_seconds: float | None = None
    quality: Estimate | None = None


class LiveClimb(Record):
    """A running climb: its heading, its rungs, and what it used so far."""

    climb_id: str
    task: str
    test_examples: int
    stop: str
    budget: str = ""
    elapsed_seconds: float
    eta_seconds: float | None = None
    rows: tuple[LiveRow, ...]
    cache_hits: int = 0
    retries: int = 0
    failed: int = 0
    dollars: float = 0.0
    url: str = ""


def live_rows(
    live: LiveClimb,
    bar: Bar,
    *,
    tick: int = 0,
    width: int = 88,
    ascii: bool = False,
    color: bool = False,
) -> str:
    """Return the running climb as text: heading, one row per rung, and the counters.

    Args:
        live: the state of the climb.
        bar: the bar that is drawn into every strip.
        tick: turns the spinner; any whole number.
        width: the columns of the terminal; fewer than 48 count as 48.
        ascii: whether symbols outside ASCII are replaced by their stand-ins.
        color: whether ANSI colours are used, besides the symbols.
    """
    look = look_of(width, ascii=ascii, color=color)
    lines = [*_heading(live, look)]
    frame = _Frame(
        bar=bar.quality,
        axis=_axis(live, bar),
        verdict_width=max([6, *(len(_verdict(r.result, bar)) for r in live.rows if r.result)]),
        look=look,
    )
    lines.extend(
        _row(row, index, bar, frame=frame, tick=tick) for index, row in enumerate(live.rows)
    )
    lines.append(_counters(live, look))
    return render(lines, look)


def plain_progress(row: LiveRow, *, ascii: bool = False) -> str:
    """Return one line for a log without a terminal: `retrieve 212/400 (53 %), 3.9 ex/s, eta 0:48`."""
    parts = [f"{clean(row.rung)} {_counted(row)} ({_percent(row)})"]
    if row.per_second is not None:
        parts.append(f"{row.per_second:.1f} {row.unit}/s")
    if row.eta_seconds is not None:
        parts.append(f"eta {numbers.rough(row.eta_seconds)}")
    return render([line(", ".join(parts))], Look(ascii=ascii))


def paused(row: LiveRow | None, resume: str) -> str:
    """Return what Ctrl-C prints: where the climb stopped, and the line that resumes it."""
    where = f" after {row.done}/{row.total} of {clean(row.rung)}" if row is not None else ""
    return f"Paused{where}. Nothing is lost. Resume: {resume}"


def strip(value: Estimate, bar: float, *, axis: tuple[float, float], width: int) -> str:
    """Return one interval as `───●───      ┊`: the estimate, its bounds, and the bar.

    Where the mean and the bar share a column, the mean is drawn.
    """
    cells = [" "] * width
    for column in range(_column(value.low, axis, width), _column(value.high, axis, width) + 1):
        cells[column] = "─"
    cells[_column(bar, axis, width)] = "┊"
    if value.mean is not None:
        cells[_column(value.mean, axis, width)] = "●"
    return "".join(cells)


def _column(value: float, axis: tuple[float, float], width: int) -> int:
    low, high = axis
    share = (value - low) / (high - low)
    return min(max(round(share * (width - 1)), 0), width - 1)


def _axis(live: LiveClimb, bar: Bar) -> tuple[float, float]:
    """Return the ends of the strips: a round number below everything drawn, and 1."""
    lows = [r.result.quality.low for r in live.rows if r.result and r.result.quality]
    lows += [row.quality.low for row in live.rows if row.quality and row.state == "running"]
    least = min([bar.quality - 0.1, *lows])
    return max(int(least * 10) / 10, 0.0), 1.0


def _heading(live: LiveClimb, look: Look) -> list[Line]:
    facts = [f"{numbers.count(live.test_examples)} test", f"stop={live.stop}"]
    if live.budget:
        facts.append(f"budget {live.budget}")
    about = f" {clean(live.task)} · {' · '.join(facts)}"
    room = look.width - len(live.climb_id)
    left = line(Span(live.climb_id, "strong"), elide(about, room))
    right = f"elapsed {numbers.clock(live.elapsed_seconds)}"
    if live.eta_seconds is not None:
        right += f"  eta {numbers.rough(live.eta_seconds)}"
    return spread(left, line(right), look.width)


def _row(row: LiveRow, index: int, bar: Bar, *, frame: _Frame, tick: int) -> Line:
    look = frame.look
    name = elide(clean(row.rung), _NAME + 4).ljust(_NAME)
    if row.state == "running":
        frames = ASCII_SPINNER if look.ascii else SPINNER
        head = f"{frames[tick % len(frames)]} {index} {name}  "
        if row.quality is not None and row.quality.mean is not None:
            return _racing(head, row, row.quality, frame=frame)
        return _running(head, row, look)
    result = row.result
    if row.state == "queued" or result is None:
        note = f", {clean(row.note)}" if row.note else ""
        return _cut(f"· {index} {name}  queued{note}", look, role="muted")
    if result.state != "measured" or result.quality is None:
        state = "skipped" if result.state == "skipped" else "failed"
        reason = clean(result.reason or "no reason was recorded")
        role: Role = VERDICT_ROLES[result.verdict]
        return _cut(f"– {index} {name}  {state}: {reason}", look, role=role)
    return _done(f"• {index} {name}  ", result, bar, frame=frame)


def _verdict(result: RungResult, bar: Bar) -> str:
    if result.state != "measured":
        return ""
    missed = findings.missed_bar(result, bar)
    return findings.verdict_text(result, None) + (f" {missed}" if missed else "")


def _cut(text: str, look: Look, *, role: Role) -> Line:
    return line(Span(elide(text, look.width), role))


def _done(head: str, result: RungResult, bar: Bar, *, frame: _Frame) -> Line:
    text = head + numbers.estimate(result.quality).ljust(_QUALITY)
    per_1k = numbers.money_per_1k(result.cost.dollars_per_1k if result.cost else None)
    p95 = numbers.latency(result.seconds_p95)
    room = frame.look.width - len(text) - frame.verdict_width - 2
    for part in (per_1k.rjust(_COST), p95.rjust(_TIME)):
        if room >= len(part) + 2:
            text += "  " + part
            room -= len(part) + 2
    spans = [Span(text)]
    if result.quality is not None and room >= _LEAST_STRIP + 2:
        spans.append(Span("  " + strip(result.quality, frame.bar, axis=frame.axis, width=room - 2)))
        room = 0
    spans.append(Span(" " * room + "  "))
    spans.append(Span(_verdict(result, bar), VERDICT_ROLES[result.verdict]))
    return tuple(spans)


def _running(head: str, row: LiveRow, look: Look) -> Line:
    if not row.total:
        return line(elide(head + (clean(row.note) or "starting"), look.width))
    counted = (f"{clean(row.note)} " if row.note else "") + _counted(row)
    tail = f"  {_percent(row)}"
    if row.per_second is not None:
        tail += f"  {row.per_second:.1f} {row.unit}/s"
    if row.eta_seconds is not None:
        tail += f"  eta {numbers.rough(row.eta_seconds)}"
    room = min(look.width - len(head) - len(counted) - len(tail) - 2, _BAR)
    if room < 4:
        return line(elide(head + counted + tail, look.width))
    full, rest = _progress(row, room)
    return line(head + counted + "  ", Span(full, "strong"), Span(rest, "muted"), tail)


def _racing(head: str, row: LiveRow, quality: Estimate, *, frame: _Frame) -> Line:
    """Return a rung that races: its confidence sequence against the bar, and how far it is."""
    text = head + numbers.estimate(quality).ljust(_QUALITY)
    tail = f"  {_counted(row)}"
    if row.eta_seconds is not None:
        tail += f"  eta {numbers.rough(row.eta_seconds)}"
    room = frame.look.width - len(text) - len(tail) - 2
    if room < _LEAST_STRIP:
        return line(elide(text + tail, frame.look.width))
    return line(text + "  " + strip(quality, frame.bar, axis=frame.axis, width=room) + tail)


def _progress(row: LiveRow, width: int) -> tuple[str, str]:
    share = min(row.done / row.total, 1.0) if row.total else 0.0
    filled = round(share * width)
    if filled in (0, width):
        return "━" * filled, "━" * (width - filled)
    return "━" * (filled - 1) + "╸", "━" * (width - filled)


def _counted(row: LiveRow) -> str:
    return f"{numbers.count(row.done)}/{numbers.count(row.total)}"


def _percent(row: LiveRow) -> str:
    return f"{int(100 * min(row.done / row.total, 1.0)) if row.total else 0} %"


def _counters(live: LiveClimb, look: Look) -> Line:
    parts = [
        f"cache {numbers.count(live.cache_hits)} hits",
        f"retries {numbers.count(live.retries)}",
        f"failed {numbers.count(live.failed)}",
        numbers.money(round(live.dollars, 2)),
    ]
    parts += [live.url] if live.url else []
    text = " · ".join([*parts, "^C pauses"])
    return line(Span(elide(text, look.width), "muted"))
