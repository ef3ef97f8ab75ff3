# pyright: standard
"""The one training loop: given a model, loss terms, a recipe and a dev metric, it makes the weights.

It knows nothing of adapters, rows or methods. A method is a list of `LossTerm`: a function from a
batch to a summed loss, the batches of each step as a pure function of the step, and a weight. The
state of a run is therefore the trainable weights, the optimizer, the random state and one number,
the step; a checkpoint holds all of it, and a resumed run ends bit-identical on a CPU.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import torch
from pydantic import JsonValue
from torch import Tensor, nn
from transformers import PreTrainedModel

from freehold.core.errors import ModelError
from freehold.core.record import Record
from freehold.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from freehold.train.memory import PeakMemory
from freehold.train.objectives import Batch, Objective
from freehold.train.records import (
    Check,
    Evaluated,
    KeptPoint,
    Lost,
    Point,
    Recipe,
    Steered,
    Stepped,
    Stopped,
    StopReason,
    Watch,
)
from freehold.train.schedule import Shape, learning_rate_at

Weights: TypeAlias = dict[str, Tensor]

CURVE_POINTS = 200
"""At most about this many points of the loss are kept."""
CLEAR_RISE = 0.05
"""How far the dev metric must have risen above its first value before patience counts."""
LOW_CHECKS = 2


@dataclass(frozen=True)
class LossTerm:
    """One part of what is lowered: weight * mean loss per target over the step's batches."""

    name: str
    objective: Objective[Any]
    batches: Callable[[int], Sequence[Batch]]
    weight: Callable[[], float] = lambda: 1.0
    is_replay: bool = False


class Steering(Protocol):
    """What keeps a run within bounds: looks now and then, and moves the weights of loss terms.

    Its state is JSON, is part of the checkpoint, and decides everything it will do.
    """

    def is_due(self, step: int) -> bool:
        """Whether to look after this step."""
        ...

    def look(self, step: int) -> Steered:
        """Measure the model as it is, adjust, and return what was seen and decided."""
        ...

    def state(self) -> Mapping[str, JsonValue]:
        """Return what a checkpoint keeps."""
        ...

    def restore(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from what a checkpoint kept."""
        ...


@dataclass(frozen=True)
class Eyes:
    """What the loop can measure of the model as it is. It may look, and must not touch.

    `check` maps a step to a dev check; None keeps the last weights. `divergence` is the forward KL from
    the base on the task's own rows (nats per token).
    """

    check: Callable[[int], Check] | None = None
    divergence: Callable[[], float] | None = None
    steering: Steering | None = None


@dataclass(frozen=True)
class LoopSpec:
    """How the loop runs. `key` names the run, so that no checkpoint is read by another one.

    `seconds` is the limit of training and evaluation together, over all resumes. `kept_floor`: the run
    ends when the upper bound of kept ability is below it at two checks in a row.
    """

    recipe: Recipe
    key: str
    patience: int | None = None
    kept_floor: float | None = None
    seconds: float | None = None
    shape: Shape = "cosine"
    clip_norm: float = 1.0
    weight_decay: float = 0.0
    checkpoint_seconds: float = 60.0


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
    low_checks: int = 0
    replay_tokens: int = 0
    dev_curve: list[tuple[int, float]] = field(default_factory=list)
    kept_curve: list[JsonValue] = field(default_factory=list)
    divergence_curve: list[tuple[int, float]] = field(default_factory=list)
    steering: list[JsonValue] = field(default_factory=list)
    steering_state: dict[str, JsonValue] = field(default_factory=dict)
    lost: list[JsonValue] = field(default_factory=list)
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
    kept_curve: tuple[KeptPoint, ...]
    divergence_curve: tuple[Point, ...]
    steering: tuple[Steered, ...]
    lost: tuple[Lost, ...]
    replay_tokens: int
    peak_memory_bytes: int


class Loop:
    """A run: `Loop(...).run()`. It is a class because a step, an evaluation and a save share state."""

    def __init__(
        self,
        model: nn.Module,
        terms: Sequence[LossTerm],
        spec: LoopSpec,
        *,
        eyes: Eyes,
        checkpoint: Path,
        watch: Watch,
    ) -> None:
        """Read the checkpoint of this run, where there is one.

        Args:
            model: its parameters with `requires_grad` are trained, the others are left alone.
            terms: what is lowered; at least one.
            spec: how.
            eyes: what can be measured of the model on the way.
            checkpoint: the file to resume from and to write.
            watch: clock, events, and whether to stop.

        Raises:
            UsageError: the checkpoint belongs to another run.
            ValueError: nothing is trainable or nothing is lowered.
        """
        self._model = model
        self._terms = tuple(terms)
        self._spec = spec
        self._eyes = eyes
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
            self._steer()
            if self._watch.clock() - self._saved_at >= self._spec.checkpoint_seconds:
                self._save()

    def _is_evaluation_due(self) -> bool:
        progress = self._progress
        if self._eyes.check is None or progress.step not in self._spec.recipe.evaluate_at:
            return False
        return not progress.dev_curve or progress.dev_curve[-1][0] != progress.step

    def _measure_dev(self) -> None:
        if self._eyes.check is None:
            return
        progress = self._progress
        began = self._watch.clock()
        self._model.eval()
        with torch.random.fork_rng(devices=_cuda_devices(self._model)):
            check = self._eyes.check(progress.step)
            divergence = self._eyes.divergence() if self._eyes.divergence else None
        seconds = self._watch.clock() - began
        if not math.isfinite(check.score):
            raise ModelError(
                "TRN-005",
                f"the dev metric is {check.score} after step {progress.step}",
                help="check the metric on one answer with `freehold eval`",
            )
        progress.evaluation_seconds += seconds
        is_best = self._take_score(check.score)
        self._take_kept(check)
        if divergence is not None:
            progress.divergence_curve.append((progress.step, divergence))
        self._watch.tell(
            Evaluated(
                step=progress.step,
                score=check.score,
                is_best=is_best,
                best_step=progress.best_step,
                seconds=seconds,
                kept=check.kept,
                lost=check.lost,
                divergence=divergence,
            )
        )
        self._save()

    def _take_score(self, score: float) -> bool:
        """Note a dev score, and the weights with it where it is the best so far.

        A check is flat only once the metric has clearly left its start: a plateau at the first score is
        where learning has not begun, and patience must not end it there.
        """
        progress = self._progress
        progress.dev_curve.append((progress.step, score))
        is_best = progress.best_score is None or score > progress.best_score
        if is_best:
            progress.best_score, progress.best_step = score, progress.step
            progress.flat_evaluations = 0
            self._best = self._weights()
        elif (progress.best_score or 0.0) - progress.dev_curve[0][1] >= CLEAR_RISE:
            progress.flat_evaluations += 1
        return is_best

    def _take_kept(self, check: Check) -> None:
        progress, floor = self._progress, self._spec.kept_floor
        progress.lost = [lost.to_json() for lost in check.lost]
        if check.kept is None:
            return
        point = KeptPoint(step=progress.step, kept=check.kept)
        progress.kept_curve.append(point.to_json())
        is_low = floor is not None and check.kept.high < floor
        progress.low_checks = progress.low_checks + 1 if is_low else 0

    def _steer(self) -> None:
        steering, progress = self._eyes.steering, self._progress
        if steering is None or not steering.is_due(progress.step):
            return
        began = self._watch.clock()
        self._model.eval()
        seen = steering.look(progress.step)
        progress.train_seconds += self._watch.clock() - began
        progress.steering.append(seen.to_json())
        progress.steering_state = dict(steering.state())
        self._watch.tell(seen)

    def _reason_to_stop(self) -> StopReason | None:
        """Return why to stop now, None to go on."""
        progress, spec = self._progress, self._spec
        if progress.step >= spec.recipe.steps:
            return StopReason.FINISHED
        if self._watch.should_stop():
            return StopReason.INTERRUPTED
        if progress.low_checks >= LOW_CHECKS:
            return StopReason.FORGETTING
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
            passed = sum(batch.tokens for batch in batches)
            tokens += passed
            progress.replay_tokens += passed if term.is_replay else 0
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
        """Return weight * mean loss per unit of the step's batches, its gradient added to the parameters."""
        model = cast(PreTrainedModel, self._model)
        units = sum(batch.units for batch in batches)
        loss = 0.0
        for batch in batches:
            part = term.objective(model, batch) * (term.weight() / units)
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
            kept_curve=_read_all(KeptPoint, progress.kept_curve),
            divergence_curve=tuple(Point(step=s, value=v) for s, v in progress.divergence_curve),
            steering=_read_all(Steered, progress.steering),
            lost=_read_all(Lost, progress.lost),
            replay_tokens=progress.replay_tokens,
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
        if self._eyes.steering is not None and self._progress.steering_state:
            self._eyes.steering.restore(self._progress.steering_state)


def _progress_from(state: Mapping[str, JsonValue]) -> _Progress:
    values = dict(state)
    progress = _Progress(**values)  # pyright: ignore[reportArgumentType]
    progress.dev_curve = [(step, value) for step, value in progress.dev_curve]
    progress.loss_curve = [(step, value) for step, value in progress.loss_curve]
    progress.divergence_curve = [(step, value) for step, value in progress.divergence_curve]
    return progress


AnyRecord = TypeVar("AnyRecord", bound=Record)


def _read_all(kind: type[AnyRecord], values: Sequence[JsonValue]) -> tuple[AnyRecord, ...]:
    return tuple(kind.from_json(json.dumps(value)) for value in values)


def _cuda_devices(model: nn.Module) -> list[torch.device]:
    device = next(model.parameters()).device
    return [device] if device.type == "cuda" else []
