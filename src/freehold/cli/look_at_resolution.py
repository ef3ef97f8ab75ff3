"""What the test rows can tell apart, before anything is measured, and whether racing can save any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freehold.cli.seen import Seen

if TYPE_CHECKING:
    from freehold.cli.session import Session
    from freehold.core.errors import Problem
    from freehold.ladder.prepare import Prepared

DISCORDANCE = 0.2
"""Assumed before anything is measured: two rungs of a ladder often differ on about a fifth of the rows."""


def resolution(prepared: Prepared, session: Session) -> Seen:
    """How far a rung must be from the bar, and two rungs from each other, for the test rows to show it."""
    from freehold.evaluate.statistics import (
        minimal_detectable_difference,
        minimal_detectable_paired_difference,
    )

    del session
    bar, rows = prepared.task.bar, len(prepared.snapshot.test)
    gap = minimal_detectable_difference(rows, bar.quality, confidence=bar.confidence)
    apart = minimal_detectable_paired_difference(rows, DISCORDANCE, confidence=bar.confidence)
    said = (
        f"{rows:,} test rows tell a rung from the bar from {gap * 100:.1f} points on, and two rungs that"
        f" differ on {DISCORDANCE:.0%} of them from {apart * 100:.1f}".replace("%", " %")
    )
    return Seen(
        problems=_cannot_race(prepared),
        figures={"bar_points": gap * 100, "pair_points": apart * 100, "discordance": DISCORDANCE},
        lines=(said,),
    )


def _cannot_race(prepared: Prepared) -> tuple[Problem, ...]:
    from freehold.data.findings import warning

    task = prepared.task
    if task.ladder.stop == "full" or task.metric.primary != "macro_f1":
        return ()
    return (
        warning(
            "BAR-003",
            f"`ladder.stop: {task.ladder.stop}` cannot stop a rung early: macro_f1 is no mean of rows",
            help="metric: label_accuracy    can be judged after every batch",
        ),
    )
