from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from freehold.core.errors import DataError
from freehold.core.sections import Columns, SplitSpec
from freehold.core.snapshot import Drop, Example, Snapshot, Source
from freehold.data.duplicates import Vectors
from freehold.data.read import Reading
from freehold.data.snapshot import freeze
from freehold.data.split import Sizes, sizes_for


def example(number: int, target: JsonValue = "a", **more: str) -> Example:
    group = more.pop("group", None)
    text = more.pop("text", f"{number} is the number of this unusual row {number * 7919}")
    return Example(
        id=f"r{number}",
        input=text,
        target=target,
        source="x.jsonl",
        row=number + 1,
        group=group,
        fields=more,
    )


def reading_of(*examples: Example, drops: tuple[Drop, ...] = ()) -> Reading:
    source = Source(name="x.jsonl", sha256="sha256:0", rows=len(examples), format="text/label")
    return Reading(
        examples=examples,
        drops=drops,
        sources=(source,),
        format="text/label",
        columns=Columns(input="text", target="label"),
    )


def splits(snapshot: Snapshot) -> dict[str, tuple[Example, ...]]:
    return {
        "train": snapshot.train.examples,
        "dev": snapshot.dev.examples,
        "test": snapshot.test.examples,
        "audit": snapshot.audit.examples,
    }


def contents(snapshot: Snapshot) -> dict[str, Counter[str]]:
    return {
        name: Counter(e.content_digest for e in examples)
        for name, examples in splits(snapshot).items()
    }


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [
        (20, Sizes(test=6, dev=4, audit=0)),
        (60, Sizes(test=20, dev=8, audit=10)),
        (100, Sizes(test=33, dev=10, audit=16)),
        (300, Sizes(test=50, dev=15, audit=25)),
        (1200, Sizes(test=200, dev=60, audit=100)),
        (5120, Sizes(test=400, dev=120, audit=200)),
        (100_000, Sizes(test=2000, dev=600, audit=1000)),
    ],
)
def test_the_default_sizes_are_the_documented_ones(rows: int, sizes: Sizes) -> None:
    assert sizes_for(rows, SplitSpec()) == sizes


@given(rows=st.integers(20, 200_000), own_test=st.booleans())
def test_default_sizes_always_leave_examples_to_train_on(rows: int, own_test: bool) -> None:
    sizes = sizes_for(rows, SplitSpec(), own_test=own_test)
    assert sizes.held_out <= 0.65 * rows
    assert sizes.dev >= 4
    assert (sizes.test == 0) is own_test


def test_sizes_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(DataError, match="DAT-012"):
        sizes_for(100, SplitSpec(test=90, dev=5, audit=1))
    assert sizes_for(100, SplitSpec(test=90, dev=4, audit=1)).held_out == 95


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    """Rows with labels, repeats under other ids, repeats with another answer, and groups."""
    rows = draw(st.integers(30, 90))
    labels = draw(st.integers(2, 5))
    rng = draw(st.randoms(use_true_random=False))
    made: list[Example] = []
    for number in range(rows):
        label = "abcde"[rng.randrange(labels)] if number >= labels else "abcde"[number]
        group = f"g{rng.randrange(12)}" if rng.random() < 0.3 else f"own{number}"
        if made and rng.random() < 0.15:
            text = rng.choice(made).input.upper()
            made.append(example(number, label, text=text, customer=group))
        else:
            made.append(example(number, label, customer=group))
    return reading_of(*made)


@settings(max_examples=25)
@given(reading=readings(), seed=st.integers(0, 5), grouped=st.booleans(), rng=st.randoms())
def test_splits_are_disjoint_whole_deterministic_and_independent_of_row_order(
    reading: Reading, seed: int, grouped: bool, rng: random.Random
) -> None:
    spec = SplitSpec(seed=seed, group_by="customer" if grouped else None)
    try:
        snapshot = freeze(reading, spec=spec)
    except DataError as error:
        assert error.problems[0].code in ("DAT-011", "DAT-012")
        reject()  # nearly all rows are one group
    parts = splits(snapshot)

    assert sorted(e.id for part in parts.values() for e in part) == sorted(
        e.id for e in reading.examples
    )
    place = {e.id: name for name, part in parts.items() for e in part}
    together: dict[str, set[str]] = {}
    for e in (e for part in parts.values() for e in part):
        for tie in (f"text {e.input.lower()}", f"group {e.group or e.id}"):
            together.setdefault(tie, set()).add(place[e.id])
    assert all(len(names) == 1 for names in together.values())

    assert freeze(reading, spec=spec).digest == snapshot.digest
    moved = list(reading.examples)
    rng.shuffle(moved)
    assert contents(freeze(reading_of(*moved), spec=spec)) == contents(snapshot)


def test_labels_are_in_proportion_and_rare_ones_are_trained() -> None:
    labels = ["common"] * 800 + ["middle"] * 300 + ["rare"] * 99 + ["once"]
    snapshot = freeze(
        reading_of(*(example(n, label) for n, label in enumerate(labels))), spec=SplitSpec()
    )
    assert {name: len(part) for name, part in splits(snapshot).items()} == {
        "train": 840,
        "dev": 60,
        "test": 200,
        "audit": 100,
    }
    in_test = Counter(str(e.target) for e in snapshot.test.examples)
    assert in_test["common"] == pytest.approx(200 * 800 / 1200, abs=2)
    assert in_test["rare"] == pytest.approx(200 * 99 / 1200, abs=2)
    assert "once" in [e.target for e in snapshot.train.examples]


def test_another_seed_gives_another_split() -> None:
    reading = reading_of(*(example(n, "ab"[n % 2]) for n in range(200)))
    first = freeze(reading, spec=SplitSpec(seed=1))
    assert contents(first) != contents(freeze(reading, spec=SplitSpec(seed=2)))


def test_a_column_may_be_kept_in_proportion() -> None:
    rows = [
        example(n, f"free answer {n}", language="fi" if n % 10 == 0 else "en") for n in range(600)
    ]
    snapshot = freeze(reading_of(*rows), spec=SplitSpec(stratify_by="language"))
    in_test = Counter(e.fields["language"] for e in snapshot.test.examples)
    assert in_test["fi"] == pytest.approx(10, abs=1)
    assert in_test.total() == 100


def test_the_first_closed_field_of_json_answers_is_kept_in_proportion() -> None:
    rows = [example(n, {"intent": "rare" if n % 10 == 0 else "common", "n": n}) for n in range(600)]
    snapshot = freeze(reading_of(*rows), spec=SplitSpec())
    rare = sum('"rare"' in json.dumps(e.target) for e in snapshot.test.examples)
    assert rare == pytest.approx(10, abs=1)
    assert len(snapshot.test) == 100


def test_a_large_group_of_repeats_is_left_to_training() -> None:
    repeats = [example(n, "ab"[n % 2], text="the same text") for n in range(60)]
    others = [example(n, "ab"[n % 2]) for n in range(60, 660)]
    snapshot = freeze(reading_of(*repeats, *others), spec=SplitSpec())
    assert sum(e.input == "the same text" for e in snapshot.train.examples) == 60
    assert snapshot.duplicates == 59


def test_groups_that_are_too_large_are_refused_with_the_size_that_would_do() -> None:
    rows = [example(n, "ab"[n % 2], customer=f"c{n % 3}") for n in range(300)]
    with pytest.raises(DataError) as caught:
        freeze(reading_of(*rows), spec=SplitSpec(group_by="customer"))
    assert caught.value.problems[0].code == "DAT-012"
    assert "data.split.test to 100" in caught.value.problems[0].help


@pytest.mark.parametrize("setting", ["group_by", "stratify_by"])
def test_a_split_column_that_no_row_has_is_refused(setting: str) -> None:
    rows = [example(n, "ab"[n % 2], customer="c") for n in range(30)]
    spec = SplitSpec.model_validate({setting: "custmer"})
    with pytest.raises(DataError) as caught:
        freeze(reading_of(*rows), spec=spec)
    assert caught.value.problems[0].code == "DAT-007"
    assert caught.value.problems[0].help == "did you mean `customer`?"


def test_too_few_examples_say_how_many_are_needed_and_what_was_wrong_with_the_others() -> None:
    drops = tuple(Drop(source="x.jsonl", row=row, reason="no target") for row in (7, 8))
    with pytest.raises(DataError) as caught:
        freeze(reading_of(*(example(n) for n in range(5)), drops=drops), spec=SplitSpec())
    problem = caught.value.problems[0]
    assert problem.code == "DAT-010"
    assert problem.message.startswith("5 examples in all; 20 are the least")
    assert problem.help.startswith("add 15 more")
    assert problem.cause == ("2 × no target (rows 7, 8)",)


def test_one_answer_only_is_refused() -> None:
    with pytest.raises(DataError, match="DAT-011"):
        freeze(reading_of(*(example(n) for n in range(30))), spec=SplitSpec())


# A test file of the user's own ----------------------------------------------------------------


def test_training_rows_that_repeat_the_users_test_rows_are_left_out_and_counted() -> None:
    long = "my parcel with the two kettles that i ordered in may for the office has not come " * 2
    train = [
        *(example(n, "ab"[n % 2], customer=f"c{n}") for n in range(60)),
        example(60, "a", text="Is this leaked?", customer="x"),
        example(61, "b", text=long + "yet", customer="x2"),
        example(62, "b", customer="known"),
    ]
    tests = [
        example(100, "b", text="is this LEAKED", customer="t1"),
        example(101, "a", text=long, customer="t2"),
        example(102, "a", customer="known"),
        example(103, "a", text="twice", customer="t3"),
        example(104, "a", text="twice", customer="t4"),
        example(3, "b", customer="t5"),
    ]
    tests[-1] = tests[-1].model_copy(update={"input": "an own question under a known id"})
    snapshot = freeze(
        reading_of(*train), spec=SplitSpec(group_by="customer"), test=reading_of(*tests)
    )
    assert len(snapshot.test) == 6
    assert snapshot.leaked == 3
    assert snapshot.drops_by_reason == {
        "belongs to a group of the test rows": 1,
        "nearly repeats a test row": 1,
        "repeats a test row": 1,
    }
    assert {drop.row for drop in snapshot.drops} == {61, 62, 63}
    assert "test:r3" in {e.id for e in snapshot.test.examples}
    assert len(snapshot.audit) == 5 and len(snapshot.dev) == 8  # a quarter of 20; 8 at least


# Taking a part --------------------------------------------------------------------------------


def test_no_split_divides_paraphrases_and_a_training_row_that_paraphrases_a_test_row_is_left_out() -> (
    None
):
    def meaning(texts: Sequence[str]) -> Vectors:
        """A stand-in for an embedder: rows say the same where their last digit is the same."""
        return np.eye(10, dtype=np.float32)[[int(text[-1]) for text in texts]]

    words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"]
    rows = [
        example(n, "ab"[n % 2], text=f"{words[n % 6] * 4} {n * 7919 % 1009} says {n // 6}")
        for n in range(60)
    ]
    spec = SplitSpec(paraphrase=0.9)
    snapshot = freeze(reading_of(*rows), spec=spec, embed=meaning)
    assert snapshot.paraphrases == 50
    said = [{e.input[-1] for e in part} for part in splits(snapshot).values()]
    assert sum(map(len, said)) == 10
    tests = [example(100, "a", text="quite other words 3"), example(101, "b", text="again new 4")]
    snapshot = freeze(reading_of(*rows), spec=spec, test=reading_of(*tests), embed=meaning)
    assert snapshot.drops_by_reason == {"says the same as a test row in other words": 12}
    with pytest.raises(ValueError, match="embedder"):
        freeze(reading_of(*rows), spec=spec)
