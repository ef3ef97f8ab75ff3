"""Rows that Freehold wrote: a new file beside the user's own, each row with where it came from.

A verb that changes data (clean, dedup, scrub, synth, augment, label) never writes into the file that it
read. It writes JSON lines of the canonical form, and the column `freehold` of each row holds its `Origin`.
Reading such a file gives the same examples back, origin included.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, ValidationError

from freehold.core.record import digest_bytes
from freehold.core.snapshot import Example, Origin, Source
from freehold.store.blobs import write_durably

ORIGIN_COLUMN = "freehold"


@dataclass(frozen=True)
class Written:
    """A file that was written: what it is as a source of examples, and where it lies."""

    source: Source
    path: Path


def write_examples(examples: Sequence[Example], path: Path, *, root: Path) -> Written:
    """Write examples as JSON lines, whole or not at all; an earlier file of that name is replaced.

    Args:
        examples: in the order of the lines.
        path: of the file; `.jsonl`.
        root: the project folder; the source is named relative to it.

    Raises:
        OSError: the file cannot be written.
    """
    content = "".join(f"{_line(example)}\n" for example in examples).encode(
        "utf-8", "surrogatepass"
    )
    write_durably(path, content)
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    source = Source(
        name=name, sha256=digest_bytes(content), rows=len(examples), format="input/target"
    )
    return Written(source=source, path=path)


def with_step(example: Example, *steps: str) -> Example:
    """Return the example with further steps in its origin, which begins at its own file and row."""
    before = example.origin or Origin(source=example.source, row=example.row)
    origin = before.model_copy(update={"steps": (*before.steps, *steps)})
    return example.model_copy(update={"origin": origin})


def origin_of(value: JsonValue) -> Origin | None:
    """Return the origin in a row's column, None where there is none or it is something else."""
    if not isinstance(value, dict):
        return None
    try:
        return Origin.from_json(json.dumps(value))
    except ValidationError:
        return None


def synthetic_share(examples: Iterable[Example]) -> float:
    """Return the share of examples that no person wrote, in [0, 1]; 0 without examples."""
    marks = [e.origin is not None and e.origin.synthetic is not None for e in examples]
    return sum(marks) / len(marks) if marks else 0.0


def _line(example: Example) -> str:
    columns: dict[str, JsonValue] = {
        **example.fields,
        "id": example.id,
        "input": example.input,
        "target": example.target,
    }
    if example.context is not None:
        columns["context"] = example.context
    if example.history:
        columns["history"] = [turn.to_json() for turn in example.history]
    if example.origin is not None:
        columns[ORIGIN_COLUMN] = example.origin.to_json()
    return json.dumps(columns, ensure_ascii=False)
