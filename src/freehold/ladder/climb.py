"""The climb: every rung built, measured and judged; the cheapest that meets the bar recommended.

Typing the same command again resumes: finished rungs, finished examples and finished builds are
found in the store. Verdicts are made once, at the end, from everything that was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from pydantic import JsonValue

from freehold import __version__
from freehold.core.candidate import Candidate
from freehold.core.errors import FreeholdError
from freehold.core.judging import JudgeFigures
from freehold.core.measure import (
    Audit,
    Climb,
    Cost,
    Difference,
    DocumentFigures,
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
from freehold.ladder import decide, race
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
from freehold.ladder.grounded import grounded
from freehold.ladder.judging import keep_figures, open_judge
from freehold.ladder.prepare import Prepared
from freehold.ladder.resolution import resolution_lines
from freehold.ladder.rung import Answerer, Rung, SkippedError
from freehold.ladder.rungs import RUNGS
from freehold.ladder.spending import account_of, spending_note, tokens_dollars_per_request
from freehold.ladder.stability import ask_again
from freehold.ladder.suites import NamedSuite, open_suites, suite_notes, suites_digest
from freehold.ladder.tools import Models, Standing, Tools
from freehold.ladder.work import BuildRecord, Workshop, untouched
from freehold.models.remote import (
    BudgetReachedError,
    EndpointStoppedError,
    ModelChangedError,
    Remote,
    Spending,
)
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


def climb_key(
    task: Task, snapshot: Snapshot, *, base_digest: str | None, suites: str | None = None
) -> str:
    """Return the name of a climb: the task, the frozen data, the weights, the version of Freehold.

    And the suites of kept ability, where the task names some.
    """
    parts: list[JsonValue] = [task.digest, snapshot.digest, base_digest, __version__]
    return digest_json("climb", [*parts, suites] if suites else parts)


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
        self.suites = open_suites(task.kept, root=prepared.root)
        self.tools = Tools(
            task=task,
            train=snapshot.train,
            passages=prepared.passages,
            store=around.store,
            models=around.models,
            clock=around.clock,
            on_progress=self._progress,
            resembles_held_out=held_out_overlap(snapshot, suites=self.suites).resembles,
            preferences=prepared.preferences,
            built=lambda name: self.shop.built(RUNGS[name]),
            best_measured=self._best_measured,
            scorer=self.scorer,
            documents=prepared.documents,
        )
        self.shop = Workshop(
            tools=self.tools,
            scorer=self.scorer,
            dev=snapshot.dev,
            confidence=task.bar.confidence,
            retry_failed=around.options.retry_failed,
            suites=self.suites,
        )
        self.races = task.ladder.stop != "full"
        self.order = race.racing_order(snapshot.test.examples, seed=snapshot.seed)
        self.began = around.clock()
        self.budget_reached: str | None = None
        around.models.endpoints.spend_for(account_of(task, snapshot), task.budget)
        self.measured: dict[str, Measured] = {}
        self.pairs: dict[tuple[str, str], Difference] = {}

    @cached_property
    def key(self) -> str:
        """The name of this climb; opens the base model, whose weights are part of it."""
        asks = any(RUNGS[name].uses_model for name in self.task.ladder.rungs)
        base_digest = self.tools.base().digest if asks else None
        suites = suites_digest(self.suites)
        return climb_key(self.task, self.snapshot, base_digest=base_digest, suites=suites)

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

    @cached_property
    def rungs_in_race(self) -> int:
        """How many rungs a race may come to: all but those known beforehand to be skipped."""
        return sum(RUNGS[name].missing(self.tools) is None for name in self.task.ladder.rungs)

    def _climb(self, names: Sequence[RungName], handle: Handle) -> Climb:
        self.began = self.clock()
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
            reason = self._stop_reason()
            result = _skipped(name, reason) if reason else self._rung(RUNGS[name])
            results.append(result)
            self.on_event(RungFinished(result))
        finished = self._judged(results, seconds=self.clock() - self.began)
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
        except BudgetReachedError as reached:
            return _skipped(rung.name, reached.problems[0].message)
        except EndpointStoppedError:
            raise  # the climb pauses: what was answered is kept, and nothing else failed
        except FreeholdError as error:
            reason = error.problems[0].message
            return _skipped(rung.name, reason).model_copy(
                update={"state": "failed", "verdict": Verdict.ERROR}
            )

    def _measure(self, rung: Rung) -> RungResult:
        chosen = self.shop.choose(rung)
        built = chosen.record
        answerer = self.shop.load(rung, built.candidate)
        kept = self._kept(rung, answerer)
        if self.races:
            run = self._race(rung, built, answerer, kept=kept)
        else:
            run = self.shop.run(built.candidate, answerer, self.snapshot.test, phase="test")
        too_many = self._too_many_failed(run)
        if too_many:
            return _skipped(rung.name, too_many).model_copy(
                update={"state": "failed", "verdict": Verdict.ERROR, "evaluated": len(run.results)}
            )
        run, figures = self._grounded(run, answerer)
        found = self._test_evidence(run)
        cost = self._cost(run, built, answerer)
        test = self.snapshot.test
        stability = ask_again(self.shop, built.candidate, answerer, run=run, split=test)
        _check_who_answered(answerer)
        told = diagnose.with_unstable(run.results, stability.unstable if stability else ())
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
            kept=kept,
            build_seconds=built.build_seconds,
            evaluated=len(run.results),
            verdict=Verdict.UNDECIDED,
            causes=diagnose.causes(told),
            confusions=diagnose.confusions(told, test.examples),
            slices=self._slices(run),
            tried=chosen.tried,
            documents=figures,
            planned=len(self.order) if self.races else None,
            stopped_because=run.stopped_because if self.races else None,
            stability=stability,
            sweep=chosen.sweep,
            prompt_gain=chosen.prompt_gain,
            rests_on=found.rests_on,
        )
        self.store.put(run)
        self.measured[rung.name] = Measured(result, run, found, built)
        return self._provisional(rung.name)

    def _grounded(self, run: Run, answerer: Answerer) -> tuple[Run, DocumentFigures | None]:
        """Return the run with the causes that documents explain, and what the rung does with them."""
        return grounded(
            run,
            self.snapshot.test.examples,
            answerer,
            task=self.task,
            rng=self._rng(),
        )

    def _race(
        self, rung: Rung, built: BuildRecord, answerer: Answerer, *, kept: Kept | None
    ) -> Run:
        """Let a rung answer test examples until its verdict is settled."""
        planned, before = len(self.order), self._contenders()
        rules = race.Rules(
            bar=self.task.bar,
            planned=planned,
            rungs=self.rungs_in_race,
            is_mean=self.scorer.aggregate == "mean" and self.scorer.judge is None,
        )

        def on_look(run: Run) -> str | None:
            found, evaluated = self._test_evidence(run), len(run.results)
            self._progress(Progress("test", evaluated, planned, quality=found.quality))
            racer = decide.Contender(
                rung=rung.name,
                evidence=found,
                kept=kept,
                seconds_p95=run.seconds_p95,
                dollars_per_1k=self._cost(run, built, answerer).dollars_per_1k,
                least_dollars_per_1k=self._least_dollars_per_1k(run, built, answerer),
            )
            settled = race.reason_to_stop(racer, before, rules=rules, evaluated=evaluated)
            return settled or self._batch_over_budget(run)

        return self.shop.race(
            built.candidate, answerer, self.snapshot.test, order=self.order, on_look=on_look
        )

    def _test_evidence(self, run: Run) -> Evidence:
        planned = len(self.order) if self.races else None
        return self._evidence(run, self.snapshot.test, planned=planned)

    def _evidence(self, run: Run, split: HeldOutSplit, *, planned: int | None = None) -> Evidence:
        bar = self.task.bar
        return evidence(
            run.results,
            split.examples,
            scorer=self.scorer,
            claim=Claim(bar=bar.quality, confidence=bar.confidence, planned=planned),
            rng=self._rng(),
        )

    def _least_dollars_per_1k(self, run: Run, built: BuildRecord, answerer: Answerer) -> float:
        """Return the price of a request that nothing slows down: the first batch also warms up."""
        seconds = [s for s in (run.seconds_per_request, run.seconds_p50) if s is not None]
        fastest = run.model_copy(update={"seconds_per_request": min(seconds, default=None)})
        return self._cost(fastest, built, answerer).dollars_per_1k

    def _cost(self, run: Run, built: BuildRecord, answerer: Answerer) -> Cost:
        return decide.total_cost(
            build_seconds=built.build_seconds,
            seconds_per_request=run.seconds_per_request or 0.0,
            revalidation_examples=len(self.snapshot.test),
            prices=self.task.prices,
            volume=self.task.volume,
            tokens_dollars_per_request=tokens_dollars_per_request(
                run, answerer.model, prices=self.task.prices
            ),
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

    def _stop_reason(self) -> str | None:
        if self.task.ladder.stop == "first_pass":
            for name, item in self.measured.items():
                if item.result.verdict is Verdict.PASS:
                    return f"stop reached: {name} passes; ladder.stop: full measures every rung"
        return self.budget_reached or self._budget_reason(0.0)

    def _batch_over_budget(self, run: Run) -> str | None:
        """Return which ceiling the next batch would pass, at the speed that was measured."""
        evaluated = len(run.results)
        following = race.after_next_batch(evaluated, len(self.order)) - evaluated
        self.budget_reached = self._budget_reason(following * (run.seconds_per_request or 0.0))
        return self.budget_reached

    def _budget_reason(self, further_seconds: float) -> str | None:
        """Return which ceiling is reached, or would be by so many further seconds."""
        hours = (self.clock() - self.began + further_seconds) / SECONDS_PER_HOUR
        budget = self.task.budget
        if budget.wall_hours is not None and hours >= budget.wall_hours:
            return f"budget reached: budget.wall_hours is {budget.wall_hours:g}"
        dollars = hours * self.task.prices.dollars_per_machine_hour
        dollars += self._spending().dollars or 0.0
        if budget.dollars is not None and dollars >= budget.dollars:
            return f"budget reached: budget.dollars is {budget.dollars:g}"
        return None

    # All rungs together ----------------------------------------------------------------------

    def _provisional(self, name: str) -> RungResult:
        """Judge the rungs measured so far; the final verdicts may differ when more are judged."""
        judged = self._with_verdicts()[name]
        self.measured[name] = replace(self.measured[name], result=judged)
        return judged

    def _contenders(self) -> list[decide.Contender]:
        """Return what the verdicts of the rungs measured so far rest on."""
        return [
            decide.Contender(
                rung=name,
                evidence=item.evidence,
                kept=item.result.kept,
                seconds_p95=item.result.seconds_p95,
                dollars_per_1k=item.result.cost.dollars_per_1k if item.result.cost else None,
            )
            for name, item in self.measured.items()
        ]

    def _with_verdicts(self) -> dict[str, RungResult]:
        rungs = self.rungs_in_race if self.races else 0
        judgements = decide.judge(self._contenders(), bar=self.task.bar, rungs=rungs)
        judged: dict[str, RungResult] = {}
        previous: str | None = None
        for (name, item), found in zip(self.measured.items(), judgements, strict=True):
            judgement = race.with_unasked(
                found,
                evaluated=len(item.run.results),
                because=item.result.stopped_because,
                planned=len(self.order),
            )
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
        advice, audit, final, not_audited = self._checked(advice, judged, final)
        self._count_look("test", self.snapshot.test.digest)
        said = (
            *resolution_lines(final, subject=advice.rung, bar=self.task.bar),
            not_audited,
            spending_note(self._spending(), self.task.budget),
        )
        return Climb(
            task=self.task.name,
            task_digest=self.task.digest,
            snapshot_digest=self.snapshot.digest,
            rungs=final,
            recommended=advice.rung,
            why=(*advice.why, *(line for line in said if line)),
            audit=audit,
            looks={
                "test": self._looks("test", self.snapshot.test.digest),
                "audit": self._looks("audit", self.snapshot.audit.digest),
            },
            versions=self.prepared.versions,
            seconds=seconds,
            notes=(
                *self.prepared.notes,
                *suite_notes(final, self.suites),
                *self.tools.models.endpoints.notes(),
            ),
            slice_members={
                name: tuple(sorted(ids)) for name, ids in self.prepared.slice_members.items()
            },
            judge=self._judge_figures(),
            endpoint_dollars=self._spending().dollars or 0.0,
        )

    def _checked(
        self,
        advice: decide.Recommendation,
        judged: Mapping[str, RungResult],
        results: tuple[RungResult, ...],
    ) -> tuple[decide.Recommendation, Audit | None, tuple[RungResult, ...], str | None]:
        """Return the advice, the audit and the results when the recommended rung was audited; else why it was not."""
        if advice.rung is None or not len(self.snapshot.audit):
            return advice, None, results, None
        try:
            audit, result = self._audited(judged[advice.rung])
        except BudgetReachedError as reached:
            said = f"not checked on the audit rows: {reached.problems[0].message}"
            return advice, None, results, said
        except ModelChangedError as changed:
            why = f"nothing is recommended: {changed.problems[0].message}"
            return decide.Recommendation(rung=None, why=(why,)), None, results, None
        results = tuple(result if r.rung == result.rung else r for r in results)
        if not audit.agrees:
            advice = decide.contradicted(result, audit.estimate, bar=self.task.bar)
        return advice, audit, results, None

    def _spending(self) -> Spending:
        """Return what endpoints were asked, and what that cost."""
        return self.tools.models.endpoints.spending()

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
        _check_who_answered(answerer)
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
            raced=self.races,
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
        self.on_event(
            RungProgress(
                self.rung_now,
                step.phase,
                step.done,
                step.total,
                step.detail,
                step.quality,
                spending=self._spending(),
            )
        )


def held_out_overlap(snapshot: Snapshot, *, suites: Sequence[NamedSuite] = ()) -> Overlap:
    """Return what tells of a text that it resembles a row of dev, test or audit, or an item of a suite."""
    splits = (snapshot.dev, snapshot.test, snapshot.audit)
    rows = [example.input for split in splits for example in split.examples]
    return Overlap([*rows, *(text for suite in suites for text in suite.texts())])


def _check_who_answered(answerer: Answerer) -> None:
    """Ask an endpoint once more who it is, when all that a rung asks of it was answered.

    Raises:
        ModelError: another model answers than at first, so nobody knows which one gave the answers.
    """
    if isinstance(answerer.model, Remote):
        answerer.model.verify()


def _skipped(name: str, reason: str) -> RungResult:
    return RungResult(rung=name, state="skipped", reason=reason, verdict=Verdict.SKIPPED)
