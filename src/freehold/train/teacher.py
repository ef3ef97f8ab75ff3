# pyright: standard
"""A teacher: whether it speaks the student's tokens, and how far the student is from what it says.

Shapes: N positions that carry loss, K of the teacher's likeliest tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from transformers import PreTrainedModel

from freehold.core.errors import ModelError
from freehold.core.sections import DistilSpec
from freehold.models.local import LocalModel
from freehold.train import losses
from freehold.train.objectives import logits_where_loss_is
from freehold.train.soft import SoftBatch

Kind: TypeAlias = Literal["forward_kl", "reverse_kl", "jsd"]

_DIVERGENCES: Mapping[Kind, Callable[[Tensor, Tensor], Tensor]] = {
    "forward_kl": losses.forward_kl,
    "reverse_kl": losses.reverse_kl,
    "jsd": partial(losses.jsd, beta=0.5),
}


TEACHER_TOKENS = 4096
"""Padded tokens that pass a teacher together."""


@dataclass(frozen=True)
class Divergence:
    """How far a student is from the kept teacher: over its K likeliest tokens and all others as one.

    That is at most the divergence over the whole vocabulary, and the same where K is V. `jsd` weighs
    teacher and student alike.
    """

    kind: Kind = "forward_kl"

    def __call__(self, model: PreTrainedModel, batch: SoftBatch, /) -> Tensor:
        """Return the divergence in nats, summed over N positions."""
        logprobs_NV = torch.log_softmax(logits_where_loss_is(model, batch), dim=-1)
        student_NK = logprobs_NV.gather(-1, batch.top_ids_NK)
        return _DIVERGENCES[self.kind](
            losses.with_tail(batch.top_logprobs_NK), losses.with_tail(student_NK)
        ).sum()


def teacher_of(student: LocalModel, teacher: LocalModel | None, spec: DistilSpec) -> LocalModel:
    """Return the teacher, once it is clear that it can score the student's tokens.

    Raises:
        ModelError: there is none, or it has another tokenizer.
    """
    if teacher is None:
        wanted = f"divergence {spec.divergence}, on_policy {spec.on_policy:g}"
        raise ModelError(
            "TRN-023",
            f"{wanted}: a teacher must score the student token by token, and the teacher's weights are"
            " not in this process",
            help="freehold climb -s ladder.distil.divergence=sequence -s ladder.distil.on_policy=0",
        )
    check_same_tokens(student, teacher)
    return teacher


def check_same_tokens(student: LocalModel, teacher: LocalModel) -> None:
    """Check that both models mean the same text by the same token.

    Raises:
        ModelError: they do not; what a teacher says of its tokens says nothing of the student's.
    """
    own, other = (_vocabulary(model) for model in (student, teacher))
    if own == other:
        return
    differing = sorted(
        text for text in own.keys() | other.keys() if own.get(text) != other.get(text)
    )
    raise ModelError(
        "TRN-024",
        f"the teacher {teacher.name} has another tokenizer than the student {student.name}:"
        f" {len(differing)} of {len(own.keys() | other.keys())} tokens differ, such as {differing[0]!r}",
        help="freehold climb -s ladder.distil.divergence=sequence -s ladder.distil.on_policy=0",
    )


def _vocabulary(model: LocalModel) -> dict[str, int]:
    return dict(model.loaded.chat.tokenizer.get_vocab())
