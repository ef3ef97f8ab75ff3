"""Families about reading: look a fact up in a given context, and extract slots of a request into JSON."""

from __future__ import annotations

import json
import random
import re

from freehold.data.procedural import requests, vocabulary
from freehold.data.procedural.item import Item, conversation
from freehold.data.procedural.world import World

RELATIONS: tuple[tuple[str, str, str], ...] = (
    ("{name} lives in {value}.", "Where does {name} live?", "place"),
    ("{name} works as a {value}.", "What is the job of {name}?", "word"),
    ("{name} owns a {value}.", "What does {name} own?", "word"),
    ("{name} was born in {value}.", "Where was {name} born?", "place"),
    ("{name} is {value} years old.", "How old is {name}?", "number"),
    ("{name} likes {value}.", "What does {name} like?", "word"),
    ("The brother of {name} is {value}.", "Who is the brother of {name}?", "person"),
    ("{name} plays the {value}.", "What does {name} play?", "word"),
    ("{name} will arrive on {value}.", "When will {name} arrive?", "day"),
    ("{name} has {value} books.", "How many books does {name} have?", "number"),
    ("The boss of {name} is called {value}.", "What is the boss of {name} called?", "person"),
)

LOOKUP_WORDINGS = (
    "Answer from the context.",
    "Answer the question.",
    "Use the context to answer.",
    "Read the text and answer.",
    "Answer with a few words from the context.",
    "Answer the question with words from the context.",
)


def _value(rng: random.Random, world: World, kind: str) -> str:
    """A value of one kind of slot."""
    if kind == "number":
        return str(rng.randint(2, 99))
    if kind == "day":
        return rng.choice(vocabulary.DAYS[:7]).capitalize()
    if kind == "person":
        return world.name_of_person(rng)
    return world.place(rng) if kind == "place" else world.word(rng)


def _story(rng: random.Random, world: World) -> tuple[str, str, str]:
    """Facts as one text, one question and its answer (no name has the same relation twice)."""
    count = rng.randint(1, (2, 5, 12, 40)[world.scale])
    facts: dict[tuple[str, int], tuple[str, str]] = {}
    people = [world.name_of_person(rng) for _ in range(max(1, count // 2 + 1))]
    while len(facts) < count:
        name, which = rng.choice(people), rng.randrange(len(RELATIONS))
        told, _, kind = RELATIONS[which]
        value = _value(rng, world, kind)
        facts.setdefault((name, which), (told.format(name=name, value=value), value))
        if len(people) * len(RELATIONS) <= len(facts):
            break
    keys = list(facts)
    right = rng.choice(keys)
    question = RELATIONS[right[1]][1].format(name=right[0])
    return " ".join(text for text, _ in facts.values()), question, facts[right][1]


def _table(rng: random.Random, world: World) -> tuple[str, str, str]:
    """Key and value pairs as one text, a question for one key, and its value."""
    keys = world.words(rng, rng.randint(2, (3, 6, 16, 60)[world.scale]))
    numbers = rng.random() < 0.5
    values = [str(rng.randint(0, 999)) if numbers else world.word(rng) for _ in keys]
    join, between = rng.choice(
        ((": ", ", "), (" = ", ", "), (": ", "\n"), (" is ", "; "), (" - ", "\n"))
    )
    text = between.join(f"{key}{join}{value}" for key, value in zip(keys, values, strict=True))
    i = rng.randrange(len(keys))
    asked = rng.choice(
        ("What is the value of {}?", "What stands next to {}?", "Which value has {}?", "{}")
    )
    return text, asked.format(keys[i]), values[i]


def lookup(rng: random.Random, world: World) -> Item:
    """Answer with the words of a short context: facts about people, or a table of keys and values; 0 to 2 examples."""
    make = _story if rng.random() < 0.6 else _table
    shots = rng.choice((0, 0, 0, 1, 2)) if world.scale < 2 else 0
    pairs: list[tuple[str, str]] = []
    for _ in range(shots + 1):
        text, question, answer = make(rng, world)
        pairs.append((f"Context: {text}\n\nQuestion: {question}", answer))
    return Item(
        "lookup",
        conversation(world.wording(rng, LOOKUP_WORDINGS), pairs[:-1], pairs[-1][0]),
        pairs[-1][1],
    )


EXTRACTION_WORDINGS = (
    "Extract the intent and the slots as JSON.",
    "Return the intent and its slots as JSON.",
    "Answer with a JSON object of intent and slots.",
    "Find the slots of the request. Answer in JSON.",
    "Extract the information as JSON.",
    "Return JSON with the intent and the slots.",
)
FIELD_WORDINGS = (
    "Extract {} as JSON.",
    "Return JSON with the keys {}.",
    "Answer with a JSON object with {}.",
    "Write {} as JSON.",
    "Extract the fields {} as a JSON object.",
    "Return a JSON object with the keys {}.",
)


CLOSED_SLOTS = frozenset(("size", "count", "day", "season", "colour"))
"""Slots whose few values both worlds share: a probe's template has another slot too."""


def slots_of(template: str) -> list[str]:
    """Return the names of a template's slots, in the order of the text."""
    return re.findall(r"\{(\w+)\}", template)


def _slot(rng: random.Random, world: World, slot: str) -> str:
    """A value for a slot of the request grammar."""
    if slot in ("size", "count"):
        return (
            str(rng.randint(2, 12))
            if rng.random() < 0.8
            else rng.choice(("two", "three", "four", "five"))
        )
    if slot == "day":
        return rng.choice(vocabulary.DAYS)
    if slot in ("city", "place"):
        return world.place(rng)
    if slot == "person":
        return world.name_of_person(rng)
    if slot in ("venue", "title"):
        return world.title(rng)
    if slot == "season":
        return rng.choice(("spring", "summer", "autumn", "winter"))
    return (
        rng.choice(("red", "blue", "green", "white", "black"))
        if slot == "colour"
        else world.word(rng)
    )


def filled(rng: random.Random, world: World, intent: str) -> tuple[str, dict[str, str]]:
    """A request of the slotted grammar and its slots, in the order of the text."""
    templates = requests.SLOTTED[intent]
    if world.probes:
        templates = tuple(text for text in templates if not CLOSED_SLOTS.issuperset(slots_of(text)))
    template = rng.choice(templates)
    slots = {slot: _slot(rng, world, slot) for slot in slots_of(template)}
    text = template.format(**slots)
    if rng.random() < 0.3:
        text, slots = text.lower(), {slot: value.lower() for slot, value in slots.items()}
    elif rng.random() < 0.3:
        text = text[0].upper() + text[1:]
        slots = {
            slot: value if value in text else text[: len(value)] for slot, value in slots.items()
        }
    return text, slots


def extraction(rng: random.Random, world: World) -> Item:
    """Slots of a request as a JSON object in the order of the text, with the intent or just the fields, 0 to 4 examples.

    Without the intent, the instruction or an example names the fields. With it, an example shows the intent's name,
    or the instruction lists the intents.
    """
    names = rng.sample(tuple(requests.SLOTTED), rng.randint(1, 3))
    shots = rng.choice((0, 1, 2, 3, 4)) if world.scale else rng.choice((1, 2))
    if rng.random() < 0.35:
        return _fields(rng, world, names[0])
    renamed = {
        name: name if rng.random() < 0.6 else world.title(rng).title().replace(" ", "")
        for name in names
    }
    order = [names[0], *(rng.choice(names) for _ in range(shots))]
    rng.shuffle(order)
    pairs: list[tuple[str, str]] = []
    for name in order:
        text, slots = filled(rng, world, name)
        pairs.append(
            (text, json.dumps({"intent": renamed[name], "slots": slots}, ensure_ascii=False))
        )
    system = world.wording(rng, EXTRACTION_WORDINGS)
    last = order[-1]
    if last not in order[:-1] or rng.random() < 0.3:
        keys = sorted({slot for t in requests.SLOTTED[last] for slot in slots_of(t)})
        listed = list(renamed.values())
        rng.shuffle(listed)
        system += f"\nIntents: {', '.join(listed)}. Slots: {', '.join(keys)}."
    return Item("extraction", conversation(system, pairs[:-1], pairs[-1][0]), pairs[-1][1])


def _fields(rng: random.Random, world: World, intent: str) -> Item:
    """The named fields of one request, without the intent."""
    shots = rng.choice((0, 0, 1, 2))
    made = [filled(rng, world, intent) for _ in range(shots + 1)]
    pairs = [(text, json.dumps(slots, ensure_ascii=False)) for text, slots in made]
    keys = list(made[-1][1])
    listed = " and ".join([", ".join(keys[:-1]), keys[-1]]) if len(keys) > 1 else keys[0]
    system = world.wording(rng, FIELD_WORDINGS).format(listed)
    return Item("extraction", conversation(system, pairs[:-1], pairs[-1][0]), pairs[-1][1])
