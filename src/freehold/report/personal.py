"""The table of personal data: kinds, counts and rows. It is never given a value, so it can show none."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.core.record import Record
from freehold.report import numbers
from freehold.report.lines import Line, Span, clean, elide, line, look_of, render

_NAMED_ROWS = 3
_KIND, _FOUND, _ROWS, _WHERE = 15, 8, 8, 20
_NARROW = 64


class KindCount(Record):
    """What was found of one kind: spans, rows, the first rows by name, and the fields they are in."""

    kind: str
    spans: int
    rows: int
    first_rows: tuple[str, ...]
    fields: tuple[str, ...]


def personal_table(
    counts: Sequence[KindCount], *, width: int = 88, ascii: bool = False, color: bool = False
) -> str:
    """Return a line a kind, the most frequent first; a narrow terminal drops the fields."""
    look = look_of(width, ascii=ascii, color=color)
    has_fields = look.width >= _NARROW
    where = _WHERE if has_fields else 0
    head = f"  {'kind':<{_KIND}}{'found':>{_FOUND}}{'rows':>{_ROWS}}  "
    head += f"{'in':<{where}}" if has_fields else ""
    lines: list[Line] = [line(Span(f"{head}rows", "muted"))]
    for count in counts:
        fields = elide(clean(", ".join(count.fields)), where - 2).ljust(where)
        text = (
            f"  {count.kind:<{_KIND}}{numbers.count(count.spans):>{_FOUND}}"
            f"{numbers.count(count.rows):>{_ROWS}}  {fields if has_fields else ''}{rows_text(count)}"
        )
        lines.append(line(elide(text, look.width)))
    return render(lines, look)


def rows_text(count: KindCount) -> str:
    """Return the first rows of a kind: `3, 9, 12 and 5 more`."""
    shown = ", ".join(clean(row) for row in count.first_rows[:_NAMED_ROWS])
    more = count.rows - min(len(count.first_rows), _NAMED_ROWS)
    return f"{shown} and {numbers.count(more)} more" if more > 0 else shown


def counts_text(counts: Sequence[KindCount]) -> str:
    """Return the kinds in a sentence: `210 email, 40 phone`."""
    return ", ".join(f"{numbers.count(count.spans)} {count.kind}" for count in counts)
