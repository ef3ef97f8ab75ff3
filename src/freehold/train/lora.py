# pyright: standard
"""The `lora` rung's training: rows, recipe, adapter and loop put together, resumable in one folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch

from freehold.core.errors import DataError, ModelError
from freehold.core.record import canonical_json, digest_json
from freehold.core.sections import LoraSpec
from freehold.core.snapshot import Drop, Example, TrainSplit
from freehold.models.door import Model
from freehold.models.local import LocalModel
from freehold.train.adapters import ADAPTERS, Tuned
from freehold.train.batching import StepPlan
from freehold.train.checkpoint import another_training, write_whole
from freehold.train.effort import batch_tokens_for, micro_tokens_for, recipe_for
from freehold.train.loop import Loop, LoopResult, LoopSpec, LossTerm
from freehold.train.objectives import OBJECTIVES, Batch, collate
from freehold.train.plan import lora_flops
from freehold.train.records import (
    Precision,
    Recipe,
    Started,
    StopReason,
    TrainingResult,
    Watch,
)
from freehold.train.rows import TokenRow, TrainingRow, encode_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER_FOLDER = "adapter"
CHECKPOINT_FILE = "checkpoint.safetensors"
RESULT_FILE = "result.json"
FORMAT = 1
"""Raised when the same spec on the same rows begins to train otherwise, so that no old run is resumed."""

Render: TypeAlias = Callable[[Example], TrainingRow]
ScoreDev: TypeAlias = Callable[[Model], float]


class InTraining(LocalModel):
    """The base with the adapter as it is at one step: reads the same network, copies nothing."""

    def __init__(self, base: LocalModel, *, key: str, step: int) -> None:
        super().__init__(base.files, base.loaded, clock=time.perf_counter)
        self._key = key
        self._step = step

    @property
    def digest(self) -> str:
        """The name of these weights: the training and the step, not the base's own digest."""
        return digest_json("in training", [self._key, self._step])


def train_lora(
    spec: LoraSpec,
    train: TrainSplit,
    *,
    base: LocalModel,
    render: Render,
    score_dev: ScoreDev | None,
    folder: Path,
    watch: Watch,
) -> TrainingResult:
    """Train an adapter, and leave `adapter/`, `checkpoint.safetensors` and `result.json` in `folder`.

    The same call on the same folder goes on where it was stopped, and returns at once when it was
    finished. The base is as it was afterwards, whatever happens.

    Args:
        spec: rank, targets, effort, and the numbers that the user set.
        train: the examples to learn from.
        base: the frozen model.
        render: from an example to what the model is asked and should answer; the ladder passes the
            same prompt that it uses at answering.
        score_dev: the dev metric of a model, higher is better; it chooses the weights that are kept.
            None keeps the last weights.
        folder: of this training alone.
        watch: clock, events, and whether to stop.

    Raises:
        DataError: no row is left to train on.
        ModelError: a loss is not finite, the template refuses a row, or no layer fits `targets`.
        UsageError: the folder holds another training.
        KeyboardInterrupt: `watch.should_stop` said so; a checkpoint was written.
    """
    if base.files.adapter is not None:
        raise ModelError(
            "TRN-006",
            f"{base.name} already carries an adapter; a second one on top could not be loaded alone",
            help="train on the base model itself: leave `models.base.adapter` out",
        )
    network = base.loaded.network.module
    rows = _rows_of(train.examples, base=base, render=render, max_length=spec.max_length)
    key = digest_json(
        "training",
        {"spec": spec.to_json(), "base": base.digest, "rows": rows.digest, "format": FORMAT},
    )
    done = _finished(folder / RESULT_FILE, key)
    if done is not None:
        return done
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        adapted = ADAPTERS["lora"](network, spec, precision_for(network))
        try:
            result = _train(
                _Job(spec=spec, base=base, rows=rows, adapted=adapted, folder=folder, key=key),
                score_dev=score_dev,
                watch=watch,
            )
        finally:
            adapted.undo()
            network.eval()
    content = {"key": key, "result": result.to_json()}
    write_whole(folder / RESULT_FILE, canonical_json(content))
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    return result


@dataclass(frozen=True)
class _Rows:
    """The rows that are trained on, their names for messages, and the examples left out."""

    rows: tuple[TokenRow, ...]
    names: tuple[str, ...]
    dropped: tuple[Drop, ...]

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(len(row.ids) for row in self.rows)

    @property
    def digest(self) -> str:
        return digest_json("rows", [[row.answer_start, *row.ids] for row in self.rows])


@dataclass(frozen=True)
class _Job:
    """What a training is made of, once everything is open."""

    spec: LoraSpec
    base: LocalModel
    rows: _Rows
    adapted: Tuned
    folder: Path
    key: str

    @property
    def network(self) -> PreTrainedModel:
        return self.base.loaded.network.module


def _rows_of(
    examples: Sequence[Example], *, base: LocalModel, render: Render, max_length: int | None
) -> _Rows:
    limit = min(max_length or base.context_tokens, base.context_tokens)
    encoded = encode_rows(
        base.loaded.chat, [render(example) for example in examples], max_length=limit
    )
    dropped = tuple(
        Drop(source=examples[index].source, row=examples[index].row, reason=reason)
        for index, reason in encoded.dropped.items()
    )
    if not encoded.rows:
        reasons = "; ".join(sorted({drop.reason for drop in dropped})) or "there is none"
        raise DataError(
            "TRN-002",
            f"no training row is left of {len(examples)}: {reasons}",
            help="shorten the prompts, or choose a base model with a longer context",
        )
    return _Rows(
        rows=tuple(encoded.rows.values()),
        names=tuple(_name(examples[index]) for index in encoded.rows),
        dropped=dropped,
    )


def _name(example: Example) -> str:
    return f"{example.source} row {example.row}" if example.source else example.id


def _finished(file: Path, key: str) -> TrainingResult | None:
    """Return the result that an earlier call left, None where there is none.

    Raises:
        UsageError: it is the result of another training.
    """
    if not file.exists():
        return None
    content = json.loads(file.read_bytes())
    if content["key"] != key:
        raise another_training(file)
    return TrainingResult.from_json(json.dumps(content["result"]))


def _train(job: _Job, *, score_dev: ScoreDev | None, watch: Watch) -> TrainingResult:
    network, spec = job.network, job.spec
    parameters = network.num_parameters() - trainable_parameters(network)
    steps = StepPlan(
        job.rows.lengths,
        batch_tokens=batch_tokens_for(spec, parameters),
        micro_tokens=micro_tokens_for(spec, parameters),
        seed=spec.seed,
    )
    recipe = recipe_for(
        spec,
        parameters=parameters,
        steps_per_epoch=steps.in_epoch(0),
        max_length=max(job.rows.lengths),
        precision=precision_for(network),
    )
    loop = Loop(
        network,
        [LossTerm("sft", OBJECTIVES["sft"], _batches(job, steps))],
        _loop_spec(job, recipe),
        evaluate=_evaluation(job, score_dev),
        checkpoint=job.folder / CHECKPOINT_FILE,
        watch=watch,
    )
    watch.tell(
        Started(
            recipe=recipe,
            rows=len(job.rows.rows),
            dropped=len(job.rows.dropped),
            trainable_parameters=trainable_parameters(network),
            base_parameters=parameters,
            resumed_at=loop.resumed_at,
        )
    )
    done = loop.run()
    if done.stopped is StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    job.adapted.save(
        job.folder / ADAPTER_FOLDER,
        base=job.base.name,
        base_digest=job.base.files.base_digest(),
    )
    return _result(job, recipe, done)


def _evaluation(job: _Job, score_dev: ScoreDev | None) -> Callable[[int], float] | None:
    if score_dev is None:
        return None
    return lambda step: score_dev(InTraining(job.base, key=job.key, step=step))


def _loop_spec(job: _Job, recipe: Recipe) -> LoopSpec:
    minutes = job.spec.minutes
    return LoopSpec(
        recipe=recipe,
        key=job.key,
        patience=job.spec.patience,
        seconds=None if minutes is None else 60 * minutes,
    )


def _batches(job: _Job, steps: StepPlan) -> Callable[[int], tuple[Batch, ...]]:
    rows, names, device = job.rows.rows, job.rows.names, job.network.device

    def of_step(step: int) -> tuple[Batch, ...]:
        return tuple(
            collate([rows[i] for i in batch], [names[i] for i in batch], device)
            for batch in steps.at(step)
        )

    return of_step


def trainable_parameters(network: PreTrainedModel) -> int:
    """Return how many parameters are trained."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def precision_for(network: PreTrainedModel) -> Precision:
    """Return bfloat16 where the hardware multiplies it faster than float32, else float32.

    On a CPU that needs AMX or AVX-512 BF16 instructions. Weights stay in the precision they were
    loaded in, the adapter and its optimizer in float32; only matrix products change. A network that
    was loaded in bfloat16 is always trained so.
    """
    if network.dtype == torch.bfloat16:
        return "bfloat16"
    if network.device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    has = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if has.get("amx_bf16") or has.get("avx512_bf16") else "float32"


def _result(job: _Job, recipe: Recipe, done: LoopResult) -> TrainingResult:
    network = job.network
    trained = trainable_parameters(network)
    parameters = network.num_parameters() - trained
    return TrainingResult(
        adapter=ADAPTER_FOLDER,
        recipe=recipe,
        base=job.base.name,
        steps=done.steps,
        epochs=done.steps / recipe.steps * recipe.epochs,
        tokens=done.tokens,
        seconds=done.seconds,
        evaluation_seconds=done.evaluation_seconds,
        best_step=done.best_step,
        best_score=done.best_score,
        dev_curve=done.dev_curve,
        loss_curve=done.loss_curve,
        stopped=done.stopped,
        rows=len(job.rows.rows),
        dropped=job.rows.dropped,
        trainable_parameters=trained,
        base_parameters=parameters,
        floating_point_operations=lora_flops(
            base_parameters=parameters, adapter_parameters=trained, tokens=done.tokens
        ),
        peak_memory_bytes=done.peak_memory_bytes,
    )
