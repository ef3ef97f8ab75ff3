"""Read examples: from files of rows to `Example` records, with a reason for every row left out."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO

from pydantic import JsonValue

from freehold.core.errors import DataError, Problem, Where
from freehold.core.record import Record
from freehold.core.sections import Columns
from freehold.core.snapshot import Drop, Example, Origin, Source
from freehold.data.content import Content, Rejected
from freehold.data.derived import ORIGIN_COLUMN, origin_of
from freehold.data.files import DataFile, Fetch, find_files, open_file
from freehold.data.formats import Format, missing_column, recognise
from freehold.data.limits import LIMITS, MIB, Limits
from freehold.data.readers import READERS
from freehold.data.refusals import refuse_preferences, unclear_columns
from freehold.data.rows import Row, RowOrNot, Unreadable, parse_json

LISTED_ROWS = 5
JSON_SHARE = 0.9
NOT_JSON_LIKE_THE_OTHERS = "the target is no JSON object, as the others are"


class Reading(Record):
    """What was read: the usable examples, every row left out with its reason, and the files.

    `format` is shown to people, such as `text/label` or `OpenAI messages`. `columns` are the ones
    that were used. `rows` counts all rows, used or not.
    """

    examples: tuple[Example, ...]
    drops: tuple[Drop, ...]
    sources: tuple[Source, ...]
    format: str
    columns: Columns

    @property
    def rows(self) -> int:
        """All rows that were found."""
        return sum(source.rows for source in self.sources)


@dataclass(frozen=True, slots=True)
class _Taken:
    """One usable row on its way to an example."""

    source: str
    row: int
    content: Content
    id: str | None
    fields: dict[str, str]
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class _FileReading:
    taken: tuple[_Taken, ...]
    drops: tuple[Drop, ...]
    source: Source
    format: Format


@dataclass(frozen=True, slots=True)
class Sample:
    """Which rows to read of more than can be held: `rows` of them, each row as likely as any other.

    The same seed and files give the same rows; a row is drawn by its number.
    """

    rows: int
    seed: int = 7


def read(
    source: str | Sequence[str],
    *,
    columns: Columns,
    root: Path,
    stdin: BinaryIO | None = None,
    fetch: Fetch | None = None,
    sample: Sample | None = None,
    limits: Limits = LIMITS,
) -> Reading:
    """Read examples from files, folders or the standard input.

    Args:
        source: a file, a folder, a glob, `-` for `stdin`, `hf://org/name:split`, or several of these. JSON
            lines, JSON, CSV, TSV, Parquet and Arrow are read, each also with `.gz` or `.zst` after its name.
        columns: the user's own choice of columns; what is left out is detected.
        root: where relative paths start.
        stdin: the bytes behind `-`.
        fetch: gives the file behind `hf://`; without it, that is refused.
        sample: read only so many rows, drawn from all files together.
        limits: how much of a file may be held in memory.

    Raises:
        DataError: nothing is there or nothing can be used; the codes are listed in docs/data.md.
    """
    names = (source,) if isinstance(source, str) else tuple(source)
    files = tuple(file for name in names for file in find_files(name, root=root, fetch=fetch))
    if sample is None:
        _refuse_large(files, limits)
    readings = tuple(
        _read_file(file, columns, stdin=stdin, sample=sample, limits=limits) for file in files
    )
    if not readings:
        raise DataError(
            "DAT-001", "no file of examples is named", help="data: examples.jsonl in task.yaml"
        )
    foreign = tuple(reading for reading in readings if not reading.format.is_own) or readings
    if len({reading.format.name for reading in foreign}) > 1:
        raise _mixed_files(foreign)
    taken = tuple(item for reading in readings for item in reading.taken)
    drops = tuple(drop for reading in readings for drop in reading.drops)
    sources = tuple(reading.source for reading in readings)
    format_ = foreign[0].format.name
    if sample is not None and sum(source.rows for source in sources) > sample.rows:
        taken, drops = _drawn(taken, drops, sample)
        format_ += (note := f" · a sample of {sample.rows:,} rows")
        sources = tuple(s.model_copy(update={"format": s.format + note}) for s in sources)
    own = {reading.source.name for reading in readings if reading.format.is_own}
    taken, not_json = _targets_as_json(taken, as_written=own)
    return Reading(
        examples=_examples(_ids_of_several_files(taken)),
        drops=(*drops, *not_json),
        sources=sources,
        format=format_,
        columns=_used_columns(foreign[0].format.columns, taken),
    )


def _used_columns(columns: Columns, taken: Sequence[_Taken]) -> Columns:
    has_ids = any(item.id is not None for item in taken)
    return columns if has_ids else columns.model_copy(update={"id": None})


# More than can be held -----------------------------------------------------------------------

_64_BITS = (1 << 64) - 1


def plain_bytes(files: Iterable[DataFile]) -> int:
    """Return the size of files as they lie there; what has no size (a pipe) counts nothing."""
    total = 0
    for file in files:
        with suppress(OSError):
            total += file.path.stat().st_size if file.path is not None else 0
    return total


def _refuse_large(files: Sequence[DataFile], limits: Limits) -> None:
    size = plain_bytes(files)
    if size > limits.held_bytes:
        raise _too_large(files[0].name, f"{size / MIB:,.0f} MiB", limits)


def _too_large(name: str, size: str, limits: Limits) -> DataError:
    return DataError(
        "DAT-045",
        f"`{name}` holds {size}; at most {limits.held_bytes / MIB:,.0f} MiB or"
        f" {limits.held_rows:,} rows are divided and frozen whole",
        where=Where(file=name),
        help="say how many of its rows to draw: -s data.sample=50000, or data: {sample: 50000} in task.yaml\n"
        f"freehold check {name}   looks at all of them",
    )


def _draw(rows: Iterable[RowOrNot], name: str, sample: Sample) -> tuple[list[RowOrNot], int]:
    """Return the rows of one file with the smallest keys, in their order, and how many rows it has."""
    heap: list[tuple[int, int, RowOrNot]] = []
    key_of = _keys(name, sample.seed)
    total = 0
    for row in rows:
        total += 1
        entry = (-key_of(row.number), -row.number, row)
        if len(heap) < sample.rows:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)
    return sorted((row for _, _, row in heap), key=lambda row: row.number), total


def _drawn(
    taken: tuple[_Taken, ...], drops: tuple[Drop, ...], sample: Sample
) -> tuple[tuple[_Taken, ...], tuple[Drop, ...]]:
    """Keep the rows with the smallest keys of all files, so that each row was as likely as any other."""
    names = {item.source for item in (*taken, *drops)}
    key_of = {name: _keys(name, sample.seed) for name in names}
    keys = sorted(key_of[item.source](item.row) for item in (*taken, *drops))
    last = keys[min(sample.rows, len(keys)) - 1]
    return (
        tuple(item for item in taken if key_of[item.source](item.row) <= last),
        tuple(drop for drop in drops if key_of[drop.source](drop.row) <= last),
    )


def _keys(name: str, seed: int) -> Callable[[int], int]:
    """Return the function from row numbers to keys that look random (the finaliser of SplitMix64)."""
    digest = hashlib.blake2b(f"{seed}\n{name}".encode("utf-8", "surrogatepass"), digest_size=8)
    start = int.from_bytes(digest.digest(), "big")

    def key(row: int) -> int:
        mixed = (start + row * 0x9E3779B97F4A7C15) & _64_BITS
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _64_BITS
        return mixed ^ (mixed >> 31)

    return key


# One file ------------------------------------------------------------------------------------


def _read_file(
    file: DataFile,
    columns: Columns,
    *,
    stdin: BinaryIO | None,
    sample: Sample | None,
    limits: Limits,
) -> _FileReading:
    with open_file(file, stdin=stdin, limits=limits) as opened:
        rows = READERS[opened.suffix](opened.stream, opened.name, limits)
        format_, all_rows = find_format(rows, opened.name, columns)
        total = None
        if sample is not None:
            all_rows, total = _draw(all_rows, opened.name, sample)
            limits = replace(limits, held_rows=sample.rows)
        taken, drops = _take_rows(
            all_rows, opened.name, format_=format_, columns=columns, limits=limits
        )
        if not taken:
            raise nothing_usable(opened.name, drops)
        source = Source(
            name=opened.name,
            sha256=opened.sha256,
            rows=len(taken) + len(drops) if total is None else total,
            format=format_.name,
        )
    return _FileReading(taken, drops, source, format_)


def find_format(
    rows: Iterator[RowOrNot], name: str, columns: Columns
) -> tuple[Format, Iterator[RowOrNot]]:
    """Return the format of the first row that has one, and all rows again."""
    waiting: list[RowOrNot] = []
    seen: dict[str, None] = {}
    for row in rows:
        waiting.append(row)
        if isinstance(row, Unreadable):
            continue
        seen.update(dict.fromkeys(row.columns))
        found = recognise(row.columns, columns)
        if found is None or not found.is_own:
            refuse_preferences(row.columns, name, columns)
        if found is not None:
            return _with_id(found, row, columns), chain(waiting, rows)
    if seen:
        raise unclear_columns(tuple(seen), name, columns)
    if waiting:
        unreadable = (row for row in waiting if isinstance(row, Unreadable))
        drops = tuple(Drop(source=name, row=r.number, reason=r.reason) for r in unreadable)
        raise nothing_usable(name, drops)
    raise DataError(
        "DAT-002",
        f"`{name}` holds no rows",
        where=Where(file=name),
        help="write one example a row",
    )


def _with_id(found: Format, row: Row, columns: Columns) -> Format:
    """Note which column holds the id: the user's choice, else one that is called id."""
    named = (name for name in row.columns if name.strip().casefold() == "id")
    column = "id" if found.is_own else columns.id or next(named, "id")
    if columns.id is None and "id" in row.columns:
        column = "id"
    return replace(
        found,
        used=frozenset({*found.used, column}),
        columns=found.columns.model_copy(update={"id": column}),
    )


def _take_rows(
    rows: Iterable[RowOrNot], name: str, *, format_: Format, columns: Columns, limits: Limits
) -> tuple[tuple[_Taken, ...], tuple[Drop, ...]]:
    taken: list[_Taken] = []
    drops: list[Drop] = []
    strangers: dict[int, str] = {}
    seen: dict[str, None] = {}
    held = 0
    for row in rows:
        if isinstance(row, Unreadable):
            drops.append(Drop(source=name, row=row.number, reason=row.reason))
            continue
        if not format_.fits(row.columns):
            other = recognise(row.columns, columns)
            if other is not None and other.name != format_.name:
                strangers[row.number] = other.name
        seen.update(dict.fromkeys(row.columns))
        content = format_.take(row.columns)
        if isinstance(content, Rejected):
            drops.append(Drop(source=name, row=row.number, reason=content.reason))
            continue
        taken.append(_taken(row, content, name=name, format_=format_))
        held += len(content.input) + len(content.context or "")
        if len(taken) > limits.held_rows or held > limits.held_bytes:
            raise _too_large(name, "more than that", limits)
    if strangers:
        raise mixed_rows(name, format_.name, strangers)
    if columns.id is not None and columns.id not in seen and not format_.is_own:
        raise missing_column(columns.id, tuple(seen), where=name)
    return tuple(taken), tuple(drops)


def _taken(row: Row, content: Content, *, name: str, format_: Format) -> _Taken:
    column = format_.columns.id
    given = row.columns.get(column) if column else None
    is_id = isinstance(given, str | int) and not isinstance(given, bool) and str(given).strip()
    return _Taken(
        source=name,
        row=row.number,
        content=content,
        id=str(given) if is_id else None,
        fields={
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in row.columns.items()
            if key not in format_.used and key != ORIGIN_COLUMN and value is not None
        },
        origin=origin_of(row.columns.get(ORIGIN_COLUMN)),
    )


def examples_of(
    rows: Iterable[RowOrNot], name: str, *, format_: Format, columns: Columns
) -> tuple[tuple[Example, ...], tuple[Drop, ...]]:
    """Return the examples of some rows of a file whose format is known, and the rows left out.

    Raises:
        DataError: rows of another format are among them (DAT-008).
    """
    taken, drops = _take_rows(rows, name, format_=format_, columns=columns, limits=LIMITS)
    return _examples(taken), drops


# All files -----------------------------------------------------------------------------------


def _targets_as_json(
    taken: tuple[_Taken, ...], *, as_written: Collection[str]
) -> tuple[tuple[_Taken, ...], tuple[Drop, ...]]:
    """Where at least nine of ten targets are JSON objects, written as such or as text, parse them.

    The others are left out with a reason. Files that Freehold wrote (`as_written`) are not looked at: that
    was decided when their rows were first read.
    """
    fresh = [item for item in taken if item.source not in as_written]
    found = [_as_object(item.content.target) for item in fresh]
    objects = sum(value is not None for value in found)
    if objects == 0 or objects < JSON_SHARE * len(fresh):
        return taken, ()
    of_fresh = iter(found)
    parsed = [
        item.content.target if item.source in as_written else next(of_fresh) for item in taken
    ]
    kept = tuple(
        replace(item, content=replace(item.content, target=value))
        for item, value in zip(taken, parsed, strict=True)
        if value is not None
    )
    drops = tuple(
        Drop(source=item.source, row=item.row, reason=NOT_JSON_LIKE_THE_OTHERS)
        for item, value in zip(taken, parsed, strict=True)
        if value is None
    )
    return kept, drops


def _as_object(target: JsonValue) -> dict[str, JsonValue] | None:
    if isinstance(target, str) and target.lstrip().startswith("{"):
        try:
            target = parse_json(target)
        except ValueError:
            return None
    return target if isinstance(target, dict) else None


def _examples(taken: Sequence[_Taken]) -> tuple[Example, ...]:
    """Make the records. A row without an id is named by its content; repeats get -2, -3."""
    ids = {item.id for item in taken if item.id is not None}
    examples: list[Example] = []
    for item in taken:
        example = Example(
            id=item.id or "",
            input=item.content.input,
            target=item.content.target,
            context=item.content.context,
            history=item.content.history,
            source=item.source,
            row=item.row,
            fields=item.fields,
            origin=item.origin,
        )
        if item.id is None:
            name = f"ex-{example.content_digest.removeprefix('sha256:')[:12]}"
            example = example.model_copy(update={"id": free_id(name, ids)})
            ids.add(example.id)
        examples.append(example)
    return tuple(examples)


def free_id(name: str, ids: Collection[str]) -> str:
    """Return `name`, or the first of name-2, name-3, ... that is not among `ids`."""
    if name not in ids:
        return name
    return next(f"{name}-{n}" for n in count(2) if f"{name}-{n}" not in ids)


def _ids_of_several_files(taken: tuple[_Taken, ...]) -> tuple[_Taken, ...]:
    """Put the name of the file before an id that another file uses too.

    Raises:
        DataError: two rows of one file share an id (DAT-009).
    """
    places: dict[str, list[_Taken]] = {}
    for item in taken:
        if item.id is not None:
            places.setdefault(item.id, []).append(item)
    for_one_file = {
        name: items
        for name, items in places.items()
        if len({item.source for item in items}) < len(items)
    }
    if for_one_file:
        raise _repeated_ids(for_one_file)
    return tuple(
        replace(item, id=f"{Path(item.source).stem}:{item.id}")
        if item.id is not None and item is not places[item.id][0]
        else item
        for item in taken
    )


# Errors --------------------------------------------------------------------------------------


def listed_rows(rows: Sequence[int]) -> str:
    """Return `row 3`, `rows 3, 9` or `rows 3, 9, 12, 40, 41 and 5 more`."""
    shown = ", ".join(str(row) for row in rows[:LISTED_ROWS])
    more = f" and {len(rows) - LISTED_ROWS:,} more" if len(rows) > LISTED_ROWS else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {shown}{more}"


def drops_as_causes(drops: Sequence[Drop]) -> tuple[str, ...]:
    """Return one line a reason, the most frequent first: `61 × no target (rows 3, 9, ...)`."""
    rows: dict[str, list[int]] = {}
    for drop in drops:
        rows.setdefault(drop.reason, []).append(drop.row)
    by_count = sorted(rows.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(f"{len(r):,} × {reason} ({listed_rows(r)})" for reason, r in by_count)


def nothing_usable(name: str, drops: Sequence[Drop], *, rows: int | None = None) -> DataError:
    """Return the error for a file of which no row can be used; `rows` where `drops` are only the first."""
    return DataError(
        "DAT-010",
        f"none of the {len(drops) if rows is None else rows:,} rows of `{name}` can be used",
        where=Where(file=name, row=drops[0].row if drops else None),
        cause=drops_as_causes(drops),
        help='every row needs an input and a target, for example {"input": "...", "target": "..."}',
    )


def mixed_rows(name: str, format_: str, strangers: Mapping[int, str]) -> DataError:
    """Return the error for rows of another format, by their numbers."""
    other = next(iter(strangers.values()))
    rows = tuple(row for row, found in strangers.items() if found == other)
    return DataError(
        "DAT-008",
        f"`{name}` mixes formats: {listed_rows(rows)} {'is' if len(rows) == 1 else 'are'} "
        f"`{other}`, the rows before are `{format_}`",
        where=Where(file=name, row=rows[0]),
        help="write one format a file, and name the files in task.yaml: data: {examples: [a, b]}",
    )


def _mixed_files(readings: Sequence[_FileReading]) -> DataError:
    found = "; ".join(f"`{r.source.name}` is `{r.format.name}`" for r in readings[:LISTED_ROWS])
    return DataError(
        "DAT-008",
        f"the files have different formats: {found}",
        where=Where(file=readings[0].source.name),
        help="convert them to one format, or name only files of one format",
    )


def _repeated_ids(places: Mapping[str, Sequence[_Taken]]) -> DataError:
    problems = tuple(
        Problem(
            code="DAT-009",
            message=f"the id `{name}` is used by {listed_rows([item.row for item in items])}",
            where=Where(file=items[0].source, row=items[1].row),
            help="give every row its own id, or leave the column out: ids are then made"
            " from the content",
        )
        for name, items in list(places.items())[:LISTED_ROWS]
    )
    return DataError.several(problems)
