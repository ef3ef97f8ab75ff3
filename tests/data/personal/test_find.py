"""What is found in a text: names, addresses, ages; how overlaps are settled; and how long it takes."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.sections import PersonalKind
from freehold.data.personal.find import DETECTORS, find_personal, finder, settle
from freehold.data.personal.records import DEFAULT_KINDS, KINDS, ON_REQUEST, Found


def found(text: str, *kinds: PersonalKind) -> list[str]:
    return [text[s.start : s.end] for s in find_personal(text, kinds or KINDS)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My name is Akinori", "Akinori"),
        ("my name is akinori sato.", "akinori sato"),
        ("Hello, this is Dr. Kyle Kuefer. Who are you?", "Kyle Kuefer"),
        ("Please write to Mrs. O'Neil-Berg", "O'Neil-Berg"),
        ("Regards, Petra", "Petra"),
        ("Krisztián Szöllösy listed his songs", "Krisztián Szöllösy"),
        ("as Juan de la Cruz points out", "Juan de la Cruz"),
        ("It is Matej's address", "Matej"),
        ("Dear Philip,\nthank you", "Philip"),
    ],
)
def test_names_are_found_without_their_titles(text: str, name: str) -> None:
    assert found(text, "name") == [name]


@pytest.mark.parametrize(
    "text",
    [
        "What is the limit for my card?",
        "I am from New York and live in South Africa.",
        "The United Nations met on Monday in October.",
        "Please Call Customer Service",
        "Can I get a Visa or a Mastercard?",
        "Acme Holdings Inc is closed.",
        "HTTP API JSON",
    ],
)
def test_capitals_alone_are_no_names(text: str) -> None:
    assert found(text, "name") == []


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (
            "He lives at 12 Long Acre Street, Apt. 4, he said",
            "address",
            "12 Long Acre Street, Apt. 4",
        ),
        ("Wohnt in der Hauptstrasse 5 im Hof", "address", "Hauptstrasse 5"),
        ("at 3 Rue du Centre, 4", "address", "3 Rue du Centre, 4"),
        ("send it to P.O. Box 242 now", "address", "P.O. Box 242"),
        ("zip code is 75534-030", "postcode", "75534-030"),
        ("in SW1A 1AA now", "postcode", "SW1A 1AA"),
        ("This 79 year old female", "age", "79"),
        ("She just turned 46.", "age", "46"),
        ("born on 8/5/1989", "birth_date", "8/5/1989"),
        ("date of birth: 3 July 1971", "birth_date", "3 July 1971"),
        ("since 2002", "date", "2002"),
        ("I live in Norway", "place", "Norway"),
        ("I am belizian", "nationality", "belizian"),
        ("Ask Mr. Baker", "title", "Mr."),
        ("I work for Wolters Kluwer", "organisation", "Wolters Kluwer"),
        ("Johnson and Sons Ltd called", "organisation", "Johnson and Sons Ltd"),
    ],
)
def test_each_kind_is_found_in_its_context(text: str, kind: PersonalKind, value: str) -> None:
    assert found(text, kind) == [value]


def test_a_date_or_a_place_is_reported_only_on_request() -> None:
    assert find_personal("The meeting is on 2024-05-17 in Norway with Acme Ltd") == ()
    assert {"date", "place", "organisation"} <= ON_REQUEST
    assert not set(DEFAULT_KINDS) & ON_REQUEST


def test_every_kind_has_a_detector_and_every_detector_a_kind() -> None:
    assert {detector.kind for detector in DETECTORS.values()} == set(KINDS)


def test_only_the_kinds_that_are_asked_for_are_found() -> None:
    text = "anna@acme.com, +1 202 456 1111"
    assert [s.kind for s in finder(["phone"])(text)] == ["phone"]
    further = finder(["email"], further=lambda _: [Found(0, 4, "name", 0.9, "other")])
    assert [s.kind for s in further(text)] == ["email"]


def _span(start: int, length: int, kind: PersonalKind, score: float) -> Found:
    return Found(start, start + length, kind, score, "x")


SPANS = st.builds(
    _span,
    st.integers(0, 60),
    st.integers(1, 20),
    st.sampled_from(KINDS),
    st.sampled_from([0.5, 0.7, 0.9]),
)


@given(st.lists(SPANS, max_size=12))
def test_no_two_spans_overlap_and_the_order_of_detectors_does_not_matter(
    spans: list[Found],
) -> None:
    kept = settle(spans)
    assert all(a.end <= b.start for a, b in pairwise(kept))
    assert set(kept) <= set(spans)
    assert settle(list(reversed(spans))) == kept
    for span in spans:  # whatever was left out overlaps something that is at least as sure
        rivals = [k for k in kept if k.start < span.end and span.start < k.end]
        assert span in kept or max(k.score for k in rivals) >= span.score


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_any_text_can_be_looked_at(text: str) -> None:
    for span in find_personal(text, KINDS):
        assert 0 <= span.start < span.end <= len(text)
        assert 0 < span.score <= 1


@pytest.mark.parametrize(
    "unit",
    [
        "1",
        "1 ",
        "a",
        "a@",
        "a.",
        "Anna ",
        "12345 ",
        "1-",
        "(",
        "+1 ",
        "://",
        "x.y.",
        "Aa'",
        "key=",
        "0:",
        "A1",
        "DE89 ",
        "12 Rue " + "a" * 150 + "! ",
        "Via " + "ab" * 60 + "? ",
        "12 a b c d e ",
    ],
)
def test_no_text_takes_quadratic_time(unit: str) -> None:
    find = finder(KINDS)
    find(unit * 50)

    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        start = time.process_time()
        find(text)
        return time.process_time() - start

    assert seconds(40_000) < 1.0 + 20 * seconds(4_000)
