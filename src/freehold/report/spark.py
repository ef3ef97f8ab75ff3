"""A series of numbers as a row of little bars, for a line of a terminal."""

from __future__ import annotations

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.:-=+*#"


def spark(values: Sequence[float], *, width: int, ascii: bool = False) -> str:
    """Return values as at most `width` little bars from lowest to highest; each is a mean."""
    if not values:
        return ""
    size = max(1, -(-len(values) // width))
    means = [
        sum(values[start : start + size]) / len(values[start : start + size])
        for start in range(0, len(values), size)
    ]
    return _bars(means, (min(means), max(means)), ascii=ascii)


def spark_over(
    points: Sequence[tuple[int, float]],
    *,
    last_step: int,
    width: int,
    ends: tuple[float, float] | None = None,
    ascii: bool = False,
) -> str:
    """Return points as `width` bars over the steps from 0 to `last_step`, so that rows share an axis.

    A bar is the mean of the points in its part of the axis; where there is none the one before it
    stands on, and nothing before the first. `ends` are the values of the lowest and the highest bar;
    None: those of the points.
    """
    if not points:
        return ""
    columns: list[float | None] = [None] * width
    for column in range(width):
        inside = [v for step, v in points if _column(step, last_step, width) == column]
        before = columns[column - 1] if column else None
        columns[column] = sum(inside) / len(inside) if inside else before
    known = [value for value in columns if value is not None]
    low, high = ends or (min(known), max(known))
    return " " * (width - len(known)) + _bars(known, (low, high), ascii=ascii)


def _column(step: int, last_step: int, width: int) -> int:
    return min(step * width // max(last_step, 1), width - 1)


def _bars(values: Sequence[float], ends: tuple[float, float], *, ascii: bool) -> str:
    bars = ASCII_BARS if ascii else BARS
    low, span = ends[0], ends[1] - ends[0]
    shares = [min(max((value - low) / span, 0.0), 1.0) if span > 0 else 0.0 for value in values]
    return "".join(bars[round(share * (len(bars) - 1))] for share in shares)
