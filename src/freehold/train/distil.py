# pyright: standard
"""Lessons from a teacher: on its answers, or on what it says of every token of an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from pydantic import JsonValue

from freehold.core.errors import DataError, ModelError
from freehold.core.record import digest_json
from freehold.core.sections import DistilSpec
from freehold.core.snapshot import Drop, Example
from freehold.models.local import LocalModel
from freehold.train.batching import Indices
from freehold.train.objectives import Batch, Objective, collate, sft
from freehold.train.rows import TokenRow, TrainingRow, encode_rows
from freehold.train.soft import SoftBatch, SoftRow, collate_soft, soft_rows
from freehold.train.teacher import Divergence, check_same_tokens

Render: TypeAlias = Callable[[Example], TrainingRow]

TEACHER_TOKENS = 4096
FORMAT = 1
"""Raised when the same rows and settings begin to give another loss."""


@dataclass(frozen=True)
class AnswersLesson:
    """Cross-entropy on the teacher's answers (Kim and Rush 2016, arXiv:1606.07947)."""

    name: str
    digest: str
    objective: Objective[Any]
    dropped: tuple[Drop, ...]
    rows: tuple[TokenRow, ...]
    names: tuple[str, ...]
    device: torch.device

    @property
    def lengths(self) -> tuple[int, ...]:
        """The tokens of each row."""
        return tuple(len(row.ids) for row in self.rows)

    @property
    def loss_tokens(self) -> int:
        """How many positions carry loss."""
        return sum(len(row.ids) - row.answer_start for row in self.rows)

    def batch(self, indices: Indices, *, step: int) -> Batch:
        """Return these rows as one batch; nothing is drawn, so every step gives the same."""
        del step
        return collate(
            [self.rows[i] for i in indices], [self.names[i] for i in indices], self.device
        )


@dataclass(frozen=True)
class TaughtLesson:
    """A divergence from what the teacher said of every token; its likeliest ones are kept."""

    name: str
    digest: str
    objective: Objective[Any]
    dropped: tuple[Drop, ...]
    rows: tuple[SoftRow, ...]
    names: tuple[str, ...]
    device: torch.device

    @property
    def lengths(self) -> tuple[int, ...]:
        """The tokens of each row."""
        return tuple(len(soft.row.ids) for soft in self.rows)

    @property
    def loss_tokens(self) -> int:
        """How many positions carry loss."""
        return sum(len(soft.top_ids_NK) for soft in self.rows)

    def batch(self, indices: Indices, *, step: int) -> SoftBatch:
        """Return these rows as one batch; nothing is drawn, so every step gives the same."""
        del step
        return collate_soft(
            [self.rows[i] for i in indices], [self.names[i] for i in indices], self.device
        )


def distil_lesson(
    examples: Sequence[Example],
    *,
    render: Render,
    student: LocalModel,
    teacher: LocalModel | None,
    spec: DistilSpec,
) -> AnswersLesson | TaughtLesson:
    """Return the lesson of `spec.divergence` over the teacher's answers to the examples.

    Examples that cannot be used are left out and counted, never cut.

    Args:
        examples: what is asked.
        render: from an example to what the student is asked and what the teacher answered.
        student: the model as it is before training.
        teacher: what is imitated token by token; not needed for `sequence`, where any candidate may
            have written the answers.
        spec: the divergence, the longest row, and how many tokens of the teacher's are kept at a
            position (`retention.top_k`).

    Raises:
        DataError: no row is left to train on.
        ModelError: the teacher has another tokenizer, or there is none where one is needed; or the
            chat template refuses the turns of a row.
    """
    if spec.divergence != "sequence":
        teacher = teacher_of(student, teacher, spec)
    found = taught_rows(examples, render=render, student=student, spec=spec)
    device = student.loaded.network.device
    content: list[JsonValue] = [[row.answer_start, *row.ids] for row in found.rows]
    if spec.divergence == "sequence" or teacher is None:
        return AnswersLesson(
            name="sequence",
            digest=digest_json("answers lesson", [FORMAT, content]),
            objective=sft,
            dropped=found.dropped,
            rows=found.rows,
            names=found.names,
            device=device,
        )
    top_k = spec.retention.top_k
    return TaughtLesson(
        name=spec.divergence,
        digest=digest_json(
            "taught lesson", [FORMAT, spec.divergence, teacher.digest, top_k, content]
        ),
        objective=Divergence(spec.divergence),
        dropped=found.dropped,
        rows=soft_rows(
            teacher.loaded.network.module, found.rows, top_k=top_k, batch_tokens=TEACHER_TOKENS
        ),
        names=found.names,
        device=device,
    )


def teacher_of(student: LocalModel, teacher: LocalModel | None, spec: DistilSpec) -> LocalModel:
    """Return the teacher, once it is clear that it can score the student's tokens.

    Raises:
        ModelError: there is none, or it has another tokenizer.
    """
    if teacher is None:
        raise ModelError(
            "TRN-023",
            f"{spec.divergence} compares the student with a teacher token by token, and the teacher's"
            " weights are not in this process",
            help="freehold climb -s ladder.distil.divergence=sequence -s ladder.distil.on_policy=0",
        )
    check_same_tokens(student, teacher)
    return teacher


@dataclass(frozen=True)
class TaughtRows:
    """Rows that can be used, their examples' names for messages, and what was left out."""

    rows: tuple[TokenRow, ...]
    names: tuple[str, ...]
    examples: tuple[Example, ...]
    dropped: tuple[Drop, ...]


def taught_rows(
    examples: Sequence[Example], *, render: Render, student: LocalModel, spec: DistilSpec
) -> TaughtRows:
    """Return the examples as rows of the student's tokens.

    Raises:
        DataError: no row is left to train on.
        ModelError: the chat template refuses the turns of a row.
    """
    most = min(spec.max_length or student.context_tokens, student.context_tokens)
    rendered = [render(example) for example in examples]
    encoded = encode_rows(student.loaded.chat, rendered, max_length=most)
    dropped = tuple(
        Drop(source=examples[index].source, row=examples[index].row, reason=reason)
        for index, reason in encoded.dropped.items()
    )
    if not encoded.rows:
        reasons = "; ".join(sorted({drop.reason for drop in dropped})) or "there is none"
        raise DataError(
            "TRN-002",
            f"no training row is left of {len(examples)}: {reasons}",
            help="shorten the prompts, or choose a student with a longer context",
        )
    kept = tuple(examples[index] for index in encoded.rows)
    return TaughtRows(
        rows=tuple(encoded.rows.values()),
        names=tuple(f"{e.source} row {e.row}" if e.source else e.id for e in kept),
        examples=kept,
        dropped=dropped,
    )
