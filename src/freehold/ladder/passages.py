"""The passages of a rung that searches documents: the index it carries, who may see what, and its building.

A candidate carries its index as a file, so that it answers from its files alone. The index that is built from
is kept under `.freehold/index/`: when documents change, only those that changed are embedded again.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import JsonValue

from freehold.core.record import digest_json
from freehold.core.snapshot import Example
from freehold.data.chunk import ChunkSpec
from freehold.data.documents import Passage
from freehold.ladder.events import Progress
from freehold.ladder.tools import Floats, Tools
from freehold.models.rerank import Rerank
from freehold.retrieve.index import Embed, How, Index, from_bytes, open_index

INDEX_FILE = "index.db"
KEPT_INDEXES = "index"
_MOST_REMEMBERED = 4_096


class Search(Protocol):
    """Finds passages for questions, and knows all passages that there are."""

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Every passage that can be found, whoever asks."""
        ...

    def find(self, texts: Sequence[str], access: Sequence[frozenset[str]]) -> list[list[Passage]]:
        """Return the passages for each text, the best first, that the holder of its labels may see."""
        ...


def labels_of(text: str) -> frozenset[str]:
    """Return the access labels that a column holds: a JSON list, or names separated by commas."""
    if text.lstrip().startswith("["):
        try:
            found: JsonValue = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, list):
            return frozenset(str(label).strip() for label in found if str(label).strip())
    return frozenset(part.strip() for part in text.split(",") if part.strip())


@dataclass(frozen=True)
class Access:
    """Which labels an asker holds: those that the task gives to all, and those of the example's own column."""

    fixed: frozenset[str] = frozenset()
    column: str | None = None

    def own(self, example: Example) -> frozenset[str]:
        """Return the labels that the example itself brings."""
        return labels_of(example.fields.get(self.column, "")) if self.column else frozenset()

    def of(self, example: Example) -> frozenset[str]:
        """Return all labels with which an example's question is asked."""
        return self.fixed | self.own(example)


class Remembering:
    """Turns texts into vectors, and remembers those of the last texts: a question is embedded once."""

    def __init__(self, embed: Embed) -> None:
        """Keep what embeds."""
        self._embed = embed
        self._known: dict[str, Floats] = {}

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return one unit vector per text, float32 [n, d]."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if len(self._known) + len(missing) > _MOST_REMEMBERED:
            self._known.clear()
            missing = list(dict.fromkeys(texts))
        if missing:
            self._known.update(zip(missing, self._embed(missing), strict=True))
        return np.stack([self._known[text] for text in texts]) if texts else self._embed(texts)


class IndexSearch:
    """Searches the index that a candidate carries."""

    def __init__(self, index: Index, *, k: int, how: How, rerank: Rerank | None = None) -> None:
        """Take over an index, which is closed when this is let go."""
        self._index = index
        self._rerank = rerank
        self._k = k
        self._how: How = how
        self._passages: tuple[Passage, ...] | None = None
        weakref.finalize(self, index.close)

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Every passage of the index, read once."""
        if self._passages is None:
            self._passages = self._index.passages()
        return self._passages

    def find(self, texts: Sequence[str], access: Sequence[frozenset[str]]) -> list[list[Passage]]:
        """Return the k best passages for each text; the labels are part of the search itself."""
        found: list[list[Passage]] = [[] for _ in texts]
        for labels in sorted(set(access), key=sorted):
            places = [place for place, held in enumerate(access) if held == labels]
            asked = [texts[place] for place in places]
            results = self._index.search(
                asked, k=self._k, how=self._how, access=labels, rerank=self._rerank
            )
            for place, result in zip(places, results, strict=True):
                found[place] = [one.passage for one in result]
        return found


class NearestPassages:
    """Searches by embedding alone, as candidates did that were built before they carried an index."""

    def __init__(self, texts: Sequence[str], vectors: Floats, *, k: int, embed: Embed) -> None:
        """Keep the texts and their vectors."""
        self._vectors = vectors
        self._k = k
        self._embed = embed
        self.passages = tuple(
            Passage(id=f"passage#{number}", document_id="", title="", text=text, start=0)
            for number, text in enumerate(texts, 1)
        )

    def find(self, texts: Sequence[str], access: Sequence[frozenset[str]]) -> list[list[Passage]]:
        """Return the nearest passages, the most similar last. These have no labels: nobody is refused one."""
        del access
        near = nearest(self._embed(texts), self._vectors, self._k)
        return [[self.passages[index] for index in indexes] for indexes in near]


def nearest(queries: Floats, vectors: Floats, k: int) -> list[list[int]]:
    """Return, for each query, the k nearest rows of `vectors`, the most similar last.

    Args:
        queries: unit vectors, [q, d].
        vectors: unit vectors, [n, d].
        k: how many; fewer where n < k.
    """
    k = min(k, len(vectors))
    if k == 0:
        return [[] for _ in queries]
    similarity = queries @ vectors.T
    top = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    found: list[list[int]] = []
    for row, indexes in zip(similarity, top, strict=True):
        found.append([int(i) for i in sorted(indexes, key=lambda i: (row[i], -i))])
    return found


def open_search(
    content: bytes, tools: Tools, *, k: int, how: How, embed: Embed, rerank: str | None = None
) -> IndexSearch:
    """Return the search over an index file that a candidate carries; `rerank` names a cross-encoder.

    Raises:
        DataError: the file is no index, or was made with another embedder (DOC-005, DOC-001).
    """
    embedder = tools.models.embedder(tools.task.embedder).digest
    index = from_bytes(content, embed=embed, embedder=embedder)
    reads_again = tools.models.reranker(rerank) if rerank is not None else None
    return IndexSearch(index, k=k, how=how, rerank=reads_again)


@dataclass(frozen=True)
class BuiltIndex:
    """An index as the bytes of its file, and the seconds of earlier work that it stands on."""

    content: bytes
    earlier_seconds: float


def build_index(tools: Tools, chunk: ChunkSpec) -> BuiltIndex:
    """Return the index of the task's documents; what did not change since the last time is taken over.

    Work of earlier builds is counted as if it had been done now: the seconds of the last index in proportion to
    the documents that were taken over from it. An index that cannot be used is made anew.
    """
    embedder = tools.models.embedder(tools.task.embedder)
    kept_as = digest_json("kept index", [embedder.digest, chunk.to_json()])
    key = digest_json("index", [kept_as, tools.task.documents_digest])
    same = _last(tools, "index", key)
    if same is not None and str(same["blob"]) in tools.store.blobs:
        return BuiltIndex(tools.store.blobs.get(str(same["blob"])), float(str(same["seconds"])))
    before = _last(tools, "index work", kept_as)
    started = tools.clock()
    tools.on_progress(Progress("building", 0, len(tools.documents), "indexing documents"))
    path = tools.store.folder / KEPT_INDEXES / f"{kept_as.removeprefix('sha256:')[:16]}.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_index(path, embed=tools.embed, embedder=embedder.digest) as index:
        changes = index.update(tools.documents, chunk=chunk)
        content = index.to_bytes()
    now = tools.clock() - started
    earlier = 0.0
    if before is not None and changes.unchanged:
        share = len(changes.unchanged) / max(int(str(before["documents"])), 1)
        earlier = min(share, 1.0) * float(str(before["seconds"]))
    work: dict[str, JsonValue] = {"seconds": now + earlier, "documents": len(tools.documents)}
    tools.store.note("index", key, {"blob": tools.store.blobs.put(content), **work})
    tools.store.note("index work", kept_as, work)
    return BuiltIndex(content, earlier)


def _last(tools: Tools, kind: str, subject: str) -> Mapping[str, JsonValue] | None:
    entries = tools.store.ledger.entries(kind, subject=subject)
    return json.loads(entries[-1].body) if entries else None
