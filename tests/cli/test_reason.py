"""The reason test names rungs that exist and that the ladder climbs, in its order."""

from freehold.cli.reason import TREATMENTS, reason_of
from freehold.core.sections import RUNG_NAMES, LadderSection, MetricSpec, Volume
from freehold.core.task import JsonOutput, LabelOutput, Output, Task, TextOutput


def task(output: Output, **more: object) -> Task:
    values = {"name": "t", "instruction": "i", "output": output, **more}
    return Task(metric=MetricSpec(primary="exact_match"), **values)  # pyright: ignore[reportArgumentType]


def test_every_treatment_is_a_rung() -> None:
    assert {rung for rungs in TREATMENTS.values() for rung in rungs} <= set(RUNG_NAMES)


def test_labels_ask_for_consistency_and_form() -> None:
    found = reason_of(task(LabelOutput(labels=("a", "b"))))
    assert found.symptoms == ("consistency", "form")
    assert found.treated_by == (
        *("baseline", "few_shot", "structured", "retrieve", "lora", "lora+retrieve"),
    )


def test_documents_are_treated_by_what_reads_them() -> None:
    found = reason_of(task(JsonOutput(json_schema={}), documents="docs"))
    assert {"retrieve", "lora+retrieve", "full"} <= set(found.treated_by)


def test_volume_is_treated_by_a_smaller_model_where_the_ladder_has_it() -> None:
    volume = Volume(requests_per_month=2_000_000)
    assert "distil" in reason_of(task(TextOutput(), volume=volume)).treated_by
    short = LadderSection(rungs=("zero_shot", "lora"))
    assert reason_of(task(TextOutput(), volume=volume, ladder=short)).treated_by == ("lora",)
