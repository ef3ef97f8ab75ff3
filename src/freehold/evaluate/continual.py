"""What a sequence of domains did: backward and forward transfer, forgetting, general ability. Pure.

R[t, j] is the score of domain j after stage t, in points; stage 0 is the base, domain j is learnt at
stage j, and T is the last stage.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.core.transfer import Cell, Points, Transfer, TransferMatrix

RESAMPLES = 2_000
PERCENT = 100.0

_Scores: TypeAlias = NDArray[np.float64]
_Statistic: TypeAlias = Callable[[_Scores], _Scores]


def transfer(
    matrix: TransferMatrix,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Transfer:
    """Return what the stages did to the domains and to general ability.

        overall     1/T     sum_j     R[T, j]
        backward    1/(T-1) sum_{j<T} R[T, j] - R[j, j]
        forward     1/(T-1) sum_{j>1} R[j-1, j] - R[0, j]
        forgetting  1/(T-1) sum_{j<T} max_{l<T} R[l, j] - R[T, j]
        general     1/M     sum_i     G[t, i] - G[0, i]      over the M families, for each t

    Source: Lopez-Paz and Ranzato (2017), arXiv:1706.08840, for backward and forward transfer;
    Chaudhry et al. (2018), arXiv:1801.10112, for forgetting; Wang et al. (2023, TRACE),
    arXiv:2310.06762, for the general delta. A maximum over cells that were not measured leaves them
    out; every other formula that needs such a cell is None.

    Intervals are percentile bootstraps over items: each column draws its items anew, and every stage
    is scored on the same draw, so that stages are compared in pairs. The maximum in `forgetting`
    makes that number a little too high where stages are nearly equal, and its interval with it.

    Args:
        matrix: the cells; where every cell of the columns has item scores there are intervals.
        rng: draws the items.
        confidence: of the two-sided intervals.
        resamples: how often to draw.
    """
    stages = len(matrix.stages)
    domains = _Table.of(matrix.cells, matrix.domains, stages, rng=rng, resamples=resamples)
    general = _Table.of(matrix.general, matrix.families, stages, rng=rng, resamples=resamples)

    def points(table: _Table, statistic: _Statistic) -> Points | None:
        return table.points(statistic, confidence=confidence)

    return Transfer(
        overall=points(domains, _overall),
        backward=points(domains, _backward),
        forward=points(domains, _forward),
        forgetting=points(domains, _forgetting),
        general=tuple(points(general, _change_at(stage)) for stage in range(1, stages)),
    )


class _Table:
    """Scores in points by stage and column: `values_SC` measured, `draws_SCB` resampled.

    S stages, C columns, B resamples. A number that nobody measured is NaN, as are all draws of a
    column without item scores.
    """

    def __init__(self, values_SC: _Scores, draws_SCB: _Scores) -> None:
        self._values_SC = values_SC
        self._draws_SCB = draws_SCB

    @classmethod
    def of(
        cls,
        cells: Sequence[Cell],
        columns: Sequence[str],
        stages: int,
        *,
        rng: np.random.Generator,
        resamples: int,
    ) -> _Table:
        values_SC = np.full((stages, len(columns)), np.nan)
        draws_SCB = np.full((stages, len(columns), resamples), np.nan)
        for place, column in enumerate(columns):
            own = [cell for cell in cells if cell.column == column]
            shared = _shared_items(own)
            for cell in own:
                if cell.quality.mean is not None:
                    values_SC[cell.stage, place] = PERCENT * cell.quality.mean
            if not shared:
                continue
            weights_BI = _weights(len(shared), resamples, rng)
            for cell in own:
                scores_I = PERCENT * np.asarray([cell.scores[item] for item in shared])
                values_SC[cell.stage, place] = scores_I.mean()
                draws_SCB[cell.stage, place] = weights_BI @ scores_I
        return cls(values_SC, draws_SCB)

    def points(self, statistic: _Statistic, *, confidence: float) -> Points | None:
        if not self._values_SC.shape[1]:
            return None
        value = float(statistic(self._values_SC))
        if not math.isfinite(value):
            return None
        draws_B = statistic(self._draws_SCB)
        if not np.isfinite(draws_B).all():
            return Points(value=value)
        tail = (1.0 - confidence) / 2.0
        low, high = (float(bound) for bound in np.quantile(draws_B, [tail, 1.0 - tail]))
        return Points(value=value, low=min(low, value), high=max(high, value))


def _shared_items(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return the items that every cell of a column scored, in the order of the first cell."""
    if not cells:
        return ()
    return tuple(item for item in cells[0].scores if all(item in cell.scores for cell in cells))


def _weights(items: int, resamples: int, rng: np.random.Generator) -> _Scores:
    """Return for each resample how often each item was drawn, divided by the number of items."""
    return rng.multinomial(items, np.full(items, 1.0 / items), size=resamples) / items


def _overall(scores_SC: _Scores) -> _Scores:
    return scores_SC[-1].mean(axis=0)


def _backward(scores_SC: _Scores) -> _Scores:
    return _mean([scores_SC[-1, j] - scores_SC[j + 1, j] for j in _earlier(scores_SC)])


def _forward(scores_SC: _Scores) -> _Scores:
    later = range(1, scores_SC.shape[1])
    return _mean([scores_SC[j, j] - scores_SC[0, j] for j in later])


def _forgetting(scores_SC: _Scores) -> _Scores:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        best_C = np.nanmax(scores_SC[:-1], axis=0) if len(scores_SC) > 1 else scores_SC[-1]
    return _mean([best_C[j] - scores_SC[-1, j] for j in _earlier(scores_SC)])


def _change_at(stage: int) -> _Statistic:
    return lambda scores_SC: (scores_SC[stage] - scores_SC[0]).mean(axis=0)


def _earlier(scores_SC: _Scores) -> range:
    return range(scores_SC.shape[1] - 1)


def _mean(parts: Sequence[_Scores]) -> _Scores:
    return np.mean(parts, axis=0) if parts else np.asarray(np.nan)
