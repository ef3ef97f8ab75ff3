"""Read chats as turns of text, in the forms of OpenAI, ShareGPT and TRL, tools included.

A turn of Freehold is text that a system, a user or an assistant says, so that every chat template shows
it. What tools need is therefore written out, in the form that most models with tools were trained on:

- an assistant's call is `<tool_call>`, a line of JSON with `name` and `arguments`, `</tool_call>`;
- the results that follow are one user turn of `<tool_response>`, the result, `</tool_response>`;
- the list of tools is a part of the system turn, between `<tools>` and `</tools>`.

A model that answers a tool's result is thus asked with that result as its input, and one whose wanted
answer is a call has the text of the call as its target.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import JsonValue

from freehold.core.message import Message, system, user
from freehold.data.content import Content, Rejected, Taken
from freehold.data.rows import parse_json

NO_TURNS = "not a list of turns"
NO_ASSISTANT = "no assistant turn"
NO_USER = "no user turn before the assistant's"
ENDS_WITHOUT_ANSWER = "the last turn is not the assistant's"
NO_TEXT = "a turn that is no text"
EMPTY_TURN = "an empty turn"
BROKEN_CALL = "a tool call without a name, or with arguments that are no JSON"
RESULT_WITHOUT_CALL = "a tool's result without a call before it"
NO_TOOLS = "the tools are not a list of objects"
NOT_WANTED = "the last answer has weight 0"

_Kind: TypeAlias = Literal["system", "user", "assistant", "call", "result"]
_ROLES: Mapping[str, _Kind] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "function_call": "call",
    "function-call": "call",
    "tool_call": "call",
    "observation": "result",
    "tool": "result",
    "function": "result",
    "function_response": "result",
    "ipython": "result",
}


@dataclass(frozen=True, slots=True)
class _Turn:
    kind: _Kind
    text: str


def is_turns(value: JsonValue) -> bool:
    """Tell whether a value is a list of objects with a role (or `from`)."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, dict) and ("role" in turn or "from" in turn) for turn in value)
    )


def turns_of(value: JsonValue, *, tools: JsonValue = None) -> tuple[Message, ...] | Rejected:
    """Return the turns of a chat as text, the tools at the end of its system turn.

    `tools` is a list of objects or its JSON text, as in the columns `tools` of OpenAI and ShareGPT.
    """
    if not isinstance(value, list):
        return Rejected(NO_TURNS)
    turns: list[_Turn] = []
    for item in value:
        turn = _turn(item)
        if isinstance(turn, Rejected):
            return turn
        if turn.kind == "result" and (not turns or turns[-1].kind not in ("call", "result")):
            return Rejected(RESULT_WITHOUT_CALL)
        turns.append(turn)
    listed = _tools_text(tools)
    return listed if isinstance(listed, Rejected) else _with_tools(_messages(turns), listed)


def take_turns(turns: JsonValue, *, tools: JsonValue = None) -> Taken:
    """Return the last answer of a chat as target, its question as input, the rest as history."""
    messages = turns_of(turns, tools=tools)
    if isinstance(messages, Rejected):
        return messages
    if all(message.role != "assistant" for message in messages):
        return Rejected(NO_ASSISTANT)
    if messages[-1].role != "assistant":
        return Rejected(ENDS_WITHOUT_ANSWER)
    if len(messages) < 2 or messages[-2].role != "user":
        return Rejected(NO_USER)
    if _weight_of_last(turns) == 0:
        return Rejected(NOT_WANTED)
    return Content(
        input=messages[-2].content,
        target=messages[-1].content,
        history=tuple(messages[:-2]),
    )


def _weight_of_last(turns: JsonValue) -> JsonValue:
    last = turns[-1] if isinstance(turns, list) and turns else None
    return last.get("weight") if isinstance(last, dict) else None


def _messages(turns: Sequence[_Turn]) -> list[Message]:
    """Return the turns as messages; results that follow each other are one user turn."""
    messages: list[Message] = []
    before: _Kind | None = None
    for turn in turns:
        if turn.kind == "result" and before == "result":
            messages[-1] = user(f"{messages[-1].content}\n{turn.text}")
        else:
            messages.append(Message(role=_SPOKEN_BY[turn.kind], content=turn.text))
        before = turn.kind
    return messages


_SPOKEN_BY: Mapping[_Kind, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "call": "assistant",
    "result": "user",
}


# One turn ------------------------------------------------------------------------------------


def _turn(turn: JsonValue) -> _Turn | Rejected:
    if not isinstance(turn, dict):
        return Rejected(NO_TURNS)
    kind = _ROLES.get(str(turn.get("role", turn.get("from"))).casefold())
    content = turn.get("content", turn.get("value"))
    calls = _calls_beside(turn)
    if kind == "call":
        calls, content = _calls_in(content), None
    if calls is not None:
        return _call(content, calls) if kind in ("assistant", "call") else Rejected(NO_TEXT)
    text = _text(content)
    if kind is None or text is None:
        return Rejected(NO_TEXT)
    if kind == "result":
        return _Turn("result", f"<tool_response>\n{text}\n</tool_response>")
    return _Turn(kind, text) if text.strip() else Rejected(EMPTY_TURN)


def _text(content: JsonValue) -> str | None:
    """Return the text of a turn, which may be given in parts; None where a part is no text."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if len(texts) == len(parts) else None


def _calls_beside(turn: Mapping[str, JsonValue]) -> list[JsonValue] | None:
    """Return the calls that stand beside the text: OpenAI's `tool_calls`, or its older `function_call`."""
    calls = turn.get("tool_calls")
    if calls:
        return calls if isinstance(calls, list) else [calls]
    older = turn.get("function_call")
    return [older] if older else None


def _calls_in(value: JsonValue) -> list[JsonValue]:
    """Return the calls that are the value of a turn: an object, a list of them, or their JSON text."""
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError:
            return []
    return value if isinstance(value, list) else [value]


def _call(content: JsonValue, calls: Sequence[JsonValue]) -> _Turn | Rejected:
    said = "" if content is None else _text(content)
    if said is None:
        return Rejected(NO_TEXT)
    written = [_call_text(call) for call in calls]
    texts = [text for text in written if text is not None]
    if not texts or len(texts) < len(written):
        return Rejected(BROKEN_CALL)
    return _Turn("call", "\n".join([said, *texts] if said.strip() else texts))


def _call_text(call: JsonValue) -> str | None:
    """Return one call as text; None where it has no name, or arguments that are no JSON object."""
    if not isinstance(call, dict):
        return None
    function = call.get("function")
    named = function if isinstance(function, dict) else call
    name = named.get("name")
    arguments = _arguments(named.get("arguments", named.get("parameters")))
    if not isinstance(name, str) or not name.strip() or arguments is None:
        return None
    written = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{written}\n</tool_call>"


def _arguments(value: JsonValue) -> dict[str, JsonValue] | None:
    if isinstance(value, str) and value.strip():
        try:
            value = parse_json(value)
        except ValueError:
            return None
    if value is None or value == "":
        return {}
    return value if isinstance(value, dict) else None


# Tools ---------------------------------------------------------------------------------------


def _tools_text(tools: JsonValue) -> str | Rejected:
    """Return the list of tools as a part of the system turn; nothing where there are none."""
    if isinstance(tools, str) and tools.strip():
        try:
            tools = parse_json(tools)
        except ValueError:
            return Rejected(NO_TOOLS)
    if tools is None or tools == [] or (isinstance(tools, str) and not tools.strip()):
        return ""
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        return Rejected(NO_TOOLS)
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    return (
        f"You can call these tools:\n<tools>\n{listed}\n</tools>\n"
        'Write a call as <tool_call>, a line {"name": ..., "arguments": {...}}, and </tool_call>.'
        " Its result follows between <tool_response> and </tool_response>."
    )


def _with_tools(messages: Sequence[Message], tools: str) -> tuple[Message, ...]:
    if not tools:
        return tuple(messages)
    if messages and messages[0].role == "system":
        return (system(f"{messages[0].content}\n\n{tools}"), *messages[1:])
    return (system(tools), *messages)
