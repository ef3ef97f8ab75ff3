"""What the test examples could tell apart, and what racing saved: one line each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.core.measure import RungResult
from freehold.core.sections import Bar
from freehold.evaluate.statistics import (
    minimal_detectable_difference,
    minimal_detectable_paired_difference,
)
from freehold.report import numbers


def resolution_lines(
    results: Sequence[RungResult], *, subject: str | None, bar: Bar
) -> tuple[str, ...]:
    """Return the lines below of all rungs of a climb, those that say something."""
    measured = [result for result in results if result.state == "measured"]
    said = (resolution_line(measured, subject=subject, bar=bar), racing_line(results))
    return tuple(line for line in said if line)


def resolution_line(results: Sequence[RungResult], *, subject: str | None, bar: Bar) -> str:
    """Return the smallest differences that the test examples show, or `` where nothing was measured.

    Of one rung against the bar, with all test examples; of two rungs with the share of examples that
    exactly one of them answers rightly, as it was seen between `subject` (the recommended rung; None:
    the last with a predecessor) and the rung before it.
    """
    sizes = [result.planned or result.evaluated for result in results]
    n = max(sizes, default=0)
    if not n:
        return ""
    gap = minimal_detectable_difference(n, bar.quality, confidence=bar.confidence)
    line = (
        f"resolves: {numbers.count(n)} test examples tell a rung from the bar from {_points(gap)}"
    )
    pairs = [r for r in results if r.against_previous is not None and r.previous is not None]
    chosen = [r for r in pairs if r.rung == subject] or pairs[-1:]
    for result in chosen:
        difference = result.against_previous
        if difference is None or difference.discordance is None:
            continue
        apart = minimal_detectable_paired_difference(
            difference.n, difference.discordance, confidence=bar.confidence
        )
        differ = numbers.percent(difference.discordance)
        line += (
            f", and {result.rung} from {result.previous} from {_points(apart)}"
            f" ({differ} of {numbers.count(difference.n)} answered rightly by one of them alone)"
        )
    return line


def racing_line(results: Sequence[RungResult]) -> str:
    """Return how many test examples a race evaluated of those planned, or `` without a race.

    The rungs that a race did not come to are named apart: their examples are not counted as saved.
    """
    raced = [result for result in results if result.planned is not None]
    planned = sum(result.planned or 0 for result in raced)
    if not planned:
        return ""
    evaluated = sum(result.evaluated for result in raced)
    saved = planned - evaluated
    line = (
        f"racing: {numbers.count(evaluated)} of {numbers.count(planned)} test examples evaluated,"
        f" {numbers.count(saved)} saved ({saved / planned:.0%})".replace("%", " %")
    )
    unbegun = [r for r in results if is_cut_short(r)]
    return line + (f"; {numbers.plural(len(unbegun), 'rung')} not begun" if unbegun else "")


def is_cut_short(result: RungResult) -> bool:
    """Return whether a rung was left out by the end of the climb, and not for what it lacks."""
    reason = result.reason or ""
    return result.state == "skipped" and reason.startswith(("stop reached", "budget reached"))


def _points(share: float) -> str:
    return f"{share * 100:.1f} points on"
