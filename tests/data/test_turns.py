"""Chats with tools become turns of text that every chat template shows."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from freehold.core.message import Message, assistant, system, user
from freehold.data.content import Content, Rejected
from freehold.data.turns import (
    BROKEN_CALL,
    NO_TEXT,
    NO_TOOLS,
    RESULT_WITHOUT_CALL,
    take_turns,
    turns_of,
)

TOOL: dict[str, JsonValue] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object"}},
}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Turku"}}\n</tool_call>'
RESULT = "<tool_response>\n3 degrees\n</tool_response>"


def call(arguments: JsonValue = '{"city": "Turku"}') -> dict[str, JsonValue]:
    return {"id": "1", "type": "function", "function": {"name": "weather", "arguments": arguments}}


def asked(content: str = "Is it cold?") -> dict[str, JsonValue]:
    return {"role": "user", "content": content}


def test_the_same_chat_is_read_from_every_form() -> None:
    openai: list[JsonValue] = [
        {"role": "system", "content": "Be short."},
        asked(),
        {"role": "assistant", "content": None, "tool_calls": [call()]},
        {"role": "tool", "tool_call_id": "1", "content": "3 degrees"},
        {"role": "assistant", "content": "Yes."},
    ]
    older: list[JsonValue] = [
        *openai[:2],
        {
            "role": "assistant",
            "content": "",
            "function_call": {"name": "weather", "arguments": '{"city": "Turku"}'},
        },
        {"role": "function", "name": "weather", "content": "3 degrees"},
        openai[4],
    ]
    sharegpt: list[JsonValue] = [
        {"from": "system", "value": "Be short."},
        {"from": "human", "value": "Is it cold?"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Turku"}}'},
        {"from": "observation", "value": "3 degrees"},
        {"from": "gpt", "value": "Yes."},
    ]
    wanted = (
        system("Be short."),
        user("Is it cold?"),
        assistant(CALL),
        user(RESULT),
        assistant("Yes."),
    )
    assert turns_of(openai) == turns_of(older) == turns_of(sharegpt) == wanted
    assert take_turns(openai) == Content(input=RESULT, target="Yes.", history=wanted[:3])


def test_a_wanted_call_is_the_target() -> None:
    answer: JsonValue = {"role": "assistant", "content": "I look.", "tool_calls": [call()]}
    found = take_turns([asked(), answer])
    assert found == Content(input="Is it cold?", target=f"I look.\n{CALL}")


def test_results_that_follow_each_other_are_one_turn() -> None:
    result: JsonValue = {"role": "tool", "content": "3 degrees"}
    calls: JsonValue = {"role": "assistant", "content": "", "tool_calls": [call(), call()]}
    found = turns_of([asked(), calls, result, result])
    assert found == (
        user("Is it cold?"),
        assistant(f"{CALL}\n{CALL}"),
        user(f"{RESULT}\n{RESULT}"),
    )


@pytest.mark.parametrize("tools", [[TOOL], json.dumps([TOOL])])
def test_tools_are_told_in_the_system_turn(tools: JsonValue) -> None:
    alone = turns_of([asked()], tools=tools)
    joined = turns_of([{"role": "system", "content": "Be short."}, asked()], tools=tools)
    assert isinstance(alone, tuple) and isinstance(joined, tuple)
    assert [turn.role for turn in alone] == [turn.role for turn in joined] == ["system", "user"]
    assert f"<tools>\n{json.dumps(TOOL)}\n</tools>" in alone[0].content
    assert joined[0].content == f"Be short.\n\n{alone[0].content}"
    nothings: list[JsonValue] = [None, [], "", " "]
    for nothing in nothings:
        assert turns_of([asked()], tools=nothing) == (user("Is it cold?"),)


NO_FUNCTION: dict[str, JsonValue] = {"function": {}}


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([asked(), {"role": "tool", "content": "x"}], RESULT_WITHOUT_CALL),
        ([{"from": "observation", "value": "x"}], RESULT_WITHOUT_CALL),
        ([asked(), {"role": "assistant", "tool_calls": [call("{no json")]}], BROKEN_CALL),
        ([asked(), {"role": "assistant", "tool_calls": [call("[1]")]}], BROKEN_CALL),
        ([asked(), {"role": "assistant", "tool_calls": [1]}], BROKEN_CALL),
        ([asked(), {"role": "assistant", "tool_calls": [NO_FUNCTION]}], BROKEN_CALL),
        ([asked(), {"from": "function_call", "value": "look it up"}], BROKEN_CALL),
        ([asked(), {"from": "function_call", "value": None}], BROKEN_CALL),
        ([{"role": "user", "content": "x", "tool_calls": [call()]}], NO_TEXT),
        ([{"role": "user", "content": [{"type": "image_url"}]}], NO_TEXT),
    ],
)
def test_a_chat_whose_tools_are_broken_says_why(turns: JsonValue, reason: str) -> None:
    assert turns_of(turns) == Rejected(reason)


@pytest.mark.parametrize("tools", ["no json", "5", [1], {"name": "weather"}])
def test_tools_that_are_no_list_are_refused(tools: JsonValue) -> None:
    assert turns_of([asked()], tools=tools) == Rejected(NO_TOOLS)


def test_a_call_without_arguments_is_a_call() -> None:
    nothings: list[JsonValue] = [None, "", {}, "{}"]
    for nothing in nothings:
        found = turns_of([asked(), {"role": "assistant", "tool_calls": [call(nothing)]}])
        assert isinstance(found, tuple)
        assert '{"name": "weather", "arguments": {}}' in found[-1].content


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(min_size=1))))
def test_turns_without_tools_stay_as_they_are(turns: list[tuple[str, str]]) -> None:
    given_turns: list[JsonValue] = [{"role": role, "content": text} for role, text in turns]
    found = turns_of(given_turns)
    if any(not text.strip() for _, text in turns):
        assert isinstance(found, Rejected)
    else:
        assert found == tuple(
            Message.model_validate({"role": role, "content": text}) for role, text in turns
        )
