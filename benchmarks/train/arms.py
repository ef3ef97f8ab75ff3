# pyright: basic
"""The arms of the training benchmark: Freehold and TRL, supervised and by preferences."""

from __future__ import annotations

import gc
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from setting import LEARNING_RATE, SPEC, Setting, pairs_of

from freehold.core.sections import PreferSpec
from freehold.models.local import LocalModel
from freehold.train.adapters import lora, target_modules
from freehold.train.batching import length_batches
from freehold.train.lesson import Lesson
from freehold.train.loop import Eyes, Loop, LoopSpec, LossTerm
from freehold.train.objectives import collate, sft
from freehold.train.preference import preference_lesson
from freehold.train.records import Recipe, Watch
from freehold.train.rows import TokenRow
from freehold.train.sft import SftLesson

BETA = 0.1
MIB = 1 << 20


@dataclass(frozen=True)
class Measured:
    """One training in a process of its own.

    `peak_mib` is the most resident memory of the process, `grown_mib` how far that is above what was
    resident right before training. `before` and `after` are what rows that were not trained on say:
    the loss in nats per answer token; for preferences the share of pairs whose chosen answer gained
    more on the untouched base than the rejected one, which has no value before.
    """

    tokens: int
    cpu_seconds: float
    wall_seconds: float
    peak_mib: float
    grown_mib: float
    before: float | None
    after: float


def freehold_sft(setting: Setting) -> Measured:
    model = setting.open()
    rows = setting.encode(model, setting.rows)
    held_out = setting.encode(model, setting.held_out)
    lesson = SftLesson(
        name="sft",
        rows=tuple(rows),
        names=("",) * len(rows),
        dropped=(),
        device=torch.device("cpu"),
        network=model.loaded.network,
    )
    before = held_out_loss(model, held_out)
    torch.manual_seed(SPEC.seed)
    lora(model.loaded.network.module, SPEC, setting.precision)
    cost = timed(lambda: loop(setting, model, lesson))
    return Measured(tokens_of(rows), *cost, before, held_out_loss(model, held_out))


def freehold_dpo(setting: Setting) -> Measured:
    """The clock runs while the reference is computed, tokenising included."""
    model = setting.open()
    spec = PreferSpec(beta=BETA, sft_weight=0.0, max_length=setting.max_length)
    held_out = preference_lesson(pairs_of(setting.held_out), base=model, spec=spec)

    def train() -> None:
        lesson = preference_lesson(pairs_of(setting.rows), base=model, spec=spec)
        torch.manual_seed(SPEC.seed)
        lora(model.loaded.network.module, SPEC, setting.precision)
        loop(setting, model, lesson)

    cost = timed(train)
    return Measured(pair_tokens(setting, model), *cost, None, preferred(model, held_out))


def trl_sft(setting: Setting, *, sampling: str = "random") -> Measured:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

    model = setting.open()
    rows = setting.encode(model, setting.rows)
    held_out = setting.encode(model, setting.held_out)
    before = held_out_loss(model, held_out)
    adapted = adapted_by_peft(model)
    dataset = Dataset.from_list(
        [
            {
                "input_ids": list(row.ids),
                "completion_mask": [0] * row.answer_start + [1] * (len(row.ids) - row.answer_start),
            }
            for row in rows
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            **trl_settings(setting, folder),
            max_length=None,
            completion_only_loss=True,
            train_sampling_strategy=sampling,
        )
        trainer = SFTTrainer(
            model=adapted,
            args=config,
            train_dataset=dataset,
            processing_class=model.loaded.chat.tokenizer,
        )
        cost = timed(trainer.train)
    return Measured(tokens_of(rows), *cost, before, held_out_loss(model, held_out))


def trl_sft_by_length(setting: Setting) -> Measured:
    return trl_sft(setting, sampling="group_by_length")


def trl_dpo(setting: Setting, *, precompute: bool = False) -> Measured:
    """The clock runs while it trains; with `precompute` also while the trainer is made."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportPrivateImportUsage]

    model = setting.open()
    spec = PreferSpec(beta=BETA, sft_weight=0.0, max_length=setting.max_length)
    lesson = preference_lesson(pairs_of(setting.held_out), base=model, spec=spec)
    adapted = adapted_by_peft(model)
    chat = model.loaded.chat
    end = str(chat.tokenizer.decode([chat.end_id]))
    pairs = [
        {
            "prompt": chat.render(pair.prompt),
            "chosen": pair.chosen + end,
            "rejected": pair.rejected + end,
        }
        for pair in pairs_of(setting.rows)
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = DPOConfig(
            **trl_settings(setting, folder),
            beta=BETA,
            max_length=None,
            precompute_ref_log_probs=precompute,
        )

        def make() -> Any:
            return DPOTrainer(
                model=adapted,
                args=config,
                train_dataset=Dataset.from_list(pairs),
                processing_class=chat.tokenizer,
            )

        if precompute:
            cost = timed(lambda: make().train())
        else:
            trainer = make()
            cost = timed(trainer.train)
    return Measured(pair_tokens(setting, model), *cost, None, preferred(model, lesson))


def trl_dpo_precomputed(setting: Setting) -> Measured:
    return trl_dpo(setting, precompute=True)


ARMS: Mapping[str, Mapping[str, Callable[[Setting], Measured]]] = {
    "sft": {
        "freehold": freehold_sft,
        "trl": trl_sft,
        "trl, group_by_length": trl_sft_by_length,
    },
    "dpo": {
        "freehold": freehold_dpo,
        "trl": trl_dpo,
        "trl, precompute_ref_log_probs": trl_dpo_precomputed,
    },
}


def loop(setting: Setting, model: LocalModel, lesson: Lesson) -> None:
    """Train the rows once, as many at a step as TRL does, by our loop."""
    batches = length_batches(
        lesson.lengths,
        budget_tokens=10**9,
        max_rows=setting.rows_per_step,
        seed=SPEC.seed,
        epoch=0,
    )
    longest = max(lesson.lengths)
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
        Loop(
            model.loaded.network.module,
            [
                LossTerm(
                    lesson.name,
                    lesson.objective,
                    lambda step: (lesson.batch(batches[step], step=step),),
                )
            ],
            LoopSpec(
                recipe=recipe,
                key="benchmark",
                checkpoint=Path(folder) / "checkpoint.safetensors",
            ),
            eyes=Eyes(),
            watch=Watch(clock=time.perf_counter),
        ).run()


def adapted_by_peft(model: LocalModel) -> PeftModel:
    """Put the same adapter into a base as PEFT makes it, the same first weights included."""
    network = model.loaded.network.module
    torch.manual_seed(SPEC.seed)
    config = LoraConfig(
        r=SPEC.r,
        lora_alpha=2 * SPEC.r,
        target_modules=list(target_modules(network, SPEC.layers)),
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(network, config)


def trl_settings(setting: Setting, folder: str) -> dict[str, Any]:
    return {
        "output_dir": folder,
        "use_cpu": True,
        "bf16": setting.precision == "bfloat16",
        "per_device_train_batch_size": setting.rows_per_step,
        "max_steps": setting.steps,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "warmup_steps": 1,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "gradient_checkpointing": False,  # its default costs a second forward pass
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": SPEC.seed,
    }


def timed(train: Callable[[], object]) -> tuple[float, float, float, float]:
    """Return CPU seconds, wall seconds, peak MiB, and MiB above what was resident before."""
    gc.collect()
    resident = psutil.Process().memory_info().rss
    cpu, wall = time.process_time(), time.perf_counter()
    train()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return cpu, wall, peak / MIB, (peak - resident) / MIB


def tokens_of(rows: Sequence[TokenRow]) -> int:
    return sum(len(row.ids) for row in rows)


def pair_tokens(setting: Setting, model: LocalModel) -> int:
    """Tokens of all pairs, each answer with a prompt of its own: what a user has to train on."""
    chat = model.loaded.chat
    return sum(
        2 * len(chat.prompt_ids(pair.prompt))
        + len(chat.answer_ids(pair.chosen))
        + len(chat.answer_ids(pair.rejected))
        + 2
        for pair in pairs_of(setting.rows)
    )


def held_out_loss(model: LocalModel, rows: Sequence[TokenRow]) -> float:
    network = model.loaded.network.module
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(rows), 20):
            part = rows[start : start + 20]
            total += float(sft(network, collate(part, ["row"] * len(part), network.device)))
    return total / sum(len(row.ids) - row.answer_start for row in rows)


def preferred(model: LocalModel, lesson: Any) -> float:
    """Return the share of pairs whose chosen answer gained more on the reference than the other."""
    from freehold.train.answers import reference_logprobs

    network = model.loaded.network
    network.module.eval()
    gained = reference_logprobs(network, lesson.rows, batch_tokens=2048) - lesson.reference
    return float((gained[:, 0] > gained[:, 1]).float().mean())
