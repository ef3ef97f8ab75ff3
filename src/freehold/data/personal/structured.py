"""What has a form of its own: addresses of mail, machines and wallets, cards and bank accounts.

A checksum or a registry of ranges decides wherever there is one. Values that a standard reserves for
documentation (example.org, 192.0.2.0/24, 2001:db8::/32, ...) are nobody's, and are not reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from freehold.data.personal.records import Hit, follows

# Mail, web ------------------------------------------------------------------------------------

_LOCAL = re.compile(r"[^\W_](?:[\w.%+'-]{0,62}[\w+-])?$")
_DOMAIN = re.compile(
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:[a-z]{2,24}|xn--[a-z0-9-]{2,40})(?![\w-])", re.I
)
_RESERVED_HOST = re.compile(
    r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|test|invalid|localhost)$", re.I
)


def find_emails(text: str) -> Iterator[Hit]:
    """Find mail addresses; those of the reserved domains (RFC 2606) are not reported."""
    at = text.find("@")
    while at >= 0:
        low = max(0, at - 64)
        local = _LOCAL.search(text[low:at])
        domain = _DOMAIN.match(text, at + 1)
        if local is not None and domain is not None and not is_reserved_host(domain.group()):
            yield Hit(low + local.start(), domain.end(), 0.98)
        at = text.find("@", at + 1)


def is_reserved_host(host: str) -> bool:
    """Return whether a host name is one that RFC 2606 keeps for examples."""
    return _RESERVED_HOST.search(host) is not None


_SCHEME = re.compile(r"\b(?:https?|ftps?|sftp|wss?)://[^\s<>\"'`{}|\\^\[\]]{3,2048}", re.I)
_BARE = re.compile(
    r"(?<![\w@./\\-])(?:www\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,5}"
    r"(?:com|org|net|edu|gov|mil|info|biz|app|dev|shop|store|online|co\.uk|org\.uk|ac\.uk|com\.au"
    r"|com\.br|co\.nz|co\.za|co\.jp|co\.in|de|fr|nl|eu|uk|dk|fi|pt|cz|hu|gr|ro|bg|jp|cn|kr|br|mx|ru)"
    r"(?![\w-])(?:/[^\s<>\"'`]{0,1024})?",
    re.I,
)
_AFTER_URL = ".,;:!?)*_~"


def find_urls(text: str) -> Iterator[Hit]:
    """Find web addresses with a scheme, and host names with a well-known ending."""
    for pattern, score in ((_SCHEME, 0.95), (_BARE, 0.75)):
        for match in pattern.finditer(text):
            hit = _url(text, match, score)
            if hit is not None:
                yield hit


def _url(text: str, match: re.Match[str], score: float) -> Hit | None:
    value = match.group().rstrip(_AFTER_URL)
    host = re.sub(r"^\w+://", "", value).split("/", 1)[0].rsplit("@", 1)[-1].split(":", 1)[0]
    if is_reserved_host(host) or "." not in host:
        return None
    is_mail = match.end() < len(text) and text[match.end()] == "@"
    return None if is_mail else Hit(match.start(), match.start() + len(value), score)


# Machines -------------------------------------------------------------------------------------

_V4 = re.compile(
    r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\w|\.\d)"
)
_V6 = re.compile(
    r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(?![\w:])", re.I
)
_VERSION = re.compile(r"(?:version|release|ver|build|section|\bv)[\s.:]*$", re.I)
_NOBODYS = tuple(
    ip_network(name)
    for name in (
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "240.0.0.0/4"),
        *("127.0.0.0/8", "0.0.0.0/8", "2001:db8::/32"),
    )
)
_MAC = re.compile(
    r"(?<![\w:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![\w:-])"
    r"|(?<![\w.])[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?![\w.])",
    re.I,
)


def find_ips(text: str) -> Iterator[Hit]:
    """Find IPv4 and IPv6 addresses, but for loopback, multicast, and those kept for documents."""
    for match in _V4.finditer(text):
        if not follows(text, match.start(), _VERSION, within=12) and not _is_nobodys(match.group()):
            yield Hit(match.start(), match.end(), 0.9)
    for match in _V6.finditer(text):
        value = match.group()
        is_like_one = value.count(":") >= 3 and any(c.isdigit() for c in value)
        if is_like_one and not _is_nobodys(value):
            yield Hit(match.start(), match.end(), 0.9)


def _is_nobodys(value: str) -> bool:
    try:
        address: IPv4Address | IPv6Address = ip_address(value)
    except ValueError:
        return True
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return True
    return any(address.version == net.version and address in net for net in _NOBODYS)


def find_macs(text: str) -> Iterator[Hit]:
    """Find hardware addresses; all zeros, all ones and locally administered ones are nobody's."""
    for match in _MAC.finditer(text):
        digits = re.sub(r"[^0-9a-f]", "", match.group().lower())
        is_assigned = not int(digits[:2], 16) & 0b11
        if is_assigned and len(set(digits)) > 1:
            yield Hit(match.start(), match.end(), 0.9)


# Cards and accounts -----------------------------------------------------------------------------

_CARD = re.compile(r"(?<![\w.,])\d(?:[ -]?\d){11,18}(?![ -]?\d)(?!\w)")
_CARD_WORD = re.compile(r"card|visa|master|amex|maestro|credit|debit|\bcc\b|\bpan\b", re.I)
_ISSUERS: tuple[tuple[int, int, frozenset[int]], ...] = (
    # first and last prefix of a range, and the lengths that it is issued in
    (1800, 1800, frozenset({15})),
    (2131, 2131, frozenset({15})),
    (2200, 2204, frozenset({16, 17, 18, 19})),
    (2221, 2720, frozenset({16})),
    (300, 305, frozenset({14, 16, 17, 18, 19})),
    (309, 309, frozenset({14, 16, 17, 18, 19})),
    (34, 34, frozenset({15})),
    (3528, 3589, frozenset({16, 17, 18, 19})),
    (36, 36, frozenset({14, 15, 16, 17, 18, 19})),
    (37, 37, frozenset({15})),
    (38, 39, frozenset({14, 16, 17, 18, 19})),
    (4, 4, frozenset({13, 16, 19})),
    (50, 50, frozenset(range(12, 20))),
    (51, 55, frozenset({16})),
    (56, 59, frozenset(range(12, 20))),
    (60, 69, frozenset(range(12, 20))),
)
_RARE_CARD_LENGTHS = frozenset({12, 13, 17, 18})


def luhn_digit(digits: str) -> str:
    """Return the digit that makes `digits` followed by it pass the check of ISO/IEC 7812-1."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * 2 if place % 2 == 0 else int(digit)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def is_card_number(digits: str) -> bool:
    """Return whether digits are in an issuer's range, of a length it uses, and pass the check."""
    return _may_be_card(digits) and any(
        low <= int(digits[: len(str(low))]) <= high and len(digits) in lengths
        for low, high, lengths in _ISSUERS
    )


def _may_be_card(digits: str) -> bool:
    """Return whether the check digit holds and the first digit is one that cards begin with."""
    is_varied = digits.isascii() and len(set(digits)) > 1 and digits[0] in "123456"
    return is_varied and luhn_digit(digits[:-1]) == digits[-1]


def find_cards(text: str) -> Iterator[Hit]:
    """Find card numbers: the check digit and the issuer's range hold, and groups look like a card's.

    Behind a word such as `card` the check digit is enough.
    """
    for match in _CARD.finditer(text):
        value = match.group()
        digits = re.sub(r"\D", "", value)
        has_word = follows(text, match.start(), _CARD_WORD)
        is_one = is_card_number(digits) or (has_word and _may_be_card(digits))
        if not is_one or not _is_grouped_as_card(value):
            continue
        is_rare = len(digits) in _RARE_CARD_LENGTHS
        yield Hit(match.start(), match.end(), 0.97 if has_word else 0.7 if is_rare else 0.93)


def _is_grouped_as_card(value: str) -> bool:
    if value.isdigit():
        return True
    separators = set(re.sub(r"\d", "", value))
    groups = re.split(r"[ -]", value)
    return len(separators) == 1 and len(groups[0]) == 4 and all(len(g) >= 2 for g in groups)


IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE", "BI"), 16),
    **dict.fromkeys(("DK", "FI", "FO", "GL", "NL", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "TL", "OM"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    "LC": 32,
}
_IBAN_HEAD = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})\d{2}(?=[ ]?[A-Za-z0-9]{3})")


def iban_check(country: str, account: str) -> str:
    """Return the two check digits of a country and its account part (ISO 7064, mod 97-10)."""
    turned = "".join(str(int(c, 36)) for c in f"{account}{country}00")
    return f"{98 - int(turned) % 97:02d}"


def find_ibans(text: str) -> Iterator[Hit]:
    """Find bank accounts: the length is the country's and the check digits hold."""
    for match in _IBAN_HEAD.finditer(text):
        country = match.group(1).upper()
        length = IBAN_LENGTHS.get(country)
        end = None if length is None else _iban_end(text, match.start(), length)
        if end is None:
            continue
        value = re.sub(r"[ -]", "", text[match.start() : end]).upper()
        if iban_check(country, value[4:]) == value[2:4]:
            yield Hit(match.start(), end, 0.98)


def _iban_end(text: str, start: int, length: int) -> int | None:
    """Return where an account of `length` letters and digits ends, single spaces between allowed."""
    place, taken = start, 0
    while taken < length and place < len(text):
        character = text[place]
        if character.isascii() and character.isalnum():
            taken += 1
        elif character not in " -" or text[place - 1] in " -":
            return None
        place += 1
    is_whole = taken == length and not (place < len(text) and text[place].isalnum())
    return place if is_whole else None


# Wallets ----------------------------------------------------------------------------------------

_WALLET = re.compile(
    r"(?<!\w)(?:(?P<bitcoin>[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71})"
    r"|(?P<ether>0x[0-9a-fA-F]{40}))(?!\w)"
)


def find_wallets(text: str) -> Iterator[Hit]:
    """Find Bitcoin addresses, whose checksum decides, and addresses of Ethereum's form."""
    from stdnum import bitcoin

    for match in _WALLET.finditer(text):
        if match.group("ether"):
            yield Hit(match.start(), match.end(), 0.85)
        elif bitcoin.is_valid(match.group()):
            yield Hit(match.start(), match.end(), 0.97)
