"""The texts of an example, each with its place: input, target (also inside JSON), context, history, columns.

Whatever reads or changes texts goes through here, so that no text of a row is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from pydantic import JsonValue

from freehold.core.snapshot import Example

Change: TypeAlias = Callable[[str, str], str]
"""From the place of a text and the text to the text that takes its place."""

_LEAST_NUMBER = 1_000_000


def texts_of(example: Example) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of everything that is read of an example.

    A place is `input`, `target`, `target.customer.name`, `target.2`, `context`, `history.0`, or
    `fields.` and the name of a column. Whole numbers of seven digits and more inside a JSON target are
    texts too. Keys of a JSON target are not.
    """
    yield "input", example.input
    yield from _texts_in(example.target, "target")
    if example.context is not None:
        yield "context", example.context
    for place, turn in enumerate(example.history):
        yield f"history.{place}", turn.content
    for name, value in example.fields.items():
        yield f"fields.{name}", value


def with_texts(example: Example, change: Change) -> Example:
    """Return the example with every text of `texts_of` put through `change`."""
    history = (
        turn.model_copy(update={"content": change(f"history.{place}", turn.content)})
        for place, turn in enumerate(example.history)
    )
    return example.model_copy(
        update={
            "input": change("input", example.input),
            "target": _changed(example.target, "target", change),
            "context": None if example.context is None else change("context", example.context),
            "history": tuple(history),
            "fields": {n: change(f"fields.{n}", value) for n, value in example.fields.items()},
        }
    )


def _texts_in(value: JsonValue, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif _is_long_number(value):
        yield place, str(value)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _texts_in(part, f"{place}.{key}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _texts_in(part, f"{place}.{number}")


def _changed(value: JsonValue, place: str, change: Change) -> JsonValue:
    if isinstance(value, str):
        return change(place, value)
    if _is_long_number(value):
        return _as_number(value, change(place, str(value)))
    if isinstance(value, dict):
        return {key: _changed(part, f"{place}.{key}", change) for key, part in value.items()}
    if isinstance(value, list):
        return [_changed(part, f"{place}.{n}", change) for n, part in enumerate(value)]
    return value


def _is_long_number(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _LEAST_NUMBER


def _as_number(before: JsonValue, after: str) -> JsonValue:
    """Return the number again where it was not changed, or was changed to digits."""
    if after == str(before):
        return before
    is_plain = after.isascii() and after.isdigit() and str(int(after)) == after
    return int(after) if is_plain else after
