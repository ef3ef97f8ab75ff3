"""Few human scores and many of a judge, in one valid interval: prediction-powered inference.

The judge's mean over many answers is corrected by what people say of some of them. The estimate is
right on average whatever the judge is like; a good judge only makes it narrower, and a useless one is
given no weight:

    theta = lambda mean(judge, unscored) + mean(human - lambda judge, scored)

Sources: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic (2023), Prediction-powered inference, Science
382; Angelopoulos, Duchi and Zrnic (2023), PPI++ (arXiv:2311.01453) for the weight lambda.

The normal interval of those papers covers as little as 55 % where 30 people's scores meet a mean of
0.95. This one is Wilson's at an effective number of human scores, so that it has room where the scores
pile up at 0 or 1 (see `prediction_powered_mean`). What is assumed: the answers that people scored were
drawn at random from all of them. What is not covered: looking at it while it grows.

Where nobody scored this candidate's answers, `calibrated_mean` speaks from what is known of the judge
elsewhere. It assumes more; decision 017 says what.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special

_Floats: TypeAlias = NDArray[np.float64]

BINARY_CELL = 0.5
"""Made-up answers in each cell of human and judge at 0 and 1, for the spread alone; binary scores."""

GRADED_CELL = 0.05
"""The same for scores between 0 and 1, whose own spread says more; the t distribution does the rest."""

# scipy ships no types; the distribution of Student's t, and its inverse, by degrees of freedom.
_t_below = cast("Callable[[float, float], float]", special.stdtr)
_t_quantile = cast("Callable[[float, float], float]", special.stdtrit)


@dataclass(frozen=True)
class Powered:
    """An estimate from two kinds of scores.

    `p_value` is one-sided, of "the mean is below the bar", or of the difference two-sided. `weight` is
    lambda, the trust in the judge in [0, 1]. `worth` is how many human scores would give an interval as
    narrow by themselves, about.
    """

    mean: float
    low: float
    high: float
    p_value: float
    weight: float
    worth: float


@dataclass(frozen=True)
class _Moments:
    """Estimate, effective number of human scores, and the tail that belongs to them."""

    mean: float
    size: float
    weight: float
    worth: float
    freedom: float | None

    def quantile(self, confidence: float) -> float:
        if self.freedom is None:
            return NormalDist().inv_cdf(0.5 + confidence / 2.0)
        return float(_t_quantile(self.freedom, 0.5 + confidence / 2.0))

    def tail(self, value: float) -> float:
        """Return the chance of more than `value`."""
        if self.freedom is None:
            return NormalDist().cdf(-value)
        return float(_t_below(self.freedom, -value))

    def interval(self, confidence: float) -> tuple[float, float]:
        z = self.quantile(confidence)
        scale = 1.0 + z * z / self.size
        centre = (self.mean + z * z / (2.0 * self.size)) / scale
        spread = max(0.0, self.mean * (1.0 - self.mean)) / self.size
        half = z * math.sqrt(spread + z * z / (4.0 * self.size**2)) / scale
        low, high = max(0.0, centre - half), min(1.0, centre + half)
        return min(low, self.mean), max(high, self.mean)

    def distance(self, value: float) -> float:
        """Return how many standard errors, as they would be at `value`, the mean is above it."""
        return (self.mean - value) / math.sqrt(value * (1.0 - value) / self.size)


def prediction_powered_mean(
    human: Sequence[float],
    judge: Sequence[float],
    unscored: Sequence[float],
    *,
    bar: float = 0.5,
    confidence: float = 0.95,
) -> Powered:
    """Return the mean that people would give, with its interval and the p-value against `bar`.

    lambda is PPI++'s, cov(human, judge) / ((1 + n / N) var(judge)), kept within [0, 1]. With
    V = var(human - lambda judge) / n + lambda^2 var(judge) / N, the interval is Wilson's for a mean of
    `theta` over

        m = theta_h (1 - theta_h) / V

    answers, theta_h being the human mean: the number of plain yes-or-no scores that would be as sure.
    For a useless judge and binary scores that is Wilson's interval of the human scores. For V, a part of
    an answer is added to each of the four corners where human and judge are 0 or 1 (`BINARY_CELL`,
    `GRADED_CELL`), as Agresti and Coull (1998) add two of each kind: without it, thirty scores among
    which human and judge never differ would claim that they never do. It moves no estimate. V counts the
    mean and the slope that were fitted. Graded scores take the quantile of Student's t.

    The p-value is from the same statistic, so that it is at most (1 - confidence) / 2 exactly where the
    lower bound is at least `bar`.

    Args:
        human: scores by people in [0, 1], of answers drawn at random.
        judge: the judge's scores of the same answers.
        unscored: the judge's scores of all other answers; may be empty.
        bar: what the mean is tested against.
        confidence: of the two-sided interval.

    Raises:
        ValueError: fewer than three human scores, unequal numbers, or a score outside [0, 1].
    """
    people, seen, others = _checked(human, judge, unscored)
    is_binary = bool(np.all((people == 0.0) | (people == 1.0)))
    found = _moments(people, seen, others, is_binary=is_binary)
    low, high = found.interval(confidence)
    if bar <= 0.0 or bar >= 1.0:
        p_value = 0.0 if bar <= 0.0 else 1.0
    else:
        p_value = found.tail(found.distance(bar))
    return Powered(found.mean, low, high, p_value=p_value, weight=found.weight, worth=found.worth)


def prediction_powered_difference(
    human: Sequence[float],
    judge: Sequence[float],
    unscored: Sequence[float],
    *,
    confidence: float = 0.95,
) -> Powered:
    """Return the mean of paired differences in [-1, 1], with its interval and two-sided p-value.

    The differences d are taken as (d + 1) / 2 through `prediction_powered_mean` for graded scores.

    Args:
        human: differences of people's scores, of examples drawn at random where both rungs were scored.
        judge: differences of the judge's scores of the same examples.
        unscored: differences of the judge's scores of all other examples.
        confidence: of the two-sided interval.

    Raises:
        ValueError: fewer than three human differences, unequal numbers, or one outside [-1, 1].
    """
    halves = ([(value + 1.0) / 2.0 for value in part] for part in (human, judge, unscored))
    people, seen, others = _checked(*halves)
    found = _moments(people, seen, others, is_binary=False)
    low, high = found.interval(confidence)
    p_value = min(1.0, 2.0 * found.tail(abs(found.distance(0.5))))
    return Powered(
        2.0 * found.mean - 1.0,
        2.0 * low - 1.0,
        2.0 * high - 1.0,
        p_value=p_value,
        weight=found.weight,
        worth=found.worth,
    )


def calibrated_mean(
    human: Sequence[float],
    judge: Sequence[float],
    unscored: Sequence[float],
    *,
    bar: float = 0.5,
    confidence: float = 0.95,
) -> Powered:
    """Return the mean that people would give answers of which they scored none.

    From other answers, scored by both, comes how the judge scores what people find good and bad:
    E[judge | human] = a + b human. It is assumed to hold for these answers too; their share of good ones
    may differ. Their mean is then where a + b theta meets the judge's mean (Rogan and Gladen 1978 for
    binary scores), and the interval is all theta at which the two are not told apart (Fieller 1954),
    everything where b is not clearly above 0. Errors of the fit are by HC3 (MacKinnon and White 1985),
    with `BINARY_CELL` of an answer added to each corner.

    Args:
        human: scores by people in [0, 1] of other answers.
        judge: the judge's scores of those.
        unscored: the judge's scores of the answers in question.
        bar: what the mean is tested against; the p-value is one-sided.
        confidence: of the two-sided interval.

    Raises:
        ValueError: fewer than three scores of either kind, or a score outside [0, 1].
    """
    people, seen, others = _checked(human, judge, unscored)
    if len(others) < 3:
        raise ValueError(f"{len(others)} answers are too few")
    line = _Line.of(people, seen, others)
    z = float(_t_quantile(len(people) - 2.0, 0.5 + confidence / 2.0))
    low, high = line.where(z)
    mean = min(1.0, max(0.0, line.at)) if line.slope > 0.0 else 0.5
    p_value = 1.0
    if bar <= 0.0:
        p_value = 0.0
    elif (low, high) != (0.0, 1.0):
        p_value = float(_t_below(len(people) - 2.0, -line.distance(bar)))
    return Powered(
        mean, min(low, mean), max(high, mean), p_value=p_value, weight=1.0, worth=float(len(people))
    )


def _checked(
    human: Sequence[float], judge: Sequence[float], unscored: Sequence[float]
) -> tuple[_Floats, _Floats, _Floats]:
    parts = tuple(np.asarray(part, dtype=np.float64) for part in (human, judge, unscored))
    if len(parts[0]) != len(parts[1]):
        raise ValueError(f"{len(parts[0])} human scores, {len(parts[1])} of the judge")
    if len(parts[0]) < 3:
        raise ValueError(f"{len(parts[0])} human scores are too few")
    for part in parts:
        if len(part) and not (float(part.min()) >= 0.0 and float(part.max()) <= 1.0):
            raise ValueError("a score lies outside its range")
    return parts[0], parts[1], parts[2]


def _moments(people: _Floats, seen: _Floats, others: _Floats, *, is_binary: bool) -> _Moments:
    count, more = len(people), len(others)
    cell = BINARY_CELL if is_binary else GRADED_CELL
    spread_h, spread_j, joint = _spreads(people, seen, cell=cell)
    weight = 0.0
    if more and spread_j > 0.0:
        weight = min(1.0, max(0.0, joint / spread_j * more / (count + more)))
    shift = float(np.mean(others) - np.mean(seen)) if more else 0.0
    mean = min(1.0, max(0.0, float(np.mean(people)) + weight * shift))
    fitted = 2.0 if weight > 0.0 else float(not is_binary)
    residual = spread_h - 2.0 * weight * joint + weight * weight * spread_j
    variance = residual / (count - fitted)
    if more:
        variance += weight * weight * spread_j / more
    # Graded scores vary less than the yes-or-no scores of the same mean, by this factor.
    centre = (float(np.sum(people)) + 2.0 * cell) / (count + 4.0 * cell)
    whole = spread_h if is_binary else min(1.0, max(centre * (1.0 - centre), 1e-12))
    variance = max(variance, 1e-12)
    return _Moments(
        mean=mean,
        size=whole / variance,
        weight=weight,
        worth=spread_h / variance,
        freedom=None if is_binary else float(count - 1),
    )


def _spreads(people: _Floats, seen: _Floats, *, cell: float) -> tuple[float, float, float]:
    """Return the variances of both and their covariance, with `cell` of an answer in each corner."""
    size = len(people) + 4.0 * cell
    mean_h = (float(people.sum()) + 2.0 * cell) / size
    mean_j = (float(seen.sum()) + 2.0 * cell) / size
    spread_h = (float(people @ people) + 2.0 * cell) / size - mean_h * mean_h
    spread_j = (float(seen @ seen) + 2.0 * cell) / size - mean_j * mean_j
    joint = (float(people @ seen) + cell) / size - mean_h * mean_j
    return spread_h, spread_j, joint


@dataclass(frozen=True)
class _Line:
    """The line a + b theta of the judge over people, against the judge's mean over other answers.

    `at` is where they meet. The variance of what lies between them is
    `constant + 2 cross (theta - centre) + square (theta - centre)^2`.
    """

    centre: float
    gap: float
    slope: float
    constant: float
    cross: float
    square: float

    @classmethod
    def of(cls, people: _Floats, seen: _Floats, others: _Floats) -> _Line:
        corners = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])
        x, y = np.concatenate((people, corners[0])), np.concatenate((seen, corners[1]))
        mass = np.concatenate((np.ones(len(people)), np.full(4, BINARY_CELL)))
        size = float(mass.sum())
        centre, level = float(mass @ x) / size, float(mass @ y) / size
        away = x - centre
        square = float(mass @ (away * away))
        slope = float(mass @ (away * (y - level))) / square
        error = y - level - slope * away
        leverage = mass * (1.0 / size + away * away / square)
        error = mass * (error / np.maximum(1.0 - leverage, 0.1)) ** 2
        return cls(
            centre=centre,
            gap=float(np.mean(others)) - level,
            slope=slope,
            constant=float(np.sum(error)) / size**2 + float(np.var(others, ddof=1)) / len(others),
            cross=float(error @ away) / (size * square),
            square=float(error @ (away * away)) / square**2,
        )

    @property
    def at(self) -> float:
        return self.centre + self.gap / self.slope

    def distance(self, theta: float) -> float:
        """Return how many standard errors the judge's mean is above the line at `theta`."""
        far = theta - self.centre
        variance = self.constant + 2.0 * self.cross * far + self.square * far * far
        return (self.gap - self.slope * far) / math.sqrt(max(variance, 1e-12))

    def where(self, z: float) -> tuple[float, float]:
        """Return the theta in [0, 1] at most `z` standard errors away; everything where b is unclear."""
        a = self.slope**2 - z * z * self.square
        if a <= 0.0 or self.slope <= 0.0:
            return 0.0, 1.0
        half = self.gap * self.slope + z * z * self.cross
        root = math.sqrt(max(0.0, half * half - a * (self.gap**2 - z * z * self.constant)))
        low, high = (self.centre + (half + sign * root) / a for sign in (-1.0, 1.0))
        return min(1.0, max(0.0, low)), max(0.0, min(1.0, high))
