"""Whether a split looks like the traffic: a classifier that tries to tell them apart, and what it sees.

The classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545): where nobody can tell two
samples apart better than chance, they are alike as far as that classifier sees. Here it is naive Bayes
over words, with the length among them, scored on rows that it did not see; chance is measured by
permuting the samples of those rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from freehold.core.errors import DataError, Where
from freehold.core.record import Record
from freehold.core.sections import Columns
from freehold.data.files import DataFile, find_files, open_file
from freehold.data.formats import INPUTS, names_of, recognise
from freehold.data.formats import Content as _Content
from freehold.data.languages import Detector, languages
from freehold.data.limits import LIMITS
from freehold.data.readers import READERS
from freehold.data.rows import Row
from freehold.data.tokens import tokens_of

MOST_ROWS = 5_000
PERMUTATIONS = 500
LEAST_ROWS = 20
LISTED_WORDS = 8
_SMOOTHING = 0.5
_PRIOR = 10.0

Floats: TypeAlias = NDArray[np.float64]
Words: TypeAlias = frozenset[str]


class WordShift(Record):
    """A word that is more frequent on one side: per 1,000 words there, and z of the log-odds."""

    word: str
    in_split: float
    in_traffic: float
    z: float


class TrafficComparison(Record):
    """How far a split and the traffic can be told apart.

    `area` is the area under the curve of the classifier on rows that it did not see, 0.5 where it
    cannot tell; `chance_low` to `chance_high` hold 95 % of permutations. `characters` are medians of the split
    and the traffic; `languages` shares of each language among the clear rows of both.
    """

    split_rows: int
    traffic_rows: int
    area: float
    chance_low: float
    chance_high: float
    p_value: float
    more_in_split: tuple[WordShift, ...]
    more_in_traffic: tuple[WordShift, ...]
    characters: tuple[int, int]
    languages: dict[str, tuple[float, float]]

    @property
    def differs(self) -> bool:
        """Whether the classifier tells them apart beyond chance."""
        return self.p_value <= 0.01 and self.area > self.chance_high


def read_inputs(source: str, *, columns: Columns, root: Path) -> tuple[str, ...]:
    """Read the inputs of a file of traffic. Rows need no target; rows without an input are left out.

    The input is the column that `columns` names, else one with a known name, else that of a format with
    an answer (the last question of a chat). A row that is text alone is an input.

    Raises:
        DataError: the file cannot be read, or holds no input (DAT-010).
    """
    found: list[str] = []
    for file in find_files(source, root=root):
        found.extend(_inputs_of_file(file, columns))
    if len(found) < LEAST_ROWS:
        raise DataError(
            "DAT-010",
            f"`{source}` holds {len(found):,} inputs; {LEAST_ROWS} are the least to compare with",
            where=Where(file=source),
            help='write one request a row: {"input": "..."}',
        )
    return tuple(found)


def _inputs_of_file(file: DataFile, columns: Columns) -> list[str]:
    with open_file(file, stdin=None) as opened:
        rows = READERS[opened.suffix](opened.stream, opened.name, LIMITS)
        texts = (_input_of(row.columns, columns) for row in rows if isinstance(row, Row))
        return [text for text in texts if text is not None and text.strip()]


def _input_of(row: Mapping[str, JsonValue], columns: Columns) -> str | None:
    for name in (*names_of(columns.input), *INPUTS):
        value = row.get(name)
        if isinstance(value, str):
            return value
    turns = row.get("messages")
    if isinstance(turns, list):
        asked = [
            turn.get("content")
            for turn in turns
            if isinstance(turn, dict) and turn.get("role") == "user"
        ]
        return asked[-1] if asked and isinstance(asked[-1], str) else None
    format_ = recognise(row, columns)
    taken = None if format_ is None else format_.take(row)
    return taken.input if isinstance(taken, _Content) else None


# Telling apart -------------------------------------------------------------------------------


def compare_with_traffic(
    split: Sequence[str],
    traffic: Sequence[str],
    *,
    rng: np.random.Generator,
    detect: Detector | None = None,
) -> TrafficComparison:
    """Compare two samples of inputs.

    Args:
        split: inputs of the split.
        traffic: inputs as they come in; of each sample at most 5,000, drawn, are looked at.
        rng: draws rows, halves and permutations.
        detect: says the language of a text; languages are left out without it.
    """
    first, second = _drawn(split, rng), _drawn(traffic, rng)
    features = [_features(text) for text in (*first, *second)]
    is_traffic = np.array([False] * len(first) + [True] * len(second))
    halves = rng.permutation(len(features)) % 2
    scores = np.empty(len(features))
    for half in (0, 1):
        seen, held = np.flatnonzero(halves != half), np.flatnonzero(halves == half)
        scores[held] = _scores(features, is_traffic, seen=seen, held=held)
    area = _area(scores, is_traffic, halves)
    chance = np.array(
        [_area(scores, _permuted(is_traffic, halves, rng), halves) for _ in range(PERMUTATIONS)]
    )
    low, high = np.quantile(chance, [0.025, 0.975])
    shifts = _shifts(features, is_traffic)
    return TrafficComparison(
        split_rows=len(first),
        traffic_rows=len(second),
        area=area,
        chance_low=float(low),
        chance_high=float(high),
        p_value=float((1 + np.sum(chance >= area)) / (1 + PERMUTATIONS)),
        more_in_split=tuple(shift for shift in reversed(shifts) if shift.z < -3)[:LISTED_WORDS],
        more_in_traffic=tuple(shift for shift in shifts if shift.z > 3)[:LISTED_WORDS],
        characters=(_median(first), _median(second)),
        languages={} if detect is None else _languages(first, second, detect),
    )


def _drawn(texts: Sequence[str], rng: np.random.Generator) -> list[str]:
    if len(texts) <= MOST_ROWS:
        return list(texts)
    rows = rng.choice(len(texts), MOST_ROWS, replace=False)
    return [texts[int(row)] for row in np.sort(rows)]


def _features(text: str) -> Words:
    """Return the different words of a text, and its length as a power of two."""
    return frozenset((*tokens_of(text), f"{_LENGTH}{len(text).bit_length()}"))


_LENGTH = "\0length"


def _scores(
    features: Sequence[Words],
    is_traffic: NDArray[np.bool_],
    *,
    seen: NDArray[np.intp],
    held: NDArray[np.intp],
) -> Floats:
    """Return naive Bayes log-odds of traffic for the held rows, by the seen rows."""
    counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for row in (int(number) for number in seen):
        counts[bool(is_traffic[row])].update(features[row])
    rows_traffic = int(is_traffic[seen].sum())
    rows_split = len(seen) - rows_traffic

    def odds(word: str) -> float:
        with_traffic = (counts[True][word] + _SMOOTHING) / (rows_traffic + 1)
        return math.log(with_traffic * (rows_split + 1) / (counts[False][word] + _SMOOTHING))

    return np.array([sum(odds(word) for word in features[int(row)]) for row in held])


def _area(scores: Floats, is_traffic: NDArray[np.bool_], halves: NDArray[np.intp]) -> float:
    """Return the mean area under the curve of the two halves, ties counting half."""
    return (
        _area_of(scores, is_traffic, halves == 0) + _area_of(scores, is_traffic, halves == 1)
    ) / 2


def _area_of(scores: Floats, is_traffic: NDArray[np.bool_], part: NDArray[np.bool_]) -> float:
    split = np.sort(scores[part & ~is_traffic])
    traffic = scores[part & is_traffic]
    if not len(split) or not len(traffic):
        return 0.5
    below = np.searchsorted(split, traffic, "left") + np.searchsorted(split, traffic, "right")
    return float(below.mean()) / (2 * len(split))


def _permuted(
    is_traffic: NDArray[np.bool_], halves: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Shuffle which rows are traffic, within each half: the classifiers stay as they are."""
    shuffled = is_traffic.copy()
    for half in (0, 1):
        rows = np.flatnonzero(halves == half)
        shuffled[rows] = is_traffic[rng.permutation(rows)]
    return shuffled


# What differs --------------------------------------------------------------------------------


def _shifts(features: Sequence[Words], is_traffic: NDArray[np.bool_]) -> tuple[WordShift, ...]:
    """Return words by the z of their log-odds, those of the traffic first.

    Log-odds with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008, *Fightin' Words*).
    """
    traffic: Counter[str] = Counter()
    split: Counter[str] = Counter()
    for row, words in enumerate(features):
        (traffic if is_traffic[row] else split).update(words)
    both = traffic + split
    total, in_traffic, in_split = both.total(), traffic.total(), split.total()
    found: list[WordShift] = []
    for word, count in both.items():
        if word.startswith(_LENGTH):
            continue
        prior = _PRIOR * count / total
        a, b = traffic[word] + prior, split[word] + prior
        odds = math.log(a / (in_traffic + _PRIOR - a)) - math.log(b / (in_split + _PRIOR - b))
        found.append(
            WordShift(
                word=word,
                in_split=1000 * split[word] / max(1, in_split),
                in_traffic=1000 * traffic[word] / max(1, in_traffic),
                z=odds / math.sqrt(1 / a + 1 / b),
            )
        )
    return tuple(sorted(found, key=lambda shift: (-shift.z, shift.word)))


def _median(texts: Sequence[str]) -> int:
    lengths = sorted(len(text) for text in texts)
    return lengths[len(lengths) // 2] if lengths else 0


def _languages(
    first: Sequence[str], second: Sequence[str], detect: Detector
) -> dict[str, tuple[float, float]]:
    sides = [languages(texts, detect).rows for texts in (first, second)]
    totals = [max(1, sum(side.values())) for side in sides]
    names = sorted({*sides[0], *sides[1]})
    return {
        name: (sides[0].get(name, 0) / totals[0], sides[1].get(name, 0) / totals[1])
        for name in names
    }
