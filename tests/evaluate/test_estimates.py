from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluate import oracles

from freehold.core.measure import Answer, Result, Run
from freehold.core.outcome import Cause, Failed
from freehold.core.sections import MetricName, MetricSpec
from freehold.core.snapshot import Example
from freehold.core.task import LabelOutput, TextOutput
from freehold.evaluate.estimates import Claim, compare, evidence, macro_f1
from freehold.evaluate.scorers import Scorer, scorer
from freehold.evaluate.statistics import (
    betting_interval,
    binomial_p_value,
    paired_difference,
    wilson,
)

LABELS = LabelOutput(labels=("a", "b", "c"))
GONE = Failed(cause=Cause.ENGINE, message="gone")
CLAIM = Claim(bar=0.8)


def made(name: MetricName) -> Scorer:
    return scorer(MetricSpec(primary=name), LABELS, root=Path())


def split(targets: Sequence[str]) -> list[Example]:
    return [Example(id=f"e{i}", input="x", target=target) for i, target in enumerate(targets)]


def results(
    examples: Sequence[Example], said: Sequence[str | None], judge: Scorer
) -> tuple[Result, ...]:
    """Results of answers; None is a failure, and a text that is no label an unreadable answer."""
    found: list[Result] = []
    for example, text in zip(examples, said, strict=True):
        if text is None:
            found.append(Result(example_id=example.id, answer=None, outcome=GONE))
            continue
        answer = Answer(raw=text, value=text if text in LABELS.labels else None)
        outcome = judge.score(example, answer)
        found.append(Result(example_id=example.id, answer=answer, outcome=outcome))
    return tuple(found)


def run(found: tuple[Result, ...]) -> Run:
    return Run(candidate_digest="c", split="test", split_digest="s", results=found)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


labels = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.tuples(labels, st.sampled_from(["a", "b", "c", "nonsense"])), min_size=1))
def test_macro_f1_equals_sklearn_over_the_labels_that_were_wanted(
    pairs: list[tuple[str, str]],
) -> None:
    truth, said = [one for one, _ in pairs], [other for _, other in pairs]
    wanted = oracles.sklearn_macro_f1(truth, said)
    code = {"a": 0, "b": 1, "c": 2, "nonsense": -1}
    found = macro_f1(
        np.array([code[one] for one in truth], dtype=np.intp),
        np.array([code[one] for one in said], dtype=np.intp),
    )
    assert found == pytest.approx(wanted, abs=1e-12)


def test_an_answer_outside_the_wanted_labels_makes_no_label_of_its_own() -> None:
    examples = split(["a", "a", "b", "b"])
    judge = made("macro_f1")
    found = evidence(
        results(examples, ["a", "c", "b", "b"], judge),
        examples,
        scorer=judge,
        claim=CLAIM,
        rng=rng(),
    )
    assert found.quality.mean == pytest.approx((2 / 3 + 1) / 2)
    assert found.quality.method == "bootstrap"


def test_binary_evidence_is_wilson_and_the_exact_test() -> None:
    examples = split(["a"] * 100)
    judge = made("label_accuracy")
    found = evidence(
        results(examples, ["a"] * 90 + ["b"] * 10, judge),
        examples,
        scorer=judge,
        claim=CLAIM,
        rng=rng(),
    )
    assert (found.quality.low, found.quality.high) == pytest.approx(wilson(90, 100))
    assert found.p_value == pytest.approx(binomial_p_value(90, 100, bar=0.8))
    assert found.judged is found.quality
    assert not found.is_worst_case


def test_bounded_evidence_is_the_betting_interval_in_the_order_of_the_results() -> None:
    judge = scorer(MetricSpec(primary="token_f1"), TextOutput(), root=Path())
    examples = split(["one two three"] * 60)
    said = ["one two three", "one two", "four"] * 20
    found = evidence(
        tuple(
            Result(
                example_id=example.id,
                answer=(answer := Answer(raw=text, value=text)),
                outcome=judge.score(example, answer),
            )
            for example, text in zip(examples, said, strict=True)
        ),
        examples,
        scorer=judge,
        claim=CLAIM,
        rng=rng(),
    )
    assert found.quality.method == "betting"
    assert (found.quality.low, found.quality.high) == betting_interval([1.0, 0.8, 0.0] * 20)


@pytest.mark.parametrize("name", ["label_accuracy", "macro_f1"])
def test_one_failure_in_a_hundred_is_shown_and_two_are_judged_as_wrong(name: MetricName) -> None:
    examples = split(["a", "b"] * 50)
    judge = made(name)
    said: list[str | None] = ["a", "b"] * 50
    one = evidence(
        results(examples, [None, *said[1:]], judge), examples, scorer=judge, claim=CLAIM, rng=rng()
    )
    assert (one.quality.failed, one.quality.mean, one.is_worst_case) == (1, 1.0, False)
    two = evidence(
        results(examples, [None, None, *said[2:]], judge),
        examples,
        scorer=judge,
        claim=CLAIM,
        rng=rng(),
    )
    assert (two.quality.failed, two.quality.n, two.quality.mean) == (2, 98, 1.0)
    assert two.is_worst_case
    assert two.judged.n == 100
    assert two.judged.mean is not None
    assert two.judged.mean < 1.0
    assert two.quality.worst == two.judged.mean
    assert two.quality.best == 1.0
    assert two.p_value >= one.p_value


def test_a_run_that_failed_throughout_is_judged_as_wrong_throughout() -> None:
    examples = split(["a"] * 30)
    judge = made("macro_f1")
    found = evidence(
        results(examples, [None] * 30, judge), examples, scorer=judge, claim=CLAIM, rng=rng()
    )
    assert (found.quality.mean, found.quality.low, found.quality.high) == (None, 0.0, 1.0)
    assert found.judged.mean == 0.0
    assert found.p_value == 1.0


def test_no_results_claim_nothing() -> None:
    for name in ("label_accuracy", "macro_f1"):
        judge = made(name)
        found = evidence((), split(["a"]), scorer=judge, claim=CLAIM, rng=rng())
        assert found.quality.mean is None
        assert found.p_value == 1.0


def test_macro_f1_resampling_is_seeded_and_its_interval_covers_the_mean() -> None:
    examples = split(["a", "b", "c"] * 40)
    judge = made("macro_f1")
    draw = np.random.default_rng(9)
    said = [str(example.target) if draw.random() < 0.8 else "a" for example in examples]
    found = results(examples, said, judge)
    first = evidence(found, examples, scorer=judge, claim=CLAIM, rng=rng())
    second = evidence(found, examples, scorer=judge, claim=CLAIM, rng=rng())
    assert first == second
    assert first.quality.mean is not None
    assert first.quality.low < first.quality.mean < first.quality.high
    assert 0.05 < first.quality.high - first.quality.low < 0.25


def test_comparing_runs_of_a_mean_metric_is_the_paired_difference() -> None:
    examples = split(["a"] * 50)
    judge = made("label_accuracy")
    first = run(results(examples, ["a"] * 40 + ["b"] * 10, judge))
    second = run(results(examples, ["b"] * 20 + ["a"] * 29 + [None], judge))
    found = compare(first, second, examples, scorer=judge, confidence=0.95, rng=rng())
    wanted = paired_difference(first.scores, second.scores, binary=True, confidence=0.95, rng=rng())
    assert found == wanted
    assert (found.n, found.mean) == (49, pytest.approx((20 - 9) / 49))


def test_comparing_macro_f1_finds_a_clear_difference_and_none_between_equals() -> None:
    examples = split(["a", "b", "c"] * 40)
    judge = made("macro_f1")
    good = run(results(examples, ["a", "b", "c"] * 40, judge))
    bad = run(results(examples, ["a", "b", "a"] * 40, judge))
    found = compare(good, bad, examples, scorer=judge, confidence=0.95, rng=rng())
    assert found.low > 0.2
    assert found.p_value < 0.01
    same = compare(bad, bad, examples, scorer=judge, confidence=0.95, rng=rng())
    assert (same.mean, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)
    none = compare(good, run(()), examples, scorer=judge, confidence=0.95, rng=rng())
    assert (none.n, none.low, none.high, none.p_value) == (0, -1.0, 1.0, 1.0)


@settings(max_examples=2, deadline=None)
@given(st.lists(st.tuples(labels, labels), min_size=3, max_size=30))
def test_the_macro_f1_difference_changes_sign_with_the_order_of_the_runs(
    pairs: list[tuple[str, str]],
) -> None:
    examples = split(["a", "b", "c"] * 10)[: len(pairs)]
    judge = made("macro_f1")
    first = run(results(examples, [one for one, _ in pairs], judge))
    second = run(results(examples, [other for _, other in pairs], judge))
    there = compare(first, second, examples, scorer=judge, confidence=0.9, rng=rng())
    back = compare(second, first, examples, scorer=judge, confidence=0.9, rng=rng())
    assert there.mean == pytest.approx(-back.mean)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.p_value == pytest.approx(back.p_value)
