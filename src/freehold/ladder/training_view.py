"""From the events of a training, or its record, to what its page and its terminal show. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from freehold.core.sections import (
    DistilSpec,
    FullSpec,
    LadderSection,
    LoraSpec,
    PreferSpec,
    RungName,
    TuneSpec,
)
from freehold.core.task import Task
from freehold.ladder.training import Training
from freehold.report import numbers
from freehold.report.training_view import (
    At,
    Compute,
    EstimateAt,
    Forgotten,
    TrainingCurves,
    TrainingView,
)
from freehold.train.compute import base_tokens_of
from freehold.train.records import (
    Evaluated,
    Lost,
    Recipe,
    Started,
    Steered,
    Stepped,
    Stopped,
    TrainEvent,
    TrainingResult,
)

_MOST_LOSSES = 400


def spec_of(ladder: LadderSection, rung: RungName) -> TuneSpec:
    """Return the settings of a rung that trains.

    Raises:
        KeyError: the rung trains nothing by itself.
    """
    specs: Mapping[str, LoraSpec | PreferSpec | DistilSpec | FullSpec] = {
        "lora": ladder.lora,
        "prefer": ladder.prefer,
        "distil": ladder.distil,
        "full": ladder.full,
    }
    return specs[rung]


@dataclass(frozen=True)
class Seen:
    """What was seen of a running training so far. `advance` takes one event."""

    training_id: str
    rung: RungName
    task: Task
    after: str | None = None
    train_examples: int = 0
    started: Started | None = None
    step: int = 0
    tokens_per_second: float | None = None
    learning_rate: float | None = None
    losses: tuple[At, ...] = ()
    checks: tuple[Evaluated, ...] = ()
    steering: tuple[Steered, ...] = ()
    stopped: str | None = None

    def advance(self, event: TrainEvent) -> Seen:
        """Return what is known after one more event.

        A training that goes on after an interruption says so first; what was seen behind its
        checkpoint is then seen again, and is forgotten here.
        """
        match event:
            case Started():
                return self._again(event)
            case Stepped():
                return replace(
                    self,
                    step=event.step,
                    tokens_per_second=event.tokens_per_second,
                    learning_rate=event.learning_rate,
                    losses=_thinned((*self.losses, At(step=event.step, value=event.loss))),
                )
            case Evaluated():
                return replace(self, step=event.step, checks=(*self.checks, event))
            case Steered():
                return replace(self, steering=(*self.steering, event))
            case Stopped():
                return replace(self, step=event.step, stopped=event.reason.value)

    @property
    def steps(self) -> int:
        """The steps that are planned; 0 before the training has begun."""
        return self.started.recipe.steps if self.started else 0

    @property
    def patience(self) -> int:
        """After how many dev checks without a new best the run stops."""
        return spec_of(self.task.ladder, self.rung).patience

    def facts(self) -> tuple[str, ...]:
        """Return what follows the id in the heading: kind and rank, rows, epochs, steps."""
        spec = spec_of(self.task.ladder, self.rung)
        shown = [f"r={spec.r}" if spec.kind == "lora" else _kind_words(spec)]
        if self.after:
            shown.append(f"after {self.after}")
        if self.started is None:
            return (*shown, f"{numbers.count(self.train_examples)} train")
        recipe = self.started.recipe
        return (
            *shown,
            f"{numbers.count(self.started.rows)} train",
            f"{recipe.epochs:.3g} epochs",
            f"{numbers.count(recipe.steps)} steps",
        )

    def view(self, *, is_paused: bool = False) -> TrainingView:
        """Return what is shown of the training as far as it has come."""
        spec = spec_of(self.task.ladder, self.rung)
        lost = self.checks[-1].lost if self.checks else ()
        return TrainingView(
            training_id=self.training_id,
            task=self.task.name,
            rung=self.rung,
            base=self.task.base.id,
            metric=self.task.metric.primary,
            bar=self.task.bar,
            retention=spec.retention,
            state="paused" if is_paused else "running",
            step=self.step,
            stopped=self.stopped,
            after=self.after,
            curves=self._curves(),
            forgotten=_forgotten(lost),
            forgotten_count=len(lost),
            recipe=recipe_words(spec, self.started.recipe if self.started else None),
            commands=(f"freehold train {self.rung}",),
        )

    def _again(self, event: Started) -> Seen:
        at = event.resumed_at
        return replace(
            self,
            started=event,
            step=at,
            stopped=None,
            losses=tuple(point for point in self.losses if point.step <= at),
            checks=tuple(check for check in self.checks if check.step <= at),
            steering=tuple(look for look in self.steering if look.step <= at),
        )

    def _curves(self) -> TrainingCurves:
        kept = [(check.step, check.kept) for check in self.checks]
        divergences = [(check.step, check.divergence) for check in self.checks]
        return TrainingCurves(
            steps=self.steps,
            loss=self.losses,
            dev=tuple(At(step=check.step, value=check.score) for check in self.checks),
            kept=tuple(EstimateAt(step=s, estimate=e) for s, e in kept if e is not None),
            divergence=tuple(At(step=s, value=v) for s, v in divergences if v is not None),
            general_divergence=_divergences(self.steering),
            weight=_weights(self.steering),
            best_step=self.checks[-1].best_step if self.checks else None,
        )


def finished_view(training: Training, task: Task, *, training_id: str, folder: str) -> TrainingView:
    """Return what is shown of a finished training.

    Args:
        training: the record.
        task: the task it was made for.
        training_id: its handle, such as `t7`.
        folder: of the adapter, relative to the project.
    """
    result, spec = training.result, spec_of(task.ladder, training.rung)
    return TrainingView(
        training_id=training_id,
        task=training.task,
        rung=training.rung,
        base=training.base,
        metric=task.metric.primary,
        bar=task.bar,
        retention=spec.retention,
        state="finished",
        step=result.steps,
        stopped=result.stopped.value,
        after=training.after_name,
        curves=_curves_of(result),
        quality=training.quality,
        quality_before=training.quality_before,
        kept=training.kept,
        frontier=training.frontier,
        forgotten=_forgotten(training.lost),
        forgotten_count=training.lost_count,
        recipe=recipe_words(spec, result.recipe) + _made_of(training),
        compute=compute_of(training),
        seconds=result.seconds,
        evaluation_seconds=result.evaluation_seconds,
        peak_memory_bytes=result.peak_memory_bytes,
        matrix=training.matrix,
        transfer=training.transfer,
        notes=_notes(training),
        versions=training.versions,
        folder=folder,
        commands=(f"freehold train {training.rung}", f"freehold report {training_id}"),
    )


def compute_of(training: Training) -> Compute:
    """Return 6 * N * D of a training, and of its base where its maker says how many tokens made it."""
    result = training.result
    tokens = base_tokens_of(training.base)
    return Compute(
        parameters=_parameters(result),
        tokens=result.tokens,
        operations=result.floating_point_operations,
        base_operations=None if tokens is None else 6.0 * result.base_parameters * tokens,
    )


def recipe_words(spec: TuneSpec, recipe: Recipe | None) -> tuple[tuple[str, str], ...]:
    """Return the settings of a training as names with values; `recipe` once effort has filled it in."""
    held = spec.retention
    rows = [("effort", spec.effort), ("what is trained", _kind_words(spec))]
    if recipe is not None:
        rows += [
            ("learning rate", f"{recipe.learning_rate:.2g}"),
            ("epochs", f"{recipe.epochs:.3g}"),
            ("steps", f"{numbers.count(recipe.steps)}, {recipe.warmup_steps} of them warm-up"),
            ("tokens a step", numbers.count(recipe.batch_tokens)),
            ("longest row", f"{numbers.count(recipe.max_length)} tokens"),
            ("precision", recipe.precision),
        ]
    replay = (
        f"{numbers.percent(held.replay)} of tokens, budget {held.kl_budget:g} nats"
        if held.replay
        else "off"
    )
    rows += [("replay", replay), ("weight of curvature", f"{held.curvature:g}")]
    return (*rows, ("patience", f"{spec.patience} dev checks"))


def _kind_words(spec: TuneSpec) -> str:
    if spec.kind == "full":
        return "every weight"
    return f"{spec.kind} r={spec.r}, {spec.layers.replace('_', ' ')} layers"


def _made_of(training: Training) -> tuple[tuple[str, str], ...]:
    result = training.result
    rows = [
        ("rows", numbers.count(result.rows)),
        ("tokens", numbers.count(result.tokens)),
        ("trained parameters", numbers.count(result.trainable_parameters)),
    ]
    if result.replay_tokens:
        share = result.replay_tokens / max(result.tokens, 1)
        rows.append(("replayed tokens", f"{numbers.count(result.replay_tokens)}, {share:.0%}"))
    if training.rehearsed:
        rows.append(("rows of earlier domains", numbers.count(training.rehearsed)))
    return tuple(rows)


def _notes(training: Training) -> tuple[str, ...]:
    dropped = training.result.dropped_by_reason
    return tuple(
        f"{numbers.plural(count, 'training row')} left out: {reason}"
        for reason, count in dropped.items()
    )


def _parameters(result: TrainingResult) -> int:
    """Return N: the base with the adapter beside it, or the base alone where it was trained itself."""
    if result.trainable_parameters >= result.base_parameters:
        return result.base_parameters
    return result.base_parameters + result.trainable_parameters


def _curves_of(result: TrainingResult) -> TrainingCurves:
    return TrainingCurves(
        steps=result.recipe.steps,
        loss=tuple(At(step=p.step, value=p.value) for p in result.loss_curve),
        dev=tuple(At(step=p.step, value=p.value) for p in result.dev_curve),
        kept=tuple(EstimateAt(step=p.step, estimate=p.kept) for p in result.kept_curve),
        divergence=tuple(At(step=p.step, value=p.value) for p in result.divergence_curve),
        general_divergence=_divergences(result.steering),
        weight=_weights(result.steering),
        best_step=result.best_step,
    )


def _divergences(looks: Sequence[Steered]) -> tuple[At, ...]:
    return tuple(At(step=look.step, value=look.divergence) for look in looks)


def _weights(looks: Sequence[Steered]) -> tuple[At, ...]:
    return tuple(At(step=look.step, value=look.weight) for look in looks)


def _forgotten(lost: Sequence[Lost]) -> tuple[Forgotten, ...]:
    return tuple(
        Forgotten(family=one.family, prompt=one.prompt, before=one.before, after=one.after)
        for one in lost
    )


def _thinned(points: tuple[At, ...]) -> tuple[At, ...]:
    """Return every other point once there are many: a long run costs no more to draw than a short one."""
    return points if len(points) <= _MOST_LOSSES else points[1::2]
