"""What a report says about a climb beyond its numbers: which bar fails, which errors lead, which slice is weak.

Everything here is pure, and every surface (terminal, page, Markdown) says the same words.
"""

from __future__ import annotations

from collections.abc import Mapping

from freehold.core.measure import Climb, Estimate, RungResult, Verdict
from freehold.core.sections import Bar
from freehold.core.task import Task
from freehold.report import numbers

FEW = 30
"""A slice below this size is drawn hatched and is too small to judge."""

GLYPHS: Mapping[Verdict, str] = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.UNDECIDED: "?",
    Verdict.SKIPPED: "–",
    Verdict.ERROR: "!",
}

_LABEL_LENGTH = 24


def measured(climb: Climb) -> tuple[RungResult, ...]:
    """Return the rungs that were measured, in ladder order."""
    return tuple(result for result in climb.rungs if result.state == "measured")


def subject(climb: Climb) -> RungResult | None:
    """Return the rung that details are shown of: the recommended one, else the best one measured."""
    if climb.recommended is not None:
        return climb.rung(climb.recommended)
    scored = [r for r in measured(climb) if r.quality is not None and r.quality.mean is not None]
    return max(scored, key=_mean_quality, default=None)


def verdict_glyph(result: RungResult, recommended: str | None) -> str:
    """Return the glyph of a verdict; the recommended rung has a star."""
    return "★" if result.rung == recommended else GLYPHS[result.verdict]


def verdict_text(result: RungResult, recommended: str | None) -> str:
    """Return the verdict with its glyph: `✓ PASS`, `★ PASS`, `? UNDECIDED`."""
    return f"{verdict_glyph(result, recommended)} {result.verdict.value}"


def missed_bar(result: RungResult, bar: Bar) -> str:
    """Return which bar a FAIL missed, where it was not quality: `kept`, `p95` or `cost`; else ``."""
    if result.verdict is not Verdict.FAIL:
        return ""
    if result.quality is None or result.quality.high < bar.quality:
        return ""
    if result.kept is not None and result.kept.ratio.high < bar.kept:
        return "kept"
    if _above(result.seconds_p95, bar.seconds_p95):
        return "p95"
    per_1k = result.cost.dollars_per_1k if result.cost else None
    return "cost" if _above(per_1k, bar.dollars_per_1k) else ""


def caveat(result: RungResult, climb: Climb, bar: Bar) -> str:
    """Return what an UNDECIDED lacks, in a few words; `` for every other verdict."""
    if result.verdict is not Verdict.UNDECIDED:
        return ""
    parts = [result.reason] if result.reason else []
    if not parts and _clears(result, bar):
        parts.append(f"{numbers.plural(len(measured(climb)), 'rung')} judged together")
    if result.need_more is not None and not any("more" in part for part in parts):
        parts.append(f"need ≈ {numbers.count(result.need_more)} more examples")
    return "; ".join(parts)


def stopped_text(result: RungResult) -> str:
    """Return why a raced rung evaluated no more examples: `stopped: passed after 120 of 400`; else ``."""
    because = result.stopped_because
    if because is None or result.planned is None or result.evaluated >= result.planned:
        return ""
    return "" if result.reason and because in result.reason else f"stopped: {because}"


def failed_count(climb: Climb) -> int:
    """Return how many test examples gave no score, over all rungs."""
    return sum(r.quality.failed for r in measured(climb) if r.quality is not None)


def evaluated(climb: Climb) -> int:
    """Return how many test examples the rung with the most of them was measured on."""
    return max((result.evaluated for result in climb.rungs), default=0)


def test_size(climb: Climb) -> str:
    """Return the number of test examples: `n=400`, or `n≤400` where rungs stopped before the last."""
    planned = max((result.planned or 0 for result in climb.rungs), default=0)
    if planned and any(result.evaluated < planned for result in measured(climb)):
        return f"n≤{numbers.count(planned)}"
    return f"n={numbers.count(evaluated(climb))}"


def spent_dollars(climb: Climb, task: Task) -> float:
    """Return what the climb cost in machine time, at the stated price of a machine-hour."""
    return climb.seconds / 3600 * task.prices.dollars_per_machine_hour


def all_dollars(climb: Climb, task: Task) -> float:
    """Return what the climb cost in machine time, and in tokens of endpoints."""
    return spent_dollars(climb, task) + climb.endpoint_dollars


def why_parts(sentence: str) -> tuple[str, str]:
    """Split a sentence of `why` into a short label and its text: `vs lora: ...`; the label may be ``."""
    label, separator, rest = sentence.partition(": ")
    if separator and len(label) <= 12 and len(label.split()) <= 2:
        return label, rest
    return "", sentence


def wrong_count(result: RungResult) -> int:
    """Return how many answers of a rung were wrong or failed, by the causes found."""
    return sum(result.causes.values())


def causes_text(result: RungResult) -> str:
    """Return the causes of wrong answers, most frequent first, with the most frequent confusion."""
    ordered = sorted(result.causes.items(), key=lambda item: (-item[1], item[0]))
    pair = confusion_text(result)
    words: list[str] = []
    for cause, times in ordered:
        detail = f" ({pair})" if cause == "confused" and pair else ""
        words.append(f"{cause} {numbers.count(times)}{detail}")
    return " · ".join(words)


def confusion_text(result: RungResult) -> str:
    """Return the most frequent confusion, `billing↔refunds 21`; `→` where it goes one way only."""
    totals: dict[tuple[str, str], list[int]] = {}
    for wanted, answered, times in result.confusions:
        key = (min(wanted, answered), max(wanted, answered))
        forth_and_back = totals.setdefault(key, [0, 0])
        forth_and_back[0 if wanted == key[0] else 1] += times
    if not totals:
        return ""
    (one, other), (forth, back) = max(totals.items(), key=lambda item: (sum(item[1]), item[0]))
    if forth and back:
        arrow = "↔"
    else:
        arrow = "→"
        one, other = (one, other) if forth else (other, one)
    return f"{clip(one, _LABEL_LENGTH)}{arrow}{clip(other, _LABEL_LENGTH)} {forth + back}"


def confusion_pairs(result: RungResult, *, most: int = 3) -> str:
    """Return the most frequent confusions of a rung, `billing→refunds 12`, most frequent first."""
    return ", ".join(
        f"{clip(wanted, _LABEL_LENGTH)}→{clip(answered, _LABEL_LENGTH)} {numbers.count(times)}"
        for wanted, answered, times in result.confusions[:most]
    )


def stability_text(result: RungResult) -> str:
    """Return what asking again in other words showed; `` where nothing was asked again."""
    found = result.stability
    if found is None:
        return ""
    wrong = f"{numbers.count(len(found.unstable))} of {numbers.count(found.wrong)} wrong"
    part = f" (of {numbers.count(found.wrong_in_all)})" if found.wrong < found.wrong_in_all else ""
    right = (
        f", {numbers.count(found.right_changed)} of {numbers.count(found.right)} right"
        if found.right
        else ""
    )
    return f"{wrong}{part}{right} answers change"


def cause_changes(result: RungResult, before: RungResult | None) -> str:
    """Return how the causes moved since the rung before, `format 84 → 0`, the largest change first.

    `` where there is none before, or where the two did not answer equally many examples.
    """
    if before is None or before.evaluated != result.evaluated:
        return ""
    moved = {
        cause: (before.causes.get(cause, 0), result.causes.get(cause, 0))
        for cause in before.causes.keys() | result.causes.keys()
    }
    ordered = sorted(moved.items(), key=lambda item: (-abs(item[1][0] - item[1][1]), item[0]))
    return ", ".join(
        f"{cause.replace('_', ' ')} {numbers.count(was)} → {numbers.count(now)}"
        for cause, (was, now) in ordered
        if was != now
    )


def weakest_slice(result: RungResult) -> tuple[str, Estimate] | None:
    """Return the slice with the lowest mean, of those large enough to judge; else of all of them."""
    scored = {name: e for name, e in result.slices.items() if e.mean is not None}
    large = {name: e for name, e in scored.items() if e.n >= FEW}
    candidates = large or scored
    return min(candidates.items(), key=lambda item: (item[1].mean or 0.0, item[0]), default=None)


def slice_text(name: str, value: Estimate) -> str:
    """Return a slice with its estimate, and a warning where it is too small to judge."""
    few = ", too few to judge" if value.n < FEW else ""
    return f"{clip(name, 40)} {numbers.estimate_n(value)}{few}"


def audit_text(climb: Climb) -> str:
    """Return what the audit split said about the recommended rung; `` where it was not asked."""
    audit = climb.audit
    if audit is None:
        return ""
    agrees = "agrees" if audit.agrees else "contradicts the verdict"
    rows = numbers.plural(audit.estimate.n + audit.estimate.failed, "unseen row")
    return f"scored once on {rows}: {numbers.estimate(audit.estimate)}, {agrees}"


def bar_text(bar: Bar) -> str:
    """Return every bar in force: `quality ≥ 0.80, kept ≥ 0.97, p95 ≤ 1.00s`."""
    parts = [f"quality ≥ {numbers.bar_value(bar.quality)}", f"kept ≥ {numbers.bar_value(bar.kept)}"]
    if bar.seconds_p95 is not None:
        parts.append(f"p95 ≤ {numbers.latency(bar.seconds_p95)}")
    if bar.dollars_per_1k is not None:
        parts.append(f"cost ≤ {numbers.money_per_1k(bar.dollars_per_1k)}")
    return ", ".join(parts)


def clip(text: str, length: int) -> str:
    """Return `text` in one line of at most `length` characters, with `…` where it was cut."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: max(length - 1, 0)] + "…"


def _mean_quality(result: RungResult) -> float:
    quality = result.quality
    return -1.0 if quality is None or quality.mean is None else quality.mean


def _above(value: float | None, ceiling: float | None) -> bool:
    return value is not None and ceiling is not None and value > ceiling


def _clears(result: RungResult, bar: Bar) -> bool:
    quality_holds = result.quality is not None and result.quality.low >= bar.quality
    kept_holds = result.kept is None or result.kept.ratio.low >= bar.kept
    return quality_holds and kept_holds
