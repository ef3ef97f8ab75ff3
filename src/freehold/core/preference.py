"""Preferences: two answers to one prompt of which one is better, or an answer that was judged."""

from __future__ import annotations

from typing import TypeAlias

from freehold.core.message import Message
from freehold.core.record import Record


class PreferencePair(Record):
    """Two answers to one prompt, of which the first is better. `row` counts from 1, 0: from no file."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    source: str = ""
    row: int = 0


class JudgedAnswer(Record):
    """An answer that somebody called good or bad. `row` counts from 1, 0: from no file."""

    prompt: tuple[Message, ...]
    answer: str
    is_good: bool
    source: str = ""
    row: int = 0


Preference: TypeAlias = PreferencePair | JudgedAnswer
