"""Where an index keeps its rows: a SQLite file, memory, or a schema of a PostgreSQL database.

Both are asked in the same SQL, with `?` for values. One process writes at a time, and others read meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from freehold.core.errors import DataError, MachineError

WAIT_SECONDS = 30
POSTGRES = ("postgresql://", "postgres://")
SCHEMA = "freehold_index"
_TABLES = (
    "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS documents (number BIGINT PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " content TEXT NOT NULL, title TEXT NOT NULL, access TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS passages (number BIGINT PRIMARY KEY, document BIGINT NOT NULL,"
    " position BIGINT NOT NULL, start BIGINT NOT NULL, section TEXT NOT NULL, heading TEXT NOT NULL,"
    " text TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS passages_of_documents ON passages (document)",
    "CREATE TABLE IF NOT EXISTS arrays (document BIGINT PRIMARY KEY, entries BLOB NOT NULL,"
    " words BLOB NOT NULL, counts BLOB NOT NULL, vectors BLOB NOT NULL)",
)

Row = tuple[Any, ...]


class Shelf(Protocol):
    """The tables of one index."""

    name: str

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a statement finds; nothing for one that finds nothing."""
        ...

    def write(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each row of values."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Be the one who writes: all that is written inside is there afterwards, or nothing of it."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Read the tables as they are at one moment."""
        ...

    def to_bytes(self) -> bytes:
        """Return the tables as the bytes of a SQLite file."""
        ...

    def close(self) -> None:
        """Close the file or the connection."""
        ...


@contextmanager
def _ended(connection: Any) -> Generator[None]:
    """Commit what was begun on a connection of either kind; after an error nothing of it stands."""
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


# SQLite --------------------------------------------------------------------------------------


class SqliteShelf:
    """Tables in a SQLite file or in memory. What is deleted is overwritten."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self.name = name
        self._connection = connection
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA journal_mode = DELETE")
        if self.rows("SELECT COUNT(*) FROM sqlite_master WHERE name = 'arrays'") == [(0,)]:
            with self.writing():
                for statement in _TABLES:
                    connection.execute(statement)

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a statement finds."""
        return self._connection.execute(statement, tuple(values)).fetchall()

    def write(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each row of values."""
        self._connection.executemany(statement, rows)

    @contextmanager
    def writing(self) -> Generator[None]:
        """Be the one who writes.

        Raises:
            DataError: another process is (DOC-006).
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise _busy(self.name, error) from error
        with _ended(self._connection):
            yield

    @contextmanager
    def reading(self) -> Generator[None]:
        """Read the tables as they are at one moment."""
        self._connection.execute("BEGIN")
        with _ended(self._connection):
            yield

    def to_bytes(self) -> bytes:
        """Return the tables as the bytes of a file, without empty space."""
        self._connection.execute("VACUUM")
        return self._connection.serialize()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def sqlite_shelf(path: Path | None) -> SqliteShelf:
    """Open a SQLite file, which is made where there is none; None: in memory.

    Raises:
        DataError: it is no SQLite file, is damaged or cannot be opened (DOC-005).
    """
    name = "in memory" if path is None else path.name
    try:
        connection = sqlite3.connect(
            ":memory:" if path is None else path,
            timeout=WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise no_index(name, error) from error
    return _opened(connection, name)


def sqlite_shelf_of(content: bytes) -> SqliteShelf:
    """Return what `to_bytes` gave, in memory.

    Raises:
        DataError: it is no SQLite file (DOC-005).
    """
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        connection.deserialize(content)
    except sqlite3.Error as error:
        connection.close()
        raise no_index("in memory", error) from error
    return _opened(connection, "in memory")


def _opened(connection: sqlite3.Connection, name: str) -> SqliteShelf:
    try:
        return SqliteShelf(connection, name)
    except sqlite3.Error as error:
        connection.close()
        raise no_index(name, error) from error
    except DataError:
        connection.close()
        raise


def no_index(name: str, error: Exception) -> DataError:
    """Return the error of a file that is no index."""
    return DataError(
        "DOC-005",
        f"the file {name} is no index of documents, or is damaged",
        help="delete the file; it is made anew from the documents",
        cause=(str(error),),
    )


def _busy(name: str, error: Exception) -> DataError:
    return DataError(
        "DOC-006",
        f"the index {name} is being written by another process",
        help="wait until that one has finished, and type the same command again",
        cause=(str(error).strip(),),
    )


# PostgreSQL ----------------------------------------------------------------------------------


class _Cursor(Protocol):
    description: object

    def fetchall(self) -> list[Row]: ...
    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None: ...


class _Connection(Protocol):
    def execute(self, statement: str, values: Sequence[object] | None = None) -> _Cursor: ...
    def cursor(self) -> AbstractContextManager[_Cursor]: ...
    def close(self) -> None: ...


class PostgresShelf:
    """Tables in a schema of a PostgreSQL database.

    Deleted rows are out of sight at once; PostgreSQL overwrites them on the disk when it vacuums.
    """

    def __init__(self, connection: _Connection, *, name: str, schema: str) -> None:
        self.name = name
        self._connection = connection
        self._errors = cast("type[Exception]", vars(import_module("psycopg"))["Error"])
        quoted = schema.replace('"', '""')
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{quoted}"')
        connection.execute(f'SET search_path TO "{quoted}"')
        connection.execute(f"SET lock_timeout TO '{WAIT_SECONDS}s'")
        for statement in _TABLES:
            connection.execute(statement.replace("BLOB", "BYTEA"))

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a statement finds."""
        cursor = self._connection.execute(statement.replace("?", "%s"), tuple(values))
        return cursor.fetchall() if cursor.description is not None else []

    def write(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each row of values."""
        with self._connection.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s"), rows)

    @contextmanager
    def writing(self) -> Generator[None]:
        """Be the one who writes.

        Raises:
            DataError: another process is (DOC-006).
        """
        self._connection.execute("BEGIN")
        try:
            self._connection.execute("LOCK TABLE about IN EXCLUSIVE MODE")
        except self._errors as error:
            self._connection.execute("ROLLBACK")
            raise _busy(self.name, error) from error
        with _ended(self._connection):
            yield

    @contextmanager
    def reading(self) -> Generator[None]:
        """Read the tables as they are at one moment."""
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        with _ended(self._connection):
            yield

    def to_bytes(self) -> bytes:
        """Return the tables as the bytes of a SQLite file."""
        copy = sqlite_shelf(None)
        with self.reading(), copy.writing():
            for table in ("about", "documents", "passages", "arrays"):
                rows = self.rows(f"SELECT * FROM {table}")
                if rows:
                    marks = ", ".join("?" * len(rows[0]))
                    copy.write(f"INSERT INTO {table} VALUES ({marks})", rows)
        content = copy.to_bytes()
        copy.close()
        return content

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def postgres_shelf(url: str) -> PostgresShelf:
    """Open an index in a database: `postgresql://host/database#schema`.

    Raises:
        MachineError: psycopg is not installed, or the database cannot be reached (DOC-007).
    """
    address, _, schema = url.partition("#")
    name = address.split("?", 1)[0].split("://", 1)[-1].rsplit("@", 1)[-1]  # never a password
    try:
        psycopg = import_module("psycopg")
    except ImportError as error:
        raise _unreachable(name, error, help="pip install 'freehold[postgres]'") from error
    try:
        connection = psycopg.connect(address, autocommit=True)
        return PostgresShelf(connection, name=name, schema=schema or SCHEMA)
    except psycopg.Error as error:
        help_ = "check the address and that the server runs: psql 'postgresql://...'"
        raise _unreachable(name, error, help=help_) from error


def _unreachable(name: str, error: Exception, *, help: str) -> MachineError:
    return MachineError(
        "DOC-007",
        f"the index in the database {name} cannot be opened",
        help=help,
        cause=(str(error).strip().split("\n", 1)[0],),
    )
