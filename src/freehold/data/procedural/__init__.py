"""Procedural instruction families: what acorn is trained on, and (in a held-out world) what kept ability is probed by.

A family is a function from a seeded generator and a world to one item. Everything is a pure function of the two.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from freehold.data.procedural.classify import intents, labels, nearest, options
from freehold.data.procedural.item import Item, Message, Role
from freehold.data.procedural.reading import extraction, lookup
from freehold.data.procedural.words import (
    arithmetic,
    casing,
    copying,
    counting,
    formatting,
    nth_word,
    reversing,
    sorting,
)
from freehold.data.procedural.world import World, probe_world, training_world

Family = Callable[[random.Random, World], Item]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "labels": labels,
        "nearest": nearest,
        "intents": intents,
        "options": options,
        "lookup": lookup,
        "extraction": extraction,
        "copying": copying,
        "reversing": reversing,
        "sorting": sorting,
        "casing": casing,
        "counting": counting,
        "arithmetic": arithmetic,
        "nth_word": nth_word,
        "formatting": formatting,
    }
)

__all__ = [
    "FAMILIES",
    "Family",
    "Item",
    "Message",
    "Role",
    "World",
    "probe_world",
    "training_prompts",
    "training_world",
]


def training_prompts(items_per_family: int, seed: int) -> tuple[tuple[Message, ...], ...]:
    """Return conversations that end with the user, from the side of the world that models are trained on.

    No probe is among them: probes come from the held-out side (`probe_world`). Families take turns.
    """
    world = training_world()
    rngs = {name: random.Random(f"replay/{name}/{seed}") for name in FAMILIES}
    return tuple(
        FAMILIES[name](rngs[name], world).messages
        for _ in range(items_per_family)
        for name in FAMILIES
    )
