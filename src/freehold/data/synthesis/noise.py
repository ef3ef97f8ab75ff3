"""What happens to texts on their way: typing slips, other casing, scanning errors, loose spacing.

Noise needs no model. Each kind is one function in `NOISES`: from a text, the spans of it that must stay as
they are, random numbers and a rate, to a changed text. What stays: words with digits, e-mail addresses
and links, and every value of the answer that is copied from the input, so that it can still be found
there, letter by letter. Of free-text answers every word that the input shares stays.

Not covered: a slip may make another word (form, from), and whoever reads the row must guess as people do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from pydantic import JsonValue

from freehold.core.task import LabelOutput, Output, TextOutput
from freehold.data.synthesis.material import leaves

NoiseName: TypeAlias = Literal["typos", "casing", "ocr", "spacing"]
Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Guarded:
    """A text with the spans of it that must stay, in order and without overlap."""

    text: str
    kept: tuple[Span, ...] = ()


Noise: TypeAlias = Callable[[Guarded, Random, float], str]
LEAST_TYPED = 4
"""Letters of a word that a slip may hit: a letter less makes `not` another word."""
LEAST_SCANNED = 3
_ANYWHERE = 3
_WHOLE = re.compile(r"\S*\d\S*|\S+@\S+|\b(?:https?://|www\.)\S+")
_WORD = re.compile(r"[^\W\d_]+")
_GAP = re.compile(r"(?<=\S) (?=\S)")
_MARK = re.compile(r"(?<=\w)[.,;:!?](?=\s|$)")

KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
#: What scanners take one for the other.
CONFUSED: tuple[tuple[str, str], ...] = (
    *(("rn", "m"), ("m", "rn"), ("cl", "d"), ("d", "cl"), ("vv", "w"), ("w", "vv")),
    *(("l", "1"), ("l", "I"), ("I", "l"), ("i", "1"), ("O", "0"), ("o", "0"), ("S", "5")),
    *(("B", "8"), ("g", "9"), ("e", "c"), ("h", "b"), ("u", "ii"), ("nn", "rm"), ("ti", "b")),
)


def guarded(text: str, target: JsonValue, output: Output) -> Guarded:
    """Return an input with the parts that noise must not touch."""
    spans = [match.span() for match in _WHOLE.finditer(text)]
    if not isinstance(output, LabelOutput):
        for _, value in leaves(target):
            spans.extend(_places(value, text))
    if isinstance(output, TextOutput) and isinstance(target, str):
        for word in {match.group() for match in _WORD.finditer(target)}:
            spans.extend(_places(word, text) if len(word) >= _ANYWHERE else ())
    return Guarded(text, _joined(spans))


def typos(given: Guarded, rng: Random, rate: float) -> str:
    """Let some words have a slip: a neighbouring key, two letters swapped, one dropped or doubled."""
    return _in_words(given, rng, rate=rate, least=LEAST_TYPED, change=_slip)


def ocr(given: Guarded, rng: Random, rate: float) -> str:
    """Let some words be scanned wrongly: `rn` for `m`, `1` for `l`, `0` for `O`."""
    return _in_words(given, rng, rate=rate, least=LEAST_SCANNED, change=_misread)


def casing(given: Guarded, rng: Random, rate: float) -> str:
    """Write all in lower case, in capitals, or each word with a capital; `rate` changes nothing."""
    del rate
    ways: list[Callable[[str], str]] = [str.lower, str.lower, str.upper, _each_capital]
    rng.shuffle(ways)
    changed = (_outside(given, way) for way in ways)
    return next((other for other in changed if other != given.text), given.text)


def spacing(given: Guarded, rng: Random, rate: float) -> str:
    """Double or drop spaces between words, and drop, double or part the marks behind them."""
    text = given.text
    edits: list[tuple[Span, str]] = []
    for match in _GAP.finditer(text):
        joins = "" if _between_letters(text, match.start()) else "  "
        edits.append((match.span(), rng.choice(("  ", "  ", joins))))
    for match in _MARK.finditer(text):
        mark = match.group()
        edits.append((match.span(), rng.choice(("", mark * 2, f" {mark}"))))
    free = [edit for edit in edits if not _touches(edit[0], given.kept)]
    return _edited(text, _drawn(free, rng, rate))


#: Every kind of noise. A new one is a function and a line here.
NOISES: Mapping[NoiseName, Noise] = {
    "typos": typos,
    "casing": casing,
    "ocr": ocr,
    "spacing": spacing,
}


# Words ---------------------------------------------------------------------------------------


def _in_words(
    given: Guarded,
    rng: Random,
    *,
    rate: float,
    least: int,
    change: Callable[[str, Random], str],
) -> str:
    words = [
        match
        for match in _WORD.finditer(given.text)
        if len(match.group()) >= least and not _overlaps(match.span(), given.kept)
    ]
    edits = [(word.span(), change(word.group(), rng)) for word in words]
    real = [(span, new) for span, new in edits if given.text[span[0] : span[1]] != new]
    return _edited(given.text, _drawn(real, rng, rate))


def _slip(word: str, rng: Random) -> str:
    """Return a word with one slip; the first letter stays, as people seldom miss it."""
    place = rng.randrange(1, len(word))
    letter, last = word[place], len(word) - 1
    near = _NEIGHBOURS.get(letter.lower(), "")
    slips = [word[:place] + word[place + 1 :], word[:place] + letter + word[place:]]
    if place < last:
        slips.append(word[:place] + word[place + 1] + letter + word[place + 2 :])
    if near:
        other = rng.choice(near)
        slips.append(
            word[:place] + (other.upper() if letter.isupper() else other) + word[place + 1 :]
        )
    return rng.choice(slips)


def _misread(word: str, rng: Random) -> str:
    places = [
        (start, seen, read)
        for seen, read in CONFUSED
        for start in range(len(word))
        if word.startswith(seen, start)
    ]
    if not places:
        return word
    start, seen, read = rng.choice(places)
    return word[:start] + read + word[start + len(seen) :]


def _neighbours() -> dict[str, str]:
    """Return for each letter those on the keys around it; rows are shifted by half a key."""
    near: dict[str, str] = {}
    for height, row in enumerate(KEYBOARD):
        for place, letter in enumerate(row):
            sides = row[max(0, place - 1) : place] + row[place + 1 : place + 2]
            above = KEYBOARD[height - 1][place : place + 2] if height else ""
            below = ""
            if height + 1 < len(KEYBOARD):
                below = KEYBOARD[height + 1][max(0, place - 1) : place + 1]
            near[letter] = sides + above + below
    return near


_NEIGHBOURS = _neighbours()


def _each_capital(text: str) -> str:
    return _WORD.sub(lambda match: match.group()[:1].upper() + match.group()[1:], text)


def _between_letters(text: str, place: int) -> bool:
    return text[place - 1].isalpha() and text[place + 1].isalpha()


# Spans ---------------------------------------------------------------------------------------


def _places(value: str, text: str) -> list[Span]:
    """Return where a value stands in a text, whatever the case; a very short one as a word only."""
    pattern = re.escape(value)
    if len(value) < _ANYWHERE:
        pattern = rf"(?<!\w){pattern}(?!\w)"
    return [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def _overlaps(span: Span, kept: Sequence[Span]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in kept)


def _touches(span: Span, kept: Sequence[Span]) -> bool:
    return any(start <= span[1] and span[0] <= end for start, end in kept)


def _drawn(edits: Sequence[tuple[Span, str]], rng: Random, rate: float) -> list[tuple[Span, str]]:
    """Draw each edit with probability `rate`, and one at least where there is any."""
    drawn = [edit for edit in edits if rng.random() < rate]
    return drawn or ([rng.choice(list(edits))] if edits else [])


def _edited(text: str, edits: Sequence[tuple[Span, str]]) -> str:
    for (start, end), new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _outside(given: Guarded, way: Callable[[str], str]) -> str:
    parts: list[str] = []
    before = 0
    for start, end in given.kept:
        parts.extend((way(given.text[before:start]), given.text[start:end]))
        before = end
    return "".join((*parts, way(given.text[before:])))
