"""Where rows came from: a file, or the person or system that a column names; shares, and caps by count.

A source that anybody can write to can poison a training with a few hundred rows, whatever the size of the
rest. A cap by share would grow with the data; a cap by count does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from freehold.core.errors import Problem
from freehold.core.record import Record
from freehold.core.snapshot import Drop, Example, Snapshot
from freehold.data.findings import counted, warning
from freehold.data.formats import missing_column
from freehold.data.read import Reading
from freehold.data.split import draw

BEYOND_THE_CAP = "beyond the cap for its source"
NOT_NAMED = "(not named)"


class SourceShare(Record):
    """How many rows a source gave, and which share of all rows that is."""

    name: str
    rows: int
    share: float


def source_of(example: Example, column: str | None = None) -> str:
    """Return who gave a row: the value of `column`, else the user's own file that it came from."""
    if column is not None:
        return example.fields.get(column, "").strip() or NOT_NAMED
    return example.origin.source if example.origin is not None else example.source


def source_shares(
    examples: Sequence[Example], column: str | None = None
) -> tuple[SourceShare, ...]:
    """Return every source with its rows and its share, the largest first."""
    counts = Counter(source_of(example, column) for example in examples)
    return tuple(
        SourceShare(name=name, rows=rows, share=rows / len(examples))
        for name, rows in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def within_caps(reading: Reading, *, most: int | None, column: str | None, seed: int) -> Reading:
    """Return the reading with at most `most` rows of each source; the others are dropped with a reason.

    Which rows stay is drawn by their content and the seed, and does not depend on their order. Repeats of a
    row are drawn together.

    Raises:
        DataError: `column` is in no row (DAT-007).
    """
    if column is not None and not any(column in example.fields for example in reading.examples):
        seen = sorted({name for example in reading.examples for name in example.fields})
        raise missing_column(column, seen, where=reading.sources[0].name)
    if most is None:
        return reading
    by_source: dict[str, list[Example]] = {}
    for example in reading.examples:
        by_source.setdefault(source_of(example, column), []).append(example)
    kept: set[str] = set()
    for examples in by_source.values():
        drawn = sorted(examples, key=lambda e: (draw(seed, "cap", e.content_digest), e.row, e.id))
        kept.update(example.id for example in drawn[:most])
    beyond = tuple(
        Drop(source=example.source, row=example.row, reason=BEYOND_THE_CAP)
        for example in reading.examples
        if example.id not in kept
    )
    examples = tuple(example for example in reading.examples if example.id in kept)
    return reading.model_copy(update={"examples": examples, "drops": (*reading.drops, *beyond)})


def rows_beyond_caps(snapshot: Snapshot) -> Problem | None:
    """Say how many rows of which files the cap left out."""
    drops = [drop for drop in snapshot.drops if drop.reason == BEYOND_THE_CAP]
    if not drops:
        return None
    names = Counter(drop.source for drop in drops)
    parts = ", ".join(f"{count:,} of {name}" for name, count in names.most_common(3))
    return warning(
        "DAT-069",
        f"{counted(len(drops))} {'is' if len(drops) == 1 else 'are'} beyond "
        f"`data.most_rows_of_a_source` and left out: {parts}",
        help="nothing needs to be done; raise the cap only for sources that you trust",
    )
