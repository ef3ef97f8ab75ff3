"""`freehold report A --against B`: what got better and what broke, on the same examples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from freehold.cli.session import Session
from freehold.cli.workplace import open_models
from freehold.core.errors import UsageError
from freehold.core.measure import Result, Run, RungResult
from freehold.core.outcome import Scored
from freehold.core.snapshot import Example
from freehold.core.task import TextOutput
from freehold.report import findings
from freehold.report.compare import Change, Comparison, Side, SliceChange, comparison
from freehold.report.view import RIGHT

if TYPE_CHECKING:
    from freehold.evaluate.scorers import Scorer
    from freehold.ladder.climb import ClimbOutcome
    from freehold.store.store import Store


def show_difference(
    session: Session, after: ClimbOutcome, before: ClimbOutcome, *, store: Store
) -> int:
    """Print the paired difference of two climbs."""
    compared = compare_climbs(after, before, store=store, session=session)
    console = session.console
    if console.is_json:
        console.data(json.dumps(_shape(compared), ensure_ascii=False, allow_nan=False))
        return 0
    console.data(comparison(compared, **session.console.drawn))
    return 0


def compare_climbs(
    after: ClimbOutcome, before: ClimbOutcome, *, store: Store, session: Session
) -> Comparison:
    """Return the comparison of the rung of `after` that details are shown of, with its twin.

    Raises:
        UsageError: USE-005 when `before` did not measure that rung, USE-006 when the two climbs
            share no test example.
    """
    from freehold.evaluate.estimates import compare
    from freehold.evaluate.scorers import scorer
    from freehold.ladder.judging import open_judge
    from freehold.ladder.recall import run_of

    chosen = findings.subject(after.climb)
    twin = _twin(chosen, before)
    first = run_of(store, chosen) if chosen is not None else None
    second = run_of(store, twin) if twin is not None else None
    if chosen is None or twin is None or first is None or second is None:
        name = chosen.rung if chosen is not None else "rung"
        raise UsageError(
            "USE-005",
            f"{before.climb_id} did not measure {name}, so there is nothing to compare",
            help=f"freehold report {before.climb_id}",
        )
    examples = _shared(after, before)
    if not examples:
        raise UsageError(
            "USE-006",
            f"{after.climb_id} and {before.climb_id} share no test example",
            help="compare two climbs on the same data and data.split.seed",
        )
    renamed = _renamed(second, after, before)
    ids = {example.id for example in examples}
    ours, theirs = _only(first, ids), _only(renamed, ids)
    with open_models(session) as models:  # a judge is not asked: what people said is enough
        judge = open_judge(
            after.task, root=session.project, store=store, models=models, snapshot=after.snapshot
        )
    score = scorer(after.task.metric, after.task.output, root=session.project, judge=judge)
    difference = compare(
        ours,
        theirs,
        examples,
        scorer=score,
        confidence=after.task.bar.confidence,
        rng=np.random.default_rng(after.snapshot.seed),
    )
    fixed, broken = _changes(ours, theirs, examples=examples, after=after)
    quality = chosen.quality, twin.quality
    if quality[0] is None or quality[1] is None:
        raise UsageError("USE-005", "nothing was scored", help=f"freehold report {after.climb_id}")
    return Comparison(
        after=Side(name=f"{after.climb_id}/{chosen.rung}", quality=quality[0]),
        before=Side(name=f"{before.climb_id}/{twin.rung}", quality=quality[1]),
        difference=difference,
        fixed=fixed,
        broken=broken,
        worst_slice=_worst_slice(ours, theirs, after=after, scorer=score),
        following=f"freehold report {after.climb_id} --open",
    )


def _twin(chosen: RungResult | None, before: ClimbOutcome) -> RungResult | None:
    if chosen is None:
        return None
    return next((r for r in findings.measured(before.climb) if r.rung == chosen.rung), None)


def _shared(after: ClimbOutcome, before: ClimbOutcome) -> tuple[Example, ...]:
    """Return the test examples of `after` whose content `before` was tested on too."""
    known = {example.content_digest for example in before.snapshot.test.examples}
    return tuple(e for e in after.snapshot.test.examples if e.content_digest in known)


def _renamed(run: Run, after: ClimbOutcome, before: ClimbOutcome) -> Run:
    """Return the run of `before` under the ids that `after` gives the same examples."""
    new_ids = {e.content_digest: e.id for e in after.snapshot.test.examples}
    names = {e.id: new_ids.get(e.content_digest, "") for e in before.snapshot.test.examples}
    results = tuple(
        result.model_copy(update={"example_id": names[result.example_id]})
        for result in run.results
        if names.get(result.example_id)
    )
    return run.model_copy(update={"results": results})


def _only(run: Run, ids: set[str]) -> Run:
    results = tuple(result for result in run.results if result.example_id in ids)
    return run.model_copy(update={"results": results})


def _worst_slice(
    ours: Run, theirs: Run, *, after: ClimbOutcome, scorer: Scorer
) -> SliceChange | None:
    """Return the slice that lost most, of those large enough to judge; of all where none is; else None.

    For a metric that is no mean of examples there is none: a slice need not hold every label.
    """
    if scorer.aggregate != "mean":
        return None
    first, second = ours.scores, theirs.scores
    found: list[SliceChange] = []
    for name, ids in after.climb.slice_members.items():
        shared = [one for one in ids if one in first and one in second]
        if shared:
            lost = sum(first[one] - second[one] for one in shared) / len(shared)
            found.append(SliceChange(name=name, difference=lost, n=len(shared)))
    large = [one for one in found if one.n >= findings.FEW] or found
    return min(large, key=lambda one: (one.difference, one.name), default=None)


def _changes(
    ours: Run, theirs: Run, *, examples: Sequence[Example], after: ClimbOutcome
) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """Return what was fixed and what was broken, in the order of the split."""
    before = {result.example_id: result for result in theirs.results}
    targets = {example.id: example.target for example in examples}
    fixed: list[Change] = []
    broken: list[Change] = []
    for now in ours.results:
        was = before.get(now.example_id)
        if was is None or _is_right(was) is None or _is_right(now) is None:
            continue
        if _is_right(was) == _is_right(now):
            continue
        change = Change(
            example_id=now.example_id,
            wanted=targets[now.example_id],
            was=was.answer.value if was.answer else None,
            now=now.answer.value if now.answer else None,
            free_text=isinstance(after.task.output, TextOutput),
        )
        (fixed if _is_right(now) else broken).append(change)
    return tuple(fixed), tuple(broken)


def _is_right(result: Result) -> bool | None:
    outcome = result.outcome
    return outcome.score >= RIGHT if isinstance(outcome, Scored) else None


def _shape(compared: Comparison) -> dict[str, JsonValue]:
    difference, worst = compared.difference, compared.worst_slice
    return {
        "after": compared.after.to_json(),
        "before": compared.before.to_json(),
        "difference": {
            "mean": difference.mean,
            "low": difference.low,
            "high": difference.high,
            "n": difference.n,
            "p_value": difference.p_value,
        },
        "fixed": [change.example_id for change in compared.fixed],
        "broken": [change.example_id for change in compared.broken],
        "worst_slice": None if worst is None else worst.to_json(),
    }
