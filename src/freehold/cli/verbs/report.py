"""`freehold report`: a finished climb again, in any format; or the difference of two."""

from __future__ import annotations

import json
import webbrowser
from typing import TYPE_CHECKING

from freehold.cli import exports
from freehold.cli.files import Written, report_path, write_report
from freehold.cli.marks import say_if_marked
from freehold.cli.session import Session
from freehold.cli.workplace import has_state, open_models, open_store
from freehold.core.errors import UsageError
from freehold.report.contract import climb_json
from freehold.report.terminal import climb_table, closing

if TYPE_CHECKING:
    from freehold.ladder.climb import ClimbOutcome
    from freehold.store.store import Store

LAST = "@last"


def run(session: Session) -> int:
    """Print a climb, or what changed between two."""
    if not has_state(session):
        raise UsageError(
            "USE-002",
            f"nothing was climbed in {session.project} yet",
            help="freehold climb" if session.has_task_file else "freehold climb examples.jsonl",
        )
    from freehold.ladder.recall import finished_climb

    if is_training(session.invocation.argument):
        if session.invocation.has("set"):
            raise UsageError(
                "USE-011",
                f"`-s` judges a climb again, and {session.invocation.argument} is a training",
                help="freehold report @last -s bar.quality=0.9",
            )
        from freehold.cli.verbs.train import show_training

        return show_training(session, str(session.invocation.argument))
    name = session.invocation.argument or LAST
    against = session.invocation.text("against")
    is_what_if = session.invocation.has("set")
    if is_what_if and against is not None:
        raise UsageError(
            "USE-011",
            "`-s` judges one climb again, and `--against` compares two as they were judged",
            help=f"freehold report {name} --against {against}",
        )
    with open_store(session) as store:
        outcome = finished_climb(store, name)
        if is_what_if:
            from freehold.cli.verbs.what_if import show_what_if

            return show_what_if(session, outcome, store=store)
        if against is not None:
            from freehold.cli.verbs.compare import show_difference

            return show_difference(session, outcome, finished_climb(store, against), store=store)
        return _show(session, outcome, store)


def is_training(name: str | None) -> bool:
    """Say whether an id is that of a training: `t7`."""
    return name is not None and name.startswith("t") and name[1:].isdigit()


def _show(session: Session, outcome: ClimbOutcome, store: Store) -> int:
    written = _written(session, outcome, store)
    say_if_marked(session, outcome.climb_id, store=store, again="freehold climb")
    if session.invocation.has("open"):
        webbrowser.open((session.project / written.path).resolve().as_uri())
    console = session.console
    wanted = "json" if console.is_json else session.invocation.text("format")
    if wanted == "json":
        shape = climb_json(
            outcome.climb, outcome.task, climb_id=outcome.climb_id, report_path=written.path
        )
        console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
    elif wanted == "html":
        console.data((session.project / written.path).read_text(encoding="utf-8"))
    elif wanted is not None:
        console.data(exports.FORMATS[wanted](outcome, store))
    else:
        look = console.look()
        console.data(
            climb_table(
                outcome.climb, outcome.task, climb_id=outcome.climb_id, **session.console.drawn
            )
        )
        following = f"freehold report {outcome.climb_id} --open"
        if session.invocation.has("open"):
            following = f'freehold eval {outcome.climb_id} -i "TEXT"'
        console.data(closing(written.path, written.size_bytes, following=following, look=look))
    return 0


def _written(session: Session, outcome: ClimbOutcome, store: Store) -> Written:
    """Return the report file, written again only where it is missing."""
    path = session.project / report_path(outcome.climb_id)
    if path.is_file():
        return Written(report_path(outcome.climb_id), path.stat().st_size)
    with open_models(session) as models:
        return write_report(session.project, outcome, store=store, models=models)
