"""Which size of a finished update to use: what each gains on dev, what each loses, and the choice. Pure.

docs/retention.md: the largest gain whose loss of general ability is within the bar. Every size is
measured on the same items, so that each comparison with the base is paired.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from freehold.core.measure import Difference, Frontier, FrontierPoint
from freehold.core.outcome import Scored
from freehold.evaluate.paired import paired_difference
from freehold.evaluate.probes import ProbeResult
from freehold.evaluate.statistics import estimate_scores

#: Of the two-sided interval; its upper end is then a one-sided 95% bound.
TWO_SIDED = 0.90
SHARE_OF_GAIN = 0.8
"""With no size within the bar, the least loss is chosen among sizes that keep this share of the gain."""


def frontier_point(
    scale: float,
    scores: Mapping[str, float],
    *,
    before: Sequence[ProbeResult],
    after: Sequence[ProbeResult],
    limits: tuple[float, float],
    rng: np.random.Generator,
    past: Sequence[float] = (),
) -> FrontierPoint:
    """Return what one size of the update gains and loses.

    Args:
        scale: the size; 1 is what was trained, 0 the base.
        scores: on dev, by example id.
        before: the base on the probes.
        after: the model at this size on the same probes; a failure there is an ability lost.
        limits: the most points that may be lost on average (by the one-sided 95% bound), and in any
            family (by its estimate: a bound for each of many families would need thousands of items).
        rng: for permutation tests; binary probes draw nothing.
        past: the mean score on dev of each domain that was learnt before.
    """
    old = {one.probe_id: one.outcome.score for one in before if isinstance(one.outcome, Scored)}
    new = {
        one.probe_id: one.outcome.score if isinstance(one.outcome, Scored) else 0.0
        for one in after
        if one.probe_id in old
    }
    lost = _points(paired_difference(old, new, binary=True, confidence=TWO_SIDED, rng=rng))
    families = {
        family: _points(
            paired_difference(
                {i: old[i] for i in ids}, new, binary=True, confidence=TWO_SIDED, rng=rng
            )
        )
        for family, ids in _ids_by_family(before, old).items()
    }
    worst = max(families, key=lambda family: (families[family].mean, family), default="")
    worst_points = families.get(worst, lost)
    mean_limit, family_limit = limits
    is_binary = all(score in (0.0, 1.0) for score in scores.values())
    quality = estimate_scores(list(scores.values()), binary=is_binary)
    return FrontierPoint(
        scale=scale,
        quality=quality,
        points_lost=lost,
        worst_family=worst,
        worst_points=worst_points,
        is_feasible=lost.high <= mean_limit and worst_points.mean <= family_limit,
        overall=overall_quality(quality.mean or 0.0, past) if past else None,
    )


def overall_quality(score: float, past: Sequence[float]) -> float:
    """Return the mean over domains: the one that is learnt, and those before it."""
    return math.fsum([score, *past]) / (1 + len(past))


def choose(
    points: Sequence[FrontierPoint], *, start: float, limits: tuple[float, float]
) -> Frontier:
    """Return the frontier with its choice: most quality within the bar, of equals the larger size.

    Where no size is within the bar: the least loss among those that keep most of the gain over
    `start` (the score before training), and the reason says so. A frontier without a point that
    gains anything keeps what was trained. `limits` are those that the points were measured by. Where
    domains were learnt before, gain and start are of the mean over all domains.

    Raises:
        ValueError: there is no point.
    """
    if not points:
        raise ValueError("a choice needs at least one size")
    ordered = tuple(sorted(points, key=lambda point: point.scale))
    feasible = [point for point in ordered if point.is_feasible and _gain(point, start) > 0]
    if feasible:
        best = max(feasible, key=lambda point: (point.worth, point.scale))
        reason = (
            f"the most quality on dev among {len(feasible)} of {len(ordered)} sizes that gain on dev"
            " and whose loss of general ability is within the bar"
        )
        return _frontier(ordered, best.scale, limits, reason=reason)
    most = max(_gain(point, start) for point in ordered)
    if most > 0:
        near = [point for point in ordered if _gain(point, start) >= SHARE_OF_GAIN * most]
        best = min(near, key=lambda point: (point.points_lost.mean, -point.scale))
        reason = (
            "no size keeps general ability within the bar by its upper bound; the least loss among"
            f" those that keep {SHARE_OF_GAIN:.0%} of the gain"
        )
        return _frontier(ordered, best.scale, limits, reason=reason)
    whole = min(ordered, key=lambda point: abs(point.scale - 1.0))
    reason = "no size gains anything on dev; as trained"
    return _frontier(ordered, whole.scale, limits, reason=reason)


def _frontier(
    points: tuple[FrontierPoint, ...], chosen: float, limits: tuple[float, float], *, reason: str
) -> Frontier:
    mean, family = limits
    return Frontier(
        points=points,
        most_points=mean,
        most_family_points=family,
        chosen=chosen,
        reason=reason,
    )


def _gain(point: FrontierPoint, start: float) -> float:
    return point.worth - start


def _points(difference: Difference) -> Difference:
    """Return a difference of shares as points, 0 to 100."""
    return difference.model_copy(
        update={
            "mean": 100 * difference.mean,
            "low": 100 * difference.low,
            "high": 100 * difference.high,
        }
    )


def _ids_by_family(
    results: Sequence[ProbeResult], scored: Mapping[str, float]
) -> dict[str, list[str]]:
    families: dict[str, list[str]] = {}
    for result in results:
        if result.probe_id in scored:
            families.setdefault(result.family, []).append(result.probe_id)
    return families
