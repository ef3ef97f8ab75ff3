from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluate import oracles

from freehold.core.outcome import Cause, Failed, Outcome, Scored
from freehold.evaluate.betting import log_capital
from freehold.evaluate.statistics import (
    NEED_MORE_CEILING,
    betting_interval,
    betting_p_value,
    binomial_p_value,
    bootstrap_interval,
    estimate,
    estimate_scores,
    holm,
    mcnemar_exact,
    minimal_detectable_difference,
    minimal_detectable_paired_difference,
    need_more,
    paired_difference,
    raced_difference,
    raced_estimate,
    raced_p_value,
    sign_flip,
    tango_interval,
    wilson,
)

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
score_lists = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60)


def binary(right: int, n: int) -> list[float]:
    return [1.0] * right + [0.0] * (n - right)


# Wilson ------------------------------------------------------------------------------------------


@given(counts, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_equals_statsmodels(right_of_n: tuple[int, int], confidence: float) -> None:
    right, n = right_of_n
    wanted = oracles.statsmodels_wilson(right, n, confidence)
    assert wilson(right, n, confidence=confidence) == pytest.approx(wanted, abs=1e-12)


def test_wilson_of_nothing_is_everything_and_impossible_counts_are_refused() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="5 successes of 4"):
        wilson(5, 4)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 0.95])
def test_wilson_covers_close_to_its_level_averaged_over_nearby_sizes(share: float) -> None:
    covered: list[float] = []
    for n in range(100, 140):
        weights = oracles.scipy_binomial_weights(n, share)
        bounds = [wilson(right, n) for right in range(n + 1)]
        inside = zip(weights, bounds, strict=True)
        covered.append(sum(weight for weight, (low, high) in inside if low <= share <= high))
    assert 0.94 <= float(np.mean(covered)) <= 0.97


@given(counts, st.floats(0.01, 0.99))
def test_the_binomial_p_value_equals_scipys_exact_test(
    right_of_n: tuple[int, int], bar: float
) -> None:
    right, n = right_of_n
    wanted = oracles.scipy_binomial(right, n, bar, "greater")
    assert binomial_p_value(right, n, bar=bar) == pytest.approx(wanted, rel=1e-9, abs=1e-300)


def test_a_bar_of_zero_is_always_met_and_a_bar_of_one_never() -> None:
    assert binomial_p_value(0, 10, bar=0.0) == 0.0
    assert binomial_p_value(10, 10, bar=1.0) == 1.0
    assert betting_p_value([1.0] * 500, 1.0) == 1.0
    assert betting_p_value([0.0] * 5, 0.0) == 0.0


# Betting -----------------------------------------------------------------------------------------


def kept_by_mixture(scores: list[float], *, confidence: float, means: list[float]) -> list[float]:
    """The means that twelve gamblers with fixed stakes do not exclude, in plain loops."""
    alpha = 1 - confidence
    stakes = [0.05 * (0.9 / 0.05) ** (i / 11) for i in range(12)]
    kept: list[float] = []
    for m in means:
        up, down = [1.0] * 12, [1.0] * 12
        excluded = False
        for x in scores:
            up = [c * (1 - f + f * x / m) for c, f in zip(up, stakes, strict=True)]
            down = [c * (1 - f + f * (1 - x) / (1 - m)) for c, f in zip(down, stakes, strict=True)]
            excluded = excluded or max(sum(up), sum(down)) / 12 / 2 >= 1 / alpha
        if not excluded:
            kept.append(m)
    return kept


def kept_by_the_paper(scores: list[float], *, confidence: float, means: list[float]) -> list[float]:
    """The means that the hedged capital with bets for a fixed n does not exclude, in plain loops."""
    alpha = 1 - confidence
    kept: list[float] = []
    for m in means:
        total, squares = 0.5, 0.25
        variance = 0.25
        up = down = 1.0
        excluded = False
        for time, x in enumerate(scores, start=1):
            bet = math.sqrt(2 * math.log(2 / alpha) / (variance * len(scores)))
            up *= 1 + min(bet, 0.5 / m) * (x - m)
            down *= 1 - min(bet, 0.5 / (1 - m)) * (x - m)
            excluded = excluded or max(up / 2, down / 2) >= 1 / alpha
            total += x
            mean = total / (time + 1)
            squares += (x - mean) ** 2
            variance = squares / (time + 1)
        if not excluded:
            kept.append(m)
    return kept


@pytest.mark.parametrize(
    ("planned", "oracle"), [(False, kept_by_mixture), (True, kept_by_the_paper)]
)
@settings(max_examples=25, deadline=None)
@given(scores=score_lists, confidence=st.sampled_from([0.8, 0.95]))
def test_the_betting_interval_is_that_of_plain_loops_on_a_grid(
    planned: bool,
    oracle: Callable[..., list[float]],
    scores: list[float],
    confidence: float,
) -> None:
    means = [i / 100 for i in range(1, 100)]
    kept = oracle(scores, confidence=confidence, means=means)
    number = len(scores) if planned else None
    low, high = betting_interval(scores, confidence=confidence, planned=number)
    average = float(np.mean(scores))
    clear = 1e-6  # the grid may touch a bound
    for m in means:
        if min(abs(m - low), abs(m - high)) > clear and not min(low, average) <= m <= max(
            low, average
        ):
            assert (m in kept) == (low < m < high)


def test_the_capital_of_many_sequences_is_that_of_each() -> None:
    scores = np.random.default_rng(3).beta(6, 2, (4, 90))
    paths = log_capital(scores, 0.7)
    for one, path in zip(scores, paths, strict=True):
        p_value = betting_p_value(one.tolist(), 0.7)
        assert p_value == pytest.approx(min(1.0, math.exp(-float(np.max(path)))))


@pytest.mark.parametrize("binary", [True, False])
@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=80), st.floats(0.05, 0.95))
def test_a_raced_p_value_and_the_raced_lower_bound_agree_while_the_race_is_on(
    binary: bool, scores: list[float], bar: float
) -> None:
    found = raced_estimate(scores, binary=binary, confidence=0.95, is_last=False)
    p_value = raced_p_value(scores, bar, binary=binary, is_last=False)
    assert found.method == "betting"
    if abs(found.low - bar) > 1e-9 and found.low < float(np.mean(scores)):
        assert (p_value <= 0.025) == (found.low >= bar)


def test_the_last_look_of_a_race_costs_little_against_a_fixed_number() -> None:
    scores = [1.0] * 340 + [0.0] * 60
    np.random.default_rng(2).shuffle(scores)
    fixed = estimate_scores(scores, binary=True)
    on_the_way = raced_estimate(scores, binary=True, confidence=0.95, is_last=False)
    last = raced_estimate(scores, binary=True, confidence=0.95, is_last=True)
    assert on_the_way.low < last.low < fixed.low
    assert last.high - last.low < 1.07 * (fixed.high - fixed.low)
    assert last.method == "wilson"


def test_a_race_calls_a_mean_at_the_bar_met_in_at_most_the_error_looking_after_every_score() -> (
    None
):
    rng = np.random.default_rng(8)
    crossings = {0.2: 0, 0.5: 0, 0.9: 0}
    for bar in crossings:
        right = (rng.random((2000, 300)) < bar).astype(np.float64)
        sequential = np.max(log_capital(right, bar), axis=1) >= -math.log(0.25 * 0.05)
        p_last = np.array([binomial_p_value(int(k), 300, bar=bar) for k in right.sum(axis=1)])
        crossings[bar] = int(np.sum(sequential | (p_last <= 0.75 * 0.05)))
    # P(any false PASS) <= 0.05; three standard errors of 2,000 draws are 0.0146.
    assert all(count <= 2000 * 0.0646 for count in crossings.values())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_a_raced_difference_mirrors_when_the_rungs_are_swapped(
    pairs: list[tuple[bool, bool]],
) -> None:
    first = {str(i): float(a) for i, (a, _) in enumerate(pairs)}
    second = {str(i): float(b) for i, (_, b) in enumerate(pairs)}
    one = raced_difference(first, second, confidence=0.95)
    other = raced_difference(second, first, confidence=0.95)
    assert one.low == pytest.approx(-other.high)
    assert one.p_value == pytest.approx(other.p_value)
    if one.is_clear:
        assert one.p_value <= 0.05 + 1e-9


def test_a_raced_difference_knows_its_shared_prefix_only() -> None:
    first = {str(i): 1.0 for i in range(120)}
    second = {str(i): float(i % 2) for i in range(60)}
    found = raced_difference(first, second, confidence=0.95)
    assert (found.n, found.test) == (60, "betting")
    assert found.mean == 0.5
    assert found.is_clear


@pytest.mark.parametrize(("a", "b"), [(8.0, 2.0), (1.0, 1.0), (0.3, 0.1)])
def test_the_betting_sequence_covers_at_every_n_at_once(a: float, b: float) -> None:
    rng = np.random.default_rng(5)
    truth = a / (a + b)
    scores = rng.beta(a, b, (400, 150))
    # The running intersection at n = 150 misses where any earlier interval missed.
    above = np.max(log_capital(scores, truth), axis=1) >= math.log(2 / 0.1)
    below = np.max(log_capital(1.0 - scores, 1.0 - truth), axis=1) >= math.log(2 / 0.1)
    misses = int(np.sum(above | below))
    assert misses <= 0.1 * 400 + 3 * math.sqrt(400 * 0.09)


def test_the_betting_interval_narrows_towards_the_mean() -> None:
    scores = np.random.default_rng(1).beta(8, 2, 3000)
    widths = [
        high - low for low, high in (betting_interval(scores[:n].tolist()) for n in (30, 300, 3000))
    ]
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] < 0.03


def test_planning_the_number_narrows_the_betting_interval() -> None:
    scores = np.random.default_rng(1).random(1000).tolist()
    low, high = betting_interval(scores)
    planned_low, planned_high = betting_interval(scores, planned=1000)
    assert planned_high - planned_low < high - low


@settings(max_examples=60, deadline=None)
@given(score_lists, st.floats(0.02, 0.98))
def test_the_betting_p_value_and_the_lower_bound_agree(scores: list[float], bar: float) -> None:
    low, _ = betting_interval(scores)
    if abs(low - bar) > 1e-9 and low < float(np.mean(scores)):
        assert (betting_p_value(scores, bar) <= 0.025) == (low >= bar)


def test_a_score_outside_its_range_is_refused() -> None:
    for bad in (1.1, -0.1, math.nan):
        with pytest.raises(ValueError, match="outside"):
            betting_interval([0.5, bad])
    assert betting_interval([]) == (0.0, 1.0)


# Estimates ---------------------------------------------------------------------------------------


def test_failures_widen_the_worst_and_best_case_and_never_count_as_scores() -> None:
    right, wrong = Scored(score=1.0), Scored(score=0.0)
    gone = Failed(cause=Cause.ENGINE, message="gone")
    outcomes: list[Outcome] = [*[right] * 8, *[wrong] * 2, gone, gone]
    found = estimate(outcomes, binary=True)
    assert (found.mean, found.n, found.failed) == (0.8, 10, 2)
    assert found.worst == pytest.approx(8 / 12)
    assert found.best == pytest.approx(10 / 12)
    assert (found.low, found.high) == pytest.approx(wilson(8, 10))


def test_with_nothing_scored_the_mean_is_none_and_the_interval_everything() -> None:
    found = estimate([Failed(cause=Cause.ENGINE, message="gone")], binary=False)
    assert (found.mean, found.low, found.high, found.n) == (None, 0.0, 1.0, 0)
    assert (found.worst, found.best) == (0.0, 1.0)
    assert estimate([], binary=True).worst is None


def test_a_fraction_is_no_binary_score() -> None:
    with pytest.raises(ValueError, match="0 or 1"):
        estimate_scores([0.5], binary=True)


@given(score_lists)
def test_every_interval_holds_its_mean(scores: list[float]) -> None:
    found = estimate_scores(scores, binary=False)
    assert found.mean is not None
    assert 0.0 <= found.low <= found.mean <= found.high <= 1.0


# Sample sizes ------------------------------------------------------------------------------------


def test_need_more_gives_the_figures_of_the_documentation() -> None:
    at_870 = estimate_scores(binary(348, 400), binary=True)
    at_855 = estimate_scores(binary(342, 400), binary=True)
    assert need_more(at_870, 0.85) == 825
    assert need_more(at_855, 0.85) == 19_192  # "about 19,200"


def test_need_more_is_none_where_no_practical_number_would_settle_it() -> None:
    at_bar = estimate_scores(binary(340, 400), binary=True)
    close = estimate_scores(binary(3401, 4000), binary=True)
    assert need_more(at_bar, 0.85) is None
    assert need_more(close, 0.85) is None
    assert need_more(close, 0.85, ceiling=100 * NEED_MORE_CEILING) is not None
    assert need_more(estimate_scores([], binary=True), 0.85) is None


@settings(deadline=None)
@given(counts, st.floats(0.05, 0.95))
def test_the_further_examples_settle_it_at_the_present_mean_and_fewer_do_not(
    right_of_n: tuple[int, int], bar: float
) -> None:
    right, n = right_of_n
    found = estimate_scores(binary(right, n), binary=True)
    further = need_more(found, bar)
    if further is None or not found.low < bar < found.high:
        return

    def settled(total: int) -> bool:
        low, high = wilson(right / n * total, total)
        return low >= bar - 1e-12 or high <= bar + 1e-12

    assert settled(n + further)
    assert further == 1 or not settled(n + further - 1)


def test_need_more_of_bounded_scores_scales_the_side_that_faces_the_bar() -> None:
    scores = np.random.default_rng(3).beta(8, 2, 400)
    found = estimate_scores(scores.tolist(), binary=False)
    assert found.mean is not None
    bar = found.mean - (found.mean - found.low) / 2  # half the distance: four times the examples
    assert need_more(found, bar) == pytest.approx(1200, abs=2)


def test_four_hundred_examples_cannot_settle_a_rung_within_3_9_points() -> None:
    gap = minimal_detectable_difference(400, 0.80)
    assert gap == pytest.approx(0.0392, abs=5e-5)
    assert minimal_detectable_difference(1600, 0.80) == pytest.approx(gap / 2)
    assert minimal_detectable_difference(0, 0.80) == 1.0


def test_the_minimal_detectable_paired_difference_is_where_the_pairs_become_significant() -> None:
    gap = minimal_detectable_paired_difference(400, 0.2)
    assert gap == pytest.approx(1.96 * math.sqrt(0.2 / 400), rel=1e-3)
    more = round((80 + gap * 400) / 2)
    low, _ = tango_interval(more + 1, 80 - more - 1, n=400)
    assert low > 0
    assert minimal_detectable_paired_difference(400, 0.05) < gap
    assert minimal_detectable_paired_difference(0, 0.2) == 1.0
    assert minimal_detectable_paired_difference(10, 0.1) == 0.1


# Holm --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p_values", [(0.01, 0.04, 0.03, 0.005), (0.2, 0.2, 0.9), (0.04,)])
def test_holm_equals_statsmodels(p_values: tuple[float, ...]) -> None:
    assert holm(p_values) == pytest.approx(oracles.statsmodels_holm(p_values), abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closure_of_bonferroni(p_values: list[float]) -> None:
    rungs = range(len(p_values))
    subsets = [chosen for size in rungs for chosen in itertools.combinations(rungs, size + 1)]
    wanted = [
        max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in subsets if i in s)
        for i in rungs
    ]
    assert holm(p_values) == pytest.approx(tuple(wanted))


def test_holm_of_no_rungs_is_nothing() -> None:
    assert holm([]) == ()


# Pairs -------------------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_equals_statsmodels(first_only: int, second_only: int) -> None:
    pairs = first_only + second_only
    wanted = min(1.0, oracles.statsmodels_mcnemar(first_only, second_only)) if pairs else 1.0
    assert mcnemar_exact(first_only, second_only) == pytest.approx(wanted, rel=1e-9)


def test_mcnemar_stays_exact_for_thousands_of_pairs() -> None:
    wanted = oracles.scipy_binomial(1400, 3000, 0.5, "two-sided")
    assert mcnemar_exact(1400, 1600) == pytest.approx(wanted, rel=1e-9)


def test_sign_flip_is_exact_for_few_differences() -> None:
    differences = np.array([0.5, 0.25, -0.125, 0.75, 0.3, 0.9, 0.0])
    wanted = oracles.scipy_sign_flip(differences.tolist())
    found = sign_flip(differences, rng=np.random.default_rng(0))
    assert found == pytest.approx(wanted)


def test_sign_flip_draws_where_there_are_many_and_the_draw_is_close_to_a_t_test() -> None:
    differences = np.random.default_rng(2).normal(0.03, 0.25, 300)
    wanted = oracles.scipy_t_test(differences.tolist())
    found = sign_flip(differences, rng=np.random.default_rng(0))
    assert found == sign_flip(differences, rng=np.random.default_rng(0))
    assert found == pytest.approx(wanted, abs=0.015)
    assert sign_flip(np.zeros(40), rng=np.random.default_rng(0)) == 1.0


def score_by_search(b: int, c: int, n: int, difference: float) -> float:
    """Tango's statistic with the restricted likelihood maximised by a fine search."""
    shares = np.linspace(max(0.0, -difference), (1 - difference) / 2, 200_001)[1:-1]
    likelihood = (
        b * np.log(shares + difference)
        + c * np.log(shares)
        + (n - b - c) * np.log(1 - 2 * shares - difference)
    )
    share = float(shares[int(np.argmax(likelihood))])
    return (b - c - n * difference) / math.sqrt(n * (2 * share + difference * (1 - difference)))


@pytest.mark.parametrize(("b", "c", "n"), [(25, 10, 400), (3, 1, 40), (9, 41, 400), (12, 12, 60)])
def test_tangos_bounds_are_where_the_searched_score_crosses_the_quantile(
    b: int, c: int, n: int
) -> None:
    low, high = tango_interval(b, c, n=n)
    assert score_by_search(b, c, n, low) == pytest.approx(1.96, abs=2e-3)
    assert score_by_search(b, c, n, high) == pytest.approx(-1.96, abs=2e-3)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 100))
def test_tango_leaves_out_zero_exactly_where_the_chi_square_is_significant(
    b: int, c: int, rest: int
) -> None:
    n = b + c + rest
    if n == 0 or b + c == 0:
        return
    low, high = tango_interval(b, c, n=n)
    chi = abs(b - c) / math.sqrt(b + c)
    if abs(chi - 1.959964) > 1e-6:
        assert (low > 0 or high < 0) == (chi > 1.959964)
    assert -1 <= low <= (b - c) / n + 1e-12
    assert (b - c) / n - 1e-12 <= high <= 1


def test_tango_covers_close_to_its_level() -> None:
    n, p_first, p_second = 50, 0.16, 0.06
    covered = 0.0
    for b, c in itertools.product(range(25), range(20)):
        weight = oracles.scipy_multinomial_weight((b, c, n - b - c), (p_first, p_second, 0.78))
        low, high = tango_interval(b, c, n=n)
        covered += weight * (low <= p_first - p_second <= high)
    assert 0.935 <= covered <= 0.975


def test_a_paired_difference_uses_only_what_both_scored() -> None:
    first = {"a": 1.0, "b": 1.0, "c": 0.0, "only": 1.0}
    second = {"b": 0.0, "c": 0.0, "a": 1.0}
    found = paired_difference(
        first, second, binary=True, confidence=0.95, rng=np.random.default_rng(0)
    )
    assert (found.n, found.mean, found.test) == (3, pytest.approx(1 / 3), "mcnemar")
    assert (found.low, found.high) == pytest.approx(tango_interval(1, 0, n=3))


def test_nothing_in_common_says_nothing() -> None:
    for is_binary in (True, False):
        found = paired_difference(
            {"a": 1.0}, {"b": 1.0}, binary=is_binary, confidence=0.95, rng=np.random.default_rng(0)
        )
        assert (found.n, found.low, found.high, found.p_value) == (0, -1.0, 1.0, 1.0)


def test_the_bounded_difference_covers_its_truth() -> None:
    rng = np.random.default_rng(11)
    misses = 0
    for _ in range(60):
        first, second = rng.beta(6, 2, 120), rng.beta(5, 2, 120)
        found = paired_difference(
            {str(i): float(x) for i, x in enumerate(first)},
            {str(i): float(x) for i, x in enumerate(second)},
            binary=False,
            confidence=0.9,
            rng=rng,
        )
        misses += not found.low <= 6 / 8 - 5 / 7 <= found.high
    assert misses <= 6 + 3 * math.sqrt(60 * 0.09)


# Bootstrap ---------------------------------------------------------------------------------------


def test_the_bootstrap_of_a_mean_is_close_to_the_normal_interval() -> None:
    values = np.random.default_rng(4).random(500)

    def mean(chosen: np.ndarray[tuple[int], np.dtype[np.intp]]) -> float:
        return float(np.mean(values[chosen]))

    low, high = bootstrap_interval(mean, 500, rng=np.random.default_rng(0))
    half = 1.96 * float(np.std(values)) / math.sqrt(500)
    centre = float(np.mean(values))
    assert (low, high) == pytest.approx((centre - half, centre + half), abs=half / 8)
    assert bootstrap_interval(mean, 0, rng=np.random.default_rng(0)) == (0.0, 1.0)
