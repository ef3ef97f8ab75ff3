"""Where the parts of a text are: headings, tables, code, lists and paragraphs.

Markdown and reStructuredText are understood, and of plain text what looks the same: a line that is
underlined, numbered as `3.2 Fees`, or in capitals between empty lines. What is not understood is a paragraph.
Nothing is parsed further than a cut needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

Kind = Literal["heading", "table", "code", "list", "paragraph"]
_MARKED = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*?)[ \t#]*$")
_UNDERLINE = re.compile(r"([=\-~^\"'`*+#.:])\1{2,}[ \t]*$")
_NUMBERED = re.compile(r"(\d+(?:\.\d+)+)\.?[ \t]+\S")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_ITEM = re.compile(r"[ \t]*(?:[-*+•–]|\d{1,3}[.)]|[a-z][.)])[ \t]+\S")
_INDENTED = re.compile(r"(?: {4,}|\t)[ \t]*\S")
_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)*\|?[ \t]*$")
_LONGEST_HEADING = 120
_UNDERLINED_LEVELS = {"=": 1, "-": 2}
_NUMBER_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text, without its end."""

    start: int
    text: str

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing but white space."""
        return not self.text.strip()


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a text, from `start` to `end`. Of a heading: its level, from 1, and its words.

    `head_end` is where the heading of a table ends.
    """

    kind: Kind
    start: int
    end: int
    level: int = 0
    title: str = ""
    head_end: int = 0


def lines_of(text: str, start: int = 0, end: int | None = None) -> Iterator[Line]:
    """Yield the lines of a part of a text."""
    end = len(text) if end is None else end
    while start < end:
        found = text.find("\n", start, end)
        stop = end if found < 0 else found
        yield Line(start, text[start:stop])
        start = stop + 1


def outline(text: str) -> list[Block]:
    """Return the blocks of a text, in order. Only white space lies between them."""
    lines = list(lines_of(text))
    blocks: list[Block] = []
    underlines: dict[str, int] = {}
    at = 0
    while at < len(lines):
        if lines[at].is_empty:
            at += 1
            continue
        block, used = _block(lines, at, underlines)
        blocks.append(block)
        at += used
    return blocks


def _block(lines: Sequence[Line], at: int, underlines: dict[str, int]) -> tuple[Block, int]:
    """Return the block that begins at a line, and of how many lines it is."""
    heading = _heading(lines, at, underlines)
    if heading is not None:
        return heading
    line = lines[at]
    fence = _FENCE.match(line.text)
    if fence:
        return _fenced(lines, at, fence[1])
    if (
        _INDENTED.match(line.text)
        and (at == 0 or lines[at - 1].is_empty)
        and not _ITEM.match(line.text)
    ):
        return _indented(lines, at)
    if (
        _is_row(line)
        and at + 1 < len(lines)
        and (_is_row(lines[at + 1]) or _RULE.match(lines[at + 1].text))
    ):
        return _table(lines, at)
    if _ITEM.match(line.text):
        return _list(lines, at)
    return _paragraph(lines, at)


# Headings ------------------------------------------------------------------------------------


def _heading(
    lines: Sequence[Line], at: int, underlines: dict[str, int]
) -> tuple[Block, int] | None:
    line = lines[at]
    marked = _MARKED.match(line.text)
    if marked:
        return _headed(lines[at : at + 1], len(marked[1]), marked[2])
    if len(line.text) > _LONGEST_HEADING:
        return None
    following = lines[at + 1] if at + 1 < len(lines) else Line(line.end, "")
    if _UNDERLINE.match(line.text):
        is_over = at + 2 < len(lines) and lines[at + 2].text.strip() == line.text.strip()
        if is_over and not following.is_empty:
            level = _underlined_level(line.text, underlines)
            return _headed(lines[at : at + 3], level, following.text.strip())
        return None
    is_first = at == 0 or lines[at - 1].is_empty
    if is_first and _is_underline(following.text, line.text):
        level = _underlined_level(following.text, underlines)
        return _headed(lines[at : at + 2], level, line.text.strip())
    if is_first and following.is_empty:
        return _standing_alone(line)
    return None


def _headed(lines: Sequence[Line], level: int, title: str) -> tuple[Block, int]:
    return Block("heading", lines[0].start, lines[-1].end, level=level, title=title), len(lines)


def _is_underline(under: str, title: str) -> bool:
    if not _UNDERLINE.match(under) or _is_row(Line(0, title)):
        return False
    return under[0] in _UNDERLINED_LEVELS or len(under.strip()) >= len(title.strip())


def _underlined_level(under: str, underlines: dict[str, int]) -> int:
    """Return `=` as 1 and `-` as 2, and others in the order in which they come."""
    mark = under[0]
    level = _UNDERLINED_LEVELS.get(mark, len(underlines.keys() - _UNDERLINED_LEVELS.keys()) + 3)
    return underlines.setdefault(mark, level)


def _standing_alone(line: Line) -> tuple[Block, int] | None:
    text = line.text.strip()
    numbered = _NUMBERED.match(text)
    if numbered and text[-1] not in ".;,:":
        return _headed([line], numbered[1].count(".") + _NUMBER_LEVEL, text)
    letters = [letter for letter in text if letter.isalpha()]
    if len(letters) >= 4 and text[-1] not in ".;,!?" and text.isupper() and not _is_row(line):
        return _headed([line], 1, text)
    return None


# Other blocks --------------------------------------------------------------------------------


def _fenced(lines: Sequence[Line], at: int, fence: str) -> tuple[Block, int]:
    for place in range(at + 1, len(lines)):
        closing = lines[place].text.strip()
        if closing.startswith(fence) and not closing.strip(fence[0]):
            return _of("code", lines[at : place + 1])
    return _of("code", lines[at:])


def _indented(lines: Sequence[Line], at: int) -> tuple[Block, int]:
    used = 0
    for number, line in enumerate(lines[at:], 1):
        if line.is_empty:
            continue
        if not _INDENTED.match(line.text):
            break
        used = number
    return _of("code", lines[at : at + used])


def _is_row(line: Line) -> bool:
    text = line.text.strip()
    return (text.startswith("|") and text.count("|") > 1) or " | " in text or "\t" in text


def _table(lines: Sequence[Line], at: int) -> tuple[Block, int]:
    rows = list(takewhile(lambda line: _is_row(line) or _RULE.match(line.text), lines[at:]))
    head = 2 if _RULE.match(rows[1].text) else 1
    block, used = _of("table", rows)
    return Block("table", block.start, block.end, head_end=rows[head - 1].end), used


def _list(lines: Sequence[Line], at: int) -> tuple[Block, int]:
    used = 0
    for number, line in enumerate(lines[at:], 1):
        if line.is_empty:
            continue
        is_inside = bool(_ITEM.match(line.text)) or line.text[0] in " \t"
        is_continued = number > 1 and not lines[at + number - 2].is_empty
        if not is_inside and not is_continued:
            break
        if _MARKED.match(line.text) or _FENCE.match(line.text):
            break
        used = number
    return _of("list", lines[at : at + used])


def _paragraph(lines: Sequence[Line], at: int) -> tuple[Block, int]:
    used = 1
    for place in range(at + 1, len(lines)):
        line = lines[place]
        if line.is_empty or _MARKED.match(line.text) or _FENCE.match(line.text):
            break
        used += 1
    return _of("paragraph", lines[at : at + used])


def _of(kind: Kind, lines: Sequence[Line]) -> tuple[Block, int]:
    return Block(kind, lines[0].start, lines[-1].end), len(lines)
