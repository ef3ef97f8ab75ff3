from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from freehold.core.judging import JudgeAgreement
from freehold.evaluate.kappa import further_scores, judge_agreement, on_grades

GRADES = st.integers(0, 4)

# These two packages have no types.
metrics: Any = import_module("sklearn.metrics")
inter_rater: Any = import_module("statsmodels.stats.inter_rater")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(GRADES, GRADES), min_size=5, max_size=60))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    human, judge = [h for h, _ in pairs], [j for _, j in pairs]
    found = judge_agreement([h / 4 for h in human], [j / 4 for j in judge], grades=5)
    if found.kappa is None:
        assert len({*human, *judge}) == 1
        return
    wanted = metrics.cohen_kappa_score(human, judge, labels=[0, 1, 2, 3, 4], weights="quadratic")
    assert found.kappa == pytest.approx(float(wanted), abs=1e-9)
    assert -1.0 <= found.low <= found.kappa <= found.high <= 1.0


def test_for_two_grades_it_is_plain_kappa_and_its_error_that_of_statsmodels() -> None:
    human = [1.0] * 60 + [0.0] * 40
    judge = [1.0] * 50 + [0.0] * 10 + [1.0] * 8 + [0.0] * 32
    found = judge_agreement(human, judge, grades=2)
    table = inter_rater.to_table(np.array([human, judge]).T)[0]
    peer = inter_rater.cohens_kappa(table)
    assert found.kappa == pytest.approx(float(peer.kappa))
    # The interval is on the scale of atanh; there its half-width is 1.96 standard errors.
    reach = (np.arctanh(found.high) - np.arctanh(found.low)) / 2
    error = reach / 1.96 * (1 - float(peer.kappa) ** 2)
    assert error == pytest.approx(float(peer.std_kappa), rel=0.02)


def test_perfect_agreement_on_few_answers_is_not_certain() -> None:
    human = [1.0] * 20 + [0.0] * 20
    found = judge_agreement(human, human, grades=2)
    assert found.kappa == 1.0
    assert 0.7 < found.low < 0.9
    assert judge_agreement(human * 25, human * 25, grades=2).low > 0.99


@pytest.mark.parametrize(("given", "n"), [([], 0), ([0.5] * 12, 12)])
def test_without_two_grades_nothing_is_known(given: list[float], n: int) -> None:
    found = judge_agreement(given, given, grades=5)
    assert (found.n, found.kappa, found.low, found.high) == (n, None, -1.0, 1.0)
    assert further_scores(found, 0.6) is None


def test_a_score_between_two_grades_goes_to_the_nearer_one() -> None:
    assert [on_grades(score, 5) for score in (0.0, 0.12, 0.13, 0.625, 1.0)] == [0, 0, 1, 3, 4]


def test_further_scores_bring_the_lower_bound_to_what_is_needed() -> None:
    human = ([1.0] * 50 + [0.0] * 10 + [1.0] * 3 + [0.0] * 37) * 1
    judge = ([1.0] * 50 + [1.0] * 10 + [0.0] * 3 + [0.0] * 37) * 1
    found = judge_agreement(human, judge, grades=2)
    more = further_scores(found, 0.65)
    assert found.kappa is not None and found.low < 0.65 < found.kappa
    assert more is not None
    times = (found.n + more) / found.n
    enough = judge_agreement(human * (int(times) + 1), judge * (int(times) + 1), grades=2)
    assert enough.low >= 0.65
    assert further_scores(found, 0.9) is None


def scores(right: NDArray[np.bool_]) -> list[float]:
    return [float(one) for one in right]


def test_the_lower_bound_is_rarely_above_the_truth() -> None:
    rng = np.random.default_rng(2)
    big = rng.random(200_000) < 0.7
    says = np.where(rng.random(200_000) < 0.9, big, ~big)
    truth = judge_agreement(scores(big), scores(says), grades=2).kappa or 0.0
    above = covered = 0
    for _ in range(400):
        human = rng.random(60) < 0.7
        judge = np.where(rng.random(60) < 0.9, human, ~human)
        found: JudgeAgreement = judge_agreement(scores(human), scores(judge), grades=2)
        above += found.low > truth
        covered += found.low <= truth <= found.high
    assert above / 400 <= 0.05
    assert covered / 400 >= 0.92
