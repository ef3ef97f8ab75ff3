# pyright: basic
"""What is measured: cells, what each waits for, and their results as JSON lines. Pure, but for two files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Found = dict[str, Any]

SINGLE_DOMAINS = ("snips", "banking77", "clinc150")
ORDERS = {
    "A": ("snips", "banking77", "pubmedqa", "clinc150"),
    "B": ("clinc150", "pubmedqa", "banking77", "snips"),
}
LADDERS = {"naive": (0.5, 1.0, 2.0), "osf": (0.5, 2.0)}
"""Factors of the default learning rate that are tried. All LoRA arms take the best one of naive."""
LADDER_OF = {
    "naive": "naive",
    "trl": "naive",
    "ours": "naive",
    "self": "naive",
    "whole": "naive",
    "osf": "osf",
}
SINGLE_ARMS = ("naive", "ours", "trl", "osf", "self")
WITH_GRID = ("naive", "ours", "self")
"""Arms whose update is also measured at the size that the rule chooses; of naive that of the first seed."""
PROBES = 100
"""Probes of each family that the tables are made from; some lines hold more."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything: rows, probes of each family, seeds."""

    rows: int | None = None
    epochs: float | None = None
    dev: int = 200
    test: int = 600
    sequence_test: int = 400
    probes: int = 100
    dev_probes: int = 400
    pool: int = 1400
    seeds: int = 3


SMOKE = Sizes(
    rows=40, epochs=2.0, dev=8, test=8, sequence_test=6, probes=2, dev_probes=2, pool=24, seeds=1
)


@dataclass(frozen=True)
class Cell:
    """One thing to measure. `place` is a domain, or the letter of an order; `needs` are other cells."""

    kind: str
    base: str
    place: str = ""
    arm: str = ""
    factor: float = 0.0
    seed: int = 0
    stage: int = 0
    needs: tuple[str, ...] = ()
    priority: int = 0

    @property
    def id(self) -> str:
        """The name of the cell: what it is, without what it waits for."""
        parts = [self.kind, self.base, self.place, self.arm]
        if self.kind == "ladder":
            parts.append(f"x{self.factor:g}")
        if self.kind in {"single", "stage", "time"}:
            parts.append(f"seed{self.seed}")
        if self.kind == "stage":
            parts.append(f"stage{self.stage}")
        return "/".join(part for part in parts if part)

    def to_json(self) -> Found:
        """Return the cell as the head of its line."""
        head = asdict(self)
        head.pop("needs")
        head.pop("priority")
        return {"id": self.id, **head}


def plan(
    bases: Sequence[str], *, sequence_bases: Sequence[str], arms: Sequence[str], seeds: int
) -> list[Cell]:
    """Return all cells, the most wanted first."""
    cells: list[Cell] = []
    for order, base in enumerate(bases):
        late = 10 * order
        cells.append(Cell("start", base, priority=late))
        domains = list(SINGLE_DOMAINS) + (["pubmedqa"] if base in sequence_bases else [])
        for domain in domains:
            for ladder in sorted({LADDER_OF[arm] for arm in arms}):
                if ladder == "osf" and domain == "pubmedqa":
                    continue
                cells.extend(
                    Cell(
                        "ladder",
                        base,
                        domain,
                        ladder,
                        factor=factor,
                        needs=(f"start/{base}",),
                        priority=late + (1 if ladder == "naive" else 4),
                    )
                    for factor in LADDERS[ladder]
                )
        if base in sequence_bases:
            sequenced = [arm for arm in arms if arm in {"naive", "ours"}]
            sequenced += ["whole"] if "ours" in arms else []
            cells.extend(_sequences(base, arms=sequenced, seeds=seeds, late=late))
        for seed in range(seeds):
            for domain in SINGLE_DOMAINS:
                cells.extend(
                    Cell(
                        "single",
                        base,
                        domain,
                        arm,
                        seed=seed,
                        needs=(f"start/{base}", *ladder_ids(base, domain, arm)),
                        priority=late + 3 + seed,
                    )
                    for arm in arms
                )
    return sorted(cells, key=lambda cell: cell.priority)


def _sequences(base: str, *, arms: Sequence[str], seeds: int, late: int) -> list[Cell]:
    cells: list[Cell] = []
    for seed in range(seeds):
        for letter, domains in ORDERS.items():
            for arm in arms:
                before: tuple[str, ...] = (f"start/{base}",)
                for stage, domain in enumerate(domains, start=1):
                    cell = Cell(
                        "stage",
                        base,
                        letter,
                        arm,
                        seed=seed,
                        stage=stage,
                        needs=(*before, *ladder_ids(base, domain, arm)),
                        priority=late + 2,
                    )
                    cells.append(cell)
                    before = (cell.id,)
    return cells


def ladder_ids(base: str, domain: str, arm: str) -> tuple[str, ...]:
    """Return the cells that decide the learning rate of an arm."""
    ladder = LADDER_OF[arm]
    return tuple(
        Cell("ladder", base, domain, ladder, factor=factor).id for factor in LADDERS[ladder]
    )


def best_factor(found: Mapping[str, Found], *, base: str, domain: str, arm: str) -> float:
    """Return the factor with the best dev quality, ties to the smaller."""
    lines = [found[name] for name in ladder_ids(base, domain, arm)]
    return min(lines, key=lambda line: (-line["dev_quality"], line["factor"]))["factor"]


def pack(scores: Iterable[float]) -> Found:
    """Return scores of items as JSON that is short: bits as hexadecimal where all are 0 or 1."""
    values = [float(score) for score in scores]
    if all(value in (0.0, 1.0) for value in values):
        bits = "".join("1" if value else "0" for value in values)
        return {"n": len(values), "bits": f"{int('1' + bits, 2):x}"}
    return {"n": len(values), "scores": [round(value, 4) for value in values]}


def unpack(packed: Found) -> list[float]:
    """Return the scores that `pack` was given."""
    if "scores" in packed:
        return [float(score) for score in packed["scores"]]
    return [float(bit) for bit in f"{int(packed['bits'], 16):b}"[1:]]


def first_of_each(scores: Sequence[float], families: int, count: int) -> list[float]:
    """Return the scores of the first `count` probes of each family; a family's probes stand together.

    Probes of a seed begin alike however many are drawn, so lines with more of them hold those of lines with fewer.
    """
    each = len(scores) // families
    return [s for place, s in enumerate(scores) if place % each < count]


def read_lines(files: Iterable[Path]) -> dict[str, Found]:
    """Return finished cells by id; of two lines with one id the later counts, a torn line is skipped."""
    found: dict[str, Found] = {}
    for file in files:
        if not file.exists():
            continue
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                cell = json.loads(line)
            except json.JSONDecodeError:
                continue
            found[cell["id"]] = cell
    return found
