"""`freehold data add FILE...`: read, show, name in task.yaml, freeze. Nothing is written if anything is wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.cli.session import Session
from freehold.cli.settings import TASK_FILE
from freehold.cli.verbs.data_split import frozen, snapshot_shape
from freehold.cli.workplace import STDIN, open_store, prepare_task
from freehold.core.errors import UsageError
from freehold.core.taskedit import with_examples
from freehold.core.taskfile import parse_task_file
from freehold.data.files import find_files
from freehold.data.read import Reading, drops_as_causes, read
from freehold.report import numbers
from freehold.report.lines import Line, Span, clean, elide, labelled, line, render
from freehold.report.problems import warning_lines
from freehold.store.blobs import write_durably

if TYPE_CHECKING:
    from freehold.core.sections import DataSection
    from freehold.ladder.prepare import Prepared

_COLUMN = 13
_LONGEST_TURN = 600


def run(session: Session) -> int:
    """Add the files to the task, and return 0."""
    resolved = session.task(None)
    section = resolved.task_file.data
    names = [_name(session, given) for given in session.invocation.arguments]
    known = _known(section, session.project)
    new = [n for n in dict.fromkeys(names) if not _paths(n, session.project) <= known]
    already = [name for name in dict.fromkeys(names) if name not in new]
    readings = {n: read(n, columns=section.columns, root=session.project) for n in new}
    if not new:
        return _nothing_new(session, already)
    path = session.project / TASK_FILE
    text = with_examples(path.read_text(encoding="utf-8-sig"), new, file=TASK_FILE)
    examples = parse_task_file(text, file=TASK_FILE).data.examples
    changed = section.model_copy(update={"examples": examples})
    task_file = resolved.task_file.model_copy(update={"data": changed})
    prepared = prepare_task(
        session, replace(resolved, task_file=task_file), strict=session.invocation.has("strict")
    )
    name, is_dry = None, session.invocation.has("dry-run")
    if not is_dry:
        with open_store(session) as store:
            write_durably(path, text.encode())
            name, _ = frozen(store, prepared.snapshot)
    _show(session, prepared, readings=readings, already=already, snapshot=name)
    return 0


def _name(session: Session, given: str) -> str:
    """Return a file as task.yaml names it: relative to the project where it lies inside."""
    if given == STDIN:
        raise UsageError(
            "USE-006",
            "`freehold data add` needs a file that stays where it is, not the standard input",
            help="freehold data add more.jsonl",
        )
    path = Path(given)
    if path.is_absolute() and path.is_relative_to(session.project):
        return path.relative_to(session.project).as_posix()
    return given


def _paths(name: str, root: Path) -> set[Path]:
    return {file.path.resolve() for file in find_files(name, root=root) if file.path is not None}


def _known(section: DataSection, root: Path) -> set[Path]:
    names = [section.examples] if isinstance(section.examples, str) else list(section.examples)
    if section.test is not None:
        names.append(section.test)
    return {path for name in names for path in _paths(name, root)}


def _nothing_new(session: Session, already: Sequence[str]) -> int:
    if session.console.is_json:
        session.console.data(json.dumps({"added": [], "already": list(already), "snapshot": None}))
        return 0
    verb = "is" if len(already) == 1 else "are"
    names = ", ".join(clean(name) for name in already)
    session.console.data(f"{names} {verb} named in {TASK_FILE} already; nothing was changed.")
    session.console.data("next   freehold data split")
    return 0


def _show(
    session: Session,
    prepared: Prepared,
    *,
    readings: dict[str, Reading],
    already: Sequence[str],
    snapshot: str | None,
) -> None:
    console, look = session.console, session.console.look()
    if console.is_json:
        shape = {
            "added": [
                {
                    "name": name,
                    "format": reading.format,
                    "rows": reading.rows,
                    "used": len(reading.examples),
                }
                for name, reading in readings.items()
            ],
            "already": list(already),
            "row": [
                {"role": role, "content": text} for role, text in _rendered(prepared, readings)
            ],
            **snapshot_shape(prepared.snapshot, name=snapshot),
        }
        console.data(json.dumps(shape, ensure_ascii=False))
        return
    lines: list[Line] = []
    for name, reading in readings.items():
        lines.append(line(Span(clean(name), "strong")))
        text = f"{clean(reading.format)} · {numbers.plural(reading.rows, 'row')}"
        lines.extend(labelled("format", text, look=look, column=_COLUMN))
        for cause in drops_as_causes(reading.drops):
            lines.extend(labelled("left out", clean(cause), look=look, column=_COLUMN))
    for role, text in _rendered(prepared, readings):
        shown = elide(clean(text), _LONGEST_TURN)
        lines.extend(labelled(role, shown, look=look, column=_COLUMN))
    lines.extend(line(f"{clean(name)} is named in {TASK_FILE} already") for name in already)
    splits = prepared.snapshot
    parts = (splits.train, splits.dev, splits.test, splits.audit)
    sizes = " · ".join(f"{part.split} {numbers.count(len(part))}" for part in parts)
    if snapshot is None:
        lines.append(line(f"Would become {sizes}; nothing was written (--dry-run)."))
    else:
        lines.append(line(f"Added to {TASK_FILE} and frozen as {snapshot}: {sizes}"))
        lines.append(line("next   freehold check"))
    if prepared.problems:
        console.say(warning_lines(prepared.problems, **console.drawn))
    console.data(render(lines, look))


def _rendered(prepared: Prepared, readings: dict[str, Reading]) -> list[tuple[str, str]]:
    """Return the first row of the new files as the base is asked, turn by turn, and the wanted answer."""
    from freehold.ladder.prompts import answer_text, conversation, system_text

    example = next(iter(readings.values())).examples[0]
    turns = conversation(system_text(prepared.task, list_labels=False), example)
    wanted = ("answer", answer_text(example.target))
    return [*((turn.role, turn.content) for turn in turns), wanted]
