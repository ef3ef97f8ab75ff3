"""What a rung costs, where two cost the same, and which one is the cheapest at which volume."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from freehold.core.measure import Cost
from freehold.core.sections import Prices, Volume
from freehold.ladder.cost import break_even, cheapest_by_volume, priced_again, total_cost

seconds = st.floats(min_value=0.0, max_value=1e5).map(lambda value: round(value, 3))


def priced(build: float, each: float, *, requests: int = 1, months: float = 6.0) -> Cost:
    return total_cost(
        build_seconds=build,
        seconds_per_request=each,
        revalidation_examples=400,
        prices=Prices(),
        volume=Volume(requests_per_month=requests, horizon_months=months),
    )


@given(
    st.lists(st.tuples(seconds, seconds), min_size=1, max_size=6),
    st.integers(min_value=1, max_value=10**8),
)
def test_the_cheapest_by_volume_is_the_cheapest_total_at_every_volume(
    made: list[tuple[float, float]], requests: int
) -> None:
    costs = [(f"r{i}", priced(*one, requests=requests)) for i, one in enumerate(made)]
    ranges = cheapest_by_volume(costs, horizon_months=6.0)
    assert ranges[0].low == 0 and ranges[-1].high is None
    assert all(one.high == other.low for one, other in pairwise(ranges))
    inside = next(r for r in ranges if r.high is None or requests <= r.high)
    least = min(spent.total_dollars for _, spent in costs)
    assert dict(costs)[inside.rung].total_dollars <= least * (1 + 1e-9) + 1e-9


def test_at_a_crossing_both_rungs_cost_the_same() -> None:
    few, lora = priced(0, 0.5), priced(3600, 0.1)
    ranges = cheapest_by_volume([("few", few), ("lora", lora)], horizon_months=6.0)
    assert [one.rung for one in ranges] == ["few", "lora"]
    crossing = break_even(few, lora, volume=Volume(horizon_months=6.0))
    assert crossing is not None and ranges[0].high is not None
    assert abs(ranges[0].high * 6.0 - crossing) < 1e-6


def test_a_rung_that_is_dearer_in_everything_is_the_cheapest_nowhere() -> None:
    costs = [("a", priced(10, 0.1)), ("b", priced(20, 0.2)), ("c", priced(5, 0.3))]
    ranges = cheapest_by_volume(costs, horizon_months=6.0)
    assert [one.rung for one in ranges] == ["a"] or [one.rung for one in ranges] == ["c", "a"]
    assert cheapest_by_volume([], horizon_months=6.0) == ()


def test_of_equal_totals_the_earlier_rung_is_named() -> None:
    same = priced(10, 0.1)
    assert cheapest_by_volume([("a", same), ("b", same)], horizon_months=6.0)[0].rung == "a"


@given(seconds, seconds, st.floats(min_value=0.01, max_value=100.0))
def test_other_prices_give_what_was_measured_at_those_prices(
    build: float, each: float, price: float
) -> None:
    before, after = Prices(), Prices(dollars_per_machine_hour=price, utilisation=0.3)
    volume = Volume(requests_per_month=5)
    wanted = total_cost(
        build_seconds=build,
        seconds_per_request=each,
        revalidation_examples=400,
        prices=after,
        volume=volume,
    )
    for kept in (
        priced(build, each),
        priced(build, each).model_copy(update={"seconds_per_request": None}),
    ):
        found = priced_again(
            kept, before=before, prices=after, volume=volume, revalidation_examples=400
        )
        assert abs(found.total_dollars - wanted.total_dollars) <= 1e-9 * (1 + wanted.total_dollars)


def test_what_an_endpoint_asks_for_tokens_does_not_follow_the_price_of_a_machine() -> None:
    asked = priced(10, 0.0).model_copy(
        update={"seconds_per_request": None, "tokens_dollars_per_request": 0.002}
    )
    found = priced_again(
        asked,
        before=Prices(),
        prices=Prices(dollars_per_machine_hour=9),
        volume=Volume(requests_per_month=1000, horizon_months=2, revalidations_per_month=0),
        revalidation_examples=400,
    )
    assert found.dollars_per_1k == 2.0
    assert found.total_dollars == 9 / 3600 * 10 + 2 * 1000 * 0.002
