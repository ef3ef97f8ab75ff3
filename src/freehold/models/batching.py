"""Which prompts are computed together. Pure code on lengths."""

from __future__ import annotations

from collections.abc import Sequence

PADDING_SHARE = 0.2


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """Return how many leading tokens all sequences share, 0 for fewer than two sequences."""
    if len(sequences) < 2:
        return 0
    tuples = [tuple(sequence) for sequence in sequences]
    # Every other sequence sorts between the smallest and the largest.
    return shared_tokens(min(tuples), max(tuples))


def shared_tokens(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many leading tokens two sequences share."""
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))


def plan_batches(
    lengths: Sequence[int], *, extra: int, budget: int, most_rows: int
) -> tuple[tuple[int, ...], ...]:
    """Divide rows into batches, longest first, so that little of a batch is padding.

    A batch's size is rows * (its longest length + `extra`) and stays within `budget`, unless one row
    alone is larger. At most a fifth of its length cells are padding, once it has eight rows (a
    smaller batch costs more in overhead than in padding).

    Args:
        lengths: tokens of each row.
        extra: tokens that each row may grow by.
        budget: cells that a batch may have.
        most_rows: rows that a batch may have.

    Returns:
        Positions in `lengths`, each exactly once.
    """
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    batches: list[tuple[int, ...]] = []
    batch: list[int] = []
    filled = 0
    for place in order:
        if batch:
            rows, longest = len(batch) + 1, lengths[batch[0]]
            is_full = rows > most_rows or rows * (longest + extra) > budget
            padding = rows * longest - filled - lengths[place]
            is_wasteful = rows > 8 and padding > PADDING_SHARE * rows * longest
            if is_full or is_wasteful:
                batches.append(tuple(batch))
                batch, filled = [], 0
        batch.append(place)
        filled += lengths[place]
    if batch:
        batches.append(tuple(batch))
    return tuple(batches)
