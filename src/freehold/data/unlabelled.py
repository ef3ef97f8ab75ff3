"""Read rows to label: inputs without a target, or with one that may be wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import JsonValue

from freehold.core.errors import DataError, Where
from freehold.core.record import digest_json
from freehold.core.sections import Columns
from freehold.core.snapshot import Drop, Example, Source
from freehold.data.derived import ORIGIN_COLUMN, origin_of
from freehold.data.files import DataFile, find_files, open_file
from freehold.data.formats import (
    CONTEXTS,
    INPUTS,
    Content,
    Rejected,
    Taken,
    format_of_columns,
    names_of,
    recognise,
    take_turns,
)
from freehold.data.limits import LIMITS
from freehold.data.read import drops_as_causes, free_id
from freehold.data.readers import READERS
from freehold.data.rows import Row, RowOrNot, Unreadable

_STAND_IN = "target of freehold"
_TURNS = ("messages", "conversations", "conversation")
_LISTED_COLUMNS = 8
NO_INPUT_COLUMN = "no column that is known as an input"


@dataclass(frozen=True)
class Unlabelled:
    """Rows to label, with every row left out and its reason. Where a row has no target, it is None."""

    examples: tuple[Example, ...]
    drops: tuple[Drop, ...]
    sources: tuple[Source, ...]


def read_unlabelled(
    source: str, *, columns: Columns, root: Path, stdin: BinaryIO | None = None
) -> Unlabelled:
    """Read rows of which an input is enough. A target beside it is kept.

    A chat that ends with the user's turn asks for an answer. Else the input is the column that
    `columns.input` names, or the one with a known name (input, text, question, prompt, ...), a context beside it.

    Args:
        source: a file, a folder, a glob, or `-` for `stdin`; the types that `read` reads.
        columns: the user's own choice of columns.
        root: where relative paths start.
        stdin: the bytes behind `-`.

    Raises:
        DataError: DAT-101 where no row has an input, or what `files.open_file` raises.
    """
    examples: list[Example] = []
    drops: list[Drop] = []
    sources: list[Source] = []
    ids: set[str] = set()
    for file in find_files(source, root=root):
        before = len(examples) + len(drops)
        with open_file(file, stdin=stdin) as opened:
            seen: dict[str, None] = {}
            for row in READERS[opened.suffix](opened.stream, opened.name, LIMITS):
                _take(row, name=opened.name, columns=columns, ids=ids, into=(examples, drops, seen))
            rows = len(examples) + len(drops) - before
            sources.append(
                Source(name=opened.name, sha256=opened.sha256, rows=rows, format="input")
            )
        if len(examples) + len(drops) == before or not examples:
            raise _nothing(file, tuple(seen), drops)
    return Unlabelled(tuple(examples), tuple(drops), tuple(sources))


def _take(
    row: RowOrNot,
    *,
    name: str,
    columns: Columns,
    ids: set[str],
    into: tuple[list[Example], list[Drop], dict[str, None]],
) -> None:
    examples, drops, seen = into
    if isinstance(row, Unreadable):
        drops.append(Drop(source=name, row=row.number, reason=row.reason))
        return
    seen.update(dict.fromkeys(row.columns))
    content, used = _content(row.columns, columns)
    if isinstance(content, Rejected):
        drops.append(Drop(source=name, row=row.number, reason=content.reason))
        return
    example = _example(row, content, name=name, used=used, columns=columns)
    example = example.model_copy(update={"id": free_id(example.id, ids)})
    ids.add(example.id)
    examples.append(example)


def _content(row: Mapping[str, JsonValue], columns: Columns) -> tuple[Taken, Collection[str]]:
    """Return what a row asks, its target None where it has none, and the columns that hold it."""
    found = recognise(row, columns)
    if found is not None:
        content = found.take(row)
        if isinstance(content, Content):
            return content, found.used
    for name in _TURNS:
        turns = row.get(name)
        if isinstance(turns, list) and turns:
            stand_in: JsonValue = {"role": "assistant", "content": _STAND_IN}
            return _without_target(take_turns([*turns, stand_in])), (name,)
    is_named = columns.input is not None and all(n in row for n in names_of(columns.input))
    column = columns.input if is_named else next(_known(row, INPUTS), None)
    if column is None:
        return Rejected(NO_INPUT_COLUMN), ()
    context = columns.context or next(_known(row, CONTEXTS), None)
    asked = format_of_columns(Columns(input=column, target=_STAND_IN, context=context))
    return _without_target(asked.take({**row, _STAND_IN: _STAND_IN})), asked.used


def _known(row: Mapping[str, JsonValue], names: Collection[str]) -> Iterator[str]:
    present = {name.strip().casefold(): name for name in row}
    return (present[name] for name in names if name in present)


def _without_target(content: Taken) -> Taken:
    if isinstance(content, Rejected):
        return content
    return Content(content.input, None, content.context, content.history)


def _example(
    row: Row, content: Content, *, name: str, used: Collection[str], columns: Columns
) -> Example:
    column = columns.id or next(_known(row.columns, ("id",)), None)
    given = row.columns.get(column) if column else None
    is_id = isinstance(given, str | int) and not isinstance(given, bool) and str(given).strip()
    asked: list[JsonValue] = [content.input, content.context]
    made = f"ex-{digest_json('row', asked).removeprefix('sha256:')[:12]}"
    hidden = {*used, column, ORIGIN_COLUMN}
    return Example(
        id=str(given) if is_id else made,
        input=content.input,
        target=content.target,
        context=content.context,
        history=content.history,
        source=name,
        row=row.number,
        fields={k: v for k, v in row.columns.items() if k not in hidden and isinstance(v, str)},
        origin=origin_of(row.columns.get(ORIGIN_COLUMN)),
    )


def _nothing(file: DataFile, seen: tuple[str, ...], drops: list[Drop]) -> DataError:
    listed = ", ".join(seen[:_LISTED_COLUMNS]) or "none"
    return DataError(
        "DAT-101",
        f"`{file.name}` holds no row that could be labelled (its columns: {listed})",
        where=Where(file=file.name),
        cause=drops_as_causes(drops),
        help='every row needs an input, for example {"input": "..."}; or name its column:'
        " -s data.columns.input=NAME",
    )
