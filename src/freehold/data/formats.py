"""Recognise the shape of rows, and take the input, the target, the context and the history out.

A format is one function that looks at a row and says how rows of that shape are taken apart, or
None; the literal mapping `FORMATS` holds them in the order in which they are tried.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import JsonValue

from freehold.core.errors import DataError, Where
from freehold.core.message import Message
from freehold.core.sections import Columns

NO_INPUT = "no input"
EMPTY_INPUT = "empty input"
NO_TARGET = "no target"
EMPTY_TARGET = "empty target"
INPUT_NOT_TEXT = "the input is not text"
CONTEXT_NOT_TEXT = "the context is not text"
HISTORY_NOT_TURNS = "the history is not a list of question and answer"
NO_TURNS = "not a list of turns"
NO_ASSISTANT = "no assistant turn"
NO_USER = "no user turn before the assistant's"
ENDS_WITHOUT_ANSWER = "the last turn is not the assistant's"
TOOL_TURN = "a tool call or a turn that is no text"
EMPTY_TURN = "an empty turn"

Columned: TypeAlias = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Content:
    """What one row asks and what it wants as the answer."""

    input: str
    target: JsonValue
    context: str | None = None
    history: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row without something that it needs, and the reason."""

    reason: str


Taken: TypeAlias = Content | Rejected


@dataclass(frozen=True, slots=True)
class Format:
    """How rows of one shape are taken apart.

    `name` is shown to people. `used` are the columns that hold the content; the others become
    `Example.fields`. `fits` says whether a row has this shape; a row that does not is rejected
    with a reason by `take`.
    """

    name: str
    used: frozenset[str]
    columns: Columns
    fits: Callable[[Columned], bool]
    take: Callable[[Columned], Taken]


Recognise: TypeAlias = Callable[[Columned], Format | None]

# The order of preference where several columns could be meant.
PAIRS: tuple[tuple[str, str], ...] = (
    ("input", "target"),
    ("text", "label_text"),
    ("text", "label"),
    ("question", "answer"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("input", "output"),
    ("query", "response"),
    ("article", "summary"),
    ("document", "summary"),
)
INPUTS = (
    *("input", "text", "question", "prompt", "query", "sentence", "utterance", "message"),
    *("body", "content", "document", "article", "review", "title"),
)
TARGETS = (
    *("target", "label", "answer", "output", "completion", "response", "expected", "category"),
    *("intent", "class", "queue", "topic", "sentiment", "summary"),
)
CONTEXTS = ("context", "passage")


def _text(value: JsonValue) -> str | None:
    """Return text, or a number as its JSON text; None for everything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    return None


def _target(value: JsonValue) -> JsonValue | Rejected:
    """Return a wanted answer: a number or a truth value as its JSON text, the rest as it is."""
    if value is None:
        return Rejected(NO_TARGET)
    if isinstance(value, str) and not value.strip():
        return Rejected(EMPTY_TARGET)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return value


def _input(value: JsonValue) -> str | Rejected:
    if value is None:
        return Rejected(NO_INPUT)
    text = _text(value)
    if text is None:
        return Rejected(INPUT_NOT_TEXT)
    return text if text.strip() else Rejected(EMPTY_INPUT)


def _context(value: JsonValue) -> str | Rejected | None:
    """Return a passage; a list of paragraphs is joined by empty lines."""
    if value is None or value == "" or value == []:
        return None
    if isinstance(value, list):
        paragraphs = [item for item in value if isinstance(item, str)]
        if len(paragraphs) != len(value):
            return Rejected(CONTEXT_NOT_TEXT)
        return "\n\n".join(paragraphs)
    text = _text(value)
    return Rejected(CONTEXT_NOT_TEXT) if text is None else text


# Chat turns ----------------------------------------------------------------------------------

Role: TypeAlias = Literal["system", "user", "assistant"]
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
}


def _is_turns(value: JsonValue) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(t, dict) and ("role" in t or "from" in t) for t in value)
    )


def _turn(turn: JsonValue) -> Message | Rejected:
    if not isinstance(turn, dict):
        return Rejected(NO_TURNS)
    role = _ROLES.get(str(turn.get("role", turn.get("from"))).casefold())
    content = _turn_text(turn.get("content", turn.get("value")))
    if role is None or content is None or turn.get("tool_calls"):
        return Rejected(TOOL_TURN)
    return Message(role=role, content=content) if content.strip() else Rejected(EMPTY_TURN)


def _turn_text(content: JsonValue) -> str | None:
    """Return the text of a turn, which may be given in parts; None where a part is no text."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if len(texts) == len(parts) else None


def take_turns(turns: JsonValue) -> Taken:
    """Return the last answer of a chat as target, its question as input, the rest as history."""
    if not isinstance(turns, list):
        return Rejected(NO_TURNS)
    messages: list[Message] = []
    for turn in turns:
        message = _turn(turn)
        if isinstance(message, Rejected):
            return message
        messages.append(message)
    if all(message.role != "assistant" for message in messages):
        return Rejected(NO_ASSISTANT)
    if messages[-1].role != "assistant":
        return Rejected(ENDS_WITHOUT_ANSWER)
    if len(messages) < 2 or messages[-2].role != "user":
        return Rejected(NO_USER)
    return Content(
        input=messages[-2].content,
        target=messages[-1].content,
        history=tuple(messages[:-2]),
    )


def _system_turn(row: Columned) -> list[JsonValue]:
    system = row.get("system")
    return [{"role": "system", "content": system}] if isinstance(system, str) and system else []


def recognise_messages(row: Columned) -> Format | None:
    """OpenAI chat: `messages` is a list of turns with role and content."""
    if "messages" not in row:
        return None

    def take(row: Columned) -> Taken:
        return take_turns(row.get("messages"))

    return Format(
        "OpenAI messages",
        frozenset({"messages"}),
        Columns(input="messages", target="messages"),
        lambda row: "messages" in row,
        take,
    )


def recognise_sharegpt(row: Columned) -> Format | None:
    """ShareGPT: `conversations` is a list of turns with from and value; `system` may be beside."""
    name = "conversations" if "conversations" in row else "conversation"
    if not _is_turns(row.get(name)):
        return None

    def take(row: Columned) -> Taken:
        turns = row.get(name)
        return take_turns([*_system_turn(row), *turns] if isinstance(turns, list) else None)

    return Format(
        "ShareGPT conversations",
        frozenset({name, "system"}),
        Columns(input=name, target=name),
        lambda row: name in row,
        take,
    )


def recognise_prompt_turns(row: Columned) -> Format | None:
    """`prompt` and `completion` as lists of turns; as text they are a pair of columns."""
    if not (_is_turns(row.get("prompt")) and _is_turns(row.get("completion"))):
        return None

    def take(row: Columned) -> Taken:
        prompt, completion = row.get("prompt"), row.get("completion")
        if isinstance(prompt, list) and isinstance(completion, list):
            return take_turns([*prompt, *completion])
        return Rejected(NO_TURNS)

    return Format(
        "prompt/completion turns",
        frozenset({"prompt", "completion"}),
        Columns(input="prompt", target="completion"),
        lambda row: _is_turns(row.get("prompt")) and _is_turns(row.get("completion")),
        take,
    )


# Columns -------------------------------------------------------------------------------------


def recognise_alpaca(row: Columned) -> Format | None:
    """Alpaca: `instruction`, `output`, and perhaps `input`, `system` and `history`."""
    if "instruction" not in row or "output" not in row:
        return None
    return Format(
        "instruction/input/output",
        frozenset({"instruction", "input", "output", "system", "history"}),
        Columns(input=("instruction", "input"), target="output"),
        lambda row: "instruction" in row and "output" in row,
        _take_alpaca,
    )


def _take_alpaca(row: Columned) -> Taken:
    instruction, target = _input(row.get("instruction")), _target(row.get("output"))
    detail = "" if row.get("input") is None else _text(row.get("input"))
    history = _pairs_of_turns(row.get("history"))
    if isinstance(instruction, Rejected):
        return instruction
    if isinstance(target, Rejected):
        return target
    if detail is None:
        return Rejected(INPUT_NOT_TEXT)
    if history is None:
        return Rejected(HISTORY_NOT_TURNS)
    system = row.get("system")
    first = (Message(role="system", content=system),) if isinstance(system, str) and system else ()
    whole = f"{instruction}\n\n{detail}" if detail.strip() else instruction
    return Content(input=whole, target=target, history=(*first, *history))


def _pairs_of_turns(history: JsonValue) -> tuple[Message, ...] | None:
    if history is None:
        return ()
    if not isinstance(history, list):
        return None
    messages: list[Message] = []
    for pair in history:
        if not isinstance(pair, list) or len(pair) != 2:
            return None
        question, answer = pair
        if not isinstance(question, str) or not isinstance(answer, str):
            return None
        messages.append(Message(role="user", content=question))
        messages.append(Message(role="assistant", content=answer))
    return tuple(messages)


def recognise_pair(row: Columned) -> Format | None:
    """Two columns with well-known names, such as text and label; a context may be beside them."""
    names = {name.strip().casefold(): name for name in row}
    found = _known_pair(names)
    if found is None:
        return None
    context = next((names[name] for name in CONTEXTS if name in names), None)
    return format_of_columns(Columns(input=found[0], target=found[1], context=context))


def _known_pair(names: Mapping[str, str]) -> tuple[str, str] | None:
    for first, second in PAIRS:
        if first in names and second in names:
            return names[first], names[second]
    inputs = [names[name] for name in INPUTS if name in names]
    targets = [names[name] for name in TARGETS if name in names]
    return (inputs[0], targets[0]) if len(inputs) == 1 and len(targets) == 1 else None


def format_of_columns(columns: Columns) -> Format:
    """Return the format of rows whose input and target columns are known.

    Several input columns become lines of `name: value`; several target columns one JSON object.
    """
    inputs, targets = names_of(columns.input), names_of(columns.target)
    context = columns.context

    def take(row: Columned) -> Taken:
        asked = _input_of(row, inputs)
        wanted = _target_of(row, targets)
        passage = _context(row.get(context)) if context else None
        if isinstance(asked, Rejected):
            return asked
        if isinstance(wanted, Rejected):
            return wanted
        if isinstance(passage, Rejected):
            return passage
        return Content(input=asked, target=wanted, context=passage)

    return Format(
        name=f"{'+'.join(inputs)}/{'+'.join(targets)}",
        used=frozenset({*inputs, *targets, *((context,) if context else ())}),
        columns=columns,
        fits=lambda row: all(name in row for name in (*inputs, *targets)),
        take=take,
    )


def names_of(columns: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the column names that a setting holds."""
    if columns is None:
        return ()
    return (columns,) if isinstance(columns, str) else columns


def _input_of(row: Columned, names: Sequence[str]) -> str | Rejected:
    if len(names) == 1:
        return _input(row.get(names[0]))
    lines: list[str] = []
    for name in names:
        if row.get(name) is None or row.get(name) == "":
            continue
        text = _text(row.get(name))
        if text is None:
            return Rejected(INPUT_NOT_TEXT)
        lines.append(f"{name}: {text}")
    return "\n".join(lines) if lines else Rejected(EMPTY_INPUT)


def _target_of(row: Columned, names: Sequence[str]) -> JsonValue | Rejected:
    if len(names) == 1:
        return _target(row.get(names[0]))
    if any(row.get(name) is None or row.get(name) == "" for name in names):
        return Rejected(NO_TARGET)
    return {name: row[name] for name in names}


FORMATS: Mapping[str, Recognise] = {
    "OpenAI messages": recognise_messages,
    "ShareGPT conversations": recognise_sharegpt,
    "prompt/completion turns": recognise_prompt_turns,
    "instruction/input/output": recognise_alpaca,
    "two columns": recognise_pair,
}


def recognise(row: Columned, columns: Columns) -> Format | None:
    """Return the format of a row: the user's columns first, then the known shapes in order."""
    if columns.input and columns.target:
        chosen = format_of_columns(columns)
        return chosen if chosen.fits(row) else None
    for function in FORMATS.values():
        found = function(row)
        if found is not None:
            return _with_columns(found, row, columns)
    return _completed(row, columns)


def _with_columns(found: Format, row: Columned, columns: Columns) -> Format | None:
    """Replace the detected columns by those that the user named; None where the row lacks them."""
    if not (columns.input or columns.target or columns.context):
        return found
    chosen = format_of_columns(
        Columns(
            input=columns.input or found.columns.input,
            target=columns.target or found.columns.target,
            context=columns.context or found.columns.context,
        )
    )
    return chosen if chosen.fits(row) else None


def _completed(row: Columned, columns: Columns) -> Format | None:
    """Where the user named one of the two columns, find the other among the known names."""
    if not (columns.input or columns.target):
        return None
    names = {name.strip().casefold(): name for name in row}
    taken = {*names_of(columns.input), *names_of(columns.target), columns.context}
    wanted = TARGETS if columns.input else INPUTS
    others = [names[n] for n in wanted if n in names and names[n] not in taken]
    if len(others) != 1:
        return None
    return format_of_columns(
        Columns(
            input=columns.input or others[0],
            target=columns.target or others[0],
            context=columns.context,
        )
    )


def refuse_preferences(row: Columned, name: str, columns: Columns) -> None:
    """Refuse rows that compare or rate answers: a bad answer must not become a target.

    Raises:
        DataError: the row holds a pair of answers, or a rated one (DAT-017).
    """
    if columns.target is not None:
        return
    pair = {"chosen", "rejected"} <= row.keys() or "preferred_output" in row
    rated = {"prompt", "completion"} <= row.keys() and (
        isinstance(row.get("label"), bool) or "kto_tag" in row
    )
    if not (pair or rated):
        return
    what = "pairs of a better and a worse answer" if pair else "answers rated good or bad"
    wanted = "chosen" if pair else "completion"
    raise DataError(
        "DAT-017",
        f"`{name}` holds {what}, not one wanted answer a row",
        where=Where(file=name),
        help="to use one of the columns as the answer, write in task.yaml: "
        f"data: {{examples: {name}, columns: {{input: prompt, target: {wanted}}}}}",
    )


def unclear_columns(seen: Sequence[str], name: str, columns: Columns) -> DataError:
    """Return the error for rows whose input or target column cannot be told."""
    for setting in (*names_of(columns.input), *names_of(columns.target)):
        if setting not in seen:
            return missing_column(setting, seen, where=name)
    listed = ", ".join(f"`{column}`" for column in seen) or "none"
    example = _suggested(seen)
    return DataError(
        "DAT-006",
        f"it is unclear which column of `{name}` is the input and which the target; "
        f"the columns are {listed}",
        where=Where(file=name),
        help=f"write in task.yaml: data: {{examples: {name}, columns: {example}}}",
    )


def _suggested(seen: Sequence[str]) -> str:
    lower = {column.strip().casefold(): column for column in seen}
    first = next((lower[name] for name in INPUTS if name in lower), None)
    second = next((lower[name] for name in TARGETS if name in lower), None)
    rest = [column for column in seen if column not in (first, second, "id")]
    first = first or (rest.pop(0) if rest else "INPUT_COLUMN")
    second = second or (rest.pop(0) if rest else "TARGET_COLUMN")
    return f"{{input: {first}, target: {second}}}"


def missing_column(column: str, seen: Sequence[str], *, where: str) -> DataError:
    """Return the error for a column that a setting names and no row has."""
    close = difflib.get_close_matches(column, seen, n=1, cutoff=0.5)
    listed = ", ".join(f"`{name}`" for name in seen)
    return DataError(
        "DAT-007",
        f"no row of `{where}` has the column `{column}`",
        where=Where(file=where),
        help=f"did you mean `{close[0]}`?" if close else f"the columns are {listed}",
    )
