"""Infer a JSON Schema from the wanted answers, so that decoding can be held to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import JsonValue

MOST_CHOICES = 50
LONGEST_CHOICE = 60
VALUES_PER_CHOICE = 10
LEAST_SEEN = 3


def infer_schema(values: Sequence[JsonValue]) -> dict[str, JsonValue]:
    """Return a JSON Schema (2020-12) that every one of `values` fits.

    Objects list the fields that were seen, in the order in which they first appear; a field is
    required where every object has it, and no other is allowed. Arrays allow what was seen in any
    of them. A text field becomes a closed list (`enum`) where it has at most 50 short values, ten
    observations for each on average, and every value was seen three times or more: with no value
    seen once, the Good-Turing estimate of the share of unseen values is zero (Good 1953).
    Different types are a union.
    """
    parts = [part for part in (_objects(values), _arrays(values), *_scalars(values)) if part]
    if not parts:
        return {}
    return parts[0] if len(parts) == 1 else {"anyOf": list[JsonValue](parts)}


def _objects(values: Sequence[JsonValue]) -> dict[str, JsonValue]:
    objects = [value for value in values if isinstance(value, dict)]
    if not objects:
        return {}
    fields: dict[str, list[JsonValue]] = {}
    for item in objects:
        for name, value in item.items():
            fields.setdefault(name, []).append(value)
    return {
        "type": "object",
        "properties": {name: infer_schema(seen) for name, seen in fields.items()},
        "required": [name for name, seen in fields.items() if len(seen) == len(objects)],
        "additionalProperties": False,
    }


def _arrays(values: Sequence[JsonValue]) -> dict[str, JsonValue]:
    arrays = [value for value in values if isinstance(value, list)]
    if not arrays:
        return {}
    items = infer_schema([item for array in arrays for item in array])
    return {"type": "array", "items": items} if items else {"type": "array"}


def _scalars(values: Sequence[JsonValue]) -> list[dict[str, JsonValue]]:
    texts = [value for value in values if isinstance(value, str)]
    found: list[dict[str, JsonValue]] = [_text(texts)] if texts else []
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if numbers:
        whole = all(isinstance(number, int) for number in numbers)
        found.append({"type": "integer" if whole else "number"})
    if any(isinstance(value, bool) for value in values):
        found.append({"type": "boolean"})
    if any(value is None for value in values):
        found.append({"type": "null"})
    return found


def _text(texts: Sequence[str]) -> dict[str, JsonValue]:
    counts = Counter(texts)
    closed = (
        len(counts) <= MOST_CHOICES
        and len(texts) >= VALUES_PER_CHOICE * len(counts)
        and min(counts.values()) >= LEAST_SEEN
        and max(len(text) for text in counts) <= LONGEST_CHOICE
    )
    if closed:
        return {"type": "string", "enum": list[JsonValue](sorted(counts))}
    return {"type": "string"}
