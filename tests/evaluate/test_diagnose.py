from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freehold.core.measure import Answer, Estimate, Result
from freehold.core.outcome import Cause, Failed, Outcome, Scored
from freehold.core.sections import MetricSpec
from freehold.core.snapshot import Example
from freehold.core.task import LabelOutput
from freehold.evaluate.diagnose import (
    causes,
    column_slices,
    confusions,
    slices,
    with_unstable,
    worst_slice,
)
from freehold.evaluate.scorers import scorer
from freehold.evaluate.statistics import wilson

LABELS = LabelOutput(labels=("a", "b", "c"))
JUDGE = scorer(MetricSpec(primary="exact_match"), LABELS, root=Path())


def result(number: int, target: str, said: str) -> tuple[Example, Result]:
    example = Example(
        id=f"e{number}",
        input="x",
        target=target,
        fields={"language": "fi" if number % 3 == 0 else "en"},
    )
    value = said if said in LABELS.labels else None
    answer = Answer(raw=said, value=value)
    return example, Result(
        example_id=example.id, answer=answer, outcome=JUDGE.score(example, answer)
    )


def outcome(of: Outcome) -> Result:
    return Result(example_id="e", answer=None, outcome=of)


def test_causes_are_counted_most_frequent_first_and_right_answers_have_none() -> None:
    found = causes(
        [
            *[outcome(Scored(score=0.0, cause=Cause.FORMAT))] * 2,
            *[outcome(Scored(score=0.0, cause=Cause.CONFUSED))] * 3,
            *[outcome(Scored(score=1.0))] * 9,
            outcome(Scored(score=0.4)),
            outcome(Failed(cause=Cause.ENGINE, message="gone")),
        ]
    )
    assert found == {"confused": 3, "format": 2, "engine": 1, "other": 1}
    assert list(found) == ["confused", "format", "engine", "other"]


def test_confusions_name_what_was_wanted_and_what_was_said() -> None:
    pairs = [
        result(0, "a", "b"),
        result(1, "a", "b"),
        result(2, "b", "a"),
        result(3, "a", "a"),
        result(4, "c", "nonsense"),
        result(5, "c", "a"),
    ]
    examples, results = [one for one, _ in pairs], [two for _, two in pairs]
    assert confusions(results, examples) == (("a", "b", 2), ("b", "a", 1), ("c", "a", 1))
    assert confusions(results, examples, top=1) == (("a", "b", 2),)


def test_slices_have_their_own_estimates_and_empty_ones_are_left_out() -> None:
    pairs = [result(number, "a", "a" if number % 3 else "b") for number in range(30)]
    examples, results = [one for one, _ in pairs], [two for _, two in pairs]
    members = column_slices(examples, ["language", "absent"])
    assert list(members) == ["language=fi", "language=en"]
    members["nobody"] = frozenset({"stranger"})
    found = slices(
        results, examples, members, scorer=JUDGE, confidence=0.95, rng=np.random.default_rng(0)
    )
    assert list(found) == ["language=fi", "language=en"]
    assert (found["language=fi"].mean, found["language=fi"].n) == (0.0, 10)
    assert (found["language=en"].low, found["language=en"].high) == pytest.approx(wilson(20, 20))


def test_the_weakest_slice_is_one_that_is_large_enough_to_judge() -> None:
    estimates = {
        "few": Estimate(mean=0.1, low=0.0, high=0.5, n=5),
        "weak": Estimate(mean=0.6, low=0.4, high=0.7, n=40),
        "strong": Estimate(mean=0.9, low=0.8, high=1.0, n=40),
        "nothing": Estimate(mean=None, low=0.0, high=1.0, n=0, failed=50),
    }
    assert worst_slice(estimates) == "weak"
    assert worst_slice({"few": estimates["few"]}) is None
    assert worst_slice({"few": estimates["few"]}, few=1) == "few"


def test_an_unstable_answer_leaves_the_confused_ones_and_keeps_its_score() -> None:
    pairs = [result(0, "a", "b"), result(1, "a", "b"), result(2, "b", "b")]
    examples = [example for example, _ in pairs]
    told = with_unstable([one for _, one in pairs], {"e0"})
    assert causes(told) == {"confused": 1, "unstable": 1}
    assert confusions(told, examples) == (("a", "b", 1),)
    scores = [one.outcome.score for one in told if isinstance(one.outcome, Scored)]
    assert scores == [0.0, 0.0, 1.0]
