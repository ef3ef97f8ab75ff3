from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.synthesis.rows import (
    LABELS,
    made_row,
    material,
    question_material,
    tickets,
    trip_material,
)

from freehold.core.sections import SynthMethod
from freehold.core.snapshot import TestSplit
from freehold.core.task import JsonOutput, LabelOutput, TextOutput
from freehold.data.synthesis.material import Material, Order, usable_seeds
from freehold.data.synthesis.methods import METHODS, read_pair, read_text
from freehold.data.synthesis.synthesize import usable_methods

LABEL = LabelOutput(labels=LABELS)
KNOWN = Order(method="paraphrase", messages=(), seeds=(), target="tech")
OPEN = Order(method="evolve", messages=(), seeds=())
MATERIALS: tuple[Material, ...] = (
    material(pairs=(("billing", "refunds"),)),
    trip_material(),
    question_material(),
)


@given(
    place=st.integers(0, len(MATERIALS) - 1),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_a_prompt_is_pure_and_shows_training_rows_only(
    place: int, seed: int, data: st.DataObject
) -> None:
    given_material = MATERIALS[place]
    name = data.draw(st.sampled_from(usable_methods(given_material)))
    order = METHODS[name].order(given_material, Random(seed))
    assert order == METHODS[name].order(given_material, Random(seed))
    assert order.method == name
    assert order.messages[-1].role == "user"
    known = {seed_row.id for seed_row in given_material.seeds}
    assert order.seeds
    assert all(seed_row.id in known for seed_row in order.seeds)
    text = "\n".join(turn.content for turn in order.messages)
    assert all(seed_row.input in text for seed_row in order.seeds)


def test_each_method_says_what_it_lacks_and_how_to_supply_it() -> None:
    labels = material()
    assert usable_methods(labels) == ("self_instruct", "paraphrase", "evolve")
    assert "freehold climb" in str(METHODS["counterexamples"].missing(labels))
    assert "closed form" in str(METHODS["documents"].missing(labels))
    questions = question_material()
    assert "documents" in usable_methods(questions)
    without = Material(questions.instruction, TextOutput(), questions.seeds)
    assert "data.documents" in str(METHODS["documents"].missing(without))
    unknown = material(pairs=(("billing", "nobody's label"),))
    assert METHODS["counterexamples"].missing(unknown) is not None
    assert usable_methods(material(())) == ()


def test_labels_are_drawn_evenly_so_that_rare_ones_get_rows() -> None:
    seeds = tuple(row for n, row in enumerate(tickets(60)) if row.target == "tech" or n < 6)
    given_material = material(seeds)
    drawn = [METHODS["self_instruct"].order(given_material, Random(n)).target for n in range(300)]
    assert all(drawn.count(label) > 70 for label in LABELS)


def test_counterexamples_want_the_first_of_a_pair_and_name_the_second() -> None:
    given_material = material(pairs=(("billing", "refunds"),))
    order = METHODS["counterexamples"].order(given_material, Random(1))
    assert order.target == "billing"
    text = order.messages[-1].content
    assert "answered with billing, although a hasty reader would say refunds" in text
    assert {str(row.target) for row in order.seeds} == {"billing", "refunds"}


def test_a_paraphrase_names_the_values_that_must_stay() -> None:
    order = METHODS["paraphrase"].order(trip_material(), Random(1))
    slots = order.seeds[0].target
    assert isinstance(slots, dict)
    assert isinstance(slots["slots"], dict)
    assert set(order.kept) == set(slots["slots"].values())
    assert all(value in order.messages[0].content for value in order.kept)
    assert trip_material().copied == {"slots.town"}


def test_rows_that_a_model_wrote_are_no_seeds() -> None:
    rows = (*tickets(3), made_row("a text of a model"))
    assert usable_seeds(rows) == tickets(3)
    assert not usable_seeds(TestSplit(examples=()).examples)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("My app is gone.", "My app is gone."),
        ('"My app is gone."', "My app is gone."),
        ("“My app is gone.”", "My app is gone."),
        ("Text: My app is gone.", "My app is gone."),
        ("1. My app is gone.\n\n2. Another", "My app is gone."),
        ('He said "no" and "yes"', 'He said "no" and "yes"'),
        ("two\nlines", "two\nlines"),
        ("  ", ""),
    ],
)
def test_a_text_is_read_without_its_wrapping(raw: str, text: str) -> None:
    draft = read_text(raw, KNOWN, LABEL)
    assert draft is not None
    assert (draft.input, draft.target) == (text, "tech")


def test_a_row_with_its_answer_is_read_after_its_marks() -> None:
    raw = 'Sure!\n**Input**: book a tram\nto Bern\nAnswer: {"town": "Bern"} as asked'
    draft = read_text(raw, OPEN, JsonOutput(json_schema={}))
    assert draft is not None
    assert (draft.input, draft.target) == ("book a tram\nto Bern", {"town": "Bern"})
    asked = "Question: When?\nAnswer: at nine\nSupport: The ferry leaves at nine."
    draft = read_pair(asked, OPEN, TextOutput())
    assert draft is not None
    assert draft.support == "The ferry leaves at nine."
    assert read_pair("Input: x\nAnswer: nobody", OPEN, LABEL) is None
    assert read_pair("Input: x", OPEN, TextOutput()) is None
    assert read_pair('Input: x\nAnswer: {"a": NaN}', OPEN, JsonOutput(json_schema={})) is None


@given(raw=st.text(max_size=200))
def test_reading_never_fails_whatever_a_teacher_writes(raw: str) -> None:
    for order in (KNOWN, OPEN):
        for output in (LABEL, TextOutput(), JsonOutput(json_schema={})):
            read_text(raw, order, output)


def test_every_setting_of_a_method_has_its_line_in_the_mapping() -> None:
    names: tuple[SynthMethod, ...] = (
        *("self_instruct", "documents", "paraphrase", "counterexamples", "evolve"),
    )
    assert tuple(METHODS) == names
