"""Numbers that a state gives to a person: by their checksum, or by the word that stands before them.

python-stdnum holds the rules of each country. A number whose form is common (nine digits) is reported
only behind a word that says what it is, as one in ten such numbers passes a single check digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from typing import NamedTuple, cast

from freehold.data.personal.records import Detector, Hit, follows

_ANY_ID = (
    r"national (?:id|identity|insurance|number)|identity (?:card|number)|\bid (?:card|number|no)\b"
)


class National(NamedTuple):
    """One national number: its form, the module of python-stdnum that checks it, and its words.

    `alone` is the score where no word stands before it; 0 where a word is needed.
    """

    form: re.Pattern[str]
    module: str
    words: re.Pattern[str]
    alone: float


def _national(form: str, module: str, words: str, *, alone: float = 0.0) -> National:
    return National(
        re.compile(rf"(?<![\w.+/-])(?:{form})(?![\w/-]|\.\d)"),
        module,
        re.compile(rf"{words}|{_ANY_ID}", re.IGNORECASE),
        alone,
    )


NATIONAL: dict[str, National] = {
    "au_tfn": _national(r"\d{3} ?\d{3} ?\d{3}", "au.tfn", r"\btfn\b|tax file"),
    "be_nn": _national(
        r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d|\d{11}",
        "be.nn",
        r"rijksregister|registre national|\bnn\b",
        alone=0.6,
    ),
    "br_cpf": _national(r"\d{3}\.\d{3}\.\d{3}-\d\d|\d{11}", "br.cpf", r"\bcpf\b"),
    "ca_sin": _national(r"\d{3}[ -]?\d{3}[ -]?\d{3}", "ca.sin", r"\bsin\b|social insurance"),
    "ch_ahv": _national(r"756\.?\d{4}\.?\d{4}\.?\d\d", "ch.ssn", r"\bahv\b|\bavs\b", alone=0.95),
    "cn_ric": _national(r"\d{17}[\dX]", "cn.ric", r"身份证", alone=0.95),
    "de_idnr": _national(
        r"\d{2} ?\d{3} ?\d{3} ?\d{3}", "de.idnr", r"steuer|tax id|\bidnr\b|identifikationsnummer"
    ),
    "dk_cpr": _national(r"\d{6}-\d{4}", "dk.cpr", r"\bcpr\b|personnummer", alone=0.6),
    "ee_ik": _national(r"[1-6]\d{10}", "ee.ik", r"isikukood"),
    "es_dni": _national(r"\d{8}[- ]?[A-HJ-NP-TV-Z]", "es.dni", r"\bdni\b|\bnif\b", alone=0.85),
    "es_nie": _national(r"[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", "es.nie", r"\bnie\b", alone=0.9),
    "fi_hetu": _national(
        r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", "fi.hetu", r"\bhetu\b", alone=0.95
    ),
    "fr_nir": _national(
        r"[1-478] ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d",
        "fr.nir",
        r"s[ée]cu|\bnir\b",
        alone=0.95,
    ),
    "gb_nhs": _national(r"\d{3}[ -]?\d{3}[ -]?\d{4}", "gb.nhs", r"\bnhs\b"),
    "hr_oib": _national(r"\d{11}", "hr.oib", r"\boib\b"),
    "ie_pps": _national(r"\d{7}[A-W][A-IW]?", "ie.pps", r"\bppsn?\b", alone=0.85),
    "in_aadhaar": _national(r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", "in_.aadhaar", r"aadha+r|\buid\b"),
    "in_pan": _national(r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", "in_.pan", r"\bpan\b", alone=0.8),
    "it_codice_fiscale": _national(
        r"[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]",
        "it.codicefiscale",
        r"codice fiscale",
        alone=0.97,
    ),
    "kr_rrn": _national(r"\d{6}-\d\d{6}", "kr.rrn", r"주민등록", alone=0.93),
    "mx_curp": _national(
        r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d", "mx.curp", r"\bcurp\b", alone=0.95
    ),
    "nl_bsn": _national(r"\d{4}\.?\d\d\.?\d{3}", "nl.bsn", r"\bbsn\b|burgerservice|\bsofi\b"),
    "no_fnr": _national(
        r"\d{6} ?\d{5}", "no.fodselsnummer", r"f[øo]dselsnummer|\bfnr\b", alone=0.7
    ),
    "pl_pesel": _national(r"\d{11}", "pl.pesel", r"\bpesel\b", alone=0.5),
    "ro_cnp": _national(r"[1-9]\d{12}", "ro.cnp", r"\bcnp\b", alone=0.7),
    "se_pnr": _national(
        r"(?:19|20)?\d{6}[-+]\d{4}", "se.personnummer", r"personnummer", alone=0.75
    ),
    "tr_tckn": _national(r"[1-9]\d{10}", "tr.tckimlik", r"kimlik|\btckn?\b", alone=0.5),
    "us_itin": _national(r"9\d\d-[5-9]\d-\d{4}", "us.itin", r"\bitin\b|taxpayer", alone=0.9),
    "us_ssn": _national(r"\d{3}-\d\d-\d{4}", "us.ssn", r"\bssn\b|social security", alone=0.9),
    "us_ssn_spaced": _national(r"\d{3} \d\d \d{4}|\d{9}", "us.ssn", r"\bssn\b|social security"),
    "za_id": _national(r"\d{6} ?\d{4} ?\d{3}", "za.idnr", r"south african id|rsa id", alone=0.5),
}

_NINO = re.compile(
    r"(?<!\w)(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D](?!\w)"
)


def find_national(name: str, text: str) -> Iterator[Hit]:
    """Find the national numbers of one row of `NATIONAL`."""
    number = NATIONAL[name]
    for match in number.form.finditer(text):
        has_word = follows(text, match.start(), number.words)
        score = 0.97 if has_word else number.alone
        if score and is_national(name, match.group()):
            yield Hit(match.start(), match.end(), score)


def is_national(name: str, value: str) -> bool:
    """Return whether a value passes the check of one row of `NATIONAL`."""
    return _validator(NATIONAL[name].module)(value)


@cache
def _validator(module: str) -> Callable[[str], bool]:
    return cast("Callable[[str], bool]", import_module(f"stdnum.{module}").is_valid)


def find_ninos(text: str) -> Iterator[Hit]:
    """Find British National Insurance numbers by their prefix rules; they have no check digit."""
    for match in _NINO.finditer(text):
        yield Hit(match.start(), match.end(), 0.8)


# By their words alone -----------------------------------------------------------------------------

_LICENCE = re.compile(
    r"(?:driv(?:er'?s?|ers'|ing)[ -]licen[cs]e|\bDL|permis de conduire|f[üu]hrerschein)"
    r"[^\w\n]{0,3}(?:(?:number|no|nr|num|id|is|was|it's|#)[^\w\n]{0,3}){0,3}"
    r"(?P<value>(?=[A-Z0-9 -]{0,19}\d{3})[A-Z0-9](?:[ -]?[A-Z0-9]){4,18})(?!\w)",
    re.IGNORECASE,
)
_PASSPORT = re.compile(
    r"(?:passport|reisepass|passeport|pasaporte)"
    r"[^\w\n]{0,3}(?:(?:number|no|nr|num|id|is|was|#)[^\w\n]{0,3}){0,3}"
    r"(?P<value>(?=(?:[A-Z]{0,4}\d){2})[A-Z0-9]{6,10})(?!\w)",
    re.IGNORECASE,
)


def _find_named(pattern: re.Pattern[str], score: float, text: str) -> Iterator[Hit]:
    for match in pattern.finditer(text):
        yield Hit(match.start("value"), match.end("value"), score)


_FEW_DIGITS = frozenset({"in_pan"})

NUMBER_DETECTORS: dict[str, Detector] = {
    **{
        name: Detector(
            "national_id",
            "digit" if name in _FEW_DIGITS else "digits",
            partial(find_national, name),
        )
        for name in NATIONAL
    },
    "gb_nino": Detector("national_id", "digits", find_ninos),
    "driver_licence": Detector("driver_licence", "digits", partial(_find_named, _LICENCE, 0.85)),
    "passport": Detector("passport", "digits", partial(_find_named, _PASSPORT, 0.85)),
}
