"""`freehold check`: settings and data, before they cost time."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from pydantic import JsonValue

from freehold.cli import paths, shapes
from freehold.cli.large import Surveys, look_at_all, survey_lines, with_warning
from freehold.cli.look_at_endpoint import endpoint_plan
from freehold.cli.looks import Seen, look_at
from freehold.cli.parse import nearest
from freehold.cli.reason import Reason, reason_of
from freehold.cli.session import Session
from freehold.cli.settings import TASK_FILE, Resolved
from freehold.cli.workplace import open_models, prepare_task
from freehold.core.codes import CODES
from freehold.core.errors import DataError, Problem, UsageError
from freehold.core.sections import BaseModelSpec
from freehold.core.taskfile import task_schema
from freehold.report import numbers
from freehold.report.contract import CLIMB_SCHEMA
from freehold.report.data_show import look_lines
from freehold.report.intake import check_heading, plan_table, snapshot_lines
from freehold.report.lines import Line, Look, labelled, line, render, spread
from freehold.report.problems import warning_lines

if TYPE_CHECKING:
    from freehold.ladder.prepare import Prepared
    from freehold.models.loading import Outline
    from freehold.report.intake import PlanRow

GIB = 1024**3


@dataclass(frozen=True)
class Checked:
    """Everything that was checked: the prepared task, what is wrong, and what was seen on the way."""

    prepared: Prepared
    problems: tuple[Problem, ...]
    looks: Mapping[str, Seen]
    surveys: Surveys
    plan: tuple[PlanRow, ...] | None


def run(session: Session) -> int:
    """Check everything that can be checked without asking a model."""
    invocation = session.invocation
    code = invocation.text("explain")
    if code is not None:
        session.console.data(explain(code))
        return 0
    shape = invocation.text("schema")
    if shape is not None:
        session.console.data(json.dumps(_schema(shape), ensure_ascii=False, indent=1))
        return 0
    resolved = session.task(invocation.argument)
    if invocation.has("where"):
        return _show_sources(session, resolved)
    resolved, surveys = look_at_all(session, resolved)
    prepared = prepare_task(
        session,
        resolved,
        strict=invocation.has("strict"),
        limit=invocation.number("limit"),
    )
    prepared = with_warning(prepared, surveys)
    looks = look_at(prepared, session)
    problems = (*prepared.problems, *(p for seen in looks.values() for p in seen.problems))
    if invocation.has("strict") and problems:
        raise DataError.several(problems)
    is_planned = invocation.has("plan") or invocation.text("machine") is not None
    plan = _plan(session, prepared) if is_planned else None
    checked = Checked(prepared, problems=problems, looks=looks, surveys=surveys, plan=plan)
    _show(session, checked, name=invocation.argument or TASK_FILE)
    return 0


def explain(code: str) -> str:
    """Return the page of a code.

    Raises:
        UsageError: USE-006 when there is no such code.
    """
    name = code.upper()
    if name in CODES:
        return f"{name}\n{CODES[name]}"
    meant = nearest(name, tuple(CODES))
    raise UsageError(
        "USE-006",
        f"there is no code {code!r}",
        help=f"freehold check --explain {meant or 'CFG-001'}",
    )


def _schema(shape: str) -> JsonValue:
    match shape:
        case "climb":
            return dict(CLIMB_SCHEMA)
        case "eval":
            return dict(shapes.EVAL_SCHEMA)
        case _:
            return task_schema()


def _show_sources(session: Session, resolved: Resolved) -> int:
    rows = resolved.rows()
    if session.console.is_json:
        shape = [{"key": row.key, "value": row.value, "source": row.source} for row in rows]
        session.console.data(json.dumps({"settings": shape}, ensure_ascii=False))
        return 0
    width = max(len(row.key) for row in rows)
    for row in rows:
        value = json.dumps(row.value, ensure_ascii=False)
        session.console.data(f"{row.key:<{width}}  {value:<24}  {row.source}")
    return 0


def _plan(session: Session, prepared: Prepared) -> tuple[PlanRow, ...]:
    if prepared.task.base.endpoint is not None:
        return endpoint_plan(prepared)
    from freehold.cli.estimate import plan_rows
    from freehold.models.opening import open_outline

    def outline(spec: BaseModelSpec) -> Outline:
        return open_outline(spec, cache=paths.cache_folder(), online=session.is_online)

    with open_models(session) as models:
        return plan_rows(
            prepared,
            models=models,
            open_outline=outline,
            machine=session.invocation.text("machine"),
        )


def _show(session: Session, checked: Checked, *, name: str) -> None:
    prepared, plan, surveys = checked.prepared, checked.plan, checked.surveys
    reason = reason_of(
        prepared.task,
        prepared.snapshot.train.examples,
        [passage.text for passage in prepared.passages],
    )
    console = session.console
    if console.is_json:
        shape = _shape(checked, reason)
        console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
        return
    look = console.look()
    problems = checked.problems
    console.data(check_heading(name, errors=0, warnings=len(problems), **console.drawn))
    if problems:
        console.data(warning_lines(problems, **console.drawn))
    if surveys.surveys:
        console.data(survey_lines(surveys, look))
    console.data(snapshot_lines(prepared.snapshot, prepared.task, **console.drawn))
    seen = {name: seen.lines for name, seen in checked.looks.items()}
    if any(seen.values()):
        console.data(look_lines(seen, **console.drawn))
    rows = [*_reason_lines(reason, look), line(_machine(prepared))]
    console.data(render(rows, look))
    if plan is not None:
        console.data(plan_table(plan, **console.drawn))
    command = "freehold climb" if name == TASK_FILE else f"freehold climb {name}"
    if surveys.sample is not None and (name != TASK_FILE or not surveys.is_chosen):
        command += f" -s data.sample={surveys.sample}"
    more = "" if plan is not None else "freehold check --plan estimates time and cost"
    console.data(render(spread(line(f"next     {command}"), line(more), look.width), look))


def _reason_lines(reason: Reason, look: Look) -> list[Line]:
    """Return the symptoms with what they rest on, what treats them, and what would not help."""
    rows = labelled("reason", ", ".join(reason.symptoms) or "no symptom", look=look, indent=0)
    for sign in reason.signs:
        mark = "✓" if sign.is_shown else "–"
        rows.extend(labelled("", f"{mark} {sign.symptom}: {sign.text}", look=look, indent=0))
    treated = ", ".join(reason.treated_by) or "no rung of this ladder"
    rows.extend(labelled("", f"treated by: {treated}", look=look, indent=0))
    for words in reason.would_not_help:
        rows.extend(labelled("", f"no help from {words}", look=look, indent=0))
    return rows


def _machine(prepared: Prepared) -> str:
    memory = psutil.virtual_memory().available / GIB
    disk = shutil.disk_usage(prepared.root).free / GIB
    price = prepared.task.prices.dollars_per_machine_hour
    return (
        f"CPU {os.cpu_count()}    memory {memory:.0f} GiB free    disk {disk:.0f} GiB free"
        f"    {numbers.money(price)} per machine-hour"
    )


def _shape(checked: Checked, reason: Reason) -> dict[str, JsonValue]:
    from freehold.data.inspect import settles_beyond

    prepared, plan, surveys = checked.prepared, checked.plan, checked.surveys
    snapshot, task = prepared.snapshot, prepared.task
    splits = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    points = settles_beyond(
        len(snapshot.test), quality=task.bar.quality, confidence=task.bar.confidence
    )
    return {
        "task": task.name,
        "snapshot": snapshot.digest,
        "ok": True,
        "problems": [_problem(problem) for problem in checked.problems],
        "data": {
            "format": prepared.reading.format,
            "rows": prepared.reading.rows,
            "used": sum(len(split) for split in splits),
            "dropped": dict(snapshot.drops_by_reason),
            "splits": {split.split: len(split) for split in splits},
            "sample": surveys.sample,
            "surveys": [survey.to_json() for survey in surveys.surveys],
            "looks": {name: dict(seen.figures) for name, seen in checked.looks.items()},
        },
        "symptoms": list(reason.symptoms),
        "treated_by": list(reason.treated_by),
        "reason": {
            "signs": [
                {
                    "symptom": sign.symptom,
                    "shown": sign.is_shown,
                    "text": sign.text,
                    "figures": dict(sign.figures),
                }
                for sign in reason.signs
            ],
            "would_not_help": list(reason.would_not_help),
        },
        "settles_beyond_points": points,
        "plan": None if plan is None else [_planned(row) for row in plan],
    }


def _problem(problem: Problem) -> JsonValue:
    where = problem.where
    return {
        "code": problem.code,
        "level": problem.level,
        "message": problem.message,
        "file": where.file if where else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
        "row": where.row if where else None,
        "help": problem.help,
    }


def _planned(row: PlanRow) -> JsonValue:
    return {
        "rung": row.rung,
        "state": row.state,
        "reason": row.note or None,
        "seconds": row.seconds,
        "dollars": row.dollars,
        "memory_gib": row.memory_gib,
        "watt_hours": row.watt_hours,
    }
