"""What was measured before, found again: finished climbs, their runs, and their candidates, loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import JsonValue

from freehold.core.candidate import Candidate
from freehold.core.errors import UsageError
from freehold.core.measure import Answer, Citation, Climb, Run, RungResult
from freehold.core.outcome import Failed
from freehold.core.record import Record
from freehold.core.snapshot import Example, Snapshot
from freehold.core.task import Task
from freehold.ladder.climb import ClimbOutcome
from freehold.ladder.events import Progress
from freehold.ladder.rung import Answerer
from freehold.ladder.rungs import RUNGS
from freehold.ladder.tools import Models, Tools
from freehold.store.store import Store


class RungAnswer(Record):
    """What one rung of a climb says to one input. `correct` is None where no answer was expected."""

    rung: str
    state: Literal["answered", "skipped", "failed"]
    reason: str | None = None
    answer: JsonValue = None
    raw: str = ""
    seconds: float | None = None
    correct: bool | None = None
    citations: tuple[Citation, ...] = ()


def finished_climb(store: Store, name: str) -> ClimbOutcome:
    """Return a finished climb by its id (`c12`) or `@last`.

    Raises:
        UsageError: there is no such climb, or it is not finished.
    """
    handle = store.resolve(name)
    found = store.recall(handle.key, Climb)
    if found is None:
        raise UsageError(
            "USE-004", f"{handle.name} is not finished", help="freehold climb    goes on with it"
        )
    task = store.get(found.task_digest, Task)
    snapshot = store.get(found.snapshot_digest, Snapshot)
    return ClimbOutcome(climb=found, climb_id=handle.name, task=task, snapshot=snapshot)


def run_of(store: Store, result: RungResult) -> Run | None:
    """Return the test run of a measured rung; None for a rung that was not measured."""
    return store.get(result.run_digest, Run) if result.run_digest else None


def candidate_of(store: Store, outcome: ClimbOutcome, rung: str) -> Candidate:
    """Return the candidate of one rung of a climb.

    Raises:
        UsageError: the climb has no such rung, or did not measure it.
    """
    names = [result.rung for result in outcome.climb.rungs if result.candidate_digest]
    if rung not in names:
        raise UsageError(
            "USE-005",
            f"{outcome.climb_id} has no measured rung `{rung}` (measured: {', '.join(names)})",
            help=f"freehold report {outcome.climb_id}",
        )
    return store.get(str(outcome.climb.rung(rung).candidate_digest), Candidate)


def tools_of(outcome: ClimbOutcome, *, store: Store, models: Models) -> Tools:
    """Return what loading a candidate of a finished climb takes."""
    return Tools(
        task=outcome.task,
        train=outcome.snapshot.train,
        passages=(),
        store=store,
        models=models,
        clock=lambda: 0.0,
        on_progress=_ignore,
    )


def answerer_of(
    candidate: Candidate, outcome: ClimbOutcome, *, store: Store, models: Models
) -> Answerer:
    """Return a candidate of a climb, ready to answer."""
    tools = tools_of(outcome, store=store, models=models)
    files = {name: store.blobs.get(digest) for name, digest in candidate.artefacts.items()}
    return RUNGS[candidate.rung].load(candidate.spec, files, tools)


def answer_one(
    outcome: ClimbOutcome,
    example: Example,
    *,
    store: Store,
    models: Models,
    clock: Callable[[], float],
    is_right: Callable[[Answer], bool] | None,
) -> tuple[RungAnswer, ...]:
    """Return what every rung of a climb says to one example, in ladder order.

    Args:
        outcome: the climb.
        example: the input; its target is not shown to any rung.
        store: of the climb.
        models: opens what the rungs need.
        clock: monotonic seconds.
        is_right: judges an answer; None where nothing is expected.
    """
    answers: list[RungAnswer] = []
    for result in outcome.climb.rungs:
        if result.candidate_digest is None:
            state = "skipped" if result.state == "skipped" else "failed"
            answers.append(RungAnswer(rung=result.rung, state=state, reason=result.reason))
            continue
        candidate = store.get(result.candidate_digest, Candidate)
        if any(store.blobs.is_forgotten(digest) for digest in candidate.artefacts.values()):
            reason = "its files held rows that were forgotten; freehold climb builds it anew"
            answers.append(RungAnswer(rung=result.rung, state="skipped", reason=reason))
            continue
        answerer = answerer_of(candidate, outcome, store=store, models=models)
        given: list[Answer | Failed] = []
        started = clock()
        answerer.answer([example], lambda _index, answer, given=given: given.append(answer))
        seconds = clock() - started
        answers.append(_rung_answer(result.rung, given[0], seconds=seconds, is_right=is_right))
    return tuple(answers)


def _rung_answer(
    rung: str, given: Answer | Failed, *, seconds: float, is_right: Callable[[Answer], bool] | None
) -> RungAnswer:
    if isinstance(given, Failed):
        return RungAnswer(rung=rung, state="failed", reason=given.message, seconds=seconds)
    return RungAnswer(
        rung=rung,
        state="answered",
        answer=given.value,
        raw=given.raw,
        seconds=seconds,
        correct=is_right(given) if is_right else None,
        citations=given.citations,
    )


def _ignore(step: Progress) -> None:
    del step
