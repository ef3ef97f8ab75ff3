"""Families over words, letters and numbers: copy, reverse, sort, case, count, arithmetic, pick the n-th word, format.

Each family is a generator of (question, answer) pairs for one rule, wrapped by `exercise`, which draws the
instruction and zero to three worked examples of the same rule. What is fair inside a family is said in its docstring.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from freehold.data.procedural.item import Item, conversation
from freehold.data.procedural.world import World

Pair = tuple[str, str]
Pairs = Callable[[], Pair]


def exercise(
    family: str, rng: random.Random, world: World, *, wordings: tuple[str, ...], pair: Pairs
) -> Item:
    """An item of one rule: instruction as system turn (or before the question), then 0 to 3 worked examples.

    Without any worked example the instruction is always there; with examples it is left out one time in eight.
    """
    shots = rng.choice((0, 0, 1, 2, 3)) if world.scale else rng.choice((1, 2, 3))
    instruction = world.wording(rng, wordings)
    pairs = [_admitted(world, pair) for _ in range(shots + 1)]
    question, answer = pairs[-1]
    roll = rng.random()
    if shots == 0 and roll < 0.3:
        return Item(family, conversation("", [], f"{instruction}\n{question}"), answer)
    system = "" if shots and roll < 0.125 else instruction
    return Item(family, conversation(system, pairs[:-1], question), answer)


def _admitted(world: World, pair: Pairs) -> Pair:
    """A pair whose question this world admits, whatever its spacing and whether sums are spoken or written."""
    while True:
        question, answer = pair()
        if world.admits(question.replace(" plus ", "+").replace(" minus ", "-").replace(" ", "")):
            return question, answer


def spaced(text: str) -> str:
    """Letters separated by single spaces."""
    return " ".join(text)


def copying(rng: random.Random, world: World) -> Item:
    """Repeat a text exactly: 1 to 8 words, a sentence, or a code of letters and digits."""

    def pair() -> Pair:
        roll = rng.random()
        if roll < 0.4:
            text = " ".join(world.words(rng, rng.randint(1, 4 + 4 * min(world.scale, 1))))
        elif roll < 0.8:
            text = world.sentence(rng)
        else:
            text = "-".join(
                "".join(
                    rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789")
                    for _ in range(rng.randint(2, 4))
                )
                for _ in range(rng.randint(1, 3))
            )
        return text, text

    wordings = (
        "Repeat the text.",
        "Copy the message exactly.",
        "Say it again.",
        "Echo the input.",
        "Write the same text again.",
        "Return the input unchanged.",
        "Repeat what the user says.",
        "Copy the text exactly.",
    )
    return exercise("copying", rng, world, wordings=wordings, pair=pair)


def reversing(rng: random.Random, world: World) -> Item:
    """Reverse the order of 2 to 6 words, or of 3 to 7 letters separated by spaces."""
    letters = rng.random() < 0.4

    def pair() -> Pair:
        if letters:
            parts = [rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 7))]
        else:
            parts = world.words(rng, rng.randint(2, 6))
        return " ".join(parts), " ".join(reversed(parts))

    noun = "letters" if letters else "words"
    wordings = (
        f"Reverse the order of the {noun}.",
        f"Write the {noun} backwards.",
        f"Give the {noun} in reverse order.",
        f"Reverse the {noun}.",
        f"List the {noun} from last to first.",
        f"Put the {noun} in reverse order.",
    )
    return exercise("reversing", rng, world, wordings=wordings, pair=pair)


def sorting(rng: random.Random, world: World) -> Item:
    """Sort 3 to 6 letters, 3 to 5 numbers below 100, or 2 to 3 words with different first letters, ascending."""
    kind = rng.choices(("letters", "numbers", "words"), (0.4, 0.4, 0.2))[0]

    def pair() -> Pair:
        if kind == "letters":
            parts = rng.sample("abcdefghijklmnopqrstuvwxyz", rng.randint(3, 6))
            return " ".join(parts), " ".join(sorted(parts))
        if kind == "numbers":
            top = rng.choice((20, 100))
            numbers = rng.sample(range(top), rng.randint(3, 5))
            return " ".join(map(str, numbers)), " ".join(map(str, sorted(numbers)))
        count = rng.choice((2, 2, 3))
        found: dict[str, str] = {}
        while len(found) < count:
            word = world.word(rng)
            found.setdefault(word[0], word)
        return " ".join(found.values()), " ".join(sorted(found.values()))

    order = "ascending order" if kind == "numbers" else "alphabetical order"
    wordings = (
        f"Sort the {kind}.",
        f"Sort the {kind} in {order}.",
        f"Put the {kind} in {order}.",
        f"Write the {kind} in {order}.",
        f"Order these {kind}.",
        f"Arrange the {kind} in {order}.",
    )
    return exercise("sorting", rng, world, wordings=wordings, pair=pair)


def casing(rng: random.Random, world: World) -> Item:
    """Change the case of one word of at most 6 letters, or of 3 to 7 spaced letters: capitals, lower, first capital."""
    rule = rng.choice(("upper", "upper", "lower", "title"))
    change: Callable[[str], str] = {
        "upper": str.upper,
        "lower": str.lower,
        "title": str.capitalize,
    }[rule]
    letters = rule != "title" and rng.random() < 0.4

    def pair() -> Pair:
        if letters:
            text = spaced(
                "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 7)))
            )
        else:
            text = world.word(rng)
            while len(text) > 6:
                text = world.word(rng)
        if rule == "lower":
            text = text.upper()
        return text, change(text)

    wordings = {
        "upper": (
            "Write it in capitals.",
            "Write the text in upper case.",
            "Use capital letters.",
            "Upper-case the input.",
            "Change the text to capital letters.",
            "Put the text in capitals.",
        ),
        "lower": (
            "Write it in small letters.",
            "Write the text in lower case.",
            "Use small letters.",
            "Lower-case the input.",
            "Change the text to lower case.",
            "Put the text in lower case.",
        ),
        "title": (
            "Capitalise the word.",
            "Start the word with a capital.",
            "Make the first letter a capital.",
            "Write the word with a capital first letter.",
            "Put a capital at the start of the word.",
        ),
    }[rule]
    return exercise("casing", rng, world, wordings=wordings, pair=pair)


def counting(rng: random.Random, world: World) -> Item:
    """Count the words in a list of 1 to 8, or how often one word or letter occurs (0 to 5 times) in up to 8."""
    kind = rng.choice(("words", "word", "letter"))

    def pair() -> Pair:
        if kind == "words":
            found = world.words(rng, rng.randint(1, 8))
            return " ".join(found), str(len(found))
        target, *others = (
            world.words(rng, 4) if kind == "word" else rng.sample("abcdefghijklmnopqrstuvwxyz", 4)
        )
        times = rng.randint(0, 5)
        parts = [target] * times + [rng.choice(others) for _ in range(rng.randint(1, 3))]
        rng.shuffle(parts)
        return f"{target}: {' '.join(parts)}", str(times)

    wordings = {
        "words": (
            "How many words are there?",
            "Count the words.",
            "Give the number of words.",
            "How many words do you see?",
            "Count how many words there are.",
            "Tell me the number of words.",
        ),
        "word": (
            "How often does the first word occur after the colon?",
            "Count the word before the colon in the list.",
            "How many times is the word in the list?",
            "Count how often the word is listed.",
            "Count how many times the word is in the list.",
        ),
        "letter": (
            "How often does the letter occur after the colon?",
            "Count the letter before the colon in the list.",
            "How many times is the letter in the list?",
            "Count how often the letter is listed.",
            "Count how many times the letter is in the list.",
        ),
    }[kind]
    return exercise("counting", rng, world, wordings=wordings, pair=pair)


def arithmetic(rng: random.Random, world: World) -> Item:
    """Add or subtract numbers from 0 to 20, never below zero. A fifth of the ordered sums is held out for probes."""
    plus = rng.random() < 0.5
    spoken = rng.random() < 0.3

    def pair() -> Pair:
        a, b = rng.randint(0, 20), rng.randint(0, 20)
        if not plus and a < b:
            a, b = b, a
        sign = ("plus" if plus else "minus") if spoken else ("+" if plus else "-")
        return f"{a} {sign} {b}", str(a + b if plus else a - b)

    wordings = (
        "Work out the result.",
        "Calculate.",
        "What is the result?",
        "Give the answer as a number.",
        "Do the sum.",
        "Compute the value.",
        "Calculate the result.",
    )
    return exercise("arithmetic", rng, world, wordings=wordings, pair=pair)


ORDINALS = ("first", "second", "third", "fourth", "fifth")


def nth_word(rng: random.Random, world: World) -> Item:
    """Pick the first to fifth or the last word of 4 to 9 words."""
    position = rng.randrange(6)
    which = "last" if position == 5 else ORDINALS[position]

    def pair() -> Pair:
        parts = world.words(rng, rng.randint(max(position + 1, 3) if position < 5 else 3, 9))
        return " ".join(parts), parts[-1] if position == 5 else parts[position]

    wordings = (
        f"What is the {which} word?",
        f"Give the {which} word.",
        f"Pick the {which} word.",
        f"Return only the {which} word.",
        f"Which word comes {which}?",
        f"Write the {which} word.",
    )
    return exercise("nth_word", rng, world, wordings=wordings, pair=pair)


FORMATS: dict[str, tuple[tuple[str, ...], Callable[[list[str]], str]]] = {
    "brackets": (
        ("Answer in square brackets.", "Put the text in square brackets."),
        lambda w: f"[{' '.join(w)}]",
    ),
    "quotes": (
        ("Answer in double quotes.", "Put the text in double quotes."),
        lambda w: f'"{" ".join(w)}"',
    ),
    "parentheses": (
        ("Answer in round brackets.", "Put the text in round brackets."),
        lambda w: f"({' '.join(w)})",
    ),
    "stars": (
        ("Put a star on both sides of the text.", "Answer between stars."),
        lambda w: f"*{' '.join(w)}*",
    ),
    "exclaim": (
        ("End with an exclamation mark.", "Add an exclamation mark at the end."),
        lambda w: " ".join(w) + "!",
    ),
    "question": (
        ("End with a question mark.", "Add a question mark at the end."),
        lambda w: " ".join(w) + "?",
    ),
    "prefix": (
        ('Start with "Result:".', 'Begin the answer with "Result:".'),
        lambda w: "Result: " + " ".join(w),
    ),
    "answer": (
        ('Start with "Answer:".', 'Begin the answer with "Answer:".'),
        lambda w: "Answer: " + " ".join(w),
    ),
    "comma": (
        ("Separate the words by commas.", "Write the words with commas between them."),
        lambda w: ", ".join(w),
    ),
    "bar": (
        ("Separate the words by bars.", "Write the words with bars between them."),
        lambda w: " | ".join(w),
    ),
    "hyphen": (
        ("Join the words by hyphens.", "Write the words with hyphens between them."),
        lambda w: "-".join(w),
    ),
    "underscore": (
        ("Join the words by underscores.", "Write the words with underscores between them."),
        lambda w: "_".join(w),
    ),
    "lines": (("One word per line.", "Write each word on its own line."), lambda w: "\n".join(w)),
    "bullets": (
        ("Answer as a bullet list.", "Write the words as a bullet list."),
        lambda w: "\n".join(f"- {x}" for x in w),
    ),
    "numbered": (
        ("Answer as a numbered list.", "Write the words as a numbered list."),
        lambda w: "\n".join(f"{i}. {x}" for i, x in enumerate(w, 1)),
    ),
    "json_list": (
        ("Answer as a JSON list.", "Write the words as a JSON list."),
        lambda w: json.dumps(w),
    ),
    "json_object": (
        ('Answer as JSON with the key "text".', 'Write JSON with the key "text".'),
        lambda w: json.dumps({"text": " ".join(w)}),
    ),
}


def formatting(rng: random.Random, world: World) -> Item:
    """Write 1 to 4 words back in the format asked for (17 formats: brackets, lists, JSON, a prefix, separators)."""
    wordings, write = FORMATS[rng.choice(tuple(FORMATS))]

    def pair() -> Pair:
        found = world.words(rng, rng.randint(1, 4))
        return " ".join(found), write(found)

    repeat = ("Repeat the text. ", "Copy the words. ", "")[rng.randrange(3)]
    full = (*(repeat + wording for wording in wordings), f"Here is some text. {wordings[0]}")
    return exercise("formatting", rng, world, wordings=full, pair=pair)
