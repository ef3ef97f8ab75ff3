"""Find the files behind a source, and open them unpacked. Files are opened for reading only."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import zstandard

from freehold.core.errors import DataError, Where

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PACKINGS = (".gz", ".zst")
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_CHUNK_BYTES = 1 << 16
_GZIP_START = b"\x1f\x8b"
_ZSTD_START = b"\x28\xb5\x2f\xfd"
_PARQUET_START = b"PAR1"
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


def find_files(source: str, *, root: Path) -> tuple[DataFile, ...]:
    """Return the files behind `source`: a file, a folder (sorted by name), a glob, or `-`.

    Relative paths start at `root`.

    Raises:
        DataError: nothing is there (DAT-001), or it is no type that can be read (DAT-004).
    """
    if source == "-":
        return (DataFile(name="-", path=None, suffix="", packing=""),)
    if source.startswith("hf://"):
        raise DataError(
            "DAT-004",
            f"`{source}` is on the network; Freehold reads files",
            help="download it first and name the file, for example data/examples.parquet",
        )
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
def open_file(file: DataFile, *, stdin: BinaryIO | None = None) -> Generator[OpenFile]:
    """Open `file` for reading, unpacked, and close it at the end.

    Raises:
        DataError: the file is empty (DAT-002), is no text (DAT-003), cannot be unpacked (DAT-005)
            or cannot be read (DAT-016). Errors while its rows are read are turned into these too.
    """
    try:
        with _raw(file, stdin) as raw:
            sha256 = hashlib.file_digest(raw, "sha256").hexdigest()
            raw.seek(0)
            start = raw.read(4)
            raw.seek(0)
            if not start:
                raise _is_empty(file.name)
            stream = _unpacked(raw, file.packing or _packing_of(start))
            suffix = file.suffix or _sniff(stream)
            _refuse_binary(file.name, stream, suffix)
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


def _raw(file: DataFile, stdin: BinaryIO | None) -> io.BufferedReader:
    if file.path is None:
        if stdin is None:
            raise DataError(
                "DAT-001",
                "`-` means the standard input, and none was given",
                help="pipe the rows in, for example: cat examples.jsonl | freehold climb -",
            )
        return io.BufferedReader(io.BytesIO(stdin.read()))
    if not file.path.is_file():  # a pipe, as in <(command): its bytes can be read only once
        return io.BufferedReader(io.BytesIO(file.path.read_bytes()))
    return file.path.open("rb")


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
            packed = self._file.read(_CHUNK_BYTES)
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
    if start.startswith(b"["):
        return ".json"
    if start.startswith(b"{"):
        return ".jsonl"
    return ".tsv" if b"\t" in start.split(b"\n", 1)[0] else ".csv"


def _refuse_binary(name: str, stream: io.BufferedReader, suffix: str) -> None:
    start = stream.peek(4096)[:4096]
    if not start:
        raise _is_empty(name)
    if suffix == ".parquet":
        return
    if start.startswith(_UTF16_STARTS):
        message, way_out = f"`{name}` is UTF-16 text, not UTF-8", "save it again as UTF-8"
    elif b"\0" in start or start.startswith(_PARQUET_START):
        message, way_out = f"`{name}` is a binary file, not text", f"give one of {_KNOWN}"
    else:
        return
    raise DataError("DAT-003", message, where=Where(file=name), help=way_out)
