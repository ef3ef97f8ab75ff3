"""Something that answers examples of the task: what every built rung is loaded as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from freehold.core.measure import Answer
from freehold.core.message import Message
from freehold.core.outcome import Failed
from freehold.core.snapshot import Example
from freehold.models.door import Model

OnAnswer = Callable[[int, Answer | Failed], None]


class Answerer(Protocol):
    """Something that answers examples of the task."""

    @property
    def model(self) -> Model | None:
        """The model that is asked; None where none is."""
        ...

    def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
        """Answer each example; call `on_answer(index, answer)` as soon as one is known."""
        ...

    def messages(self, example: Example) -> tuple[Message, ...] | None:
        """Return the byte-exact messages for an example; None where no model is asked."""
        ...
