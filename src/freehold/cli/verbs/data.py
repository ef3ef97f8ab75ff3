"""Bare `freehold data`: where the data of this task stands, and the verbs of data."""

from __future__ import annotations

import json
from pathlib import Path

from freehold.cli.grammar import VERB_BY_NAME
from freehold.cli.helptext import verb_lines
from freehold.cli.marks import unfinished_problems
from freehold.cli.session import Session
from freehold.cli.verbs.data_ls import snapshot_rows
from freehold.core.sections import DataSection
from freehold.report import numbers
from freehold.report.lines import Line, Span, clean, labelled, line, render
from freehold.report.problems import warning_lines
from freehold.report.snapshots import SPLITS, SnapshotRow

_COLUMN = 11


def run(session: Session) -> int:
    """Print the files of the task, its last snapshot, what is open, and the verbs."""
    section = session.task(None).task_file.data if session.has_task_file else None
    rows = snapshot_rows(session)
    problems = unfinished_problems(session)
    following = _following(section, rows)
    if session.console.is_json:
        shape = {
            "examples": list(_names(section)),
            "test": section.test if section else None,
            "documents": section.documents if section else None,
            "preferences": section.preferences if section else None,
            "snapshots": [row.to_json() for row in rows],
            "unfinished_forget": bool(problems),
            "next": following,
        }
        session.console.data(json.dumps(shape, ensure_ascii=False))
        return 0
    look = session.console.look()
    lines: list[Line] = []
    for label, names in _files(section).items():
        text = ", ".join(_with_size(session.project, name) for name in names)
        lines.extend(labelled(label, text, look=look, indent=0, column=_COLUMN))
    if section is None:
        lines.append(line("No task.yaml here, so no files are named."))
    lines.extend(labelled("last", _last(rows), look=look, indent=0, column=_COLUMN))
    lines.append(line())
    lines.extend(line(text) for text in verb_lines(VERB_BY_NAME["data"]))
    lines.append(line())
    lines.append(line("next   ", Span(following, "strong")))
    session.console.data(render(lines, look))
    if problems:
        session.console.complain(warning_lines(problems, **session.console.drawn))
    return 0


def _names(section: DataSection | None) -> tuple[str, ...]:
    if section is None:
        return ()
    return (section.examples,) if isinstance(section.examples, str) else section.examples


def _files(section: DataSection | None) -> dict[str, tuple[str, ...]]:
    if section is None:
        return {}
    others = {
        "test": section.test,
        "documents": section.documents,
        "preferences": section.preferences,
    }
    named = {label: (name,) for label, name in others.items() if name is not None}
    return {"examples": _names(section), **named}


def _with_size(project: Path, name: str) -> str:
    try:
        path = project / name
        return (
            f"{clean(name)} ({numbers.size(path.stat().st_size)})"
            if path.is_file()
            else clean(name)
        )
    except (OSError, ValueError):
        return clean(name)


def _last(rows: tuple[SnapshotRow, ...]) -> str:
    if not rows:
        return "no snapshot yet"
    row = rows[0]
    sizes = " · ".join(f"{split} {numbers.count(row.sizes.get(split))}" for split in SPLITS)
    return f"{row.name} of {row.at[:10]}   {sizes}"


def _following(section: DataSection | None, rows: tuple[SnapshotRow, ...]) -> str:
    if section is None:
        return "freehold init data/examples.jsonl"
    return "freehold data split" if not rows else "freehold data show"
