# pyright: standard
"""Prompts and answers as text and tokens."""

from __future__ import annotations

import pytest
from tests.models import tiny

from freehold.core.errors import ModelError
from freehold.core.message import assistant, system, user
from freehold.models.chat import ChatFormat

NO_SYSTEM = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ALTERNATES = (
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{{ message['content'] }}<eos>{% endfor %}"
)


def chat(template: str | None = tiny.TEMPLATE, *, bos: bool = False) -> ChatFormat:
    return ChatFormat(
        tiny.tokenizer(template=template, bos=bos), model_stop_ids=(), where="a folder"
    )


def test_a_prompt_follows_the_models_own_template_byte_for_byte() -> None:
    turns = [system("Be brief."), user("Hi"), assistant("Hello"), user(" card\n")]
    rendered = chat().render(turns)
    assert rendered == (
        "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n"
        "<|assistant|>\nHello<|end|>\n<|user|>\n card\n<|end|>\n<|assistant|>\n"
    )
    assert chat().template_source == "model"


def test_a_model_without_a_template_gets_plain_turns_and_says_so() -> None:
    plain = chat(None)
    assert plain.template_source == "fallback"
    assert plain.render([system("Be brief."), user("Hi"), assistant("Yo"), user("card")]) == (
        "System:\nBe brief.\n\nUser:\nHi\n\nAssistant:\nYo<eos>\n\nUser:\ncard\n\nAssistant:\n"
    )
    assert plain.end_id == plain.tokenizer.eos_token_id


def test_plain_turns_start_with_the_token_that_the_tokenizer_itself_would_put_there() -> None:
    plain = chat(None, bos=True)
    assert plain.render([user("Hi")]).startswith("<bos>User:\n")
    assert plain.prompt_ids([user("Hi")]).count(tiny.SPECIAL.index("<bos>")) == 1


def test_the_token_that_ends_a_turn_is_found_in_the_template() -> None:
    found = chat()
    assert found.end_id == tiny.SPECIAL.index("<|end|>")
    assert found.stop_ids == {tiny.SPECIAL.index("<|end|>"), tiny.SPECIAL.index("<eos>")}


def test_a_template_without_system_turns_gets_them_in_the_first_user_turn() -> None:
    folded = chat(NO_SYSTEM).render([system("Be brief."), user("Hi")])
    assert folded == "<|user|>Be brief.\n\nHi<|end|><|assistant|>"


def test_turns_that_the_template_refuses_are_named() -> None:
    with pytest.raises(ModelError, match="user, user") as caught:
        chat(ALTERNATES).render([user("a"), user("b")])
    assert caught.value.problems[0].code == "MDL-013"
    assert "alternate" in caught.value.problems[0].cause[0]


@pytest.mark.parametrize("answer", ["lost card", " card", "\ncard", "", "7", "café ☃", "<|end|>"])
def test_prompt_and_answer_tokens_are_those_of_the_whole_text(answer: str) -> None:
    found = chat()
    prompt = [user("Which?")]
    both = found.tokenize([found.render(prompt) + answer])[0]
    assert [*found.prompt_ids(prompt), *found.answer_ids(answer)] == both
