"""Answers as text, and the difference of two texts word by word."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple, TypeAlias

from pydantic import JsonValue

from freehold.report.numbers import UNKNOWN

Kind: TypeAlias = Literal["same", "removed", "added"]

_MOST_WORDS = 2_000
_WORD = re.compile(r"\s+|[^\s]+")


class Piece(NamedTuple):
    """A run of words that both texts share, or that only one of them has."""

    kind: Kind
    text: str


def answer_text(value: JsonValue) -> str:
    """Return an answer as text: text as it is, other values as JSON, an absent one as `–`."""
    if value is None:
        return UNKNOWN
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def word_difference(before: str, after: str) -> tuple[Piece, ...]:
    """Return the runs of words that lead from `before` to `after`.

    The texts can be put together again: all pieces but the added ones are `before`, all but the
    removed ones are `after`. Texts of more than 2,000 words and spaces are compared as a whole,
    because the time grows with the square of the length.
    """
    old, new = _WORD.findall(before), _WORD.findall(after)
    if max(len(old), len(new)) > _MOST_WORDS:
        whole = [Piece("removed", before), Piece("added", after)]
        return (Piece("same", before),) if before == after else tuple(whole)
    pieces: list[Piece] = []
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            _add(pieces, "same", old[i1:i2])
        else:
            _add(pieces, "removed", old[i1:i2])
            _add(pieces, "added", new[j1:j2])
    return tuple(pieces)


def inline_difference(before: str, after: str) -> str:
    """Return a word difference in one line: `pay [-by card-] {+in cash+} today`."""
    shapes: dict[Kind, str] = {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}
    return " ".join(
        " ".join(
            shapes[piece.kind].format(piece.text.strip()) for piece in _told(before, after)
        ).split()
    )


def _told(before: str, after: str) -> Sequence[Piece]:
    return [piece for piece in word_difference(before, after) if piece.text.strip()]


def _add(pieces: list[Piece], kind: Kind, words: Sequence[str]) -> None:
    if words:
        pieces.append(Piece(kind, "".join(words)))
