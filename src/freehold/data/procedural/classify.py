"""Families about choosing a label: few-shot with arbitrary labels, nearest examples, request meanings, listed options.

All are prompted as the product prompts: the instruction (and perhaps the allowed answers) as system turn, examples as
user and assistant turns with the bare label, then the text to classify.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from freehold.data.procedural import vocabulary
from freehold.data.procedural.item import Item, conversation
from freehold.data.procedural.world import STYLES, World, corrupted, recased, styled

INSTRUCTIONS = (
    "Classify the message.",
    "Classify the customer request.",
    "What is the intent of this message?",
    "Sort the message into one of the categories.",
    "Give the label of the text.",
    "Which label fits?",
    "Choose the category that fits the request.",
    "Label the text.",
    "Classify the text into a category.",
    "Predict the intent.",
    "Name the category of the message.",
)
LISTINGS = (
    "Answer with one of: {}.",
    "Answer with one of: {}.",
    "Answer with exactly one of these: {}.",
    "Allowed answers: {}.",
    "Options: {}",
    "Choose one of: {}.",
    "Labels: {}.",
    "Possible answers: {}.",
)


def instructed(rng: random.Random, world: World, options: Sequence[str]) -> str:
    """An instruction, with the allowed answers in random order when there are any, on its line or on the next."""
    text = world.wording(rng, INSTRUCTIONS)
    if not options:
        return text
    listed = list(options)
    rng.shuffle(listed)
    listing = world.wording(rng, LISTINGS).format(", ".join(listed))
    return f"{text}{rng.choice((' ', chr(10), chr(10)))}{listing}"


def overlap(one: str, other: str) -> float:
    """Share of common words, 0 to 1 (Jaccard index of lower-cased words)."""
    a, b = set(one.lower().split()), set(other.lower().split())
    return len(a & b) / max(1, len(a | b))


def distinct_labels(rng: random.Random, world: World, count: int) -> list[str]:
    """Different labels, mostly in one style; some share a word, as real label sets do."""
    style = rng.choice(STYLES)
    found: dict[str, None] = {}
    shared = world.pick(rng, vocabulary.WORDS)
    while len(found) < count:
        label = world.label(rng)
        if rng.random() < 0.5:
            parts = [world.label_word(rng) for _ in range(rng.choice((1, 2, 3)))]
            label = styled(style, [shared, *parts] if rng.random() < 0.3 else parts)
        found[label] = None
    return list(found)


def spare_options(rng: random.Random, world: World) -> int:
    """How many further labels an option list holds, by the world's scale: up to 3, 16 or 120."""
    return rng.choice(((0, 1, 2, 3), (0, 2, 5, 10, 16), (10, 30), (30, 70, 120))[world.scale])


def most_examples(world: World) -> int:
    """The largest number of examples in a prompt of this world."""
    return (2, 6, 8, 8)[world.scale]


def labels(rng: random.Random, world: World) -> Item:
    """Few-shot examples in any order, 2 to 5 classes with arbitrary labels; the text is a noisy copy of one example's.

    Each class is one sentence; its examples are corrupted copies of it, so the most similar example has the label.
    """
    k = rng.randint(1 if world.scale == 0 else 2, most_examples(world))
    classes = rng.randint(1 if k == 1 else 2, max(1, min(k, 5)))
    names = distinct_labels(rng, world, classes)
    roots = [world.sentence(rng) for _ in names]
    strength = rng.choice((0.0, 0.1, 0.2, 0.3))
    order = [*range(classes), *(rng.randrange(classes) for _ in range(k - classes))]
    rng.shuffle(order)
    examples = [(corrupted(rng, roots[i], strength=strength), names[i]) for i in order]
    right = rng.randrange(classes)
    question = corrupted(rng, roots[right], strength=strength)
    return _asked(rng, world, _Drawn("labels", names, examples, question, names[right]))


def nearest(rng: random.Random, world: World) -> Item:
    """1 to 8 examples ordered by increasing similarity, labels repeated among them, as the retrieve rung prompts.

    The right label is the last example's most of the time and otherwise that of a very similar one before it.
    """
    k = rng.randint(1, max(3, most_examples(world)))
    classes = rng.randint(1, min(k, 4))
    names = distinct_labels(rng, world, classes)
    roots = [world.sentence(rng) for _ in names]
    order = [
        0,
        *(rng.choices(range(classes), [3.0] + [1.0] * (classes - 1))[0] for _ in range(k - 1)),
    ]
    question = corrupted(rng, roots[0], strength=0.15)
    strengths = (0.2, 0.3, 0.4) if world.scale else (0.0, 0.1)
    examples = [(corrupted(rng, roots[i], strength=rng.choice(strengths)), names[i]) for i in order]
    examples.sort(key=lambda example: overlap(example[0], question))
    return _asked(rng, world, _Drawn("nearest", names, examples, question, names[0]))


def intents(rng: random.Random, world: World) -> Item:
    """Few-shot over customer requests: another wording of the same meaning has the right label, which may be arbitrary.

    Distractors are often about the same thing or ask the same of another thing. Random order, or most similar last.
    """
    k = rng.randint(2, max(2, most_examples(world)))
    classes = rng.randint(2, max(2, min(k, 4)))
    meanings: dict[tuple[str, str], None] = {}
    while len(meanings) < classes:
        intent, thing = world.meaning(rng)
        if meanings and rng.random() < 0.5:
            thing = next(iter(meanings))[1]
        if world.admits(f"{intent} {thing}"):
            meanings[(intent, thing)] = None
    kinds = list(meanings)
    names = distinct_labels(rng, world, classes) if rng.random() < 0.5 else _meant(rng, kinds)
    order = [
        *range(classes),
        *(rng.choices(range(classes), [2.0] + [1.0] * (classes - 1), k=k - classes)),
    ]
    rng.shuffle(order)
    examples = [(recased(rng, world.request(rng, *kinds[i])), names[i]) for i in order]
    question = corrupted(rng, world.request(rng, *kinds[0]), strength=0.05)
    if rng.random() < 0.5:
        examples.sort(key=lambda e: overlap(e[0], question) + (0.4 if e[1] == names[0] else 0.0))
    return _asked(rng, world, _Drawn("intents", names, examples, question, names[0]))


def _meant(rng: random.Random, kinds: Sequence[tuple[str, str]]) -> list[str]:
    """Labels that say the meaning: thing and intent, in one style."""
    style = rng.choice(STYLES)
    first = rng.random() < 0.7
    return [
        styled(
            style, (f"{thing} {intent}" if first else f"{intent} {thing}").replace("_", " ").split()
        )
        for intent, thing in kinds
    ]


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What a family drew: its label names, the examples, the text to classify and its label."""

    family: str
    names: list[str]
    examples: list[tuple[str, str]]
    question: str
    answer: str


def _asked(rng: random.Random, world: World, drawn: _Drawn) -> Item:
    """Return the item, with an instruction and the allowed answers most of the time."""
    names = drawn.names
    roll = rng.random()
    options: list[str] = []
    if roll < 0.6:
        options = list(
            dict.fromkeys(
                [*names, *distinct_labels(rng, world, len(names) + spare_options(rng, world))]
            )
        )
    system = "" if roll > 0.93 else instructed(rng, world, options)
    return Item(drawn.family, conversation(system, drawn.examples, drawn.question), drawn.answer)


def options(rng: random.Random, world: World) -> Item:
    """Choose among 2 to 8 listed options (up to 100 in long prompts), no or few examples.

    Two kinds: the option that occurs in the text, or the label of a request's meaning among labels of other meanings,
    where the label's words overlap with the words of the request.
    """
    count = rng.choice(
        (2, 3) if world.scale == 0 else (2, 3, 4, 5, 6, 8) if world.scale == 1 else (20, 50, 100)
    )
    shots = rng.choice((0, 0, 1, 2)) if world.scale else rng.choice((0, 1, 2))
    if rng.random() < 0.5:
        return _option_in_text(rng, world, (count, shots))
    kinds: dict[tuple[str, str], None] = {}
    things: dict[str, tuple[str, str]] = {}
    while len(things) < min(count, 40):
        kind = world.meaning(rng)
        things.setdefault(kind[1], kind)
        kinds = dict.fromkeys(things.values())
    chosen = list(kinds)
    names = _meant(rng, chosen)
    picks = [rng.randrange(len(chosen)) for _ in range(shots + 1)]
    pairs = [(world.request(rng, *chosen[i]), names[i]) for i in picks]
    system = instructed(rng, world, names)
    return Item("options", conversation(system, pairs[:-1], pairs[-1][0]), pairs[-1][1])


OPTION_WORDINGS = (
    "Which of the options is in the text?",
    "Pick the option that the text mentions.",
    "Answer with the option that occurs in the text.",
    "Which option is mentioned?",
    "Name the option in the text.",
    "Choose the option that the text mentions.",
)


def _option_in_text(rng: random.Random, world: World, size: tuple[int, int]) -> Item:
    """The option that occurs as a word of the text."""
    count, shots = size
    choices = world.words(rng, count)
    pairs: list[tuple[str, str]] = []
    for _ in range(shots + 1):
        answer = rng.choice(choices)
        others = [word for word in world.words(rng, rng.randint(2, 6)) if word not in choices]
        parts = [*others, answer]
        rng.shuffle(parts)
        pairs.append((" ".join(parts), answer))
    instruction = world.wording(rng, OPTION_WORDINGS)
    listing = world.wording(rng, LISTINGS).format(", ".join(choices))
    system = f"{instruction}{rng.choice((' ', chr(10)))}{listing}"
    return Item("options", conversation(system, pairs[:-1], pairs[-1][0]), pairs[-1][1])
