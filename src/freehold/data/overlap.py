"""Whether a text resembles one of many: shares a run of words with it. For keeping training away from tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from freehold.data.duplicates import normalise

RUN_WORDS = 8
"""Two texts that share so many words in a row say the same there, and not by chance."""
LEAST_QUOTED_WORDS = 5
"""A text of fewer words stands in longer ones by chance, so only an equal text repeats it."""


class Overlap:
    """Held-out texts as their runs of `RUN_WORDS` words; a shorter text is one run as a whole."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._places: dict[tuple[str, ...], list[int]] = {}
        self._counts: list[int] = []
        for place, text in enumerate(texts):
            runs = _runs(text)
            self._counts.append(len(runs))
            for run in runs:
                self._places.setdefault(run, []).append(place)
        shorter = {len(run) for run in self._places} - {RUN_WORDS}
        self._quoted = sorted(size for size in shorter if size >= LEAST_QUOTED_WORDS)

    def resembles(self, text: str) -> bool:
        """Tell whether `text` shares a run of words with any of the texts, or is one of them."""
        return not self._places.keys().isdisjoint(_runs(text))

    def shares(self, text: str, *, quoted: bool = False) -> dict[int, float]:
        """Return which held-out texts `text` holds runs of, and the share of their runs that it holds.

        With `quoted` a held-out text of 5 to 7 words is also found inside of a longer text, as a whole.
        """
        words = normalise(text).split()
        runs = set(_windows(words, RUN_WORDS))
        if len(words) <= RUN_WORDS and words:
            runs.add(tuple(words))
        for size in self._quoted if quoted else ():
            runs.update(_windows(words, size))
        found = Counter(place for run in runs for place in self._places.get(run, ()))
        return {place: count / self._counts[place] for place, count in found.items()}


def _runs(text: str) -> set[tuple[str, ...]]:
    words = normalise(text).split()
    if len(words) <= RUN_WORDS:
        return {tuple(words)} if words else set()
    return set(_windows(words, RUN_WORDS))


def _windows(words: list[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[i : i + size]) for i in range(len(words) - size + 1))
