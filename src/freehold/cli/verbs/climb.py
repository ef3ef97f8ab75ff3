"""`freehold climb`: measure every rung, recommend one, write the report."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

from freehold.cli.display import open_screen
from freehold.cli.files import (
    Written,
    changed_sources,
    lock_of,
    read_lock,
    write_lock,
    write_report,
)
from freehold.cli.interrupt import Pause
from freehold.cli.plan import plan_text
from freehold.cli.session import Session
from freehold.cli.workplace import STDIN, monotonic, open_models, open_store, prepare_task
from freehold.core.measure import Climb, Verdict
from freehold.ladder.events import ClimbEvent
from freehold.report.contract import climb_json
from freehold.report.intake import defaults_line, snapshot_lines
from freehold.report.live import paused
from freehold.report.problems import warning_lines
from freehold.report.terminal import climb_table, closing

if TYPE_CHECKING:
    from freehold.ladder.climb import ClimbOutcome
    from freehold.ladder.prepare import Prepared
    from freehold.ladder.tools import Models
    from freehold.store.store import Store

OK = 0
NOT_MET = 3
UNDECIDED = 4
INTERRUPTED = 130


def run(session: Session) -> int:
    """Climb, and return what scripts need to know: 0, 3, 4 with --strict, or 130."""
    data = session.invocation.argument
    resolved = session.task(data)
    prepared = prepare_task(session, resolved, limit=session.invocation.number("limit"))
    _introduce(session, prepared)
    if session.invocation.has("dry-run"):
        session.console.data(plan_text(resolved, prepared, session.console.look()))
        return OK
    with ExitStack() as stack:
        store = stack.enter_context(open_store(session))
        models = stack.enter_context(open_models(session))
        try:
            outcome = _climb(session, prepared, store=store, models=models)
        except _Paused as stop:
            session.console.complain(stop.message)
            return INTERRUPTED
        written = write_report(session.project, outcome, store=store, models=models)
        if data is None and not session.invocation.has("limit"):
            _lock(session, prepared, models=models)
    _show(session, outcome, written=written, data=data)
    return exit_code(outcome.climb, strict=session.invocation.has("strict"))


def exit_code(climb: Climb, *, strict: bool) -> int:
    """Return 0 where a rung is recommended or something is open, 3 where nothing meets the bar.

    With `strict`, 4 where the answer rests on an UNDECIDED.
    """
    verdicts = {result.rung: result.verdict for result in climb.rungs}
    if climb.recommended is not None and verdicts[climb.recommended] is Verdict.PASS:
        return OK
    if Verdict.UNDECIDED in verdicts.values():
        return UNDECIDED if strict else OK
    return OK if climb.recommended is not None else NOT_MET


class _Paused(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def _introduce(session: Session, prepared: Prepared) -> None:
    if not session.has_task_file:
        session.console.say(defaults_line(prepared.task, **session.console.drawn))
    session.console.say(
        snapshot_lines(
            prepared.snapshot,
            prepared.task,
            **session.console.drawn,
        )
    )
    if prepared.problems:
        session.console.say(warning_lines(prepared.problems, **session.console.drawn))


def _climb(session: Session, prepared: Prepared, *, store: Store, models: Models) -> ClimbOutcome:
    from freehold.ladder.climb import ClimbOptions, climb

    options = ClimbOptions(
        retry_failed=session.invocation.has("retry-failed"),
        max_failed=session.invocation.share("max-failed"),
    )
    screen = open_screen(session.console, prepared.task, monotonic)
    pause = Pause(screen.notice)

    def on_event(event: ClimbEvent) -> None:
        screen.show(event)
        pause.obey()

    try:
        with screen, pause:
            return climb(
                prepared,
                store=store,
                models=models,
                clock=monotonic,
                on_event=on_event,
                options=options,
            )
    except KeyboardInterrupt:
        rung = screen.running
        raise _Paused(paused(rung.row() if rung else None, session.again)) from None


def _lock(session: Session, prepared: Prepared, *, models: Models) -> None:
    """Write what was resolved, and say which data files are not those of last time."""
    task = prepared.task
    changed = changed_sources(read_lock(session.project), prepared.snapshot)
    if changed:
        session.console.say(f"{', '.join(changed)}: changed since freehold.lock; locked anew")
    uses_model = any(name != "baseline" for name in task.ladder.rungs)
    lock = lock_of(
        task,
        prepared.snapshot,
        versions=prepared.versions,
        base_digest=models.base(task.base).digest if uses_model else None,
    )
    write_lock(session.project, lock)


def _show(session: Session, outcome: ClimbOutcome, *, written: Written, data: str | None) -> None:
    console = session.console
    if console.is_json:
        shape = climb_json(
            outcome.climb,
            outcome.task,
            climb_id=outcome.climb_id,
            report_path=written.path,
        )
        console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
        return
    look = console.look()
    console.data(
        climb_table(
            outcome.climb,
            outcome.task,
            climb_id=outcome.climb_id,
            **session.console.drawn,
        )
    )
    following = (
        f"freehold init {data}    keeps these settings"
        if not session.has_task_file and data not in {None, STDIN}
        else f"freehold report {outcome.climb_id} --open"
    )
    console.data(closing(written.path, written.size_bytes, following=following, look=look))
