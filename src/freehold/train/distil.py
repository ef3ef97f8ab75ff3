# pyright: standard
"""Lessons from a teacher: on its answers, or on what it says of every token of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from freehold.core.record import digest_json
from freehold.core.sections import DistilSpec
from freehold.core.snapshot import Drop, Example
from freehold.models.local import LocalModel
from freehold.train.batching import Indices
from freehold.train.objectives import Divergence, Objective, SoftBatch
from freehold.train.on_policy import OnPolicyLesson, on_policy_distil_lesson
from freehold.train.sft import Render, SftLesson, sft_lesson
from freehold.train.soft import SoftRow, collate_soft, soft_rows
from freehold.train.teacher import TEACHER_TOKENS, teacher_of


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
        """Tokens of each row."""
        return tuple(len(soft.row.ids) for soft in self.rows)

    @property
    def loss_tokens(self) -> int:
        """Positions that carry loss."""
        return sum(len(soft.top_ids_NK) for soft in self.rows)

    def passed_tokens(self, indices: Indices) -> int:
        """Return the tokens that pass the model when these rows are one batch."""
        return sum(len(self.rows[i].row.ids) for i in indices)

    def batch(self, indices: Indices, *, step: int) -> SoftBatch:
        """Return these rows as one batch; nothing is drawn, so that every step gives the same."""
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
) -> SftLesson | TaughtLesson | OnPolicyLesson:
    """Return the lesson that `spec.divergence` and `spec.on_policy` mean, on the teacher's answers.

    `sequence` is cross-entropy on the answers (Kim and Rush 2016, arXiv:1606.07947); any candidate may
    have written them. The others compare token by token with what the teacher says, computed here,
    once. With a share of student samples it is `on_policy_distil_lesson`. What is longer than the
    context is left out, never cut.

    Args:
        examples: what is asked.
        render: from an example to what the student is asked and what the teacher answered.
        student: the model as it is before training.
        teacher: what is imitated token by token; None for `sequence` without student samples.
        spec: the divergence, the longest row, and how many of the teacher's tokens are kept at a
            position (`retention.top_k`).

    Raises:
        DataError: no row is left to train on.
        ModelError: the teacher has another tokenizer, or there is none where one is needed; or the
            chat template refuses a row.
    """
    if spec.on_policy > 0:
        scorer = teacher_of(student, teacher, spec)
        return on_policy_distil_lesson(
            examples, render=render, student=student, teacher=scorer, spec=spec
        )
    if spec.divergence == "sequence":
        return sft_lesson(examples, base=student, render=render, max_length=spec.max_length)
    scorer = teacher_of(student, teacher, spec)
    plain = sft_lesson(examples, base=student, render=render, max_length=spec.max_length)
    top_k = spec.retention.top_k
    rows = soft_rows(
        scorer.loaded.network.module, plain.rows, top_k=top_k, batch_tokens=TEACHER_TOKENS
    )
    return TaughtLesson(
        name=spec.divergence,
        digest=digest_json("taught", [plain.digest, scorer.digest, spec.divergence, top_k]),
        objective=Divergence(spec.divergence),
        dropped=plain.dropped,
        rows=rows,
        names=plain.names,
        device=plain.device,
    )
