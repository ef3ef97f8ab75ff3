"""Why answers are wrong, by rung: stacked bars with the causes written on them."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.core.measure import Climb, RungResult
from freehold.report import findings, numbers
from freehold.report.markup import Markup, element, join
from freehold.report.svg import (
    SMALL,
    Caption,
    Ink,
    Scale,
    drawing,
    text,
    text_width,
)
from freehold.report.theme import CAUSE_FILLS

_PAD = 10.0
_GAP = 16.0
_ROW = 34.0
_BAR = 22.0
_NARROW = 560


def causes_by_rung(climb: Climb, *, width: int = 880, name: str = "causes") -> Markup:
    """Return the causes of wrong answers by rung, as counts; the same cause has the same colour.

    A label stands on its part of the bar where it fits; every part has a title, and the legend
    names every cause that occurs, most frequent first.
    """
    rungs = [result for result in findings.measured(climb) if result.quality is not None]
    order = _order(rungs)
    top, legend = _legend(order, width)
    most = max([1, *(findings.wrong_count(result) for result in rungs)])
    narrow = width < _NARROW
    label_width = max([40.0, *(text_width(result.rung) for result in rungs)])
    label_width = 0.0 if narrow else min(label_width, 150.0)
    ends = [_end_words(result) for result in rungs]
    words_width = 0.0 if narrow else max([0.0, *(text_width(words) for words in ends)])
    start = _PAD + label_width + (0 if narrow else _GAP)
    scale = Scale(0.0, float(most), start, width - _PAD - words_width - (0 if narrow else _GAP))
    height = _ROW + 18 if narrow else _ROW
    rows: list[Markup] = []
    for index, (result, words) in enumerate(zip(rungs, ends, strict=True)):
        y = top + height * index
        bar_y = y + 20 if narrow else y + (_ROW - _BAR) / 2
        base = y + 14 if narrow else y + _ROW / 2 + 4.5
        room = width - 2 * _PAD - text_width(words) - _GAP if narrow else label_width
        rows.append(
            element(
                "g",
                {"data-testid": f"{name}-row-{result.rung}"},
                text(_PAD, base, result.rung, width=room),
                _bar(result, order, scale=scale, y=bar_y),
                text(width - _PAD, base, words, ink=Ink("muted", "end")),
            )
        )
    words = "; ".join(f"{r.rung}: {findings.causes_text(r) or 'none'}" for r in rungs)
    caption = Caption(name, "Causes of wrong answers, by rung", f"{words}.")
    return drawing(caption, width, top + height * len(rungs) + 6, legend, join(rows))


def _order(rungs: Sequence[RungResult]) -> tuple[str, ...]:
    totals: dict[str, int] = {}
    for result in rungs:
        for cause, times in result.causes.items():
            totals[cause] = totals.get(cause, 0) + times
    return tuple(sorted(totals, key=lambda cause: (-totals[cause], cause)))


def _end_words(result: RungResult) -> str:
    wrong = findings.wrong_count(result)
    if not result.evaluated:
        return f"{numbers.count(wrong)} wrong"
    share = numbers.percent(round(wrong / result.evaluated, 2))
    return f"{numbers.count(wrong)} wrong, {share}"


def _legend(order: Sequence[str], width: float) -> tuple[float, Markup]:
    parts: list[Markup] = []
    x, y = _PAD, 16.0
    for cause in order:
        needed = 18 + text_width(_words(cause), SMALL) + 14
        if x + needed > width - _PAD and x > _PAD:
            x, y = _PAD, y + 20
        parts.append(_swatch(cause, x, y - 10, width=12))
        parts.append(text(x + 18, y, _words(cause), ink=Ink("muted", size=SMALL)))
        x += needed
    return y + 12, join(parts)


def _swatch(cause: str, x: float, y: float, *, width: float, height: float = 12) -> Markup:
    fill = CAUSE_FILLS.get(cause, CAUSE_FILLS["other"])
    return element(
        "rect", {"fill": fill, "x": x, "y": y, "width": width, "height": height, "rx": 2.0}
    )


def _bar(result: RungResult, order: Sequence[str], *, scale: Scale, y: float) -> Markup:
    parts: list[Markup] = []
    done = 0
    for cause in order:
        times = result.causes.get(cause, 0)
        if not times:
            continue
        x, end = scale.at(done), scale.at(done + times)
        done += times
        width = max(end - x - 1, 1.0)
        title = element("title", {}, f"{result.rung}: {_words(cause)} {times}")
        label = _fitting(f"{_words(cause)} {times}", str(times), width - 8)
        words = text(x + 6, y + 15.5, label, ink=Ink("on", size=SMALL)) if label else Markup()
        parts.append(element("g", {}, title, _swatch(cause, x, y, width=width, height=_BAR), words))
    return join(parts)


def _fitting(long: str, short: str, width: float) -> str:
    for label in (long, short):
        if text_width(label, SMALL) <= width:
            return label
    return ""


def _words(cause: str) -> str:
    return cause.replace("_", " ")
