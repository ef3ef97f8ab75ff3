"""The climb: every rung built, measured and judged; the cheapest that meets the bar recommended.

Typing the same command again resumes: finished rungs, finished examples and finished builds are
found in the store. Verdicts are made once, at the end, from everything that was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from freehold import __version__
from freehold.core.candidate import Candidate
from freehold.core.errors import FreeholdError
from freehold.core.judging import JudgeFigures
from freehold.core.measure import (
    Audit,
    Climb,
    Cost,
    Difference,
    Estimate,
    Kept,
    Run,
    RungResult,
    Verdict,
)
from freehold.core.record import digest_json
from freehold.core.sections import RungName
from freehold.core.snapshot import HeldOutSplit, Snapshot
from freehold.core.task import Task
from freehold.data.overlap import Overlap
from freehold.evaluate import diagnose
from freehold.evaluate.estimates import Claim, Evidence, compare, evidence
from freehold.evaluate.scorers import Scorer, scorer
from freehold.ladder import decide
from freehold.ladder.events import (
    ClimbFinished,
    ClimbStarted,
    OnEvent,
    Progress,
    RungFinished,
    RungProgress,
    RungStarted,
    ignore,
)
from freehold.ladder.judging import keep_figures, open_judge
from freehold.ladder.prepare import Prepared
from freehold.ladder.rung import Answerer, Rung, SkippedError
from freehold.ladder.rungs import RUNGS
from freehold.ladder.tools import Models, Standing, Tools
from freehold.ladder.work import BuildRecord, Workshop, untouched
from freehold.store.ledger import Handle
from freehold.store.lineage import Thing, descend, keep_snapshot
from freehold.store.store import Store

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class ClimbOptions:
    """How this climb is run. `max_failed` is a count, or a share below 1, per rung."""

    retry_failed: bool = False
    max_failed: float | None = None


@dataclass(frozen=True)
class ClimbOutcome:
    """A finished climb with what it was made of."""

    climb: Climb
    climb_id: str
    task: Task
    snapshot: Snapshot


@dataclass(frozen=True)
class Measured:
    """One rung that was measured: the result so far, and what the verdict needs."""

    result: RungResult
    run: Run
    evidence: Evidence
    built: BuildRecord


def climb_key(task: Task, snapshot: Snapshot, *, base_digest: str | None) -> str:
    """Return the name of a climb: the task, the frozen data, the weights, the version of Freehold."""
    return digest_json("climb", [task.digest, snapshot.digest, base_digest, __version__])


def climb(
    prepared: Prepared,
    *,
    store: Store,
    models: Models,
    clock: Callable[[], float],
    on_event: OnEvent = ignore,
    options: ClimbOptions | None = None,
) -> ClimbOutcome:
    """Climb the ladder, and return what was measured and what may be claimed.

    Args:
        prepared: the task and the frozen data.
        store: where everything that was paid for is kept.
        models: opens the base model and the embedder.
        clock: monotonic seconds.
        on_event: is told of progress.
        options: retrying failures, and how many are too many.

    Raises:
        ModelError: the base model or the embedder cannot be used.
        MachineError: the disk is full, or the state cannot be written.
        KeyboardInterrupt: passed on; what was answered is kept.
    """
    around = _Surroundings(store, models, clock, on_event, options or ClimbOptions())
    return _Climbing(prepared, around).run()


@dataclass(frozen=True)
class _Surroundings:
    """What a climb is given beside its task and data."""

    store: Store
    models: Models
    clock: Callable[[], float]
    on_event: OnEvent
    options: ClimbOptions


class _Climbing:
    """One climb under way."""

    def __init__(self, prepared: Prepared, around: _Surroundings) -> None:
        task, snapshot = prepared.task, prepared.snapshot
        self.prepared, self.task, self.snapshot = prepared, task, snapshot
        self.store, self.clock = around.store, around.clock
        self.on_event, self.options = around.on_event, around.options
        self.rung_now: str = ""
        self.judge = open_judge(
            task, root=prepared.root, store=around.store, models=around.models, snapshot=snapshot
        )
        self.scorer: Scorer = scorer(task.metric, task.output, root=prepared.root, judge=self.judge)
        self.tools = Tools(
            task=task,
            train=snapshot.train,
            passages=prepared.passages,
            store=around.store,
            models=around.models,
            clock=around.clock,
            on_progress=self._progress,
            resembles_held_out=held_out_overlap(snapshot).resembles,
            preferences=prepared.preferences,
            built=lambda name: self.shop.built(RUNGS[name]),
            best_measured=self._best_measured,
            scorer=self.scorer,
        )
        self.shop = Workshop(
            tools=self.tools,
            scorer=self.scorer,
            dev=snapshot.dev,
            confidence=task.bar.confidence,
            retry_failed=around.options.retry_failed,
        )
        self.measured: dict[str, Measured] = {}
        self.pairs: dict[tuple[str, str], Difference] = {}

    @cached_property
    def key(self) -> str:
        """The name of this climb; opens the base model, whose weights are part of it."""
        asks = any(RUNGS[name].uses_model for name in self.task.ladder.rungs)
        base_digest = self.tools.base().digest if asks else None
        return climb_key(self.task, self.snapshot, base_digest=base_digest)

    def run(self) -> ClimbOutcome:
        handle = self.store.handle("c", self.key)
        found = self.store.recall(self.key, Climb)
        names = self.task.ladder.rungs
        self.on_event(
            ClimbStarted(
                climb_id=handle.name,
                task=self.task.name,
                rungs=names,
                test_examples=len(self.snapshot.test),
                bar_quality=self.task.bar.quality,
                resumed=found is not None,
            )
        )
        if found is None or self.options.retry_failed:
            found = self._climb(names, handle)
        else:
            for result in found.rungs:
                self.on_event(RungFinished(result, from_store=True))
        self.on_event(ClimbFinished(found))
        return ClimbOutcome(found, handle.name, self.task, self.snapshot)

    def _climb(self, names: Sequence[RungName], handle: Handle) -> Climb:
        started = self.clock()
        self.store.put(self.task)
        frozen = keep_snapshot(self.store, self.snapshot)
        descend(
            self.store,
            Thing(kind="climb", key=self.key, name=handle.name),
            Thing(kind="snapshot", key=self.snapshot.digest, name=frozen.name),
        )
        results: list[RungResult] = []
        for name in names:
            self.rung_now = name
            reason = self._stop_reason(started)
            result = _skipped(name, reason) if reason else self._rung(RUNGS[name])
            results.append(result)
            self.on_event(RungFinished(result))
        finished = self._judged(results, seconds=self.clock() - started)
        self.store.remember(self.key, finished)
        return finished

    # One rung --------------------------------------------------------------------------------

    def _rung(self, rung: Rung) -> RungResult:
        missing = rung.missing(self.tools)
        if missing:
            return _skipped(rung.name, missing)
        self.on_event(RungStarted(rung.name))
        try:
            return self._measure(rung)
        except SkippedError as skip:
            return _skipped(rung.name, str(skip))
        except FreeholdError as error:
            reason = error.problems[0].message
            return _skipped(rung.name, reason).model_copy(
                update={"state": "failed", "verdict": Verdict.ERROR}
            )

    def _measure(self, rung: Rung) -> RungResult:
        chosen = self.shop.choose(rung)
        built = chosen.record
        answerer = self.shop.load(rung, built.candidate)
        run = self.shop.run(built.candidate, answerer, self.snapshot.test, phase="test")
        too_many = self._too_many_failed(run)
        if too_many:
            return _skipped(rung.name, too_many).model_copy(
                update={"state": "failed", "verdict": Verdict.ERROR, "evaluated": len(run.results)}
            )
        found = self._evidence(run, self.snapshot.test)
        cost = self._cost(run, built)
        result = RungResult(
            rung=rung.name,
            state="measured",
            variant=chosen.variant.name,
            candidate_digest=built.candidate.digest,
            run_digest=run.digest,
            quality=found.quality,
            cost=cost,
            seconds_p50=run.seconds_p50,
            seconds_p95=run.seconds_p95,
            peak_memory_mib=run.peak_memory_mib,
            kept=self._kept(rung, answerer),
            build_seconds=built.build_seconds,
            evaluated=len(run.results),
            verdict=Verdict.UNDECIDED,
            causes=diagnose.causes(run.results),
            confusions=diagnose.confusions(run.results, self.snapshot.test.examples),
            slices=self._slices(run),
            tried=chosen.tried,
            rests_on=found.rests_on,
        )
        self.store.put(run)
        self.measured[rung.name] = Measured(result, run, found, built)
        return self._provisional(rung.name)

    def _evidence(self, run: Run, split: HeldOutSplit) -> Evidence:
        return evidence(
            run.results,
            split.examples,
            scorer=self.scorer,
            claim=Claim(bar=self.task.bar.quality, confidence=self.task.bar.confidence),
            rng=self._rng(),
        )

    def _cost(self, run: Run, built: BuildRecord) -> Cost:
        return decide.total_cost(
            build_seconds=built.build_seconds,
            seconds_per_request=run.seconds_per_request or 0.0,
            revalidation_examples=len(self.snapshot.test),
            prices=self.task.prices,
            volume=self.task.volume,
        )

    def _kept(self, rung: Rung, answerer: Answerer) -> Kept | None:
        if not rung.uses_model or answerer.model is None:
            return None
        items = self.task.kept.items
        if not rung.changes_weights:
            return untouched(items)
        return self.shop.kept(
            rung.reference(self.tools), answerer.model, items=items, seed=self._probe_seed()
        )

    def _best_measured(self) -> Standing | None:
        """Return the measured rung that is best on dev, the first of equals.

        Test rows are for verdicts alone: nothing that is built later may be chosen with them.
        """
        records = [item.built for item in self.measured.values()]
        if not records:
            return None
        best = max(records, key=self._dev_score)
        return self.shop.standing(RUNGS[best.candidate.rung], best)

    def _dev_score(self, built: BuildRecord) -> float:
        answerer = self.shop.load(RUNGS[built.candidate.rung], built.candidate)
        run = self.shop.run(built.candidate, answerer, self.snapshot.dev, phase="choosing on dev")
        return sum(run.scores.values()) / max(len(run.results), 1)

    def _slices(self, run: Run) -> dict[str, Estimate]:
        return diagnose.slices(
            run.results,
            self.snapshot.test.examples,
            self.prepared.slice_members,
            scorer=self.scorer,
            confidence=self.task.bar.confidence,
            rng=self._rng(),
        )

    def _too_many_failed(self, run: Run) -> str | None:
        limit = self.options.max_failed
        if limit is None:
            return None
        allowed = limit if limit >= 1 else limit * len(run.results)
        failed = len(run.failures)
        if failed <= allowed:
            return None
        first = run.failures[0].message
        return f"{failed} of {len(run.results)} failed, {allowed:g} allowed; the first: {first}"

    def _stop_reason(self, started: float) -> str | None:
        if self.task.ladder.stop == "first_pass":
            for name, item in self.measured.items():
                if item.result.verdict is Verdict.PASS:
                    return f"stop reached: {name} passes; ladder.stop: full measures every rung"
        hours = (self.clock() - started) / SECONDS_PER_HOUR
        budget = self.task.budget
        if budget.wall_hours is not None and hours >= budget.wall_hours:
            return f"budget reached: budget.wall_hours is {budget.wall_hours:g}"
        dollars = hours * self.task.prices.dollars_per_machine_hour
        if budget.dollars is not None and dollars >= budget.dollars:
            return f"budget reached: budget.dollars is {budget.dollars:g}"
        return None

    # All rungs together ----------------------------------------------------------------------

    def _provisional(self, name: str) -> RungResult:
        """Judge the rungs measured so far; the final verdicts may differ when more are judged."""
        judged = self._with_verdicts()[name]
        self.measured[name] = replace(self.measured[name], result=judged)
        return judged

    def _with_verdicts(self) -> dict[str, RungResult]:
        contenders = [
            decide.Contender(
                rung=name,
                evidence=item.evidence,
                kept=item.result.kept,
                seconds_p95=item.result.seconds_p95,
                dollars_per_1k=item.result.cost.dollars_per_1k if item.result.cost else None,
            )
            for name, item in self.measured.items()
        ]
        judgements = decide.judge(contenders, bar=self.task.bar)
        judged: dict[str, RungResult] = {}
        previous: str | None = None
        for (name, item), judgement in zip(self.measured.items(), judgements, strict=True):
            judged[name] = item.result.model_copy(
                update={
                    "verdict": judgement.verdict,
                    "reason": judgement.reason,
                    "need_more": judgement.need_more,
                    "previous": previous,
                    "against_previous": self._paired(name, previous) if previous else None,
                }
            )
            previous = name
        return judged

    def _judged(self, results: Sequence[RungResult], *, seconds: float) -> Climb:
        judged = self._with_verdicts()
        final = tuple(judged.get(result.rung, result) for result in results)
        advice = self._recommend(final)
        audit: Audit | None = None
        if advice.rung is not None and len(self.snapshot.audit):
            audit, result = self._audited(judged[advice.rung])
            final = tuple(result if r.rung == result.rung else r for r in final)
            if not audit.agrees:
                advice = decide.contradicted(result, audit.estimate, bar=self.task.bar)
        self._count_look("test", self.snapshot.test.digest)
        return Climb(
            task=self.task.name,
            task_digest=self.task.digest,
            snapshot_digest=self.snapshot.digest,
            rungs=final,
            recommended=advice.rung,
            why=advice.why,
            audit=audit,
            looks={
                "test": self._looks("test", self.snapshot.test.digest),
                "audit": self._looks("audit", self.snapshot.audit.digest),
            },
            versions=self.prepared.versions,
            seconds=seconds,
            notes=self.prepared.notes,
            judge=self._judge_figures(),
        )

    def _judge_figures(self) -> JudgeFigures | None:
        if self.judge is None:
            return None
        figures = self.judge.figures()
        keep_figures(self.store, self.task, figures)
        return figures

    def _recommend(self, results: Sequence[RungResult]) -> decide.Recommendation:
        return decide.recommend(
            results, bar=self.task.bar, volume=self.task.volume, paired=self._paired
        )

    def _audited(self, result: RungResult) -> tuple[Audit, RungResult]:
        """Score the recommended rung once on rows that nothing was decided with."""
        self.rung_now = result.rung
        candidate = self.store.get(str(result.candidate_digest), Candidate)
        answerer = self.shop.load(RUNGS[candidate.rung], candidate)
        run = self.shop.run(candidate, answerer, self.snapshot.audit, phase="audit")
        self._count_look("audit", self.snapshot.audit.digest)
        found = self._evidence(run, self.snapshot.audit)
        agrees = decide.audit_agrees(found.judged, bar=self.task.bar)
        before = decide.Judgement(result.verdict, result.reason, result.need_more)
        after = decide.after_audit(before, found.judged, bar=self.task.bar)
        judged = result.model_copy(
            update={
                "verdict": after.verdict,
                "reason": after.reason,
                "need_more": after.need_more,
            }
        )
        return Audit(rung=result.rung, estimate=found.quality, agrees=agrees), judged

    def _paired(self, first: str, second: str) -> Difference | None:
        if first not in self.measured or second not in self.measured:
            return None
        if (first, second) in self.pairs:
            return self.pairs[first, second]
        found = compare(
            self.measured[first].run,
            self.measured[second].run,
            self.snapshot.test.examples,
            scorer=self.scorer,
            confidence=self.task.bar.confidence,
            rng=self._rng(),
        )
        self.pairs[first, second] = found
        return found

    def _count_look(self, split: str, digest: str) -> None:
        entries = self.store.ledger.entries(f"look at {split}", subject=digest)
        if not any(self.key in entry.body for entry in entries):
            self.store.note(f"look at {split}", digest, {"climb": self.key})

    def _looks(self, split: str, digest: str) -> int:
        return len(self.store.ledger.entries(f"look at {split}", subject=digest))

    def _probe_seed(self) -> int:
        """Return a seed that is new for every climb, and the same when a climb is resumed."""
        return self.task.kept.seed or int(self.key.removeprefix("sha256:")[:8], 16)

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.snapshot.seed)

    def _progress(self, step: Progress) -> None:
        self.on_event(RungProgress(self.rung_now, step.phase, step.done, step.total, step.detail))


def held_out_overlap(snapshot: Snapshot) -> Overlap:
    """Return what tells of a text that it resembles a row of dev, test or audit."""
    splits = (snapshot.dev, snapshot.test, snapshot.audit)
    return Overlap(example.input for split in splits for example in split.examples)


def _skipped(name: str, reason: str) -> RungResult:
    return RungResult(rung=name, state="skipped", reason=reason, verdict=Verdict.SKIPPED)
