"""What became of every variant that was tried inside a rung, with its interval. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from freehold.core.measure import TriedVariant
from freehold.evaluate.paired import paired_difference
from freehold.evaluate.statistics import estimate_scores
from freehold.ladder.halving import Halved


def tried_variants(
    names: Sequence[str],
    halved: Halved,
    *,
    is_binary: bool,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[TriedVariant, ...]:
    """Return every entrant of a competition with its estimate, and its paired difference from the chosen one.

    Args:
        names: of the entrants.
        halved: how the competition ended.
        is_binary: whether every score is 0 or 1.
        confidence: of the intervals.
        rng: for permutation tests; binary scores draw nothing.
    """
    chosen = halved.attempts[halved.best].scores
    tried: list[TriedVariant] = []
    for place, (name, attempt) in enumerate(zip(names, halved.attempts, strict=True)):
        state: Literal["chosen", "finished", "dropped"] = (
            "dropped" if attempt.is_dropped else "finished"
        )
        shared = any(example in chosen for example in attempt.scores)
        tried.append(
            TriedVariant(
                name=name,
                estimate=estimate_scores(
                    list(attempt.scores.values()), binary=is_binary, confidence=confidence
                ),
                rounds=attempt.rounds,
                share=attempt.stage.share,
                state="chosen" if place == halved.best else state,
                against_chosen=paired_difference(
                    attempt.scores, chosen, binary=is_binary, confidence=confidence, rng=rng
                )
                if shared and place != halved.best
                else None,
            )
        )
    return tuple(tried)
