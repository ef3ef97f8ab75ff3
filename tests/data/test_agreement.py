import logging
import string
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nltk.metrics.agreement import AnnotationTask

from freehold.data.agreement import Agreement, agreement

Votes = dict[str, dict[str, str]]


def of_rows(*labellers: str) -> Votes:
    """Items from one string per labeller, a character an item; `.` is a missing answer."""
    return {
        str(item): {f"l{who}": row[item] for who, row in enumerate(labellers) if row[item] != "."}
        for item in range(len(labellers[0]))
    }


def measured(votes: Mapping[str, Mapping[str, str]]) -> Agreement:
    return agreement(votes, rng=np.random.default_rng(7))


@pytest.mark.parametrize(
    ("labellers", "alpha"),
    [
        (("0100000000", "1110010010"), 0.095),
        (("aabbdcccedda", "babbbccceddd"), 0.692),
        (("123321412...", "1233224125.3", ".3332342251.", "12332441251."), 0.743),
    ],
)
def test_alpha_is_that_of_krippendorffs_worked_examples(
    labellers: tuple[str, ...], alpha: float
) -> None:
    # "Computing Krippendorff's Alpha-Reliability" (2011): two labellers and labels; two labellers and
    # five labels; four labellers with missing answers.
    assert measured(of_rows(*labellers)).alpha == pytest.approx(alpha, abs=5e-4)


@st.composite
def some_votes(draw: st.DrawFn) -> Votes:
    labellers = draw(st.integers(2, 4))
    row = st.text("abc.", min_size=labellers, max_size=labellers)
    rows = draw(st.lists(row, min_size=1, max_size=25))
    return of_rows(*("".join(row[who] for row in rows) for who in range(labellers)))


@given(some_votes())
@example({"0": {"l0": "a", "l1": "a", "l2": "a"}, "1": {"l0": "a", "l2": "b"}})
def test_alpha_is_that_of_an_independent_implementation(votes: Votes) -> None:
    logging.getLogger("nltk").setLevel(logging.ERROR)
    found = measured(votes)
    pairable = {item: given for item, given in votes.items() if len(given) > 1}
    labels = {answer for given in pairable.values() for answer in given.values()}
    assert found.items == len(pairable)
    if len(labels) < 2:
        assert found.alpha is None
        return
    data = [(who, i, frozenset(a)) for i, given in votes.items() for who, a in given.items()]
    task: Any = AnnotationTask(data=data)
    assert found.alpha is not None
    assert found.alpha == pytest.approx(task.alpha())
    assert -1 <= found.low <= found.alpha <= found.high <= 1


@given(some_votes(), st.permutations("abc"))
def test_alpha_does_not_depend_on_the_names_of_labels(votes: Votes, names: list[str]) -> None:
    renamed = {
        item: {who: names[string.ascii_lowercase.index(a)] for who, a in given.items()}
        for item, given in votes.items()
    }
    first, second = measured(votes), measured(renamed)
    assert second.alpha == (None if first.alpha is None else pytest.approx(first.alpha))
    assert (first.low, first.high) == pytest.approx((second.low, second.high))


def test_nothing_answered_twice_and_one_label_alone_have_no_alpha_and_every_value_is_possible() -> (
    None
):
    for votes in ({}, of_rows("ab", ".."), of_rows("aaa", "aaa")):
        found = measured(votes)
        assert (found.alpha, found.low, found.high) == (None, -1, 1)
    assert measured(of_rows("aaa", "aaa")).equal == 1


def test_ten_items_without_a_dispute_do_not_prove_perfect_agreement() -> None:
    few, many = measured(of_rows("ab" * 5, "ab" * 5)), measured(of_rows("ab" * 50, "ab" * 50))
    assert (few.alpha, few.high, many.alpha, many.high) == (1, 1, 1, 1)
    assert few.low < 0.5
    assert 0.92 < many.low < 0.95


def test_the_interval_covers_the_alpha_of_the_population() -> None:
    # Two labellers who see the true label 9 times in 10, else one of four at random: in the population
    # they agree by more than chance with probability 0.9 x 0.9.
    rng = np.random.default_rng(1)
    items, covered, runs = 60, 0, 150
    for _ in range(runs):
        truth = rng.integers(0, 4, items)
        seen = [np.where(rng.random(items) < 0.9, truth, rng.integers(0, 4, items)) for _ in "ab"]
        rows = ("".join(str(label) for label in labels) for labels in seen)
        found = measured(of_rows(*rows))
        covered += found.low <= 0.81 <= found.high
    assert covered / runs > 0.88


def test_labels_are_told_with_what_they_are_confused_with_least_agreed_first() -> None:
    found = measured(of_rows("aaaabbbbcc", "aaabbbbacc"))
    assert [(one.label, one.answers, one.confused_with) for one in found.labels] == [
        ("a", 8, "b"),
        ("b", 8, "a"),
        ("c", 4, None),
    ]
    assert [one.agreed for one in found.labels] == [0.75, 0.75, 1.0]
    assert found.equal == 0.8
    assert found.labellers == ("l0", "l1")
