"""What one row holds: its values as the input, the target and the context of an example.

A value that cannot be used is `Rejected` with a reason that names no value, so that it can be counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import JsonValue

from freehold.core.message import Message

NO_INPUT = "no input"
EMPTY_INPUT = "empty input"
NO_TARGET = "no target"
EMPTY_TARGET = "empty target"
INPUT_NOT_TEXT = "the input is not text"
CONTEXT_NOT_TEXT = "the context is not text"

Columned: TypeAlias = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Content:
    """What one row asks and what it wants as the answer."""

    input: str
    target: JsonValue
    context: str | None = None
    history: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row without something that it needs, and the reason."""

    reason: str


Taken: TypeAlias = Content | Rejected


def text_of(value: JsonValue) -> str | None:
    """Return text, or a number as its JSON text; None for everything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    return None


def target_of(value: JsonValue) -> JsonValue | Rejected:
    """Return a wanted answer: a number or a truth value as its JSON text, the rest as it is."""
    if value is None:
        return Rejected(NO_TARGET)
    if isinstance(value, str) and not value.strip():
        return Rejected(EMPTY_TARGET)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return value


def input_of(value: JsonValue) -> str | Rejected:
    """Return what is asked: text, or a number as its JSON text."""
    if value is None:
        return Rejected(NO_INPUT)
    text = text_of(value)
    if text is None:
        return Rejected(INPUT_NOT_TEXT)
    return text if text.strip() else Rejected(EMPTY_INPUT)


def context_of(value: JsonValue) -> str | Rejected | None:
    """Return a passage; a list of paragraphs is joined by empty lines."""
    if value is None or value == "" or value == []:
        return None
    if isinstance(value, list):
        paragraphs = [item for item in value if isinstance(item, str)]
        if len(paragraphs) != len(value):
            return Rejected(CONTEXT_NOT_TEXT)
        return "\n\n".join(paragraphs)
    text = text_of(value)
    return Rejected(CONTEXT_NOT_TEXT) if text is None else text
