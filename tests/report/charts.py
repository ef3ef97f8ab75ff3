"""Every chart of the sample and of a harder climb, by name, in both widths."""

from __future__ import annotations

from tests.report import sample, training_sample

from freehold.core.measure import Climb, Frontier, RungResult, Verdict
from freehold.core.transfer import Transfer
from freehold.report.bars import causes_by_rung
from freehold.report.curve import curve
from freehold.report.forest import forest
from freehold.report.frontier import frontier
from freehold.report.heatmap import heat_map
from freehold.report.intervals import differences, kept_families, slices
from freehold.report.markup import Markup
from freehold.report.scatter import scatter
from freehold.report.training_curves import training_curves
from freehold.report.training_view import TrainingCurves

WIDTHS = (864, 340)


def hard_climb() -> Climb:
    """Twelve rungs with long names, one price, long reasons and right-to-left text."""
    long = "a_rung_with_a_name_that_is_longer_than_any_column+retrieve_"
    rungs: list[RungResult] = []
    for number in range(10):
        mean = 0.5 + 0.02 * number
        rungs.append(
            sample.rung(
                f"{long}{number}",
                sample.estimate(mean, mean - 0.05, min(mean + 0.05, 1.0), n=120),
                None if number == 0 else sample.difference(0.02, -0.03, 0.07),
                per_1k=0.000046 if number % 2 else 12345.0,
                p95=0.0004 if number % 2 else 4000.0,
                verdict=Verdict.UNDECIDED if number == 9 else Verdict.FAIL,
                causes={"confused": 40, "too_long": 1, "format": 3, "מבולבל": 2},
            ).model_copy(
                update={
                    "slices": {
                        f"product=a name of a slice that goes on and on {i}": sample.estimate(
                            0.5 + i / 100, 0.3, 0.9, n=20 + i
                        )
                        for i in range(40)
                    }
                }
            )
        )
    reason = "there is not enough memory: 27 GiB are needed and 22 are free; " * 6
    rungs.append(
        RungResult(rung="skipped", state="skipped", reason=reason, verdict=Verdict.SKIPPED)
    )
    rungs.append(RungResult(rung="broken", state="failed", reason="x" * 400, verdict=Verdict.ERROR))
    return sample.climb().model_copy(
        update={"rungs": tuple(rungs), "recommended": None, "audit": None}
    )


def charts(climb: Climb, *, prefix: str) -> dict[str, Markup]:
    bar = sample.task().bar
    drawn: dict[str, Markup] = {}
    shown = climb.rungs[-2] if climb.recommended else climb.rungs[0]
    kept = next((r.kept for r in climb.rungs if r.kept and r.kept.families), None)
    for width in WIDTHS:
        size = "wide" if width > 560 else "narrow"
        drawn[f"{prefix}-forest-{size}"] = forest(climb, bar, width=width)
        drawn[f"{prefix}-scatter-{size}"] = scatter(climb, bar, width=width)
        drawn[f"{prefix}-differences-{size}"] = differences(climb, width=width)
        drawn[f"{prefix}-causes-{size}"] = causes_by_rung(climb, width=width)
        if shown.quality is not None:
            drawn[f"{prefix}-slices-{size}"] = slices(
                shown.slices, overall=shown.quality, width=width
            )
        if kept is not None:
            drawn[f"{prefix}-kept-{size}"] = kept_families(kept, rung="lora", width=width)
        drawn[f"{prefix}-curve-{size}"] = curve(sample.curves(), width=width)
    return drawn


def training_charts() -> dict[str, Markup]:
    """The charts of a training as experience.md draws it."""
    drawn: dict[str, Markup] = {}
    for width in WIDTHS:
        size = "wide" if width > 560 else "narrow"
        drawn[f"drawn-frontier-{size}"] = frontier(training_sample.frontier(), width=width)
        drawn[f"drawn-training-{size}"] = training_curves(
            training_sample.curves(), metric="exact_match", kept_bar=0.97, width=width
        )
        drawn[f"drawn-heat-{size}"] = heat_map(
            training_sample.matrix(), training_sample.transfer(), width=width
        )
    return drawn


def hard_training_charts() -> dict[str, Markup]:
    """Twenty scales in one place, a training that has measured nothing, eight domains."""
    nothing = Transfer(overall=None, backward=None, forward=None, forgetting=None)
    crowded = Frontier(
        points=tuple(training_sample.frontier_point(n / 20, 0.9, 0.0) for n in range(1, 13)),
        most_points=1.0,
        most_family_points=3.0,
        chosen=0.5,
        reason="one place",
    )
    drawn: dict[str, Markup] = {}
    for width in WIDTHS:
        size = "wide" if width > 560 else "narrow"
        drawn[f"hard-frontier-{size}"] = frontier(crowded, width=width)
        drawn[f"hard-training-{size}"] = training_curves(
            TrainingCurves(steps=1), metric="exact_match", kept_bar=0.97, width=width
        )
        drawn[f"hard-heat-{size}"] = heat_map(training_sample.hard_matrix(), nothing, width=width)
    return drawn


def all_charts() -> dict[str, Markup]:
    return {
        **charts(sample.climb(), prefix="drawn"),
        **charts(hard_climb(), prefix="hard"),
        **training_charts(),
        **hard_training_charts(),
    }
