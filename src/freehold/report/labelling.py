"""Labelling in the terminal: what waits, how far it is, how far people agree, and what was exported."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.report import numbers
from freehold.report.lines import Line, Look, Span, labelled, line, render, width

KEYS = "a accept · e edit · s skip · u undo"


def opening(
    *, rows: int, source: str, output: str, suggestions: str, address: str, look: Look
) -> str:
    """Return what is said when the page is served: what waits, who suggests, and the address."""
    lines: list[Line] = [
        line(Span("label ", "strong"), f"{numbers.plural(rows, 'row')} of {source} · {output}")
    ]
    if suggestions:
        lines.extend(labelled("suggests", suggestions, look=look, indent=0, column=11))
    lines.append(line("Page       ", Span(address, "strong"), "  (loopback only)   ^C stops"))
    return render(lines, look)


def progress_line(done: int, total: int, *, agreement: str, look: Look) -> str:
    """Return `label 37/120   agreement 0.91 [.84 .97] n=60   a accept · …`; the keys go where it is narrow."""
    head = line(
        Span("label ", "strong"),
        f"{numbers.count(done)}/{numbers.count(total)}   agreement {agreement}",
    )
    whole = (*head, Span(f"   {KEYS}", "muted"))
    return render([whole if width(whole) <= look.width else head], look)


def closing(*, exported: str, counts: Sequence[tuple[str, int]], following: str, look: Look) -> str:
    """Return where the labels are, what was left out by reason, and the next command."""
    lines: list[Line] = []
    if exported:
        lines.append(line(f"Export: {exported}"))
    left = " · ".join(f"{numbers.count(count)} {name}" for name, count in counts if count)
    if left:
        lines.append(line(f"apart   {left}"))
    lines.append(line("next    ", Span(following, "strong")))
    return render(lines, look)
