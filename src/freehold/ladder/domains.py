"""The domains that an adapter has learnt, kept beside it so that a later training can hold on to them.

`lineage.json` says how each domain is asked and scored, and holds R[stage, domain] so far. `buffer.jsonl`
holds examples: a tenth of each domain's training rows to rehearse with, and its dev rows to measure
with. The folder travels as a whole; nothing of the project that made it is needed, but for a metric
of the user's own.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from freehold.core.errors import ModelError
from freehold.core.record import Record
from freehold.core.snapshot import DevSplit, Example, Snapshot
from freehold.core.task import Task
from freehold.core.transfer import TransferMatrix
from freehold.ladder.prompts import Asker, answer_text, constraint_of, system_text
from freehold.ladder.zero_shot import FixedPromptAnswerer
from freehold.models.door import Model

LINEAGE_FILE = "lineage.json"
BUFFER_FILE = "buffer.jsonl"
REHEARSED_SHARE = 0.1
LEAST_REHEARSED = 8


class Question(Record):
    """How a domain is asked: its name in the sequence, its task, where its own metric is, its answers' length."""

    name: str
    task: Task
    root: str
    max_tokens: int


class BufferRow(Record):
    """One example of a domain, to rehearse with or to measure with."""

    domain: str
    use: Literal["rehearse", "measure"]
    example: Example


class Lineage(Record):
    """Where an adapter comes from: its base, the domains it has learnt, and how well it knows them.

    `training` is the digest of the training. General ability is measured on `probe_items` probes of
    each family, drawn with `probe_seed`, at every stage.
    """

    training: str
    name: str
    base_id: str
    base_digest: str
    questions: tuple[Question, ...]
    matrix: TransferMatrix
    probe_seed: int
    probe_items: int


@dataclass(frozen=True)
class Domain:
    """One domain: how it is asked, rows to rehearse with, rows to measure with."""

    question: Question
    rehearsal: tuple[Example, ...]
    dev: tuple[Example, ...]

    @property
    def name(self) -> str:
        """Its name in the sequence."""
        return self.question.name

    @property
    def dev_split(self) -> DevSplit:
        """The rows to measure with."""
        return DevSplit(examples=self.dev)

    def answerer(self, model: Model) -> FixedPromptAnswerer:
        """Return a model that is asked as a trained rung asks: the instruction and the input alone."""
        task = self.question.task
        asker = Asker(
            model,
            task.output,
            max_tokens=self.question.max_tokens,
            constraint=constraint_of(task.output),
        )
        return FixedPromptAnswerer(asker=asker, system=system_text(task, list_labels=False))


def new_domain(
    task: Task, snapshot: Snapshot, *, root: Path, max_tokens: int, taken: Sequence[str] = ()
) -> Domain:
    """Return the domain of a task and its frozen data.

    Args:
        task: how it is asked and scored.
        snapshot: its training rows, a tenth of which are kept to rehearse with, and its dev rows.
        root: the project's folder, for a metric of the user's own.
        max_tokens: of an answer.
        taken: names of earlier domains; a second one of the same name is numbered.
    """
    name, number = task.name, 2
    while name in taken:
        name, number = f"{task.name} ({number})", number + 1
    return Domain(
        question=Question(name=name, task=task, root=str(root), max_tokens=max_tokens),
        rehearsal=rehearsed(snapshot.train.examples, seed=snapshot.seed),
        dev=snapshot.dev.examples,
    )


def rehearsed(examples: Sequence[Example], *, seed: int) -> tuple[Example, ...]:
    """Return a tenth of the examples, at least `LEAST_REHEARSED`, every answer before any answer twice."""
    wanted = max(round(REHEARSED_SHARE * len(examples)), LEAST_REHEARSED)
    order = list(range(len(examples)))
    random.Random(f"rehearsal/{seed}").shuffle(order)
    seen: dict[str, int] = {}
    ranked: list[tuple[int, int]] = []
    for place, index in enumerate(order):
        answer = answer_text(examples[index].target)
        seen[answer] = seen.get(answer, 0) + 1
        ranked.append((seen[answer], place))
    chosen = sorted(range(len(order)), key=lambda place: ranked[place])[:wanted]
    return tuple(examples[order[place]] for place in chosen)


def lineage_files(lineage: Lineage, domains: Sequence[Domain]) -> dict[str, bytes]:
    """Return the content of `lineage.json` and `buffer.jsonl`."""
    rows = [row for domain in domains for row in _rows(domain)]
    return {
        LINEAGE_FILE: lineage.model_dump_json(indent=1).encode("utf-8", "surrogatepass"),
        BUFFER_FILE: b"".join(
            row.model_dump_json().encode("utf-8", "surrogatepass") + b"\n" for row in rows
        ),
    }


def read_lineage(folder: Path) -> tuple[Lineage, tuple[Domain, ...]]:
    """Return where an adapter comes from, and its domains in the order they were learnt.

    Raises:
        ModelError: the folder holds no training of Freehold, or its files are damaged.
    """
    try:
        lineage = Lineage.from_json((folder / LINEAGE_FILE).read_bytes())
        lines = (folder / BUFFER_FILE).read_bytes().splitlines()
        rows = [BufferRow.from_json(line) for line in lines if line.strip()]
    except (OSError, ValidationError) as error:
        raise ModelError(
            "TRN-040",
            f"{folder} is no training that another one can go on from",
            help="name a folder in .freehold/adapters/, or a training's id such as t7",
            cause=[_first_line(error)],
        ) from error
    return lineage, tuple(_domain(question, rows) for question in lineage.questions)


def _rows(domain: Domain) -> list[BufferRow]:
    name = domain.name
    rows = [BufferRow(domain=name, use="rehearse", example=one) for one in domain.rehearsal]
    return [*rows, *(BufferRow(domain=name, use="measure", example=one) for one in domain.dev)]


def _domain(question: Question, rows: Sequence[BufferRow]) -> Domain:
    own: dict[str, list[Example]] = {"rehearse": [], "measure": []}
    for row in rows:
        if row.domain == question.name:
            own[row.use].append(row.example)
    return Domain(question, tuple(own["rehearse"]), tuple(own["measure"]))


def _first_line(error: OSError | ValidationError) -> str:
    if isinstance(error, ValidationError):
        return str(error.errors(include_url=False)[0]["msg"])
    return f"{error.filename}: {error.strerror}"
