"""The resolved task: what is wanted and what counts as good enough, with nothing left to detect."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, JsonValue

from freehold.core.record import Record, digest_json
from freehold.core.sections import (
    Bar,
    BaseModelSpec,
    BudgetSection,
    DiagnoseSection,
    JudgeSpec,
    KeptSection,
    LadderSection,
    MetricSpec,
    Prices,
    Volume,
)


class LabelOutput(Record):
    """The answer is exactly one of a closed list of labels, in the order they are shown."""

    kind: Literal["labels"] = "labels"
    labels: Annotated[tuple[str, ...], Field(min_length=1)]


class JsonOutput(Record):
    """The answer is a JSON value that fits `json_schema` (JSON Schema 2020-12)."""

    kind: Literal["json"] = "json"
    json_schema: dict[str, JsonValue]


def _is_none(value: object) -> bool:
    return value is None


class TextOutput(Record):
    """The answer is free text. `unanswerable` is what it says where there is no answer, if the task declares it.

    Left out of the JSON where it is None, so that tasks without it keep their digest.
    """

    kind: Literal["text"] = "text"
    unanswerable: str | None = Field(default=None, exclude_if=_is_none)


Output: TypeAlias = Annotated[LabelOutput | JsonOutput | TextOutput, Field(discriminator="kind")]


class Task(Record):
    """What is wanted, how an answer is scored, and what counts as good enough.

    `instruction` is the text of the system message, without the list of labels: rungs add that. The
    digests name the content of `data.documents`, `data.preferences` and people's scores, None where there
    are none. `access` are the labels that every request holds, and `access_column` the column of an example
    with its own. `judge` holds the text of its rubric.
    """

    name: str
    instruction: str
    output: Output
    metric: MetricSpec
    bar: Bar = Bar()
    volume: Volume = Volume()
    prices: Prices = Prices()
    base: BaseModelSpec = BaseModelSpec()
    embedder: str = "all-MiniLM-L6-v2"
    ladder: LadderSection = LadderSection()
    kept: KeptSection = KeptSection()
    budget: BudgetSection = BudgetSection()
    documents: str | None = None
    documents_digest: str | None = None
    preferences_digest: str | None = None
    document_column: str | None = None
    access: tuple[str, ...] = ()
    access_column: str | None = None
    diagnose: DiagnoseSection = DiagnoseSection()
    judge: JudgeSpec | None = None
    human_scores_digest: str | None = None

    @property
    def question_digest(self) -> str:
        """The name of what is asked: instruction, output, base model and embedder.

        Bars, prices and the metric are not part of it: changing them builds nothing anew.
        """
        asked = (self.output, self.base)
        return digest_json(
            "question", [self.instruction, self.embedder, *(part.to_json() for part in asked)]
        )
