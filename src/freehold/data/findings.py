"""Findings in the data as warnings: how they are made, and how rows and names are counted in them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from freehold.core.errors import Problem, Where
from freehold.core.record import canonical_json
from freehold.core.snapshot import Example, Snapshot

LISTED = 5


def warning(code: str, message: str, *, help: str, at: Example | None = None) -> Problem:
    """Return a warning, with the place of the example that shows it."""
    where = Where(file=at.source, row=at.row or None) if at is not None else None
    return Problem(code=code, message=message, level="warning", where=where, help=help)


def counted(count: int, noun: str = "row") -> str:
    """Return `1 row` or `1,200 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listed(names: Sequence[str]) -> str:
    """Return the first names in backquotes, and how many more there are."""
    shown = ", ".join(f"`{name}`" for name in names[:LISTED])
    return shown + (f" and {len(names) - LISTED:,} more" if len(names) > LISTED else "")


def place(example: Example) -> str:
    """Return `row 17 of data.jsonl`, or the id of an example that came from no file."""
    return f"row {example.row} of {example.source}" if example.row else f"`{example.id}`"


def target_text(target: JsonValue) -> str:
    """Return a target as text; other values as their one JSON text."""
    return target if isinstance(target, str) else canonical_json(target).decode()


def answer_of(example: Example) -> str:
    """Return the target of an example as text."""
    return target_text(example.target)


def everything_in(snapshot: Snapshot) -> tuple[Example, ...]:
    """Return the examples of all four splits: train, dev, test, audit."""
    splits = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    return tuple(example for split in splits for example in split.examples)
