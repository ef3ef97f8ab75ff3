"""Turn an open file into rows, one reader per type. A row that cannot be read says why.

Row numbers are the ones that people see in their tools: the line of a JSONL file, the row of a
spreadsheet for CSV and TSV (the heading is row 1), and the position of the item from 1 in JSON
and Parquet.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeAlias, cast

from pydantic import JsonValue

from freehold.core.errors import DataError, Where

INVALID_JSON = "invalid JSON"
NOT_AN_OBJECT = "not a JSON object"
NOT_UTF8 = "invalid UTF-8"
NOT_A_NUMBER = "NaN or infinity is no JSON number"
REPEATED_KEY = "the same key twice in one object"
HALF_CHARACTER = "half of a character (a lone surrogate)"
WRONG_CELLS = "more or fewer cells than the heading"
BAD_QUOTES = "text after a closing quote"
_BOM = "\ufeff"
_LONGEST_CELL = (
    1 << 30
)  # characters; the parser's own limit of 131,072 is less than a long document
_ROWS_OF_JSON = ("data", "examples", "rows", "items", "records")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read: its number, and its columns as JSON values."""

    number: int
    columns: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One row that cannot be read, and why. The reason names no value, so that it can be counted."""

    number: int
    reason: str


RowOrNot: TypeAlias = Row | Unreadable
RowReader: TypeAlias = Callable[[io.BufferedReader, str], Iterator[RowOrNot]]


class _RefusedJsonError(ValueError):
    """JSON that parses, but would be changed by parsing."""


def _refuse_constant(_: str) -> JsonValue:
    raise _RefusedJsonError(NOT_A_NUMBER)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _RefusedJsonError(NOT_A_NUMBER)
    return number


def _unique_keys(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    columns = dict(pairs)
    if len(columns) != len(pairs):
        raise _RefusedJsonError(REPEATED_KEY)
    return columns


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_float=_finite, parse_constant=_refuse_constant
)


def parse_json(text: str) -> JsonValue:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is no JSON, or reading it would change it (a repeated key, NaN, 1e999).
            The message is a reason for a drop.
    """
    try:
        value = cast(JsonValue, _DECODER.decode(text.strip(" \t\r\n")))
    except _RefusedJsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(INVALID_JSON) from error
    if "\\u" in text and _has_half_character(value):
        raise _RefusedJsonError(HALF_CHARACTER)
    return value


def _has_half_character(value: JsonValue) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _row(number: int, value: JsonValue) -> RowOrNot:
    if isinstance(value, dict):
        return Row(number, value)
    return Unreadable(number, NOT_AN_OBJECT)


def read_jsonl(stream: io.BufferedReader, _name: str) -> Iterator[RowOrNot]:
    """Yield the rows of JSON lines; blank lines are no rows."""
    return _json_lines(stream)


def _json_lines(lines: Iterable[bytes]) -> Iterator[RowOrNot]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _json_line(number, line)


def _json_line(number: int, line: bytes) -> RowOrNot:
    try:
        text = line.decode("utf-8")
        value = parse_json(text.removeprefix(_BOM) if number == 1 else text)
    except UnicodeDecodeError:
        return Unreadable(number, NOT_UTF8)
    except ValueError as error:
        return Unreadable(number, str(error))
    return _row(number, value)


def read_json(stream: io.BufferedReader, name: str) -> Iterator[RowOrNot]:
    """Yield the rows of a JSON list of objects, or of an object that holds one such list.

    A file of JSON lines that is called `.json` is read as what it is.

    Raises:
        DataError: the file is no UTF-8 or no JSON, or holds no list of rows (DAT-015).
    """
    content = stream.read()
    try:
        value = parse_json(content.decode("utf-8").removeprefix(_BOM))
    except UnicodeDecodeError as error:
        raise _damaged(name, f"`{name}` is not valid UTF-8 at byte {error.start}") from error
    except ValueError as error:
        if _looks_like_lines(content):
            return _json_lines(content.split(b"\n"))
        raise _damaged(name, f"`{name}` cannot be used: {error}", error.__cause__) from error
    return (_row(number, item) for number, item in enumerate(_rows_of(value, name), 1))


def _looks_like_lines(content: bytes) -> bool:
    lines = (line for line in content.split(b"\n") if line.strip())
    return isinstance(_json_line(1, next(lines, b"")), Row)


def _rows_of(value: JsonValue, name: str) -> list[JsonValue]:
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        lists = {key: item for key, item in value.items() if isinstance(item, list)}
        for key in _ROWS_OF_JSON:
            if key in lists:
                return lists[key]
        if not lists:
            return [value]  # one line of JSON lines
        if len(lists) == 1 and len(value) == 1:
            return next(iter(lists.values()))
    raise _damaged(name, f"`{name}` holds no list of rows")


def _damaged(name: str, message: str, cause: BaseException | None = None) -> DataError:
    return DataError(
        "DAT-015",
        message,
        where=Where(file=name),
        cause=(str(cause),) if cause else (),
        help='write a list of objects, [{"input": ..., "target": ...}], or one object a line',
    )


def read_csv(stream: io.BufferedReader, name: str) -> Iterator[RowOrNot]:
    """Yield the rows of comma-separated text, or semicolon-separated where the heading says so.

    Raises:
        DataError: the heading is unusable, or a quote is never closed (DAT-015).
    """
    heading = stream.peek(1 << 16)[: 1 << 16].split(b"\n", 1)[0].decode("utf-8", "replace")
    separator = max(",;\t|", key=lambda mark: (heading.count(mark) > 0, mark == ","))
    return _separated(stream, name, separator)


def read_tsv(stream: io.BufferedReader, name: str) -> Iterator[RowOrNot]:
    """Yield the rows of tab-separated text.

    Raises:
        DataError: the heading is unusable, or a quote is never closed (DAT-015).
    """
    return _separated(stream, name, "\t")


def _separated(stream: io.BufferedReader, name: str, separator: str) -> Iterator[RowOrNot]:
    # The limit belongs to the whole process; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    lines = (line.decode("utf-8", "surrogateescape") for line in stream)
    cells = csv.reader(_without_bom(lines), delimiter=separator, strict=True)
    heading: tuple[str, ...] = ()
    number = 0
    while True:
        opened_at = cells.line_num + 1
        try:
            row = next(cells)
        except StopIteration:
            return
        except csv.Error as error:
            if not heading or "unexpected end" in str(error):
                raise _bad_quotes(name, opened_at) from error
            number += 1
            yield Unreadable(number, BAD_QUOTES)
            continue
        number += 1
        if heading and row:
            yield _cells_row(number, heading, row)
        elif row:
            heading = _heading(row, name)


def _without_bom(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield line.removeprefix(_BOM) if number == 0 else line


def _bad_quotes(name: str, line: int) -> DataError:
    return DataError(
        "DAT-015",
        f"a quoted cell of `{name}` is not closed, so that the rest cannot be divided into rows",
        where=Where(file=name, line=line),
        help='close the quote; a quote inside a quoted cell is written twice: ""',
    )


def _heading(cells: list[str], name: str) -> tuple[str, ...]:
    heading = tuple(cell.strip() or f"column_{n}" for n, cell in enumerate(cells, 1))
    repeated = sorted({cell for cell in heading if heading.count(cell) > 1})
    if repeated:
        raise DataError(
            "DAT-015",
            f"the heading of `{name}` names the column `{repeated[0]}` more than once",
            where=Where(file=name, line=1),
            help="give every column its own name",
        )
    return heading


def _cells_row(number: int, heading: tuple[str, ...], cells: list[str]) -> RowOrNot:
    if len(cells) != len(heading):
        return Unreadable(number, WRONG_CELLS)
    try:
        "".join(cells).encode("utf-8")
    except UnicodeEncodeError:
        return Unreadable(number, NOT_UTF8)
    return Row(number, dict(zip(heading, cells, strict=True)))


def read_parquet(stream: io.BufferedReader, name: str) -> Iterator[RowOrNot]:
    """Yield the rows of a Parquet file.

    Times become ISO 8601 text, decimals their digits; columns of bytes are not read. A NaN is a
    missing value, as pandas writes it.

    Raises:
        DataError: the file is damaged (DAT-005).
    """
    import pyarrow.parquet  # here, because it is slow to load and seldom needed

    arrow_error = cast("type[Exception]", vars(pyarrow)["ArrowException"])
    try:
        file = cast("_ParquetFile", pyarrow.parquet.ParquetFile(io.BytesIO(stream.read())))
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for columns in batch.to_pylist():
                number += 1
                yield _parquet_row(number, columns)
    except (arrow_error, OSError, ValueError, MemoryError) as error:
        raise DataError(
            "DAT-005",
            f"`{name}` is no Parquet file, or it is damaged",
            where=Where(file=name),
            cause=(str(error).split("\n", 1)[0],),
            help="make or download it again",
        ) from error


class _Batch(Protocol):
    def to_pylist(self) -> list[dict[str, object]]: ...


class _ParquetFile(Protocol):
    def iter_batches(self, *, batch_size: int) -> Iterator[_Batch]: ...


def _parquet_row(number: int, columns: Mapping[str, object]) -> RowOrNot:
    try:
        return Row(
            number,
            {
                key: _json_value(value)
                for key, value in columns.items()
                if not isinstance(value, bytes)
            },
        )
    except _RefusedJsonError as error:
        return Unreadable(number, str(error))


def _json_value(value: object) -> JsonValue:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _json_number(value)
    if isinstance(value, dict):
        return {str(k): _json_value(v) for k, v in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in cast("Iterable[object]", value)]
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | datetime.timedelta) else None


def _json_number(value: float) -> JsonValue:
    if math.isinf(value):
        raise _RefusedJsonError(NOT_A_NUMBER)
    return None if math.isnan(value) else value


READERS: Mapping[str, RowReader] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
}
