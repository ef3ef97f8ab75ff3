"""Texts as the tokens that a scan for odd ones compares: words, addresses, hidden and mixed letters.

A token is a word in lower case, a run of punctuation, a picture, a web address, or one of two kinds that
people do not see: an invisible character (`U+200B`) and a word whose letters come from two scripts, as
when a Cyrillic letter stands in for a Latin one (`homoglyph:...`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal, TypeAlias

Oddity: TypeAlias = Literal["plain", "address", "invisible", "homoglyph"]

HOMOGLYPH = "homoglyph:"
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>\"']+", re.I)
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff"
)
_TOKEN = re.compile(
    rf"(?P<address>(?:https?://|www\.)[^\s<>\"'{_INVISIBLE}]+)|(?P<hidden>[{_INVISIBLE}])"
    rf"|(?P<word>\w(?:[\w'’{_INVISIBLE}]*\w)?)|(?P<mark>[^\w\s{_INVISIBLE}]+)",
    re.I,
)
_HIDDEN = re.compile(f"[{_INVISIBLE}]")
#: Scripts with letters that look like those of another; only these are compared within a word.
_ALIKE = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH", "MATHEMATICAL")
_LONGEST = 60


def tokens_of(text: str) -> tuple[str, ...]:
    """Return the tokens of a text in their order; an invisible character inside a word comes after it."""
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        whole = match.group()
        match match.lastgroup:
            case "address":
                found.append(whole.casefold()[:_LONGEST].rstrip(".,;:!?)"))
            case "hidden":
                found.append(_named(whole))
            case "word":
                found.extend(_word(whole))
            case _:
                found.append(whole[:_LONGEST])
    return tuple(found)


def oddity_of(token: str) -> Oddity:
    """Return what kind of token this is; `plain` for words, punctuation and pictures."""
    if token.startswith("U+"):
        return "invisible"
    if token.startswith(HOMOGLYPH):
        return "homoglyph"
    return "address" if _ADDRESS.match(token) else "plain"


def _word(word: str) -> list[str]:
    if word.isascii():
        return [word.lower()]
    hidden = [_named(character) for character in _HIDDEN.findall(word)]
    plain = _HIDDEN.sub("", word)
    scripts = {script for character in plain if (script := _script(character)) is not None}
    lower = plain.casefold()
    return [f"{HOMOGLYPH}{lower}" if len(scripts) > 1 else lower, *hidden]


def _named(character: str) -> str:
    return f"U+{ord(character):04X}"


@lru_cache(maxsize=4096)
def _script(character: str) -> str | None:
    if not character.isalpha():
        return None
    name = unicodedata.name(character, "")
    return next((script for script in _ALIKE if name.startswith(script)), None)
