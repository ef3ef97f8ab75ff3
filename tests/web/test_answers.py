import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.served import JSON, LABELS, TEXT

from freehold.core.errors import ConfigError
from freehold.core.task import JsonOutput
from freehold.web.labelling.answers import NotAllowed, answer_reader, answer_text


def test_a_label_is_one_of_the_list_and_a_near_one_is_suggested() -> None:
    read = answer_reader(LABELS)
    assert read("tech") == "tech"
    with pytest.raises(NotAllowed, match="Did you mean refunds"):
        read("refund")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"queue": "refund", "urgency": 3}', "queue: 'refund' is not one of"),
        ('{"queue": "tech"}', "'urgency' is a required property"),
        ('{"queue": "tech", "urgency": 9}', "urgency: 9 is greater than the maximum"),
        ('{"queue": "tech", "urgency": 1', "No JSON: Expecting ',' delimiter at line 1"),
        ('{"queue": "tech",\n "urgency": NaN}', "No JSON that can be kept"),
        ('{"queue": "tech", "queue": "tech"}', "the same key twice"),
        ("null", "skip the row"),
        ("", "No JSON"),
    ],
)
def test_json_that_is_none_or_does_not_fit_says_where_and_why(text: str, said: str) -> None:
    with pytest.raises(NotAllowed) as caught:
        answer_reader(JSON)(text)
    assert said in str(caught.value)


def test_json_that_fits_is_read_as_it_is_shown() -> None:
    value = {"queue": "tech", "urgency": 2}
    assert answer_reader(JSON)(answer_text({**value})) == value


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_free_text_is_kept_but_for_the_white_space_around_it(text: str) -> None:
    read = answer_reader(TEXT)
    if not text.strip():
        with pytest.raises(NotAllowed):
            read(text)
        return
    assert read(text) == text.replace("\r\n", "\n").strip()


def test_a_schema_that_points_outside_is_refused_before_anything_is_asked() -> None:
    schema = json.loads('{"$ref": "http://elsewhere.example/schema.json"}')
    with pytest.raises(ConfigError, match="CFG-004"):
        answer_reader(JsonOutput(json_schema=schema))
