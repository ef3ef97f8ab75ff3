"""How long to wait before a request is sent again. Pure: chance and time are given."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
LONGEST_ASKED_SECONDS = 300.0
"""A server that asks for a longer pause than this is not waited for."""
RETRIED = frozenset({408, 409, 425, 429})


def is_retried(status: int) -> bool:
    """Return whether a status may be gone the next time: too busy, too early, or the server's own fault."""
    return status in RETRIED or 500 <= status <= 599


def wait_seconds(
    attempt: int, *, retry_after: float | None, rng: random.Random, first: float = FIRST_SECONDS
) -> float:
    """Return how long to wait after failed attempt number `attempt` (from 0).

    The wait doubles with every attempt up to `LONGEST_SECONDS`, and chance takes away up to half of it, so that
    requests that failed together do not come back together. It is never shorter than `retry_after`, what
    the server asked for.
    """
    longest = min(first * 2.0 ** min(attempt, 30), LONGEST_SECONDS)
    wait = longest * (0.5 + 0.5 * rng.random())
    return wait if retry_after is None else max(wait, retry_after)


def retry_after_seconds(header: str | None, *, now: datetime) -> float | None:
    """Return what a Retry-After header asks for, in seconds from `now`; None where it says nothing clear.

    It is a number of seconds, or a date of HTTP. A date that has passed asks for no wait.
    """
    text = (header or "").strip()
    if not text:
        return None
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - now).total_seconds())
