"""What an item may be made of: words, names, labels, sentences and wordings, split once into training and held-out.

One rule splits everything: `held_out(text)` hashes the text (CRC-32, modulo 5), and a fifth of all words, names,
places, labels, pairs of numbers and request meanings falls on the held-out side. A training world never draws from
that side, a probe world draws from nothing else. Instruction wordings are lists whose last entry is held out: a
training world never uses it, a probe world uses all of them.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from freehold.data.procedural import requests, vocabulary

T = TypeVar("T")

HELD_OUT_MODULUS: Final = 5


def held_out(text: str) -> bool:
    """Whether a text belongs to the probes; the same on every machine and in every version."""
    return zlib.crc32(text.lower().encode()) % HELD_OUT_MODULUS == 0


@dataclass(frozen=True, slots=True)
class World:
    """The material of one side of the split, and how large items may grow.

    `scale` 0 gives very short items (a curriculum's start), 1 the usual size, 3 prompts of up to about 1,000 tokens.
    `sentences` are optional real sentences; a probe world has none. `made_up` is the share of made-up words among
    the words, and `compounds` the share of two joined words among the made-up ones. A part of a compound may be a
    held-out word: the compound as a whole is admitted or not.
    """

    name: str
    probes: bool
    scale: int = 1
    sentences: tuple[str, ...] = ()
    made_up: float = 0.2
    compounds: float = 0.0

    def admits(self, text: str) -> bool:
        """Whether this world may use the text."""
        return held_out(text) == self.probes

    def pick(self, rng: random.Random, choices: Sequence[T]) -> T:
        """One of the choices this world admits, by the hash of `str(choice)`; any one when it admits none."""
        for _ in range(64):
            choice = choices[rng.randrange(len(choices))]
            if self.admits(str(choice)):
                return choice
        return choices[rng.randrange(len(choices))]

    def wording(self, rng: random.Random, wordings: Sequence[str]) -> str:
        """One wording of an instruction; the last in the list is held out of training."""
        return wordings[rng.randrange(len(wordings) if self.probes else len(wordings) - 1)]

    def word(self, rng: random.Random) -> str:
        """A common English word, or with probability `made_up` a made-up one."""
        if rng.random() < self.made_up:
            return self.invented(rng)
        return self.pick(rng, vocabulary.WORDS)

    def words(self, rng: random.Random, count: int) -> list[str]:
        """Distinct words."""
        found: dict[str, None] = {}
        while len(found) < count:
            found[self.word(rng)] = None
        return list(found)

    def invented(self, rng: random.Random) -> str:
        """A made-up word that this world admits: one to three syllables, or two words joined."""
        while True:
            if self.compounds and rng.random() < self.compounds:
                word = rng.choice(vocabulary.WORDS) + rng.choice(vocabulary.WORDS)
                if self.admits(word):
                    return word
                continue
            syllables = [
                rng.choice(vocabulary.ONSETS) + rng.choice(vocabulary.VOWELS)
                for _ in range(rng.choice((1, 2, 2, 3)))
            ]
            word = "".join(syllables) + rng.choice(vocabulary.CODAS)
            if self.admits(word):
                return word

    def label_word(self, rng: random.Random) -> str:
        """A word of a label: a common one, or with half the probability `compounds` a made-up one."""
        if self.compounds and rng.random() < self.compounds / 2:
            return self.invented(rng)
        return self.pick(rng, vocabulary.WORDS)

    def name_of_person(self, rng: random.Random) -> str:
        """A first name, or with probability 0.15 a made-up one."""
        return (
            self.invented(rng).capitalize()
            if rng.random() < 0.15
            else self.pick(rng, vocabulary.NAMES)
        )

    def place(self, rng: random.Random) -> str:
        """A city, or with probability 0.15 a made-up one."""
        return (
            self.invented(rng).capitalize()
            if rng.random() < 0.15
            else self.pick(rng, vocabulary.PLACES)
        )

    def title(self, rng: random.Random) -> str:
        """A title of one to three words, capitalised or not."""
        text = " ".join(self.word(rng) for _ in range(rng.choice((1, 2, 2, 3))))
        return text.title() if rng.random() < 0.6 else text

    def request(self, rng: random.Random, intent: str, thing: str) -> str:
        """A request with this meaning, in one of its templates; lower case with probability 0.6."""
        text = rng.choice(requests.INTENTS[intent]).format(x=thing, day=rng.choice(vocabulary.DAYS))
        return text if rng.random() < 0.6 else text[0].upper() + text[1:]

    def meaning(self, rng: random.Random) -> tuple[str, str]:
        """An intent and a thing whose combination this world admits."""
        while True:
            intent = rng.choice(tuple(requests.INTENTS))
            thing = rng.choice(rng.choice(tuple(requests.THINGS.values())))
            if self.admits(f"{intent} {thing}"):
                return intent, thing

    def sentence(self, rng: random.Random) -> str:
        """A sentence: a real one where there are any, a request, or one made of the world's words."""
        roll = rng.random()
        if self.sentences and roll < 0.45:
            return self.sentences[rng.randrange(len(self.sentences))]
        if roll < 0.75:
            return self.request(rng, *self.meaning(rng))
        return made_sentence(rng, self)

    def label(self, rng: random.Random) -> str:
        """A label of one to four words in one of the styles seen in label sets."""
        while True:
            count = rng.choice((1, 2, 2, 2, 3, 4))
            label = styled(rng.choice(STYLES), [self.label_word(rng) for _ in range(count)])
            if rng.random() < 0.1:
                label = rng.choice(
                    (self.invented(rng), rng.choice("ABCDEFGHXYZ"), f"L{rng.randrange(100)}")
                )
            if self.admits(label) or len(label) < 4:
                return label


STYLES: Final = ("snake", "snake", "snake", "plain", "Sentence", "Title", "Camel", "kebab")


def styled(style: str, words: Sequence[str]) -> str:
    """Words joined as a label: `lost_card`, `lost card`, `Lost card`, `Lost Card`, `LostCard` or `lost-card`."""
    if style == "snake":
        return "_".join(words)
    if style == "kebab":
        return "-".join(words)
    if style == "Camel":
        return "".join(word.capitalize() for word in words)
    if style == "Title":
        return " ".join(word.capitalize() for word in words)
    text = " ".join(words)
    return text[0].upper() + text[1:] if style == "Sentence" else text


def made_sentence(rng: random.Random, world: World) -> str:
    """A sentence from a few fixed frames, filled with the world's words, names and places."""
    a, b, c, d = world.words(rng, 4)
    person, place = world.name_of_person(rng), world.place(rng)
    frames = (
        f"{person} saw the {a} {b} near the {c}.",
        f"The {a} in {place} is {b} and {c}.",
        f"There are {rng.randrange(2, 20)} {a} boxes behind the {b} {c}.",
        f"why is the {a} so {b} when the {c} is {d}?",
        f"{person} took a {a} from {place} to the {b}.",
        f"i put the {a} {b} on top of the {c} {d}",
        f"can you bring the {a} and the {b} to {place}?",
        f"{a} {b} {c} {d}",
        f"The {a} that {person} likes is not a {b} but a {c}.",
        f"my {a} needs a {b} before {rng.choice(vocabulary.DAYS)}",
    )
    return rng.choice(frames)


def corrupted(rng: random.Random, text: str, *, strength: float) -> str:
    """A noisy copy of a sentence: synonyms, dropped and swapped words, typing slips, fillers, other casing.

    `strength` is the chance that a word is touched. At least one word survives.
    """
    words: list[str] = []
    for word in text.split():
        if rng.random() >= strength:
            words.append(word)
            continue
        bare = word.strip(".,?!").lower()
        roll = rng.random()
        if bare in vocabulary.SYNONYMS and roll < 0.6:
            words.append(rng.choice(vocabulary.SYNONYMS[bare]))
        elif roll < 0.35:
            words.append(rng.choice(vocabulary.WORDS))
        elif roll < 0.6:
            words.append(slip(rng, word))
        elif roll < 0.75:
            words.extend((rng.choice(vocabulary.FILLERS), word))
    if not words:
        words = text.split()
    if len(words) > 2 and rng.random() < strength:
        i = rng.randrange(len(words) - 1)
        words[i], words[i + 1] = words[i + 1], words[i]
    if rng.random() < strength:
        words.insert(rng.choice((0, len(words))), rng.choice(vocabulary.FILLERS))
    noisy = " ".join(words)
    return recased(rng, noisy)


def recased(rng: random.Random, text: str) -> str:
    """The text as it stands (0.6), in lower case (0.3), or without its final punctuation (0.1)."""
    roll = rng.random()
    if roll < 0.6:
        return text
    return text.lower() if roll < 0.9 else text.rstrip(".?!") or text


def slip(rng: random.Random, word: str) -> str:
    """One typing slip: two letters swapped, one dropped or one doubled."""
    if len(word) < 3:
        return word
    i = rng.randrange(len(word) - 1)
    return rng.choice(
        (
            word[:i] + word[i + 1] + word[i] + word[i + 2 :],
            word[:i] + word[i + 1 :],
            word[:i] + word[i] + word[i:],
        )
    )


def training_world(
    sentences: Sequence[str] = (), *, scale: int = 1, made_up: float = 0.2, compounds: float = 0.0
) -> World:
    """The world that training draws from; real sentences, where given, are only ever in this one."""
    return World(
        "training",
        probes=False,
        scale=scale,
        sentences=tuple(sentences),
        made_up=made_up,
        compounds=compounds,
    )


def probe_world(*, scale: int = 1) -> World:
    """The held-out world: no word, label, pair of numbers or meaning in it was trained on."""
    return World("probes", probes=True, scale=scale)
