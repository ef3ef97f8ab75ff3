"""`freehold train`: one rung, with the kept-ability guard; `--after` goes on to the next domain."""

from __future__ import annotations

import json
import signal
import webbrowser
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.cli import paths
from freehold.cli.grammar import TRAINED_RUNGS
from freehold.cli.interrupt import Pause
from freehold.cli.marks import say_if_marked
from freehold.cli.parse import nearest
from freehold.cli.session import Session
from freehold.cli.training_files import write_page_if_possible
from freehold.cli.training_screen import open_training_screen
from freehold.cli.workplace import monotonic, open_models, open_store, prepare_task
from freehold.core.errors import UsageError
from freehold.ladder.together import Team
from freehold.ladder.training import (
    TrainingEvent,
    TrainingOrder,
    TrainingOutcome,
    World,
    find_after,
    finished_training,
    train_along,
    train_rung,
    trained_rungs,
)
from freehold.ladder.training_view import finished_view, recipe_words, spec_of
from freehold.report import findings, numbers
from freehold.report.intake import snapshot_lines
from freehold.report.lines import Line, Span, labelled, line, render
from freehold.report.live_training import training_paused
from freehold.report.problems import warning_lines
from freehold.report.terminal import closing
from freehold.report.training_text import training_json, training_summary
from freehold.report.training_view import TrainingView

if TYPE_CHECKING:
    from freehold.core.sections import BaseModelSpec, RungName
    from freehold.ladder.prepare import Prepared
    from freehold.ladder.tools import Models
    from freehold.models.loading import Outline
    from freehold.report.lines import Look
    from freehold.store.store import Store
    from freehold.train.processes import Processes

OK = 0
INTERRUPTED = 130


def run(session: Session) -> int:
    """Train, and return 0, or 130 where it was paused.

    Of several processes the first one does this, and the others train along without a word.
    """
    if session.environment.process_count == 1:
        return _run(session, None)
    from freehold.train.processes import joined

    team = Team(joined(shards=session.environment.has_shards))
    if not team.processes.is_first:
        return _run_along(session, team)
    with team.leading():
        return _run(session, team)


def _run(session: Session, team: Team | None) -> int:
    rung = _rung(session.invocation.argument or "lora")
    prepared = _prepared(session)
    session.console.say(snapshot_lines(prepared.snapshot, prepared.task, **session.console.drawn))
    if team is not None:
        session.console.say(_together(team.processes, session.console.look()))
    if prepared.problems:
        session.console.say(warning_lines(prepared.problems, **session.console.drawn))
    with ExitStack() as stack:
        models = stack.enter_context(open_models(session))
        if session.invocation.has("dry-run"):
            session.console.data(_plan(session, prepared, rung, models=models))
            return OK
        store = stack.enter_context(open_store(session))
        order = _order(session, prepared, store=store)
        if order.after is not None:
            _say_if_forgotten(session, order.after)
        try:
            outcome = _train(session, order, store=store, models=models, team=team)
        except _Paused as stop:
            session.console.complain(stop.message)
            return INTERRUPTED
        following = "freehold climb" if order.after is None else ""
        _show(session, outcome, prepared_view(session, outcome, store), following=following)
    return OK


def _together(processes: Processes, look: Look) -> str:
    """Return the line that says who trains, and where the weights lie."""
    how = (
        "each holds a share of the weights (FSDP)"
        if processes.is_sharded
        else "each holds all weights"
    )
    text = f"{processes.count} train together, {how}"
    return render(labelled("processes", text, look=look, column=17), look)


def _run_along(session: Session, team: Team) -> int:
    """Take part in every training that the first process calls for, and return 0 when it is done.

    Nothing is opened before the first call, so that what is wrong is found, and said, by the first
    process alone. It also decides when to pause: ^C means nothing here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    call = team.next_call()
    if call is None:
        return OK
    prepared = _prepared(session)
    with open_models(session) as models, open_store(session) as store:
        order = _order(session, prepared, store=store)
        world = World(
            store=store,
            models=models,
            clock=monotonic,
            on_event=_tell_nobody,
            should_stop=_never,
            team=team,
        )
        while call is not None:
            train_along(call, order, world)
            call = team.next_call()
    return OK


def _prepared(session: Session) -> Prepared:
    return prepare_task(session, session.task(None), limit=session.invocation.number("limit"))


def _order(session: Session, prepared: Prepared, *, store: Store) -> TrainingOrder:
    after = session.invocation.text("after")
    folder = None if after is None else find_after(store, after, project=session.project)
    return TrainingOrder(prepared, _rung(session.invocation.argument or "lora"), after=folder)


def _say_if_forgotten(session: Session, after: Path) -> None:
    """Say that the training to go on from learnt from rows that were forgotten since."""
    from freehold.ladder.descent import forgotten_problem

    problem = forgotten_problem(after)
    if problem is not None:
        session.console.complain(warning_lines((problem,), **session.console.drawn))


def _tell_nobody(_event: TrainingEvent) -> None:
    """Take an event and do nothing."""


def _never() -> bool:
    return False


def show_training(session: Session, name: str) -> int:
    """Print a finished training again; the page is written anew."""
    with open_store(session) as store:
        outcome = finished_training(store, name)
        say_if_marked(session, name, store=store, again=f"freehold train {outcome.training.rung}")
        view = prepared_view(session, outcome, store)
        _show(session, outcome, view, following="")
    return OK


def prepared_view(session: Session, outcome: TrainingOutcome, store: Store) -> TrainingView:
    """Return what is shown of a finished training."""
    from freehold.core.task import Task

    task = store.get(outcome.training.task_digest, Task)
    return finished_view(
        outcome.training,
        task,
        training_id=outcome.training_id,
        folder=_relative(outcome.folder, session.project),
    )


class _Paused(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def _rung(name: str) -> RungName:
    names = trained_rungs()
    for known in names:
        if known == name:
            return known
    meant = nearest(name, [*names, *TRAINED_RUNGS])
    raise UsageError(
        "USE-006",
        f"`{name}` is no rung that is trained by itself; {', '.join(names)} can be",
        help=f"freehold train {meant}" if meant in names else "freehold train lora",
    )


def _train(
    session: Session,
    order: TrainingOrder,
    *,
    store: Store,
    models: Models,
    team: Team | None,
) -> TrainingOutcome:
    screen = open_training_screen(
        session.console,
        order.prepared.task,
        order.rung,
        after=session.invocation.text("after"),
        project=session.project,
        clock=monotonic,
    )
    pause = Pause(screen.notice)

    def on_event(event: TrainingEvent) -> None:
        screen.show(event)
        if not screen.is_stepping:
            pause.obey()

    world = World(
        store=store,
        models=models,
        clock=monotonic,
        on_event=on_event,
        should_stop=lambda: pause.is_asked,
        team=team,
    )
    try:
        with screen, pause:
            return train_rung(order, world)
    except KeyboardInterrupt:
        screen.write_paused_page()
        seen = screen.running.seen
        view = seen.view() if seen.training_id else None
        raise _Paused(training_paused(view, session.again)) from None


def _show(
    session: Session, outcome: TrainingOutcome, view: TrainingView, *, following: str
) -> None:
    console = session.console
    written, problem = write_page_if_possible(session.project, view)
    if written is None:
        console.complain(problem)
    elif session.invocation.has("open"):
        webbrowser.open((session.project / written.path).resolve().as_uri())
    if console.is_json:
        shape = training_json(view, report_path=written.path if written else None)
        console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
        return
    console.data(training_summary(view, **console.drawn))
    console.data(render([line(f"Adapter  {view.folder}/")], console.look()))
    command = following or f"freehold report {outcome.training_id} --open"
    if written is None:
        console.data(render([line("next     ", Span(command, "strong"))], console.look()))
        return
    console.data(closing(written.path, written.size_bytes, following=command, look=console.look()))


def _plan(session: Session, prepared: Prepared, rung: RungName, *, models: Models) -> str:
    """Return what would be trained, and what that would take on this machine; nothing is written."""
    from freehold.cli.estimate import plan_rows
    from freehold.models.opening import open_outline

    def outline(spec: BaseModelSpec) -> Outline:
        return open_outline(spec, cache=paths.cache_folder(), online=session.is_online)

    task, snapshot, look = prepared.task, prepared.snapshot, session.console.look()
    only = task.ladder.model_copy(update={"rungs": (rung,)})
    alone = replace(prepared, task=task.model_copy(update={"ladder": only}))
    row = plan_rows(alone, models=models, open_outline=outline)[0]
    facts = [
        ("rung", rung),
        ("base", task.base.id),
        ("after", session.invocation.text("after") or "the base itself"),
        ("instruction", findings.clip(task.instruction, 200)),
        ("rows", f"{len(snapshot.train):,} train, {len(snapshot.dev):,} dev"),
        *recipe_words(spec_of(task.ladder, rung), None),
        ("guard", f"kept ≥ {numbers.bar_value(task.bar.kept)}"),
    ]
    if row.state == "skipped":
        facts.append(("cannot", row.note))
    else:
        memory = "" if row.memory_gib is None else f" · {row.memory_gib:.2g} GiB"
        dollars = numbers.money(row.dollars)
        facts.append(("takes", f"≈ {numbers.rough(row.seconds)} · ≈ {dollars}{memory}"))
    lines: list[Line] = [line(f"Plan for {task.name}; nothing was done.")]
    for label, text in facts:
        lines.extend(labelled(label, text, look=look, column=19))
    return render(lines, look)


def _relative(folder: Path, project: Path) -> str:
    try:
        return folder.resolve().relative_to(project.resolve()).as_posix()
    except ValueError:
        return str(folder)
