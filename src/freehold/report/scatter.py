"""Quality against cost: one point a rung, its interval, its name beside it. Cost is logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.measure import Climb, Cost, Estimate
from freehold.core.sections import Bar
from freehold.report import findings, numbers
from freehold.report.forest import forest_domain
from freehold.report.labels import Area, leader, place
from freehold.report.markup import Markup, element, join
from freehold.report.svg import (
    SMALL,
    Caption,
    Ink,
    Scale,
    box,
    dot,
    drawing,
    line,
    text,
    text_width,
    ticks,
)
from freehold.report.theme import VERDICT_CLASSES

_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 24.0, 26.0, 46.0
_LONGEST_LABEL = 150.0


@dataclass(frozen=True)
class _Point:
    """One rung with a quality and a cost."""

    rung: str
    quality: Estimate
    mean: float
    dollars: float
    role: str
    best: bool


def scatter(climb: Climb, bar: Bar, *, width: int = 880, name: str = "scatter") -> Markup:
    """Return quality against cost per 1,000 requests.

    A rung without a measured cost is left out, and the description says so. A cost of zero is drawn
    at the left end.
    """
    height = 400.0 if width >= 560 else 340.0
    points = _points(climb)
    across = _cost_scale([point.dollars for point in points], width)
    up = Scale(*forest_domain(climb, bar), height - _BOTTOM, _TOP)
    parts = [
        _background(across, up, bar),
        _axes(across, up, width=width, height=height),
        *(_mark(point, across, up) for point in sorted(points, key=_layer)),
        _labels(points, across, up),
    ]
    return drawing(_caption(points, climb, name), width, height, *parts)


def _points(climb: Climb) -> list[_Point]:
    found: list[_Point] = []
    for result in findings.measured(climb):
        quality, cost = result.quality, result.cost
        if quality is None or quality.mean is None or not isinstance(cost, Cost):
            continue
        best = result.rung == climb.recommended
        role = "accent" if best else VERDICT_CLASSES[result.verdict]
        found.append(
            _Point(result.rung, quality, quality.mean, cost.dollars_per_1k, role=role, best=best)
        )
    return found


def _layer(point: _Point) -> int:
    """Return which points are drawn later, on top: passing ones, and the recommended one last."""
    return ("fail", "undecided", "pass", "accent").index(point.role)


def _cost_scale(dollars: Sequence[float], width: float) -> Scale:
    positive = [value for value in dollars if value > 0] or [1.0]
    low = math.log10(min(positive)) - 0.15
    high = math.log10(max(positive)) + 0.15
    if high - low < 1.0:
        middle = (high + low) / 2
        low, high = middle - 0.5, middle + 0.5
    return Scale(10**low, 10**high, _LEFT + 14, width - _RIGHT - 14, log=True)


def _background(across: Scale, up: Scale, bar: Bar) -> Markup:
    left, right = across.start - 14, across.end + 14
    y = up.at(bar.quality)
    label = f"bar ≥ {numbers.bar_value(bar.quality)}"
    return join(
        [
            box((left, up.end - 6), (right - left, y - up.end + 6), kind="zone"),
            line((left, y), (right, y), kind="bar-line"),
            text(right, up.end - 12, label, ink=Ink("pass", "end", SMALL)),
        ]
    )


def _axes(across: Scale, up: Scale, *, width: float, height: float) -> Markup:
    parts: list[Markup] = []
    left, right = across.start - 14, across.end + 14
    for value in ticks(up.low, up.high, 6):
        y = up.at(value)
        parts.append(line((left, y), (right, y), kind="grid"))
        parts.append(text(left - 8, y + 4, f"{value:.2f}", ink=Ink("muted", "end", SMALL)))
    for value in _cost_ticks(across, width):
        x = across.at(value)
        parts.append(line((x, up.end - 6), (x, up.start), kind="grid"))
        label = _tick_words(value)
        parts.append(text(x, up.start + 18, label, ink=Ink("muted", "middle", SMALL)))
    middle = (left + right) / 2
    words = "dollars per 1,000 requests (logarithmic)"
    parts.append(text(middle, height - 8, words, ink=Ink("muted", "middle", SMALL)))
    parts.append(text(_LEFT - 38, up.end - 12, "quality", ink=Ink("muted", size=SMALL)))
    return join(parts)


def _tick_words(dollars: float) -> str:
    return f"${dollars:.10f}".rstrip("0") if dollars < 0.01 else numbers.money(dollars)


def _cost_ticks(across: Scale, width: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten in the domain, thinned until the labels fit."""
    lowest = math.floor(math.log10(across.low))
    highest = math.ceil(math.log10(across.high))
    for factors in ((1, 2, 5), (1, 3), (1,)):
        values = [
            factor * 10.0**power
            for power in range(lowest, highest + 1)
            for factor in factors
            if across.low <= factor * 10.0**power <= across.high
        ]
        needed = sum(text_width(_tick_words(value), SMALL) + 14 for value in values)
        if needed <= width - _LEFT - _RIGHT:
            return values
    return values[:: max(len(values) // 4, 1)]


def _mark(point: _Point, across: Scale, up: Scale) -> Markup:
    x, y = across.at(point.dollars), up.at(point.mean)
    words = (
        f"{point.rung}: {numbers.estimate(point.quality)}, {numbers.money_per_1k(point.dollars)}"
    )
    return element(
        "g",
        {"data-testid": f"scatter-point-{point.rung}"},
        element("title", {}, words),
        line(
            (x, up.at(point.quality.low)),
            (x, up.at(point.quality.high)),
            kind=f"m-{point.role} interval",
        ),
        dot(x, y, kind=f"m-{point.role} halo", radius=7.0 if point.best else 6.0),
    )


def _labels(points: Sequence[_Point], across: Scale, up: Scale) -> Markup:
    bounds = Area(across.start - 12, up.end - 4, across.end + 14, up.start - 2)
    taken: list[Area] = []
    for point in points:
        x, y = across.at(point.dollars), up.at(point.mean)
        taken.append(Area(x - 8, y - 8, x + 8, y + 8))
        taken.append(Area(x - 2, up.at(point.quality.high), x + 2, up.at(point.quality.low)))
    parts: list[Markup] = []
    for point in sorted(points, key=lambda p: (not p.best, p.rung)):
        label = ("★ " if point.best else "") + point.rung
        x, y = across.at(point.dollars), up.at(point.mean)
        width = min(text_width(label), _LONGEST_LABEL)
        spot = place((x, y), width, taken=taken, bounds=bounds)
        taken.append(spot)
        ink = Ink(point.role, strong=point.best)
        parts.append(leader((x, y), spot))
        parts.append(text(spot.left + 2, spot.bottom - 4, label, ink=ink, width=width + 1))
    return join(parts)


def _caption(points: Sequence[_Point], climb: Climb, name: str) -> Caption:
    words = "; ".join(
        f"{p.rung} {numbers.estimate(p.quality)} at {numbers.money_per_1k(p.dollars)}"
        for p in points
    )
    missing = len(findings.measured(climb)) - len(points)
    left_out = (
        f" Left out for want of a cost: {numbers.plural(missing, 'rung')}." if missing else ""
    )
    return Caption(name, "Quality against cost per 1,000 requests", f"{words}.{left_out}")
