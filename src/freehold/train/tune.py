# pyright: standard
"""One training of weights: a lesson, an adapter, retention and the loop put together, resumable in one folder."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from freehold.core.errors import ModelError
from freehold.core.record import canonical_json, digest_json
from freehold.core.sections import TunedKind, TuneSpec
from freehold.models.door import Model
from freehold.models.local import LocalModel
from freehold.models.standing import has_standing_update
from freehold.train.adapters import ADAPTERS, Tuned
from freehold.train.batching import StepPlan
from freehold.train.checkpoint import PARTIAL_FILES, another_training, write_whole
from freehold.train.compute import base_tokens_of, compute_of, training_operations
from freehold.train.effort import batch_tokens_for, evaluations_for, micro_tokens_for, recipe_for
from freehold.train.lesson import Lesson
from freehold.train.loop import Eyes, Loop, LoopResult, LoopSpec, LossTerm
from freehold.train.objectives import Batch
from freehold.train.processes import ALONE, Processes
from freehold.train.records import (
    Check,
    Precision,
    Recipe,
    Started,
    StopReason,
    TrainingResult,
    Watch,
)
from freehold.train.retention import (
    ReplaySteering,
    Retention,
    divergence_on,
    penalties_of,
    preconditioner_of,
    replay_terms,
)
from freehold.train.soft import SoftRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel

READS_WEIGHTS: frozenset[TunedKind] = frozenset({"dora", "osf", "full"})
"""Kinds whose update follows from the weights of a layer, not from its output alone."""
TUNED_FOLDER = "adapter"
CHECKPOINT_FILE = "checkpoint.safetensors"
RESULT_FILE = "result.json"
FORMAT = 5
"""Raised when the same spec on the same rows begins to train otherwise, so that no old run is resumed."""


class InTraining(LocalModel):
    """The base with its weights as they are at one step: reads the same network, copies nothing."""

    def __init__(self, base: LocalModel, *, key: str, step: int) -> None:
        super().__init__(base.files, base.loaded, clock=time.perf_counter)
        self._key = key
        self._step = step

    @property
    def digest(self) -> str:
        """The name of these weights: the training and the step, not the base's own digest."""
        return digest_json("in training", [self._key, self._step])


@dataclass(frozen=True)
class Examiner:
    """What may be measured of a model in training.

    `check` scores it on dev; `tokens` is about how many tokens one check reads and writes, so that
    checks stay a small part of the run. `kept_floor` ends a run that forgets (see `LoopSpec`).
    `task_rows` have the base's soft targets on rows of the task.
    """

    check: Callable[[Model], Check]
    tokens: int
    kept_floor: float | None = None
    task_rows: tuple[SoftRow, ...] = ()


def tune(
    spec: TuneSpec,
    lesson: Lesson,
    *,
    base: LocalModel,
    retention: Retention | None,
    examiner: Examiner | None,
    folder: Path,
    watch: Watch,
) -> TrainingResult:
    """Train, and leave `adapter/`, `checkpoint.safetensors` and `result.json` in `folder`.

    The same call on the same folder goes on where it was stopped, and returns at once when it was
    finished. The base is as it was afterwards, whatever happens.

    Args:
        spec: what is trained, effort, and the numbers that the user set.
        lesson: what is learnt.
        base: the weights to start from.
        retention: what is held on to; None: nothing.
        examiner: the dev metric chooses the weights that are kept; None keeps the last ones.
        folder: of this training alone.
        watch: clock, events, whether to stop, and the processes that train together: all of them make
            the same call, and all get the result.

    Raises:
        ModelError: a loss is not finite, or no layer fits `targets`.
        UsageError: the folder holds another training.
        KeyboardInterrupt: `watch.should_stop` said so; a checkpoint was written.
    """
    network = base.loaded.network.module
    _check_stands_on_weights(base, spec)
    key = digest_json(
        "training",
        {
            "spec": spec.to_json(),
            "base": base.digest,
            "lesson": lesson.digest,
            "retention": None if retention is None else retention.digest,
            "format": FORMAT,
        },
    )
    processes = watch.processes or ALONE
    done = processes.from_first(lambda: _finished(folder / RESULT_FILE, key))
    if done is not None:
        return done
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        tuned = ADAPTERS[spec.kind](network, spec, precision_for(network))
        job = _Job(spec, lesson, base, retention, folder, key, processes)
        try:
            with _recomputing(network, spec):
                result = _train(job, tuned, examiner=examiner, watch=watch)
        finally:
            tuned.undo()
            network.eval()
    if processes.is_first:
        content = {"key": key, "result": result.to_json()}
        write_whole(folder / RESULT_FILE, canonical_json(content))
        _sweep(folder)
    processes.wait()
    return result


def _check_stands_on_weights(base: LocalModel, spec: TuneSpec) -> None:
    """Refuse a base whose adapter is no part of its weights, where this kind of update needs that.

    Raises:
        ModelError: there is such an adapter.
    """
    network = base.loaded.network.module
    if hasattr(network, "peft_config"):
        raise ModelError(
            "TRN-006",
            f"{base.name} already carries an adapter; a second one on top could not be loaded alone",
            help="train on the base model itself: leave `models.base.adapter` out",
        )
    if spec.kind in READS_WEIGHTS and has_standing_update(network):
        raise ModelError(
            "TRN-006",
            f"{base.name} has an adapter beside weights in {str(network.dtype).removeprefix('torch.')}, and"
            f" an update of kind {spec.kind} is made from the weights alone",
            help="train the stages with kind: lora, rslora or qlora",
        )


@contextmanager
def _recomputing(network: PreTrainedModel, spec: TuneSpec) -> Iterator[None]:
    """Keep only the inputs of each layer for the backward pass where the spec says so.

    Raises:
        ModelError: a prefix is trained, which reaches the layers as a cache that recomputing leaves out.
    """
    if not spec.checkpointing:
        yield
        return
    if spec.kind == "prefix":
        raise ModelError(
            "TRN-008",
            "a prefix cannot be trained with `checkpointing`: it would be left out",
            help="freehold climb -s ladder.lora.kind=lora",
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`gradient_checkpointing_", FutureWarning)
        network.gradient_checkpointing_enable({"use_reentrant": False})
        try:
            yield
        finally:
            network.gradient_checkpointing_disable()


def _sweep(folder: Path) -> None:
    """Remove what a finished training needs no more, and what a killed one was writing."""
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    for partial in folder.glob(PARTIAL_FILES):
        partial.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Job:
    """What a training is made of, once everything is open."""

    spec: TuneSpec
    lesson: Lesson
    base: LocalModel
    retention: Retention | None
    folder: Path
    key: str
    processes: Processes

    @property
    def network(self) -> PreTrainedModel:
        return self.base.loaded.network.module


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


def _train(job: _Job, tuned: Tuned, *, examiner: Examiner | None, watch: Watch) -> TrainingResult:
    network, spec, lesson = job.network, job.spec, job.lesson
    parameters = tuned.base_parameters
    steps = StepPlan(
        lesson.lengths,
        batch_tokens=batch_tokens_for(spec, parameters),
        micro_tokens=micro_tokens_for(spec, parameters),
        seed=spec.seed,
    )
    recipe = recipe_for(
        spec,
        parameters=parameters,
        steps_per_epoch=steps.in_epoch(0),
        max_length=max(lesson.lengths),
        precision=tuned.precision,
    )
    if examiner is not None:
        recipe = evaluations_for(
            recipe,
            train_tokens=round(recipe.epochs * sum(lesson.lengths)),
            check_tokens=examiner.tokens,
        )
    counts = (tuned.trained_parameters, parameters)
    penalties = () if job.retention is None else penalties_of(job.retention, network)
    preconditioner = None if job.retention is None else preconditioner_of(job.retention, network)
    if preconditioner is not None:
        preconditioner.begin()  # a run that goes on reads its weights afterwards
    processes = job.processes.spread(network)
    try:
        steering, replay = _replay(job, steps, recipe)
        loop = Loop(
            network,
            [_lesson_term(lesson, steps, processes), *replay, *penalties],
            _loop_spec(job, recipe, examiner),
            eyes=_eyes(job, examiner, steering=steering, recipe=recipe),
            watch=watch,
            processes=processes,
            preconditioner=preconditioner,
        )
        if processes.is_first:
            watch.tell(_started(job, recipe, counts, resumed_at=loop.resumed_at))
        done = loop.run()
    finally:
        processes.gather()
    if done.stopped is StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    if processes.is_first:
        tuned.save(
            job.folder / TUNED_FOLDER,
            base=job.base.name,
            base_digest=job.base.digest,
            tokenizer=job.base.files.folder,
        )
    return _result(job, tuned, recipe=recipe, done=done)


def _loop_spec(job: _Job, recipe: Recipe, examiner: Examiner | None) -> LoopSpec:
    minutes = job.spec.minutes
    return LoopSpec(
        recipe=recipe,
        key=job.key,
        checkpoint=job.folder / CHECKPOINT_FILE,
        patience=job.spec.patience,
        kept_floor=None if examiner is None else examiner.kept_floor,
        seconds=None if minutes is None else 60 * minutes,
    )


def _started(job: _Job, recipe: Recipe, counts: tuple[int, int], *, resumed_at: int) -> Started:
    trained, base = counts
    return Started(
        recipe=recipe,
        rows=len(job.lesson.lengths),
        dropped=len(job.lesson.dropped),
        trainable_parameters=trained,
        base_parameters=base,
        resumed_at=resumed_at,
    )


def _lesson_term(lesson: Lesson, steps: StepPlan, processes: Processes) -> LossTerm:
    def batches(step: int) -> tuple[Batch, ...]:
        own = processes.share(steps.at(step))
        return tuple(lesson.batch(indices, step=step) for indices in own)

    return LossTerm(lesson.name, lesson.objective, batches)


def _replay(
    job: _Job, steps: StepPlan, recipe: Recipe
) -> tuple[ReplaySteering | None, tuple[LossTerm, ...]]:
    held = job.retention
    if held is None:
        return None, ()
    steering = ReplaySteering(
        held, job.network, steps=recipe.steps, batch_tokens=recipe.micro_tokens
    )

    def step_tokens(step: int) -> int:
        return sum(job.lesson.passed_tokens(indices) for indices in steps.at(step))

    terms = replay_terms(
        held,
        steering,
        job.network.device,
        step_tokens=step_tokens,
        seed=job.spec.seed,
        share=job.processes.share,
    )
    return steering, terms


def _eyes(
    job: _Job,
    examiner: Examiner | None,
    *,
    steering: ReplaySteering | None,
    recipe: Recipe,
) -> Eyes:
    if examiner is None:
        return Eyes(steering=steering)
    divergence = (
        divergence_on(examiner.task_rows, job.network, batch_tokens=recipe.micro_tokens)
        if examiner.task_rows
        else None
    )
    return Eyes(
        check=lambda step: examiner.check(InTraining(job.base, key=job.key, step=step)),
        divergence=divergence,
        steering=steering,
    )


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


def _result(job: _Job, tuned: Tuned, *, recipe: Recipe, done: LoopResult) -> TrainingResult:
    trained = tuned.trained_parameters
    return TrainingResult(
        adapter=TUNED_FOLDER,
        recipe=recipe,
        base=job.base.name,
        steps=done.steps,
        epochs=done.steps / recipe.steps * recipe.epochs,
        tokens=done.tokens,
        replay_tokens=done.replay_tokens,
        seconds=done.seconds,
        evaluation_seconds=done.evaluation_seconds,
        best_step=done.best_step,
        best_score=done.best_score,
        dev_curve=done.dev_curve,
        loss_curve=done.loss_curve,
        kept_curve=done.kept_curve,
        divergence_curve=done.divergence_curve,
        steering=done.steering,
        lost=done.lost,
        stopped=done.stopped,
        rows=len(job.lesson.lengths),
        dropped=job.lesson.dropped,
        trainable_parameters=trained,
        base_parameters=tuned.base_parameters,
        floating_point_operations=training_operations(
            job.spec.kind,
            base_parameters=tuned.base_parameters,
            trained_parameters=trained,
            tokens=done.tokens,
        ),
        compute=compute_of(
            parameters=tuned.base_parameters,
            tokens=done.tokens,
            base_tokens=base_tokens_of(job.base.name, config=job.network.config),
        ),
        peak_memory_bytes=done.peak_memory_bytes,
    )
