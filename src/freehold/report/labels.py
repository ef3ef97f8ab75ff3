"""Where a name goes beside its mark, so that no text stands on another text or on a mark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from freehold.report.markup import Markup
from freehold.report.svg import Point, line

LABEL_HEIGHT = 16.0
_FARTHEST = 240


@dataclass(frozen=True)
class Area:
    """A rectangle that a label must not touch, or that it must stay within."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Area) -> bool:
        """Whether the two rectangles share any area."""
        apart = (
            self.right <= other.left
            or other.right <= self.left
            or self.bottom <= other.top
            or other.bottom <= self.top
        )
        return not apart

    def holds(self, other: Area) -> bool:
        """Whether the other rectangle lies within this one."""
        return (
            other.left >= self.left
            and other.right <= self.right
            and other.top >= self.top
            and other.bottom <= self.bottom
        )


def place(centre: Point, width: float, *, taken: Sequence[Area], bounds: Area) -> Area:
    """Return the nearest free place for a label of `width`; the first one tried where none is free."""
    first: Area | None = None
    for spot in _spots(centre, width + 4):
        first = first or spot
        if bounds.holds(spot) and not any(spot.meets(other) for other in taken):
            return spot
    return first or Area(centre[0], centre[1], centre[0] + width, centre[1] + LABEL_HEIGHT)


def leader(centre: Point, spot: Area) -> Markup:
    """Return a thin line to a label that had to move away from its mark, else nothing."""
    x = min(max(centre[0], spot.left), spot.right)
    y = min(max(centre[1], spot.top), spot.bottom)
    if math.hypot(x - centre[0], y - centre[1]) < 20:
        return Markup()
    return line(centre, (x, y), kind="leader")


def _spots(centre: Point, width: float) -> Iterator[Area]:
    x, y = centre
    half = LABEL_HEIGHT / 2
    for distance in range(0, _FARTHEST, 6):
        for shift in (0, -distance, distance):
            for left in (x + 12, x - 12 - width, x - width / 2, x + 40, x - 40 - width):
                top = y - half + shift
                yield Area(left, top, left + width, top + LABEL_HEIGHT)
