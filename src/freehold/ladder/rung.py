"""What a rung is: functions that say what is missing, which variants exist, build one, and load it.

A candidate is a spec and files. `build` makes the files from training data; `load` makes something
that answers from the files alone, on this machine or another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from freehold.core.sections import RungName, TuneSearch
from freehold.ladder.answerer import Answerer as Answerer
from freehold.ladder.answerer import OnAnswer as OnAnswer
from freehold.ladder.tools import Tools
from freehold.models.door import Model


class SkippedError(Exception):
    """A rung found out, once it was begun, that it cannot run; the message is the reason that is shown."""


DevScores = Callable[[Answerer], Mapping[str, float]]
"""The scores of something under construction on a part of dev, by example id; a failure scores 0."""
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Variant:
    """One setting of a rung that is tried: a name for people, and the spec that is built."""

    name: str
    spec: dict[str, JsonValue]


@dataclass(frozen=True)
class Exam:
    """Dev as a search inside a rung may use it: a part that it sees, and one that it does not.

    `scores(answerer, name, ids)` asks about seen examples and returns scores by id, a failure as 0; `name`
    says what is asked, so that an answer that was paid for is found again. The ids are in a random order
    that is the same every time.
    """

    seen: tuple[str, ...]
    held: tuple[str, ...]
    scores: Callable[[Answerer, str, Sequence[str]], Mapping[str, float]]


@dataclass(frozen=True)
class Found:
    """What a search came to: a variant, None where nothing was better than `start`; and what it took."""

    variant: Variant | None
    start: Variant
    calls: int
    seconds: float
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Trials:
    """A search over settings: its spec, and the variant that settings make."""

    spec: TuneSearch
    variant: Callable[[Mapping[str, JsonValue]], Variant]


@dataclass(frozen=True)
class Built:
    """What building came to: the files, the seconds, and what was decided on the way.

    `spec` are settings that building decided (such as the number of answer tokens), added to the
    variant's own. `earlier_seconds` is time spent before, by work that was kept and used again.
    """

    files: Files = field(default_factory=dict[str, bytes])
    spec: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    earlier_seconds: float = 0.0


def base_of(tools: Tools) -> Model:
    """Return the task's base model."""
    return tools.base()


def search_nothing(tools: Tools, exam: Callable[[float], Exam]) -> Found | None:
    """Return None: nothing is searched."""
    del tools, exam
    return None


def nothing_shorter(variant: Variant, share: float) -> Variant | None:
    """Return None: there is no training to shorten."""
    del variant, share
    return None


def no_trials(tools: Tools) -> Trials | None:
    """Return None: no settings are searched."""
    del tools
    return None


@dataclass(frozen=True)
class Rung:
    """One rung of the ladder.

    `missing(tools)` returns why it cannot run, with the line that enables it, or None; what only shows
    later is raised as `SkippedError` by `variants` or `build`. `changes_weights` tells whether general
    ability can be lost, and `reference(tools)` returns the untrained weights it is compared with.

    `search(tools, exam)` looks for a better variant where the task asks for it; `exam(held)` gives dev with
    that share held back. `trials(tools)` are settings to search. `shorter(variant, share)` is a variant
    with about that share of its training, None where there is none: what costs nothing to build has none.
    """

    name: RungName
    missing: Callable[[Tools], str | None]
    variants: Callable[[Tools], tuple[Variant, ...]]
    build: Callable[[Variant, Tools, DevScores], Built]
    load: Callable[[Mapping[str, JsonValue], Files, Tools], Answerer]
    uses_model: bool = True
    changes_weights: bool = False
    reference: Callable[[Tools], Model] = base_of
    search: Callable[[Tools, Callable[[float], Exam]], Found | None] = search_nothing
    trials: Callable[[Tools], Trials | None] = no_trials
    shorter: Callable[[Variant, float], Variant | None] = nothing_shorter


def weights_are_missing(tools: Tools) -> str | None:
    """Return why nothing can be trained on the task's base: it is an endpoint, and has no weights here."""
    name = tools.task.base.endpoint
    if name is None:
        return None
    return f"missing input: {name} is an endpoint without weights here; name a local model in models.base.id"


def nothing_is_missing(tools: Tools) -> str | None:
    """Return None: the rung can always run."""
    del tools
    return None
