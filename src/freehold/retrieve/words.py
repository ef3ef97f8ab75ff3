"""Search by words: BM25 over an inverted index in arrays.

The statistics of a search (how many passages there are, how many hold a word, how long they are) are
those of the passages that may be seen, counted when the question is asked. So a passage that may not be
seen changes neither what is found nor its order.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009; the inverse
document frequency is Lucene's, which is never negative.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import cast

import numpy as np
from numpy.typing import NDArray

SATURATION = 1.2
"""k1: how fast a repeated word stops counting."""
LENGTH_WEIGHT = 0.75
"""b: how much a long passage is held back."""

Rows = NDArray[np.int64]
Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]
_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """Return the words of a text: runs of letters and digits, without case and accents."""
    if not text.isascii():
        spread = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in spread if not unicodedata.combining(letter))
    return _WORD.findall(text.casefold())


def word_numbers(words: Sequence[str]) -> Rows:
    """Return a number of 64 bits for each word. Numbers stand in the index, so that it needs no list of words."""
    return np.asarray(
        [
            int.from_bytes(
                blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(),
                "little",
                signed=True,
            )
            for word in words
        ],
        dtype=np.int64,
    )


@dataclass(frozen=True)
class Counted:
    """The words of some passages: one entry for each different word of each passage, in order.

    Attributes:
        entries: how many entries each passage has, [passages].
        words: the number of the word, [entries].
        counts: how often the passage has it, [entries].
    """

    entries: NDArray[np.int32]
    words: Rows
    counts: NDArray[np.int32]


def count_words(texts: Sequence[str]) -> Counted:
    """Count the words of each text."""
    found = [Counter(words_of(text)) for text in texts]
    different = list(dict.fromkeys(word for counter in found for word in counter))
    numbers = dict(zip(different, word_numbers(different).tolist(), strict=True))
    return Counted(
        entries=np.asarray([len(counter) for counter in found], dtype=np.int32),
        words=np.asarray([numbers[word] for counter in found for word in counter], dtype=np.int64),
        counts=np.asarray(
            [count for counter in found for count in counter.values()], dtype=np.int32
        ),
    )


@dataclass(frozen=True)
class Postings:
    """Where each word stands, by word: `rows[first[i] : first[i + 1]]` are the passages with `words[i]`.

    Attributes:
        words: their numbers, ascending.
        first: the first place of each word in `rows`, and the end, [words + 1].
        rows: the passages, ascending for each word.
        counts: how often the passage has the word.
        lengths: how many words each passage has, [passages].
    """

    words: Rows
    first: Rows
    rows: NDArray[np.int32]
    counts: NDArray[np.float32]
    lengths: NDArray[np.float64]

    def of(self, word: int) -> slice:
        """Return the places of a word in `rows` and `counts`; none for a word that no passage has."""
        place = int(np.searchsorted(self.words, word))
        if place == len(self.words) or self.words[place] != word:
            return slice(0, 0)
        return slice(int(self.first[place]), int(self.first[place + 1]))


def postings_of(counted: Counted) -> Postings:
    """Turn the words of each passage into the passages of each word."""
    passages = len(counted.entries)
    rows = np.repeat(np.arange(passages, dtype=np.int32), counted.entries)
    order = np.argsort(counted.words, kind="stable")
    words = counted.words[order]
    is_first = np.ones(len(words), dtype=np.bool_)
    is_first[1:] = words[1:] != words[:-1]
    first = np.flatnonzero(is_first)
    return Postings(
        words=words[first],
        first=np.append(first, len(order)).astype(np.int64),
        rows=rows[order],
        counts=counted.counts[order].astype(np.float32),
        lengths=np.bincount(rows, weights=counted.counts, minlength=passages).astype(np.float64),
    )


@dataclass(frozen=True)
class Seen:
    """What one asker may see of the passages, and the statistics of that part.

    Attributes:
        mask: which passages; None: all.
        count: how many.
        weights: BM25's weight of each passage's length, [passages].
    """

    mask: Mask | None
    count: int
    weights: NDArray[np.float32]


def seen(postings: Postings, mask: Mask | None) -> Seen:
    """Return the statistics of the passages in `mask`."""
    if mask is not None and mask.all():
        mask = None
    lengths = postings.lengths if mask is None else postings.lengths[mask]
    mean = float(lengths.sum() / len(lengths)) if lengths.any() else 1.0
    shares = 1 - LENGTH_WEIGHT + LENGTH_WEIGHT * postings.lengths / mean
    return Seen(mask, len(lengths), (SATURATION * shares).astype(np.float32))


def by_words(postings: Postings, query: str, among: Seen) -> Scores:
    """Return the BM25 score of every passage, [passages]; 0 where no word is shared or it may not be seen.

    Any text is a query: it has words or it has none, and nothing in it is an operator.
    """
    scores = np.zeros(len(postings.lengths), dtype=np.float64)
    numbers = cast("list[int]", word_numbers(words_of(query)).tolist())
    for number, times in Counter(numbers).items():
        places = postings.of(number)
        rows, counts = postings.rows[places], postings.counts[places]
        if among.mask is not None:
            inside = among.mask[rows]
            rows, counts = rows[inside], counts[inside]
        if not len(rows):
            continue
        rarity = np.log1p((among.count - len(rows) + 0.5) / (len(rows) + 0.5))
        gain = counts / (counts + among.weights[rows])
        scores[rows] += times * rarity * (SATURATION + 1) * gain
    return scores
