"""Which languages the inputs are written in, by a detector that is installed with Freehold.

The detector is an argument, so that this file needs none; `detector()` opens the bundled one
(py3langid, 139 languages, 4.6 MB, naive Bayes over byte n-grams; Lui and Baldwin 2012).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TypeAlias, cast

from freehold.core.errors import Problem
from freehold.core.record import Record
from freehold.core.snapshot import Example
from freehold.data.findings import counted, place, warning

LEAST_LETTERS = 20
LEAST_CONFIDENCE = 0.95
MOST_TEXTS = 2_000
LEAST_ROWS_OF_A_LANGUAGE = 3
UNCLEAR = "unclear"
_READ_CHARACTERS = 500

Detector: TypeAlias = Callable[[str], tuple[str, float]]
"""Says the ISO 639-1 code of a text's language, and how likely it is, in [0, 1]."""


class Languages(Record):
    """How many texts were looked at, and how many are in which language, most frequent first.

    `unclear` are texts that are too short to tell, or that the detector is less than 95 % sure of.
    """

    texts: int
    rows: dict[str, int]
    unclear: int

    @property
    def main(self) -> str | None:
        """The most frequent language, None where no text is clear."""
        return next(iter(self.rows), None)


def detector() -> Detector:
    """Open the bundled detector. Takes about half a second; loads numpy and nothing else."""
    langid = import_module("py3langid.langid")  # it has no types
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    return cast(Detector, identifier.classify)


def language_of(text: str, detect: Detector) -> str:
    """Return the language of a text, `unclear` where it is too short or the detector is unsure."""
    if sum(character.isalpha() for character in text[:_READ_CHARACTERS]) < LEAST_LETTERS:
        return UNCLEAR
    language, likely = detect(text[:_READ_CHARACTERS])
    return language if likely >= LEAST_CONFIDENCE else UNCLEAR


def languages(texts: Sequence[str], detect: Detector) -> Languages:
    """Count the languages of texts."""
    counts = Counter(language_of(text, detect) for text in texts)
    unclear = counts.pop(UNCLEAR, 0)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Languages(texts=len(texts), rows=dict(ordered), unclear=unclear)


def stray_languages(examples: Sequence[Example], detect: Detector) -> Problem | None:
    """Find a few rows in other languages than most. A share of a fifth or more is no accident."""
    by_language: dict[str, list[Example]] = {}
    for example in examples:
        by_language.setdefault(language_of(example.input, detect), []).append(example)
    by_language.pop(UNCLEAR, None)
    if not by_language:
        return None
    clear = sum(len(rows) for rows in by_language.values())
    main = max(by_language, key=lambda language: len(by_language[language]))
    strays: Mapping[str, list[Example]] = {
        language: rows
        for language, rows in sorted(by_language.items(), key=lambda item: -len(item[1]))
        if language != main and LEAST_ROWS_OF_A_LANGUAGE <= len(rows) < 0.2 * clear
    }
    if not strays:
        return None
    count = sum(len(rows) for rows in strays.values())
    parts = ", ".join(f"{language} {len(rows):,}" for language, rows in strays.items())
    first = next(iter(strays.values()))[0]
    return warning(
        "DAT-064",
        f"most inputs are in `{main}`, but {counted(count)} of {clear:,} "
        f"{'is' if count == 1 else 'are'} in other languages ({parts}), such as {place(first)}",
        help="make a slice of them, so that their quality is seen, or leave them out",
        at=first,
    )
