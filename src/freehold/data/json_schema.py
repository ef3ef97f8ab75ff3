"""Infer a JSON Schema from the wanted answers, so that decoding can be held to it.

Also finds what no JSON Schema may hold: a reference that leads back to itself and to nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

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


# References ----------------------------------------------------------------------------------

_HERE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
"""Keywords whose schemas look at the same value; all others go into a part of it."""


def endless_reference(schema: JsonValue) -> str | None:
    """Return a `$ref` that leads back to itself without going into the value, or None.

    Such a schema, of which `{"$ref": "#"}` is the smallest, means nothing, and whoever checks a value with it
    never ends. A schema that refers to itself for a part of the value (a tree) is sound.
    """
    done: set[int] = set()
    for start in _subschemas(schema):
        path: list[Mapping[str, JsonValue]] = [start]
        routes = [_next_schemas(start, schema)]
        while routes:
            reference, found = next(routes[-1], (None, None))
            if found is None:
                routes.pop()
                done.add(id(path.pop()))
            elif any(found is before for before in path):
                return reference or "#"
            elif id(found) not in done:
                path.append(found)
                routes.append(_next_schemas(found, schema))
    return None


def _subschemas(schema: JsonValue) -> Iterator[Mapping[str, JsonValue]]:
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _next_schemas(
    schema: Mapping[str, JsonValue], root: JsonValue
) -> Iterator[tuple[str | None, Mapping[str, JsonValue]]]:
    """Yield the schemas that are checked against the same value, with the reference that leads there."""
    for keyword in ("$ref", "$dynamicRef"):
        reference = schema.get(keyword)
        if isinstance(reference, str) and (found := _referred(reference, root)) is not None:
            yield reference, found
    for keyword in _HERE:
        value = schema.get(keyword)
        inside = value if isinstance(value, list) else [value]
        if keyword == "dependentSchemas" and isinstance(value, dict):
            inside = list(value.values())
        for item in inside:
            if isinstance(item, dict):
                yield None, item


def _referred(reference: str, root: JsonValue) -> Mapping[str, JsonValue] | None:
    """Return the schema inside `root` that a reference names by its path or its anchor."""
    name = unquote(reference.removeprefix("#"))
    if not reference.startswith("#"):
        return None
    if name and not name.startswith("/"):
        anchored = (
            s for s in _subschemas(root) if name in (s.get("$anchor"), s.get("$dynamicAnchor"))
        )
        return next(anchored, None)
    value = root
    for part in name.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value if isinstance(value, dict) else None
