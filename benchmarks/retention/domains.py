# pyright: basic
"""Public data sets as domains to learn: instruction, form of the answers, scorer, and fixed splits."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from freehold.core.message import Message
from freehold.core.sections import MetricSpec
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, Output
from freehold.data.json_schema import infer_schema
from freehold.evaluate.scorers import Scorer, scorer
from freehold.ladder.prompts import answer_text, conversation
from freehold.train.rows import TrainingRow

SPLIT_SEED = 7


@dataclass(frozen=True)
class Source:
    """How a data set is read. `rows` of it are trained on at most."""

    instruction: str
    metric: str
    rows: int
    test_file: str = "test.jsonl"


SOURCES = {
    "snips": Source(
        "Turn the request into JSON with its intent and slots.",
        "json_fields",
        1000,
        "validation.jsonl",
    ),
    "banking77": Source(
        "Name the intent of this question of a bank's customer.", "label_accuracy", 2500
    ),
    "clinc150": Source(
        "Name the intent of this request to a voice assistant, or oos if it is none of them.",
        "label_accuracy",
        2500,
    ),
    "pubmedqa": Source(
        "Answer the question from its context with yes, no or maybe.", "label_accuracy", 300
    ),
}


@dataclass(frozen=True)
class Domain:
    """A task with its rows. The test and dev rows are the same for every seed, training rows are not."""

    name: str
    instruction: str
    output: Output
    scorer: Scorer
    pool: tuple[Example, ...]
    rows: int
    dev: tuple[Example, ...]
    test: tuple[Example, ...]

    def train(self, seed: int) -> tuple[Example, ...]:
        """Return `rows` training examples, of every answer's kind as many as its share in the pool."""
        return tuple(_stratified(self.pool, self.rows, seed))

    def prompt(self, example: Example) -> tuple[Message, ...]:
        """Return the messages that every arm trains on and is asked with."""
        return conversation(self.instruction, example)

    def render(self, example: Example) -> TrainingRow:
        """Return the training row of an example."""
        return TrainingRow(prompt=self.prompt(example), answer=answer_text(example.target))


def read_domain(name: str, data: Path, *, dev: int, test: int, most_rows: int | None) -> Domain:
    """Return a domain; training rows whose input also occurs in the test file are left out."""
    source = SOURCES[name]
    asked = _examples(name, data / name / source.test_file)
    seen = {_plain(example) for example in asked}
    pool = [e for e in _examples(name, data / name / "train.jsonl") if _plain(e) not in seen]
    targets = [example.target for example in [*pool, *asked]]
    output: Output
    if source.metric == "json_fields":
        output = JsonOutput(json_schema=_schema([example.target for example in pool]))
    else:
        output = LabelOutput(labels=tuple(sorted({str(target) for target in targets})))
    rng = random.Random(SPLIT_SEED)
    rng.shuffle(pool)
    rng.shuffle(asked)
    return Domain(
        name=name,
        instruction=source.instruction,
        output=output,
        scorer=scorer(MetricSpec(primary=source.metric), output, root=data),  # type: ignore[arg-type]
        pool=tuple(pool[dev:]),
        rows=min(most_rows or source.rows, source.rows, len(pool) - dev),
        dev=tuple(pool[:dev]),
        test=tuple(asked[:test]),
    )


def _schema(targets: list[JsonValue]) -> dict[str, JsonValue]:
    return infer_schema(targets)


def _examples(name: str, file: Path) -> list[Example]:
    found: list[Example] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        context = row.get("context")
        found.append(
            Example(
                id=f"{name}-{number}",
                input=row["input"],
                target=row["target"],
                context="\n".join(context) if context else None,
                source=file.name,
                row=number,
            )
        )
    return found


def _plain(example: Example) -> str:
    return re.sub(r"\W+", " ", example.input.casefold()).strip()


def _stratified(pool: tuple[Example, ...], count: int, seed: int) -> list[Example]:
    rng = random.Random(f"train/{seed}")
    kinds: dict[str, list[Example]] = defaultdict(list)
    for example in pool:
        target = example.target
        kinds[str(target["intent"] if isinstance(target, dict) else target)].append(example)
    placed: list[tuple[float, Example]] = []
    for kind in sorted(kinds):
        members = kinds[kind]
        rng.shuffle(members)
        # Evenly spread places: the first `count` of all have each kind in its share.
        placed.extend(((i + rng.random()) / len(members), e) for i, e in enumerate(members))
    placed.sort(key=lambda pair: pair[0])
    chosen = [example for _, example in placed[:count]]
    rng.shuffle(chosen)
    return chosen
