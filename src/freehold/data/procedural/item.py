"""One procedural item: a conversation that ends with the user, and the one right answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]
Message = tuple[Role, str]


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt of role and content pairs, ending with a user turn, and its answer, compared exactly."""

    family: str
    messages: tuple[Message, ...]
    answer: str


def conversation(
    system: str, examples: list[tuple[str, str]], question: str
) -> tuple[Message, ...]:
    """System (left out when empty), examples as user and assistant turns, then the question."""
    messages: list[Message] = [("system", system)] if system else []
    for asked, answered in examples:
        messages.append(("user", asked))
        messages.append(("assistant", answered))
    return (*messages, ("user", question))
