"""`freehold data clean`: a new file without rows that cannot be used and exact repeats; every drop has its reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from freehold.cli.session import Session
from freehold.core.errors import UsageError
from freehold.core.sections import DataSection
from freehold.data.clean import Cleaned, cleaned
from freehold.data.derived import ORIGIN_COLUMN, write_examples
from freehold.data.files import find_files
from freehold.data.read import listed_rows, read
from freehold.report import numbers
from freehold.report.lines import Line, Span, clean, elide, labelled, line, render

NAME = "clean"
SHOWN = 5
_COLUMN = 13


def run(session: Session) -> int:
    """Write the file, print what was left out, and return 0."""
    section = session.task(None).task_file.data
    reading = read(section.examples, columns=section.columns, root=session.project)
    found = cleaned(reading.examples, reading.drops)
    path = _target(section, session.project)
    is_dry = session.invocation.has("dry-run")
    if not is_dry:
        write_examples(found.kept, path, root=session.project)
    name = path.relative_to(session.project).as_posix()
    if session.console.is_json:
        session.console.data(_json(found, name=None if is_dry else name))
    else:
        _show(session, found, name=name)
    return 0


def _target(section: DataSection, project: Path) -> Path:
    """Return the file to write: beside the first of the user's, never one that the task reads.

    A file of that name is replaced only where Freehold wrote it.

    Raises:
        UsageError: USE-006 where the data is no file.
    """
    names = [section.examples] if isinstance(section.examples, str) else list(section.examples)
    files = [file.path for name in names for file in find_files(name, root=project)]
    paths = [path.resolve() for path in files if path is not None]
    if not paths:
        raise UsageError(
            "USE-006",
            "`freehold data clean` needs files, not the standard input",
            help="freehold data clean -s data.examples=examples.jsonl",
        )
    inside = [path for path in paths if path.is_relative_to(project.resolve())]
    folder = project / inside[0].relative_to(project.resolve()).parent if inside else project
    number = 1
    while True:
        path = folder / (f"{NAME}.jsonl" if number == 1 else f"{NAME}-{number}.jsonl")
        if path.resolve() not in paths and _may_be_replaced(path):
            return path
        number += 1


def _may_be_replaced(path: Path) -> bool:
    if not path.exists():
        return True
    with path.open("rb") as file:
        return f'"{ORIGIN_COLUMN}":'.encode() in file.readline()


def _show(session: Session, found: Cleaned, *, name: str) -> None:
    look = session.console.look()
    is_dry, everything = session.invocation.has("dry-run"), session.invocation.has("drops")
    lines: list[Line] = []
    for reason, count in Counter(drop.reason for drop in found.drops).most_common():
        rows = [drop.row for drop in found.drops if drop.reason == reason]
        text = f"{numbers.count(count)}: {clean(reason)} ({listed_rows(rows)})"
        lines.extend(labelled("left out", text, look=look, column=_COLUMN))
    for drop in found.drops if everything else ():
        lines.append(line(elide(f"  {clean(drop.source)}:{drop.row}  {drop.reason}", look.width)))
    for group in found.review[: None if everything else SHOWN]:
        places = ", ".join(f"{clean(e.source)}:{e.row}" for e in group[:4])
        text = f"{places} ask the same and want different answers; both stay"
        lines.extend(labelled("for review", text, look=look, column=_COLUMN))
    if len(found.review) > SHOWN and not everything:
        more = f"and {len(found.review) - SHOWN:,} more such groups (--drops lists them)"
        lines.extend(labelled("", more, look=look, column=_COLUMN))
    rows = numbers.plural(len(found.kept), "row")
    if is_dry:
        lines.append(line(f"Would write {name} with {rows}; nothing was written (--dry-run)."))
    else:
        lines.append(line(f"Wrote {name}: {rows}. Your files are as they were."))
        lines.append(
            line("use it   in task.yaml:  ", Span(f"data: {{examples: {name}}}", "strong"))
        )
        lines.append(line(f"next     freehold check -s data.examples={name}"))
    session.console.data(render(lines, look))


def _json(found: Cleaned, *, name: str | None) -> str:
    shape = {
        "wrote": name,
        "rows": len(found.kept),
        "dropped": dict(Counter(drop.reason for drop in found.drops)),
        "drops": [drop.to_json() for drop in found.drops],
        "review": [
            [{"id": e.id, "source": e.source, "row": e.row} for e in group]
            for group in found.review
        ],
    }
    return json.dumps(shape, ensure_ascii=False)
