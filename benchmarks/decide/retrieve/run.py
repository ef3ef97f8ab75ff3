# pyright: basic, reportMissingImports=false, reportUnnecessaryTypeIgnoreComment=false
"""How well and how fast passages are found. See RESULTS.md.

    python benchmarks/decide/retrieve/run.py --data ../shared/data [--part quality|scale] [--passages N]

`figures.json` keeps the figures of both parts, so that one of them can be measured again by itself.
Peers of the same run: bm25s and SQLite FTS5, both over the same passages as Freehold.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import bm25s
import numpy as np
from table import results

from freehold.data.chunk import ChunkSpec, chunk
from freehold.data.documents import Document, read_documents
from freehold.evaluate.statistics import wilson
from freehold.models.embed import DEFAULT_EMBEDDER, open_embedder
from freehold.retrieve.index import Found, Index, open_index
from freehold.retrieve.words import words_of

HERE = Path(__file__).parent
SPECS = tuple(
    ChunkSpec(size=size, overlap=overlap)
    for size, overlap in ((200, 0), (400, 0), (400, 100), (800, 0), (1600, 0))
)
WAYS = ("words", "meaning", "hybrid")
DIMENSION = 384
K = 10


def main() -> None:
    arguments = read_arguments()
    measured = {}
    if arguments.part in ("quality", None):
        measured["quality"] = quality(arguments.data)
    if arguments.part in ("scale", None):
        measured["scale"] = scale(arguments.data, arguments.passages)
    file = HERE / "figures.json"
    figures = (json.loads(file.read_text()) if file.exists() else {}) | measured
    file.write_text(json.dumps(figures, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(results(figures))
    print(json.dumps(figures, indent=1))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=("quality", "scale"))
    parser.add_argument("--passages", type=int, default=100_000)
    return parser.parse_args()


def machine() -> dict:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "versions": {name: version(name) for name in ("numpy", "bm25s", "sentence-transformers")},
        "sqlite": sqlite3.sqlite_version,
    }


# Quality -------------------------------------------------------------------------------------


def quality(data: Path) -> dict:
    """Every question of xquad_en against all its paragraphs; half of the articles are for choosing."""
    documents = read_documents(data / "xquad_en" / "documents.jsonl")
    rows = [json.loads(line) for line in (data / "xquad_en" / "questions.jsonl").open()]
    titles = sorted({document.title for document in documents})
    for_choosing = set(titles[::2])
    title_of = {document.id: document.title for document in documents}
    is_dev = np.asarray([title_of[row["document"]] in for_choosing for row in rows])
    embedder = open_embedder(DEFAULT_EMBEDDER, cache=Path(tempfile.gettempdir()))
    began = time.process_time()
    kept = Kept(embedder.encode)
    kept([row["input"] for row in rows])
    question_seconds = (time.process_time() - began) / len(rows)
    cuts = [measure_cut(documents, rows, spec, embed=kept, is_dev=is_dev) for spec in SPECS]
    chosen = max(cuts, key=lambda cut: (cut["ways"]["hybrid"]["dev"]["recall@5"], cut["size"]))
    return {
        **machine(),
        "documents": len(documents),
        "questions": len(rows),
        "dev_questions": int(is_dev.sum()),
        "articles": len(titles),
        "embedder": DEFAULT_EMBEDDER,
        "cpu_seconds_per_question": question_seconds,
        "chosen": {"size": chosen["size"], "overlap": chosen["overlap"]},
        "cuts": cuts,
    }


class Kept:
    """An embedder that remembers."""

    def __init__(self, encode: Callable[[Sequence[str]], np.ndarray]) -> None:
        self.encode = encode
        self.vectors: dict[str, np.ndarray] = {}

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        if new:
            self.vectors.update(zip(new, self.encode(new), strict=True))
        return np.stack([self.vectors[text] for text in texts])


def measure_cut(documents, rows, spec: ChunkSpec, *, embed: Kept, is_dev: np.ndarray) -> dict:
    questions = [row["input"] for row in rows]
    index = open_index(None, embed=embed, embedder=DEFAULT_EMBEDDER)
    index.update(documents, chunk=spec)
    passages = [passage for document in documents for passage in chunk(document, spec)]
    texts = [passage.whole for passage in passages]
    spans = [(one.document_id, one.start, one.start + len(one.text)) for one in passages]
    found = {way: spans_of(index.search(questions, k=K, how=way)) for way in WAYS}
    found |= {
        name: [[spans[row] for row in best] for best in search(questions)]
        for name, search in (("bm25s", bm25s_search(texts)), ("fts5", fts5_search(texts)))
    }
    whole = [sum(holds(span, row) for span in spans) > 0 for row in rows]
    return {
        "size": spec.size,
        "overlap": spec.overlap,
        "passages": len(index),
        "answer_in_one_passage": float(np.mean(whole)),
        "ways": {
            way: {
                part: scores(
                    [
                        rank(best, row)
                        for best, row, take in zip(lists, rows, mask, strict=True)
                        if take
                    ],
                    [
                        document_rank(best, row)
                        for best, row, take in zip(lists, rows, mask, strict=True)
                        if take
                    ],
                )
                for part, mask in (("dev", is_dev), ("rest", ~is_dev), ("all", is_dev | True))
            }
            for way, lists in found.items()
        },
    }


def spans_of(lists: Sequence[Sequence[Found]]) -> list:
    return [
        [
            (one.passage.document_id, one.passage.start, one.passage.start + len(one.passage.text))
            for one in best
        ]
        for best in lists
    ]


def holds(span: tuple[str, int, int], row: dict) -> bool:
    document, start, end = span
    answer = row["answer_start"]
    return document == row["document"] and start <= answer and answer + len(row["target"]) <= end


def rank(best: Sequence[tuple[str, int, int]], row: dict) -> int:
    return next((place for place, span in enumerate(best, 1) if holds(span, row)), 0)


def document_rank(best: Sequence[tuple[str, int, int]], row: dict) -> int:
    return next((place for place, span in enumerate(best, 1) if span[0] == row["document"]), 0)


def scores(ranks: Sequence[int], document_ranks: Sequence[int]) -> dict:
    """Recall at 1, 5 and 10, and nDCG at 10 with one right passage: 1 / log2(1 + rank)."""
    n = len(ranks)
    found: dict = {"n": n}
    for depth in (1, 5, 10):
        hits = sum(0 < rank <= depth for rank in ranks)
        found[f"recall@{depth}"] = hits / n
        found[f"recall@{depth}_interval"] = wilson(hits, n)
    gains = np.asarray([1 / np.log2(1 + rank) if rank else 0.0 for rank in ranks])
    draws = np.random.default_rng(7).integers(0, n, size=(2000, n))
    found["ndcg@10"] = float(gains.mean())
    found["ndcg@10_interval"] = [
        float(x) for x in np.quantile(gains[draws].mean(axis=1), (0.025, 0.975))
    ]
    found["document_recall@5"] = sum(0 < rank <= 5 for rank in document_ranks) / n
    return found


def bm25s_search(texts: Sequence[str]):
    retriever = bm25s.BM25(k1=1.2, b=0.75)
    retriever.index([words_of(text) for text in texts], show_progress=False)

    def search(questions: Sequence[str], k: int = K) -> list[list[int]]:
        tokens = [words_of(question) or [""] for question in questions]
        rows, _ = retriever.retrieve(tokens, k=min(k, len(texts)), show_progress=False)
        return [row.tolist() for row in rows]

    return search


def fts5_search(texts: Sequence[str], file: str = ":memory:"):
    connection = sqlite3.connect(file)
    connection.execute(
        "CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'unicode61 remove_diacritics 2')"
    )
    connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", enumerate(texts))
    connection.commit()

    def search(questions: Sequence[str], k: int = K) -> list[list[int]]:
        statement = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        asked = [
            " OR ".join(f'"{word}"' for word in dict.fromkeys(words_of(one))) for one in questions
        ]
        return [[row for (row,) in connection.execute(statement, (one, k))] for one in asked]

    return search


# Scale ---------------------------------------------------------------------------------------


def scale(data: Path, count: int) -> dict:
    """Search among many passages: the Python proposals again and again, a fifth of the words replaced."""
    spec = ChunkSpec(size=800)
    documents = many_documents(data, count)
    queries = make_queries(documents, 60)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "index.db"
        began, cpu = time.perf_counter(), time.process_time()
        index = open_index(file, embed=drawn, embedder="drawn")
        index.update(documents, chunk=spec)
        index.search(queries[:1], k=5)
        build, build_cpu = time.perf_counter() - began, time.process_time() - cpu
        figures = {
            **machine(),
            "documents": len(documents),
            "passages": len(index),
            "characters": sum(len(document.text) for document in documents),
            "build_seconds": build,
            "build_cpu_seconds": build_cpu,
            "file_bytes": file.stat().st_size,
            "search": {way: timed(index, queries, way) for way in WAYS},
            "held_half": timed(index, queries, "hybrid", access=frozenset({"half"})),
        }
        print(json.dumps(figures), flush=True)
        figures["update"] = updated(index, documents, spec)
        print(json.dumps(figures["update"]), flush=True)
        index.close()
        began, cpu = time.perf_counter(), time.process_time()
        with open_index(file, embed=drawn, embedder="drawn") as index:
            index.search(queries[:1], k=5)
            figures["open_seconds"] = time.perf_counter() - began
            figures["open_cpu_seconds"] = time.process_time() - cpu
            figures["memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            texts = [passage.whole for passage in index.passages()]
        figures["embedding"] = embedding_time(texts, queries)
        print(json.dumps(figures["embedding"]), flush=True)
        figures["peers"] = peers(texts, queries, Path(folder))
    return figures


def many_documents(data: Path, count: int) -> list[Document]:
    """Copies of the proposals, with as much text as `count` passages have or a little more."""
    originals = read_documents(data / "peps" / "documents.jsonl")
    passages = {one.id: len(chunk(one, ChunkSpec(size=800))) for one in originals}
    vocabulary = sorted(
        {word for one in originals for word in one.text.split(" ") if word.isalpha()}
    )
    rng = np.random.default_rng(7)
    documents: list[Document] = []
    for copy in range(10_000):
        for original in originals:
            words = original.text.split(" ")
            for place in np.flatnonzero(rng.random(len(words)) < 0.2) if copy else ():
                if words[place].isalpha():
                    words[place] = vocabulary[int(rng.integers(len(vocabulary)))]
            documents.append(
                Document(
                    id=f"{original.id}-{copy}",
                    title=original.title,
                    text=" ".join(words),
                    access=("half", "all") if len(documents) % 2 else ("all",),
                )
            )
            count -= passages[original.id]
            if count <= -1000:
                return documents
    raise SystemExit("too many passages asked for")


def make_queries(documents: Sequence[Document], count: int) -> list[str]:
    """Ten words in a row of a document, common words and all."""
    rng = np.random.default_rng(8)
    queries = []
    while len(queries) < count:
        words = words_of(documents[int(rng.integers(len(documents)))].text)
        at = int(rng.integers(max(1, len(words) - 10)))
        queries.append(" ".join(words[at : at + 10]))
    return queries


class Drawn:
    """Vectors that say nothing, equal for equal texts: what a vector says does not change the time."""

    texts = 0

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += len(texts)
        seeds = [hash(text) & 0xFFFFFFFF for text in texts]
        rows = np.stack([np.random.default_rng(seed).standard_normal(DIMENSION) for seed in seeds])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


drawn = Drawn()


def timed(
    index: Index, queries: Sequence[str], way, *, access: frozenset[str] = frozenset({"all"})
) -> dict:
    index.search(queries[:5], k=5, how=way, access=access)
    return percentiles(lambda query: index.search([query], k=5, how=way, access=access), queries)


def percentiles(search: Callable[[str], object], queries: Sequence[str]) -> dict:
    wall, cpu = [], []
    for query in queries:
        began, used = time.perf_counter(), time.process_time()
        search(query)
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    return {
        "p50_ms": float(np.percentile(wall, 50)),
        "p95_ms": float(np.percentile(wall, 95)),
        "best_ms": float(min(wall)),
        "cpu_p50_ms": float(np.percentile(cpu, 50)),
    }


def updated(index: Index, documents: Sequence[Document], spec: ChunkSpec) -> dict:
    """Change 100 documents, and search: with everything given, as a folder is read again."""
    changed = [
        document.model_copy(update={"text": document.text + "\n\nOne more sentence."})
        if number < 100
        else document
        for number, document in enumerate(documents)
    ]
    drawn_before = drawn.texts
    began, cpu = time.perf_counter(), time.process_time()
    changes = index.update(changed, chunk=spec)
    index.search(["one more sentence"], k=5)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "changed": len(changes.changed),
        "embedded": drawn.texts - drawn_before - 1,
        "passages": sum(len(chunk(document, spec)) for document in changed[:100]),
    }


def peers(texts: Sequence[str], queries: Sequence[str], folder: Path) -> dict:
    found = {}
    for name, make in (
        ("bm25s", lambda: bm25s_search(texts)),
        ("fts5", lambda: fts5_search(texts, str(folder / "fts5.db"))),
    ):
        began = time.perf_counter()
        search = make()
        build = time.perf_counter() - began
        search(queries[:2], 5)
        found[name] = {
            **percentiles(lambda query, search=search: search([query], 5), queries),
            "build_seconds": build,
        }
    found["fts5"]["file_bytes"] = (folder / "fts5.db").stat().st_size
    return found


def embedding_time(texts: Sequence[str], queries: Sequence[str]) -> dict:
    embedder = open_embedder(DEFAULT_EMBEDDER, cache=Path(tempfile.gettempdir()))
    texts = texts[:: len(texts) // 64][:64]
    embedder.encode(texts[:4])
    began, cpu = time.perf_counter(), time.process_time()
    embedder.encode(texts)
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    return {
        "texts": len(texts),
        "seconds_per_text": wall / len(texts),
        "cpu_seconds_per_text": used / len(texts),
        "query": percentiles(lambda query: embedder.encode([query]), queries[:50]),
    }


if __name__ == "__main__":
    main()
