from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import JsonValue

from freehold.core.message import assistant, system, user
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput
from freehold.data.detect import closed_labels, detect_examples
from freehold.data.json_schema import infer_schema


def examples_of(*targets: JsonValue) -> list[Example]:
    return [Example(id=str(n), input=f"q{n}", target=t) for n, t in enumerate(targets)]


def test_few_short_repeated_answers_are_labels() -> None:
    found = detect_examples(
        examples_of(*["spam", "ham", "eggs", "toast"] * 300), rows=1200, format="text/label"
    )
    assert found.output == LabelOutput(labels=("eggs", "ham", "spam", "toast"))
    assert found.sentence == ("1,200 rows · text/label · 4 labels → classification → exact_match")


def test_the_rule_for_labels_has_the_documented_edges() -> None:
    ten = [f"label {n}" for n in range(10)]
    assert len(closed_labels(ten * 3)) == 10  # a third as many labels as rows
    assert closed_labels([*ten, *ten, *ten[:9]]) == ()  # one row too few
    assert closed_labels(["a" * 61, "b"] * 20) == ()
    assert closed_labels(["two\nlines", "b"] * 20) == ()
    assert closed_labels([f"{n}" for n in range(301)] * 4) == ()
    assert len(closed_labels([f"{n}" for n in range(300)] * 4)) == 300
    assert closed_labels(["yes", *["no"] * 2]) == ("no", "yes")
    singles = [f"once {n}" for n in range(11)]
    assert (
        closed_labels([*["a"] * 89, *singles]) == ()
    )  # 11 of 100 rows have an answer of their own
    assert closed_labels(["a", {"b": 1}]) == ()
    assert closed_labels([]) == ()


def test_short_texts_are_scored_by_tokens_and_long_ones_by_rouge() -> None:
    short = detect_examples(examples_of(*[f"answer {n}" for n in range(30)]), rows=30, format="f")
    long = detect_examples(
        examples_of(*[f"answer {n} " * 20 for n in range(30)]), rows=30, format="f"
    )
    assert (short.kind, short.metric.primary) == ("text", "token_f1")
    assert (long.kind, long.metric.primary) == ("text", "rouge_l")


def test_objects_give_a_schema_with_closed_and_optional_fields() -> None:
    targets: list[JsonValue] = [
        {"intent": "play", "slots": {"artist": f"artist {n}"}} for n in range(20)
    ]
    stop: JsonValue = {"intent": "stop", "slots": {"when": ["now", "soon"]}}
    targets += [stop] * 20
    found = detect_examples(examples_of(*targets), rows=40, format="input/target")
    assert found.metric.primary == "json_fields"
    assert found.output == JsonOutput(
        json_schema={
            "type": "object",
            "properties": {
                "intent": {"type": "string", "enum": ["play", "stop"]},
                "slots": {
                    "type": "object",
                    "properties": {
                        "artist": {"type": "string"},
                        "when": {
                            "type": "array",
                            "items": {"type": "string", "enum": ["now", "soon"]},
                        },
                    },
                    "required": [],
                    "additionalProperties": False,
                },
            },
            "required": ["intent", "slots"],
            "additionalProperties": False,
        }
    )
    assert "JSON with 2 fields → structured output → json_fields" in found.sentence


def test_a_value_seen_once_keeps_a_field_open() -> None:
    assert "enum" in infer_schema(["a"] * 30)
    assert "enum" not in infer_schema([*["a"] * 30, "b"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.sampled_from("abc"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=8,
)


@given(values=st.lists(JSON, min_size=1, max_size=6), repeats=st.sampled_from([1, 12]))
def test_every_value_fits_the_schema_that_is_inferred_from_it(
    values: list[JsonValue], repeats: int
) -> None:
    schema = infer_schema(values * repeats)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for value in values:
        assert validator.is_valid(value)  # pyright: ignore[reportUnknownMemberType]


def test_the_instruction_is_the_system_turn_that_all_chats_share() -> None:
    chats = [
        example.model_copy(
            update={"history": (system("Be short."), user("Hi"), assistant("Hello"))}
        )
        for example in examples_of(*["a", "b"] * 10)
    ]
    assert detect_examples(chats, rows=20, format="f").instruction == "Be short."
    plain = detect_examples(examples_of(*["a", "b"] * 10), rows=20, format="f")
    assert plain.instruction == "Classify the text with exactly one label."
