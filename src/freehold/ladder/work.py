"""Paid work, done once: building a candidate, running it on a split, probing its kept ability.

Every piece of work has a key made of what it depends on. What is finished is found in the store; a
run under way finds the examples that were answered before it was stopped.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import psutil
from pydantic import JsonValue

from freehold import __version__
from freehold.core.candidate import Candidate
from freehold.core.measure import (
    Estimate,
    Kept,
    KeptFamily,
    PromptGain,
    Result,
    Run,
    TriedVariant,
)
from freehold.core.outcome import Failed
from freehold.core.record import Record, digest_json
from freehold.core.snapshot import DevSplit, Example, HeldOutSplit, TestSplit
from freehold.evaluate.paired import paired_difference
from freehold.evaluate.probes import ProbeResult, kept, measure_probes, probe_items
from freehold.evaluate.runner import Journal, Meter, run_candidate
from freehold.evaluate.scorers import Scorer
from freehold.evaluate.suites import kept_suites
from freehold.ladder import race
from freehold.ladder.events import Phase, Progress
from freehold.ladder.halving import Halved, Stage, halve, mean_of, shares, stages
from freehold.ladder.rung import Answerer, Exam, Found, Rung, SkippedError, Trials, Variant
from freehold.ladder.suites import NamedSuite
from freehold.ladder.tools import Standing, Tools
from freehold.ladder.trials import optuna_or_skip, searched
from freehold.ladder.tried import tried_variants
from freehold.models.door import Model
from freehold.store.lineage import Thing, descend

LATENCY_EXAMPLES = 20
DEV_EXAMPLES_PER_CHECK = 150
MIB = 1024 * 1024


class BuildRecord(Record):
    """A built candidate, and the wall seconds that building took, kept work included."""

    candidate: Candidate
    build_seconds: float


@dataclass(frozen=True)
class Chosen:
    """The best variant of a rung, built, and the dev score of every variant that was compared.

    `sweep` says of each how far it came, and `prompt_gain` what a search for a prompt came to.
    """

    variant: Variant
    record: BuildRecord
    tried: tuple[tuple[str, float], ...] = ()
    sweep: tuple[TriedVariant, ...] = ()
    prompt_gain: PromptGain | None = None


class ProbeRun(Record):
    """One model on the probes of one seed."""

    results: tuple[ProbeResult, ...]


@dataclass
class MemoryWatch:
    """The most resident memory of this process that was seen, in MiB."""

    most_mib: float = 0.0
    _process: psutil.Process = field(default_factory=psutil.Process)

    def look(self) -> float:
        """Take the present use into account and return the most seen."""
        self.most_mib = max(self.most_mib, self._process.memory_info().rss / MIB)
        return self.most_mib


@dataclass(frozen=True)
class Workshop:
    """Does the work of one climb, and remembers it."""

    tools: Tools
    scorer: Scorer
    dev: DevSplit
    confidence: float
    retry_failed: bool = False
    suites: tuple[NamedSuite, ...] = ()

    def build(self, rung: Rung, variant: Variant) -> BuildRecord:
        """Return the built candidate of a variant."""
        tools = self.tools
        base = rung.reference(tools).digest if rung.uses_model else None
        key = self._key(
            "build",
            [rung.name, variant.spec, tools.task.question_digest, tools.train.digest, base],
        )
        found = tools.store.recall(key, BuildRecord)
        if found is not None and self._is_whole(found.candidate):
            return found
        started = tools.clock()
        built = rung.build(variant, tools, self.dev_scores)
        seconds = tools.clock() - started + built.earlier_seconds
        candidate = Candidate(
            rung=rung.name,
            question_digest=tools.task.question_digest,
            spec={**variant.spec, **built.spec},
            train_digest=tools.train.digest,
            base_digest=base,
            artefacts={name: tools.store.blobs.put(c) for name, c in built.files.items()},
        )
        record = BuildRecord(candidate=candidate, build_seconds=seconds)
        tools.store.put(candidate)
        self._note_parents(candidate)
        tools.store.remember(key, record)
        return record

    def _is_whole(self, candidate: Candidate) -> bool:
        """Return whether all files are there: some may have been forgotten with rows that they held."""
        return all(digest in self.tools.store.blobs for digest in candidate.artefacts.values())

    def _note_parents(self, candidate: Candidate) -> None:
        """Note the splits that a candidate learnt from: train, and dev, which chose on the way."""
        splits = [Thing(kind="split", key=candidate.train_digest, name="train")]
        if len(self.dev):
            splits.append(Thing(kind="split", key=self.dev.digest, name="dev"))
        child = Thing(kind="candidate", key=candidate.digest, name=candidate.rung)
        descend(self.tools.store, child, *splits)

    def choose(self, rung: Rung) -> Chosen:
        """Compare the variants of a rung on dev, and return the best one, built; the first of equals.

        Many variants are halved (`freehold.ladder.halving`). Where a prompt was searched for, all are compared
        on the part of dev that the search did not see.

        Raises:
            SkippedError: it turned out that the rung cannot run.
            ConfigError: the task asks for a search that its dev split is too small for.
        """
        variants = rung.variants(self.tools)
        trials = rung.trials(self.tools)
        if trials is not None and len(self.dev):
            return self._searched(rung, trials, variants[0])
        found = rung.search(self.tools, self._exam) if len(self.dev) else None
        if found is not None and found.variant is not None:
            variants = (*variants, found.variant)
        if len(variants) == 1 or not len(self.dev):
            gain = self._gain(rung, found) if found is not None else None
            return Chosen(variants[0], self.build(rung, variants[0]), prompt_gain=gain)
        examples = self._dev_order()
        if found is not None:
            held = set(self._exam(self._held_share(rung)).held)
            examples = tuple(example for example in examples if example.id in held)
        halved = self._halved(rung, variants, examples)
        stage = halved.attempts[halved.best].stage
        return Chosen(
            variants[halved.best],
            self.build(rung, variants[halved.best]),
            tuple((v.name, a.mean) for v, a in zip(variants, halved.attempts, strict=True)),
            tried_variants(
                [variant.name for variant in variants],
                halved,
                is_binary=self.scorer.is_binary,
                confidence=self.confidence,
                rng=np.random.default_rng(stage.examples),
            ),
            self._gain(rung, found) if found is not None else None,
        )

    def _halved(
        self, rung: Rung, variants: Sequence[Variant], examples: Sequence[Example]
    ) -> Halved:
        """Let variants compete on dev examples, within `ladder.halving`."""
        spec, began = self.tools.task.ladder.halving, self.tools.clock()
        rounds = stages(len(variants), len(examples), least=spec.least, budget=spec.answers)
        if rung.changes_weights and rung.shorter(variants[0], 0.5) is not None:
            rounds = shares(len(variants), len(examples))

        def score(place: int, stage: Stage) -> dict[str, float]:
            variant = variants[place]
            if stage.share < 1:
                variant = rung.shorter(variant, stage.share) or variant
            return self._dev_part(rung, variant, examples[: stage.examples])

        def is_over() -> bool:
            return spec.seconds is not None and self.tools.clock() - began >= spec.seconds

        is_forced = spec.answers is not None or spec.seconds is not None
        return halve(len(variants), rounds, score, is_forced=is_forced, is_over=is_over)

    def _searched(self, rung: Rung, trials: Trials, own: Variant) -> Chosen:
        """Try settings that a search proposes, beside the rung's own, each trained in full."""
        optuna_or_skip()
        examples = self._dev_order()
        variants: list[Variant] = [own]
        scores: list[dict[str, float]] = [self._dev_part(rung, own, examples)]

        def score(settings: Mapping[str, JsonValue]) -> float:
            variant = trials.variant(settings)
            variants.append(variant)
            scores.append(self._dev_part(rung, variant, examples))
            return mean_of(scores[-1])

        searched(trials.spec, score)
        halved = halve(len(variants), (Stage(len(examples)),), lambda place, _: scores[place])
        return Chosen(
            variants[halved.best],
            self.build(rung, variants[halved.best]),
            tuple((v.name, mean_of(one)) for v, one in zip(variants, scores, strict=True)),
            tried_variants(
                [variant.name for variant in variants],
                halved,
                is_binary=self.scorer.is_binary,
                confidence=self.confidence,
                rng=np.random.default_rng(len(examples)),
            ),
        )

    def _dev_order(self) -> tuple[Example, ...]:
        """Return dev in one random order, of which every part is a fair sample."""
        examples = list(self.dev.examples)
        random.Random(self.dev.digest).shuffle(examples)
        return tuple(examples)

    def _dev_part(
        self, rung: Rung, variant: Variant, examples: Sequence[Example]
    ) -> dict[str, float]:
        """Build a variant and return its scores on a part of dev, a failure as 0; kept as a run is."""
        built = self.build(rung, variant)
        candidate, metric = built.candidate, self.tools.task.metric.to_json()
        key = self._key("run", [candidate.digest, self.dev.digest, metric])
        part = self.dev.model_copy(update={"examples": tuple(examples)})
        return self._scores_kept(
            key, part, answerer=lambda: self.load(rung, candidate), detail=variant.name
        )

    def _exam(self, held: float) -> Exam:
        """Return dev for a search, with that share of it held back."""
        order = [example.id for example in self._dev_order()]
        count = round(held * len(order))
        by_id = {example.id: example for example in self.dev.examples}
        seen = frozenset(order[count:])

        def scores(answerer: Answerer, name: str, ids: Sequence[str]) -> dict[str, float]:
            if not seen.issuperset(ids):
                raise ValueError("a search asks about an example that is held back from it")
            made_of: list[JsonValue] = [name, self.tools.task.question_digest, self.dev.digest]
            key = self._key("search", [*made_of, self.tools.task.metric.to_json()])
            part = self.dev.model_copy(update={"examples": tuple(by_id[one] for one in ids)})
            return self._scores_kept(key, part, answerer=lambda: answerer)

        return Exam(seen=tuple(order[count:]), held=tuple(order[:count]), scores=scores)

    def _held_share(self, rung: Rung) -> float:
        """Return the share of dev that the prompt search of a rung does not see."""
        ladder = self.tools.task.ladder
        spec = ladder.structured.search if rung.name == "structured" else ladder.few_shot.search
        return spec.held if spec is not None else 0.0

    def _gain(self, rung: Rung, found: Found) -> PromptGain:
        """Return what a found prompt gains over the one without a search, on what choosing did not see."""
        exam = self._exam(self._held_share(rung))
        by_id = {example.id: example for example in self.dev.examples}
        held = [by_id[one] for one in exam.held]
        before = self._dev_part(rung, found.start, held)
        after = before if found.variant is None else self._dev_part(rung, found.variant, held)
        return PromptGain(
            found=found.start.name if found.variant is None else found.variant.name,
            start=found.start.name,
            difference=paired_difference(
                after,
                before,
                binary=self.scorer.is_binary,
                confidence=self.confidence,
                rng=np.random.default_rng(len(held)),
            ),
            seen=len(exam.seen),
            held=len(held),
            calls=found.calls,
            seconds=found.seconds,
            steps=found.steps,
        )

    def _scores_kept(
        self, key: str, part: DevSplit, *, answerer: Callable[[], Answerer], detail: str = ""
    ) -> dict[str, float]:
        """Return scores on a part of dev, a failure as 0; answers that were paid for are not asked again."""
        ledger = self.tools.store.ledger
        ids = {example.id for example in part.examples}
        known = [result for result in self._known_results(key) if result.example_id in ids]
        done, total = len({result.example_id for result in known}), len(part)

        def on_result(result: Result) -> None:
            nonlocal done
            ledger.keep_result(key, result.example_id, result.model_dump_json())
            done += 1
            if detail:
                self.tools.on_progress(Progress("choosing on dev", done, total, detail))

        if done < total:
            run = run_candidate(
                "choosing",
                part,
                answerer(),
                scorer=self.scorer,
                journal=Journal(known=known, on_result=on_result),
                meter=Meter(clock=self.tools.clock, latency_examples=0),
                versions={},
            )
            known = list(run.results)
        by_id = {result.example_id: result.outcome for result in known}
        outcomes = {example.id: by_id[example.id] for example in part.examples}
        return {
            name: 0.0 if isinstance(outcome, Failed) else outcome.score
            for name, outcome in outcomes.items()
        }

    def built(self, rung: Rung) -> Standing:
        """Return a rung for another one to stand on: found in the store, or built now.

        Raises:
            SkippedError: the rung cannot run.
        """
        missing = rung.missing(self.tools)
        if missing:
            raise SkippedError(f"{rung.name} cannot be built: {missing}")
        began = self.tools.clock()
        record = self.choose(rung).record
        return self.standing(rung, record, spent=self.tools.clock() - began)

    def standing(self, rung: Rung, record: BuildRecord, *, spent: float = 0.0) -> Standing:
        """Return a built rung for another one to stand on; `spent` seconds of its building are counted already."""
        candidate, blobs = record.candidate, self.tools.store.blobs
        return Standing(
            rung=rung.name,
            digest=candidate.digest,
            spec=candidate.spec,
            files={name: blobs.get(digest) for name, digest in candidate.artefacts.items()},
            load=lambda: self.load(rung, candidate),
            earlier_seconds=max(0.0, record.build_seconds - spent),
        )

    def load(self, rung: Rung, candidate: Candidate) -> Answerer:
        """Return something that answers, from the candidate's spec and files alone."""
        blobs = self.tools.store.blobs
        files = {name: blobs.get(digest) for name, digest in candidate.artefacts.items()}
        return rung.load(candidate.spec, files, self.tools)

    def run(
        self, candidate: Candidate, answerer: Answerer, split: HeldOutSplit, *, phase: Phase
    ) -> Run:
        """Return the run of a candidate on a split; examples answered before are not asked again."""
        store = self.tools.store
        key = self._run_key(candidate, split)
        found = store.recall(key, Run)
        is_whole = found is not None and len(found.results) == len(split)
        if found is not None and is_whole and not (self.retry_failed and found.failures):
            return found
        known = self._known_results(key)
        memory = MemoryWatch()
        done = len(known)
        total = len(split)

        def on_result(result: Result) -> None:
            nonlocal done
            store.ledger.keep_result(key, result.example_id, result.model_dump_json())
            done += 1
            memory.look()
            step = Progress(phase, done, total, candidate_name(candidate))
            if done > total:
                alone = min(LATENCY_EXAMPLES, total)
                step = Progress("timing alone", min(done - total, alone), alone)
            self.tools.on_progress(step)

        finished = run_candidate(
            candidate.digest,
            split,
            answerer,
            scorer=self.scorer,
            journal=Journal(known=known, on_result=on_result),
            meter=self._meter(memory, is_final=phase == "test"),
            versions={"freehold": __version__},
        )
        store.remember(key, finished)
        return finished

    def race(
        self,
        candidate: Candidate,
        answerer: Answerer,
        test: TestSplit,
        *,
        order: Sequence[Example],
        on_look: Callable[[Run], str | None],
    ) -> Run:
        """Return the run of a candidate on as many examples of `order` as it takes.

        After each batch `on_look` is given the run so far, and returns why to stop, or None. Answers
        that are known from an earlier run are taken as they are, but looked at in the same batches, so
        that a race that goes on after a kill ends where it would have ended. The latency is of the
        first batch.
        """
        key = self._run_key(candidate, test)
        known = {result.example_id: result for result in self._known_results(key)}
        memory = MemoryWatch()
        steps = _RaceSteps(self.tools.on_progress, len(order), candidate_name(candidate))

        def on_result(result: Result) -> None:
            self.tools.store.ledger.keep_result(key, result.example_id, result.model_dump_json())
            steps.take(is_timing=result.example_id in known)
            known[result.example_id] = result
            memory.look()

        timed: Run | None = None
        because: str | None = None
        while True:
            count = race.after_next_batch(steps.before, len(order))
            part = tuple(order[:count])
            steps.begin(sum(example.id in known for example in part))
            found = run_candidate(
                candidate.digest,
                test.model_copy(update={"examples": part}),
                answerer,
                scorer=self.scorer,
                journal=Journal(known=tuple(known.values()), on_result=on_result),
                meter=Meter(
                    clock=self.tools.clock,
                    peak_memory_mib=memory.look,
                    latency_examples=LATENCY_EXAMPLES if timed is None else 0,
                ),
                versions={"freehold": __version__},
            )
            timed = timed or found
            found = found.model_copy(
                update={
                    "split_digest": test.digest,
                    "seconds_p50": timed.seconds_p50,
                    "seconds_p95": timed.seconds_p95,
                }
            )
            steps.before = count
            because = on_look(found)
            if because is not None:
                text = race.stop_text(because, evaluated=count, planned=len(order))
                return found.model_copy(update={"stopped_because": text})

    def dev_scores(self, answerer: Answerer) -> dict[str, float]:
        """Return the scores of something under construction on a part of dev, by example id.

        A failure scores 0. The part is the same every time, so that scores compare.
        """
        part = self.dev.model_copy(update={"examples": self.dev.examples[:DEV_EXAMPLES_PER_CHECK]})
        scores: dict[str, float] = {}

        def on_result(result: Result) -> None:
            outcome = result.outcome
            scores[result.example_id] = 0.0 if isinstance(outcome, Failed) else outcome.score

        run_candidate(
            "under construction",
            part,
            answerer,
            scorer=self.scorer,
            journal=Journal(on_result=on_result),
            meter=Meter(clock=self.tools.clock, latency_examples=0),
            versions={},
        )
        return scores

    def kept(self, before: Model, after: Model, *, items: int, seed: int) -> Kept:
        """Return the kept ability of `after`, paired with `before` on the same fresh probes."""
        first = self.probes(before, items=items, seed=seed, detail="base")
        second = self.probes(after, items=items, seed=seed, detail="candidate")
        rng = np.random.default_rng(seed)
        found = kept(first.results, second.results, confidence=self.confidence, seed=seed, rng=rng)
        return found.model_copy(update={"suites": self.kept_suites(before, after, rng=rng)})

    def probes(self, model: Model, *, items: int, seed: int, detail: str) -> ProbeRun:
        """Return the results of a model on the probes of a seed; asked once, then found again."""
        key = self._key("probes", [model.digest, items, seed])
        found = self.tools.store.recall(key, ProbeRun)
        if found is not None:
            return found

        def progress(done: int, total: int) -> None:
            self.tools.on_progress(Progress("kept ability", done, total, detail))

        run = ProbeRun(
            results=measure_probes(model, probe_items(items, seed), on_progress=progress)
        )
        self.tools.store.remember(key, run)
        return run

    def kept_suites(
        self, before: Model, after: Model, *, rng: np.random.Generator
    ) -> tuple[KeptFamily, ...]:
        """Return each suite before and after, worst first; permutation tests draw from `rng`."""
        families: list[KeptFamily] = []
        for suite in self.suites:
            first = self.suite(before, suite, detail=f"base: {suite.name}")
            second = self.suite(after, suite, detail=f"candidate: {suite.name}")
            families += kept_suites(
                first.results, second.results, confidence=self.confidence, rng=rng
            )
        return tuple(sorted(families, key=lambda one: (one.after - one.before, one.family)))

    def suite(self, model: Model, suite: NamedSuite, *, detail: str) -> ProbeRun:
        """Return the results of a model on a suite; asked once, then found again."""
        key = self._key("suite", [model.digest, suite.digest])
        found = self.tools.store.recall(key, ProbeRun)
        if found is None:
            self.tools.on_progress(Progress("kept ability", 0, suite.items, detail))
            found = ProbeRun(results=suite.measure(model))
            self.tools.store.remember(key, found)
        return found

    def _known_results(self, key: str) -> list[Result]:
        known = [Result.from_json(text) for text in self.tools.store.ledger.results(key).values()]
        if not self.retry_failed:
            return known
        failed = [r.example_id for r in known if isinstance(r.outcome, Failed)]
        self.tools.store.ledger.forget_results(key, failed)
        return [result for result in known if result.example_id not in set(failed)]

    def _meter(self, memory: MemoryWatch, *, is_final: bool) -> Meter:
        if is_final:
            return Meter(
                clock=self.tools.clock,
                peak_memory_mib=memory.look,
                latency_examples=LATENCY_EXAMPLES,
            )
        return Meter(clock=self.tools.clock, latency_examples=0)

    def _run_key(self, candidate: Candidate, split: HeldOutSplit) -> str:
        metric = self.tools.task.metric.to_json()
        judge = [] if self.scorer.judge is None else [self.scorer.judge.digest]
        return self._key("run", [candidate.digest, split.digest, metric, *judge])

    def _key(self, kind: str, parts: list[JsonValue]) -> str:
        return digest_json(kind, [__version__, *parts])


@dataclass
class _RaceSteps:
    """How far a race is, told as progress: `before` examples in the batches that are over."""

    on_progress: Callable[[Progress], None]
    total: int
    detail: str
    before: int = 0
    _done: int = 0
    _alone: int = 0

    def begin(self, known: int) -> None:
        """Take that `known` examples of the batch and those before it are answered already."""
        self._done = known

    def take(self, *, is_timing: bool) -> None:
        """Tell of one more answer: of a new example, or of one that is timed alone."""
        if is_timing:
            self._alone += 1
            alone = min(LATENCY_EXAMPLES, self.total)
            self.on_progress(Progress("timing alone", min(self._alone, alone), alone))
            return
        self._done += 1
        self.on_progress(Progress("test", self._done, self.total, self.detail))


def untouched(items: int) -> Kept:
    """Return the kept ability of a rung that changes no weights: all of it, by construction."""
    return Kept(ratio=Estimate(mean=1.0, low=1.0, high=1.0, n=max(items, 1)))


def candidate_name(candidate: Candidate) -> str:
    """Return the variant of a candidate for people, such as `k=4`."""
    shown = [
        f"{key}={value}" if not isinstance(value, str) else value
        for key, value in candidate.spec.items()
        if key in {"baseline", "k", "documents", "r", "learning_rate"}
    ]
    return " ".join(shown)
