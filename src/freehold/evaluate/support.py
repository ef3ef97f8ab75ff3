"""Whether passages support an answer, as far as code can tell: claims, and the words that hold them.

An answer is split into claims (sentences, and clauses joined by a semicolon or a word such as `but`).
A claim is supported by a passage when every number of it stands in the passage, and at least
`SUPPORTED_SHARE` of its other content words do. Words of the question count as given: who repeats
them claims nothing. A claim that only repeats the question is judged with all of its words.

What this cannot see: a paraphrase in other words counts as unsupported; a denial (`is not` for `is`),
swapped roles (`A beat B` for `B beat A`) and facts put together that do not belong together count as
supported, as their words are all there. A judge sees more, and costs a model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

SUPPORTED_SHARE = 0.75
"""The share of a claim's content words that a passage must hold to support it."""

_WORD = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)?|[^\W_]+")
_CLAUSE_END = re.compile(
    r"(?<=[.!?…])[\"'”’)]*\s+|\n+|;\s+|,?\s+(?:but|while|whereas|although|because)\s+",
    re.IGNORECASE,
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|vs|prof|e\.g|i\.e|etc|[A-Z]))\.$", re.IGNORECASE
)
_STOP_WORDS = frozenset(
    [
        "a",
        "about",
        "after",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "before",
        "being",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "doing",
        "down",
        "during",
        "each",
        "for",
        "from",
        "had",
        "has",
        "have",
        "having",
        "he",
        "her",
        "here",
        "hers",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "itself",
        "just",
        "me",
        "more",
        "most",
        "my",
        "no",
        "nor",
        "not",
        "of",
        "on",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "own",
        "same",
        "she",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "to",
        "too",
        "under",
        "until",
        "up",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
        "yes",
        "answer",
        "context",
        "passage",
        "question",
        "according",
    ]
)
_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
}


@dataclass(frozen=True)
class Claim:
    """One thing that an answer says: its text, and which passage supports it best.

    `best` is the position of that passage, None where no passage shares a word with it; `share` of its
    content words stand there; `is_supported` says whether that is enough.
    """

    text: str
    best: int | None
    share: float
    is_supported: bool


def content_words(text: str) -> tuple[str, ...]:
    """Return the words that say something, in order: folded, without a plural or possessive s.

    Words for numbers up to twenty become digits, so that `four` and `4` are the same; marks inside of
    numbers are left out, so that `1,000` and `1000` are.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = (match.group() for match in _WORD.finditer(folded))
    return tuple(_stem(word) for word in found if word not in _STOP_WORDS)


def _stem(word: str) -> str:
    if word[0].isdigit():
        return word.replace(",", "")
    word = re.sub(r"['’]\w+$", "", word)
    if word in _NUMBER_WORDS:
        return _NUMBER_WORDS[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def claims(answer: str) -> tuple[str, ...]:
    """Return what an answer says, one sentence or clause each; those without a content word are left out."""
    parts: list[str] = []
    start = 0
    for match in _CLAUSE_END.finditer(answer):
        before = answer[start : match.start()]
        if _ABBREVIATION.search(before) and not match.group().strip(" "):
            continue
        parts.append(before)
        start = match.end()
    parts.append(answer[start:])
    return tuple(part.strip() for part in parts if content_words(part))


def containment(claim: str, passage: str, *, question: str = "") -> float:
    """Return the share of a claim's content words that a passage holds; 0 where one of its numbers is missing.

    Words of the question are not counted, unless the claim has no others.
    """
    return _share(_needed(claim, question), frozenset(content_words(passage)))


def supported_claims(
    answer: str, passages: Sequence[str], *, question: str = ""
) -> tuple[Claim, ...]:
    """Return the claims of an answer, each with the passage that supports it best; the first of equals."""
    held = [frozenset(content_words(passage)) for passage in passages]
    found: list[Claim] = []
    for text in claims(answer):
        needed = _needed(text, question)
        shares = [_share(needed, words) for words in held]
        best = max(range(len(shares)), key=lambda index: (shares[index], -index), default=None)
        share = 0.0 if best is None else shares[best]
        found.append(
            Claim(
                text=text,
                best=best if share > 0 else None,
                share=share,
                is_supported=share >= SUPPORTED_SHARE,
            )
        )
    return tuple(found)


def _needed(claim: str, question: str) -> tuple[str, ...]:
    asked = frozenset(content_words(question))
    words = content_words(claim)
    return tuple(word for word in words if word not in asked) or words


def _share(needed: Sequence[str], held: frozenset[str]) -> float:
    if not needed or any(word[0].isdigit() and word not in held for word in needed):
        return 0.0
    return sum(word in held for word in needed) / len(needed)


def sentence_with(claim: str, passage: str) -> str:
    """Return the sentence of a passage that shares most content words with a claim; the first of equals."""
    wanted = frozenset(content_words(claim))
    sentences = [part.strip() for part in re.split(r"(?<=[.!?…])\s+|\n+", passage) if part.strip()]
    if not sentences:
        return passage.strip()
    return max(sentences, key=lambda one: len(wanted & frozenset(content_words(one))))


def holds(passage: str, target: str) -> bool:
    """Return whether a passage holds a target: its words stand there in one run, whatever their case.

    A target without words (marks alone) is held where its characters are.
    """
    wanted = plain_words(target)
    if not wanted:
        return target.strip() in passage
    return f" {' '.join(wanted)} " in f" {' '.join(plain_words(passage))} "


def plain_words(text: str) -> list[str]:
    """Return all words of a text, folded."""
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold())
