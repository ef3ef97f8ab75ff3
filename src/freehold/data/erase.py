"""Find rows of a person in files, and take them out: every other row stays byte for byte as it was.

JSON lines, CSV, TSV and JSON keep the bytes of all other rows, and a packed file is packed again. Parquet
has no such thing: it is written anew with its schema, metadata and compression. Text documents lose the
paragraphs that hold the text. Nothing here writes: what a file becomes is returned.
"""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, cast

import zstandard
from pydantic import JsonValue

from freehold.core.errors import DataError, Where
from freehold.core.snapshot import Example
from freehold.data.derived import ORIGIN_COLUMN, origin_of
from freehold.data.files import DataFile, open_file
from freehold.data.limits import LIMITS
from freehold.data.readers import READERS
from freehold.data.rows import Row
from freehold.data.slices import columns_of, compile_condition

Holds: TypeAlias = Callable[[Example], bool]
Span: TypeAlias = tuple[int, int]
Renumber: TypeAlias = Mapping[str, Collection[int]]
"""The rows that were taken out, by source: later rows of that source move up."""
_GZIP_START = b"\x1f\x8b"
_ZSTD_START = b"\x28\xb5\x2f\xfd"
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_PLAIN = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_BLANK_LINES = re.compile(rb"(?:\r?\n[ \t]*){2,}")


@dataclass(frozen=True)
class Wanted:
    """Whose rows: those that hold a text, the one with an id, or those of a condition."""

    kind: Literal["match", "id", "filter"]
    text: str

    def holds(self, examples: Sequence[Example]) -> Holds:
        """Return the test that says of an example whether it is wanted.

        Raises:
            DataError: the condition cannot be computed for these examples (DAT-013).
        """
        if self.kind == "id":
            return lambda example: example.id == self.text
        if self.kind == "filter":
            return compile_condition(self.text, columns=columns_of(examples))
        needle = folded(self.text)
        return lambda example: any(needle in folded(text) for text in texts_of_example(example))


def folded(text: str) -> str:
    """Return text as it is compared: in one case and one Unicode form, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def texts_of_example(example: Example) -> Iterator[str]:
    """Yield every text of an example, with its id and its other columns."""
    yield from (example.id, example.input, *example.fields.values())
    yield from texts_of_value(example.target)
    yield from (turn.content for turn in example.history)
    yield from (text for text in (example.context, example.group) if text is not None)
    if example.origin is not None:
        yield from example.origin.steps


def texts_of_value(value: JsonValue) -> Iterator[str]:
    """Yield every text in a JSON value; numbers as their digits."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts_of_value(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of_value(inner)
    elif value is not None and not isinstance(value, bool):
        yield json.dumps(value)


def readings_of(content: bytes) -> Iterator[str]:
    """Yield what bytes may say as text, folded: as they are, and with JSON or HTML escapes undone."""
    text = content.decode("utf-8", "replace")
    yield folded(text)
    if "\\" in text:
        yield folded(_ESCAPE.sub(_unescaped, text))
    if "&" in text:
        yield folded(html.unescape(text))
    if '""' in text:
        yield folded(text.replace('""', '"'))


def _unescaped(found: re.Match[str]) -> str:
    code, plain = found.groups()
    return chr(int(code, 16)) if code else _PLAIN[plain]


# Rows of a file ------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileContent:
    """A file that was read whole: its unpacked bytes, its type, its packing, and its digest as it lies."""

    file: DataFile
    content: bytes
    suffix: str
    packing: str
    sha256: str


@dataclass(frozen=True)
class RawRow:
    """One row as it stands in a file; `columns` is None where it cannot be read."""

    number: int
    columns: Mapping[str, JsonValue] | None
    content: bytes

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text of the row: of its columns where it can be read, else all of it."""
        if self.columns is None:
            return tuple(readings_of(self.content))
        return tuple(texts_of_value(dict(self.columns)))


def read_whole(file: DataFile) -> FileContent:
    """Read a file as a whole.

    Raises:
        DataError: it cannot be read or unpacked.
    """
    packing = file.packing
    if file.path is not None and not packing:
        start = file.path.read_bytes()[:4]
        packing = ".gz" if start.startswith(_GZIP_START) else ""
        packing = ".zst" if start == _ZSTD_START else packing
    with open_file(file) as opened:
        content = opened.stream.read()
        return FileContent(file, content, opened.suffix, packing, opened.sha256)


def raw_rows(whole: FileContent) -> tuple[RawRow, ...]:
    """Return every row of a file with its number and its bytes.

    Raises:
        DataError: the file cannot be divided into rows.
    """
    stream: io.BufferedReader = io.BufferedReader(io.BytesIO(whole.content))
    spans = spans_of(whole)
    rows: list[RawRow] = []
    for row in READERS[whole.suffix](stream, whole.file.name, LIMITS):
        start, end = spans.get(row.number, (0, 0))
        columns = row.columns if isinstance(row, Row) else None
        rows.append(RawRow(row.number, columns, whole.content[start:end]))
    return tuple(rows)


def spans_of(whole: FileContent) -> Mapping[int, Span]:
    """Return where each row stands in the unpacked bytes; nothing for Parquet."""
    match whole.suffix:
        case ".jsonl" | ".ndjson":
            return _lines(whole.content)
        case ".csv" | ".tsv":
            return _records(whole.content, whole.suffix)
        case ".json":
            found = _items(whole.content)
            return _lines(whole.content) if found is None else found
        case _:
            return {}


def without_rows(
    whole: FileContent, rows: Collection[int], *, renumber: Renumber | None = None
) -> bytes:
    """Return the bytes of the file, packed as it was, without these rows.

    Args:
        whole: the file.
        rows: the numbers to take out.
        renumber: for a file that Freehold wrote: gives the origins of its rows their new row numbers.

    Raises:
        DataError: the file is of a type that cannot be rewritten (DAT-085).
    """
    if whole.suffix == ".parquet":
        return _parquet_without(whole, rows)
    content = _without(whole, rows)
    if renumber is not None:
        content = _renumbered(content, renumber)
    return _packed(content, whole.packing)


def _without(whole: FileContent, rows: Collection[int]) -> bytes:
    spans = spans_of(whole)
    if not spans:
        raise DataError(
            "DAT-085",
            f"rows cannot be taken out of `{whole.file.name}`",
            where=Where(file=whole.file.name),
            help="take them out by hand, or save it as JSON lines, and run the same command again",
        )
    gone = [spans[row] for row in sorted(rows) if row in spans]
    if whole.suffix == ".json" and _items(whole.content) is not None:
        gone = _with_commas(spans, rows)
    kept: list[bytes] = []
    place = 0
    for start, end in gone:
        kept.append(whole.content[place:start])
        place = end
    kept.append(whole.content[place:])
    return b"".join(kept)


def _lines(content: bytes) -> dict[int, Span]:
    spans: dict[int, Span] = {}
    place = 0
    for number, line in enumerate(_split(content), 1):
        spans[number] = (place, place + len(line))
        place += len(line)
    return spans


def _split(content: bytes) -> Iterator[bytes]:
    """Yield lines with their ends; only a line feed ends one, as for the readers."""
    yield from io.BytesIO(content)


def _records(content: bytes, suffix: str) -> dict[int, Span]:
    """Return the lines of every record of separated text; a quoted cell may hold line ends."""
    lines = list(_split(content))
    heading = lines[0].decode("utf-8", "replace") if lines else ""
    separator = "\t"
    if suffix == ".csv":
        separator = max(",;\t|", key=lambda mark: (heading.count(mark) > 0, mark == ","))
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    cells = csv.reader(
        (line.decode("utf-8", "surrogateescape") for line in lines),
        delimiter=separator,
        strict=True,
    )
    spans: dict[int, Span] = {}
    number, before = 0, 0
    while True:
        try:
            next(cells)
        except StopIteration:
            return spans
        except csv.Error:
            pass  # the reader says why; here only the lines of the row are wanted
        number += 1
        spans[number] = (starts[before], starts[cells.line_num])
        before = cells.line_num


def _items(content: bytes) -> dict[int, Span] | None:
    """Return where the items of the list of rows stand in a JSON file; None for JSON lines."""
    text = content.decode("utf-8", "surrogateescape")
    scan = _Scan(text)
    try:
        places = scan.rows()
    except (ValueError, IndexError, RecursionError):
        return None
    spans: dict[int, Span] = {}
    offset, at = 0, 0
    for number, (start, end) in enumerate(places, 1):
        offset += len(text[at:start].encode("utf-8", "surrogateescape"))
        size = len(text[start:end].encode("utf-8", "surrogateescape"))
        spans[number] = (offset, offset + size)
        offset, at = offset + size, end
    return spans


class _Scan:
    """Walk through JSON text by its own parser, to know where values begin and end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._decoder = json.JSONDecoder()

    def rows(self) -> list[Span]:
        """Return the places of the items of the list of rows.

        Raises:
            ValueError: this is no JSON with a list of rows.
        """
        start = self._skip(1 if self._text.startswith("\ufeff") else 0)
        if self._text[start] == "[":
            return self._list(start)[0]
        if self._text[start] != "{":
            raise ValueError("no list of rows")
        lists, end = self._lists(start)
        if self._skip(end) < len(self._text):
            raise ValueError("more than one value: JSON lines")
        for name in ("data", "examples", "rows", "items", "records"):
            if name in lists:
                return lists[name]
        return next(iter(lists.values())) if lists else [(start, end)]

    def _lists(self, place: int) -> tuple[dict[str, list[Span]], int]:
        lists: dict[str, list[Span]] = {}
        place = self._skip(place + 1)
        while self._text[place] != "}":
            key, place = self._value(place)
            place = self._skip(self._skip(place) + 1)
            if self._text[place] == "[":
                lists[str(key)], place = self._list(place)
            else:
                _, place = self._value(place)
            place = self._skip(place)
            if self._text[place] == ",":
                place = self._skip(place + 1)
        return lists, place + 1

    def _list(self, place: int) -> tuple[list[Span], int]:
        spans: list[Span] = []
        place = self._skip(place + 1)
        while self._text[place] != "]":
            _, end = self._value(place)
            spans.append((place, end))
            place = self._skip(end)
            if self._text[place] == ",":
                place = self._skip(place + 1)
        return spans, place + 1

    def _value(self, place: int) -> tuple[object, int]:
        return cast("tuple[object, int]", self._decoder.raw_decode(self._text, place))

    def _skip(self, place: int) -> int:
        while place < len(self._text) and self._text[place] in " \t\r\n":
            place += 1
        return place


def _with_commas(spans: Mapping[int, Span], rows: Collection[int]) -> list[Span]:
    """Return what to cut out of a JSON list, so that commas stay between the items that are left."""
    kept = [number for number in sorted(spans) if number not in rows]
    numbers = sorted(spans)
    if not kept:
        return [(spans[numbers[0]][0], spans[numbers[-1]][1])]
    cuts: list[Span] = []
    for number in sorted(rows):
        if number not in spans:
            continue
        after = [other for other in kept if other > number]
        if after:
            cuts.append((spans[number][0], spans[number + 1][0]))
        else:
            cuts.append((spans[number - 1][1], spans[number][1]))
    return cuts


def _packed(content: bytes, packing: str) -> bytes:
    if packing == ".gz":
        return gzip.compress(content, mtime=0)
    if packing == ".zst":
        return zstandard.ZstdCompressor().compress(content)
    return content


# Files that Freehold wrote ----------------------------------------------------------------------


def _renumbered(content: bytes, removed: Renumber) -> bytes:
    lines: list[bytes] = []
    for line in _split(content):
        lines.append(_renumbered_line(line, removed))
    return b"".join(lines)


def _renumbered_line(line: bytes, removed: Renumber) -> bytes:
    try:
        columns = cast(JsonValue, json.loads(line))
    except ValueError:
        return line
    origin = origin_of(columns.get(ORIGIN_COLUMN)) if isinstance(columns, dict) else None
    if not isinstance(columns, dict) or origin is None or origin.source not in removed:
        return line
    before = sum(row < origin.row for row in removed[origin.source])
    if not before:
        return line
    moved = origin.model_copy(update={"row": origin.row - before})
    end = b"\r\n" if line.endswith(b"\r\n") else b"\n" if line.endswith(b"\n") else b""
    text = json.dumps({**columns, ORIGIN_COLUMN: moved.to_json()}, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass") + end


# Documents -----------------------------------------------------------------------------------


def paragraphs_with(content: bytes, needle: str) -> tuple[int, ...]:
    """Return the lines at which paragraphs begin that hold the text; paragraphs end at an empty line."""
    return tuple(
        content.count(b"\n", 0, start) + 1
        for start, end in _paragraphs(content)
        if any(needle in text for text in readings_of(content[start:end]))
    )


def without_paragraphs(content: bytes, lines: Collection[int]) -> bytes:
    """Return a document without the paragraphs that begin at these lines."""
    kept: list[bytes] = []
    spans = _paragraphs(content)
    edges = [start for start, _ in spans] + [len(content)]
    if not spans:
        return content
    kept.append(content[: spans[0][0]])
    for place, (start, _) in enumerate(spans):
        if content.count(b"\n", 0, start) + 1 not in lines:
            kept.append(content[start : edges[place + 1]])
    return b"".join(kept)


def _paragraphs(content: bytes) -> list[Span]:
    spans: list[Span] = []
    place = 0
    for blank in _BLANK_LINES.finditer(content):
        if content[place : blank.start()].strip():
            spans.append((place, blank.start()))
        place = blank.end()
    if content[place:].strip():
        spans.append((place, len(content)))
    return spans


# Parquet -------------------------------------------------------------------------------------


def _parquet_without(whole: FileContent, rows: Collection[int]) -> bytes:
    import pyarrow.parquet

    library = cast("_Library", pyarrow.parquet)
    file = library.ParquetFile(io.BytesIO(whole.content))
    table = file.read()
    gone = {row - 1 for row in rows}
    kept = table.take([place for place in range(table.num_rows) if place not in gone])
    written = io.BytesIO()
    library.write_table(
        kept,
        written,
        compression=_compression(file.metadata),
        row_group_size=_group_size(file.metadata),
    )
    return _packed(written.getvalue(), whole.packing)


def _compression(metadata: _Metadata) -> str:
    if not metadata.num_row_groups or not metadata.num_columns:
        return "snappy"
    name = metadata.row_group(0).column(0).compression
    return "none" if name == "UNCOMPRESSED" else name.lower()


def _group_size(metadata: _Metadata) -> int | None:
    return metadata.row_group(0).num_rows or None if metadata.num_row_groups else None


class _Table(Protocol):
    num_rows: int

    def take(self, places: Sequence[int]) -> _Table: ...


class _Column(Protocol):
    compression: str


class _Group(Protocol):
    num_rows: int

    def column(self, place: int) -> _Column: ...


class _Metadata(Protocol):
    num_row_groups: int
    num_columns: int

    def row_group(self, place: int) -> _Group: ...


class _File(Protocol):
    metadata: _Metadata

    def read(self) -> _Table: ...


class _Library(Protocol):
    def ParquetFile(self, source: io.BytesIO) -> _File: ...
    def write_table(
        self,
        table: _Table,
        where: io.BytesIO,
        *,
        compression: str,
        row_group_size: int | None,
    ) -> None: ...
