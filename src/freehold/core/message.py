"""Chat messages: the only form in which a prompt reaches a model."""

from __future__ import annotations

from typing import Literal

from freehold.core.record import Record


class Message(Record):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


def system(content: str) -> Message:
    """Return a system turn."""
    return Message(role="system", content=content)


def user(content: str) -> Message:
    """Return a user turn."""
    return Message(role="user", content=content)


def assistant(content: str) -> Message:
    """Return an assistant turn."""
    return Message(role="assistant", content=content)
