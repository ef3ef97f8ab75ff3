"""The chat protocol as bytes: what is asked, and what an answer says. Pure.

A constraint is asked for by `response_format` with a strict JSON schema. The root of that schema has to be an
object for every server to take it, so labels and other values stand in its field `answer`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from pydantic import JsonValue

from freehold.core.message import Message
from freehold.core.record import canonical_json
from freehold.models.door import Constraint, FitsSchema, OneOf

Feature: TypeAlias = Literal[
    "seed", "temperature", "max_tokens", "logprobs", "strict", "response_format"
]
"""What a server may refuse. Without `max_tokens` the newer name of it is used, `max_completion_tokens`."""
NAMES: Mapping[Feature, tuple[str, ...]] = {
    "logprobs": ("logprobs",),
    "seed": ("seed",),
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens",),
    "strict": ("strict", "additionalproperties"),
    "response_format": ("response_format", "json_schema", "grammar", "schema", "guided"),
}
"""How a server names what it refuses, in lower case; the first that is named is left out."""

SEED = 7
TOP_LOGPROBS = 20
ANSWER = "answer"
WRAPPING_TOKENS = 128
"""The room that `{"answer": ...}` may take around an answer: servers that hold a model to a schema let it write spaces
and empty lines between the parts, and small models do."""
LIKELY_WRAPPING_TOKENS = 8
"""What `{"answer": ...}` mostly takes around an answer."""
BYTES_PER_TOKEN = 3
_MESSAGE_TOKENS, _TEMPLATE_TOKENS = 16, 64
_TOO_LONG = re.compile(
    r"context[ _]?(length|window|size)|maximum (context|model) len|too (long|many tokens)|n_ctx"
    r"|exceeds? the (available )?context|max_model_len",
    re.IGNORECASE,
)
_LONGEST_DETAIL = 240


@dataclass(frozen=True)
class Question:
    """What is asked: a conversation, the longest answer, what it is held to, and whether probabilities are wanted."""

    messages: tuple[Message, ...]
    max_tokens: int
    constraint: Constraint | None = None
    wants_logprobs: bool = False


@dataclass(frozen=True)
class TokenChoice:
    """One token that was written, its log-probability, and those of the likeliest ones at its place."""

    token: str
    logprob: float
    likeliest: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Completion:
    """What a server answered. `text` None: it answered with nothing, for the reason that `nothing` gives.

    The numbers of tokens are None where the server does not say them. `seconds` is the time of the request.
    """

    text: str | None
    prompt_tokens: int | None
    answer_tokens: int | None
    truncated: bool
    seconds: float = 0.0
    tokens: tuple[TokenChoice, ...] = ()
    served_as: str | None = None
    system_fingerprint: str | None = None
    nothing: str = ""
    from_cache: bool = False


def sent_messages(messages: Sequence[Message]) -> list[JsonValue]:
    """Return the messages as they are sent."""
    return [{"role": turn.role, "content": turn.content} for turn in messages]


def request_body(question: Question, *, model: str, refused: frozenset[Feature]) -> bytes:
    """Return the JSON of a request, the same bytes for the same question."""
    ceiling = "max_completion_tokens" if "max_tokens" in refused else "max_tokens"
    body: dict[str, JsonValue] = {
        "model": model,
        "messages": sent_messages(question.messages),
        ceiling: question.max_tokens,
        "stream": False,
    }
    if "temperature" not in refused:
        body["temperature"] = 0
    if "seed" not in refused:
        body["seed"] = SEED
    if question.wants_logprobs and "logprobs" not in refused:
        body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
    if question.constraint is not None and "response_format" not in refused:
        schema: JsonValue = dict(asked_schema(question.constraint))
        form: dict[str, JsonValue] = {"name": ANSWER, "schema": schema}
        form["strict"] = "strict" not in refused
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return canonical_json(body)


def used_features(question: Question, refused: frozenset[Feature]) -> tuple[Feature, ...]:
    """Return what a request uses that a server may refuse, in the order in which it is left out unasked."""
    used: list[Feature] = []
    if question.constraint is not None and "response_format" not in refused:
        if "strict" not in refused:
            used.append("strict")
        used.append("response_format")
    if question.wants_logprobs and "logprobs" not in refused:
        used.append("logprobs")
    others: tuple[Feature, ...] = ("seed", "temperature", "max_tokens")
    return (*used, *(name for name in others if name not in refused))


def refused_feature(
    detail: str, used: Sequence[Feature], *, proven: frozenset[Feature]
) -> Feature | None:
    """Return what a server that said `detail` refuses: what it names, else the first that never worked.

    Seed, temperature and max_tokens are given up only where they are named.
    """
    said = detail.lower()
    for feature, names in NAMES.items():
        if feature in used and any(name in said for name in names):
            return feature
    optional = ("strict", "response_format", "logprobs")
    return next((name for name in used if name in optional and name not in proven), None)


def asked_schema(constraint: Constraint) -> Mapping[str, JsonValue]:
    """Return the schema that an answer is held to; its root is an object."""
    if isinstance(constraint, FitsSchema):
        if is_object(constraint):
            return constraint.json_schema
        inner: JsonValue = constraint.json_schema
    else:
        inner = {"type": "string", "enum": list(constraint.labels)}
    return {
        "type": "object",
        "properties": {ANSWER: inner},
        "required": [ANSWER],
        "additionalProperties": False,
    }


def is_object(constraint: FitsSchema) -> bool:
    """Return whether the answers are objects by themselves."""
    schema = constraint.json_schema
    return schema.get("type") == "object" or "properties" in schema


def unwrapped(text: str, constraint: Constraint | None) -> str:
    """Return the answer without the object that it was asked in; text that is no such object as it is."""
    if constraint is None or (isinstance(constraint, FitsSchema) and is_object(constraint)):
        return text
    try:
        value = cast(JsonValue, json.loads(text))
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict) or set(value) != {ANSWER}:
        return text
    inner = value[ANSWER]
    if isinstance(constraint, OneOf):
        return inner if isinstance(inner, str) else text
    return json.dumps(inner, ensure_ascii=False)


def is_held(completion: Completion, constraint: Constraint) -> bool:
    """Return whether an answer is what was asked for by `response_format`, as far as it was written."""
    if completion.truncated or completion.text is None:
        return True
    try:
        value = cast(JsonValue, json.loads(completion.text))
    except (ValueError, RecursionError):
        return False
    wanted = isinstance(constraint, FitsSchema) and is_object(constraint)
    return isinstance(value, dict) and (wanted or set(value) == {ANSWER})


def label_place(text: str, labels: Sequence[str]) -> int | None:
    """Return which label a text is, however it is spaced and capitalised; None where it is none."""
    said = " ".join(text.split()).casefold().strip("\"'`*. ")
    spelled = [" ".join(label.split()).casefold() for label in labels]
    if text in labels:
        return list(labels).index(text)
    return spelled.index(said) if spelled.count(said) == 1 else None


def likeliest_label(first: TokenChoice, labels: Sequence[str]) -> int | None:
    """Return the label that the likeliest first tokens begin; None where a token begins two, or none.

    A token counts for the label that it is the beginning of. Its share is certain only where no
    other label begins so, so a doubt gives no choice.
    """
    shares = [0.0] * len(labels)
    for token, logprob in first.likeliest or ((first.token, first.logprob),):
        start = token.strip().casefold()
        begun = [
            i for i, label in enumerate(labels) if start and label.casefold().startswith(start)
        ]
        if len(begun) > 1:
            return None
        if begun:
            shares[begun[0]] += math.exp(min(0.0, logprob))
    best = max(range(len(labels)), key=shares.__getitem__)
    return best if shares[best] > 0 else None


def estimated_tokens(messages: Sequence[Message]) -> int:
    """Return about how many tokens a conversation has, mostly too many: a token for three bytes."""
    texts = sum(
        math.ceil(len(turn.content.encode("utf-8", "replace")) / BYTES_PER_TOKEN)
        for turn in messages
    )
    return texts + 4 * len(messages) + 4


def most_prompt_tokens(messages: Sequence[Message]) -> int:
    """Return more tokens than a conversation can have: one for each byte, and room for the template."""
    texts = sum(len(turn.content.encode("utf-8", "replace")) for turn in messages)
    return texts + _MESSAGE_TOKENS * len(messages) + _TEMPLATE_TOKENS


def is_too_long(detail: str) -> bool:
    """Return whether a refusal says that prompt and answer do not fit the model's context."""
    return _TOO_LONG.search(detail) is not None


def error_detail(body: bytes) -> str:
    """Return what the body of a refusal says, in one line."""
    try:
        value = cast(JsonValue, json.loads(body))
    except (ValueError, RecursionError):
        return described(body)
    return _clipped(_message(value) or json.dumps(value, ensure_ascii=False))


def described(body: bytes) -> str:
    """Return what a body that is no JSON is: nothing, an HTML page with its title, half a JSON, or text."""
    text = body[:4096].decode("utf-8", "replace").strip()
    if not text:
        return "nothing"
    if text[:1] == "<":
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        return "an HTML page" + (f" ({_clipped(title[1])})" if title else "")
    if text[:1] in "{[":
        return "a JSON that is cut short or damaged"
    return f"text that is no JSON ({_clipped(text)})"


def read_completion(body: bytes, *, seconds: float = 0.0) -> Completion | str:
    """Return the completion in a response of status 200, or what is wrong with it."""
    try:
        value = cast(JsonValue, json.loads(body))
    except (ValueError, RecursionError):
        return f"it answered with {described(body)}"
    if not isinstance(value, dict):
        return f"it answered with a JSON {type(value).__name__}, not an object"
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        said = _message(value)
        return "it answered without a choice" + (f": {_clipped(said)}" if said else "")
    choice = choices[0]
    turn = choice.get("message")
    if not isinstance(turn, dict):
        return "it answered with a choice that has no message"
    text, nothing = _content(turn, choice)
    used = value.get("usage")
    usage = used if isinstance(used, dict) else {}
    return Completion(
        text=text,
        nothing=nothing,
        prompt_tokens=_count(usage.get("prompt_tokens")),
        answer_tokens=_count(usage.get("completion_tokens")),
        truncated=choice.get("finish_reason") == "length",
        seconds=seconds,
        tokens=_tokens(choice.get("logprobs")),
        served_as=_text(value.get("model")),
        system_fingerprint=_text(value.get("system_fingerprint")),
    )


def _content(
    turn: Mapping[str, JsonValue], choice: Mapping[str, JsonValue]
) -> tuple[str | None, str]:
    content = turn.get("content")
    if isinstance(content, str):
        return content, ""
    if isinstance(content, list):
        parts = [_text(part.get("text")) or "" for part in content if isinstance(part, dict)]
        return "".join(parts), ""
    refusal = _text(turn.get("refusal"))
    if refusal:
        return None, f"the model refused: {_clipped(refusal)}"
    why = _text(choice.get("finish_reason")) or "no reason"
    thought = " after thinking aloud" if turn.get("reasoning_content") else ""
    return None, f"the answer has no content{thought} (finish_reason {why})"


def _tokens(value: JsonValue) -> tuple[TokenChoice, ...]:
    entries = value.get("content") if isinstance(value, dict) else None
    found: list[TokenChoice] = []
    for entry in entries if isinstance(entries, list) else ():
        pair = _pair(entry)
        if pair is None or not isinstance(entry, dict):
            return ()
        top = entry.get("top_logprobs")
        others = [_pair(other) for other in top] if isinstance(top, list) else []
        found.append(TokenChoice(*pair, tuple(other for other in others if other is not None)))
    return tuple(found)


def _pair(value: JsonValue) -> tuple[str, float] | None:
    if not isinstance(value, dict):
        return None
    token, logprob = value.get("token"), value.get("logprob")
    if not isinstance(token, str) or isinstance(logprob, bool):
        return None
    if not isinstance(logprob, int | float) or not math.isfinite(logprob):
        return None
    return token, float(logprob)


def _message(value: JsonValue) -> str | None:
    """Return the message of an error in one of the shapes that servers use."""
    if not isinstance(value, dict):
        return None
    for key in ("error", "detail", "message"):
        inner = value.get(key)
        if isinstance(inner, str) and inner:
            return inner
        if isinstance(inner, dict):
            return _message(inner) or json.dumps(inner, ensure_ascii=False)
        if isinstance(inner, list) and inner:
            return json.dumps(inner, ensure_ascii=False)
    return None


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: JsonValue) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return None
    return value


def _clipped(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_DETAIL else line[: _LONGEST_DETAIL - 1] + "…"
