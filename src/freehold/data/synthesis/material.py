"""What a teacher is given to write from, what it is asked for, and what was read from its answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue

from freehold.core.message import Message
from freehold.core.record import canonical_json, digest_json
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, Output, TextOutput
from freehold.data.documents import Passage
from freehold.data.synthesis.admission import is_synthetic

COPIED_SHARE = 0.9
LEAST_DIFFERENT = 5
_INSIDE_A_LIST = "[]"


@dataclass(frozen=True)
class Material:
    """The task and what may be written from: real training rows, passages, and confused pairs.

    `pairs` are (wanted, said): answers that a climb confused. Nothing held out is in here.
    """

    instruction: str
    output: Output
    seeds: tuple[Example, ...]
    passages: tuple[Passage, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()

    @cached_property
    def by_answer(self) -> dict[str, tuple[Example, ...]]:
        """The seeds of each answer, the answers in alphabetical order."""
        groups: dict[str, list[Example]] = {}
        for seed in self.seeds:
            groups.setdefault(answer_text(seed.target), []).append(seed)
        return {answer: tuple(groups[answer]) for answer in sorted(groups)}

    @cached_property
    def copied(self) -> frozenset[str]:
        """The fields of the answers whose values stand in the input or context of nearly every seed.

        The answer as a whole is the field with the empty name. Labels are not copied, and neither is a
        field with few different values: its word may stand in every input by chance.
        """
        if isinstance(self.output, LabelOutput):
            return frozenset()
        seen: Counter[str] = Counter()
        values: dict[str, set[str]] = {}
        found: Counter[str] = Counter()
        for seed in self.seeds:
            text = given_text(seed.input, seed.context)
            for path, value in leaves(seed.target):
                seen[path] += 1
                values.setdefault(path, set()).add(value)
                found[path] += is_in(value, text)
        return frozenset(
            path
            for path, count in seen.items()
            if len(values[path]) >= LEAST_DIFFERENT and found[path] >= COPIED_SHARE * count
        )


@dataclass(frozen=True)
class Order:
    """One thing that a teacher is asked to write.

    `seeds` are the rows that stand in the prompt. `target` is the answer that the new row must have;
    None where the teacher writes it too. `passage` is what question and answer must be supported by,
    `context` what the new row carries, and `kept` the values that must stay in its input.
    """

    method: str
    messages: tuple[Message, ...]
    seeds: tuple[Example, ...]
    target: JsonValue = None
    passage: Passage | None = None
    context: str | None = None
    kept: tuple[str, ...] = ()

    @property
    def prompt_digest(self) -> str:
        """The name of what is asked, byte for byte."""
        return prompt_digest(self.messages)


@dataclass(frozen=True)
class Draft:
    """A row as it was read from an answer; `support` is what the teacher copied from the passage."""

    input: str
    target: JsonValue
    support: str | None = None


def prompt_digest(messages: Sequence[Message]) -> str:
    """Return the name of a prompt."""
    return digest_json("prompt", [turn.to_json() for turn in messages])


def usable_seeds(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Return the rows that a teacher may learn from: written by people, and with no earlier turns.

    Rows that a model wrote are no seeds, as faults would grow from one generation to the next.
    """
    return tuple(
        example
        for example in examples
        if not is_synthetic(example) and all(turn.role == "system" for turn in example.history)
    )


def answer_text(target: JsonValue) -> str:
    """Return an answer as text: text as it is, other values as JSON."""
    return target if isinstance(target, str) else json.dumps(target, ensure_ascii=False)


def given_text(input: str, context: str | None) -> str:
    """Return everything that an answer may be copied from."""
    return f"{input}\n{context}" if context else input


def leaves(value: JsonValue, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts and numbers inside an answer with their path; true, false and null are none."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path + _INSIDE_A_LIST)
    elif isinstance(value, str) and value.strip():
        yield path, value.strip()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, canonical_json(value).decode()


def is_in(value: str, text: str) -> bool:
    """Tell whether a value stands in a text, whatever the case."""
    return value.casefold() in text.casefold()


def has_free_answers(output: Output) -> bool:
    """Tell whether answers are free text."""
    return isinstance(output, TextOutput)


def read_answer(text: str, output: Output) -> JsonValue:
    """Return the answer that a teacher wrote beside an input; None where none can be read."""
    if isinstance(output, JsonOutput):
        return _json_in(text)
    stripped = text.strip().strip("\"“”'`").strip()
    if not isinstance(output, LabelOutput):
        return stripped or None
    folded = stripped.removesuffix(".").casefold()
    return next((label for label in output.labels if label.casefold() == folded), None)


def _json_in(text: str) -> JsonValue:
    start = min((place for mark in "{[" if (place := text.find(mark)) >= 0), default=-1)
    if start < 0:
        return None
    try:
        value: JsonValue = json.JSONDecoder(parse_constant=_refuse).raw_decode(text, start)[0]
        canonical_json(value)
    except (ValueError, RecursionError):
        return None
    return value


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
