# pyright: standard
from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from freehold.core.message import system, user
from freehold.models.chat import ChatFormat
from freehold.train.rows import TrainingRow, encode_rows

ROW = TrainingRow(prompt=(system("Say its colour."), user("thing 3")), answer="dark grey")


def test_the_prompt_is_what_the_template_gives_for_generation(
    chat: ChatFormat, tokenizer: PreTrainedTokenizerFast
) -> None:
    row = encode_rows(chat, [ROW], max_length=100).rows[0]
    conversation = [{"role": turn.role, "content": turn.content} for turn in ROW.prompt]
    expected = tokenizer.apply_chat_template(
        conversation, add_generation_prompt=True, return_dict=False
    )
    assert list(row.ids[: row.answer_start]) == expected


@pytest.mark.parametrize("answer", ["dark grey", " spaced ", "", "naïve ☃ 雪", '{"a": [1, 2]}\n'])
def test_the_answer_follows_byte_for_byte_and_then_the_turn_ends(
    chat: ChatFormat, tokenizer: PreTrainedTokenizerFast, answer: str
) -> None:
    row = encode_rows(chat, [ROW.model_copy(update={"answer": answer})], max_length=200).rows[0]
    text = tokenizer.decode(list(row.ids), clean_up_tokenization_spaces=False)
    assert text == chat.render(ROW.prompt) + answer + "<|end|>"
    assert row.ids[-1] == chat.end_id


def test_a_row_that_is_too_long_is_left_out_with_its_reason_and_never_cut(
    chat: ChatFormat,
) -> None:
    long = ROW.model_copy(update={"answer": "dark grey " * 50})
    encoded = encode_rows(chat, [ROW, long, ROW], max_length=60)
    assert sorted(encoded.rows) == [0, 2]
    assert encoded.dropped == {1: "longer than 60 tokens"}
    assert encoded.rows[0] == encoded.rows[2]


def test_a_row_of_exactly_the_limit_is_kept(chat: ChatFormat) -> None:
    length = len(encode_rows(chat, [ROW], max_length=200).rows[0].ids)
    assert encode_rows(chat, [ROW], max_length=length).rows
    assert not encode_rows(chat, [ROW], max_length=length - 1).rows
