"""What `check` and `data show` look for in the data beyond its form, in one mapping.

A look is one function from prepared data to what was seen: warnings for people, figures for `--json`,
and lines for the terminal. One that needs more than a few seconds bounds its work and says so.
"""

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


def _contamination(prepared: Prepared, session: Session) -> Seen:
    from freehold.cli.contamination import look

    return Seen(*look(prepared, session))


LOOKS: Mapping[str, Look] = {"contamination": _contamination}


def look_at(prepared: Prepared, session: Session) -> dict[str, Seen]:
    """Return what every look saw, by its name."""
    return {name: look(prepared, session) for name, look in LOOKS.items()}
