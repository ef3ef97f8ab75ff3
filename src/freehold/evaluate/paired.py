"""Two rungs over the same examples: tests and intervals for the paired difference.

Overlap of two intervals is never used as a test: readers take it for one, and it hides differences
that the pairs show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from freehold.core.measure import Difference
from freehold.evaluate.betting import betting_interval, betting_p_value

_EXACT_FLIPS = 16  # 2**16 sign patterns are enumerated; above that they are drawn
_DRAWN_FLIPS = 9_999
_FLIP_CELLS = 2_000_000  # signs held in memory at a time
_BISECTIONS = 60


def mcnemar_exact(first_only: int, second_only: int) -> float:
    """Return the two-sided p-value of McNemar's exact test for discordant pairs.

    p = min(1, 2 P(X <= min(b, c))), X ~ Binomial(b + c, 1/2): McNemar (1947), exact form.

    Args:
        first_only: examples that only the first rung answers rightly (b).
        second_only: examples that only the second answers rightly (c).
    """
    total = first_only + second_only
    term, tail = 1, 0
    for successes in range(min(first_only, second_only) + 1):
        tail += term
        term = term * (total - successes) // (successes + 1)
    return 1.0 if 2 * tail >= 1 << total else 2 * tail / (1 << total)


def sign_flip(differences: NDArray[np.float64], *, rng: np.random.Generator) -> float:
    """Return the two-sided p-value of the sign-flip permutation test for paired differences.

    If the rungs were exchangeable, every difference could as well have had the other sign. With up
    to 16 differences that are not zero all patterns are enumerated (exact); otherwise 9,999 are
    drawn, and p = (1 + those at least as extreme) / 10,000 (Phipson and Smyth 2010).
    """
    moved = differences[differences != 0.0]
    count = len(moved)
    if count == 0:
        return 1.0
    total = float(np.sum(moved))
    # A sum that is equal but for rounding counts as equally extreme.
    observed = abs(total) * (1.0 - 1e-9) - 1e-9
    if count <= _EXACT_FLIPS:
        patterns = np.arange(1 << count, dtype=np.int64)[:, None] >> np.arange(count)[None, :]
        sums = (1.0 - 2.0 * (patterns & 1)) @ moved
        return float(np.mean(np.abs(sums) >= observed))
    extreme, left = 0, _DRAWN_FLIPS
    while left:
        rows = min(left, max(1, _FLIP_CELLS // count))
        drawn = np.frombuffer(rng.bytes(rows * ((count + 7) // 8)), dtype=np.uint8)
        flipped = np.unpackbits(drawn.reshape(rows, -1), axis=1, count=count)
        sums = total - 2.0 * (flipped.astype(np.float64) @ moved)
        extreme += int(np.sum(np.abs(sums) >= observed))
        left -= rows
    return (1 + extreme) / (1 + _DRAWN_FLIPS)


def tango_interval(
    first_only: int, second_only: int, *, n: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the score interval for the difference of two paired proportions, (b - c) / n.

    It inverts the score test with the restricted maximum-likelihood estimate of the discordant
    share, and leaves out zero exactly where McNemar's chi-square is significant.

    Source: Tango (1998), Equivalence test and confidence interval for the difference in
    proportions for the paired-sample design, Statistics in Medicine 17, 891-908.
    """
    if n == 0:
        return -1.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    middle = (first_only - second_only) / n
    low = _tango_bound(first_only, second_only, n=n, limit=z, ends=(-1.0, middle))
    # Swapping the rungs mirrors the interval, so that one search serves both sides.
    high = -_tango_bound(second_only, first_only, n=n, limit=z, ends=(-1.0, -middle))
    return low, high


def _tango_bound(
    first_only: int, second_only: int, *, n: int, limit: float, ends: tuple[float, float]
) -> float:
    outside, inside = ends
    for _ in range(_BISECTIONS):
        guess = (outside + inside) / 2.0
        if _tango_score(first_only, second_only, n=n, difference=guess) > limit:
            outside = guess
        else:
            inside = guess
    return outside


def _tango_score(first_only: int, second_only: int, *, n: int, difference: float) -> float:
    a = 2.0 * n
    b = -first_only - second_only + (2.0 * n - first_only + second_only) * difference
    c = -second_only * difference * (1.0 - difference)
    share = (math.sqrt(max(0.0, b * b - 4.0 * a * c)) - b) / (2.0 * a)
    variance = n * (2.0 * share + difference * (1.0 - difference))
    distance = first_only - second_only - n * difference
    if variance <= 0.0:
        return 0.0 if distance == 0.0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def paired_difference(
    first: Mapping[str, float],
    second: Mapping[str, float],
    *,
    binary: bool,
    confidence: float,
    rng: np.random.Generator,
) -> Difference:
    """Return the mean of first minus second over the examples that both scored.

    Binary scores: Tango's score interval and McNemar's exact test. Scores in [0, 1]: the betting
    interval of (d + 1) / 2 for the fixed number of pairs, which holds at every n and for every
    distribution (`freehold.evaluate.betting`), and the sign-flip permutation test. The betting
    interval is the wider of the two: it may hold zero where the test is just significant.

    Args:
        first: score by example id, failures absent (`Run.scores`).
        second: the same for the other rung.
        binary: whether every score is 0 or 1.
        confidence: of the two-sided interval.
        rng: for the permutation test above 16 differing pairs.

    Raises:
        ValueError: `binary` is set and a score is neither 0 nor 1.
    """
    shared = [example for example in first if example in second]
    values = np.array([first[e] - second[e] for e in shared], dtype=np.float64)
    count = len(values)
    mean = float(np.mean(values)) if count else 0.0
    if not binary:
        low, high = betting_interval(
            ((values + 1.0) / 2.0).tolist(), confidence=confidence, planned=count
        )
        p_value = sign_flip(values, rng=rng)
        return Difference(
            mean=mean,
            low=2 * low - 1,
            high=2 * high - 1,
            n=count,
            p_value=p_value,
            test="sign_flip",
        )
    if any(score not in (0.0, 1.0) for e in shared for score in (first[e], second[e])):
        raise ValueError("a binary score is 0 or 1")
    first_only, second_only = int(np.sum(values > 0)), int(np.sum(values < 0))
    low, high = tango_interval(first_only, second_only, n=count, confidence=confidence)
    p_value = mcnemar_exact(first_only, second_only)
    return Difference(
        mean=mean,
        low=low,
        high=high,
        n=count,
        p_value=p_value,
        test="mcnemar",
        discordance=(first_only + second_only) / count if count else None,
    )


def raced_difference(
    first: Mapping[str, float], second: Mapping[str, float], *, confidence: float
) -> Difference:
    """Return the mean of first minus second where the scores themselves decided how many there are.

    McNemar's and the other tests for a fixed number would be too sure. The betting sequence of
    (d + 1) / 2 over the shared examples, in the order seen, holds wherever it was stopped; p is twice
    the smaller of its two one-sided p-values of "the difference is zero". Examples on which the two
    agree cost it nothing.

    Args:
        first: score by example id, in the order seen; failures absent.
        second: the same for the other rung.
        confidence: of the two-sided interval.
    """
    values = [first[example] - second[example] for example in first if example in second]
    shifted = [(value + 1.0) / 2.0 for value in values]
    low, high = betting_interval(shifted, confidence=confidence)
    is_binary = bool(values) and all(
        scores[example] in (0.0, 1.0)
        for scores in (first, second)
        for example in first
        if example in second
    )
    sides = (shifted, [1.0 - value for value in shifted])
    p_value = min(1.0, 2.0 * min(betting_p_value(side, 0.5) for side in sides))
    return Difference(
        mean=math.fsum(values) / len(values) if values else 0.0,
        low=2.0 * low - 1.0,
        high=2.0 * high - 1.0,
        n=len(values),
        p_value=p_value,
        test="betting",
        discordance=sum(v != 0.0 for v in values) / len(values) if is_binary else None,
    )
