"""Snapshots in Parquet: equal when read back, the same bytes for the same rows, and readable by other tools."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.errors import DataError, MachineError
from freehold.core.message import Message
from freehold.core.snapshot import (
    AuditSplit,
    DevSplit,
    Drop,
    Example,
    Origin,
    Snapshot,
    Source,
    Synthetic,
    TestSplit,
    TrainSplit,
)
from freehold.store.store import Store
from freehold.store.tables import (
    drops_table,
    head_of,
    rows_in,
    rows_table,
    sizes_of,
    snapshot_of,
    text_in,
)


def clock() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, width=32) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=5,
).filter(lambda value: "inf" not in json.dumps(value).lower())
ORIGINS = st.builds(
    Origin,
    source=TEXTS,
    row=st.integers(0, 9),
    steps=st.lists(TEXTS, max_size=2).map(tuple),
    synthetic=st.none() | st.builds(Synthetic, method=TEXTS, seed=st.integers(0, 3), teacher=TEXTS),
)
EXAMPLES = st.builds(
    Example,
    id=TEXTS,
    input=TEXTS,
    target=JSON,
    context=st.none() | TEXTS,
    history=st.lists(st.builds(Message, role=st.just("user"), content=TEXTS), max_size=2).map(
        tuple
    ),
    source=st.sampled_from(["a.jsonl", "b.csv"]),
    row=st.integers(0, 99),
    group=st.none() | TEXTS,
    fields=st.dictionaries(TEXTS, TEXTS, max_size=2),
    origin=st.none() | ORIGINS,
    licence=st.none() | TEXTS,
    consent=st.none() | TEXTS,
)


def snapshot_with(examples: list[Example]) -> Snapshot:
    """Deal the examples to the splits, without repeats."""
    dealt: dict[str, Example] = {}
    ids: set[str] = set()
    for example in examples:
        if example.id not in ids:
            dealt.setdefault(example.content_digest, example)
            ids.add(example.id)
    rows = list(dealt.values())
    return Snapshot(
        sources=(Source(name="a.jsonl", sha256="sha256:" + "a" * 64, rows=3, format="x/y"),),
        train=TrainSplit(examples=tuple(rows[::2])),
        dev=DevSplit(examples=tuple(rows[1::4])),
        test=TestSplit(examples=tuple(rows[3::4])),
        audit=AuditSplit(examples=()),
        drops=(Drop(source="a.jsonl", row=3, reason="no target"),),
        duplicates=2,
    )


@settings(max_examples=60)
@given(st.lists(EXAMPLES, max_size=6))
def test_a_snapshot_comes_back_equal_with_its_digest(examples: list[Example]) -> None:
    snapshot = snapshot_with(examples)
    rows, drops = rows_table(snapshot), drops_table(snapshot)
    found = snapshot_of(head_of(snapshot), rows=rows, drops=drops)
    assert found == snapshot
    assert found.digest == snapshot.digest
    assert [e.target for e in found.train.examples] == [e.target for e in snapshot.train.examples]
    assert (rows_table(found), drops_table(found)) == (rows, drops)


EXAMPLE = Example(
    id="a", input="Where is my parcel?", target={"z": 1, "a": 2}, source="a.jsonl", row=2
)


def test_the_table_says_where_each_row_came_from() -> None:
    origin = Origin(source="raw.csv", row=9, steps=("scrub: email masked",))
    snapshot = snapshot_with([EXAMPLE.model_copy(update={"origin": origin, "licence": "CC0"})])
    row = next(rows_in(rows_table(snapshot)))
    assert (row["source"], row["row"], row["source_sha256"]) == (
        "a.jsonl",
        2,
        "sha256:" + "a" * 64,
    )
    assert (row["origin_source"], row["origin_row"], row["steps"]) == (
        "raw.csv",
        9,
        ["scrub: email masked"],
    )
    assert (row["split"], row["licence"]) == ("train", "CC0")
    assert row["content_digest"] == EXAMPLE.content_digest
    assert row["target"] == '{"z": 1, "a": 2}'
    dropped = list(rows_in(drops_table(snapshot)))
    assert dropped[0]["reason"] == "no target"


def test_text_in_a_compressed_table_is_found() -> None:
    content = rows_table(snapshot_with([EXAMPLE] * 1))
    assert "Where is my parcel?" in text_in(content)
    with pytest.raises(ValueError, match="Parquet"):
        text_in(b"PAR1 and no more")


def test_the_store_keeps_snapshots_as_tables_and_knows_their_sizes(tmp_path: Path) -> None:
    snapshot = snapshot_with([EXAMPLE])
    with Store.open(tmp_path, clock=clock) as store:
        digest = store.put(snapshot)
        assert store.get(digest, Snapshot) == snapshot
        entry = store.entry_of(digest)
        assert entry is not None
        assert entry["sizes"] == sizes_of(snapshot)
        assert len(list(store.blobs.all())) == 3
        assert "parcel" not in json.dumps([e.body for e in store.ledger.all_entries()])


def test_a_snapshot_of_an_older_freehold_is_still_read(tmp_path: Path) -> None:
    snapshot = snapshot_with([EXAMPLE])
    with Store.open(tmp_path, clock=clock) as store:
        blob = store.blobs.put(snapshot.model_dump_json().encode())
        store.note("record", snapshot.digest, {"kind": "Snapshot", "blob": blob})
        assert store.get(snapshot.digest, Snapshot) == snapshot


def test_fields_that_came_later_do_not_rename_older_data() -> None:
    assert EXAMPLE.to_json() == {
        "id": "a",
        "input": "Where is my parcel?",
        "target": {"z": 1, "a": 2},
        "context": None,
        "history": [],
        "source": "a.jsonl",
        "row": 2,
        "group": None,
        "fields": {},
    }


def test_a_redacted_record_stands_for_the_one_before_until_that_is_kept_again(
    tmp_path: Path,
) -> None:
    other = Example(id="b", input="Another", target="x", source="a.jsonl", row=3)
    whole, less = snapshot_with([EXAMPLE, other]), snapshot_with([other])
    with Store.open(tmp_path, clock=clock) as store:
        digest = store.put(whole)
        store.replace(digest, less)
        assert store.get(digest, Snapshot) == less
        assert store.put(whole) == digest
        assert store.get(digest, Snapshot) == whole


def test_a_forgotten_blob_says_why_it_is_gone_and_may_come_back(tmp_path: Path) -> None:
    with Store.open(tmp_path, clock=clock) as store:
        digest = store.blobs.put(b"text")
        store.blobs.forget(digest)
        store.blobs.forget(digest)
        assert digest not in store.blobs
        assert store.blobs.is_forgotten(digest)
        with pytest.raises(DataError, match="DAT-080"):
            store.blobs.get(digest)
        assert store.blobs.put(b"text") == digest
        assert store.blobs.get(digest) == b"text"
        assert list(store.blobs.all()) == [digest]


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    snapshot = snapshot_with([EXAMPLE])
    with Store.open(tmp_path, clock=clock) as store:
        bad = store.blobs.put(b"no parquet")
        head = {**head_of(snapshot), "rows": bad, "drops": bad}
        blob = store.blobs.put(json.dumps(head).encode())
        store.note("record", "d", {"kind": "Snapshot", "blob": blob, "parts": [bad, bad]})
        with pytest.raises(MachineError, match="MAC-002"):
            store.get("d", Snapshot)
