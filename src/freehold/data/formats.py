"""Recognise the shape of rows, and take the input, the target, the context and the history out.

A format is one function that looks at a row and says how rows of that shape are taken apart, or
None; the literal mapping `FORMATS` holds them in the order in which they are tried.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import JsonValue, ValidationError

from freehold.core.errors import DataError, Where
from freehold.core.message import Message
from freehold.core.sections import Columns
from freehold.data.content import (
    EMPTY_INPUT,
    INPUT_NOT_TEXT,
    NO_INPUT,
    NO_TARGET,
    Columned,
    Content,
    Rejected,
    Taken,
    context_of,
    input_of,
    target_of,
    text_of,
)
from freehold.data.derived import ORIGIN_COLUMN
from freehold.data.turns import NO_TURNS, NO_USER, is_turns, take_turns, turns_of

HISTORY_NOT_TURNS = "the history is not a list of turns, or of question and answer"
NO_EQUALS = "no `equals` among the asserts"
SEVERAL_ANSWERS = "several `equals` that differ"
SEVERAL_VALUES = "a variable that is not one text"


@dataclass(frozen=True, slots=True)
class Format:
    """How rows of one shape are taken apart.

    `name` is shown to people. `used` are the columns that hold the content; the others become
    `Example.fields`. `fits` says whether a row has this shape; a row that does not is rejected
    with a reason by `take`. `is_own` marks the rows that Freehold wrote: they stand beside rows of any
    other format, whatever columns the user named.
    """

    name: str
    used: frozenset[str]
    columns: Columns
    fits: Callable[[Columned], bool]
    take: Callable[[Columned], Taken]
    is_own: bool = False


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


# Rows that Freehold wrote --------------------------------------------------------------------


def recognise_own(row: Columned) -> Format | None:
    """A row of a file that Freehold wrote: `input`, `target`, and its origin in `freehold`."""
    if not _is_own(row):
        return None
    return Format(
        "input/target",
        frozenset({"id", "input", "target", "context", "history", ORIGIN_COLUMN}),
        Columns(input="input", target="target", context="context"),
        _is_own,
        _take_own,
        is_own=True,
    )


def _is_own(row: Columned) -> bool:
    return isinstance(row.get(ORIGIN_COLUMN), dict) and "input" in row and "target" in row


def _take_own(row: Columned) -> Taken:
    """Take a row exactly as it was written, so that reading gives the same example back."""
    asked, wanted, context = row.get("input"), row.get("target"), row.get("context")
    if not isinstance(asked, str):
        return Rejected(NO_INPUT if asked is None else INPUT_NOT_TEXT)
    if not asked.strip():
        return Rejected(EMPTY_INPUT)
    if wanted is None or wanted == "":
        return Rejected(NO_TARGET)
    history = history_of(row.get("history"))
    if isinstance(history, Rejected):
        return history
    return Content(asked, wanted, context if isinstance(context, str) else None, history)


# Chats ---------------------------------------------------------------------------------------


def _system_turn(row: Columned) -> list[JsonValue]:
    system = row.get("system")
    return [{"role": "system", "content": system}] if isinstance(system, str) and system else []


def _tools(row: Columned) -> JsonValue:
    return row.get("tools") or row.get("functions")


def recognise_messages(row: Columned) -> Format | None:
    """OpenAI chat: `messages` is a list of turns with role and content; `tools` may be beside."""
    if "messages" not in row:
        return None

    def take(row: Columned) -> Taken:
        return take_turns(row.get("messages"), tools=_tools(row))

    return Format(
        "OpenAI messages",
        frozenset({"messages", "tools", "functions"}),
        Columns(input="messages", target="messages"),
        lambda row: "messages" in row,
        take,
    )


def recognise_sharegpt(row: Columned) -> Format | None:
    """ShareGPT: `conversations` is a list of turns with from and value; `system` and `tools` beside."""
    name = "conversations" if "conversations" in row else "conversation"
    if not is_turns(row.get(name)):
        return None

    def take(row: Columned) -> Taken:
        turns = row.get(name)
        whole = [*_system_turn(row), *turns] if isinstance(turns, list) else None
        return take_turns(whole, tools=_tools(row))

    return Format(
        "ShareGPT conversations",
        frozenset({name, "system", "tools", "functions"}),
        Columns(input=name, target=name),
        lambda row: name in row,
        take,
    )


def recognise_prompt_turns(row: Columned) -> Format | None:
    """`prompt` and `completion`, one of them or both as a list of turns; two texts are a pair of columns."""
    if not _has_prompt_turns(row):
        return None
    return Format(
        "prompt/completion turns",
        frozenset({"prompt", "completion", "tools"}),
        Columns(input="prompt", target="completion"),
        _has_prompt_turns,
        _take_prompt_turns,
    )


def _has_prompt_turns(row: Columned) -> bool:
    prompt, completion = row.get("prompt"), row.get("completion")
    is_either = is_turns(prompt) or is_turns(completion)
    return is_either and all(is_turns(v) or isinstance(v, str) for v in (prompt, completion))


def _take_prompt_turns(row: Columned) -> Taken:
    prompt = _as_turns(row.get("prompt"), "user")
    completion = _as_turns(row.get("completion"), "assistant")
    if prompt is None or completion is None:
        return Rejected(NO_TURNS)
    return take_turns([*prompt, *completion], tools=row.get("tools"))


def _as_turns(value: JsonValue, role: str) -> list[JsonValue] | None:
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    return value if isinstance(value, list) else None


def history_of(value: JsonValue) -> tuple[Message, ...] | Rejected:
    """Return earlier turns: a list of turns, or of pairs of question and answer as in Alpaca."""
    if value is None or value == []:
        return ()
    if is_turns(value):
        exact = _messages(value)
        return exact if exact is not None else turns_of(value)
    pairs = _pairs_of_turns(value)
    return Rejected(HISTORY_NOT_TURNS) if pairs is None else pairs


def _messages(value: JsonValue) -> tuple[Message, ...] | None:
    """Return turns that Freehold wrote, unchanged even where they are empty; None for other shapes."""
    if not isinstance(value, list):
        return None
    try:
        return tuple(Message.model_validate(turn) for turn in value)
    except ValidationError:
        return None


# promptfoo -----------------------------------------------------------------------------------


def recognise_promptfoo(row: Columned) -> Format | None:
    """Promptfoo's tests: `vars` holds the input, an `equals` among the `assert` the target."""
    if not isinstance(row.get("vars"), dict) or "assert" not in row:
        return None
    return Format(
        "promptfoo tests",
        frozenset({"vars", "assert"}),
        Columns(input="vars", target="assert"),
        lambda row: "vars" in row and "assert" in row,
        _take_promptfoo,
    )


def _take_promptfoo(row: Columned) -> Taken:
    variables, wanted = row.get("vars"), _asserted(row.get("assert"))
    if isinstance(wanted, Rejected):
        return wanted
    if not isinstance(variables, dict):
        return Rejected(NO_INPUT)
    if any(text_of(value) is None for value in variables.values() if value is not None):
        return Rejected(SEVERAL_VALUES)
    passage = next((name for name in CONTEXTS if name in variables and len(variables) > 1), None)
    names = tuple(name for name in variables if name != passage)
    asked = _input_of(variables, names) if names else Rejected(NO_INPUT)
    if isinstance(asked, Rejected):
        return asked
    context = context_of(variables[passage]) if passage else None
    return context if isinstance(context, Rejected) else Content(asked, wanted, context)


def _asserted(asserts: JsonValue) -> JsonValue | Rejected:
    """Return the value of the one `equals` in a list of asserts."""
    listed = asserts if isinstance(asserts, list) else [asserts]
    wanted: list[JsonValue] = []
    for one in listed:
        if isinstance(one, dict) and one.get("type") == "equals" and one.get("value") not in wanted:
            wanted.append(one.get("value"))
    if not wanted:
        return Rejected(NO_EQUALS)
    return target_of(wanted[0]) if len(wanted) == 1 else Rejected(SEVERAL_ANSWERS)


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
    instruction, target = input_of(row.get("instruction")), target_of(row.get("output"))
    detail = "" if row.get("input") is None else text_of(row.get("input"))
    history = history_of(row.get("history"))
    if isinstance(instruction, Rejected):
        return instruction
    if isinstance(target, Rejected):
        return target
    if detail is None:
        return Rejected(INPUT_NOT_TEXT)
    if isinstance(history, Rejected):
        return history
    system = row.get("system")
    first = (Message(role="system", content=system),) if isinstance(system, str) and system else ()
    whole = f"{instruction}\n\n{detail}" if detail.strip() else instruction
    return Content(input=whole, target=target, history=(*first, *history))


def _pairs_of_turns(history: JsonValue) -> tuple[Message, ...] | None:
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
    history = row.get("history")
    return format_of_columns(
        Columns(input=found[0], target=found[1], context=context),
        history="history" if history is None or is_turns(history) else None,
    )


def _known_pair(names: Mapping[str, str]) -> tuple[str, str] | None:
    for first, second in PAIRS:
        if first in names and second in names:
            return names[first], names[second]
    inputs = [names[name] for name in INPUTS if name in names]
    targets = [names[name] for name in TARGETS if name in names]
    return (inputs[0], targets[0]) if len(inputs) == 1 and len(targets) == 1 else None


def format_of_columns(columns: Columns, *, history: str | None = None) -> Format:
    """Return the format of rows whose input and target columns are known.

    Several input columns become lines of `name: value`; several target columns one JSON object. One
    input column may hold a list of turns that ends with the user's. `history` is the column of earlier
    turns, where there may be one.
    """
    inputs, targets = names_of(columns.input), names_of(columns.target)
    context = columns.context

    def take(row: Columned) -> Taken:
        asked, earlier = _asked_of(row, inputs, history)
        wanted = _target_of(row, targets)
        passage = context_of(row.get(context)) if context else None
        if isinstance(asked, Rejected):
            return asked
        if isinstance(earlier, Rejected):
            return earlier
        if isinstance(wanted, Rejected):
            return wanted
        if isinstance(passage, Rejected):
            return passage
        return Content(input=asked, target=wanted, context=passage, history=earlier)

    beside = [name for name in (context, history) if name]
    return Format(
        name=f"{'+'.join(inputs)}/{'+'.join(targets)}",
        used=frozenset({*inputs, *targets, *beside}),
        columns=columns,
        fits=lambda row: all(name in row for name in (*inputs, *targets)),
        take=take,
    )


def _asked_of(
    row: Columned, inputs: Sequence[str], history: str | None
) -> tuple[str | Rejected, tuple[Message, ...] | Rejected]:
    """Return what is asked and the turns before it."""
    earlier = history_of(row.get(history)) if history else ()
    value = row.get(inputs[0]) if len(inputs) == 1 else None
    if not is_turns(value):
        return _input_of(row, inputs), earlier
    turns = turns_of(value)
    if isinstance(turns, Rejected):
        return turns, earlier
    if isinstance(earlier, Rejected) or turns[-1].role != "user":
        return Rejected(NO_USER), earlier
    return turns[-1].content, (*earlier, *turns[:-1])


def names_of(columns: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the column names that a setting holds."""
    if columns is None:
        return ()
    return (columns,) if isinstance(columns, str) else columns


def _input_of(row: Columned, names: Sequence[str]) -> str | Rejected:
    if len(names) == 1:
        return input_of(row.get(names[0]))
    lines: list[str] = []
    for name in names:
        if row.get(name) is None or row.get(name) == "":
            continue
        text = text_of(row.get(name))
        if text is None:
            return Rejected(INPUT_NOT_TEXT)
        lines.append(f"{name}: {text}")
    return "\n".join(lines) if lines else Rejected(EMPTY_INPUT)


def _target_of(row: Columned, names: Sequence[str]) -> JsonValue | Rejected:
    if len(names) == 1:
        return target_of(row.get(names[0]))
    if any(row.get(name) is None or row.get(name) == "" for name in names):
        return Rejected(NO_TARGET)
    return {name: row[name] for name in names}


FORMATS: Mapping[str, Recognise] = {
    "rows of Freehold": recognise_own,
    "OpenAI messages": recognise_messages,
    "ShareGPT conversations": recognise_sharegpt,
    "prompt/completion turns": recognise_prompt_turns,
    "promptfoo tests": recognise_promptfoo,
    "instruction/input/output": recognise_alpaca,
    "two columns": recognise_pair,
}


def recognise(row: Columned, columns: Columns) -> Format | None:
    """Return the format of a row: Freehold's own, the user's columns, then the known shapes in order."""
    own = recognise_own(row)
    if own is not None:
        return own
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
