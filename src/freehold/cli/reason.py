"""The reason test: which symptom a task shows, and which rungs can treat it. Pure.

It reads the form of the answers, whether documents are given, and how often the task is asked. It
does not look at any model's answers: a climb does that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from freehold.core.task import JsonOutput, LabelOutput, Task
from freehold.report import numbers

Symptom: TypeAlias = Literal["facts", "form", "style", "consistency", "volume"]

#: Which rungs treat a symptom (decide.md 1), cheapest first.
TREATMENTS: Mapping[Symptom, tuple[str, ...]] = {
    "facts": ("retrieve", "lora+retrieve", "full"),
    "form": ("structured", "lora"),
    "style": ("few_shot", "retrieve", "lora", "prefer"),
    "consistency": ("baseline", "few_shot", "retrieve", "lora", "lora+retrieve"),
    "volume": ("baseline", "lora", "distil"),
}
MANY_REQUESTS_PER_MONTH = 1_000_000


@dataclass(frozen=True)
class Reason:
    """What was seen, the symptoms it shows, and the rungs of the ladder that treat them."""

    seen: str
    symptoms: tuple[Symptom, ...]
    treated_by: tuple[str, ...]


def reason_of(task: Task) -> Reason:
    """Return the reason test of a task."""
    form, shown = _form(task)
    seen: list[str] = [form]
    symptoms: list[Symptom] = [*shown]
    if task.documents is not None:
        seen.append("documents are given")
        symptoms.append("facts")
    if task.volume.requests_per_month >= MANY_REQUESTS_PER_MONTH:
        seen.append(f"{numbers.count(task.volume.requests_per_month)} requests a month")
        symptoms.append("volume")
    treating = {rung for symptom in symptoms for rung in TREATMENTS[symptom]}
    return Reason(
        "; ".join(seen), tuple(symptoms), tuple(r for r in task.ladder.rungs if r in treating)
    )


def _form(task: Task) -> tuple[str, tuple[Symptom, ...]]:
    match task.output:
        case LabelOutput(labels=labels):
            return f"{len(labels)} closed labels", ("consistency", "form")
        case JsonOutput():
            return "JSON answers", ("form", "consistency")
        case _:
            return "free text answers", ("style",)
