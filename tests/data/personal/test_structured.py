"""Forms and checksums, against python-stdnum and the standard library as oracles."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban, luhn

from freehold.data.personal.find import find_personal
from freehold.data.personal.records import KINDS
from freehold.data.personal.structured import (
    IBAN_LENGTHS,
    find_cards,
    find_emails,
    find_ibans,
    find_ips,
    find_macs,
    find_urls,
    find_wallets,
    iban_check,
    is_card_number,
    luhn_digit,
)

DIGITS = st.text("0123456789", min_size=11, max_size=18)


def found(text: str, *kinds: str) -> list[tuple[str, str]]:
    return [
        (span.kind, text[span.start : span.end])
        for span in find_personal(text, KINDS)
        if not kinds or span.kind in kinds
    ]


@given(DIGITS)
def test_the_check_digit_is_that_of_luhn(digits: str) -> None:
    assert luhn_digit(digits) == luhn.calc_check_digit(digits)


@given(st.integers(0, 10**14 - 1))
def test_a_card_number_with_one_digit_changed_is_none(number: int) -> None:
    body = f"4{number:014d}"
    whole = body + luhn_digit(body)
    if len(set(whole)) == 1:
        return
    assert is_card_number(whole)
    wrong = whole[:7] + str((int(whole[7]) + 1) % 10) + whole[8:]
    assert not is_card_number(wrong)
    assert [h[:2] for h in find_cards(f"pay {whole} now")] == [(4, 20)]
    assert not list(find_cards(f"pay {wrong} now"))


@given(
    st.sampled_from(sorted(IBAN_LENGTHS)),
    st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=28, max_size=28),
)
def test_iban_check_digits_are_those_of_stdnum(country: str, account: str) -> None:
    account = account[: IBAN_LENGTHS[country] - 4]
    value = f"{country}{iban_check(country, account)}{account}"
    assert iban.calc_check_digits(value) == value[2:4]
    grouped = " ".join(value[i : i + 4] for i in range(0, len(value), 4))
    for text in (value, grouped, value.lower()):
        assert [h[:2] for h in find_ibans(f"to {text}, please")] == [(3, 3 + len(text))]


def test_an_iban_with_a_wrong_digit_is_none() -> None:
    assert found("DE89370400440532013000") == [("iban", "DE89370400440532013000")]
    assert not found("DE88370400440532013000", "iban")


@given(st.ip_addresses(v=4))
def test_ipv4_addresses_are_found_unless_they_are_nobodys(address: ipaddress.IPv4Address) -> None:
    hits = list(find_ips(f"from {address}:"))
    reserved = address.is_loopback or address.is_multicast or str(address).startswith("0.")
    if not (
        reserved or address.is_reserved or str(address).startswith(("192.0.2.", "198.", "203.0"))
    ):
        assert [h[:2] for h in hits] == [(5, 5 + len(str(address)))]


@given(st.ip_addresses(v=6, network="2a00::/16"))
def test_ipv6_addresses_are_found_whole(address: ipaddress.IPv6Address) -> None:
    for text in (str(address), address.exploded):
        if text.count(":") >= 3:
            assert [h[:2] for h in find_ips(f"[{text}]")] == [(1, 1 + len(text))]


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "192.0.2.7",
        "version 1.2.3.4",
        "1.2.3.4.5",
        "2001:db8::1",
        "::1",
        "12:30:45",
        "std::a",
    ],
)
def test_what_is_nobodys_address_is_not_reported(text: str) -> None:
    assert not list(find_ips(text))


def test_mail_addresses_end_where_they_end() -> None:
    text = "Mail (Jane.Doe+x@mail.acme.co.uk), o'neil@acme.com; not @acme.com, a@b or jane@example.org."
    assert [text[h.start : h.end] for h in find_emails(text)] == [
        "Jane.Doe+x@mail.acme.co.uk",
        "o'neil@acme.com",
    ]


def test_web_addresses_lose_the_full_stop_of_their_sentence() -> None:
    text = (
        "See https://www.acme.se/a?b=1. Or acme.com, and http://example.org/x; not os.path or 3.14."
    )
    assert [text[h.start : h.end] for h in find_urls(text)] == [
        "https://www.acme.se/a?b=1",
        "acme.com",
    ]


def test_hardware_addresses_are_found_in_both_spellings() -> None:
    assert [h[:2] for h in find_macs("a 00:1a:2b:3c:4d:5e b")] == [(2, 19)]
    assert [h[:2] for h in find_macs("a 001a.2b3c.4d5e b")] == [(2, 16)]
    assert not list(find_macs("ff:ff:ff:ff:ff:ff 02:00:00:00:00:01"))


def test_wallets_are_found_by_their_checksum() -> None:
    good = "1NEDqZPvTWRaoho48qXuLLsrYomMXPABfD"
    assert [h[:2] for h in find_wallets(f"pay {good}!")] == [(4, 38)]
    assert not list(find_wallets(f"pay {good[:-1]}E!"))


def test_a_mail_address_is_not_also_a_web_address_or_a_name() -> None:
    assert found("write to anna.schmidt@acme.com") == [("email", "anna.schmidt@acme.com")]
