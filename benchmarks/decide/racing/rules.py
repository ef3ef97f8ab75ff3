# pyright: basic
"""The rules of racing and of the exhaustive climb over many ladders at once, for scores of 0 and 1 or in [0, 1].

The product decides one rung at a time (`freehold.ladder.race`, `freehold.ladder.decide`). Here the same
rules are asked of arrays; `run.py` checks them against the product's own functions on a part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from freehold.evaluate.betting import STAKES, log_capital
from freehold.evaluate.statistics import SEQUENTIAL_SHARE, wilson
from freehold.ladder.race import looks

ALPHA = 0.05
LAST_SHARE = 1.0 - SEQUENTIAL_SHARE
PASS, FAIL, UNDECIDED = 1, -1, 0
Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crossings:
    """When each of the sequences first crosses: the look, counted from 0; `never` where it does not.

    `up[j]` is for a PASS at the level of j + 1 rungs that are not yet passed, `down` for a FAIL.
    """

    up: Ints
    down: Ints
    never: int


def level(rungs: int) -> float:
    """The p-value that a PASS needs with so many rungs not yet passed: Holm's, and the interval's."""
    return min(ALPHA / rungs, ALPHA / 2)


@cache
def least_right(n: int, mean: float, log_threshold: float) -> Ints:
    """The least number of right answers of 1 to n at which the mixed capital reaches a threshold."""
    least = np.empty(n, dtype=np.int32)
    right_gain, wrong_gain = np.log(1 - STAKES + STAKES / mean), np.log1p(-STAKES)
    needed = 0
    for number in range(1, n + 1):
        while needed <= number:
            paths = needed * right_gain + (number - needed) * wrong_gain
            most = paths.max()
            if most + math.log(np.exp(paths - most).mean()) >= log_threshold:
                break
            needed += 1
        least[number - 1] = needed
    return least


def binary_crossings(right: NDArray[np.bool_], bar: float, rungs: int) -> Crossings:
    """Return when sequences [..., n] of right and wrong answers cross; exact at every example."""
    n = right.shape[-1]
    at = np.array(looks(n))
    counted = np.cumsum(right, axis=-1, dtype=np.int32)
    total = counted[..., -1]
    missed = np.arange(1, n + 1, dtype=np.int32) - counted
    exact = special.betainc(np.maximum(total, 1), n - total + 1, bar)
    exact = np.where(total == 0, 1.0, exact) / LAST_SHARE
    low, high = _last_wilson(n)
    up: list[Ints] = []
    for j in range(1, rungs + 1):
        threshold = -math.log(SEQUENTIAL_SHARE * level(j))
        first = _first(counted >= least_right(n, bar, threshold), at)
        last = (exact <= ALPHA / j) & (low[total] >= bar)
        up.append(np.where((first == len(at)) & last, len(at) - 1, first))
    threshold = -math.log(SEQUENTIAL_SHARE * ALPHA / 2)
    down = _first(missed >= least_right(n, 1 - bar, threshold), at)
    down = np.where((down == len(at)) & (high[total] < bar), len(at) - 1, down)
    return Crossings(np.stack(up), down, len(at))


def bounded_crossings(scores: Floats, bar: float, rungs: int) -> Crossings:
    """Return when sequences [r, n] of scores in [0, 1] cross."""
    at = np.array(looks(scores.shape[-1]))
    above = np.maximum.accumulate(log_capital(scores, bar), axis=-1)
    below = np.maximum.accumulate(log_capital(1 - scores, 1 - bar), axis=-1)
    up = [_first(above >= -math.log(level(j)), at) for j in range(1, rungs + 1)]
    return Crossings(np.stack(up), _first(below >= -math.log(ALPHA / 2), at), len(at))


def _first(crossed: NDArray[np.bool_], at: Ints) -> Ints:
    """The first look at or after the first crossing; the number of looks where there is none."""
    when = np.where(crossed.any(axis=-1), crossed.argmax(axis=-1) + 1, at[-1] + 1)
    return np.searchsorted(at, when)


def _last_wilson(n: int) -> tuple[Floats, Floats]:
    return _wilson_bounds(n, 1 - ALPHA * LAST_SHARE)


@cache
def _wilson_bounds(n: int, confidence: float) -> tuple[Floats, Floats]:
    """Wilson's bounds for 0 to n right answers."""
    bounds = [wilson(k, n, confidence=confidence) for k in range(n + 1)]
    return np.array([b[0] for b in bounds]), np.array([b[1] for b in bounds])


def race(crossings: Crossings, n: int, *, first_pass: bool) -> tuple[Ints, Ints]:
    """Return the verdicts [ladder, rung] and the examples evaluated [ladder, rung], 0 where not begun."""
    rungs, ladders = crossings.up.shape[0], crossings.down.shape[0]
    at = np.array([*looks(n), n])
    verdicts = np.zeros((ladders, rungs), dtype=np.int64)
    evaluated = np.zeros((ladders, rungs), dtype=np.int64)
    passed = np.zeros(ladders, dtype=np.int64)
    rows = np.arange(ladders)
    for rung in range(rungs):
        begun = (passed == 0) if first_pass else np.ones(ladders, dtype=bool)
        up = crossings.up[rungs - 1 - np.minimum(passed, rungs - 1), rows, rung]
        down = crossings.down[:, rung]
        verdict = np.where(up < down, PASS, np.where(down < crossings.never, FAIL, UNDECIDED))
        verdicts[:, rung] = np.where(begun, verdict, UNDECIDED)
        evaluated[:, rung] = np.where(begun, at[np.minimum(up, down)], 0)
        passed += begun & (verdict == PASS)
    return _judged_together(crossings, verdicts, evaluated), evaluated


def _judged_together(crossings: Crossings, verdicts: Ints, evaluated: Ints) -> Ints:
    """Judge the undecided ones again at the level that all passes leave (Holm), until nothing changes."""
    rungs = verdicts.shape[1]
    while True:
        passed = (verdicts == PASS).sum(axis=1)
        step = np.clip(rungs - passed - 1, 0, rungs - 1)
        up = np.take_along_axis(crossings.up, step[None, :, None], axis=0)[0]
        late = (verdicts == UNDECIDED) & (evaluated > 0) & (up < crossings.never)
        if not late.any():
            return verdicts
        verdicts = np.where(late, PASS, verdicts)


def exhaustive(right: NDArray[np.bool_], bar: float) -> Ints:
    """Return the verdicts [ladder, rung] of a climb that measures everything (`stop: full`)."""
    n, rungs = right.shape[-1], right.shape[1]
    total = right.sum(axis=-1)
    low, high = (bound[total] for bound in _wilson_bounds(n, 1 - ALPHA))
    p_values = stats.binom.sf(total - 1, n, bar)
    order = np.argsort(p_values, axis=1)
    ranked = np.take_along_axis(p_values, order, axis=1) * (rungs - np.arange(rungs))
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(ranked, axis=1), axis=1)
    passes = (low >= bar) & (adjusted <= ALPHA)
    return np.where(passes, PASS, np.where(high < bar, FAIL, UNDECIDED))


def answer(verdicts: Ints) -> Ints:
    """The recommended rung (the first PASS), -1 where every rung fails, -2 where the answer is open."""
    passes = verdicts == PASS
    none = np.where((verdicts == FAIL).all(axis=1), -1, -2)
    return np.where(passes.any(axis=1), passes.argmax(axis=1), none)
