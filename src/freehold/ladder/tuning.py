"""What every trained rung does: hold on to general ability, train, and choose the size of the update.

A rung brings what is learnt (a lesson) and how a model answers the task; everything that keeps the base
what it was is done here, once (docs/retention.md).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from freehold.core.errors import ModelError
from freehold.core.measure import Frontier, FrontierPoint
from freehold.core.outcome import Scored
from freehold.core.record import Record, digest_json, short
from freehold.core.sections import TuneSpec
from freehold.evaluate.operating_point import choose, frontier_point, overall_quality
from freehold.evaluate.probes import (
    MAX_TOKENS,
    Probe,
    ProbeResult,
    kept_ratio,
    probe_items,
    read_probes,
)
from freehold.ladder.events import Progress
from freehold.ladder.rung import Answerer, DevScores
from freehold.ladder.tools import Tools
from freehold.models.door import Model
from freehold.models.sources import ADAPTER_CONFIG
from freehold.store.blobs import write_durably
from freehold.train.records import Check, Lost, Stepped, TrainEvent, TrainingResult, Watch

if TYPE_CHECKING:
    from freehold.models.local import LocalModel
    from freehold.train.lesson import Lesson
    from freehold.train.replay import Pool
    from freehold.train.retention import Retention
    from freehold.train.scale import Scaled
    from freehold.train.soft import SoftRow
    from freehold.train.tune import Examiner

TRAINING = "training"
CURVATURES = "curvature"
"""Folders of the store: of trainings, and of what can be measured again."""
CHOSEN_FOLDER = "chosen"
RESULT = "training.json"
FRONTIER = "frontier.json"
PROBE_SEED = 20_261_122
"""Of the probes that are looked at while building. Verdicts use another seed, new for every climb."""
SHOWN_LOST = 20
CONFIDENCE = 0.95
LEAST_POINTS = 0.5
FAMILY_FACTOR = 3
PLENTY = 20
NARROW_BYTES = 2


@dataclass(frozen=True)
class Looks:
    """How closely a training is looked at.

    Probes of each family at a dev check, and for the choice of size; the sizes that are tried.
    """

    check_items: int
    choice_items: int
    scales: tuple[float, ...]


LOOKS: Mapping[str, Looks] = {
    "quick": Looks(6, 40, (0.5, 0.75, 1.0)),
    "normal": Looks(10, 100, (0.35, 0.5, 0.65, 0.8, 0.9, 1.0)),
    "thorough": Looks(20, 200, (0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)),
}


@dataclass(frozen=True)
class Order:
    """What a rung wants trained.

    `base` is where training starts, `reference` the untrained weights whose general ability is kept
    (with an adapter to go on from they differ). `answerer` is how a model answers the task. `made_of`
    is everything that decides the lesson, so that the folder of the training has a name of its own.
    Where `is_examined` is False nothing is measured on the way and no size is chosen: the last weights
    are only where another training starts.
    """

    name: str
    spec: TuneSpec
    lesson: Lesson
    base: LocalModel
    reference: LocalModel
    answerer: Callable[[Model], Answerer]
    made_of: tuple[JsonValue, ...]
    task_rows: tuple[SoftRow, ...] = ()
    is_examined: bool = True


@dataclass(frozen=True)
class Tuned:
    """What training came to: the files of the chosen size, and its records."""

    name: str
    files: Mapping[str, bytes]
    result: TrainingResult
    frontier: Frontier | None


class ReadProbes(Record):
    """A model on the probes of building, kept in the store."""

    results: tuple[ProbeResult, ...]


def local_model(model: Model) -> LocalModel:
    """Return a model whose weights are in this process.

    Raises:
        ModelError: it has none here.
    """
    from freehold.models.local import LocalModel

    if not isinstance(model, LocalModel):
        raise ModelError(
            "MDL-020",
            f"{model.name} has no weights in this process, so nothing can be trained on it",
            help="name a local model in `model`, or leave the trained rungs out of ladder.rungs",
        )
    return model


def tune_rung(order: Order, tools: Tools, dev_scores: DevScores) -> Tuned:
    """Train with retention, and return the files of the best size of the update.

    The same call goes on where it was stopped: at the last checkpoint, or at the sizes that were not
    measured yet.

    Raises:
        ModelError: a loss is not finite, or the base's template cannot prompt itself.
        KeyboardInterrupt: `tools.should_stop` said so; a checkpoint was written.
    """
    from freehold.train.tune import TUNED_FOLDER, tune

    name = digest_json(order.name, [order.spec.to_json(), *order.made_of])
    folder = tools.store.folder / TRAINING / short(name)
    _require_memory(order)
    examination = _Examination(order, tools, dev_scores)
    examiner = examination.examiner() if order.is_examined else None
    retention = _retention(order, tools)
    with tools.meet(short(name)) as processes:
        result = tune(
            order.spec,
            order.lesson,
            base=order.base,
            retention=retention,
            examiner=examiner,
            folder=folder,
            watch=Watch(
                clock=tools.clock,
                on_event=lambda event: _tell(tools, event),
                should_stop=tools.should_stop,
                processes=processes,
            ),
        )
    trained = folder / TUNED_FOLDER
    is_chosen = order.is_examined and order.spec.retention.scale
    frontier = examination.frontier(trained, result) if is_chosen else None
    chosen = trained if frontier is None else _at_size(order, trained, frontier)
    files = files_under(chosen)
    files[RESULT] = result.model_dump_json().encode()
    if frontier is not None:
        files[FRONTIER] = frontier.model_dump_json().encode()
    return Tuned(name=short(name), files=files, result=result, frontier=frontier)


def _require_memory(order: Order) -> None:
    """Refuse what would not fit, before anything is spent.

    Planning takes seconds, so it is left out where memory is plain: twenty times the weights are free.

    Raises:
        MachineError: the figure, what is free, and the nearest setting that fits.
    """
    from freehold.train.memory import this_machine
    from freehold.train.plan import RowSizes, require_memory

    network = order.base.loaded.network.module
    precision = "bfloat16" if network.dtype.itemsize == NARROW_BYTES else "float32"
    machine = this_machine(network, flops_per_second=1.0, precision=precision)
    if PLENTY * network.get_memory_footprint() < machine.memory_bytes:
        return
    lengths = order.lesson.lengths
    sizes = RowSizes(
        rows=len(lengths),
        tokens=sum(lengths),
        answer_tokens=order.lesson.loss_tokens,
        longest=max(lengths),
    )
    require_memory(network.config, order.spec, sizes, machine=machine, rung=order.name)


def files_under(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def unpacked(files: Mapping[str, bytes], tools: Tools, *, where: str, name: str) -> Path:
    """Return a folder under the state folder with these files, written only where they differ."""
    content = digest_json("files", [{file: len(files[file])} for file in sorted(files)])
    folder = tools.store.folder / where / f"{name}-{short(content)}"
    for file, data in files.items():
        path = folder / file
        if not path.exists() or path.read_bytes() != data:
            write_durably(path, data)
    return folder


def _size_zero(order: Order, trained: Path) -> LocalModel:
    """Return the model at size 0 of an update: of an adapter what it stands on, of whole weights the base.

    Whole weights hold everything since the base, an earlier training of the same rung too.
    """
    return order.base if (trained / ADAPTER_CONFIG).is_file() else order.reference


def _at_size(order: Order, trained: Path, frontier: Frontier) -> Path:
    from freehold.train.scale import scaled

    if frontier.chosen == 1.0:
        return trained
    chosen = trained.parent / CHOSEN_FOLDER
    with scaled(_size_zero(order, trained), trained) as update:
        update.save(frontier.chosen, chosen)
    return chosen


class _Examination:
    """What is asked of a model while it is built: the task on dev, general ability on probes."""

    def __init__(self, order: Order, tools: Tools, dev_scores: DevScores) -> None:
        self._order, self._tools, self._dev_scores = order, tools, dev_scores
        self._looks = LOOKS[order.spec.effort]

    def examiner(self) -> Examiner:
        """Return what the training loop may measure."""
        from freehold.train.tune import Examiner

        probes = self._probes(self._looks.check_items)
        before = self._base_on(self._looks.check_items)
        retention = self._order.spec.retention

        def check(model: Model) -> Check:
            scores = self._dev_scores(self._order.answerer(model))
            after = read_probes(model, probes)
            return Check(
                score=_mean(scores.values()),
                kept=kept_ratio(_ones(before, before), _ones(before, after), confidence=CONFIDENCE),
                lost=self._lost(model, probes, before=before, after=after),
            )

        return Examiner(
            check=check,
            tokens=self._check_tokens(probes),
            kept_floor=self._tools.task.bar.kept if retention.replay > 0 else None,
            task_rows=self._order.task_rows,
        )

    def frontier(self, trained: Path, result: TrainingResult) -> Frontier:
        """Return every size of the update measured on dev and probes, and the choice."""
        from freehold.train.scale import scaled

        key = digest_json(
            "frontier",
            [
                [self._order.base.digest, self._order.spec.to_json(), list(self._order.made_of)],
                [self._looks.choice_items, list(self._looks.scales)],
                _digest_of(files_under(trained)),
            ],
        )
        found = self._tools.store.recall(key, Frontier)
        if found is not None:
            return found
        start = result.dev_curve[0].value if result.dev_curve else 0.0
        before = self._past_scores(self._order.base)
        start = overall_quality(start, before) if before else start
        with scaled(_size_zero(self._order, trained), trained) as update:
            points = self._points(update)
        limits = self._limits(self._base_on(self._looks.choice_items))
        frontier = choose(points, start=start, limits=limits)
        self._tools.store.remember(key, frontier)
        return frontier

    def _points(self, update: Scaled) -> tuple[FrontierPoint, ...]:
        probes = self._probes(self._looks.choice_items)
        before = self._base_on(self._looks.choice_items)
        limits = self._limits(before)
        scales = self._looks.scales if update.is_continuous else (1.0,)
        points: list[FrontierPoint] = []
        for number, scale in enumerate(scales):
            self._tools.on_progress(
                Progress("building", number, len(scales), f"size {scale:g} of the update")
            )
            model = update.at(scale)
            points.append(
                frontier_point(
                    scale,
                    self._dev_scores(self._order.answerer(model)),
                    before=before,
                    after=read_probes(model, probes),
                    limits=limits,
                    rng=np.random.default_rng(PROBE_SEED),
                    past=self._past_scores(model),
                )
            )
        return tuple(points)

    def _past_scores(self, model: Model) -> tuple[float, ...]:
        after = self._tools.after
        return () if after is None else after.past_scores(model)

    def _limits(self, before: Sequence[ProbeResult]) -> tuple[float, float]:
        """Return how many points may be lost, on average and in one family.

        What the task's bar for kept ability allows, which is a share of what the base can do, unless the
        spec says otherwise: the size that is chosen should be one that can pass.
        """
        retention, bar = self._order.spec.retention, self._tools.task.bar
        allowed = 100 * (1 - bar.kept) * _mean(_ones(before, before))
        points = retention.points or max(allowed, LEAST_POINTS)
        return points, retention.family_points or FAMILY_FACTOR * points

    def _probes(self, items: int) -> tuple[Probe, ...]:
        return probe_items(items, PROBE_SEED)

    def _base_on(self, items: int) -> tuple[ProbeResult, ...]:
        reference, store = self._order.reference, self._tools.store
        key = digest_json("probes of building", [reference.digest, items, PROBE_SEED])
        found = store.recall(key, ReadProbes)
        if found is None:
            found = ReadProbes(results=read_probes(reference, self._probes(items)))
            store.remember(key, found)
        return found.results

    def _check_tokens(self, probes: Sequence[Probe]) -> int:
        """Return about how many tokens a check costs; a token that is only read counts a third."""
        lengths = self._order.lesson.lengths
        dev = min(150, self._tools.task.kept.items * 4)
        read = sum(self._order.base.count_tokens(probe.messages) for probe in probes)
        return round(dev * sum(lengths) / len(lengths) + read / 3)

    def _lost(
        self,
        model: Model,
        probes: Sequence[Probe],
        *,
        before: Sequence[ProbeResult],
        after: Sequence[ProbeResult],
    ) -> tuple[Lost, ...]:
        """Return some probes that were right before and are wrong now, with what is said now."""
        gone = [
            probe
            for probe, old, new in zip(probes, before, after, strict=True)
            if _is_right(old) and not _is_right(new)
        ][:SHOWN_LOST]
        said = model.generate([probe.messages for probe in gone], max_tokens=MAX_TOKENS)
        return tuple(
            Lost(
                family=probe.family,
                prompt=probe.messages[-1].content,
                before=probe.answer,
                after=getattr(answer, "text", ""),
            )
            for probe, answer in zip(gone, said, strict=True)
        )


def _retention(order: Order, tools: Tools) -> Retention | None:
    """Return what this training holds on to; None where the spec turns replay off."""
    from freehold.train.adapters import layers_with_known_update
    from freehold.train.replay import prompt_text
    from freehold.train.retention import retention, with_past

    spec = order.spec.retention
    if spec.replay == 0:
        return None
    pool = _pool(order.reference, spec.prompts, tools)
    general = [row for row in pool.rows if not tools.resembles_held_out(prompt_text(row))]
    layers = layers_with_known_update(order.reference.loaded.network.module, order.spec)
    held = retention(
        spec,
        general,
        base=order.reference,
        layers=layers,
        folder=tools.store.folder / CURVATURES,
        on_progress=lambda done, total: tools.on_progress(
            Progress("building", done, total, "what general prompts depend on")
        ),
    )
    if tools.after is None:
        return held
    return with_past(held, tools.after.past, previous=order.base, layers=layers)


def _pool(base: LocalModel, prompts: int, tools: Tools) -> Pool:
    """Return the base's conversations with itself; made once for a base, then found in the store."""
    from freehold.train.replay import Pool, PoolSpec, pool_key, replay_pool

    spec = PoolSpec(prompts=prompts)
    key = pool_key(base, spec)
    found = tools.store.recall(key, Pool)
    if found is None:
        found = replay_pool(
            base,
            spec,
            on_progress=lambda done, total: tools.on_progress(
                Progress("building", done, total, "general prompts, answered by the base")
            ),
        )
        tools.store.remember(key, found)
    return found


def read_result(files: Mapping[str, bytes]) -> TrainingResult:
    """Return the record of the training that left these files."""
    return TrainingResult.from_json(files[RESULT].decode())


def read_frontier(files: Mapping[str, bytes]) -> Frontier | None:
    """Return the frontier among these files, None where no size was chosen."""
    return Frontier.from_json(files[FRONTIER].decode()) if FRONTIER in files else None


def _tell(tools: Tools, event: TrainEvent) -> None:
    tools.on_training(event)
    if isinstance(event, Stepped):
        detail = f"loss {event.loss:.3f}"
        tools.on_progress(Progress("building", event.step, event.steps, detail))


def _ones(reference: Sequence[ProbeResult], results: Sequence[ProbeResult]) -> list[float]:
    """Return 0 or 1 for each probe that the reference has a score for."""
    return [
        float(_is_right(result))
        for known, result in zip(reference, results, strict=True)
        if isinstance(known.outcome, Scored)
    ]


def _is_right(result: ProbeResult) -> bool:
    return isinstance(result.outcome, Scored) and result.outcome.score == 1.0


def _mean(scores: Iterable[float]) -> float:
    values = list(scores)
    return math.fsum(values) / len(values) if values else 0.0


def _digest_of(files: Mapping[str, bytes]) -> str:
    return digest_json(
        "files", {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    )
