"""What a search computes with, as arrays: derived from the rows of an index, and never written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from freehold.retrieve.rank import Floats, best, nearest
from freehold.retrieve.shelf import Shelf
from freehold.retrieve.words import (
    Counted,
    Mask,
    Postings,
    Rows,
    Seen,
    by_words,
    postings_of,
    seen,
)

DEPTH = 100
"""How far down each of two orders is read before they are made one."""
_FEW = 8
"""Where an asker sees less than this part of the passages, only their vectors are compared."""


@dataclass(frozen=True)
class _Visible:
    """The rows that an asker may see, and the statistics of their words."""

    rows: Rows
    words: Seen


@dataclass(frozen=True)
class Ranking:
    """The rows that were found by words and by meaning, each with the best first."""

    words: Rows
    meaning: Rows


_NO_ROWS: Rows = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Arrays:
    """Everything that a search computes with.

    Attributes:
        changes: how often the index had been written when this was read.
        numbers: of the passages in the file, [n].
        owners: the place of each passage's document in `access`, [n].
        order: the place of each passage by document id and position, [n].
        access: the labels of each document.
        postings: for words.
        vectors: for meaning, [n, d].
        kept: what was computed for askers before.
    """

    changes: str
    numbers: Rows
    owners: Rows
    order: Rows
    access: tuple[frozenset[str], ...]
    postings: Postings
    vectors: Floats
    kept: dict[frozenset[str], _Visible]

    def rankings(
        self,
        queries: Sequence[str],
        vectors: Floats | None,
        *,
        by_words: bool,
        held: frozenset[str],
        k: int,
    ) -> list[Ranking]:
        """Return both orders for each query, among what somebody with these labels may see."""
        visible, depth = self._visible_to(held), max(k, DEPTH)
        similarity = self._similarity(vectors, visible) if vectors is not None else None
        rankings: list[Ranking] = []
        for number, query in enumerate(queries):
            words, meaning = _NO_ROWS, _NO_ROWS
            if by_words:
                words = self._by_words(query, visible, depth=depth)
            if vectors is not None and similarity is not None and query.strip():
                meaning = nearest(
                    self.vectors,
                    vectors[number],
                    similarity[:, number],
                    rows=visible.rows,
                    depth=depth,
                    order=self.order,
                )
            rankings.append(Ranking(words, meaning))
        return rankings

    def _visible_to(self, held: frozenset[str]) -> _Visible:
        if held not in self.kept:
            if len(self.kept) >= 16:
                self.kept.clear()
            open_to = [not labels or not labels.isdisjoint(held) for labels in self.access]
            mask: Mask = np.asarray(open_to, dtype=np.bool_)[self.owners]
            self.kept[held] = _Visible(np.flatnonzero(mask), seen(self.postings, mask))
        return self.kept[held]

    def _by_words(self, query: str, visible: _Visible, *, depth: int) -> Rows:
        scores = by_words(self.postings, query, visible.words)
        rows = np.flatnonzero(scores)
        return best(scores[rows], rows, depth=depth, order=self.order)

    def _similarity(self, vectors: Floats, visible: _Visible) -> Floats | None:
        """Return the cosine of each visible row and each query, [rows, queries]; None where there is no row."""
        rows = visible.rows
        if not len(rows):
            return None
        if len(rows) * _FEW < len(self.vectors):
            return self.vectors[rows] @ vectors.T
        similarity = self.vectors @ vectors.T
        return similarity if visible.words.mask is None else similarity[rows]


def load(shelf: Shelf, changes: str) -> Arrays:
    """Read the arrays of an index that has been written `changes` times."""
    documents = shelf.rows("SELECT number, id, access FROM documents ORDER BY number")
    places = {number: place for place, (number, _, _) in enumerate(documents)}
    rows = shelf.rows("SELECT number, document FROM passages ORDER BY number")
    blobs = shelf.rows("SELECT entries, words, counts, vectors FROM arrays ORDER BY document")
    owners = np.asarray([places[document] for _, document in rows], dtype=np.int64)
    by_id = sorted(range(len(documents)), key=lambda place: cast(str, documents[place][1]))
    rank = np.empty(len(documents), dtype=np.int64)
    rank[by_id] = np.arange(len(documents))
    order = np.empty(len(rows), dtype=np.int64)
    order[np.argsort(rank[owners], kind="stable")] = np.arange(len(rows))
    entries, words, counts, vectors = (
        b"".join(cast(bytes, blob[column]) for blob in blobs) for column in range(4)
    )
    matrix = np.frombuffer(vectors, dtype=np.float32)
    return Arrays(
        changes=changes,
        numbers=np.asarray([number for number, _ in rows], dtype=np.int64),
        owners=owners,
        order=order,
        access=tuple(frozenset(labels_of(access)) for _, _, access in documents),
        postings=postings_of(
            Counted(
                entries=np.frombuffer(entries, dtype=np.int32),
                words=np.frombuffer(words, dtype=np.int64),
                counts=np.frombuffer(counts, dtype=np.int32),
            )
        ),
        vectors=matrix.reshape(len(rows), -1) if len(rows) else matrix.reshape(0, 0),
        kept={},
    )


def labels_of(access: str) -> tuple[str, ...]:
    """Return the labels in a cell of the table of documents."""
    return tuple(cast("Sequence[str]", json.loads(access)))
