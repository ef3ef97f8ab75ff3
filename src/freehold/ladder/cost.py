"""What a rung costs: once, for each request, and over the horizon (decide.md 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def priced_again(
    spent: Cost,
    *,
    before: Prices,
    prices: Prices,
    volume: Volume,
    revalidation_examples: int,
) -> Cost:
    """Return what the same work costs at other prices or another volume.

    Args:
        spent: what it cost.
        before: the prices that `spent` was made with: an older climb did not keep the seconds of a
            request, and they follow from its price.
        prices: of machine time now.
        volume: how often the task is asked now, and for how long.
        revalidation_examples: examples that one revalidation asks (the test split).
    """
    return total_cost(
        build_seconds=spent.build_seconds,
        seconds_per_request=_seconds_per_request(spent, before),
        revalidation_examples=revalidation_examples,
        prices=prices,
        volume=volume,
        tokens_dollars_per_request=spent.tokens_dollars_per_request,
    )


def _seconds_per_request(spent: Cost, prices: Prices) -> float:
    if spent.seconds_per_request is not None:
        return spent.seconds_per_request
    if spent.tokens_dollars_per_request is not None or prices.dollars_per_machine_hour == 0.0:
        return 0.0
    per_second = prices.dollars_per_machine_hour / 3600.0 / prices.utilisation
    return spent.dollars_per_1k / 1000.0 / per_second


@dataclass(frozen=True)
class CheapestRange:
    """The volumes at which one rung costs the least in all: from `low` to `high` requests a month.

    `low` is 0 for the first range; `high` is None for the last one.
    """

    rung: str
    low: float
    high: float | None


def cheapest_by_volume(
    costs: Sequence[tuple[str, Cost]], *, horizon_months: float
) -> tuple[CheapestRange, ...]:
    """Return which rung costs the least in all at every volume, as ranges without a gap.

    A total is a line over the requests a month: what is fixed (building, upkeep), and a slope. The
    cheapest rungs are the lower hull of the lines, and a range ends where the next line, exactly
    solved, is as cheap. At equal totals the earlier rung is named, as in the recommendation.

    Args:
        costs: the rungs with their costs, in ladder order.
        horizon_months: over which they are added up; the same that the costs were made with.
    """
    lines = [
        _Line(
            rung,
            spent.build_dollars + horizon_months * spent.upkeep_dollars_per_month,
            horizon_months * spent.dollars_per_1k / 1000.0,
        )
        for rung, spent in costs
    ]
    ranges: list[CheapestRange] = []
    if not lines:
        return ()
    best, start = min(lines, key=lambda line: (line.fixed, line.each)), 0.0
    while True:
        crossings = [
            ((line.fixed - best.fixed) / (best.each - line.each), line)
            for line in lines
            if line.each < best.each
        ]
        if not crossings:
            return (*ranges, CheapestRange(best.rung, start, None))
        where, following = min(crossings, key=lambda one: (one[0], one[1].each))
        if where > start:
            ranges.append(CheapestRange(best.rung, start, where))
        best, start = following, max(where, start)


@dataclass(frozen=True)
class _Line:
    """What a rung costs over the horizon: fixed dollars, and dollars for each request a month."""

    rung: str
    fixed: float
    each: float


def _fixed_dollars(spent: Cost, volume: Volume) -> float:
    return spent.build_dollars + volume.horizon_months * spent.upkeep_dollars_per_month
