"""What if the bar, the volume or the prices were others: a finished climb judged again, with nothing asked.

Verdicts, costs and the recommendation are made by the functions that the climb uses, from the answers
that it kept. The audit rows are not touched: what they said of one rung holds for that rung alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import JsonValue

from freehold.core.errors import ConfigError, Problem, UsageError, Where
from freehold.core.measure import Audit, Climb, Difference, Run, RungResult, Verdict
from freehold.core.sections import Bar, DataSection
from freehold.core.task import Task
from freehold.core.taskfile import SHORT_FORMS, TaskFile, with_settings
from freehold.evaluate.estimates import Claim, Evidence, compare, evidence_by_bar
from freehold.evaluate.scorers import Scorer
from freehold.ladder import decide, race
from freehold.ladder.climb import ClimbOutcome
from freehold.ladder.cost import cheapest_by_volume, priced_again
from freehold.ladder.resolution import is_cut_short, resolution_lines
from freehold.report import numbers
from freehold.report.what_if_view import AUDIT_AGREES, AUDIT_DISAGREES, LETTERS, WhatIfTable
from freehold.report.what_if_view import CheapestRange as ShownRange
from freehold.report.what_if_view import WhatIfRung as ShownRung

SECTIONS = ("bar", "volume", "prices")
"""The sections that can be changed without asking a model."""

FIXED = frozenset({"bar.confidence"})
"""Settings of these sections that intervals were made with, which are kept and not made again."""

BARS = tuple(step / 100 for step in range(101))
"""The bars at which the page says every verdict, beside the task's own."""

EvidenceAt = Callable[[float], Evidence]


@dataclass(frozen=True)
class Changed:
    """One setting that differs from the climb's own."""

    key: str
    was: JsonValue
    now: JsonValue

    def __str__(self) -> str:
        return f"{self.key} {_shown(self.was)} → {_shown(self.now)}"

    @property
    def as_flag(self) -> str:
        """The change as it is typed."""
        value = int(self.now) if isinstance(self.now, float) and self.now.is_integer() else self.now
        return f"-s {self.key}={'null' if value is None else value}"


@dataclass(frozen=True)
class WhatIf:
    """A climb as it would have been judged: its outcome under the changed settings, and the changes."""

    outcome: ClimbOutcome
    changes: tuple[Changed, ...]

    @property
    def climb_command(self) -> str:
        """The command that judges for good, with the audit."""
        return " ".join(["freehold climb", *(change.as_flag for change in self.changes)])


def changed_task(task: Task, settings: Mapping[str, JsonValue]) -> tuple[Task, tuple[Changed, ...]]:
    """Return the task with settings (dotted key to value) laid over it, and what differs.

    Raises:
        UsageError: USE-010 for a setting that changes what is asked or how it is measured.
        ConfigError: a key is unknown, or a value is impossible.
    """
    held = TaskFile(
        task=task.name,
        data=DataSection(examples="as climbed"),
        bar=task.bar,
        volume=task.volume,
        prices=task.prices,
    )
    problems: list[Problem] = []
    for key, value in settings.items():
        _refuse_others(key, value)
        try:
            held = with_settings(held, {key: value})
        except ConfigError as error:
            at = Where(file=f"-s {key}")
            problems.extend(p.model_copy(update={"where": at}) for p in error.problems)
    if problems:
        raise ConfigError.several(problems)
    changed = task.model_copy(
        update={"bar": held.bar, "volume": held.volume, "prices": held.prices}
    )
    return changed, _differing(task, changed)


def what_if(
    outcome: ClimbOutcome,
    settings: Mapping[str, JsonValue],
    *,
    runs: Mapping[str, Run],
    scorer: Scorer,
) -> WhatIf:
    """Judge and recommend again under changed settings. Pure: no model, no look at test or audit.

    Args:
        outcome: the finished climb.
        settings: of the sections bar, volume and prices, by dotted key.
        runs: the test run of every measured rung, by rung name.
        scorer: of the task's metric.

    Raises:
        UsageError: USE-010 for a setting that would need the models.
        ConfigError: a key is unknown, or a value is impossible.
    """
    task, changes = changed_task(outcome.task, settings)
    before = outcome.climb
    rungs = _judged(outcome, task, runs=runs, scorer=scorer)
    paired = _pairs(outcome, runs, scorer)
    advice = _advice(rungs, task, paired)
    audit = _audit(before.audit, task.bar, before_bar=outcome.task.bar)
    if audit is not None:
        rungs = tuple(_after_audit(rung, audit, task.bar) for rung in rungs)
        if audit.rung != advice.rung:
            advice = _advice(rungs, task, paired)
        elif not audit.agrees:
            contradicted = next(rung for rung in rungs if rung.rung == audit.rung)
            advice = decide.contradicted(contradicted, audit.estimate, bar=task.bar)
    is_audited = audit is not None and audit.rung in {advice.rung, _contradicted(advice, audit)}
    found = WhatIf(ClimbOutcome(before, outcome.climb_id, task, outcome.snapshot), changes)
    climb = before.model_copy(
        update={
            "task_digest": task.digest,
            "rungs": rungs,
            "recommended": advice.rung,
            "audit": audit if is_audited else None,
            "why": _why(found, rungs, advice, is_audited=is_audited),
        }
    )
    return replace(found, outcome=replace(found.outcome, climb=climb))


def what_if_table(outcome: ClimbOutcome, *, runs: Mapping[str, Run], scorer: Scorer) -> WhatIfTable:
    """Return every verdict at every bar of a grid, and what costs follow from: what the page's sliders read.

    The verdicts are those of `what_if` but for the ceiling on the price of a request, which the page
    compares itself: a rung above it fails.
    """
    task, climb = outcome.task, outcome.climb
    bars = tuple(sorted({*BARS, task.bar.quality}))
    at = _evidence(outcome, runs, scorer)
    uncapped = task.bar.model_copy(update={"dollars_per_1k": None})
    letters: dict[str, str] = dict.fromkeys(at, "")
    for quality in bars:
        verdicts = _verdicts(climb, at, uncapped.model_copy(update={"quality": quality}))
        for rung, judgement in verdicts.items():
            letters[rung] += LETTERS[judgement.verdict]
    audits = [
        _audit(climb.audit, task.bar.model_copy(update={"quality": b}), before_bar=task.bar)
        for b in bars
    ]
    passing = [
        (rung.rung, rung.cost) for rung in climb.rungs if rung.verdict is Verdict.PASS and rung.cost
    ]
    months = task.volume.horizon_months
    return WhatIfTable(
        bars=bars,
        rungs=tuple(
            ShownRung(
                rung=name,
                verdicts=letters[name],
                build_seconds=cost.build_seconds,
                seconds_per_request=cost.seconds_per_request,
                tokens_dollars_per_request=cost.tokens_dollars_per_request,
            )
            for name in at
            if (cost := _repriced(outcome, climb.rung(name), task).cost) is not None
        ),
        revalidation_examples=len(outcome.snapshot.test),
        audit_rung=climb.audit.rung if climb.audit is not None else None,
        audit="".join(
            AUDIT_AGREES if one is None or one.agrees else AUDIT_DISAGREES for one in audits
        ),
        cheapest=tuple(
            ShownRange(rung=one.rung, low=one.low, high=one.high)
            for one in cheapest_by_volume(passing, horizon_months=months)
        ),
    )


# Settings ------------------------------------------------------------------------------------


def _refuse_others(key: str, value: JsonValue) -> None:
    full = ".".join(str(step) for step in SHORT_FORMS.get(key, (key,)))
    full = key if isinstance(value, dict) else full
    section = full.split(".", 1)[0]
    if section in SECTIONS and full not in FIXED:
        return
    written = value if isinstance(value, str | int | float) else "VALUE"
    raise UsageError(
        "USE-010",
        f"`{key}` cannot be changed in a report: only bar, volume and prices are judged again from what"
        " was measured",
        help=f"freehold climb -s {key}={written}    measures what is missing",
    )


def _differing(before: Task, after: Task) -> tuple[Changed, ...]:
    changes: list[Changed] = []
    for section in SECTIONS:
        was, now = getattr(before, section).to_json(), getattr(after, section).to_json()
        changes.extend(
            Changed(f"{section}.{key}", was[key], now[key]) for key in was if was[key] != now[key]
        )
    return tuple(changes)


def _shown(value: JsonValue) -> str:
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return numbers.count(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


# Judging again ---------------------------------------------------------------------------------


def _evidence(
    outcome: ClimbOutcome, runs: Mapping[str, Run], scorer: Scorer
) -> dict[str, EvidenceAt]:
    """Return what each measured rung's run says about quality, for any bar, in ladder order.

    A rung that was raced is judged by what holds at every look, wherever the bar is: that it stopped
    where it did depended on what was seen.
    """
    return {
        result.rung: evidence_by_bar(
            runs[result.rung].results,
            outcome.snapshot.test.examples,
            scorer=scorer,
            claim=Claim(
                bar=outcome.task.bar.quality,
                confidence=outcome.task.bar.confidence,
                planned=result.planned,
            ),
            rng=np.random.default_rng(outcome.snapshot.seed),
        )
        for result in outcome.climb.rungs
        if result.state == "measured" and result.rung in runs
    }


def _rungs_in_race(climb: Climb) -> int:
    """Return how many rungs the race might have come to; 0 where there was none."""
    if not any(result.planned is not None for result in climb.rungs):
        return 0
    return sum(result.state != "skipped" or is_cut_short(result) for result in climb.rungs)


def _verdicts(
    climb: Climb, at: Mapping[str, EvidenceAt], bar: Bar, *, rungs: Sequence[RungResult] = ()
) -> dict[str, decide.Judgement]:
    """Return the verdicts of all measured rungs together, before any audit."""
    results = {result.rung: result for result in rungs or climb.rungs}
    contenders = [
        decide.Contender(
            rung=name,
            evidence=evidence(bar.quality),
            kept=results[name].kept,
            seconds_p95=results[name].seconds_p95,
            dollars_per_1k=cost.dollars_per_1k if (cost := results[name].cost) else None,
        )
        for name, evidence in at.items()
    ]
    found = decide.judge(contenders, bar=bar, rungs=_rungs_in_race(climb))
    return {
        name: _with_unasked(results[name], judgement)
        for name, judgement in zip(at, found, strict=True)
    }


def _with_unasked(result: RungResult, judgement: decide.Judgement) -> decide.Judgement:
    if result.planned is None:
        return judgement
    return race.with_unasked(
        judgement,
        evaluated=result.evaluated,
        planned=result.planned,
        because=result.stopped_because,
    )


def _judged(
    outcome: ClimbOutcome, task: Task, *, runs: Mapping[str, Run], scorer: Scorer
) -> tuple[RungResult, ...]:
    rungs = tuple(_repriced(outcome, result, task) for result in outcome.climb.rungs)
    verdicts = _verdicts(outcome.climb, _evidence(outcome, runs, scorer), task.bar, rungs=rungs)
    return tuple(
        _with(rung, verdicts[rung.rung]) if rung.rung in verdicts else rung for rung in rungs
    )


def _repriced(outcome: ClimbOutcome, result: RungResult, task: Task) -> RungResult:
    if result.cost is None:
        return result
    cost = priced_again(
        result.cost,
        before=outcome.task.prices,
        prices=task.prices,
        volume=task.volume,
        revalidation_examples=len(outcome.snapshot.test),
    )
    return result.model_copy(update={"cost": cost})


def _with(result: RungResult, judgement: decide.Judgement) -> RungResult:
    return result.model_copy(
        update={
            "verdict": judgement.verdict,
            "reason": judgement.reason,
            "need_more": judgement.need_more,
        }
    )


def _pairs(outcome: ClimbOutcome, runs: Mapping[str, Run], scorer: Scorer) -> decide.Paired:
    def paired(first: str, second: str) -> Difference | None:
        if first not in runs or second not in runs:
            return None
        return compare(
            runs[first],
            runs[second],
            outcome.snapshot.test.examples,
            scorer=scorer,
            confidence=outcome.task.bar.confidence,
            rng=np.random.default_rng(outcome.snapshot.seed),
            raced=any(result.planned is not None for result in outcome.climb.rungs),
        )

    return paired


def _advice(
    rungs: Sequence[RungResult], task: Task, paired: decide.Paired
) -> decide.Recommendation:
    return decide.recommend(rungs, bar=task.bar, volume=task.volume, paired=paired)


# The audit -------------------------------------------------------------------------------------


def _audit(audit: Audit | None, bar: Bar, *, before_bar: Bar) -> Audit | None:
    """Return what the audit rows said, read against another bar; they are not scored again.

    A contradiction also holds at every higher bar.
    """
    if audit is None:
        return None
    leaves_room = decide.audit_agrees(audit.estimate, bar=bar)
    agrees = leaves_room and (audit.agrees or bar.quality < before_bar.quality)
    return audit.model_copy(update={"agrees": agrees})


def _after_audit(result: RungResult, audit: Audit, bar: Bar) -> RungResult:
    if result.rung != audit.rung or audit.agrees or result.verdict is not Verdict.PASS:
        return result
    judgement = decide.Judgement(result.verdict, result.reason, result.need_more)
    judged = decide.after_audit(judgement, audit.estimate, bar=bar)
    if (
        judged.verdict is Verdict.PASS
    ):  # contradicted by the worst case of failed rows, not by the estimate
        judged = decide.Judgement(Verdict.UNDECIDED, "contradicted by the audit")
    return _with(result, judged)


def _contradicted(advice: decide.Recommendation, audit: Audit | None) -> str | None:
    """Return the rung that the audit kept from being recommended."""
    if advice.rung is None and audit is not None and not audit.agrees:
        return audit.rung
    return None


def _why(
    found: WhatIf,
    rungs: Sequence[RungResult],
    advice: decide.Recommendation,
    *,
    is_audited: bool,
) -> tuple[str, ...]:
    before = found.outcome.climb
    changes = ", ".join(str(change) for change in found.changes) or "nothing is changed"
    others = before.recommended is not None and before.recommended != advice.rung
    instead = f"; {found.outcome.climb_id} itself recommends {before.recommended}" if others else ""
    lines = [f"what if: {changes}; judged again from what was measured{instead}"]
    first, *rest = advice.why
    resolves = resolution_lines(rungs, subject=advice.rung, bar=found.outcome.task.bar)
    if advice.rung is not None and not is_audited:
        lines.append(
            f"audit: {advice.rung} was not scored on the audit rows; {found.climb_command} does that"
        )
    left_out = [r.rung for r in before.rungs if is_cut_short(r)]
    if left_out:
        lines.append(f"unmeasured: {', '.join(left_out)}; {found.climb_command} goes on to them")
    return (first, *rest, *resolves, *lines)
