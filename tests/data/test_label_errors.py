# pyright: standard
"""Confident learning against cleanlab, the reference implementation of its authors, and planted errors."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pytest
from cleanlab import count
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from freehold.core.snapshot import Example
from freehold.data.label_errors import (
    candidates,
    confident_joint,
    doubts,
    estimate_joint,
    estimated_share,
    inconsistent_repeats,
    thresholds,
)

Noisy: TypeAlias = tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]


def noisy(rows: int, labels: int, *, seed: int, share: float = 0.1) -> Noisy:
    """Probabilities that favour the true label, and given labels of which a share is another."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, labels, rows)
    scores = rng.normal(0, 1, (rows, labels))
    scores[np.arange(rows), true] += 5
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    wrong = rng.random(rows) < share
    shown = np.where(wrong, (true + rng.integers(1, labels, rows)) % labels, true)
    return probabilities, shown.astype(np.intp), wrong


@pytest.mark.parametrize(("labels", "seed"), [(2, 0), (3, 1), (5, 2)])
def test_joint_and_thresholds_are_those_of_cleanlab(labels: int, seed: int) -> None:
    probabilities, shown, _ = noisy(200, labels, seed=seed)
    assert set(shown) == set(range(labels))
    expected = count.get_confident_thresholds(shown, probabilities)
    assert thresholds(probabilities, shown) == pytest.approx(expected)
    joint = np.asarray(count.compute_confident_joint(shown, probabilities, calibrate=False))
    assert confident_joint(probabilities, shown).tolist() == joint.tolist()
    estimate = count.estimate_joint(shown, probabilities)
    whole_rows = 1 / len(shown)  # cleanlab rounds to whole rows
    assert estimate_joint(probabilities, shown) == pytest.approx(estimate, abs=whole_rows)


@settings(max_examples=30)
@given(st.integers(2, 6), st.integers(5, 80), st.integers(0, 1000))
def test_the_joint_is_a_distribution_with_the_given_labels_as_its_rows(
    labels: int, rows: int, seed: int
) -> None:
    probabilities, shown, _ = noisy(rows, labels, seed=seed)
    joint = estimate_joint(probabilities, shown)
    assert joint.sum() == pytest.approx(1)
    assert joint.sum(axis=1) == pytest.approx(np.bincount(shown, minlength=labels) / rows)
    assert 0 <= estimated_share(joint) <= 1


def test_planted_errors_are_found_and_their_share_is_estimated() -> None:
    probabilities, shown, wrong = noisy(3000, 6, seed=1, share=0.08)
    found = [candidate.row for candidate in candidates(probabilities, shown)]
    hits = wrong[found].sum()
    assert hits / len(found) > 0.8
    assert hits / wrong.sum() > 0.7
    assert estimated_share(estimate_joint(probabilities, shown)) == pytest.approx(0.08, abs=0.04)
    assert wrong[found[:50]].mean() > 0.95, "the most doubtful come first"


def test_right_labels_give_no_candidates_and_neither_does_one_label() -> None:
    probabilities, shown, _ = noisy(300, 3, seed=0, share=0.0)
    sure = np.zeros_like(probabilities)
    sure[np.arange(300), shown] = 1.0
    assert candidates(sure, shown) == ()
    assert candidates(np.ones((5, 1)), np.zeros(5, np.intp)) == ()
    with pytest.raises(ValueError, match="do not fit"):
        candidates(np.ones((5, 2)), np.zeros(4, np.intp))


def row(number: int, text: str, label: str) -> Example:
    return Example(id=f"r{number}", input=text, target=label, source="x.jsonl", row=number)


def test_of_repeats_with_two_labels_the_rarer_one_is_in_doubt() -> None:
    examples = [
        row(1, "Where is my card?", "card"),
        row(2, "where is my card", "card"),
        row(3, "Where is my card!", "refund"),
        row(4, "Pay me back", "refund"),
        row(5, "pay me back", "billing"),
    ]
    assert inconsistent_repeats(examples) == ((2, 0), (3, 4), (4, 3))


def test_repeats_come_first_and_a_row_is_listed_once() -> None:
    examples = [
        row(0, "same", "a"),
        row(1, "same", "b"),
        row(2, "same", "b"),
        *(row(n, f"text {n}", "ab"[n % 2]) for n in range(3, 60)),
    ]
    probabilities = np.array([[0.9, 0.1] if e.target == "a" else [0.1, 0.9] for e in examples])
    probabilities[0] = [0.02, 0.98]
    probabilities[10] = [0.99, 0.01] if examples[10].target == "b" else [0.01, 0.99]
    found = doubts(examples, ("a", "b"), probabilities)
    assert [(d.id, d.reason) for d in found.doubts][:1] == [("r0", "same text, other label")]
    assert [d.id for d in found.doubts].count("r0") == 1
    assert found.doubts[0].other == "r1" and found.doubts[0].likelier == "b"
    assert "r10" in {d.id for d in found.doubts}
    assert found.looked_at == found.rows == 60
