"""The secret of one project, with which surrogates are drawn and values are named: a file of its own.

It lies in the state folder, can be read by its owner alone, and is never printed or put into a record.
Whoever has it and the data can tell which value became which surrogate; without it nobody can. When it is
deleted, the next scrub makes a new one, and all surrogates change.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from freehold.core.errors import MachineError
from freehold.store.blobs import write_durably
from freehold.store.store import STATE_FOLDER

KEY_FILE = "personal.key"
_KEY_BYTES = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def project_key(project: Path) -> bytes:
    """Return the secret of a project, made where there is none yet.

    Raises:
        MachineError: DAT-074, others may read the file, or it is damaged; MAC-005, it cannot be made.
    """
    path = project / STATE_FOLDER / KEY_FILE
    try:
        if not path.exists():
            _make(path)
        return _read(path)
    except PermissionError as error:
        raise MachineError(
            "MAC-005",
            f"{path} cannot be read or written: {error.strerror}",
            help="run in a folder of your own, or use -C DIR",
        ) from error


def keyed(key: bytes, *parts: str) -> bytes:
    """Return 32 bytes that only a holder of the key can compute from the parts."""
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return hmac.new(key, joined, hashlib.sha256).digest()


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ignore = path.parent / ".gitignore"
    if not ignore.exists():
        write_durably(ignore, b"*\n")
    beside = path.parent / f".writing-{secrets.token_hex(8)}"
    opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(opened, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first; its key is the key
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    if os.name == "posix" and path.stat().st_mode & _OTHERS:
        raise MachineError(
            "DAT-074",
            f"{path.name} in {path.parent} can be read by others on this machine",
            help=f"chmod 600 {path}",
        )
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise MachineError(
            "DAT-074",
            f"{path.name} in {path.parent} is damaged",
            help="delete it and type the command again: new surrogates are drawn",
        )
    return key
