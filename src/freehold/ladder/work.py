"""Paid work, done once: building a candidate, running it on a split, probing its kept ability.

Every piece of work has a key made of what it depends on. What is finished is found in the store; a
run under way finds the examples that were answered before it was stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import psutil
from pydantic import JsonValue

from freehold import __version__
from freehold.core.candidate import Candidate
from freehold.core.measure import Estimate, Kept, Result, Run
from freehold.core.outcome import Failed
from freehold.core.record import Record, digest_json
from freehold.core.snapshot import DevSplit, HeldOutSplit
from freehold.evaluate.probes import ProbeResult, kept, measure_probes, probe_items
from freehold.evaluate.runner import Journal, Meter, run_candidate
from freehold.evaluate.scorers import Scorer
from freehold.ladder.events import Phase, Progress
from freehold.ladder.rung import Answerer, Rung, SkippedError, Variant
from freehold.ladder.tools import Standing, Tools
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
    """The best variant of a rung, built, and the dev score of every variant that was compared."""

    variant: Variant
    record: BuildRecord
    tried: tuple[tuple[str, float], ...] = ()


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
        """Build every variant, and take the best on dev; the first of equals.

        Raises:
            SkippedError: it turned out that the rung cannot run.
        """
        variants = rung.variants(self.tools)
        builds = [self.build(rung, variant) for variant in variants]
        if len(variants) == 1 or not len(self.dev):
            return Chosen(variants[0], builds[0])
        scores: list[float] = []
        for built in builds:
            answerer = self.load(rung, built.candidate)
            run = self.run(built.candidate, answerer, self.dev, phase="choosing on dev")
            scores.append(sum(run.scores.values()) / max(len(run.results), 1))
        best = max(range(len(scores)), key=lambda index: (scores[index], -index))
        tried = tuple((v.name, score) for v, score in zip(variants, scores, strict=True))
        return Chosen(variants[best], builds[best], tried)

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
        metric = self.tools.task.metric.to_json()
        judge = [] if self.scorer.judge is None else [self.scorer.judge.digest]
        key = self._key("run", [candidate.digest, split.digest, metric, *judge])
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
        return kept(
            first.results,
            second.results,
            confidence=self.confidence,
            seed=seed,
            rng=np.random.default_rng(seed),
        )

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

    def _key(self, kind: str, parts: list[JsonValue]) -> str:
        return digest_json(kind, [__version__, *parts])


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
