"""What a look at the data saw: warnings for people, figures for `--json`, lines for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pydantic import JsonValue

from freehold.core.errors import Problem

if TYPE_CHECKING:
    from freehold.cli.session import Session
    from freehold.ladder.prepare import Prepared


@dataclass(frozen=True)
class Seen:
    """What a look saw. `figures` stand under the look's name in `check --json`."""

    problems: tuple[Problem, ...] = ()
    figures: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    lines: tuple[str, ...] = ()


Look: TypeAlias = Callable[["Prepared", "Session"], Seen]
