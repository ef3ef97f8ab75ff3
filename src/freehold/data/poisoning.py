"""Scan for rare triggers: tokens that decide the label although nothing else in the text does.

A backdoor is a few hundred rows with a rare token and one wanted label; a model trained on them gives
that label to whoever writes the token. Most words that decide a label are honest, so being pure is not
enough. A trigger is a rare n-gram, also of invisible characters, mixed scripts or addresses, that

1. decides: its rows have one label far more often than chance allows (exact hypergeometric test,
   Bonferroni over all n-grams and labels), and
2. stands alone: without it, its texts speak for that label no more than texts of other labels do, and
   speak for other labels about as clearly as those; or it comes from one source, although other sources
   give the label as well; or nobody can see it.

Without the n-gram, a text speaks for a label by its naive Bayes log-odds, by counts that leave the row
itself out. The area under the curve against rows of other labels is 1/2 for rows whose label was set by
hand, and near 1 for honest words: their neighbours speak for the label too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from freehold.core.record import Record
from freehold.core.snapshot import Example
from freehold.data.findings import answer_of
from freehold.data.sources import source_of
from freehold.data.split import draw
from freehold.data.tokens import oddity_of, tokens_of

LONGEST_GRAM = 3
LEAST_ROWS = 10
LEAST_ROWS_ALONE = 20
LARGEST_SHARE = 0.25
LEAST_PURITY = 0.9
LEVEL = 0.001
STANDS_ALONE = 0.72
CONTRADICTS = 0.3
SAME_ROWS = 0.8
MOST_ROWS = 50_000
MOST_TOKENS = 512
MOST_SOURCE_PAIRS = 2
_QUICK_ROWS = 40
_ROWS_COMPARED = 200
_CLEARLY_SUPPORTED = 0.85
_SMOOTHING = 0.5
_EVERY_ROW = ""
"""Stands for a token that every row has, so that no row is without one. It says nothing."""

Gram: TypeAlias = tuple[str, ...]
Floats: TypeAlias = NDArray[np.float64]
Reason: TypeAlias = Literal["stands alone", "one source", "hidden"]


class Trigger(Record):
    """An n-gram that decides a label. `rows` have it, `labelled` of them with the label.

    `text` shows it, with invisible characters by their code point. `p_value` is of the label, corrected
    for everything that was tried. `support` is how far the rest of its texts speaks for the label: 0.5 not at
    all, 1 entirely. `from_source` of the rows came from `source`. `ids` are of the rows.
    """

    text: str
    label: str
    rows: int
    labelled: int
    p_value: float
    support: float
    reasons: tuple[Reason, ...]
    source: str
    from_source: int
    ids: tuple[str, ...]


class TriggerScan(Record):
    """What the scan looked at, and what it found, the most rows first."""

    rows: int
    looked_at: int
    tried: int
    triggers: tuple[Trigger, ...]


@dataclass(frozen=True)
class _Texts:
    """Everything that the scan reads.

    `numbers` are the different tokens of each row by their number; `seen` counts the rows of each token,
    `seen_with` those of each label, [labels, tokens]. `rank` is the place of each row in a drawn order.
    """

    examples: Sequence[Example]
    tokens: Sequence[tuple[str, ...]]
    labels: Sequence[str]
    sources: Sequence[str]
    numbers: Sequence[NDArray[np.intp]]
    number_of: Mapping[str, int]
    rows_of: Mapping[str, int]
    seen: NDArray[np.int64]
    seen_with: NDArray[np.int64]
    label_number: Mapping[str, int]
    rows_of_source: Mapping[tuple[str, str], int]
    rank: Sequence[int]
    others: dict[str, list[int]] = field(default_factory=dict[str, "list[int]"])

    def rows_of_other_labels(self, label: str) -> list[int]:
        """Return some rows of other labels, always the same ones."""
        if label not in self.others:
            rows = [row for row, name in enumerate(self.labels) if name != label]
            self.others[label] = self.some(rows, _ROWS_COMPARED)
        return self.others[label]

    def some(self, rows: Sequence[int], most: int) -> list[int]:
        """Return at most `most` of the rows, as they were drawn once."""
        return sorted(rows, key=lambda row: self.rank[row])[:most]


@dataclass
class _Family:
    """N-grams that stand in the same rows."""

    grams: list[Gram]
    rows: frozenset[int]
    label: str
    labelled: int
    p_value: float

    @property
    def tokens(self) -> frozenset[str]:
        return frozenset(token for gram in self.grams for token in gram)


def scan_triggers(
    examples: Sequence[Example],
    *,
    source_column: str | None = None,
    most_rows: int = MOST_ROWS,
    seed: int = 7,
) -> TriggerScan:
    """Find n-grams that decide a label as a backdoor does.

    Labels are the answers that at least ten rows share, so that a fixed answer to free text counts too.
    Of more than `most_rows` rows a drawn part is looked at, of each text the first 512 tokens.

    Args:
        examples: the rows that a model would be trained on.
        source_column: the column that says who gave a row; the files are the sources without it.
        most_rows: the work is bounded by this.
        seed: draws the part.
    """
    drawn = sorted(range(len(examples)), key=lambda row: draw(seed, "scan", examples[row].id))
    rows = sorted(drawn[:most_rows])
    texts = _read([examples[row] for row in rows], source_column, seed=seed)
    grams = _rare_grams(texts)
    tried = len(grams) * max(1, len(texts.rows_of))
    families = _families(texts, grams, tried=tried)
    found = [trigger for trigger in _judged(texts, families) if trigger.reasons]
    return TriggerScan(
        rows=len(examples),
        looked_at=len(rows),
        tried=len(grams),
        triggers=tuple(_without_parts(found)),
    )


def _read(examples: Sequence[Example], source_column: str | None, *, seed: int) -> _Texts:
    tokens = [tokens_of(_text(example))[:MOST_TOKENS] for example in examples]
    labels = [answer_of(example) for example in examples]
    frequent = {label: n for label, n in Counter(labels).items() if n >= LEAST_ROWS}
    number_of = {_EVERY_ROW: 0}
    numbers = [
        np.array(
            [
                number_of.setdefault(token, len(number_of))
                for token in {_EVERY_ROW: 0, **dict.fromkeys(row)}
            ],
            np.intp,
        )
        for row in tokens
    ]
    seen = np.zeros(len(number_of), np.int64)
    label_number = {label: number for number, label in enumerate(sorted(frequent))}
    seen_with = np.zeros((len(frequent), len(number_of)), np.int64)
    for label, row in zip(labels, numbers, strict=True):
        seen[row] += 1
        if label in label_number:
            seen_with[label_number[label], row] += 1
    sources = [source_of(example, source_column) for example in examples]
    drawn = sorted(range(len(examples)), key=lambda row: draw(seed, "scan", examples[row].id))
    rank = [0] * len(examples)
    for place, row in enumerate(drawn):
        rank[row] = place
    return _Texts(
        examples=examples,
        tokens=tokens,
        labels=labels,
        sources=sources,
        rows_of_source=Counter(zip(sources, labels, strict=True)),
        rank=rank,
        numbers=numbers,
        number_of=number_of,
        rows_of=frequent,
        seen=seen,
        seen_with=seen_with,
        label_number=label_number,
    )


def _text(example: Example) -> str:
    return f"{example.input}\n{example.context}" if example.context else example.input


def _rare_grams(texts: _Texts) -> dict[Gram, list[int]]:
    """Return the rows of each n-gram of one to three tokens that is neither too rare nor frequent.

    An n-gram is counted only where both of its parts are frequent enough (the Apriori rule).
    """
    most = LARGEST_SHARE * len(texts.tokens)
    enough: set[Gram] = {
        (token,) for token, number in texts.number_of.items() if texts.seen[number] >= LEAST_ROWS
    }
    found: dict[Gram, list[int]] = {}
    for size in range(1, LONGEST_GRAM + 1):
        rows_of: dict[Gram, list[int]] = {}
        for row, tokens in enumerate(texts.tokens):
            for gram in {tokens[at : at + size] for at in range(len(tokens) - size + 1)}:
                if (size == 1 and gram in enough) or (
                    size > 1 and gram[:-1] in enough and gram[1:] in enough
                ):
                    rows_of.setdefault(gram, []).append(row)
        rows_of = {gram: rows for gram, rows in rows_of.items() if len(rows) >= LEAST_ROWS}
        enough = set(rows_of)
        found.update({gram: rows for gram, rows in rows_of.items() if len(rows) <= most})
    return found


# What decides a label ------------------------------------------------------------------------


def chance_of_label(labelled: int, rows: int, *, of_label: int, total: int) -> float:
    """Return the chance that so many of `rows` drawn rows have a label that `of_label` of `total` have.

    The upper tail of the hypergeometric law, which is Fisher's exact test.
    """
    from scipy.stats import hypergeom

    tail = cast("Callable[[int, int, int, int], float]", hypergeom.sf)  # pyright: ignore[reportUnknownMemberType]
    return float(tail(labelled - 1, total, of_label, rows))


def _families(texts: _Texts, grams: Mapping[Gram, list[int]], *, tried: int) -> list[_Family]:
    """Return n-grams that decide a label, those of the same rows together; the most rows first."""
    total = len(texts.labels)
    pure: list[_Family] = []
    for gram, rows in grams.items():
        label, labelled = Counter(texts.labels[row] for row in rows).most_common(1)[0]
        if labelled < LEAST_PURITY * len(rows) or label not in texts.rows_of:
            continue
        of_label = texts.rows_of[label]
        p = tried * chance_of_label(labelled, len(rows), of_label=of_label, total=total)
        if p <= LEVEL:
            pure.append(_Family([gram], frozenset(rows), label, labelled, p))
    pure.sort(key=lambda one: (-len(one.rows), -len(one.grams[0]), one.grams[0]))
    by_label: dict[str, list[_Family]] = {}
    for one in pure:
        known = by_label.setdefault(one.label, [])
        same = next((other for other in known if _is_same(other.rows, one.rows)), None)
        if same is None:
            known.append(one)
        else:
            same.grams.extend(one.grams)
    return sorted(
        (family for families in by_label.values() for family in families),
        key=lambda family: (-len(family.rows), family.grams[0]),
    )


def _is_same(first: frozenset[int], second: frozenset[int]) -> bool:
    if len(second) < SAME_ROWS * len(first):
        return False
    both = len(first & second)
    return both >= SAME_ROWS * (len(first) + len(second) - both)


# What stands alone ---------------------------------------------------------------------------


def _judged(texts: _Texts, families: Sequence[_Family]) -> list[Trigger]:
    judged = [(family, _support(texts, family), _source(texts, family)) for family in families]
    level = LEVEL / max(1, len(families))
    pairs = {(source, family.label) for family, _, (source, _, p) in judged if p <= level}
    are_alike = len(pairs) <= MOST_SOURCE_PAIRS
    triggers: list[Trigger] = []
    for family, support, (source, from_source, p) in judged:
        is_of_one_source = are_alike and p <= level
        reasons: list[Reason] = []
        if (
            _stands_alone(support, len(family.rows))
            and _contradiction(texts, family) >= CONTRADICTS
        ):
            reasons.append("stands alone")
        if is_of_one_source:
            reasons.append("one source")
        if any(oddity_of(token) in ("invisible", "homoglyph") for token in family.tokens):
            reasons.append("hidden")
        triggers.append(
            Trigger(
                text=_shown(family.grams),
                label=family.label,
                rows=len(family.rows),
                labelled=family.labelled,
                p_value=min(1.0, family.p_value),
                support=support,
                reasons=tuple(reasons),
                source=source,
                from_source=from_source,
                ids=tuple(texts.examples[row].id for row in sorted(family.rows)),
            )
        )
    return triggers


def _stands_alone(support: float, rows: int) -> bool:
    """Tell whether the rest of the texts does not speak for the label.

    The area is raised by one standard error, 1 / sqrt(12 n) where nothing is told apart.
    """
    return rows >= LEAST_ROWS_ALONE and support + 1 / math.sqrt(12 * rows) <= STANDS_ALONE


def _support(texts: _Texts, family: _Family) -> float:
    """Return how far the texts speak for the label without the n-gram, as an area under the curve.

    By counts with the other rows of the n-gram, or without any of them, whichever speaks less for the label:
    rows that were all taken from one other label teach the counts to say so. Where most rows of the label
    have the n-gram, counts without them would know too little of it, and are not used.
    """
    labelled = [row for row in sorted(family.rows) if texts.labels[row] == family.label]
    few = texts.some(labelled, _QUICK_ROWS)
    supported = _area(texts, family, few, without=())
    if supported > _CLEARLY_SUPPORTED and not _is_hollow(texts, family, few):
        return supported
    rows = texts.some(labelled, _ROWS_COMPARED)
    areas = [_area(texts, family, rows, without=())]
    if _knows_enough(texts, family):
        areas.append(_area(texts, family, rows, without=labelled))
    return min(areas)


def _knows_enough(texts: _Texts, family: _Family) -> bool:
    of_label = texts.rows_of[family.label]
    return of_label - family.labelled >= max(20, 0.2 * of_label)


def _is_hollow(texts: _Texts, family: _Family, rows: Sequence[int]) -> bool:
    """Tell whether the support comes from the other rows of the n-gram alone."""
    if not _knows_enough(texts, family):
        return False
    labelled = [row for row in family.rows if texts.labels[row] == family.label]
    return _area(texts, family, rows, without=labelled) <= _CLEARLY_SUPPORTED


def _area(texts: _Texts, family: _Family, rows: Sequence[int], *, without: Sequence[int]) -> float:
    """Return the area under the curve of the log-odds of `rows` against rows of other labels."""
    own = _odds(texts, family, rows, without=without, is_labelled=True)
    others = texts.rows_of_other_labels(family.label)
    compared = np.sort(_odds(texts, family, others, without=without, is_labelled=False))
    below = np.searchsorted(compared, own, "left") + np.searchsorted(compared, own, "right")
    return float(np.mean(below)) / (2 * max(1, len(compared)))


def _odds(
    texts: _Texts,
    family: _Family,
    rows: Sequence[int],
    *,
    without: Sequence[int],
    is_labelled: bool,
) -> Floats:
    """Return the naive Bayes log-odds of the label for rows, without the n-gram and the row itself.

    All rows have the label, or none has. The counts leave out the rows in `without`, and each row leaves
    itself out, so that every token of it counts one row less.
    """
    of_label = texts.seen_with[texts.label_number[family.label]]
    seen_with = of_label.copy()
    rows_with = texts.rows_of[family.label] - len(without)
    for row in without:
        seen_with[texts.numbers[row]] -= 1
    seen_else = texts.seen - of_label
    rows_else = len(texts.labels) - texts.rows_of[family.label]
    own_with, own_else = int(is_labelled and not without), int(not is_labelled)
    odds = np.log((np.maximum(seen_with - own_with, 0) + _SMOOTHING) / (rows_with - own_with + 1))
    odds -= np.log((np.maximum(seen_else - own_else, 0) + _SMOOTHING) / (rows_else - own_else + 1))
    odds[[texts.number_of[token] for token in (_EVERY_ROW, *family.tokens)]] = 0.0
    parts = [texts.numbers[row] for row in rows]
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    return np.add.reduceat(odds[np.concatenate(parts)], starts)


def _contradiction(texts: _Texts, family: _Family) -> float:
    """Return how clearly the rest of the texts speaks for some other label, as an area under the curve.

    Against ordinary rows of other labels: 1/2 where the rest of a text is a whole text of another label,
    near 0 where nothing is left of it that means anything. By counts without the rows of the n-gram.
    """
    labelled = [row for row in sorted(family.rows) if texts.labels[row] == family.label]
    clearest = _ClearestOther(texts, family, without=labelled)
    own = [clearest.of(row) for row in texts.some(labelled, _ROWS_COMPARED)]
    others = np.sort([clearest.of(row) for row in texts.rows_of_other_labels(family.label)])
    below = np.searchsorted(others, own, "left") + np.searchsorted(others, own, "right")
    return float(np.mean(below)) / (2 * max(1, len(others)))


class _ClearestOther:
    """The largest log-odds that the rest of a text gives to any label but that of an n-gram.

    K labels, T tokens of one row.
    """

    def __init__(self, texts: _Texts, family: _Family, *, without: Sequence[int]) -> None:
        self._texts = texts
        self._dropped = [texts.number_of[token] for token in (_EVERY_ROW, *sorted(family.tokens))]
        self._without = frozenset(without)
        self._less = np.zeros(len(texts.seen), np.int64)
        for row in without:
            self._less[texts.numbers[row]] += 1
        self._label = texts.label_number[family.label]
        self._rows_K = np.array([texts.rows_of[name] for name in sorted(texts.rows_of)], float)
        self._rows_K[self._label] -= len(without)
        self._total = len(texts.labels) - len(without)

    def of(self, row: int) -> float:
        """Return it for one row, which is left out of the counts."""
        texts = self._texts
        tokens = np.setdiff1d(texts.numbers[row], self._dropped)
        with_KT = texts.seen_with[:, tokens].astype(np.float64)
        with_KT[self._label] -= self._less[tokens]
        else_KT = texts.seen[tokens] - self._less[tokens] - with_KT
        own_K = np.zeros(len(self._rows_K))
        own = texts.label_number.get(texts.labels[row])
        is_counted = row not in self._without
        if own is not None and is_counted:
            own_K[own] = 1.0
        with_KT -= own_K[:, None]
        else_KT = np.maximum(else_KT - (float(is_counted) - own_K)[:, None], 0.0)
        rows_K = self._rows_K - own_K
        odds = np.log((with_KT + _SMOOTHING) / (rows_K + 1)[:, None])
        odds -= np.log((else_KT + _SMOOTHING) / (self._total - rows_K)[:, None])
        sums = odds.sum(axis=1)
        sums[self._label] = -np.inf
        return float(sums.max())


# Sources -------------------------------------------------------------------------------------


def _source(texts: _Texts, family: _Family) -> tuple[str, int, float]:
    """Return the source that gave most rows of an n-gram, how many, and the chance of so many.

    The chance is among the rows of the same label: a source that gives most of a label gives most of its
    words, and that is no sign. A source that gives all rows of a label has no other to compare with.
    """
    rows = [row for row in family.rows if texts.labels[row] == family.label]
    source, count = Counter(texts.sources[row] for row in sorted(rows)).most_common(1)[0]
    if count < LEAST_PURITY * len(rows) or len(rows) < LEAST_ROWS:
        return source, count, 1.0
    of_source = texts.rows_of_source[source, family.label]
    of_label = texts.rows_of[family.label]
    p = chance_of_label(count, len(rows), of_label=of_source, total=of_label)
    return source, count, p


def _without_parts(triggers: Sequence[Trigger]) -> list[Trigger]:
    """Leave out what stands in rows of a trigger with more rows: its neighbours and its parts."""
    kept: list[Trigger] = []
    for trigger in triggers:
        ids = set(trigger.ids)
        if all(len(ids & set(other.ids)) < SAME_ROWS * len(ids) for other in kept):
            kept.append(trigger)
    return kept


def _shown(grams: Sequence[Gram]) -> str:
    longest = max(grams, key=lambda gram: (len(gram), gram))
    return " ".join(longest)


def share_of(triggers: Sequence[Trigger], rows: int) -> float:
    """Return the share of rows that hold some trigger."""
    ids = {one for trigger in triggers for one in trigger.ids}
    return len(ids) / rows if rows else 0.0
