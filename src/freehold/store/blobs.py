"""Content-addressed files: a blob's name is the SHA-256 of its bytes, so it can never be stale.

A blob that was forgotten leaves an empty mark, so that whoever asks for it is told why it is gone.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from freehold.core.errors import DataError, MachineError
from freehold.core.record import digest_bytes

_FORGOTTEN = ".forgotten"


class Blobs:
    """A folder of blobs, `ab/cdef...` by digest. Written beside, fsynced and renamed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: str) -> Path:
        """Return where the blob of this digest lives, whether or not it exists."""
        name = digest.removeprefix("sha256:")
        return self._folder / name[:2] / name[2:]

    def __contains__(self, digest: str | None) -> bool:
        return digest is not None and self.path(digest).exists()

    def put(self, content: bytes) -> str:
        """Keep `content` and return its digest. Keeping it twice is free.

        Raises:
            MachineError: MAC-001 when the disk is full.
        """
        digest = digest_bytes(content)
        target = self.path(digest)
        if target.exists():
            return digest
        try:
            write_durably(target, content)
            self._mark(digest).unlink(missing_ok=True)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise no_space(target, len(content)) from error
            raise
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of a blob, checked against its name.

        Raises:
            KeyError: there is no such blob.
            DataError: DAT-080 when it held rows that were forgotten.
            MachineError: MAC-002 when the bytes no longer match their name.
        """
        try:
            content = self.path(digest).read_bytes()
        except FileNotFoundError as error:
            if self.is_forgotten(digest):
                raise _forgotten() from error
            raise KeyError(digest) from error
        if digest_bytes(content) != digest:
            raise MachineError(
                "MAC-002",
                f"blob {digest} is damaged on disk",
                help=f"delete {self.path(digest)} and type the same command again",
            )
        return content

    def forget(self, digest: str) -> None:
        """Remove a blob for good, and leave the mark that says so. Once removed, this does nothing."""
        target = self.path(digest)
        if not target.exists():
            return
        write_durably(self._mark(digest), b"")
        target.unlink()
        fsync_folder(target.parent)

    def is_forgotten(self, digest: str) -> bool:
        """Return whether the blob was here and was forgotten."""
        return self._mark(digest).exists() and not self.path(digest).exists()

    def all(self) -> Iterator[str]:
        """Yield the digest of every blob that is here, in order."""
        for path in sorted(self._folder.glob("??/*")):
            name = path.parent.name + path.name
            if len(name) == 64 and not path.name.startswith("."):
                yield f"sha256:{name}"

    def _mark(self, digest: str) -> Path:
        path = self.path(digest)
        return path.with_name(path.name + _FORGOTTEN)


def _forgotten() -> DataError:
    return DataError(
        "DAT-080",
        "this held rows that were forgotten, and was removed with them (freehold data forget)",
        help="freehold climb    builds it anew, without them",
    )


def write_durably(target: Path, content: bytes) -> None:
    """Write a file so that after a crash it is either absent or whole; the umask gives its rights."""
    target.parent.mkdir(parents=True, exist_ok=True)
    name = target.parent / f".writing-{secrets.token_hex(8)}"
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        name.replace(target)
        fsync_folder(target.parent)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def no_space(target: Path, needed_bytes: int) -> MachineError:
    """Return the error for a full disk."""
    return MachineError(
        "MAC-001",
        f"no space left on the disk of {target.parent} ({needed_bytes:,} bytes needed)",
        help="make room there, then type the same command again: nothing that was finished is lost",
    )


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
