"""Successive halving on dev: many variants on a few examples, the better half on twice as many. Pure.

Every variant of a round answers the same examples, so that each comparison is paired. A variant of the
worse half is dropped where it is behind the best one by more than the standard error of their paired
difference; where a budget was set, the worse half is dropped as it stands.

Source: Jamieson and Talwalkar (2016), Non-stochastic best arm identification and hyperparameter
optimization; Li et al. (2018), Hyperband. Their guarantee is for the fixed schedule, without the rule on
evidence, which only ever keeps more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

FEWEST_VARIANTS = 4
"""Fewer than these are compared on all examples at once: halving them would save little."""
FINALISTS = 2

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Stage:
    """One round: on how many examples, and with which share of a whole training."""

    examples: int
    share: float = 1.0


@dataclass(frozen=True)
class Attempt:
    """What became of one entrant: its scores of the last round that it took part in.

    `rounds` counts those. `is_dropped` tells that it did not reach the last one.
    """

    scores: Scores
    stage: Stage
    rounds: int
    is_dropped: bool

    @property
    def mean(self) -> float:
        """The mean score, 0 where nothing was scored."""
        return mean_of(self.scores)


@dataclass(frozen=True)
class Halved:
    """Every entrant's attempt in the order of the entrants, and the place of the best: the first of equals."""

    attempts: tuple[Attempt, ...]
    best: int


def stages(
    entrants: int, examples: int, *, least: int, budget: int | None = None
) -> tuple[Stage, ...]:
    """Return the rounds for that many entrants, each on twice the examples of the one before.

    The last round is on all examples, or on as many as the budget pays. Few entrants, or fewer than
    `2 * least` examples, make one round: everybody on everything.

    Args:
        entrants: how many variants.
        examples: how many examples there are.
        least: on how many examples the first round must be.
        budget: answers that may be spent in all; None for what the rounds take.
    """
    halvings = _halvings(entrants) if entrants >= FEWEST_VARIANTS else 0
    while halvings and examples >> halvings < least:
        halvings -= 1
    sizes = [max(1, examples >> left) for left in range(halvings, -1, -1)]
    cost = answers_of(entrants, sizes)
    if budget is not None and cost > budget:
        sizes = sorted({max(1, size * budget // cost) for size in sizes})
        while len(sizes) > 1 and answers_of(entrants, sizes) > budget:
            sizes.pop()
    return tuple(Stage(size) for size in sizes)


def shares(entrants: int, examples: int) -> tuple[Stage, ...]:
    """Return the rounds of trained entrants: all examples each time, with more and more of the training."""
    halvings = _halvings(entrants) if entrants >= FEWEST_VARIANTS else 0
    return tuple(Stage(examples, 1 / 2**left) for left in range(halvings, -1, -1))


def answers_of(entrants: int, sizes: Sequence[int]) -> int:
    """Return how many answers rounds of these sizes take where the worse half always goes."""
    total, before = 0, 0
    for size in sizes:
        total += entrants * (size - before)
        entrants, before = kept_of(entrants), size
    return total


def kept_of(entrants: int) -> int:
    """Return how many go on after a round: the better half, two at least."""
    return max(min(FINALISTS, entrants), math.ceil(entrants / 2))


def halve(
    entrants: int,
    rounds: Sequence[Stage],
    score: Callable[[int, Stage], Scores],
    *,
    is_forced: bool = False,
    is_over: Callable[[], bool] = lambda: False,
) -> Halved:
    """Let entrants compete, and return what became of each.

    Args:
        entrants: how many, named by their places.
        rounds: from `stages` or `shares`.
        score: scores one entrant by example id, on the same examples for all entrants of a stage.
        is_forced: whether the worse half goes without evidence.
        is_over: asked after each round; the competition ends there when it says so.

    Raises:
        ValueError: there is nobody, or no round.
    """
    if not entrants or not rounds:
        raise ValueError("a competition needs entrants and rounds")
    left = list(range(entrants))
    found: dict[int, Attempt] = {}
    for number, stage in enumerate(rounds, start=1):
        for place in left:
            found[place] = Attempt(score(place, stage), stage, number, is_dropped=False)
        if number == len(rounds) or is_over():
            break
        going_on = survivors([found[place].scores for place in left], is_forced=is_forced)
        kept = [left[place] for place in going_on]
        for place in set(left) - set(kept):
            attempt = found[place]
            found[place] = Attempt(attempt.scores, stage, number, is_dropped=True)
        left = kept
    best = max(left, key=lambda place: (found[place].mean, -place))
    return Halved(tuple(found[place] for place in range(entrants)), best)


def survivors(scores: Sequence[Scores], *, is_forced: bool = False) -> tuple[int, ...]:
    """Return the places of those who go on, in their order: the better half, and who is not shown to be behind."""
    ranked = sorted(range(len(scores)), key=lambda place: (-mean_of(scores[place]), place))
    keep = kept_of(len(scores))
    going_on = set(ranked[:keep])
    if not is_forced:
        leader = scores[ranked[0]]
        going_on |= {place for place in ranked[keep:] if not is_behind(scores[place], leader)}
    return tuple(sorted(going_on))


def is_behind(scores: Scores, leader: Scores) -> bool:
    """Tell whether scores are behind the leader's by more than the standard error of the paired difference."""
    gaps = [leader[name] - score for name, score in scores.items() if name in leader]
    if not gaps:
        return False
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / max(len(gaps) - 1, 1)
    return mean > math.sqrt(variance / len(gaps))


def mean_of(scores: Scores) -> float:
    """Return the mean of scores, 0 where there are none."""
    return sum(scores.values()) / len(scores) if scores else 0.0


def _halvings(entrants: int) -> int:
    """Return how often a field can be halved until the finalists are left."""
    count = 0
    while entrants > FINALISTS:
        entrants, count = kept_of(entrants), count + 1
    return count
