"""How numbers are written, in one place: terminal, page, Markdown and SVG all call these.

Shares carry three digits (`0.855`), bounds drop the leading zero (`.817`), differences carry their
sign, an unknown is `–` and never 0. Durations name at most two units.
"""

from __future__ import annotations

import math

from freehold.core.measure import Difference, Estimate

UNKNOWN = "–"
_MINUTE = 60
_HOUR = 3600
_DAY = 86400


def share(value: float | None) -> str:
    """Return a share with its leading zero and three digits: `0.855`."""
    return UNKNOWN if value is None else f"{value:.3f}"


def bar_value(value: float) -> str:
    """Return a bar as people set it: two digits, or three where two would change it."""
    two = f"{value:.2f}"
    return two if math.isclose(float(two), value, abs_tol=1e-9) else f"{value:.4g}"


def bound(value: float | None) -> str:
    """Return the bound of an interval in four characters: `.817`, `1.00`."""
    if value is None:
        return UNKNOWN
    text = f"{value:.3f}"
    return text[:4] if value >= 0.9995 else text.removeprefix("0")


def interval(low: float, high: float) -> str:
    """Return `[.817 .886]`."""
    return f"[{bound(low)} {bound(high)}]"


def estimate(value: Estimate | None) -> str:
    """Return a mean with its interval: `0.855 [.817 .886]`."""
    if value is None:
        return UNKNOWN
    return f"{share(value.mean)} {interval(value.low, value.high)}"


def estimate_n(value: Estimate | None) -> str:
    """Return a mean with its interval and size: `0.855 [.817 .886] n=400, 3 failed`."""
    if value is None:
        return UNKNOWN
    failed = f", {count(value.failed)} failed" if value.failed else ""
    return f"{estimate(value)} n={count(value.n)}{failed}"


def signed(value: float) -> str:
    """Return a signed share without its leading zero: `-.030`, `+1.00`."""
    rounded = round(value, 3) + 0.0
    sign = "-" if rounded < 0 else "+"
    return sign + bound(abs(rounded))


def difference(value: Difference | None) -> str:
    """Return a paired difference with its interval: `-.030 [-.077 +.017]`."""
    if value is None:
        return UNKNOWN
    return f"{signed(value.mean)} [{signed(value.low)} {signed(value.high)}]"


def difference_mark(value: Difference | None) -> str:
    """Return `≈` where the interval of a difference includes zero, else a space."""
    return " " if value is None or value.is_clear else "≈"


def signed_points(value: float) -> str:
    """Return a difference of shares in points: `+8.0`."""
    rounded = round(value * 100, 1) + 0.0
    return f"{rounded:+.1f}"


def points(value: Difference) -> str:
    """Return a paired difference in points with its interval: `+8.0 points [+4.6 +11.4]`."""
    bounds = f"[{signed_points(value.low)} {signed_points(value.high)}]"
    return f"{signed_points(value.mean)} points {bounds}"


def plural_points(value: float) -> str:
    """Return a number of points with its noun, to one decimal: `1 point`, `1.5 points`."""
    shown = f"{round(value, 1):g}"
    return f"{shown} point" if shown == "1" else f"{shown} points"


def p_value(value: float) -> str:
    """Return `p<.001`, `p=.24` or `p=1`."""
    if value < 0.001:
        return "p<.001"
    text = f"{value:.2g}" if value < 0.995 else "1"
    return "p=" + text.removeprefix("0")


def count(value: int | None) -> str:
    """Return a count with thousands separators: `5,124`."""
    return UNKNOWN if value is None else f"{value:,}"


def short_count(value: int) -> str:
    """Return a large count in few characters: `200k`, `1.5M`; exact below 10,000."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if value >= size and value >= 10_000:
            return f"{value / size:.3g}{unit}"
    return count(value)


def plural(value: int, noun: str) -> str:
    """Return a count with its noun: `1 rung`, `2 rungs`."""
    return f"{count(value)} {noun}" if value == 1 else f"{count(value)} {noun}s"


def amount(value: float | None) -> str:
    """Return dollars without the sign: `1,204`, `0.31`, `0.0046`, `<0.0001`.

    Below a cent two digits count; below a hundredth of a cent the amount itself is not said.
    """
    if value is None:
        return UNKNOWN
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 0.01 or value == 0:
        return f"{value:.2f}"
    if value < 0.0001:
        return "<0.0001"
    digits = 1 - math.floor(math.log10(value))
    return f"{value:.{digits}f}"


def money(value: float | None) -> str:
    """Return dollars: `$1,204`, `$0.31`, `<$0.0001`."""
    text = amount(value)
    if value is None:
        return text
    return f"<${text[1:]}" if text.startswith("<") else f"${text}"


def money_per_1k(value: float | None) -> str:
    """Return dollars for 1,000 requests: `$0.31/1k`."""
    return UNKNOWN if value is None else f"{money(value)}/1k"


def latency(seconds: float | None) -> str:
    """Return the time of one request: `0.12s`, `4ms`, `12.3s`, `1:05`."""
    if seconds is None:
        return UNKNOWN
    if seconds >= _MINUTE:
        return clock(seconds)
    if seconds >= 9.995:
        return f"{seconds:.1f}s"
    if seconds >= 0.00995 or seconds == 0:
        return f"{seconds:.2f}s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f}ms" if milliseconds >= 0.95 else f"{milliseconds:.1g}ms"


def clock(seconds: float | None) -> str:
    """Return a duration as minutes and seconds: `58:40`; from an hour `1 h 06 min`."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole >= _DAY:
        return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"
    if whole >= _HOUR:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _MINUTE}:{whole % _MINUTE:02d}"


def rough(seconds: float | None) -> str:
    """Return a duration that is an estimate: `0:48`, `62 min`, `3 h 10 min`."""
    if seconds is None:
        return UNKNOWN
    if 10 * _MINUTE <= seconds < 2 * _HOUR:
        return f"{round(seconds / _MINUTE)} min"
    return clock(seconds)


def size(value: int) -> str:
    """Return a number of bytes in decimal units: `212 kB`, `6.2 MB`."""
    for limit, unit in ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")):
        if value >= limit:
            scaled = value / limit
            return f"{scaled:.1f} {unit}" if scaled < 10 else f"{scaled:.0f} {unit}"
    return f"{value} B"


def percent(value: float) -> str:
    """Return a share as a whole percentage: `95 %`."""
    scaled = value * 100
    return f"{scaled:.0f} %" if abs(scaled - round(scaled)) < 0.05 else f"{scaled:.1f} %"


def coefficient(value: float | None, low: float, high: float) -> str:
    """Return a coefficient in [-1, 1] with its interval, in two digits: `0.91 [.84 .97]`."""
    if value is None:
        return UNKNOWN
    return f"{value:.2f} [{_short(low)} {_short(high)}]"


def _short(value: float) -> str:
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text
