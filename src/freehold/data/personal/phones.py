"""Telephone numbers: the plan of the country decides, or the word that stands before the digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from freehold.data.personal.records import Hit, follows

_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "SE", "AU", "IN")
_CANDIDATE = re.compile(
    r"(?<![\w.,/+=$€£%-])(?:\+|00)?\(?\d(?:[-./ ()]{0,3}\d){6,14}"
    r"(?:\s?(?:x|ext\.?|extension)\s?\d{1,6})?(?![\w%€£$]|[.,:/-]\d)",
    re.IGNORECASE,
)
_WORD = re.compile(
    r"phone|\bcall|\btel\b|\btel[.:]|mobile|\bcell|\bfax|\bdial|\bring\b|text(?:ed|ing)? (?:me|us|him|her)"
    r"|reach (?:me|us|him|her)|reach\w* at|contact|whatsapp|\bsms\b|voicemail|hotline|answering|handy\b"
    r"|telefon|t[ée]l[ée]phone|messages? (?:to|from|on)|\bdesk\b|\boffice\b|number (?:is|to|at)|registered",
    re.IGNORECASE,
)
_NOT_WORD = re.compile(
    r"(?:order|invoice|ticket|account|case|reference|ref|tracking|serial|card|ssn|zip|isbn|version|pin"
    r"|social security|licen[cs]e|passport|policy|amount|id)(?: (?:number|no|id|is|code))*[\s.:#]*(?:is )?$",
    re.IGNORECASE,
)
_DATE_LIKE = re.compile(
    r"(?:(?:19|20)\d\d[-./ ](?:0?\d|1[0-2])[-./ ][0-3]?\d|\d{1,2}[-./]\d{1,2}[-./](?:19|20)\d\d)(?![-./]?\d)"
)
_RESERVED = re.compile(r"(?:\+?1|001)?[2-9]\d{2}55501\d\d|\+999\d*|000\d*")
_LAYOUTS = re.compile(
    r"(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[.-]\d{4}|\d{3} \d{3} \d{4}|0\d(?:[ .-]\d\d){4}|0\d{2,4}[ /-]\d{3,4}[ -]\d{3,4}"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:[ .]\d{3})+")
_FEWEST, _MOST = 7, 15
_FEWEST_ALONE = 8


def find_phones(text: str) -> Iterator[Hit]:
    """Find telephone numbers; numbers kept for stories (555-01xx) are not reported."""
    for match in _CANDIDATE.finditer(text):
        start = match.start()
        value = match.group()
        digits = re.sub(r"\D", "", re.split(r"[xe]", value, maxsplit=1, flags=re.IGNORECASE)[0])
        if not _FEWEST <= len(digits) <= _MOST or _DATE_LIKE.match(value):
            continue
        if value.count("(") != value.count(")"):
            start, value = start + value.find("(") + 1 if value[0] == "(" else start, value
        score = _score(text, start, value, digits=digits)
        if score:
            yield Hit(start, match.end(), score)


def is_reserved_phone(value: str) -> bool:
    """Return whether the number is one that no telephone has: 555-01xx, +999, or 000 at its start."""
    return _RESERVED.fullmatch(re.sub(r"[^\d+]", "", value.split("x")[0])) is not None


def _score(text: str, start: int, value: str, *, digits: str) -> float:
    if is_reserved_phone(value) or follows(text, start, _NOT_WORD, within=32):
        return 0.0
    has_word = follows(text, start, _WORD)
    if value.startswith(("+", "00")):
        if _is_valid(f"+{digits.removeprefix('00')}", None):
            return 0.95
        return 0.85 if has_word else 0.7 if value[0] == "+" else 0.0
    if has_word:
        return 0.85
    is_laid_out = _LAYOUTS.fullmatch(re.split(r"x", value)[0].strip()) is not None
    if is_laid_out:
        is_valid = any(_is_valid(value, region) for region in _REGIONS)
        return 0.75 if is_valid else 0.55
    return 0.5 if _is_grouped(value) and len(digits) >= _FEWEST_ALONE else 0.0


def _is_grouped(value: str) -> bool:
    """Return whether digits are grouped as people write telephones: one separator, groups of two to five."""
    plain = value.replace("(", "").replace(")", " ").strip().replace("  ", " ")
    groups = re.split(r"[ .-]", plain)
    separators = set(re.sub(r"\d", "", plain))
    is_alike = separators in ({" "}, {"-"}, {"."}) or ("(" in value and separators <= {" ", "-"})
    has_form = len(groups) >= 3 and all(
        group.isdigit() and 2 <= len(group) <= 5 for group in groups
    )
    is_machine = separators == {"."} and len(groups) == 4 and all(len(g) <= 3 for g in groups)
    return is_alike and has_form and not is_machine and not _THOUSANDS.fullmatch(plain)


def _is_valid(value: str, region: str | None) -> bool:
    import phonenumbers  # here, because its tables are slow to load

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(value, region))
    except phonenumbers.NumberParseException:
        return False
