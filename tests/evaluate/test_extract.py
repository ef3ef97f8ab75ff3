from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from freehold.core.measure import Answer
from freehold.core.task import JsonOutput, LabelOutput, TextOutput
from freehold.evaluate.extract import extract
from freehold.evaluate.similarity import same_value

QUEUES = LabelOutput(labels=("billing", "Refunds", "tech support", "no."))
ANY_JSON = JsonOutput(json_schema={"type": "object"})


@pytest.mark.parametrize(
    ("raw", "label"),
    [
        ("billing", "billing"),
        ("  billing\n", "billing"),
        ("billing.", "billing"),
        ('"billing"', "billing"),
        ('"Billing."', "billing"),
        ("“refunds”.", "Refunds"),
        ("TECH SUPPORT", "tech support"),
        ("no.", "no."),
        ("No", None),
        ("The ticket should go to **billing**", None),
        ("billing refunds", None),
        ("bill", None),
        ("", None),
        ("...", None),
        ('"', None),
    ],
)
def test_a_label_is_read_through_quotes_case_and_a_full_stop_and_nothing_more(
    raw: str, label: str | None
) -> None:
    assert extract(raw, QUEUES) == label


def test_labels_that_differ_by_case_alone_are_never_guessed_between() -> None:
    output = LabelOutput(labels=("US", "us"))
    assert extract("US", output) == "US"
    assert extract("us.", output) == "us"
    assert extract("Us", output) is None


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_every_label_that_is_repeated_word_for_word_is_found(labels: list[str]) -> None:
    trimmed = tuple(dict.fromkeys(label.strip() for label in labels if label.strip()))
    if trimmed:
        output = LabelOutput(labels=trimmed)
        for label in trimmed:
            assert extract(f" {label} ", output) == label


json_values = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_is_read_from_the_whole_text_or_from_its_one_fenced_block(value: JsonValue) -> None:
    text = json.dumps(value)
    assert same_value(extract(text, ANY_JSON), value)
    assert same_value(extract(f"Here it is:\n```json\n{text}\n```\nDone.", ANY_JSON), value)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{'a': 1}",
        '{"a": 1} and more',
        '{"a": NaN}',
        "-Infinity",
        '{"a": 1e999}',
        '{"a": 1, "a": 2}',
        "[" * 100_000,
        "9" * 5_000,
        "[" * 300 + "]" * 300,
        '{"a": "\\ud800"}',
        '```\n{"a": 1}\n```\n```\n{"a": 2}\n```',
        "```json\n{]\n```",
    ],
)
def test_what_is_no_strict_json_is_nothing(raw: str) -> None:
    assert extract(raw, ANY_JSON) is None


@given(st.text(alphabet='[]{}",:\\ud8019.eE-+aNtrufls \n`', max_size=60))
def test_whatever_is_read_can_be_kept_and_read_back(raw: str) -> None:
    answer = Answer(raw=raw, value=extract(raw, ANY_JSON))
    assert Answer.from_json(answer.model_dump_json()) == answer


def test_many_levels_are_read() -> None:
    assert extract("[" * 60 + "]" * 60, ANY_JSON) is not None


def test_text_is_trimmed_and_empty_text_is_nothing() -> None:
    assert extract("  two words \n", TextOutput()) == "two words"
    assert extract(" \n", TextOutput()) is None
