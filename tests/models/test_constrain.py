# pyright: standard
"""Constrained answers: always one of the labels, always JSON that fits."""

from __future__ import annotations

import json
from collections.abc import Iterator

import jsonschema
import pytest
import torch
from pydantic import JsonValue
from tests.models import tiny

from freehold.core.errors import ModelError
from freehold.core.message import Message, user
from freehold.core.sections import BaseModelSpec
from freehold.models.door import FitsSchema, Generation, OneOf
from freehold.models.local import LocalModel, open_local

LABELS = ("lost card", "lost", "lost card abroad", "top up failed", "7", "refund not showing up")
PROMPTS = tuple((user(f"{text} label?"),) for text in ("card", "I lost", "", "top up 7 " * 9, "x"))
SCHEMAS: dict[str, dict[str, JsonValue]] = {
    "object": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 8},
            "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
            "queue": {"enum": ["billing", "refunds", None]},
        },
        "required": ["name", "urgency", "queue"],
        "additionalProperties": False,
    },
    "array": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    "choice": {"anyOf": [{"const": "yes"}, {"type": "integer", "minimum": 10, "maximum": 12}]},
    "text": {"type": "string", "pattern": "^[a-c]{2,4}$"},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModel]:
    folder = tiny.save_model(tmp_path_factory.mktemp("constrained") / "model", "qwen3")
    opened = open_local(BaseModelSpec(id=str(folder)), cache=folder)
    yield opened
    opened.close()


@torch.inference_mode()
def greedy_label(model: LocalModel, prompt: tuple[Message, ...], labels: tuple[str, ...]) -> str:
    """The label that greedy steps reach when each step may only stay on some label's tokens."""
    chat, module = model.loaded.chat, model.loaded.network.module
    left = {label: [*chat.answer_ids(label), chat.end_id] for label in labels}
    ids = chat.prompt_ids(prompt)
    step = 0
    while len(left) > 1:
        logits = module(torch.tensor([ids])).logits[0, -1]
        token = max({row[step] for row in left.values()}, key=lambda one: float(logits[one]))
        left = {label: row for label, row in left.items() if row[step] == token}
        ids, step = [*ids, token], step + 1
    return next(iter(left))


def test_a_label_constraint_follows_the_greedy_path_through_the_labels(model: LocalModel) -> None:
    got = model.generate(PROMPTS, max_tokens=64, constraint=OneOf(labels=LABELS))
    expected = [greedy_label(model, prompt, LABELS) for prompt in PROMPTS]
    answers = [answer for answer in got if isinstance(answer, Generation)]
    assert [answer.text for answer in answers] == expected
    assert not any(answer.truncated for answer in answers)
    assert [answer.answer_tokens for answer in answers] == [
        len(model.loaded.chat.answer_ids(label)) for label in expected
    ]
    assert len(set(expected)) > 1


def test_a_single_label_is_the_answer(model: LocalModel) -> None:
    (got,) = model.generate(PROMPTS[:1], max_tokens=64, constraint=OneOf(labels=("lost card",)))
    assert isinstance(got, Generation)
    assert got.text == "lost card"


def test_a_label_that_is_longer_than_allowed_is_truncated_and_says_so(model: LocalModel) -> None:
    (got,) = model.generate(PROMPTS[:1], max_tokens=2, constraint=OneOf(labels=("refund refund",)))
    assert isinstance(got, Generation)
    assert got.truncated
    assert got.answer_tokens == 2
    assert "refund refund".startswith(got.text)


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_answer_under_a_schema_is_valid_json_that_fits(model: LocalModel, name: str) -> None:
    schema = SCHEMAS[name]
    results = model.generate(PROMPTS, max_tokens=80, constraint=FitsSchema(json_schema=schema))
    for result in results:
        assert isinstance(result, Generation)
        assert not result.truncated
        value = json.loads(result.text)
        jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)
        assert result.text == json.dumps(value, ensure_ascii=False)


def test_an_answer_that_reaches_the_limit_is_marked_truncated(model: LocalModel) -> None:
    constraint = FitsSchema(json_schema=SCHEMAS["object"])
    for result in model.generate(PROMPTS, max_tokens=4, constraint=constraint):
        assert isinstance(result, Generation)
        assert result.truncated
        assert result.answer_tokens == 4


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "strange"}, "strange"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "minLength"),
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused_with_the_place(
    model: LocalModel, schema: dict[str, JsonValue], named: str
) -> None:
    with pytest.raises(ModelError, match=named) as caught:
        model.generate(PROMPTS, max_tokens=8, constraint=FitsSchema(json_schema=schema))
    assert caught.value.problems[0].code == "MDL-012"
