# pyright: basic
"""Scoring and generating of standard sets: the local engine against lm-eval's own Hugging Face backend.

    OMP_NUM_THREADS=1 python benchmarks/decide/throughput/run.py --data ../shared/data

Both sides run in this process, with the same weights (freehold/acorn) in float32, the same texts without a
chat template, one torch thread and at most 16 rows in a pass. The items come in parts; on each part one side
runs after the other, in turns who is first. Times are CPU seconds of this process, so that other work on
the machine does not count; wall seconds stand beside them. Writes RESULTS.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from freehold.core.message import user
from freehold.core.sections import BaseModelSpec
from freehold.models import calls
from freehold.models.door import Generation, TextScore
from freehold.models.local import LocalModel, open_local
from freehold.models.sources import ACORN, bundled_folder

CHOICE_SETS = ("mmlu_test", "arc_easy", "arc_challenge", "piqa", "boolq", "winogrande")
ROWS = 16
MAX_TOKENS = 64


@dataclass
class Times:
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def run(self, work: Callable[[], Any]) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        found = work()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)
        return found


def main() -> None:
    arguments = read_arguments()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    calls.MOST_ROWS = ROWS
    model = open_local(BaseModelSpec(id=ACORN), cache=Path("unused"))
    lines = [head(arguments), *scoring(model, arguments)]
    write(lines, arguments)
    for form in arguments.forms:
        lines += generating(model, arguments, form)
        write(lines, arguments)


def write(lines: Sequence[str], arguments: argparse.Namespace) -> None:
    """Write what is measured so far: a run that is stopped leaves its finished tables."""
    text = "\n".join([*lines, TRIED])
    print(text, flush=True)
    if not arguments.no_write:
        Path(__file__).with_name("RESULTS.md").write_text(text, encoding="utf-8")


def peer(*, dtype: str = "float32", rows: int = ROWS) -> HFLM:
    named: dict[str, Any] = {
        "pretrained": str(bundled_folder()),
        "dtype": dtype,
        "batch_size": rows,
        "device": "cpu",
    }
    return HFLM(**named)


def scoring(model: LocalModel, arguments: argparse.Namespace) -> list[str]:
    items = draw_items(model, arguments.data / "general", arguments.items)
    parts = [items[start : start + 250] for start in range(0, len(items), 250)]
    other = peer()
    warm_up(model, other)
    ours, theirs = Times(), Times()
    our_scores: list[list[float]] = []
    their_scores: list[list[float]] = []
    for number, part in enumerate(parts):
        runs = [
            lambda part=part: our_scores.extend(ours.run(lambda: score_ours(model, part))),
            lambda part=part: their_scores.extend(theirs.run(lambda: score_theirs(other, part))),
        ]
        for run in runs if number % 2 else reversed(runs):
            run()
        print(
            f"part {number + 1}/{len(parts)}: {ours.cpu[-1]:.1f} {theirs.cpu[-1]:.1f}", flush=True
        )
    few = items[: arguments.few]
    variants: dict[str, float] = {}
    alone = Times()
    alone.run(lambda: score_ours(model, few))
    for name, dtype, rows in (
        ("lm-eval, float32, 1 row", "float32", 1),
        ("lm-eval, bfloat16 (its default), 16 rows", "bfloat16", ROWS),
    ):
        variant, times = peer(dtype=dtype, rows=rows), Times()
        times.run(lambda variant=variant: score_theirs(variant, few))
        variants[name] = times.cpu[0]
    equal = sum(
        best(a, i) == best(b, i) for a, b, i in zip(our_scores, their_scores, items, strict=True)
    )
    plain = sum(
        a.index(max(a)) == b.index(max(b)) for a, b in zip(our_scores, their_scores, strict=True)
    )
    gap = max(
        abs(x - y)
        for a, b in zip(our_scores, their_scores, strict=True)
        for x, y in zip(a, b, strict=True)
    )
    ratio = sum(theirs.cpu) / sum(ours.cpu)
    spread = sorted(t / o for o, t in zip(ours.cpu, theirs.cpu, strict=True))
    pairs = sum(len(item) for item in items)
    return [
        f"## Scoring {len(items):,} multiple-choice items ({pairs:,} pairs of context and option)",
        "",
        "| way | CPU seconds | items per CPU second | wall seconds |",
        "|---|---|---|---|",
        row("freehold, float32, at most 16 rows", ours, len(items)),
        row("lm-eval HFLM, float32, batch_size 16", theirs, len(items)),
        "",
        f"Ratio of CPU seconds: **{ratio:.2f}** (asked for: 3; by part {spread[0]:.2f} to {spread[-1]:.2f}),"
        f" of wall seconds {sum(theirs.wall) / sum(ours.wall):.2f}.",
        f"The chosen option is the same on {equal:,} of {len(items):,} items by log-probability per letter, and"
        f" on {plain:,} by its sum",
        f"(asked for: 99.5 %). The largest difference of a log-probability is {gap:.1e}.",
        "",
        f"Other settings of lm-eval, on the first {len(few)} items, where freehold took {alone.cpu[0]:.1f} CPU seconds:",
        "",
        "| setting | CPU seconds | against freehold |",
        "|---|---|---|",
        *(f"| {name} | {t:.1f} | {t / alone.cpu[0]:.2f} |" for name, t in variants.items()),
        "",
    ]


def generating(model: LocalModel, arguments: argparse.Namespace, form: str) -> list[str]:
    texts = draw_prompts(arguments.data / "general", arguments.prompts)
    if form == "chat":
        texts = [model.render((user(text),)) for text in texts]
    other = peer()
    warm_up(model, other)
    ours, theirs = Times(), Times()
    made: list[Generation] = []
    theirs_made: list[str] = []
    parts = [texts[start : start + 100] for start in range(0, len(texts), 100)]
    for number, part in enumerate(parts):
        runs = [
            lambda part=part: made.extend(
                ours.run(lambda: model.continue_texts(part, max_tokens=MAX_TOKENS))
            ),
            lambda part=part: theirs_made.extend(theirs.run(lambda: write_theirs(other, part))),
        ]
        for run in runs if number % 2 else reversed(runs):
            run()
    equal = sum(a.text == b for a, b in zip(made, theirs_made, strict=True))
    lengths = [one.answer_tokens for one in made]
    what = {
        "text": "as they stand: the model never ends, and every answer has all its tokens",
        "chat": "as a user's turn: answers end when the model ends them",
    }[form]
    return [
        f"## Generating up to {MAX_TOKENS} tokens for {len(texts)} prompts, {what.split(':')[0]}",
        "",
        f"Prompts {what} ({sum(lengths):,} tokens; median {statistics.median(lengths):.0f},"
        f" longest {max(lengths)}).",
        "",
        "| way | CPU seconds | prompts per CPU second | wall seconds |",
        "|---|---|---|---|",
        row("freehold, float32, at most 16 rows", ours, len(texts)),
        row("lm-eval HFLM, float32, batch_size 16", theirs, len(texts)),
        "",
        f"Ratio of CPU seconds: **{sum(theirs.cpu) / sum(ours.cpu):.2f}** (asked for: 2), of wall seconds"
        f" {sum(theirs.wall) / sum(ours.wall):.2f}. {equal} of {len(texts)} texts are equal.",
        "",
    ]


def draw_items(model: LocalModel, folder: Path, count: int) -> list[list[tuple[str, str]]]:
    """Return pairs of context and option for each drawn item that fits the context."""
    items: list[list[tuple[str, str]]] = []
    for name in CHOICE_SETS:
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            found = json.loads(line)
            if "context_options" in found:
                pairs = [(c, f" {found['continuation']}") for c in found["context_options"]]
            else:
                pairs = [(f"{found['prompt']}\nAnswer:", f" {c}") for c in found["choices"]]
            items.append(pairs)
    drawn: list[list[tuple[str, str]]] = []
    for item in random.Random(0).sample(items, len(items)):
        texts = model.loaded.chat.plain_ids([a + b for a, b in item])
        if max(map(len, texts)) <= model.context_tokens:
            drawn.append(item)
        if len(drawn) == count:
            break
    return drawn


def draw_prompts(folder: Path, count: int) -> list[str]:
    texts: list[str] = []
    for name in ("gsm8k_test", "lambada"):
        lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        texts += [json.loads(line)["prompt"] for line in random.Random(0).sample(lines, count // 2)]
    random.Random(0).shuffle(texts)
    return texts


def score_ours(model: LocalModel, items: Sequence[Sequence[tuple[str, str]]]) -> list[list[float]]:
    contexts, rests = zip(*(pair for item in items for pair in item), strict=True)
    scored = iter(s for s in model.score_texts(contexts, rests) if isinstance(s, TextScore))
    return [[next(scored).logprob for _ in item] for item in items]


def score_theirs(other: HFLM, items: Sequence[Sequence[tuple[str, str]]]) -> list[list[float]]:
    requests = [Instance("loglikelihood", {}, pair, 0) for item in items for pair in item]
    named: dict[str, Any] = {"disable_tqdm": True}
    scored = iter(other.loglikelihood(requests, **named))
    return [[next(scored)[0] for _ in item] for item in items]


def write_theirs(other: HFLM, texts: Sequence[str]) -> list[str]:
    settings = {"until": [], "max_gen_toks": MAX_TOKENS, "do_sample": False}
    requests = [Instance("generate_until", {}, (text, settings), 0) for text in texts]
    named: dict[str, Any] = {"disable_tqdm": True}
    return other.generate_until(requests, **named)


def warm_up(model: LocalModel, other: HFLM) -> None:
    pair = [[("The sky is", " blue"), ("The sky is", " a stone")]]
    score_ours(model, pair)
    score_theirs(other, pair)
    model.continue_texts(["The sky"], max_tokens=2)
    write_theirs(other, ["The sky"])


def best(scores: Sequence[float], item: Sequence[tuple[str, str]]) -> int:
    each = [score / (len(option) - 1) for score, (_, option) in zip(scores, item, strict=True)]
    return each.index(max(each))


def row(name: str, times: Times, count: int) -> str:
    cpu = sum(times.cpu)
    return f"| {name} | {cpu:.1f} | {count / cpu:.1f} | {sum(times.wall):.0f} |"


def head(arguments: argparse.Namespace) -> str:
    peers = ", ".join(f"{name} {version(name)}" for name in ("lm_eval", "transformers", "torch"))
    return "\n".join(
        [
            "# The local engine against lm-eval's Hugging Face backend",
            "",
            "    OMP_NUM_THREADS=1 python benchmarks/decide/throughput/run.py --data ../shared/data",
            "",
            f"{datetime.now(tz=UTC).date()}; {platform.machine()}, no GPU, 1 torch thread; {peers}; freehold/acorn (5 million"
            " parameters).",
            "The machine was shared with other work: CPU seconds of the process are compared, and wall seconds only",
            f"shown. Items: {arguments.items:,} drawn with seed 0 from all of {', '.join(CHOICE_SETS)}",
            "that fit the context of 1,024 tokens; an item is its prompt, a new line and `Answer:`, with each choice",
            "after a space (winogrande: its two contexts with their continuation). No chat template on either side.",
            "",
        ]
    )


TRIED = """## Why, and what was tried

- Scoring reads an item's context once and its options as a tree behind it; sentences that differ in their middle
  share their beginning. That leaves 129,000 of lm-eval's 310,000 tokens, a factor of 2.4. Logits are computed where
  options stand, and the last layer goes on with these tokens only.
- A lean form of the decoder (`models/lean.py`) does the arithmetic without what transformers does around it: one
  product for queries, keys and values, and one for the gated layer, one mask for all layers, rotary tables,
  oneDNN's own order of weights. On 100 items and prompts it took 0.84 of the CPU of the same engine with
  transformers' module for scoring, 0.74 for generating 64 tokens each, and 0.71 where answers end by themselves.
  In scoring two thirds of what is left are matrix products near the processor's limit, and a fifth is attention.
- Passes of 512 tokens stay in the second-level cache; passes of 2,048 took 1.08 times the CPU.
- lm-eval's default for these weights is bfloat16, whose matrix products are twice as fast on this processor. The
  local engine computes in float32 on a CPU, so that answers do not depend on what else is in a batch.
- Tried and dropped: contexts first without a mask, trees afterwards (1.1 to 1.3 times the CPU: rows are padded
  twice); attention as plain matrix products (1.03 to 2.3 times the CPU of PyTorch's own attention).
- Generating computes the same products for each new token on both sides, and nothing here is shared. With 16 rows a
  step of the engine spends its time on reading 20 MB of weights and 35 MB of keys and values, and on the
  overhead of some 250 small operations. Rows that end leave the batch here and stay to the end in transformers:
  the gain grows with how much answers differ in length.
- Not done: guessing several tokens from what was read before and checking them in one step. By counting, 56 % of the
  tokens of the first 100 prompts would have been guessed (two tokens matched, four guessed); a step of four columns
  costs about 1.7 times one of one column. New prompts that take the places of finished ones within a batch
  would help where answers end by themselves: on average 3 of 16 rows were open there.
"""


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--forms", nargs="*", default=["text", "chat"], choices=["text", "chat"])
    parser.add_argument("--no-write", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
