# pyright: basic, reportMissingImports=false, reportUnnecessaryTypeIgnoreComment=false
"""Near-duplicate search among short texts, beside datasketch, datatrove and semhash. See RESULTS.md.

    OMP_NUM_THREADS=1 python benchmarks/data/duplicates/run.py --data ../shared/data [--rows 1000000]

Every tool runs in a process of its own on the same texts, one after the other; times are CPU seconds of
that process and its children, all threads together, so that other work on the machine does not count.
`--rows 20000` takes a minute. A peer that is not installed is named as absent.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MILLION = 1_000_000
THRESHOLD = 0.7
PLANTED_SHARE = 0.05
LEAST_CHARACTERS = 50
MOST_WORDS = 25
PERMUTATIONS = 128
COSINE = 0.9
SOURCES = ("banking77/train.jsonl", "clinc150/train.jsonl", "snips/train.jsonl")
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Links = list[tuple[int, int]]


def main() -> None:
    arguments = read_arguments()
    if arguments.tool:
        work = Path(arguments.work)
        texts = json.loads((work / "texts.json").read_text())
        (work / f"{arguments.tool}.json").write_text(
            json.dumps(timed(TOOLS[arguments.tool], texts))
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        texts, origin = make_texts(Path(arguments.data), arguments.rows)
        (work / "texts.json").write_text(json.dumps(texts))
        print(f"{len(texts):,} texts", flush=True)
        rows = []
        sms = sms_repeats(Path(arguments.data))
        for tool in arguments.tools:
            row = measure(tool, work, texts=texts, origin=origin)
            rows.append(row)
            print(row, flush=True)
            write_results(arguments, texts, rows=rows, sms=sms)  # a long run leaves what it has


# The texts -----------------------------------------------------------------------------------


def make_texts(data: Path, count: int) -> tuple[list[str], list[int]]:
    """Return texts in random order, and for each the number of the text that it stems from.

    Bases are drawn from a chain of word pairs of real requests; those that are near another base by
    chance are taken out, so that planted pairs are the only ones. One row in twenty is a base with one
    edit.
    """
    from freehold.data.duplicates import near_roots, normalise

    rng = random.Random(7)
    chain: dict[str, list[str]] = {}
    for source in SOURCES:
        for line in (data / source).read_text(encoding="utf-8").splitlines():
            words = ["", *normalise(json.loads(line)["input"]).split(), ""]
            for before, after in pairwise(words):
                chain.setdefault(before, []).append(after)
    planted = int(count * PLANTED_SHARE)
    bases = list(dict.fromkeys(chained(chain, rng, int((count - planted) * 1.25))))
    roots = near_roots(bases, threshold=0.6)
    sizes = [0] * len(bases)
    for root in roots.tolist():
        sizes[root] += 1
    alone = [text for row, text in enumerate(bases) if sizes[roots[row]] == 1][: count - planted]
    words = sorted(chain)[1:]
    rows = list(enumerate(alone))
    for base in rng.sample(range(len(alone)), planted):
        rows.append((base, edited(alone[base], words, rng)))
    rng.shuffle(rows)
    return [text for _, text in rows], [base for base, _ in rows]


def chained(chain: dict[str, list[str]], rng: random.Random, count: int) -> Iterator[str]:
    made = 0
    while made < count:
        words: list[str] = []
        word = rng.choice(chain[""])
        while word and len(words) < MOST_WORDS:
            words.append(word)
            word = rng.choice(chain[word])
        text = " ".join(words)
        if len(text) >= LEAST_CHARACTERS:
            made += 1
            yield text


def edited(text: str, words: Sequence[str], rng: random.Random) -> str:
    """Return the text with one edit: a letter dropped, swapped or changed, a word added or dropped."""
    kind = rng.choice(("drop", "swap", "change", "add", "leave"))
    place = rng.randrange(1, len(text) - 2)
    if kind == "drop":
        return text[:place] + text[place + 1 :]
    if kind == "swap":
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if kind == "change":
        return text[:place] + rng.choice(LETTERS) + text[place + 1 :]
    parts = text.split()
    place = rng.randrange(len(parts))
    if kind == "add":
        parts.insert(place, rng.choice(words))
    else:
        del parts[place]
    return " ".join(parts)


# The tools -----------------------------------------------------------------------------------


def with_freehold(texts: list[str]) -> Links:
    from freehold.data.duplicates import near_roots, normalise

    first: dict[str, int] = {}
    roots = [first.setdefault(normalise(text), row) for row, text in enumerate(texts)]
    distinct = list(first.values())
    near = near_roots(list(first), threshold=THRESHOLD)
    links = [(root, row) for row, root in enumerate(roots) if root != row]
    return [*links, *((distinct[r], distinct[n]) for n, r in enumerate(near.tolist()) if r != n)]


def with_datasketch(texts: list[str]) -> Links:
    """As its documentation shows: MinHashLSH over the same five-character pieces."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    links: Links = []
    pieces = ({t[i : i + 5].encode() for i in range(len(t) - 4)} for t in texts)
    for row, sketch in enumerate(MinHash.generator(pieces, num_perm=PERMUTATIONS)):
        links.extend((other, row) for other in index.query(sketch))  # pyright: ignore[reportArgumentType]
        index.insert(row, sketch, check_duplication=False)
    return links


def with_datatrove(texts: list[str], n_grams: int = 2, hashes_per_bucket: int = 4) -> Links:
    """Signatures, buckets and clusters. Words by white space, which is faster than its spaCy.

    Hashed by SHA-1: its own default, xxhash, wants a version of xxhash that takes text.
    """
    from datatrove.data import Document
    from datatrove.pipeline.dedup import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupSignature,
    )
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Words(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return [text]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    buckets = 20 if hashes_per_bucket == 4 else 14
    config = MinhashConfig(
        n_grams=n_grams,
        num_buckets=buckets,
        hashes_per_bucket=hashes_per_bucket,
        hash_config=HashConfig(hash_fc="sha1"),
    )
    links: Links = []
    with tempfile.TemporaryDirectory() as folder:
        documents = (Document(text=text, id=str(row)) for row, text in enumerate(texts))
        MinhashDedupSignature(f"{folder}/signatures", config=config, language=Words()).run(  # pyright: ignore[reportArgumentType]
            documents
        )
        for bucket in range(buckets):
            step = MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)
            step.run(None, bucket, buckets)
        MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=config).run(None, 0, 1)
        for file in Path(folder, "buckets").glob("*.dups"):
            links.extend((a, b) for _, a, _, b in struct.iter_unpack("<4I", file.read_bytes()))
    return links


def with_datatrove_defaults(texts: list[str]) -> Links:
    return with_datatrove(texts, n_grams=5, hashes_per_bucket=8)


def with_semhash(texts: list[str]) -> Links:
    """With a static model of 256 numbers a token, made from the bundled all-MiniLM-L6-v2."""
    from semhash import SemHash

    model = static_model()
    rows: dict[str, int] = {}
    for row, text in enumerate(texts):
        rows.setdefault(text, row)
    started = cpu_seconds()
    made = SemHash.from_records(texts, model=model)  # pyright: ignore[reportArgumentType]
    found = made.self_deduplicate(threshold=COSINE)
    global measured_seconds
    measured_seconds = cpu_seconds() - started  # the model is made once, and not counted
    return [(rows[one.duplicate_of], rows[one.record]) for one in found.filtered]


def static_model():
    """Return what semhash uses by default, made offline: vectors of tokens, as Model2Vec distils them."""
    import numpy as np
    from model2vec import StaticModel
    from tokenizers import Tokenizer

    from freehold.models.embed import default_folder, open_embedder

    tokenizer = Tokenizer.from_file(str(default_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    names = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    vectors = open_embedder("all-MiniLM-L6-v2", cache=Path()).encode([name for name, _ in names])
    vectors = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(vectors[::8], full_matrices=False)
    reduced = vectors @ directions[:256].T
    weights = np.log(1 + np.arange(len(reduced), dtype=np.float32))  # Zipf: later tokens are rarer
    return StaticModel((reduced * weights[:, None]).astype(np.float32), tokenizer, normalize=True)


TOOLS: dict[str, Callable[[list[str]], Links]] = {
    "freehold": with_freehold,
    "datasketch": with_datasketch,
    "datatrove": with_datatrove,
    "datatrove-defaults": with_datatrove_defaults,
    "semhash": with_semhash,
}
HOW = {
    "freehold": f"five-character pieces, Jaccard ≥ {THRESHOLD}, every pair verified",
    "datasketch": f"MinHashLSH, the same pieces, threshold {THRESHOLD}, {PERMUTATIONS} permutations",
    "datatrove": "MinHash of pairs of words (SHA-1), 20 buckets of 4",
    "datatrove-defaults": "MinHash of 5 words in a row (SHA-1), 14 buckets of 8",
    "semhash": f"static vectors from all-MiniLM-L6-v2, usearch, cosine ≥ {COSINE}",
}
NO_SEMHASH = "semhash was measured at 100,000 texts only, for its time: RESULTS-100000.md."
measured_seconds: float | None = None


# Measuring -----------------------------------------------------------------------------------


def cpu_seconds() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def timed(tool: Callable[[list[str]], Links], texts: list[str]) -> dict[str, object]:
    before, clock = cpu_seconds(), time.monotonic()
    links = tool(texts)
    seconds = cpu_seconds() - before if measured_seconds is None else measured_seconds
    return {
        "cpu": seconds,
        "wall": time.monotonic() - clock,
        "links": links,
    }


def measure(
    tool: str, work: Path, *, texts: Sequence[str], origin: Sequence[int]
) -> dict[str, object]:
    """Run one tool in a process of its own, and score what it linked."""
    package = tool.split("-")[0]
    try:
        installed = version(package)
    except PackageNotFoundError:
        return {"tool": tool, "absent": f"{package} is not installed"}
    command = [sys.executable, __file__, "--tool", tool, "--work", str(work)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return {"tool": tool, "absent": done.stderr.strip().splitlines()[-1][:200]}
    result = json.loads((work / f"{tool}.json").read_text())
    return {
        "tool": tool,
        "version": installed,
        "cpu": result["cpu"],
        "rows_per_cpu_second": len(texts) / result["cpu"],
        **scores(result["links"], origin),
    }


def scores(links: Links, origin: Sequence[int]) -> dict[str, float]:
    """Recall: planted rows whose base is linked with them, over chains. Precision: of the links."""
    import numpy as np

    from freehold.data.minhash import Pairs, joined

    places: dict[int, list[int]] = {}
    for row, base in enumerate(origin):
        places.setdefault(base, []).append(row)
    planted = [rows for rows in places.values() if len(rows) == 2]
    right = sum(origin[a] == origin[b] for a, b in links)
    good = [(min(a, b), max(a, b)) for a, b in links if origin[a] == origin[b] and a != b]
    pairs = np.array(good or [(0, 0)], dtype=np.int64)
    roots = joined(np.arange(len(origin)), Pairs(pairs[:, 0], pairs[:, 1]))
    found = sum(int(roots[a] == roots[b]) for a, b in planted)
    return {"recall": found / len(planted), "precision": right / max(1, len(links))}


def sms_repeats(data: Path) -> int:
    from freehold.core.sections import Columns
    from freehold.data.duplicates import find_duplicates
    from freehold.data.read import read

    found = read("sms_spam/messages.jsonl", columns=Columns(), root=data)
    return find_duplicates(found.examples).duplicates


# The table -----------------------------------------------------------------------------------


def write_results(
    arguments: argparse.Namespace,
    texts: Sequence[str],
    *,
    rows: list[dict[str, Any]],
    sms: int,
) -> None:
    own = next((row for row in rows if row["tool"] == "freehold"), None)
    base = float(own["cpu"]) if own else None
    mean = sum(map(len, texts)) / len(texts)
    command = f"benchmarks/data/duplicates/run.py --data ../shared/data --rows {arguments.rows}"
    lines = [
        "# Near-duplicate search among short texts",
        "",
        f"    OMP_NUM_THREADS=1 python {command} --tools {' '.join(str(row['tool']) for row in rows)}",
        "",
        f"{len(texts):,} texts of {mean:.0f} characters on average, at least {LEAST_CHARACTERS}: a chain of word"
        " pairs of real requests (banking77,",
        f"clinc150, snips). One in {round(1 / PLANTED_SHARE)} is another text with one edit: a letter dropped,"
        " swapped or changed, a word added or dropped. Texts",
        "that are near another by chance (0.6, by Freehold's own search) were taken out before, so precision is the share of links between a"
        " text and its edit.",
        f"Recall is the share of edited texts that are in one group with theirs. Python {platform.python_version()},"
        " 2 cores, shared",
        "with other work: times are CPU seconds of a tool's own process, all threads together, in one run.",
        "",
        "| tool | how | recall | precision | CPU seconds | rows per CPU second | time against Freehold |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        tool = str(row["tool"])
        if "absent" in row:
            lines.append(f"| {tool} | not measured: {row['absent']} | | | | | |")
            continue
        ratio = f"{float(row['cpu']) / base:.1f}x" if base else "–"
        lines.append(
            f"| {tool.split('-')[0]} {row['version']} | {HOW[tool]} | {row['recall']:.4f} |"
            f" {row['precision']:.4f} | {row['cpu']:.1f} | {row['rows_per_cpu_second']:,.0f} | {ratio} |"
        )
    lines += [
        "",
        f"Of the 444 repeated lines of sms_spam, {sms} are found.",
        "",
        *([] if any(row["tool"] == "semhash" for row in rows) else [NO_SEMHASH, ""]),
        "semhash's own default model (potion-base-8M) is a download; the model here is made the same way, from"
        " the bundled",
        "embedder, and making it is not in the time. Its recall and precision are those of this model.",
        "",
    ]
    name = "RESULTS.md" if arguments.rows == MILLION else f"RESULTS-{arguments.rows}.md"
    (HERE / name).write_text("\n".join(lines), encoding="utf-8")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--rows", type=int, default=MILLION)
    parser.add_argument("--tools", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--tool", choices=list(TOOLS), help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
