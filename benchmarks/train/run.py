"""LoRA training throughput of Freehold's loop against TRL's SFTTrainer, side by side in one process.

Both train the same rank and targets on the same base, the same rows once, the same rows per step, the
same number of steps, precision, optimizer, schedule and clipping, with loss on the answers alone. Rows
are tokenised before the clock starts. The arms take turns, and the order turns round at each repeat.

    OMP_NUM_THREADS=1 taskset -c 0 .venv/bin/python benchmarks/train/run.py --data ../shared/data/snips

Time is the CPU time of the process on one core, because the machine is shared; wall time stands
beside it. Tokens are real tokens, padding left out: what a user has to train on.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from freehold.core.message import system, user
from freehold.core.sections import LoraSpec
from freehold.models.chat import ChatFormat
from freehold.train.adapters import lora, target_modules
from freehold.train.batching import length_batches
from freehold.train.loop import Loop, LoopSpec, LossTerm
from freehold.train.objectives import Batch, collate, sft
from freehold.train.records import Precision, Recipe, Watch
from freehold.train.rows import TokenRow, TrainingRow, encode_rows

ROOT = Path(__file__).resolve().parents[2]
ACORN = ROOT / "src" / "freehold" / "models" / "acorn"
SPEC = LoraSpec(r=16, seed=7)
LEARNING_RATE = 2e-3
INSTRUCTION = "Turn the request to a voice assistant into JSON with its intent and its slots."
HELD_OUT = 200


@dataclass(frozen=True)
class Setting:
    """What all arms have in common."""

    open_base: Callable[[], PreTrainedModel]
    tokenizer: PreTrainedTokenizerBase
    rows: Sequence[TokenRow]
    held_out: Sequence[TokenRow]
    rows_per_step: int
    precision: Precision

    @property
    def steps(self) -> int:
        return len(self.rows) // self.rows_per_step


@dataclass(frozen=True)
class Measured:
    """One training: its cost, and the mean loss in nats per answer token on held-out rows."""

    cpu_seconds: float
    wall_seconds: float
    loss_before: float
    loss_after: float


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


def held_out_loss(network: PreTrainedModel, rows: Sequence[TokenRow]) -> float:
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(rows), 20):
            part = rows[start : start + 20]
            total += float(sft(network, collate(part, ["row"] * len(part), network.device)))
    return total / sum(len(row.ids) - row.answer_start for row in rows)


def adapted(setting: Setting) -> PreTrainedModel:
    """Return a base with our adapter in place."""
    network = setting.open_base()
    torch.manual_seed(SPEC.seed)
    lora(network, SPEC, setting.precision)
    return network


def adapted_by_peft(setting: Setting) -> tuple[PreTrainedModel, PeftModel]:
    """Return a base with the same adapter as PEFT makes it, the same first weights included."""
    network = setting.open_base()
    torch.manual_seed(SPEC.seed)
    config = LoraConfig(
        r=SPEC.r,
        lora_alpha=2 * SPEC.r,
        target_modules=list(target_modules(network, SPEC.targets)),
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    return network, get_peft_model(network, config)


def timed(train: Callable[[], object]) -> tuple[float, float]:
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    train()
    return time.process_time() - cpu, time.perf_counter() - wall


def freehold(setting: Setting) -> Measured:
    network = adapted(setting)
    before = held_out_loss(network, setting.held_out)
    batches = length_batches(
        [len(row.ids) for row in setting.rows],
        budget_tokens=10**9,
        max_rows=setting.rows_per_step,
        seed=SPEC.seed,
        epoch=0,
    )

    def of_step(step: int) -> tuple[Batch]:
        chosen = [setting.rows[i] for i in batches[step]]
        return (collate(chosen, ["row"] * len(chosen), network.device),)

    longest = max(len(row.ids) for row in setting.rows)
    recipe = Recipe(
        learning_rate=LEARNING_RATE,
        epochs=1.0,
        steps=setting.steps,
        warmup_steps=1,
        batch_tokens=longest * setting.rows_per_step,
        micro_tokens=longest * setting.rows_per_step,
        max_length=longest,
        precision=setting.precision,
        evaluate_at=(),
    )
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(
            network,
            [LossTerm("sft", sft, of_step)],
            LoopSpec(recipe=recipe, key="benchmark"),
            evaluate=None,
            checkpoint=Path(folder) / "checkpoint.safetensors",
            watch=Watch(clock=time.perf_counter),
        )
        cpu, wall = timed(loop.run)
    return Measured(cpu, wall, before, held_out_loss(network, setting.held_out))


def trl(setting: Setting, *, sampling: str = "random") -> Measured:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    network, model = adapted_by_peft(setting)
    before = held_out_loss(network, setting.held_out)
    dataset = Dataset.from_list(
        [
            {
                "input_ids": list(row.ids),
                "completion_mask": [0] * row.answer_start + [1] * (len(row.ids) - row.answer_start),
            }
            for row in setting.rows
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=setting.precision == "bfloat16",
            per_device_train_batch_size=setting.rows_per_step,
            max_steps=setting.steps,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr_rate": 0.1},
            warmup_steps=1,
            weight_decay=0.0,
            max_grad_norm=1.0,
            max_length=None,
            completion_only_loss=True,
            gradient_checkpointing=False,  # its default costs a second forward pass
            train_sampling_strategy=sampling,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            seed=SPEC.seed,
        )
        trainer = SFTTrainer(
            model=model, args=config, train_dataset=dataset, processing_class=setting.tokenizer
        )
        cpu, wall = timed(trainer.train)
    return Measured(cpu, wall, before, held_out_loss(network, setting.held_out))


def trl_by_length(setting: Setting) -> Measured:
    return trl(setting, sampling="group_by_length")


ARMS: dict[str, Callable[[Setting], Measured]] = {
    "freehold": freehold,
    "trl": trl,
    "trl, group_by_length": trl_by_length,
}


def random_base(folder: Path, texts: Sequence[str]) -> Path:
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
        num_hidden_layers=5,
        num_attention_heads=4,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def settings_of(arguments: argparse.Namespace, scratch: Path) -> tuple[str, list[Setting]]:
    """Return the name of the base, and a setting for each precision."""
    count = arguments.steps * arguments.rows_per_step + HELD_OUT
    rows = generated_rows(count) if arguments.data is None else snips_rows(arguments.data, count)
    if arguments.base is not None:
        name, folder = f"snapshot {arguments.base.name}", arguments.base
    elif (ACORN / "config.json").exists():
        name, folder = "freehold/acorn", ACORN
    else:
        texts = [turn.content for row in rows for turn in row.prompt] + [r.answer for r in rows]
        name, folder = "random Llama 256x5", random_base(scratch, texts)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = ChatFormat(tokenizer, model_stop_ids=[], where=name)
    encoded = list(encode_rows(chat, rows, max_length=arguments.max_length).rows.values())
    train = encoded[HELD_OUT:]
    used = len(train) // arguments.rows_per_step * arguments.rows_per_step
    return name, [
        Setting(
            open_base=lambda: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
            tokenizer=tokenizer,
            rows=train[:used],
            held_out=encoded[:HELD_OUT],
            rows_per_step=arguments.rows_per_step,
            precision=precision,
        )
        for precision in arguments.precision
    ]


def measure(setting: Setting, repeats: int) -> dict[str, list[Measured]]:
    """Return each arm's trainings; the arms take turns, in an order that turns round."""
    found: dict[str, list[Measured]] = {arm: [] for arm in ARMS}
    for repeat in range(repeats):
        for arm in list(ARMS)[:: 1 if repeat % 2 == 0 else -1]:
            found[arm].append(ARMS[arm](setting))
            print(
                f"{setting.precision:9} repeat {repeat + 1} {arm:22} {found[arm][-1]}", flush=True
            )
    return found


def table(setting: Setting, found: dict[str, list[Measured]]) -> str:
    tokens = sum(len(row.ids) for row in setting.rows)
    ours = statistics.median(one.cpu_seconds for one in found["freehold"])
    lines = [
        "| arm | precision | tokens/s (CPU time) | CPU s | wall s | Freehold is faster by"
        " | held-out loss before | after |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for arm, runs in found.items():
        cpu = statistics.median(one.cpu_seconds for one in runs)
        wall = statistics.median(one.wall_seconds for one in runs)
        after = statistics.median(one.loss_after for one in runs)
        ratio = "" if arm == "freehold" else f"{cpu / ours:.2f}x"
        lines.append(
            f"| {arm} | {setting.precision} | {tokens / cpu:,.0f} | {cpu:.2f} | {wall:.2f} | {ratio}"
            f" | {runs[0].loss_before:.3f} | {after:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the folder of snips; generated rows without it")
    parser.add_argument("--base", type=Path, help="a model folder; default: the bundled acorn")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rows-per-step", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", nargs="+", default=["bfloat16", "float32"])
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    with tempfile.TemporaryDirectory() as scratch:
        name, settings = settings_of(arguments, Path(scratch))
        first = settings[0]
        lengths = sorted(len(row.ids) for row in first.rows)
        answers = sum(len(row.ids) - row.answer_start for row in first.rows)
        print(
            f"base {name}, LoRA r={SPEC.r} on {SPEC.targets}, {len(lengths)} rows of"
            f" {lengths[0]} to {lengths[-1]} tokens (median {lengths[len(lengths) // 2]},"
            f" {answers / sum(lengths):.0%} carry loss), {first.rows_per_step} rows per step,"
            f" {first.steps} steps, {torch.get_num_threads()} thread(s), torch {torch.__version__},"
            f" {platform.machine()}, {time.strftime('%Y-%m-%d')}\n"
        )
        for setting in settings:
            print("\n" + table(setting, measure(setting, arguments.repeats)) + "\n", flush=True)


if __name__ == "__main__":
    main()
