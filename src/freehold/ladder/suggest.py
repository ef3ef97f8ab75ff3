"""Suggestions for labelling: from a candidate of a climb, or from a baseline trained on what is labelled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from freehold.core.candidate import Candidate
from freehold.core.measure import Answer
from freehold.core.outcome import Failed
from freehold.core.sections import BaselineName
from freehold.core.snapshot import Example, TrainSplit
from freehold.core.task import LabelOutput, Output
from freehold.data.labelling import Suggester, Suggestion, answer_key, item_key
from freehold.data.split import draw
from freehold.ladder.answerer import Answerer
from freehold.ladder.baseline import BASELINES, LabelScores
from freehold.ladder.climb import ClimbOutcome
from freehold.ladder.recall import answerer_of, candidate_of, tools_of
from freehold.ladder.tools import Models, Tools
from freehold.models.door import Choice
from freehold.store.store import Store

ASKED_AT_ONCE = 16
SCORED_AT_ONCE = 256
LIKELY_LABELS = 9
FOLDS = 5
FEWEST_ROWS = 4

Found = Iterator[tuple[str, Suggestion]]


def best_rung(outcome: ClimbOutcome) -> str | None:
    """Return the rung that a climb recommends, else the one that was best on test; None without any."""
    climb = outcome.climb
    if climb.recommended is not None:
        return climb.recommended
    measured = [
        (r.quality.mean, r.rung)
        for r in climb.rungs
        if r.candidate_digest and r.quality is not None and r.quality.mean is not None
    ]
    return max(measured)[1] if measured else None


def candidate_suggester(
    outcome: ClimbOutcome, rung: str, *, store: Store, models: Models
) -> Suggester:
    """Return what lets a candidate of a climb answer the rows that wait.

    The probability of a label is that of its whole text among all labels; of a JSON answer that of its
    whole text; of free text that of one of its tokens, on average, as long texts are always improbable.

    Raises:
        UsageError: the climb did not measure the rung.
    """
    candidate = candidate_of(store, outcome, rung)
    name = f"{outcome.climb_id}/{rung}"

    def suggest(waiting: Sequence[Example], labelled: Sequence[Example]) -> Found:
        del labelled
        linear = _linear_head(candidate, outcome, store=store, models=models)
        if linear is not None:
            yield from _from_scores(linear, waiting, name)
            return
        answerer = answerer_of(candidate, outcome, store=store, models=models)
        for start in range(0, len(waiting), ASKED_AT_ONCE):
            part = waiting[start : start + ASKED_AT_ONCE]
            yield from _from_answers(answerer, part, output=outcome.task.output, name=name)

    return Suggester(name=name, suggest=suggest)


def baseline_suggester(tools: Tools, *, out_of_fold: bool = False) -> Suggester:
    """Return what learns from the rows that are labelled, and is asked again as they grow.

    Labels come from TF-IDF with a linear head, other answers from the nearest labelled row, without a
    probability. With `out_of_fold` the rows that wait have an answer already: each is judged by a head
    that was trained on the others, four fifths of all rows, so that no row vouches for itself.

    Args:
        tools: of the task; their training split is not used.
        out_of_fold: see above; for labels alone.
    """
    name: BaselineName = "tfidf" if isinstance(tools.task.output, LabelOutput) else "nearest"

    def suggest(waiting: Sequence[Example], labelled: Sequence[Example]) -> Found:
        if not out_of_fold:
            yield from _learnt(tools, name, labelled, waiting=waiting)
            return
        for fold in range(FOLDS):
            others = [e for e in (*labelled, *waiting) if _fold(e) != fold]
            part = [e for e in waiting if _fold(e) == fold]
            yield from _learnt(tools, name, others, waiting=part)

    return Suggester(name="baseline", suggest=suggest, learns=True)


def _fold(example: Example) -> int:
    return int(draw(7, "fold", example.group or item_key(example)) * FOLDS)


def _learnt(
    tools: Tools, name: BaselineName, rows: Sequence[Example], *, waiting: Sequence[Example]
) -> Found:
    if len(rows) < FEWEST_ROWS or len({answer_key(row.target) for row in rows}) < 2:
        return
    way = BASELINES[name]
    tools = replace(tools, train=TrainSplit(examples=tuple(rows)))
    files = way.build(tools).files
    by = f"baseline on {len(rows):,} rows"
    if way.scores is not None:
        yield from _from_scores(way.scores(files, tools), waiting, by)
        return
    predict = way.load(files, tools)
    for start in range(0, len(waiting), SCORED_AT_ONCE):
        part = waiting[start : start + SCORED_AT_ONCE]
        for example, answer in zip(part, predict(part), strict=True):
            yield item_key(example), Suggestion(answer=answer, by=by)


def _linear_head(
    candidate: Candidate, outcome: ClimbOutcome, *, store: Store, models: Models
) -> LabelScores | None:
    name = candidate.spec.get("baseline")
    way = next((way for known, way in BASELINES.items() if known == name), None)
    if candidate.rung != "baseline" or way is None or way.scores is None:
        return None
    files = {path: store.blobs.get(digest) for path, digest in candidate.artefacts.items()}
    tools = tools_of(outcome, store=store, models=models)
    return way.scores(files, tools)


def _from_scores(linear: LabelScores, waiting: Sequence[Example], by: str) -> Found:
    for start in range(0, len(waiting), SCORED_AT_ONCE):
        part = waiting[start : start + SCORED_AT_ONCE]
        for example, row in zip(part, linear.probabilities(part), strict=True):
            likely = _likely(linear.labels, row)
            yield (
                item_key(example),
                Suggestion(answer=likely[0][0], by=by, probability=likely[0][1], likely=likely),
            )


def _likely(labels: Sequence[str], row: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
    best = np.argsort(-row, kind="stable")[:LIKELY_LABELS]
    return tuple((labels[int(index)], min(1.0, float(row[int(index)]))) for index in best)


def _from_answers(
    answerer: Answerer, part: Sequence[Example], *, output: Output, name: str
) -> Found:
    given: dict[int, Answer | Failed] = {}
    answerer.answer(part, given.__setitem__)
    said = {i: a for i, a in sorted(given.items()) if isinstance(a, Answer) and a.value is not None}
    prompts = {index: answerer.messages(part[index]) for index in said}
    model = answerer.model
    asked = {i: prompt for i, prompt in prompts.items() if prompt is not None}
    sure: dict[int, tuple[float, tuple[tuple[str, float], ...]]] = {}
    if model is not None and asked:
        if isinstance(output, LabelOutput):
            choices = model.choose(list(asked.values()), output.labels)
            for index, choice in zip(asked, choices, strict=True):
                if isinstance(choice, Choice) and choice.logprobs:
                    sure[index] = _of_choice(choice, output.labels, said[index])
        else:
            texts = [said[index].raw for index in asked]
            found = model.answer_logprobs(list(asked.values()), texts)
            for index, tokens in zip(asked, found, strict=True):
                if not isinstance(tokens, Failed) and tokens.logprobs:
                    divisor = len(tokens.logprobs) if output.kind == "text" else 1
                    sure[index] = (min(1.0, math.exp(sum(tokens.logprobs) / divisor)), ())
    for index, answer in said.items():
        probability, likely = sure.get(index, (None, ()))
        yield (
            item_key(part[index]),
            Suggestion(answer=answer.value, by=name, probability=probability, likely=likely),
        )


def _of_choice(
    choice: Choice, labels: Sequence[str], answer: Answer
) -> tuple[float, tuple[tuple[str, float], ...]]:
    logprobs = np.array(choice.logprobs)
    powers = np.exp(logprobs - logprobs.max())
    row = powers / powers.sum()
    known = dict(zip(labels, row, strict=True))
    return min(1.0, float(known.get(str(answer.value), 0.0))), _likely(labels, row)
