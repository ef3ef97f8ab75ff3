from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.train.batching import StepPlan, grouped_steps, length_batches, padded_share

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=80)
SEEDS = st.integers(0, 2**32)


@given(LENGTHS, st.integers(1, 400), SEEDS, st.integers(0, 5))
def test_every_row_is_in_exactly_one_batch(
    lengths: list[int], budget: int, seed: int, epoch: int
) -> None:
    batches = length_batches(lengths, budget_tokens=budget, seed=seed, epoch=epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 400), SEEDS, st.integers(1, 9))
def test_a_batch_of_several_rows_stays_within_budget_and_rows(
    lengths: list[int], budget: int, seed: int, most: int
) -> None:
    batches = length_batches(lengths, budget_tokens=budget, seed=seed, epoch=0, max_rows=most)
    for batch in batches:
        assert batch
        assert len(batch) <= most
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget


@given(LENGTHS, SEEDS, st.integers(0, 5))
def test_the_order_is_fixed_by_seed_and_epoch(lengths: list[int], seed: int, epoch: int) -> None:
    first = length_batches(lengths, budget_tokens=300, seed=seed, epoch=epoch)
    again = length_batches(lengths, budget_tokens=300, seed=seed, epoch=epoch)
    assert first == again


def test_epochs_and_seeds_differ() -> None:
    lengths = [10 + i % 40 for i in range(200)]
    orders = {
        length_batches(lengths, budget_tokens=300, seed=seed, epoch=epoch)
        for seed in (1, 2)
        for epoch in (0, 1, 2)
    }
    assert len(orders) == 6


def test_little_of_a_batch_is_padding_where_random_batches_waste_much() -> None:
    rng = random.Random(5)
    lengths = [rng.randint(20, 300) for _ in range(2000)]
    ours = length_batches(lengths, budget_tokens=2048, seed=1, epoch=0)
    shuffled = rng.sample(range(2000), 2000)
    naive = [tuple(shuffled[i : i + 12]) for i in range(0, 2000, 12)]
    assert padded_share(ours, lengths) < 0.12
    assert padded_share(naive, lengths) > 0.35


@given(st.integers(0, 40), st.integers(1, 7))
def test_steps_hold_all_batches_in_order(count: int, per_step: int) -> None:
    batches = [(i,) for i in range(count)]
    steps = grouped_steps(batches, per_step=per_step)
    assert [batch for step in steps for batch in step] == batches
    assert all(len(step) == per_step for step in steps[:-1])


@given(LENGTHS, st.integers(20, 300), st.integers(1, 4), SEEDS)
def test_the_steps_of_an_epoch_read_every_row_once(
    lengths: list[int], micro: int, factor: int, seed: int
) -> None:
    plan = StepPlan(lengths, batch_tokens=micro * factor, micro_tokens=micro, seed=seed)
    first = plan.in_epoch(0)
    for start, count in ((0, first), (first, plan.in_epoch(1))):
        read = [i for s in range(start, start + count) for batch in plan.at(s) for i in batch]
        assert sorted(read) == list(range(len(lengths)))


def test_a_step_can_be_asked_for_without_the_steps_before() -> None:
    lengths = [5 + i % 30 for i in range(100)]
    plan = StepPlan(lengths, batch_tokens=200, micro_tokens=100, seed=3)
    read = [plan.at(step) for step in range(60)]
    fresh = StepPlan(lengths, batch_tokens=200, micro_tokens=100, seed=3)
    assert fresh.at(47) == read[47]


@pytest.mark.parametrize(
    ("lengths", "budget", "rows"), [([1], 0, None), ([1], 5, 0), ([3, 0], 5, None)]
)
def test_impossible_budgets_and_empty_rows_are_refused(
    lengths: list[int], budget: int, rows: int | None
) -> None:
    with pytest.raises(ValueError, match=r"fits|no tokens"):
        length_batches(lengths, budget_tokens=budget, seed=1, epoch=0, max_rows=rows)
