"""The recommendation in words: which rung, why, and what to do where none meets the bar."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from freehold.core.measure import Cost, Difference, Estimate, RungResult, Verdict
from freehold.core.sections import Bar, Volume
from freehold.ladder.cost import break_even
from freehold.report import numbers

UNTRAINED_RUNGS = frozenset({"baseline", "zero_shot", "few_shot", "structured", "retrieve"})
"""Rungs that change no model's weights: where one of them is recommended, fine-tuning is not."""

Paired: TypeAlias = Callable[[str, str], Difference | None]
"""The paired difference of two rungs' quality, first minus second; None where none exists."""

_MANY_TIMES = 10.0


@dataclass(frozen=True)
class Recommendation:
    """The rung to use, or None, and why: a sentence, then lines, most of which begin `label: `."""

    rung: str | None
    why: tuple[str, ...]


def recommend(
    rungs: Sequence[RungResult], *, bar: Bar, volume: Volume, paired: Paired
) -> Recommendation:
    """Return the PASS with the lowest total cost over the horizon, and why; the lower rung on a tie.

    Without a PASS the rung is None, and the lines say what to do next: more labels and how many, a
    stronger base, or a lower bar.

    Args:
        rungs: all of the climb, in ladder order.
        bar: what counts as good enough.
        volume: how often the task is asked, for the lines about cost.
        paired: the paired difference of two rungs, first minus second.
    """
    passed = [rung for rung in rungs if rung.verdict is Verdict.PASS]
    if not passed:
        return Recommendation(None, _without_a_pass(rungs, bar))
    best = min(passed, key=_total)
    others = _neighbours(best, rungs)
    lines = [_headline(best, bar)]
    if best.rung in UNTRAINED_RUNGS:
        lines.append(f"Do not fine-tune: {best.rung} meets the bar without training a model")
    lines.extend(_versus(best, other, paired(best.rung, other.rung)) for other in others)
    lines.append(_volume_line(best, others, volume))
    lines.extend(_cheaper_undecided(best, rungs))
    return Recommendation(best.rung, tuple(line for line in lines if line))


def contradicted(result: RungResult, audit: Estimate, *, bar: Bar) -> Recommendation:
    """Return what to say of the rung that passed on test and that the audit rows contradict.

    Nothing is recommended: a second rung scored on the same audit rows would be a second look.
    """
    rows = numbers.plural(audit.n, "unseen row")
    found = f"{numbers.estimate(audit)} on {rows}, below {numbers.bar_value(bar.quality)}"
    return Recommendation(
        None,
        (
            f"{result.rung} passed on the test examples, but the audit contradicts it: {found}",
            "labels: add examples that nothing was decided with, and climb again",
        ),
    )


def _headline(best: RungResult, bar: Bar) -> str:
    parts: list[str] = []
    if best.quality is not None:
        parts.append(f"{numbers.bound(best.quality.low)} ≥ {numbers.bar_value(bar.quality)}")
    if best.kept is not None:
        low = numbers.bound(best.kept.ratio.low)
        parts.append(f"kept {low} ≥ {numbers.bar_value(bar.kept)}")
    if bar.seconds_p95 is not None:
        limit = numbers.latency(bar.seconds_p95)
        parts.append(f"p95 {numbers.latency(best.seconds_p95)} ≤ {limit}")
    if bar.dollars_per_1k is not None and best.cost is not None:
        limit = numbers.money_per_1k(bar.dollars_per_1k)
        parts.append(f"{numbers.money_per_1k(best.cost.dollars_per_1k)} ≤ {limit}")
    return f"{best.rung} is the cheapest rung that meets the bar: {', '.join(parts)}"


def _neighbours(best: RungResult, rungs: Sequence[RungResult]) -> tuple[RungResult, ...]:
    """Return the next better rung and the next cheaper one, where they exist.

    The next better is the PASS nearest above in quality (any other PASS where none is above); the
    next cheaper is the dearest of the rungs that cost less in all.
    """
    others = [r for r in rungs if r.state == "measured" and r.rung != best.rung]
    passed = [rung for rung in others if rung.verdict is Verdict.PASS]
    above = [rung for rung in passed if _mean(rung) >= _mean(best)]
    better = min(above, key=_mean) if above else max(passed, key=_mean, default=None)
    cheaper = max((r for r in others if _total(r) < _total(best)), key=_total, default=None)
    return tuple(rung for rung in (better, cheaper) if rung is not None)


def _versus(best: RungResult, other: RungResult, difference: Difference | None) -> str:
    parts: list[str] = []
    if difference is not None:
        low, high = (numbers.signed_points(bound) for bound in (difference.low, difference.high))
        gap = abs(difference.mean) * 100
        word = "higher" if difference.mean > 0 else "lower"
        distance = f"{gap:.1f} points {word}" if difference.mean else "the same quality"
        parts.append(f"{distance} [{low} {high}] {numbers.p_value(difference.p_value)}")
    if best.cost is not None and other.cost is not None:
        ours, theirs = best.cost.dollars_per_1k, other.cost.dollars_per_1k
        parts.append(_ratio(ours, theirs, less="cheaper a request", more="dearer a request"))
    if best.seconds_p95 and other.seconds_p95:
        faster = other.seconds_p95 / best.seconds_p95
        parts.append(_times(faster, "faster") if faster >= 1 else _times(1 / faster, "slower"))
    said = ", ".join(part for part in parts if part)
    return f"vs {other.rung}: {said}" if said else ""


def _ratio(ours: float, theirs: float, *, less: str, more: str) -> str:
    if ours <= 0 or theirs <= 0:
        return ""
    times = max(ours, theirs) / min(ours, theirs)
    word = less if ours < theirs else more
    if times >= _MANY_TIMES:
        return _times(times, word)
    share = round(abs(ours / theirs - 1) * 100)
    return f"{share} % {word}" if share else "the same price a request"


def _times(times: float, word: str) -> str:
    if round(times, 1) == 1.0:
        return ""
    return f"{times:.0f}× {word}" if times >= _MANY_TIMES else f"{times:.1f}× {word}"


def _volume_line(best: RungResult, others: Sequence[RungResult], volume: Volume) -> str:
    if best.cost is None:
        return ""
    priced = [(other.rung, other.cost) for other in others if other.cost is not None]
    totals = [(best.rung, best.cost), *priced]
    sums = ", ".join(f"{name} {numbers.money(spent.total_dollars)}" for name, spent in totals)
    monthly = numbers.short_count(volume.requests_per_month)
    line = f"volume: {monthly}/month for {volume.horizon_months:g} months: {sums}"
    is_one = len(priced) == 1
    return line + "".join(
        _crossing(
            best.cost, spent, name=name, named="" if is_one else f" with {name}", volume=volume
        )
        for name, spent in priced
    )


def _crossing(ours: Cost, theirs: Cost, *, name: str, named: str, volume: Volume) -> str:
    """Say at how many requests over the horizon two rungs cost the same, or that one is cheaper at any."""
    requests = break_even(ours, theirs, volume=volume)
    if requests is not None:
        return f"; break-even{named} at {_rounded_requests(requests)}"
    if ours.total_dollars == theirs.total_dollars:
        return ""
    word = "cheaper" if ours.total_dollars < theirs.total_dollars else "dearer"
    return f"; {word} than {name} at every volume"


def _rounded_requests(requests: float) -> str:
    """Return a number of requests in two digits that count: nobody plans with more."""
    whole = max(1, math.ceil(requests))
    digits = max(0, len(str(whole)) - 2)
    return numbers.short_count(round(whole, -digits))


def _cheaper_undecided(best: RungResult, rungs: Sequence[RungResult]) -> list[str]:
    """Say which cheaper rungs might still pass: nobody should take them for failed."""
    return [
        f"undecided: {rung.rung} costs less and {_settles(rung)}"
        for rung in rungs
        if rung.verdict is Verdict.UNDECIDED and _total(rung) < _total(best)
    ]


def _settles(rung: RungResult) -> str:
    if rung.need_more is not None:
        return f"needs ≈ {numbers.count(rung.need_more)} more test examples to be settled"
    return f"is not settled: {rung.reason}" if rung.reason else "is not settled"


def _without_a_pass(rungs: Sequence[RungResult], bar: Bar) -> tuple[str, ...]:
    scored = [r for r in rungs if r.quality is not None and r.quality.mean is not None]
    if not scored:
        return (f"No rung was measured{_first_reason(rungs)}",)
    best = max(scored, key=_mean)
    wanted = numbers.bar_value(bar.quality)
    is_open = any(rung.verdict is Verdict.UNDECIDED for rung in rungs)
    claim = "No rung is shown to meet the bar" if is_open else "No rung meets the bar"
    lines = [f"{claim}: the best is {best.rung}, {_against(best, wanted)}"]
    lines.extend(_more_labels(scored, bar))
    if best.quality is not None and best.quality.high < bar.quality:
        lines.append(
            f"base: {best.rung} is {(bar.quality - _mean(best)) * 100:.1f} points short;"
            " a stronger base model (models.base.id) or better examples are needed"
        )
    lines.extend(_lower_bar(scored, bar))
    return tuple(lines)


def _against(rung: RungResult, wanted: str) -> str:
    reason = f" ({rung.reason})" if rung.reason else ""
    return f"{numbers.estimate_n(rung.quality)} against {wanted}{reason}"


def _more_labels(scored: Sequence[RungResult], bar: Bar) -> list[str]:
    """Say how many more labels settle the rung that needs the fewest, of those above the bar."""
    open_rungs = [
        (rung.need_more, rung)
        for rung in scored
        if rung.verdict is Verdict.UNDECIDED
        and rung.need_more is not None
        and _mean(rung) >= bar.quality
    ]
    if not open_rungs:
        return []
    further, rung = min(open_rungs, key=lambda pair: pair[0])
    return [
        f"labels: ≈ {numbers.count(further)} more test examples show that {rung.rung} meets the bar,"
        f" if its quality stays at {numbers.share(_mean(rung))}"
    ]


def _lower_bar(scored: Sequence[RungResult], bar: Bar) -> list[str]:
    """Name the bar that the evidence supports: the highest lower bound of quality, rounded down."""
    supported = [
        (math.floor(rung.quality.low * 100) / 100, rung.rung)
        for rung in scored
        if rung.quality is not None and _only_quality_misses(rung, bar)
    ]
    if not supported:
        return []
    level, name = max(supported, key=lambda pair: pair[0])
    if level <= 0 or level >= bar.quality:
        return []
    return [f"bar: the evidence supports quality ≥ {numbers.bar_value(level)}, with {name}"]


def _only_quality_misses(rung: RungResult, bar: Bar) -> bool:
    per_1k = rung.cost.dollars_per_1k if rung.cost else None
    return (
        (rung.kept is None or rung.kept.ratio.low >= bar.kept)
        and _under(rung.seconds_p95, bar.seconds_p95)
        and _under(per_1k, bar.dollars_per_1k)
    )


def _under(measured: float | None, ceiling: float | None) -> bool:
    return ceiling is None or (measured is not None and measured <= ceiling)


def _first_reason(rungs: Sequence[RungResult]) -> str:
    for rung in rungs:
        if rung.reason:
            return f": {rung.rung} {rung.reason}"
    return ""


def _mean(rung: RungResult) -> float:
    quality: Estimate | None = rung.quality
    return -1.0 if quality is None or quality.mean is None else quality.mean


def _total(rung: RungResult) -> float:
    spent: Cost | None = rung.cost
    return math.inf if spent is None else spent.total_dollars
