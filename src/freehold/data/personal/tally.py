"""Count what was found, by kind, with the rows and fields it is in and without any value."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.core.snapshot import Example
from freehold.data.personal.scrub import RowSpans
from freehold.report.personal import KindCount

_KEPT_ROWS = 20


def tally(examples: Sequence[Example], spans: Sequence[RowSpans]) -> tuple[KindCount, ...]:
    """Return one count a kind, the most frequent first.

    Rows are named by their number, and by their file where there are several.
    """
    has_files = len({example.source for example in examples}) > 1
    counted: dict[str, int] = {}
    rows: dict[str, list[str]] = {}
    fields: dict[str, dict[str, None]] = {}
    for example, found in zip(examples, spans, strict=True):
        if not found:
            continue
        name = f"{example.source}:{example.row}" if has_files else str(example.row)
        in_row: set[str] = set()
        for place, row_spans in found.items():
            for span in row_spans:
                counted[span.kind] = counted.get(span.kind, 0) + 1
                fields.setdefault(span.kind, {})[_field(place)] = None
                in_row.add(span.kind)
        for kind in in_row:
            rows.setdefault(kind, []).append(name)
    return tuple(
        KindCount(
            kind=kind,
            spans=count,
            rows=len(rows[kind]),
            first_rows=tuple(rows[kind][:_KEPT_ROWS]),
            fields=tuple(fields[kind]),
        )
        for kind, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    )


def _field(place: str) -> str:
    """Return the field of a place: a column by its own name, the rest by its first word."""
    first, _, rest = place.partition(".")
    return rest if first == "fields" else first
