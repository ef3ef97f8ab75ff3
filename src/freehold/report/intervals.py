"""Charts of one interval a row: paired differences, slices, and kept ability before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from freehold.core.measure import Climb, Difference, Estimate, Kept
from freehold.report import findings, numbers
from freehold.report.markup import Markup, element, join
from freehold.report.svg import (
    NOTE,
    SMALL,
    Caption,
    Ink,
    Point,
    Scale,
    dot,
    drawing,
    grid_lines,
    hatching,
    interval_mark,
    line,
    share_domain,
    share_ticks,
    text,
    text_width,
    tick_labels,
)

MOST_SLICES = 24

_PAD = 10.0
_GAP = 16.0
_ROW = 30.0
_NARROW_ROW = 68.0
_TOP = 34.0
_FOOT = 30.0
_NARROW = 560


@dataclass(frozen=True)
class _Row:
    """One row: its label, the words at its end, how it is drawn, and its stable id."""

    label: str
    words: str
    marks: Callable[[Scale, float], Markup]
    testid: str
    role: str = ""


@dataclass(frozen=True)
class _Frame:
    """What the rows of one chart share."""

    domain: tuple[float, float]
    heading: str
    words_heading: str
    write: Callable[[float], str]
    vertical: float | None = None


def differences(climb: Climb, *, width: int = 880, name: str = "differences") -> Markup:
    """Return the paired difference of every rung from the nearest lower rung measured."""
    found = [(r, r.against_previous) for r in climb.rungs if r.against_previous is not None]
    bounds = [-0.02, 0.02, *(value for _, d in found for value in (d.low, d.high))]
    margin = (max(bounds) - min(bounds)) * 0.04
    rows = [
        _Row(
            label=f"{r.rung} − {r.previous or _before(climb, r.rung)}",
            words=f"{'≈ ' if not d.is_clear else ''}{numbers.difference(d)}"
            f", {numbers.p_value(d.p_value)}",
            marks=_difference_marks(d),
            testid=f"{name}-row-{r.rung}",
            role="muted" if not d.is_clear else "",
        )
        for r, d in found
    ]
    frame = _Frame(
        domain=(min(bounds) - margin, max(bounds) + margin),
        heading="rung − previous",
        words_heading="paired difference",
        write=numbers.signed,
        vertical=0.0,
    )
    words = "; ".join(f"{row.label} {row.words}" for row in rows)
    title = "Paired differences between neighbouring rungs, on the same examples"
    return _chart(rows, frame, width=width, caption=Caption(name, title, f"{words}."))


def slices(
    found: Mapping[str, Estimate], *, overall: Estimate, width: int = 880, name: str = "slices"
) -> Markup:
    """Return quality by slice, worst first; slices below 30 examples are hatched.

    At most `MOST_SLICES` rows are drawn. The vertical line is the mean over all examples.
    """
    scored = {key: value for key, value in found.items() if value.mean is not None}
    ordered = sorted(scored.items(), key=lambda item: (item[1].mean or 0.0, item[0]))
    ordered = ordered[:MOST_SLICES]
    rows = [
        _Row(
            label=key,
            words=f"{numbers.estimate(value)} n={numbers.count(value.n)}",
            marks=_slice_marks(value),
            testid=f"{name}-row-{index}",
            role="muted" if value.n < findings.FEW else "",
        )
        for index, (key, value) in enumerate(ordered)
    ]
    ends = [v for _, e in ordered for v in (e.low, e.high)] or [0.0, 1.0]
    frame = _Frame(
        domain=share_domain(ends),
        heading="slice, worst first",
        words_heading="quality",
        write=lambda value: f"{value:.1f}",
        vertical=overall.mean,
    )
    words = "; ".join(f"{row.label} {row.words}" for row in rows)
    caption = Caption(name, "Quality by slice, worst first", f"{words}.")
    return _chart(rows, frame, width=width, caption=caption)


def kept_families(kept: Kept, *, rung: str, width: int = 880, name: str = "kept") -> Markup:
    """Return general ability before (hollow) and after (filled) by probe family, then by suite, worst first."""
    ordered = [
        family
        for part in (kept.families, kept.suites)
        for family in sorted(part, key=lambda one: (one.after - one.before, one.family))
    ]
    rows = [
        _Row(
            label=family.family,
            words=_kept_words(family.before, family.after, family.points_lost),
            marks=_kept_marks(family.before, family.after),
            testid=f"{name}-row-{family.family}",
        )
        for family in ordered
    ]
    frame = _Frame(
        domain=(0.0, 1.0),
        heading="family, then suite" if kept.suites else "probe family, worst first",
        words_heading="before → after, change in points",
        write=lambda value: f"{value:.1f}",
    )
    words = "; ".join(f"{f.family} {f.before:.2f} before, {f.after:.2f} after" for f in ordered)
    title = f"General ability before and after {rung}, by probe family"
    return _chart(rows, frame, width=width, caption=Caption(name, title, f"{words}."))


def _before(climb: Climb, rung: str) -> str:
    names = [result.rung for result in findings.measured(climb)]
    return names[max(names.index(rung) - 1, 0)]


def _difference_marks(value: Difference) -> Callable[[Scale, float], Markup]:
    role = "neutral" if not value.is_clear else "pass" if value.mean > 0 else "fail"
    bounds = (value.low, value.high)
    return lambda scale, y: interval_mark(scale, y, bounds=bounds, mean=value.mean, role=role)


def _slice_marks(value: Estimate) -> Callable[[Scale, float], Markup]:
    bounds = (value.low, value.high)
    few = value.n < findings.FEW

    def marks(scale: Scale, y: float) -> Markup:
        role = "neutral" if few else "accent"
        mark = interval_mark(scale, y, bounds=bounds, mean=value.mean, role=role)
        if not few:
            return mark
        x = scale.at(value.low)
        return join([hatching((x, y - 9), (scale.at(value.high) - x, 18)), mark])

    return marks


def _kept_marks(before: float, after: float) -> Callable[[Scale, float], Markup]:
    role = "fail" if after < before else "pass"

    def marks(scale: Scale, y: float) -> Markup:
        start, end = scale.at(before), scale.at(after)
        return join(
            [
                line((start, y), (end, y), kind=f"m-{role} interval"),
                dot(start, y, kind=f"m-{role} hollow", radius=5),
                dot(end, y, kind=f"m-{role} halo", radius=6),
            ]
        )

    return marks


def _kept_words(before: float, after: float, lost: Difference | None) -> str:
    change = f"{before:.2f} → {after:.2f}"
    if lost is None:
        return change
    mean, low, high = (numbers.signed_points(-v) for v in (lost.mean, lost.high, lost.low))
    return f"{change}, {mean} [{low} {high}]"


def _chart(rows: Sequence[_Row], frame: _Frame, *, width: int, caption: Caption) -> Markup:
    if width < _NARROW:
        return _narrow(rows, frame, width=width, caption=caption)
    label_width = min(
        max([text_width(frame.heading, SMALL), *(text_width(row.label) for row in rows)]),
        width * 0.3,
    )
    words_width = max(
        [text_width(frame.words_heading, SMALL), *(text_width(row.words) for row in rows)]
    )
    start, end = _PAD + label_width + _GAP, width - _PAD - words_width - _GAP
    scale = Scale(*frame.domain, start + 8, max(end - 8, start + 60))
    bottom = _TOP + _ROW * len(rows)
    parts = [
        text(_PAD, 20, frame.heading, ink=NOTE),
        text(width - _PAD, 20, frame.words_heading, ink=Ink("muted", "end", SMALL)),
        _back(scale, frame, (_TOP - 4, bottom)),
        tick_labels(scale, bottom, write=frame.write, values=share_ticks(scale)),
    ]
    for index, row in enumerate(rows):
        middle = _TOP + _ROW * (index + 0.5)
        parts.append(
            element(
                "g",
                {"data-testid": row.testid},
                text(_PAD, middle + 4.5, row.label, ink=Ink(row.role), width=label_width),
                row.marks(scale, middle),
                text(width - _PAD, middle + 4.5, row.words, ink=Ink(row.role, "end")),
            )
        )
    return drawing(caption, width, bottom + _FOOT, *parts)


def _narrow(rows: Sequence[_Row], frame: _Frame, *, width: int, caption: Caption) -> Markup:
    scale = Scale(*frame.domain, _PAD + 8, width - _PAD - 8)
    top = 8.0
    parts: list[Markup] = []
    for index, row in enumerate(rows):
        y = top + _NARROW_ROW * index
        parts.append(
            element(
                "g",
                {"data-testid": row.testid},
                _back(scale, frame, (y + 20, y + 40)),
                text(
                    _PAD, y + 14, row.label, ink=Ink(row.role, strong=True), width=width - 2 * _PAD
                ),
                row.marks(scale, y + 30),
                text(_PAD, y + 55, row.words, ink=Ink(row.role), width=width - 2 * _PAD),
            )
        )
    bottom = top + _NARROW_ROW * len(rows)
    parts.append(tick_labels(scale, bottom, write=frame.write, values=share_ticks(scale)))
    return drawing(caption, width, bottom + _FOOT, *parts)


def _back(scale: Scale, frame: _Frame, ends: Point) -> Markup:
    grid = grid_lines(scale, ends, share_ticks(scale))
    if frame.vertical is None:
        return grid
    x = scale.at(frame.vertical)
    return join([grid, line((x, ends[0]), (x, ends[1]), kind="zero")])
