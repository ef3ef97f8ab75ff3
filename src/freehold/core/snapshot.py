"""Frozen data: examples, the four splits as four types, and what was dropped and why."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

from pydantic import Field, JsonValue, model_validator

from freehold.core.message import Message
from freehold.core.record import Record, digest_json


def _is_none(value: object) -> bool:
    return value is None


def _is_zero(value: object) -> bool:
    return value == 0


class Synthetic(Record):
    """How a row that no person wrote came about.

    `method` is the word of the verb that made it (`self_instruct`, `paraphrase`, `typos`, ...).
    `teacher` and `teacher_digest` name the model that wrote it, `prompt_digest` what it was asked;
    None where no model took part. `licence` are the terms of the teacher's outputs. `parents` are the
    content digests of the rows that it was made from or after: where one of them is held out, this row
    must not be trained on, and where one is forgotten, this row descends from it.
    """

    method: str
    seed: int
    teacher: str | None = None
    teacher_digest: str | None = None
    prompt_digest: str | None = None
    licence: str | None = None
    parents: tuple[str, ...] = ()


class Origin(Record):
    """Where a row came from before Freehold wrote it into a new file, and what was done to it.

    `source` and `row` are of the user's own file; row 0 where there is none. `steps` are sentences, in
    order, such as `scrub: email masked at input 4-19`.
    """

    source: str
    row: int = Field(default=0, ge=0)
    steps: tuple[str, ...] = ()
    synthetic: Synthetic | None = None


class Example(Record):
    """One input with its wanted answer.

    `id` is the user's own, or made from the content, so that it is stable over re-ordering.
    `target` is text, or a JSON value for structured tasks. `context` is a passage that belongs to
    this example. `history` are earlier turns of a chat. `source` and `row` say where it came from
    (rows count from 1). `group` ties rows that must not be divided by a split. `fields` are the
    other columns as text, for slices. `origin` is where a row of a file that Freehold wrote came from.
    `licence` and `consent` are the row's own, or those of its source, as text.

    The last three are left out of the JSON where there is none, so that data without them has the
    digest that it had before they existed.
    """

    id: str
    input: str
    target: JsonValue
    context: str | None = None
    history: tuple[Message, ...] = ()
    source: str = ""
    row: int = Field(default=0, ge=0)
    group: str | None = None
    fields: dict[str, str] = Field(default_factory=dict)
    origin: Origin | None = Field(default=None, exclude_if=_is_none)
    licence: str | None = Field(default=None, exclude_if=_is_none)
    consent: str | None = Field(default=None, exclude_if=_is_none)

    @property
    def content_digest(self) -> str:
        """The name of what is asked and answered, without id, place and extra columns."""
        history = [turn.to_json() for turn in self.history]
        return digest_json("content", [self.input, self.target, self.context, history])


class _Split(Record):
    examples: tuple[Example, ...]

    def __len__(self) -> int:
        return len(self.examples)


class TrainSplit(_Split):
    """Examples to build with: training, few-shot pools, nearest-example indexes."""

    split: Literal["train"] = "train"


class DevSplit(_Split):
    """Examples to choose variants inside a rung with."""

    split: Literal["dev"] = "dev"


class TestSplit(_Split):
    """Examples for verdicts."""

    __test__ = False  # pytest: this is no test class
    split: Literal["test"] = "test"


class AuditSplit(_Split):
    """Examples that are touched once, by the recommended rung only."""

    split: Literal["audit"] = "audit"


HeldOutSplit: TypeAlias = DevSplit | TestSplit | AuditSplit


class Source(Record):
    """One file that was read: its name as the user wrote it, its SHA-256, its rows, its format."""

    name: str
    sha256: str
    rows: int
    format: str


class Drop(Record):
    """One row that was not used, and why. Rows count from 1."""

    source: str
    row: int
    reason: str


class Snapshot(Record):
    """Frozen data, split once.

    `duplicates` and `near_duplicates` count rows that repeat an earlier one, `paraphrases` those that
    say it in other words, where they were looked for; their groups stay on one side of every split. `leaked` counts
    rows of a test file of the user that repeat a training row; the training row is the one left out.
    """

    sources: tuple[Source, ...]
    train: TrainSplit
    dev: DevSplit
    test: TestSplit
    audit: AuditSplit
    drops: tuple[Drop, ...] = ()
    seed: int = 7
    duplicates: int = 0
    near_duplicates: int = 0
    paraphrases: int = Field(default=0, exclude_if=_is_zero)
    leaked: int = 0

    @model_validator(mode="after")
    def _splits_do_not_overlap(self) -> Self:
        seen: dict[str, str] = {}
        for split in (self.train, self.dev, self.test, self.audit):
            for content in {example.content_digest for example in split.examples}:
                if content in seen:
                    raise ValueError(f"an example of {seen[content]} is also in {split.split}")
                seen[content] = split.split
        ids = [e.id for s in (self.train, self.dev, self.test, self.audit) for e in s.examples]
        if len(ids) != len(set(ids)):
            raise ValueError("two examples share an id")
        return self

    @property
    def drops_by_reason(self) -> dict[str, int]:
        """How many rows were dropped, by reason, most frequent first."""
        counts: dict[str, int] = {}
        for drop in self.drops:
            counts[drop.reason] = counts.get(drop.reason, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
