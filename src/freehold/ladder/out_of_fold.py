"""What the baseline rung's own models say of every row, each by a model that did not see it.

Rows that repeat or nearly repeat each other, and rows of one group, stay in one fold: a model that saw
the repeat of a row would agree with a wrong label of both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from freehold.core.snapshot import Example
from freehold.data.duplicates import find_duplicates, with_groups
from freehold.data.findings import answer_of
from freehold.data.split import draw
from freehold.ladder.baseline import EMBEDDING_C, TFIDF_C, fit_head, head_probabilities
from freehold.ladder.tools import Floats, text_of

FOLDS = 5

Embed: TypeAlias = Callable[[Sequence[str]], Floats]
"""Turns texts into unit vectors, float32 [n, d]."""


@dataclass(frozen=True)
class OutOfFold:
    """Probabilities of labels, [rows, labels], and the fold of each row."""

    labels: tuple[str, ...]
    probabilities_NK: NDArray[np.float64]
    folds: tuple[int, ...]


class Heads:
    """The two linear heads of the baseline rung over fixed rows, fitted on any part of them.

    Words: TF-IDF of single words. The rung also takes pairs of words, which takes five times as long
    and was no better on the public sets that were tried. Embeddings: where `embed` is given. With
    both, the mean of their probabilities is taken.
    """

    def __init__(self, examples: Sequence[Example], *, embed: Embed | None = None) -> None:
        self._texts = [text_of(example) for example in examples]
        self._given = [answer_of(example) for example in examples]
        self.labels: tuple[str, ...] = tuple(sorted(set(self._given)))
        self._vectors = None if embed is None else embed(self._texts)

    def predict(self, train: Sequence[int], rows: Sequence[int]) -> NDArray[np.float64]:
        """Return probabilities [rows, labels] of `rows` by heads that were fitted on `train`.

        A label that no row of `train` has gets 0.
        """
        parts = [self._by_words(train, rows)]
        if self._vectors is not None:
            parts.append(self._by_vectors(self._vectors, train, rows))
        return np.mean(parts, axis=0)

    def _by_words(self, train: Sequence[int], rows: Sequence[int]) -> NDArray[np.float64]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = cast(Any, TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]"))
        features = vectorizer.fit_transform([self._texts[row] for row in train])
        fitted = fit_head(features, [self._given[row] for row in train], TFIDF_C)
        return self._spread(vectorizer.transform([self._texts[row] for row in rows]), fitted)

    def _by_vectors(
        self, vectors: Floats, train: Sequence[int], rows: Sequence[int]
    ) -> NDArray[np.float64]:
        fitted = fit_head(vectors[list(train)], [self._given[row] for row in train], EMBEDDING_C)
        return self._spread(vectors[list(rows)], fitted)

    def _spread(
        self, features: Any, fitted: tuple[Mapping[str, NDArray[Any]], list[str]]
    ) -> NDArray[np.float64]:
        head, known = fitted
        place = {label: number for number, label in enumerate(self.labels)}
        spread = np.zeros((features.shape[0], len(self.labels)))
        spread[:, [place[label] for label in known]] = head_probabilities(features, head)
        return spread


def out_of_fold(
    examples: Sequence[Example], *, embed: Embed | None = None, folds: int = FOLDS, seed: int = 7
) -> OutOfFold:
    """Return for each row the probabilities of the labels, by a model that was built without its fold.

    Args:
        examples: rows with labels, at least two different ones.
        embed: for the embedding head beside the words; None leaves it out.
        folds: how many parts.
        seed: draws the folds.
    """
    heads = Heads(examples, embed=embed)
    places = np.array(fold_of_rows(examples, folds=folds, seed=seed))
    probabilities = np.zeros((len(examples), len(heads.labels)))
    for fold in range(folds):
        held, seen = np.flatnonzero(places == fold), np.flatnonzero(places != fold)
        if len(held) and len(seen):
            probabilities[held] = heads.predict(seen.tolist(), held.tolist())
    return OutOfFold(heads.labels, probabilities, tuple(int(place) for place in places))


def fold_of_rows(examples: Sequence[Example], *, folds: int, seed: int) -> tuple[int, ...]:
    """Return the fold of each row: whole groups, labels in proportion, by the content and the seed."""
    roots = with_groups(examples, find_duplicates(examples))
    members: dict[int, list[int]] = {}
    for row, root in enumerate(roots):
        members.setdefault(root, []).append(row)
    order = sorted(
        members,
        key=lambda root: (
            answer_of(examples[root]),
            draw(seed, "fold", examples[root].content_digest),
            root,
        ),
    )
    fold = {root: number % folds for number, root in enumerate(order)}
    return tuple(fold[root] for root in roots)


def drawn_rows(examples: Sequence[Example], most: int, *, seed: int) -> tuple[int, ...]:
    """Return at most `most` positions, drawn by content and seed, in their order."""
    if len(examples) <= most:
        return tuple(range(len(examples)))
    drawn = sorted(
        range(len(examples)), key=lambda row: (draw(seed, "row", examples[row].content_digest), row)
    )
    return tuple(sorted(drawn[:most]))
