# pyright: basic
"""What all arms of the training benchmark have in common: base, rows, adapter, steps."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from freehold.core.message import system, user
from freehold.core.sections import BaseModelSpec, LoraSpec
from freehold.models.local import LocalModel, open_local
from freehold.train.preference import PreferencePair
from freehold.train.records import Precision
from freehold.train.rows import TokenRow, TrainingRow, encode_rows

ROOT = Path(__file__).resolve().parents[2]
ACORN = ROOT / "src" / "freehold" / "models" / "acorn"
SPEC = LoraSpec(r=16, seed=7)
LEARNING_RATE = 2e-3
INSTRUCTION = "Turn the request to a voice assistant into JSON with its intent and its slots."
HELD_OUT = 200


@dataclass(frozen=True)
class Setting:
    """One base, its rows, and how they are divided into steps."""

    base: Path
    rows: Sequence[TrainingRow]
    held_out: Sequence[TrainingRow]
    rows_per_step: int
    max_length: int
    precision: Precision

    @property
    def steps(self) -> int:
        return len(self.rows) // self.rows_per_step

    def open(self) -> LocalModel:
        """Open the base in float32 on the CPU."""
        return open_local(BaseModelSpec(id=str(self.base)), cache=self.base)

    def encode(self, model: LocalModel, rows: Sequence[TrainingRow]) -> list[TokenRow]:
        found = encode_rows(model.loaded.chat, rows, max_length=self.max_length)
        return list(found.rows.values())


def pairs_of(rows: Sequence[TrainingRow]) -> list[PreferencePair]:
    """Pairs as the `prefer` rung mines them: the wanted answer, and a wrong one of the same kind."""
    rng = random.Random(7)
    pairs: list[PreferencePair] = []
    for row in rows:
        wrong = rng.choice(
            [one.answer for one in rng.sample(list(rows), 8) if one.answer != row.answer]
        )
        pairs.append(PreferencePair(prompt=row.prompt, chosen=row.answer, rejected=wrong))
    return pairs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="the folder of snips; generated rows without it")
    parser.add_argument("--base", type=Path, default=ACORN, help="a model folder; default: acorn")
    parser.add_argument("--random-base", action="store_true", help="untrained, of acorn's shape")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rows-per-step", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=512)


def setting_of(arguments: argparse.Namespace, precision: Precision, scratch: Path) -> Setting:
    count = arguments.steps * arguments.rows_per_step + HELD_OUT
    rows = generated_rows(count) if arguments.data is None else snips_rows(arguments.data, count)
    base = random_base(scratch, rows) if arguments.random_base else arguments.base
    return Setting(
        base=base,
        rows=rows[HELD_OUT:],
        held_out=rows[:HELD_OUT],
        rows_per_step=arguments.rows_per_step,
        max_length=arguments.max_length,
        precision=precision,
    )


def snips_rows(folder: Path, count: int) -> list[TrainingRow]:
    lines = (folder / "train.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in random.Random(7).sample(lines, count)]
    return [
        TrainingRow(
            prompt=(system(INSTRUCTION), user(row["input"])),
            answer=json.dumps(row["target"], ensure_ascii=False),
        )
        for row in rows
    ]


def generated_rows(count: int) -> list[TrainingRow]:
    """Rows of about the lengths of snips, for machines without it."""
    rng = random.Random(7)
    names = [f"name{i}" for i in range(200)]
    rows: list[TrainingRow] = []
    for _ in range(count):
        chosen = rng.sample(names, rng.randint(2, 14))
        slots = {f"slot{i}": name for i, name in enumerate(chosen[: rng.randint(1, 4)])}
        rows.append(
            TrainingRow(
                prompt=(system(INSTRUCTION), user(" ".join(chosen))),
                answer=json.dumps({"intent": chosen[0], "slots": slots}),
            )
        )
    return rows


def random_base(folder: Path, rows: Sequence[TrainingRow]) -> Path:
    """Write a random model of acorn's shape with a byte-level tokenizer, and return its folder."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [turn.content for row in rows for turn in row.prompt] + [row.answer for row in rows]
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        extra_special_tokens=special[2:],
        chat_template="{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
    ).save_pretrained(folder)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=2048,
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=6,
        num_attention_heads=4,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
