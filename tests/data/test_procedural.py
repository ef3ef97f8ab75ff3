"""The procedural families: answers are right by an independent reading, and training never meets a probe."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.data.procedural import FAMILIES, Item, World, probe_world, training_world
from freehold.data.procedural.world import corrupted, held_out

SEEDS = st.integers(min_value=0, max_value=10**9)
FEW = settings(max_examples=40, deadline=None)
WORLDS = [training_world(scale=scale) for scale in range(4)] + [probe_world()]


def draw(family: str, seed: int, world: World) -> Item:
    return FAMILIES[family](random.Random(seed), world)


def without_examples(family: str, seed: int, world: World) -> tuple[str, str, str]:
    """Instruction, question and answer of the first item after `seed` that shows its instruction."""
    while True:
        item = draw(family, seed, world)
        if item.messages[0][0] == "system":
            return item.messages[0][1], item.messages[-1][1], item.answer
        seed += 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: f"{world.name}-{world.scale}")
def test_an_item_is_a_conversation_that_ends_with_the_user(family: str, world: World) -> None:
    for seed in range(20):
        item = draw(family, seed, world)
        roles = [role for role, _ in item.messages]
        turns = roles[1:] if roles[0] == "system" else roles
        assert turns == ["user", "assistant"] * (len(turns) // 2) + ["user"]
        assert item.family == family
        assert item.answer
        assert item.answer == item.answer.strip()
        assert "<|" not in item.answer + "".join(content for _, content in item.messages)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_gives_the_same_item_and_another_seed_another(family: str) -> None:
    world = training_world()
    assert draw(family, 7, world) == draw(family, 7, world)
    assert len({draw(family, seed, world) for seed in range(30)}) > 20


@pytest.mark.parametrize("family", FAMILIES)
def test_no_probe_is_a_training_item(family: str) -> None:
    def asked(world: World) -> set[tuple[str, str]]:
        items = (draw(family, seed, world) for seed in range(400))
        return {(item.messages[-1][1], item.answer) for item in items}

    assert not asked(training_world()) & asked(probe_world())


@FEW
@given(SEEDS)
def test_sums_of_training_and_of_probes_are_disjoint(seed: int) -> None:
    for world in (training_world(), probe_world()):
        _, question, answer = without_examples("arithmetic", seed, world)
        a, sign, b = question.replace("plus", "+").replace("minus", "-").split()
        assert int(answer) == (int(a) + int(b) if sign == "+" else int(a) - int(b))
        assert held_out(f"{a}{sign}{b}") == world.probes


@FEW
@given(SEEDS)
def test_words_of_training_and_of_probes_are_disjoint(seed: int) -> None:
    for world in (training_world(), probe_world()):
        rng = random.Random(seed)
        drawn = [world.word(rng), world.invented(rng), world.name_of_person(rng), world.place(rng)]
        assert all(held_out(word) == world.probes for word in drawn)


def test_a_training_world_never_uses_the_held_out_wording() -> None:
    wordings = ("one", "two", "three")
    trained = {training_world().wording(random.Random(seed), wordings) for seed in range(50)}
    probed = {probe_world().wording(random.Random(seed), wordings) for seed in range(50)}
    assert trained == {"one", "two"}
    assert probed == {"one", "two", "three"}


@FEW
@given(SEEDS)
def test_copying_answers_with_the_question(seed: int) -> None:
    _, question, answer = without_examples("copying", seed, probe_world())
    assert answer == question


@FEW
@given(SEEDS)
def test_reversing_twice_gives_the_question(seed: int) -> None:
    _, question, answer = without_examples("reversing", seed, probe_world())
    assert answer.split()[::-1] == question.split()


@FEW
@given(SEEDS)
def test_sorting_is_a_sorted_permutation(seed: int) -> None:
    _, question, answer = without_examples("sorting", seed, probe_world())
    parts = question.split()
    assert answer.split() == (sorted(parts, key=int) if parts[0].isdigit() else sorted(parts))


@FEW
@given(SEEDS)
def test_casing_changes_the_case_and_nothing_else(seed: int) -> None:
    instruction, question, answer = without_examples("casing", seed, probe_world())
    assert answer.lower() == question.lower()
    told = instruction.lower()
    if "first letter" in told or "start of the word" in told or "with a capital" in told:
        assert answer == question.capitalize()
    elif "small" in told or "lower" in told:
        assert answer.islower()
    elif "capitalise" not in told:
        assert answer.isupper()


@FEW
@given(SEEDS)
def test_counting_counts(seed: int) -> None:
    _, question, answer = without_examples("counting", seed, probe_world())
    if ": " in question:
        target, parts = question.split(": ")
        assert int(answer) == parts.split().count(target)
    else:
        assert int(answer) == len(question.split())


@FEW
@given(SEEDS)
def test_the_nth_word_is_where_the_instruction_says(seed: int) -> None:
    instruction, question, answer = without_examples("nth_word", seed, probe_world())
    places = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1}
    found = re.search("|".join(places), instruction)
    assert found is not None
    assert question.split()[places[found[0]]] == answer


@FEW
@given(SEEDS)
def test_formatting_keeps_the_words(seed: int) -> None:
    _, question, answer = without_examples("formatting", seed, probe_world())
    kept = re.findall(r"[a-z]+", re.sub(r'Result:|Answer:|"text":', "", answer))
    assert kept == re.findall(r"[a-z]+", question)


@FEW
@given(SEEDS)
def test_a_right_option_is_listed(seed: int) -> None:
    instruction, _, answer = without_examples("options", seed, probe_world())
    assert answer in instruction


@FEW
@given(SEEDS, st.sampled_from(["labels", "nearest", "intents"]))
def test_the_right_label_is_among_the_examples(seed: int, family: str) -> None:
    item = draw(family, seed, probe_world())
    assert ("assistant", item.answer) in item.messages


@FEW
@given(SEEDS)
def test_the_answer_of_a_lookup_stands_in_its_context(seed: int) -> None:
    _, question, answer = without_examples("lookup", seed, probe_world())
    context, _ = question.split("\n\nQuestion: ")
    assert answer in context.removeprefix("Context: ")


@FEW
@given(SEEDS)
def test_extracted_values_stand_in_the_request_and_in_its_order(seed: int) -> None:
    _, question, answer = without_examples("extraction", seed, probe_world())
    found = json.loads(answer)
    slots = found.get("slots", found)
    position = 0
    for value in slots.values():
        position = question.index(value, position) + len(value)


@FEW
@given(SEEDS, st.floats(min_value=0, max_value=1))
def test_a_corrupted_sentence_is_never_empty(seed: int, strength: float) -> None:
    assert corrupted(random.Random(seed), "Where is my parcel?", strength=strength)


def test_a_sentence_without_noise_keeps_its_words() -> None:
    copy = corrupted(random.Random(3), "Where is my parcel?", strength=0.0)
    assert copy.lower().rstrip("?") == "where is my parcel"


def test_long_worlds_reach_long_prompts_and_short_ones_do_not() -> None:
    def longest(scale: int) -> int:
        items = [draw("nearest", seed, training_world(scale=scale)) for seed in range(60)]
        return max(sum(len(content) for _, content in item.messages) for item in items)

    assert longest(0) < 800
    assert longest(3) > 1500
