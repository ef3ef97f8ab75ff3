"""Find rows that repeat or nearly repeat others, so that no split divides them.

Exact: the same text after lower-casing, turning punctuation into spaces and collapsing white space.
Near: a Jaccard similarity of at least 0.9 between the sets of five-character pieces. Candidates
come from MinHash with banding (Broder 1997; Leskovec, Rajaraman, Ullman, *Mining of Massive
Datasets*, chapter 3), and each pair is checked on the true sets, so that no pair is reported that
is not near. With 16 bands of 8 hashes a pair at 0.9 is missed once in 10,000 times.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from freehold.core.record import Record
from freehold.core.snapshot import Example

NEAR = 0.9
_PIECE_CHARACTERS = 5
_BANDS = 16
_HASHES_PER_BAND = 8
_PIECES_AT_ONCE = 1 << 15
_COMPARED_IN_A_BUCKET = 64
_DOUBT = 0.1  # nearly four standard errors of the similarity that 128 hashes estimate
_SEPARATOR = 0
_HASH_SEED = 20_261_122  # fixed, so that the same rows give the same groups on every machine

_Hashes: TypeAlias = NDArray[np.uint64]
_OPERATORS = re.compile(r"(?<=\d)\s*([-+*/%^=<>])\s*(?=\d)")
_PICTURES = "\u2600-\u27bf\U0001f000-\U0001faff"
_WORDS = re.compile(rf"[^\W_]+|(?<=\d )[-+*/%^=<>](?= \d)|[{_PICTURES}]")


def normalise(text: str) -> str:
    """Return `text` in lower case with punctuation as spaces and white space collapsed.

    An operator between two numbers and a picture character stay, because they change what is
    asked: `3 + 4` is not `3 * 4`.
    """
    return " ".join(_WORDS.findall(_OPERATORS.sub(r" \1 ", text.lower())))


class Duplicates(Record):
    """Which rows belong together, as the position of the first row of their group.

    `exact_roots[i]` is the first row with the same normalised text as row i; `roots[i]` the first
    row of its group when near duplicates are joined too. A row alone is its own root.
    """

    exact_roots: tuple[int, ...]
    roots: tuple[int, ...]

    @property
    def duplicates(self) -> int:
        """How many rows repeat an earlier one exactly, after normalising."""
        return sum(root != row for row, root in enumerate(self.exact_roots))

    @property
    def near_duplicates(self) -> int:
        """How many further rows nearly repeat an earlier one."""
        return sum(
            root != row
            for row, root in enumerate(self.roots)
            if self.exact_roots[row] == row  # repeats are counted as such already
        )

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The groups with more than one row, as positions, in the order of their first rows."""
        members: dict[int, list[int]] = {}
        for row, root in enumerate(self.roots):
            members.setdefault(root, []).append(row)
        return tuple(tuple(rows) for rows in members.values() if len(rows) > 1)


def find_duplicates(examples: Sequence[Example], *, near: float = NEAR) -> Duplicates:
    """Group examples whose question repeats or nearly repeats; answers are not looked at.

    The question is the input with its context and history. Groups are closed: where a is near b
    and b near c, all three are one group.
    """
    keys = [question_key(example) for example in examples]
    first: dict[tuple[str, str], int] = {}
    exact_roots = [first.setdefault(key, row) for row, key in enumerate(keys)]
    distinct = list(first.values())
    around = [keys[row][1] for row in distinct]
    forest = Forest(len(examples))
    for row, root in enumerate(exact_roots):
        forest.join(root, row)
    pairs = near_pairs([keys[row][0] for row in distinct], threshold=near, apart=around)
    for a, b in pairs:
        forest.join(distinct[a], distinct[b])
    return Duplicates(
        exact_roots=tuple(exact_roots),
        roots=tuple(forest.root(row) for row in range(len(examples))),
    )


def question_key(example: Example) -> tuple[str, str]:
    """Return the normalised input, and the normalised context and history around it."""
    around = [example.context or "", *(turn.content for turn in example.history)]
    return normalise(example.input), "\n".join(normalise(text) for text in around if text)


class Forest:
    """Union-find over the positions of rows; the root of a group is its first row."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, row: int) -> int:
        """Return the first row of the group of `row`."""
        while self._parent[row] != row:
            self._parent[row] = self._parent[self._parent[row]]
            row = self._parent[row]
        return row

    def join(self, a: int, b: int) -> None:
        """Make one group of the groups of two rows."""
        low, high = sorted((self.root(a), self.root(b)))
        self._parent[high] = low


def near_pairs(
    texts: Sequence[str], *, threshold: float = NEAR, apart: Sequence[str] | None = None
) -> tuple[tuple[int, int], ...]:
    """Return pairs of positions whose Jaccard similarity is at least `threshold`.

    Enough pairs to join every group are returned, not each pair of a group. Texts with a different
    entry in `apart` (their context) are never paired.
    """
    if len(texts) < 2:
        return ()
    pieces = _Pieces(texts)
    signatures = _signatures(pieces)
    forest = Forest(len(texts))
    pairs: list[tuple[int, int]] = []
    for bucket in _buckets(signatures):
        for a, b in _likely_pairs(bucket, signatures, threshold - _DOUBT):
            if forest.root(a) == forest.root(b) or (apart and apart[a] != apart[b]):
                continue
            if pieces.jaccard(a, b) >= threshold:
                forest.join(a, b)
                pairs.append((a, b))
    return tuple(pairs)


def _likely_pairs(
    bucket: NDArray[np.int64], signatures: _Hashes, least: float
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of a bucket whose signatures agree in a share of at least `least`.

    Each row is compared with the 64 before it: the limit keeps a bucket of thousands of rows, as
    filled-in forms give, from taking quadratic time.
    """
    inside = signatures[bucket]
    for lag in range(1, min(len(bucket), _COMPARED_IN_A_BUCKET + 1)):
        agreement = np.mean(inside[lag:] == inside[:-lag], axis=1)
        for place in np.flatnonzero(agreement >= least).tolist():
            yield int(bucket[place]), int(bucket[place + lag])


class _Pieces:
    """The hashed five-character pieces of every text, one after the other."""

    def __init__(self, texts: Sequence[str]) -> None:
        padded = [text.ljust(_PIECE_CHARACTERS, "\x01") for text in texts]
        lengths = np.array([len(text) for text in padded], dtype=np.int64)
        codes = np.frombuffer("".join(padded).encode("utf-32-le"), dtype=np.uint32)
        starts = np.concatenate(([0], np.cumsum(lengths)))
        hashes = _rolling_hash(codes)
        counts = lengths - (_PIECE_CHARACTERS - 1)
        inside = np.ones(len(codes), dtype=np.bool_)
        for offset in range(1, _PIECE_CHARACTERS):  # pieces that would cross into the next text
            inside[starts[1:] - offset] = False
        self.hashes: _Hashes = hashes[inside[: len(hashes)]]
        self.starts: NDArray[np.int64] = np.concatenate(([0], np.cumsum(counts)))
        self._distinct: dict[int, _Hashes] = {}

    def of(self, row: int) -> _Hashes:
        """The different pieces of one text."""
        if row not in self._distinct:
            self._distinct[row] = np.unique(self.hashes[self.starts[row] : self.starts[row + 1]])
        return self._distinct[row]

    def jaccard(self, a: int, b: int) -> float:
        """The share of the pieces of two texts that both have."""
        first, second = self.of(a), self.of(b)
        both = len(np.intersect1d(first, second, assume_unique=True))
        return both / (len(first) + len(second) - both)


def _rolling_hash(codes: NDArray[np.uint32]) -> _Hashes:
    """Hash every run of five code points: a polynomial, then the finaliser of splitmix64."""
    count = max(0, len(codes) - _PIECE_CHARACTERS + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(_PIECE_CHARACTERS):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + codes[offset : offset + count]
    hashes ^= hashes >> np.uint64(30)
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(27)
    hashes *= np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def _signatures(pieces: _Pieces) -> _Hashes:
    """Return the least hash of each text under 128 hash functions, as rows x 128."""
    rng = np.random.default_rng(_HASH_SEED)
    count = _BANDS * _HASHES_PER_BAND
    factors = rng.integers(1, 1 << 63, size=count, dtype=np.uint64) | np.uint64(1)
    shifts = rng.integers(0, 1 << 63, size=count, dtype=np.uint64)
    rows = len(pieces.starts) - 1
    signatures = np.empty((rows, count), dtype=np.uint64)
    for first, last in _blocks(pieces.starts):
        start = pieces.starts[first]
        block = pieces.hashes[start : pieces.starts[last]]
        offsets = pieces.starts[first:last] - start
        for column in range(count):
            mixed = block * factors[column] + shifts[column]
            signatures[first:last, column] = np.minimum.reduceat(mixed, offsets)
    return signatures


def _blocks(starts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut the texts into runs that fit into the processor's cache together."""
    places = cast("list[int]", starts.tolist())
    cuts = [0]
    while cuts[-1] < len(places) - 1:
        limit = places[cuts[-1]] + _PIECES_AT_ONCE
        cuts.append(max(cuts[-1] + 1, bisect.bisect_right(places, limit) - 1))
    return pairwise(cuts)


def _buckets(signatures: _Hashes) -> Iterator[NDArray[np.int64]]:
    """Yield the rows that agree in all hashes of some band, two or more at a time."""
    for band in range(_BANDS):
        part = signatures[:, band * _HASHES_PER_BAND : (band + 1) * _HASHES_PER_BAND]
        keys = _mixed(part)
        order = np.argsort(keys, kind="stable")
        same = keys[order[1:]] == keys[order[:-1]]
        edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False]))))
        for start, end in edges.reshape(-1, 2).tolist():
            yield order[start : end + 1]


def _mixed(part: _Hashes) -> _Hashes:
    """Mix the hashes of a band into one number; a chance agreement costs one comparison more."""
    mixed = np.zeros(len(part), dtype=np.uint64)
    for column in range(part.shape[1]):
        mixed = (mixed ^ part[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
    return mixed
