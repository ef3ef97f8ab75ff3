# pyright: standard
"""Documents as a lesson: running text in rows, every token learnt once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.tiny import save_model

from freehold.core.errors import DataError
from freehold.core.sections import BaseModelSpec
from freehold.data.chunk import ChunkSpec, chunk
from freehold.data.documents import Document, Passage
from freehold.models.local import LocalModel, open_local
from freehold.train.documents import documents_lesson


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder = save_model(tmp_path_factory.mktemp("base"))
    return open_local(BaseModelSpec(id=str(folder)), cache=folder)


def passages(*texts: str, size: int = 60) -> tuple[Passage, ...]:
    documents = [Document(id=f"d{n}", title="", text=text) for n, text in enumerate(texts)]
    return tuple(one for document in documents for one in chunk(document, ChunkSpec(size=size)))


words = st.lists(st.sampled_from(["card", "lost", "refund", "top up.", "\n\n"]), min_size=1)


@given(texts=st.lists(words, min_size=1, max_size=4), length=st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_each_token_but_the_first_is_learnt_exactly_once(
    base: LocalModel, texts: list[list[str]], length: int
) -> None:
    given_ = passages(*("start " + " ".join(text) for text in texts))
    whole = documents_lesson(given_, base=base, max_length=512)
    cut = documents_lesson(given_, base=base, max_length=length)
    ids = [whole.rows[0].ids[0], *(i for row in whole.rows for i in row.ids[row.answer_start :])]
    learnt = [i for row in cut.rows for i in row.ids[row.answer_start :]]
    assert [cut.rows[0].ids[0], *learnt] == ids
    assert all(2 <= len(row.ids) <= length for row in cut.rows)
    assert cut.loss_tokens == len(ids) - 1


def test_a_document_ends_where_the_next_begins_and_is_named(base: LocalModel) -> None:
    lesson = documents_lesson(passages("card lost", "refund"), base=base, max_length=3)
    chat = base.loaded.chat
    ids = (
        *chat.tokenize(["card lost"])[0],
        chat.end_id,
        *chat.tokenize(["refund"])[0],
        chat.end_id,
    )
    assert lesson.rows[0].ids == ids[:3]
    assert lesson.names[0] == "d0"
    assert lesson.names[-1] == "d1"


def test_a_title_stands_before_a_text_that_does_not_begin_with_it(base: LocalModel) -> None:
    document = Document(id="d", title="Refunds", text="Never.")
    (row,) = documents_lesson(chunk(document, ChunkSpec(size=60)), base=base).rows
    assert base.loaded.chat.decode(row.ids[:-1]) == "Refunds\n\nNever."
    titled = Document(id="d", title="Refunds", text="# Refunds\n\nNever.")
    (row,) = documents_lesson(chunk(titled, ChunkSpec(size=60)), base=base).rows
    assert base.loaded.chat.decode(row.ids[:-1]) == "# Refunds\n\nNever."


def test_documents_without_text_are_an_error(base: LocalModel) -> None:
    with pytest.raises(DataError) as caught:
        documents_lesson((), base=base)
    assert caught.value.problems[0].code == "TRN-028"
