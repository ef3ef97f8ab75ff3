"""Confidence bounds for the mean of bounded scores, by betting against every possible mean.

A gambler starts with capital 1 and bets, before each score is seen, that the mean is above (or
below) a candidate mean m. If m were the truth the capital would be a non-negative martingale, so it
exceeds 1 / alpha with a chance of at most alpha, ever (Ville). The means at which the gambler has
grown rich are excluded. The bound holds for every n and every distribution on [0, 1]; the running
intersection may be looked at after each score.

Source: Waudby-Smith and Ramdas (2023), Estimating means of bounded random variables by betting,
JRSS B 86(1), section 4: hedged capital process with predictable plug-in bets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_TRUNCATION = 0.5  # c in the paper: a bet never risks more than half of the capital
_BISECTIONS = 48  # 2**-48 is far below any digit that is printed


def betting_interval(
    scores: Sequence[float], *, confidence: float = 0.95, planned: int | None = None
) -> tuple[float, float]:
    """Return the bounds of the mean of `scores`, which lie in [0, 1] and are in the order seen.

    The capital that bets on a higher mean falls as the candidate mean rises, and the other rises,
    so each bound is one crossing, found by bisection: no grid, and no loss to its width. The side
    of the bisection that is returned is the excluded one, so that rounding never narrows the
    interval.

    Args:
        scores: in the order in which they were seen; an interval over a reordering differs.
        confidence: of the two-sided interval; each side has half of the error.
        planned: the number of scores, where it was fixed before the first was seen. The bets are
            then sized for that number (section 4.1 of the paper), and the interval is narrower.
            None: the interval holds at every n at once.

    Raises:
        ValueError: a score lies outside [0, 1].
    """
    seen = _checked(scores)
    if len(seen) == 0:
        return 0.0, 1.0
    alpha = 1.0 - confidence
    bets = _bets(seen, alpha=alpha, planned=planned)
    threshold = math.log(2.0 / alpha)
    low = _largest_excluded(seen, bets, threshold=threshold)
    high = 1.0 - _largest_excluded(1.0 - seen, bets, threshold=threshold)
    mean = float(np.mean(seen))
    return min(low, mean), max(high, mean)


def betting_p_value(scores: Sequence[float], bar: float, *, confidence: float = 0.95) -> float:
    """Return the one-sided p-value of "the mean is below `bar`", valid at every n.

    It is 1 over the largest capital that was reached by betting on a mean above the bar, so that
    p <= (1 - confidence) / 2 exactly where the lower bound of `betting_interval` is at least the
    bar.
    """
    seen = _checked(scores)
    if bar <= 0.0:
        return 0.0
    if len(seen) == 0 or bar >= 1.0:
        return 1.0
    bets = _bets(seen, alpha=1.0 - confidence, planned=None)
    return min(1.0, math.exp(-_greatest_log_capital(seen, bets, mean=bar)))


def _checked(scores: Sequence[float]) -> NDArray[np.float64]:
    seen = np.asarray(scores, dtype=np.float64)
    if len(seen) and not (float(np.min(seen)) >= 0.0 and float(np.max(seen)) <= 1.0):
        raise ValueError("a score lies outside [0, 1]")
    return seen


def _bets(seen: NDArray[np.float64], *, alpha: float, planned: int | None) -> NDArray[np.float64]:
    """Return the predictable plug-in bet before each score: it depends on earlier scores alone.

    lambda_t = sqrt(2 log(2 / alpha) / (v_(t-1) t log(t + 1))), v the regularised running variance
    (1/4 + sum (x_i - m_i)^2) / (t + 1), m the regularised running mean (1/2 + sum x_i) / (t + 1).
    With a planned number n, the n replaces t log(t + 1).
    """
    count = len(seen)
    time = np.arange(1, count + 1, dtype=np.float64)
    mean = (0.5 + np.cumsum(seen)) / (time + 1.0)
    variance = (0.25 + np.cumsum((seen - mean) ** 2)) / (time + 1.0)
    before = np.concatenate((np.array([0.25]), variance[:-1]))
    horizon = time * np.log(time + 1.0) if planned is None else np.full(count, float(planned))
    return np.sqrt(2.0 * math.log(2.0 / alpha) / (before * horizon))


def _greatest_log_capital(
    seen: NDArray[np.float64], bets: NDArray[np.float64], *, mean: float
) -> float:
    cut = np.minimum(bets, _TRUNCATION / mean)
    return float(np.max(np.cumsum(np.log1p(cut * (seen - mean)))))


def _largest_excluded(
    seen: NDArray[np.float64], bets: NDArray[np.float64], *, threshold: float
) -> float:
    excluded, kept = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (excluded + kept) / 2.0
        if _greatest_log_capital(seen, bets, mean=middle) >= threshold:
            excluded = middle
        else:
            kept = middle
    return excluded
