"""What `data show` prints of a snapshot: each look's name with its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from freehold.report.lines import Line, clean, labelled, line, look_of, render, wrap

COLUMN = 13


def look_lines(
    looks: Mapping[str, Sequence[str]], *, width: int = 88, ascii: bool = False, color: bool = False
) -> str:
    """Return `labels       12 in doubt ...` and further lines below it, for each look with lines."""
    look = look_of(width, ascii=ascii, color=color)
    rows: list[Line] = []
    for name, lines in looks.items():
        if not lines:
            continue
        first, *others = lines
        rows.extend(labelled(name, clean(first), look=look, indent=0, column=COLUMN))
        for other in others:
            head, *more = wrap(clean(other), look.width - COLUMN)
            rows.append(line(" " * COLUMN + head))
            rows.extend(line(" " * (COLUMN + 2) + part) for part in more)
    return render(rows, look)
