"""What is remembered of endpoints in one project: paid answers, money spent, and who answered.

One SQLite file. An answer is found by the digest of the model and of the whole request, so that the same
request is never paid twice, in whatever process; nothing tells its prompt from it. Every change is
one transaction: a crash leaves it whole or absent.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import MachineError

FILE = "endpoints.db"
"""Its name in the state folder of a project."""
_BUSY_SECONDS = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, body TEXT NOT NULL, seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS spent (
  account TEXT PRIMARY KEY, nanodollars INTEGER NOT NULL, tokens INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS identities (
  model TEXT NOT NULL, generation INTEGER NOT NULL, record TEXT NOT NULL,
  is_retired INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (model, generation)
);
"""


@dataclass(frozen=True)
class Known:
    """An answer that was paid for: the body of the response, and the seconds that it took then."""

    body: str
    seconds: float


@dataclass(frozen=True)
class KnownIdentity:
    """An identity that was seen: its number among those of one model, and its record as JSON."""

    generation: int
    record: str
    is_retired: bool


class Memory:
    """The file, for any number of threads of this process and for other processes beside it."""

    def __init__(self, file: Path | None) -> None:
        """Open the file, made where it is missing; None keeps everything in memory.

        Raises:
            MachineError: MAC-005 when it cannot be opened.
        """
        self._lock = threading.Lock()
        try:
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                ":memory:" if file is None else file,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA secure_delete=ON")
            self._connection.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise MachineError(
                "MAC-005",
                f"{file} cannot be opened: {error}",
                help="look at the rights of the folder; what is damaged may be deleted, and is asked again",
            ) from error

    def answer(self, key: str) -> Known | None:
        """Return the answer to a request that was paid for before."""
        rows = self._all("SELECT body, seconds FROM answers WHERE key = ?", (key,))
        return Known(str(rows[0][0]), float(str(rows[0][1]))) if rows else None

    def keep(self, key: str, known: Known) -> None:
        """Keep an answer; of two to one request the first stands."""
        self._do("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (key, known.body, known.seconds))

    def spent(self, account: str) -> tuple[int, int]:
        """Return the nanodollars and the tokens that were spent on an account."""
        rows = self._all("SELECT nanodollars, tokens FROM spent WHERE account = ?", (account,))
        return (int(str(rows[0][0])), int(str(rows[0][1]))) if rows else (0, 0)

    def spend(self, account: str, *, nanodollars: int, tokens: int) -> None:
        """Add to what was spent on an account."""
        self._do(
            "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE SET"
            " nanodollars = nanodollars + excluded.nanodollars, tokens = tokens + excluded.tokens",
            (account, nanodollars, tokens),
        )

    def identities(self, model: str) -> tuple[KnownIdentity, ...]:
        """Return who answered by this name so far, the earliest first."""
        rows = self._all(
            "SELECT generation, record, is_retired FROM identities WHERE model = ? ORDER BY generation",
            (model,),
        )
        return tuple(KnownIdentity(int(str(g)), str(text), bool(gone)) for g, text, gone in rows)

    def keep_identity(self, model: str, generation: int, *, record: str) -> None:
        """Keep an identity under the next number, or what was learnt of a known one."""
        self._do(
            "INSERT INTO identities (model, generation, record) VALUES (?, ?, ?)"
            " ON CONFLICT (model, generation) DO UPDATE SET record = excluded.record",
            (model, generation, record),
        )

    def retire(self, model: str, generation: int) -> None:
        """Mark an identity as one that nothing may be taken for again."""
        self._do(
            "UPDATE identities SET is_retired = 1 WHERE model = ? AND generation = ?",
            (model, generation),
        )

    def forget_answers(self) -> None:
        """Remove every kept answer, for good: they may hold what was asked to be forgotten."""
        self._do("DELETE FROM answers", ())
        self._do("VACUUM", ())
        self._all("PRAGMA wal_checkpoint(TRUNCATE)", ())

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _all(self, statement: str, values: Sequence[object]) -> list[tuple[object, ...]]:
        with self._lock:
            return self._connection.execute(statement, tuple(values)).fetchall()

    def _do(self, statement: str, values: Sequence[object]) -> None:
        with self._lock:
            self._connection.execute(statement, tuple(values))


def forget_answers(file: Path) -> None:
    """Remove every kept answer from the memory of a project, where it has one."""
    if not file.is_file():
        return
    memory = Memory(file)
    try:
        memory.forget_answers()
    finally:
        memory.close()
