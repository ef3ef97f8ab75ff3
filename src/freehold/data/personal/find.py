"""Find personal data and secrets in a text: which detectors there are, and how overlaps are settled.

Of two spans that overlap, the one with the higher score stays; at equal scores the longer; then the kind
that is named first. So a card number is never also a telephone number, and a name inside a mail address
is part of the address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from freehold.core.sections import PersonalKind
from freehold.data.personal.dates import find_ages, find_birth_dates, find_dates
from freehold.data.personal.names import find_names, find_nationalities, find_titles
from freehold.data.personal.numbers import NUMBER_DETECTORS
from freehold.data.personal.phones import find_phones
from freehold.data.personal.places import (
    find_addresses,
    find_organisations,
    find_places,
    find_postcodes,
)
from freehold.data.personal.records import DEFAULT_KINDS, KINDS, Detector, Found, Need
from freehold.data.personal.secrets import find_passwords, find_secrets
from freehold.data.personal.structured import (
    find_cards,
    find_emails,
    find_ibans,
    find_ips,
    find_macs,
    find_urls,
    find_wallets,
)

DETECTORS: Mapping[str, Detector] = {
    "email": Detector("email", "at", find_emails),
    "phone": Detector("phone", "digits", find_phones),
    "card": Detector("card", "digits", find_cards),
    "iban": Detector("iban", "digits", find_ibans),
    **NUMBER_DETECTORS,
    "ip": Detector("ip", "digit", find_ips),
    "mac": Detector("mac", "digit", find_macs),
    "secret": Detector("secret", "hint", find_secrets),
    "password": Detector("password", "hint", find_passwords),
    "crypto": Detector("crypto", "digits", find_wallets),
    "birth_date": Detector("birth_date", "digit", find_birth_dates),
    "age": Detector("age", "digit", find_ages),
    "name": Detector("name", "capital", find_names),
    "address": Detector("address", "digit", find_addresses),
    "url": Detector("url", "dot", find_urls),
    "postcode": Detector("postcode", "digit", find_postcodes),
    "organisation": Detector("organisation", "capital", find_organisations),
    "title": Detector("title", "letter", find_titles),
    "date": Detector("date", "letter", find_dates),
    "place": Detector("place", "capital", find_places),
    "nationality": Detector("nationality", "letter", find_nationalities),
}
Finder: TypeAlias = Callable[[str], tuple[Found, ...]]
Further: TypeAlias = Callable[[str], Iterable[Found]]
"""A detector from outside, such as Presidio: all that it finds in a text, overlaps included."""

_ORDER: Mapping[PersonalKind, int] = {kind: place for place, kind in enumerate(KINDS)}
_HINTS = (
    *(
        "key",
        "token",
        "secret",
        "bearer",
        "basic",
        "pass",
        "pwd",
        "creden",
        "kennw",
        "contrase",
        "eyj",
        "begin ",
    ),
    *(
        "://",
        "hooks.",
        "ya29",
        "aiza",
        "dapi",
        ":aa",
        "sg.",
        "akia",
        "asia",
        "agpa",
        "aroa",
        "aida",
        "anpa",
    ),
    *(
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat",
        "glpat-",
        "xox",
        "xapp-",
        "k_live",
        "k_test",
    ),
    *("whsec", "sk-", "hf_", "npm_", "pypi-", "dop_", "shp"),
)


def _has_hint(text: str) -> bool:
    lowered = text.lower()
    return any(hint in lowered for hint in _HINTS)


_NEEDS: Mapping[Need, Callable[[str], object]] = {
    "at": re.compile("@").search,
    "dot": re.compile(r"\.[A-Za-z]|://").search,
    "digit": re.compile(r"\d").search,
    "digits": re.compile(r"\d(?:\D{0,3}\d){5}").search,
    "letter": re.compile(r"[^\W\d_]").search,
    "capital": re.compile(r"[A-ZÀ-ÖØ-ÞĀ-\u052f]|\bname is ").search,
    "hint": _has_hint,
}


def finder(
    kinds: Collection[PersonalKind] = DEFAULT_KINDS, *, further: Further | None = None
) -> Finder:
    """Return the function that finds these kinds in a text.

    Args:
        kinds: what is looked for.
        further: another source of spans, such as Presidio. Of kinds that it finds, the bundled
            detectors of `names.py` and `places.py` are left out by whoever makes it (`presidio.py`).
    """
    wanted = tuple((name, d) for name, d in DETECTORS.items() if d.kind in kinds)
    by_need: dict[Need, list[tuple[str, Detector]]] = {}
    for name, detector in wanted:
        by_need.setdefault(detector.needs, []).append((name, detector))
    groups = tuple((_NEEDS[need], tuple(found)) for need, found in by_need.items())

    def find(text: str) -> tuple[Found, ...]:
        spans = [
            Found(hit.start, hit.end, detector.kind, hit.score, name)
            for holds, group in groups
            if holds(text)
            for name, detector in group
            for hit in detector.find(text)
        ]
        if further is not None:
            spans.extend(span for span in further(text) if span.kind in kinds)
        return settle(spans)

    return find


def find_personal(text: str, kinds: Collection[PersonalKind] = DEFAULT_KINDS) -> tuple[Found, ...]:
    """Return the personal data of one text, in order, without overlaps."""
    return finder(kinds)(text)


def settle(spans: Sequence[Found]) -> tuple[Found, ...]:
    """Return spans in order, of which no two overlap: higher score, then longer, then kind."""
    if len(spans) < 2:
        return tuple(spans)
    ranked = sorted(
        spans, key=lambda s: (-s.score, s.start - s.end, _ORDER[s.kind], s.start, s.detector)
    )
    kept: list[Found] = []
    for span in ranked:
        if all(span.end <= other.start or span.start >= other.end for other in kept):
            kept.append(span)
    return tuple(sorted(kept))
