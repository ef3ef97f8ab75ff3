"""One row of data, drawn byte for byte: every line of it behind a bar, with what cannot be seen escaped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from freehold.core.snapshot import Example
from freehold.report.lines import (
    Line,
    Look,
    Role,
    Span,
    clean,
    labelled,
    line,
    look_of,
    render,
    spread,
)

MOST_LINES = 24
_KEPT = frozenset("\n")
_JOINERS = frozenset("\u200d\ufe0f")

Part: TypeAlias = tuple[Literal["prompt", "answer", "end"], str]
_ROLES: dict[str, Role] = {"prompt": "plain", "answer": "strong", "end": "muted"}


def origin_lines(
    example: Example,
    *,
    split: str | None = None,
    width: int = 88,
    ascii: bool = False,
    color: bool = False,
) -> str:
    """Return where a row is and came from, its group and its other columns."""
    look = look_of(width, ascii=ascii, color=color)
    place = f"{example.source}, row {example.row:,}" if example.row else example.source
    facts = {"row": example.id, "file": place, "split": split or "", "group": example.group or ""}
    origin = example.origin
    if origin is not None:
        facts["came from"] = f"{origin.source}, row {origin.row:,}" if origin.row else origin.source
        facts["changed"] = "; ".join(origin.steps)
        if origin.synthetic is not None:
            teacher = origin.synthetic.teacher or "no model"
            facts["written by"] = f"{origin.synthetic.method} ({teacher})"
    facts.update(example.fields)
    rows = [
        part
        for name, value in facts.items()
        if value
        for part in labelled(clean(name), clean(value), look=look, indent=0)
    ]
    return render(rows, look)


def rendered_lines(
    title: str,
    parts: Sequence[Part],
    *,
    note: str = "",
    most: int = MOST_LINES,
    width: int = 88,
    ascii: bool = False,
    color: bool = False,
) -> str:
    """Return a text as the model sees it: `│` before each line, the answer in bold, the end muted.

    Long lines are wrapped behind `·`; what cannot be seen is written as its escape. Of a long text the
    beginning and the end are shown, and how much lies between them.
    """
    look = look_of(width, ascii=ascii, color=color)
    rows = _cut(_rows(parts, look), most)
    return render([*spread(line(title), line(note), look.width), *rows], look)


def _rows(parts: Sequence[Part], look: Look) -> list[Line]:
    lines: list[list[Span]] = [[]]
    for kind, text in parts:
        first, *others = "".join(_visible(character) for character in text).split("\n")
        lines[-1].append(Span(first, _ROLES[kind]))
        lines.extend([Span(other, _ROLES[kind])] for other in others)
    return [row for spans in lines for row in _wrapped(spans, look.width - 4)]


def _wrapped(spans: Sequence[Span], limit: int) -> list[Line]:
    rows: list[Line] = []
    current: list[Span] = []
    room = limit
    for span in spans:
        text = span.text
        while len(text) > room:
            current.append(Span(text[:room], span.role))
            rows.append(line("  · " if rows else "  │ ", *current))
            text, current, room = text[room:], [], limit
        current.append(Span(text, span.role))
        room -= len(text)
    rows.append(line("  · " if rows else "  │ ", *current))
    return rows


def _visible(character: str) -> str:
    if character in _KEPT or character in _JOINERS or character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _cut(rows: Sequence[Line], most: int) -> list[Line]:
    if len(rows) <= most:
        return list(rows)
    head, tail = most * 2 // 3, most // 3
    left_out = line(Span(f"  … {len(rows) - head - tail:,} more lines", "muted"))
    return [*rows[:head], left_out, *rows[-tail:]]
