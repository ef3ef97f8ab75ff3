"""Small real tasks for the tests of synthesis: labels, slots, and questions about passages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import JsonValue

from freehold.core.sections import Columns
from freehold.core.snapshot import Example, Origin, Source, Synthetic
from freehold.core.task import JsonOutput, LabelOutput, TextOutput
from freehold.data.documents import Passage
from freehold.data.read import Reading
from freehold.data.synthesis.filters import Bench, Embed, Judge
from freehold.data.synthesis.material import Material

LABELS = ("billing", "refunds", "tech")
WORDS = {
    "billing": ("invoice", "charge", "card statement"),
    "refunds": ("money back", "return", "credit note"),
    "tech": ("app crash", "login", "blue screen"),
}
SIGHTS = ("harbour", "castle", "old mill", "glass tower", "rose garden", "museum")


def row(number: int, text: str, target: JsonValue, **more: str) -> Example:
    return Example(
        id=f"r{number}", input=text, target=target, source="x.jsonl", row=number + 1, fields=more
    )


def tickets(count: int = 60, *, first: int = 0) -> tuple[Example, ...]:
    made: list[Example] = []
    for number in range(first, first + count):
        label = LABELS[number % 3]
        word = WORDS[label][number // 3 % 3]
        sight = SIGHTS[number // 9 % 6]
        text = f"My {word} looks wrong since the trip number {number * 7919} to the {sight}"
        made.append(row(number, text, label))
    return tuple(made)


def trips() -> tuple[Example, ...]:
    towns = ("Oslo", "Turku", "Porto", "Gent", "Bern", "Lyon", "Cork", "Graz")
    return tuple(
        row(
            number,
            f"book me a {kind} to {town} please",
            {"intent": "Book", "slots": {"kind": kind, "town": town}},
        )
        for number, (town, kind) in enumerate(
            (town, kind) for town in towns for kind in ("night train", "ferry")
        )
    )


def material(
    seeds: Sequence[Example] | None = None,
    *,
    passages: tuple[Passage, ...] = (),
    pairs: tuple[tuple[str, str], ...] = (),
) -> Material:
    return Material(
        instruction="Route the ticket.",
        output=LabelOutput(labels=LABELS),
        seeds=tuple(tickets() if seeds is None else seeds),
        passages=passages,
        pairs=pairs,
    )


def trip_material() -> Material:
    return Material("Extract the trip.", JsonOutput(json_schema={"type": "object"}), trips())


def question_material() -> Material:
    passage = Passage(
        id="doc#1",
        document_id="doc",
        title="Ferries",
        text="The ferry to Turku leaves at nine. It carries two hundred cars, and no dogs.",
        start=0,
    )
    seeds = tuple(
        row(n, f"When does the ferry number {n} to the island leave from here", f"at {n}")
        for n in range(12)
    )
    return Material("Answer the question.", TextOutput(), seeds, passages=(passage,))


def bench(
    given: Material,
    *,
    held_out: Sequence[Example] = (),
    valid: Callable[[JsonValue], bool] = bool,
    embed: Embed | None = None,
    judge: Judge | None = None,
) -> Bench:
    return Bench(
        material=given,
        real=given.seeds,
        held_out=held_out,
        valid=valid,
        embed=embed,
        judge=judge,
    )


def made_row(text: str, target: JsonValue = "tech", *, parents: tuple[str, ...] = ()) -> Example:
    origin = Origin(source="", synthetic=Synthetic(method="typos", seed=1, parents=parents))
    example = Example(id="", input=text, target=target, origin=origin, source="s.jsonl", row=1)
    return example.model_copy(update={"id": f"aug-{example.content_digest[-12:]}"})


def reading(examples: Sequence[Example], name: str = "x.jsonl") -> Reading:
    source = Source(name=name, sha256="sha256:0", rows=len(examples), format="input/target")
    return Reading(
        examples=tuple(examples),
        drops=(),
        sources=(source,),
        format="input/target",
        columns=Columns(input="input", target="target"),
    )
