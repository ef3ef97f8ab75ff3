"""What was found: where, of which kind, how sure, and by which detector. Never the value itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, TypeAlias, get_args

from freehold.core.record import Record
from freehold.core.sections import PersonalKind

KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
ON_REQUEST: frozenset[PersonalKind] = frozenset(
    {"url", "postcode", "organisation", "title", "date", "place", "nationality"}
)
"""Kinds that are found only where they are asked for: by themselves they name nobody."""
DEFAULT_KINDS: tuple[PersonalKind, ...] = tuple(kind for kind in KINDS if kind not in ON_REQUEST)

Need: TypeAlias = Literal["at", "dot", "digit", "digits", "letter", "capital", "hint"]
"""What a text must hold before a detector is tried: an @, a digit, six digits, a capital, and so on."""

_WORD_BEFORE = 48


class Hit(NamedTuple):
    """One find of one detector, as character positions, end exclusive. `score` is in (0, 1]."""

    start: int
    end: int
    score: float


class Detector(NamedTuple):
    """One way to find one kind. `find` is pure. `needs` spares texts that cannot hold it."""

    kind: PersonalKind
    needs: Need
    find: Callable[[str], Iterable[Hit]]


class Found(NamedTuple):
    """One span of a text after overlaps are resolved, with the detector that found it."""

    start: int
    end: int
    kind: PersonalKind
    score: float
    detector: str


class Span(Record):
    """One span as it may be kept: `value_digest` is keyed, so that nobody without the key can guess values.

    Equal values of one kind have equal digests within one project.
    """

    kind: PersonalKind
    start: int
    end: int
    value_digest: str
    score: float
    detector: str


class Finding(Record):
    """What one field of one row holds. Rows count from 1; `field` is such as `input` or `target.name`."""

    source: str
    row: int
    field: str
    spans: tuple[Span, ...]


def follows(text: str, start: int, words: re.Pattern[str], *, within: int = _WORD_BEFORE) -> bool:
    """Return whether one of `words` stands in the characters before `start`."""
    return words.search(text, max(0, start - within), start) is not None
