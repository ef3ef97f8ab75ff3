"""The finished climb in a terminal: one row per rung, the recommendation, and what to look at next.

The table is 88 columns wide. In a narrower terminal the words behind a verdict move to a line of
their own, then columns are dropped (`DROPPED_FIRST`); the quality with its interval and the verdict
always stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from freehold.core.measure import Climb, RungResult, Verdict
from freehold.core.sections import Bar
from freehold.core.task import Task
from freehold.report import findings, numbers
from freehold.report.documents import figures_text
from freehold.report.judge import judge_facts, rests_text
from freehold.report.lines import (
    Line,
    Look,
    Role,
    Span,
    clean,
    elide,
    labelled,
    line,
    look_of,
    render,
    spread,
    to_ascii,
    wrap,
)
from freehold.report.tried import gain_words

DROPPED_FIRST = ("p95", "kept≥", "$/1k", "Δ vs previous")

VERDICT_ROLES: Mapping[Verdict, Role] = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.UNDECIDED: "undecided",
    Verdict.SKIPPED: "muted",
    Verdict.ERROR: "error",
}

_NAME_COLUMN = 3
_LONGEST_NAME = 16
_GAP = 2


@dataclass(frozen=True)
class _Column:
    """One column of numbers: its heading, its cell, and whether it is aligned to the right."""

    heading: str
    cell: Callable[[RungResult], str]
    right: bool = True


def climb_table(
    climb: Climb,
    task: Task,
    *,
    climb_id: str = "",
    width: int = 88,
    ascii: bool = False,
    color: bool = False,
) -> str:
    """Return the finished climb as text: heading, table, recommendation, errors and weak slice.

    Args:
        climb: what was measured.
        task: the task it was measured for; its bar and its prices are shown.
        climb_id: the handle of the climb, such as `c12`.
        width: the columns of the terminal; fewer than 48 count as 48.
        ascii: whether symbols outside ASCII are replaced by their stand-ins.
        color: whether ANSI colours are used, besides the symbols.
    """
    look = look_of(width, ascii=ascii, color=color)
    lines = [
        *_heading(climb, task, climb_id=climb_id, look=look),
        *_table(climb, task.bar, look),
        *_recommendation(climb, look),
        *_details(climb, look),
    ]
    return render(lines, look)


def closing(
    report: str, report_bytes: int, *, compare: str = "", following: str = "", look: Look
) -> str:
    """Return the last lines of a climb: where the report is, how to compare, what to type next."""
    left = line(f"Report   {report} ({numbers.size(report_bytes)})")
    lines: list[Line] = []
    if compare:
        lines.extend(spread(left, line(f"Compare  {compare}"), look.width))
    else:
        lines.append(left)
    if following:
        lines.append(line("next     ", Span(following, "strong")))
    return render(lines, look)


def _heading(climb: Climb, task: Task, *, climb_id: str, look: Look) -> list[Line]:
    name = climb_id or clean(climb.task)
    dollars = numbers.money(round(findings.all_dollars(climb, task), 2))
    left = line(Span(name, "strong"), f" done in {numbers.clock(climb.seconds)} · {dollars}")
    right = line(
        f"test {findings.test_size(climb)},"
        f" {numbers.count(findings.failed_count(climb))} failed"
        f" · intervals {numbers.percent(task.bar.confidence)}"
        f" · bar ≥ {numbers.bar_value(task.bar.quality)}"
    )
    return spread(left, right, look.width)


def _table(climb: Climb, bar: Bar, look: Look) -> list[Line]:
    names = [elide(clean(result.rung), _LONGEST_NAME) for result in climb.rungs]
    name_width = max([10, *(len(name) for name in names)])
    columns = _columns(climb)
    suffixes = {r.rung: _suffix(r, climb, bar) for r in climb.rungs if r.state == "measured"}
    verdict_width = max(
        [
            len("verdict"),
            *(_verdict_width(r, climb, suffixes[r.rung]) for r in findings.measured(climb)),
        ]
    )
    room = look.width - _NAME_COLUMN - name_width - _GAP
    below = _total(columns, climb) + verdict_width > room
    least = max([len("verdict"), *(_verdict_width(r, climb, "") for r in findings.measured(climb))])
    kept = _fitting(columns, climb, room=room - least) if below else columns
    below = below and _total(kept, climb) + verdict_width > room
    rows: list[Line] = [_header(kept, climb, name_width=name_width, look=look)]
    for index, (name, result) in enumerate(zip(names, climb.rungs, strict=True)):
        head = f"{index:2d} {name.ljust(name_width)}  "
        if result.state != "measured":
            rows.extend(_unmeasured(head, result, look))
            continue
        suffix = suffixes[result.rung]
        rows.append(_measured(head, result, kept, climb=climb, suffix="" if below else suffix))
        if below and suffix:
            pad = " " * len(head)
            rows.extend(line(Span(pad + t, "muted")) for t in wrap(suffix, look.width - len(head)))
    return rows


def _columns(climb: Climb) -> tuple[_Column, ...]:
    first = next(iter(findings.measured(climb)), None)

    def change(result: RungResult) -> str:
        difference = result.against_previous
        if difference is None:
            return "  " + numbers.UNKNOWN if result is first else ""
        return f"{numbers.difference_mark(difference)} {numbers.difference(difference)}"

    def cost(result: RungResult) -> str:
        return numbers.amount(result.cost.dollars_per_1k if result.cost else None)

    def p95(result: RungResult) -> str:
        return numbers.latency(result.seconds_p95)

    def kept(result: RungResult) -> str:
        return numbers.share(result.kept.ratio.low if result.kept else None)

    def quality(result: RungResult) -> str:
        return numbers.estimate(result.quality)

    return (
        _Column("quality", quality, right=False),
        _Column("Δ vs previous", change, right=False),
        _Column("$/1k", cost),
        _Column("p95", p95),
        _Column("kept≥", kept),
    )


_LEAST_WIDTH: Mapping[str, int] = {
    "quality": 17,
    "Δ vs previous": 21,
    "$/1k": 4,
    "p95": 5,
    "kept≥": 5,
}


def _width(column: _Column, climb: Climb) -> int:
    cells = [len(column.cell(result)) for result in findings.measured(climb)]
    return max([_LEAST_WIDTH[column.heading], *cells])


def _total(columns: tuple[_Column, ...], climb: Climb) -> int:
    return sum(_width(column, climb) + _GAP for column in columns)


def _fitting(columns: tuple[_Column, ...], climb: Climb, *, room: int) -> tuple[_Column, ...]:
    """Return the columns that fit into `room` characters; those dropped first are added last."""
    kept = [column.heading for column in columns if column.heading not in DROPPED_FIRST]
    for heading in reversed(DROPPED_FIRST):
        wanted = tuple(c for c in columns if c.heading in (*kept, heading))
        if _total(wanted, climb) <= room:
            kept.append(heading)
    return tuple(column for column in columns if column.heading in kept)


def _header(columns: tuple[_Column, ...], climb: Climb, *, name_width: int, look: Look) -> Line:
    text = " " * _NAME_COLUMN + "rung".ljust(name_width) + "  "
    for column in columns:
        heading = "  " + column.heading if column.heading.startswith("Δ") else column.heading
        cell = _aligned(heading, column, climb)
        if look.ascii:
            grown = len(to_ascii(cell)) - len(cell)
            text = text[: len(text) - min(grown, 1)]
        text += cell + "  "
    return line(Span(text + "verdict", "muted"))


def _aligned(text: str, column: _Column, climb: Climb) -> str:
    size = _width(column, climb)
    return text.rjust(size) if column.right else text.ljust(size)


def _measured(
    head: str,
    result: RungResult,
    columns: tuple[_Column, ...],
    *,
    climb: Climb,
    suffix: str,
) -> Line:
    cells = "".join(_aligned(c.cell(result), c, climb) + "  " for c in columns)
    best = result.rung == climb.recommended
    role: Role = "best" if best else VERDICT_ROLES[result.verdict]
    verdict = findings.verdict_text(result, climb.recommended)
    spans = [Span(head, "strong") if best else Span(head), Span(cells), Span(verdict, role)]
    if suffix:
        spans.append(Span(" " + suffix, role))
    return tuple(spans)


def _unmeasured(head: str, result: RungResult, look: Look) -> list[Line]:
    state = "skipped" if result.state == "skipped" else "failed"
    mark = "–" if result.state == "skipped" else "!"
    text = f"{mark} {state}: {clean(result.reason or 'no reason was recorded')}"
    role: Role = VERDICT_ROLES[result.verdict]
    wrapped = wrap(text, look.width - len(head))
    first = line(head, Span(wrapped[0], role))
    pad = " " * (len(head) + 2)
    return [first, *(line(Span(pad + more, role)) for more in wrapped[1:])]


def _suffix(result: RungResult, climb: Climb, bar: Bar) -> str:
    missed = findings.missed_bar(result, bar)
    caveat = findings.caveat(result, climb, bar)
    lacks = missed or (f"({clean(caveat)})" if caveat else "")
    return f"{lacks} {clean(findings.stopped_text(result))}".strip()


def _verdict_width(result: RungResult, climb: Climb, suffix: str) -> int:
    verdict = findings.verdict_text(result, climb.recommended)
    return len(verdict) + (len(suffix) + 1 if suffix else 0)


def _recommendation(climb: Climb, look: Look) -> list[Line]:
    if not climb.why:
        return []
    first, *others = climb.why
    role: Role = "best" if climb.recommended else "strong"
    head, *more = wrap(clean(first), look.width - 2)
    lines: list[Line] = [line(Span("★ ", role), Span(head, "strong"))]
    lines.extend(line(Span("  " + text, "strong")) for text in more)
    for sentence in others:
        label, text = findings.why_parts(clean(sentence))
        if label:
            lines.extend(labelled(label, text, look=look))
        else:
            lines.extend(line("  " + part) for part in wrap(text, look.width - 2))
    return lines


def _gains(climb: Climb, look: Look) -> list[Line]:
    """Say what searching for prompts came to."""
    lines: list[Line] = []
    for searched in climb.rungs:
        if searched.prompt_gain is not None:
            text = clean(gain_words(searched.prompt_gain))
            lines.extend(labelled(clean(searched.rung), text, look=look))
    return lines


def _details(climb: Climb, look: Look) -> list[Line]:
    lines = _gains(climb, look)
    audit = findings.audit_text(climb)
    if audit:
        lines.extend(labelled("audit", audit, look=look))
    result = findings.subject(climb)
    if climb.judge is not None:
        for label, text in judge_facts(climb.judge):
            lines.extend(labelled(label, clean(text), look=look))
    if result is not None and result.rests_on is not None:
        lines.extend(labelled("rests on", rests_text(result.rests_on), look=look))
    if result is None:
        return lines
    owner = "" if climb.recommended else f"of {clean(result.rung)}: "
    wrong = findings.wrong_count(result)
    if wrong:
        text = clean(owner + findings.causes_text(result))
        lines.extend(labelled(f"{numbers.count(wrong)} wrong", text, look=look))
    if result.documents is not None:
        text = owner + figures_text(result.documents)
        lines.extend(labelled("documents", clean(text), look=look))
    weakest = findings.weakest_slice(result)
    if weakest is not None:
        text = clean(owner + findings.slice_text(*weakest))
        lines.extend(labelled("weak slice", text, look=look))
    return lines
