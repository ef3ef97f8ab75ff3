"""What a rung costs: once, for each request, and over the horizon (decide.md 4)."""

from __future__ import annotations

from freehold.core.measure import Cost
from freehold.core.sections import Prices, Volume


def total_cost(
    *,
    build_seconds: float,
    seconds_per_request: float,
    revalidation_examples: int,
    prices: Prices,
    volume: Volume,
    tokens_dollars_per_request: float | None = None,
) -> Cost:
    """Return what a rung costs: once, for each request, and over the horizon.

        total = build + horizon_months (requests_per_month dollars_per_request + upkeep)
        dollars_per_request = dollars_per_machine_hour seconds_per_request / 3600 / utilisation
                              on an own machine, else what the endpoint asks for the tokens
        upkeep = revalidations_per_month revalidation_examples dollars_per_request

    Args:
        build_seconds: machine time of building, once.
        seconds_per_request: machine time of one request in a batch.
        revalidation_examples: examples that one revalidation asks (the test split).
        prices: of machine time, and the share of it that is used.
        volume: how often the task is asked, and for how long.
        tokens_dollars_per_request: what an endpoint asks for the tokens of one request; None where
            the model runs on an own machine.
    """
    dollars_per_second = prices.dollars_per_machine_hour / 3600.0
    is_own = tokens_dollars_per_request is None
    dollars_per_request = (
        dollars_per_second * seconds_per_request / prices.utilisation
        if tokens_dollars_per_request is None
        else tokens_dollars_per_request
    )
    build = dollars_per_second * build_seconds
    upkeep = volume.revalidations_per_month * revalidation_examples * dollars_per_request
    monthly = volume.requests_per_month * dollars_per_request + upkeep
    return Cost(
        build_seconds=build_seconds,
        build_dollars=build,
        dollars_per_1k=1000.0 * dollars_per_request,
        upkeep_dollars_per_month=upkeep,
        total_dollars=build + volume.horizon_months * monthly,
        seconds_per_request=seconds_per_request if is_own else None,
        tokens_dollars_per_request=tokens_dollars_per_request,
    )


def break_even(first: Cost, second: Cost, *, volume: Volume) -> float | None:
    """Return the requests over the horizon at which two rungs cost the same in all.

    Below that number the one that costs less to build and keep up is cheaper, above it the one that
    costs less a request. None: one of them is cheaper at every number of requests.
    """
    fixed = _fixed_dollars(second, volume) - _fixed_dollars(first, volume)
    each = (first.dollars_per_1k - second.dollars_per_1k) / 1000.0
    if each == 0.0 or fixed / each <= 0.0:
        return None
    return fixed / each


def _fixed_dollars(spent: Cost, volume: Volume) -> float:
    return spent.build_dollars + volume.horizon_months * spent.upkeep_dollars_per_month
