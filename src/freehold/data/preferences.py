"""Read preferences: files of pairs of answers, or of answers that were judged good or bad.

A row that teaches nothing (both answers the same, no judgement) is left out with its reason, before
anything is trained. Chats may be text or lists of turns, as TRL and OpenAI write them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic import JsonValue

from freehold.core.errors import DataError, Where
from freehold.core.message import Message
from freehold.core.preference import JudgedAnswer, Preference, PreferencePair
from freehold.core.snapshot import Drop
from freehold.data.content import Rejected
from freehold.data.files import DataFile, find_files, open_file
from freehold.data.limits import LIMITS
from freehold.data.read import drops_as_causes
from freehold.data.readers import READERS
from freehold.data.rows import Unreadable
from freehold.data.turns import is_turns, turns_of

PROMPTS = (
    *("prompt", "input", "question", "instruction", "query"),
    *("messages", "conversations", "conversation"),
)
CHOSEN = ("chosen", "preferred_output", "preferred")
REJECTED = ("rejected", "non_preferred_output", "non_preferred")
ANSWERS = ("completion", "answer", "response", "output")
LABELS = ("label", "kto_tag", "is_good")

SAME = "chosen and rejected are the same"
NO_LABEL = "no label that says whether the answer is good"
LABEL_UNCLEAR = "the label is neither true nor false"
NO_PROMPT = "no prompt"
NOT_TURNS = "the turns are no list of {role, content} that ends as it should"
NEITHER = "neither a pair (chosen, rejected) nor a judged answer (completion, label)"

_TRUTHS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "1", "good", "yes"), True),
    **dict.fromkeys(("false", "0", "bad", "no"), False),
}
_SAID_BY_PERSON = "\n\nHuman:"
_SPEAKERS = re.compile(r"\n\n(Human|Assistant):")
_Turns: TypeAlias = tuple[Message, ...]


class _UnusableError(Exception):
    """A row teaches nothing; the message is the reason."""


@dataclass(frozen=True)
class PreferenceReading:
    """The preferences of some files, and every row that was left out with its reason."""

    preferences: tuple[Preference, ...]
    drops: tuple[Drop, ...]


def read_preferences(source: str, *, root: Path) -> PreferenceReading:
    """Read preferences from a file, a folder or a glob, in every type that examples may have.

    A pair has a prompt with a `chosen` and a `rejected` answer (or `preferred_output` and
    `non_preferred_output`); a judged answer has a prompt, a `completion` (or `answer`) and a `label` that is
    true where it is good. The prompt is text or a list of turns that ends with the user's; it may be left
    out where both answers are whole chats that begin alike. A chat that was judged as a whole (`messages` or
    `conversations` with a label) ends with the answer. Tools are written out as in examples.

    Raises:
        DataError: nothing is there, it cannot be read, or no row can be used (DAT-027).
    """
    found: list[Preference] = []
    drops: list[Drop] = []
    for file in find_files(source, root=root):
        _read_file(file, found, drops)
    if not found:
        raise DataError(
            "DAT-027",
            f"none of the {len(drops):,} rows of the preferences `{source}` can be used",
            where=Where(file=source, row=drops[0].row if drops else None),
            cause=drops_as_causes(drops),
            help='write {"prompt": ..., "chosen": ..., "rejected": ...} a row, or'
            ' {"prompt": ..., "completion": ..., "label": true}',
        )
    return PreferenceReading(tuple(found), tuple(drops))


def _read_file(file: DataFile, found: list[Preference], drops: list[Drop]) -> None:
    with open_file(file) as opened:
        for row in READERS[opened.suffix](opened.stream, opened.name, LIMITS):
            if isinstance(row, Unreadable):
                drops.append(Drop(source=opened.name, row=row.number, reason=row.reason))
                continue
            columns = {name.strip().casefold(): value for name, value in row.columns.items()}
            try:
                found.append(_preference(columns, source=opened.name, row=row.number))
            except _UnusableError as reason:
                drops.append(Drop(source=opened.name, row=row.number, reason=str(reason)))


def _preference(columns: Mapping[str, JsonValue], *, source: str, row: int) -> Preference:
    chosen, rejected = _first(columns, CHOSEN), _first(columns, REJECTED)
    if chosen is not None and rejected is not None:
        return _pair(columns, (chosen, rejected), source=source, row=row)
    answer, asked = _first(columns, ANSWERS), _asked(columns)
    if answer is None and isinstance(asked, list) and _first(columns, LABELS) is not None:
        # a chat that was judged as a whole: its last turn is the answer
        turns = _ending_with(_turns(asked, columns), "assistant")
        prompt, said = _ending_with(turns[:-1], "user"), turns[-1].content
    elif answer is None:
        raise _UnusableError(NEITHER)
    else:
        prompt, said = _prompt(asked, columns), _answer(answer)
    return JudgedAnswer(
        prompt=prompt,
        answer=said,
        is_good=_truth(_first(columns, LABELS)),
        source=source,
        row=row,
    )


def _pair(
    columns: Mapping[str, JsonValue], answers: tuple[JsonValue, JsonValue], *, source: str, row: int
) -> PreferencePair:
    given = _asked(columns)
    if given is None:
        prompt, chosen, rejected = _without_prompt(*answers)
    else:
        prompt = _prompt(given, columns)
        chosen, rejected = (_answer(answer) for answer in answers)
    if chosen.strip() == rejected.strip():
        raise _UnusableError(SAME)
    return PreferencePair(prompt=prompt, chosen=chosen, rejected=rejected, source=source, row=row)


def _without_prompt(chosen: JsonValue, rejected: JsonValue) -> tuple[_Turns, str, str]:
    """Return the prompt that two whole chats share, and their last turns."""
    first, second = (_transcript(answer) for answer in (chosen, rejected))
    if first[:-1] != second[:-1]:
        raise _UnusableError(NO_PROMPT)
    prompt = _ending_with(first[:-1], "user")
    good, bad = (_ending_with(turns, "assistant")[-1].content for turns in (first, second))
    return prompt, good, bad


def _transcript(value: JsonValue) -> _Turns:
    """Return a chat as turns: a list, or text in which `Human:` and `Assistant:` take turns."""
    if isinstance(value, list):
        return _turns(value, {})
    if not isinstance(value, str) or not value.startswith(_SAID_BY_PERSON):
        raise _UnusableError(NO_PROMPT)
    parts = _SPEAKERS.split(value)[1:]
    roles = ("user" if speaker == "Human" else "assistant" for speaker in parts[::2])
    turns = zip(roles, parts[1::2], strict=True)
    return _turns([{"role": role, "content": text.strip()} for role, text in turns], {})


def _asked(columns: Mapping[str, JsonValue]) -> JsonValue:
    """Return the prompt of a row: Alpaca's instruction with its input, else the first known column."""
    instruction, detail = columns.get("instruction"), columns.get("input")
    if isinstance(instruction, str) and isinstance(detail, str) and detail.strip():
        return f"{instruction}\n\n{detail}"
    return instruction or _first(columns, PROMPTS)


def _prompt(value: JsonValue, columns: Mapping[str, JsonValue]) -> _Turns:
    """Return a prompt as turns: text is one turn of the user's."""
    tools: Mapping[str, JsonValue] = columns
    if isinstance(value, dict):
        value, tools = value.get("messages"), value
    if isinstance(value, str) and value.strip():
        value = [{"role": "user", "content": value}]
    if value is None or isinstance(value, str):
        raise _UnusableError(NO_PROMPT)
    return _ending_with(_turns(value, {"system": columns.get("system"), **tools}), "user")


def _answer(value: JsonValue) -> str:
    """Return an answer as text: of turns the last, of any other value its compact JSON."""
    if isinstance(value, str):
        return value
    if is_turns([value]):
        value = [value]
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return _ending_with(_turns(value, {}), "assistant")[-1].content
    return json.dumps(value, ensure_ascii=False)


def _turns(value: JsonValue, columns: Mapping[str, JsonValue]) -> _Turns:
    """Return turns as text, with the system turn and the tools that stand in columns beside them."""
    system = columns.get("system")
    if isinstance(value, list) and value and isinstance(system, str) and system.strip():
        value = [{"role": "system", "content": system}, *value]
    turns = turns_of(value, tools=columns.get("tools"))
    if isinstance(turns, Rejected) or not turns:
        raise _UnusableError(NOT_TURNS)
    return turns


def _ending_with(turns: _Turns, role: str) -> _Turns:
    if not turns or turns[-1].role != role:
        raise _UnusableError(NOT_TURNS)
    return turns


def _truth(value: JsonValue) -> bool:
    if value is None or value == "":
        raise _UnusableError(NO_LABEL)
    found = _TRUTHS.get(str(value).strip().casefold())
    if found is None:
        raise _UnusableError(LABEL_UNCLEAR)
    return found


def _first(columns: Mapping[str, JsonValue], names: Sequence[str]) -> JsonValue:
    """Return the value of the first of these columns that is there and not empty, None where none is."""
    return next((columns[name] for name in names if columns.get(name) is not None), None)
