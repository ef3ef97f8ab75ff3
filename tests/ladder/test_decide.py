from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.measure import Estimate, Kept, KeptFamily, Verdict
from freehold.core.sections import Bar, Prices, Volume
from freehold.evaluate.estimates import Evidence
from freehold.evaluate.probes import kept_ratio
from freehold.evaluate.statistics import binomial_p_value, estimate_scores
from freehold.ladder.decide import (
    Contender,
    Judgement,
    after_audit,
    audit_agrees,
    break_even,
    judge,
    total_cost,
)

BAR = Bar(quality=0.80, kept=0.97)


def scored(right: int, n: int, *, failed: int = 0, bar: Bar = BAR) -> Evidence:
    """Evidence of a binary metric; failures count as wrong above 1 %, as `evidence` does it."""
    shown = estimate_scores(
        [1.0] * right + [0.0] * (n - right),
        failed=failed,
        binary=True,
        confidence=bar.confidence,
    )
    judged = shown
    if failed > 0.01 * (n + failed):
        judged = estimate_scores([1.0] * right + [0.0] * (n + failed - right), binary=True)
    return Evidence(shown, judged, binomial_p_value(right, judged.n, bar=bar.quality))


def keeps(both: int, lost: int, gained: int = 0) -> Kept:
    before = [1.0] * (both + lost) + [0.0] * gained
    after = [1.0] * both + [0.0] * lost + [1.0] * gained
    family = KeptFamily(
        family="copying",
        n=len(before),
        before=(both + lost) / len(before),
        after=(both + gained) / len(before),
        lost=lost,
        gained=gained,
    )
    return Kept(ratio=kept_ratio(before, after), families=(family,))


def one(contender: Contender, *, bar: Bar = BAR) -> Judgement:
    (judgement,) = judge([contender], bar=bar)
    return judgement


def named(rung: str, evidence: Evidence, kept: Kept | None = None) -> Contender:
    return Contender(rung=rung, evidence=evidence, kept=kept)


# One rung ----------------------------------------------------------------------------------------


def test_a_rung_passes_where_its_lower_bound_clears_the_bar() -> None:
    assert one(named("lora", scored(348, 400))) == Judgement(Verdict.PASS)


def test_a_rung_fails_where_its_upper_bound_is_below_the_bar() -> None:
    assert one(named("baseline", scored(258, 400))) == Judgement(Verdict.FAIL)


def test_between_the_bounds_it_is_undecided_and_says_how_many_examples_settle_it() -> None:
    bar = Bar(quality=0.85)
    found = one(named("lora", scored(348, 400, bar=bar)), bar=bar)
    assert found == Judgement(Verdict.UNDECIDED, None, 825)


def test_a_mean_at_the_bar_cannot_be_settled_with_any_practical_number() -> None:
    found = one(named("lora", scored(320, 400)))
    assert found.verdict is Verdict.UNDECIDED
    assert found.need_more is None
    assert found.reason == "too close to the bar for any practical number of examples"


def test_nothing_scored_is_undecided() -> None:
    nothing = estimate_scores([], binary=True)
    found = one(named("lora", Evidence(nothing, nothing, 1.0)))
    assert found == Judgement(Verdict.UNDECIDED, "nothing was scored")


def test_more_than_one_percent_failed_is_judged_as_if_all_were_wrong() -> None:
    assert one(named("lora", scored(90, 100, failed=1))).verdict is Verdict.PASS
    found = one(named("lora", scored(90, 100, failed=10)))
    assert found.verdict is Verdict.UNDECIDED
    assert found.reason is not None
    assert found.reason.startswith("10 failed, counted as wrong")
    lost = one(named("lora", scored(90, 100, failed=60)))
    assert lost == Judgement(Verdict.FAIL, "60 failed, counted as wrong")


def test_kept_ability_below_its_bar_fails_whatever_the_quality() -> None:
    good = scored(380, 400)
    assert one(named("full", good, keeps(400, 60))) == Judgement(Verdict.FAIL, "kept")
    assert one(named("lora", good, keeps(450, 2))).verdict is Verdict.PASS
    open_kept = one(named("lora", good, keeps(440, 8)))
    assert open_kept.verdict is Verdict.UNDECIDED
    assert open_kept.reason is not None
    assert "further probe items" in open_kept.reason
    assert open_kept.need_more is None


def test_kept_ability_on_a_handful_of_items_settles_nothing() -> None:
    found = one(named("lora", scored(380, 400), keeps(20, 0)))
    assert found.verdict is Verdict.UNDECIDED
    assert found.reason == "kept rests on too few probe items (kept.items)"


def test_a_base_that_answers_no_probe_leaves_kept_unknown() -> None:
    unknown = Kept(ratio=Estimate(mean=None, low=0.0, high=1.0, n=0))
    found = one(named("lora", scored(380, 400), unknown))
    assert found.verdict is Verdict.UNDECIDED
    assert found.reason is not None
    assert "kept is unknown" in found.reason


def test_a_rung_without_trained_weights_keeps_everything() -> None:
    untouched = Kept(ratio=Estimate(mean=1.0, low=1.0, high=1.0, n=40))
    assert one(named("few_shot", scored(348, 400), untouched)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("seconds", "dollars", "wanted"),
    [
        (0.5, 1.0, Judgement(Verdict.PASS)),
        (1.0, 2.0, Judgement(Verdict.PASS)),
        (1.1, 1.0, Judgement(Verdict.FAIL, "p95")),
        (0.5, 2.1, Judgement(Verdict.FAIL, "cost")),
        (1.1, 2.1, Judgement(Verdict.FAIL, "p95; cost")),
        (None, 1.0, Judgement(Verdict.UNDECIDED, "p95 was not measured")),
    ],
)
def test_latency_and_cost_are_ceilings_on_the_measured_value(
    seconds: float | None, dollars: float | None, wanted: Judgement
) -> None:
    bar = Bar(quality=0.80, seconds_p95=1.0, dollars_per_1k=2.0)
    found = one(Contender("lora", scored(348, 400), None, seconds, dollars), bar=bar)
    assert found == wanted


# Rungs together ----------------------------------------------------------------------------------


def test_judging_together_can_turn_a_pass_into_undecided_and_says_so() -> None:
    border = scored(336, 400)  # 0.840 [.801 .872]
    assert border.quality.low >= BAR.quality
    assert one(named("lora", border)).verdict is Verdict.PASS
    others = [named(f"rung{i}", scored(250, 400)) for i in range(7)]
    found = judge([*others, named("lora", border)], bar=BAR)[-1]
    assert found.verdict is Verdict.UNDECIDED
    assert found.reason == "8 rungs judged together"
    assert border.p_value > 0.05 / 8
    assert found.need_more is not None
    # At the same mean, that many more examples pass beside the same rungs.
    total = 400 + found.need_more
    more = scored(round(0.84 * total), total)
    assert judge([*others, named("lora", more)], bar=BAR)[-1].verdict is Verdict.PASS


def test_one_rung_alone_is_not_said_to_be_judged_together() -> None:
    bar = Bar(quality=0.5)
    found = one(named("lora", scored(4, 4, bar=bar)), bar=bar)  # the interval begins at .510
    assert found.verdict is Verdict.UNDECIDED
    assert found.reason == "the exact test asks for more than the printed interval"
    assert found.need_more == 1


def test_a_clear_pass_stays_a_pass_among_nine() -> None:
    others = [named(f"rung{i}", scored(250, 400)) for i in range(8)]
    assert judge([*others, named("lora", scored(360, 400))], bar=BAR)[-1].verdict is Verdict.PASS


def test_where_kept_is_the_weak_part_more_test_examples_are_not_asked_for() -> None:
    others = [named(f"rung{i}", scored(250, 400)) for i in range(7)]
    border = keeps(473, 7)
    alone = named("lora", scored(390, 400), border)
    assert one(alone).verdict is Verdict.PASS
    found = judge([*others, alone], bar=BAR)[-1]
    assert (found.verdict, found.need_more) == (Verdict.UNDECIDED, None)
    assert found.reason == "8 rungs judged together"


def test_no_rungs_give_no_verdicts() -> None:
    assert judge([], bar=BAR) == ()


runs = st.integers(1, 300).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(0, 20))
)


@given(st.lists(runs, min_size=1, max_size=6))
def test_verdicts_do_not_hang_on_the_order_of_the_rungs(
    results: list[tuple[int, int, int]],
) -> None:
    contenders = [
        named(f"r{i}", scored(right, n, failed=failed))
        for i, (right, n, failed) in enumerate(results)
    ]
    forth = judge(contenders, bar=BAR)
    back = judge(contenders[::-1], bar=BAR)
    assert forth == back[::-1]


@given(st.lists(runs, min_size=1, max_size=6))
def test_every_pass_clears_its_bar_alone_and_further_rungs_only_take_passes_away(
    results: list[tuple[int, int, int]],
) -> None:
    contenders = [
        named(f"r{i}", scored(right, n, failed=failed))
        for i, (right, n, failed) in enumerate(results)
    ]
    together = judge(contenders, bar=BAR)
    for contender, judgement in zip(contenders, together, strict=True):
        alone = one(contender)
        if judgement.verdict is Verdict.PASS:
            assert alone.verdict is Verdict.PASS
            assert contender.evidence.judged.low >= BAR.quality
        if alone.verdict is Verdict.FAIL:
            assert judgement == alone
        if judgement.verdict is not Verdict.UNDECIDED:
            assert judgement.need_more is None


@pytest.mark.parametrize(
    ("bar", "rungs", "n"), [(0.5, 3, 100), (0.8, 6, 400), (0.8, 9, 200), (0.95, 9, 200)]
)
def test_the_chance_of_any_false_pass_on_a_ladder_is_at_most_5_percent(
    bar: float, rungs: int, n: int
) -> None:
    """The hardest truth: every rung just below the bar, judged on the same examples."""
    rng = np.random.default_rng(17)
    ladders, false_passes = 600, 0
    asked = Bar(quality=bar)
    for _ in range(ladders):
        # Half of the difficulty of an example is shared by the rungs.
        shared, own = rng.normal(size=n), rng.normal(size=(rungs, n))
        limit = -math.sqrt(2) * NormalDist().inv_cdf(bar)
        right = ((shared + own) > limit).sum(axis=1).tolist()
        contenders = [
            named(f"r{i}", scored(int(count), n, bar=asked)) for i, count in enumerate(right)
        ]
        verdicts = [judgement.verdict for judgement in judge(contenders, bar=asked)]
        false_passes += Verdict.PASS in verdicts
    assert false_passes <= 0.05 * ladders + 3 * math.sqrt(0.05 * 0.95 * ladders)


def test_a_ladder_of_rungs_that_forget_a_little_too_much_passes_at_most_5_percent() -> None:
    """Quality is far above the bar everywhere, and each rung keeps just less than it should."""
    rng = np.random.default_rng(29)
    quality = scored(390, 400)
    ladders, false_passes = 200, 0
    for _ in range(ladders):
        lost = rng.binomial(450, 0.0301, size=6).tolist()
        contenders = [named(f"r{i}", quality, keeps(450 - n, n)) for i, n in enumerate(lost)]
        verdicts = [judgement.verdict for judgement in judge(contenders, bar=BAR)]
        false_passes += Verdict.PASS in verdicts
    assert false_passes <= 0.05 * ladders + 3 * math.sqrt(0.05 * 0.95 * ladders)


def test_a_good_rung_among_failing_ones_is_found() -> None:
    rng = np.random.default_rng(23)
    found = 0
    for _ in range(200):
        rights = rng.binomial(400, [0.6, 0.62, 0.7, 0.7, 0.74, 0.88]).tolist()
        contenders = [named(f"r{i}", scored(count, 400)) for i, count in enumerate(rights)]
        found += judge(contenders, bar=BAR)[-1].verdict is Verdict.PASS
    assert found >= 190


# Audit -------------------------------------------------------------------------------------------


def test_an_audit_contradicts_where_its_upper_bound_is_below_the_bar() -> None:
    close = estimate_scores([1.0] * 150 + [0.0] * 50, binary=True)
    far = estimate_scores([1.0] * 120 + [0.0] * 80, binary=True)
    assert audit_agrees(close, bar=BAR)
    assert not audit_agrees(far, bar=BAR)
    assert audit_agrees(estimate_scores([], binary=True), bar=BAR)
    passed = Judgement(Verdict.PASS)
    assert after_audit(passed, close, bar=BAR) == passed
    contradicted = after_audit(passed, far, bar=BAR)
    assert contradicted.verdict is Verdict.UNDECIDED
    assert contradicted.reason == "contradicted by the audit: 0.600 [.531 .665] on 200 unseen rows"
    failed = Judgement(Verdict.FAIL)
    assert after_audit(failed, far, bar=BAR) == failed


# Cost --------------------------------------------------------------------------------------------

PRICES = Prices(dollars_per_machine_hour=2.0, utilisation=0.5)
VOLUME = Volume(requests_per_month=200_000, horizon_months=6.0, revalidations_per_month=4.0)


def test_the_total_is_building_once_and_requests_and_upkeep_over_the_horizon() -> None:
    found = total_cost(
        build_seconds=1800,
        seconds_per_request=0.9,
        revalidation_examples=400,
        prices=PRICES,
        volume=VOLUME,
    )
    each = 2.0 * 0.9 / 3600 / 0.5
    assert found.build_dollars == pytest.approx(1.0)
    assert found.dollars_per_1k == pytest.approx(1000 * each)
    assert found.upkeep_dollars_per_month == pytest.approx(4 * 400 * each)
    assert found.total_dollars == pytest.approx(1.0 + 6 * (200_000 * each + 4 * 400 * each))


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(1e-4, 10), st.floats(1e-4, 10))
def test_at_the_break_even_both_rungs_cost_the_same(
    build_a: float, build_b: float, seconds_a: float, seconds_b: float
) -> None:
    def spent(build: float, seconds: float) -> tuple[float, float]:
        cost = total_cost(
            build_seconds=build,
            seconds_per_request=seconds,
            revalidation_examples=100,
            prices=PRICES,
            volume=VOLUME,
        )
        fixed = cost.build_dollars + 6 * cost.upkeep_dollars_per_month
        return fixed, cost.dollars_per_1k / 1000

    (fixed_a, each_a), (fixed_b, each_b) = spent(build_a, seconds_a), spent(build_b, seconds_b)
    costs = [
        total_cost(
            build_seconds=build,
            seconds_per_request=seconds,
            revalidation_examples=100,
            prices=PRICES,
            volume=VOLUME,
        )
        for build, seconds in ((build_a, seconds_a), (build_b, seconds_b))
    ]
    found = break_even(costs[0], costs[1], volume=VOLUME)
    if found is None:
        # One is at least as cheap in both parts.
        assert (fixed_a - fixed_b) * (each_a - each_b) >= 0
    else:
        assert found > 0
        assert fixed_a + found * each_a == pytest.approx(fixed_b + found * each_b)
        assert break_even(costs[1], costs[0], volume=VOLUME) == pytest.approx(found)
