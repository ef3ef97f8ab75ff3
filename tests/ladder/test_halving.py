"""Successive halving: the same as comparing all on everything where there is little, and cheaper where not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.ladder.halving import (
    Stage,
    answers_of,
    halve,
    is_behind,
    mean_of,
    shares,
    stages,
    survivors,
)


def drawn(qualities: list[float], examples: int, seed: int) -> list[dict[str, float]]:
    """Scores of entrants that share how hard each example is, so that pairs tell more than means."""
    rng = random.Random(seed)
    hard = [rng.random() for _ in range(examples)]
    return [
        {f"e{i}": float(0.7 * h + 0.3 * rng.random() < quality) for i, h in enumerate(hard)}
        for quality in qualities
    ]


def test_few_variants_or_a_small_dev_are_one_round_on_everything() -> None:
    assert stages(3, 1000, least=30) == (Stage(1000),)
    assert stages(8, 50, least=30) == (Stage(50),)
    assert stages(1, 0, least=30) == (Stage(1),)


def test_many_variants_begin_on_a_part_and_end_on_all() -> None:
    assert stages(8, 240, least=30) == (Stage(60), Stage(120), Stage(240))
    assert answers_of(8, (60, 120, 240)) == 8 * 60 + 4 * 60 + 2 * 120
    assert shares(8, 100) == (Stage(100, 0.25), Stage(100, 0.5), Stage(100, 1.0))


@given(st.integers(1, 40), st.integers(1, 500), st.integers(1, 4000))
def test_the_rounds_stay_within_a_budget_of_one_answer_each(
    entrants: int, examples: int, budget: int
) -> None:
    rounds = stages(entrants, examples, least=20, budget=budget)
    sizes = [stage.examples for stage in rounds]
    assert sizes == sorted(set(sizes))
    assert answers_of(entrants, sizes) <= max(budget, entrants)


@given(st.lists(st.floats(0.1, 0.9), min_size=1, max_size=3), st.integers(0, 99))
def test_with_few_entrants_it_chooses_what_a_full_comparison_chooses(
    qualities: list[float], seed: int
) -> None:
    scores = drawn(qualities, 40, seed)
    found = halve(len(scores), stages(len(scores), 40, least=30), lambda place, _: scores[place])
    means = [mean_of(one) for one in scores]
    assert found.best == means.index(max(means))
    assert not any(attempt.is_dropped for attempt in found.attempts)


def test_it_finds_the_best_of_sixteen_for_less_than_half_of_the_answers() -> None:
    right, asked = 0, 0
    for seed in range(40):
        qualities = [0.4 + 0.02 * (place * 7 % 16) for place in range(16)]
        scores = drawn(qualities, 320, seed)
        seen: set[tuple[int, str]] = set()

        def score(
            place: int,
            stage: Stage,
            scores: list[dict[str, float]] = scores,
            seen: set[tuple[int, str]] = seen,
        ) -> dict[str, float]:
            part = dict(list(scores[place].items())[: stage.examples])
            seen.update((place, name) for name in part)
            return part

        found = halve(16, stages(16, 320, least=32), score)
        asked += len(seen)
        right += qualities[found.best] >= 0.66
    assert right >= 36
    assert asked < 0.5 * 40 * 16 * 320


def test_nobody_is_dropped_without_evidence_on_the_same_examples() -> None:
    even = [{"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}]
    assert survivors(even) == (0, 1, 2, 3)
    assert survivors(even, is_forced=True) == (0, 1)
    names = [f"e{i}" for i in range(20)]
    good, bad = dict.fromkeys(names, 1.0), dict.fromkeys(names, 0.0)
    assert is_behind(bad, good)
    assert not is_behind(good, good)
    assert not is_behind(bad, {"other": 1.0})
    assert survivors([bad, good, good, bad]) == (1, 2)


def test_it_can_be_ended_after_a_round_and_says_where_each_stood() -> None:
    scores = drawn([0.2, 0.4, 0.6, 0.9], 100, 1)
    found = halve(4, stages(4, 100, least=20), lambda place, _: scores[place], is_over=lambda: True)
    assert {attempt.rounds for attempt in found.attempts} == {1}
    assert found.best == 3
    with pytest.raises(ValueError, match="entrants"):
        halve(0, (Stage(1),), lambda _place, _stage: {})
