from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.sections import FullSpec, LoraSpec, PreferSpec
from freehold.train.effort import (
    evaluation_steps,
    learning_rate_for,
    peak_rate_for,
    recipe_for,
)
from freehold.train.records import Recipe
from freehold.train.schedule import learning_rate_at


def recipe(spec: LoraSpec, *, parameters: int = 4_000_000, steps_per_epoch: int = 50) -> Recipe:
    return recipe_for(
        spec,
        parameters=parameters,
        steps_per_epoch=steps_per_epoch,
        max_length=100,
        precision="float32",
    )


def test_what_the_spec_names_is_used_as_it_stands() -> None:
    named = recipe(LoraSpec(learning_rate=7e-4, epochs=2.5, batch_tokens=640))
    assert (named.learning_rate, named.epochs, named.batch_tokens) == (7e-4, 2.5, 640)
    assert (named.steps, named.micro_tokens) == (125, 640)


def test_the_dial_turns_effort_and_nothing_else() -> None:
    quick, normal, thorough = (
        recipe(LoraSpec(effort=effort), steps_per_epoch=500)
        for effort in ("quick", "normal", "thorough")
    )
    assert quick.steps < normal.steps < thorough.steps
    assert len(quick.evaluate_at) < len(normal.evaluate_at) < len(thorough.evaluate_at)
    assert quick.learning_rate == normal.learning_rate == thorough.learning_rate


def test_small_models_take_smaller_steps() -> None:
    small, large = recipe(LoraSpec()), recipe(LoraSpec(), parameters=4_000_000_000)
    assert (small.batch_tokens, large.batch_tokens) == (1024, 4096)
    assert large.micro_tokens == 2048


def test_a_small_training_set_is_read_more_often() -> None:
    assert recipe(LoraSpec(), steps_per_epoch=1000).epochs == 3
    assert recipe(LoraSpec(), steps_per_epoch=30).epochs == 10
    assert recipe(LoraSpec(), steps_per_epoch=1).epochs == 20


@given(st.integers(10**5, 10**11), st.integers(10**5, 10**11))
def test_a_larger_model_never_gets_a_larger_learning_rate(one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert learning_rate_for(small) >= learning_rate_for(large)


def test_learning_rates_are_the_documented_ones() -> None:
    assert learning_rate_for(8_000_000_000) == 2e-4
    assert learning_rate_for(1_000_000_000) == 2e-4
    assert 4e-3 <= learning_rate_for(5_000_000) <= 5e-3


@given(st.integers(1, 5000), st.integers(1, 30))
def test_the_dev_metric_is_measured_at_the_start_the_end_and_at_most_so_often_between(
    steps: int, evaluations: int
) -> None:
    at = evaluation_steps(steps, evaluations)
    assert at[0] == 0
    assert at[-1] == steps
    assert list(at) == sorted(set(at))
    assert len(at) <= evaluations + 1


@given(st.integers(1, 400), st.integers(0, 50), st.sampled_from(["cosine", "linear"]))
def test_the_learning_rate_rises_to_its_peak_and_then_only_falls(
    steps: int, warmup: int, shape: str
) -> None:
    warmup = min(warmup, steps - 1)
    rates = [
        learning_rate_at(
            step,
            peak=1.0,
            steps=steps,
            warmup_steps=warmup,
            shape="cosine" if shape == "cosine" else "linear",
        )
        for step in range(steps)
    ]
    assert max(rates) == rates[warmup] == pytest.approx(1.0)
    assert rates[: warmup + 1] == sorted(rates[: warmup + 1])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert all(rate > 0 and math.isfinite(rate) for rate in rates)


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_the_run_has_no_learning_rate(step: int) -> None:
    with pytest.raises(ValueError, match="outside a run of 10 steps"):
        learning_rate_at(step, peak=1.0, steps=10, warmup_steps=1, shape="cosine")


def test_the_rate_of_every_weight_and_of_each_preference_method_is_the_documented_one() -> None:
    billion = 1_000_000_000
    assert peak_rate_for(FullSpec(), billion) == pytest.approx(2e-5)
    assert peak_rate_for(LoraSpec(kind="full"), billion) == pytest.approx(2e-5)
    found = [peak_rate_for(PreferSpec(method=m), billion) for m in ("dpo", "kto", "simpo", "orpo")]
    assert found == pytest.approx([1e-5, 1e-5, 5e-6, 5e-5])
    assert peak_rate_for(PreferSpec(learning_rate=3e-4), billion) == 3e-4
