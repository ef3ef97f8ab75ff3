"""Find likely pairs of near-equal texts among millions, and compute how near they truly are.

MinHash with banding (Broder 1997; Leskovec, Rajaraman, Ullman, *Mining of Massive Datasets*, chapter 3)
over the sets of five-character pieces. Short texts need few hashes: at a similarity of 0.9 eleven bands of
five miss a pair once in 10,000 times. Everything is arrays: pieces are hashed to 32 bits a block of
texts at a time, so that a block and its hashes stay in the processor's cache, and blocks run on all
cores. Kept of a text are one number a band and eight bits a hash: 99 bytes at 0.9.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

PIECE_CHARACTERS = 5
MISSED = 1e-4
"""How often a pair that is exactly as similar as asked for may be missed."""
MOST_LAG = 64
"""A row is compared with so many before it in a bucket, which keeps filled-in forms from taking
quadratic time."""

Rows: TypeAlias = NDArray[np.int64]
Hashes: TypeAlias = NDArray[np.uint64]

_FILL = "\x01"  # stands behind texts of fewer than five characters; no normalised text holds it
_PIECES_AT_ONCE = 1 << 16
_PIECES_COMPARED_AT_ONCE = 1 << 20
_MARKS_COMPARED_AT_ONCE = 1 << 20
_STANDARD_ERRORS = 4.0
_HASH_SEED = 20_261_122  # fixed, so that the same rows give the same groups on every machine
_ROW_BITS = np.uint64(32)  # of a sort key: the key of a band above, the place of a text below
_ROW_MASK = np.uint64((1 << 32) - 1)
_TEXT_BITS = np.uint64(
    44
)  # of a sort key: the place of a text above, 44 bits of a piece's hash below
_PIECE_MASK = np.uint64((1 << 44) - 1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Pairs(NamedTuple):
    """Pairs of positions, as two arrays of one length; in each pair the first is the lower."""

    first: Rows
    second: Rows


class Sketches(NamedTuple):
    """What is kept of every text: `keys`, bands x texts, and `marks`, texts x hashes.

    A key is equal where all hashes of a band are; a mark is eight bits of one hash. Texts are candidates
    where they share a key, and likely where most marks agree.
    """

    keys: NDArray[np.uint32]
    marks: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Banding:
    """How many bands of how many hashes make two texts candidates at a similarity."""

    threshold: float
    bands: int
    per_band: int

    @property
    def hashes(self) -> int:
        """The hashes of one sketch."""
        return self.bands * self.per_band

    @property
    def least_agreement(self) -> float:
        """How many marks of a near pair agree at least, but once in 30,000 times."""
        error = math.sqrt(self.threshold * (1 - self.threshold) * self.hashes)
        return self.threshold * self.hashes - _STANDARD_ERRORS * error


def banding(threshold: float) -> Banding:
    """Return the bands that miss a pair at `threshold` once in 10,000 times.

    More hashes a band keep unlike texts apart, and take more bands: there are five at a similarity of
    0.85 and above, and three below 0.6.
    """
    per_band = 5 if threshold >= 0.85 else 4 if threshold >= 0.6 else 3
    meets = threshold**per_band
    bands = 2 if meets >= 1 - MISSED else math.ceil(math.log(MISSED) / math.log1p(-meets))
    return Banding(threshold=threshold, bands=max(2, bands), per_band=per_band)


# Sketches ------------------------------------------------------------------------------------


def sketches(texts: Sequence[str], *, plan: Banding) -> Sketches:
    """Return the sketch of each text, from its least hash under each hash function."""
    rng = np.random.default_rng(_HASH_SEED)
    factors = rng.integers(1, 1 << 31, size=plan.hashes, dtype=np.uint32) * np.uint32(2)
    factors += np.uint32(1)
    keys = np.empty((plan.bands, len(texts)), dtype=np.uint32)
    marks = np.empty((len(texts), plan.hashes), dtype=np.uint8)

    def sketch(span: tuple[int, int]) -> None:
        part = slice(*span)
        pieces = _Pieces(texts[part])
        hashes, starts = pieces.short, pieces.starts[:-1]
        scratch = np.empty_like(hashes)
        least = np.empty((plan.hashes, len(starts)), dtype=np.uint32)
        for place, factor in enumerate(factors):
            np.multiply(hashes, factor, out=scratch)
            np.minimum.reduceat(scratch, starts, out=least[place])
        keys[:, part] = _keys(least, plan)
        marks[part] = least.T  # the low eight bits

    on_all_cores(sketch, spans(_lengths(texts), _PIECES_AT_ONCE))
    return Sketches(keys=keys, marks=marks)


def _keys(least: NDArray[np.uint32], plan: Banding) -> NDArray[np.uint32]:
    """Mix the hashes of each band into one number; a chance agreement costs one comparison more."""
    by_band = least.reshape(plan.bands, plan.per_band, -1)
    keys = np.zeros((plan.bands, least.shape[1]), dtype=np.uint64)
    for column in range(plan.per_band):
        keys = (keys ^ by_band[:, column]) * _GOLDEN
        keys ^= keys >> np.uint64(32)
    return keys.astype(np.uint32)


def on_all_cores(work: Callable[[tuple[int, int]], None], parts: Iterable[tuple[int, int]]) -> None:
    """Do the work on every part, in threads: numpy computes outside of Python's lock."""
    waiting = list(parts)
    threads = min(os.cpu_count() or 1, len(waiting))
    if threads <= 1:
        for part in waiting:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, waiting):
            pass


class _Pieces:
    """The hashed five-character pieces of some texts, one text after the other.

    `starts[i]` is the first piece of text i, and there is one more start than texts.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        padded = [text.ljust(PIECE_CHARACTERS, _FILL) for text in texts]
        ends = np.cumsum(_lengths(padded))
        self._codes = np.frombuffer(
            "".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32
        )
        counted = np.arange(1, len(padded) + 1) * (PIECE_CHARACTERS - 1)
        self.starts: Rows = np.concatenate((np.zeros(1, dtype=np.int64), ends - counted))
        inside = np.ones(len(self._codes), dtype=np.bool_)
        for offset in range(1, PIECE_CHARACTERS):  # pieces that would cross into the next text
            inside[ends - offset] = False
        self._inside = inside[: self._count]

    @property
    def _count(self) -> int:
        return max(0, len(self._codes) - PIECE_CHARACTERS + 1)

    @property
    def short(self) -> NDArray[np.uint32]:
        """32 bits of every piece: a polynomial, then the finaliser of MurmurHash 3."""
        hashes = np.zeros(self._count, dtype=np.uint32)
        for offset in range(PIECE_CHARACTERS):
            hashes *= np.uint32(0x9E3779B1)
            hashes += self._codes[offset : offset + self._count]
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            hashes ^= hashes >> np.uint32(shift)
            hashes *= np.uint32(factor)
        hashes ^= hashes >> np.uint32(16)
        return hashes[self._inside]

    @property
    def long(self) -> Hashes:
        """64 bits of every piece: a polynomial, then the finaliser of splitmix64."""
        hashes = np.zeros(self._count, dtype=np.uint64)
        for offset in range(PIECE_CHARACTERS):
            hashes *= _GOLDEN
            hashes += self._codes[offset : offset + self._count]
        return mixed(hashes)[self._inside]


def mixed(values: Hashes) -> Hashes:
    """Return 64-bit values mixed by the finaliser of splitmix64; equal ones stay equal."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _lengths(texts: Sequence[str]) -> Rows:
    return np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))


def spans(weights: Rows, most: int) -> Iterator[tuple[int, int]]:
    """Cut positions into runs whose weights add up to `most` at most, or that have one position."""
    ends = np.cumsum(weights)
    cuts = [0]
    while cuts[-1] < len(ends):
        before = int(ends[cuts[-1] - 1]) if cuts[-1] else 0
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(ends, before + most, side="right"))))
    return pairwise(cuts)


# Candidates ----------------------------------------------------------------------------------


class Buckets(NamedTuple):
    """Rows that share a key, bucket after bucket: `bucket[i]` is the number of the bucket of `row[i]`.

    Within a bucket rows ascend.
    """

    row: Rows
    bucket: Rows


def buckets_of(keys: NDArray[np.uint32], rows: Rows | None = None) -> Buckets:
    """Return the buckets with two rows or more. `rows` are the rows of the keys, in ascending order."""
    places = np.arange(len(keys), dtype=np.uint64)
    both = np.sort((keys.astype(np.uint64) << _ROW_BITS) | places)
    ordered = both >> _ROW_BITS
    same = ordered[1:] == ordered[:-1]
    before = np.zeros(len(ordered), dtype=np.bool_)
    after = np.zeros(len(ordered), dtype=np.bool_)
    before[1:] = after[:-1] = same
    inside = before | after
    chosen = (both[inside] & _ROW_MASK).astype(np.int64)
    bucket = np.cumsum(~before[inside], dtype=np.int64) - 1
    return Buckets(row=chosen if rows is None else rows[chosen], bucket=bucket)


def all_buckets(found: Sketches, *, apart: Hashes | None = None) -> Buckets:
    """Return the buckets of every band; texts with different numbers in `apart` share none.

    But by chance: keys have 32 bits.
    """
    parts: list[Buckets] = []
    count = 0
    salt = np.uint32(0) if apart is None else mixed(apart + _GOLDEN).astype(np.uint32)
    for keys in found.keys:
        part = buckets_of(keys ^ salt)
        parts.append(Buckets(row=part.row, bucket=part.bucket + count))
        count += int(part.bucket[-1]) + 1 if len(part.bucket) else 0
    return Buckets(
        row=np.concatenate([part.row for part in parts]),
        bucket=np.concatenate([part.bucket for part in parts]),
    )


def candidates(buckets: Buckets, lags: range) -> Pairs:
    """Return the different pairs of rows that stand `lags` places apart in a bucket."""
    firsts: list[Rows] = []
    seconds: list[Rows] = []
    for lag in lags:
        same = np.flatnonzero(buckets.bucket[lag:] == buckets.bucket[:-lag])
        firsts.append(buckets.row[same])
        seconds.append(buckets.row[same + lag])
    return different(Pairs(np.concatenate(firsts), np.concatenate(seconds)))


def candidates_across(found: Sketches, first_count: int) -> Pairs:
    """Return the pairs of one of the first texts and one of the others that share a band.

    Each of the others is paired with the first 64 texts of each of its buckets.
    """
    firsts: list[Rows] = []
    seconds: list[Rows] = []
    for keys in found.keys:
        order = np.argsort(keys[:first_count], kind="stable")
        ordered = keys[:first_count][order]
        low = cast("Rows", np.searchsorted(ordered, keys[first_count:], side="left"))
        high = cast("Rows", np.searchsorted(ordered, keys[first_count:], side="right"))
        for lag in range(MOST_LAG):
            inside = np.flatnonzero(low + lag < high)
            if not len(inside):
                break
            firsts.append(order[low[inside] + lag].astype(np.int64))
            seconds.append(inside + first_count)
    if not firsts:
        return Pairs(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    return different(Pairs(np.concatenate(firsts), np.concatenate(seconds)))


def different(pairs: Pairs) -> Pairs:
    """Return every pair once, in ascending order."""
    if not len(pairs.first):
        return pairs
    width = np.int64(pairs.second.max() + 1)
    codes = np.sort(pairs.first * width + pairs.second)
    codes = codes[np.concatenate(([True], codes[1:] != codes[:-1]))]  # there is at least one
    return Pairs(codes // width, codes % width)


def lag_rounds() -> Iterator[range]:
    """Yield lags in rounds that double, so that groups joined in one round spare work in the next."""
    start = 1
    while start <= MOST_LAG:
        end = min(2 * start, MOST_LAG + 1)
        yield range(start, end)
        start = end


def likely(pairs: Pairs, marks: NDArray[np.uint8], *, plan: Banding) -> Pairs:
    """Return the pairs whose marks agree often enough to be near."""
    keep = np.zeros(len(pairs.first), dtype=np.bool_)

    def compare(span: tuple[int, int]) -> None:
        part = slice(*span)
        equal = marks[pairs.first[part]] == marks[pairs.second[part]]
        keep[part] = np.count_nonzero(equal, axis=1) >= plan.least_agreement

    weights = np.full(len(keep), plan.hashes, dtype=np.int64)
    on_all_cores(compare, spans(weights, _MARKS_COMPARED_AT_ONCE))
    return Pairs(pairs.first[keep], pairs.second[keep])


def unresolved(buckets: Buckets, roots: Rows, *, next_lag: int) -> Buckets:
    """Return the buckets that still hold rows of two groups, and reach over `next_lag` places."""
    if not len(buckets.row):
        return buckets
    starts = np.flatnonzero(np.diff(buckets.bucket, prepend=-1))
    sizes = np.diff(starts, append=len(buckets.row))
    root = roots[buckets.row]
    is_open = np.minimum.reduceat(root, starts) != np.maximum.reduceat(root, starts)
    keep = np.repeat(is_open & (sizes > next_lag), sizes)
    return Buckets(buckets.row[keep], buckets.bucket[keep])


# The truth -----------------------------------------------------------------------------------


def similarities(texts: Sequence[str], pairs: Pairs) -> NDArray[np.float64]:
    """Return the Jaccard similarity of each pair: the share of their pieces that both have."""
    lengths = _lengths(texts)
    shares = np.empty(len(pairs.first), dtype=np.float64)

    def compare(span: tuple[int, int]) -> None:
        part = slice(*span)
        shares[part] = _similarities(texts, Pairs(pairs.first[part], pairs.second[part]))

    weights = lengths[pairs.first] + lengths[pairs.second] + PIECE_CHARACTERS
    on_all_cores(compare, spans(weights, _PIECES_COMPARED_AT_ONCE))
    return shares


def _similarities(texts: Sequence[str], pairs: Pairs) -> NDArray[np.float64]:
    """Compare sets by sorting: a piece that both texts of a pair have stands there twice in a row."""
    rows, places = np.unique(np.concatenate(pairs), return_inverse=True)
    pieces = _Pieces([texts[row] for row in cast("list[int]", rows.tolist())])
    text = np.repeat(np.arange(len(rows), dtype=np.uint64), np.diff(pieces.starts))
    keys = np.sort((text << _TEXT_BITS) | (pieces.long & _PIECE_MASK))
    keys = keys[np.concatenate(([True], keys[1:] != keys[:-1]))]
    sizes = np.bincount((keys >> _TEXT_BITS).astype(np.int64), minlength=len(rows))
    starts = np.cumsum(sizes) - sizes
    count = len(pairs.first)
    counts = sizes[places]
    pair = np.repeat(np.tile(np.arange(count, dtype=np.uint64), 2), counts)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    taken = keys[np.repeat(starts[places], counts) + within]
    both = np.sort((pair << _TEXT_BITS) | (taken & _PIECE_MASK))
    twice = both[1:][both[1:] == both[:-1]] >> _TEXT_BITS
    shared = np.bincount(twice.astype(np.int64), minlength=count)
    return shared / (counts[:count] + counts[count:] - shared)


# Groups --------------------------------------------------------------------------------------


def joined(roots: Rows, pairs: Pairs) -> Rows:
    """Return the roots after the groups of each pair were made one; a root is the first row of its group."""
    roots = roots.copy()
    first, second = pairs
    while True:
        low = np.minimum(roots[first], roots[second])
        high = np.maximum(roots[first], roots[second])
        apart = low != high
        if not apart.any():
            return roots
        first, second = first[apart], second[apart]
        np.minimum.at(roots, high[apart], low[apart])
        while True:
            further = roots[roots]
            if np.array_equal(further, roots):
                break
            roots = further
