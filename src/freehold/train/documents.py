# pyright: standard
"""Continued pre-training: the user's documents as running text, where every token carries loss."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from freehold.core.errors import DataError
from freehold.data.documents import Passage
from freehold.models.local import LocalModel
from freehold.train.rows import TokenRow
from freehold.train.sft import SftLesson

ROW_TOKENS = 1024
"""The longest row of running text: several rows share a step even where the context is long."""


def documents_lesson(
    passages: Sequence[Passage], *, base: LocalModel, max_length: int | None = None
) -> SftLesson:
    """Return documents as a lesson: all of them one after the other, cut into rows of like length.

    A document is its title, where its text does not begin with it, and its passages, and ends with the
    base's end of text. A row begins with the last token of the row before, so that each token but the very first
    is learnt once.

    Args:
        passages: in the order of the documents.
        base: whose tokenizer and context are used.
        max_length: of a row; None: `ROW_TOKENS`, or the context where that is shorter.

    Raises:
        DataError: there is no text.
    """
    length = max(2, min(max_length or ROW_TOKENS, base.context_tokens))
    chat = base.loaded.chat
    texts: list[str] = []
    names: list[str] = []
    for document, own in groupby(passages, key=lambda passage: passage.document_id):
        texts.append(_text(tuple(own)))
        names.append(document)
    ids: list[int] = []
    starts: list[int] = []
    for tokens in chat.tokenize(texts):
        starts.append(len(ids))
        ids.extend((*tokens, chat.end_id))
    if len(ids) < 2:
        raise DataError(
            "TRN-028",
            "the documents hold no text to train on",
            help="add files to data.documents, or train on examples alone:"
            " freehold climb -s ladder.full.document_epochs=0",
        )
    firsts = range(0, len(ids) - 1, length - 1)
    rows = tuple(TokenRow(ids=tuple(ids[at : at + length]), answer_start=1) for at in firsts)
    return SftLesson(
        name="sft",
        rows=rows,
        names=tuple(_name_at(at, starts, names) for at in firsts),
        dropped=(),
        device=base.loaded.network.device,
    )


def _text(passages: Sequence[Passage]) -> str:
    body = "\n\n".join(passage.text for passage in passages)
    title = passages[0].title.strip()
    return body if not title or title in body[: 2 * len(title) + 8] else f"{title}\n\n{body}"


def _name_at(place: int, starts: Sequence[int], names: Sequence[str]) -> str:
    """Return the document that the token at `place` belongs to."""
    return next(
        name
        for start, name in zip(reversed(starts), reversed(names), strict=True)
        if start <= place
    )
