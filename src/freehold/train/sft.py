# pyright: standard
"""Supervised fine-tuning: the wanted answers, under cross-entropy or its variant `dft`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from freehold.core.errors import DataError
from freehold.core.record import digest_json
from freehold.core.snapshot import Drop, Example
from freehold.models.local import LocalModel
from freehold.models.network import Network
from freehold.train.answers import as_answers_row, collate_rows, passed_tokens
from freehold.train.batching import Indices
from freehold.train.objectives import OBJECTIVES, Batch, Objective, collate
from freehold.train.rows import TokenRow, TrainingRow, encode_rows

Render: TypeAlias = Callable[[Example], TrainingRow]


@dataclass(frozen=True)
class SftLesson:
    """Rows whose answers carry loss; see `Lesson`. `names` say in messages where a row came from.

    With a `network`, what the rows of a batch start with is read once (see `collate_rows`).
    """

    name: str
    rows: tuple[TokenRow, ...]
    names: tuple[str, ...]
    dropped: tuple[Drop, ...]
    device: torch.device
    network: Network | None = None

    @property
    def digest(self) -> str:
        """The name of the rows and the objective."""
        return digest_json("rows", [self.name, *([r.answer_start, *r.ids] for r in self.rows)])

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each row."""
        return tuple(len(row.ids) for row in self.rows)

    @property
    def loss_tokens(self) -> int:
        """Positions that carry loss."""
        return sum(len(row.ids) - row.answer_start for row in self.rows)

    @property
    def objective(self) -> Objective[Any]:
        """`sft` or `dft`."""
        return OBJECTIVES[self.name]

    def passed_tokens(self, indices: Indices) -> int:
        """Return the tokens that pass the model when these rows are one batch."""
        rows = [self.rows[i] for i in indices]
        if self.network is None:
            return sum(len(row.ids) for row in rows)
        return passed_tokens([as_answers_row(row) for row in rows], self.network)

    def batch(self, indices: Indices, *, step: int) -> Batch:
        """Return these rows as one batch."""
        del step
        rows, names = [self.rows[i] for i in indices], [self.names[i] for i in indices]
        if self.network is None:
            return collate(rows, names, self.device)
        return collate_rows(rows, names, self.network)


def sft_lesson(
    examples: Sequence[Example],
    *,
    base: LocalModel,
    render: Render,
    max_length: int | None = None,
    objective: str = "sft",
) -> SftLesson:
    """Return the examples as a lesson. What is longer than the context is left out, never cut.

    Args:
        examples: of the training split.
        base: whose chat format and context are used.
        render: from an example to what the model is asked and should answer; the ladder passes the
            same prompt that it uses at answering.
        max_length: rows of more tokens are left out; None: the context.
        objective: `sft` or `dft`.

    Raises:
        DataError: no row is left to train on.
        ModelError: the template refuses a row.
    """
    limit = min(max_length or base.context_tokens, base.context_tokens)
    encoded = encode_rows(
        base.loaded.chat, [render(example) for example in examples], max_length=limit
    )
    dropped = tuple(
        Drop(source=examples[index].source, row=examples[index].row, reason=reason)
        for index, reason in encoded.dropped.items()
    )
    if not encoded.rows:
        raise no_row_left(len(examples), dropped)
    return SftLesson(
        name=objective,
        rows=tuple(encoded.rows.values()),
        names=tuple(name_of(examples[index]) for index in encoded.rows),
        dropped=dropped,
        device=base.loaded.network.device,
        network=base.loaded.network,
    )


def no_row_left(examples: int, dropped: Sequence[Drop]) -> DataError:
    """Return the error for a lesson without rows."""
    reasons = "; ".join(sorted({drop.reason for drop in dropped})) or "there is none"
    return DataError(
        "TRN-002",
        f"no training row is left of {examples}: {reasons}",
        help="shorten the prompts, or choose a base model with a longer context",
    )


def name_of(example: Example) -> str:
    """Return how messages speak of an example."""
    return f"{example.source} row {example.row}" if example.source else example.id
