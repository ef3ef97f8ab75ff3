"""The index in a real PostgreSQL server, started for these tests. Skipped where none is installed."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.retrieve.meaning import Counting, embed

from freehold.core.errors import DataError, MachineError
from freehold.data.chunk import ChunkSpec
from freehold.data.documents import Document
from freehold.retrieve.index import from_bytes, open_index

SPEC = ChunkSpec(size=60)
DOCUMENTS = [
    Document(id=f"d{n}", title="Fees", text=f"A fee of {n} euros. " * n, access=("hr",) * (n % 2))
    for n in range(1, 20)
]
needs_psycopg = pytest.mark.skipif(
    importlib.util.find_spec("psycopg") is None, reason="psycopg is not installed"
)


def programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def as_user() -> list[str] | None:
    """A server does not run as root: what to put before a command; None where no other user is there."""
    if os.getuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return None
    return ["runuser", "-u", "postgres", "--"] if shutil.which("runuser") else None


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    folder, user = programs(), as_user()
    if folder is None or user is None:
        pytest.skip("no PostgreSQL server can be started here")
    with tempfile.TemporaryDirectory(prefix="freehold-") as name:
        if user:
            shutil.chown(name, "postgres")
        data = f"{name}/data"
        run = [*user, str(folder / "pg_ctl"), "-D", data, "-w", "-s"]
        begin = [*user, str(folder / "initdb"), "-D", data, "-A", "trust", "-U", "tests", "-N"]
        subprocess.run(begin, check=True, capture_output=True, cwd="/")
        options = f"-c listen_addresses= -c unix_socket_directories={name} -c fsync=off"
        subprocess.run(
            [*run, "-o", options, "-l", f"{name}/log", "start"],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield f"postgresql:///postgres?host={name}&user=tests"
        finally:
            subprocess.run([*run, "-m", "immediate", "stop"], check=True, cwd="/")


@needs_psycopg
def test_an_index_in_a_database_finds_what_one_in_a_file_finds(server: str) -> None:
    queries = ["fee of 7 euros", "%s ? 'quoted' -- \"", "euros"]
    with (
        open_index(f"{server}#same", embed=embed, embedder="tests") as index,
        open_index(None, embed=embed, embedder="tests") as in_memory,
    ):
        for given in (DOCUMENTS, DOCUMENTS[3:], DOCUMENTS[::-1]):
            assert index.update(given, chunk=SPEC) == in_memory.update(given, chunk=SPEC)
            for held in (None, frozenset({"hr"})):
                found = index.search(queries, k=7, access=held)
                assert found == in_memory.search(queries, k=7, access=held)
                assert found[0]
        assert index.labels == frozenset({"hr"})
        assert index.remove(["d4", "never"]) == ("d4",)
        copy = from_bytes(index.to_bytes(), embed=embed, embedder="tests")
        assert copy.search(queries, k=7) == index.search(queries, k=7)
        copy.close()


@needs_psycopg
def test_an_index_in_a_database_stays_and_is_shared(server: str) -> None:
    counting = Counting()
    with (
        open_index(f"{server}#shared", embed=counting, embedder="tests") as writer,
        open_index(f"{server}#shared", embed=embed, embedder="tests") as reader,
    ):
        assert reader.search(["fee"], k=1) == [[]]
        writer.update(DOCUMENTS, chunk=SPEC)
        assert reader.search(["fee"], k=1)[0]
    with open_index(f"{server}#shared", embed=counting, embedder="tests") as again:
        counting.texts.clear()
        assert len(again.update(DOCUMENTS, chunk=SPEC).unchanged) == len(DOCUMENTS)
        assert counting.texts == []
    with open_index(f"{server}#other", embed=embed, embedder="tests") as other:
        assert len(other) == 0
    with pytest.raises(DataError, match="DOC-001"):
        open_index(f"{server}#shared", embed=embed, embedder="another")


@needs_psycopg
def test_a_database_that_cannot_be_reached_is_said_without_its_password() -> None:
    with pytest.raises(MachineError, match="DOC-007") as caught:
        open_index("postgresql://me:secret@127.0.0.1:1/none", embed=embed, embedder="tests")
    (problem,) = caught.value.problems
    assert "127.0.0.1:1/none" in problem.message
    assert "secret" not in problem.message + problem.help + "".join(problem.cause)
