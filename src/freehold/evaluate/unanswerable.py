"""Questions that the documents do not answer: what counts as saying so, and when to say it unasked.

Before a model is asked, code can tell how much of the question stands in the passages that were found:
`Coverage`. Below a threshold, chosen on dev, the answer is the text that the task declares for it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from freehold.core.record import Record
from freehold.evaluate.support import content_words

_FIRST_SENTENCE = re.compile(r"[^.!?…\n]+")


def says_unanswerable(value: JsonValue, declared: str | None) -> bool:
    """Return whether an answer is the declared text, whatever its case and marks; more sentences may follow it."""
    if declared is None or not isinstance(value, str):
        return False
    wanted = _words(declared)
    first = _FIRST_SENTENCE.search(value)
    return _words(value) == wanted or (first is not None and _words(first.group()) == wanted)


def is_unanswerable(target: JsonValue, declared: str | None) -> bool:
    """Return whether a wanted answer says that there is none: null, or the declared text."""
    return declared is not None and (target is None or says_unanswerable(target, declared))


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", folded)


class Coverage(Record):
    """In how many of `passages` passages each word stands: says how much of a question others hold.

    A word's weight is log(1 + passages / (0.5 + passages with it)), as rare words tell most.
    """

    passages: int
    counts: dict[str, int]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Coverage:
        """Return the counts of the content words of passages."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(set(content_words(text)))
        return cls(passages=len(texts), counts=dict(sorted(counts.items())))

    def of_question(self, question: str, passages: Sequence[str]) -> float:
        """Return the weighted share of the question's words that the best passage holds, in [0, 1].

        A question without content words is covered by any passage; without passages it is 0.
        """
        asked = set(content_words(question))
        if not passages:
            return 0.0
        whole = math.fsum(self._weight(word) for word in asked)
        if not whole:
            return 1.0
        return max(
            math.fsum(self._weight(word) for word in asked & set(content_words(passage))) / whole
            for passage in passages
        )

    def _weight(self, word: str) -> float:
        return math.log(1.0 + self.passages / (0.5 + self.counts.get(word, 0)))


@dataclass(frozen=True)
class Threshold:
    """Below this coverage the question is answered as unanswerable; `gained` is the mean score that this adds on dev."""

    value: float
    gained: float


def choose_threshold(
    coverage: Mapping[str, float], answered: Mapping[str, float], refused: Mapping[str, float]
) -> Threshold:
    """Return the threshold with the best mean score over the examples that all three name.

    An example below it scores `refused`, the others `answered`. Of equals the lowest is taken, which
    refuses least; where refusing never pays, it is 0. It lies half-way between two coverages that were seen.
    """
    ids = sorted(coverage.keys() & answered.keys() & refused.keys(), key=lambda id_: coverage[id_])
    best, value, gained = 0.0, 0.0, 0.0
    for place, id_ in enumerate(ids):
        gained += refused[id_] - answered[id_]
        here = coverage[id_]
        after = coverage[ids[place + 1]] if place + 1 < len(ids) else 1.0
        if gained > best + 1e-9 and after > here:
            best, value = gained, (here + after) / 2.0
    return Threshold(value=value, gained=best / len(ids) if ids else 0.0)
