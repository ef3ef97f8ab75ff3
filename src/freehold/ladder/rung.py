"""What a rung is: functions that say what is missing, which variants exist, build one, and load it.

A candidate is a spec and files. `build` makes the files from training data; `load` makes something
that answers from the files alone, on this machine or another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue

from freehold.core.measure import Answer
from freehold.core.message import Message
from freehold.core.outcome import Failed
from freehold.core.sections import RungName
from freehold.core.snapshot import Example
from freehold.ladder.tools import Tools
from freehold.models.door import Model

OnAnswer = Callable[[int, Answer | Failed], None]
DevScores = Callable[["Answerer"], Mapping[str, float]]
"""The scores of something under construction on a part of dev, by example id; a failure scores 0."""
Files = Mapping[str, bytes]


class Answerer(Protocol):
    """Something that answers examples of the task."""

    @property
    def model(self) -> Model | None:
        """The model that is asked; None where none is."""
        ...

    def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
        """Answer each example; call `on_answer(index, answer)` as soon as one is known."""
        ...

    def messages(self, example: Example) -> tuple[Message, ...] | None:
        """Return the byte-exact messages for an example; None where no model is asked."""
        ...


@dataclass(frozen=True)
class Variant:
    """One setting of a rung that is tried: a name for people, and the spec that is built."""

    name: str
    spec: dict[str, JsonValue]


@dataclass(frozen=True)
class Built:
    """What building came to: the files, the seconds, and what was decided on the way.

    `spec` are settings that building decided (such as the number of answer tokens), added to the
    variant's own. `earlier_seconds` is time spent before, by work that was kept and used again.
    """

    files: Files = field(default_factory=dict[str, bytes])
    spec: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    earlier_seconds: float = 0.0


@dataclass(frozen=True)
class Rung:
    """One rung of the ladder.

    `missing(tools)` returns why it cannot run, with the line that enables it, or None.
    `changes_weights` tells whether general ability can be lost.
    """

    name: RungName
    missing: Callable[[Tools], str | None]
    variants: Callable[[Tools], tuple[Variant, ...]]
    build: Callable[[Variant, Tools, DevScores], Built]
    load: Callable[[Mapping[str, JsonValue], Files, Tools], Answerer]
    uses_model: bool = True
    changes_weights: bool = False


def nothing_is_missing(tools: Tools) -> str | None:
    """Return None: the rung can always run."""
    del tools
    return None
