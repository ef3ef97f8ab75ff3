"""How far a judge agrees with people beyond chance: Cohen's weighted kappa, its interval, and need."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freehold.core.judging import JudgeAgreement
from freehold.evaluate.statistics import NEED_MORE_CEILING, z_value

_CORNER = 0.05  # made-up answers in each corner, for the spread of more than two grades
_CLOSEST = 1.0 - 1e-9  # the transform has no value at 1


def on_grades(score: float, grades: int) -> int:
    """Return a score in [0, 1] as the nearest of `grades` grades, 0 being the lowest; halves go up."""
    return math.floor(score * (grades - 1) + 0.5)


def judge_agreement(
    human: Sequence[float], judge: Sequence[float], *, grades: int, confidence: float = 0.95
) -> JudgeAgreement:
    """Return Cohen's kappa with quadratic weights between people and a judge, both on `grades` grades.

        kappa = 1 - sum (h_i - j_i)^2 / n  /  (mean h^2 + mean j^2 - 2 mean h mean j)

    For two grades that is Cohen's unweighted kappa. Sources: Cohen (1960), A coefficient of agreement for
    nominal scales; Cohen (1968), Weighted kappa.

    The interval is the large-sample one of Fleiss, Cohen and Everitt (1969), from the influence of each
    answer on kappa, taken on the scale of Fisher's z = atanh(kappa), as Lin (1989) does for the
    concordance coefficient: near 1 the plain one is too short. With more than two grades, a twentieth of an answer is
    added to each corner for the spread, as rare answers that are far apart decide it. Where human and judge never differ it
    would have no width; the lower bound is then the one that holds although a share of differing answers,
    each a whole scale apart, was missed by luck (Clopper and Pearson 1934).

    kappa is None, with everything as its interval, where nothing was scored by both or where all scores
    of both are one grade: nobody can tell then whether they agree by more than chance.
    """
    h = np.array([on_grades(score, grades) for score in human], np.float64) / (grades - 1)
    j = np.array([on_grades(score, grades) for score in judge], np.float64) / (grades - 1)
    count = len(h)
    unknown = JudgeAgreement(n=count, kappa=None)
    if count == 0:
        return unknown
    apart = (h - j) ** 2
    equal = 1.0 - int(np.count_nonzero(apart)) / count
    mean_h, mean_j = float(np.mean(h)), float(np.mean(j))
    chance = float(np.mean(h * h) + np.mean(j * j)) - 2.0 * mean_h * mean_j
    if chance <= 1e-12:
        return unknown.model_copy(update={"equal": equal})
    observed = float(np.mean(apart))
    kappa = 1.0 - observed / chance
    if observed == 0.0:
        missed = 1.0 - ((1.0 - confidence) / 2.0) ** (1.0 / count)
        low, high = max(-1.0, 1.0 - missed / chance), 1.0
    else:
        low, high = _interval(
            kappa, _error(h, j, corner=_CORNER if grades > 2 else 0.0), confidence=confidence
        )
    return JudgeAgreement(n=count, kappa=kappa, low=low, high=high, equal=equal)


def further_scores(found: JudgeAgreement, minimum: float) -> int | None:
    """Return how many further human scores bring the lower bound to `minimum`, if kappa stays.

    On the scale of Fisher's z the distance from kappa to its bound shrinks with the square root of n.
    None: kappa itself is not above `minimum`, or more than 100,000 would be needed.
    """
    if found.kappa is None or found.kappa <= minimum:
        return None
    centre = math.atanh(min(found.kappa, _CLOSEST))
    reach = centre - math.atanh(max(found.low, -_CLOSEST))
    total = found.n * (reach / (centre - math.atanh(minimum))) ** 2
    further = max(1, math.ceil(total) - found.n)
    return further if further <= NEED_MORE_CEILING else None


def _error(h: NDArray[np.float64], j: NDArray[np.float64], *, corner: float) -> float:
    """Return the standard error of kappa, from each answer's influence on it.

    `corner` of an answer is added where both are 0 or 1: few answers hold too few of the rare ones that are
    far apart.
    """
    count = len(h)
    h = np.concatenate((h, np.array([0.0, 0.0, 1.0, 1.0])))
    j = np.concatenate((j, np.array([0.0, 1.0, 0.0, 1.0])))
    mass = np.concatenate((np.ones(count), np.full(4, corner)))
    mass = mass / float(mass.sum())
    mean_h, mean_j = float(mass @ h), float(mass @ j)
    apart = (h - j) ** 2
    chance_each = h * h + j * j - 2.0 * (h * mean_j + j * mean_h) + 2.0 * mean_h * mean_j
    observed, chance = float(mass @ apart), float(mass @ chance_each)
    influence = -(apart - observed) / chance + observed / chance**2 * (chance_each - chance)
    return math.sqrt(float(mass @ (influence * influence)) / max(1, count - 1))


def _interval(kappa: float, error: float, *, confidence: float) -> tuple[float, float]:
    held = min(_CLOSEST, max(-_CLOSEST, kappa))
    reach = z_value(confidence) * error / (1.0 - held * held)
    centre = math.atanh(held)
    return min(kappa, math.tanh(centre - reach)), max(kappa, math.tanh(centre + reach))
