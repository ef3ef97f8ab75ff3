"""Whether a text resembles one of many: shares a run of words with it. For keeping training away from tests."""

from __future__ import annotations

from collections.abc import Iterable

from freehold.data.duplicates import normalise

RUN_WORDS = 8
"""Two texts that share so many words in a row say the same there, and not by chance."""


class Overlap:
    """Held-out texts as their runs of `RUN_WORDS` words; a shorter text is one run as a whole."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._runs: set[tuple[str, ...]] = set()
        for text in texts:
            self._runs.update(_runs(text))

    def resembles(self, text: str) -> bool:
        """Tell whether `text` shares a run of words with any of the texts, or is one of them."""
        return not self._runs.isdisjoint(_runs(text))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = normalise(text).split()
    if len(words) <= RUN_WORDS:
        return {tuple(words)} if words else set()
    return {tuple(words[i : i + RUN_WORDS]) for i in range(len(words) - RUN_WORDS + 1)}
