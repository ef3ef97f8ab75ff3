"""A new file of synthetic rows: written beside the user's own, never over them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from freehold.cli.session import Session
from freehold.core.errors import DataError, UsageError
from freehold.core.sections import Columns

if TYPE_CHECKING:
    from freehold.core.snapshot import Example
    from freehold.ladder.prepare import Prepared

ROWS_SHOWN = 3


@dataclass(frozen=True)
class Target:
    """Where new rows go: the file as it is named in the task, and what stands there already."""

    name: str
    earlier: tuple[Example, ...] = ()


def target_of(session: Session, default: str) -> Target:
    """Return where the new rows go, before anything is spent on them.

    Raises:
        UsageError: USE-007 where a file of that name holds anything but synthetic rows.
    """
    name = session.invocation.text("out") or default
    if not name.endswith(".jsonl"):
        raise UsageError("USE-006", f"`--out {name}` is no .jsonl file", help=f"--out {default}")
    path = session.project / name
    if not path.exists():
        return Target(name)
    from freehold.data.read import read
    from freehold.data.synthesis.admission import is_synthetic

    try:
        earlier = read(str(path), columns=Columns(), root=session.project).examples
    except DataError:
        earlier = ()
    if not earlier or not all(is_synthetic(example) for example in earlier):
        raise UsageError(
            "USE-007",
            f"{name} is there already, and holds more than rows that Freehold wrote",
            help=f"{session.again} --out OTHER.jsonl",
        )
    return Target(name, earlier)


def write_rows(session: Session, target: Target, rows: Sequence[Example]) -> None:
    """Write the rows; other synthetic rows of an earlier run are replaced with `-y` only.

    Raises:
        UsageError: USE-007 where other rows would be overwritten.
    """
    from freehold.data.derived import write_examples

    before = [example.content_digest for example in target.earlier]
    after = [example.content_digest for example in rows]
    if before and before != after and not session.invocation.has("yes"):
        raise UsageError(
            "USE-007",
            f"{target.name} holds {len(before):,} other rows of an earlier run",
            help=f"{session.again} -y    replaces them; no answer is paid for twice",
        )
    write_examples(rows, session.project / target.name, root=session.project)


def training_rows_beside(prepared: Prepared, target: Target) -> tuple[Example, ...]:
    """Return the training rows without those that the file to be written holds now."""
    return tuple(e for e in prepared.snapshot.train.examples if e.source != target.name)


def command_with(name: str) -> str:
    """Return the command that climbs with a file of synthetic rows."""
    return f"freehold climb -s data.synthetic={name}"


def setting_line(prepared: Prepared, name: str) -> str:
    """Return the line of task.yaml that makes the task use the file for good."""
    examples = json.dumps(prepared.task_file.data.examples, ensure_ascii=False)
    shown = examples.strip('"') if isinstance(prepared.task_file.data.examples, str) else examples
    return f"data: {{examples: {shown}, synthetic: {name}}}"
