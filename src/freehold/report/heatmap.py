"""A sequence of domains as a heat map: each domain after each stage, and what the stages did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.transfer import Cell, Points, Transfer, TransferMatrix
from freehold.report import numbers
from freehold.report.markup import Attribute, Markup, element, join
from freehold.report.svg import (
    NOTE,
    SMALL,
    Caption,
    Ink,
    Point,
    box,
    drawing,
    line,
    text,
    text_width,
)

_PAD, _GAP = 10.0, 4.0
_CELL_WIDTH, _CELL_HEIGHT = 104.0, 46.0
_WIDEST_CELL = 150.0
_HEAD, _LINE = 46.0, 20.0
_NARROW = 560
_STRONGEST, _FAINTEST = 0.42, 0.04
_LONGEST_NAME = 130.0

SUMMARY: tuple[tuple[str, str, str], ...] = (
    ("overall", "overall", "mean over the domains at the end"),
    ("backward", "backward transfer", "what later domains did to earlier ones"),
    ("forward", "forward transfer", "what earlier domains did for later ones"),
    ("forgetting", "average forgetting", "how far each earlier domain ended below its best"),
)
"""The field of a `Transfer`, its name, and what it means."""


def heat_map(
    matrix: TransferMatrix, found: Transfer, *, width: int = 880, name: str = "heat-map"
) -> Markup:
    """Return R[stage, domain] with a number and an interval in every cell, and what follows from it.

    A row is a stage, a column a domain, in the order they were learnt; the darker, the better. The
    framed cell is the domain right after it was learnt. The last column is the change of general
    ability against the base. In a narrow drawing, or with many domains, each stage is a list of what
    was measured.

    Args:
        matrix: what was measured; a cell that nobody measured is grey.
        found: `transfer` of the same matrix.
        width: of the drawing in pixels.
        name: the stable id of the drawing.
    """
    missing = len(matrix.domains) - len(found.general)
    general: tuple[Points | None, ...] = (None, *found.general, *[None] * missing)
    columns = len(matrix.domains) + 1
    names = max(text_width(stage_words(matrix, s)) for s in range(len(matrix.stages)))
    left = _PAD + min(names, _LONGEST_NAME) + 8
    room = (width - left - _PAD) / columns
    if width < _NARROW or room < _CELL_WIDTH + _GAP:
        height, parts = _listed(matrix, general, width)
    else:
        grid = _Grid(left, min(room, _WIDEST_CELL + _GAP), left - _PAD - 8)
        height, parts = _table(matrix, general, grid)
    end, summary = _summary(found, y=height, width=width)
    return drawing(_caption(matrix, found, name), width, end, parts, summary)


def stage_words(matrix: TransferMatrix, stage: int) -> str:
    """Return what a stage is called: `base`, or `t7 snips`."""
    name = matrix.stages[stage]
    return name if stage == 0 else f"{name} {matrix.domains[stage - 1]}"


def points_words(value: Points | None) -> str:
    """Return points with their interval: `-1.2 [-2.0 -0.4]`."""
    if value is None:
        return numbers.UNKNOWN
    words = _signed(value.value)
    if value.low is None or value.high is None:
        return words
    return f"{words} [{_signed(value.low)} {_signed(value.high)}]"


def summary_rows(found: Transfer) -> tuple[tuple[str, str, str], ...]:
    """Return the name, the words and the meaning of every number that follows from the matrix."""
    rows: list[tuple[str, str, str]] = []
    for field, name, meaning in SUMMARY:
        value: Points | None = getattr(found, field)
        words = points_words(value)
        rows.append((name, words.replace("+", "") if field == "overall" else words, meaning))
    last = found.general[-1] if found.general else None
    rows.append(("general ability", points_words(last), "change against the base at the end"))
    return tuple(rows)


@dataclass(frozen=True)
class _Grid:
    """Where the cells of the table are: their left edge, their pitch, the room of a row's name."""

    left: float
    pitch: float
    names: float

    def corner(self, stage: int, column: int) -> Point:
        return self.left + column * self.pitch, _HEAD + stage * (_CELL_HEIGHT + _GAP)

    @property
    def size(self) -> Point:
        return self.pitch - _GAP, _CELL_HEIGHT


def _signed(points: float) -> str:
    return numbers.signed_points(points / 100)


def _table(
    matrix: TransferMatrix, general: Sequence[Points | None], grid: _Grid
) -> tuple[float, Markup]:
    parts = [text(_PAD, 30, "after", ink=NOTE)]
    columns = len(matrix.domains)
    for column, heading in enumerate([*matrix.domains, "general, points"]):
        x = grid.left + column * grid.pitch
        parts.append(text(x, 30, heading, ink=NOTE, width=grid.size[0]))
    for stage in range(len(matrix.stages)):
        middle = grid.corner(stage, 0)[1] + _CELL_HEIGHT / 2
        words = stage_words(matrix, stage)
        parts.append(text(_PAD, middle + 4.5, words, width=grid.names + 1))
        for column, domain in enumerate(matrix.domains):
            found = matrix.cell(stage, domain)
            parts.append(
                _cell(found, grid.corner(stage, column), grid.size, learnt=stage == column + 1)
            )
        parts.append(_change(general[stage], grid.corner(stage, columns), grid.size))
    return grid.corner(len(matrix.stages), 0)[1] + 6, join(parts)


def _cell(found: Cell | None, corner: Point, size: Point, *, learnt: bool) -> Markup:
    x, y = corner[0] + size[0] / 2, corner[1] + size[1] / 2
    if found is None or found.quality.mean is None:
        mark = text(x, y + 4.5, numbers.UNKNOWN, ink=Ink("muted", "middle"))
        return join([box(corner, size, kind="unmeasured", round=4), mark])
    quality = found.quality
    bounds = numbers.interval(quality.low, quality.high)
    words = f"{found.column}: {numbers.estimate_n(quality)}"
    return element(
        "g",
        {"data-testid": f"cell-{found.stage}-{found.column}"},
        element("title", {}, words),
        _heat(corner, size, quality.mean or 0.0),
        box(corner, size, kind="framed", round=4) if learnt else Markup(),
        text(x, y - 2, numbers.share(quality.mean), ink=Ink(anchor="middle", strong=learnt)),
        text(x, y + 15, bounds, ink=Ink(anchor="middle", size=SMALL)),
    )


def _heat(corner: Point, size: Point, share: float) -> Markup:
    strength = _FAINTEST + (_STRONGEST - _FAINTEST) * min(max(share, 0.0), 1.0)
    attributes: dict[str, Attribute] = {
        "class": "heat",
        "x": corner[0],
        "y": corner[1],
        "width": size[0],
        "height": size[1],
        "rx": 4.0,
        "fill-opacity": strength,
    }
    return element("rect", attributes)


def _change(value: Points | None, corner: Point, size: Point) -> Markup:
    x, y = corner[0] + size[0] / 2, corner[1] + size[1] / 2
    if value is None:
        return text(x, y + 4.5, numbers.UNKNOWN, ink=Ink("muted", "middle"))
    head, _, bounds = points_words(value).partition(" ")
    role = _change_role(value)
    number = text(x, y - 2, head, ink=Ink(role, "middle", strong=bool(role)))
    if not bounds:
        return number
    return join([number, text(x, y + 15, bounds, ink=Ink(role, "middle", SMALL))])


def _change_role(value: Points) -> str:
    """Return the colour of a change: only one whose interval leaves out zero has one."""
    if value.low is None or value.high is None or value.low <= 0.0 <= value.high:
        return ""
    return "fail" if value.value < 0 else "pass"


def _listed(
    matrix: TransferMatrix, general: Sequence[Points | None], width: float
) -> tuple[float, Markup]:
    parts: list[Markup] = []
    y = 8.0
    for stage in range(len(matrix.stages)):
        words = f"after {stage_words(matrix, stage)}" if stage else "base, untouched"
        parts.append(text(_PAD, y + 16, words, ink=Ink(strong=True), width=width - 2 * _PAD))
        y += 24
        for column, domain in enumerate(matrix.domains):
            found, learnt = matrix.cell(stage, domain), stage == column + 1
            if found is not None or learnt:
                parts.append(_row(found, domain, y=y, width=width, learnt=learnt))
                y += 26
        change = general[stage]
        if change is not None:
            ink = Ink(_change_role(change), "end")
            parts.append(text(_PAD + 6, y + 16, "general, points", width=width / 2 - _PAD))
            parts.append(text(width - _PAD - 6, y + 16, points_words(change), ink=ink))
            y += 26
        y += 6
    return y, join(parts)


def _row(found: Cell | None, domain: str, *, y: float, width: float, learnt: bool) -> Markup:
    corner, size = (_PAD, y), (width - 2 * _PAD, 23.0)
    is_known = found is not None and found.quality.mean is not None
    quality = found.quality if found is not None else None
    words = numbers.estimate(quality) if is_known else numbers.UNKNOWN
    room = size[0] - text_width(words) - 24
    back = (
        _heat(corner, size, (quality.mean if quality else None) or 0.0)
        if is_known
        else box(corner, size, kind="unmeasured", round=4)
    )
    return join(
        [
            back,
            box(corner, size, kind="framed", round=4) if learnt else Markup(),
            text(_PAD + 6, y + 16, domain, ink=Ink(strong=learnt), width=room),
            text(width - _PAD - 6, y + 16, words, ink=Ink(anchor="end", strong=learnt)),
        ]
    )


def _summary(found: Transfer, *, y: float, width: float) -> tuple[float, Markup]:
    """Return the numbers that follow from the matrix, with what each means where there is room."""
    rows = summary_rows(found)
    name_width = max(text_width(name) for name, _, _ in rows) + 16
    words_width = max(text_width(words) for _, words, _ in rows) + 16
    parts = [line((_PAD, y + 4), (width - _PAD, y + 4), kind="axis")]
    y += 10
    for name, words, meaning in rows:
        y += _LINE
        parts.append(text(_PAD, y, name))
        start = _PAD + name_width
        if width < _NARROW:
            parts.append(text(width - _PAD, y, words, ink=Ink(anchor="end", strong=True)))
            continue
        parts.append(text(start, y, words, ink=Ink(strong=True)))
        room = width - _PAD - start - words_width
        parts.append(text(start + words_width, y, meaning, ink=NOTE, width=room))
    return y + 14, join(parts)


def _caption(matrix: TransferMatrix, found: Transfer, name: str) -> Caption:
    stages = "; ".join(
        f"after {stage_words(matrix, stage)}: "
        + ", ".join(
            f"{cell.column} {numbers.estimate(cell.quality)}"
            for cell in matrix.cells
            if cell.stage == stage
        )
        for stage in range(len(matrix.stages))
    )
    numbers_of = ", ".join(f"{label} {words}" for label, words, _ in summary_rows(found))
    return Caption(name, "Every domain after every stage", f"{stages}. {numbers_of}.")
