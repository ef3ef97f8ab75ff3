"""Laws of scrubbing: what was found is gone, the rest is untouched, and rows stay consistent."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from freehold.core.message import user
from freehold.core.sections import PersonalKind, Treatment
from freehold.core.snapshot import Example
from freehold.data.personal.fields import texts_of
from freehold.data.personal.find import finder
from freehold.data.personal.records import DEFAULT_KINDS, KINDS
from freehold.data.personal.scrub import Scrubber, findings_of, spans_of, spans_of_all
from freehold.data.personal.tally import tally

KEY = b"k" * 32
PERSON = "My name is Anna Schmidt (anna.schmidt@acme.com), call +49 30 1234567 or 618-226-1460."


def example(input: str, target: JsonValue = "x", row: int = 1, **fields: str) -> Example:
    return Example(
        id=f"r{row}", input=input, target=target, source="a.jsonl", row=row, fields=fields
    )


def scrubber(treatment: Treatment, *kinds: PersonalKind) -> Scrubber:
    chosen: tuple[PersonalKind, ...] = kinds or DEFAULT_KINDS
    return Scrubber(dict.fromkeys(chosen, treatment), key=KEY, is_marked=True)


PIECES = st.sampled_from(
    [
        "my name is Anna Schmidt",
        "Anna",
        "Schmidt's account",
        "Regards, Petra",
        "Dr. Juan de la Cruz said",
        "mail anna.schmidt@acme.com",
        "call 618-226-1460",
        "+49 30 1234567",
        "card 4454794511390933",
        "DE89370400440532013000",
        "SSN 536-90-4399",
        "born on 8/5/1989",
        "I am 33.",
        "12 Long Acre Street, London",
        "41.173.96.26",
        "password: hunter2!x",
        "The limit",
        "1234567",
        "<NAME>",
        "(",
        ")",
        "\n",
        "'s",
        ",",
        "@acme.com",
    ]
)
TEXT = st.lists(PIECES, max_size=7).flatmap(
    lambda parts: st.sampled_from([" ", "", ", "]).map(lambda gap: gap.join(parts))
)


@pytest.mark.parametrize("treatment", ["mask", "surrogate"])
@settings(max_examples=120)
@given(TEXT, TEXT, st.text(max_size=30))
def test_no_value_that_was_found_is_found_again(
    treatment: Treatment, first: str, second: str, noise: str
) -> None:
    row = example(first + noise, {"quote": second, "list": [first]}, note=noise + second)
    worker = scrubber(treatment, *KINDS)
    (spans,) = worker.look([row])
    texts = dict(texts_of(row))
    old = {texts[place][s.start : s.end] for place, found in spans.items() for s in found}
    (after,) = worker.scrub_found([row], [spans]).examples
    find = finder(KINDS)
    for _, text in texts_of(after):
        assert not old & {text[s.start : s.end] for s in find(text)}


@settings(max_examples=120)
@given(TEXT, st.text(max_size=40))
def test_text_outside_of_spans_is_untouched(text: str, noise: str) -> None:
    row = example(text + noise)
    (after,) = scrubber("mask").scrub([row]).examples
    assert after.origin is not None
    expected, end = "", 0
    for step in after.origin.steps:
        match = re.fullmatch(r"scrub: (\w+) masked at input (\d+)-(\d+)", step)
        assert match is not None
        start, stop = int(match[2]), int(match[3])
        expected += row.input[end:start] + f"<{match[1].upper()}>"
        end = stop
    assert after.input == expected + row.input[end:]
    assert (after.source, after.row, after.id) == (row.source, row.row, row.id)


def test_a_target_that_quotes_the_input_stays_right() -> None:
    target: JsonValue = {
        "name": "Anna Schmidt",
        "first": "Anna",
        "mail": ["anna.schmidt@acme.com"],
        "card": 4454794511390933,
        "count": 3,
        "ok": True,
    }
    row = example(PERSON + " Card 4454 7945 1139 0933.", target, customer="Anna Schmidt")
    (after,) = scrubber("surrogate").scrub([row]).examples
    assert isinstance(after.target, dict)
    name = after.target["name"]
    assert isinstance(name, str) and name in after.input and "Anna" not in after.input
    assert after.target["first"] == name.split()[0]
    assert after.fields["customer"] == name
    card = after.target["card"]
    assert isinstance(card, int)
    assert str(card) in after.input.replace(" ", "")
    assert after.target["count"] == 3 and after.target["ok"] is True


def test_the_same_value_gets_the_same_stand_in_in_every_row_and_run() -> None:
    rows = [example(PERSON, row=1), example("Ask anna.schmidt@acme.com", row=2)]
    once = scrubber("surrogate").scrub(rows).examples
    again = scrubber("surrogate").scrub(list(reversed(rows))).examples
    assert [e.input for e in once] == [e.input for e in reversed(again)]
    mail = re.findall(r"[\w.]+@[\w.]+\w", once[0].input)
    assert mail == re.findall(r"[\w.]+@[\w.]+\w", once[1].input)


def test_every_field_is_scrubbed() -> None:
    row = Example(
        id="anna@acme.com",
        input="anna@acme.com",
        target="anna@acme.com",
        context="anna@acme.com",
        history=(user("anna@acme.com"),),
        fields={"who": "anna@acme.com"},
    )
    result = scrubber("mask").scrub([row])
    (after,) = result.examples
    assert [text for _, text in texts_of(after)] == ["<EMAIL>"] * 5
    assert "anna" not in after.model_dump_json()
    assert result.spans == {("email", "mask"): 5}
    assert result.rows == 1


def test_rows_are_dropped_with_a_reason_that_names_kinds_only() -> None:
    rows = [example(PERSON, row=1), example("nothing here", row=2)]
    result = scrubber("drop", "email", "phone").scrub(rows)
    assert [e.row for e in result.examples] == [2]
    assert [(d.row, d.reason) for d in result.drops] == [(1, "holds personal data: email, phone")]


def test_a_kind_may_be_dropped_while_another_is_masked() -> None:
    worker = Scrubber({"email": "drop", "name": "mask"}, key=KEY)
    rows = [example("anna@acme.com", row=1), example("my name is Anna", row=2)]
    result = worker.scrub(rows)
    assert [e.input for e in result.examples] == ["my name is <NAME>"]
    assert len(result.drops) == 1


def test_kinds_without_stand_ins_are_masked() -> None:
    (after,) = scrubber("surrogate", "age").scrub([example("I am 33.")]).examples
    assert after.input == "I am <AGE>."


def test_a_column_that_groups_rows_keeps_its_groups() -> None:
    worker = Scrubber({"email": "mask"}, key=KEY, distinct="customer")
    rows = [example("x", row=i, customer=f"{who}@acme.com") for i, who in enumerate("aab", 1)]
    values = [e.fields["customer"] for e in worker.scrub(rows).examples]
    assert values[0] == values[1] != values[2]
    assert all(re.fullmatch(r"<EMAIL [0-9a-f]{8}>", value) for value in values)


def test_a_row_that_holds_nothing_is_the_same_row() -> None:
    row = example("nothing here")
    assert Scrubber({"email": "mask"}, key=KEY).scrub([row]).examples == (row,)


def test_what_is_kept_of_a_finding_holds_no_value() -> None:
    row = example(PERSON, "Anna Schmidt")
    findings = findings_of(row, spans_of(row, finder()), key=KEY)
    kept = "".join(finding.model_dump_json() for finding in findings)
    for value in ("Anna", "Schmidt", "acme", "1234567", "1460"):
        assert value not in kept
    names = {s.value_digest for f in findings for s in f.spans if s.kind == "name"}
    assert len(names) == 1  # the same value, in the input and in the target
    assert [s.kind for s in findings[0].spans] == ["name", "email", "phone", "phone"]
    other = findings_of(row, spans_of(row, finder()), key=b"o" * 32)
    assert other[0].spans[0].value_digest != findings[0].spans[0].value_digest


def test_counts_name_rows_and_fields() -> None:
    rows = [example(PERSON, row=7), example("x", "anna@acme.com", row=9, who="b@acme.com")]
    counts = {c.kind: c for c in tally(rows, [spans_of(row, finder()) for row in rows])}
    assert counts["email"].spans == 3 and counts["email"].rows == 2
    assert counts["email"].first_rows == ("7", "9")
    assert set(counts["email"].fields) == {"input", "target", "who"}


def test_several_processes_find_the_same() -> None:
    rows = [example(f"{PERSON} number {i}", row=i) for i in range(2_100)]
    find = finder(["email", "phone"])
    expected = [spans_of(row, find) for row in rows]
    assert spans_of_all(rows, ["email", "phone"], workers=2) == expected
