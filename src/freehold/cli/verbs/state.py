"""Bare `freehold`: where the task of this folder stands, and what to type next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.cli.marks import marked_problems, unfinished_problems
from freehold.cli.session import Session
from freehold.cli.workplace import has_state, open_store
from freehold.core.errors import UsageError
from freehold.core.taskfile import TaskFile
from freehold.report import findings, numbers
from freehold.report.lines import Line, Span, labelled, line, render, wrap
from freehold.report.problems import warning_lines

if TYPE_CHECKING:
    from freehold.ladder.climb import ClimbOutcome

START = "freehold init --example ticket-routing"


def run(session: Session) -> int:
    """Print the state of the task and the next step."""
    task_file = session.task(None).task_file if session.has_task_file else None
    last = _last(session) if has_state(session) else None
    following = next_command(task_file, last)
    problems = (*marked_problems(session), *unfinished_problems(session))
    if session.console.is_json:
        shape = _shape(task_file, last, following)
        shape["problems"] = [problem.to_json() for problem in problems]
        session.console.data(json.dumps(shape, ensure_ascii=False))
        return 0
    look = session.console.look()
    lines: list[Line] = [line(part) for part in wrap(_heading(task_file, last), look.width)]
    if last is not None:
        text = f"{last.climb_id} climb     {_verdict(last)}"
        lines.extend(labelled("last", text, look=look, indent=0, column=7))
    lines.append(line("next   ", Span(following, "strong")))
    if task_file is None and last is None:
        lines.append(line("or     ", START, "     a bundled example"))
        lines.append(line("more   freehold --help"))
    if problems:
        session.console.data(warning_lines(problems, **session.console.drawn))
    session.console.data(render(lines, look))
    return 0


def next_command(task_file: TaskFile | None, last: ClimbOutcome | None) -> str:
    """Return what to type next."""
    if last is None:
        return "freehold climb examples.jsonl" if task_file is None else "freehold climb"
    if last.climb.recommended is None:
        return f"freehold report {last.climb_id} --open"
    return f'freehold eval {last.climb_id} -i "TEXT"'


def _last(session: Session) -> ClimbOutcome | None:
    from freehold.ladder.recall import finished_climb

    with open_store(session) as store:
        for handle in reversed(store.ledger.handles("c")):
            try:
                return finished_climb(store, handle.name)
            except UsageError:
                continue
    return None


def _heading(task_file: TaskFile | None, last: ClimbOutcome | None) -> str:
    if task_file is None:
        name = last.task.name if last is not None else "no task here yet"
        return f"{name}   (no task.yaml)" if last is not None else name
    bar = findings.bar_text(task_file.bar)
    count = ""
    if last is not None:
        rows = sum(source.rows for source in last.snapshot.sources)
        count = f"{numbers.count(rows)} examples · "
    return f"{task_file.task}   {count}base {task_file.models.base.id} · bar {bar}"


def _verdict(last: ClimbOutcome) -> str:
    result = findings.subject(last.climb)
    if result is None:
        return "nothing was measured"
    verdict = findings.verdict_text(result, last.climb.recommended)
    cost = numbers.money_per_1k(result.cost.dollars_per_1k if result.cost else None)
    return f"{result.rung} {verdict} {numbers.estimate_n(result.quality)}   {cost}"


def _shape(
    task_file: TaskFile | None, last: ClimbOutcome | None, following: str
) -> dict[str, JsonValue]:
    shown: JsonValue = None
    if last is not None:
        shown = {"climb": last.climb_id, "recommended": last.climb.recommended}
    return {
        "task": task_file.task if task_file else None,
        "base": task_file.models.base.id if task_file else None,
        "bar": task_file.bar.to_json() if task_file else None,
        "last": shown,
        "next": following,
    }
