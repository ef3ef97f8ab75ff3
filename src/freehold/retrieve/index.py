"""An index over documents in one SQLite file, searched by words, by meaning, or by both.

SQLite holds the truth: documents with their labels, passages, the words of each passage and its vector. What
a search needs in arrays is derived from it, and read anew when another process has changed the file.

A document is written in one transaction: after a crash it is in the index as it was or as it is to be. What
is deleted is overwritten in the file.

Not done here: approximate search. Every vector is compared, which is right to some 200,000 passages.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, cast

import numpy as np

from freehold.core.errors import DataError
from freehold.core.record import Record, digest_bytes
from freehold.data.access import strictest
from freehold.data.chunk import ChunkSpec, chunk
from freehold.data.documents import Document, Passage
from freehold.retrieve.rank import Floats, best, fused, nearest
from freehold.retrieve.words import (
    Counted,
    Mask,
    Postings,
    Rows,
    Seen,
    by_words,
    count_words,
    postings_of,
    seen,
)

How = Literal["hybrid", "words", "meaning"]
Embed = Callable[[Sequence[str]], Floats]
"""Texts to unit vectors, float32 [texts, dimension]."""

DEPTH = 100
"""How far down each of two orders is read before they are made one."""
VERSION = "1"
_BATCH_PASSAGES = 512
_BATCH_QUERIES = 32
_WAIT_SECONDS = 30.0
_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    content TEXT NOT NULL,
    title TEXT NOT NULL,
    access TEXT NOT NULL
);
CREATE TABLE passages (
    number INTEGER PRIMARY KEY,
    document INTEGER NOT NULL,
    position INTEGER NOT NULL,
    start INTEGER NOT NULL,
    section TEXT NOT NULL,
    heading TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX passages_of_documents ON passages (document);
CREATE TABLE arrays (
    document INTEGER PRIMARY KEY,
    entries BLOB NOT NULL,
    words BLOB NOT NULL,
    counts BLOB NOT NULL,
    vectors BLOB NOT NULL
);
"""


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


def open_index(path: Path | None, *, embed: Embed, embedder: str) -> Index:
    """Open the index in a file, which is made where there is none; None: an index in memory.

    Args:
        path: the file.
        embed: turns texts into unit vectors.
        embedder: the name or digest of what `embed` computes.

    Raises:
        DataError: the file is no index (DOC-005), or was made with another embedder (DOC-001).
    """
    connection = sqlite3.connect(
        ":memory:" if path is None else path,
        timeout=_WAIT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    return Index(
        connection, embed=embed, embedder=embedder, name=path.name if path else "in memory"
    )


def from_bytes(content: bytes, *, embed: Embed, embedder: str) -> Index:
    """Return an index in memory from what `Index.to_bytes` gave.

    Raises:
        DataError: it is no index (DOC-005), or was made with another embedder (DOC-001).
    """
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        connection.deserialize(content)
    except sqlite3.Error as error:
        raise _no_index("in memory", error) from error
    return Index(connection, embed=embed, embedder=embedder, name="in memory")


class Index:
    """Documents that can be searched; open one with `open_index`."""

    def __init__(
        self, connection: sqlite3.Connection, *, embed: Embed, embedder: str, name: str
    ) -> None:
        self._connection = connection
        self._embed = embed
        self._name = name
        self._arrays: _Arrays | None = None
        self._version = -1
        try:
            _prepare(connection, embedder=embedder, name=name)
        except sqlite3.Error as error:
            connection.close()
            raise _no_index(name, error) from error
        except DataError:
            connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def to_bytes(self) -> bytes:
        """Return the whole index as the bytes of its file."""
        self._connection.execute("VACUUM")
        return self._connection.serialize()

    @property
    def labels(self) -> frozenset[str]:
        """All labels that documents carry; who holds them all sees every document."""
        found = self._connection.execute("SELECT DISTINCT access FROM documents")
        return frozenset(label for (access,) in found for label in _labels(access))

    def __len__(self) -> int:
        """How many passages there are."""
        return int(self._connection.execute("SELECT COUNT(*) FROM passages").fetchone()[0])

    # Writing -------------------------------------------------------------------------------------

    def update(self, documents: Sequence[Document], *, chunk: ChunkSpec) -> Changes:
        """Make the index hold these documents and no others.

        Only what is new or has another content is cut, and only passages that it did not have are embedded. New labels and removals are written first,
        then the documents, some hundred passages at a time; an update that was cut off goes on when it is
        called again.

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
        with self._writing():
            for id_, access in relabelled.items():
                self._connection.execute(
                    "UPDATE documents SET access = ? WHERE id = ?", (access, id_)
                )
            self._delete(removed)
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
        known = self._known()
        gone = tuple(id_ for id_ in dict.fromkeys(document_ids) if id_ in known)
        with self._writing():
            self._delete(gone)
        return gone

    def _known(self) -> dict[str, _Known]:
        rows = self._connection.execute("SELECT id, content, access FROM documents ORDER BY number")
        return {id_: _Known(content, access) for id_, content, access in rows}

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise DataError(
                "DOC-006",
                f"the index {self._name} is being written by another process",
                help="wait until that one has finished, and type the same command again",
                cause=(str(error),),
            ) from error
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        self._arrays = None

    def _delete(self, document_ids: Sequence[str]) -> None:
        for id_ in document_ids:
            found = self._connection.execute("SELECT number FROM documents WHERE id = ?", (id_,))
            for (number,) in found.fetchall():
                for statement in (
                    "DELETE FROM passages WHERE document = ?",
                    "DELETE FROM arrays WHERE document = ?",
                    "DELETE FROM documents WHERE number = ?",
                ):
                    self._connection.execute(statement, (number,))

    def _write(self, batch: Sequence[_Cut]) -> None:
        texts = [passage.whole for cut in batch for passage in cut.passages]
        vectors = self._vectors(texts, [cut.wanted.document.id for cut in batch])
        at = 0
        with self._writing():
            self._delete([cut.wanted.document.id for cut in batch])
            for cut in batch:
                end = at + len(cut.passages)
                self._insert(cut, count_words(texts[at:end]), vectors[at:end])
                at = end

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
        found = self._connection.execute(
            "SELECT documents.number, vectors FROM documents JOIN arrays ON document = number WHERE id = ?",
            (document_id,),
        ).fetchone()
        if found is None or not found[1]:
            return {}
        rows = self._connection.execute(
            "SELECT number FROM passages WHERE document = ? ORDER BY number", (found[0],)
        )
        numbers = [int(number) for (number,) in rows]
        passages = self._passages(numbers)
        vectors = np.frombuffer(found[1], dtype=np.float32).reshape(len(numbers), -1)
        return {
            passages[number].whole: vector for number, vector in zip(numbers, vectors, strict=True)
        }

    def _insert(self, cut: _Cut, counted: Counted, vectors: Floats) -> None:
        wanted = cut.wanted
        number = self._connection.execute(
            "INSERT INTO documents (number, id, content, title, access)"
            " VALUES ((SELECT COALESCE(MAX(number), 0) + 1 FROM documents), ?, ?, ?, ?)",
            (wanted.document.id, wanted.content, wanted.document.title, wanted.access),
        ).lastrowid
        self._connection.executemany(
            "INSERT INTO passages (document, position, start, section, heading, text)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (number, position, passage.start, passage.section, passage.heading, passage.text)
                for position, passage in enumerate(cut.passages, 1)
            ],
        )
        self._connection.execute(
            "INSERT INTO arrays (document, entries, words, counts, vectors) VALUES (?, ?, ?, ?, ?)",
            (
                number,
                counted.entries.tobytes(),
                counted.words.tobytes(),
                counted.counts.tobytes(),
                vectors.tobytes(),
            ),
        )

    # Searching -----------------------------------------------------------------------------------

    def search(
        self,
        queries: Sequence[str],
        *,
        k: int,
        how: How = "hybrid",
        access: frozenset[str] | None = None,
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
        """
        arrays = self._loaded()
        visible = arrays.visible(access or frozenset())
        found: list[list[Found]] = []
        for at in range(0, len(queries), _BATCH_QUERIES):
            some = queries[at : at + _BATCH_QUERIES]
            vectors = None if how == "words" else self._embed(some)
            similarity = None
            if vectors is not None and len(arrays.vectors):
                similarity = arrays.vectors[visible.picked] @ vectors.T
            for number, query in enumerate(some):
                ranking = _Ranking(
                    words=_no_rows() if how == "meaning" else arrays.by_words(query, visible, k=k),
                    meaning=_no_rows()
                    if vectors is None or similarity is None
                    else arrays.by_meaning(vectors[number], similarity[:, number], visible, k=k),
                )
                found.append(self._found(ranking if query.strip() else _NOTHING, k, arrays))
        return found

    def _found(self, ranking: _Ranking, k: int, arrays: _Arrays) -> list[Found]:
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
        rows = self._connection.execute("SELECT number FROM passages ORDER BY number").fetchall()
        numbers = [int(number) for (number,) in rows]
        found = self._passages(numbers)
        return tuple(found[number] for number in numbers)

    def _passages(self, numbers: Sequence[int]) -> dict[int, Passage]:
        found: dict[int, Passage] = {}
        for at in range(0, len(numbers), _BATCH_PASSAGES):
            some = numbers[at : at + _BATCH_PASSAGES]
            rows = self._connection.execute(
                "SELECT passages.number, documents.id, position, title, text, start, section, heading, access"
                " FROM passages JOIN documents ON documents.number = passages.document"
                f" WHERE passages.number IN ({', '.join('?' * len(some))})",
                some,
            )
            found |= {row[0]: _passage(row) for row in rows}
        return found

    def _loaded(self) -> _Arrays:
        version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        if self._arrays is None or version != self._version:
            self._version = version
            self._arrays = _load(self._connection)
        return self._arrays


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


# What is searched --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Visible:
    """The rows that an asker may see, as a selection of the matrix, as numbers, and for words."""

    picked: slice | Rows
    rows: Rows
    words: Seen


@dataclass(frozen=True)
class _Ranking:
    words: Rows
    meaning: Rows


def _no_rows() -> Rows:
    return np.zeros(0, dtype=np.int64)


_NOTHING = _Ranking(_no_rows(), _no_rows())


@dataclass(frozen=True)
class _Arrays:
    """Everything that a search computes with.

    Attributes:
        numbers: of the passages in the file, [n].
        owners: the place of each passage's document in `access`, [n].
        order: the place of each passage by document id and position, [n].
        access: the labels of each document.
        postings: for words.
        vectors: for meaning, [n, d].
        kept: what was computed for askers before.
    """

    numbers: Rows
    owners: Rows
    order: Rows
    access: tuple[frozenset[str], ...]
    postings: Postings
    vectors: Floats
    kept: dict[frozenset[str], _Visible]

    def visible(self, held: frozenset[str]) -> _Visible:
        """Return what somebody with these labels may see."""
        if held not in self.kept:
            if len(self.kept) >= 16:
                self.kept.clear()
            self.kept[held] = self._visible(held)
        return self.kept[held]

    def _visible(self, held: frozenset[str]) -> _Visible:
        open_to = [not labels or not labels.isdisjoint(held) for labels in self.access]
        mask: Mask = np.asarray(open_to, dtype=np.bool_)[self.owners]
        rows = np.flatnonzero(mask)
        words = seen(self.postings, mask)
        return _Visible(slice(None) if words.mask is None else rows, rows, words)

    def by_words(self, query: str, visible: _Visible, *, k: int) -> Rows:
        scores = by_words(self.postings, query, visible.words)
        rows = np.flatnonzero(scores)
        return best(scores[rows], rows, depth=max(k, DEPTH), order=self.order)

    def by_meaning(self, query: Floats, similarity: Floats, visible: _Visible, *, k: int) -> Rows:
        return nearest(
            self.vectors,
            query,
            similarity,
            rows=visible.rows,
            depth=max(k, DEPTH),
            order=self.order,
        )


def _load(connection: sqlite3.Connection) -> _Arrays:
    documents = connection.execute(
        "SELECT number, id, access FROM documents ORDER BY number"
    ).fetchall()
    places = {number: place for place, (number, _, _) in enumerate(documents)}
    rows = connection.execute("SELECT number, document FROM passages ORDER BY number").fetchall()
    blobs = connection.execute(
        "SELECT entries, words, counts, vectors FROM arrays ORDER BY document"
    ).fetchall()
    owners = np.asarray([places[document] for _, document in rows], dtype=np.int64)
    by_id = np.argsort(np.asarray([id_ for _, id_, _ in documents], dtype=object), kind="stable")
    rank = np.empty(len(documents), dtype=np.int64)
    rank[by_id] = np.arange(len(documents))
    order = np.empty(len(rows), dtype=np.int64)
    order[np.argsort(rank[owners], kind="stable")] = np.arange(len(rows))
    vectors = np.frombuffer(b"".join(blob[3] for blob in blobs), dtype=np.float32)
    return _Arrays(
        numbers=np.asarray([number for number, _ in rows], dtype=np.int64),
        owners=owners,
        order=order,
        access=tuple(frozenset(_labels(access)) for _, _, access in documents),
        postings=postings_of(
            Counted(
                entries=np.frombuffer(b"".join(blob[0] for blob in blobs), dtype=np.int32),
                words=np.frombuffer(b"".join(blob[1] for blob in blobs), dtype=np.int64),
                counts=np.frombuffer(b"".join(blob[2] for blob in blobs), dtype=np.int32),
            )
        ),
        vectors=vectors.reshape(len(rows), -1) if len(rows) else vectors.reshape(0, 0),
        kept={},
    )


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
        access=_labels(access),
    )


# The file ----------------------------------------------------------------------------------------


def _prepare(connection: sqlite3.Connection, *, embedder: str, name: str) -> None:
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone():
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.executemany(
                "INSERT INTO about VALUES (?, ?)", [("version", VERSION), ("embedder", embedder)]
            )
        about = dict(connection.execute("SELECT name, value FROM about").fetchall())
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    if about.get("version") != VERSION or about.get("embedder") != embedder:
        raise DataError(
            "DOC-001",
            f"the index {name} was made by another embedder or version: {about.get('embedder')}"
            f" (version {about.get('version')}), not {embedder} (version {VERSION})",
            help="delete the file; it is made anew from the documents",
        )


def _no_index(name: str, error: Exception) -> DataError:
    return DataError(
        "DOC-005",
        f"the file {name} is no index of documents, or is damaged",
        help="delete the file; it is made anew from the documents",
        cause=(str(error),),
    )


def _labels(access: str) -> tuple[str, ...]:
    return tuple(cast("Sequence[str]", json.loads(access)))
