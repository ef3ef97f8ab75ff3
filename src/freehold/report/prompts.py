"""What every rung asks about one input, in the terminal: the turns, then the text the model reads.

Nothing is cut. Characters that a terminal would act on are written out; `--json` carries them as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from freehold.core.record import Record
from freehold.report import numbers
from freehold.report.lines import Line, Span, clean, line, look_of, render

_LINES = re.compile("\r\n|\r|\n")


class OnePrompt(Record):
    """What one rung asks: its turns as (role, content), the rendered text, its SHA-256 and tokens.

    `state` is asked, no model, skipped or failed; `note` is the variant, or the reason.
    """

    rung: str
    state: str
    note: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    text: str = ""
    sha256: str = ""
    tokens: int = 0


def prompts_shown(
    prompts: Sequence[OnePrompt], *, width: int = 88, ascii: bool = False, color: bool = False
) -> str:
    """Return every rung's messages, and the text they become where it was not shown before."""
    look = look_of(width, ascii=ascii, color=color)
    lines: list[Line] = []
    first: dict[str, str] = {}
    for one in prompts:
        note = clean(one.note)
        if one.state == "no model":
            lines.append(line(Span(clean(one.rung), "strong"), "  – asks no model"))
            continue
        if one.state != "asked":
            lines.append(line(Span(clean(one.rung), "strong"), f"  – {one.state}: {note}"))
            continue
        facts = f"  {note} · {numbers.count(one.tokens)} tokens · sha256 {one.sha256[:12]}…"
        lines.append(line(Span(clean(one.rung), "strong"), facts))
        if one.sha256 in first:
            lines.append(line(f"  the same text as {first[one.sha256]}"))
            continue
        first[one.sha256] = clean(one.rung)
        for role, content in one.turns:
            lines.extend(_block(role, content, look.width))
        lines.append(line(Span("  as the model reads it", "muted")))
        lines.extend(_text(one.text, look.width, indent="  ┊ "))
    return render(lines, look)


def _block(role: str, content: str, width: int) -> list[Line]:
    rows = _text(content, width, indent=" " * 13)
    head = rows[0]
    text = "".join(span.text for span in head)[13:]
    return [line(Span(f"  {role.ljust(11)}", "muted"), text), *rows[1:]]


def _text(content: str, width: int, *, indent: str) -> list[Line]:
    """Return text with its own line breaks and spaces, broken hard where it is wider than the terminal."""
    room = max(width - len(indent), 20)
    rows: list[Line] = []
    for part in _LINES.split(content):
        shown = "".join(_visible(letter) for letter in part)
        pieces = [shown[start : start + room] for start in range(0, len(shown), room)] or [""]
        rows.extend(line(indent + piece) for piece in pieces)
    return rows


def _visible(letter: str) -> str:
    """Return a character, or its escape where a terminal would act on it or not show it."""
    if letter == " " or (letter.isprintable() and clean(letter)):
        return letter
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
