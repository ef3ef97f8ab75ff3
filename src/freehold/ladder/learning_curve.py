"""The learning curve of the baseline rung: how right its heads are after ever more training rows.

The held-out splits are not looked at: validation rows are taken from the training rows, whole groups at
a time, so that no look at test or audit is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from freehold.core.snapshot import Example
from freehold.data.adequacy import LEAST_SIZES, Measured
from freehold.data.findings import answer_of
from freehold.data.split import draw
from freehold.ladder.out_of_fold import Embed, Heads, fold_of_rows

DRAWS = 4
SIZES = 7
LEAST_TRAIN_ROWS = 20
LEAST_ROWS_PER_LABEL = 3
"""Below that a curve bends upwards: it first learns which labels there are, and no power law fits that."""
_RATIO = 2.0**0.5


def learning_curve(
    examples: Sequence[Example],
    *,
    embed: Embed | None = None,
    draws: int = DRAWS,
    seed: int = 7,
    on_step: Callable[[int, int], None] = lambda _done, _total: None,
) -> Measured | None:
    """Fit the heads of the baseline rung on growing parts of the rows, and mark right and wrong answers.

    The rows are divided into `draws` parts of whole groups. Each part is the validation of one draw, and the
    others, in a random order, are its training rows: the first n of them for each size n. Two sizes on,
    a size has doubled; the last one is all rows that a draw leaves.

    Args:
        examples: rows with labels.
        embed: for the embedding head beside the words; None leaves it out.
        draws: how many draws; every row is judged once.
        seed: draws parts and orders.
        on_step: told after each fit: how many are done of how many.

    Returns:
        The curve; None where the rows are too few for four sizes.
    """
    folds = np.array(fold_of_rows(examples, folds=draws, seed=seed))
    largest = min(int(np.sum(folds != fold)) for fold in range(draws))
    labels = len({answer_of(example) for example in examples})
    sizes = _sizes(largest, least=max(LEAST_TRAIN_ROWS, LEAST_ROWS_PER_LABEL * labels))
    if len(sizes) < LEAST_SIZES or labels < 2:
        return None
    heads = Heads(examples, embed=embed)
    given = np.array([heads.labels.index(answer_of(example)) for example in examples])
    right = np.zeros((len(examples), len(sizes)), np.bool_)
    for fold in range(draws):
        held = np.flatnonzero(folds == fold)
        order = _shuffled(np.flatnonzero(folds != fold).tolist(), examples, (seed, fold))
        for step, size in enumerate(sizes):
            found = heads.predict(order[:size], held.tolist()).argmax(axis=1)
            right[held, step] = found == given[held]
            on_step(fold * len(sizes) + step + 1, draws * len(sizes))
    return Measured(sizes=sizes, right_RS=right, draws_R=folds.astype(np.intp))


def _sizes(largest: int, *, least: int) -> tuple[int, ...]:
    sizes = [largest / _RATIO**step for step in range(SIZES)]
    return tuple(int(size) for size in reversed(sizes) if size >= least)


def _shuffled(
    rows: Sequence[int], examples: Sequence[Example], drawn: tuple[int, int]
) -> list[int]:
    seed, fold = drawn
    return sorted(
        rows, key=lambda row: (draw(seed, "curve", str(fold), examples[row].content_digest), row)
    )
