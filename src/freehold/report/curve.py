"""Learning curves: several series over one axis, each named at its end, the chosen point starred."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from freehold.core.record import Record
from freehold.report import numbers
from freehold.report.markup import Markup, element, join
from freehold.report.svg import (
    SMALL,
    Caption,
    Ink,
    Scale,
    dot,
    drawing,
    fit,
    line,
    text,
    text_width,
    ticks,
)

_ROLES = ("accent", "pass", "undecided", "fail", "neutral")
_LEFT, _TOP, _BOTTOM = 56.0, 28.0, 48.0
_LABEL = 16.0
_LONGEST_LABEL = 150.0
MOST_POINTS = 400


class Series(Record):
    """One curve: its name and its points, x rising. `dashed` for a reference."""

    name: str
    points: Annotated[tuple[tuple[float, float], ...], Field(min_length=1)]
    dashed: bool = False


class Curves(Record):
    """Curves over one axis. `best_x` is the chosen checkpoint."""

    title: str
    x_label: str
    y_label: str
    series: Annotated[tuple[Series, ...], Field(min_length=1, max_length=len(_ROLES))]
    best_x: float | None = None


def curve(curves: Curves, *, width: int = 880, height: int = 320, name: str = "curve") -> Markup:
    """Return a line chart. Series with more than `MOST_POINTS` points are averaged in bins first."""
    thinned = [(series, _thin(series.points)) for series in curves.series]
    xs = [x for _, points in thinned for x, _ in points]
    ys = [y for _, points in thinned for _, y in points]
    labels = [min(text_width(s.name, SMALL), _LONGEST_LABEL) for s, _ in thinned]
    across = Scale(min(xs), _above(min(xs), max(xs)), _LEFT, width - 24 - max(labels))
    low, high = _ends(ys)
    up = Scale(low, high, height - _BOTTOM, _TOP)
    parts = [_axes(curves, across, up, width=width, height=height)]
    if curves.best_x is not None:
        parts.append(_best(across.at(curves.best_x), up))
    for role, (series, points) in zip(_ROLES, thinned, strict=False):
        parts.append(_line(series, points, role=role, across=across, up=up))
    parts.append(_names(thinned, across, up))
    caption = Caption(name, curves.title, _description(curves))
    return drawing(caption, width, height, *parts)


def _thin(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    if len(points) <= MOST_POINTS:
        return tuple(points)
    size = math.ceil(len(points) / MOST_POINTS)
    bins = [points[start : start + size] for start in range(0, len(points), size)]
    return tuple(
        (sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in bins
    )


def _above(low: float, high: float) -> float:
    return high if high > low else low + 1.0


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or max(abs(high) * 0.1, 0.1)
    return low - margin, high + margin


def _axes(curves: Curves, across: Scale, up: Scale, *, width: float, height: float) -> Markup:
    parts: list[Markup] = []
    for value in ticks(up.low, up.high, 5):
        y = up.at(value)
        parts.append(line((across.start, y), (across.end, y), kind="grid"))
        parts.append(text(_LEFT - 8, y + 4, f"{value:.4g}", ink=Ink("muted", "end", SMALL)))
    most = max(int((across.end - across.start) / 90), 2)
    for value in ticks(across.low, across.high, most):
        x = across.at(value)
        parts.append(line((x, up.start), (x, up.start + 4), kind="axis"))
        words = _x_words(value)
        parts.append(text(x, up.start + 19, words, ink=Ink("muted", "middle", SMALL)))
    parts.append(line((across.start, up.start), (across.end, up.start), kind="axis"))
    middle = (across.start + across.end) / 2
    room = across.end - across.start
    ink = Ink("muted", "middle", SMALL)
    parts.append(text(middle, height - 8, curves.x_label, ink=ink, width=room))
    y_ink = Ink("muted", size=SMALL)
    parts.append(text(10, 14, curves.y_label, ink=y_ink, width=width - 20))
    return join(parts)


def _x_words(value: float) -> str:
    if value == int(value) and abs(value) >= 1:
        return numbers.short_count(int(value)) if value > 0 else str(int(value))
    return f"{value:.4g}"


def _best(x: float, up: Scale) -> Markup:
    return join(
        [
            line((x, up.end), (x, up.start), kind="bar-line"),
            text(x, up.end - 4, "★", ink=Ink("accent", "middle")),
        ]
    )


def _line(
    series: Series,
    points: Sequence[tuple[float, float]],
    *,
    role: str,
    across: Scale,
    up: Scale,
) -> Markup:
    spots = [(across.at(x), up.at(y)) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    colour = "var(--neutral)" if role == "neutral" else f"var(--{role})"
    parts: list[Markup] = [
        element("title", {}, series.name),
        element(
            "polyline",
            {
                "class": "series",
                "points": path,
                "style": f"stroke:{colour}",
                "stroke-dasharray": "5 4" if series.dashed else None,
            },
        ),
    ]
    if len(spots) <= 30:
        parts.extend(dot(x, y, kind=f"m-{role}", radius=2.5) for x, y in spots)
    return element("g", {"data-testid": f"curve-{series.name}"}, *parts)


def _names(
    thinned: Sequence[tuple[Series, Sequence[tuple[float, float]]]], across: Scale, up: Scale
) -> Markup:
    """Return the name of every series at its end, pushed apart where two would overlap."""
    ends = [
        (up.at(points[-1][1]), series.name, role)
        for role, (series, points) in zip(_ROLES, thinned, strict=False)
    ]
    parts: list[Markup] = []
    last = up.end - _LABEL
    for y, name, role in sorted(ends):
        last = max(y, last + _LABEL)
        ink = Ink(role if role != "neutral" else "muted", size=SMALL)
        shown = fit(name, _LONGEST_LABEL, SMALL)
        parts.append(text(across.end + 8, last + 4, shown, ink=ink))
    return join(parts)


def _description(curves: Curves) -> str:
    words = "; ".join(
        f"{series.name} goes from {series.points[0][1]:.4g} to {series.points[-1][1]:.4g}"
        for series in curves.series
    )
    return f"{curves.y_label} over {curves.x_label}: {words}."
