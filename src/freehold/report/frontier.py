"""The frontier of a training: what every size of its update gains on the task and costs in general."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.measure import Frontier, FrontierPoint
from freehold.report import numbers
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
    share_domain,
    text,
    text_width,
    ticks,
)

_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 20.0, 44.0, 46.0
_INSET = 14.0
_SPARE = 0.12

MUCH = 0.05
"""What the limits kept out is spoken of where it is worth this much more on dev."""
_MOST_OF_IT = 0.8


@dataclass(frozen=True)
class _Spot:
    """One size of the update that has a quality, and where it is drawn."""

    point: FrontierPoint
    x: float
    y: float
    role: str
    is_chosen: bool

    @property
    def label(self) -> str:
        """The name beside the mark."""
        return ("★ " if self.is_chosen else "") + f"s={self.point.scale:g}"


def kept_out_words(found: Frontier, rung: str) -> str | None:
    """Return which size the limits kept out, what it is worth, and the settings that let it in.

    Of the sizes that bring most of what was kept out, the one that loses least.

    Args:
        found: the sizes of an update, one of them chosen.
        rung: whose update it is.

    Returns:
        None where the chosen size is not within the limits itself, or none is worth `MUCH` more.
    """
    chosen = next((point for point in found.points if point.scale == found.chosen), None)
    if chosen is None or not chosen.is_feasible:
        return None
    beyond = [point for point in found.points if not point.is_feasible]
    most = max((point.worth - chosen.worth for point in beyond), default=0.0)
    if most < MUCH:
        return None
    near = [point for point in beyond if point.worth - chosen.worth >= _MOST_OF_IT * most]
    best = min(near, key=lambda point: point.points_lost.high)
    section = f"ladder.{'lora' if rung == 'lora+retrieve' else rung}.retention"
    mean, family = (_upwards(value) for value in (best.points_lost.high, best.worst_points.mean))
    settings = [f"-s {section}.points={max(mean, found.most_points):g}"]
    if family > found.most_family_points:
        settings.append(f"-s {section}.family_points={family:g}")
    return (
        f"s={best.scale:g} is {numbers.plural_points(100 * (best.worth - chosen.worth))} better on"
        f" dev, and loses up to {numbers.plural_points(mean)} of general ability on average and"
        f" {numbers.plural_points(family)} in {best.worst_family}; to allow that: {' '.join(settings)}"
    )


def _upwards(points: float) -> float:
    return math.ceil(10 * points) / 10


def frontier(found: Frontier, *, width: int = 880, name: str = "frontier") -> Markup:
    """Return task quality across and the change of general ability up, one path through all scales.

    Both have their intervals. Below `most_points` lost the ground is shaded: no mean loss as large is allowed.
    The chosen scale is starred; the whole update (s = 1) is hollow. Orange scales do not keep the
    upper bound of their loss within the limit.

    Args:
        found: every scale that was measured; one whose quality has no mean is left out.
        width: of the drawing in pixels.
        name: the stable id of the drawing.
    """
    height = 380.0 if width >= 560 else 330.0
    points = found.most_points
    measured = [point for point in found.points if point.quality.mean is not None]
    across, up = _scales(measured, points, width=width, height=height)
    spots = [_spot(point, found, across=across, up=up) for point in measured]
    parts = [
        _zone(across, up, points),
        _axes(across, up, width=width, height=height),
        _path(spots),
        *(_interval(spot, across, up) for spot in spots),
        *(_mark(spot) for spot in sorted(spots, key=lambda spot: spot.is_chosen)),
        _labels(spots, points, across=across, up=up),
    ]
    return drawing(_caption(measured, found, name), width, height, *parts)


def change_words(point: FrontierPoint) -> str:
    """Return the change of general ability with its interval: `-0.4 points [-1.0 +0.2]`."""
    lost = point.points_lost
    return f"{_signed(-lost.mean)} points [{_signed(-lost.high)} {_signed(-lost.low)}]"


def _signed(points: float) -> str:
    return numbers.signed_points(points / 100)


def _scales(
    measured: Sequence[FrontierPoint], points: float, *, width: float, height: float
) -> tuple[Scale, Scale]:
    qualities = [v for p in measured for v in (p.quality.low, p.quality.high)] or [0.0, 1.0]
    changes = [-v for p in measured for v in (p.points_lost.low, p.points_lost.high)]
    low, high = min([*changes, -2 * points]), max([*changes, points / 2])
    spare = _SPARE * (high - low)
    across = Scale(*share_domain(qualities), _LEFT + _INSET, width - _RIGHT - _INSET)
    return across, Scale(low - spare, high + spare, height - _BOTTOM, _TOP)


def _spot(point: FrontierPoint, found: Frontier, *, across: Scale, up: Scale) -> _Spot:
    is_chosen = point.scale == found.chosen
    role = "accent" if is_chosen else "pass" if point.is_feasible else "fail"
    x = across.at(point.quality.mean or 0.0)
    return _Spot(point, x, up.at(-point.points_lost.mean), role=role, is_chosen=is_chosen)


def _zone(across: Scale, up: Scale, points: float) -> Markup:
    left, right = across.start - _INSET, across.end + _INSET
    y = up.at(-points)
    label = f"too much is lost: above {numbers.plural_points(points)}"
    return join(
        [
            box((left, y), (right - left, up.start - y), kind="forbidden"),
            line((left, y), (right, y), kind="limit"),
            line((left, up.at(0.0)), (right, up.at(0.0)), kind="zero"),
            text(
                right - 6,
                up.start - 8,
                label,
                ink=Ink("fail", "end", SMALL),
                width=right - left - 12,
            ),
        ]
    )


def _axes(across: Scale, up: Scale, *, width: float, height: float) -> Markup:
    parts: list[Markup] = []
    left, right = across.start - _INSET, across.end + _INSET
    muted = Ink("muted", size=SMALL)
    for value in ticks(up.low, up.high, 6):
        y = up.at(value)
        parts.append(line((left, y), (right, y), kind="grid"))
        words = f"{value:+g}" if value else "0"
        parts.append(text(left - 8, y + 4, words, ink=Ink("muted", "end", SMALL)))
    for value in ticks(across.low, across.high, max(int((right - left) / 70), 2)):
        x = across.at(value)
        parts.append(line((x, up.start), (x, up.start + 4), kind="axis"))
        parts.append(text(x, up.start + 18, f"{value:.2f}", ink=Ink("muted", "middle", SMALL)))
    heading = "general ability, points against the base"
    parts.append(text(8, 16, heading, ink=muted, width=width - 16))
    below = Ink("muted", "middle", SMALL)
    foot = "task quality on dev (right is better)"
    parts.append(text((left + right) / 2, height - 8, foot, ink=below, width=right - left))
    return join(parts)


def _path(spots: Sequence[_Spot]) -> Markup:
    ordered = sorted(spots, key=lambda spot: spot.point.scale)
    places = " ".join(f"{spot.x:.1f},{spot.y:.1f}" for spot in ordered)
    return element("polyline", {"class": "path", "points": places})


def _interval(spot: _Spot, across: Scale, up: Scale) -> Markup:
    quality, lost = spot.point.quality, spot.point.points_lost
    kind = f"m-{spot.role} {'interval' if spot.is_chosen else 'whisker'}"
    return join(
        [
            line((across.at(quality.low), spot.y), (across.at(quality.high), spot.y), kind=kind),
            line((spot.x, up.at(-lost.low)), (spot.x, up.at(-lost.high)), kind=kind),
        ]
    )


def _mark(spot: _Spot) -> Markup:
    point = spot.point
    is_whole = point.scale == 1
    words = (
        f"s={point.scale:g}: {numbers.estimate(point.quality)}, {change_words(point)},"
        f" worst {point.worst_family} {_signed(-point.worst_points.mean)}"
    )
    kind = f"m-{spot.role} {'hollow' if is_whole else 'halo'}"
    return element(
        "g",
        {"data-testid": f"frontier-point-{point.scale:g}"},
        element("title", {}, words),
        dot(spot.x, spot.y, kind=kind, radius=7.0 if spot.is_chosen else 5.0),
    )


def _labels(spots: Sequence[_Spot], points: float, *, across: Scale, up: Scale) -> Markup:
    bounds = Area(across.start - _INSET, up.end - 8, across.end + _INSET, up.start - 24)
    limit = up.at(-points)
    taken = [area for spot in spots for area in _covered(spot, across, up)]
    taken.append(Area(bounds.left, limit - 1, bounds.right, limit + 1))
    parts: list[Markup] = []
    for spot in sorted(spots, key=lambda spot: (not spot.is_chosen, spot.point.scale)):
        width = text_width(spot.label)
        area = place((spot.x, spot.y), width, taken=taken, bounds=bounds)
        taken.append(area)
        ink = Ink(spot.role, strong=spot.is_chosen)
        parts.append(leader((spot.x, spot.y), area))
        parts.append(text(area.left + 2, area.bottom - 4, spot.label, ink=ink))
    return join(parts)


def _covered(spot: _Spot, across: Scale, up: Scale) -> tuple[Area, ...]:
    """Return what a point covers: its mark and its two intervals."""
    quality, lost = spot.point.quality, spot.point.points_lost
    x, y = spot.x, spot.y
    return (
        Area(x - 7, y - 7, x + 7, y + 7),
        Area(across.at(quality.low), y - 1, across.at(quality.high), y + 1),
        Area(x - 1, up.at(-lost.low), x + 1, up.at(-lost.high)),
    )


def _caption(measured: Sequence[FrontierPoint], found: Frontier, name: str) -> Caption:
    words = "; ".join(
        f"s={point.scale:g} {numbers.estimate(point.quality)}, {change_words(point)}"
        for point in measured
    )
    title = "Task quality against general ability, by size of the update"
    return Caption(name, title, f"{words}. Chosen: s={found.chosen:g}. {found.reason}")
