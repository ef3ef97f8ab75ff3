"""Walk files of any size in bounded memory: batches of examples, or a survey of all rows.

`walk` yields examples and drops a batch at a time. `survey` looks at every row once and keeps 24 bytes of
it: enough to count lengths, answers and drops, and to find exact repeats among ten million rows on a
laptop. A file of JSON lines is divided among processes by byte ranges.

Two questions are taken for the same where 128 bits of the BLAKE2 digest of their normalised text agree.
Among n different questions the chance that any two are confused is below n² / 2¹²⁹: for ten million, less
than one in 10²⁴.
"""

from __future__ import annotations

import hashlib
import io
import math
import multiprocessing
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from freehold.core.record import Record
from freehold.core.sections import Columns
from freehold.core.snapshot import Drop, Example, Source
from freehold.data.content import Content, Rejected
from freehold.data.detect import LONGEST_LABEL
from freehold.data.duplicates import question_key
from freehold.data.files import DataFile, OpenFile, open_file
from freehold.data.formats import Format, recognise
from freehold.data.inspect import Lengths
from freehold.data.limits import LIMITS, MIB, Limits
from freehold.data.read import LISTED_ROWS, examples_of, find_format, mixed_rows, nothing_usable
from freehold.data.readers import READERS
from freehold.data.rows import TOO_LONG, Row, RowOrNot, Unreadable, json_line, lines_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ROWS_AT_ONCE = 10_000
RANGE_BYTES = 32 * MIB
MOST_LABELS = 1_000
_KEY_BYTES = 16
_EXACT_LENGTHS = 1 << 16  # lengths up to here are counted one by one
_LINES = (".jsonl", ".ndjson")

OnRows: TypeAlias = Callable[[int], None]


# Batches -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of one file: the usable ones as examples, the others with their reasons."""

    examples: tuple[Example, ...]
    drops: tuple[Drop, ...]


def walk(
    file: DataFile,
    *,
    columns: Columns,
    stdin: BinaryIO | None = None,
    rows_at_once: int = ROWS_AT_ONCE,
    limits: Limits = LIMITS,
) -> Iterator[Batch]:
    """Yield the rows of a file in batches; only one batch is held in memory.

    Rows are taken as `read` takes them, with two differences that need all rows: targets that are JSON
    text stay text, and ids made from the content are made different within a batch only.

    Raises:
        DataError: as `read`; rows of another format stop the walk at the end of their batch.
    """
    with open_file(file, stdin=stdin, limits=limits) as opened:
        rows = READERS[opened.suffix](opened.stream, opened.name, limits)
        format_, rows = find_format(rows, opened.name, columns)
        while batch := tuple(islice(rows, rows_at_once)):
            examples, drops = examples_of(batch, opened.name, format_=format_, columns=columns)
            yield Batch(examples, drops)


# A survey ------------------------------------------------------------------------------------


class Dropped(Record):
    """How many rows were left out for one reason, and the first of them."""

    reason: str
    rows: int
    first: tuple[int, ...]


class Repeat(Record):
    """A row that asks what an earlier row of the file asks."""

    row: int
    first: int


class Survey(Record):
    """What all rows of one file hold.

    `lengths` are in characters, of the input with its context and history; beyond 65,536 they are rounded
    down to that, but for the longest. `labels` are the most frequent answers with their counts; empty
    where there are more than 1,000 different ones or long ones. `repeats` counts rows that ask what an
    earlier row asks, and `first_repeats` names some of them.
    """

    source: Source
    usable: int
    drops: tuple[Dropped, ...]
    lengths: Lengths
    labels: dict[str, int]
    repeats: int
    first_repeats: tuple[Repeat, ...]


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A survey, and the numbers of all rows that repeat an earlier one, in order."""

    survey: Survey
    repeated_rows: NDArray[np.int64]


def survey(
    file: DataFile,
    *,
    columns: Columns,
    workers: int = 1,
    on_rows: OnRows | None = None,
    limits: Limits = LIMITS,
    range_bytes: int = RANGE_BYTES,
) -> Surveyed:
    """Look at every row of a file once.

    Args:
        file: of any type that `read` reads.
        columns: the user's own choice of columns.
        workers: processes that read a file of JSON lines at the same time; one works in this process.
        on_rows: is told how many rows have been looked at.
        limits: how much of a file may be held in memory.
        range_bytes: how much of the file one process takes at a time.

    Raises:
        DataError: the file cannot be read, holds two formats, or no row of it can be used.
    """
    with open_file(file, limits=limits) as opened:
        rows = READERS[opened.suffix](opened.stream, opened.name, limits)
        format_, rows = find_format(rows, opened.name, columns)
        tallies = _one_by_one(rows, format_, columns)
        if workers > 1 and file.path is not None and _is_plain(opened, file.path):
            ranges = _ranges(file.path, range_bytes)
            if len(ranges) > 1:
                key = _key_row(rows, columns)
                jobs = [_Job(file.path, *range_, key, columns, limits) for range_ in ranges]
                tallies = _together(jobs, workers)
        whole = _Whole()
        for tally in tallies:
            whole.add(tally)
            if on_rows is not None:
                on_rows(whole.rows)
        return whole.surveyed(opened.name, opened.sha256, format_.name)


def _is_plain(opened: OpenFile, path: Path) -> bool:
    """Tell whether the file is lines of JSON as it lies there, so that it can be read from any byte."""
    return opened.suffix in _LINES and isinstance(opened.stream.raw, io.FileIO) and path.is_file()


@dataclass(slots=True)
class _Tally:
    """What some neighbouring rows hold.

    Where `lines` is set, row numbers count from `first_line`, which is the first of these lines; else they
    are the row numbers of the file.
    """

    first_line: int = 1
    lines: int = 0
    rows: int = 0
    keys: bytearray = field(default_factory=bytearray)
    usable: array[int] = field(default_factory=lambda: array("q"))
    drops: dict[str, Dropped] = field(default_factory=dict[str, Dropped])
    strangers: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    lengths: Counter[int] = field(default_factory=Counter[int])
    longest: int = 0
    labels: Counter[str] | None = field(default_factory=Counter[str])

    def look_at(self, row: RowOrNot, format_: Format, columns: Columns) -> None:
        """Count one row."""
        self.rows += 1
        if isinstance(row, Unreadable):
            self.drop(row.number, row.reason)
            return
        if not format_.fits(row.columns):
            other = recognise(row.columns, columns)
            if other is not None and other.name != format_.name:
                _note(self.strangers.setdefault(other.name, []), row.number)
        content = format_.take(row.columns)
        if isinstance(content, Rejected):
            self.drop(row.number, content.reason)
            return
        self.usable.append(row.number)
        self.keys += _key(content)
        length = _length(content)
        self.lengths[min(length, _EXACT_LENGTHS)] += 1
        self.longest = max(self.longest, length)
        self.labels = _counted(self.labels, content.target)

    def drop(self, number: int, reason: str) -> None:
        """Count one row that cannot be used."""
        before = self.drops.get(reason)
        self.drops[reason] = _joined(before, Dropped(reason=reason, rows=1, first=(number,)))


def _key(content: Content) -> bytes:
    """Return 128 bits for what is asked: the normalised input, and the context and history around it."""
    text = "\n".join(question_key(content)).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=_KEY_BYTES).digest()


def _length(content: Content) -> int:
    around = sum(len(turn.content) for turn in content.history) if content.history else 0
    return len(content.input) + len(content.context or "") + around


def _counted(labels: Counter[str] | None, target: JsonValue) -> Counter[str] | None:
    """Count an answer; None once the answers are no closed list."""
    if labels is None or not isinstance(target, str) or len(target) > LONGEST_LABEL:
        return None
    labels[target] += 1
    return labels if len(labels) <= MOST_LABELS else None


def _joined(before: Dropped | None, more: Dropped) -> Dropped:
    if before is None:
        return more
    first = (*before.first, *more.first)[:LISTED_ROWS]
    return Dropped(reason=before.reason, rows=before.rows + more.rows, first=first)


def _note(rows: list[int], number: int) -> None:
    if len(rows) < LISTED_ROWS:
        rows.append(number)


def _one_by_one(rows: Iterable[RowOrNot], format_: Format, columns: Columns) -> Iterator[_Tally]:
    """Yield tallies whose row numbers count from the start of the file."""
    rows = iter(rows)
    while batch := tuple(islice(rows, ROWS_AT_ONCE)):
        tally = _Tally()
        for row in batch:
            tally.look_at(row, format_, columns)
        yield tally


# Several processes ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Job:
    """Whole lines of a file, from byte `start` to byte `end`. `key` is a row that has the format."""

    path: Path
    start: int
    end: int
    key: Mapping[str, JsonValue]
    columns: Columns
    limits: Limits


def _key_row(rows: Iterable[RowOrNot], columns: Columns) -> Mapping[str, JsonValue]:
    """Return the columns of the row by which the format was recognised: the first that has one."""
    of_rows = (row.columns for row in rows if isinstance(row, Row))
    return next(found for found in of_rows if recognise(found, columns) is not None)


def _ranges(path: Path, range_bytes: int) -> list[tuple[int, int]]:
    """Divide a file at ends of lines into ranges of about `range_bytes`."""
    size = path.stat().st_size
    edges = [0]
    with path.open("rb") as file:
        while (edge := edges[-1] + range_bytes) < size:
            file.seek(edge)
            while (piece := file.readline(MIB)) and not piece.endswith(b"\n"):
                pass
            edges.append(file.tell())
    return list(pairwise([*edges, size] if edges[-1] < size else edges))


def _together(jobs: Sequence[_Job], workers: int) -> Iterator[_Tally]:
    """Yield the tallies of all jobs in order. A process starts from nothing, whatever this one holds."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context) as pool:
        yield from pool.map(_tally_of, jobs)


def _tally_of(job: _Job) -> _Tally:
    format_ = recognise(job.key, job.columns)
    if format_ is None:
        raise ValueError("the row that the format was recognised by has none")
    # Only line 1 of a file may begin with a byte-order mark; other ranges count from 2.
    tally = _Tally(first_line=1 if job.start == 0 else 2)
    with job.path.open("rb") as file:
        file.seek(job.start)
        for line in lines_of(_section(file, job.end - job.start), job.limits):
            number = tally.first_line + tally.lines
            tally.lines += 1
            if line is None:
                tally.look_at(Unreadable(number, TOO_LONG), format_, job.columns)
            elif line.strip():
                row = json_line(number, line, depth=job.limits.depth)
                tally.look_at(row, format_, job.columns)
    return tally


def _section(file: io.BufferedReader, size: int) -> io.BufferedReader:
    return io.BufferedReader(_Section(file, size), MIB)


class _Section(io.RawIOBase):
    """A part of an open file."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        super().__init__()
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)[: self._left]
        count = self._file.readinto(view)
        self._left -= count
        return count


# All rows ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Whole:
    """The tallies of a file, put together in its order."""

    rows: int = 0
    lines: int = 0
    usable: int = 0
    keys: list[NDArray[np.uint64]] = field(default_factory=list[NDArray[np.uint64]])
    numbers: list[NDArray[np.int64]] = field(default_factory=list[NDArray[np.int64]])
    drops: dict[str, Dropped] = field(default_factory=dict[str, Dropped])
    strangers: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    lengths: Counter[int] = field(default_factory=Counter[int])
    longest: int = 0
    labels: Counter[str] | None = field(default_factory=Counter[str])

    def add(self, tally: _Tally) -> None:
        """Add the tally of the rows that follow."""
        offset = self.lines + 1 - tally.first_line if tally.lines else 0
        self.rows += tally.rows
        self.lines += tally.lines
        self.usable += len(tally.usable)
        self.keys.append(np.frombuffer(tally.keys, dtype=np.uint64).reshape(-1, 2))
        self.numbers.append(np.asarray(tally.usable, dtype=np.int64) + offset)
        for reason, dropped in tally.drops.items():
            moved = Dropped(
                reason=reason,
                rows=dropped.rows,
                first=tuple(number + offset for number in dropped.first),
            )
            self.drops[reason] = _joined(self.drops.get(reason), moved)
        for name, rows in tally.strangers.items():
            for number in rows:
                _note(self.strangers.setdefault(name, []), number + offset)
        self.lengths.update(tally.lengths)
        self.longest = max(self.longest, tally.longest)
        self.labels = _both(self.labels, tally.labels)

    def surveyed(self, name: str, sha256: str, format_name: str) -> Surveyed:
        """Return the survey of all rows.

        Raises:
            DataError: rows of another format are among them (DAT-008), or none can be used (DAT-010).
        """
        if self.strangers:
            places = ((row, other) for other, rows in self.strangers.items() for row in rows)
            raise mixed_rows(name, format_name, dict(sorted(places)))
        if not self.usable:
            listed = (
                Drop(source=name, row=row, reason=dropped.reason)
                for dropped in self.drops.values()
                for row in dropped.first
            )
            raise nothing_usable(name, tuple(listed), rows=self.rows)
        repeated, firsts = _repeats(np.concatenate(self.keys), np.concatenate(self.numbers))
        listed = zip(repeated[:LISTED_ROWS], firsts[:LISTED_ROWS], strict=True)
        by_count = sorted(self.drops.values(), key=lambda drop: (-drop.rows, drop.reason))
        found = Survey(
            source=Source(name=name, sha256=sha256, rows=self.rows, format=format_name),
            usable=self.usable,
            drops=tuple(by_count),
            lengths=self._lengths(),
            labels=dict(self.labels.most_common()) if self.labels else {},
            repeats=len(repeated),
            first_repeats=tuple(Repeat(row=int(row), first=int(first)) for row, first in listed),
        )
        return Surveyed(found, repeated)

    def _lengths(self) -> Lengths:
        total = self.lengths.total()
        wanted = {0.5: 0, 0.95: 0}
        for share in wanted:
            passed = 0
            for length in sorted(self.lengths):
                passed += self.lengths[length]
                if passed >= math.ceil(share * total):
                    wanted[share] = length
                    break
        return Lengths(p50=wanted[0.5], p95=wanted[0.95], longest=self.longest)


def _both(labels: Counter[str] | None, more: Counter[str] | None) -> Counter[str] | None:
    if labels is None or more is None:
        return None
    labels.update(more)
    return labels if len(labels) <= MOST_LABELS else None


def _repeats(
    keys: NDArray[np.uint64], numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows whose key an earlier row has, in order, and the first row with each key."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: rows with one key stay in their order
    ordered = keys[order]
    is_repeat = np.zeros(len(order), dtype=bool)
    is_repeat[1:] = (ordered[1:] == ordered[:-1]).all(axis=1)
    # of every row, the position of the first row of its run
    starts = np.maximum.accumulate(np.where(is_repeat, 0, np.arange(len(order))))
    rows = numbers[order]
    repeated, firsts = rows[is_repeat], rows[starts[is_repeat]]
    by_row = np.argsort(repeated)
    return repeated[by_row], firsts[by_row]
