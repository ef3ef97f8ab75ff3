"""Cut documents into passages, at the places where their structure has a joint.

A passage does not run over a heading, unless what stands under it is short. Tables are cut between rows, code
between lines, lists between items, paragraphs between sentences, and anything else only where one of these is
longer than a passage may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from freehold.core.record import Record
from freehold.data.documents import Document, Passage
from freehold.data.outline import Block, Kind, outline

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n[ \t]*\n\s*")
_LINE_END = re.compile(r"\n+")
_ITEM_END = re.compile(r"\n\s*(?=(?:[-*+•–]|\d{1,3}[.)]|[a-z][.)])[ \t])")
_WORD_END = re.compile(r"\s+")
_CUTS: dict[Kind, tuple[re.Pattern[str], ...]] = {
    "heading": (_WORD_END,),
    "table": (_LINE_END, _WORD_END),
    "code": (_LINE_END, _WORD_END),
    "list": (_ITEM_END, _SENTENCE_END, _LINE_END, _WORD_END),
    "paragraph": (_SENTENCE_END, _LINE_END, _WORD_END),
}
_SHORT = 4
"""A section is joined with the next while both are shorter together than a fourth of a passage."""

Span = tuple[int, int]


class ChunkSpec(Record):
    """How documents are cut, in characters.

    Attributes:
        size: of the longest passage.
        overlap: how much of the passage before is repeated at most, at the begin of a sentence, a row or a
            word, where both stand in one section.
    """

    size: Annotated[int, Field(ge=1)] = 800
    overlap: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _overlap_leaves_room(self) -> Self:
        if self.overlap * 2 > self.size:
            raise ValueError(f"an overlap of {self.overlap} is more than half of {self.size}")
        return self


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is not cut any more: where it lies, and the heading of the table that it is a later row of."""

    start: int
    end: int
    block: Block


@dataclass(frozen=True, slots=True)
class _Section:
    """Blocks under one heading, which is the first of them."""

    path: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def start(self) -> int:
        return self.blocks[0].start

    @property
    def end(self) -> int:
        return self.blocks[-1].end


@dataclass(frozen=True, slots=True)
class _Cut:
    start: int
    end: int
    path: tuple[str, ...]
    block: Block


def chunk(document: Document, spec: ChunkSpec) -> tuple[Passage, ...]:
    """Cut a document into passages of at most `spec.size` characters.

    They cover every character that is no white space, in order; without an overlap, once. The heading of a
    table stands in `Passage.heading` of each part but the first, and counts for no size.
    """
    text = document.text
    cuts = _joined(_cuts(text, _sections(outline(text)), spec), spec.size)
    return tuple(
        Passage(
            id=f"{document.id}#{number}",
            document_id=document.id,
            title=document.title,
            text=text[cut.start : cut.end],
            start=cut.start,
            section=" > ".join(_below(cut.path, document.title)),
            heading=_heading(text, cut),
            access=document.access,
        )
        for number, cut in enumerate(cuts, 1)
    )


def _below(path: Sequence[str], title: str) -> Sequence[str]:
    return path[1:] if path and path[0].casefold() == title.casefold() else path


def _heading(text: str, cut: _Cut) -> str:
    block = cut.block
    is_later = block.kind == "table" and cut.start >= block.head_end
    return text[block.start : block.head_end] if is_later else ""


def _sections(blocks: Iterable[Block]) -> Iterator[_Section]:
    open_: list[Block] = []
    above: list[Block] = []
    for block in blocks:
        if block.kind == "heading":
            if open_:
                yield _Section(tuple(one.title for one in above), tuple(open_))
            while above and above[-1].level >= block.level:
                above.pop()
            above.append(block)
            open_ = []
        open_.append(block)
    if open_:
        yield _Section(tuple(one.title for one in above), tuple(open_))


def _joined(cuts: Iterable[_Cut], size: int) -> Iterator[_Cut]:
    """Join passages that are short and stand under different headings; their path is what both share."""
    last: _Cut | None = None
    for cut in cuts:
        if last is not None and cut.path != last.path and (cut.end - last.start) * _SHORT <= size:
            shared = tuple(
                one for one, other in zip(last.path, cut.path, strict=False) if one == other
            )
            last = _Cut(last.start, cut.end, shared, last.block)
            continue
        if last is not None:
            yield last
        last = cut
    if last is not None:
        yield last


# Inside a section ----------------------------------------------------------------------------


def _cuts(text: str, sections: Iterable[_Section], spec: ChunkSpec) -> Iterator[_Cut]:
    for section in sections:
        if section.end - section.start <= spec.size:
            yield _Cut(section.start, section.end, section.path, section.blocks[0])
        else:
            yield from _packed(text, section, spec)


def _packed(text: str, section: _Section, spec: ChunkSpec) -> Iterator[_Cut]:
    """Put pieces together as long as they fit; the next passage begins with the end of the last."""
    open_: _Cut | None = None
    for piece in _pieces(text, section, spec.size):
        if open_ is not None and piece.end - open_.start <= spec.size:
            open_ = _Cut(open_.start, piece.end, section.path, open_.block)
            continue
        start, block = piece.start, piece.block
        if open_ is not None:
            yield open_
            earliest = max(open_.end - spec.overlap, piece.end - spec.size, open_.start + 1)
            start = _overlap_start(text, (earliest, open_.end), piece)
            block = piece.block if start >= piece.block.start else _block_at(section, start)
        open_ = _Cut(start, piece.end, section.path, block)
    if open_ is not None:
        yield open_


def _block_at(section: _Section, at: int) -> Block:
    return next(block for block in reversed(section.blocks) if block.start <= at)


def _overlap_start(text: str, window: Span, piece: _Piece) -> int:
    """Return where a passage begins that repeats at most `window`; where nothing is repeated, the piece's start."""
    start, end = window
    if start >= end:
        return piece.start
    is_lines = piece.block.kind in ("table", "code")
    for pattern in (_LINE_END,) if is_lines else (_SENTENCE_END, _WORD_END):
        for found in pattern.finditer(text, start - 1, end):
            if start <= found.end() < end:
                return found.end()
    return piece.start


def _pieces(text: str, section: _Section, size: int) -> Iterator[_Piece]:
    """Yield the pieces of a section, cut as coarsely as fits; a heading leaves room for what follows it."""
    taken = 0
    for block in section.blocks:
        coarse, *finer = _CUTS[block.kind]
        spans = [one for one in (_trimmed(text, (block.start, block.end)),) if one]
        spans = _cut_longer(text, spans, coarse, size=size - taken)
        for pattern in finer:
            spans = _cut_longer(text, spans, pattern, size=size)
        for span in spans:
            yield from (_Piece(start, end, block) for start, end in _hacked(text, span, size))
        is_head = block.kind == "heading" and block.end - block.start < size // 2
        taken = block.end - block.start + 2 if is_head else 0


def _cut_longer(
    text: str, spans: Sequence[Span], pattern: re.Pattern[str], *, size: int
) -> list[Span]:
    return [
        part
        for one in spans
        for part in ([one] if one[1] - one[0] <= size else _cut(text, one, pattern))
    ]


def _hacked(text: str, span: Span, size: int) -> Iterator[Span]:
    for at in range(*span, size):
        piece = _trimmed(text, (at, min(at + size, span[1])))
        if piece is not None:
            yield piece


def _cut(text: str, span: Span, pattern: re.Pattern[str]) -> list[Span]:
    """Cut a span where `pattern` matches; white space at the ends of the parts is left out."""
    edges = [span[0], *(match.end() for match in pattern.finditer(text, *span)), span[1]]
    return [trimmed for part in pairwise(edges) if (trimmed := _trimmed(text, part))]


def _trimmed(text: str, span: Span) -> Span | None:
    """Leave out white space at the end and empty lines at the begin; a line keeps what it is indented by."""
    part = text[span[0] : span[1]]
    if not part.strip():
        return None
    before = len(part) - len(part.lstrip())
    start = span[0] + part.rfind("\n", 0, before) + 1
    return start, span[0] + len(part.rstrip())
