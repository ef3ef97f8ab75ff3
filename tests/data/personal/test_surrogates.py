"""Laws of stand-ins: one for one, the same every time, of the same form, and nobody's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import iban, luhn

from freehold.core.errors import DataError
from freehold.core.sections import PersonalKind
from freehold.data.personal.find import find_personal
from freehold.data.personal.phones import is_reserved_phone
from freehold.data.personal.structured import is_card_number, luhn_digit
from freehold.data.personal.surrogates import MAKERS, Surrogates

KEY = b"k" * 32
LETTERS = st.characters(categories=["Lu", "Ll"], max_codepoint=0x24F)
WORD = st.text(LETTERS, min_size=2, max_size=8)
NUMBER = st.text("0123456789", min_size=8, max_size=8)


def _card(digits: str) -> str:
    body = f"4{digits}999888"
    return body + luhn_digit(body)


VALUES: dict[PersonalKind, st.SearchStrategy[str]] = {
    "email": st.builds("{}.{}@{}.com".format, WORD, NUMBER, st.sampled_from(["acme", "other"])),
    "phone": st.builds("+49 {} {}".format, st.integers(100, 999), NUMBER),
    "card": NUMBER.map(_card),
    "iban": st.builds("DE89{}0532013000".format, NUMBER),
    "national_id": st.builds("{}-{}".format, st.integers(100, 999), NUMBER),
    "ip": st.ip_addresses().map(str),
    "mac": st.builds("00:1a:2b:{}:{}:{}".format, *[st.integers(10, 99)] * 3),
    "secret": st.builds("ghp_{}aB{}".format, NUMBER, NUMBER),
    "password": st.builds("x{}!".format, NUMBER),
    "name": st.builds("{} {}".format, WORD, WORD),
    "address": st.builds("{} {} Street".format, NUMBER, WORD),
    "url": st.builds("https://{}.com/{}".format, WORD, NUMBER),
    "organisation": st.builds("{} {} Ltd".format, WORD, WORD),
    "postcode": NUMBER,
    "passport": st.builds("C{}".format, NUMBER),
}


@pytest.mark.parametrize("kind", sorted(VALUES))
@settings(max_examples=25)
@given(data=st.data())
def test_stand_ins_are_one_for_one_and_do_not_depend_on_the_order(
    kind: PersonalKind, data: st.DataObject
) -> None:
    values: Sequence[str] = data.draw(st.lists(VALUES[kind], max_size=12))
    first, second = Surrogates(KEY), Surrogates(KEY)
    for book, order in ((first, values), (second, list(reversed(values)))):
        book.avoid(order)
        book.assign((kind, value, "") for value in order)
    identity = MAKERS[kind].identity
    drawn = {identity(value): identity(first.of(kind, value)) for value in values}
    assert len(set(drawn.values())) == len(drawn)
    assert not set(drawn) & set(drawn.values())
    for value in values:
        assert first.of(kind, value) == second.of(kind, value)


def test_another_key_draws_other_stand_ins() -> None:
    one, other = Surrogates(KEY), Surrogates(b"o" * 32)
    assert one.of("name", "Anna Schmidt") != other.of("name", "Anna Schmidt")


@pytest.mark.parametrize(
    ("kind", "spellings"),
    [
        ("name", ["Anna Schmidt", "ANNA  SCHMIDT", "anna schmidt"]),
        ("phone", ["618-226-1460", "(618) 226 1460", "618.226.1460"]),
        ("card", ["4454794511390933", "4454 7945 1139 0933", "4454-7945-1139-0933"]),
        ("iban", ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00"]),
        ("email", ["Anna@Acme.com", "anna@acme.com"]),
    ],
)
def test_two_spellings_of_one_value_get_one_stand_in_in_their_spelling(
    kind: PersonalKind, spellings: list[str]
) -> None:
    book = Surrogates(KEY)
    identity = MAKERS[kind].identity
    drawn = [book.of(kind, spelling) for spelling in spellings]
    assert len({identity(value) for value in drawn}) == 1
    if kind != "email":
        for spelling, value in zip(spellings, drawn, strict=True):
            form = [c if not c.isalnum() else c.isupper() for c in spelling]
            if kind != "name":
                assert form == [c if not c.isalnum() else c.isupper() for c in value]
            assert value.isupper() == spelling.isupper()


def test_a_person_stays_one_person_in_names_and_addresses_of_mail() -> None:
    book = Surrogates(KEY)
    full = book.of("name", "Anna Schmidt")
    assert book.of("name", "Schmidt") == full.split()[1]
    assert book.of("email", "anna.schmidt@acme.com").split("@")[0] == full.lower().replace(" ", ".")
    assert book.of("name", "Juan de la Cruz").split()[1:3] == ["de", "la"]


@given(VALUES["card"])
def test_cards_become_test_cards_that_pass_the_check(value: str) -> None:
    drawn = Surrogates(KEY).of("card", value)
    assert drawn.startswith("400000")
    assert luhn.is_valid(drawn)
    assert is_card_number(drawn)
    assert len(drawn) == len(value)


@given(NUMBER)
def test_accounts_are_of_bank_0000_and_pass_the_check(number: str) -> None:
    for value in (f"DE89{number}0532013000", f"GB59IFUE{number}499137"):
        drawn = Surrogates(KEY).of("iban", value)
        assert iban.calc_check_digits(drawn) == drawn[2:4]
        assert drawn[4:8] in {"0000", "XXXX"}
        assert len(drawn) == len(value)


@given(VALUES["phone"], st.integers(200, 999), NUMBER)
def test_telephones_are_of_the_ranges_that_nobody_has(value: str, area: int, rest: str) -> None:
    assert is_reserved_phone(Surrogates(KEY).of("phone", value))
    assert is_reserved_phone(Surrogates(KEY).of("phone", f"+1 {area}-{rest[:3]}-{rest[3:7]}"))


def test_national_numbers_fail_their_own_check() -> None:
    book = Surrogates(KEY)
    for text in ("ssn 536-90-4399", "756.9217.0769.85", "RCCMNL83S18D969H", "131052-308T"):
        span = find_personal(text)[0]
        value = text[span.start : span.end]
        drawn = book.of("national_id", value, detector=span.detector)
        again = find_personal(text.replace(value, drawn))
        assert not [s for s in again if s.kind == "national_id"], drawn


def test_mail_web_and_machines_are_of_reserved_ranges() -> None:
    book = Surrogates(KEY)
    assert book.of("email", "a.b@acme.com").endswith(".example.org")
    assert ".example.org/" in book.of("url", "https://www.acme.com/x")
    assert book.of("ip", "2a00::1:2").startswith("2001:db8:")
    for value in ("a.b@acme.com", "41.173.96.26", "2a00:1:2:3::9", "00:1a:2b:3c:4d:5e"):
        (span,) = find_personal(value)
        assert find_personal(book.of(span.kind, value)) == ()


def test_a_token_keeps_the_mark_of_its_maker_and_a_key_its_lines() -> None:
    book = Surrogates(KEY)
    assert book.of("secret", "ghp_" + "aB3" * 12).startswith("ghp_")
    key = "-----BEGIN PRIVATE KEY-----\nMIIabc123\n-----END PRIVATE KEY-----"
    drawn = book.of("secret", key)
    assert drawn.splitlines()[0] == key.splitlines()[0]
    assert drawn.splitlines()[2] == key.splitlines()[2]
    assert drawn != key


def test_no_value_of_the_data_is_drawn() -> None:
    alone = Surrogates(KEY).of("postcode", "123")
    book = Surrogates(KEY)
    book.avoid(["123", alone])
    assert book.of("postcode", "123") not in {"123", alone}


def test_a_range_that_is_full_says_so() -> None:
    book = Surrogates(KEY)
    book.avoid("0123456789")
    with pytest.raises(DataError) as caught:
        book.of("postcode", "1")
    assert caught.value.problems[0].code == "DAT-072"
