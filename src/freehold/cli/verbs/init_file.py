"""`freehold init FILE`: look at the data, say what was seen, write the settings down."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.cli.files import LOCK_FILE, lock_of, write_lock
from freehold.cli.session import Session
from freehold.cli.settings import TASK_FILE
from freehold.cli.workplace import STDIN, open_models, open_store, prepare_task
from freehold.core.errors import FreeholdError, UsageError
from freehold.core.message import user
from freehold.core.sections import Bar
from freehold.core.taskfile import parse_task_file, task_schema
from freehold.report.intake import Lengths, init_lines
from freehold.report.problems import warning_lines
from freehold.store.blobs import write_durably
from freehold.store.store import STATE_FOLDER

if TYPE_CHECKING:
    from freehold.ladder.prepare import Prepared
    from freehold.ladder.tools import Models

SCHEMA_FILE = "task.schema.json"
MOST_COUNTED = 1000
_WRITTEN = ("models.base.id", "metric", "metric.primary", "bar.quality", "bar.kept", "model")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,.;/()_-]*[A-Za-z0-9.)]")


@dataclass(frozen=True)
class Written:
    """What goes into the nine lines of a task file."""

    task: str
    instruction: str
    data: str
    model: str
    metric: str
    bar: Bar


def write_task(session: Session, data: str) -> int:
    """Write `task.yaml`, the lock and the schema for editors."""
    _refuse_overwriting(session, data)
    resolved = session.defaults(data)
    prepared = prepare_task(session, resolved)
    task = prepared.task
    text = task_text(
        Written(task.name, task.instruction, data, task.base.id, task.metric.primary, task.bar)
    )
    parse_task_file(text)
    with open_models(session, reads_task=False) as models:
        lengths, base_digest = _measure(prepared, models)
    _show(session, prepared, lengths=lengths, data=data)
    if session.invocation.has("dry-run"):
        session.console.data(text)
        return 0
    _write(session, prepared, text=text, base_digest=base_digest)
    unwritten = [key for key in resolved.sources if _is_given(resolved.sources[key], key)]
    if unwritten:
        session.console.say(f"Not in the nine lines, add what you need: {', '.join(unwritten)}")
    return 0


def task_text(written: Written) -> str:
    """Return the nine lines of a task file."""
    lines = [
        f"# yaml-language-server: $schema={STATE_FOLDER}/{SCHEMA_FILE}",
        f"task: {_yaml(written.task)}",
        f"instruction: {_yaml(written.instruction)}",
        f"data: {_yaml(written.data)}",
        f"model: {_yaml(written.model)}",
        f"metric: {_yaml(written.metric)}",
        "bar:",
        f"  quality: {written.bar.quality:<19.12g} # the lower bound must clear this",
        f"  kept: {written.bar.kept:<22.12g} # share of general ability kept; likewise",
    ]
    return "\n".join(lines) + "\n"


def _yaml(text: str) -> str:
    """Return text as a YAML scalar: as it is where that is safe, else quoted as in JSON."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in {"true", "false", "null", "yes", "no"}
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _is_given(source: str, key: str) -> bool:
    return source.startswith(("-s ", "FREEHOLD_")) and key not in _WRITTEN


def _refuse_overwriting(session: Session, data: str) -> None:
    if data == STDIN:
        raise UsageError(
            "USE-006",
            "`freehold init` needs a file that stays where it is, not the standard input",
            help="freehold init examples.jsonl",
        )
    if session.has_task_file and not session.invocation.has("yes"):
        raise UsageError(
            "USE-007",
            f"{session.project / TASK_FILE} is there already, and is left as it is",
            help=f"freehold init {data} -y    overwrites it",
        )


def _measure(prepared: Prepared, models: Models) -> tuple[Lengths | None, str | None]:
    """Return lengths in tokens, and the digest of the base model; None where it cannot be opened."""
    try:
        model = models.base(prepared.task.base)
    except FreeholdError:
        return None, None
    examples = prepared.reading.examples
    sample = examples[:: max(1, len(examples) // MOST_COUNTED)]
    counts = sorted(model.count_tokens([user(example.input)]) for example in sample)
    lengths = Lengths(
        p50=counts[len(counts) // 2],
        p95=counts[min(len(counts) - 1, len(counts) * 95 // 100)],
        longest=counts[-1],
        fits=model.context_tokens,
    )
    return lengths, model.digest


def _show(session: Session, prepared: Prepared, *, lengths: Lengths | None, data: str) -> None:
    size = sum(_size(session.project / source.name) for source in prepared.snapshot.sources)
    session.console.say(
        init_lines(
            prepared.snapshot,
            prepared.task,
            file_bytes=size or _size(session.project / data),
            lengths=lengths,
            **session.console.drawn,
        )
    )
    if prepared.problems:
        session.console.say(warning_lines(prepared.problems, **session.console.drawn))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _write(session: Session, prepared: Prepared, *, text: str, base_digest: str | None) -> None:
    project = session.project
    with open_store(session):
        schema = json.dumps(task_schema(), ensure_ascii=False, indent=1) + "\n"
        write_durably(project / STATE_FOLDER / SCHEMA_FILE, schema.encode())
    lock = lock_of(
        prepared.task, prepared.snapshot, versions=prepared.versions, base_digest=base_digest
    )
    write_lock(project, lock)
    write_durably(project / TASK_FILE, text.encode())
    wrote = [TASK_FILE, LOCK_FILE, f"{STATE_FOLDER}/"]
    if session.console.is_json:
        session.console.data(json.dumps({"task": prepared.task.name, "wrote": wrote}))
        return
    count = len(text.splitlines())
    session.console.data(f"Wrote {TASK_FILE} ({count} lines), {LOCK_FILE}, {STATE_FOLDER}/")
    session.console.data("next  freehold check")
