"""Turn Parquet and Arrow files into rows, a batch at a time.

Times become ISO 8601 text, decimals their digits; columns of bytes are not read. A NaN is a missing value,
as pandas writes it. What a file says of its own sizes is checked before a value is looked at.
"""

from __future__ import annotations

import datetime
import io
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from operator import attrgetter
from typing import Protocol, cast

from pydantic import JsonValue

from freehold.core.errors import DataError, Where
from freehold.data.files import read_whole
from freehold.data.limits import LIMITS, Limits
from freehold.data.rows import (
    HALF_CHARACTER,
    NOT_A_NUMBER,
    NOT_UTF8,
    TOO_DEEP,
    TOO_LONG,
    Row,
    RowOrNot,
    Unreadable,
)

ODD_VALUE = "a value that Python cannot hold, such as a year after 9999"
_ARROW_FILE_START = b"ARROW1"
_ROWS_AT_ONCE = 1024


class _Batch(Protocol):
    num_rows: int
    nbytes: int

    def to_pylist(self) -> list[dict[str, object]]: ...
    def slice(self, offset: int, length: int) -> _Batch: ...
    def validate(self, *, full: bool) -> None: ...


class _Schema(Protocol):
    names: list[str]


class _ParquetFile(Protocol):
    schema_arrow: _Schema

    def iter_batches(self, *, batch_size: int) -> Iterator[_Batch]: ...


class _Arrow(Protocol):
    schema: _Schema
    num_record_batches: int

    def get_batch(self, number: int) -> _Batch: ...
    def __iter__(self) -> Iterator[_Batch]: ...


class _RefusedValueError(ValueError):
    """A value that JSON does not have; the message is a reason for a drop."""


def read_parquet(
    stream: io.BufferedReader, name: str, limits: Limits = LIMITS
) -> Iterator[RowOrNot]:
    """Yield the rows of a Parquet file.

    Raises:
        DataError: the file is damaged (DAT-005), two columns share a name (DAT-015), or it is packed
            and too large to be unpacked in memory (DAT-040).
    """
    import pyarrow.parquet  # here, because it is slow to load and seldom needed

    with _damage(name, "Parquet"):
        source = _seekable(stream, name, limits)
        file = cast("_ParquetFile", pyarrow.parquet.ParquetFile(source))
        _refuse_repeated(file.schema_arrow.names, name)
        yield from _rows(file.iter_batches(batch_size=_ROWS_AT_ONCE), limits)


def read_arrow(stream: io.BufferedReader, name: str, limits: Limits = LIMITS) -> Iterator[RowOrNot]:
    """Yield the rows of an Arrow file: the file format, which is also Feather's, or the stream format.

    Raises:
        DataError: as `read_parquet`.
    """
    import pyarrow as arrow

    with _damage(name, "Arrow"):
        if stream.peek(8)[:6] == _ARROW_FILE_START:
            open_file = cast("Callable[[object], _Arrow]", attrgetter("ipc.open_file")(arrow))
            file = open_file(_seekable(stream, name, limits))
            batches = (file.get_batch(number) for number in range(file.num_record_batches))
        else:
            open_stream = cast("Callable[[object], _Arrow]", attrgetter("ipc.open_stream")(arrow))
            file = open_stream(stream)
            batches = iter(file)
        _refuse_repeated(file.schema.names, name)
        yield from _rows(batches, limits)


@contextmanager
def _damage(name: str, type_: str) -> Generator[None]:
    """Turn what Arrow raises on a damaged file into an error of the data."""
    import pyarrow as arrow

    arrow_error = cast("type[Exception]", vars(arrow)["ArrowException"])
    try:
        yield
    except (arrow_error, OSError, ValueError, OverflowError, MemoryError, EOFError) as error:
        cause = str(error).split("\n", 1)[0]
        raise DataError(
            "DAT-005",
            f"`{name}` is no {type_} file, or it is damaged",
            where=Where(file=name),
            cause=(cause,) if cause else (),
            help="make or download it again",
        ) from error


def _seekable(stream: io.BufferedReader, name: str, limits: Limits) -> io.BufferedIOBase:
    """Return the stream itself where it is a file; one that is packed is unpacked into memory."""
    if isinstance(stream.raw, io.FileIO | io.BytesIO):
        return stream
    return io.BytesIO(read_whole(stream, name, limits))


def _refuse_repeated(names: list[str], name: str) -> None:
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        raise DataError(
            "DAT-015",
            f"`{name}` has more than one column `{repeated[0]}`",
            where=Where(file=name),
            help="give every column its own name",
        )


def _rows(batches: Iterable[_Batch], limits: Limits) -> Iterator[RowOrNot]:
    number = 0
    for whole in batches:
        whole.validate(full=True)
        for start in range(0, whole.num_rows, _ROWS_AT_ONCE):
            batch = whole.slice(start, _ROWS_AT_ONCE)
            for columns in _columns_of(batch):
                number += 1
                yield _row(number, columns, limits)


def _columns_of(batch: _Batch) -> Iterator[dict[str, object] | str]:
    """Yield the columns of each row, or the reason why a row cannot be read."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError) as error:
        if batch.num_rows == 1:
            yield NOT_UTF8 if isinstance(error, UnicodeDecodeError) else ODD_VALUE
            return
        for number in range(batch.num_rows):
            yield from _columns_of(batch.slice(number, 1))


def _row(number: int, columns: Mapping[str, object] | str, limits: Limits) -> RowOrNot:
    if isinstance(columns, str):
        return Unreadable(number, columns)
    try:
        values = {
            key: _json_value(value, limits)
            for key, value in columns.items()
            if not isinstance(value, bytes)
        }
    except _RefusedValueError as error:
        return Unreadable(number, str(error))
    except RecursionError:
        return Unreadable(number, TOO_DEEP)
    return Row(number, values)


def _json_value(value: object, limits: Limits) -> JsonValue:
    match value:
        case str():
            return _text(value, limits)
        case None | bool() | int():
            return value
        case float():
            return _json_number(value)
        case dict():
            items = cast("dict[object, object]", value).items()
            return {str(key): _json_value(item, limits) for key, item in items}
        case list() | tuple():
            return [_json_value(item, limits) for item in cast("Iterable[object]", value)]
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value) if isinstance(value, Decimal | datetime.timedelta) else None


def _text(value: str, limits: Limits) -> str:
    if len(value) > limits.line_bytes:
        raise _RefusedValueError(TOO_LONG)
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise _RefusedValueError(HALF_CHARACTER)
    return value


def _json_number(value: float) -> JsonValue:
    if math.isinf(value):
        raise _RefusedValueError(NOT_A_NUMBER)
    return None if math.isnan(value) else value
