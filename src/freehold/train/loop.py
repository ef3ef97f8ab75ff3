# pyright: standard
"""The one training loop: given a model, loss terms, a recipe and a dev metric, it makes the weights.

It knows nothing of adapters, rows or methods. A method is a list of `LossTerm`: a function from a
batch to a summed loss, the batches of each step as a pure function of the step, and a weight. The
state of a run is therefore the trainable weights, the optimizer, the random state, what steers it, and
one number, the step; a checkpoint holds all of it, and a resumed run ends bit-identical on a CPU.

Several processes run the same loop, each on its own batches of a step (`processes`).
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

from freehold.core.errors import ModelError
from freehold.core.record import Record
from freehold.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from freehold.train.memory import PeakMemory
from freehold.train.objectives import Batch, Objective
from freehold.train.processes import ALONE, Processes, laid_out_as, whole
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
    TrainEvent,
    Watch,
)
from freehold.train.schedule import Shape, learning_rate_at

Weights: TypeAlias = dict[str, Tensor]
Seen = TypeVar("Seen")

CURVE_POINTS = 200
"""At most about this many points of the loss are kept."""
CLEAR_RISE = 0.05
"""How far the dev metric must have risen above its first value before patience counts."""
LOW_CHECKS = 2


@dataclass(frozen=True)
class LossTerm:
    """One part of what is lowered: weight * mean loss per unit over the step's batches.

    `batches` gives those of this process; the mean is over the units of all processes.
    """

    name: str
    objective: Objective[Any]
    batches: Callable[[int], Sequence[Batch]]
    weight: Callable[[], float] = lambda: 1.0
    is_replay: bool = False


class Penalty(Protocol):
    """A part of the loss that reads no batch, only the weights that are trained."""

    def add_gradients(self) -> float:
        """Add its gradients to those of the parameters, alike on every process; return its value."""
        ...


class Preconditioner(Protocol):
    """Other coordinates that the optimizer steps in, with a penalty there. Nothing of it is in a checkpoint."""

    def turn_gradients(self) -> float:
        """Let gradients be those of the coordinates, with the penalty's; return its value."""
        ...

    def step(self, take: Callable[[], object]) -> None:
        """Let `take` step in coordinates, and add what it did to the weights."""
        ...


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
    """How the loop runs.

    `key` names the run, so that no checkpoint is read by another one; `checkpoint` is the file to
    resume from and to write.
    `seconds` is the limit of training and evaluation together, over all resumes. `kept_floor`: the run
    ends when the upper bound of kept ability is below it at two checks in a row.
    """

    recipe: Recipe
    key: str
    checkpoint: Path
    patience: int | None = None
    kept_floor: float | None = None
    seconds: float | None = None
    shape: Shape = "cosine"
    clip_norm: float = 1.0
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


@dataclass(frozen=True)
class _Passed:
    """What passed the model in one step, over all processes."""

    loss: float
    tokens: int
    replay_tokens: int


class Loop:
    """A run: `Loop(...).run()`. It is a class because a step, an evaluation and a save share state."""

    def __init__(
        self,
        model: nn.Module,
        terms: Sequence[LossTerm | Penalty],
        spec: LoopSpec,
        *,
        eyes: Eyes,
        watch: Watch,
        processes: Processes = ALONE,
        preconditioner: Preconditioner | None = None,
    ) -> None:
        """Read the checkpoint of this run, where there is one.

        Args:
            model: its parameters with `requires_grad` are trained, the others are left alone.
            terms: what is lowered; at least one that reads batches.
            spec: how.
            eyes: what can be measured of the model on the way.
            watch: clock, events, and whether to stop; those of the first process count.
            processes: that run this loop together.
            preconditioner: what the optimizer's steps are taken in; None: the weights as they are.

        Raises:
            UsageError: the checkpoint belongs to another run.
            ValueError: nothing is trainable or nothing is lowered.
        """
        self._model = model
        self._terms = tuple(term for term in terms if isinstance(term, LossTerm))
        self._penalties = tuple(term for term in terms if not isinstance(term, LossTerm))
        self._spec = spec
        self._eyes = eyes
        self._file = spec.checkpoint
        self._watch = watch
        self._processes = processes
        self._preconditioner = preconditioner
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._trained = dict(sorted(named.items()))
        if not self._trained or not self._terms:
            raise ValueError("a run needs trainable parameters and a loss term")
        self._optimizer = torch.optim.AdamW(
            self._trained.values(),
            lr=spec.recipe.learning_rate,
            weight_decay=0.0,
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
            is_save_due, reason = self._processes.from_first(self._decide)
            if reason is not None:
                return self._finish(reason)
            if is_save_due:
                self._save()
            self._step()
            self._steer()

    def _decide(self) -> tuple[bool, StopReason | None]:
        """Return whether to save now, and why to stop now."""
        waited = self._watch.clock() - self._saved_at
        is_save_due = self._progress.step > 0 and waited >= self._spec.checkpoint_seconds
        return is_save_due, self._reason_to_stop()

    def _is_evaluation_due(self) -> bool:
        progress = self._progress
        if self._eyes.check is None or progress.step not in self._spec.recipe.evaluate_at:
            return False
        return not progress.dev_curve or progress.dev_curve[-1][0] != progress.step

    def _measure_dev(self) -> None:
        look, divergence_of = self._eyes.check, self._eyes.divergence
        if look is None:
            return
        progress = self._progress
        began = self._watch.clock()
        check, divergence = self._look(
            lambda: (look(progress.step), divergence_of() if divergence_of else None)
        )
        seconds = self._watch.clock() - began
        progress.evaluation_seconds += seconds
        is_best = self._take_score(check.score)
        self._take_kept(check)
        if divergence is not None:
            progress.divergence_curve.append((progress.step, divergence))
        self._tell(
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

    def _look(self, measure: Callable[[], Seen]) -> Seen:
        """Return what the first process measures of the model as it is."""
        self._model.eval()
        with (
            self._processes.looking(),
            torch.random.fork_rng(devices=_cuda_devices(self._model)),
        ):
            return self._processes.from_first(measure)

    def _tell(self, event: TrainEvent) -> None:
        if self._processes.is_first:
            self._watch.tell(event)

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
        seen, state = self._look(lambda: (steering.look(progress.step), dict(steering.state())))
        if not self._processes.is_first:
            steering.restore(state)
        progress.train_seconds += self._watch.clock() - began
        progress.steering.append(seen.to_json())
        progress.steering_state = state
        self._tell(seen)

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
        batches = [term.batches(progress.step) for term in self._terms]
        done = self._add_gradients(batches)
        norm = self._update(rate, batches)
        progress.step += 1
        progress.tokens += done.tokens
        progress.replay_tokens += done.replay_tokens
        progress.loss_sum += done.loss
        progress.loss_steps += 1
        self._note_loss()
        progress.train_seconds += self._watch.clock() - began
        self._tell(
            Stepped(
                step=progress.step,
                steps=recipe.steps,
                loss=done.loss,
                learning_rate=rate,
                gradient_norm=norm,
                tokens_per_second=progress.tokens / max(progress.train_seconds, 1e-9),
                seconds=progress.seconds,
            )
        )

    def _add_gradients(self, batches: Sequence[Sequence[Batch]]) -> _Passed:
        """Pass the batches of each term; the gradient of every process's loss is in the parameters.

        Raises:
            ModelError: the loss or its gradient is not finite; no weight has changed.
        """
        processes = self._processes
        units = processes.summed([sum(batch.units for batch in own) for own in batches])
        parts: list[tuple[Tensor, tuple[str, ...]]] = []
        for term, own, total in zip(self._terms, batches, units, strict=True):
            for batch, counts in self._evened(own):
                factor = term.weight() / max(total, 1.0) if counts else 0.0
                part = processes.loss(self._model, term.objective, batch) * factor
                self._memory.look()
                (part * processes.gradient_factor).backward()
                parts.append((part.detach(), batch.names))
        # read once for all batches: to read a number makes the host wait for an accelerator
        values = torch.stack([part for part, _ in parts]).tolist() if parts else []
        named = [(value, names) for value, (_, names) in zip(values, parts, strict=True)]
        bad = [name for value, names in named if not math.isfinite(value) for name in names]
        replayed = [term.is_replay for term in self._terms]
        tokens = [sum(batch.tokens for batch in own) for own in batches]
        ours = sum(count for count, is_replay in zip(tokens, replayed, strict=True) if is_replay)
        total_loss, passed, replay = processes.summed([sum(values), sum(tokens), ours])
        if not math.isfinite(total_loss):
            names = [name for part in processes.gathered(tuple(bad)) for name in part]
            raise self._not_finite("loss", names)
        processes.add_up(list(self._trained.values()))
        total_loss += sum(penalty.add_gradients() for penalty in self._penalties)
        if self._preconditioner is not None:
            total_loss += self._preconditioner.turn_gradients()
        return _Passed(total_loss, round(passed), round(replay))

    def _evened(self, batches: Sequence[Batch]) -> list[tuple[Batch, bool]]:
        """Return the batches, and whether each counts.

        Where weights are sharded every process passes as many batches as the others, as each pass is a
        joint one; what is missing is filled by a batch that weighs nothing.
        """
        own = [(batch, True) for batch in batches]
        if not self._processes.passes_are_shared:
            return own
        everyones = self._processes.gathered((len(own), batches[0] if batches else None))
        most = max(count for count, _ in everyones)
        spare = next((batch for _, batch in everyones if batch is not None), None)
        return own + [(spare, False)] * (most - len(own)) if spare is not None else own

    def _update(self, rate: float, batches: Sequence[Sequence[Batch]]) -> float:
        """Take one optimizer step and return the gradient norm before clipping.

        Gradients that are not finite are seen before they reach a weight.
        """
        norm = self._processes.clip(list(self._trained.values()), self._spec.clip_norm)
        if not math.isfinite(norm):
            names = [name for own in batches for batch in own for name in batch.names]
            everyones = self._processes.gathered(tuple(names))
            raise self._not_finite("gradient", [name for part in everyones for name in part])
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if self._preconditioner is None:
            self._optimizer.step()
        else:
            self._preconditioner.step(self._optimizer.step)
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    def _not_finite(self, what: str, names: Sequence[str]) -> ModelError:
        self._optimizer.zero_grad(set_to_none=True)
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
        self._tell(Stopped(step=progress.step, reason=reason))
        return self._processes.from_first(lambda: self._result(reason))

    def _result(self, reason: StopReason) -> LoopResult:
        progress = self._progress
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
        return {name: whole(parameter) for name, parameter in self._trained.items()}

    def _load_weights(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(laid_out_as(parameter, weights[name]))

    def _save(self) -> None:
        """Write a checkpoint: every process gathers what is spread, the first one writes."""
        tensors: Weights = {f"weight/{name}": tensor for name, tensor in self._weights().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self._best.items()}
        for name, parameter in self._trained.items():
            for part, tensor in self._optimizer.state[parameter].items():
                tensors[f"optimizer/{part}/{name}"] = whole(tensor)
        for rank, states in enumerate(self._processes.gathered(_random_state(self._model))):
            tensors |= {_random_name(kind, rank): tensor for kind, tensor in states.items()}
        if self._processes.is_first:
            state = cast("dict[str, JsonValue]", asdict(self._progress))
            save_checkpoint(
                self._file, Checkpoint(tensors=tensors, state=state), key=self._spec.key
            )
        self._saved_at = self._watch.clock()

    def _restore(self) -> None:
        saved = load_checkpoint(self._file, key=self._spec.key)
        self._processes.wait()
        if saved is None:
            if not self._processes.is_first:
                _leave_first(self._processes.rank)
            return
        self._progress = _progress_from(saved.state)
        self._load_weights({name: saved.tensors[f"weight/{name}"] for name in self._trained})
        self._best = {name: saved.tensors[f"best/{name}"] for name in self._trained}
        for name, parameter in self._trained.items():
            for part in ("step", "exp_avg", "exp_avg_sq"):
                tensor = saved.tensors.get(f"optimizer/{part}/{name}")
                if tensor is not None:
                    like = parameter if tensor.shape == parameter.shape else torch.empty(())
                    self._optimizer.state[parameter][part] = laid_out_as(like, tensor)
        self._restore_random(saved.tensors)
        if self._eyes.steering is not None and self._progress.steering_state:
            self._eyes.steering.restore(self._progress.steering_state)

    def _restore_random(self, tensors: Mapping[str, Tensor]) -> None:
        """Take this process's random state; one that the stopped run did not have draws its own."""
        rank = self._processes.rank
        device = next(self._model.parameters()).device
        is_known = _random_name("cpu", rank) in tensors
        torch.set_rng_state(tensors[_random_name("cpu", rank if is_known else 0)])
        on_device = tensors.get(_random_name("cuda", rank))
        if on_device is not None and device.type == "cuda":
            torch.cuda.set_rng_state(on_device, device)
        if not is_known:
            _leave_first(rank)


def _random_state(model: nn.Module) -> Weights:
    """Return the states of the global generators that a pass may draw from (dropout)."""
    states = {"cpu": torch.get_rng_state()}
    for device in _cuda_devices(model):
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _random_name(kind: str, rank: int) -> str:
    """Return the name of a generator's state in a checkpoint; a lone process writes plain `random`."""
    return "random" + ("" if kind == "cpu" else f"/{kind}") + (f"/{rank}" if rank else "")


def _leave_first(rank: int) -> None:
    """Draw other numbers than the first process, which this one begins like."""
    seed = int(torch.randint(1 << 62, (1,)))
    torch.manual_seed(seed + rank)


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
