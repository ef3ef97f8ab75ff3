from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from freehold.evaluate.prediction_powered import (
    calibrated_mean,
    prediction_powered_difference,
    prediction_powered_mean,
)
from freehold.evaluate.statistics import wilson

Floats = NDArray[np.float64]
SHARES = st.floats(0.0, 1.0)


def binary(
    rng: np.random.Generator, quality: float, right: float, size: int
) -> tuple[Floats, Floats]:
    """Human scores, and a judge that agrees with each with the chance `right`."""
    human = (rng.random(size) < quality).astype(np.float64)
    judge = np.where(rng.random(size) < right, human, 1.0 - human)
    return human, judge


def plain(human: Floats, judge: Floats, others: Floats) -> tuple[float, float]:
    """PPI++ as its paper states it: the estimate, and the normal standard error."""
    n, more = len(human), len(others)
    everything = np.concatenate((judge, others))
    weight = np.cov(human, judge, ddof=0)[0, 1] / ((1 + n / more) * everything.var())
    weight = min(1.0, max(0.0, float(weight)))
    rectified = human - weight * judge
    error = np.sqrt(weight**2 * others.var() / more + rectified.var() / n)
    return float(weight * others.mean() + rectified.mean()), float(error)


@pytest.mark.parametrize("right", [0.6, 0.8, 0.95])
def test_with_many_human_scores_it_is_the_interval_of_the_paper(right: float) -> None:
    human, judge = binary(np.random.default_rng(1), 0.7, right, 24_000)
    mean, error = plain(human[:4000], judge[:4000], judge[4000:])
    found = prediction_powered_mean(
        human[:4000].tolist(), judge[:4000].tolist(), judge[4000:].tolist()
    )
    assert found.mean == pytest.approx(mean, abs=5e-4)
    assert found.low == pytest.approx(mean - 1.96 * error, abs=1e-3)
    assert found.high == pytest.approx(mean + 1.96 * error, abs=1e-3)


def test_without_a_judge_binary_scores_get_the_interval_of_wilson() -> None:
    human = [1.0] * 41 + [0.0] * 9
    found = prediction_powered_mean(human, [0.5] * 50, [])
    assert (found.low, found.high) == pytest.approx(wilson(41, 50), rel=1e-9)
    assert found.weight == 0.0
    assert found.worth == pytest.approx(50)


@pytest.mark.parametrize(
    ("quality", "right", "humans"),
    [(0.7, 0.9, 50), (0.9, 0.85, 100), (0.95, 0.6, 50), (0.5, 0.95, 200)],
)
def test_it_covers_the_truth_and_a_judge_that_knows_something_makes_it_narrower(
    quality: float, right: float, humans: int
) -> None:
    rng = np.random.default_rng(3)
    covered, width, alone = 0, 0.0, 0.0
    for _ in range(500):
        human, judge = binary(rng, quality, right, humans + 500)
        people, seen = human[:humans].tolist(), judge[:humans].tolist()
        found = prediction_powered_mean(people, seen, judge[humans:].tolist())
        covered += found.low <= quality <= found.high
        width += found.high - found.low
        few = prediction_powered_mean(people, seen, [])
        alone += few.high - few.low
    assert 0.92 <= covered / 500 <= 0.985
    assert width < alone * (1.02 if right < 0.7 else 0.97)


def test_a_mean_near_one_keeps_its_coverage_where_the_plain_interval_loses_it() -> None:
    rng = np.random.default_rng(4)
    covered = plainly = 0
    for _ in range(400):
        human, judge = binary(rng, 0.95, 0.95, 530)
        people, seen, others = human[:30], judge[:30], judge[30:]
        found = prediction_powered_mean(people.tolist(), seen.tolist(), others.tolist())
        covered += found.low <= 0.95 <= found.high
        mean, error = plain(people, seen, others)
        plainly += abs(mean - 0.95) <= 1.96 * error
    assert covered / 400 >= 0.93
    assert plainly / 400 < 0.85


@settings(max_examples=100, deadline=None)
@given(
    pairs=st.lists(st.tuples(SHARES, SHARES), min_size=3, max_size=40),
    others=st.lists(SHARES, max_size=40),
    bar=st.floats(0.01, 0.99),
)
def test_the_p_value_says_what_the_interval_says(
    pairs: list[tuple[float, float]], others: list[float], bar: float
) -> None:
    human, judge = [h for h, _ in pairs], [j for _, j in pairs]
    found = prediction_powered_mean(human, judge, others, bar=bar)
    assert 0.0 <= found.low <= found.mean <= found.high <= 1.0
    assert 0.0 <= found.weight <= 1.0
    if abs(found.low - bar) > 1e-6:
        assert (found.p_value <= 0.025) == (found.low >= bar)


def test_thirty_answers_without_a_difference_do_not_prove_that_there_are_none() -> None:
    human = [1.0] * 20 + [0.0] * 10
    found = prediction_powered_mean(human, human, human * 50)
    assert found.high - found.low > 0.1


def test_the_difference_of_two_rungs_is_covered_and_symmetric() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(300):
        first, says = binary(rng, 0.8, 0.9, 600)
        second, others = binary(rng, 0.7, 0.9, 600)
        human, judge = (first - second)[:100], says - others
        found = prediction_powered_difference(
            human.tolist(), judge[:100].tolist(), judge[100:].tolist()
        )
        back = prediction_powered_difference(
            (-human).tolist(), (-judge[:100]).tolist(), (-judge[100:]).tolist()
        )
        assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
        assert back.p_value == pytest.approx(found.p_value)
        covered += found.low <= 0.1 <= found.high
    assert 0.91 <= covered / 300 <= 0.985


def test_what_is_known_of_the_judge_carries_over_to_answers_of_another_quality() -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(300):
        human, judge = binary(rng, 0.6, 0.85, 150)
        _, others = binary(rng, 0.9, 0.85, 1000)
        found = calibrated_mean(human.tolist(), judge.tolist(), others.tolist())
        covered += found.low <= 0.9 <= found.high
    assert covered / 300 >= 0.93


def test_a_judge_that_knows_nothing_says_nothing_of_other_answers() -> None:
    rng = np.random.default_rng(7)
    human, judge = binary(rng, 0.6, 0.5, 60)
    found = calibrated_mean(human.tolist(), judge.tolist(), judge.tolist(), bar=0.3)
    assert (found.low, found.high, found.p_value) == (0.0, 1.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), bar=st.floats(0.05, 0.95))
def test_the_p_value_of_other_answers_says_what_their_interval_says(seed: int, bar: float) -> None:
    rng = np.random.default_rng(seed)
    human, judge = binary(rng, 0.6, 0.85, 80)
    found = calibrated_mean(human.tolist(), judge.tolist(), judge.tolist(), bar=bar)
    assert 0.0 <= found.low <= found.mean <= found.high <= 1.0
    if abs(found.low - bar) > 1e-6:
        assert (found.p_value <= 0.025) == (found.low >= bar)


def test_scores_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="4 human scores, 3 of the judge"):
        prediction_powered_mean([1.0] * 4, [1.0] * 3, [])
    with pytest.raises(ValueError, match="2 human scores are too few"):
        prediction_powered_mean([1.0] * 2, [1.0] * 2, [])
    with pytest.raises(ValueError, match="outside"):
        prediction_powered_mean([1.0, 0.0, 2.0], [1.0] * 3, [])
