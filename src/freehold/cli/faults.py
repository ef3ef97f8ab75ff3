"""What a raised exception means to the person at the terminal: an error of theirs, or a bug."""

from __future__ import annotations

import errno
import importlib.metadata
import platform
import sqlite3
import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

import freehold
from freehold.cli.parse import Misused
from freehold.core.errors import FreeholdError, MachineError, Problem, UsageError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_LIBRARIES = (
    "torch", "transformers", "peft", "tokenizers", "safetensors", "llguidance", "numpy",
    "scikit-learn", "pyarrow", "pydantic", "ruamel.yaml", "rich", "sentence-transformers",
)  # fmt: skip
BUG = "BUG-001"


def as_user_error(error: BaseException, *, again: str) -> FreeholdError | None:
    """Return the error that a person can mend, or None where it is a bug of Freehold.

    Args:
        error: what was raised.
        again: the command that was typed, to be typed again.
    """
    match error:
        case FreeholdError():
            return error
        case Misused():
            return UsageError(error.code, error.message, help=error.help)
        case OSError():
            return _machine_error(error, again)
        case sqlite3.OperationalError():
            return _sqlite_error(error, again)
        case MemoryError():
            return MachineError(
                "MAC-007", "there is not enough memory", help=f"close other programs, then: {again}"
            )
        case _:
            return None


def _machine_error(error: OSError, again: str) -> MachineError | None:
    place = str(error.filename or "the output")
    if error.errno in _FULL:
        return MachineError(
            "MAC-001",
            f"no space left to write {place}",
            help=f"make room, then: {again}    nothing that was finished is lost",
            cause=[str(error)],
        )
    if error.errno in _FORBIDDEN:
        return MachineError(
            "MAC-006",
            f"{place} may not be used: {error.strerror}",
            help="change its rights, or work elsewhere with -C DIR",
        )
    return None


def _sqlite_error(error: sqlite3.OperationalError, again: str) -> MachineError | None:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
        return MachineError(
            "MAC-001",
            "no space left to write .freehold/ledger.db",
            help=f"make room, then: {again}    nothing that was finished is lost",
            cause=[str(error)],
        )
    return None


def bug_report(error: BaseException, *, words: Sequence[str], at: datetime) -> str:
    """Return the text of a mishap: the command, the versions and the traceback; no data, no secrets.

    Values of -i and --expect are data, and are left out.
    """
    lines = [
        "Freehold met something it did not expect. This file was not sent anywhere.",
        "",
        f"command   freehold {' '.join(without_data(words))}",
        f"time      {at.isoformat(timespec='seconds')}",
        f"freehold  {freehold.__version__}",
        f"python    {platform.python_version()} on {platform.platform()}",
        *(f"library   {name} {version_of(name)}" for name in _LIBRARIES),
        "",
        *traceback.format_exception(error),
    ]
    return "\n".join(line.rstrip("\n") for line in lines) + "\n"


def without_data(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a command line without what people asked or expected."""
    shown: list[str] = []
    hides_next = False
    for word in words:
        shown.append("…" if hides_next else word)
        hides_next = not hides_next and word in {"-i", "--input", "--expect"}
        name, equals, _ = word.partition("=")
        if equals and name in {"--input", "--expect"}:
            shown[-1] = f"{name}=…"
    return tuple(shown)


def version_of(name: str) -> str:
    """Return the installed version of a library without importing it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def save_bug_report(text: str, folder: Path, *, at: datetime) -> Path | None:
    """Write the report of a mishap and return its path; None where even that cannot be written."""
    path = folder / f"{at.strftime('%Y%m%d-%H%M%S-%f')}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError:
        sys.stderr.write(text)
        return None
    return path


def error_json(problems: Sequence[Problem]) -> dict[str, JsonValue]:
    """Return the error shape of the machine-readable contract: the first problem, then the others."""
    first, *others = [_shape(problem) for problem in problems]
    if others:
        first["also"] = [dict(other) for other in others]
    return {"error": first}


def _shape(problem: Problem) -> dict[str, JsonValue]:
    where: JsonValue = None
    if problem.where is not None:
        where = {
            "file": problem.where.file,
            "line": problem.where.line,
            "column": problem.where.column,
            "row": problem.where.row,
        }
    return {
        "code": problem.code,
        "message": problem.message,
        "where": where,
        "cause": list(problem.cause),
        "help": problem.help,
    }
