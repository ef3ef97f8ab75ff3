# pyright: standard
"""A teacher: whether there is one that can score the student's tokens."""

from __future__ import annotations

from freehold.core.errors import ModelError
from freehold.core.sections import DistilSpec
from freehold.models.local import LocalModel

TEACHER_TOKENS = 4096
"""Padded tokens that pass a teacher together."""


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
