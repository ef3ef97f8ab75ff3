"""Turn an open file into rows, one reader per type. A row that cannot be read says why.

Row numbers are the ones that people see in their tools: the line of a JSONL file, the row of a
spreadsheet for CSV and TSV (the heading is row 1), and the position of the item from 1 in JSON,
Parquet and Arrow. Files are read piece by piece; `Limits` bounds what one row may ask for.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias, cast

from pydantic import JsonValue

from freehold.core.errors import DataError, Where
from freehold.data.files import read_whole
from freehold.data.limits import LIMITS, Limits

INVALID_JSON = "invalid JSON"
NOT_AN_OBJECT = "not a JSON object"
NOT_UTF8 = "invalid UTF-8"
NOT_A_NUMBER = "NaN or infinity is no JSON number"
REPEATED_KEY = "the same key twice in one object"
HALF_CHARACTER = "half of a character (a lone surrogate)"
WRONG_CELLS = "more or fewer cells than the heading"
BAD_QUOTES = "text after a closing quote"
TOO_LONG = "longer than a row may be"
TOO_DEEP = "objects or lists inside each other deeper than a row may be"
HUGE_NUMBER = "a number with more than 4,300 digits"
ZERO_BYTE = "a zero byte"
_BOM = "\ufeff"
_ROWS_OF_JSON = ("data", "examples", "rows", "items", "records", "tests")
_CHUNK_BYTES = 1 << 20
_BLANK = " \t\r\n"


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
RowReader: TypeAlias = Callable[[io.BufferedReader, str, Limits], Iterator[RowOrNot]]


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
_LENIENT = json.JSONDecoder(parse_int=str, parse_float=str)  # finds where any value ends


def parse_json(text: str, *, depth: int = LIMITS.depth) -> JsonValue:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is no JSON, reading it would change it (a repeated key, NaN, 1e999), or it is
            nested deeper than `depth`. The message is a reason for a drop.
    """
    try:
        value = cast(JsonValue, _DECODER.decode(text.strip(_BLANK)))
    except (_RefusedJsonError, json.JSONDecodeError, RecursionError, ValueError) as error:
        reason = _reason(error)
        raise ValueError(reason) from (None if reason != INVALID_JSON else error)
    _refuse_odd(text, value, depth)
    return value


def _reason(error: Exception) -> str:
    """Return the reason for a drop that an error of the JSON decoder stands for."""
    match error:
        case _RefusedJsonError():
            return str(error)
        case json.JSONDecodeError():
            return INVALID_JSON
        case RecursionError():
            return TOO_DEEP
        case _:  # Python turns no text of more than 4,300 digits into a number
            return HUGE_NUMBER


def _refuse_odd(text: str, value: JsonValue, depth: int) -> None:
    """Refuse what JSON allows and nothing behind can hold: halves of characters, and deep nesting."""
    if text.count("{") + text.count("[") > depth and _is_deeper(value, depth):
        raise _RefusedJsonError(TOO_DEEP)
    if "\\u" in text and _has_half_character(value):
        raise _RefusedJsonError(HALF_CHARACTER)


def _is_deeper(value: JsonValue, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        below = (item for item in level if isinstance(item, dict | list))
        level = [x for item in below for x in (item.values() if isinstance(item, dict) else item)]
        if not level:
            return False
    return True


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


# JSON lines ----------------------------------------------------------------------------------


def read_jsonl(
    stream: io.BufferedReader, _name: str, limits: Limits = LIMITS
) -> Iterator[RowOrNot]:
    """Yield the rows of JSON lines; blank lines are no rows."""
    return _json_lines(lines_of(stream, limits), limits)


def lines_of(stream: io.BufferedReader, limits: Limits) -> Iterator[bytes | None]:
    """Yield the lines of a stream; None for a line that is too long, which is passed over."""
    longest = limits.line_bytes
    while line := stream.readline(longest + 1):
        if len(line) <= longest or line.endswith(b"\n"):
            yield line
            continue
        while (more := stream.readline(_CHUNK_BYTES)) and not more.endswith(b"\n"):
            pass
        yield None


def _json_lines(
    lines: Iterable[bytes | None], limits: Limits, *, start: int = 1
) -> Iterator[RowOrNot]:
    for number, line in enumerate(lines, start):
        if line is None:
            yield Unreadable(number, TOO_LONG)
        elif line.strip():
            yield json_line(number, line, depth=limits.depth)


def json_line(number: int, line: bytes, *, depth: int = LIMITS.depth) -> RowOrNot:
    """Return the row of one line of JSON lines."""
    try:
        text = line.decode("utf-8")
        value = parse_json(text.removeprefix(_BOM) if number == 1 else text, depth=depth)
    except UnicodeDecodeError:
        return Unreadable(number, NOT_UTF8)
    except ValueError as error:
        return Unreadable(number, str(error))
    return _row(number, value)


# JSON ----------------------------------------------------------------------------------------


def read_json(stream: io.BufferedReader, name: str, limits: Limits = LIMITS) -> Iterator[RowOrNot]:
    """Yield the rows of a JSON list of objects, or of an object that holds one such list.

    A list is read piece by piece, an object whole. A file of JSON lines that is called `.json` is read
    as what it is.

    Raises:
        DataError: the file is no UTF-8 or no JSON, or holds no list of rows (DAT-015), or is an object
            that is too large (DAT-040).
    """
    start = stream.peek(4096)[:4096].removeprefix(_BOM.encode()).lstrip()
    if start.startswith(b"["):
        return _items(_Pieces(stream, name), limits)
    blanks, first = 0, stream.readline(limits.whole_bytes + 1)
    while first and not first.removeprefix(_BOM.encode()).strip():
        blanks, first = blanks + 1, stream.readline(limits.whole_bytes + 1)
    head = first.removeprefix(_BOM.encode())
    more = stream.peek(1)[:1]
    if more and isinstance(json_line(0, head), Row):
        lines = chain((head,), lines_of(stream, limits))
        return _several_lines(lines, name, limits, start=blanks + 1)
    return _wrapped(read_whole(stream, name, limits, before=head), name, limits)


def _several_lines(
    lines: Iterator[bytes | None], name: str, limits: Limits, *, start: int
) -> Iterator[RowOrNot]:
    """Yield the rows of JSON lines, or of the list in the one object that is all of the file."""
    first, second = next(lines), next((line for line in lines if line is None or line.strip()), b"")
    if second == b"" and first is not None:
        yield from _wrapped(first, name, limits)
        return
    yield from _json_lines(chain((first, second), lines), limits, start=start)


def _wrapped(content: bytes, name: str, limits: Limits) -> Iterator[RowOrNot]:
    try:
        value = parse_json(content.decode("utf-8"), depth=limits.depth)
    except UnicodeDecodeError as error:
        raise _damaged(name, f"`{name}` is not valid UTF-8 at byte {error.start}") from error
    except ValueError as error:
        raise _damaged(name, f"`{name}` cannot be used: {error}", error.__cause__) from error
    return (_row(number, item) for number, item in enumerate(_rows_of(value, name), 1))


class _Pieces:
    """The text of a stream, of which only the piece at hand is held in memory."""

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        self.text = ""
        self.name = name
        self.is_whole = False
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def skip_blank(self, at: int) -> int:
        """Return the position of the next character that is no white space, reading on as needed."""
        while True:
            while at < len(self.text) and self.text[at] in _BLANK:
                at += 1
            if at < len(self.text) or self.is_whole:
                return at
            at = self.read_on(at)

    def read_on(self, at: int) -> int:
        """Let go of the text before `at`, read another piece, and return where `at` is now."""
        chunk = self._stream.read(_CHUNK_BYTES)
        self.is_whole = not chunk
        try:
            self.text = self.text[at:] + self._decoder.decode(chunk, final=self.is_whole)
        except UnicodeDecodeError as error:
            raise _damaged(self.name, f"`{self.name}` is not valid UTF-8") from error
        return 0


def _items(pieces: _Pieces, limits: Limits) -> Iterator[RowOrNot]:
    """Yield the items of a JSON list."""
    number, at = 0, pieces.skip_blank(0) + 1
    while True:
        at = pieces.skip_blank(at)
        mark = pieces.text[at : at + 1]
        if mark == "]":
            if pieces.skip_blank(at + 1) < len(pieces.text):
                raise _broken_list(pieces.name, number, "there is something after the list")
            return
        if number:
            if mark != ",":
                raise _broken_list(pieces.name, number, "`,` or `]` is missing after the item")
            at = pieces.skip_blank(at + 1)
        number += 1
        row, at = _item(pieces, at, number=number, limits=limits)
        yield row


def _item(pieces: _Pieces, at: int, *, number: int, limits: Limits) -> tuple[RowOrNot, int]:
    """Return the item that starts at `at`, and where it ends."""
    while True:
        try:
            _, end = _LENIENT.raw_decode(pieces.text, at)
        except (ValueError, RecursionError) as error:
            if isinstance(error, json.JSONDecodeError) and not pieces.is_whole:
                end = len(pieces.text)
            else:
                raise _broken_list(pieces.name, number, _reason(error)) from error
        if end < len(pieces.text) or pieces.is_whole:
            break
        if end - at > limits.line_bytes:
            raise _broken_list(pieces.name, number, TOO_LONG)
        at = pieces.read_on(at)
    try:
        return _row(number, parse_json(pieces.text[at:end], depth=limits.depth)), end
    except ValueError as error:
        return Unreadable(number, str(error)), end


def _broken_list(name: str, number: int, reason: str) -> DataError:
    return DataError(
        "DAT-015",
        f"the list in `{name}` cannot be divided into rows: item {number:,}: {reason}",
        where=Where(file=name, row=number),
        help='write a list of objects, [{"input": ..., "target": ...}], or one object a line',
    )


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


# Separated text ------------------------------------------------------------------------------


def read_csv(stream: io.BufferedReader, name: str, limits: Limits = LIMITS) -> Iterator[RowOrNot]:
    """Yield the rows of comma-separated text, or semicolon-separated where the heading says so.

    Cells are text as they stand: a formula is never computed, a number never rounded.

    Raises:
        DataError: the heading is unusable, or a quote is never closed (DAT-015).
    """
    heading = stream.peek(1 << 16)[: 1 << 16].split(b"\n", 1)[0].decode("utf-8", "replace")
    separator = max(",;\t|", key=lambda mark: (heading.count(mark) > 0, mark == ","))
    return _separated(_CsvLines(stream, limits), name, separator)


def read_tsv(stream: io.BufferedReader, name: str, limits: Limits = LIMITS) -> Iterator[RowOrNot]:
    """Yield the rows of tab-separated text.

    Raises:
        DataError: the heading is unusable, or a quote is never closed (DAT-015).
    """
    return _separated(_CsvLines(stream, limits), name, "\t")


class _CsvLines:
    """The lines of a separated text; one that is too long is blank here, and noted in `too_long`."""

    def __init__(self, stream: io.BufferedReader, limits: Limits) -> None:
        self._lines = enumerate(lines_of(stream, limits), 1)
        self.longest_cell = limits.line_bytes
        self.too_long: set[int] = set()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        if line is None:
            self.too_long.add(number)
            return "\n"
        text = line.decode("utf-8", "surrogateescape")
        return text.removeprefix(_BOM) if number == 1 else text


def _separated(lines: _CsvLines, name: str, separator: str) -> Iterator[RowOrNot]:
    cells = csv.reader(lines, delimiter=separator, strict=True)
    heading: tuple[str, ...] = ()
    number = 0
    while True:
        opened_at = cells.line_num + 1
        # The limit belongs to the whole process; the parser's own is less than a long document.
        csv.field_size_limit(lines.longest_cell)
        try:
            row = next(cells)
        except StopIteration:
            return
        except csv.Error as error:
            if not heading or "unexpected end" in str(error) or "field larger" in str(error):
                raise _bad_quotes(name, opened_at, error) from error
            number += 1
            yield Unreadable(number, BAD_QUOTES)
            continue
        number += 1
        if lines.too_long and not lines.too_long.isdisjoint(range(opened_at, cells.line_num + 1)):
            if not heading:
                raise _bad_quotes(name, opened_at, None)
            yield Unreadable(number, TOO_LONG)
        elif heading and row:
            yield _cells_row(number, heading, row)
        elif row:
            heading = _heading(row, name)


def _bad_quotes(name: str, line: int, error: Exception | None) -> DataError:
    if error is None:
        what, way_out = "the heading is longer than a row may be", "check that it is CSV"
    elif "new-line" in str(error):
        what = "its lines end in a carriage return alone"
        way_out = "save it again with line ends of Windows or Unix"
    else:
        what = "a quoted cell is not closed, so that the rest cannot be divided into rows"
        way_out = 'close the quote; a quote inside a quoted cell is written twice: ""'
    return DataError(
        "DAT-015",
        f"`{name}` cannot be read from line {line:,} on: {what}",
        where=Where(file=name, line=line),
        help=way_out,
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
    whole = "".join(cells)
    if "\0" in whole:
        return Unreadable(number, ZERO_BYTE)
    try:
        whole.encode("utf-8")
    except UnicodeEncodeError:
        return Unreadable(number, NOT_UTF8)
    return Row(number, dict(zip(heading, cells, strict=True)))
