"""An index over documents in one SQLite file, searched by words, by meaning, or by both.

SQLite holds the truth: documents with their labels, passages, the words of each passage and its vector. What
a search needs in arrays is derived from it, and read anew when another process has changed the file.

A document is written in one transaction: after a crash it is in the index as it was or as it is to be. What
is deleted is overwritten in the file.

Not done here: approximate search. Every vector is compared, which is right to some 200,000 passages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Literal, Self

import numpy as np

from freehold.core.errors import DataError
from freehold.core.record import Record, digest_bytes
from freehold.data.access import strictest
from freehold.data.chunk import ChunkSpec, chunk
from freehold.data.documents import Document, Passage
from freehold.retrieve.arrays import Arrays, Ranking, labels_of, load
from freehold.retrieve.rank import Floats, best, fused
from freehold.retrieve.shelf import POSTGRES, Shelf, postgres_shelf, sqlite_shelf, sqlite_shelf_of
from freehold.retrieve.words import Counted, count_words

How = Literal["hybrid", "words", "meaning"]
Embed = Callable[[Sequence[str]], Floats]
"""Texts to unit vectors, float32 [texts, dimension]."""

Rerank = Callable[[str, Sequence[str]], Floats]
"""A question and texts to a score for each text; higher fits better."""

RERANKED = 30
"""How many passages are read again with the question, where something reads them."""
VERSION = "1"
_BATCH_PASSAGES = 512
_BATCH_QUERIES = 32


class Found(Record):
    """A passage that was found, its score, and its rank (from 1) in each of the two orders, if it is in it."""

    passage: Passage
    score: float
    by_words: int | None
    by_meaning: int | None


class Changes(Record):
    """What an update did, by the ids of documents.

    Attributes:
        added: were not in the index.
        changed: had another text, title, cut or other labels.
        removed: are no longer given, or say what an earlier document says.
        unchanged: were left as they are; nothing of them was embedded.
        duplicates: documents with the text of an earlier one, each with the id of that one. They are kept
            once, under the earlier id.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    duplicates: tuple[tuple[str, str], ...] = ()


def open_index(path: Path | str | None, *, embed: Embed, embedder: str) -> Index:
    """Open the index in a file, which is made where there is none; None: an index in memory.

    Args:
        path: the file, or `postgresql://host/database#schema` for tables in a database.
        embed: turns texts into unit vectors.
        embedder: the name or digest of what `embed` computes.

    Raises:
        DataError: the file is no index (DOC-005), or was made with another embedder (DOC-001).
        MachineError: the database cannot be opened (DOC-007).
    """
    if isinstance(path, str) and path.startswith(POSTGRES):
        return Index(postgres_shelf(path), embed=embed, embedder=embedder)
    return Index(sqlite_shelf(None if path is None else Path(path)), embed=embed, embedder=embedder)


def from_bytes(content: bytes, *, embed: Embed, embedder: str) -> Index:
    """Return an index in memory from what `Index.to_bytes` gave.

    Raises:
        DataError: it is no index (DOC-005), or was made with another embedder (DOC-001).
    """
    return Index(sqlite_shelf_of(content), embed=embed, embedder=embedder)


class Index:
    """Documents that can be searched; open one with `open_index`. Threads may share it."""

    def __init__(self, shelf: Shelf, *, embed: Embed, embedder: str) -> None:
        self._shelf = shelf
        self._embed = embed
        self._arrays: Arrays | None = None
        self._lock = RLock()
        try:
            _check(shelf, embedder)
        except DataError:
            shelf.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file or the connection."""
        self._shelf.close()

    def to_bytes(self) -> bytes:
        """Return the whole index as the bytes of its file."""
        with self._lock:
            return self._shelf.to_bytes()

    @property
    def labels(self) -> frozenset[str]:
        """All labels that documents carry; who holds them all sees every document."""
        with self._lock:
            found = self._shelf.rows("SELECT DISTINCT access FROM documents")
        return frozenset(label for (access,) in found for label in labels_of(access))

    def __len__(self) -> int:
        """How many passages there are."""
        with self._lock:
            return int(self._shelf.rows("SELECT COUNT(*) FROM passages")[0][0])

    # Writing -------------------------------------------------------------------------------------

    def update(self, documents: Sequence[Document], *, chunk: ChunkSpec) -> Changes:
        """Make the index hold these documents and no others.

        Only what is new or has another content is cut, and only passages that it did not have are
        embedded. New labels and removals are written first, then the documents, some hundred passages at a
        time; an update that was cut off goes on when it is called again.

        Raises:
            DataError: two documents share an id (DOC-004), or two with one text have labels that nobody
                can hold both of (DOC-002).
        """
        wanted, duplicates = _wanted(documents, chunk)
        known = self._known()
        added = tuple(id_ for id_ in wanted if id_ not in known)
        anew = [
            one
            for id_, one in wanted.items()
            if id_ not in known or known[id_].content != one.content
        ]
        relabelled = {
            id_: one.access
            for id_, one in wanted.items()
            if id_ in known and known[id_].access != one.access
        }
        removed = tuple(id_ for id_ in known if id_ not in wanted)
        with self._lock:
            if relabelled or removed:
                with self._shelf.writing():
                    self._shelf.write(
                        "UPDATE documents SET access = ? WHERE id = ?",
                        [(access, id_) for id_, access in relabelled.items()],
                    )
                    self._delete(removed)
                    self._count_a_change()
            for batch in _batches(anew, chunk):
                self._write(batch)
        written = {one.document.id for one in anew} | set(relabelled)
        return Changes(
            added=added,
            changed=tuple(id_ for id_ in wanted if id_ in written and id_ in known),
            removed=removed,
            unchanged=tuple(id_ for id_ in wanted if id_ not in written),
            duplicates=duplicates,
        )

    def remove(self, document_ids: Iterable[str]) -> tuple[str, ...]:
        """Take documents out; their text is overwritten. Return the ids that were there."""
        with self._lock:
            known = self._known()
            gone = tuple(id_ for id_ in dict.fromkeys(document_ids) if id_ in known)
            with self._shelf.writing():
                self._delete(gone)
                self._count_a_change()
        return gone

    def _known(self) -> dict[str, _Known]:
        rows = self._shelf.rows("SELECT id, content, access FROM documents ORDER BY number")
        return {id_: _Known(content, access) for id_, content, access in rows}

    def _count_a_change(self) -> None:
        self._shelf.rows(
            "UPDATE about SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = 'changes'"
        )

    def _delete(self, document_ids: Sequence[str]) -> None:
        ids = [(id_,) for id_ in document_ids]
        of_document = "WHERE document = (SELECT number FROM documents WHERE id = ?)"
        self._shelf.write(f"DELETE FROM passages {of_document}", ids)
        self._shelf.write(f"DELETE FROM arrays {of_document}", ids)
        self._shelf.write("DELETE FROM documents WHERE id = ?", ids)

    def _write(self, batch: Sequence[_Cut]) -> None:
        texts = [passage.whole for cut in batch for passage in cut.passages]
        vectors = self._vectors(texts, [cut.wanted.document.id for cut in batch])
        at = 0
        with self._shelf.writing():
            self._delete([cut.wanted.document.id for cut in batch])
            for cut in batch:
                end = at + len(cut.passages)
                self._insert(cut, count_words(texts[at:end]), vectors[at:end])
                at = end
            self._count_a_change()

    def _vectors(self, texts: Sequence[str], document_ids: Sequence[str]) -> Floats:
        """Return the vector of each text; those that the documents have already are not computed again."""
        kept: dict[str, Floats] = {}
        for id_ in document_ids:
            kept |= self._vectors_of(id_)
        new = [text for text in dict.fromkeys(texts) if text not in kept]
        if new:
            vectors = np.ascontiguousarray(self._embed(new), dtype=np.float32)
            kept |= zip(new, vectors, strict=True)
        return np.stack([kept[text] for text in texts]) if texts else np.zeros((0, 0), np.float32)

    def _vectors_of(self, document_id: str) -> dict[str, Floats]:
        found = self._shelf.rows(
            "SELECT documents.number, vectors FROM documents JOIN arrays ON document = number WHERE id = ?",
            (document_id,),
        )
        if not found or not found[0][1]:
            return {}
        rows = self._shelf.rows(
            "SELECT number FROM passages WHERE document = ? ORDER BY number", (found[0][0],)
        )
        numbers = [int(number) for (number,) in rows]
        passages = self._passages(numbers)
        vectors = np.frombuffer(found[0][1], dtype=np.float32).reshape(len(numbers), -1)
        return {
            passages[number].whole: vector for number, vector in zip(numbers, vectors, strict=True)
        }

    def _next(self, table: Literal["documents", "passages"]) -> int:
        return int(self._shelf.rows(f"SELECT COALESCE(MAX(number), 0) + 1 FROM {table}")[0][0])

    def _insert(self, cut: _Cut, counted: Counted, vectors: Floats) -> None:
        wanted, number, first = cut.wanted, self._next("documents"), self._next("passages")
        self._shelf.rows(
            "INSERT INTO documents (number, id, content, title, access) VALUES (?, ?, ?, ?, ?)",
            (number, wanted.document.id, wanted.content, wanted.document.title, wanted.access),
        )
        self._shelf.write(
            "INSERT INTO passages (number, document, position, start, section, heading, text)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (first + place, number, place + 1, one.start, one.section, one.heading, one.text)
                for place, one in enumerate(cut.passages)
            ],
        )
        blobs = (counted.entries, counted.words, counted.counts, vectors)
        self._shelf.rows(
            "INSERT INTO arrays (document, entries, words, counts, vectors) VALUES (?, ?, ?, ?, ?)",
            (number, *(blob.tobytes() for blob in blobs)),
        )

    # Searching -----------------------------------------------------------------------------------

    def search(
        self,
        queries: Sequence[str],
        *,
        k: int,
        how: How = "hybrid",
        access: frozenset[str] | None = None,
        rerank: Rerank | None = None,
    ) -> list[list[Found]]:
        """Return the k best passages for each query, the best first; fewer where fewer are found.

        Any text is a query. A query of white space finds nothing.

        Args:
            queries: what is asked.
            k: how many passages.
            how: by words (BM25), by meaning (cosine), or by both orders made one by reciprocal rank fusion.
            access: the labels that the asker holds; None and the empty set: none. A document without
                labels is seen by everybody, one with labels by those who hold one of them. What is not
                seen has no influence on what is found, its order or its score.
            rerank: reads the 30 best passages (or k, if that is more) with the query, and its scores decide.
        """
        if rerank is not None:
            wide = self.search(queries, k=max(k, RERANKED), how=how, access=access)
            return [
                _reread(query, found, rerank)[:k]
                for query, found in zip(queries, wide, strict=True)
            ]
        found: list[list[Found]] = []
        for at in range(0, len(queries), _BATCH_QUERIES):
            some = queries[at : at + _BATCH_QUERIES]
            vectors = None if how == "words" else self._embed(some)
            with self._lock, self._shelf.reading():
                arrays = self._loaded()
                rankings = arrays.rankings(
                    some, vectors, by_words=how != "meaning", held=access or frozenset(), k=k
                )
                found.extend(self._found(ranking, k, arrays) for ranking in rankings)
        return found

    def _found(self, ranking: Ranking, k: int, arrays: Arrays) -> list[Found]:
        scores = fused((ranking.words, ranking.meaning), (1.0, 1.0))
        rows = np.fromiter(scores, dtype=np.int64, count=len(scores))
        values = np.fromiter(scores.values(), dtype=np.float64, count=len(scores))
        chosen = best(values, rows, depth=k, order=arrays.order).tolist()
        words = {row: rank for rank, row in enumerate(ranking.words.tolist(), 1)}
        meaning = {row: rank for rank, row in enumerate(ranking.meaning.tolist(), 1)}
        passages = self._passages([int(arrays.numbers[row]) for row in chosen])
        return [
            Found(
                passage=passages[int(arrays.numbers[row])],
                score=scores[row],
                by_words=words.get(row),
                by_meaning=meaning.get(row),
            )
            for row in chosen
        ]

    def passages(self) -> tuple[Passage, ...]:
        """Return every passage, whoever may see it, in the order in which they were written."""
        with self._lock, self._shelf.reading():
            rows = self._shelf.rows("SELECT number FROM passages ORDER BY number")
            numbers = [int(number) for (number,) in rows]
            found = self._passages(numbers)
        return tuple(found[number] for number in numbers)

    def _passages(self, numbers: Sequence[int]) -> dict[int, Passage]:
        found: dict[int, Passage] = {}
        for at in range(0, len(numbers), _BATCH_PASSAGES):
            some = numbers[at : at + _BATCH_PASSAGES]
            rows = self._shelf.rows(
                "SELECT passages.number, documents.id, position, title, text, start, section, heading, access"
                " FROM passages JOIN documents ON documents.number = passages.document"
                f" WHERE passages.number IN ({', '.join('?' * len(some))})",
                some,
            )
            found |= {row[0]: _passage(row) for row in rows}
        return found

    def _loaded(self) -> Arrays:
        (changes,) = self._shelf.rows("SELECT value FROM about WHERE name = 'changes'")[0]
        if self._arrays is None or self._arrays.changes != changes:
            self._arrays = load(self._shelf, changes)
        return self._arrays


def _reread(query: str, found: Sequence[Found], rerank: Rerank) -> list[Found]:
    """Return what was found in the order of new scores; equal ones stay in the order that they had."""
    scores = [float(score) for score in rerank(query, [one.passage.whole for one in found])]
    order = sorted(range(len(found)), key=lambda place: -scores[place])
    return [found[place].model_copy(update={"score": scores[place]}) for place in order]


# What is written ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Known:
    content: str
    access: str


@dataclass(frozen=True)
class _Wanted:
    document: Document
    content: str
    access: str


@dataclass(frozen=True)
class _Cut:
    wanted: _Wanted
    passages: tuple[Passage, ...]


def _wanted(
    documents: Sequence[Document], spec: ChunkSpec
) -> tuple[dict[str, _Wanted], tuple[tuple[str, str], ...]]:
    ids: set[str] = set()
    first_with: dict[str, Document] = {}
    duplicates: list[tuple[str, str]] = []
    for document in documents:
        if document.id in ids:
            raise DataError(
                "DOC-004",
                f"two documents have the id `{document.id}`",
                help="give each document an id of its own",
            )
        ids.add(document.id)
        first = first_with.setdefault(document.text, document)
        if first is not document:
            duplicates.append((document.id, first.id))
            first_with[document.text] = first.model_copy(
                update={
                    "access": strictest(first.access, document.access, of=(first.id, document.id))
                }
            )
    cut = json.dumps(spec.to_json())
    wanted = {
        document.id: _Wanted(
            document=document,
            content=_content(document, cut),
            access=json.dumps(sorted(set(document.access)), ensure_ascii=False),
        )
        for document in first_with.values()
    }
    return wanted, tuple(duplicates)


def _content(document: Document, cut: str) -> str:
    """Name what decides the passages: how the document is cut, its title and its text."""
    parts = (cut, document.title, document.text)
    return digest_bytes(b"\0".join(part.encode("utf-8", "surrogatepass") for part in parts))


def _batches(wanted: Iterable[_Wanted], spec: ChunkSpec) -> Iterator[tuple[_Cut, ...]]:
    batch: list[_Cut] = []
    passages = 0
    for one in wanted:
        batch.append(_Cut(one, chunk(one.document, spec)))
        passages += len(batch[-1].passages)
        if passages >= _BATCH_PASSAGES:
            yield tuple(batch)
            batch, passages = [], 0
    if batch:
        yield tuple(batch)


def _passage(row: tuple[int, str, int, str, str, int, str, str, str]) -> Passage:
    _, id_, position, title, text, start, section, heading, access = row
    return Passage(
        id=f"{id_}#{position}",
        document_id=id_,
        title=title,
        text=text,
        start=start,
        section=section,
        heading=heading,
        access=labels_of(access),
    )


def _check(shelf: Shelf, embedder: str) -> None:
    """Write down who makes the index, or refuse one that another embedder or version made."""
    if not shelf.rows("SELECT name FROM about"):
        with shelf.writing():
            shelf.write(
                "INSERT INTO about (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
                [("version", VERSION), ("embedder", embedder), ("changes", "0")],
            )
    about: dict[str, str] = dict(shelf.rows("SELECT name, value FROM about"))
    if about.get("version") != VERSION or about.get("embedder") != embedder:
        raise DataError(
            "DOC-001",
            f"the index {shelf.name} was made by another embedder or version: {about.get('embedder')}"
            f" (version {about.get('version')}), not {embedder} (version {VERSION})",
            help="delete it; it is made anew from the documents",
        )
