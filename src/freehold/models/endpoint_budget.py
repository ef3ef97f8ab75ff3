"""A ceiling in dollars and tokens that is never passed.

Before a request is sent, the most that it can cost is set aside; when its answer is there, what it did cost
takes that place. A request that does not fit beside what was spent and what is set aside waits for
the others; when there are none to wait for, it is not sent, and nothing is sent after it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from freehold.core.sections import BudgetSection
from freehold.models.remote import BudgetReachedError, TokenPrices

NANODOLLARS = 1_000_000_000


@dataclass(frozen=True)
class Amount:
    """Tokens, and their price in whole nanodollars, so that sums are exact."""

    nanodollars: int = 0
    tokens: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.nanodollars + other.nanodollars, self.tokens + other.tokens)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.nanodollars - other.nanodollars, self.tokens - other.tokens)

    def fits(self, ceiling: Ceiling) -> bool:
        """Return whether this is within a ceiling."""
        return (ceiling.nanodollars is None or self.nanodollars <= ceiling.nanodollars) and (
            ceiling.tokens is None or self.tokens <= ceiling.tokens
        )

    @property
    def dollars(self) -> float:
        """The price in dollars."""
        return self.nanodollars / NANODOLLARS


NOTHING = Amount()


@dataclass(frozen=True)
class Ceiling:
    """The most that may be spent; None: as much as is needed."""

    nanodollars: int | None = None
    tokens: int | None = None


def ceiling_of(budget: BudgetSection) -> Ceiling:
    """Return the ceiling of a task's budget. A fraction of a nanodollar is not spent."""
    dollars = budget.dollars
    return Ceiling(
        nanodollars=None if dollars is None else math.floor(dollars * NANODOLLARS),
        tokens=budget.tokens,
    )


def amount_of(prices: TokenPrices, *, prompt_tokens: int, answer_tokens: int) -> Amount:
    """Return what so many tokens cost, rounded up to whole nanodollars; unknown prices cost nothing."""
    dollars = prices.dollars(prompt_tokens=prompt_tokens, answer_tokens=answer_tokens) or 0.0
    return Amount(math.ceil(dollars * NANODOLLARS), prompt_tokens + answer_tokens)


def _keep_nothing(_change: Amount) -> None:
    """Take a change and do nothing."""


class Purse:
    """What one task may spend on endpoints, and what it has spent; for any number of threads.

    Args:
        ceiling: the most that may be spent.
        spent: what earlier commands spent on the same task.
        keep: is told of every change, set aside or given back, before it counts; so a process that dies
            leaves its open requests counted at the most that they can cost.
    """

    def __init__(
        self,
        ceiling: Ceiling,
        *,
        spent: Amount = NOTHING,
        keep: Callable[[Amount], None] = _keep_nothing,
    ) -> None:
        self.ceiling = ceiling
        self._keep = keep
        self._spent = spent
        self._aside = NOTHING
        self._open = 0
        self._closed_by: Amount | None = None
        self._changed = threading.Condition()

    @property
    def spent(self) -> Amount:
        """What was spent; open requests are not in it."""
        with self._changed:
            return self._spent

    def set_aside(self, most: Amount, *, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Set aside the most that a request can cost; wait for others to settle where it does not fit.

        False: nothing was set aside, because `should_stop` said so while it waited.

        Raises:
            BudgetReachedError: END-007 when it does not fit and nothing is left to wait for, and for
                every request after that.
        """
        with self._changed:
            while self._closed_by is None and not self._fits(most):
                if should_stop():
                    return False
                if self._open == 0:
                    self._closed_by = most
                    self._changed.notify_all()
                else:
                    self._changed.wait(0.1)
            if self._closed_by is not None:
                raise self._reached(self._closed_by)
            self._keep(most)
            self._aside += most
            self._open += 1
            return True

    def settle(self, most: Amount, cost: Amount) -> None:
        """Put what a request did cost in the place of what was set aside for it."""
        with self._changed:
            self._keep(cost - most)
            self._aside -= most
            self._spent += cost
            self._open -= 1
            self._changed.notify_all()

    def _fits(self, most: Amount) -> bool:
        return (self._spent + self._aside + most).fits(self.ceiling)

    def _reached(self, most: Amount) -> BudgetReachedError:
        total = self._spent + self._aside + most
        limit = self.ceiling.tokens
        if limit is not None and total.tokens > limit:
            more = f"tokens={2 * limit}"
            what = f"budget.tokens is {limit:,}, {self._spent.tokens:,} are spent"
            next_one = f"{most.tokens:,} tokens"
        else:
            ceiling = (self.ceiling.nanodollars or 0) / NANODOLLARS
            more = f"dollars={2 * ceiling:g}"
            what = f"budget.dollars is {ceiling:g}, ${self._spent.dollars:.4f} are spent"
            next_one = f"${most.dollars:.4f}"
        return BudgetReachedError(
            "END-007",
            f"budget reached: {what}, and the next request could cost {next_one}",
            help=f"freehold climb -s budget.{more}    goes on with what was answered",
        )
