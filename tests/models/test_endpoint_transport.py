"""Waits between attempts, with a clock that only waiting moves: nothing here sleeps."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime

from tests.models.chat_server import Body, Handler, Served, serving

from freehold.models.endpoint_backoff import LONGEST_ASKED_SECONDS, LONGEST_SECONDS
from freehold.models.endpoint_budget import NOTHING, Amount, Ceiling, Purse
from freehold.models.endpoint_transport import Payment, Reply, Transport, Trouble

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MOST = Amount(nanodollars=50, tokens=50)


class Time(threading.Event):
    """A clock, and the event that is waited on: a wait is noted, and over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.waits: list[float] = []

    def clock(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        self.now += timeout or 0.0
        return self.is_set()


def sent(
    served: Served, time: Time, *, retries: int = 5, purse: Purse | None = None
) -> Reply | Trouble | object:
    transport = Transport(
        served.spec(),
        key=None,
        clock=time.clock,
        now=lambda: NOON,
        rng=random.Random(5),
    )
    payment: Payment[Reply] = Payment(purse or Purse(Ceiling()), MOST, lambda reply: NOTHING)
    body = b'{"messages": [{"content": "which?"}]}'
    try:
        return transport.deliver(
            body, read=lambda reply: reply, payment=payment, retries=retries, stop=time
        )
    finally:
        transport.close()


def busy(times: int, status: int = 429, **headers: str) -> Served:
    def trouble(handler: Handler, body: Body, number: int) -> bool:
        if number > times:
            return False
        handler.say_json(status, {"error": {"message": "slow down"}}, **headers)
        return True

    return Served(trouble=trouble)


def test_a_wait_is_never_shorter_than_retry_after_says() -> None:
    time = Time()
    with serving(busy(2, retry_after="7")) as served:
        found = sent(served, time)
    assert isinstance(found, Reply)
    assert len(served.asked) == 3
    assert time.now >= 14
    assert all(7 <= wait <= 7 + LONGEST_SECONDS for wait in time.waits)


def test_retry_after_may_be_a_date() -> None:
    time = Time()
    with serving(busy(1, 503, retry_after="Sun, 22 Nov 2026 12:00:20 GMT")) as served:
        assert isinstance(sent(served, time), Reply)
    assert time.now >= 20


def test_without_a_word_the_waits_grow_and_end() -> None:
    time = Time()
    with serving(busy(100, 500)) as served:
        found = sent(served, time, retries=9)
    assert isinstance(found, Trouble)
    assert found.may_pass
    assert len(served.asked) == 10
    assert len(time.waits) == 9
    assert max(time.waits) <= LONGEST_SECONDS
    assert sum(time.waits[:3]) < sum(time.waits[-3:])


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    time = Time()
    with serving(busy(9, retry_after=str(int(LONGEST_ASKED_SECONDS) + 1))) as served:
        found = sent(served, time)
    assert isinstance(found, Trouble)
    assert len(served.asked) == 1
    assert time.waits == []


def test_attempts_that_are_refused_cost_nothing_and_lost_ones_the_most() -> None:
    def drop(handler: Handler, body: Body, number: int) -> bool:
        if number <= 2:
            handler.drop(b'{"choices": [')
        return number <= 2

    free, lost = Purse(Ceiling()), Purse(Ceiling())
    with serving(busy(2)) as served:
        sent(served, Time(), purse=free)
    with serving(Served(trouble=drop)) as served:
        sent(served, Time(), purse=lost)
    assert free.spent == NOTHING
    assert lost.spent == MOST + MOST
