"""From a finished climb to what its report shows: runs, exact prompts, learning curves."""

from __future__ import annotations

from pathlib import Path

from freehold.core.candidate import Candidate
from freehold.core.errors import ConfigError
from freehold.core.measure import Run, RungResult
from freehold.evaluate.diagnose import with_unstable
from freehold.evaluate.scorers import Scorer, scorer
from freehold.ladder.asked import asked_of, loaded_rungs
from freehold.ladder.climb import ClimbOutcome
from freehold.ladder.judging import open_judge
from freehold.ladder.tools import Models
from freehold.ladder.tuning import RESULT
from freehold.ladder.what_if import what_if_table
from freehold.report.curve import Curves, Series
from freehold.report.view import ReportView, RungPrompt, build_view
from freehold.report.what_if_view import WhatIfTable
from freehold.store.store import Store
from freehold.train.records import Point, TrainingResult


def report_view(
    outcome: ClimbOutcome,
    *,
    store: Store,
    models: Models,
    root: Path = Path(),
    settings: tuple[str, ...] = (),
) -> ReportView:
    """Return everything that the report of a finished climb shows.

    Args:
        outcome: the climb, or what it would have been under other settings.
        store: of the climb.
        models: opens the models, whose chat templates make the prompts.
        root: the project folder, where a metric of the user's own is looked for.
        settings: the flags (`-s bar.quality=0.9`) that differ from the climb's own.
    """
    runs = runs_of_climb(outcome, store)
    return build_view(
        outcome.climb,
        outcome.task,
        climb_id=outcome.climb_id,
        snapshot=outcome.snapshot,
        runs={name: _told(run, outcome.climb.rung(name)) for name, run in runs.items()},
        prompts=exact_prompts(outcome, store=store, models=models),
        curves=_curves(outcome, store),
    ).model_copy(
        update={
            "settings": settings,
            "what_if": None
            if settings
            else _table(outcome, runs, scorer_of(outcome, store=store, models=models, root=root)),
        }
    )


def runs_of_climb(outcome: ClimbOutcome, store: Store) -> dict[str, Run]:
    """Return the test run of every measured rung of a climb, by rung name."""
    return {
        result.rung: store.get(result.run_digest, Run)
        for result in outcome.climb.rungs
        if result.run_digest
    }


def _told(run: Run, result: RungResult) -> Run:
    """Return a run for the page, in which the answers that changed in other words are unstable."""
    unstable = result.stability.unstable if result.stability else ()
    return run.model_copy(update={"results": with_unstable(run.results, unstable)})


def scorer_of(outcome: ClimbOutcome, *, store: Store, models: Models, root: Path) -> Scorer | None:
    """Return the scorer of a climb's task; None where the user's own metric is no longer there.

    A judge asks no model before it has to score something new.
    """
    task = outcome.task
    judge = open_judge(task, root=root, store=store, models=models, snapshot=outcome.snapshot)
    try:
        return scorer(task.metric, task.output, root=root, judge=judge)
    except ConfigError:
        return None


def _table(outcome: ClimbOutcome, runs: dict[str, Run], score: Scorer | None) -> WhatIfTable | None:
    """Return what the sliders need; None where nothing can be judged again."""
    return None if score is None else what_if_table(outcome, runs=runs, scorer=score)


def exact_prompts(
    outcome: ClimbOutcome, *, store: Store, models: Models, example_id: str | None = None
) -> tuple[RungPrompt, ...]:
    """Return the byte-exact prompt of every rung that asks a model, on one test example.

    Args:
        outcome: the climb.
        store: of the climb.
        models: opens the models, whose chat templates make the text.
        example_id: the example; the first of the test split when left out.

    Raises:
        KeyError: no test example has this id.
    """
    by_id = {example.id: example for example in outcome.snapshot.test.examples}
    example = by_id[example_id] if example_id else outcome.snapshot.test.examples[0]
    prompts: list[RungPrompt] = []
    for loaded in loaded_rungs(outcome, store=store, models=models):
        asked = asked_of(loaded.answerer, example) if loaded.answerer is not None else None
        if asked is not None:
            prompts.append(
                RungPrompt(
                    rung=loaded.result.rung,
                    example_id=example.id,
                    text=asked.prompt,
                    note=loaded.result.variant or "",
                )
            )
    return tuple(prompts)


def _curves(outcome: ClimbOutcome, store: Store) -> tuple[Curves, ...]:
    """Return the dev metric and the training loss of every rung that was trained.

    A rung that stands on another's training (`lora+retrieve`) brings that one's record, shown once.
    """
    found: list[Curves] = []
    for result in outcome.climb.rungs:
        if result.candidate_digest is None:
            continue
        artefacts = store.get(result.candidate_digest, Candidate).artefacts
        if artefacts.get(RESULT) not in store.blobs or "+" in result.rung:
            continue
        training = TrainingResult.from_json(store.blobs.get(artefacts[RESULT]))
        for name, points in (("dev metric", training.dev_curve), ("loss", training.loss_curve)):
            if points:
                found.append(_curve(result.rung, name, points, best=training.best_step))
    return tuple(found)


def _curve(rung: str, name: str, points: tuple[Point, ...], *, best: int) -> Curves:
    series = Series(name=name, points=tuple((float(p.step), p.value) for p in points))
    return Curves(
        title=f"{rung}: {name}",
        x_label="step",
        y_label=name,
        series=(series,),
        best_x=float(best),
    )
