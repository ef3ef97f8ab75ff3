"""A chain of domains: asked one way at every stage, rehearsed, and measured into R[stage, domain].

A chain begins with the untouched base. Each later stage is an adapter that holds the updates of all
stages so far; what the chain needs of earlier stages travels with that adapter (`domains`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from freehold import __version__
from freehold.core.measure import Result, Run
from freehold.core.outcome import Scored
from freehold.core.record import digest_json
from freehold.core.snapshot import DevSplit, Example
from freehold.core.transfer import BASE_STAGE, Cell, TransferMatrix
from freehold.evaluate.estimates import Claim, evidence
from freehold.evaluate.probes import MAX_TOKENS, ProbeResult, probe_items
from freehold.evaluate.runner import Journal, Meter, run_candidate
from freehold.evaluate.scorers import scorer
from freehold.evaluate.statistics import estimate
from freehold.ladder.domains import Domain
from freehold.ladder.events import Phase, Progress
from freehold.models.door import Generation, Model
from freehold.store.store import Store
from freehold.train.records import Lost
from freehold.train.rows import TrainingRow

RIGHT = 0.5
"""An answer to a past domain is rehearsed if its own scorer gives it at least this."""
MOST_SHOWN = 50
"""At most so many forgotten probes are asked again, to show what is answered now."""


@dataclass(frozen=True)
class Stage:
    """One stage that was trained: its name, its domain, its weights and those before.

    `before` and `after` are the base and `model` on the same probes. `previous` are the weights that
    the stage started from, None where that was the base.
    """

    name: str
    domain: Domain
    base: Model
    model: Model
    before: Sequence[ProbeResult]
    after: Sequence[ProbeResult]
    previous: Model | None = None


@dataclass(frozen=True)
class Chain:
    """What measuring the stages of a chain takes. `seed` draws the resamples of intervals."""

    store: Store
    clock: Callable[[], float]
    on_progress: Callable[[Progress], None]
    confidence: float
    seed: int
    versions: Mapping[str, str]

    def rehearsal(self, previous: Model, domains: Sequence[Domain]) -> tuple[TrainingRow, ...]:
        """Return rows of earlier domains, answered by the previous model and right by their own scorer.

        Source: on-policy replay, arXiv:2605.29495: a model forgets less from its own right answers
        than from the targets it once learnt, and wrong answers of its own harm.
        """
        rows: list[TrainingRow] = []
        for domain in domains:
            run = self.asked(previous, domain, domain.rehearsal, phase="building")
            answerer = domain.answerer(previous)
            by_id = {example.id: example for example in domain.rehearsal}
            for result in run.results:
                if _is_right(result) and result.answer is not None:
                    prompt = answerer.messages(by_id[result.example_id])
                    rows.append(TrainingRow(prompt=prompt, answer=result.answer.raw))
        return tuple(rows)

    def matrix(
        self, stage: Stage, *, earlier: TransferMatrix | None, past: Sequence[Domain]
    ) -> TransferMatrix:
        """Return R[stage, domain] with this stage: every domain so far, and the new one on older weights."""
        stages = earlier.stages if earlier is not None else (BASE_STAGE,)
        last, domain = len(stages), stage.domain
        cells = [*(earlier.cells if earlier is not None else ())]
        general = [*(earlier.general if earlier is not None else self._general(0, stage.before))]
        cells.append(self._cell(0, stage.base, domain))
        if stage.previous is not None:
            cells.append(self._cell(last - 1, stage.previous, domain))
        cells.extend(self._cell(last, stage.model, one) for one in (*past, domain))
        general.extend(self._general(last, stage.after))
        return TransferMatrix(
            stages=(*stages, stage.name),
            domains=(*(one.name for one in past), domain.name),
            cells=tuple(cells),
            general=tuple(general),
        )

    def _cell(self, stage: int, model: Model, domain: Domain) -> Cell:
        task = domain.question.task
        run = self.asked(model, domain, domain.dev, phase="choosing on dev")
        judge = scorer(task.metric, task.output, root=Path(domain.question.root))
        found = evidence(
            run.results,
            domain.dev,
            scorer=judge,
            claim=Claim(bar=task.bar.quality, confidence=self.confidence),
            rng=np.random.default_rng(self.seed),
        )
        scores = run.scores if judge.aggregate == "mean" else {}
        return Cell(stage=stage, column=domain.name, quality=found.quality, scores=scores)

    def asked(
        self, model: Model, domain: Domain, examples: tuple[Example, ...], *, phase: Phase
    ) -> Run:
        """Return a model's run on examples of a domain; what was answered before is not asked again."""
        question, split = domain.question, DevSplit(examples=examples)
        task = question.task
        made_of: list[JsonValue] = [
            __version__,
            model.digest,
            split.digest,
            task.question_digest,
            task.metric.to_json(),
            question.max_tokens,
        ]
        key = digest_json("domain run", made_of)
        found = self.store.recall(key, Run)
        if found is not None and len(found.results) == len(examples):
            return found
        ledger = self.store.ledger
        known = [Result.from_json(text) for text in ledger.results(key).values()]
        done = len(known)

        def on_result(result: Result) -> None:
            nonlocal done
            ledger.keep_result(key, result.example_id, result.model_dump_json())
            done += 1
            self.on_progress(Progress(phase, done, len(examples), domain.name))

        run = run_candidate(
            model.digest,
            split,
            domain.answerer(model),
            scorer=scorer(task.metric, task.output, root=Path(question.root)),
            journal=Journal(known=known, on_result=on_result),
            meter=Meter(clock=self.clock, latency_examples=0),
            versions=self.versions,
        )
        self.store.remember(key, run)
        return run

    def forgotten(
        self, model: Model, lost: Sequence[str], *, items: int, seed: int
    ) -> tuple[Lost, ...]:
        """Return forgotten probes of a seed with what the base said and what is said now."""
        by_id = {probe.id: probe for probe in probe_items(items, seed)}
        probes = [by_id[probe_id] for probe_id in lost[:MOST_SHOWN]]
        answers = model.generate([probe.messages for probe in probes], max_tokens=MAX_TOKENS)
        return tuple(
            Lost(
                family=probe.family,
                prompt=probe.messages[-1].content,
                before=probe.answer,
                after=answer.text if isinstance(answer, Generation) else answer.message,
            )
            for probe, answer in zip(probes, answers, strict=True)
        )

    def _general(self, stage: int, results: Sequence[ProbeResult]) -> list[Cell]:
        """Return one cell for every family of probes."""
        cells: list[Cell] = []
        for family in dict.fromkeys(result.family for result in results):
            own = [result for result in results if result.family == family]
            scores = {r.probe_id: r.outcome.score for r in own if isinstance(r.outcome, Scored)}
            quality = estimate([r.outcome for r in own], binary=True, confidence=self.confidence)
            cells.append(Cell(stage=stage, column=family, quality=quality, scores=scores))
        return cells


def _is_right(result: Result) -> bool:
    return isinstance(result.outcome, Scored) and result.outcome.score >= RIGHT


def lost_ids(before: Sequence[ProbeResult], after: Sequence[ProbeResult]) -> tuple[str, ...]:
    """Return the probes that were right before and are not now."""
    later = {result.probe_id: result.outcome for result in after}

    def is_right(result: ProbeResult) -> bool:
        return isinstance(result.outcome, Scored) and result.outcome.score == 1.0

    def is_still_right(probe_id: str) -> bool:
        outcome = later.get(probe_id)
        return isinstance(outcome, Scored) and outcome.score == 1.0

    return tuple(r.probe_id for r in before if is_right(r) and not is_still_right(r.probe_id))
