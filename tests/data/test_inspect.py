from __future__ import annotations

import pytest

from freehold.core.errors import Problem
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
from freehold.data.inspect import inspect, lengths, settles_beyond

SOURCE = Source(name="x.jsonl", sha256="sha256:0", rows=1, format="text/label")


def rows(start: int, labels: list[str]) -> tuple[Example, ...]:
    return tuple(
        Example(id=f"r{n}", input=f"text {n}", target=label, source="x.jsonl", row=n)
        for n, label in enumerate(labels, start)
    )


def snapshot_of(
    train: list[str], test: list[str], drops: tuple[Drop, ...] = (), **counts: int
) -> Snapshot:
    return Snapshot(
        sources=(SOURCE,),
        train=TrainSplit(examples=rows(1, train)),
        dev=DevSplit(examples=rows(10_001, train[:4])),
        test=TestSplit(examples=rows(20_001, test)),
        audit=AuditSplit(examples=()),
        drops=drops,
        **counts,
    )


def found(snapshot: Snapshot, code: str) -> Problem | None:
    problems = inspect(snapshot)
    assert all(p.level == "warning" and p.help for p in problems)
    return next((p for p in problems if p.code == code), None)


CLEAN = snapshot_of(["a", "b"] * 50, ["a", "b"] * 2000)


def test_clean_data_gives_no_warning() -> None:
    assert inspect(CLEAN) == ()


def test_few_test_rows_cannot_settle_the_bar() -> None:
    problem = found(snapshot_of(["a", "b"] * 50, ["a", "b"] * 200), "BAR-002")
    assert problem is not None
    assert problem.message == "400 test rows cannot settle a rung within ±3.9 points of the bar"
    assert problem.help.startswith("1,200 more")
    assert settles_beyond(400, quality=0.8, confidence=0.95) == pytest.approx(3.92, abs=0.001)
    assert settles_beyond(0, quality=0.8, confidence=0.95) == 100


def test_a_label_that_only_the_test_has_is_named() -> None:
    problem = found(snapshot_of(["a", "b"] * 50, ["a", "b"] * 2000 + ["new"] * 3), "DAT-021")
    assert problem is not None
    assert "`new` is in no training row, but in 3 held-out rows" in problem.message
    assert problem.where is not None and problem.where.row == 24_001


def test_labels_with_few_training_rows_are_listed() -> None:
    problem = found(
        snapshot_of(["a"] * 50 + ["b"] * 4 + ["c"] * 2, ["a", "b", "c"] * 700), "DAT-022"
    )
    assert problem is not None
    assert "2 labels have fewer than 5 training rows: `c`, `b`" in problem.message


def test_a_frequent_label_is_a_warning_from_half_of_three_and_three_quarters_of_two() -> None:
    assert found(snapshot_of(["a", "b"] * 50, ["a"] * 2249 + ["b"] * 751), "DAT-023") is None
    two = found(snapshot_of(["a", "b"] * 50, ["a"] * 2250 + ["b"] * 750), "DAT-023")
    three = found(snapshot_of(["a", "b", "c"] * 50, ["a"] * 1500 + ["b", "c"] * 750), "DAT-023")
    assert two is not None and "75 % of the test rows" in two.message
    assert three is not None and "always saying it scores 0.500" in three.message


def test_labels_that_look_alike_are_named() -> None:
    problem = found(snapshot_of(["Refund", "refund ", "b"] * 50, ["b", "Refund"] * 2000), "DAT-024")
    assert problem is not None
    assert "'Refund' and 'refund '" in problem.message


def test_one_text_with_two_answers_is_named_with_its_rows() -> None:
    twice = (
        Example(id="x", input="Same text", target="a", source="x.jsonl", row=901),
        Example(id="y", input="same text!", target="b", source="x.jsonl", row=902),
    )
    train = TrainSplit(examples=(*CLEAN.train.examples, *twice))
    problem = found(CLEAN.model_copy(update={"train": train}), "DAT-020")
    assert problem is not None
    assert "row 901 of x.jsonl and row 902 of x.jsonl" in problem.message


def test_repeats_are_reported_from_one_percent_on() -> None:
    many = CLEAN.model_copy(update={"duplicates": 40, "near_duplicates": 2})
    few = CLEAN.model_copy(update={"duplicates": 10, "near_duplicates": 2})
    problem = found(many, "DAT-019")
    assert problem is not None and "40 rows repeat and 2 nearly repeat" in problem.message
    assert found(few, "DAT-019") is None


def test_drops_and_leaks_are_told_apart() -> None:
    drops = (
        Drop(source="x.jsonl", row=3, reason="no target"),
        Drop(source="x.jsonl", row=9, reason="repeats a test row"),
    )
    snapshot = CLEAN.model_copy(update={"drops": drops, "leaked": 1})
    left_out, leaked = found(snapshot, "DAT-018"), found(snapshot, "DAT-014")
    assert left_out is not None and left_out.cause == ("1 × no target (row 3)",)
    assert leaked is not None and leaked.message.startswith("1 training row repeats a test row")


def test_inputs_longer_than_the_model_reads_are_counted() -> None:
    def count_words(text: str) -> int:
        return len(text.split())

    assert not inspect(CLEAN, count_tokens=count_words, longest_tokens=2)
    problems = inspect(CLEAN, count_tokens=count_words, longest_tokens=1)
    assert [p.code for p in problems] == ["DAT-025"]
    assert problems[0].message.startswith("4,104 inputs are longer than 1 tokens")


def test_lengths_are_nearest_ranks() -> None:
    examples = [Example(id=str(n), input="x" * n, target="a", context="cc") for n in range(1, 101)]
    measured = lengths(examples)
    assert (measured.p50, measured.p95, measured.longest) == (52, 97, 102)
    assert lengths([]).longest == 0
    assert lengths(examples, lambda text: 1).p50 == 2
