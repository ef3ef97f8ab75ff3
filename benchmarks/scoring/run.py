# pyright: basic
"""What scoring 77 options, and generating in batches, costs against the plain way. See RESULTS.md.

    python benchmarks/scoring/run.py [--data LABELS.json] [--model FOLDER] [--prompts N] [--generate N]

Every way runs in this process, on the same model, in turns; a time is the median of the rounds. Times
are CPU seconds of this process, all threads together, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from freehold.core.message import Message, system, user
from freehold.core.sections import BaseModelSpec
from freehold.models.door import Choice, Generation
from freehold.models.local import LocalModel, open_local
from freehold.models.sources import ACORN, bundled_folder

QUESTIONS = (
    "How do I locate my card?",
    "I still have not received my new card, I ordered it over a week ago.",
    "Why was my payment declined?",
    "Is there a charge for topping up by a transfer from another country?",
    "The exchange rate for the cash that I took out yesterday looks wrong.",
    "Please close my account.",
    "My top up was cancelled, and the money is still gone. What happens now?",
    "Can I choose the date on which my card is delivered?",
)
PEER_ROWS = 64


def main() -> None:
    arguments = read_arguments()
    labels = read_labels(arguments.data)
    with tempfile.TemporaryDirectory() as folder:
        spec, what = pick_model(arguments.model, Path(folder))
        model = open_local(spec, cache=Path(folder))
        print(describe(what, model), flush=True)
        prompts = make_prompts(labels, arguments.prompts)
        warm_up(model, prompts, labels)
        print(scoring_table(model, prompts, labels, rounds=arguments.rounds), flush=True)
        asked = make_prompts(labels, arguments.generate)
        print(generating_table(model, asked, arguments.rounds))


def scoring_table(
    model: LocalModel, prompts: Sequence[Sequence[Message]], labels: Sequence[str], *, rounds: int
) -> str:
    rows = answer_rows(model, prompts, labels)
    ways: dict[str, Callable[[], list[list[float]]]] = {
        "choose (prompt once, options as a tree)": lambda: [
            list(c.logprobs) for c in model.choose(prompts, labels) if isinstance(c, Choice)
        ],
        f"prompt + option each, batches of {PEER_ROWS}, by length": lambda: chunks(
            score_plainly(model, rows, PEER_ROWS), len(labels)
        ),
    }
    seconds, results = measure(ways, rounds)
    one_by_one, alone = timed(lambda: score_plainly(model, rows[: len(labels)], 1))
    first, second = results.values()
    gap = max(
        abs(a - b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True)
    )
    gap = max(gap, max(abs(a - b) for a, b in zip(first[0], alone, strict=True)))
    choose, batched = (statistics.median(taken) for taken in seconds.values())
    tokens = statistics.mean(model.count_tokens(prompt) for prompt in prompts)
    lines = [
        f"Scoring {len(labels)} options for {len(prompts)} prompts of {tokens:.0f} tokens"
        f" (largest difference of a log-probability: {gap:.1e})",
        "",
        "| way | CPU seconds per prompt | against choose |",
        "|---|---|---|",
    ]
    per_prompt = [*(t / len(prompts) for t in (choose, batched)), one_by_one]
    names = [*ways, "prompt + option each, one by one (first prompt)"]
    for name, each in zip(names, per_prompt, strict=True):
        lines.append(f"| {name} | {each:.3f} | {each / per_prompt[0]:.1f}x |")
    return "\n".join([*lines, ""])


def generating_table(model: LocalModel, prompts: Sequence[Sequence[Message]], rounds: int) -> str:
    ways: dict[str, Callable[[], int]] = {
        "generate": lambda: sum(
            a.answer_tokens
            for a in model.generate(prompts, max_tokens=48)
            if isinstance(a, Generation)
        ),
        f"transformers generate, batches of {PEER_ROWS}, by length": lambda: generate_plainly(
            model, prompts, 48
        ),
    }
    seconds, results = measure(ways, rounds)
    medians = [statistics.median(taken) for taken in seconds.values()]
    lines = [
        f"Generating up to 48 tokens for {len(prompts)} prompts",
        "",
        "| way | CPU seconds | answer tokens | against generate |",
        "|---|---|---|---|",
    ]
    for name, taken, tokens in zip(ways, medians, results.values(), strict=True):
        lines.append(f"| {name} | {taken:.2f} | {tokens} | {taken / medians[0]:.2f}x |")
    return "\n".join([*lines, ""])


def warm_up(model: LocalModel, prompts: Sequence[Sequence[Message]], labels: Sequence[str]) -> None:
    """Run every way once on one prompt and two labels, unmeasured."""
    model.choose(prompts[:1], labels[:2])
    score_plainly(model, answer_rows(model, prompts[:1], labels[:2]), PEER_ROWS)
    model.generate(prompts[:1], max_tokens=2)
    generate_plainly(model, prompts[:1], 2)


def measure(
    ways: dict[str, Callable], rounds: int
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Run every way in turns; return the seconds of each round and the last results."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, Any] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            taken, results[name] = timed(way)
            seconds[name].append(taken)
    return seconds, results


def timed(way: Callable[[], Any]) -> tuple[float, Any]:
    before = time.process_time()
    result = way()
    return time.process_time() - before, result


def answer_rows(
    model: LocalModel, prompts: Sequence[Sequence[Message]], labels: Sequence[str]
) -> list[tuple[list[int], int]]:
    """Return for each prompt and label the whole tokens, and how many of them are the answer."""
    chat = model.loaded.chat
    answers = [(*chat.answer_ids(label), chat.end_id) for label in labels]
    return [
        ([*chat.prompt_ids(prompt), *answer], len(answer))
        for prompt in prompts
        for answer in answers
    ]


@torch.inference_mode()
def score_plainly(
    model: LocalModel, rows: Sequence[tuple[list[int], int]], batch_rows: int
) -> list[float]:
    """Sum the answer's log-probabilities of each row: right-padded batches, logits at the end only."""
    module = model.loaded.network.module
    scores = [0.0] * len(rows)
    order = sorted(range(len(rows)), key=lambda place: len(rows[place][0]))
    for start in range(0, len(order), batch_rows):
        batch = order[start : start + batch_rows]
        width = max(len(rows[place][0]) for place in batch)
        keep = width - min(len(rows[place][0]) - rows[place][1] for place in batch) + 1
        tokens = torch.zeros((len(batch), width), dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, place in enumerate(batch):
            tokens[row, : len(rows[place][0])] = torch.tensor(rows[place][0])
            mask[row, : len(rows[place][0])] = 1
        logits = module(tokens, attention_mask=mask, use_cache=False, logits_to_keep=keep).logits
        for row, place in enumerate(batch):
            ids, answer = rows[place]
            at = torch.arange(len(ids) - answer - 1, len(ids) - 1) - (width - keep)
            wanted = torch.tensor(ids[-answer:])[:, None]
            found = torch.log_softmax(logits[row, at].float(), -1).gather(-1, wanted)
            scores[place] = float(found.sum())
    return scores


@torch.inference_mode()
def generate_plainly(
    model: LocalModel, prompts: Sequence[Sequence[Message]], max_tokens: int
) -> int:
    chat, module = model.loaded.chat, model.loaded.network.module
    rows = sorted((chat.prompt_ids(prompt) for prompt in prompts), key=len)
    stop = sorted(chat.stop_ids)
    made = 0
    for start in range(0, len(rows), PEER_ROWS):
        batch = rows[start : start + PEER_ROWS]
        width = max(map(len, batch))
        tokens = torch.zeros((len(batch), width), dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, ids in enumerate(batch):
            tokens[row, width - len(ids) :] = torch.tensor(ids)
            mask[row, width - len(ids) :] = 1
        output = module.generate(  # pyright: ignore[reportCallIssue]
            tokens,
            attention_mask=mask,
            max_new_tokens=max_tokens,
            do_sample=False,
            eos_token_id=stop,
            pad_token_id=stop[0],
        )
        for ids in output[:, width:].tolist():
            ends = [place for place, token in enumerate(ids) if token in stop]
            made += ends[0] if ends else len(ids)
    return made


def chunks(scores: list[float], size: int) -> list[list[float]]:
    return [scores[start : start + size] for start in range(0, len(scores), size)]


def make_prompts(labels: Sequence[str], count: int) -> list[list[Message]]:
    told = system(
        "Say what the customer asks about.\nAnswer with one of: " + ", ".join(labels) + "."
    )
    return [[told, user(QUESTIONS[place % len(QUESTIONS)])] for place in range(count)]


def read_labels(data: str | None) -> list[str]:
    if data is None:
        things = ("card", "transfer", "top up", "payment", "account", "refund", "exchange rate")
        states = ("lost", "pending", "declined", "fee", "limit", "arrival", "wrong", "new", "why",
                  "cancel", "verify")  # fmt: skip
        return [f"{thing} {state}" for thing in things for state in states]
    return [str(label) for label in json.loads(Path(data).read_text(encoding="utf-8"))]


def pick_model(named: str | None, folder: Path) -> tuple[BaseModelSpec, str]:
    if named is not None:
        return BaseModelSpec(id=named), named
    if (bundled_folder() / "config.json").is_file():
        return BaseModelSpec(), ACORN
    save_random_llama(folder / "random")
    return BaseModelSpec(id=str(folder / "random")), "a random Llama of 5 layers of width 256"


def save_random_llama(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=2048, special_tokens=["<end>"], initial_alphabet=alphabet
    )
    bpe.train_from_iterator([*QUESTIONS, *read_labels(None)], trainer)
    words = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<end>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2048, hidden_size=256, intermediate_size=640, num_hidden_layers=5,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=2048, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)


def describe(what: str, model: LocalModel) -> str:
    parameters = sum(p.numel() for p in model.loaded.network.module.parameters())
    return (
        f"{what}: {parameters / 1e6:.1f} million parameters, float32, scoring path"
        f" `{model.scoring_path}`; {os.cpu_count()} cores ({platform.machine()}),"
        f" {torch.get_num_threads()} torch threads, torch {torch.__version__}\n"
    )


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--data", help="a JSON list of labels; 77 made-up ones without it")
    parser.add_argument("--model", help="a model folder; the bundled model without it")
    parser.add_argument("--prompts", type=int, default=4, help="prompts to score options for")
    parser.add_argument("--generate", type=int, default=16, help="prompts to generate from")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
