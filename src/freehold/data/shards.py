"""Duplicates and contamination over Parquet shards, larger than one machine's memory.

Work is functions from a part of the data to a table, and from all rows of one key to a table. An
engine runs them: processes on all cores of this machine (`Processes`), or Ray Data on a cluster
(`on_ray.OnRay`). What is found is what `find_duplicates` and `contaminated` find in one process.

In the driver only two numbers a row are kept, and the pairs that were found. Texts stay in the shards:
a task reads the shard that it sketches, or the two shards whose rows it compares.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from freehold.data import minhash
from freehold.data.contamination import METHODS, Found, Limits, certain_matches, clearest
from freehold.data.duplicates import NEAR, Duplicates, normalise
from freehold.data.minhash import Pairs, Rows

PARTS = 64
"""Into so many parts the rows are shuffled by key."""
_NO_PAIRS = {"first": np.zeros(0, dtype=np.int64), "second": np.zeros(0, dtype=np.int64)}


Columns: TypeAlias = dict[str, NDArray[np.int64]]
"""A table: columns of one length, by name."""


class Shard(NamedTuple):
    """One Parquet file: where it lies, the number of its first row among all rows, its rows."""

    path: str
    start: int
    rows: int


class Engine(Protocol):
    """What runs the work. Work is picklable, and gets and returns tables."""

    def each(self, work: Callable[[int], Columns], count: int) -> Columns:
        """Return the tables of `work(0)` to `work(count - 1)` as one."""
        ...

    def each_then(
        self, work: Callable[[int], Columns], count: int, *, then: Callable[[Columns], Columns]
    ) -> Columns:
        """As `each`, then give all rows with one value in the column `part` to `then`, for every value."""
        ...


@dataclass(frozen=True)
class Processes:
    """Runs the work in processes of this machine, one a core unless `cores` says otherwise."""

    cores: int = 0

    def each(self, work: Callable[[int], Columns], count: int) -> Columns:
        """See `Engine.each`."""
        with self._pool() as pool:
            return concatenated(list(pool.map(work, range(count))))

    def each_then(
        self, work: Callable[[int], Columns], count: int, *, then: Callable[[Columns], Columns]
    ) -> Columns:
        """See `Engine.each_then`."""
        with self._pool() as pool:
            found = concatenated(list(pool.map(work, range(count))))
            return concatenated(list(pool.map(then, by_part(found))))

    def _pool(self) -> ProcessPoolExecutor:
        # Not forked: a fork of a process with threads, as torch and Arrow have, can hang.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.cores or os.cpu_count() or 1, mp_context=context)


def concatenated(tables: Sequence[Columns]) -> Columns:
    """Return the rows of all tables as one; without tables there are no columns."""
    names = tables[0] if tables else ()
    return {name: np.concatenate([table[name] for table in tables]) for name in names}


def by_part(table: Columns) -> list[Columns]:
    """Return the rows of each value in the column `part`; one empty table where there are no rows."""
    order = np.argsort(table["part"], kind="stable")
    cuts = np.flatnonzero(np.diff(table["part"][order])) + 1
    places = cast("list[Rows]", np.split(order, cuts))
    return [{name: values[rows] for name, values in table.items()} for rows in places]


def shards_of(paths: Sequence[Path]) -> tuple[Shard, ...]:
    """Return the files as shards, in their order; rows are numbered through all of them."""
    shards: list[Shard] = []
    start = 0
    for path in paths:
        rows = _parquet(str(path)).metadata.num_rows
        shards.append(Shard(path=str(path), start=start, rows=rows))
        start += rows
    return tuple(shards)


# Duplicates ----------------------------------------------------------------------------------


def duplicates_in(
    shards: Sequence[Shard], *, column: str, engine: Engine, near: float = NEAR
) -> Duplicates:
    """Return what `find_duplicates` returns for the texts of a column of all shards."""
    shards = tuple(shards)
    count = sum(shard.rows for shard in shards)
    exact = np.arange(count, dtype=np.int64)
    repeats = engine.each_then(_Digests(shards, column), len(shards), then=first_of_equal)
    exact[repeats["row"]] = repeats["root"]
    distinct = np.flatnonzero(exact == np.arange(count))
    plan = minhash.banding(near)
    keys = _Keys(shards, column, plan, tuple(_own(distinct, shard) for shard in shards))
    starts = np.array([shard.start for shard in shards], dtype=np.int64)
    likely = engine.each_then(keys, len(shards), then=pairs_that_meet)
    pairs = minhash.different(Pairs(likely["first"], likely["second"]))
    compare = _Compare(shards, column, near, _by_shards(pairs, starts))
    is_near = engine.each(compare, len(compare.pairs)) if compare.pairs else _NO_PAIRS
    found = Pairs(is_near["first"], is_near["second"])
    roots = minhash.joined(np.arange(count, dtype=np.int64), found)[exact]
    return Duplicates(
        exact_roots=tuple(exact.tolist()),
        near_roots=tuple(cast("list[int]", roots.tolist())),
        roots=tuple(cast("list[int]", roots.tolist())),
    )


def _own(rows: Rows, shard: Shard) -> Rows:
    """Return which of `rows` lie in a shard, counted from its first row."""
    inside = rows[(rows >= shard.start) & (rows < shard.start + shard.rows)]
    return inside - shard.start


def _texts(shard: Shard, column: str) -> list[str]:
    """Return the normalised texts of a shard; what is no text is empty."""
    values = _parquet(shard.path).read(columns=[column]).column(column).to_pylist()
    return [normalise(value) if isinstance(value, str) else "" for value in values]


class _Column(Protocol):
    def to_pylist(self) -> list[object]: ...


class _Table(Protocol):
    def column(self, name: str) -> _Column: ...


class _Metadata(Protocol):
    num_rows: int


class _Parquet(Protocol):
    """The part of `pyarrow.parquet.ParquetFile`, which has no types, that is used here."""

    metadata: _Metadata

    def read(self, *, columns: list[str]) -> _Table: ...


def _parquet(path: str) -> _Parquet:
    import pyarrow.parquet

    return cast("_Parquet", pyarrow.parquet.ParquetFile(path))


@dataclass(frozen=True)
class _Digests:
    """Of one shard: 128 bits of the hash of each normalised text."""

    shards: tuple[Shard, ...]
    column: str

    def __call__(self, number: int) -> Columns:
        shard = self.shards[number]
        joined = b"".join(
            hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            for text in _texts(shard, self.column)
        )
        digests = np.frombuffer(joined, dtype=np.int64).reshape(-1, 2)
        return {
            "part": digests[:, 0] % PARTS,
            "high": digests[:, 0],
            "low": digests[:, 1],
            "row": np.arange(shard.start, shard.start + len(digests)),
        }


def first_of_equal(table: Columns) -> Columns:
    """Return the rows whose digest an earlier row has, and the first that has it."""
    order = np.lexsort((table["row"], table["low"], table["high"]))
    high, low, row = table["high"][order], table["low"][order], table["row"][order]
    is_new = np.ones(len(row), dtype=np.bool_)
    is_new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    roots = row[is_new][np.cumsum(is_new) - 1]
    return {"row": row[~is_new], "root": roots[~is_new]}


@dataclass(frozen=True)
class _Keys:
    """Of one shard: the key of each band of each text that repeats no other."""

    shards: tuple[Shard, ...]
    column: str
    plan: minhash.Banding
    distinct: tuple[Rows, ...]

    def __call__(self, number: int) -> Columns:
        shard, rows = self.shards[number], self.distinct[number]
        texts = _texts(shard, self.column)
        chosen = [texts[row] for row in cast("list[int]", rows.tolist())]
        keys = minhash.sketches(chosen, plan=self.plan).keys
        return {
            "part": (keys.reshape(-1) % PARTS).astype(np.int64),
            "band": np.repeat(np.arange(len(keys)), len(rows)),
            "key": keys.reshape(-1).astype(np.int64),
            "row": np.tile(rows + shard.start, len(keys)),
        }


def pairs_that_meet(table: Columns) -> Columns:
    """Return the rows that share a key of a band, as pairs."""
    order = np.argsort(table["row"], kind="stable")
    bands, rows = table["band"][order], table["row"][order]
    keys = table["key"][order].astype(np.uint32)
    found = [Pairs(*_NO_PAIRS.values())]
    for band in range(int(bands.max()) + 1 if len(bands) else 0):
        inside = bands == band
        buckets = minhash.buckets_of(keys[inside], rows[inside])
        if len(buckets.row):
            found.append(minhash.candidates(buckets, range(1, minhash.MOST_LAG + 1)))
    return {
        "first": np.concatenate([pairs.first for pairs in found]),
        "second": np.concatenate([pairs.second for pairs in found]),
    }


def _by_shards(pairs: Pairs, starts: Rows) -> tuple[Pairs, ...]:
    """Cut the pairs by the two shards that they lie in."""
    if not len(pairs.first):
        return ()
    one = cast("Rows", np.searchsorted(starts, pairs.first, side="right"))
    other = cast("Rows", np.searchsorted(starts, pairs.second, side="right"))
    code = one * (len(starts) + 1) + other
    order = np.argsort(code, kind="stable")
    cuts = np.flatnonzero(np.diff(code[order])) + 1
    parts = zip(
        np.split(pairs.first[order], cuts), np.split(pairs.second[order], cuts), strict=True
    )
    return tuple(Pairs(first, second) for first, second in parts)


@dataclass(frozen=True)
class _Compare:
    """Of pairs that lie in the same two shards: those that are near."""

    shards: tuple[Shard, ...]
    column: str
    near: float
    pairs: tuple[Pairs, ...]

    def __call__(self, number: int) -> Columns:
        pairs = self.pairs[number]
        rows = np.unique(np.concatenate(pairs))
        texts: list[str] = []
        for shard in self.shards:
            own = _own(rows, shard)
            if len(own):
                found = _texts(shard, self.column)
                texts.extend(found[row] for row in cast("list[int]", own.tolist()))
        placed = Pairs(
            cast("Rows", np.searchsorted(rows, pairs.first)),
            cast("Rows", np.searchsorted(rows, pairs.second)),
        )
        is_near = minhash.similarities(texts, placed) >= self.near
        return {"first": pairs.first[is_near], "second": pairs.second[is_near]}


# Contamination -------------------------------------------------------------------------------


def contamination_in(
    shards: Sequence[Shard],
    held_out: Sequence[str],
    *,
    column: str,
    engine: Engine,
    limits: Limits | None = None,
) -> dict[int, Found]:
    """Return which held-out texts the shards certainly hold: by place, the clearest match.

    The place in a match is the number of the row among the rows of all shards. Every task holds all
    of `held_out`, which is small beside the shards.
    """
    keys = tuple(normalise(text) for text in held_out)
    work = _Certain(tuple(shards), column, keys, limits or Limits())
    table = engine.each(work, len(shards))
    found: dict[int, list[Found]] = {}
    for place, method, seen, overlap in zip(
        table["place"].tolist(),
        table["method"].tolist(),
        table["seen"].tolist(),
        table["overlap"].view(np.float64).tolist(),
        strict=True,
    ):
        found.setdefault(place, []).append(Found(METHODS[method], seen, overlap))
    return {place: clearest(matches) for place, matches in sorted(found.items())}


@dataclass(frozen=True)
class _Certain:
    """Of one shard: which held-out texts it certainly holds."""

    shards: tuple[Shard, ...]
    column: str
    held_out: tuple[str, ...]
    limits: Limits

    def __call__(self, number: int) -> Columns:
        shard = self.shards[number]
        found = certain_matches(self.held_out, _texts(shard, self.column), limits=self.limits)
        matches = list(found.values())
        return {
            "place": np.array(list(found), dtype=np.int64),
            "method": np.array([METHODS.index(one.method) for one in matches], dtype=np.int64),
            "seen": np.array([one.place + shard.start for one in matches], dtype=np.int64),
            "overlap": np.array([one.overlap for one in matches], dtype=np.float64).view(np.int64),
        }
