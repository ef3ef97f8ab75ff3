"""Standard cleaning: leave out what repeats with one answer; what contradicts itself stays for a person. Pure.

Nothing that a row says is changed. Rows repeat where input, context, history and answer are the same byte for
byte: a row in other capitals may be what people type. Repeats that differ in their answer are for review.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.record import digest_json
from freehold.core.snapshot import Drop, Example
from freehold.data.derived import with_step

REPEATS = "repeats an earlier row with the same answer"


@dataclass(frozen=True)
class Cleaned:
    """Rows to keep, in their order, with where they came from; drops with reasons; groups for review.

    A group for review is rows with one question and several answers. All of them are kept.
    """

    kept: tuple[Example, ...]
    drops: tuple[Drop, ...]
    review: tuple[tuple[Example, ...], ...]


def cleaned(examples: Sequence[Example], drops: Sequence[Drop]) -> Cleaned:
    """Return the examples without exact repeats.

    Args:
        examples: the rows that can be used.
        drops: the rows that cannot; they are among the drops of the result.
    """
    seen: set[str] = set()
    kept: list[Example] = []
    repeats: list[Drop] = []
    questions: dict[str, list[Example]] = {}
    for example in examples:
        content = example.content_digest
        if content in seen:
            repeats.append(Drop(source=example.source, row=example.row, reason=REPEATS))
            continue
        seen.add(content)
        kept.append(with_step(example))
        questions.setdefault(_question(example), []).append(example)
    return Cleaned(
        kept=tuple(kept),
        drops=(*drops, *repeats),
        review=tuple(tuple(group) for group in questions.values() if len(group) > 1),
    )


def _question(example: Example) -> str:
    history = [turn.to_json() for turn in example.history]
    return digest_json("asked", [example.input, example.context, history])
