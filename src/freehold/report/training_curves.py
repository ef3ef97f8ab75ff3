"""The curves of a training on one axis of steps: loss, dev metric, kept ability, divergence, weight.

Each is a panel of its own, as their units differ; one dashed line through all of them marks the best
step, one star above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freehold.report import numbers
from freehold.report.curve import MOST_POINTS
from freehold.report.markup import Markup, element, join
from freehold.report.svg import (
    SMALL,
    Caption,
    Ink,
    Point,
    Scale,
    dot,
    drawing,
    line,
    text,
    ticks,
)
from freehold.report.training_view import At, EstimateAt, TrainingCurves

_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 22.0, 20.0, 44.0
_TALL, _THIN, _HEAD = 92.0, 44.0, 24.0
_FEW = 30


@dataclass(frozen=True)
class _Line:
    """One curve: its colour role, its points in order of steps, and its interval."""

    role: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class _Panel:
    """One quantity over the steps. `guard` is a value it must stay above."""

    title: str
    curve: _Line
    is_thin: bool = False
    guard: float | None = None

    @property
    def height(self) -> float:
        """The height of the plot itself."""
        return _THIN if self.is_thin else _TALL


def training_curves(
    curves: TrainingCurves,
    *,
    metric: str,
    kept_bar: float,
    width: int = 880,
    name: str = "training-curves",
) -> Markup:
    """Return the panels of a training; those that nothing was measured for are left out.

    Args:
        curves: what was seen so far; the axis reaches to the last planned step.
        metric: the name of the dev metric.
        kept_bar: the share of general ability that is to be kept; a dashed line.
        width: of the drawing in pixels.
        name: the stable id of the drawing.
    """
    panels = _panels(curves, metric, kept_bar)
    last = max([curves.steps, 1, *(int(x) for panel in panels for x, _ in panel.curve.points)])
    across = Scale(0, last, _LEFT, width - _RIGHT)
    parts: list[Markup] = []
    y = _TOP
    for panel in panels:
        parts.append(_drawn(panel, across, y))
        y += _HEAD + panel.height
    parts.append(_steps(across, y))
    if curves.best_step is not None and panels:
        parts.append(_star(across.at(curves.best_step), (_TOP - 4, y)))
    return drawing(_caption(curves, panels, name), width, y + _BOTTOM, *parts)


def _panels(curves: TrainingCurves, metric: str, kept_bar: float) -> list[_Panel]:
    panels = [
        _Panel("loss", _Line("neutral", _pairs(curves.loss))),
        _Panel(f"{metric} on dev", _Line("accent", _pairs(curves.dev))),
        _Panel(
            f"kept ability, guard {numbers.bar_value(kept_bar)}",
            _kept_line(curves.kept),
            guard=kept_bar,
        ),
        _Panel(
            "divergence on the task, nats",
            _Line("undecided", _pairs(curves.divergence)),
            is_thin=True,
        ),
        _Panel(
            "divergence on general prompts, nats",
            _Line("pass", _pairs(curves.general_divergence)),
            is_thin=True,
        ),
        _Panel("weight of replay", _Line("neutral", _pairs(curves.weight)), is_thin=True),
    ]
    return [panel for panel in panels if panel.curve.points]


def _pairs(points: Sequence[At]) -> tuple[tuple[float, float], ...]:
    """Return the points; more than `MOST_POINTS` are averaged in runs of equal length."""
    size = max(-(-len(points) // MOST_POINTS), 1)
    runs = [points[start : start + size] for start in range(0, len(points), size)]
    return tuple(
        (sum(p.step for p in run) / len(run), sum(p.value for p in run) / len(run)) for run in runs
    )


def _kept_line(points: Sequence[EstimateAt]) -> _Line:
    known = [(p.step, p.estimate) for p in points if p.estimate.mean is not None]
    return _Line(
        "pass",
        tuple((float(step), estimate.mean or 0.0) for step, estimate in known),
        tuple((float(step), estimate.low, estimate.high) for step, estimate in known),
    )


def _ends(panel: _Panel) -> tuple[float, float]:
    values = [y for _, y in panel.curve.points]
    values += [bound for _, *bounds in panel.curve.band for bound in bounds]
    values += [panel.guard] if panel.guard is not None else []
    low, high = min(values), max(values)
    spare = (high - low) * 0.08 or max(abs(high) * 0.1, 0.01)
    return low - spare, high + spare


def _drawn(panel: _Panel, across: Scale, y: float) -> Markup:
    top = y + _HEAD
    up = Scale(*_ends(panel), top + panel.height - 6, top)
    parts = [text(10, y + 15, panel.title, ink=Ink("muted", size=SMALL), width=across.end - 10)]
    for value in ticks(up.low, up.high, 2 if panel.is_thin else 3):
        height = up.at(value)
        parts.append(line((across.start, height), (across.end, height), kind="grid"))
        ink = Ink("muted", "end", SMALL)
        parts.append(text(across.start - 8, height + 4, f"{value:.4g}", ink=ink))
    if panel.guard is not None:
        guard = up.at(panel.guard)
        parts.append(line((across.start, guard), (across.end, guard), kind="limit"))
    parts.append(_curve(panel.curve, across, up))
    return element("g", {"data-testid": f"panel-{panel.title.split(',')[0]}"}, *parts)


def _curve(one: _Line, across: Scale, up: Scale) -> Markup:
    spots = [(across.at(x), up.at(y)) for x, y in one.points]
    parts: list[Markup] = []
    if len(one.band) > 1:
        above = [(across.at(x), up.at(high)) for x, _, high in one.band]
        below = [(across.at(x), up.at(low)) for x, low, _ in reversed(one.band)]
        area = {"class": f"m-{one.role} band", "points": _path([*above, *below])}
        parts.append(element("polygon", area))
    elif one.band:
        x, low, high = one.band[0]
        ends = (across.at(x), up.at(low)), (across.at(x), up.at(high))
        parts.append(line(*ends, kind=f"m-{one.role} interval"))
    if len(spots) > 1:
        style = f"stroke:var(--{one.role})"
        parts.append(
            element("polyline", {"class": "series", "points": _path(spots), "style": style})
        )
    if len(spots) <= _FEW:
        parts.extend(dot(x, y, kind=f"m-{one.role}", radius=2.5) for x, y in spots)
    return join(parts)


def _path(spots: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)


def _steps(across: Scale, y: float) -> Markup:
    parts = [line((across.start, y), (across.end, y), kind="axis")]
    for value in ticks(across.low, across.high, max(int((across.end - across.start) / 90), 2)):
        x = across.at(value)
        parts.append(line((x, y), (x, y + 4), kind="axis"))
        words = numbers.short_count(round(value)) if value == round(value) else f"{value:g}"
        parts.append(text(x, y + 19, words, ink=Ink("muted", "middle", SMALL)))
    middle = (across.start + across.end) / 2
    parts.append(text(middle, y + 38, "optimizer step", ink=Ink("muted", "middle", SMALL)))
    return join(parts)


def _star(x: float, ends: Point) -> Markup:
    return join(
        [
            line((x, ends[0]), (x, ends[1]), kind="bar-line"),
            text(x, ends[0] - 3, "★", ink=Ink("accent", "middle")),
        ]
    )


def _caption(curves: TrainingCurves, panels: Sequence[_Panel], name: str) -> Caption:
    words = [
        f"{panel.title} goes from {panel.curve.points[0][1]:.4g} to {panel.curve.points[-1][1]:.4g}"
        for panel in panels
    ]
    best = f" Best step: {curves.best_step}." if curves.best_step is not None else ""
    title = "Loss, dev metric and kept ability over the steps of the training"
    return Caption(name, title, f"{'; '.join(words) or 'Nothing was measured yet'}.{best}")
