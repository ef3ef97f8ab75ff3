"""The training that experience.md draws (t7), and a sequence of three domains, built from records."""

from __future__ import annotations

import math

from tests.report import sample

from freehold.core.measure import Difference, Estimate, Frontier, FrontierPoint
from freehold.core.sections import RetentionSpec
from freehold.core.transfer import Cell, Points, Transfer, TransferMatrix
from freehold.report.training_view import (
    At,
    Compute,
    EstimateAt,
    Forgotten,
    TrainingCurves,
    TrainingView,
)


def points_lost(mean: float, half: float) -> Difference:
    return Difference(
        mean=mean, low=mean - half, high=mean + half, n=400, p_value=0.1, test="mcnemar"
    )


def frontier_point(scale: float, quality: float, lost: float) -> FrontierPoint:
    return FrontierPoint(
        scale=scale,
        quality=sample.estimate(quality, quality - 0.06, min(quality + 0.05, 1.0), n=120),
        points_lost=points_lost(lost, 0.8),
        worst_family="add",
        worst_points=points_lost(2.5 * lost, 1.6),
        is_feasible=lost + 0.8 <= 1.0,
    )


def frontier() -> Frontier:
    grid = (
        (0.0, 0.60, 0.0),
        (0.2, 0.68, -0.1),
        (0.35, 0.75, 0.0),
        (0.5, 0.81, 0.1),
        (0.6, 0.84, 0.15),
        (0.7, 0.867, 0.2),
        (0.8, 0.870, 0.7),
        (0.9, 0.872, 1.4),
        (1.0, 0.875, 2.6),
        (1.1, 0.860, 4.1),
    )
    return Frontier(
        points=tuple(frontier_point(*row) for row in grid),
        most_points=1.0,
        most_family_points=3.0,
        chosen=0.7,
        reason="the largest gain whose upper bound of general loss is within 1 point",
    )


def curves() -> TrainingCurves:
    checks = range(0, 500, 50)
    return TrainingCurves(
        steps=909,
        loss=tuple(At(step=s, value=0.4 + 2.2 * math.exp(-s / 90)) for s in range(4, 437, 4)),
        dev=tuple(At(step=s, value=0.867 - 0.5 * math.exp(-s / 80)) for s in checks if s <= 436),
        kept=tuple(
            EstimateAt(
                step=s,
                estimate=sample.estimate(1 - s / 30_000, 0.99 - s / 20_000, 1.005, n=200),
            )
            for s in checks
            if s <= 436
        ),
        divergence=tuple(At(step=s, value=0.4 * (1 - math.exp(-s / 100))) for s in checks),
        general_divergence=tuple(At(step=s, value=s / 20_000) for s in range(0, 436, 20)),
        weight=tuple(At(step=s, value=1.5 if s > 200 else 1.0) for s in range(0, 436, 20)),
        best_step=300,
    )


def cell(stage: int, column: str, mean: float) -> Cell:
    return Cell(
        stage=stage,
        column=column,
        quality=sample.estimate(mean, mean - 0.05, min(mean + 0.04, 1.0), n=150),
    )


def matrix() -> TransferMatrix:
    domains = ("snips", "banking77", "pubmedqa")
    table = (
        (0.31, 0.12, 0.48),
        (0.91, 0.14, None),
        (0.90, 0.72, 0.49),
        (0.88, 0.715, 0.61),
    )
    return TransferMatrix(
        stages=("base", "t7", "t8", "t9"),
        domains=domains,
        cells=tuple(
            cell(stage, domain, mean)
            for stage, row in enumerate(table)
            for domain, mean in zip(domains, row, strict=True)
            if mean is not None
        ),
    )


def transfer() -> Transfer:
    return Transfer(
        overall=Points(value=73.5, low=69.0, high=77.4),
        backward=Points(value=-1.8, low=-3.4, high=-0.2),
        forward=Points(value=1.5, low=-1.0, high=4.1),
        forgetting=Points(value=1.8, low=0.3, high=3.4),
        general=(
            Points(value=-0.4, low=-1.0, high=0.2),
            Points(value=-0.9, low=-1.7, high=-0.1),
            Points(value=-1.1),
        ),
    )


def forgotten() -> tuple[Forgotten, ...]:
    return (
        Forgotten(family="add", prompt="What is 17 + 25?", before="42", after="billing"),
        Forgotten(
            family="sort",
            prompt="Sort these words: pear, apple, fig",
            before="apple, fig, pear",
            after="apple, pear, fig",
        ),
    )


def view() -> TrainingView:
    task = sample.task()
    return TrainingView(
        training_id="t7",
        task=task.name,
        rung="lora",
        base="freehold/acorn",
        metric="exact_match",
        bar=task.bar,
        retention=RetentionSpec(),
        state="finished",
        step=436,
        stopped="the dev metric stopped rising",
        curves=curves(),
        quality=sample.estimate(0.867, 0.795, 0.916, n=120),
        quality_before=sample.estimate(0.600, 0.510, 0.683, n=120),
        kept=sample.kept(0.986, 0.978, 0.994),
        frontier=frontier(),
        forgotten=forgotten(),
        forgotten_count=9,
        recipe=(("rank", "16"), ("learning rate", "1.1e-4"), ("replay", "20 % of tokens")),
        compute=Compute(
            parameters=5_000_000,
            tokens=1_200_000,
            operations=2.4e13,
            base_operations=6.0 * 5e6 * 33e6,
        ),
        seconds=582.0,
        evaluation_seconds=61.0,
        peak_memory_bytes=1_400_000_000,
        versions={"freehold": "0.1.0", "torch": "2.13.0"},
        folder=".freehold/adapters/t7",
        commands=("freehold climb", "freehold report t7"),
    )


def running() -> TrainingView:
    return view().model_copy(
        update={
            "state": "running",
            "stopped": None,
            "quality": None,
            "kept": None,
            "frontier": None,
            "compute": None,
        }
    )


def third() -> TrainingView:
    return view().model_copy(
        update={
            "training_id": "t9",
            "after": "t8",
            "task": "pubmedqa",
            "matrix": matrix(),
            "transfer": transfer(),
        }
    )


def hard_matrix() -> TransferMatrix:
    """Eight domains with long and right-to-left names, most of them never measured."""
    domains = tuple(
        f"a domain whose name goes on and on {n} {'שלום' if n % 2 else ''}" for n in range(8)
    )
    return TransferMatrix(
        stages=("base", *(f"t{100 + n}" for n in range(8))),
        domains=domains,
        cells=tuple(
            Cell(stage=n + 1, column=domain, quality=Estimate(mean=None, low=0.0, high=1.0, n=0))
            if n == 3
            else cell(n + 1, domain, 0.06 + 0.1 * n)
            for n, domain in enumerate(domains)
        ),
    )
