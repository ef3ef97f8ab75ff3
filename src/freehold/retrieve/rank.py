"""The best of many scores, in an order that does not depend on chance, and two orders made one.

Equal scores stand in the order of `order`, so that the same index answers the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freehold.retrieve.words import Rows, Scores

RANK_CONSTANT = 60
"""What is added to each rank: Cormack, Clarke and Büttcher, Reciprocal Rank Fusion, 2009."""
_ROUNDING = 1e-5
"""More than products of single precision can be wrong by."""

Floats = NDArray[np.float32]


def best(scores: Scores, rows: Rows, *, depth: int, order: Rows) -> Rows:
    """Return the `depth` rows with the highest scores, the highest first.

    Args:
        scores: of each of `rows`.
        rows: what is ranked.
        depth: how many; fewer where there are fewer.
        order: of every row there is, for those with equal scores.
    """
    if len(rows) > depth:
        least = np.partition(scores, len(rows) - depth)[len(rows) - depth]
        inside = np.flatnonzero(scores >= least)
        scores, rows = scores[inside], rows[inside]
    return rows[np.lexsort((order[rows], -scores))[:depth]]


def nearest(
    vectors: Floats, query: Floats, similarity: Floats, *, rows: Rows, depth: int, order: Rows
) -> Rows:
    """Return the `depth` of `rows` that are nearest to a query, the nearest first.

    Products in single precision choose who comes into question; those are computed again in double
    precision, each by itself, so that the order does not depend on what else is in the matrix.

    Args:
        vectors: unit vectors, [n, d].
        query: a unit vector, [d].
        similarity: `vectors @ query` for each of `rows`.
        rows: what may be found.
        depth: how many.
        order: for those that are equally near.
    """
    if len(rows) > depth:
        least = np.partition(similarity, len(rows) - depth)[len(rows) - depth]
        rows = rows[np.flatnonzero(similarity >= least - _ROUNDING)]
    exact: Scores = np.einsum("nd,d->n", vectors[rows].astype(np.float64), query.astype(np.float64))
    return best(np.round(exact, 9), rows, depth=depth, order=order)


def fused(orders: Sequence[Rows], weights: Sequence[float]) -> dict[int, float]:
    """Return the score of each row by reciprocal rank fusion: the sum of weight / (60 + rank)."""
    scores: dict[int, float] = {}
    for found, weight in zip(orders, weights, strict=True):
        for rank, row in enumerate(found.tolist(), 1):
            scores[row] = scores.get(row, 0.0) + weight / (RANK_CONSTANT + rank)
    return scores
