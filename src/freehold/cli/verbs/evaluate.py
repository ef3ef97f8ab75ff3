"""`freehold eval`: one candidate or model on the test examples; or every rung on one input."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.cli.display import open_screen
from freehold.cli.interrupt import Pause
from freehold.cli.measure import Measured, Subject, measure
from freehold.cli.session import Session
from freehold.cli.settings import PRICED
from freehold.cli.verbs.ask import ask
from freehold.cli.workplace import monotonic, open_models, open_store, prepare_task
from freehold.core.errors import UsageError
from freehold.core.measure import Estimate
from freehold.core.sections import BaseModelSpec
from freehold.ladder.events import ClimbEvent, ClimbStarted, Progress, RungProgress, RungStarted
from freehold.report import findings, numbers
from freehold.report.documents import figures_json, figures_text
from freehold.report.judge import judge_facts, rests_text
from freehold.report.lines import Line, Span, labelled, line, render
from freehold.report.live import paused

if TYPE_CHECKING:
    from freehold.ladder.climb import ClimbOutcome
    from freehold.ladder.tools import Models
    from freehold.store.store import Store

CANDIDATE = re.compile(r"(c\d+|@last)(?:/([a-z_+]+))?")
OK = 0
TOO_MANY_FAILED = 3
INTERRUPTED = 130


def run(session: Session) -> int:
    """Measure a model, or ask all rungs one question."""
    if session.invocation.has("input"):
        return ask(session)
    if session.invocation.has("access"):
        raise UsageError(
            "USE-006",
            "`--access` belongs to a question, and there is no `-i`",
            help='freehold eval c1 -i "TEXT" --access LABELS',
        )
    if session.invocation.has("expect"):
        raise UsageError(
            "USE-006",
            "`--expect` belongs to a question, and there is no `-i`",
            help='freehold eval c1 -i "TEXT" --expect ANSWER',
        )
    if session.invocation.has("messages"):
        raise UsageError(
            "USE-006",
            "`--messages` shows what is asked about an input, and there is no `-i`",
            help='freehold eval c1 -i "TEXT" --messages',
        )
    with ExitStack() as stack:
        store = stack.enter_context(open_store(session))
        models = stack.enter_context(open_models(session))
        subject = _limited(_subject(session, store), session.invocation.number("limit"))
        if session.invocation.has("dry-run"):
            count = numbers.count(len(subject.snapshot.test))
            plan = f"Plan: {subject.name} on {count} test examples as {subject.rung}; nothing was done."
            session.console.data(plan)
            return OK
        models.endpoints.spend_for(subject.account, subject.task.budget)
        name = store.handle("e", subject.key(models)).name
        measured = _measure(session, subject, name=name, store=store, models=models)
    if measured is None:
        return INTERRUPTED
    if session.console.is_json:
        shape = eval_json(name, subject, measured)
        session.console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
    else:
        session.console.data(_drawing(session, name, subject=subject, measured=measured))
    return _code(session, measured)


def _subject(session: Session, store: Store) -> Subject:
    """Return what the argument names: a candidate of a climb, else a model."""
    name = session.invocation.arguments[0]
    match = CANDIDATE.fullmatch(name)
    if match is not None and not (session.project / name).exists():
        return _candidate(session, store, climb_id=match[1], rung=match[2])
    base, prices = _named(session, name)
    update = {"base": base}
    if session.has_task_file:
        prepared = prepare_task(session, session.task(None))
        return Subject(
            name=name,
            task=prepared.task.model_copy(
                update=update | {"prices": prepared.task.prices.model_copy(update=prices)}
            ),
            snapshot=prepared.snapshot,
            root=session.project,
            slice_members=prepared.slice_members,
        )
    if not store.ledger.handles("c"):
        raise UsageError(
            "USE-003",
            f"there is no {session.project / 'task.yaml'} to measure {name} on",
            help="freehold init examples.jsonl",
        )
    from freehold.ladder.recall import finished_climb

    last = finished_climb(store, "@last")
    return Subject(
        name=name,
        task=last.task.model_copy(
            update=update | {"prices": last.task.prices.model_copy(update=prices)}
        ),
        snapshot=last.snapshot,
        root=session.project,
        slice_members=_slices(last),
    )


def _named(session: Session, name: str) -> tuple[BaseModelSpec, dict[str, float | None]]:
    """Return what a name stands for, and the prices of tokens where that is an endpoint."""
    spec = session.endpoints().get(name)
    if spec is None:
        return BaseModelSpec(id=name), {}
    return BaseModelSpec(endpoint=name), {field: getattr(spec, field) for field in PRICED}


def _candidate(session: Session, store: Store, *, climb_id: str, rung: str | None) -> Subject:
    from freehold.ladder.recall import candidate_of, finished_climb

    outcome = finished_climb(store, climb_id)
    chosen = rung or outcome.climb.recommended
    if chosen is None:
        measured = [result.rung for result in findings.measured(outcome.climb)]
        raise UsageError(
            "USE-006",
            f"{outcome.climb_id} recommends no rung; it measured {', '.join(measured) or 'none'}",
            help=f"freehold eval {outcome.climb_id}/{measured[0] if measured else 'RUNG'}",
        )
    return Subject(
        name=f"{outcome.climb_id}/{chosen}",
        task=outcome.task,
        snapshot=outcome.snapshot,
        root=session.project,
        slice_members=_slices(outcome),
        candidate=candidate_of(store, outcome, chosen),
        kept=outcome.climb.rung(chosen).kept,
    )


def _slices(outcome: ClimbOutcome) -> dict[str, frozenset[str]]:
    return {name: frozenset(ids) for name, ids in outcome.climb.slice_members.items()}


def _limited(subject: Subject, limit: int | None) -> Subject:
    if limit is None:
        return subject
    test = subject.snapshot.test
    fewer = test.model_copy(update={"examples": test.examples[:limit]})
    return replace(subject, snapshot=subject.snapshot.model_copy(update={"test": fewer}))


def _measure(
    session: Session, subject: Subject, *, name: str, store: Store, models: Models
) -> Measured | None:
    """Measure, with progress; None when ^C paused it."""
    screen = open_screen(session.console, subject.task, monotonic)
    pause = Pause(screen.notice)

    def on_event(event: ClimbEvent) -> None:
        screen.show(event)
        pause.obey()

    def on_progress(step: Progress) -> None:
        on_event(RungProgress(subject.rung, step.phase, step.done, step.total, step.detail))

    began = ClimbStarted(
        climb_id=name,
        task=subject.task.name,
        rungs=(subject.rung,),
        test_examples=len(subject.snapshot.test),
        bar_quality=subject.task.bar.quality,
        resumed=False,
    )
    try:
        with screen, pause:
            on_event(began)
            on_event(RungStarted(subject.rung))
            return measure(
                subject,
                store=store,
                models=models,
                on_progress=on_progress,
                retry_failed=session.invocation.has("retry-failed"),
            )
    except KeyboardInterrupt:
        running = screen.running
        session.console.complain(paused(running.row() if running else None, session.again))
        return None


def _code(session: Session, measured: Measured) -> int:
    """Return 3 where more failed than `--max-failed` allows."""
    limit = session.invocation.share("max-failed")
    if limit is None:
        return OK
    allowed = limit * len(measured.run.results) if isinstance(limit, float) else limit
    failed = len(measured.run.failures)
    if failed <= allowed:
        return OK
    first = measured.run.failures[0].message
    session.console.complain(f"{failed} examples failed, {allowed:g} allowed; the first: {first}")
    return TOO_MANY_FAILED


def eval_json(name: str, subject: Subject, measured: Measured) -> dict[str, JsonValue]:
    """Return the evaluation as JSON values (experience.md 7.2)."""
    kept = subject.kept.ratio if subject.kept is not None else None
    return {
        "eval": name,
        "model": subject.name,
        "snapshot": subject.snapshot.digest,
        "split": "test",
        "quality": _quality(measured.quality),
        "slices": [
            {"slice": key, "quality": _quality(value)} for key, value in measured.slices.items()
        ],
        "kept": None if kept is None else {"mean": kept.mean, "low": kept.low, "high": kept.high},
        "dollars_per_1k": measured.dollars_per_1k,
        "seconds_p50": measured.run.seconds_p50,
        "seconds_p95": measured.run.seconds_p95,
        "evaluated": len(measured.run.results),
        "causes": dict(measured.causes),
        "report": None,
        **({"documents": figures_json(measured.documents)} if measured.documents else {}),
        **({} if measured.judge is None else {"judge": measured.judge.to_json()}),
        **({} if measured.rests_on is None else {"rests_on": measured.rests_on.to_json()}),
    }


def _quality(value: Estimate) -> dict[str, JsonValue]:
    return {
        "mean": value.mean,
        "low": value.low,
        "high": value.high,
        "n": value.n,
        "failed": value.failed,
        "method": value.method,
    }


def _drawing(session: Session, name: str, *, subject: Subject, measured: Measured) -> str:
    look = session.console.look()
    task, run = subject.task, measured.run
    lines: list[Line] = [
        line(
            Span(name, "strong"),
            f" {subject.name} · {numbers.count(len(run.results))} test examples"
            f" · {task.metric.primary}",
        )
    ]
    facts = {
        "quality": f"{numbers.estimate_n(measured.quality)}, {measured.quality.failed} failed"
        f"    bar ≥ {numbers.bar_value(task.bar.quality)}",
        "cost": numbers.money_per_1k(measured.dollars_per_1k),
        "latency": f"p50 {numbers.latency(run.seconds_p50)}, p95 {numbers.latency(run.seconds_p95)}",
        "documents": figures_text(measured.documents) if measured.documents else "",
        "wrong": ", ".join(f"{cause} {count}" for cause, count in measured.causes.items()),
    }
    for label, text in facts.items():
        if text:
            lines.extend(labelled(label, text, look=look))
    if measured.rests_on is not None:
        lines.extend(labelled("rests on", rests_text(measured.rests_on), look=look))
    if measured.judge is not None:
        for label, text in judge_facts(measured.judge):
            lines.extend(labelled(label, text, look=look))
    for slice_name, value in measured.slices.items():
        lines.extend(labelled("slice", findings.slice_text(slice_name, value), look=look))
    climb_id = subject.name.split("/")[0] if subject.candidate is not None else "c1"
    if subject.candidate is not None:
        lines.append(line(f'next     freehold eval {climb_id} -i "TEXT"'))
    else:
        lines.append(line(f"next     freehold climb -s model={subject.name}"))
    return render(lines, look)
