"""Lines of a terminal drawing: spans of text with a role, rendered plain, coloured, or in ASCII.

A colour only repeats what a symbol already says. Colours are chosen to be read on dark and on light
terminals. In ASCII every symbol of the drawings has one plain stand-in (`ASCII`).
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Role: TypeAlias = Literal[
    "plain", "muted", "strong", "pass", "fail", "undecided", "best", "error", "warning"
]

ASCII: Mapping[str, str] = {
    "✓": "v",
    "✗": "x",
    "★": "*",
    "–": "-",
    "—": "-",
    "•": "+",
    "·": ".",
    "≈": "~",
    "≥": ">=",
    "≤": "<=",
    "Δ": "d",
    "…": "...",
    "×": "x",
    "→": "->",
    "↔": "<->",
    "↑": "+",
    "↓": "-",
    "●": "o",
    "─": "-",
    "┊": ":",
    "━": "=",
    "╸": "-",
    "■": "#",
}

LEAST_WIDTH = 48

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
ASCII_SPINNER = "|/-\\"

_CODES: Mapping[Role, str] = {
    "plain": "",
    "muted": "2",
    "strong": "1",
    "pass": "38;5;32",
    "fail": "38;5;166",
    "undecided": "38;5;172",
    "best": "1;38;5;98",
    "error": "1;38;5;166",
    "warning": "1;38;5;172",
}

_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


@dataclass(frozen=True)
class Span:
    """A piece of a line, with the role that chooses its colour."""

    text: str
    role: Role = "plain"


@dataclass(frozen=True)
class Look:
    """How a drawing is rendered: its width in characters, ASCII only, coloured."""

    width: int = 88
    ascii: bool = False
    color: bool = False


Line: TypeAlias = Sequence[Span]


def look_of(width: int, *, ascii: bool, color: bool) -> Look:
    """Return how to draw in a terminal of `width` columns; narrower than `LEAST_WIDTH` is not drawn."""
    return Look(width=max(width, LEAST_WIDTH), ascii=ascii, color=color)


def line(*parts: str | Span) -> tuple[Span, ...]:
    """Return one line of spans; plain text becomes a plain span."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def width(spans: Line) -> int:
    """Return the width of a line in characters."""
    return sum(len(span.text) for span in spans)


def clean(text: str) -> str:
    """Return `text` as one line that cannot drive a terminal: control characters become spaces."""
    return " ".join(_CONTROL.sub(" ", text).split())


def elide(text: str, limit: int) -> str:
    """Return `text` in at most `limit` characters, ending in `…` where it was cut."""
    if len(text) <= limit:
        return text
    return text[: max(limit - 1, 0)].rstrip() + "…" if limit > 0 else ""


def wrap(text: str, limit: int) -> tuple[str, ...]:
    """Return `text` in lines of at most `limit` characters; at least one line."""
    return tuple(textwrap.wrap(text, max(limit, 10), break_on_hyphens=False)) or ("",)


def labelled(label: str, text: str, *, look: Look, indent: int = 2, column: int = 15) -> list[Line]:
    """Return `  label        text`, the text wrapped to hang at `column`.

    A label that does not fit its column stands on a line of its own.
    """
    head = " " * indent + label
    wrapped = wrap(text, look.width - column)
    rows: list[Line] = []
    if len(head) >= column:
        rows.append(line(head))
        head = ""
    rows.append(line(head.ljust(column) + wrapped[0]))
    rows.extend(line(" " * column + more) for more in wrapped[1:])
    return rows


def spread(left: Sequence[Span], right: Sequence[Span], limit: int) -> list[Line]:
    """Return one line with `left` and `right` at its ends, or two where they do not fit."""
    gap = limit - width(left) - width(right)
    if gap < 2 and width(right) + 2 > limit:
        words = "".join(span.text for span in right)
        return [tuple(left), *(line("  " + part) for part in wrap(words, limit - 2))]
    if gap < 2:
        return [tuple(left), (Span("  "), *right)]
    return [(*left, Span(" " * gap), *right)]


def render(lines: Iterable[Line], look: Look) -> str:
    """Return the lines as text, without a newline at the end.

    Trailing spaces are removed. In ASCII a character without a stand-in loses its accents, or
    becomes `?`.
    """
    return "\n".join(_one(spans, look) for spans in lines)


def to_ascii(text: str) -> str:
    """Return `text` with every character outside ASCII replaced by its stand-in."""
    return "".join(character if character < "\x80" else _stand_in(character) for character in text)


def _stand_in(character: str) -> str:
    if character in ASCII:
        return ASCII[character]
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or "?"


def _one(spans: Line, look: Look) -> str:
    texts: list[tuple[str, Role]] = [(span.text, span.role) for span in spans if span.text]
    while texts and not texts[-1][0].rstrip():
        texts.pop()
    if texts:
        texts[-1] = (texts[-1][0].rstrip(), texts[-1][1])
    parts: list[str] = []
    for text, role in texts:
        shown = to_ascii(text) if look.ascii else text
        code = _CODES[role]
        parts.append(f"\x1b[{code}m{shown}\x1b[0m" if look.color and code else shown)
    return "".join(parts)
