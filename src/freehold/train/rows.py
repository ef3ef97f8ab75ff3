# pyright: standard
"""Training rows: a prompt and its answer, as the tokens that the model will meet when it is used.

Prompt, answer and end of turn are tokenised by the same `ChatFormat` that generation and scoring
use, so training cannot drift away from use. Loss is on the answer and the end of turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from freehold.core.message import Message
from freehold.core.record import Record

if TYPE_CHECKING:
    from freehold.models.chat import ChatFormat


class TrainingRow(Record):
    """What the model is asked, and what it should answer."""

    prompt: tuple[Message, ...]
    answer: str


@dataclass(frozen=True)
class TokenRow:
    """One row as tokens: `ids[:answer_start]` is the prompt, the rest carries loss."""

    ids: tuple[int, ...]
    answer_start: int


@dataclass(frozen=True)
class Encoded:
    """Rows as tokens by their index, and the reason for every index that was left out."""

    rows: Mapping[int, TokenRow]
    dropped: Mapping[int, str]


def encode_rows(chat: ChatFormat, rows: Sequence[TrainingRow], *, max_length: int) -> Encoded:
    """Return the rows as tokens. A row of more than `max_length` tokens is left out, never cut.

    Raises:
        ModelError: the chat template refuses the turns of a row.
    """
    kept: dict[int, TokenRow] = {}
    dropped: dict[int, str] = {}
    prompts = chat.tokenize([chat.render(row.prompt) for row in rows])
    for index, (row, prompt_ids) in enumerate(zip(rows, prompts, strict=True)):
        ids = (*prompt_ids, *chat.answer_ids(row.answer), chat.end_id)
        if not prompt_ids:
            dropped[index] = "the prompt has no tokens"
        elif len(ids) > max_length:
            dropped[index] = f"longer than {max_length} tokens"
        else:
            kept[index] = TokenRow(ids=ids, answer_start=len(prompt_ids))
    return Encoded(rows=kept, dropped=dropped)
