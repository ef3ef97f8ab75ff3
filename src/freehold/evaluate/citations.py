"""Which passages an answer cites: read from its text, checked, and attributed where none were written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.measure import Citation
from freehold.evaluate.support import SUPPORTED_SHARE, containment, sentence_with, supported_claims

MOST_QUOTED = 240
_MARK = re.compile(r"[ \t]*[\[【]\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\s*[\]】]")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+|\n+")


@dataclass(frozen=True)
class Shown:
    """One passage as it stood in a prompt: its id and its text. Its number is its place from 1."""

    id: str
    text: str


@dataclass(frozen=True)
class Written:
    """An answer without its citation marks, and each marked number with the sentence it stands in."""

    text: str
    marks: tuple[tuple[int, str], ...]


def read_marks(raw: str) -> Written:
    """Return an answer without marks such as `[1]`, `[2, 3]` or `[1][4]`, and what they were.

    A mark after a sentence's end belongs to the sentence before it. `[0]` is no mark: numbers begin at 1.
    """
    kept: list[str] = []
    places: list[tuple[int, int]] = []
    start = length = 0
    for match in _MARK.finditer(raw):
        numbers = [int(number) for number in re.findall(r"\d+", match.group(1))]
        if 0 in numbers:
            continue
        kept.append(raw[start : match.start()])
        length += len(kept[-1])
        places.extend((number, length) for number in numbers)
        start = match.end()
    kept.append(raw[start:])
    text = "".join(kept)
    return Written(text.strip(), tuple((number, _sentence(text, at)) for number, at in places))


def _sentence(text: str, place: int) -> str:
    """Return the sentence that ends or goes on at a place."""
    before = [match.end() for match in _SENTENCE_END.finditer(text) if match.end() <= place]
    begin = before[-1] if before else 0
    if not text[begin:place].strip():
        begin = before[-2] if len(before) > 1 else 0
        return text[begin:place].strip()
    after = _SENTENCE_END.search(text, place)
    end = after.start() if after else len(text)
    return text[begin:end].strip()


def citations(
    written: Written, passages: Sequence[Shown], *, question: str = ""
) -> tuple[Citation, ...]:
    """Return the citations of an answer: those it wrote, checked, and attributed ones where it wrote none.

    A written one that names no passage of the prompt keeps its number and has no passage. Attribution gives
    every claim that a passage supports that passage; claims that none supports get no citation.
    """
    if written.marks:
        found = [
            _checked(number, claim, passages, question=question) for number, claim in written.marks
        ]
    else:
        texts = [passage.text for passage in passages]
        found = [
            _citation(claim.best, claim.text, passages, share=claim.share, by="attributed")
            for claim in supported_claims(written.text, texts, question=question)
            if claim.best is not None and claim.is_supported
        ]
    best: dict[int, Citation] = {}
    for citation in found:
        known = best.get(citation.number)
        if known is None or citation.share > known.share:
            best[citation.number] = citation
    return tuple(best.values())


def _checked(number: int, claim: str, passages: Sequence[Shown], *, question: str) -> Citation:
    if number > len(passages):
        return Citation(number=number, by="written")
    share = containment(claim, passages[number - 1].text, question=question)
    return _citation(number - 1, claim, passages, share=share, by="written")


def _citation(
    place: int, claim: str, passages: Sequence[Shown], *, share: float, by: str
) -> Citation:
    passage = passages[place]
    return Citation(
        number=place + 1,
        passage=passage.id,
        by="written" if by == "written" else "attributed",
        share=share,
        is_supported=share >= SUPPORTED_SHARE,
        quote=sentence_with(claim, passage.text)[:MOST_QUOTED],
    )
