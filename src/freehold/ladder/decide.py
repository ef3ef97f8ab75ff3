"""From measurements to verdicts and a recommendation: pure functions (decide.md 3 and 4).

The claim is one sentence: this rung is the cheapest that meets the bar. All rungs that were looked
at are judged together, so that the chance of calling any rung PASS that is below the bar stays at
most 1 - confidence for the whole ladder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.measure import Estimate, HumanJudged, Kept, Verdict
from freehold.core.sections import Bar
from freehold.evaluate.estimates import Evidence
from freehold.evaluate.probes import kept_p_value
from freehold.evaluate.statistics import (
    NEED_MORE_CEILING,
    binomial_p_value,
    holm,
    need_more,
)
from freehold.ladder.cost import break_even, total_cost
from freehold.ladder.recommend import Paired, Recommendation, contradicted, recommend
from freehold.report import numbers

__all__ = [
    "Contender",
    "Judgement",
    "Paired",
    "Recommendation",
    "after_audit",
    "audit_agrees",
    "break_even",
    "contradicted",
    "judge",
    "recommend",
    "total_cost",
]


@dataclass(frozen=True)
class Contender:
    """What a verdict on one rung rests on.

    `kept` is None for a rung without a language model. `seconds_p95` and `dollars_per_1k` are
    measured values; None where they were not measured. `least_dollars_per_1k` is what a request may
    still turn out to cost while a race is on; a verdict does not ask for it.
    """

    rung: str
    evidence: Evidence
    kept: Kept | None = None
    seconds_p95: float | None = None
    dollars_per_1k: float | None = None
    least_dollars_per_1k: float | None = None


@dataclass(frozen=True)
class Judgement:
    """A verdict, what it hangs on in a few words, and how many further examples would settle it.

    `need_more` is None where the verdict is settled, where test examples cannot settle it (the
    reason says what would), and where no practical number would.
    """

    verdict: Verdict
    reason: str | None = None
    need_more: int | None = None


_HOLDS = Judgement(Verdict.PASS)
_ROUNDING = 1e-9


def judge(contenders: Sequence[Contender], *, bar: Bar, rungs: int = 0) -> tuple[Judgement, ...]:
    """Return the verdict of each rung, all judged together, in the order given.

    PASS: the lower bounds of quality and of kept ability are at least their bars, latency and cost
    are under their ceilings, and Holm's adjusted p-value over all rungs given is at most
    1 - confidence. The p-value of a rung is the larger of those of "quality is below the bar" and
    "too little is kept": a rung is below the bar if either is (intersection-union test, Berger
    1982). FAIL: an upper bound excludes its bar, or a ceiling is passed. Else UNDECIDED.

    The bounds come from `Evidence.judged`, the worst case where more than 1 % failed.

    Args:
        contenders: the rungs that were looked at so far.
        bar: what counts as good enough.
        rungs: how many may be looked at in all, where a verdict is asked for before all were. Those that
            are to come count with a p-value of 1: a rung that passes now passes whatever they will show.
    """
    alpha = 1.0 - bar.confidence
    p_values = [max(_quality_p(one), _kept_p(one, bar)) for one in contenders]
    count = max(rungs, len(contenders))
    adjusted = holm([*p_values, *[1.0] * (count - len(contenders))])
    # Holm's next step asks for p <= alpha / (rungs that are not yet rejected).
    step = alpha / max(1, sum(value > alpha for value in adjusted))
    return tuple(
        _judge_one(one, bar, count=count, step=None if value <= alpha else step)
        for one, value in zip(contenders, adjusted, strict=False)
    )


def _quality_p(contender: Contender) -> float:
    return contender.evidence.p_value


def _kept_p(contender: Contender, bar: Bar) -> float:
    if contender.kept is None:
        return 0.0
    return kept_p_value(contender.kept, bar.kept)


def _judge_one(contender: Contender, bar: Bar, *, count: int, step: float | None) -> Judgement:
    """Judge one of `count` rungs; `step` is the p-value that Holm still asks for, None for none."""
    parts = (
        _judge_quality(contender.evidence, bar),
        _judge_kept(contender.kept, bar),
        _judge_ceiling("p95", contender.seconds_p95, bar.seconds_p95),
        _judge_ceiling("cost", contender.dollars_per_1k, bar.dollars_per_1k),
    )
    for wanted in (Verdict.FAIL, Verdict.UNDECIDED):
        missed = [part for part in parts if part.verdict is wanted]
        if missed:
            reasons = "; ".join(part.reason for part in missed if part.reason)
            # The quality part alone counts test examples.
            further = _further(parts[0], contender, bar, step=step)
            return Judgement(wanted, reasons or None, further)
    if step is None:
        return Judgement(Verdict.PASS)
    # Where kept ability is the weak part, further test examples would not settle it.
    weak = _quality_p(contender) > step
    by_judge = contender.evidence.rests_on is not None
    further = None
    if weak and not by_judge:
        further = _need_more_together(contender.evidence, bar, step=step)
    together = f"{count} rungs judged together"
    alone = "the exact test asks for more than the printed interval"
    return Judgement(Verdict.UNDECIDED, together if count > 1 else alone, further)


def _further(part: Judgement, contender: Contender, bar: Bar, *, step: float | None) -> int | None:
    """Return how many further examples settle quality: its own interval, and all rungs together."""
    mean = contender.evidence.judged.mean
    if part.need_more is None or step is None or mean is None or mean < bar.quality:
        return part.need_more
    together = _need_more_together(contender.evidence, bar, step=step)
    return None if together is None else max(part.need_more, together)


def _need_more_together(found: Evidence, bar: Bar, *, step: float) -> int | None:
    """Return how many further examples bring the p-value down to `step`, at the present mean."""
    judged = found.judged
    step *= found.last_share
    further = need_more(judged, bar.quality, confidence=1.0 - 2.0 * step)
    if further is None or judged.mean is None or judged.method != "wilson":
        return further
    # Binary scores are judged by the exact test, which the normal formula only approaches.
    while further <= NEED_MORE_CEILING:
        total = judged.n + further
        if binomial_p_value(math.floor(judged.mean * total), total, bar=bar.quality) <= step:
            return further
        further += max(1, further // 100)
    return None


def _judge_quality(found: Evidence, bar: Bar) -> Judgement:
    judged = found.judged
    if found.withheld is not None:
        return Judgement(Verdict.UNDECIDED, found.withheld)
    reason = f"{found.quality.failed} failed, counted as wrong" if found.is_worst_case else None
    if judged.n == 0:
        return Judgement(Verdict.UNDECIDED, "nothing was scored")
    if found.rests_on is not None and found.rests_on.how == "elsewhere":
        # What is known of the judge from other answers is an assumption here, and no evidence.
        return Judgement(Verdict.UNDECIDED, _more_people(judged, found.rests_on, bar))
    if judged.low >= bar.quality:
        return _HOLDS
    if judged.high < bar.quality:
        return Judgement(Verdict.FAIL, reason)
    confidence = 1.0 - (1.0 - bar.confidence) * found.last_share
    further = need_more(judged, bar.quality, confidence=confidence)
    if found.rests_on is not None:
        return Judgement(Verdict.UNDECIDED, _more_people(judged, found.rests_on, bar))
    if further is None:
        close = "too close to the bar for any practical number of examples"
        reason = f"{reason}; {close}" if reason else close
    return Judgement(Verdict.UNDECIDED, reason, further)


def _more_people(judged: Estimate, rests_on: HumanJudged, bar: Bar) -> str:
    """Say how many human scores of this rung's own answers would settle what a judge leaves open.

    The width of the interval is people's: it shrinks with the square root of their number.
    """
    if rests_on.how == "elsewhere":
        return "score some of its answers: the judge is known from other answers only"
    people = judged.model_copy(update={"n": rests_on.human})
    further = need_more(people, bar.quality, confidence=bar.confidence)
    left = rests_on.judged - rests_on.human
    if further is None:
        return "too close to the bar for any practical number of human scores"
    if further > left:
        return (
            f"≈ {numbers.count(further)} more human scores, {numbers.count(left)} answers are left"
        )
    return f"≈ {numbers.count(further)} more human scores"


def _judge_kept(kept: Kept | None, bar: Bar) -> Judgement:
    if kept is None:
        return _HOLDS
    if kept.ratio.low >= bar.kept:
        # Where no item moved, the interval has no width, however few the items.
        if kept_p_value(kept, bar.kept) <= (1.0 - bar.confidence) / 2.0 + _ROUNDING:
            return _HOLDS
        return Judgement(Verdict.UNDECIDED, "kept rests on too few probe items (kept.items)")
    if kept.ratio.mean is None:
        return Judgement(Verdict.UNDECIDED, "kept is unknown: the base answers no probe rightly")
    if kept.ratio.high < bar.kept:
        return Judgement(Verdict.FAIL, "kept")
    further = need_more(kept.ratio, bar.kept, confidence=bar.confidence)
    if further is None:
        return Judgement(Verdict.UNDECIDED, "kept is too close to its bar")
    return Judgement(
        Verdict.UNDECIDED, f"kept needs ≈ {numbers.count(further)} further probe items"
    )


def _judge_ceiling(name: str, measured: float | None, ceiling: float | None) -> Judgement:
    if ceiling is None:
        return _HOLDS
    if measured is None:
        return Judgement(Verdict.UNDECIDED, f"{name} was not measured")
    return _HOLDS if measured <= ceiling else Judgement(Verdict.FAIL, name)


def audit_agrees(audit: Estimate, *, bar: Bar) -> bool:
    """Return whether the audit rows leave a PASS possible: their upper bound is not below the bar.

    With nothing scored they contradict nothing.
    """
    return audit.high >= bar.quality


def after_audit(judgement: Judgement, audit: Estimate, *, bar: Bar) -> Judgement:
    """Return the verdict once the audit rows are known: a PASS that they contradict is UNDECIDED."""
    if judgement.verdict is not Verdict.PASS or audit_agrees(audit, bar=bar):
        return judgement
    rows = numbers.plural(audit.n, "unseen row")
    return Judgement(
        Verdict.UNDECIDED, f"contradicted by the audit: {numbers.estimate(audit)} on {rows}"
    )
