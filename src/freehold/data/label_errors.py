"""Find labels that are probably wrong: inconsistent repeats first, then confident learning.

Confident learning (Northcutt, Jiang and Chuang 2021, *Confident Learning: Estimating Uncertainty in
Dataset Labels*, JAIR 70) compares the given labels with probabilities of a model that did not see the
row. A label that the model is sure of, by the model's own average sureness for that label, counts; the
counts give the joint distribution of given and true labels, and with it how many labels are wrong.

    N rows, K labels. probabilities_NK: out of fold, float in [0, 1]. given_N: label numbers, 0 to K - 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.core.record import Record
from freehold.core.snapshot import Example
from freehold.data.duplicates import question_key
from freehold.data.findings import answer_of

Probabilities: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = NDArray[np.intp]
Rank: TypeAlias = Literal["normalised_margin", "self_confidence"]


@dataclass(frozen=True)
class Candidate:
    """A row whose label is in doubt, as positions: its label, and the one that is likelier.

    `self_confidence` is the probability of the given label. `margin` is that less the largest
    probability of another, in [-1, 1].
    """

    row: int
    given: int
    likelier: int
    self_confidence: float
    margin: float


class Doubt(Record):
    """One label in doubt. `other` is the id of a row that asks the same with another label."""

    id: str
    source: str
    row: int
    given: str
    likelier: str
    reason: Literal["same text, other label", "unlike its label"]
    self_confidence: float | None = None
    other: str | None = None


class Doubts(Record):
    """What a look at the labels found, the most doubtful first.

    `looked_at` rows were scored of `rows`. `estimated_share` is the estimate of how many labels are
    wrong, over all labels and not only the listed ones; None where nothing could be estimated.
    """

    rows: int
    looked_at: int
    estimated_share: float | None
    doubts: tuple[Doubt, ...]


def thresholds(probabilities_NK: Probabilities, given_N: Numbers) -> Probabilities:
    """Return for each label the mean probability of it among the rows that carry it; 1 without rows."""
    labels = probabilities_NK.shape[1]
    counts = np.bincount(given_N, minlength=labels)
    own = probabilities_NK[np.arange(len(given_N)), given_N]
    sums = np.bincount(given_N, weights=own, minlength=labels)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def confident_labels(probabilities_NK: Probabilities, given_N: Numbers) -> Numbers:
    """Return for each row the likeliest label of those that reach their threshold; -1 where none does."""
    limits = thresholds(probabilities_NK, given_N) - 1e-6
    sure = probabilities_NK >= limits
    best = np.where(sure, probabilities_NK, -1.0).argmax(axis=1)
    return np.where(sure.any(axis=1), best, -1).astype(np.intp)


def confident_joint(probabilities_NK: Probabilities, given_N: Numbers) -> NDArray[np.int64]:
    """Return C[given, likely]: how many rows of each given label the model is sure to be of which."""
    labels = probabilities_NK.shape[1]
    likely = confident_labels(probabilities_NK, given_N)
    counts = np.zeros((labels, labels), np.int64)
    known = likely >= 0
    np.add.at(counts, (given_N[known], likely[known]), 1)
    return counts


def estimate_joint(probabilities_NK: Probabilities, given_N: Numbers) -> Probabilities:
    """Return Q[given, true], the estimated joint distribution; it sums to 1.

    The rows of the confident joint are scaled to the counts of the given labels. A label that the
    model is sure of nowhere is taken to be right.
    """
    counts = confident_joint(probabilities_NK, given_N).astype(np.float64)
    given = np.bincount(given_N, minlength=len(counts)).astype(np.float64)
    unknown = counts.sum(axis=1) == 0
    counts[unknown, unknown] = 1.0
    scaled = counts / counts.sum(axis=1, keepdims=True) * given[:, None]
    return scaled / max(scaled.sum(), 1.0)


def estimated_share(joint_KK: Probabilities) -> float:
    """Return the share of wrong labels that a joint distribution holds."""
    return float(max(0.0, joint_KK.sum() - np.trace(joint_KK)))


def candidates(
    probabilities_NK: Probabilities, given_N: Numbers, *, rank: Rank = "normalised_margin"
) -> tuple[Candidate, ...]:
    """Return the rows whose label is in doubt, the most doubtful first.

    A row is in doubt if it is among the rows of its label with the least probability of it, as many as the
    joint distribution says are wrong ("prune by class"), and among the rows with the largest margin for
    another label, as many of each pair of labels ("prune by noise rate"). Either alone is less precise.
    Nothing that the model itself would label as given is in doubt.
    `normalised_margin` ranks by p(given) - p(best other), `self_confidence` by p(given).

    Raises:
        ValueError: the shapes do not agree, or a label number is outside them.
    """
    _check(probabilities_NK, given_N)
    labels = probabilities_NK.shape[1]
    if labels < 2 or not len(given_N):
        return ()
    joint = estimate_joint(probabilities_NK, given_N)
    wanted = _whole(joint * len(given_N))
    np.fill_diagonal(wanted, 0)
    own = probabilities_NK[np.arange(len(given_N)), given_N]
    marked = _least_likely(own, given_N, wanted=wanted.sum(axis=1))
    marked &= _pruned(probabilities_NK, given_N, wanted=wanted)
    marked &= probabilities_NK.argmax(axis=1) != given_N
    others = probabilities_NK.copy()
    others[np.arange(len(given_N)), given_N] = -1.0
    likelier = others.argmax(axis=1)
    margin = own - others.max(axis=1)
    score = margin if rank == "normalised_margin" else own
    rows = np.flatnonzero(marked)
    order = rows[np.lexsort((rows, own[rows], score[rows]))]
    return tuple(
        Candidate(int(r), int(given_N[r]), int(likelier[r]), float(own[r]), float(margin[r]))
        for r in order
    )


def _check(probabilities_NK: Probabilities, given_N: Numbers) -> None:
    if probabilities_NK.ndim != 2 or len(probabilities_NK) != len(given_N):
        shape = probabilities_NK.shape
        raise ValueError(f"probabilities {shape} do not fit {len(given_N)} labels")
    if len(given_N) and not 0 <= given_N.min() <= given_N.max() < probabilities_NK.shape[1]:
        raise ValueError(f"a label number is outside 0 to {probabilities_NK.shape[1] - 1}")


def _whole(counts_KK: Probabilities) -> NDArray[np.int64]:
    """Round to whole rows so that each sum over the other labels stays: the largest remainders go up.

    Rounding each by itself would lose all pairs of less than half a row, which together are many.
    """
    whole = np.floor(counts_KK + 1e-9).astype(np.int64)
    missing = np.rint(counts_KK.sum(axis=1) - whole.sum(axis=1)).astype(np.int64)
    for label in np.flatnonzero(missing > 0):
        remainders = counts_KK[label] - whole[label]
        whole[label, np.argsort(-remainders, kind="stable")[: missing[label]]] += 1
    return whole


def _least_likely(
    own_N: Probabilities, given_N: Numbers, *, wanted: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Mark for each label the `wanted` rows that carry it with the least probability of it."""
    marked = np.zeros(len(given_N), np.bool_)
    for label in np.flatnonzero(wanted):
        rows = np.flatnonzero(given_N == label)
        marked[rows[np.argsort(own_N[rows], kind="stable")[: int(wanted[label])]]] = True
    return marked


def _pruned(
    probabilities_NK: Probabilities, given_N: Numbers, *, wanted: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Mark for each pair (given, other) the `wanted` rows whose margin for the other is largest."""
    marked = np.zeros(len(given_N), np.bool_)
    for given in np.flatnonzero(wanted.sum(axis=1)):
        rows = np.flatnonzero(given_N == given)
        for other in np.flatnonzero(wanted[given]):
            margins = probabilities_NK[rows, other] - probabilities_NK[rows, given]
            count = min(int(wanted[given, other]), len(rows))
            marked[rows[np.argsort(-margins, kind="stable")[:count]]] = True
    return marked


# Repeats -------------------------------------------------------------------------------------


def inconsistent_repeats(examples: Sequence[Example]) -> tuple[tuple[int, int], ...]:
    """Return (row, other row) for every row that asks what another asks, with another label.

    Of a group of repeats the most frequent label stands; the rows with another one are in doubt,
    against the first row that has it. Where two labels are equally frequent, all rows are in doubt.
    The groups come in the order of their first rows.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for row, example in enumerate(examples):
        groups.setdefault(question_key(example), []).append(row)
    found: list[tuple[int, int]] = []
    for rows in groups.values():
        labels = [answer_of(examples[row]) for row in rows]
        counts = Counter(labels).most_common()
        if len(counts) < 2:
            continue
        stands = counts[0][0] if counts[0][1] > counts[1][1] else None
        for row, label in zip(rows, labels, strict=True):
            if label != stands:
                other = next(r for r, name in zip(rows, labels, strict=True) if name != label)
                agreed = next((r for r, n in zip(rows, labels, strict=True) if n == stands), other)
                found.append((row, agreed))
    return tuple(found)


def doubts(
    examples: Sequence[Example],
    labels: Sequence[str],
    probabilities_NK: Probabilities,
    *,
    scored: Sequence[int] | None = None,
) -> Doubts:
    """Return every label in doubt: rows that contradict a repeat of theirs, then the others ranked.

    Args:
        examples: all rows.
        labels: the label of each column of the probabilities; every example's label is among them.
        probabilities_NK: of the rows in `scored`, by a model that did not see them.
        scored: positions of the rows that were scored; all of them where it is left out.
    """
    positions = list(range(len(examples)) if scored is None else scored)
    numbers = {label: number for number, label in enumerate(labels)}
    given = np.array([numbers[answer_of(examples[p])] for p in positions], dtype=np.intp)
    place = {position: row for row, position in enumerate(positions)}
    found: list[Doubt] = []
    seen: set[int] = set()
    for row, other in inconsistent_repeats(examples):
        at = place.get(row)
        sure = None if at is None else float(probabilities_NK[at, given[at]])
        found.append(_contradiction(examples[row], examples[other], sure))
        seen.add(row)
    for candidate in candidates(probabilities_NK, given):
        if positions[candidate.row] not in seen:
            example = examples[positions[candidate.row]]
            found.append(_unlike(example, labels[candidate.likelier], candidate.self_confidence))
    share = estimated_share(estimate_joint(probabilities_NK, given)) if len(given) else None
    return Doubts(
        rows=len(examples), looked_at=len(positions), estimated_share=share, doubts=tuple(found)
    )


def _contradiction(example: Example, other: Example, sure: float | None) -> Doubt:
    return Doubt(
        id=example.id,
        source=example.source,
        row=example.row,
        given=answer_of(example),
        likelier=answer_of(other),
        reason="same text, other label",
        self_confidence=sure,
        other=other.id,
    )


def _unlike(example: Example, likelier: str, sure: float) -> Doubt:
    return Doubt(
        id=example.id,
        source=example.source,
        row=example.row,
        given=answer_of(example),
        likelier=likelier,
        reason="unlike its label",
        self_confidence=sure,
    )
