"""Lineage: a graph of what was made of what, noted once, and marks that follow what learnt."""

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.snapshot import (
    AuditSplit,
    DevSplit,
    Example,
    Snapshot,
    Source,
    TestSplit,
    TrainSplit,
)
from freehold.store.lineage import (
    DESCENDS,
    FORGOTTEN,
    Edge,
    Lineage,
    Thing,
    descend,
    keep_snapshot,
    lineage,
    marks,
    split_things,
)
from freehold.store.store import Store


def clock() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Generator[Store]:
    with Store.open(tmp_path, clock=clock) as opened:
        yield opened


def thing(key: str, kind: str = "candidate") -> Thing:
    return Thing.model_validate({"kind": kind, "key": key})


def snapshot(train: str = "a", test: str = "b") -> Snapshot:
    def one(text: str) -> tuple[Example, ...]:
        return (Example(id=text, input=text, target="x", source="f.jsonl", row=1),)

    return Snapshot(
        sources=(Source(name="f.jsonl", sha256="sha256:f", rows=2, format="x/y"),),
        train=TrainSplit(examples=one(train)),
        dev=DevSplit(examples=()),
        test=TestSplit(examples=one(test)),
        audit=AuditSplit(examples=()),
    )


EDGES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20)


@given(EDGES, st.integers(0, 7))
def test_descendants_are_what_a_plain_search_reaches(
    pairs: list[tuple[int, int]], start: int
) -> None:
    graph = Lineage(Edge(parent=thing(str(a)), child=thing(str(b))) for a, b in pairs)
    reached: set[int] = {start}
    while True:
        more = {b for a, b in pairs if a in reached} - reached
        if not more:
            break
        reached |= more
    found = [int(t.key) for t in graph.descendants([str(start)])]
    assert set(found) == reached - {start}
    assert len(found) == len(set(found))
    for key in found:
        assert str(start) in {t.key for t in graph.ancestors([str(key)])} | {str(start)}


def test_a_snapshot_gets_a_handle_and_its_files_and_splits_are_noted_once(store: Store) -> None:
    first, again = keep_snapshot(store, snapshot()), keep_snapshot(store, snapshot())
    other = keep_snapshot(store, snapshot(test="c"))
    assert (first.name, again.name, other.name) == ("s1", "s1", "s2")
    graph = lineage(store.ledger)
    assert [t.name for t in graph.parents(first.key)] == ["f.jsonl"]
    assert sorted(t.name for t in graph.children(first.key)) == ["test", "train"]
    train = split_things(snapshot())["train"].key
    assert [t.name for t in graph.parents(train)] == ["s1", "s2"]
    assert len(store.ledger.entries(DESCENDS)) == 6
    assert store.ledger.verify() is None


def test_a_mark_follows_what_learnt_and_not_what_was_only_measured(store: Store) -> None:
    lora, later, beside = thing("lora"), thing("later", "training"), thing("beside")
    whole = Thing(kind="snapshot", key="s", name="s1")
    descend(store, lora, whole)
    descend(store, beside, whole)
    descend(store, later, lora)
    body = {"by": "match", "rows": 2, "marked": [whole.to_json(), lora.to_json()]}
    store.note(FORGOTTEN, "pattern", body)
    found = marks(store.ledger)
    assert set(found) == {"s", "lora", "later"}
    assert found["lora"].rows == 2
    after = thing("after", "training")
    descend(store, after, later)
    store.note(FORGOTTEN, "pattern two", {"by": "id", "rows": 1, "marked": [lora.to_json()]})
    found = marks(store.ledger)
    assert found["lora"].rows == 3
    assert found["after"].rows == 3
