"""Why a rung fails: causes, confusions and slices, from results alone (decide.md 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from freehold.core.measure import Estimate, Result
from freehold.core.outcome import Cause, Failed
from freehold.core.snapshot import Example
from freehold.evaluate.estimates import Claim, evidence
from freehold.evaluate.scorers import Scorer, as_text

FEW = 30
"""A slice with fewer scored examples is shown, but not called the weakest."""

OTHER = "other"
"""The cause of a wrong answer where code cannot tell why, for example of free text."""


def causes(results: Sequence[Result]) -> dict[str, int]:
    """Return how often each cause stands behind a score below 1 or a failure, most frequent first."""
    counts: Counter[str] = Counter()
    for result in results:
        outcome = result.outcome
        if isinstance(outcome, Failed):
            counts[outcome.cause.value] += 1
        elif outcome.score < 1.0:
            counts[outcome.cause.value if outcome.cause else OTHER] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def with_unstable(results: Sequence[Result], unstable: Iterable[str]) -> tuple[Result, ...]:
    """Return the results with the cause of those examples changed to `unstable`; scores stay."""
    ids = frozenset(unstable)
    return tuple(
        result.model_copy(
            update={"outcome": result.outcome.model_copy(update={"cause": Cause.UNSTABLE})}
        )
        if result.example_id in ids
        else result
        for result in results
    )


def confusions(
    results: Sequence[Result], examples: Sequence[Example], *, top: int = 5
) -> tuple[tuple[str, str, int], ...]:
    """Return the most frequent pairs (wanted, answered, count) of text answers that were confused."""
    targets = {example.id: example.target for example in examples}
    pairs: Counter[tuple[str, str]] = Counter()
    for result in results:
        if isinstance(result.outcome, Failed) or result.outcome.cause is not Cause.CONFUSED:
            continue
        wanted = targets[result.example_id]
        if result.answer is not None and isinstance(result.answer.value, str):
            pairs[(as_text(wanted), result.answer.value)] += 1
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return tuple((wanted, answered, count) for (wanted, answered), count in ordered[:top])


def column_slices(examples: Sequence[Example], columns: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return the slices `column=value` with the ids of their examples, in order of appearance."""
    members: dict[str, set[str]] = {}
    for column in columns:
        for example in examples:
            if column in example.fields:
                members.setdefault(f"{column}={example.fields[column]}", set()).add(example.id)
    return {name: frozenset(ids) for name, ids in members.items()}


def slices(
    results: Sequence[Result],
    examples: Sequence[Example],
    members: Mapping[str, frozenset[str]],
    *,
    scorer: Scorer,
    confidence: float,
    rng: np.random.Generator,
) -> dict[str, Estimate]:
    """Return the estimate of each slice that has results; `members` gives the ids of a slice."""
    found: dict[str, Estimate] = {}
    claim = Claim(bar=0.0, confidence=confidence)
    for name, ids in members.items():
        inside = [result for result in results if result.example_id in ids]
        if inside:
            found[name] = evidence(inside, examples, scorer=scorer, claim=claim, rng=rng).quality
    return found


def worst_slice(estimates: Mapping[str, Estimate], *, few: int = FEW) -> str | None:
    """Return the slice with the lowest mean among those with at least `few` scored examples."""
    judged = {name: e.mean for name, e in estimates.items() if e.mean is not None and e.n >= few}
    return min(judged, key=lambda name: (judged[name], name)) if judged else None
