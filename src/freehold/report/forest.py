"""The first picture of every report: a row per rung, dot and interval, the bar as a shaded zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.measure import Climb, RungResult
from freehold.core.sections import Bar
from freehold.report import findings, numbers
from freehold.report.markup import Markup, element, join
from freehold.report.svg import (
    NOTE,
    SMALL,
    Caption,
    Ink,
    Point,
    Scale,
    box,
    drawing,
    grid_lines,
    interval_mark,
    line,
    share_domain,
    share_ticks,
    text,
    text_width,
    tick_labels,
    wrap_text,
)
from freehold.report.theme import VERDICT_CLASSES

NARROW = 560
"""Below this width the numbers of a rung stand under its name, not beside its interval."""

_PAD = 10.0
_GAP = 18.0
_ROW = 36.0
_TOP = 34.0
_FOOT = 30.0
_LINE = 17.0


@dataclass(frozen=True)
class _Cells:
    """The texts of one measured rung."""

    quality: str
    cost: str
    p95: str
    kept: str
    verdict: str

    def under(self) -> str:
        """The numbers in one line, for narrow drawings."""
        parts = [f"{self.cost}/1k", f"p95 {self.p95}", f"kept ≥ {self.kept}"]
        return " · ".join(part for part in parts if not part.endswith(numbers.UNKNOWN))


def forest(climb: Climb, bar: Bar, *, width: int = 880, name: str = "forest") -> Markup:
    """Return the forest plot of a climb.

    Args:
        climb: what was measured; skipped rungs are rows with their reason.
        bar: the bar; the zone of passing quality is shaded.
        width: the width in pixels; below `NARROW` each rung takes two lines.
        name: the stable id of the drawing, for tests and for its title.
    """
    layout = _narrow if width < NARROW else _wide
    height, parts = layout(climb, bar, float(width))
    return drawing(_caption(climb, bar, name), width, height, parts)


def forest_domain(climb: Climb, bar: Bar) -> tuple[float, float]:
    """Return the ends of the quality axis: round numbers around all intervals and the bar."""
    values = [bar.quality]
    for result in findings.measured(climb):
        if result.quality is not None:
            values += [result.quality.low, result.quality.high]
    return share_domain(values)


def _caption(climb: Climb, bar: Bar, name: str) -> Caption:
    rows = [
        f"{r.rung} {numbers.estimate(r.quality)} {r.verdict.value}"
        if r.state == "measured"
        else f"{r.rung} {r.state}"
        for r in climb.rungs
    ]
    title = f"Quality of every rung of {climb.task}, with intervals, against the bar"
    star = f" Recommended: {climb.recommended}." if climb.recommended else ""
    bars = f"The bar is {numbers.bar_value(bar.quality)}."
    return Caption(name, title, f"{'; '.join(rows)}. {bars}{star}")


def _cells(result: RungResult, climb: Climb, bar: Bar) -> _Cells:
    missed = findings.missed_bar(result, bar)
    return _Cells(
        quality=numbers.estimate(result.quality),
        cost=numbers.money(result.cost.dollars_per_1k if result.cost else None),
        p95=numbers.latency(result.seconds_p95),
        kept=numbers.share(result.kept.ratio.low if result.kept else None),
        verdict=findings.verdict_text(result, climb.recommended) + (f" {missed}" if missed else ""),
    )


def _role(result: RungResult, climb: Climb) -> str:
    return "accent" if result.rung == climb.recommended else VERDICT_CLASSES[result.verdict]


def _widest(texts: Sequence[str], heading: str) -> float:
    return max(text_width(content) for content in (heading, *texts))


def _wide(climb: Climb, bar: Bar, width: float) -> tuple[float, Markup]:
    cells = {r.rung: _cells(r, climb, bar) for r in findings.measured(climb)}
    name_width = min(_widest([r.rung for r in climb.rungs], "rung") + 6, 150.0)
    columns = [
        ("quality", [c.quality for c in cells.values()]),
        ("$/1k", [c.cost for c in cells.values()]),
        ("p95", [c.p95 for c in cells.values()]),
        ("kept ≥", [c.kept for c in cells.values()]),
    ]
    widths = [_widest(texts, heading) for heading, texts in columns]
    verdict_width = _widest([c.verdict for c in cells.values()], "verdict") + 4
    used = sum(widths) + _GAP * (len(widths) + 1) + verdict_width
    start = _PAD + name_width + _GAP
    end = max(width - _PAD - used, start + 80)
    scale = Scale(*forest_domain(climb, bar), start + 8, end - 8)
    ends: list[float] = []
    x = end
    for column in widths:
        x += _GAP + column
        ends.append(x)
    verdict_x = x + _GAP
    rows: list[Markup] = []
    back = Markup()
    y = _TOP
    for result in climb.rungs:
        if result.state != "measured":
            height, row = _unmeasured(result, y=y, name_width=name_width, width=width)
        else:
            height = _ROW
            row = _wide_row(
                result,
                cells[result.rung],
                (climb, scale),
                y=y,
                name_width=name_width,
                ends=(*ends, verdict_x),
            )
        rows.append(row)
        if result.rung == climb.recommended:
            back = box((0, y + 2), (width, height - 4), kind="best-row", round=6)
        y += height
    heads = [text(_PAD, 20, "rung", ink=NOTE), text(verdict_x, 20, "verdict", ink=NOTE)]
    for (heading, _), x_end in zip(columns, ends, strict=True):
        heads.append(text(x_end, 20, heading, ink=Ink("muted", "end", SMALL)))
    return y + _FOOT, join(
        [back, _zone(scale, bar, (_TOP - 6, y)), _axis(scale, bar, y), *heads, *rows]
    )


def _zone(scale: Scale, bar: Bar, ends: Point) -> Markup:
    top, bottom = ends
    x = scale.at(bar.quality)
    return join(
        [
            box((x, top), (scale.end + 8 - x, bottom - top), kind="zone"),
            grid_lines(scale, ends, share_ticks(scale)),
            line((x, top), (x, bottom), kind="bar-line"),
        ]
    )


def _axis(scale: Scale, bar: Bar, bottom: float) -> Markup:
    label = f"bar ≥ {numbers.bar_value(bar.quality)}"
    half = text_width(label, SMALL) / 2
    x = min(max(scale.at(bar.quality), scale.start - 8 + half), scale.end + 8 - half)
    values = share_ticks(scale)
    return join(
        [
            text(x, 20, label, ink=Ink("pass", "middle", SMALL)),
            tick_labels(scale, bottom, write=lambda value: f"{value:.2f}", values=values),
        ]
    )


def _wide_row(
    result: RungResult,
    cells: _Cells,
    drawn: tuple[Climb, Scale],
    *,
    y: float,
    name_width: float,
    ends: tuple[float, ...],
) -> Markup:
    climb, scale = drawn
    role = _role(result, climb)
    best = result.rung == climb.recommended
    middle = y + _ROW / 2
    base = middle + 4.5
    parts: list[str] = []
    parts.append(text(_PAD, base, result.rung, ink=Ink(strong=best), width=name_width))
    if result.quality is not None:
        bounds = (result.quality.low, result.quality.high)
        mean = result.quality.mean
        parts.append(interval_mark(scale, middle, bounds=bounds, mean=mean, role=role))
    contents = (cells.quality, cells.cost, cells.p95, cells.kept)
    for x, content in zip(ends, contents, strict=False):
        parts.append(text(x, base, content, ink=Ink(anchor="end", strong=best)))
    parts.append(text(ends[-1], base, cells.verdict, ink=Ink(role, strong=True)))
    return element("g", {"data-testid": f"forest-row-{result.rung}"}, *parts)


def _unmeasured(
    result: RungResult, *, y: float, name_width: float, width: float
) -> tuple[float, Markup]:
    mark = "–" if result.state == "skipped" else "!"
    reason = f"{mark} {result.state}: {result.reason or 'no reason was recorded'}"
    x = _PAD + name_width + _GAP
    role = VERDICT_CLASSES[result.verdict]
    lines = wrap_text(reason, width - x - _PAD)
    height = max(_ROW, _ROW - _LINE + _LINE * len(lines))
    base = y + 22.5
    parts = [
        box((x - 8, y), (width - x + 8, height), kind="card"),
        text(_PAD, base, result.rung, ink=Ink("muted"), width=name_width),
    ]
    for index, content in enumerate(lines):
        parts.append(text(x, base + index * _LINE, content, ink=Ink(role), width=width - x))
    title = element("title", {}, f"{result.rung}: {reason}")
    return height, element("g", {"data-testid": f"forest-row-{result.rung}"}, title, *parts)


def _narrow(climb: Climb, bar: Bar, width: float) -> tuple[float, Markup]:
    scale = Scale(*forest_domain(climb, bar), _PAD + 8, width - _PAD - 8)
    rows: list[Markup] = []
    back = Markup()
    y = _TOP
    for result in climb.rungs:
        if result.state == "measured":
            height, row = _narrow_row(result, climb, bar, scale=scale, y=y, width=width)
        else:
            height, row = _narrow_unmeasured(result, y=y, width=width)
        rows.append(row)
        if result.rung == climb.recommended:
            back = box((0, y + 2), (width, height - 4), kind="best-row", round=6)
        y += height
    return y + _FOOT, join([back, _axis(scale, bar, y), *rows])


def _narrow_row(
    result: RungResult, climb: Climb, bar: Bar, *, scale: Scale, y: float, width: float
) -> tuple[float, Markup]:
    cells = _cells(result, climb, bar)
    role = _role(result, climb)
    height = 90.0
    parts: list[str] = [_zone(scale, bar, (y + 26, y + 48))]
    room = width - 2 * _PAD - text_width(cells.verdict) - _GAP
    parts.append(text(_PAD, y + 19, result.rung, ink=Ink(strong=True), width=room))
    parts.append(text(width - _PAD, y + 19, cells.verdict, ink=Ink(role, "end", strong=True)))
    if result.quality is not None:
        bounds = (result.quality.low, result.quality.high)
        mean = result.quality.mean
        parts.append(interval_mark(scale, y + 37, bounds=bounds, mean=mean, role=role))
    parts.append(text(_PAD, y + 63, cells.quality))
    parts.append(text(_PAD, y + 80, cells.under(), ink=NOTE, width=width - 2 * _PAD))
    return height, element("g", {"data-testid": f"forest-row-{result.rung}"}, *parts)


def _narrow_unmeasured(result: RungResult, *, y: float, width: float) -> tuple[float, Markup]:
    verdict = findings.verdict_text(result, None)
    role = VERDICT_CLASSES[result.verdict]
    lines = wrap_text(result.reason or "no reason was recorded", width - 2 * _PAD, size=SMALL)
    room = width - 2 * _PAD - text_width(verdict) - _GAP
    parts = [
        text(_PAD, y + 19, result.rung, ink=Ink("muted"), width=room),
        text(width - _PAD, y + 19, verdict, ink=Ink(role, "end", strong=True)),
    ]
    for index, content in enumerate(lines):
        parts.append(text(_PAD, y + 37 + index * _LINE, content, ink=NOTE))
    return 32.0 + _LINE * len(lines), element(
        "g", {"data-testid": f"forest-row-{result.rung}"}, *parts
    )
