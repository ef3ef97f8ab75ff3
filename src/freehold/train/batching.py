"""Batches of rows of like length under a budget of tokens. Pure: lengths in, indices out.

Rows of one batch are padded to its longest row, so a batch costs rows x longest. Sorting by length
makes padding small; sorting by a jittered length keeps the order random between rows of like
length, so that an epoch does not repeat the batches of the one before.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import TypeAlias

Indices: TypeAlias = tuple[int, ...]
Step: TypeAlias = tuple[Indices, ...]

LENGTH_JITTER = 0.1


def length_batches(
    lengths: Sequence[int],
    *,
    budget_tokens: int,
    seed: int,
    epoch: int,
    max_rows: int | None = None,
) -> tuple[Indices, ...]:
    """Return one epoch's batches: every index exactly once, in an order fixed by seed and epoch.

    A batch of several rows costs at most `budget_tokens` (rows x longest length) and holds at most
    `max_rows` rows. A row longer than the budget is a batch of its own.

    Raises:
        ValueError: the budget, `max_rows` or a length is below 1.
    """
    if budget_tokens < 1 or (max_rows is not None and max_rows < 1):
        raise ValueError(f"nothing fits {budget_tokens} tokens and {max_rows} rows")
    if any(length < 1 for length in lengths):
        raise ValueError("a row has no tokens")
    rng = random.Random(f"batches/{seed}/{epoch}")
    jittered = [length * rng.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER) for length in lengths]
    order = sorted(range(len(lengths)), key=lambda index: jittered[index])
    batches = _cut(order, lengths, budget_tokens=budget_tokens, max_rows=max_rows or len(order))
    rng.shuffle(batches)
    return tuple(batches)


def _cut(
    order: Sequence[int], lengths: Sequence[int], *, budget_tokens: int, max_rows: int
) -> list[Indices]:
    batches: list[Indices] = []
    batch: list[int] = []
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        if batch and (longest * (len(batch) + 1) > budget_tokens or len(batch) == max_rows):
            batches.append(tuple(batch))
            batch, longest = [], lengths[index]
        batch.append(index)
    if batch:
        batches.append(tuple(batch))
    return batches


def grouped_steps(batches: Sequence[Indices], *, per_step: int) -> tuple[Step, ...]:
    """Return the batches in groups of `per_step`, in order; the last group may be smaller.

    One group is one optimizer step: its batches pass the model one after the other and their
    gradients add up.
    """
    if per_step < 1:
        raise ValueError(f"a step needs at least one batch, not {per_step}")
    iterator = iter(batches)
    groups = iter(lambda: tuple(itertools.islice(iterator, per_step)), ())
    return tuple(groups)


class StepPlan:
    """Which rows pass the model in which optimizer step: a pure function of the step and the seed.

    There is no cursor to save: step 731 of a resumed run reads the rows of step 731.
    """

    def __init__(
        self, lengths: Sequence[int], *, batch_tokens: int, micro_tokens: int, seed: int
    ) -> None:
        """Divide rows of these lengths.

        Args:
            lengths: tokens of each row.
            batch_tokens: padded tokens of a step.
            micro_tokens: padded tokens that pass the model together; at most `batch_tokens`.
            seed: of the order.

        Raises:
            ValueError: there is no row, or a budget is below 1.
        """
        if not lengths:
            raise ValueError("there is nothing to divide")
        self._lengths = tuple(lengths)
        self._micro_tokens = micro_tokens
        self._per_step = max(1, batch_tokens // micro_tokens)
        self._seed = seed
        self._epochs: list[tuple[Step, ...]] = []

    def in_epoch(self, epoch: int) -> int:
        """Return how many steps an epoch has; jitter makes this differ by one or two."""
        return len(self._epoch(epoch))

    def at(self, step: int) -> Step:
        """Return the batches of a step, counted from 0 over all epochs."""
        epoch = 0
        while step >= self.in_epoch(epoch):
            step -= self.in_epoch(epoch)
            epoch += 1
        return self._epoch(epoch)[step]

    def _epoch(self, epoch: int) -> tuple[Step, ...]:
        while len(self._epochs) <= epoch:
            batches = length_batches(
                self._lengths,
                budget_tokens=self._micro_tokens,
                seed=self._seed,
                epoch=len(self._epochs),
            )
            self._epochs.append(grouped_steps(batches, per_step=self._per_step))
        return self._epochs[epoch]


def padded_share(batches: Sequence[Indices], lengths: Sequence[int]) -> float:
    """Return the share of padding among all tokens that pass the model, in [0, 1)."""
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    return 1 - sum(lengths[i] for batch in batches for i in batch) / padded if padded else 0.0


def longest_first(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Yield the rows in batches of like length, the longest first, each of so many padded tokens or one row.

    For passes that learn nothing, where the order of the rows does not matter.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    while order:
        take = max(1, batch_tokens // lengths[order[-1]])
        yield order[-take:]
        order = order[:-take]
