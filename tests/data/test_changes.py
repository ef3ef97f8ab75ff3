"""What changed between snapshots: every row is in exactly one list, and the lists undo each other."""

from hypothesis import given
from hypothesis import strategies as st

from freehold.core.snapshot import (
    AuditSplit,
    DevSplit,
    Drop,
    Example,
    Snapshot,
    Source,
    TestSplit,
    TrainSplit,
)
from freehold.data.changes import changes

ROWS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("xy"), st.sampled_from(["train", "test"])),
    max_size=8,
)


def snapshot(rows: list[tuple[str, str, str]], drops: tuple[Drop, ...] = ()) -> Snapshot:
    splits: dict[str, list[Example]] = {"train": [], "test": []}
    seen: dict[str, str] = {}
    for number, (text, target, split) in enumerate(rows, 1):
        example = Example(id=f"r{number}", input=text, target=target, source="a.jsonl", row=number)
        if seen.setdefault(example.content_digest, split) == split:
            splits[split].append(example)
    return Snapshot(
        sources=(Source(name="a.jsonl", sha256="sha256:a", rows=9, format="x/y"),),
        train=TrainSplit(examples=tuple(splits["train"])),
        dev=DevSplit(examples=()),
        test=TestSplit(examples=tuple(splits["test"])),
        audit=AuditSplit(examples=()),
        drops=drops,
    )


@given(ROWS, ROWS)
def test_every_row_is_accounted_for_once(
    first: list[tuple[str, str, str]], second: list[tuple[str, str, str]]
) -> None:
    before, after = snapshot(first), snapshot(second)
    found = changes(before, after)
    shared = found.same + len(found.moved) + len(found.changed)
    assert shared + len(found.removed) == len(before.train) + len(before.test)
    assert shared + len(found.added) == len(after.train) + len(after.test)
    back = changes(after, before)
    assert len(back.added) == len(found.removed)
    assert len(back.changed) == len(found.changed)


@given(ROWS)
def test_a_snapshot_does_not_differ_from_itself(rows: list[tuple[str, str, str]]) -> None:
    assert changes(snapshot(rows), snapshot(rows)).is_empty


def test_answers_splits_and_drops_are_named() -> None:
    before = snapshot([("a", "x", "train"), ("b", "x", "train"), ("c", "x", "train")])
    drops = (Drop(source="a.jsonl", row=3, reason="forgotten"),)
    after = snapshot([("a", "y", "train"), ("b", "x", "test")], drops)
    found = changes(before, after)
    assert [(c.id, c.before, c.after) for c in found.changed] == [("r1", "x", "y")]
    assert [(c.id, c.before, c.after) for c in found.moved] == [("r2", "train", "test")]
    assert [(c.id, c.split, c.reason) for c in found.removed] == [("r3", "train", "forgotten")]
    assert found.drops == {"forgotten": (0, 1)}
