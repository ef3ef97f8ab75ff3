"""What a rung asks its model, byte for byte: the messages of an example, and the text they become."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from freehold.core.candidate import Candidate
from freehold.core.measure import RungResult
from freehold.core.message import Message
from freehold.core.record import Record
from freehold.core.snapshot import Example
from freehold.ladder.climb import ClimbOutcome
from freehold.ladder.recall import answerer_of
from freehold.ladder.rung import Answerer
from freehold.ladder.tools import Models
from freehold.store.store import Store

FORGOTTEN = "its files held rows that were forgotten; freehold climb builds it anew"


class Asked(Record):
    """The messages for one example, the prompt text that they become, and its SHA-256.

    `prompt` is what the tokenizer of the model reads. `sha256` are the hexadecimal digits over its UTF-8.
    """

    messages: tuple[Message, ...]
    prompt: str
    sha256: str
    tokens: int


class RungAsks(Record):
    """What one rung of a climb asks about one input; `asked` is None where it asks no model."""

    rung: str
    state: Literal["asked", "no model", "skipped", "failed"]
    variant: str | None = None
    reason: str | None = None
    asked: Asked | None = None


@dataclass(frozen=True)
class LoadedRung:
    """A measured rung of a climb, ready to be asked; `answerer` is None where its files were forgotten."""

    result: RungResult
    answerer: Answerer | None


def text_digest(text: str) -> str:
    """Return the hexadecimal SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def asked_of(answerer: Answerer, example: Example) -> Asked | None:
    """Return what is asked about an example; None where no model is asked.

    Raises:
        ModelError: the model's chat template refuses these turns.
    """
    messages = answerer.messages(example)
    if messages is None or answerer.model is None:
        return None
    prompt = answerer.model.render(messages)
    return Asked(
        messages=messages,
        prompt=prompt,
        sha256=text_digest(prompt),
        tokens=answerer.model.count_tokens(messages),
    )


def loaded_rungs(outcome: ClimbOutcome, *, store: Store, models: Models) -> Iterator[LoadedRung]:
    """Yield the measured rungs of a climb in ladder order, each loaded when it is wanted."""
    for result in outcome.climb.rungs:
        if result.candidate_digest is None:
            continue
        candidate = store.get(result.candidate_digest, Candidate)
        if not all(digest in store.blobs for digest in candidate.artefacts.values()):
            yield LoadedRung(result, None)
            continue
        yield LoadedRung(result, answerer_of(candidate, outcome, store=store, models=models))


def asks_of_rungs(
    outcome: ClimbOutcome, example: Example, *, store: Store, models: Models
) -> tuple[RungAsks, ...]:
    """Return what every rung of a climb asks about one example, in ladder order."""
    loaded = {one.result.rung: one for one in loaded_rungs(outcome, store=store, models=models)}
    return tuple(_asks(result, loaded.get(result.rung), example) for result in outcome.climb.rungs)


def _asks(result: RungResult, loaded: LoadedRung | None, example: Example) -> RungAsks:
    if loaded is None:
        state = "skipped" if result.state == "skipped" else "failed"
        return RungAsks(rung=result.rung, state=state, reason=result.reason)
    if loaded.answerer is None:
        return RungAsks(rung=result.rung, state="skipped", reason=FORGOTTEN)
    asked = asked_of(loaded.answerer, example)
    state = "no model" if asked is None else "asked"
    return RungAsks(rung=result.rung, state=state, variant=result.variant, asked=asked)
