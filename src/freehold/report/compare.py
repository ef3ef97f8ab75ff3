"""Two climbs, or two candidates, on the same examples; and one input answered by every rung."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue

from freehold.core.measure import Citation, Difference, Estimate
from freehold.core.record import Record
from freehold.report import findings, numbers
from freehold.report.documents import citation_text
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
    wrap,
)
from freehold.report.words import answer_text, inline_difference

_SHOWN = 1


class Side(Record):
    """One side of a comparison: a name such as `c12/distil`, and its estimate."""

    name: str
    quality: Estimate


class Change(Record):
    """One example that was answered differently: fixed or broken."""

    example_id: str
    wanted: JsonValue
    was: JsonValue
    now: JsonValue
    free_text: bool = False


class SliceChange(Record):
    """The slice that lost most, in shares (not points)."""

    name: str
    difference: float
    n: int


class Comparison(Record):
    """A paired comparison: `after` against `before`, over the same examples."""

    after: Side
    before: Side
    difference: Difference
    fixed: tuple[Change, ...] = ()
    broken: tuple[Change, ...] = ()
    worst_slice: SliceChange | None = None
    following: str = "freehold ui, Examples → Broken"


class OneAnswer(Record):
    """What one rung said to one input. `correct` is None where no answer was expected."""

    rung: str
    state: Literal["answered", "skipped", "failed"]
    reason: str = ""
    value: JsonValue = None
    raw: str = ""
    seconds: float | None = None
    correct: bool | None = None
    cause: str = ""
    citations: tuple[Citation, ...] = ()


def comparison(
    compared: Comparison,
    *,
    shown: int = _SHOWN,
    width: int = 88,
    ascii: bool = False,
    color: bool = False,
) -> str:
    """Return a comparison as text: both sides, what was fixed and broken, the net difference.

    `shown` broken examples are listed; the last line says how many more there are.
    """
    look = look_of(width, ascii=ascii, color=color)
    lines = [*_sides(compared, look), *_net(compared, look)]
    worst = compared.worst_slice
    if worst is not None:
        few = ", too few to judge" if worst.n < findings.FEW else ""
        change = f"{numbers.signed_points(worst.difference)} points (n={worst.n}{few})"
        text = f"{findings.clip(worst.name, 40)} {change}"
        lines.extend(labelled("worst slice", text, look=look, indent=0, column=13))
    lines.extend(_broken(compared, shown, look))
    return render(lines, look)


def eval_one_table(
    answers: Sequence[OneAnswer], *, width: int = 88, ascii: bool = False, color: bool = False
) -> str:
    """Return the answers of all rungs to one input: the extracted answer beside the raw output."""
    look = look_of(width, ascii=ascii, color=color)
    name_width = max([10, *(len(elide(clean(a.rung), 16)) for a in answers)])
    texts = [elide(answer_text(a.value), 24) for a in answers]
    answered = [len(t) for t, a in zip(texts, answers, strict=True) if a.state == "answered"]
    answer_width = max([len("answer"), *answered])
    judged = any(answer.correct is not None for answer in answers)
    mark_gap = "   " if judged else ""
    head = f"{'rung'.ljust(name_width)}  {'answer'.ljust(answer_width)}{mark_gap}"
    lines: list[Line] = [line(Span(f"{head}  {'time'.rjust(5).ljust(5)}   raw output", "muted"))]
    for answer, text in zip(answers, texts, strict=True):
        name = elide(clean(answer.rung), 16).ljust(name_width)
        if answer.state != "answered":
            lines.append(_unanswered(name, answer, look))
        else:
            cell = text.ljust(answer_width)
            lines.append(_answered(f"{name}  {cell}", answer, judged=judged, look=look))
            for citation in answer.citations:
                text = elide(clean(citation_text(citation)), look.width - name_width - 2)
                lines.append(line(" " * (name_width + 2), Span(text, "muted")))
    return render(lines, look)


def _sides(compared: Comparison, look: Look) -> list[Line]:
    sides = [
        f"{clean(s.name)} {numbers.estimate(s.quality)}" for s in (compared.after, compared.before)
    ]
    same = line(f"same {numbers.count(compared.difference.n)} test examples")
    both = "    ".join(sides)
    if len(both) > look.width:
        return [line(sides[0]), *spread(line(sides[1]), same, look.width)]
    return spread(line(both), same, look.width)


def _net(compared: Comparison, look: Look) -> list[Line]:
    difference = compared.difference
    fixed, broken = len(compared.fixed), len(compared.broken)
    same = difference.n - fixed - broken
    left = (
        Span(f"↑ {numbers.count(fixed)} fixed", "pass"),
        Span("   "),
        Span(f"↓ {numbers.count(broken)} broken", "fail"),
        Span(f"   = {numbers.count(same)} same"),
    )
    mark = "" if difference.is_clear else "≈ "
    net = f"net {mark}{numbers.points(difference)}  {numbers.p_value(difference.p_value)}"
    text = sum(len(span.text) for span in left)
    if text + 6 + len(net) > look.width:
        return [left, line(net)]
    return [(*left, Span("      " + net))]


def _broken(compared: Comparison, shown: int, look: Look) -> list[Line]:
    rows: list[Line] = []
    for index, change in enumerate(compared.broken[:shown]):
        label = "broken       " if index == 0 else " " * 13
        rows.append(line(elide(label + _change(change), look.width)))
    more = len(compared.broken) - shown
    following = f"next: {compared.following}" if compared.following else ""
    if more > 0:
        counted = f"{' ' * 13}…{numbers.count(more)} more".ljust(40)
        both = counted + following
        if len(both) > look.width:
            rows.append(line(counted))
            rows.extend(line(part) for part in wrap(following, look.width))
        else:
            rows.append(line(both))
    elif following:
        rows.append(line(following))
    return rows


def _change(change: Change) -> str:
    name = f"{clean(change.example_id)}   "
    if change.free_text:
        return name + clean(inline_difference(answer_text(change.was), answer_text(change.now)))
    wanted, was, now = (elide(answer_text(v), 24) for v in (change.wanted, change.was, change.now))
    return f"{name}wanted {wanted}   was {was}   is {now}"


def _unanswered(name: str, answer: OneAnswer, look: Look) -> Line:
    mark = "–" if answer.state == "skipped" else "!"
    text = f"{mark} {answer.state}: {clean(answer.reason)}"
    return line(name + "  ", Span(wrap(text, look.width - len(name) - 2)[0], "muted"))


def _answered(head: str, answer: OneAnswer, *, judged: bool, look: Look) -> Line:
    spans = [Span(head)]
    if judged:
        mark, role = _mark(answer.correct)
        spans.append(Span(f"  {mark}", role))
    time = numbers.latency(answer.seconds).rjust(5)
    used = sum(len(span.text) for span in spans) + 2 + len(time) + 3
    cause = f"  ! {answer.cause}" if answer.cause else ""
    raw = elide(clean(answer.raw), max(look.width - used - len(cause) - 2, 8))
    shown = raw if raw == answer_text(answer.value) else f'"{raw}"'
    spans.append(Span(f"  {time}   {shown}"))
    if cause:
        spans.append(Span(cause, "warning"))
    return tuple(spans)


def _mark(correct: bool | None) -> tuple[str, Role]:
    if correct is None:
        return " ", "plain"
    return ("✓", "pass") if correct else ("✗", "fail")
