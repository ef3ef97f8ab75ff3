"""The store: whole or absent, append-only, chained, and there after a kill."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.errors import MachineError, UsageError
from freehold.core.measure import Estimate
from freehold.core.record import digest_bytes
from freehold.store.store import Store


def clock() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(tmp_path, clock=clock) as opened:
        yield opened


ESTIMATE = Estimate(mean=0.5, low=0.4, high=0.6, n=10)


@settings(max_examples=20)
@given(content=st.binary(max_size=200))
def test_a_blob_comes_back_under_its_digest(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Store.open(tmp_path_factory.mktemp("blobs"), clock=clock) as store:
        digest = store.blobs.put(content)
        assert digest == digest_bytes(content)
        assert store.blobs.get(digest) == content


def test_a_damaged_blob_is_refused_with_its_path(store: Store) -> None:
    digest = store.blobs.put(b"good")
    store.blobs.path(digest).write_bytes(b"bad")
    with pytest.raises(MachineError, match="damaged") as caught:
        store.blobs.get(digest)
    assert str(store.blobs.path(digest)) in caught.value.problems[0].help


def test_a_record_is_kept_once_and_found_by_its_digest(store: Store) -> None:
    digest = store.put(ESTIMATE)
    assert store.put(ESTIMATE) == digest == ESTIMATE.digest
    assert store.get(digest, Estimate) == ESTIMATE
    assert len(store.ledger.entries("record", subject=digest)) == 1
    with pytest.raises(KeyError):
        store.get("sha256:0", Estimate)


def test_finished_work_is_recalled_by_what_it_was_made_from(store: Store) -> None:
    assert store.recall("work", Estimate) is None
    store.remember("work", ESTIMATE)
    assert store.recall("work", Estimate) == ESTIMATE


def test_the_ledger_refuses_changes_and_deletions(store: Store, tmp_path: Path) -> None:
    store.note("look", "s", {"n": 1})
    outside = sqlite3.connect(tmp_path / ".freehold" / "ledger.db")
    for statement in ("UPDATE entries SET body = 'x'", "DELETE FROM entries"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            outside.execute(statement)
    outside.close()


def test_a_change_behind_the_ledgers_back_breaks_the_chain(store: Store, tmp_path: Path) -> None:
    for number in range(5):
        store.note("look", "s", {"n": number})
    assert store.ledger.verify() is None
    outside = sqlite3.connect(tmp_path / ".freehold" / "ledger.db")
    outside.execute("DROP TRIGGER entries_are_never_changed")
    outside.execute("UPDATE entries SET body = '{\"n\":9}' WHERE number = 3")
    outside.commit()
    outside.close()
    assert store.ledger.verify() == 3


def test_handles_count_up_and_stay_with_their_key(store: Store) -> None:
    first, second = store.handle("c", "key one"), store.handle("c", "key two")
    assert (first.name, second.name) == ("c1", "c2")
    assert store.handle("c", "key one") == first
    assert store.resolve("@last").name == "c2"
    assert store.resolve("c1").key == "key one"
    with pytest.raises(UsageError, match="there is no `c9`"):
        store.resolve("c9")


def test_results_of_a_piece_of_work_can_be_kept_read_and_forgotten(store: Store) -> None:
    for example, body in (("a", "1"), ("b", "2"), ("b", "3")):
        store.ledger.keep_result("w", example, body)
    assert store.ledger.results("w") == {"a": "1", "b": "3"}
    store.ledger.forget_results("w", ["a"])
    assert store.ledger.results("w") == {"b": "3"}
    assert store.ledger.results("other") == {}


def test_state_of_a_newer_freehold_is_left_alone(tmp_path: Path) -> None:
    Store.open(tmp_path, clock=clock).close()
    outside = sqlite3.connect(tmp_path / ".freehold" / "ledger.db")
    outside.execute("PRAGMA user_version = 99")
    outside.commit()
    outside.close()
    with pytest.raises(MachineError, match="newer Freehold"):
        Store.open(tmp_path, clock=clock)


def test_the_state_folder_keeps_itself_out_of_version_control(store: Store) -> None:
    assert (store.folder / ".gitignore").read_text() == "*\n"


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from freehold.store.store import Store
store = Store.open(Path(sys.argv[1]), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
number = 0
while True:
    number += 1
    store.blobs.put(b"blob %d" % number)
    store.ledger.keep_result("w", str(number), "{}")
    store.note("look", "s", {"n": number})
    print(number, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 23])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, acknowledged: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    last = 0
    while last < acknowledged:
        last = int(writer.stdout.readline())
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    with Store.open(tmp_path, clock=clock) as store:
        assert store.ledger.verify() is None
        assert len(store.ledger.entries("look")) >= last
        assert {str(n) for n in range(1, last + 1)} <= set(store.ledger.results("w"))
        for number in range(1, last + 1):
            content = b"blob %d" % number
            assert store.blobs.get(digest_bytes(content)) == content
