"""Find for a text the one of many that shares most of its words in their order, rare words counting more.

A copy in which half of the words were replaced still has the other half, in order. Of the weight of a
text (the sum of log(texts / texts with this word) over its words) that is about half, while unrelated
texts share little but frequent words. Rows of one narrow domain do share words by nature, often more
than half: what is natural for the data is measured beside it (`natural_share`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from freehold.data.minhash import Rows

LEAST_SHARED_WORDS = 3
NATURAL_SAMPLE = 400
_COMPARED = 32
_FREQUENT_SHARE = 0.05
_ALWAYS_SEARCHED = 2_000
_LONGEST_WORDS = 400


class Reworded(NamedTuple):
    """The position of the text that shares most, and the share of the weight that it shares."""

    place: int
    share: float


class Rewording:
    """Texts, as lists of normalised words, that can be asked which of them another text rewords.

    Of a text the first 400 words are looked at.
    """

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self._texts = [tuple(words[:_LONGEST_WORDS]) for words in texts]
        self._numbers: dict[str, int] = {}
        places: list[int] = []
        words: list[int] = []
        for place, text in enumerate(self._texts):
            for word in set(text):
                places.append(place)
                words.append(self._numbers.setdefault(word, len(self._numbers)))
        order = np.argsort(np.array(words, dtype=np.int64), kind="stable")
        self._places: Rows = np.array(places, dtype=np.int64)[order]
        counts = np.bincount(np.array(words, dtype=np.int64), minlength=len(self._numbers))
        self._ends: list[int] = cast("list[int]", np.cumsum(counts).tolist())
        self._counts: list[int] = cast("list[int]", counts.tolist())
        self._frequent = max(_ALWAYS_SEARCHED, int(_FREQUENT_SHARE * len(self._texts)))

    def weight(self, word: str) -> float:
        """Return how much a word tells: the logarithm of one over the share of texts that have it."""
        number = self._numbers.get(word)
        count = 0 if number is None else self._counts[number]
        return math.log((len(self._texts) + 1) / (count + 1))

    def best(self, words: Sequence[str], *, least: float, but: int = -1) -> Reworded | None:
        """Return the text that shares most of the weight of `words`, None where none shares `least`.

        `but` is a place that is passed over with all texts that equal its text, for asking about one's own.
        """
        words = tuple(words[:_LONGEST_WORDS])
        weights = [self.weight(word) for word in words]
        total = sum(weights)
        if len(words) < LEAST_SHARED_WORDS or total <= 0:
            return None
        best: Reworded | None = None
        for place in self._likely(words, least * total):
            if but >= 0 and self._texts[place] == self._texts[but]:
                continue
            share = _in_order(words, weights, self._texts[place]) / total
            if share >= max(least, best.share if best else 0.0):
                best = Reworded(place, share)
        return best

    def _likely(self, words: Sequence[str], least: float) -> list[int]:
        """Return the places of the texts whose shared words weigh `least` or more, in any order."""
        found: list[Rows] = []
        weights: list[float] = []
        unsearched = 0.0
        for word in words:
            number = self._numbers.get(word)
            if number is None:
                continue
            if self._counts[number] > self._frequent:
                unsearched += self.weight(word)
                continue
            end = self._ends[number]
            found.append(self._places[end - self._counts[number] : end])
            weights.append(self.weight(word))
        if not found:
            return []
        sizes = np.array([len(places) for places in found])
        scores = np.bincount(np.concatenate(found), weights=np.repeat(weights, sizes))
        places = np.flatnonzero((scores > 0) & (scores >= least - unsearched))
        best = np.argsort(-scores[places], kind="stable")[:_COMPARED]
        return cast("list[int]", places[best].tolist())


def natural_share(texts: Sequence[Sequence[str]], *, least: float, seed: int) -> float:
    """Return how many texts find a rewording among the others, as a share of a sample of 400.

    That is how often a new text of the same kind would, without a copy of it being there.
    """
    index = Rewording(texts)
    rng = random.Random(f"natural/{seed}")
    chosen = rng.sample(range(len(texts)), min(NATURAL_SAMPLE, len(texts)))
    found = [index.best(texts[place], least=least, but=place) is not None for place in chosen]
    return sum(found) / len(found) if found else 0.0


def _in_order(words: Sequence[str], weights: Sequence[float], other: Sequence[str]) -> float:
    """Return the weight of the heaviest common subsequence; 0 where it has fewer than three words."""
    common = set(words) & set(other)
    if len(common) < LEAST_SHARED_WORDS:
        return 0.0
    theirs = [word for word in other if word in common]
    best = [0.0] * (len(theirs) + 1)
    for word, weight in zip(words, weights, strict=True):
        if word not in common:
            continue
        before = best[0]
        for column, their in enumerate(theirs, 1):
            here = best[column]
            if word == their:
                best[column] = max(here, before + weight)
            best[column] = max(best[column], best[column - 1])
            before = here
    return best[-1]
