"""Ages and dates of birth, by the words around them; every other date only on request."""

from __future__ import annotations

import re
from collections.abc import Iterator

from freehold.data.personal.records import Hit, follows

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DATE = re.compile(
    r"(?<![\w/.-])(?:"
    r"(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])"
    r"(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:(?:19|20)\d\d|\d\d)"
    rf"|{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?(?:,? (?:19|20)\d\d)?"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)? (?:of )?{_MONTH}\.?(?:,? (?:19|20)\d\d)?"
    r")(?![\w/-]|\.\d)",
    re.IGNORECASE,
)
_BIRTH = re.compile(
    r"\bborn\b|birth|\bd\.?o\.?b\b|geboren|geburt|naissance|nacimiento|\bn[ée]e?\b", re.IGNORECASE
)
_BIRTH_YEAR = re.compile(r"\bborn (?:in|around) (?P<value>(?:19|20)\d\d)\b", re.IGNORECASE)


def find_birth_dates(text: str) -> Iterator[Hit]:
    """Find dates, and years, behind a word of birth."""
    if not _BIRTH.search(text):
        return
    for match in _DATE.finditer(text):
        if follows(text, match.start(), _BIRTH, within=28):
            yield Hit(match.start(), match.end(), 0.9)
    for match in _BIRTH_YEAR.finditer(text):
        yield Hit(match.start("value"), match.end("value"), 0.8)


_WEEKDAY = re.compile(r"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b")
_YEAR = re.compile(
    r"(?:\b(?:in|since|of|by|until|from|before|after|during|year|is an?|was an?|circa)\s|\()"
    r"(?P<value>(?:19|20)\d\d)(?![\w/-]|[.,]\d)",
    re.IGNORECASE,
)
_MONTH_YEAR = re.compile(rf"\b{_MONTH}\.?,? (?:19|20)\d\d\b", re.IGNORECASE)


def find_dates(text: str) -> Iterator[Hit]:
    """Find dates of any use, years behind a word of time, and days of the week."""
    for pattern, score in ((_DATE, 0.7), (_MONTH_YEAR, 0.7), (_WEEKDAY, 0.6)):
        for match in pattern.finditer(text):
            yield Hit(match.start(), match.end(), score)
    for match in _YEAR.finditer(text):
        yield Hit(match.start("value"), match.end("value"), 0.6)


_AGE = re.compile(
    r"(?<![\w.,/$€£-])(?P<before>1[01]\d|[1-9]?\d)"
    r"(?=[ -]?(?:(?:years?|yrs?)[ -]olds?\b|y/?o\b|(?:years?|yrs?) (?:of age|young)\b|-year-old))"
    r"|\b(?:aged?|turned|turning|turns|turn|age (?:is|of)|age:)(?: just)? (?P<after>1[01]\d|[1-9]\d?)"
    r"(?![\w%/:-]|[.,]\d)"
    r"|\b(?:when|since|while|until) (?:\w+ )?(?:he|she|they|I|we) (?:was|were|am|is|are|turns?) "
    r"(?P<when>1[01]\d|[1-9]\d?)(?![\w%/:-]|[.,]\d)"
    r"|\b(?:I am|I'm|he is|he's|she is|she's) (?P<being>[1-9]\d)(?=\s?(?:[.,;!?]|$|and\b|now\b))",
    re.IGNORECASE,
)


def find_ages(text: str) -> Iterator[Hit]:
    """Find how old a person is: `79 year old`, `aged 46`, `she just turned 33`."""
    for match in _AGE.finditer(text):
        group = match.lastgroup or "before"
        yield Hit(match.start(group), match.end(group), 0.85)
