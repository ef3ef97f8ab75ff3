"""Exactly what a report page needs, as one frozen value; and how it is made from records.

The page shows examples where rungs differ, not all of them: `build_view` chooses them, at most
`MOST_EXAMPLES`, and counts those that it left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from pydantic import JsonValue

from freehold.core.measure import Citation, Climb, Result, Run
from freehold.core.outcome import Scored
from freehold.core.record import Record, digest_json
from freehold.core.snapshot import Example, Snapshot, Source
from freehold.core.task import Task
from freehold.report import findings
from freehold.report.curve import Curves

MOST_EXAMPLES = 200
RIGHT = 0.5
"""A score from here on counts as a right answer when examples are sorted into kinds."""

Kind: TypeAlias = Literal["broken", "fixed", "failed", "disagree"]
KINDS: tuple[Kind, ...] = ("broken", "fixed", "failed", "disagree")


class SplitSummary(Record):
    """One split: its name, its size, and the digest of its examples."""

    name: str
    size: int
    split_digest: str


class SnapshotSummary(Record):
    """A snapshot without its examples."""

    snapshot_digest: str
    sources: tuple[Source, ...]
    splits: tuple[SplitSummary, ...]
    drops_by_reason: dict[str, int]
    duplicates: int
    near_duplicates: int
    leaked: int
    seed: int


class RungAnswer(Record):
    """What one rung said to one example. `score` is None where no score exists."""

    rung: str
    value: JsonValue = None
    raw: str = ""
    score: float | None = None
    cause: str = ""
    citations: tuple[Citation, ...] = ()


class ExampleRow(Record):
    """One example with the answers of all rungs, and why it is shown.

    `broken` and `fixed` compare the recommended rung with the nearest lower one measured; `failed`
    has an answer without a score; on `disagree` the rungs differ in being right.
    """

    example_id: str
    kind: Kind
    input: str
    wanted: JsonValue
    context: str | None = None
    answers: tuple[RungAnswer, ...]


class RungPrompt(Record):
    """The byte-exact prompt of one rung on one example, after the model's own chat template."""

    rung: str
    example_id: str
    text: str
    note: str = ""


class ReportView(Record):
    """Everything that a report of one climb shows."""

    climb_id: str
    climb: Climb
    task: Task
    snapshot: SnapshotSummary
    prompts: tuple[RungPrompt, ...] = ()
    examples: tuple[ExampleRow, ...] = ()
    examples_left_out: int = 0
    compared_with: str | None = None
    curves: tuple[Curves, ...] = ()


def build_view(
    climb: Climb,
    task: Task,
    *,
    climb_id: str,
    snapshot: Snapshot,
    runs: Mapping[str, Run],
    prompts: Sequence[RungPrompt] = (),
    curves: Sequence[Curves] = (),
) -> ReportView:
    """Return what the page needs.

    Args:
        climb: what was measured.
        task: the task it was measured for.
        climb_id: the handle, such as `c12`.
        snapshot: the frozen data; only examples that are shown are kept of it.
        runs: the test run of every measured rung, by rung name.
        prompts: the exact prompt of each rung on one example.
        curves: learning curves of trained rungs.
    """
    before = compared_rung(climb)
    shown = _differing(climb, snapshot.test.examples, runs=runs, before=before)
    shown.sort(key=lambda one: KINDS.index(one[1]))
    return ReportView(
        climb_id=climb_id,
        climb=climb,
        task=task,
        snapshot=summarise(snapshot),
        prompts=tuple(prompts),
        examples=tuple(_row(*one) for one in shown[:MOST_EXAMPLES]),
        examples_left_out=max(len(shown) - MOST_EXAMPLES, 0),
        compared_with=before,
        curves=tuple(curves),
    )


def summarise(snapshot: Snapshot) -> SnapshotSummary:
    """Return a snapshot without its examples: sizes, digests, drops."""
    parts = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    return SnapshotSummary(
        snapshot_digest=snapshot.digest,
        sources=snapshot.sources,
        splits=tuple(
            SplitSummary(name=part.split, size=len(part), split_digest=_digest(part.examples))
            for part in parts
        ),
        drops_by_reason=snapshot.drops_by_reason,
        duplicates=snapshot.duplicates,
        near_duplicates=snapshot.near_duplicates,
        leaked=snapshot.leaked,
        seed=snapshot.seed,
    )


def compared_rung(climb: Climb) -> str | None:
    """Return the nearest measured rung below the one that details are shown of, or None."""
    shown = findings.subject(climb)
    names = [result.rung for result in findings.measured(climb)]
    if shown is None or shown.rung not in names:
        return None
    index = names.index(shown.rung)
    return names[index - 1] if index else None


def _digest(examples: Sequence[Example]) -> str:
    return digest_json("examples", [example.content_digest for example in examples])


def _differing(
    climb: Climb,
    examples: Sequence[Example],
    *,
    runs: Mapping[str, Run],
    before: str | None,
) -> list[tuple[Example, Kind, dict[str, Result]]]:
    """Return the examples worth showing with their kind and the results of all rungs."""
    subject = findings.subject(climb)
    after = subject.rung if subject else None
    by_rung = {r.rung: _by_example(runs[r.rung]) for r in climb.rungs if r.rung in runs}
    found: list[tuple[Example, Kind, dict[str, Result]]] = []
    for example in examples:
        results = {
            rung: by_id[example.id] for rung, by_id in by_rung.items() if example.id in by_id
        }
        kind = _kind(results, before, after)
        if kind is not None:
            found.append((example, kind, results))
    return found


def _by_example(run: Run) -> dict[str, Result]:
    return {result.example_id: result for result in run.results}


def _row(example: Example, kind: Kind, results: Mapping[str, Result]) -> ExampleRow:
    return ExampleRow(
        example_id=example.id,
        kind=kind,
        input=example.input,
        wanted=example.target,
        context=example.context,
        answers=tuple(_answer(rung, result) for rung, result in results.items()),
    )


def _answer(rung: str, result: Result) -> RungAnswer:
    outcome, answer = result.outcome, result.answer
    return RungAnswer(
        rung=rung,
        value=answer.value if answer else None,
        raw=answer.raw if answer else "",
        score=_score(result),
        cause=outcome.cause.value if outcome.cause else "",
        citations=answer.citations if answer else (),
    )


def _kind(results: Mapping[str, Result], before: str | None, after: str | None) -> Kind | None:
    scores = {rung: _score(result) for rung, result in results.items()}
    was = scores.get(before) if before is not None else None
    now = scores.get(after) if after is not None else None
    if was is not None and now is not None and (was >= RIGHT) != (now >= RIGHT):
        return "broken" if was >= RIGHT else "fixed"
    if None in scores.values():
        return "failed"
    if len({score >= RIGHT for score in scores.values() if score is not None}) > 1:
        return "disagree"
    return None


def _score(result: Result) -> float | None:
    return result.outcome.score if isinstance(result.outcome, Scored) else None
