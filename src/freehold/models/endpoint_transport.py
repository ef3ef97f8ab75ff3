"""Requests to one endpoint over HTTP: bounded in time and size, sent again where that may help.

Nothing is followed elsewhere: a redirect would take the key and the data to a place that nobody named.
Proxies and other settings of the environment are not used, for the same reason.
"""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeAlias, TypeVar

import httpx

from freehold.core.errors import ConfigError
from freehold.core.sections import UserEndpoint
from freehold.models.endpoint_backoff import (
    LONGEST_ASKED_SECONDS,
    is_retried,
    retry_after_seconds,
    wait_seconds,
)
from freehold.models.endpoint_budget import NOTHING, Amount, Purse
from freehold.models.endpoint_wire import error_detail

MOST_BYTES = 16 * 1024 * 1024
CONNECT_SECONDS = 10.0
Kind: TypeAlias = Literal["unreachable", "busy", "broken", "refused", "denied", "missing", "moved"]
T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """A response of status 2xx: its whole body, and the seconds from sending to its last byte."""

    body: bytes
    seconds: float


@dataclass(frozen=True)
class Trouble:
    """Why there is no answer.

    `unreachable`: nothing answers. `busy`: too slow, rate-limited, or the server's own error. `broken`: what came
    is not what was asked for. `refused`: the request itself is not taken. `denied`: the key. `missing`: no such model
    or path. `moved`: a redirect. `may_be_paid`: the request was sent, and nobody knows what it cost.
    """

    kind: Kind
    message: str
    detail: str = ""
    retry_after: float | None = None
    may_be_paid: bool = False

    @property
    def is_of_the_whole(self) -> bool:
        """Whether every other request would meet the same."""
        return self.kind in {"denied", "missing", "moved"}

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be answered later."""
        return self.kind in {"unreachable", "busy", "broken"}


@dataclass(frozen=True)
class Payment(Generic[T]):
    """How a request is paid: what may be spent, the most that it costs, and what an answer did cost."""

    purse: Purse
    most: Amount
    cost: Callable[[T], Amount]


class Cancelled:
    """The caller stopped waiting; nothing is known of the request."""


CANCELLED = Cancelled()


class Transport:
    """The connection to one endpoint, for any number of threads."""

    def __init__(
        self,
        spec: UserEndpoint,
        *,
        key: str | None,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        rng: random.Random,
    ) -> None:
        """Prepare the connection; nothing is sent.

        Raises:
            ConfigError: CFG-006 when the file of certificates cannot be read.
        """
        self._spec = spec
        self._key = key
        self._clock, self._now, self._rng = clock, now, rng
        self._gate = threading.Lock()
        self._not_before = float("-inf")
        self.retries = 0
        self.lost = 0
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        self._client = httpx.Client(
            base_url=spec.url.rstrip("/") + "/",
            headers=headers,
            timeout=httpx.Timeout(
                spec.timeout_seconds, connect=min(CONNECT_SECONDS, spec.timeout_seconds)
            ),
            limits=httpx.Limits(max_connections=spec.concurrency),
            verify=_trust(spec),
            trust_env=False,
            follow_redirects=False,
        )

    def get(self, path: str) -> Reply | Trouble:
        """Ask for a page once."""
        return self._exchange("GET", path, None)

    def deliver(
        self,
        body: bytes,
        *,
        read: Callable[[Reply], T | Trouble],
        payment: Payment[T],
        retries: int,
        stop: threading.Event,
    ) -> T | Trouble | Cancelled:
        """Send a chat request until it is answered, and pay for it; `stop` ends all waiting.

        Every attempt is set aside in the purse before it is sent. One whose answer was lost counts as paid.

        Raises:
            BudgetReachedError: the next attempt could pass the budget.
        """
        attempt = 0
        while True:
            self._wait_for_the_gate(stop)
            is_ready = payment.purse.set_aside(payment.most, should_stop=stop.is_set)
            if not is_ready:
                return CANCELLED
            outcome = self._paid(body, read, payment)
            if stop.is_set() or not self._is_tried_again(outcome, attempt, retries):
                return outcome
            self._pause(attempt, outcome, stop)
            attempt += 1

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _paid(
        self, body: bytes, read: Callable[[Reply], T | Trouble], payment: Payment[T]
    ) -> T | Trouble:
        cost = payment.most  # stands where something is raised: the request may have been paid
        try:
            reply = self._exchange("POST", "chat/completions", body)
            outcome = reply if isinstance(reply, Trouble) else read(reply)
            if isinstance(outcome, Trouble):
                cost = payment.most if outcome.may_be_paid else NOTHING
                with self._gate:
                    self.lost += outcome.may_be_paid
            else:
                cost = payment.cost(outcome)
            return outcome
        finally:
            payment.purse.settle(payment.most, cost)

    def _is_tried_again(self, outcome: object, attempt: int, retries: int) -> bool:
        if not isinstance(outcome, Trouble) or not outcome.may_pass or attempt >= retries:
            return False
        return (outcome.retry_after or 0.0) <= LONGEST_ASKED_SECONDS

    def _pause(self, attempt: int, outcome: object, stop: threading.Event) -> None:
        asked = outcome.retry_after if isinstance(outcome, Trouble) else None
        with self._gate:
            self.retries += 1
            wait = wait_seconds(attempt, retry_after=asked, rng=self._rng)
            if asked is not None:
                self._not_before = max(self._not_before, self._clock() + asked)
        stop.wait(wait)

    def _wait_for_the_gate(self, stop: threading.Event) -> None:
        """Wait while the server has asked all requests to wait."""
        with self._gate:
            wait = self._not_before - self._clock()
        if wait > 0:
            stop.wait(wait)

    def _exchange(self, method: str, path: str, body: bytes | None) -> Reply | Trouble:
        started = self._clock()
        try:
            with self._client.stream(method, path, content=body) as response:
                parts: list[bytes] = []
                size = 0
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > MOST_BYTES:
                        return self._trouble(
                            "broken", f"it sent more than {MOST_BYTES // 2**20} MiB", paid=True
                        )
                    if self._clock() - started > self._spec.timeout_seconds:
                        return self._too_slow()
                seconds = self._clock() - started
                return self._judged(response, b"".join(parts), seconds)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return self._trouble(
                "unreachable", f"nothing answers at {self._spec.url} ({_why(error)})"
            )
        except httpx.TimeoutException:
            return self._too_slow()
        except httpx.HTTPError as error:
            return self._trouble("busy", f"the connection was lost ({_why(error)})", paid=True)

    def _judged(self, response: httpx.Response, body: bytes, seconds: float) -> Reply | Trouble:
        status = response.status_code
        if 200 <= status <= 299:
            return Reply(body, seconds)
        if 300 <= status <= 399:
            target = response.headers.get("location", "elsewhere")
            return self._trouble("moved", f"it redirects to {target}; redirects are not followed")
        detail = error_detail(body)
        message = f"status {status}: {detail}"
        if is_retried(status):
            asked = retry_after_seconds(response.headers.get("retry-after"), now=self._now())
            late = f"; it asks to wait {asked:.0f} s" if asked else ""
            return self._trouble("busy", message + late, retry_after=asked)
        kinds: dict[int, Kind] = {401: "denied", 403: "denied", 404: "missing", 405: "missing"}
        return self._trouble(kinds.get(status, "refused"), message, detail=detail)

    def _too_slow(self) -> Trouble:
        seconds = self._spec.timeout_seconds
        return self._trouble("busy", f"no whole answer within {seconds:g} s", paid=True)

    def _trouble(
        self,
        kind: Kind,
        message: str,
        *,
        detail: str = "",
        retry_after: float | None = None,
        paid: bool = False,
    ) -> Trouble:
        return Trouble(
            kind,
            self._hidden(message),
            detail=self._hidden(detail),
            retry_after=retry_after,
            may_be_paid=paid,
        )

    def _hidden(self, text: str) -> str:
        """Take the key out of what a server says about it."""
        return text if not self._key else text.replace(self._key, "[key]")


def _trust(spec: UserEndpoint) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=spec.certificates)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            "CFG-006",
            f"`certificates` names {spec.certificates}, which cannot be read: {error}",
            help="name a PEM file with the authorities to trust",
        ) from error


def _why(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
