from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from pydantic import JsonValue
from tests.data.synthesis.rows import (
    LABELS,
    bench,
    material,
    question_material,
    tickets,
    trip_material,
)

from freehold.core.message import Message
from freehold.core.sections import Columns
from freehold.core.snapshot import Example
from freehold.data.derived import write_examples
from freehold.data.duplicates import find_duplicates
from freehold.data.read import read
from freehold.data.synthesis.agreement import teacher_judge
from freehold.data.synthesis.filters import FILTERS, PARAPHRASE, SAME, Entry, Floats, sift
from freehold.data.synthesis.material import Draft, Material, Order
from freehold.data.synthesis.methods import METHODS
from freehold.data.synthesis.synthesize import (
    ENOUGH,
    Step,
    Synthesis,
    SynthPlan,
    synthesize,
    usable_methods,
)
from freehold.data.synthesis.teacher import Asked, Memory, Teacher
from freehold.models.scripted import ScriptedModel


def writer() -> ScriptedModel:
    """A teacher that writes a different sentence for each prompt."""

    def answer(messages: Sequence[Message]) -> str:
        seed = sum(ord(c) * (n + 1) for n, c in enumerate("".join(m.content for m in messages)))
        places = ("at the quay", "in the attic", "on the roof", "by the lake", "near the mill")
        things = ("kettle", "lantern", "bicycle", "piano", "umbrella", "compass", "teapot")
        return (
            f"My {things[seed % 7]} stood {places[seed % 5]} when {things[seed % 6]} {seed % 997}"
            f" broke, what now {things[seed // 7 % 7]}"
        )

    return ScriptedModel(answer, name="writer")


def plan(given: Material, count: int = 20, **more: object) -> SynthPlan:
    values = {"methods": usable_methods(given), "count": count, "most_calls": 400, **more}
    return SynthPlan.model_validate(values)


def run(
    given: Material,
    teacher: Teacher,
    wanted: SynthPlan,
    *,
    memory: Memory | None = None,
    held_out: Sequence[Example] = (),
) -> Synthesis:
    asked = Asked(teacher, wanted.most_calls, memory or Memory())
    return synthesize(
        wanted, given, bench(given, held_out=held_out), asked=asked, on_step=lambda _step: None
    )


def test_a_teacher_is_whatever_writes() -> None:
    teacher: Teacher = writer()
    assert teacher.name == "writer"


def test_rows_are_written_until_enough_pass_and_carry_where_they_come_from() -> None:
    given, teacher = material(), writer()
    made = run(given, teacher, plan(given, licence="MIT"))
    assert made.stopped == "enough rows"
    assert len(made.accepted) == 20
    assert set(made.passed) == set(usable_methods(given))
    digests = {seed.content_digest for seed in given.seeds}
    for row in made.accepted:
        assert row.target in LABELS
        assert row.origin is not None
        source = row.origin.synthetic
        assert source is not None
        assert (source.teacher, source.teacher_digest) == ("writer", teacher.digest)
        assert source.licence == "MIT"
        assert source.seed == 7
        assert str(source.prompt_digest).startswith("sha256:")
        assert source.parents
        assert set(source.parents) <= digests
        assert row.origin.steps[0].startswith(f"synth: {source.method} by writer after r")
    everything = [*given.seeds, *made.accepted]
    roots = find_duplicates(everything).roots
    assert roots[len(given.seeds) :] == tuple(range(len(given.seeds), len(everything)))


def test_what_did_not_pass_is_kept_with_its_reason() -> None:
    given = material()
    made = run(given, ScriptedModel({}, default="x", name="mute"), plan(given, most_calls=40))
    assert made.accepted == ()
    assert made.stopped == "most calls"
    assert made.calls == 40
    assert made.rejected_by_reason == {FILTERS["length"].reason: 40}
    assert all(row.raw == "x" and row.input == "x" for row in made.rejected)
    assert made.passed_share == 0.0


def test_a_run_that_was_killed_pays_for_nothing_twice_and_ends_the_same() -> None:
    given, kept = material(), dict[str, str]()
    whole = run(given, writer(), plan(given))
    memory = Memory(found=kept, keep=kept.__setitem__)
    teacher = writer()

    class Killed(Exception):
        pass

    def stop(step: Step) -> None:
        if step.calls >= 32:
            raise Killed

    with pytest.raises(Killed):
        synthesize(
            plan(given), given, bench(given), asked=Asked(teacher, 400, memory), on_step=stop
        )
    before = teacher.calls
    assert len(kept) == before
    again = run(given, teacher, plan(given), memory=memory)
    assert again.accepted == whole.accepted
    assert again.rejected == whole.rejected
    assert again.paid == whole.paid - before
    third = run(given, teacher, plan(given), memory=memory)
    assert third.paid == 0
    assert third.accepted == whole.accepted


def test_an_answer_is_on_disk_before_the_next_one_is_paid_for() -> None:
    given, kept = material(), dict[str, str]()

    def answer(messages: Sequence[Message]) -> str:
        if len(kept) >= 5:
            raise KeyboardInterrupt
        return writer()._answer(messages)  # pyright: ignore[reportPrivateUsage]

    with pytest.raises(KeyboardInterrupt):
        run(given, ScriptedModel(answer), plan(given), memory=Memory(kept, kept.__setitem__))
    assert len(kept) == 5


def test_a_larger_count_begins_with_the_rows_of_a_smaller_one_and_pays_for_the_rest() -> None:
    given, kept = material(), dict[str, str]()
    memory = Memory(found=kept, keep=kept.__setitem__)
    few = run(given, writer(), plan(given, count=16), memory=memory)
    many = run(given, writer(), plan(given, count=40), memory=memory)
    assert many.accepted[: len(few.accepted)] == few.accepted
    assert many.paid <= many.calls - few.calls


def test_another_seed_asks_other_things() -> None:
    given = material()
    assert run(given, writer(), plan(given)).accepted != (
        run(given, writer(), plan(given, seed=8)).accepted
    )


def test_no_more_is_asked_than_the_budget_allows_and_judging_counts() -> None:
    given, teacher = material(), writer()
    wanted = plan(given, count=50, most_calls=90, answers=2)
    asked = Asked(teacher, 90)
    held = bench(given)
    held.judge = teacher_judge(
        asked, given, answers=2, score=lambda _row, _raw, _cut: 1.0, max_tokens=5
    )
    made = synthesize(wanted, given, held, asked=asked, on_step=lambda _step: None)
    assert made.stopped == "most calls"
    assert teacher.calls == made.calls <= 90
    assert made.calls > 85
    assert len(made.accepted) >= 25


def test_where_nothing_new_can_be_asked_it_ends() -> None:
    given = material(tickets(2))
    made = run(given, writer(), plan(given, count=500, methods=("paraphrase",)))
    assert made.stopped == "nothing new to ask"
    assert made.calls <= 16


def test_self_consistency_leaves_out_what_the_teacher_itself_does_not_say() -> None:
    given = material()
    writes = writer()

    def answer(messages: Sequence[Message]) -> str:
        is_question = messages[0].content.startswith("Route the ticket.")
        return "tech" if is_question else writes._answer(messages)  # pyright: ignore[reportPrivateUsage]

    asked = Asked(ScriptedModel(answer), 400)
    held = bench(given)
    held.judge = teacher_judge(
        asked,
        given,
        answers=3,
        score=lambda row, raw, _cut: float(raw == row.target),
        max_tokens=5,
    )
    made = synthesize(
        plan(given, count=10, answers=3), given, held, asked=asked, on_step=lambda _step: None
    )
    assert {str(row.target) for row in made.accepted} == {"tech"}
    assert FILTERS["agreed"].reason in made.rejected_by_reason


def test_rows_that_say_what_is_held_out_never_pass() -> None:
    given = material()
    test = tickets(9, first=300)
    teacher = ScriptedModel(lambda messages: test[len(messages[-1].content) % 9].input.upper())
    made = run(given, teacher, plan(given, most_calls=40), held_out=test)
    assert made.accepted == ()
    assert FILTERS["held_out"].reason in made.rejected_by_reason


def entry(text: str, target: JsonValue = "tech", *, order: Order | None = None) -> Entry:
    order = order or Order(method="self_instruct", messages=(), seeds=(), target=target)
    example = Example(id="n", input=text, target=target, context=order.context)
    return Entry(order, text, truncated=False, draft=Draft(text, target), example=example)


def test_each_filter_gives_its_own_reason() -> None:
    given = material()
    fine = "My lantern went out in the attic and I want a new one"
    held = bench(
        given,
        held_out=tickets(3, first=300),
        valid=lambda target: target in LABELS,
        judge=lambda rows: [1.0 if row.input.startswith("My lantern") else None for row in rows],
    )
    cut = Entry(entry(fine).order, fine, truncated=True, draft=Draft(fine, "tech"), example=None)
    unread = Entry(entry(fine).order, "?", truncated=False, draft=None, example=None)
    entries = {
        "complete": cut,
        "willing": entry("I'm sorry, but I cannot write that for anybody at all"),
        "readable": unread,
        "not_empty": entry(" ...  "),
        "legible": entry("My lantern � is broken and nobody answers"),
        "length": entry("too short"),
        "valid": entry(fine, "nobody's label"),
        "not_telling": entry("My lantern is broken, and that is answered with: tech"),
        "new": entry(given.seeds[4].input.upper()),
        "held_out": entry(held.held_out[0].input),
        "diverse": entry(f"Tonight {fine[:-10]} soon"),
        "agreed": entry("The bicycle was stolen by the lake while I was rowing there"),
    }
    assert sift([entry(fine)], held) == [None]
    assert held.accepted[0].input == fine
    for name, given_entry in entries.items():
        assert sift([given_entry], held) == [FILTERS[name].reason], name
    assert set(FILTERS) - set(entries) == {"values", "supported"}


def test_letters_of_another_script_are_not_what_the_task_reads() -> None:
    reason = FILTERS["legible"].reason
    held = bench(material())
    assert sift([entry("Мой фонарь сломан, что мне теперь делать дальше")], held) == [reason]
    assert sift([entry("My lanterne à l'étage broke, cost 3 µ and ½ £, what now")], held) == [None]


def test_values_of_slots_must_stand_in_the_new_input() -> None:
    given = trip_material()
    held = bench(given)
    target: JsonValue = {"intent": "Book", "slots": {"kind": "tram", "town": "Rome"}}
    assert sift([entry("get me a tram to Rome, today", target)], held) == [None]
    assert sift([entry("get me a tram to Nice quickly", target)], held) == [
        FILTERS["values"].reason
    ]
    order = METHODS["paraphrase"].order(given, Random(3))
    seed = order.seeds[0]
    lost = entry("I would like to go there soon", seed.target, order=order)
    assert sift([lost], held) == [FILTERS["values"].reason]


def test_an_answer_from_a_document_needs_its_passage() -> None:
    given = question_material()
    held = bench(given)
    order = METHODS["documents"].order(given, Random(1))

    def asked(answer: str, support: str | None) -> Entry:
        text = "How many cars does the ferry to Turku carry in all"
        base = entry(text, answer, order=order)
        return Entry(order, text, False, Draft(text, answer, support), base.example)

    supported = "It carries two hundred cars, and no dogs."
    reason = FILTERS["supported"].reason
    assert sift([asked("two hundred", "It carries nine cars.")], held) == [reason]
    assert sift([asked("nine thousand", supported)], held) == [reason]
    assert sift([asked("two hundred", None)], held) == [reason]
    assert sift([asked("two hundred", supported)], held) == [None]


def test_vectors_find_what_other_words_hide() -> None:
    given = material()
    places = {"far": 0.0, "near": PARAPHRASE + 0.01, "same": SAME + 0.01}

    def embed(texts: Sequence[str]) -> Floats:
        """Held-out rows lie along x, real ones along y, new ones where their first word says."""
        vectors: list[list[float]] = []
        for text in texts:
            word = text.split()[0].lower()
            if word == "heldout":
                vectors.append([1.0, 0.0, 0.0, 0.0])
            elif word in places:
                x = places[word]
                rest = float(np.sqrt(1 - x * x))
                vectors.append([x, 0.0, rest, 0.0] if "test" in text else [0.0, x, 0.0, rest])
            else:
                vectors.append([0.0, 1.0, 0.0, 0.0])
        return np.array(vectors, np.float32)

    heldout = Example(id="h", input="heldout words that stand alone", target="tech")
    held = bench(given, held_out=[heldout], embed=embed)
    reasons = sift(
        [
            entry("near to a test row in quite other words"),
            entry("same as a real row although other words say it"),
            entry("far from everything that anybody has written"),
        ],
        held,
    )
    assert reasons == [FILTERS["held_out"].reason, FILTERS["diverse"].reason, None]


def test_surplus_rows_are_counted_and_not_written() -> None:
    given = material()
    made = run(given, writer(), plan(given, count=1))
    assert len(made.accepted) == 1
    assert made.rejected_by_reason[ENOUGH] >= 1


def test_rows_are_read_back_from_their_file_with_everything_they_carry(tmp_path: Path) -> None:
    given = question_material()

    def answer(messages: Sequence[Message]) -> str:
        number = len(messages[-1].content) % 7
        return (
            f"Question: What is said of the ferry that carries cars, asked for the {number}th time\n"
            "Answer: two hundred cars\nSupport: It carries two hundred cars, and no dogs."
        )

    made = run(given, ScriptedModel(answer), plan(given, count=1, methods=("documents",)))
    written = write_examples(made.accepted, tmp_path / "synthetic.jsonl", root=tmp_path)
    (back,) = read(written.source.name, columns=Columns(), root=tmp_path).examples
    (row,) = made.accepted
    assert back.content_digest == row.content_digest
    assert back.origin == row.origin
    assert row.origin is not None
    assert row.origin.steps[0].endswith(", passage doc#1")
    assert json.loads(written.path.read_text())["freehold"]["synthetic"]["method"] == "documents"
