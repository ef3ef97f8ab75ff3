# pyright: standard
"""A ladder on tiny random models: a folder with data, models and a store, climbed in seconds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from tests.ladder.tasks import at_noon, colour_rows
from tests.models.tiny import save_model

from freehold.core.candidate import Candidate
from freehold.core.sections import RungName
from freehold.core.taskfile import parse_task_file
from freehold.evaluate.scorers import scorer
from freehold.ladder.climb import ClimbOutcome, climb
from freehold.ladder.prepare import Prepared, prepare
from freehold.ladder.rungs import RUNGS
from freehold.ladder.tools import Models, Tools
from freehold.store.store import Store

BARE = "retention: {replay: 0, scale: false}"
LORA = f"lora: {{effort: quick, epochs: 1, r: 2, {BARE}}}"


class Ticks:
    """A clock that moves on by a hundredth of a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


@dataclass
class Place:
    """A folder with a task on a tiny model."""

    root: Path
    models: Models = field(init=False)

    def __post_init__(self) -> None:
        save_model(self.root / "base")
        rows = colour_rows(60)
        self.write("colours.jsonl", rows)
        self.models = Models(cache=self.root)

    def write(self, name: str, rows: list[dict[str, object]] | list[dict[str, str]]) -> None:
        (self.root / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def task(
        self, ladder: str, *, examples: str = "colours.jsonl", data: str = "", more: str = ""
    ) -> Prepared:
        text = (
            f"task: colours\ndata: {{examples: {examples}{data}}}\nmodel: {self.root}/base\n"
            f"kept: {{items: 1}}\nladder: {{{ladder}}}\n{more}"
        )
        return prepare(parse_task_file(text), root=self.root)

    def climb(self, task: Prepared) -> ClimbOutcome:
        with Store.open(self.root, clock=at_noon) as store:
            return climb(task, store=store, models=self.models, clock=Ticks())

    def candidate(self, outcome: ClimbOutcome, rung: str) -> tuple[Candidate, dict[str, bytes]]:
        with Store.open(self.root, clock=at_noon) as store:
            digest = outcome.climb.rung(rung).candidate_digest
            candidate = store.get(str(digest), Candidate)
            files = {name: store.blobs.get(one) for name, one in candidate.artefacts.items()}
            return candidate, files


def tools_of(task: Prepared, store: Store, models: Models) -> Tools:
    """The tools of a task as a climb makes them, without what needs other rungs."""
    return Tools(
        task=task.task,
        train=task.snapshot.train,
        passages=task.passages,
        store=store,
        models=models,
        clock=Ticks(),
        on_progress=lambda _step: None,
        preferences=task.preferences,
        scorer=scorer(task.task.metric, task.task.output, root=task.root),
    )


def missing(task: Prepared, root: Path, rung: RungName) -> str | None:
    """Why a rung cannot run; asking must open no model."""

    def refuse(_spec: object) -> object:
        raise AssertionError("a model was opened")

    with Store.open(root, clock=at_noon) as store:
        models = Models(cache=root, open_base=refuse)  # pyright: ignore[reportArgumentType]
        return RUNGS[rung].missing(tools_of(task, store, models))
