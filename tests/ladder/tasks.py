"""A tiny task for ladder tests: three colours of things, said in a few ways."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime

from freehold.core.message import Message
from freehold.core.snapshot import Example

THINGS = {
    "red": ("a ripe tomato", "fresh blood", "a fire engine", "a poppy", "a ruby", "a cherry"),
    "green": ("mown grass", "a frog", "an emerald", "spinach", "a cucumber", "moss"),
    "blue": ("the clear sky", "a sapphire", "the deep sea", "a bluebell", "lapis", "denim"),
}
WAYS = ("what colour is {}?", "tell me the colour of {}", "{} - which colour", "name {}'s colour")


def colour_rows(count: int, *, seed: int = 1) -> list[dict[str, str]]:
    rng = random.Random(seed)
    rows: list[dict[str, str]] = []
    while len(rows) < count:
        colour = rng.choice(sorted(THINGS))
        thing = rng.choice(THINGS[colour])
        number = len(rows)
        rows.append({"text": f"{rng.choice(WAYS).format(thing)} (case {number})", "label": colour})
    return rows


def truth(messages: Sequence[Message]) -> str:
    """The right colour for the last user turn, however it is worded."""
    question = " ".join(messages[-1].content.lower().split())
    return next(c for c, things in THINGS.items() if any(thing in question for thing in things))


def example(number: int, text: str, target: str = "red") -> Example:
    return Example(id=f"e{number}", input=text, target=target)


def at_noon() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
