"""From what a labeller typed or chose to an answer that the task allows, or a sentence that says why not."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from typing import TypeAlias

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from pydantic import JsonValue
from referencing.jsonschema import EMPTY_REGISTRY

from freehold.core.task import JsonOutput, LabelOutput, Output
from freehold.data.rows import parse_json
from freehold.evaluate.schema import schema_check

LONGEST_MESSAGE = 300
Reader: TypeAlias = Callable[[str], JsonValue]


class NotAllowed(Exception):
    """The text is no answer of this task; the message is for the person who typed it."""


def answer_reader(output: Output) -> Reader:
    """Return the function that reads an answer of this task.

    It raises `NotAllowed` where the text is no such answer.

    Raises:
        ConfigError: the schema of `output` cannot be used.
    """
    if isinstance(output, LabelOutput):
        return _label_reader(output.labels)
    if isinstance(output, JsonOutput):
        return _json_reader(output)
    return _read_text


def answer_text(answer: JsonValue) -> str:
    """Return an answer as it is shown and edited: text as it is, other values as indented JSON."""
    if isinstance(answer, str):
        return answer
    return json.dumps(answer, ensure_ascii=False, indent=2)


def _label_reader(labels: tuple[str, ...]) -> Reader:
    def read(text: str) -> JsonValue:
        if text in labels:
            return text
        near = difflib.get_close_matches(text, labels, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise NotAllowed(f"{text!r} is none of the {len(labels)} labels of this task.{meant}")

    return read


def _json_reader(output: JsonOutput) -> Reader:
    schema_check(output)
    validator = _offline_validator(output)

    def read(text: str) -> JsonValue:
        try:
            value = parse_json(text)
        except ValueError as error:
            raise NotAllowed(_syntax(error)) from error
        if value is None:
            raise NotAllowed("null says nothing: skip the row instead.")
        problem = next(validator.iter_errors(value), None)
        if problem is not None:
            raise NotAllowed(_misfit(problem))
        return value

    return read


def _offline_validator(output: JsonOutput) -> Validator:
    return Draft202012Validator(output.json_schema, registry=EMPTY_REGISTRY)


def _syntax(error: ValueError) -> str:
    cause = error.__cause__
    if isinstance(cause, json.JSONDecodeError):
        return f"No JSON: {cause.msg} at line {cause.lineno}, column {cause.colno}."
    return f"No JSON that can be kept: {error}."


def _misfit(problem: ValidationError) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem.path)
    where = f"{place.removeprefix('.')}: " if place else ""
    message = problem.message
    if len(message) > LONGEST_MESSAGE:
        message = message[:LONGEST_MESSAGE] + "…"
    return f"It does not fit the schema. {where}{message}"


def _read_text(text: str) -> JsonValue:
    answer = text.replace("\r\n", "\n").strip()
    if not answer:
        raise NotAllowed("An empty answer says nothing: skip the row instead.")
    return answer
