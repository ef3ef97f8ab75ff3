# pyright: standard
"""The one training loop: given a model, loss terms, a recipe and a dev metric, it makes the weights.

It knows nothing of adapters, rows or methods. A method is a list of `LossTerm`: a function from a
batch to a summed loss, the batches of each step as a pure function of the step, and a weight. The
state of a run is therefore the trainable weights, the optimizer, the random state and one number,
the step; a checkpoint holds all of it, and a resumed run ends bit-identical on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias, cast

import torch
from pydantic import JsonValue
from torch import Tensor, nn
from transformers import PreTrainedModel

from freehold.core.errors import ModelError
from freehold.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from freehold.train.memory import PeakMemory
from freehold.train.objectives import Batch, Objective
from freehold.train.records import (
    Evaluated,
    Point,
    Recipe,
    Stepped,
    Stopped,
    StopReason,
    Watch,
)
from freehold.train.schedule import Shape, learning_rate_at

Weights: TypeAlias = dict[str, Tensor]

CURVE_POINTS = 200
"""At most about this many points of the loss are kept."""


@dataclass(frozen=True)
class LossTerm:
    """One part of what is lowered: weight * mean loss per target over the step's batches."""

    name: str
    objective: Objective
    batches: Callable[[int], Sequence[Batch]]
    weight: float = 1.0


@dataclass(frozen=True)
class LoopSpec:
    """How the loop runs. `key` names the run, so that no checkpoint is read by another one.

    Evaluations are skipped, except for the first and the last, while they have taken more than
    `evaluation_share` of the training time and more than `evaluation_seconds` altogether.
    `seconds` is the limit of training and evaluation together, over all resumes.
    """

    recipe: Recipe
    key: str
    patience: int | None = None
    seconds: float | None = None
    shape: Shape = "cosine"
    clip_norm: float = 1.0
    weight_decay: float = 0.0
    checkpoint_seconds: float = 60.0
    evaluation_share: float = 0.5
    evaluation_seconds: float = 60.0


@dataclass
class _Progress:
    """Everything about a run but its tensors. It is the JSON of a checkpoint."""

    step: int = 0
    tokens: int = 0
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    best_step: int = 0
    best_score: float | None = None
    flat_evaluations: int = 0
    dev_curve: list[tuple[int, float]] = field(default_factory=list)
    loss_curve: list[tuple[int, float]] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_steps: int = 0

    @property
    def seconds(self) -> float:
        return self.train_seconds + self.evaluation_seconds


@dataclass(frozen=True)
class LoopResult:
    """Where a run ended. The model holds the weights of `best_step`."""

    stopped: StopReason
    steps: int
    tokens: int
    seconds: float
    evaluation_seconds: float
    best_step: int
    best_score: float | None
    dev_curve: tuple[Point, ...]
    loss_curve: tuple[Point, ...]
    peak_memory_bytes: int


class Loop:
    """A run: `Loop(...).run()`. It is a class because a step, an evaluation and a save share state."""

    def __init__(
        self,
        model: nn.Module,
        terms: Sequence[LossTerm],
        spec: LoopSpec,
        *,
        evaluate: Callable[[int], float] | None,
        checkpoint: Path,
        watch: Watch,
    ) -> None:
        """Read the checkpoint of this run, where there is one.

        Args:
            model: its parameters with `requires_grad` are trained, the others are left alone.
            terms: what is lowered; at least one.
            spec: how.
            evaluate: from the step to the dev metric of the model as it is, higher is better; None
                keeps the last weights.
            checkpoint: the file to resume from and to write.
            watch: clock, events, and whether to stop.

        Raises:
            UsageError: the checkpoint belongs to another run.
            ValueError: nothing is trainable or nothing is lowered.
        """
        self._model = model
        self._terms = tuple(terms)
        self._spec = spec
        self._evaluate = evaluate
        self._file = checkpoint
        self._watch = watch
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._trained = dict(sorted(named.items()))
        if not self._trained or not self._terms:
            raise ValueError("a run needs trainable parameters and a loss term")
        self._optimizer = torch.optim.AdamW(
            self._trained.values(),
            lr=spec.recipe.learning_rate,
            weight_decay=spec.weight_decay,
            fused=True,
        )
        self._best: Weights = self._weights()
        self._progress = _Progress()
        self._memory = PeakMemory(next(iter(self._trained.values())).device)
        self._restore()
        self._saved_at = watch.clock()

    @property
    def resumed_at(self) -> int:
        """The step that this run goes on from: 0 for a fresh one."""
        return self._progress.step

    def run(self) -> LoopResult:
        """Train until a reason to stop, and leave the best weights in the model.

        Raises:
            ModelError: a loss or a gradient is not finite; the last checkpoint is as it was.
            MachineError: no space is left for a checkpoint.
        """
        while True:
            if self._is_evaluation_due():
                self._measure_dev()
            reason = self._reason_to_stop()
            if reason is not None:
                return self._finish(reason)
            self._step()
            if self._watch.clock() - self._saved_at >= self._spec.checkpoint_seconds:
                self._save()

    def _is_evaluation_due(self) -> bool:
        progress, spec = self._progress, self._spec
        step, steps = progress.step, spec.recipe.steps
        if self._evaluate is None or step not in spec.recipe.evaluate_at:
            return False
        if progress.dev_curve and progress.dev_curve[-1][0] == step:
            return False
        allowed = max(spec.evaluation_seconds, spec.evaluation_share * progress.train_seconds)
        return step in (0, steps) or progress.evaluation_seconds <= allowed

    def _measure_dev(self) -> None:
        if self._evaluate is None:
            return
        progress = self._progress
        began = self._watch.clock()
        self._model.eval()
        with torch.random.fork_rng(devices=_cuda_devices(self._model)):
            score = float(self._evaluate(progress.step))
        seconds = self._watch.clock() - began
        if not math.isfinite(score):
            raise ModelError(
                "TRN-005",
                f"the dev metric is {score} after step {progress.step}",
                help="check the metric on one answer with `freehold eval`",
            )
        progress.evaluation_seconds += seconds
        progress.dev_curve.append((progress.step, score))
        is_best = progress.best_score is None or score > progress.best_score
        if is_best:
            progress.best_score, progress.best_step = score, progress.step
            progress.flat_evaluations = 0
            self._best = self._weights()
        elif progress.best_step > 0:
            progress.flat_evaluations += 1
        self._watch.tell(
            Evaluated(
                step=progress.step,
                score=score,
                is_best=is_best,
                best_step=progress.best_step,
                seconds=seconds,
            )
        )
        self._save()

    def _reason_to_stop(self) -> StopReason | None:
        """Return why to stop now. Patience runs only once the metric has risen above its start."""
        progress, spec = self._progress, self._spec
        if progress.step >= spec.recipe.steps:
            return StopReason.FINISHED
        if self._watch.should_stop():
            return StopReason.INTERRUPTED
        if spec.patience is not None and progress.flat_evaluations >= spec.patience:
            return StopReason.PATIENCE
        if spec.seconds is not None and progress.seconds >= spec.seconds:
            return StopReason.TIME
        return None

    def _step(self) -> None:
        progress, recipe = self._progress, self._spec.recipe
        began = self._watch.clock()
        rate = learning_rate_at(
            progress.step,
            peak=recipe.learning_rate,
            steps=recipe.steps,
            warmup_steps=recipe.warmup_steps,
            shape=self._spec.shape,
        )
        self._model.train()
        loss, tokens = 0.0, 0
        for term in self._terms:
            batches = term.batches(progress.step)
            loss += self._add_gradients(term, batches)
            tokens += sum(batch.tokens for batch in batches)
        norm = self._update(rate)
        progress.step += 1
        progress.tokens += tokens
        progress.loss_sum += loss
        progress.loss_steps += 1
        self._note_loss()
        progress.train_seconds += self._watch.clock() - began
        self._watch.tell(
            Stepped(
                step=progress.step,
                steps=recipe.steps,
                loss=loss,
                learning_rate=rate,
                gradient_norm=norm,
                tokens_per_second=progress.tokens / max(progress.train_seconds, 1e-9),
                seconds=progress.seconds,
            )
        )

    def _add_gradients(self, term: LossTerm, batches: Sequence[Batch]) -> float:
        """Return weight * mean loss of the step's batches, its gradient added to the parameters."""
        model = cast(PreTrainedModel, self._model)
        targets = sum(len(batch.targets_N) for batch in batches)
        loss = 0.0
        for batch in batches:
            part = term.objective(model, batch) * (term.weight / targets)
            value = float(part.detach())
            if not math.isfinite(value):
                raise self._not_finite("loss", batches)
            self._memory.look()
            part.backward()
            loss += value
        return loss

    def _update(self, rate: float) -> float:
        """Take one optimizer step and return the gradient norm before clipping.

        Gradients that are not finite are seen before they reach a weight.
        """
        parameters = list(self._trained.values())
        norm = float(nn.utils.clip_grad_norm_(parameters, self._spec.clip_norm))
        if not math.isfinite(norm):
            batches = [batch for term in self._terms for batch in term.batches(self._progress.step)]
            raise self._not_finite("gradient", batches)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    def _not_finite(self, what: str, batches: Sequence[Batch]) -> ModelError:
        names = [name for batch in batches for name in batch.names]
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        return ModelError(
            "TRN-004",
            f"the {what} of step {self._progress.step + 1} is not finite, on {shown}",
            help="freehold climb -s ladder.lora.learning_rate="
            f"{self._spec.recipe.learning_rate / 4:.1g}",
        )

    def _note_loss(self) -> None:
        progress = self._progress
        every = max(1, self._spec.recipe.steps // CURVE_POINTS)
        if progress.step % every == 0 or progress.step == self._spec.recipe.steps:
            progress.loss_curve.append((progress.step, progress.loss_sum / progress.loss_steps))
            progress.loss_sum, progress.loss_steps = 0.0, 0

    def _finish(self, reason: StopReason) -> LoopResult:
        progress = self._progress
        self._save()
        if progress.best_score is not None:
            self._load_weights(self._best)
        self._model.eval()
        self._watch.tell(Stopped(step=progress.step, reason=reason))
        return LoopResult(
            stopped=reason,
            steps=progress.step,
            tokens=progress.tokens,
            seconds=progress.train_seconds,
            evaluation_seconds=progress.evaluation_seconds,
            best_step=progress.best_step if progress.best_score is not None else progress.step,
            best_score=progress.best_score,
            dev_curve=tuple(Point(step=s, value=v) for s, v in progress.dev_curve),
            loss_curve=tuple(Point(step=s, value=v) for s, v in progress.loss_curve),
            peak_memory_bytes=self._memory.bytes,
        )

    def _weights(self) -> Weights:
        return {name: p.detach().to("cpu", copy=True) for name, p in self._trained.items()}

    def _load_weights(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(weights[name])

    def _save(self) -> None:
        tensors: Weights = {"random": torch.get_rng_state()}
        tensors |= {f"weight/{name}": tensor for name, tensor in self._weights().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self._best.items()}
        for name, parameter in self._trained.items():
            for part, tensor in self._optimizer.state[parameter].items():
                tensors[f"optimizer/{part}/{name}"] = tensor.detach().to("cpu")
        state = cast("dict[str, JsonValue]", asdict(self._progress))
        save_checkpoint(self._file, Checkpoint(tensors=tensors, state=state), key=self._spec.key)
        self._saved_at = self._watch.clock()

    def _restore(self) -> None:
        saved = load_checkpoint(self._file, key=self._spec.key)
        if saved is None:
            return
        self._progress = _progress_from(saved.state)
        self._load_weights({name: saved.tensors[f"weight/{name}"] for name in self._trained})
        self._best = {name: saved.tensors[f"best/{name}"] for name in self._trained}
        for name, parameter in self._trained.items():
            for part in ("step", "exp_avg", "exp_avg_sq"):
                tensor = saved.tensors.get(f"optimizer/{part}/{name}")
                if tensor is not None:
                    self._optimizer.state[parameter][part] = tensor.to(parameter.device)
        torch.set_rng_state(saved.tensors["random"])


def _progress_from(state: Mapping[str, JsonValue]) -> _Progress:
    values = dict(state)
    progress = _Progress(**values)  # pyright: ignore[reportArgumentType]
    progress.dev_curve = [(step, value) for step, value in progress.dev_curve]
    progress.loss_curve = [(step, value) for step, value in progress.loss_curve]
    return progress


def _cuda_devices(model: nn.Module) -> list[torch.device]:
    device = next(model.parameters()).device
    return [device] if device.type == "cuda" else []
