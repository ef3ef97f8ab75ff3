"""Measure one candidate, or one model with the instruction alone, on the test examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freehold.cli.workplace import monotonic
from freehold.core.judging import JudgeFigures
from freehold.core.measure import DocumentFigures, Estimate, HumanJudged, Kept, Run
from freehold.core.record import digest_json
from freehold.core.snapshot import Snapshot
from freehold.core.task import Task

if TYPE_CHECKING:
    from freehold.core.candidate import Candidate
    from freehold.ladder.tools import Models, OnProgress
    from freehold.store.store import Store


@dataclass(frozen=True)
class Subject:
    """What is measured, and on what.

    `candidate` None: the task's base model with the instruction alone, as the rung zero_shot.
    """

    name: str
    task: Task
    snapshot: Snapshot
    root: Path
    slice_members: Mapping[str, frozenset[str]]
    candidate: Candidate | None = None
    kept: Kept | None = None

    @property
    def rung(self) -> str:
        """The rung that answers."""
        return self.candidate.rung if self.candidate is not None else "zero_shot"

    @property
    def account(self) -> str:
        """Names the task and its data for the budget: an evaluation and a climb of it spend from one."""
        from freehold.ladder.spending import account_of

        return account_of(self.task, self.snapshot)

    def key(self, models: Models) -> str:
        """Return the name of this evaluation: what is measured, how, and on which examples."""
        if self.candidate is not None:
            measured = self.candidate.digest
        else:
            measured = self.task.digest + models.base(self.task.base).digest
        metric = self.task.metric.to_json()
        return digest_json("eval", [measured, metric, self.snapshot.test.digest])


@dataclass(frozen=True)
class Measured:
    """What was measured."""

    run: Run
    quality: Estimate
    slices: Mapping[str, Estimate]
    causes: Mapping[str, int]
    dollars_per_1k: float
    documents: DocumentFigures | None = None
    rests_on: HumanJudged | None = None
    judge: JudgeFigures | None = None


def measure(
    subject: Subject, *, store: Store, models: Models, on_progress: OnProgress, retry_failed: bool
) -> Measured:
    """Answer every test example, and estimate. What was answered before is not asked again."""
    from freehold.evaluate import diagnose
    from freehold.evaluate.estimates import Claim, evidence
    from freehold.evaluate.scorers import scorer
    from freehold.ladder.cost import total_cost
    from freehold.ladder.grounded import grounded
    from freehold.ladder.judging import keep_figures, open_judge
    from freehold.ladder.rungs import RUNGS
    from freehold.ladder.spending import tokens_dollars_per_request
    from freehold.ladder.tools import Tools
    from freehold.ladder.work import Workshop
    from freehold.models.remote import Remote

    task, snapshot = subject.task, subject.snapshot
    asked = open_judge(task, root=subject.root, store=store, models=models, snapshot=snapshot)
    judge = scorer(task.metric, task.output, root=subject.root, judge=asked)
    tools = Tools(
        task=task,
        train=snapshot.train,
        passages=(),
        store=store,
        models=models,
        clock=monotonic,
        on_progress=on_progress,
    )
    shop = Workshop(
        tools=tools,
        scorer=judge,
        dev=snapshot.dev,
        confidence=task.bar.confidence,
        retry_failed=retry_failed,
    )
    candidate = subject.candidate
    if candidate is None:
        rung = RUNGS["zero_shot"]
        candidate = shop.build(rung, rung.variants(tools)[0]).candidate
    answerer = shop.load(RUNGS[candidate.rung], candidate)
    run = shop.run(candidate, answerer, snapshot.test, phase="test")
    rng = np.random.default_rng(snapshot.seed)
    run, figures = grounded(run, snapshot.test.examples, answerer, task=task, rng=rng)
    if isinstance(answerer.model, Remote):
        answerer.model.verify()
    _count_look(store, subject, key=subject.key(models))
    rng = np.random.default_rng(snapshot.seed)
    claim = Claim(bar=task.bar.quality, confidence=task.bar.confidence)
    examples = snapshot.test.examples
    found = evidence(run.results, examples, scorer=judge, claim=claim, rng=rng)
    slices = diagnose.slices(
        run.results,
        examples,
        subject.slice_members,
        scorer=judge,
        confidence=task.bar.confidence,
        rng=rng,
    )
    cost = total_cost(
        build_seconds=0.0,
        seconds_per_request=run.seconds_per_request or 0.0,
        revalidation_examples=len(examples),
        prices=task.prices,
        volume=task.volume,
        tokens_dollars_per_request=tokens_dollars_per_request(
            run, answerer.model, prices=task.prices
        ),
    )
    judged = None if asked is None else asked.figures()
    if judged is not None:
        keep_figures(store, task, judged)
    return Measured(
        run,
        found.quality,
        slices,
        causes=diagnose.causes(run.results),
        dollars_per_1k=cost.dollars_per_1k,
        documents=figures,
        rests_on=found.rests_on,
        judge=judged,
    )


def _count_look(store: Store, subject: Subject, *, key: str) -> None:
    """Note that the test split was looked at, once for each evaluation."""
    digest = subject.snapshot.test.digest
    entries = store.ledger.entries("look at test", subject=digest)
    if not any(key in entry.body for entry in entries):
        store.note("look at test", digest, {"eval": key})
