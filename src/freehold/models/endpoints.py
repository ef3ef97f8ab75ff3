"""The endpoints that this command may ask, by name; what they may spend together, and what must be said of them."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from freehold.core.errors import ConfigError, ModelError
from freehold.core.sections import BudgetSection, UserEndpoint
from freehold.models.remote import Spending, TokenPrices

if TYPE_CHECKING:
    from freehold.models.endpoint import EndpointModel, Tally
    from freehold.models.endpoint_budget import Purse
    from freehold.models.endpoint_memory import Memory

Secret = Callable[[str], str | None]
"""The value of an environment variable by its name; None where it is not set."""


def _no_secret(_name: str) -> str | None:
    """Say that no variable is set."""
    return None


def _now() -> datetime:
    """Return the time that dates of HTTP are compared with."""
    return datetime.fromtimestamp(time.time(), UTC)


class Endpoints:
    """Opens endpoints by name. Nothing is sent, and no HTTP client loaded, before one is opened.

    Args:
        specs: the settings by name.
        file: where paid answers, spending and identities are kept; None keeps them in memory.
        secret: gives the value of an environment variable.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        specs: Mapping[str, UserEndpoint],
        *,
        file: Path | None = None,
        secret: Secret = _no_secret,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._specs = dict(specs)
        self._file = file
        self._secret = secret
        self._clock = clock
        self._budget = BudgetSection()
        self._account = ""
        self._memory: Memory | None = None
        self._purse: Purse | None = None
        self._tally: Tally | None = None
        self._models: list[EndpointModel] = []

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def spec(self, name: str) -> UserEndpoint:
        """Return the settings of an endpoint.

        Raises:
            ConfigError: CFG-016 when there is none of that name.
        """
        if name not in self._specs:
            raise unknown_endpoint(name, tuple(self._specs))
        return self._specs[name]

    def spend_for(self, account: str, budget: BudgetSection) -> None:
        """Hold everything that is asked from now on to the budget of one task.

        Args:
            account: names the task and its data; what earlier commands spent on it counts.
            budget: its ceilings.
        """
        self._account, self._budget = account, budget
        self._purse = None
        for model in self._models:
            model.pay_from(self._open_purse())

    def open(self, name: str) -> EndpointModel:
        """Return the model behind an endpoint; nothing is sent yet.

        Raises:
            ConfigError: CFG-016, CFG-017 or CFG-006: the settings do not suffice.
            ModelError: END-008: a budget in dollars without a price.
        """
        from freehold.models.endpoint import EndpointModel, Means
        from freehold.models.endpoint_transport import Transport

        spec = self.spec(name)
        self._check_price(name, spec)
        transport = Transport(
            spec,
            key=self._key(name, spec),
            clock=self._clock,
            now=_now,
            rng=random.Random(),
        )
        model = EndpointModel(
            name,
            spec,
            Means(transport, self._open_memory(), self._open_purse(), self._open_tally()),
        )
        self._models.append(model)
        return model

    def spending(self) -> Spending:
        """Return what was asked and spent so far."""
        if self._tally is None or self._purse is None:
            return Spending()
        spent = self._purse.spent
        are_known = all(model.prices.are_known for model in self._models)
        return Spending(
            requests=self._tally.requests,
            from_cache=self._tally.from_cache,
            retries=sum(model.retries for model in self._models),
            lost=sum(model.lost for model in self._models),
            tokens=spent.tokens,
            dollars=spent.dollars if are_known else None,
        )

    def notes(self) -> tuple[str, ...]:
        """Return what a reader of the results must know of the endpoints."""
        return tuple(self._tally.notes) if self._tally is not None else ()

    def close(self) -> None:
        """Close what was opened."""
        for model in self._models:
            model.close()
        self._models.clear()
        if self._memory is not None:
            self._memory.close()
        self._memory = self._purse = self._tally = None

    def _key(self, name: str, spec: UserEndpoint) -> str | None:
        if spec.key is None:
            return None
        variable = spec.key.removeprefix("env:")
        value = (self._secret(variable) or "").strip()
        if value and value.isascii() and value.isprintable():
            return value
        what = "holds what no key can hold" if value else "is not set"
        raise ConfigError(
            "CFG-017",
            f"the key of endpoint {name} is {spec.key}, and {variable} {what}",
            help=f"export {variable}=...    then type the same command again",
        )

    def _check_price(self, name: str, spec: UserEndpoint) -> None:
        from freehold.models.endpoint import prices_of

        prices: TokenPrices = prices_of(spec)
        if self._budget.dollars is None or prices.are_known:
            return
        raise ModelError(
            "END-008",
            f"budget.dollars is {self._budget.dollars:g}, and the price of {name}'s tokens is not known",
            help=f"set endpoints.{name}.dollars_per_million_input_tokens and ..._output_tokens in the user"
            " file (0 where they cost nothing), or budget.tokens in place of budget.dollars",
        )

    def _open_memory(self) -> Memory:
        from freehold.models.endpoint_memory import Memory

        if self._memory is None:
            self._memory = Memory(self._file)
        return self._memory

    def _open_tally(self) -> Tally:
        from freehold.models.endpoint import Tally

        if self._tally is None:
            self._tally = Tally()
        return self._tally

    def _open_purse(self) -> Purse:
        from freehold.models.endpoint_budget import Amount, Purse, ceiling_of

        if self._purse is None:
            memory, account = self._open_memory(), self._account

            def keep(change: Amount) -> None:
                memory.spend(account, nanodollars=change.nanodollars, tokens=change.tokens)

            spent = Amount(*memory.spent(account)) if account else Amount()
            self._purse = Purse(ceiling_of(self._budget), spent=spent, keep=keep)
        return self._purse


def unknown_endpoint(name: str, known: tuple[str, ...]) -> ConfigError:
    """Return the error for a name that no endpoint has."""
    return ConfigError(
        "CFG-016",
        f"there is no endpoint {name} (known: {', '.join(sorted(known)) or 'none'})",
        help="describe it in the user file:\n"
        f"endpoints:\n  {name}: {{url: http://127.0.0.1:8000/v1, model: NAME}}",
    )


def place_of(
    url: str,
) -> Literal["this machine", "a private network", "a host by name", "the internet"]:
    """Return where a url leads, as far as can be told without asking anybody."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost":
        return "this machine"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "a host by name"
    if address.is_loopback:
        return "this machine"
    return "a private network" if address.is_private else "the internet"
