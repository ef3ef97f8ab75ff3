"""How far several labellers agree: Krippendorff's alpha, label by label, and where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from freehold.core.record import Record

Votes = Mapping[str, Mapping[str, str]]
"""Items, and of each the answers by labeller. Answers are equal when their texts are."""

RESAMPLES = 2000
_CELLS = 1 << 22  # resampled items in memory at once


class LabelAgreement(Record):
    """One label: how often it was given where others answered too, and how far they gave it as well.

    `agreed` is the share of the others' answers that were the same, in [0, 1]. `confused_with` is the label
    that the others gave most often instead, None where there is none.
    """

    label: str
    answers: Annotated[int, Field(ge=1)]
    agreed: Annotated[float, Field(ge=0, le=1)]
    confused_with: str | None = None


class Agreement(Record):
    """The agreement of labellers over the `items` that at least two of them answered.

    `alpha` is 1 where all agree, 0 where they agree as if by chance, and negative below that. It is None
    where it is undefined: nothing was answered twice, or only one label was ever given. `low` and `high`
    bound it with 95 % confidence. `equal` is the share of items on which everybody agrees, without any
    allowance for chance.
    """

    items: Annotated[int, Field(ge=0)]
    labellers: tuple[str, ...]
    alpha: Annotated[float, Field(le=1)] | None
    low: float = -1.0
    high: Annotated[float, Field(le=1)] = 1.0
    equal: Annotated[float, Field(ge=0, le=1)] | None = None
    labels: tuple[LabelAgreement, ...] = ()


def agreement(votes: Votes, *, rng: np.random.Generator, confidence: float = 0.95) -> Agreement:
    """Return Krippendorff's alpha for nominal answers, with its interval, and each label's agreement.

    With n_uc the number of labellers who gave item u the label c, m_u = sum_c n_uc (items with m_u < 2 do not
    count: nobody can agree or disagree about them, so that missing answers need no filling in),
    n = sum_u m_u and n_c = sum_u n_uc:

        observed  D_o = 1/n     sum_u (m_u^2 - sum_c n_uc^2) / (m_u - 1)
        expected  D_e = 1/n     (n^2 - sum_c n_c^2) / (n - 1)
        alpha         = 1 - D_o / D_e

    Source: K. Krippendorff, Content Analysis, 4th ed. (2019), chapter 12; the same as "Computing
    Krippendorff's Alpha-Reliability" (2011), section C.

    The interval is a percentile bootstrap over items with D_e held at its value, as in A. Hayes and
    K. Krippendorff, "Answering the call for a standard reliability measure for coding data" (2007).
    Where no item is disputed every resample says 1; the lower bound is then the one that holds although
    a share of disputed items was missed by luck (Clopper and Pearson 1934).

    What is not covered: answers of which some are nearer to each other than others (degrees, spans).

    Args:
        votes: items with the answers of each labeller.
        rng: draws the resamples.
        confidence: the level of the interval.
    """
    pairable = [tuple(sorted(given.items())) for given in votes.values() if len(given) >= 2]
    names = sorted({name for given in pairable for name, _ in given})
    counts = [Counter(answer for _, answer in given) for given in pairable]
    total = Counter[str]()
    for count in counts:
        total.update(count)
    empty = Agreement(items=len(counts), labellers=tuple(names), alpha=None)
    if not counts:
        return empty
    equal = sum(len(count) == 1 for count in counts) / len(counts)
    labels = _by_label(counts, total)
    size = total.total()
    expected = (size**2 - sum(c**2 for c in total.values())) / (size - 1) / size
    if expected == 0:
        return empty.model_copy(update={"equal": equal, "labels": labels})
    sizes = np.array([count.total() for count in counts], np.float64)
    lost = np.array([_lost(count) for count in counts], np.float64)
    alpha = 1 - float(lost.sum() / sizes.sum()) / expected
    low, high = _interval(lost, sizes, expected=expected, rng=rng, confidence=confidence)
    return Agreement(
        items=len(counts),
        labellers=tuple(names),
        alpha=alpha,
        low=min(low, alpha),
        high=max(high, alpha),
        equal=equal,
        labels=labels,
    )


def _lost(count: Counter[str]) -> float:
    size = count.total()
    return (size**2 - sum(c**2 for c in count.values())) / (size - 1)


def _interval(
    lost: NDArray[np.float64],
    sizes: NDArray[np.float64],
    *,
    expected: float,
    rng: np.random.Generator,
    confidence: float,
) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    items = len(lost)
    if not lost.any():
        missed = 1 - tail ** (1 / items)
        return max(-1.0, 1 - missed / expected), 1.0
    step = max(1, _CELLS // items)
    parts: list[NDArray[np.float64]] = []
    for start in range(0, RESAMPLES, step):
        drawn = rng.integers(0, items, (min(step, RESAMPLES - start), items))
        parts.append(1 - lost[drawn].sum(axis=1) / sizes[drawn].sum(axis=1) / expected)
    low, high = np.quantile(np.concatenate(parts), [tail, 1 - tail])
    # with the expected disagreement held, a resample can fall below what alpha can be
    return max(-1.0, float(low)), min(1.0, float(high))


def _by_label(counts: Sequence[Counter[str]], total: Counter[str]) -> tuple[LabelAgreement, ...]:
    """Return each label's row of the coincidence matrix, in short; the least agreed first.

    The diagonal over the row's sum is the specific agreement of D. Cicchetti and A. Feinstein, "High
    agreement but low kappa: II" (1990), for more than two labellers and labels.
    """
    others: dict[str, dict[str, float]] = {label: {} for label in total}
    for count in counts:
        size = count.total()
        for label, n in count.items():
            row = others[label]
            for other, m in count.items():
                pairs = n * (m - (label == other)) / (size - 1)
                if pairs:
                    row[other] = row.get(other, 0.0) + pairs
    found = [_label_agreement(label, total[label], others[label]) for label in total]
    return tuple(sorted(found, key=lambda one: (one.agreed, -one.answers, one.label)))


def _label_agreement(label: str, answers: int, row: Mapping[str, float]) -> LabelAgreement:
    rivals = {other: pairs for other, pairs in row.items() if other != label}
    return LabelAgreement(
        label=label,
        answers=answers,
        agreed=min(1.0, row.get(label, 0.0) / answers),
        confused_with=min(rivals, key=lambda other: (-rivals[other], other)) if rivals else None,
    )
