"""Content-addressed files: a blob's name is the SHA-256 of its bytes, so it can never be stale."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from freehold.core.errors import MachineError
from freehold.core.record import digest_bytes


class Blobs:
    """A folder of blobs, `ab/cdef...` by digest. Written beside, fsynced and renamed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: str) -> Path:
        """Return where the blob of this digest lives, whether or not it exists."""
        name = digest.removeprefix("sha256:")
        return self._folder / name[:2] / name[2:]

    def __contains__(self, digest: str) -> bool:
        return self.path(digest).exists()

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
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise no_space(target, len(content)) from error
            raise
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of a blob, checked against its name.

        Raises:
            KeyError: there is no such blob.
            MachineError: MAC-002 when the bytes no longer match their name.
        """
        try:
            content = self.path(digest).read_bytes()
        except FileNotFoundError as error:
            raise KeyError(digest) from error
        if digest_bytes(content) != digest:
            raise MachineError(
                "MAC-002",
                f"blob {digest} is damaged on disk",
                help=f"delete {self.path(digest)} and type the same command again",
            )
        return content


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
        _fsync_folder(target.parent)
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


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
