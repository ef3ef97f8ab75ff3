"""Whether there is enough data, and the right data: what more rows would give, what the test can show.

Pure: learning curves arrive as right or wrong answers, made by `freehold.ladder.learning_curve`. The
error of a learner falls about as a power law of its rows, error(n) = c + a n^-b with a, b, c >= 0 (Hestness
et al. 2017, arXiv:1712.00409), as far as the sizes that were measured say; beyond them it is an
extrapolation, and its interval is that of the fit and not of the law.

    R rows of validation, S sizes, B resamples, G exponents.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from freehold.core.record import Record
from freehold.core.sections import Slice
from freehold.core.snapshot import Example, Snapshot
from freehold.data.slices import slice_members

RESAMPLES = 1_000
LEAST_SIZES = 4
THIN_TEST_ROWS = 30
THIN_TRAIN_ROWS = 10
POWER = 0.8
LARGEST_EXPONENT = 2.0

Floats: TypeAlias = NDArray[np.float64]
_EXPONENTS_G: Floats = np.geomspace(0.05, LARGEST_EXPONENT, 60)


@dataclass(frozen=True)
class Measured:
    """Right (1) or wrong (0) of each validation row by learners of growing size.

    `right_RS[r, s]`: row r by the learner that saw `sizes[s]` rows. `draws_R[r]` is the draw of training
    rows that row r was judged by: rows of one draw share its luck.
    """

    sizes: tuple[int, ...]
    right_RS: NDArray[np.bool_]
    draws_R: NDArray[np.intp]


@dataclass(frozen=True)
class PowerLaw:
    """error(n) = floor + scale * n ** -exponent."""

    floor: float
    scale: float
    exponent: float

    def error(self, rows: float) -> float:
        """Return the error of a learner that saw so many rows, in [0, 1]."""
        return min(1.0, self.floor + self.scale * rows**-self.exponent)


class CurvePoint(Record):
    """The share of right answers of learners that saw `rows` rows, with its interval."""

    rows: int
    share: float
    low: float
    high: float


class Gain(Record):
    """What `more` rows beyond `now` are expected to add to the share of right answers, with its interval."""

    now: int
    more: int
    share_now: float
    share_then: float
    then_low: float
    then_high: float
    gain: float
    low: float
    high: float
    confidence: float

    @property
    def sentence(self) -> str:
        """`500 more rows: +2.1 points [0.6, 3.4]`."""
        return (
            f"{self.more:,} more rows: {100 * self.gain:+.1f} points "
            f"[{100 * self.low:.1f}, {100 * self.high:.1f}]"
        )


class SliceCount(Record):
    """How many rows of training and test a slice has."""

    name: str
    train: int
    test: int

    @property
    def is_thin(self) -> bool:
        """Whether nothing can be said of the slice, or it can hardly be learnt."""
        return self.test < THIN_TEST_ROWS or self.train < THIN_TRAIN_ROWS


# What more rows would give -------------------------------------------------------------------


def fit_power_law(sizes: Sequence[int], errors: Sequence[float], *, rows: int) -> PowerLaw:
    """Return the power law that is nearest to the errors, by weighted least squares.

    Args:
        sizes: rows that the learners saw, at least three different numbers.
        errors: their shares of wrong answers.
        rows: how many validation rows each error is a mean of; it weighs the errors.
    """
    _, laws_B3 = _fitted(np.asarray(sizes, float), np.asarray(errors, float)[None, :], rows=rows)
    floor, scale, exponent = (float(value) for value in laws_B3[0])
    return PowerLaw(floor=floor, scale=scale, exponent=exponent)


def curve_points(measured: Measured, *, rng: np.random.Generator) -> tuple[CurvePoint, ...]:
    """Return the share of right answers at each size, with its 95 % bootstrap interval."""
    shares_BS = _resampled(measured, rng=rng, resamples=RESAMPLES)
    means = measured.right_RS.mean(axis=0)
    low, high = np.quantile(shares_BS, [0.025, 0.975], axis=0)
    return tuple(
        CurvePoint(rows=size, share=float(mean), low=float(min(a, mean)), high=float(max(b, mean)))
        for size, mean, a, b in zip(measured.sizes, means, low, high, strict=True)
    )


def expected_gain(
    measured: Measured,
    *,
    now: int,
    more: int,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Gain | None:
    """Return what `more` rows would add to a learner that has `now`, by the fitted power law.

    The interval is a percentile bootstrap: draws of training rows, and validation rows within them, are
    drawn again, each time with a fit of its own; to each resample the misfit of the law itself is added, as
    an error of the size that the residuals have. None with fewer than four sizes or one answer.

    Args:
        measured: the learning curve.
        now: rows that there are.
        more: rows that would be added.
        rng: draws the resamples.
        confidence: of the interval.
        resamples: how many.
    """
    if len(set(measured.sizes)) < LEAST_SIZES or not len(measured.right_RS):
        return None
    sizes_S = np.asarray(measured.sizes, float)
    errors_S = 1.0 - measured.right_RS.mean(axis=0)
    rows = len(measured.right_RS)
    _, laws = _fitted(sizes_S, errors_S[None, :], rows=rows)
    misfit_S = errors_S - _errors(laws, sizes_S)[0]
    errors_BS = 1.0 - _resampled(measured, rng=rng, resamples=resamples)
    spread = math.sqrt(float(np.sum(misfit_S**2)) / max(1, len(sizes_S) - 3))
    errors_BS = errors_BS + rng.normal(0.0, spread, errors_BS.shape)
    _, laws_B3 = _fitted(sizes_S, np.clip(errors_BS, 0.0, 1.0), rows=rows)
    at = np.asarray([now, now + more], float)
    drawn_B2 = _errors(laws_B3, at)
    best_2 = _errors(laws, at)[0]
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(drawn_B2[:, 0] - drawn_B2[:, 1], [tail, 1 - tail])
    then_low, then_high = np.quantile(1.0 - drawn_B2[:, 1], [tail, 1 - tail])
    gain = float(best_2[0] - best_2[1])
    then = float(1.0 - best_2[1])
    return Gain(
        now=now,
        more=more,
        share_now=float(1.0 - best_2[0]),
        share_then=then,
        then_low=float(min(then_low, then)),
        then_high=float(max(then_high, then)),
        gain=gain,
        low=float(min(low, gain)),
        high=float(max(high, gain)),
        confidence=confidence,
    )


def _resampled(measured: Measured, *, rng: np.random.Generator, resamples: int) -> Floats:
    """Return shares of right answers [B, S]: draws with replacement, rows with replacement within them."""
    draws = np.unique(measured.draws_R)
    rows_of = [np.flatnonzero(measured.draws_R == one) for one in draws]
    right_RS = measured.right_RS.astype(np.float64)
    shares = np.empty((resamples, len(measured.sizes)))
    for number in range(resamples):
        chosen = rng.integers(0, len(draws), len(draws))
        weights_R = np.zeros(len(right_RS))
        for draw in chosen:
            rows = rows_of[int(draw)]
            counts = np.bincount(rng.integers(0, len(rows), len(rows)), minlength=len(rows))
            weights_R[rows] += counts
        shares[number] = weights_R @ right_RS / weights_R.sum()
    return shares


def _fitted(sizes_S: Floats, errors_BS: Floats, *, rows: int) -> tuple[Floats, Floats]:
    """Fit each row of errors; return the sums of squares [B] and the laws [B, (floor, scale, exponent)].

    For each exponent of a grid, floor and scale are least squares under floor >= 0 and scale >= 0, which
    has a closed form: where one of them would be negative it is 0. The best exponent is kept.
    """
    weights_S = rows / np.maximum(
        errors_BS.mean(axis=0) * (1 - errors_BS.mean(axis=0)), 0.25 / rows
    )
    powers_GS = sizes_S[None, :] ** -_EXPONENTS_G[:, None]
    w, wx = weights_S.sum(), powers_GS @ weights_S
    wxx: Floats = (powers_GS**2) @ weights_S
    wy_B = errors_BS @ weights_S
    wxy_BG: Floats = (errors_BS * weights_S) @ powers_GS.T
    determinant_G: Floats = np.maximum(w * wxx - wx**2, 1e-300)
    scale_BG: Floats = (w * wxy_BG - wy_B[:, None] * wx) / determinant_G
    floor_BG: Floats = (wy_B[:, None] - scale_BG * wx) / w
    no_floor = floor_BG < 0
    scale_BG = np.where(no_floor, wxy_BG / wxx, scale_BG)
    floor_BG = np.where(no_floor, 0.0, floor_BG)
    no_scale: NDArray[np.bool_] = scale_BG < 0
    scale_BG = np.where(no_scale, 0.0, scale_BG)
    floor_BG = np.where(no_scale, (wy_B / w)[:, None], floor_BG)
    wyy_B = (errors_BS**2) @ weights_S
    squares_BG = (
        wyy_B[:, None]
        - 2 * (floor_BG * wy_B[:, None] + scale_BG * wxy_BG)
        + floor_BG**2 * w
        + 2 * floor_BG * scale_BG * wx
        + scale_BG**2 * wxx
    )
    best_B = squares_BG.argmin(axis=1)
    at = np.arange(len(errors_BS))
    laws = np.stack([floor_BG[at, best_B], scale_BG[at, best_B], _EXPONENTS_G[best_B]], axis=1)
    return squares_BG[at, best_B], laws


def _errors(laws_B3: Floats, sizes: Floats) -> Floats:
    powers = sizes[None, :] ** -laws_B3[:, 2:3]
    return np.clip(laws_B3[:, 0:1] + laws_B3[:, 1:2] * powers, 0.0, 1.0)


# What the test can show ----------------------------------------------------------------------


def likely_disagreement(quality: float) -> float:
    """Return on which share of rows two candidates near `quality` differ in being right: q (1 - q).

    That is half of what independent answers would give; candidates of one task agree more than that.
    """
    return quality * (1.0 - quality)


def smallest_difference(
    rows: int, *, disagreement: float, confidence: float = 0.95, power: float = POWER
) -> float:
    """Return the smallest difference of two candidates that `rows` paired test rows can show.

    The exact two-sided McNemar test rejects with probability `power` at that difference, if the
    candidates differ in being right on `disagreement` of the rows (or on as many as the difference
    needs). Computed exactly over the number of rows on which they differ. 1 where no difference can be shown.

    Args:
        rows: test rows.
        disagreement: share of rows on which exactly one of the two is right.
        confidence: 1 less the level of the test.
        power: the chance to see it.
    """
    low, high = 0.0, 1.0
    if rows < 1 or mcnemar_power(rows, 1.0, disagreement=1.0, confidence=confidence) < power:
        return 1.0
    for _ in range(40):
        middle = (low + high) / 2
        share = max(disagreement, middle)
        reached = mcnemar_power(rows, middle, disagreement=share, confidence=confidence)
        low, high = (low, middle) if reached >= power else (middle, high)
    return high


def mcnemar_power(rows: int, difference: float, *, disagreement: float, confidence: float) -> float:
    """Return the chance that the exact two-sided McNemar test sees a difference of two candidates.

    Args:
        rows: paired test rows.
        difference: of their shares of right answers, at most `disagreement`.
        disagreement: share of rows on which exactly one of them is right.
        confidence: 1 less the level of the test.
    """
    from scipy.stats import binom

    law = cast("_Binomial", binom)
    wins = 0.5 + difference / (2 * disagreement) if disagreement > 0 else 0.5
    spread = 6 * math.sqrt(rows * disagreement * (1 - disagreement)) + 6
    middle = rows * disagreement
    counts = np.arange(
        max(0, math.floor(middle - spread)), min(rows, math.ceil(middle + spread)) + 1
    )
    alpha = 1.0 - confidence
    # The largest number of losses that is still significant: twice its lower tail is at most alpha.
    critical = law.ppf(alpha / 2, counts, 0.5)
    critical = np.where(2 * law.cdf(critical, counts, 0.5) <= alpha, critical, critical - 1)
    seen = law.cdf(critical, counts, 1 - wins) + law.cdf(critical, counts, wins)
    seen = np.where(critical < 0, 0.0, seen)
    return float(np.sum(law.pmf(counts, rows, disagreement) * seen))


class _Binomial:
    """The part of scipy's binomial law that is used here."""

    def pmf(self, k: NDArray[np.intp], n: int, p: float) -> Floats: ...

    def cdf(self, k: Floats, n: NDArray[np.intp], p: float) -> Floats: ...

    def ppf(self, q: float, n: NDArray[np.intp], p: float) -> Floats: ...


def rows_for_difference(difference: float, *, disagreement: float, confidence: float = 0.95) -> int:
    """Return about how many paired test rows show a difference with a power of 0.8.

    (z_a sqrt(d) + z_b sqrt(d - D^2))^2 / D^2, Connor (1987), Biometrics 43, 207-211.
    """
    z_a = NormalDist().inv_cdf(0.5 + confidence / 2)
    z_b = NormalDist().inv_cdf(POWER)
    share = max(disagreement, difference)
    numerator = z_a * math.sqrt(share) + z_b * math.sqrt(max(share - difference**2, 0.0))
    return math.ceil((numerator / difference) ** 2)


# Slices --------------------------------------------------------------------------------------


def slice_counts(snapshot: Snapshot, slices: Sequence[str | Slice]) -> tuple[SliceCount, ...]:
    """Return the rows of each slice in training and test, the thinnest first.

    Raises:
        DataError: no example has the column (DAT-007), or a condition is wrong (DAT-013).
    """
    examples: tuple[Example, ...] = (*snapshot.train.examples, *snapshot.test.examples)
    members: Mapping[str, frozenset[str]] = slice_members(examples, slices) if slices else {}
    train = {example.id for example in snapshot.train.examples}
    test = {example.id for example in snapshot.test.examples}
    counts = (
        SliceCount(name=name, train=len(ids & train), test=len(ids & test))
        for name, ids in members.items()
    )
    return tuple(sorted(counts, key=lambda count: (count.test, count.train, count.name)))
