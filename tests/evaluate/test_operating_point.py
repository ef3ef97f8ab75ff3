from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.measure import Difference, Estimate, FrontierPoint
from freehold.core.outcome import Cause, Failed, Scored
from freehold.evaluate.operating_point import (
    SHARE_OF_GAIN,
    choose,
    frontier_point,
    overall_quality,
)
from freehold.evaluate.probes import ProbeResult

LIMITS = (1.0, 3.0)


def quality(one: FrontierPoint) -> float:
    assert one.quality.mean is not None
    return one.quality.mean


def point(scale: float, score: float, lost: float, *, is_feasible: bool) -> FrontierPoint:
    difference = Difference(
        mean=lost, low=lost - 0.5, high=lost + 0.5, n=100, p_value=1.0, test="mcnemar"
    )
    return FrontierPoint(
        scale=scale,
        quality=Estimate(mean=score, low=score, high=score, n=100),
        points_lost=difference,
        worst_family="copy",
        worst_points=difference,
        is_feasible=is_feasible,
    )


POINTS = st.lists(
    st.builds(
        point,
        st.floats(0.1, 1.2),
        st.floats(0.0, 1.0),
        st.floats(-1.0, 9.0),
        is_feasible=st.booleans(),
    ),
    min_size=1,
    max_size=9,
    unique_by=lambda one: one.scale,
)


@given(points=POINTS, start=st.floats(0.0, 1.0))
def test_nothing_within_the_bar_is_better_than_the_choice(
    points: list[FrontierPoint], start: float
) -> None:
    frontier = choose(points, start=start, limits=LIMITS)
    chosen = next(one for one in points if one.scale == frontier.chosen)
    gains = [one for one in points if quality(one) - start > 0]
    feasible = [one for one in gains if one.is_feasible]
    assert [one.scale for one in frontier.points] == sorted(one.scale for one in points)
    if feasible:
        assert chosen.is_feasible
        assert quality(chosen) == max(quality(one) for one in feasible)
    elif gains:
        most = max(quality(one) for one in gains) - start
        assert quality(chosen) - start >= SHARE_OF_GAIN * most - 1e-12
        assert "no size keeps" in frontier.reason
    else:
        nearest = min(abs(one.scale - 1.0) for one in points)
        assert abs(chosen.scale - 1.0) == nearest


def test_of_equals_within_the_bar_the_larger_size_is_taken() -> None:
    points = [point(scale, 0.8, 0.1, is_feasible=True) for scale in (0.5, 1.0, 0.75)]
    assert choose(points, start=0.2, limits=LIMITS).chosen == 1.0


def test_without_a_size_within_the_bar_the_least_loss_that_keeps_most_of_the_gain_is_taken() -> (
    None
):
    points = [
        point(0.3, 0.40, 2.0, is_feasible=False),
        point(0.6, 0.78, 4.0, is_feasible=False),
        point(1.0, 0.80, 9.0, is_feasible=False),
    ]
    assert choose(points, start=0.2, limits=LIMITS).chosen == 0.6


def test_no_point_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one size"):
        choose([], start=0.0, limits=LIMITS)


def results(right: str, *, family: str = "sorting") -> list[ProbeResult]:
    return [
        ProbeResult(probe_id=f"{family}-{i}", family=family, outcome=Scored(score=float(bit)))
        for i, bit in enumerate(right)
    ]


def measured(before: list[ProbeResult], after: list[ProbeResult]) -> FrontierPoint:
    return frontier_point(
        0.5,
        {"a": 1.0, "b": 0.0},
        before=before,
        after=after,
        limits=(10.0, 30.0),
        rng=np.random.default_rng(0),
    )


def test_a_point_says_in_points_of_a_hundred_what_was_lost_and_by_which_family() -> None:
    before = results("1" * 40) + results("1" * 40, family="casing")
    after = results("1" * 40) + results("0" * 8 + "1" * 32, family="casing")
    point = measured(before, after)
    assert point.points_lost.mean == pytest.approx(10.0)
    assert (point.worst_family, point.worst_points.mean) == ("casing", pytest.approx(20.0))
    assert point.quality.mean == 0.5
    assert point.points_lost.low < 10.0 < point.points_lost.high
    assert not point.is_feasible


def test_a_point_that_loses_nothing_is_feasible_and_one_bad_family_is_enough_to_refuse_it() -> None:
    many = results("1" * 400)
    assert measured(many, many).is_feasible
    before = many + results("1" * 10, family="casing")
    after = many + results("0" * 4 + "1" * 6, family="casing")
    assert measured(before, after).points_lost.high <= 10.0
    assert not measured(before, after).is_feasible


def test_a_probe_that_fails_only_afterwards_is_lost_and_one_that_failed_before_is_left_out() -> (
    None
):
    failed = Failed(cause=Cause.ENGINE, message="no memory")
    before = results("11")
    broken = [before[0].model_copy(update={"outcome": failed}), before[1]]
    assert measured(before, broken).points_lost.mean == pytest.approx(50.0)
    assert measured(broken, before).points_lost.n == 1


def test_a_size_that_costs_an_earlier_domain_more_than_it_brings_is_not_chosen() -> None:
    def sized(scale: float, own: float, past: float) -> FrontierPoint:
        found = point(scale, own, 0.0, is_feasible=True)
        return found.model_copy(update={"overall": overall_quality(own, [past])})

    points = [sized(0.5, 0.6, 0.8), sized(1.0, 0.7, 0.5)]
    assert choose(points, start=0.45, limits=LIMITS).chosen == 0.5
    alone = [one.model_copy(update={"overall": None}) for one in points]
    assert choose(alone, start=0.1, limits=LIMITS).chosen == 1.0


@given(own=st.floats(0, 1), past=st.lists(st.floats(0, 1), max_size=4))
def test_every_domain_counts_alike(own: float, past: list[float]) -> None:
    assert overall_quality(own, past) == pytest.approx(np.mean([own, *past]))
