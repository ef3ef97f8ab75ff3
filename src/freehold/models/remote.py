"""What other rooms need to know of models that run elsewhere: what they cost, and how their work stops.

Importing this module opens nothing and loads no HTTP client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

from pydantic import Field

from freehold.core.errors import ModelError
from freehold.core.record import Record

Dollars = Annotated[float, Field(ge=0)]


class TokenPrices(Record):
    """What an endpoint asks for a million tokens; None where nobody said it."""

    dollars_per_million_input_tokens: Dollars | None = None
    dollars_per_million_output_tokens: Dollars | None = None

    @property
    def are_known(self) -> bool:
        """Whether a price was given. One alone means that the other side costs nothing."""
        return not (
            self.dollars_per_million_input_tokens is None
            and self.dollars_per_million_output_tokens is None
        )

    def dollars(self, *, prompt_tokens: float, answer_tokens: float) -> float | None:
        """Return what so many tokens cost; None where no price is known."""
        if not self.are_known:
            return None
        read = prompt_tokens * (self.dollars_per_million_input_tokens or 0.0)
        written = answer_tokens * (self.dollars_per_million_output_tokens or 0.0)
        return (read + written) / 1e6


@runtime_checkable
class Remote(Protocol):
    """A model behind an endpoint: it has no weights here, and is paid for by the token."""

    @property
    def prices(self) -> TokenPrices:
        """What its tokens cost."""
        ...

    def verify(self) -> None:
        """Ask again what it was asked first.

        Raises:
            ModelChangedError: END-006 when another model answers.
        """
        ...


class EndpointStoppedError(ModelError):
    """The endpoint as a whole cannot be used any more: the work pauses, and nothing of it is lost."""


class ModelChangedError(ModelError):
    """Another model answers than at first: what was asked since then may be of either."""


class BudgetReachedError(ModelError):
    """The next request could pass the budget, so it was not sent."""


@dataclass(frozen=True)
class Spending:
    """What the endpoints of one command were asked, and what that cost so far.

    `requests` were answered, `from_cache` were known already, `retries` were sent once more. `dollars` is
    None where a price is missing. Dollars and tokens count what earlier commands spent on the same task.
    `lost` answers were on their way when the connection broke or the time was over: they are in the
    dollars and tokens at the most that they can have cost.
    """

    requests: int = 0
    from_cache: int = 0
    retries: int = 0
    tokens: int = 0
    dollars: float | None = None
    lost: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether no endpoint was asked."""
        return not (self.requests or self.from_cache or self.retries or self.lost)
