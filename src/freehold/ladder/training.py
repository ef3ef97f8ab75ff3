"""One training by itself: a rung built with its ability kept, measured on dev, and kept as an adapter folder.

Typing the same command again resumes, or shows what was finished. A training can go on after another
one, on the next domain: it starts from base and adapter, rehearses the domains before, and its adapter
is the exact sum of both, for the untouched base.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import JsonValue

from freehold import __version__
from freehold.core.candidate import Candidate
from freehold.core.errors import ModelError, UsageError
from freehold.core.measure import Estimate, Frontier, Kept
from freehold.core.record import Record, digest_bytes, digest_json
from freehold.core.sections import RungName
from freehold.core.snapshot import Snapshot
from freehold.core.transfer import Transfer, TransferMatrix
from freehold.data.overlap import Overlap
from freehold.evaluate.continual import transfer
from freehold.evaluate.probes import kept
from freehold.evaluate.scorers import scorer
from freehold.ladder.chain import Chain, Stage, lost_ids
from freehold.ladder.domains import Domain, Lineage, lineage_files, new_domain, read_lineage
from freehold.ladder.events import Progress
from freehold.ladder.judging import open_judge
from freehold.ladder.prepare import Prepared
from freehold.ladder.rung import Built, DevScores, Rung, SkippedError, Variant
from freehold.ladder.rungs import RUNGS
from freehold.ladder.suites import NamedSuite, open_suites, suites_digest
from freehold.ladder.together import Call, Team
from freehold.ladder.tools import Continuation, Models, Standing, Tools
from freehold.ladder.trained import joined
from freehold.ladder.tuning import FRONTIER, RESULT, read_frontier, read_result
from freehold.ladder.work import BuildRecord, Workshop
from freehold.models.door import Model
from freehold.store.blobs import write_durably
from freehold.store.lineage import Thing, descend, keep_snapshot
from freehold.store.store import Store
from freehold.train.records import Lost, TrainEvent, TrainingResult

PREFIX = "t"
ADAPTERS = "adapters"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


class Training(Record):
    """A finished training: what it was made of, what it reached on dev, and what it kept.

    `after` is the digest of the training before it. `quality_before` is the base's, asked in the same
    way. `lost` holds some of `lost_count` probes that the base answers right and the
    candidate does not. `matrix` has the stages before this one too.
    """

    rung: RungName
    task: str
    task_digest: str
    snapshot_digest: str
    base: str
    base_digest: str
    after: str | None
    after_name: str | None
    candidate_digest: str
    spec: dict[str, JsonValue]
    result: TrainingResult
    frontier: Frontier | None
    quality: Estimate
    quality_before: Estimate
    kept: Kept
    lost: tuple[Lost, ...]
    lost_count: int
    matrix: TransferMatrix
    transfer: Transfer
    rehearsed: int
    build_seconds: float
    versions: dict[str, str]


@dataclass(frozen=True)
class TrainingStarted:
    """The training has its id. `is_known`: it was finished before."""

    training_id: str
    task: str
    rung: str
    train_examples: int
    is_known: bool


@dataclass(frozen=True)
class Trained:
    """Something happened in the training loop."""

    event: TrainEvent


@dataclass(frozen=True)
class TrainingDone:
    """The training is finished and measured."""

    training: Training


TrainingEvent: TypeAlias = TrainingStarted | Trained | Progress | TrainingDone


@dataclass(frozen=True)
class TrainingOrder:
    """What is to be trained: a rung of a prepared task, after a training in `after` or from the base."""

    prepared: Prepared
    rung: RungName
    after: Path | None = None


@dataclass(frozen=True)
class TrainingOutcome:
    """A finished training, its id, and its adapter folder."""

    training: Training
    training_id: str
    folder: Path


@dataclass(frozen=True)
class World:
    """How a training meets the world. `should_stop` is asked between steps.

    `team` are the processes that train together, None for this one alone.
    """

    store: Store
    models: Models
    clock: Callable[[], float]
    on_event: Callable[[TrainingEvent], None]
    should_stop: Callable[[], bool]
    team: Team | None = None


def trained_rungs() -> tuple[RungName, ...]:
    """Return the rungs that can be trained by themselves, in the order of the ladder."""
    return tuple(name for name, rung in RUNGS.items() if rung.changes_weights and "+" not in name)


def train_rung(order: TrainingOrder, world: World) -> TrainingOutcome:
    """Train one rung, measure it, and leave `.freehold/adapters/t7/`.

    Of several processes the first one calls this; the others `train_along`.

    Raises:
        UsageError: the rung is none that is trained, or cannot go on after another training.
        ModelError: `after` is no training, or one of another base; the base cannot be used.
        MachineError: the disk is full.
        KeyboardInterrupt: passed on; what was paid for is kept.
    """
    try:
        return _Training(order, world).run()
    except SkippedError as skip:
        raise UsageError("TRN-042", f"{order.rung} cannot be trained: {skip}") from skip


def train_along(call: Call, order: TrainingOrder, world: World) -> None:
    """Take part in a training that the first process has called for (`freehold.ladder.together`).

    Raises:
        MachineError: with this order the process comes to another training.
    """
    _Training(order, world).along(call)


def find_after(store: Store, name: str, *, project: Path) -> Path:
    """Return the adapter folder that a person means by `t7` or by a path.

    Raises:
        UsageError: neither an id of this project nor a folder.
    """
    folder = project / name
    if folder.is_dir():
        return folder
    handles = {handle.name for handle in store.ledger.handles(PREFIX)}
    if name in handles and (store.folder / ADAPTERS / name).is_dir():
        return store.folder / ADAPTERS / name
    known = ", ".join(sorted(handles, key=lambda handle: (len(handle), handle))[-5:]) or "none yet"
    raise UsageError(
        "USE-002",
        f"there is no training `{name}` in this project, and no such folder (known: {known})",
        help="freehold train --after ../other-project/.freehold/adapters/t1",
    )


def finished_training(store: Store, name: str) -> TrainingOutcome:
    """Return a finished training by its id.

    Raises:
        UsageError: there is no such training, or it is not finished.
    """
    handle = store.resolve(name, prefix=PREFIX)
    found = store.recall(handle.key, Training)
    if found is None:
        raise UsageError(
            "USE-008", f"{handle.name} is not finished", help="freehold train    goes on with it"
        )
    return TrainingOutcome(found, handle.name, store.folder / ADAPTERS / handle.name)


class _Training:
    """One training under way."""

    def __init__(self, order: TrainingOrder, world: World) -> None:
        self.order, self.world = order, world
        self.prepared = order.prepared
        self.task, self.snapshot = order.prepared.task, order.prepared.snapshot
        self.store, self.clock, self.tell = world.store, world.clock, world.on_event
        self.lineage: Lineage | None = None
        self.past: tuple[Domain, ...] = ()
        if order.after is not None:
            self.lineage, self.past = read_lineage(order.after)
        self.suites = open_suites(self.task.kept, root=self.prepared.root)
        judge = open_judge(
            self.task,
            root=self.prepared.root,
            store=self.store,
            models=world.models,
            snapshot=self.snapshot,
        )
        self.scorer = scorer(
            self.task.metric, self.task.output, root=self.prepared.root, judge=judge
        )
        self.tools = Tools(
            task=self.task,
            train=self.snapshot.train,
            passages=self.prepared.passages,
            store=self.store,
            models=world.models,
            clock=self.clock,
            on_progress=self.tell,
            on_training=lambda event: self.tell(Trained(event)),
            should_stop=world.should_stop,
            resembles_held_out=_held_out(self.snapshot, self.past, suites=self.suites).resembles,
            preferences=self.prepared.preferences,
            scorer=self.scorer,
        )
        self.chain = Chain(
            store=self.store,
            clock=self.clock,
            on_progress=self.tell,
            confidence=self.task.bar.confidence,
            seed=self.snapshot.seed,
            versions=self.prepared.versions,
        )

    def run(self) -> TrainingOutcome:
        rung = self._rung()
        self._check_base()
        missing = rung.missing(self.tools)
        if missing:
            raise SkippedError(missing)
        handle = self.store.handle(PREFIX, self.key)
        found = self.store.recall(self.key, Training)
        self.tell(
            TrainingStarted(
                training_id=handle.name,
                task=self.task.name,
                rung=rung.name,
                train_examples=len(self.snapshot.train),
                is_known=found is not None,
            )
        )
        folder = self.store.folder / ADAPTERS / handle.name
        is_new = found is None
        if found is None:
            found = self._train(rung, handle.name)
        if is_new or not folder.is_dir():
            self._write(found, folder, name=handle.name)
        if is_new:
            self.store.remember(self.key, found)
        self.tell(TrainingDone(found))
        return TrainingOutcome(found, handle.name, folder)

    @cached_property
    def key(self) -> str:
        """The name of this training: everything that decides it."""
        kept_items = self.task.kept.to_json()
        made_of: list[JsonValue] = [
            __version__,
            self.order.rung,
            [variant.spec for variant in self._rung().variants(self.tools)],
            self.task.question_digest,
            self.task.metric.to_json(),
            kept_items,
            self.snapshot.digest,
            self.tools.base().digest,
            self._after_digest(),
        ]
        if self.suites:
            made_of.append(suites_digest(self.suites))
        return digest_json("training of a rung", made_of)

    # What is asked for -----------------------------------------------------------------------

    def _rung(self) -> Rung:
        names = trained_rungs()
        if self.order.rung not in names:
            raise UsageError(
                "USE-006",
                f"`{self.order.rung}` is no rung that is trained by itself; {', '.join(names)} are",
                help="freehold train lora",
            )
        if self.lineage is not None and self.order.rung != "lora":
            raise UsageError(
                "TRN-041",
                f"`{self.order.rung}` cannot go on after another training",
                help=f"freehold train lora --after {self.lineage.name}",
            )
        return RUNGS[self.order.rung]

    def _check_base(self) -> None:
        base = self.tools.base()
        if self.lineage is None or self.lineage.base_digest == base.digest:
            return
        raise ModelError(
            "MDL-021",
            f"{self.lineage.name} was trained on {self.lineage.base_id}"
            f" ({self.lineage.base_digest[7:15]}...), and this task's base is {base.name}"
            f" ({base.digest[7:15]}...)",
            help=f"freehold train lora --after {self.order.after} -s model={self.lineage.base_id}",
        )

    def _after_digest(self) -> str | None:
        if self.order.after is None or self.lineage is None:
            return None
        file = self.order.after / ADAPTER_WEIGHTS
        if not file.is_file():
            raise UsageError(
                "TRN-041",
                f"{self.lineage.name} is a whole model, and a training goes on from an adapter",
                help=f"freehold train lora -s model={self.order.after}",
            )
        weights = digest_bytes(file.read_bytes())
        return digest_json("after", [self.lineage.digest, weights])

    # Training --------------------------------------------------------------------------------

    def _train(self, rung: Rung, name: str) -> Training:
        tools, rung = self._continued(rung)
        shop = self._shop(tools)
        built, model = self._choose(self._led(rung), shop)
        domain = self._domain(built.candidate)
        training = self._measured(built, model, domain=domain, shop=shop, name=name)
        self.store.put(self.task)
        keep_snapshot(self.store, self.snapshot)
        self._note_parents(built.candidate, name)
        return training

    def _note_parents(self, candidate: Candidate, name: str) -> None:
        """Note what the training learnt from: its rows through its candidate, and a training before it."""
        child = Thing(kind="training", key=self.key, name=name)
        descend(
            self.store,
            child,
            Thing(kind="candidate", key=candidate.digest, name=candidate.rung),
        )
        if self.lineage is not None:
            before = Thing(kind="training", key=self.lineage.training, name=self.lineage.name)
            descend(self.store, child, before)

    def along(self, call: Call) -> None:
        """Do this process's part of a training that the first one leads."""
        tools, team = self.tools, self.world.team
        if team is None:
            raise ValueError("nobody trains with this process")
        after, digest = self.order.after, self._after_digest()
        if after is not None and digest is not None:
            tools = replace(tools, after=Continuation(digest, adapter=after, past=call.past))
        team.take_part(call, RUNGS[call.rung], self._shop(tools))

    def _shop(self, tools: Tools) -> Workshop:
        def built_before(name: RungName) -> Standing:
            return shop.built(self._led(RUNGS[name]))

        shop = Workshop(
            tools=replace(tools, built=built_before),
            scorer=self.scorer,
            dev=self.snapshot.dev,
            confidence=self.task.bar.confidence,
            suites=self.suites,
        )
        return shop

    def _led(self, rung: Rung) -> Rung:
        """Return the rung, training with the other processes where there are some."""
        team = self.world.team
        return rung if team is None else team.led(rung)

    def _continued(self, rung: Rung) -> tuple[Tools, Rung]:
        """Return tools and rung that go on after another training; the same ones where none was named."""
        after, digest = self.order.after, self._after_digest()
        if after is None or digest is None:
            return self.tools, rung
        waiting = Continuation(name=digest, adapter=after, past_scores=self._past_scores)
        tools = replace(self.tools, after=waiting)
        tools = replace(
            tools, after=replace(waiting, past=self.chain.rehearsal(tools.start(), self.past))
        )
        inner_variants, inner_build = rung.variants, rung.build

        def variants(given: Tools) -> tuple[Variant, ...]:
            return _named_after(inner_variants(given), digest)

        def build(variant: Variant, given: Tools, dev_scores: DevScores) -> Built:
            return _joined(inner_build(variant, given, dev_scores), after, given)

        return tools, replace(rung, variants=variants, build=build)

    def _past_scores(self, model: Model) -> tuple[float, ...]:
        """Return the mean score of a model on the dev rows of each domain before."""
        runs = [
            self.chain.asked(model, domain, domain.dev, phase="choosing on dev")
            for domain in self.past
        ]
        return tuple(sum(run.scores.values()) / max(len(run.results), 1) for run in runs)

    def _choose(self, rung: Rung, shop: Workshop) -> tuple[BuildRecord, Model]:
        """Build every variant, and take the best on dev; the first of equals."""
        found: list[tuple[float, BuildRecord, Model]] = []
        variants = rung.variants(shop.tools)
        for variant in variants:
            built = shop.build(rung, variant)
            model = shop.load(rung, built.candidate).model
            if model is None:
                raise TypeError(f"{rung.name} trains weights and has no model")
            score = 0.0
            if len(variants) > 1:
                domain = self._domain(built.candidate)
                run = self.chain.asked(model, domain, domain.dev, phase="choosing on dev")
                score = sum(run.scores.values()) / max(len(run.results), 1)
            found.append((score, built, model))
        _, built, model = max(found, key=lambda item: item[0])
        return built, model

    def _domain(self, candidate: Candidate) -> Domain:
        return new_domain(
            self.task,
            self.snapshot,
            root=self.prepared.root,
            max_tokens=int(str(candidate.spec["max_tokens"])),
            taken=[domain.name for domain in self.past],
        )

    def _write(self, training: Training, folder: Path, *, name: str) -> None:
        """Write the adapter folder; its config last, so that where it exists the folder is whole."""
        candidate = self.store.get(training.candidate_digest, Candidate)
        domain = self._domain(candidate)
        lineage = Lineage(
            training=self.key,
            name=name,
            base_id=training.base,
            base_digest=training.base_digest,
            questions=(*(one.question for one in self.past), domain.question),
            matrix=training.matrix,
            probe_seed=self._probe_seed,
            probe_items=self._probe_items,
        )
        files = {file: self.store.blobs.get(d) for file, d in candidate.artefacts.items()}
        files.update(lineage_files(lineage, (*self.past, domain)))
        for file in sorted(files, key=lambda file: (file.endswith("config.json"), file)):
            write_durably(folder / file, files[file])

    # Measuring -------------------------------------------------------------------------------

    def _measured(
        self, built: BuildRecord, model: Model, *, domain: Domain, shop: Workshop, name: str
    ) -> Training:
        base = RUNGS[built.candidate.rung].reference(self.tools)
        before, after = (
            shop.probes(one, items=self._probe_items, seed=self._probe_seed, detail=detail).results
            for one, detail in ((base, "base"), (model, "candidate"))
        )
        found = kept(
            before,
            after,
            confidence=self.task.bar.confidence,
            seed=self._probe_seed,
            rng=self._rng(),
        )
        suites = shop.kept_suites(base, model, rng=self._rng())
        found = found.model_copy(update={"suites": suites})
        lost = lost_ids(before, after)
        stage = Stage(
            name=name,
            domain=domain,
            base=base,
            model=model,
            before=before,
            after=after,
            previous=shop.tools.start() if shop.tools.after is not None else None,
        )
        earlier = self.lineage.matrix if self.lineage is not None else None
        matrix = self.chain.matrix(stage, earlier=earlier, past=self.past)
        blobs, artefacts = self.store.blobs, built.candidate.artefacts
        files = {
            file: blobs.get(artefacts[file]) for file in (RESULT, FRONTIER) if file in artefacts
        }
        return Training(
            rung=built.candidate.rung,
            task=self.task.name,
            task_digest=self.task.digest,
            snapshot_digest=self.snapshot.digest,
            base=base.name,
            base_digest=base.digest,
            after=self.lineage.training if self.lineage else None,
            after_name=self.lineage.name if self.lineage else None,
            candidate_digest=built.candidate.digest,
            spec=built.candidate.spec,
            result=read_result(files),
            frontier=read_frontier(files),
            quality=_quality(matrix, len(matrix.stages) - 1, domain.name),
            quality_before=_quality(matrix, 0, domain.name),
            kept=found,
            lost=self.chain.forgotten(model, lost, items=self._probe_items, seed=self._probe_seed),
            lost_count=len(lost),
            matrix=matrix,
            transfer=transfer(matrix, rng=self._rng(), confidence=self.task.bar.confidence),
            rehearsed=len(shop.tools.after.past) if shop.tools.after is not None else 0,
            build_seconds=built.build_seconds,
            versions=self.prepared.versions,
        )

    @property
    def _probe_seed(self) -> int:
        """A seed that is new for every first training, and the same for all that go on after it."""
        if self.lineage is not None:
            return self.lineage.probe_seed
        return self.task.kept.seed or int(self.key.removeprefix("sha256:")[:8], 16)

    @property
    def _probe_items(self) -> int:
        return self.lineage.probe_items if self.lineage is not None else self.task.kept.items

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.snapshot.seed)


def _named_after(variants: Sequence[Variant], digest: str) -> tuple[Variant, ...]:
    """Return the variants with what they go on from in their spec, so that nothing is mixed up."""
    return tuple(Variant(one.name, {**one.spec, "after": digest}) for one in variants)


def _joined(built: Built, after: Path, tools: Tools) -> Built:
    """Return what was built with its adapter replaced by the sum of it and the one before."""
    return replace(built, files=joined(built.files, after, tools))


def _held_out(
    snapshot: Snapshot, past: Sequence[Domain], *, suites: Sequence[NamedSuite]
) -> Overlap:
    """Return what tells of a text that it resembles a held-out row, of earlier domains and suites too."""
    splits = [snapshot.dev.examples, snapshot.test.examples, snapshot.audit.examples]
    splits += [domain.dev for domain in past]
    rows = [example.input for examples in splits for example in examples]
    return Overlap([*rows, *(text for suite in suites for text in suite.texts())])


def _quality(matrix: TransferMatrix, stage: int, domain: str) -> Estimate:
    found = matrix.cell(stage, domain)
    if found is None:
        raise KeyError(f"{domain} was not measured at stage {stage}")
    return found.quality
