from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue
from tests.data.synthesis.rows import tickets, trips

from freehold.core.task import JsonOutput, LabelOutput, TextOutput
from freehold.data.duplicates import find_duplicates
from freehold.data.synthesis.augment import RESEMBLES_HELD_OUT, NoisePlan, augment
from freehold.data.synthesis.material import leaves
from freehold.data.synthesis.noise import CONFUSED, KEYBOARD, NOISES, NoiseName, guarded

JSON = JsonOutput(json_schema={"type": "object"})
LABEL = LabelOutput(labels=("a", "b"))
KINDS: tuple[NoiseName, ...] = tuple(NOISES)
WORD_LISTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1, max_size=9),
    min_size=1,
    max_size=12,
)


@given(
    words=WORD_LISTS,
    picked=st.lists(st.integers(0, 11), max_size=3),
    kind=st.sampled_from(KINDS),
    rate=st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_a_value_that_an_answer_copies_is_still_found_letter_by_letter(
    words: list[str], picked: list[int], kind: NoiseName, rate: float, seed: int
) -> None:
    text = " ".join(words)
    target: JsonValue = {
        "slots": [words[place % len(words)] for place in picked],
        "first two": " ".join(words[:2]),
        "free": "",
    }
    changed = NOISES[kind](guarded(text, target, JSON), random.Random(seed), rate)
    for _, value in leaves(target):
        if len(value) >= 3 and value in text:
            assert value in changed, (text, changed)


@given(seed=st.integers(0, 50), kind=st.sampled_from(KINDS), rate=st.floats(0, 1))
def test_numbers_addresses_and_links_stay(seed: int, kind: NoiseName, rate: float) -> None:
    text = "Order A-4711 of jane.doe@example.org (see https://example.org/track) costs 12,50 EUR"
    changed = NOISES[kind](guarded(text, "a", LABEL), random.Random(seed), rate)
    for part in ("A-4711", "jane.doe@example.org", "https://example.org/track", "12,50"):
        assert part in changed


@given(seed=st.integers(0, 200))
def test_a_slip_is_one_that_fingers_make(seed: int) -> None:
    word = "statement"
    changed = NOISES["typos"](guarded(word, "a", LABEL), random.Random(seed), 0.0)
    assert changed != word
    assert changed[0] == word[0]
    assert abs(len(changed) - len(word)) <= 1
    if len(changed) == len(word):
        hit = [i for i, (a, b) in enumerate(zip(word, changed, strict=True)) if a != b]
        if len(hit) == 1:
            assert are_near(word[hit[0]], changed[hit[0]])
        else:
            assert len(hit) == 2
            assert sorted(word) == sorted(changed)


def are_near(one: str, other: str) -> bool:
    """Tell whether two letters lie beside each other: an oracle from the positions of the keys."""
    places = {
        letter: (x + 0.5 * y, y) for y, keys in enumerate(KEYBOARD) for x, letter in enumerate(keys)
    }
    (x1, y1), (x2, y2) = places[one], places[other]
    return abs(y1 - y2) <= 1 and abs(x1 - x2) <= 1


def test_short_words_are_not_mistyped_so_that_not_stays_not() -> None:
    text = "do not pay it now or ever"
    for seed in range(60):
        changed = NOISES["typos"](guarded(text, "a", LABEL), random.Random(seed), 1.0)
        assert changed.startswith("do not pay it now or ")


def test_a_scanner_takes_one_shape_for_another() -> None:
    changed = NOISES["ocr"](guarded("modern", "a", LABEL), random.Random(3), 0.0)
    undone = {changed.replace(read, seen, 1) for seen, read in CONFUSED} | {changed}
    assert changed != "modern"
    assert "modern" in undone or any(changed.find(read) >= 0 for _, read in CONFUSED)


def test_casing_and_spacing_change_no_word() -> None:
    text = "Please, send the invoice again. It never came, sorry!"
    words = re.findall(r"\w", text.lower())
    for seed in range(40):
        for kind in ("casing", "spacing"):
            changed = NOISES[kind](guarded(text, "a", LABEL), random.Random(seed), 0.5)
            assert changed != text
            assert re.findall(r"\w", changed.lower()) == words


def test_words_that_a_free_answer_shares_with_the_input_stay() -> None:
    text = "When does the northern ferry leave the harbour"
    for seed in range(40):
        for kind in ("typos", "ocr"):
            given_text = guarded(text, "The northern ferry, at nine", TextOutput())
            changed = NOISES[kind](given_text, random.Random(seed), 1.0)
            assert "northern ferry" in changed


def test_copies_keep_their_answers_take_turns_and_are_the_same_every_time() -> None:
    rows = tickets(30)
    plan = NoisePlan(kinds=("typos", "casing", "ocr", "spacing"), count=45, rate=0.2)
    made = augment(
        plan, rows, output=LabelOutput(labels=("billing", "refunds", "tech")), held_out=()
    )
    assert len(made.accepted) == 45
    assert set(made.kinds) == set(plan.kinds)
    assert min(made.kinds.values()) >= 10
    by_digest = {row.content_digest: row for row in rows}
    for copy in made.accepted:
        assert copy.origin is not None
        assert copy.origin.synthetic is not None
        (parent,) = copy.origin.synthetic.parents
        assert by_digest[parent].target == copy.target
        assert by_digest[parent].input != copy.input
        assert copy.origin.row == by_digest[parent].row
        assert copy.origin.synthetic.teacher is None
    assert len({copy.input for copy in made.accepted}) == 45
    again = augment(
        plan, rows[::-1], output=LabelOutput(labels=("billing", "refunds", "tech")), held_out=()
    )
    assert again == made


def test_no_copy_comes_near_a_held_out_row() -> None:
    rows = tickets(30)
    held_out = [
        row.model_copy(update={"input": row.input.upper(), "id": f"h{row.id}"}) for row in rows[:6]
    ]
    plan = NoisePlan(kinds=("casing", "spacing"), count=60)
    made = augment(plan, rows, output=LABEL, held_out=held_out)
    roots = find_duplicates([*held_out, *made.accepted]).roots
    assert all(root >= len(held_out) for root in roots[len(held_out) :])
    assert made.left_out[RESEMBLES_HELD_OUT] >= 6


@pytest.mark.parametrize("kind", KINDS)
def test_slots_of_real_rows_survive_every_noise(kind: NoiseName) -> None:
    plan = NoisePlan(kinds=(kind,), count=40, rate=1.0)
    made = augment(plan, trips(), output=JSON, held_out=())
    assert len(made.accepted) >= 14
    for copy in made.accepted:
        assert isinstance(copy.target, dict)
        slots = copy.target["slots"]
        assert isinstance(slots, dict)
        assert all(str(value) in copy.input for value in slots.values())


def test_nothing_is_written_where_nothing_can_change() -> None:
    rows = [row.model_copy(update={"input": str(7 * n)}) for n, row in enumerate(tickets(6))]
    made = augment(NoisePlan(kinds=KINDS, count=4), rows, output=LABEL, held_out=())
    assert made.accepted == ()
    assert list(made.left_out) == ["nothing could be changed in it"]
