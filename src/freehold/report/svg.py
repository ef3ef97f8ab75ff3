"""The pieces that every drawing is made of: text that fits, scales, axes, marks, the document.

Layout is computed from the content: the width of a text is estimated with the letter widths of a
wide sans-serif face, so that what fits here fits in the reader's own system face too.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from freehold.report.markup import Attribute, Markup, element, join, visible
from freehold.report.theme import drawing_css, tokens_css

SIZE = 13.0
SMALL = 12.0

_WIDTHS: tuple[tuple[str, float], ...] = (
    ("iljI|!'.,:;", 0.34),
    ('ftr()[]{}-/\\ "`', 0.42),
    ("mwMW%@…—", 0.98),
    ("+=<>≥≤≈→↔×−★✓✗", 0.86),
    ("ABCDEFGHKLNOPQRSTUVXYZ&", 0.74),
)
_OTHER = 0.64
_WIDE = 1.05
_MEASURED = 1_000
_CHARACTER_WIDTH = {character: width for group, width in _WIDTHS for character in group}


def text_width(text: str, size: float = SIZE) -> float:
    """Return an upper estimate of the width of `text` in pixels.

    Characters beyond the first `_MEASURED` are not looked at: what long before fits no drawing.
    """
    return size * sum(_character_width(character) for character in text[:_MEASURED])


def fit(text: str, width: float, size: float = SIZE) -> str:
    """Return `text` as one line that fits into `width` pixels, ending in `…` where it was cut."""
    flat = visible(" ".join(text[: 4 * _MEASURED].split()))
    if text_width(flat, size) <= width:
        return flat
    room = width - text_width("…", size)
    used = 0.0
    kept: list[str] = []
    for character in flat:
        used += size * _character_width(character)
        if used > room:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def wrap_text(text: str, width: float, *, size: float = SIZE, most: int = 3) -> tuple[str, ...]:
    """Return `text` in at most `most` lines of `width` pixels; the last one is cut where needed."""
    words = visible(" ".join(text[: 4 * _MEASURED].split())).split(" ")
    lines: list[str] = []
    current = words[0]
    for index, word in enumerate(words[1:], start=1):
        if text_width(f"{current} {word}", size) <= width:
            current = f"{current} {word}"
        elif len(lines) + 1 == most:
            current = " ".join([current, *words[index:]])
            break
        else:
            lines.append(current)
            current = word
    lines.append(current)
    return tuple(fit(line, width, size) for line in lines)


@dataclass(frozen=True)
class Ink:
    """How a text is drawn: its colour role, its anchor, its size, its weight."""

    role: str = ""
    anchor: str = "start"
    size: float = SIZE
    strong: bool = False


PLAIN = Ink()
MUTED = Ink(role="muted")
NOTE = Ink(role="muted", size=SMALL)


def text(
    x: float, y: float, content: str, *, ink: Ink = PLAIN, width: float | None = None
) -> Markup:
    """Return one line of text; cut to `width` pixels with the whole text as its title."""
    whole = visible(" ".join(content.split()))
    shown = whole if width is None else fit(whole, width, ink.size)
    classes = [f"t-{ink.role}"] if ink.role else []
    classes += ["small"] if ink.size < SIZE else []
    classes += ["strong"] if ink.strong else []
    attributes: dict[str, Attribute] = {
        "class": " ".join(classes) or None,
        "x": x,
        "y": y,
        "text-anchor": None if ink.anchor == "start" else ink.anchor,
    }
    if shown != whole:
        return element("text", attributes, element("title", {}, whole), shown)
    return element("text", attributes, shown)


Point: TypeAlias = tuple[float, float]


def line(start: Point, end: Point, *, kind: str) -> Markup:
    """Return a straight line of a kind that the theme knows."""
    return element(
        "line", {"class": kind, "x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
    )


def box(corner: Point, size: Point, *, kind: str, round: float = 0) -> Markup:
    """Return a rectangle, from its upper left corner, of a kind that the theme knows."""
    attributes: dict[str, Attribute] = {
        "class": kind,
        "x": corner[0],
        "y": corner[1],
        "width": max(size[0], 0.0),
        "height": max(size[1], 0.0),
        "rx": round or None,
    }
    return element("rect", attributes)


def dot(x: float, y: float, *, kind: str, radius: float = 5.0) -> Markup:
    """Return a filled circle with a thin edge in the colour of the card."""
    return element("circle", {"class": kind, "cx": x, "cy": y, "r": radius})


@dataclass(frozen=True)
class Scale:
    """A way from values to pixels: linear, or logarithmic with base 10."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value; values outside the domain are drawn at its end."""
        clamped = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(clamped / self.low) / math.log(self.high / self.low)
        else:
            share = (clamped - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def share_domain(values: Sequence[float], *, least_span: float = 0.2) -> tuple[float, float]:
    """Return round ends in [0, 1] around `values`."""
    low = math.floor(min(values) * 10 - 0.2) / 10
    high = math.ceil(max(values) * 10 + 0.2) / 10
    low, high = max(low, 0.0), min(high, 1.0)
    if high - low < least_span:
        low = max(high - least_span, 0.0)
        high = min(low + least_span, 1.0)
    return low, high


def ticks(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """Return at most about `most` round values from `low` to `high`."""
    span = high - low
    if span <= 0:
        return (low,)
    rough = span / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(index * step, 10) for index in range(first, last + 1))


def grid_lines(scale: Scale, ends: Point, values: Sequence[float]) -> Markup:
    """Return vertical lines at `values`, from the first to the second height of `ends`."""
    top, bottom = ends
    return join(
        line((scale.at(value), top), (scale.at(value), bottom), kind="grid") for value in values
    )


def tick_labels(
    scale: Scale, y: float, *, write: Callable[[float], str], values: Sequence[float]
) -> Markup:
    """Return `values` written below a horizontal scale."""
    ink = Ink("muted", "middle", SMALL)
    return join(text(scale.at(value), y + 17, write(value), ink=ink) for value in values)


def share_ticks(scale: Scale) -> tuple[float, ...]:
    """Return as many round values as have room below a horizontal scale."""
    return ticks(scale.low, scale.high, max(int((scale.end - scale.start) / 60), 2))


def interval_mark(
    scale: Scale, y: float, *, bounds: tuple[float, float], mean: float | None, role: str
) -> Markup:
    """Return a horizontal interval with its ends, and the mean as a dot."""
    low, high = (scale.at(value) for value in bounds)
    parts = [line((low, y), (high, y), kind=f"m-{role} interval")]
    if mean is not None:
        parts.append(dot(scale.at(mean), y, kind=f"m-{role} halo", radius=6))
    return join(parts)


def hatching(corner: Point, size: Point) -> Markup:
    """Return slanted lines over a rectangle: too few examples to judge."""
    (x, y), (width, height) = corner, size
    parts: list[str] = []
    offset = -height
    while offset < width:
        begin, end = max(offset, 0.0), min(offset + height, width)
        if end > begin:
            foot = (x + begin, y + height - (begin - offset))
            parts.append(line(foot, (x + end, y + height - (end - offset)), kind="hatch"))
        offset += 7.0
    return element("g", {"class": "hatching"}, *parts)


@dataclass(frozen=True)
class Caption:
    """What names a drawing: its stable id, a title, and a description in words."""

    name: str
    title: str
    description: str


def drawing(caption: Caption, width: float, height: float, *parts: str) -> Markup:
    """Return an SVG element with its title and description, that scales down to its container."""
    attributes: dict[str, Attribute] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "class": "fh",
        "data-testid": caption.name,
        "viewBox": f"0 0 {math.ceil(width)} {math.ceil(height)}",
        "width": math.ceil(width),
        "height": math.ceil(height),
        "role": "img",
        "aria-labelledby": f"{caption.name}-title {caption.name}-desc",
    }
    return element(
        "svg",
        attributes,
        element("title", {"id": f"{caption.name}-title"}, caption.title),
        element("desc", {"id": f"{caption.name}-desc"}, caption.description),
        *parts,
    )


def standalone(svg: Markup) -> str:
    """Return a drawing as a file of its own: the same SVG with its colours and type inside."""
    style = Markup(f"<style>{tokens_css()}{drawing_css()}</style>")
    opening, closing, rest = svg.partition("</desc>")
    return f"{opening}{closing}{style}{rest}\n"


def _character_width(character: str) -> float:
    known = _CHARACTER_WIDTH.get(character)
    if known is not None:
        return known
    if character < "\u0300":
        return _OTHER
    if unicodedata.combining(character) or character in "\u200d\ufe0f":
        return 0.0
    return _WIDE if character >= "\u1100" else 0.75
