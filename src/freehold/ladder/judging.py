"""The judge of a task, opened with people's scores and a memory; and the answers for people to score."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from freehold.core.errors import Problem, Where
from freehold.core.judging import JudgeFigures
from freehold.core.measure import Run
from freehold.core.record import digest_json
from freehold.core.sections import BaseModelSpec
from freehold.core.snapshot import Example, HeldOutSplit, Snapshot
from freehold.core.task import Task
from freehold.data.human_scores import HumanScores, read_human_scores
from freehold.data.read import drops_as_causes
from freehold.evaluate.judge import Judge, text_of
from freehold.ladder.tools import Models
from freehold.store.store import Store

SECONDS_PER_HOUR = 3600.0
_FIGURES = "judge measured"
_FAMILY = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class KeptReplies:
    """A judge's replies in the ledger of a project."""

    store: Store

    def known(self, judge: str) -> Mapping[str, str]:
        """Return what one judge said before: the JSON of replies by key."""
        return self.store.ledger.results(judge)

    def keep(self, judge: str, key: str, body: str) -> None:
        """Keep a reply."""
        self.store.ledger.keep_result(judge, key, body)


def open_judge(
    task: Task, *, root: Path, store: Store, models: Models, snapshot: Snapshot
) -> Judge | None:
    """Return the judge of a task whose metric is `judge`, None of any other. No model is opened yet.

    Raises:
        DataError: people's scores cannot be read.
    """
    spec = task.judge
    if spec is None or task.metric.primary != "judge":
        return None
    examples = every_example(snapshot)
    prices = task.prices
    return Judge(
        lambda: models.base(spec.model),
        spec,
        scores=human_scores(task, root=root, examples=examples).scores,
        memory=KeptReplies(store),
        warnings=[problem.message for problem in kinship(task)],
        examples=examples,
        dollars_per_second=prices.dollars_per_machine_hour / SECONDS_PER_HOUR / prices.utilisation,
    )


def human_scores(task: Task, *, root: Path, examples: Sequence[Example]) -> HumanScores:
    """Return people's scores of `models.judge.calibrate_with`; none where it is left out.

    Raises:
        DataError: they cannot be read.
    """
    spec = task.judge
    if spec is None or spec.calibrate_with is None:
        return HumanScores((), ())
    inputs = {example.id: example.input for example in examples}
    return read_human_scores(spec.calibrate_with, root=root, grades=spec.grades, inputs=inputs)


def every_example(snapshot: Snapshot) -> tuple[Example, ...]:
    """Return the examples of all splits."""
    splits: tuple[tuple[Example, ...], ...] = (
        snapshot.train.examples,
        snapshot.dev.examples,
        snapshot.test.examples,
        snapshot.audit.examples,
    )
    return tuple(example for split in splits for example in split)


def judge_problems(task: Task, scores: HumanScores) -> tuple[Problem, ...]:
    """Return the warnings about a judge that need no model: whose kin it is, and what people scored."""
    spec = task.judge
    if spec is None or task.metric.primary != "judge":
        return ()
    found = list(kinship(task))
    answers = {(one.input, one.output) for one in scores.scores}
    if len(answers) < spec.minimum_scores:
        found.append(
            Problem(
                code="JDG-004",
                level="warning",
                message=f"people scored {len(answers)} answers, and the judge decides no verdict"
                f" before {spec.minimum_scores}",
                help="freehold report --format to-score > data/human_scores.jsonl    writes answers"
                " to score; name the file in models.judge.calibrate_with",
            )
        )
    if scores.drops:
        found.append(
            Problem(
                code="JDG-005",
                level="warning",
                message=f"{len(scores.drops):,} rows of people's scores are left out",
                where=Where(file=spec.calibrate_with, row=scores.drops[0].row),
                help="mend these rows in the file and run the same command again",
                cause=drops_as_causes(scores.drops),
            )
        )
    return tuple(found)


def kinship(task: Task) -> tuple[Problem, ...]:
    """Return a warning where the judge is a model that it judges, or of one family with it.

    Models prefer what sounds like themselves. Family is the first word of the model's name, which is all
    that code can know of it.
    """
    judge = task.judge
    if judge is None:
        return ()
    beside = (task.ladder.distil.student, task.ladder.distil.teacher)
    others = [task.base, *(BaseModelSpec(id=name) for name in beside if name)]
    for other in others:
        if _same(judge.model, other):
            return (
                Problem(
                    code="JDG-002",
                    level="warning",
                    message=f"the judge {named(judge)} is the model that it judges, and models prefer"
                    " their own answers",
                    help="name another model in models.judge, and have people score its answers",
                ),
            )
    for other in others:
        if _family(named(judge)) == _family(named(other)):
            return (
                Problem(
                    code="JDG-003",
                    level="warning",
                    message=f"the judge {named(judge)} is of one family with {named(other)}, as far as names"
                    " tell, and may prefer its answers",
                    help="name a model of another family in models.judge",
                ),
            )
    return ()


def _same(first: BaseModelSpec, second: BaseModelSpec) -> bool:
    """Return whether two specs name the same weights; an adapter or fewer bits change little of them."""
    plain = {"adapter": None, "bits": None, "revision": None}
    return first.model_copy(update=plain) == second.model_copy(update=plain)


def named(spec: BaseModelSpec) -> str:
    """Return what people call a model: its endpoint, where it has one, else its id or folder."""
    endpoint: object = getattr(spec, "endpoint", None)
    return endpoint if isinstance(endpoint, str) else spec.id


def _family(name: str) -> str:
    words = _FAMILY.findall(name.rstrip("/").rpartition("/")[2].casefold())
    return words[0] if words else name


def keep_figures(store: Store, task: Task, figures: JudgeFigures) -> None:
    """Note what a judge was measured to be, so that it can be shown without opening its model."""
    store.note(_FIGURES, _name(task), {"figures": figures.to_json()})


def kept_figures(store: Store, task: Task) -> JudgeFigures | None:
    """Return what the judge of a task was last measured to be, with these human scores; None if never."""
    entries = store.ledger.entries(_FIGURES, subject=_name(task))
    if not entries:
        return None
    return JudgeFigures.from_json(json.dumps(json.loads(entries[-1].body)["figures"]))


def _name(task: Task) -> str:
    spec: JsonValue = task.judge.to_json() if task.judge is not None else None
    return digest_json("judge of", [spec, task.human_scores_digest])


def to_score(runs: Mapping[str, Run], split: HeldOutSplit) -> str:
    """Return the answers of runs by rung as JSON lines for people to score, in random order of the inputs.

    Whoever scores the first n inputs scores a random sample of every rung's answers, which is what makes the
    estimate valid. Rungs that say the same share a row. An answer that could not be read has none.
    """
    said = {
        rung: {r.example_id: text_of(r.answer) for r in run.results if r.answer and r.answer.value}
        for rung, run in runs.items()
    }
    examples = [*split.examples]
    random.Random(split.digest).shuffle(examples)
    rows: list[dict[str, JsonValue]] = []
    for example in examples:
        rungs: dict[str, list[JsonValue]] = {}
        for rung, answers in said.items():
            if example.id in answers:
                rungs.setdefault(answers[example.id], []).append(rung)
        rows.extend(
            {
                "input": example.input,
                "output": answer,
                "score": None,
                "scorer": "",
                "reference": example.target,
                "rungs": names,
            }
            for answer, names in rungs.items()
        )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
