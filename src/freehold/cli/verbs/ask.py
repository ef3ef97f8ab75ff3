"""`freehold eval c1 -i TEXT`: one input, every rung's answer side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.cli.session import Session
from freehold.cli.workplace import monotonic, open_models, open_store
from freehold.core.errors import UsageError
from freehold.core.measure import Answer
from freehold.core.outcome import Scored
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, Task
from freehold.report.compare import OneAnswer, eval_one_table
from freehold.report.prompts import OnePrompt, prompts_shown
from freehold.report.view import RIGHT

if TYPE_CHECKING:
    from freehold.ladder.asked import RungAsks
    from freehold.ladder.recall import RungAnswer


def ask(session: Session) -> int:
    """Print what every rung of a climb, or the one that was named, says to one input."""
    from freehold.ladder.asked import asks_of_rungs
    from freehold.ladder.recall import answer_one, finished_climb

    text = session.invocation.text("input") or ""
    climb_id, _, rung = session.invocation.arguments[0].partition("/")
    with open_store(session) as store, open_models(session) as models:
        outcome = finished_climb(store, climb_id)
        expected = _expected(session.invocation.text("expect"), outcome.task)
        if rung:
            chosen = tuple(result for result in outcome.climb.rungs if result.rung == rung)
            if not chosen:
                raise UsageError(
                    "USE-005",
                    f"{outcome.climb_id} has no rung {rung!r}",
                    help=f"freehold report {outcome.climb_id}",
                )
            climb = outcome.climb.model_copy(update={"rungs": chosen})
            outcome = type(outcome)(climb, outcome.climb_id, outcome.task, outcome.snapshot)
        fields = _asker(session, outcome.task)
        example = Example(id="question", input=text, target=expected, fields=fields)
        if session.invocation.has("messages"):
            _show_messages(
                session, asks_of_rungs(outcome, example, store=store, models=models), text=text
            )
            return 0
        answers = answer_one(
            outcome,
            example,
            store=store,
            models=models,
            clock=monotonic,
            is_right=_judge(session, outcome.task, example) if expected is not None else None,
        )
    _show(session, answers, text=text, expected=expected)
    return 0


def _asker(session: Session, task: Task) -> dict[str, str]:
    """Return the column with the labels of whoever asks; without `--access` they hold those of the task alone."""
    labels = session.invocation.text("access")
    if labels is None:
        return {}
    if task.access_column is None:
        raise UsageError(
            "USE-006",
            f"`--access {labels}` gives labels to whoever asks, and this climb was made without them",
            help="data: {access_column: COLUMN} in task.yaml, and freehold climb",
        )
    return {task.access_column: labels}


def _expected(text: str | None, task: Task) -> JsonValue:
    if text is None or not isinstance(task.output, JsonOutput):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(
            "USE-006",
            f"`--expect {text}` is not JSON, and this task's answers are: {error}",
            help='--expect \'{"key": "value"}\'',
        ) from error


def _judge(session: Session, task: Task, example: Example) -> Callable[[Answer], bool]:
    from freehold.evaluate.scorers import scorer

    judge = scorer(task.metric, task.output, root=session.project)

    def is_right(answer: Answer) -> bool:
        outcome = judge.score(example, answer)
        return isinstance(outcome, Scored) and outcome.score >= RIGHT

    return is_right


def _show(
    session: Session, answers: tuple[RungAnswer, ...], *, text: str, expected: JsonValue
) -> None:
    console = session.console
    if console.is_json:
        shape = {
            "input": text,
            "expected": expected,
            "answers": [answer.to_json() for answer in answers],
        }
        console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
        return
    rows = tuple(
        OneAnswer(
            rung=answer.rung,
            state=answer.state,
            reason=answer.reason or "",
            value=answer.answer,
            raw=answer.raw,
            seconds=answer.seconds,
            correct=answer.correct,
            citations=answer.citations,
            cause="format" if answer.state == "answered" and answer.answer is None else "",
        )
        for answer in answers
    )
    console.data(eval_one_table(rows, **session.console.drawn))


def _show_messages(session: Session, prompts: tuple[RungAsks, ...], *, text: str) -> None:
    console = session.console
    if console.is_json:
        shape: dict[str, JsonValue] = {
            "input": text,
            "prompts": [_prompt_json(one) for one in prompts],
        }
        console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
        return
    shown = tuple(
        OnePrompt(
            rung=one.rung,
            state=one.state,
            note=one.reason or one.variant or "",
            turns=tuple((turn.role, turn.content) for turn in one.asked.messages)
            if one.asked
            else (),
            text=one.asked.prompt if one.asked else "",
            sha256=one.asked.sha256 if one.asked else "",
            tokens=one.asked.tokens if one.asked else 0,
        )
        for one in prompts
    )
    console.data(prompts_shown(shown, **console.drawn))


def _prompt_json(one: RungAsks) -> JsonValue:
    asked = one.asked
    return {
        "rung": one.rung,
        "state": one.state,
        "variant": one.variant,
        "reason": one.reason,
        "messages": [turn.to_json() for turn in asked.messages] if asked else [],
        "prompt": asked.prompt if asked else None,
        "sha256": asked.sha256 if asked else None,
        "tokens": asked.tokens if asked else None,
    }
