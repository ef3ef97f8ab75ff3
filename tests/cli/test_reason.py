"""The reason test: symptoms with their figures, rungs that exist and that the ladder climbs, in its order."""

from pathlib import Path

import pytest

from freehold.cli.reason import MOST_ROWS, TREATMENTS, Reason, Sign, reason_of
from freehold.core.sections import RUNG_NAMES, LadderSection, MetricSpec, Volume
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, Output, Task, TextOutput
from freehold.core.taskfile import parse_task_file
from freehold.ladder.prepare import prepare

LABELS = LabelOutput(labels=("a", "b"))
TEXT = "please send my money back for the order of last Monday, it never came to our door"
OBJECT = JsonOutput(json_schema={"type": "object"})


def task(output: Output, **more: object) -> Task:
    values = {"name": "t", "instruction": "i", "output": output, **more}
    return Task(metric=MetricSpec(primary="exact_match"), **values)  # pyright: ignore[reportArgumentType]


def rows(*pairs: tuple[str, object], context: str | None = None) -> list[Example]:
    return [
        Example.model_validate(
            {"id": f"e{number}", "input": text, "target": target, "context": context}
        )
        for number, (text, target) in enumerate(pairs)
    ]


def sign(found: Reason, symptom: str) -> Sign:
    return next(one for one in found.signs if one.symptom == symptom)


def test_every_treatment_is_a_rung() -> None:
    assert {rung for rungs in TREATMENTS.values() for rung in rungs} <= set(RUNG_NAMES)


def test_labels_ask_for_consistency_and_form() -> None:
    found = reason_of(task(LABELS))
    assert found.symptoms == ("form", "consistency")
    assert found.treated_by == (
        *("baseline", "few_shot", "structured", "retrieve", "lora", "lora+retrieve"),
    )
    assert "documents: a label is no fact that a passage could hold" in found.would_not_help


def test_documents_are_treated_by_what_reads_them() -> None:
    found = reason_of(task(JsonOutput(json_schema={}), documents="docs"))
    assert {"retrieve", "lora+retrieve", "full"} <= set(found.treated_by)


def test_volume_is_treated_by_a_smaller_model_where_the_ladder_has_it() -> None:
    volume = Volume(requests_per_month=2_000_000)
    found = reason_of(task(TextOutput(), volume=volume))
    assert "distil" in found.treated_by
    assert sign(found, "volume").text == "2,000,000 requests a month: the cost of a request decides"
    short = LadderSection(rungs=("zero_shot", "lora"))
    assert reason_of(task(TextOutput(), volume=volume, ladder=short)).treated_by == ("lora",)
    seldom = reason_of(task(TextOutput(), volume=Volume(requests_per_month=100)))
    assert any(words.startswith("distil: ") for words in seldom.would_not_help)


def test_answers_that_stand_in_the_documents_and_not_in_the_input_are_missing_facts() -> None:
    asked = rows(*((f"when was bridge {n} built?", f"in {1800 + n}") for n in range(40)))
    passages = [f"Bridge {n} was built in {1800 + n}." for n in range(40)]
    found = reason_of(task(TextOutput(), documents="docs"), asked, passages)
    assert sign(found, "facts").is_shown
    assert sign(found, "facts").figures["in_documents"] == {
        "mean": 1.0,
        "low": pytest.approx(0.912, abs=0.001),
        "high": 1.0,
        "n": 40,
    }
    other = reason_of(task(TextOutput(), documents="docs"), asked, ["Nothing of the kind."] * 3)
    assert sign(other, "facts").figures["in_documents"] != {}
    few = reason_of(task(TextOutput(), documents="docs"), asked * 3, ["Nothing of the kind."])
    assert not sign(few, "facts").is_shown
    assert "documents: they hold few of the answers" in few.would_not_help


def test_answers_that_stand_in_the_rows_own_context_are_not_missing() -> None:
    text = "The bridge was built in 1885 by Anna Sund."
    asked = rows(*((f"question {n}?", "Anna Sund") for n in range(30)), context=text)
    found = reason_of(task(TextOutput(), documents="docs"), asked, [text])
    assert not sign(found, "facts").is_shown
    assert "documents: the facts stand in the input already" in found.would_not_help
    fields = rows(*((f"play song {n} by Abba", {"artist": "Abba"}) for n in range(30)))
    assert "n=30" in sign(reason_of(task(OBJECT), fields), "facts").text


def test_inputs_that_are_alike_and_answered_differently_set_a_ceiling() -> None:
    texts = [
        f"please cancel the order with the number {n * 7919} for me, thank you" for n in range(40)
    ]
    alike = [(text, "a") for text in texts]
    again = [(f"{text}!", "b" if n % 4 == 0 else "a") for n, text in enumerate(texts)]
    found = reason_of(task(LABELS), rows(*alike, *again))
    assert found.ceiling is not None and found.ceiling.mean is not None
    assert found.ceiling.mean**2 == pytest.approx(sign_mean(found), abs=1e-9)
    assert found.ceiling.low < found.ceiling.mean < found.ceiling.high < 1
    assert "no rung can be right on much more than" in sign(found, "consistency").text


def sign_mean(found: Reason) -> float:
    agreement = sign(found, "consistency").figures["agreement"]
    assert isinstance(agreement, dict)
    return float(str(agreement["mean"]))


def test_a_few_alike_are_too_few_to_judge_by() -> None:
    found = reason_of(task(LABELS), rows((TEXT, "a"), (f"{TEXT}!", "b"), ("else", "a")))
    assert found.ceiling is None
    assert "too few to judge by" in sign(found, "consistency").text


def test_long_free_text_has_a_style_and_short_answers_have_none() -> None:
    long = rows(
        *((f"say {n}", f"Dear customer, we have sent parcel {n} to you today") for n in range(20))
    )
    found = reason_of(task(TextOutput()), long)
    assert found.symptoms == ("style",)
    assert "10 words in the median, 20 different ones in 20 rows" in sign(found, "style").text
    short = reason_of(task(TextOutput()), rows(("say", "yes"), ("tell", "no")))
    assert short.symptoms == ()
    assert any(words.startswith("prefer: ") for words in short.would_not_help)


def test_of_many_rows_the_same_ones_are_drawn_every_time() -> None:
    many = rows(*((f"input {n}", f"answer {n}") for n in range(MOST_ROWS + 500)))
    found = reason_of(task(TextOutput()), many)
    assert sign(found, "style").figures["rows"] == MOST_ROWS
    assert reason_of(task(TextOutput()), many) == found


@pytest.mark.parametrize(
    ("data", "symptoms", "words"),
    [
        ("snips/train.jsonl", ("form", "consistency"), "it has to be read there"),
        ("banking77/train.jsonl", ("form", "consistency"), "one of 77 labels"),
        ("pubmedqa/train.jsonl", ("form", "consistency"), "one of 3 labels"),
        (
            "{examples: xquad_en/questions.jsonl, documents: xquad_en/documents.jsonl}",
            ("facts",),
            "stands in the documents in 0.999",
        ),
    ],
)
def test_real_tasks_show_what_they_are(
    shared_data: Path, data: str, symptoms: tuple[str, ...], words: str
) -> None:
    found = prepare(parse_task_file(f"task: t\ndata: {data}\n"), root=shared_data)
    passages = [passage.text for passage in found.passages]
    reason = reason_of(found.task, found.snapshot.train.examples, passages)
    assert reason.symptoms == symptoms
    assert any(words in one.text for one in reason.signs)
