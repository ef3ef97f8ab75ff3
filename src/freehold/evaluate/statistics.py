"""Intervals, tests and sample sizes: pure functions of scores (decide.md 3).

Every interval is two-sided. A failure is never a number: an estimate carries how many failed, and
its worst and best case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import special

from freehold.core.measure import Estimate
from freehold.core.outcome import Outcome, Scored
from freehold.evaluate.betting import betting_interval, betting_p_value
from freehold.evaluate.paired import (
    mcnemar_exact,
    paired_difference,
    raced_difference,
    sign_flip,
    tango_interval,
)

__all__ = [
    "NEED_MORE_CEILING",
    "betting_interval",
    "betting_p_value",
    "binomial_p_value",
    "bootstrap_interval",
    "estimate",
    "estimate_scores",
    "holm",
    "mcnemar_exact",
    "minimal_detectable_difference",
    "minimal_detectable_paired_difference",
    "need_more",
    "paired_difference",
    "raced_difference",
    "raced_estimate",
    "raced_p_value",
    "resample",
    "sign_flip",
    "tango_interval",
    "wilson",
    "z_value",
]

NEED_MORE_CEILING = 100_000
"""More further examples than this are called impractical: nobody labels them for one verdict."""

# scipy ships no types; this is P(X >= k) of a Binomial(n, p), as I_p(k, n - k + 1).
_incomplete_beta = cast(
    "Callable[[float, float, float], float]",
    special.betainc,
)


def z_value(confidence: float) -> float:
    """Return the normal quantile of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2.0)


def wilson(successes: float, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval for a proportion; everything for n = 0.

    centre = (p + z^2 / 2n) / (1 + z^2 / n), half = z sqrt(p(1 - p) / n + z^2 / 4n^2) / (1 + z^2 / n).
    Source: Wilson (1927), Probable inference, JASA 22, 209-212.

    Raises:
        ValueError: `successes` is not in [0, n].
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return 0.0, 1.0
    z = z_value(confidence)
    share = successes / n
    scale = 1.0 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n)) / scale
    # At 0 and n the bound is exact; rounding must not put the mean outside its interval.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def binomial_p_value(successes: int, n: int, *, bar: float) -> float:
    """Return the exact one-sided p-value of "the proportion is below `bar`": P(X >= successes)."""
    if bar <= 0.0:
        return 0.0
    if successes == 0 or bar >= 1.0:
        return 1.0
    return float(_incomplete_beta(successes, n - successes + 1, bar))


def resample(
    statistic: Callable[[NDArray[np.intp]], float],
    n: int,
    *,
    rng: np.random.Generator,
    resamples: int = 2_000,
) -> NDArray[np.float64]:
    """Return `statistic` over `resamples` draws of n indices with replacement, sorted."""
    values = [statistic(rng.integers(0, n, size=n, dtype=np.intp)) for _ in range(resamples)]
    return np.sort(np.asarray(values, dtype=np.float64))


def bootstrap_interval(
    statistic: Callable[[NDArray[np.intp]], float],
    n: int,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2_000,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of an aggregate that is no mean of examples.

    Source: Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 13. It is
    approximate: for few examples it is too narrow.

    Args:
        statistic: takes indices (possibly repeated) into the examples, returns the aggregate.
        n: the number of examples; everything is returned for 0.
        rng: draws the resamples.
        confidence: of the two-sided interval.
        resamples: how often to draw.
    """
    if n == 0:
        return 0.0, 1.0
    values = resample(statistic, n, rng=rng, resamples=resamples)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def estimate(outcomes: Sequence[Outcome], *, binary: bool, confidence: float = 0.95) -> Estimate:
    """Return the mean score with its interval, and what the failures could change.

    Wilson for binary scores at a fixed n, the betting interval for scores in [0, 1] (in the order
    given). The interval covers the scored examples alone; `worst` and `best` are the means if
    every failure had scored 0, or 1.

    Raises:
        ValueError: `binary` is set and a score is neither 0 nor 1.
    """
    scores = [outcome.score for outcome in outcomes if isinstance(outcome, Scored)]
    return estimate_scores(
        scores, failed=len(outcomes) - len(scores), binary=binary, confidence=confidence
    )


def estimate_scores(
    scores: Sequence[float], *, failed: int = 0, binary: bool, confidence: float = 0.95
) -> Estimate:
    """Return the estimate of scores in [0, 1]; see `estimate`."""
    count, total = len(scores), math.fsum(scores)
    everything = count + failed
    worst = total / everything if everything else None
    best = (total + failed) / everything if everything else None
    if count == 0:
        return Estimate(mean=None, low=0.0, high=1.0, n=0, failed=failed, worst=worst, best=best)
    if binary:
        if any(score not in (0.0, 1.0) for score in scores):
            raise ValueError("a binary score is 0 or 1")
        low, high = wilson(total, count, confidence=confidence)
    else:
        low, high = betting_interval(scores, confidence=confidence)
    return Estimate(
        mean=total / count,
        low=low,
        high=high,
        n=count,
        failed=failed,
        worst=worst,
        best=best,
        method="wilson" if binary else "betting",
    )


SEQUENTIAL_SHARE = 0.25
"""Of the error of a raced rung with binary scores: what is spent on stopping early. The rest is kept for
the exact test when every example was evaluated."""


def raced_estimate(
    scores: Sequence[float],
    *,
    failed: int = 0,
    binary: bool,
    confidence: float,
    is_last: bool,
) -> Estimate:
    """Return the estimate of scores that were looked at while they came in, in the order seen.

    It covers the mean at every look at once with at least `confidence`. Scores in [0, 1]: the betting
    sequence. Binary scores: the betting sequence at a quarter of the error, and once the planned
    examples are all there (`is_last`) its intersection with Wilson's interval at the other three
    quarters; a chance of either to miss is at most the sum of both.
    """
    found = estimate_scores(scores, failed=failed, binary=binary, confidence=confidence)
    if not binary or found.mean is None:
        return found
    error = 1.0 - confidence
    low, high = betting_interval(scores, confidence=1.0 - SEQUENTIAL_SHARE * error)
    if is_last:
        last = wilson(
            math.fsum(scores), len(scores), confidence=1.0 - (1.0 - SEQUENTIAL_SHARE) * error
        )
        low, high = max(low, last[0]), min(high, last[1])
    return found.model_copy(
        update={"low": low, "high": high, "method": "wilson" if is_last else "betting"}
    )


def raced_p_value(scores: Sequence[float], bar: float, *, binary: bool, is_last: bool) -> float:
    """Return the one-sided p-value of "the mean is below `bar`" under looks at every number.

    The counterpart of `raced_estimate`: for binary scores the smaller of the sequence's p-value over
    its share of the error and, at the last look, the exact one over the rest (weighted Bonferroni).
    """
    sequential = betting_p_value(scores, bar)
    if not binary:
        return sequential
    p_value = sequential / SEQUENTIAL_SHARE
    if is_last:
        exact = binomial_p_value(round(math.fsum(scores)), len(scores), bar=bar)
        p_value = min(p_value, exact / (1.0 - SEQUENTIAL_SHARE))
    return min(1.0, p_value)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return Holm's adjusted p-values, in the order given.

    The sorted p-values are multiplied by m, m - 1, ..., 1, made monotone and capped at 1: rejecting
    those at most alpha keeps the chance of any false rejection at most alpha, whatever the
    dependence. Source: Holm (1979), A simple sequentially rejective multiple test procedure,
    Scandinavian Journal of Statistics 6, 65-70.
    """
    adjusted = [1.0] * len(p_values)
    floor = 0.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return tuple(adjusted)


def need_more(
    quality: Estimate,
    bar: float,
    *,
    confidence: float = 0.95,
    ceiling: int = NEED_MORE_CEILING,
) -> int | None:
    """Return how many further examples settle an UNDECIDED, if the mean stays where it is.

    Binary scores: Wilson's bound meets the bar at n = z^2 bar (1 - bar) / (mean - bar)^2 examples
    in all. Other scores: the distance from the mean to the bound facing the bar shrinks with the
    square root of n, so n grows by (distance / (mean - bar))^2. None: more than `ceiling` further
    examples, or the mean is at the bar, or nothing was scored: no practical number settles it.
    """
    if quality.mean is None or quality.mean == bar:
        return None
    gap = abs(quality.mean - bar)
    if quality.method == "wilson":
        total = z_value(confidence) ** 2 * bar * (1.0 - bar) / gap**2
    else:
        bound = quality.low if quality.mean > bar else quality.high
        total = quality.n * (abs(quality.mean - bound) / gap) ** 2
    further = max(1, math.ceil(total) - quality.n)
    return further if further <= ceiling else None


def minimal_detectable_difference(n: int, bar: float, *, confidence: float = 0.95) -> float:
    """Return how far from the bar a proportion must be for n examples to settle it.

    z sqrt(bar (1 - bar) / n), at most 1: 400 examples cannot settle a rung within 3.9 points of a
    bar of 0.80. Three times as many further examples halve it.
    """
    if n == 0:
        return 1.0
    return min(1.0, z_value(confidence) * math.sqrt(bar * (1.0 - bar) / n))


def minimal_detectable_paired_difference(
    n: int, discordance: float, *, confidence: float = 0.95
) -> float:
    """Return how far apart two rungs must be for n shared examples to tell them apart.

    z sqrt(discordance / n), at most the discordance: McNemar's test is significant from there on. The
    discordance is the share of examples that exactly one of the two answers rightly. Rungs whose
    answers differ seldom are told apart by fewer points.
    """
    if n == 0:
        return 1.0
    return min(discordance, z_value(confidence) * math.sqrt(discordance / n))
