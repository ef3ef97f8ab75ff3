"""Who answers at an endpoint: its name, what the server says of it, and its answers to fixed prompts. Pure.

Nobody can see the weights behind a server. What can be seen is what they answer: eight fixed prompts, greedily.
Servers that compute prompts in batches flip a near tie now and then, so two answers may differ before it counts
as another model; a model with other weights answers nearly all of them otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from freehold.core.message import Message, user
from freehold.core.record import Record, digest_json

PROBE_TOKENS = 24
MAY_DIFFER = 2
PROBES: tuple[str, ...] = (
    "Continue this sentence: The old lighthouse keeper opened the door and",
    "List five words that begin with the letters str.",
    "Write one sentence about a river in winter.",
    "What is 47 plus 38? Explain the steps.",
    "Name three things that one can find in a kitchen drawer, and say why.",
    "Translate into French: The train to the coast leaves at noon.",
    "Repeat in reverse order: copper, silver, iron, gold, tin.",
    "Finish the rhyme: The mouse ran up the garden wall,",
)
_LASTING = ("id", "root", "parent", "max_model_len", "context_length", "meta")
"""Of what a server says of a model, the part that stays the same when the server is started again."""
_CONTEXT = ("max_model_len", "context_length", "context_window", "max_context_length")


class Identity(Record):
    """What is known of the model behind an endpoint.

    `answers` are those to `PROBES`, None where there was no text. `system_fingerprints` are all that its
    responses carried: they name the server's set-up, and may change while the model stays.
    """

    model: str
    served: dict[str, JsonValue] | None
    answers: tuple[str | None, ...]
    system_fingerprints: tuple[str, ...] = ()


def probe_prompts() -> tuple[tuple[Message, ...], ...]:
    """Return the fixed prompts."""
    return tuple((user(text),) for text in PROBES)


def lasting(entry: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the part of an entry of the list of models that names the model itself."""
    return {key: entry[key] for key in _LASTING if entry.get(key) is not None}


def context_of(entry: Mapping[str, JsonValue] | None) -> int | None:
    """Return the context that a server says a model has."""
    if entry is None:
        return None
    meta = entry.get("meta")
    places = [entry.get(key) for key in _CONTEXT]
    places += [meta.get("n_ctx"), meta.get("n_ctx_train")] if isinstance(meta, dict) else []
    counts = [n for n in places if isinstance(n, int) and not isinstance(n, bool) and n > 0]
    return counts[0] if counts else None


def differing(first: Sequence[str | None], second: Sequence[str | None]) -> int:
    """Return how many probes were answered otherwise."""
    return sum(one != other for one, other in zip(first, second, strict=True))


def is_same(known: Identity, seen: Identity) -> bool:
    """Return whether both may be one model: same entry, and at most `MAY_DIFFER` answers differ."""
    if known.model != seen.model or len(known.answers) != len(seen.answers):
        return False
    if known.served is not None and seen.served is not None and known.served != seen.served:
        return False
    return differing(known.answers, seen.answers) <= MAY_DIFFER


def digest_of(identity: Identity, generation: int) -> str:
    """Return the name of a model by what is known of it; the url is no part of it.

    `generation` counts the models that answered by one name here. It keeps apart what was measured with each,
    even if one comes back after another was seen.
    """
    answers: list[JsonValue] = list(identity.answers)
    return digest_json("Endpoint", [identity.model, identity.served, answers, generation])
