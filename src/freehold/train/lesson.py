# pyright: standard
"""What a training learns from: rows that know their lengths, and an objective over batches of them.

A lesson is made before anything is trained, on the untouched base: what needs the base's own
probabilities (reference log-probabilities, soft targets) is computed then, once. The trainer only
divides the rows into steps and lowers the objective, so that one trainer serves every method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from freehold.core.snapshot import Drop
from freehold.train.batching import Indices
from freehold.train.objectives import Batch, Objective


class Lesson(Protocol):
    """Rows and what is lowered over them."""

    @property
    def name(self) -> str:
        """The objective's name, for records and messages, such as `sft` or `dpo`."""
        ...

    @property
    def digest(self) -> str:
        """The name of everything that decides the loss: rows, targets, settings."""
        ...

    @property
    def lengths(self) -> Sequence[int]:
        """The tokens that each row costs when it passes the model; for a pair, of both its sides."""
        ...

    @property
    def loss_tokens(self) -> int:
        """How many positions of all rows carry loss."""
        ...

    @property
    def dropped(self) -> tuple[Drop, ...]:
        """The examples that were left out, each with its reason."""
        ...

    @property
    def objective(self) -> Objective[Any]:
        """What is lowered."""
        ...

    def passed_tokens(self, indices: Indices) -> int:
        """Return the tokens that pass the model when these rows are one batch.

        Fewer than their lengths together where what they start with is read once.
        """
        ...

    def batch(self, indices: Indices, *, step: int) -> Batch:
        """Return these rows as one batch, on the device of the model.

        Everything that is drawn (a student's samples, say) is drawn from generators that are seeded
        by the lesson's seed and `step`, so that a resumed run meets the same batch.
        """
        ...
