"""Names of people, their titles and nationalities, by the words around them and a small list.

This is the modest part. It looks at runs of capitalised words, and knows what stands before and behind names
in English, some 700 given names, and common words that are no names. A name in lower case, or alone among
words that say nothing of it, is missed, and a capitalised phrase may be taken for a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from freehold.data.personal.lexicon import (
    DEMONYMS,
    GIVEN_NAMES,
    NO_NAMES,
    ORGANISATION_WORDS,
    PLACES,
    TITLE_WORDS,
)
from freehold.data.personal.records import Hit

_UPPER = "".join(chr(c) for c in range(0x41, 0x530) if chr(c).isupper())
_LETTER = r"[^\W\d_]"
_JOIN = rf"(?:[-’'](?![sS]\b|d\b|ll\b|re\b|ve\b|m\b|t\b){_LETTER}+)"
WORD = rf"(?<![\w@])[{_UPPER}](?:['’][{_UPPER}])?{_LETTER}+{_JOIN}{{0,2}}(?![\w@])"
"""One capitalised word of two letters or more, such as `Anna`, `O'Neil` or `Meyer-Landrut`."""
_INITIALS = rf"(?:[{_UPPER}]\.? ){{0,2}}"
_PARTICLES = r"(?:(?:de la|de los|van der|van den|van de|von|van|de|del|della|di|da|dos|du|bin|ibn|ter|ten|zu) )?"
_RUN = re.compile(rf"(?:\b[{_UPPER}]\. )?{WORD}(?: {_INITIALS}{_PARTICLES}{WORD}){{0,4}}")
_WORD = re.compile(WORD)

_TITLE = re.compile(
    r"(?<!\w)(?:(?:Mr|Mrs|Ms|Mx|Dr|Prof|Rev|Hon|Sr|Sra|Mme|Mlle)(?:\.|(?= [A-ZÀ-Þ]))"
    r"|(?:Miss|Herr|Frau|Sir|Madam|Dame|Lord|Lady|Señor|Señora|Monsieur|Madame|Professor|Doctor)(?= [A-ZÀ-Þ])"
    r"|(?:mr|mrs|ms|dr|prof)\.(?= ))"
)
_PLACE_WORDS = frozenset(word.casefold() for place in PLACES for word in place.split())
_NATIONS = frozenset(word.casefold() for word in DEMONYMS)
_NOT_IN_NAMES = (NO_NAMES | ORGANISATION_WORDS | _NATIONS | TITLE_WORDS) - GIVEN_NAMES

_NAMED = tuple(
    f" {words} "
    for words in (
        *(
            "name is",
            "name is not",
            "name was",
            "names are",
            "name's",
            "name to",
            "name should be",
            "name of",
        ),
        *(
            "name:",
            "name =",
            "name on the account? user:",
            "named",
            "name? user:",
            "name?",
            "name? it's",
        ),
        *(
            "full name",
            "surname",
            "surname:",
            "nickname is",
            "change it to",
            "correct it to",
            "calls me",
        ),
        *(
            "mr.",
            "mrs.",
            "ms.",
            "mx.",
            "dr.",
            "prof.",
            "rev.",
            "mr",
            "mrs",
            "ms",
            "dr",
            "prof",
            "miss",
            "herr",
        ),
        *("frau", "sir", "madam", "dame", "lord", "lady", "señor", "señora", "monsieur", "madame"),
        *(
            "professor",
            "doctor",
            "attn:",
            "attn",
            "patient:",
            "contact:",
            "signed by",
            "my name is still",
        ),
    )
)
_GREETED = tuple(
    f" {words} "
    for words in (
        *(
            "i am",
            "i'm",
            "i’m",
            "this is",
            "call me",
            "dear",
            "hi",
            "hello",
            "hey",
            "regards,",
            "sincerely,",
        ),
        *(
            "cheers,",
            "thanks,",
            "thank you,",
            "thank you",
            "love,",
            "from:",
            "to:",
            "cc:",
            "bcc:",
            "told",
            "asked",
        ),
        *(
            "said",
            "under",
            "speak to",
            "speak with",
            "talk to",
            "talk with",
            "met",
            "meet",
            "him",
            "her",
            "heard",
        ),
        *(
            "ask",
            "tell",
            "with",
            "me",
            "town,",
            "given",
            "why is",
            "how is",
            "where is",
            "who is",
            "tell",
            "sorry,",
        ),
    )
)
_BESIDE = tuple(
    f" {words} "
    for words in (
        *(
            "by",
            "with",
            "starring",
            "featuring",
            "songwriter",
            "player",
            "singer",
            "actor",
            "actress",
        ),
        *(
            "author",
            "director",
            "president",
            "minister",
            "senator",
            "customer",
            "client",
            "colleague",
            "friend",
        ),
        *(
            "wife",
            "husband",
            "brother",
            "sister",
            "son",
            "daughter",
            "father",
            "mother",
            "uncle",
            "aunt",
        ),
        *(
            "cousin",
            "boss",
            "manager",
            "employee",
            "and",
            "as",
            "for",
            "from",
            "to",
            "of",
            "is",
            "partner",
        ),
    )
)
_OWNS = re.compile(
    r"['’]s? (?:\w+ )?(?:account|address|e-?mail|phone|number|card|birthday|house|wife|husband|son|daughter|mother"
    r"|father|brother|sister|friend|partner|passport|licen[cs]e|killers?|death|life|novel|song|album|tales|book)\b",
    re.IGNORECASE,
)
_ACTS = re.compile(
    r",? (?:says|said|told|asked|wrote|writes|replied|lives|lived|works|worked|called|spoke|speaks|married|died"
    r"|was born|born|who|points out|explained|added|spent|listed|is from|was influenced|can I)\b"
)
_PAUSE = re.compile(
    r"\s?(?:[,.!?;:)\"”]|$|\n|(?:and|but|from|at|here|or|speak|so|is|was|as|about)\b)"
)
_AFTER_NAME = re.compile(r"[ ,]{1,2}(\w+)")
_NUMBER_BEFORE = re.compile(r"\d[A-Za-z]? $")
_LOWER_NAME = re.compile(
    rf"(?i:\bmy (?:full )?name is )(?P<name>{_LETTER}{{2,20}}(?: {_LETTER}{{2,20}})?)(?= ?(?:[,.!?;]|$|\n))"
)
_BEFORE = 40


class _Run(NamedTuple):
    """Capitalised words in a row, of which none is a common one."""

    start: int
    end: int
    words: tuple[str, ...]

    @property
    def is_long(self) -> bool:
        return len(self.words) > 1

    @property
    def is_known(self) -> bool:
        return self.words[0].casefold() in GIVEN_NAMES


def find_names(text: str) -> Iterator[Hit]:
    """Find names of people; titles are no part of them."""
    for match in _RUN.finditer(text):
        for run in _runs(match.group(), match.start()):
            score = 0.0 if _is_something_else(text, run) else _score(text, run)
            if score:
                yield Hit(run.start, run.end, score)
    for match in _LOWER_NAME.finditer(text) if "name is " in text else ():
        if not any(_is_common(word) for word in match.group("name").split()):
            yield Hit(match.start("name"), match.end("name"), 0.8)


def _runs(value: str, offset: int) -> Iterator[_Run]:
    """Yield the parts of a run between common words; initials and particles stay inside a part."""
    words = list(_WORD.finditer(value))
    for is_common, part in groupby(words, key=lambda word: _is_common(word.group())):
        if not is_common:
            found = tuple(part)
            has_initial = found[0] is words[0] and words[0].start() > 0
            start = 0 if has_initial else found[0].start()
            names = tuple(word.group() for word in found)
            yield _Run(offset + start, offset + found[-1].end(), names)


def _is_common(word: str) -> bool:
    return word.casefold() in _NOT_IN_NAMES


def _is_something_else(text: str, run: _Run) -> bool:
    """Return whether the run is a place, an acronym, or the name of an organisation."""
    lowered = [word.casefold() for word in run.words]
    if not run.is_known and all(word in _PLACE_WORDS for word in lowered):
        return True
    if all(word.isupper() for word in run.words) and not run.is_known:
        return True
    if _NUMBER_BEFORE.search(text, max(0, run.start - 8), run.start):
        return True  # of a street
    after = _AFTER_NAME.match(text, run.end)
    return after is not None and after.group(1).casefold() in ORGANISATION_WORDS


def _score(text: str, run: _Run) -> float:
    """Return how sure it is that the run names a person; 0 where nothing says so."""
    before = " " + " ".join(text[max(0, run.start - _BEFORE) : run.start].casefold().split()) + " "
    bonus = 0.15 if run.is_known else 0.0
    if before.endswith(_NAMED):
        return 0.85 + bonus / 3
    if _OWNS.match(text, run.end):
        return (0.7 if run.is_long else 0.6) + bonus
    if run.is_long:
        return _score_of_long(text, run, before) + bonus
    has_pause = _PAUSE.match(text, run.end) is not None
    if has_pause and before.endswith(_GREETED):
        return 0.6 + bonus
    if _ACTS.match(text, run.end) and not before.endswith((" the ", " a ", " an ")):
        return 0.55 + bonus
    return 0.55 if run.is_known else 0.0


def _score_of_long(text: str, run: _Run, before: str) -> float:
    if before.endswith(_GREETED) or _ACTS.match(text, run.end):
        return 0.65
    if before.endswith(_BESIDE):
        return 0.55
    if before.endswith((" the ", " a ", " an ", " in ", " at ", " on ")) and not run.is_known:
        return 0.0
    return 0.5


def find_titles(text: str) -> Iterator[Hit]:
    """Find courtesy titles before a name: `Mr.`, `Dr.`, `Frau`."""
    for match in _TITLE.finditer(text):
        yield Hit(match.start(), match.end(), 0.8)


_ANY_WORD = re.compile(rf"{_LETTER}{{4,}}")
_IS_A = (" am ", " is ", " are ", " was ", " were ", " a ", " an ", " the ", "'m ")


def find_nationalities(text: str) -> Iterator[Hit]:
    """Find nationalities, religions and parties: what a person is called by origin or belief."""
    for match in _ANY_WORD.finditer(text):
        word = match.group()
        if word.casefold() in _NATIONS or word.casefold().removesuffix("s") in _NATIONS:
            before = f" {text[max(0, match.start() - 5) : match.start()].casefold()}"
            if word[0].isupper() or before.endswith(_IS_A):
                yield Hit(match.start(), match.end(), 0.6)
