"""Where people live and whom they work for: addresses, postcodes, places and organisations.

Rules for the forms of about a dozen countries and a small list of places; what has neither is missed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from freehold.data.personal.lexicon import NO_NAMES, PLACES
from freehold.data.personal.names import WORD
from freehold.data.personal.records import Hit

_KIND = (
    r"(?:Street|St|Avenue|Ave|Av|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Way|Place|Pl|Square|Sq"
    r"|Terrace|Ter|Highway|Hwy|Parkway|Pkwy|Circle|Cir|Crescent|Cres|Close|Row|Trail|Alley|Mews|Grove|Gardens"
    r"|Esplanade|Quay|Hills?|Parks?|Loop|Walk|Green|Rise|Turnpike|Route|Coves?|Points?|Crossroads?|Rapids?"
    r"|Islands?|Cliffs?|Flats?|Lodge|Pass|Bridge|Harbors?|Valleys?|Views?|Villages?|Streets|Squares|Fort|Str)"
    r"\.?(?![\w])"
)
_JOINED = (
    r"(?:stra(?:ß|ss)e|str\.|gasse|weg|platz|allee|ufer|ring|damm|straat|laan|plein|gracht|kade|dijk|dreef"
    r"|vägen|vagen|gatan|gata|vegen|veien|gate|vej|gade|allé|stræde|tie|katu|polku|kuja|raitti|utca|tér)"
)
_LEADING = (
    r"(?:Rue|Avenue|Boulevard|Place|Chemin|Allée|Impasse|Quai|Calle|C/|Avenida|Av\.|Avda\.?|Paseo|Plaza"
    r"|Carrer|Rua|Travessa|Praça|Alameda|Estrada|Via|Viale|Piazza|Corso|Vicolo|ul\.|al\.|os\.|pl\.|Ulica"
    r"|Náměstí|nám\.)"
)
_PIECE = r"(?:[^\W\d_][\w.'’-]{0,30})"
_UNIT = (
    r"(?:,? ?\n? ?(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Room|Rm|No|#)\.?\s?#?\d{1,5}[A-Za-z]?)"
)
_CITY = rf"(?:,? ?\n? ?{WORD}(?:[ -](?:{WORD}|\w{{1,3}})){{0,3}})"
_STATE = r"(?:\s?,\s?[A-Z]{2,3}(?![\w]))"
_CODE = r"(?:,?\s{1,2}(?:[A-Z]{1,2}-)?(?:\d{5}(?:-\d{4})?|\d{4} ?[A-Z]{2}|\d{3} ?\d{2}|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d)(?!\w))"
_COUNTRY = (
    rf"(?:,?\s{{0,2}}(?:{'|'.join(re.escape(p) for p in sorted(PLACES, key=len, reverse=True))})\b)"
)
_TAIL = rf"{_UNIT}?(?:{_CITY}?{_STATE}?{_COUNTRY}?{_CODE}|{_CITY}{_STATE}|{_CITY}?{_COUNTRY})?"
_NUMBER = r"\d{1,6}(?:[-/]\d{1,4})?[A-Za-z]?"

_ADDRESSES: tuple[tuple[re.Pattern[str], float], ...] = tuple(
    (re.compile(pattern), score)
    for pattern, score in (
        # 12 [34] Long Acre Street [5]
        (
            rf"(?<![\w.,-])(?:{_NUMBER} ){{1,2}}(?:{_PIECE} ){{1,4}}{_KIND}(?: {_NUMBER}(?!\w))?{_TAIL}",
            0.85,
        ),
        # [12] Hauptstrasse 5
        (
            rf"(?<!\w)(?:{_NUMBER} (?:{_PIECE} ){{0,2}})?[A-ZÀ-Þ]\w{{1,30}}{_JOINED} {_NUMBER}(?!\w){_TAIL}",
            0.8,
        ),
        # 12 Hauptstrasse
        (rf"(?<!\w){_NUMBER} (?:{_PIECE} ){{0,2}}[A-ZÀ-Þ]\w{{1,30}}{_JOINED}(?!\w){_TAIL}", 0.75),
        # [12] Rua Nova 5, 12 [bis] Rue Nova
        (
            rf"(?<!\w)(?:{_NUMBER},? )?{_LEADING} {_PIECE}(?: {_PIECE}){{0,4}},? {_NUMBER}(?!\w){_TAIL}",
            0.8,
        ),
        (
            rf"(?<!\w){_NUMBER},? (?:bis )?{_LEADING} {_PIECE}(?: {_PIECE}){{0,4}}{_TAIL}",
            0.8,
        ),
        # 123 Vodní 45 Apt. 6: a number, capitalised words, a number, and a unit or a code
        (
            rf"(?<![\w.,-])\d{{1,5}} (?:(?![A-Z]{{2,5}}\b){WORD} ){{1,3}}{_NUMBER}(?!\w){_TAIL}",
            0.65,
        ),
        (rf"(?<![\w.,-])\d{{1,5}} (?:{_PIECE} ){{1,4}}(?:{_NUMBER})?{_UNIT}{_TAIL}", 0.75),
        (rf"(?i:\bP\.? ?O\.? ?Box )\d{{1,6}}{_TAIL}", 0.85),
        (
            r"\b(?:PSC|Unit|USNS?V?|USCGC|USS|CMR) [\w ,]{1,30}\n? ?(?:APO|FPO|DPO) A[APE] \d{5}(?:-\d{4})?",
            0.9,
        ),
    )
)


def find_addresses(text: str) -> Iterator[Hit]:
    """Find street addresses, with unit, town, postcode and country where they follow."""
    for pattern, score in _ADDRESSES:
        for match in pattern.finditer(text):
            yield Hit(match.start(), match.start() + len(match.group().rstrip(" ,.\n")), score)


_CODES = (
    r"(?:\d{5}-\d{3,4}|\d{4}-\d{3}|\d{3}-\d{4}|\d{2}-\d{3}|\d{4} ?[a-z]{2}|\d{3} \d{2,3}|\d{4,7}"
    r"|[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2}|[a-z]\d[a-z] ?\d[a-z]\d|[a-z]{1,2}-?\d{3,5})"
)
_POSTCODES: tuple[tuple[re.Pattern[str], float], ...] = (
    (
        re.compile(
            r"(?i:(?<![\w.])(?:(?:zip|post(?:al)?)[ -]?codes?|zip|plz|cep|c[óo]digo postal)\b(?:[^\d]{0,40}?[\s:#(?]{1,3}"
            rf"(?P<value>{_CODES})|(?: code| number| is|:|=|\s){{1,3}}(?P<short>\d{{3}})))(?![\w-]|[.,]\d)"
        ),
        0.85,
    ),
    (re.compile(r"(?<![\w-])(?P<value>[A-Z]{1,2}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2})(?![\w-])"), 0.7),
    (re.compile(r"(?<![\w-])(?P<value>[ABCEGHJ-NPRSTVXY]\d[A-Z] \d[A-Z]\d)(?![\w-])"), 0.7),
    (
        re.compile(
            r",? (?:A[LKZR]|C[AOT]|D[CE]|FL|GA|HI|I[DLNA]|K[SY]|LA|M[EDAINSOT]|N[EVHJMYCD]|O[HKR]|PA|RI|S[CD]|T[NX]|UT"
            r"|V[TA]|W[AVIY]) (?P<value>\d{5}(?:-\d{4})?)(?![\w-])"
        ),
        0.8,
    ),
)


def find_postcodes(text: str) -> Iterator[Hit]:
    """Find postcodes by their word, by the forms of Britain and Canada, and behind a state of the USA."""
    for pattern, score in _POSTCODES:
        for match in pattern.finditer(text):
            group = match.lastgroup or "value"
            yield Hit(match.start(group), match.end(group), score)


_CAPITAL = re.compile(r"(?<![\w-])[A-ZÀ-ÖØ-Þ]\w+")
_PLACES_BY_WORD: dict[str, tuple[str, ...]] = {
    first: tuple(sorted(names, key=len, reverse=True))
    for first, names in groupby(PLACES, key=lambda name: name.split()[0])
}
_IN_PLACE = re.compile(
    rf"\b(?:lives? in|living in|live in|born in|moved (?:here )?from|move to|moved to|originally from|travell?ing to|"
    rf"(?:am|is|are|was) (?:currently )?in|trip to|visit(?:ed|ing)?|based in|arrived (?:at|in)|flying to|returned to"
    rf"|fly to|went to|capital of|north of|south of|east of|west of|town of|city of|comes? from|street in"
    rf") (?P<value>{WORD}(?: {WORD}){{0,2}})"
)


def find_places(text: str) -> Iterator[Hit]:
    """Find countries and large cities by name, and what stands behind `lives in` and the like."""
    for match in _CAPITAL.finditer(text):
        for name in _PLACES_BY_WORD.get(match.group(), ()):
            end = match.start() + len(name)
            if text.startswith(name, match.start()) and not text[end : end + 1].isalnum():
                yield Hit(match.start(), end, 0.6)
                break
    for match in _IN_PLACE.finditer(text):
        if match.group("value").split()[0].casefold() not in NO_NAMES:
            yield Hit(match.start("value"), match.end("value"), 0.6)


_ORGANISATIONS: tuple[tuple[re.Pattern[str], float], ...] = tuple(
    (re.compile(pattern), score)
    for pattern, score in (
        (
            rf"(?P<value>{WORD}(?:(?: |, | & | and ){WORD}){{0,4}},? (?:Inc|LLC|L\.L\.C|Ltd|Limited|Corp|Corporation|Co|GmbH|AG|PLC"
            r"|plc|B\.?V|Oy|AB|S\.?A|SAS|S\.?r\.?l|KG|Group|Holdings|Partners|Company|Bank|University|Institute"
            r"|Foundation|Association|Hospital|Insurance|Technologies|Solutions|Consulting)(?![\w])\.?)",
            0.85,
        ),
        (
            rf"\b(?:(?i:work(?:s|ed|ing)? (?:for|at)|employed (?:by|at)|job at|hired by|office of)) (?P<value>{WORD}(?: {WORD}){{0,3}})",
            0.7,
        ),
        (rf"(?<!\w)(?P<value>{WORD}(?:, {WORD})+ and {WORD})(?= [A-Z])", 0.6),
        (
            rf"\bThe (?P<value>{WORD}(?: {WORD}){{0,2}}) (?:office|Orchestra|headquarters|team)\b",
            0.65,
        ),
    )
)


def find_organisations(text: str) -> Iterator[Hit]:
    """Find organisations by the form of their name, and behind `work for` and the like."""
    for pattern, score in _ORGANISATIONS:
        for match in pattern.finditer(text):
            yield Hit(match.start("value"), match.end("value"), score)
