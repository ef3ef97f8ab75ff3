"""National numbers, telephones, licences and passports; the good numbers are examples of python-stdnum."""

from __future__ import annotations

import pytest

from freehold.data.personal.find import find_personal
from freehold.data.personal.numbers import NATIONAL, is_national
from freehold.data.personal.phones import find_phones, is_reserved_phone

GOOD = {
    "au_tfn": "TFN 123 456 782",
    "be_nn": "85.07.30-033.28",
    "br_cpf": "cpf 390.533.447-05",
    "ca_sin": "SIN 123-456-782",
    "ch_ahv": "756.9217.0769.85",
    "cn_ric": "11010519491231002X",
    "de_idnr": "Steuer-ID 36 574 261 809",
    "es_dni": "54362315K",
    "es_nie": "X-2482300W",
    "fi_hetu": "131052-308T",
    "fr_nir": "2 95 10 99 126 111 93",
    "gb_nhs": "NHS 943-476-5870",
    "ie_pps": "6433435F",
    "in_aadhaar": "Aadhaar 234123412346",
    "in_pan": "ACUPA7085R",
    "it_codice_fiscale": "RCCMNL83S18D969H",
    "kr_rrn": "971013-9019902",
    "mx_curp": "BOXW310820HNERXN09",
    "nl_bsn": "BSN 1112.22.333",
    "no_fnr": "151086 95088",
    "pl_pesel": "44051401359",
    "ro_cnp": "1630615123457",
    "se_pnr": "880320-0016",
    "tr_tckn": "17291716060",
    "us_itin": "912-90-3456",
    "us_ssn": "536-90-4399",
    "us_ssn_spaced": "SSN is 536904399",
    "za_id": "7503305044089",
}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_good_number_is_found_and_a_changed_one_is_not(name: str) -> None:
    text = f"it is {GOOD[name]}."
    spans = [s for s in find_personal(text) if s.kind == "national_id"]
    assert [s.detector for s in spans] == [name], text
    value = text[spans[0].start : spans[0].end]
    assert is_national(name, value)


@pytest.mark.parametrize(
    "value", ["000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000"]
)
def test_a_social_security_number_that_was_never_issued_is_none(value: str) -> None:
    assert not [s for s in find_personal(f"SSN: {value}") if s.detector == "us_ssn"]


def test_nine_digits_need_a_word() -> None:
    assert not find_personal("order 536904399 came late")
    assert {s.kind for s in find_personal("my social security number is 536904399")} == {
        "national_id"
    }


def test_every_row_of_the_table_names_a_module_that_checks() -> None:
    for name in NATIONAL:
        assert not is_national(name, "0")


@pytest.mark.parametrize(
    "text",
    [
        "call 202-456-1111",
        "Phone: 0490 75 40 81",
        "+44 20 7946 1234",
        "+358 40 1234567",
        "reach me at (602)272-9781",
        "mobile 0680 298 70 63",
        "Fax +41 (0)71 526 99 04",
        "at 0490 75 40 81 or never",
        "345-899-3560x4587 is my cell, call 345-899-3560x4587",
    ],
)
def test_telephone_numbers_are_found(text: str) -> None:
    assert [s.kind for s in find_personal(text) if s.kind != "name"] == ["phone"] * (
        text.count("3560") or 1
    )


@pytest.mark.parametrize(
    "text",
    [
        "order number 12345678",
        "on 2024-05-17 at 10:30",
        "17.05.2024",
        "it costs 1,234,567 dollars",
        "invoice 618 226 1460",
        "from 2019 to 2024, 100 200 300",
        "call 212-555-0123",
        "ISBN 978-3-16-148410-0",
        "198.18.20.30",
        "1 000 000 000",
    ],
)
def test_other_numbers_are_no_telephones(text: str) -> None:
    assert not list(find_phones(text))


def test_numbers_of_stories_are_nobodys() -> None:
    for value in ("+1 212 555 0199", "(212) 555-0100", "+999 123 456", "000 123 4567"):
        assert is_reserved_phone(value)
    assert not is_reserved_phone("+1 212 555 0299")


def test_licences_and_passports_need_their_word() -> None:
    assert [s.kind for s in find_personal("My driver's license number is F162823540116")] == [
        "driver_licence"
    ]
    assert [s.kind for s in find_personal("passport no. C01X00T47")] == ["passport"]
    assert not find_personal("part F162823540116 and C01X00T47")
    assert not find_personal("I need my passport to be ready by then")
