from __future__ import annotations

import re
import string
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from tests.evaluate import oracles

from freehold.evaluate.similarity import chrf, field_score, rouge_l, same_value, token_f1

WORDS = ["the", "a", "An", "cat", "cats", "sat", "on", "mat.", "42", "don't", "_x_", "...", "The"]
sentences = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)
ascii_text = st.text(alphabet=string.printable, max_size=40)
any_text = st.text(max_size=40)


@given(sentences | ascii_text, sentences | ascii_text)
def test_rouge_l_equals_rouge_score_on_ascii_text(answer: str, target: str) -> None:
    wanted = oracles.rouge_score_l(answer, target)
    assert rouge_l(answer, target) == pytest.approx(wanted, abs=1e-9)


def test_rouge_l_reads_words_of_every_script() -> None:
    assert rouge_l("le café est fermé", "le café est ouvert") == pytest.approx(0.75)
    assert rouge_l("кот сидит", "кот сидит") == 1.0
    assert rouge_l("", "") == 0.0


@settings(deadline=None)
@given(any_text | sentences, any_text | sentences)
def test_chrf_equals_sacrebleu(answer: str, target: str) -> None:
    wanted = oracles.sacrebleu_chrf(answer, target)
    assert chrf(answer, target) == pytest.approx(wanted, abs=1e-9)


def test_a_perfect_chrf_is_exactly_one() -> None:
    assert chrf("exactly the same", "exactly the same") == 1.0
    assert chrf("", "") == 0.0


def squad_f1(prediction: str, truth: str) -> float:
    """The evaluation of SQuAD 2.0, written from its description."""

    def tokens(text: str) -> list[str]:
        kept = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", kept).split()

    said, sought = tokens(prediction), tokens(truth)
    if not said or not sought:
        return float(said == sought)
    common = sum(min(Counter(said)[word], Counter(sought)[word]) for word in set(said))
    if common == 0:
        return 0.0
    precision, recall = common / len(said), common / len(sought)
    return 2 * precision * recall / (precision + recall)


@given(sentences | any_text, sentences | any_text)
def test_token_f1_equals_squads_evaluation(answer: str, target: str) -> None:
    assert token_f1(answer, target) == pytest.approx(squad_f1(answer, target), abs=1e-12)


def test_token_f1_gives_known_values() -> None:
    assert token_f1("The Norman conquest", "Norman conquest of England") == pytest.approx(2 / 3)
    assert token_f1("the", "a") == 1.0
    assert token_f1("the", "England") == 0.0


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (None, False, False),
        ("a ", "a", True),
        ("e\u0301", "\u00e9", True),
        ("a", "A", False),
        ("1", 1, False),
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ({}, [], False),
        (10**30, 1e30, False),
    ],
)
def test_values_are_equal_by_meaning(first: JsonValue, second: JsonValue, same: bool) -> None:
    assert same_value(first, second) is same
    assert same_value(second, first) is same


SNIPS: JsonValue = {"intent": "BookRestaurant", "slots": {"city": "Porto", "party": 4}}


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        (SNIPS, 1.0),
        ({"intent": "PlayMusic", "slots": {"city": "Porto", "party": 4}}, 0.5),
        # One of two pairs right: F1 = 2 * 1 / (2 + 2).
        ({"intent": "BookRestaurant", "slots": {"city": "Porto", "party": 5}}, 0.75),
        # One right of one said, two wanted: F1 = 2 / 3.
        ({"intent": "BookRestaurant", "slots": {"city": "Porto"}}, 0.5 + 1 / 3),
        ({"intent": "BookRestaurant", "slots": {}}, 0.5),
        ({"intent": "BookRestaurant"}, 0.5),
        ({"slots": {"city": "Porto", "party": 4}}, 0.5),
        # A field that nobody asked for costs its share: two of three fields.
        ({"intent": "BookRestaurant", "slots": {"city": "Porto", "party": 4}, "more": 1}, 2 / 3),
        ({}, 0.0),
        ([SNIPS], 0.0),
        ("BookRestaurant", 0.0),
    ],
)
def test_snips_scores_the_intent_and_the_slots_half_each(answer: JsonValue, score: float) -> None:
    assert field_score(answer, SNIPS, weights=None) == pytest.approx(score)


def test_two_empty_objects_inside_are_equal() -> None:
    target: JsonValue = {"intent": "GetWeather", "slots": {}}
    assert field_score({"intent": "GetWeather", "slots": {}}, target, weights=None) == 1.0
    said: JsonValue = {"intent": "GetWeather", "slots": {"city": "Porto"}}
    assert field_score(said, target, weights=None) == 0.5
    assert field_score({"intent": "GetWeather", "slots": []}, target, weights=None) == 0.5


def test_weights_count_the_fields_they_name_where_either_side_has_them() -> None:
    target: JsonValue = {"queue": "billing", "urgency": 3, "note": "x"}
    weights = {"queue": 3.0, "urgency": 1.0, "language": 5.0}
    answer: JsonValue = {"queue": "billing", "urgency": 2, "note": "y"}
    assert field_score(answer, target, weights=weights) == pytest.approx(0.75)
    invented: JsonValue = {"queue": "billing", "urgency": 3, "language": "fi"}
    assert field_score(invented, target, weights=weights) == pytest.approx(4 / 9)


def test_items_of_an_array_count_whole_and_in_any_order() -> None:
    target: JsonValue = {"items": ["pen", "pen", {"name": "ink", "count": 2}]}
    same: JsonValue = {"items": [{"count": 2, "name": "ink"}, "pen", "pen"]}
    assert field_score(same, target, weights=None) == 1.0
    partly: JsonValue = {"items": ["pen", {"count": 3, "name": "ink"}]}
    assert field_score(partly, target, weights=None) == pytest.approx(2 * 1 / (2 + 3))
    single: JsonValue = {"items": "pen"}
    assert field_score(single, {"items": ["pen"]}, weights=None) == 0.0


leaves = st.booleans() | st.integers(-3, 3) | st.sampled_from(["x", "y", ""]) | st.none()
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


@given(values, values)
def test_a_field_score_is_a_share_symmetric_and_one_only_for_equal_content(
    first: JsonValue, second: JsonValue
) -> None:
    score = field_score(first, second, weights=None)
    assert 0.0 <= score <= 1.0
    assert score == pytest.approx(field_score(second, first, weights=None))
    assert field_score(first, first, weights=None) == 1.0
    if same_value(first, second):
        assert score == 1.0
