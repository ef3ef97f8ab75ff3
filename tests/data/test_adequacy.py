"""Power laws with a known answer, the coverage of the interval, and McNemar's power against a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.snapshot import (
    AuditSplit,
    DevSplit,
    Example,
    Snapshot,
    Source,
    TestSplit,
    TrainSplit,
)
from freehold.data.adequacy import (
    Measured,
    PowerLaw,
    curve_points,
    expected_gain,
    fit_power_law,
    mcnemar_power,
    rows_for_difference,
    slice_counts,
    smallest_difference,
)
from freehold.evaluate.paired import mcnemar_exact


@settings(max_examples=40)
@given(st.floats(0, 0.3), st.floats(0.1, 3), st.floats(0.1, 1.5))
def test_a_power_law_without_noise_is_found_again(
    floor: float, scale: float, exponent: float
) -> None:
    law = PowerLaw(floor, scale, exponent)
    sizes = [100, 141, 200, 283, 400, 566, 800]
    errors = [floor + scale * n**-exponent for n in sizes]
    found = fit_power_law(sizes, errors, rows=1000)
    for size in (100, 800, 1200):
        expected = floor + scale * size**-exponent
        assert found.floor + found.scale * size**-found.exponent == pytest.approx(
            expected, abs=0.004
        )
    assert law.error(1) <= 1


def curve(rng: np.random.Generator, law: PowerLaw, *, largest: int, rows: int) -> Measured:
    sizes = tuple(int(largest / 2 ** (step / 2)) for step in range(6, -1, -1))
    draws = np.repeat(np.arange(4), rows // 4)
    difficulty = rng.random(len(draws))
    right = np.empty((len(draws), len(sizes)), np.bool_)
    for step, size in enumerate(sizes):
        fresh = np.where(rng.random(len(draws)) < 0.3, rng.random(len(draws)), difficulty)
        right[:, step] = fresh > law.error(size)
    return Measured(sizes, right, draws)


@pytest.mark.parametrize(
    "law", [PowerLaw(0.05, 3, 0.5), PowerLaw(0, 2, 0.3), PowerLaw(0.15, 10, 1)]
)
def test_the_interval_of_the_gain_holds_the_true_gain(law: PowerLaw) -> None:
    rng = np.random.default_rng(0)
    truth = law.error(800) - law.error(1200)
    held = 0
    for _ in range(40):
        measured = curve(rng, law, largest=800, rows=800)
        gain = expected_gain(measured, now=800, more=400, rng=rng, resamples=200)
        assert gain is not None
        held += gain.low <= truth <= gain.high
    assert held >= 35, "95 % intervals; 35 of 40 is the lower 0.5 % of a fair one"


def test_a_flat_curve_promises_nothing_and_a_short_one_is_not_extrapolated() -> None:
    rng = np.random.default_rng(0)
    flat = curve(rng, PowerLaw(0.2, 0, 0.5), largest=800, rows=2000)
    gain = expected_gain(flat, now=800, more=400, rng=rng)
    assert gain is not None and gain.low <= 0.002
    assert gain.sentence.startswith("400 more rows: +")
    short = Measured((10, 20, 30), flat.right_RS[:, :3], flat.draws_R)
    assert expected_gain(short, now=30, more=10, rng=rng) is None


def test_points_of_the_curve_lie_in_their_intervals() -> None:
    rng = np.random.default_rng(1)
    for point in curve_points(curve(rng, PowerLaw(0.1, 2, 0.5), largest=400, rows=400), rng=rng):
        assert 0 <= point.low <= point.share <= point.high <= 1


def test_the_power_of_mcnemar_is_that_of_a_simulation() -> None:
    rng = np.random.default_rng(0)
    times, rows, difference, disagreement = 2000, 200, 0.08, 0.16
    first = (disagreement + difference) / 2
    seen = 0
    for better, worse, _ in rng.multinomial(
        rows, [first, disagreement - first, 1 - disagreement], size=times
    ):
        seen += mcnemar_exact(int(better), int(worse)) <= 0.05
    power = mcnemar_power(rows, difference, disagreement=disagreement, confidence=0.95)
    assert power == pytest.approx(seen / times, abs=0.03)


def test_the_smallest_difference_is_the_one_with_a_power_of_eight_in_ten() -> None:
    least = smallest_difference(400, disagreement=0.16)
    assert mcnemar_power(400, least, disagreement=0.16, confidence=0.95) == pytest.approx(
        0.8, abs=0.01
    )
    assert (
        smallest_difference(1600, disagreement=0.16)
        < least
        < smallest_difference(100, disagreement=0.16)
    )
    assert smallest_difference(3, disagreement=0.2) == 1.0
    assert rows_for_difference(least, disagreement=0.16) == pytest.approx(400, rel=0.1)


def test_slices_are_counted_and_the_thin_ones_named_first() -> None:
    def rows(start: int, count: int) -> tuple[Example, ...]:
        return tuple(
            Example(
                id=f"r{n}",
                input=f"text {n}",
                target="a",
                fields={"language": "fi" if n % 10 == 0 else "en"},
            )
            for n in range(start, start + count)
        )

    snapshot = Snapshot(
        sources=(Source(name="x", sha256="sha256:0", rows=1, format="f"),),
        train=TrainSplit(examples=rows(0, 200)),
        dev=DevSplit(examples=()),
        test=TestSplit(examples=rows(1000, 100)),
        audit=AuditSplit(examples=()),
    )
    first, second = slice_counts(snapshot, ("language",))
    assert (first.name, first.train, first.test, first.is_thin) == ("language=fi", 20, 10, True)
    assert (second.name, second.is_thin) == ("language=en", False)
    assert slice_counts(snapshot, ()) == ()
