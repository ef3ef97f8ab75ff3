"""Which size of an update to take: the rule of docs/retention.md, section on the operating point. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freehold.evaluate.paired import tango_interval

GRID = (0.0, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
MEAN_POINTS, FAMILY_POINTS = 1.0, 3.0
LEAST_GAIN_SHARE = 0.8
ONE_SIDED_95 = 0.9
"""The two-sided confidence whose upper bound is a one-sided 95% bound."""


@dataclass(frozen=True)
class Size:
    """One size of an update on dev: quality in points, general loss in points with its upper bounds."""

    scale: float
    quality: float
    loss: float
    upper: float
    worst_upper: float

    @property
    def is_feasible(self) -> bool:
        """Whether both upper bounds are within the bar."""
        return self.upper <= MEAN_POINTS and self.worst_upper <= FAMILY_POINTS


def size_of(
    scale: float,
    quality: float,
    *,
    before: Sequence[bool],
    after: Sequence[bool],
    families: Sequence[str],
) -> Size:
    """Return a size from its dev quality and the probes before and after, in the same order."""
    lost, upper = loss_and_upper(before, after)
    worst = -100.0
    for family in set(families):
        own = [place for place, name in enumerate(families) if name == family]
        worst = max(worst, loss_and_upper([before[i] for i in own], [after[i] for i in own])[1])
    return Size(scale=scale, quality=quality, loss=lost, upper=upper, worst_upper=worst)


def loss_and_upper(before: Sequence[bool], after: Sequence[bool]) -> tuple[float, float]:
    """Return the points lost on paired items and their one-sided upper 95% bound (Tango's score interval)."""
    lost = sum(a and not b for a, b in zip(before, after, strict=True))
    gained = sum(b and not a for a, b in zip(before, after, strict=True))
    high = tango_interval(lost, gained, n=len(before), confidence=ONE_SIDED_95)[1]
    return 100 * (lost - gained) / len(before), 100 * high


def choose(sizes: Sequence[Size]) -> tuple[float, str]:
    """Return the chosen scale and why: the best quality within the bar, ties to the larger scale.

    Where nothing but the base is within the bar: the least general loss that keeps 80% of the largest
    gain; where nothing does, none, which is scale 0.
    """
    start = next(size.quality for size in sizes if size.scale == 0)
    moved = [size for size in sizes if size.scale > 0]
    feasible = [size for size in moved if size.is_feasible and size.quality > start]
    if feasible:
        best = max(feasible, key=lambda size: (size.quality, size.scale))
        return best.scale, "best dev quality within the bar"
    gain = max(size.quality for size in moved) - start
    enough = [size for size in moved if size.quality - start >= LEAST_GAIN_SHARE * gain > 0]
    if enough:
        best = min(enough, key=lambda size: (size.loss, -size.scale))
        return best.scale, "nothing within the bar: least loss at 80% of the gain"
    return 0.0, "nothing gains"
