"""Records are named by their content, and refuse surprises."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError

from freehold.core.measure import Estimate, Result, Run
from freehold.core.outcome import Cause, Failed, Scored
from freehold.core.record import canonical_json, digest_json
from freehold.core.sections import LadderSection, OutputSection
from freehold.core.snapshot import (
    AuditSplit,
    DevSplit,
    Example,
    Snapshot,
    TestSplit,
    TrainSplit,
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_canonical_json_reads_back_and_is_one_text(value: JsonValue) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_change_a_name(value: dict[str, int]) -> None:
    turned = dict(reversed(value.items()))
    assert digest_json("k", dict(value)) == digest_json("k", dict(turned))


def test_equal_values_of_two_kinds_have_two_names() -> None:
    assert digest_json("a", [1]) != digest_json("b", [1])


def test_nan_has_no_canonical_text() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def run_of(outcome: Scored | Failed) -> Run:
    result = Result(example_id="x", answer=None, outcome=outcome)
    return Run(candidate_digest="c", split="test", split_digest="s", results=(result,))


def test_a_record_reads_back_equal_and_keeps_its_name() -> None:
    run = run_of(Failed(cause=Cause.TOO_LONG, message="900 tokens, 512 fit"))
    again = Run.from_json(run.model_dump_json())
    assert again == run
    assert again.digest == run.digest
    assert run.scores == {}
    assert len(run.failures) == 1


def test_a_changed_record_has_another_name() -> None:
    assert run_of(Scored(score=1.0)).digest != run_of(Scored(score=0.0)).digest


def test_records_refuse_unknown_fields_loose_types_and_infinity() -> None:
    for text in ('{"score": 1.0, "x": 1}', '{"score": "1"}', '{"score": 2.0}', '{"score": NaN}'):
        with pytest.raises(ValidationError):
            Scored.from_json(text)


def test_records_cannot_be_changed() -> None:
    outcome = Scored(score=1.0)
    name = "score"
    with pytest.raises(ValidationError):
        setattr(outcome, name, 0.5)


def test_fields_with_reserved_names_read_back_under_their_written_names() -> None:
    ladder = LadderSection()
    assert '"try"' in ladder.model_dump_json()
    assert LadderSection.from_json(ladder.model_dump_json()) == ladder
    assert OutputSection.from_json('{"schema": {"type": "object"}}').json_schema is not None


def test_an_estimate_without_scores_has_no_mean() -> None:
    with pytest.raises(ValidationError, match="mean exists exactly"):
        Estimate(mean=0.5, low=0, high=1, n=0)


def example(number: int, *, text: str | None = None) -> Example:
    return Example(id=f"e{number}", input=text or f"input {number}", target="yes")


def snapshot(train: tuple[Example, ...], test: tuple[Example, ...]) -> Snapshot:
    return Snapshot(
        sources=(),
        train=TrainSplit(examples=train),
        dev=DevSplit(examples=()),
        test=TestSplit(examples=test),
        audit=AuditSplit(examples=()),
    )


def test_a_snapshot_refuses_the_same_content_in_train_and_test() -> None:
    with pytest.raises(ValidationError, match="of train is also in test"):
        snapshot((example(1),), (example(2, text="input 1"),))


def test_a_snapshot_refuses_two_examples_with_one_id() -> None:
    with pytest.raises(ValidationError, match="share an id"):
        snapshot((example(1),), (example(1, text="other"),))


def test_held_out_data_read_back_as_training_data_is_refused() -> None:
    text = TestSplit(examples=(example(1),)).model_dump_json()
    with pytest.raises(ValidationError):
        TrainSplit.from_json(text)


def test_the_id_and_the_place_of_an_example_do_not_change_its_content() -> None:
    first = Example(id="a", input="x", target="y", row=3, source="f")
    second = Example(id="b", input="x", target="y", row=9, source="g")
    assert first.content_digest == second.content_digest
    assert first.digest != second.digest
