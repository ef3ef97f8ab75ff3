"""`freehold report c12 -s KEY=VALUE`: a finished climb judged again under another bar, volume or price."""

from __future__ import annotations

import json
import webbrowser
from dataclasses import replace
from typing import TYPE_CHECKING

from freehold.cli import exports
from freehold.cli.files import REPORTS, Written
from freehold.cli.session import Session
from freehold.cli.settings import flat, settings_given
from freehold.cli.workplace import open_models
from freehold.report.contract import climb_json
from freehold.report.html import climb_html
from freehold.report.lines import Span, labelled, line, render
from freehold.report.terminal import climb_table, closing
from freehold.store.blobs import write_durably

if TYPE_CHECKING:
    from pydantic import JsonValue

    from freehold.ladder.climb import ClimbOutcome
    from freehold.ladder.what_if import WhatIf
    from freehold.store.store import Store


def show_what_if(session: Session, outcome: ClimbOutcome, *, store: Store) -> int:
    """Print the climb as it would have been judged. Nothing is asked, kept or written but with --open."""
    found = _found(session, outcome, store)
    console = session.console
    wanted = "json" if console.is_json else session.invocation.text("format")
    written = _open(session, found, store) if session.invocation.has("open") else None
    if wanted == "json":
        console.data(json.dumps(_shape(found), ensure_ascii=False, allow_nan=False))
    elif wanted == "html":
        console.data(_page(session, found, store))
    elif wanted is not None:
        named = replace(found.outcome, climb_id=f"{outcome.climb_id} what-if")
        console.data(exports.FORMATS[wanted](named, store))
    else:
        _draw(session, found, written)
    return 0


def _found(session: Session, outcome: ClimbOutcome, store: Store) -> WhatIf:
    from freehold.evaluate.scorers import scorer
    from freehold.ladder.judging import open_judge
    from freehold.ladder.view import runs_of_climb
    from freehold.ladder.what_if import what_if

    settings: dict[str, JsonValue] = {}
    for setting in settings_given(session.invocation.texts("set")):
        settings.update(flat(setting.value, setting.key))
    task, root = outcome.task, session.project
    with open_models(session) as models:  # a judge is not asked: its scores are in the runs
        judge = open_judge(task, root=root, store=store, models=models, snapshot=outcome.snapshot)
        score = scorer(task.metric, task.output, root=root, judge=judge)
        return what_if(outcome, settings, runs=runs_of_climb(outcome, store), scorer=score)


def _draw(session: Session, found: WhatIf, written: Written | None) -> None:
    console, outcome = session.console, found.outcome
    look = console.look()
    heading = ", ".join(str(change) for change in found.changes) or "nothing is changed"
    console.data(render(labelled("what if", heading, look=look, indent=0), look))
    console.data(
        climb_table(outcome.climb, outcome.task, climb_id=outcome.climb_id, **console.drawn)
    )
    if written is not None:
        console.data(
            closing(written.path, written.size_bytes, following=found.climb_command, look=look)
        )
        return
    console.data(render([line("next     ", Span(found.climb_command, "strong"))], look))


def _page(session: Session, found: WhatIf, store: Store) -> str:
    from freehold.ladder.view import report_view

    flags = tuple(change.as_flag for change in found.changes)
    with open_models(session) as models:
        view = report_view(
            found.outcome, store=store, models=models, root=session.project, settings=flags
        )
    return climb_html(view)


def _open(session: Session, found: WhatIf, store: Store) -> Written:
    """Write the page beside the climb's own report, which stays as it is, and open it."""
    path = f"{REPORTS}/{found.outcome.climb_id}.what-if.html"
    page = _page(session, found, store).encode("utf-8", "replace")
    write_durably(session.project / path, page)
    webbrowser.open((session.project / path).resolve().as_uri())
    return Written(path, len(page))


def _shape(found: WhatIf) -> dict[str, JsonValue]:
    outcome = found.outcome
    shape = climb_json(outcome.climb, outcome.task, climb_id=outcome.climb_id, report_path=None)
    changes: JsonValue = {
        change.key: {"was": change.was, "now": change.now} for change in found.changes
    }
    return {**shape, "what_if": changes}
