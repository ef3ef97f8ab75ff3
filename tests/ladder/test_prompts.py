"""One form of prompt for all rungs."""

from freehold.core.measure import Answer
from freehold.core.message import Message, assistant, system, user
from freehold.core.outcome import Cause, Failed
from freehold.core.sections import MetricSpec
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, Task, TextOutput
from freehold.ladder.prompts import (
    Asker,
    answer_text,
    conversation,
    drop_far_shots,
    labels_fit,
    question_text,
    system_text,
)
from freehold.models.scripted import ScriptedModel

LABELS = LabelOutput(labels=("red", "green"))


def task(output: LabelOutput | JsonOutput | TextOutput = LABELS) -> Task:
    return Task(
        name="t", instruction="Name it.", output=output, metric=MetricSpec(primary="exact_match")
    )


def test_shots_are_turns_before_the_question_and_history_stands_between() -> None:
    asked = Example(id="q", input="leaf?", target="green", history=(user("hi"), assistant("ho")))
    shot = Example(id="s", input="rose?", target="red")
    assert conversation("Name it.", asked, shots=[shot]) == (
        system("Name it."),
        user("rose?"),
        assistant("red"),
        user("hi"),
        assistant("ho"),
        user("leaf?"),
    )


def test_there_is_one_system_turn_whatever_an_example_brings() -> None:
    same = Example(id="q", input="x", target="red", history=(system("Name it."),))
    more = Example(id="q", input="x", target="red", history=(system("Be brief."),))
    assert conversation("Name it.", same) == (system("Name it."), user("x"))
    assert conversation("Name it.", more) == (system("Name it.\n\nBe brief."), user("x"))


def test_context_and_passages_stand_before_the_input() -> None:
    asked = Example(id="q", input="who?", target="x", context="own")
    assert question_text(asked, ["found"]) == "Context: found\n\nown\n\nQuestion: who?"
    assert question_text(Example(id="q", input="who?", target="x")) == "who?"


def test_json_targets_are_one_line_and_keep_their_letters() -> None:
    assert answer_text({"artist": "Björk", "n": 1}) == '{"artist": "Björk", "n": 1}'
    assert answer_text("as it is") == "as it is"


def test_labels_are_listed_only_where_they_leave_room() -> None:
    roomy = ScriptedModel({}, context_tokens=1000)
    tight = ScriptedModel({}, context_tokens=10)
    assert system_text(task(), list_labels=True) == "Name it.\nAnswer with one of: red, green."
    assert labels_fit(task(), roomy)
    assert not labels_fit(task(), tight)
    assert not labels_fit(task(TextOutput()), roomy)


def test_the_least_similar_shots_go_first_when_there_is_no_room() -> None:
    model = ScriptedModel({}, context_tokens=14)
    shots = [Example(id=f"s{n}", input=f"far {n}", target="red") for n in range(4)]
    prompt = conversation("Name it.", Example(id="q", input="q", target="red"), shots=shots)
    kept = drop_far_shots(model, prompt, system_turns=1, reserve=2)
    assert kept[0] == system("Name it.")
    assert kept[1] == user("far 3")
    assert kept[-1] == user("q")
    assert model.count_tokens(kept) + 2 <= model.context_tokens


def test_an_asker_reads_values_out_of_text_and_passes_failures_on() -> None:
    model = ScriptedModel({"a": "Red.", "b": "no idea"}, context_tokens=40)
    seen: dict[int, Answer | Failed] = {}
    prompts: list[tuple[Message, ...]] = [(user("a"),), (user("b"),), (user("x " * 60),)]
    Asker(model, LABELS, max_tokens=4).ask(prompts, seen.__setitem__)
    first, second, third = (seen[index] for index in range(3))
    assert isinstance(first, Answer)
    assert first.value == "red"
    assert isinstance(second, Answer)
    assert (second.value, second.raw) == (None, "no idea")
    assert isinstance(third, Failed)
    assert third.cause is Cause.TOO_LONG
