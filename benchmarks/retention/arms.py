# pyright: standard
"""The arms: ways to learn the same rows on the same base, each of which leaves an update.

All have the same rows as tokens, epochs, padded tokens of a step, schedule (3% warm-up, cosine to a
tenth), AdamW without decay, clipping at 1, and loss on answers alone. The last weights are kept. What
differs is what the method is.
"""

from __future__ import annotations

import copy
import random
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from domains import Domain
from lab import Lab
from peft import LoraConfig, OSFConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import Tensor, nn

from freehold.core.sections import LoraSpec
from freehold.core.snapshot import Example
from freehold.train.adapters import target_modules
from freehold.train.batching import StepPlan
from freehold.train.effort import batch_tokens_for, learning_rate_for, micro_tokens_for, recipe_for
from freehold.train.objectives import collate, sft
from freehold.train.records import Recipe, Watch
from freehold.train.retention import Retention
from freehold.train.rows import TokenRow, TrainingRow, encode_rows
from freehold.train.schedule import learning_rate_at
from freehold.train.sft import sft_lesson
from freehold.train.tune import TUNED_FOLDER, precision_for, tune

CURVE_POINTS = 40
PLAIN_RANK = 16
"""Of the arms that are not ours, on all linear layers: 454,656 parameters on acorn, where ours has 516,096."""
OSF_RATE = 0.05
"""Of LoRA's default rate: full weights take about a tenth of it, and its ladder looks on both sides."""


@dataclass(frozen=True)
class Setting:
    """What a training gets besides its arm: rows, the factor of the default rate, and how long."""

    domain: Domain
    examples: Sequence[Example]
    factor: float
    seed: int
    epochs: float | None
    folder: Path
    replay: Sequence[TrainingRow] = ()
    retention: Retention | None = None
    ours: LoraSpec | None = None


@dataclass(frozen=True)
class Trained:
    """What an arm left. `seconds` is training alone, without opening, tokenising or measuring."""

    update: Mapping[str, Tensor]
    seconds: float
    tokens: int
    replay_tokens: int
    steps: int
    learning_rate: float
    curve: tuple[tuple[int, float], ...]
    steering: tuple[dict[str, float], ...] = ()
    peak_memory_bytes: int = 0


Arm = Callable[[Lab, Setting], Trained]


def clock_of(lab: Lab) -> Callable[[], float]:
    """Return the clock of trainings: of the processor's own time on a CPU, which other processes do not
    lengthen (a worker has one thread), and of the wall on an accelerator."""
    is_cpu = lab.base.loaded.network.device.type == "cpu"
    return time.process_time if is_cpu else time.perf_counter


def _spec(lab: Lab, setting: Setting) -> LoraSpec:
    parameters = lab.base.loaded.network.module.num_parameters()
    return LoraSpec(
        r=PLAIN_RANK,
        targets="all_linear",
        learning_rate=setting.factor * learning_rate_for(parameters),
        epochs=setting.epochs,
        seed=setting.seed,
    )


def naive(lab: Lab, setting: Setting) -> Trained:
    """Train LoRA on the domain's rows alone, with Freehold's trainer."""
    return _tuned(lab, setting, _spec(lab, setting), retention=None)


def ours(lab: Lab, setting: Setting) -> Trained:
    """Train the `lora` rung as it is, at its own rate: replay under sharpened soft targets, and curvature."""
    return _tuned(lab, setting, setting.ours or LoraSpec(), retention=setting.retention)


def _tuned(lab: Lab, setting: Setting, spec: LoraSpec, *, retention: Retention | None) -> Trained:
    shutil.rmtree(setting.folder, ignore_errors=True)
    setting.folder.mkdir(parents=True)
    lesson = sft_lesson(setting.examples, base=lab.base, render=setting.domain.render)
    result = tune(
        spec,
        lesson,
        base=lab.base,
        retention=retention,
        examiner=None,
        folder=setting.folder,
        watch=Watch(clock=clock_of(lab)),
    )
    update = _lora_update(setting.folder / TUNED_FOLDER, lab)
    shutil.rmtree(setting.folder)
    every = max(1, len(result.loss_curve) // CURVE_POINTS)
    return Trained(
        update=update,
        seconds=result.seconds,
        tokens=result.tokens,
        replay_tokens=result.replay_tokens,
        steps=result.steps,
        learning_rate=result.recipe.learning_rate,
        curve=tuple((p.step, round(p.value, 4)) for p in result.loss_curve[::every]),
        steering=tuple(
            {
                "step": s.step,
                "divergence": round(s.divergence, 5),
                "weight": round(s.weight, 4),
                "replay": round(s.replay, 3),
            }
            for s in result.steering
        ),
        peak_memory_bytes=result.peak_memory_bytes,
    )


def _lora_update(folder: Path, lab: Lab) -> dict[str, Tensor]:
    """Return scale * B A of every layer of a saved LoRA folder."""
    import json

    config = json.loads((folder / "adapter_config.json").read_text())
    scale = config["lora_alpha"] / config["r"]
    tensors = load_file(folder / "adapter_model.safetensors")
    device = lab.base.loaded.network.device
    found: dict[str, Tensor] = {}
    for name, down in tensors.items():
        if ".lora_A." not in name:
            continue
        up = tensors[name.replace(".lora_A.", ".lora_B.")]
        layer = name.split(".lora_A.")[0].removeprefix("base_model.model.")
        found[layer] = scale * (up.to(device).float() @ down.to(device).float())
    return found


def trl(lab: Lab, setting: Setting) -> Trained:
    """Train LoRA with TRL's SFTTrainer; a tenth of the rows are the base's own answers, as hard labels."""
    import datasets
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

    datasets.disable_progress_bars()
    plan = _planned(lab, setting)
    replayed = round(len(plan.rows) / 9)
    rng = random.Random(f"replay/{setting.seed}")
    general = encode_rows(
        lab.base.loaded.chat,
        rng.sample(list(setting.replay), min(replayed, len(setting.replay))),
        max_length=lab.base.context_tokens,
    )
    rows = [*plan.rows, *general.rows.values()]
    tokens = sum(len(row.ids) for row in rows)
    per_step = max(1, round(plan.recipe.batch_tokens / (tokens / len(rows))))
    steps = max(1, round(plan.recipe.epochs * len(rows) / per_step))
    network = copy.deepcopy(lab.base.loaded.network.module)
    torch.manual_seed(setting.seed)
    model = _adapted(
        network,
        LoraConfig(
            r=plan.spec.r,
            lora_alpha=2 * plan.spec.r,
            target_modules=list(target_modules(network, plan.spec.layers)),
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
        ),
    )
    shutil.rmtree(setting.folder, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=str(setting.folder),
                use_cpu=lab.base.loaded.network.device.type == "cpu",
                bf16=plan.recipe.precision == "bfloat16",
                per_device_train_batch_size=per_step,
                max_steps=steps,
                learning_rate=plan.recipe.learning_rate,
                lr_scheduler_type="cosine_with_min_lr",
                lr_scheduler_kwargs={"min_lr_rate": 0.1},
                warmup_steps=max(1, round(0.03 * steps)),
                weight_decay=0.0,
                max_grad_norm=1.0,
                max_length=None,
                completion_only_loss=True,
                gradient_checkpointing=False,  # its default costs a second forward pass
                logging_strategy="no",
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=False,
                seed=setting.seed,
            ),
            train_dataset=Dataset.from_list([_as_trl_row(row) for row in rows]),
            processing_class=lab.base.loaded.chat.tokenizer,
        )
        clock = clock_of(lab)
        began = clock()
        trainer.train()
        seconds = clock() - began
    shutil.rmtree(setting.folder, ignore_errors=True)
    share = sum(len(row.ids) for row in general.rows.values()) / tokens
    seen = round(steps * per_step / len(rows) * tokens)
    return Trained(
        update=_peft_update(model),
        seconds=seconds,
        tokens=seen,
        replay_tokens=round(share * seen),
        steps=steps,
        learning_rate=plan.recipe.learning_rate,
        curve=(),
    )


def _as_trl_row(row: TokenRow) -> dict[str, Any]:
    mask = [0] * row.answer_start + [1] * (len(row.ids) - row.answer_start)
    return {"input_ids": list(row.ids), "completion_mask": mask}


def osf(lab: Lab, setting: Setting) -> Trained:
    """Train PEFT's OSF (upper half of each spectrum frozen, its default) in float32, in a plain loop.

    TRL's trainer wraps nothing that OSF needs, and Freehold's loop would give the same steps.
    """
    plan = _planned(lab, setting, scale=OSF_RATE)
    network = copy.deepcopy(lab.base.loaded.network.module)
    torch.manual_seed(setting.seed)
    layers = list(target_modules(network, plan.spec.layers))
    model = _adapted(network, OSFConfig(target_modules=layers, task_type="CAUSAL_LM"))
    trained = [p for p in model.parameters() if p.requires_grad]
    recipe = plan.recipe
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=0.0, fused=True)
    model.train()
    clock, tokens = clock_of(lab), 0
    began = clock()
    curve: list[tuple[int, float]] = []
    every = max(1, recipe.steps // CURVE_POINTS)
    for step in range(recipe.steps):
        batches = [
            collate([plan.rows[i] for i in indices], [""] * len(indices), network.device)
            for indices in plan.steps.at(step)
        ]
        targets, loss = sum(batch.units for batch in batches), 0.0
        for batch in batches:
            part = sft(network, batch) / targets
            part.backward()
            loss += float(part.detach())
            tokens += batch.tokens
        nn.utils.clip_grad_norm_(trained, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(
                step,
                peak=recipe.learning_rate,
                steps=recipe.steps,
                warmup_steps=recipe.warmup_steps,
                shape="cosine",
            )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % every == 0:
            curve.append((step, round(loss, 4)))
    seconds = clock() - began
    return Trained(
        update=_peft_update(model),
        seconds=seconds,
        tokens=tokens,
        replay_tokens=0,
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        curve=tuple(curve),
    )


@dataclass(frozen=True)
class _Plan:
    spec: LoraSpec
    rows: tuple[TokenRow, ...]
    steps: StepPlan
    recipe: Recipe


def _planned(lab: Lab, setting: Setting, *, scale: float = 1.0) -> _Plan:
    """Return rows, steps and recipe as Freehold's trainer makes them, with `scale` times the rate."""
    network = lab.base.loaded.network.module
    spec = _spec(lab, setting)
    rows = sft_lesson(setting.examples, base=lab.base, render=setting.domain.render).rows
    lengths = [len(row.ids) for row in rows]
    parameters = network.num_parameters()
    steps = StepPlan(
        lengths,
        batch_tokens=batch_tokens_for(spec, parameters),
        micro_tokens=micro_tokens_for(spec, parameters),
        seed=spec.seed,
    )
    recipe = recipe_for(
        spec,
        parameters=parameters,
        steps_per_epoch=steps.in_epoch(0),
        max_length=max(lengths),
        precision=precision_for(network),
    )
    recipe = recipe.model_copy(update={"learning_rate": scale * recipe.learning_rate})
    return _Plan(spec=spec, rows=rows, steps=steps, recipe=recipe)


def _adapted(network: nn.Module, config: LoraConfig | OSFConfig) -> PeftModel:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        model = get_peft_model(network, config)  # type: ignore[arg-type]
    if not isinstance(model, PeftModel):
        raise TypeError(f"peft returned {type(model).__name__}")
    return model


@torch.no_grad()
def _peft_update(model: PeftModel) -> dict[str, Tensor]:
    """Return what the adapter adds to every layer's weight."""
    found: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if hasattr(module, "get_delta_weight") and hasattr(module, "base_layer"):
            layer = name.removeprefix("base_model.model.")
            found[layer] = module.get_delta_weight("default").detach().float()  # type: ignore[operator]
    return found


ARMS: Mapping[str, Arm] = {
    "naive": naive,
    "trl": trl,
    "osf": osf,
    "ours": ours,
    "self": ours,
    "whole": ours,
}
