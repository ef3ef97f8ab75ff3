"""What a sequence of domains leaves behind: each domain measured after each stage, and what that says."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from freehold.core.measure import Estimate
from freehold.core.record import Record

BASE_STAGE = "base"


class Cell(Record):
    """The items of one column after one stage: their mean, and the score of each item by its id.

    `scores` is empty where the metric is no mean of its items, such as macro-F1.
    """

    stage: Annotated[int, Field(ge=0)]
    column: str
    quality: Estimate
    scores: dict[str, float] = Field(default_factory=dict)


class TransferMatrix(Record):
    """R[stage, domain], with the families of general ability as further columns.

    `stages[0]` is the untouched base; `domains[i]` was learnt at stage i + 1. A cell that nobody
    measured is absent: a domain is unknown before it is met. Scores of one column are of the same
    items at every stage.
    """

    stages: Annotated[tuple[str, ...], Field(min_length=1)]
    domains: tuple[str, ...]
    cells: tuple[Cell, ...]
    general: tuple[Cell, ...] = ()

    @model_validator(mode="after")
    def _has_one_cell_a_place(self) -> Self:
        if len(self.stages) != len(self.domains) + 1:
            raise ValueError("each stage after the base learns one domain")
        if len(set(self.domains)) != len(self.domains):
            raise ValueError("two domains share a name")
        for cells in (self.cells, self.general):
            places = [(cell.stage, cell.column) for cell in cells]
            if len(set(places)) != len(places):
                raise ValueError("a stage has two cells of one column")
            if any(stage >= len(self.stages) for stage, _ in places):
                raise ValueError("a cell belongs to no stage")
        if not {cell.column for cell in self.cells} <= set(self.domains):
            raise ValueError("a cell belongs to no domain")
        return self

    @property
    def families(self) -> tuple[str, ...]:
        """The families of general ability, in the order they were first measured."""
        return tuple(dict.fromkeys(cell.column for cell in self.general))

    def cell(self, stage: int, domain: str) -> Cell | None:
        """Return a domain after a stage; None where it was not measured."""
        found = (cell for cell in self.cells if (cell.stage, cell.column) == (stage, domain))
        return next(found, None)


class Points(Record):
    """A number in points (0 to 100), and its interval where item scores could give one."""

    value: float
    low: float | None = None
    high: float | None = None


class Transfer(Record):
    """What a sequence of domains did to each other and to general ability, in points.

    `overall` is the mean over domains after the last stage. `backward` below zero: later domains
    cost earlier ones. `forward` above zero: earlier domains helped later ones before these were
    trained. `forgetting` is how far below its best each earlier domain ended. `general` is the
    change of general ability against the base, after each stage from the first. None: not defined
    for one domain, or not measured.
    """

    overall: Points | None
    backward: Points | None
    forward: Points | None
    forgetting: Points | None
    general: tuple[Points | None, ...] = ()
