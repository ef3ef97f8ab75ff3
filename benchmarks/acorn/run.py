# pyright: basic
"""Scores freehold/acorn: held-out families, few-shot labels for each k, long prompts, nearest examples. See RESULTS.md.

    python benchmarks/acorn/run.py [--model FOLDER] [--items N] [--data BANKING77_FOLDER] [--rows N]

Everything is greedy. Families and label copying are free text, compared exactly. With `--data` (train.jsonl,
test.jsonl and labels.json of banking77, which acorn was never trained on) each test row is asked with its k nearest
training rows before it, the nearest last: free, and as a choice among all labels.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from freehold.core.message import Message, assistant, system, user
from freehold.core.outcome import Scored
from freehold.core.sections import BaseModelSpec
from freehold.data.procedural import FAMILIES, Item, probe_world
from freehold.evaluate.probes import measure_probes, probe_items
from freehold.evaluate.statistics import wilson
from freehold.models.door import Choice, Generation
from freehold.models.embed import DEFAULT_EMBEDDER, open_embedder
from freehold.models.local import LocalModel, open_local
from freehold.models.sources import ACORN

SEED = 90_001
TRAIN_ROWS = 3_000
EXAMPLES = (1, 2, 4, 8)
LABEL_FAMILIES = ("labels", "nearest", "intents")
LONG_FAMILIES = {"labels": 500, "nearest": 500, "intents": 500, "options": 250, "lookup": 300}
INSTRUCTION = "Classify the customer request."
MAX_TOKENS = 96


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=ACORN)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=300)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        model = open_local(BaseModelSpec(id=arguments.model), cache=Path(cache))
        print(f"model {model.name} {model.digest}\n", flush=True)
        if arguments.items:
            for line in family_table(model, arguments.items):
                print(line, flush=True)
            for line in label_table(model, arguments.items):
                print(line, flush=True)
            for line in long_table(model, arguments.items // 2):
                print(line, flush=True)
        if arguments.data is not None:
            for line in nearest_table(model, arguments.data, arguments.rows):
                print(line, flush=True)


def family_table(model: LocalModel, items: int) -> Iterator[str]:
    """Yield the score of each held-out family with its interval, and their mean."""
    probes = probe_items(items, SEED)
    results = measure_probes(model, probes)
    yield "| family | n | right | score | 95% interval |"
    yield "|---|---|---|---|---|"
    means: list[float] = []
    for family in FAMILIES:
        scores = [
            result.outcome.score
            for result in results
            if result.family == family and isinstance(result.outcome, Scored)
        ]
        yield row(family, [score == 1.0 for score in scores])
        means.append(sum(scores) / len(scores))
    yield f"| **mean** | {len(probes)} | | **{sum(means) / len(means):.3f}** | |"
    yield ""


def row(name: str, right: Sequence[bool]) -> str:
    """Return a table row with Wilson's interval."""
    low, high = wilson(sum(right), len(right))
    share = sum(right) / len(right)
    return f"| {name} | {len(right)} | {sum(right)} | {share:.3f} | {low:.3f} to {high:.3f} |"


def label_table(model: LocalModel, items: int) -> Iterator[str]:
    """Yield the share of right labels for each family of few-shot labels and each number of examples."""
    yield "| family | k | n | right | score | 95% interval |"
    yield "|---|---|---|---|---|---|"
    for family in LABEL_FAMILIES:
        for k, found in sorted(by_examples(family, items).items()):
            prompts = [[Message(role=r, content=c) for r, c in item.messages] for item in found]
            answers = model.generate(prompts, max_tokens=MAX_TOKENS)
            right = [said(a) == i.answer for a, i in zip(answers, found, strict=True)]
            yield row(f"{family} | {k}", right)
    yield ""


def long_table(model: LocalModel, items: int) -> Iterator[str]:
    """Yield the score on long prompts: many examples and options, a long list of options, a long context."""
    yield "| family, tokens | n | right | score | 95% interval |"
    yield "|---|---|---|---|---|"
    world = probe_world(scale=3)
    for family, least in LONG_FAMILIES.items():
        found: list[tuple[list[Message], str]] = []
        for seed in range(60 * items):
            item = FAMILIES[family](random.Random(f"{SEED}/long/{family}/{seed}"), world)
            prompt = [Message(role=r, content=c) for r, c in item.messages]
            if len(found) < items and least <= model.count_tokens(prompt) <= 960:
                found.append((prompt, item.answer))
        answers = model.generate([prompt for prompt, _ in found], max_tokens=48)
        yield row(
            f"{family}, {least} to 960",
            [said(a) == right for a, (_, right) in zip(answers, found, strict=True)],
        )
    yield ""


def by_examples(family: str, items: int) -> dict[int, list[Item]]:
    """Return `items` held-out items of a family for each of `EXAMPLES` that it makes."""
    found: dict[int, list[Item]] = {k: [] for k in EXAMPLES}
    world = probe_world(scale=2)
    for seed in range(60 * items):
        item = FAMILIES[family](random.Random(f"{SEED}/{family}/{seed}"), world)
        k = sum(role == "assistant" for role, _ in item.messages)
        if k in found and len(found[k]) < items:
            found[k].append(item)
    return {k: made for k, made in found.items() if made}


def said(answer: object) -> str | None:
    """Return the text of an answer, None for a failure."""
    return answer.text if isinstance(answer, Generation) else None


def nearest_table(model: LocalModel, folder: Path, rows: int) -> Iterator[str]:
    """Yield accuracy with the k nearest of 3,000 training rows in the prompt, beside the nearest row's label."""
    train, test = read(folder / "train.jsonl", TRAIN_ROWS), read(folder / "test.jsonl", rows)
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    embedder = open_embedder(DEFAULT_EMBEDDER, cache=folder)
    near = np.argsort(
        embedder.encode([r["input"] for r in test]) @ embedder.encode([r["input"] for r in train]).T
    )
    yield "| way | n | right | score | 95% interval |"
    yield "|---|---|---|---|---|"
    yield row(
        "nearest neighbour",
        [train[int(n[-1])]["target"] == r["target"] for n, r in zip(near, test, strict=True)],
    )
    for k in EXAMPLES:
        prompts = [
            asked([train[int(i)] for i in n[-k:]], r["input"])
            for n, r in zip(near, test, strict=True)
        ]
        free = model.generate(prompts, max_tokens=32)
        yield row(f"k={k}, free", [said(a) == r["target"] for a, r in zip(free, test, strict=True)])
        chosen = model.choose(prompts, list(labels))
        yield row(
            f"k={k}, one of {len(labels)} labels",
            [
                isinstance(a, Choice) and a.label == r["target"]
                for a, r in zip(chosen, test, strict=True)
            ],
        )


def asked(examples: Sequence[dict[str, str]], question: str) -> list[Message]:
    """Return the prompt: instruction, examples, question."""
    shown = [turn for one in examples for turn in (user(one["input"]), assistant(one["target"]))]
    return [system(INSTRUCTION), *shown, user(question)]


def read(path: Path, rows: int) -> list[dict[str, str]]:
    """Return a seeded sample of the rows of a JSONL file."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return random.Random(SEED).sample(lines, min(rows, len(lines)))


if __name__ == "__main__":
    main()
