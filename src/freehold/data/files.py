"""Find the files behind a source, and open them unpacked. Files are opened for reading only."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import zstandard

from freehold.core.errors import DataError, Where
from freehold.data.limits import LIMITS, MIB, Limits

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PACKINGS = (".gz", ".zst")
TABLES = (".parquet", ".arrow", ".feather", ".ipc")
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", *TABLES)
HUB = "hf://"
_CHUNK_BYTES = 1 << 16
_PACKED_BYTES = 1 << 11  # a block of zstandard unpacks to 32,768 times its size at most
_GZIP_START = b"\x1f\x8b"
_ZSTD_START = b"\x28\xb5\x2f\xfd"
_PARQUET_START = b"PAR1"
_ARROW_FILE_START = b"ARROW1"
_ARROW_STREAM_START = b"\xff\xff\xff\xff"
_ZIP_START = b"PK\x03\x04"
_UTF16_STARTS = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"
_KNOWN = ", ".join(SUFFIXES)


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file to read: its name as the user wrote it, where it lies, and how it is packed.

    `path` is None for the standard input. `suffix` is empty where the content must tell the type.
    """

    name: str
    path: Path | None
    suffix: str
    packing: str


Fetch: TypeAlias = Callable[[str], Path]
"""Returns the Parquet file that a dataset of a hub (`hf://org/name:split`) was written to."""


def find_files(source: str, *, root: Path, fetch: Fetch | None = None) -> tuple[DataFile, ...]:
    """Return the files behind `source`: a file, a folder (sorted by name), a glob, `-`, or `hf://`.

    Relative paths start at `root`. A dataset of a hub needs `fetch`.

    Raises:
        DataError: nothing is there (DAT-001), it is no type that can be read (DAT-004), or it is on
            the network and nothing may fetch it (DAT-041).
    """
    if source == "-":
        return (DataFile(name="-", path=None, suffix="", packing=""),)
    if source.startswith(HUB):
        if fetch is None:
            raise DataError(
                "DAT-041",
                f"`{source}` is on the network, and only files can be read here",
                help="download it first and name the file, for example data/examples.parquet",
            )
        return (DataFile(name=source, path=fetch(source), suffix=".parquet", packing=""),)
    path = root / source
    if _is_folder(path):
        return _files_of_folder(source, path)
    if _exists(path):
        return (_named_file(source, path),)
    matches = _files_of_glob(source, root)
    if matches:
        return matches
    raise DataError(
        "DAT-001",
        f"`{source}` does not exist",
        where=Where(file=source),
        help=_nearby(path),
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _files_of_glob(source: str, root: Path) -> tuple[DataFile, ...]:
    if not any(mark in source for mark in "*?[") or Path(source).is_absolute():
        return ()
    try:
        paths = sorted(p for p in root.glob(source) if p.is_file() and _is_readable(p))
    except (ValueError, NotImplementedError):
        return ()
    return tuple(_named_file(p.relative_to(root).as_posix(), p) for p in paths)


def _files_of_folder(source: str, folder: Path) -> tuple[DataFile, ...]:
    try:
        paths = sorted(p for p in folder.iterdir() if p.is_file() and _is_readable(p))
    except OSError as error:
        raise cannot_read(source, error) from error
    if not paths:
        raise DataError(
            "DAT-001",
            f"the folder `{source}` holds no file that can be read",
            where=Where(file=source),
            help=f"put a file there that ends in {_KNOWN} (also .gz or .zst)",
        )
    return tuple(_named_file(f"{source.rstrip('/')}/{p.name}", p) for p in paths)


def _is_readable(path: Path) -> bool:
    return not path.name.startswith(".") and _suffix_and_packing(path)[0] in SUFFIXES


def _suffix_and_packing(path: Path) -> tuple[str, str]:
    suffix = path.suffix.lower()
    if suffix in PACKINGS:
        return path.with_suffix("").suffix.lower(), suffix
    return suffix, ""


def _named_file(name: str, path: Path) -> DataFile:
    suffix, packing = _suffix_and_packing(path)
    if suffix and suffix not in SUFFIXES:
        raise DataError(
            "DAT-004",
            f"`{name}` ends in `{suffix}`, which is no type of examples that can be read",
            where=Where(file=name),
            help=f"save it as one of {_KNOWN} (also .gz or .zst)",
        )
    return DataFile(name=name, path=path, suffix=suffix, packing=packing)


def _nearby(path: Path) -> str:
    """Say which file may have been meant, or what lies in the folder."""
    try:
        names = sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("."))
    except (OSError, ValueError):
        return f"the folder `{path.parent.name}` does not exist either; check the path"
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(f'`{name}`' for name in close)}?"
    readable = [name for name in names if _suffix_and_packing(Path(name))[0] in SUFFIXES][:5]
    if readable:
        return f"the folder holds {', '.join(f'`{name}`' for name in readable)}"
    return "check the path; the folder holds no file of examples"


def cannot_read(name: str, error: OSError) -> DataError:
    """Return the error for a file that the system does not let us read."""
    return DataError(
        "DAT-016",
        f"`{name}` cannot be read: {error.strerror or type(error).__name__}",
        where=Where(file=name),
        help="check that the file exists and that you may read it",
    )


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that is open: its unpacked bytes, its true suffix, and the SHA-256 as it lies there."""

    name: str
    stream: io.BufferedReader
    suffix: str
    sha256: str


@contextmanager
def open_file(
    file: DataFile, *, stdin: BinaryIO | None = None, limits: Limits = LIMITS
) -> Generator[OpenFile]:
    """Open `file` for reading, unpacked, and close it at the end.

    Raises:
        DataError: the file is empty (DAT-002), is no text (DAT-003), cannot be unpacked (DAT-005)
            or cannot be read (DAT-016), asks for too much memory (DAT-040), or holds another type than
            its name says (DAT-042). Errors while its rows are read are turned into these too.
    """
    try:
        with _raw(file, stdin, limits) as raw:
            sha256 = hashlib.file_digest(raw, "sha256").hexdigest()
            packed_bytes = raw.tell()
            raw.seek(0)
            start = raw.read(4)
            raw.seek(0)
            if not start:
                raise _is_empty(file.name)
            packing = file.packing or _packing_of(start)
            stream = _unpacked(raw, packing)
            if packing:
                stream = _guarded(stream, file.name, packed_bytes=packed_bytes, limits=limits)
            suffix = file.suffix or _sniff(stream)
            _refuse_other_types(file.name, stream, suffix)
            yield OpenFile(file.name, stream, suffix, "sha256:" + sha256)
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise DataError(
            "DAT-005",
            f"`{file.name}` cannot be unpacked",
            where=Where(file=file.name),
            cause=(str(error),),
            help="the file is damaged or cut short; make or download it again",
        ) from error
    except OSError as error:
        raise cannot_read(file.name, error) from error


def _raw(file: DataFile, stdin: BinaryIO | None, limits: Limits) -> io.BufferedReader:
    if file.path is None:
        if stdin is None:
            raise DataError(
                "DAT-001",
                "`-` means the standard input, and none was given",
                help="pipe the rows in, for example: cat examples.jsonl | freehold climb -",
            )
        return io.BufferedReader(io.BytesIO(read_whole(stdin, file.name, limits)))
    if not file.path.is_file():  # a pipe, as in <(command): its bytes can be read only once
        with file.path.open("rb") as pipe:
            return io.BufferedReader(io.BytesIO(read_whole(pipe, file.name, limits)))
    return file.path.open("rb")


def read_whole(
    stream: BinaryIO | io.BufferedReader, name: str, limits: Limits, *, before: bytes = b""
) -> bytes:
    """Return all that is left of a stream, behind what was read of it before.

    Raises:
        DataError: it is more than may be held in memory at once (DAT-040).
    """
    content = before + stream.read(max(0, limits.whole_bytes - len(before)) + 1)
    if len(content) > limits.whole_bytes:
        raise DataError(
            "DAT-040",
            f"`{name}` is larger than {limits.whole_bytes / MIB:,.0f} MiB, and of a kind that has to be"
            " held in memory whole",
            where=Where(file=name),
            help="write it as a file of JSON lines, which is read piece by piece",
        )
    return content


def _guarded(
    stream: io.BufferedReader, name: str, *, packed_bytes: int, limits: Limits
) -> io.BufferedReader:
    return io.BufferedReader(
        _Guard(stream, name, packed_bytes=packed_bytes, limits=limits), _CHUNK_BYTES
    )


class _Guard(io.RawIOBase):
    """Pass unpacked bytes on, and stop where a small file unpacks to far more than data does."""

    def __init__(
        self, stream: io.BufferedReader, name: str, *, packed_bytes: int, limits: Limits
    ) -> None:
        super().__init__()
        self._stream = stream
        self._name = name
        self._allowed = max(limits.unpacked_bytes, limits.unpacked_ratio * packed_bytes)
        self._packed_bytes = packed_bytes
        self._passed = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        count = self._stream.readinto1(buffer)
        self._passed += count
        if self._passed > self._allowed:
            raise DataError(
                "DAT-040",
                f"`{self._name}` has {self._packed_bytes:,} bytes and unpacks to more than"
                f" {self._allowed:,}; no text of examples is packed so densely",
                where=Where(file=self._name),
                help="if the file is sound, unpack it yourself and name the unpacked file",
            )
        return count


def _is_empty(name: str) -> DataError:
    return DataError(
        "DAT-002",
        f"`{name}` is empty",
        where=Where(file=name),
        help="write one example a row, for example "
        '{"input": "Where is my parcel?", "target": "shipping"}',
    )


def _packing_of(start: bytes) -> str:
    if start.startswith(_GZIP_START):
        return ".gz"
    return ".zst" if start == _ZSTD_START else ""


def _unpacked(raw: io.BufferedReader, packing: str) -> io.BufferedReader:
    if packing == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw, mode="rb"), _CHUNK_BYTES)
    if packing == ".zst":
        return io.BufferedReader(_ZstdReader(raw), _CHUNK_BYTES)
    return raw


class _ZstdReader(io.RawIOBase):
    """Unpack zstandard frames, and notice a file that was cut short.

    The library's own stream reader ends quietly in the middle of a frame, which would lose rows.
    """

    def __init__(self, raw: io.BufferedReader) -> None:
        super().__init__()
        self._file = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._fresh = True
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while not self._ready:
            packed = self._file.read(_PACKED_BYTES)
            if not packed:
                if not self._fresh:
                    raise EOFError("the last zstandard frame ends too early")
                return 0
            self._ready = self._unpack(packed)
        view = memoryview(buffer)
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _unpack(self, packed: bytes) -> bytes:
        pieces: list[bytes] = []
        while packed:
            self._fresh = False
            pieces.append(self._frame.decompress(packed))
            if not self._frame.eof:
                break
            packed = self._frame.unused_data
            self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._fresh = True
        return b"".join(pieces)


def _sniff(stream: io.BufferedReader) -> str:
    """Tell the type of a file without a suffix from its first bytes."""
    start = stream.peek(4096)[:4096].removeprefix(_BOM).lstrip()
    if start.startswith(_PARQUET_START):
        return ".parquet"
    if start.startswith((_ARROW_FILE_START, _ARROW_STREAM_START)):
        return ".arrow"
    if start.startswith(b"["):
        return ".json"
    if start.startswith(b"{"):
        return ".jsonl"
    return ".tsv" if b"\t" in start.split(b"\n", 1)[0] else ".csv"


def _refuse_other_types(name: str, stream: io.BufferedReader, suffix: str) -> None:
    """Refuse a file whose first bytes are not what its name says.

    Raises:
        DataError: it is empty (DAT-002), no UTF-8 text (DAT-003), or text of another kind (DAT-042).
    """
    start = stream.peek(4096)[:4096]
    if not start:
        raise _is_empty(name)
    if suffix in TABLES:
        return
    if start.startswith(_UTF16_STARTS):
        raise _no_text(name, "is UTF-16 text, not UTF-8", "save it again as UTF-8")
    if start.startswith(_ZIP_START):
        what = "is a ZIP archive, as spreadsheets and word processors write"
        raise _no_text(name, what, "export it as CSV, and give that file")
    if b"\0" in start or start.startswith((_PARQUET_START, _ARROW_FILE_START)):
        raise _no_text(name, "is a binary file, not text", f"give one of {_KNOWN}")
    text = start.removeprefix(_BOM).lstrip()
    if suffix in (".csv", ".tsv") and text.startswith((b'{"', b'[{"', b"[\n")):
        found = ".json" if text.startswith(b"[") else ".jsonl"
        raise DataError(
            "DAT-042",
            f"`{name}` is called `{suffix}` and holds JSON",
            where=Where(file=name),
            help=f"give it a name that ends in {found}",
        )


def _no_text(name: str, what: str, way_out: str) -> DataError:
    return DataError("DAT-003", f"`{name}` {what}", where=Where(file=name), help=way_out)
