"""The ledger: append-only facts in SQLite, each chained to the one before by its hash.

Three tables. `entries` is the chain: what was done, when, to which digest; it is never changed, and
triggers refuse to. `results` holds the examples of runs under way, so that a killed climb pays for
nothing twice. `handles` gives people short names (c12) for digests.

WAL, and `synchronous=FULL` for entries and handles: what was acknowledged survives a crash of the
machine. Results are written one by one through a connection of their own with `synchronous=NORMAL`:
they survive a kill of the process at once, and a crash of the machine from the next entry on.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from freehold.core.errors import MachineError
from freehold.core.record import canonical_json
from freehold.store.blobs import no_space

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, at TEXT NOT NULL,
  body TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL UNIQUE) STRICT;
CREATE INDEX IF NOT EXISTS entries_by_subject ON entries (kind, subject);
CREATE TABLE IF NOT EXISTS results (
  work TEXT NOT NULL, example TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (work, example)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS handles (
  name TEXT PRIMARY KEY, number INTEGER NOT NULL, prefix TEXT NOT NULL, key TEXT NOT NULL UNIQUE,
  at TEXT NOT NULL) STRICT;
CREATE TRIGGER IF NOT EXISTS entries_are_never_changed BEFORE UPDATE ON entries
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_are_never_deleted BEFORE DELETE ON entries
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""
FIRST = "0" * 64
BUSY_SECONDS = 30.0


@dataclass(frozen=True)
class Entry:
    """One fact: `kind` and `subject` say what about, `body` is canonical JSON."""

    number: int
    kind: str
    subject: str
    at: str
    body: str
    previous: str
    hash: str


@dataclass(frozen=True)
class Handle:
    """A short name for people, and the key of the thing it names."""

    name: str
    key: str
    at: str


class Ledger:
    """The SQLite file of a project. One process writes at a time; readers never wait."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        self._connection = _connect(file)
        self._results = _connect(file)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._results.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(SCHEMA)
            self._check_version()
        except sqlite3.Error as error:
            self.close()
            raise _translated(error, file) from error

    def close(self) -> None:
        """Close the file."""
        self._results.close()
        self._connection.close()

    def append(self, kind: str, subject: str, *, body: JsonValue, at: str) -> Entry:
        """Add one fact and return it; on return it is on disk.

        Args:
            kind: what happened, such as `look` or `climbed`.
            subject: the digest or name it happened to.
            body: the details.
            at: the time, ISO 8601 in UTC.
        """
        text = canonical_json(body).decode()
        with self._transaction():
            last = self._connection.execute(
                "SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1"
            ).fetchone()
            number, previous = (last[0] + 1, last[1]) if last else (1, FIRST)
            entry = Entry(
                number,
                kind,
                subject,
                at,
                text,
                previous,
                _hash(number, (kind, subject, at, text, previous)),
            )
            self._connection.execute(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, kind, subject, at, text, previous, entry.hash),
            )
        return entry

    def entries(self, kind: str, *, subject: str | None = None) -> tuple[Entry, ...]:
        """Return the facts of one kind (about one subject), oldest first."""
        query, values = "SELECT * FROM entries WHERE kind = ?", [kind]
        if subject is not None:
            query, values = query + " AND subject = ?", [kind, subject]
        return tuple(
            Entry(*row) for row in self._connection.execute(query + " ORDER BY number", values)
        )

    def all_entries(self) -> tuple[Entry, ...]:
        """Return every fact, oldest first."""
        return tuple(
            Entry(*row) for row in self._connection.execute("SELECT * FROM entries ORDER BY number")
        )

    def verify(self) -> int | None:
        """Return the number of the first entry that breaks the chain, or None when it is whole."""
        previous, expected = FIRST, 1
        for row in self._connection.execute("SELECT * FROM entries ORDER BY number"):
            entry = Entry(*row)
            parts = (entry.kind, entry.subject, entry.at, entry.body, entry.previous)
            is_whole = entry.number == expected and entry.previous == previous
            if not is_whole or entry.hash != _hash(entry.number, parts):
                return entry.number
            previous, expected = entry.hash, expected + 1
        return None

    def keep_result(self, work: str, example: str, body: str) -> None:
        """Keep one result of a piece of work; on return a kill of this process cannot lose it."""
        try:
            self._results.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?)", (work, example, body)
            )
        except sqlite3.Error as error:
            raise _translated(error, self._file) from error

    def results(self, work: str) -> dict[str, str]:
        """Return the results of one piece of work that are on disk, by example id."""
        rows = self._connection.execute("SELECT example, body FROM results WHERE work = ?", (work,))
        return dict(rows.fetchall())

    def forget_results(self, work: str, examples: Sequence[str]) -> None:
        """Forget results that are to be measured again."""
        with self._transaction():
            self._connection.executemany(
                "DELETE FROM results WHERE work = ? AND example = ?",
                [(work, example) for example in examples],
            )

    def scrub_results(self, is_gone: Callable[[str, str], bool]) -> int:
        """Delete every result of which `is_gone(example, body)` holds, and return how many there were."""
        rows = self._connection.execute("SELECT work, example, body FROM results").fetchall()
        gone = [(work, example) for work, example, body in rows if is_gone(example, body)]
        with self._transaction():
            self._connection.executemany("DELETE FROM results WHERE work = ? AND example = ?", gone)
        return len(gone)

    def compact(self) -> None:
        """Leave no byte of what was deleted: pages are overwritten, the log is emptied, the file rewritten.

        Raises:
            MachineError: MAC-003 when another process is using the file.
        """
        try:
            self._connection.execute("PRAGMA secure_delete = ON")
            self._connection.execute("VACUUM")
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            raise _translated(error, self._file) from error
        if busy:
            raise _translated(sqlite3.OperationalError("database is locked"), self._file)

    def handle(self, prefix: str, key: str, *, at: str) -> Handle:
        """Return the handle of `key`, giving it the next number of its prefix when it has none."""
        with self._transaction():
            found = self._connection.execute(
                "SELECT name, key, at FROM handles WHERE key = ?", (key,)
            ).fetchone()
            if found:
                return Handle(*found)
            last = self._connection.execute(
                "SELECT max(number) FROM handles WHERE prefix = ?", (prefix,)
            ).fetchone()[0]
            number = (last or 0) + 1
            handle = Handle(f"{prefix}{number}", key, at)
            self._connection.execute(
                "INSERT INTO handles VALUES (?, ?, ?, ?, ?)",
                (handle.name, number, prefix, key, at),
            )
        return handle

    def handles(self, prefix: str) -> tuple[Handle, ...]:
        """Return all handles of a prefix, in the order they were given."""
        rows = self._connection.execute(
            "SELECT name, key, at FROM handles WHERE prefix = ? ORDER BY number", (prefix,)
        )
        return tuple(Handle(*row) for row in rows)

    @contextmanager
    def _transaction(self) -> Generator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _translated(error, self._file) from error

    def _check_version(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise MachineError(
                "MAC-004",
                f"{self._file} was written by a newer Freehold (state version {version},"
                f" this one knows {SCHEMA_VERSION})",
                help="pip install --upgrade freehold",
            )
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _hash(number: int, parts: tuple[str, str, str, str, str]) -> str:
    return hashlib.sha256(canonical_json([number, *parts])).hexdigest()


def _translated(error: sqlite3.Error, file: Path) -> MachineError:
    text = str(error)
    if "full" in text:
        return no_space(file, 4096)
    if "locked" in text or "busy" in text:
        return MachineError(
            "MAC-003",
            f"another freehold process is writing to {file}",
            help="wait for it to finish, then type the same command again",
        )
    return MachineError(
        "MAC-005",
        f"{file} cannot be used: {text}",
        help=f"check {file} and the rights of its folder",
    )
