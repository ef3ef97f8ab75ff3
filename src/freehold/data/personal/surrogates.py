"""Stand-ins for personal data: the same value always becomes the same stand-in, and two never one.

A stand-in keeps the form of what it stands for, so that a model still learns from it, and belongs to
nobody: a mail address at example.org, a telephone number that is kept for stories, a card in the range of
test cards, a bank account of bank 0000, a national number whose check fails, an invented name.

It is drawn with the project's secret from the value alone. Where two values draw the same (which happens
in small ranges such as 555-0100 to 555-0199), the later one in the order of its draw draws again, so that
the result depends on the set of values and not on their order.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import NamedTuple

from freehold.core.errors import DataError
from freehold.core.sections import PersonalKind
from freehold.data.personal.key import keyed
from freehold.data.personal.lexicon import NO_NAMES, SMALL_WORDS
from freehold.data.personal.numbers import NATIONAL, is_national
from freehold.data.personal.structured import IBAN_LENGTHS, iban_check, luhn_digit

_MOST_DRAWS = 400
_SEPARATORS = re.compile(r"[^0-9A-Za-z]")
_ACCENTS = re.compile("[\u0300-\u036f]")
_WORDS = re.compile(r"[^\W\d_]+")
_PIECES = re.compile(r"[^\W\d_]+|\d+")

_ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "k",
    "kl",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "r",
    "s",
    "t",
    "v",
    "z",
)
_VOWELS = "aeiou"
_ENDS = ("", "", "n", "r", "s", "l")


class Word(NamedTuple):
    """What draws invented words: the same for the same word, whatever it is a part of.

    `of` lets small words such as `de` and `Street` stand, `always` does not.
    """

    of: Callable[[str], str]
    always: Callable[[str], str]


class Maker(NamedTuple):
    """How one kind is replaced.

    `identity` is what makes two spellings one value. `draw` makes the stand-in of an identity, and
    `dress` gives it the spelling of an occurrence (separators, capitals).
    """

    identity: Callable[[str], str]
    draw: Callable[[str, Random, Word, str], str]
    dress: Callable[[str, str], str]


# Spelling ---------------------------------------------------------------------------------------


def _compact(value: str) -> str:
    return _SEPARATORS.sub("", value).upper()


def _folded(value: str) -> str:
    """Return a value without capitals, accents and double spaces: one person's ways of being written."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", value)).casefold()
    return " ".join(plain.split())


def _as_it_is(value: str) -> str:
    return value


def _undressed(drawn: str, _value: str) -> str:
    return drawn


def _in_places(drawn: str, value: str) -> str:
    """Put the letters and digits of `drawn` where `value` has its own."""
    rest = iter(drawn.lower() if value == value.lower() else drawn)
    return "".join(next(rest, "") if c.isascii() and c.isalnum() else c for c in value)


def _in_digits(drawn: str, value: str) -> str:
    """Put the digits of `drawn` where `value` has its own."""
    rest = (c for c in drawn if c.isdigit())
    return "".join(next(rest, "0") if c.isdigit() else c for c in value)


def _in_words(drawn: str, value: str) -> str:
    """Put the words and numbers of `drawn` where `value` has its own, with its capitals."""
    rest = iter(_PIECES.findall(drawn))
    return _PIECES.sub(lambda match: _cased(next(rest, ""), match.group()), value)


def _cased(word: str, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word.capitalize() if like[:1].isupper() else word


def _same_form(value: str, draw: Random) -> str:
    """Return letters for letters and digits for digits."""
    return "".join(_same_character(c, draw) for c in value)


def _same_character(character: str, draw: Random) -> str:
    if character.isdigit():
        return draw.choice(string.digits)
    if character.isalpha():
        pool = string.ascii_uppercase if character.isupper() else string.ascii_lowercase
        return draw.choice(pool)
    return character


def _digits(count: int, draw: Random) -> str:
    return "".join(draw.choice(string.digits) for _ in range(count))


# Kinds ------------------------------------------------------------------------------------------


def _email(identity: str, draw: Random, word: Word, _detector: str) -> str:
    local, _, domain = identity.rpartition("@")
    pieces = _PIECES.sub(
        lambda m: word.of(m.group()) if m.group().isalpha() else _digits(len(m.group()), draw),
        local,
    )
    return f"{pieces}@{word.of(domain)}.example.org"


def _url(identity: str, draw: Random, word: Word, _detector: str) -> str:
    scheme, mark, rest = identity.rpartition("://")
    host, slash, path = rest.partition("/")
    www = "www." if host.startswith("www.") else ""
    name = word.of(host.removeprefix("www."))
    shown = f"{draw.getrandbits(40):010x}" if path else ""
    return f"{scheme}{mark}{www}{name}.example.org{slash}{shown}"


def _phone_identity(value: str) -> str:
    main, _, more = value.partition("x")
    plus = "+" if value.startswith("+") else ""
    digits = re.sub(r"\D", "", main)
    return f"{plus}{digits}" + (f"x{re.sub(r'[^0-9]', '', more)}" if more else "")


_NANP = re.compile(r"(\+?1|001)?[2-9]\d{9}")


def _phone(identity: str, draw: Random, _word: Word, _detector: str) -> str:
    main, mark, more = identity.partition("x")
    tail = mark + _digits(len(more), draw)
    american = _NANP.fullmatch(main)
    if american is not None:
        area = f"{draw.randint(2, 9)}{draw.randint(0, 9)}{draw.randint(2, 9)}"
        return f"{american.group(1) or ''}{area}55501{_digits(2, draw)}{tail}"
    if main.startswith("+"):
        return f"+999{_digits(len(main) - 4, draw)}{tail}"
    return f"000{_digits(len(main) - 3, draw)}{tail}"


_TEST_CARDS = {
    "1": "180000",
    "2": "222300",
    "3": "356600",
    "4": "400000",
    "5": "555555",
    "6": "601111",
}
_TEST_CARDS_BY_LENGTH = {("3", 15): "378282", ("3", 14): "305693"}


def _card(identity: str, draw: Random, _word: Word, _detector: str) -> str:
    first, length = identity[0], len(identity)
    prefix = _TEST_CARDS_BY_LENGTH.get((first, length), _TEST_CARDS.get(first, "400000"))
    body = prefix + _digits(length - len(prefix) - 1, draw)
    return body + luhn_digit(body)


def _iban(identity: str, draw: Random, _word: Word, _detector: str) -> str:
    country, bank, rest = identity[:2], identity[4:8], identity[8:]
    if country not in IBAN_LENGTHS:
        return _same_form(identity, draw)
    account = "".join("0" if c.isdigit() else "X" for c in bank) + _same_form(rest, draw)
    return f"{country}{iban_check(country, account)}{account}"


def _national(identity: str, draw: Random, _word: Word, detector: str) -> str:
    if detector.startswith("us_ssn"):
        return f"666{_digits(6, draw)}"
    if detector == "gb_nino":
        return "QQ" + _same_form(identity[2:], draw)
    while True:
        drawn = _same_form(identity, draw)
        if detector not in NATIONAL or not is_national(detector, drawn):
            return drawn


def _ip(identity: str, draw: Random, _word: Word, _detector: str) -> str:
    if ":" in identity:
        groups = [f"{draw.getrandbits(16):x}" for _ in range(6)]
        return ":".join(["2001", "db8", *groups])
    if draw.random() < 0.5:
        return f"198.{draw.randint(18, 19)}.{draw.randint(0, 255)}.{draw.randint(0, 255)}"
    return ".".join([str(draw.randint(240, 254)), *(str(draw.randint(0, 255)) for _ in range(3))])


def _mac(_identity: str, draw: Random, _word: Word, _detector: str) -> str:
    return f"02{draw.getrandbits(40):010X}"


def _name(identity: str, _draw: Random, word: Word, _detector: str) -> str:
    has_own = any(part not in SMALL_WORDS for part in _WORDS.findall(identity))
    draw_word = word.of if has_own else word.always
    return _WORDS.sub(lambda match: draw_word(match.group()), identity)


def _address(identity: str, draw: Random, word: Word, _detector: str) -> str:
    def piece(match: re.Match[str]) -> str:
        value = match.group()
        if not value.isdigit():
            return word.of(value)
        return str(draw.randint(1, 9)) + _digits(len(value) - 1, draw)

    return _PIECES.sub(piece, identity)


_KEPT_HEAD = re.compile(
    r"-----BEGIN [A-Z0-9 ]+-----|AKIA|ASIA|AIza|eyJ|0x|bc1|[13](?=[A-Za-z1-9]{25})|gh[pousr]_|github_pat_"
    r"|glpat-|xox[abeoprs]-|xapp-|sk-(?:ant-|proj-|or-)?|[rs]k_(?:live|test)_|hf_|npm_|pypi-|whsec_|dop_v1_|SG\."
)


def _token(identity: str, draw: Random, _word: Word, _detector: str) -> str:
    head = _KEPT_HEAD.match(identity)
    kept = head.group() if head is not None else ""
    body, mark, foot = identity[len(kept) :].partition("-----END")
    return kept + _same_form(body, draw) + mark + foot


def _same(identity: str, draw: Random, _word: Word, _detector: str) -> str:
    return _same_form(identity, draw)


MAKERS: Mapping[PersonalKind, Maker] = {
    "email": Maker(str.casefold, _email, _undressed),
    "phone": Maker(_phone_identity, _phone, _in_digits),
    "card": Maker(_compact, _card, _in_digits),
    "iban": Maker(_compact, _iban, _in_places),
    "national_id": Maker(_compact, _national, _in_places),
    "driver_licence": Maker(_compact, _same, _in_places),
    "passport": Maker(_compact, _same, _in_places),
    "ip": Maker(str.lower, _ip, _undressed),
    "mac": Maker(_compact, _mac, _in_places),
    "secret": Maker(_as_it_is, _token, _undressed),
    "password": Maker(_as_it_is, _same, _undressed),
    "crypto": Maker(_as_it_is, _token, _undressed),
    "name": Maker(_folded, _name, _in_words),
    "address": Maker(_folded, _address, _in_words),
    "url": Maker(_as_it_is, _url, _undressed),
    "postcode": Maker(_compact, _same, _in_places),
    "organisation": Maker(_folded, _name, _in_words),
    "place": Maker(_folded, _name, _in_words),
}
"""Kinds that have stand-ins. The others (ages, dates, titles, nationalities) are masked instead."""


class Surrogates:
    """The stand-ins of one project's values, drawn with its secret and kept in memory only.

    Args:
        key: the project's secret.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._avoided: set[str] = set()
        self._drawn: dict[tuple[str, str], str] = {}
        self._used: dict[str, set[str]] = {}
        self._word = Word(of=self._word_of, always=self._invented_for)

    def avoid(self, values: Iterable[str]) -> None:
        """Never draw one of these values of the data, or a word of them, as a stand-in."""
        for value in values:
            folded = value.casefold()
            self._avoided.update((folded, *_WORDS.findall(folded)))

    def assign(self, values: Iterable[tuple[PersonalKind, str, str]]) -> None:
        """Draw stand-ins for (kind, value, detector) in an order that is theirs, not the data's."""
        known: dict[bytes, tuple[PersonalKind, str, str]] = {
            keyed(self._key, "order", kind, identity): (kind, identity, detector)
            for kind, value, detector in values
            for identity in (MAKERS[kind].identity(value),)
        }
        for order in sorted(known):
            kind, identity, detector = known[order]
            self._stand_in(kind, identity, detector)

    def of(self, kind: PersonalKind, value: str, *, detector: str = "") -> str:
        """Return the stand-in of a value, in its spelling.

        Raises:
            DataError: DAT-072, more different values than the range of stand-ins holds.
        """
        maker = MAKERS[kind]
        return maker.dress(self._stand_in(kind, maker.identity(value), detector), value)

    def _word_of(self, value: str) -> str:
        return value if value.casefold() in SMALL_WORDS else self._invented_for(value)

    def _invented_for(self, value: str) -> str:
        folded = value.casefold()
        if len(folded) == 1 and folded in string.ascii_lowercase:
            return self._initial(folded)
        return self._unique("word", folded, lambda draw: _invented(draw, len(folded)))

    def _initial(self, letter: str) -> str:
        letters = string.ascii_lowercase
        order = sorted(letters, key=lambda other: keyed(self._key, "initial", other))
        return order[letters.index(letter)]

    def _stand_in(self, kind: PersonalKind, identity: str, detector: str) -> str:
        draw = MAKERS[kind].draw
        return self._unique(kind, identity, lambda rng: draw(identity, rng, self._word, detector))

    def _unique(self, kind: str, identity: str, make: Callable[[Random], str]) -> str:
        known = self._drawn.get((kind, identity))
        if known is not None:
            return known
        used = self._used.setdefault(kind, set())
        for drawn in self._draws(kind, identity, make):
            if drawn not in used and drawn.casefold() not in self._avoided and drawn != identity:
                used.add(drawn)
                self._drawn[kind, identity] = drawn
                return drawn
        raise DataError(
            "DAT-072",
            f"{len(used):,} different values of the kind `{kind}` are more than its stand-ins allow",
            help=f"mask this kind instead: freehold data scrub --as mask --kinds {kind}",
        )

    def _draws(self, kind: str, identity: str, make: Callable[[Random], str]) -> Iterator[str]:
        for attempt in range(_MOST_DRAWS):
            yield make(Random(keyed(self._key, kind, identity, str(attempt))))


def _invented(draw: Random, length: int) -> str:
    """Return a word that can be spoken and is no common one: three syllables, or four."""
    count = 3 if length < 9 else 4
    syllables = (draw.choice(_ONSETS) + draw.choice(_VOWELS) for _ in range(count))
    word = "".join(syllables) + draw.choice(_ENDS)
    return word if word not in NO_NAMES else word + "a"
