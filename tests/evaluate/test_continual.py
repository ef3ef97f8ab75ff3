import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.measure import Estimate
from freehold.core.transfer import Cell, Points, TransferMatrix
from freehold.evaluate.continual import transfer


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def cell(stage: int, column: str, mean: float, scores: Sequence[float] = ()) -> Cell:
    return Cell(
        stage=stage,
        column=column,
        quality=Estimate(mean=mean, low=0.0, high=1.0, n=max(len(scores), 10)),
        scores={f"item-{number}": score for number, score in enumerate(scores)},
    )


def matrix(table: Sequence[Sequence[float | None]], **more: tuple[Cell, ...]) -> TransferMatrix:
    """A matrix of means alone: a row per stage, a column per domain."""
    domains = tuple(f"domain {number}" for number in range(len(table) - 1))
    cells = tuple(
        cell(stage, domains[place], mean)
        for stage, row in enumerate(table)
        for place, mean in enumerate(row)
        if mean is not None
    )
    stages = ("base", *(f"t{number}" for number in range(1, len(table))))
    return TransferMatrix(stages=stages, domains=domains, cells=cells, **more)


def value(points: Points | None) -> float:
    assert points is not None
    return points.value


# Three domains. By hand, in points:
#   overall     (70 + 50 + 90) / 3                                     = 70
#   backward    ((70 - 80) + (50 - 60)) / 2                            = -10
#   forward     ((25 - 20) + (40 - 10)) / 2                            = 17.5
#   forgetting  ((max(30, 80, 85) - 70) + (max(20, 25, 60) - 50)) / 2  = 12.5
BY_HAND = (
    (0.30, 0.20, 0.10),
    (0.80, 0.25, 0.15),
    (0.85, 0.60, 0.40),
    (0.70, 0.50, 0.90),
)


def test_three_domains_agree_with_the_formulas_done_by_hand() -> None:
    found = transfer(matrix(BY_HAND), rng=rng())
    assert value(found.overall) == pytest.approx(70.0)
    assert value(found.backward) == pytest.approx(-10.0)
    assert value(found.forward) == pytest.approx(17.5)
    assert value(found.forgetting) == pytest.approx(12.5)
    assert found.general == (None, None, None)
    assert found.overall is not None and found.overall.low is None


def test_one_domain_has_no_transfer_but_an_overall_score() -> None:
    found = transfer(matrix([(0.4,), (0.9,)]), rng=rng())
    assert value(found.overall) == pytest.approx(90.0)
    assert found.backward is found.forward is found.forgetting is None


def test_a_domain_that_was_not_measured_before_it_was_met_stops_only_what_needs_it() -> None:
    table = ((0.3, 0.2), (0.8, None), (0.7, 0.6))
    found = transfer(matrix(table), rng=rng())
    assert found.forward is None
    assert value(found.backward) == pytest.approx(-10.0)
    assert value(found.forgetting) == pytest.approx(10.0)


def test_general_ability_is_the_mean_of_families_not_of_items() -> None:
    # "add" falls by 50 points on 4 items, "copy" stays on 2: the families' mean is -25.
    general = (
        cell(0, "add", 1.0, (1, 1, 1, 1)),
        cell(1, "add", 0.5, (1, 1, 0, 0)),
        cell(0, "copy", 1.0, (1, 1)),
        cell(1, "copy", 1.0, (1, 1)),
    )
    found = transfer(matrix([(0.1,), (0.9,)], general=general), rng=rng())
    (delta,) = found.general
    assert delta is not None and delta.low is not None and delta.high is not None
    assert delta.value == pytest.approx(-25.0)
    # "copy" cannot move, "add" has 4 items: 0 to 4 of them lost.
    assert -50.0 <= delta.low < -25.0 < delta.high <= 0.0


def test_the_interval_of_one_column_is_the_bootstrap_of_paired_differences() -> None:
    # Of 200 items 30 are lost and 10 are gained between the two stages: the mean difference of
    # pairs is -10 points, and its standard error is sqrt(0.2 - 0.01) / sqrt(200) = 3.08 points,
    # far below what unpaired stages of 0.6 and 0.5 would have (4.95).
    before = [1.0] * 120 + [0.0] * 80
    after = [0.0] * 30 + [1.0] * 90 + [1.0] * 10 + [0.0] * 70
    found = transfer(
        matrix(
            [(0.1,), (0.6,)],
            general=(cell(0, "all", 0.6, before), cell(1, "all", 0.5, after)),
        ),
        rng=rng(),
        resamples=20_000,
    )
    (delta,) = found.general
    assert delta is not None and delta.low is not None and delta.high is not None
    error = math.sqrt(0.2 - 0.01) / math.sqrt(200) * 100
    assert delta.value == pytest.approx(-10.0)
    assert delta.low == pytest.approx(-10 - 1.96 * error, abs=0.6)
    assert delta.high == pytest.approx(-10 + 1.96 * error, abs=0.6)


def test_only_items_that_every_stage_scored_are_compared() -> None:
    # Item 2 failed after training; on the shared items nothing changed.
    first = cell(0, "all", 2 / 3, (1, 0, 1))
    second = Cell(
        stage=1,
        column="all",
        quality=Estimate(mean=0.5, low=0.0, high=1.0, n=2, failed=1),
        scores={"item-0": 1.0, "item-1": 0.0},
    )
    found = transfer(matrix([(0.1,), (0.6,)], general=(first, second)), rng=rng())
    assert found.general == (Points(value=0.0, low=0.0, high=0.0),)


def test_a_column_without_item_scores_has_a_number_but_no_interval() -> None:
    bare = matrix([(0.4,), (0.9,)])
    scored = TransferMatrix(
        stages=bare.stages,
        domains=bare.domains,
        cells=(bare.cells[0], cell(1, "domain 0", 0.9, (1.0,) * 9 + (0.0,))),
    )
    assert transfer(scored, rng=rng()).overall == Points(value=90.0)


def test_the_same_generator_gives_the_same_intervals() -> None:
    general = (cell(0, "all", 0.5, (1, 0) * 20), cell(1, "all", 0.5, (0, 1) * 20))
    made = matrix([(0.1,), (0.6,)], general=general)
    assert transfer(made, rng=rng()) == transfer(made, rng=rng())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"stages": ("base",)}, "each stage after the base learns one domain"),
        ({"domains": ("a", "a")}, "two domains share a name"),
        ({"cells": (cell(0, "a", 0.5), cell(0, "a", 0.6))}, "two cells of one column"),
        ({"cells": (cell(3, "a", 0.5),)}, "belongs to no stage"),
        ({"cells": (cell(0, "c", 0.5),)}, "belongs to no domain"),
        ({"general": (cell(9, "any", 0.5),)}, "belongs to no stage"),
    ],
)
def test_a_matrix_refuses_what_is_no_matrix(change: dict[str, object], complaint: str) -> None:
    good: dict[str, object] = {"stages": ("base", "t1", "t2"), "domains": ("a", "b"), "cells": ()}
    with pytest.raises(ValueError, match=complaint):
        TransferMatrix.model_validate({**good, **change})


shares = st.integers(0, 100).map(lambda percent: percent / 100)


@st.composite
def tables(draw: st.DrawFn) -> list[list[float]]:
    domains = draw(st.integers(2, 4))
    return [[draw(shares) for _ in range(domains)] for _ in range(domains + 1)]


@settings(max_examples=60, deadline=None)
@given(tables())
def test_forgetting_is_at_least_what_backward_transfer_lost(table: list[list[float]]) -> None:
    found = transfer(matrix(table), rng=rng(), resamples=10)
    assert value(found.forgetting) >= -value(found.backward) - 1e-9


@settings(max_examples=60, deadline=None)
@given(tables())
def test_nothing_is_forgotten_where_no_column_ever_falls(table: list[list[float]]) -> None:
    columns = [sorted(column) for column in zip(*table, strict=True)]
    rising = [list(row) for row in zip(*columns, strict=True)]
    found = transfer(matrix(rising), rng=rng(), resamples=10)
    assert value(found.forgetting) <= 1e-9
    assert value(found.backward) >= -1e-9
    assert value(found.forward) >= -1e-9


@settings(max_examples=60, deadline=None)
@given(tables(), st.floats(0.0, 1.0))
def test_every_difference_is_linear_in_the_scores(table: list[list[float]], part: float) -> None:
    scaled = [[part * score for score in row] for row in table]
    whole = transfer(matrix(table), rng=rng(), resamples=10)
    some = transfer(matrix(scaled), rng=rng(), resamples=10)
    for name in ("overall", "backward", "forward", "forgetting"):
        assert value(getattr(some, name)) == pytest.approx(
            part * value(getattr(whole, name)), abs=1e-6
        )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_an_interval_holds_its_number_and_the_order_of_items_says_nothing(
    pairs: list[tuple[bool, bool]],
) -> None:
    before = [float(first) for first, _ in pairs]
    after = [float(second) for _, second in pairs]
    general = (cell(0, "all", 0.5, before), cell(1, "all", 0.5, after))
    (found,) = transfer(matrix([(0.1,), (0.6,)], general=general), rng=rng()).general
    assert found is not None and found.low is not None and found.high is not None
    assert found.low <= found.value <= found.high
    mirrored = (cell(0, "all", 0.5, before[::-1]), cell(1, "all", 0.5, after[::-1]))
    (other,) = transfer(matrix([(0.1,), (0.6,)], general=mirrored), rng=rng()).general
    assert other is not None
    assert other.value == pytest.approx(found.value)
