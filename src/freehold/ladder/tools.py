"""What a rung is given to work with: the task, the training split, models, and a memory.

A rung never sees held-out data. Models are opened once and kept; embeddings of training texts are
kept in the store with the seconds they cost, so that every rung that uses them can state the cost.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from freehold.core.measure import Answer
from freehold.core.outcome import Scored
from freehold.core.preference import Preference
from freehold.core.record import digest_json
from freehold.core.sections import BaseModelSpec, RungName
from freehold.core.snapshot import Example, TrainSplit
from freehold.core.task import Task
from freehold.data.documents import Document, Passage
from freehold.evaluate.extract import extract
from freehold.evaluate.scorers import Scorer
from freehold.ladder.answerer import Answerer
from freehold.ladder.events import Progress
from freehold.models.door import Model
from freehold.models.embed import Embedder
from freehold.models.endpoints import Endpoints
from freehold.models.rerank import Rerank
from freehold.store.lineage import Thing, descend
from freehold.store.store import Store
from freehold.train.records import TrainEvent
from freehold.train.rows import TrainingRow

if TYPE_CHECKING:
    from freehold.train.processes import Processes

Floats = NDArray[np.float32]
OnProgress = Callable[[Progress], None]
OnTraining = Callable[[TrainEvent], None]
EMBED_BATCH = 512


class Models:
    """Opens base models and embedders when they are first needed, and keeps them."""

    def __init__(
        self,
        *,
        cache: Path,
        online: bool = False,
        open_base: Callable[[BaseModelSpec], Model] | None = None,
        endpoints: Endpoints | None = None,
    ) -> None:
        """Keep what is needed to open models.

        Args:
            cache: the folder of downloaded models.
            online: whether a missing model may be downloaded.
            open_base: opens a model in place of the local engine, for engines and tests.
            endpoints: the servers that a spec may name; none where left out.
        """
        self.endpoints = Endpoints({}) if endpoints is None else endpoints
        self._cache = cache
        self._online = online
        self._open_base = open_base or self._open_local
        self._models: dict[str, Model] = {}
        self._embedders: dict[str, Embedder] = {}
        self._rerankers: dict[str, Rerank] = {}

    def base(self, spec: BaseModelSpec) -> Model:
        """Return the model of a spec: behind the endpoint that it names, else with its weights here.

        Raises:
            ConfigError: it names an endpoint that is not described well enough.
            ModelError: it cannot be opened; the message says why and what to do.
        """
        key = spec.digest
        if key not in self._models:
            named = spec.endpoint or (spec.id if spec.id in self.endpoints else None)
            self._models[key] = (
                self._open_base(spec) if named is None else self.endpoints.open(named)
            )
        return self._models[key]

    def _open_local(self, spec: BaseModelSpec) -> Model:
        from freehold.models.opening import open_model

        return open_model(spec, cache=self._cache, online=self._online)

    def embedder(self, name: str) -> Embedder:
        """Return an embedder by name.

        Raises:
            ModelError: it cannot be opened, or its weights are not the expected ones.
        """
        from freehold.models.embed import open_embedder

        if name not in self._embedders:
            self._embedders[name] = open_embedder(name, cache=self._cache, online=self._online)
        return self._embedders[name]

    def reranker(self, name: str) -> Rerank:
        """Return a cross-encoder by name.

        Raises:
            ModelError: it cannot be opened.
        """
        from freehold.models.rerank import open_reranker

        if name not in self._rerankers:
            self._rerankers[name] = open_reranker(name, cache=self._cache, online=self._online)
        return self._rerankers[name]

    def close(self) -> None:
        """Let go of everything that was opened."""
        for model in self._models.values():
            model.close()
        self._models.clear()
        self._embedders.clear()
        self._rerankers.clear()
        self.endpoints.close()


def _no_domain_before(_model: Model) -> tuple[float, ...]:
    """Say that no domain was learnt before."""
    return ()


@dataclass(frozen=True)
class Continuation:
    """What a training goes on from: the adapter before it, and rows of the domains before it.

    `adapter` is a PEFT folder for the task's base. `past` rows were answered by base and adapter
    together, and found right by the scorer of their own task. `name` is the digest of both.
    `past_scores` measures a model on dev rows of each domain before: the mean of each.
    """

    name: str
    adapter: Path
    past: tuple[TrainingRow, ...] = ()
    past_scores: Callable[[Model], tuple[float, ...]] = _no_domain_before


@dataclass(frozen=True)
class Standing:
    """A rung that is built already, for a rung that stands on it.

    `digest` names its candidate, `spec` and `files` are the candidate's own. `earlier_seconds` is what its
    building took before the build that is under way.
    """

    rung: RungName
    digest: str
    spec: Mapping[str, JsonValue]
    files: Mapping[str, bytes]
    load: Callable[[], Answerer]
    earlier_seconds: float


def _no_other_rung(name: RungName) -> Standing:
    """Refuse: these tools know one rung alone."""
    raise ValueError(f"nothing builds {name} here")


def _nothing_measured() -> Standing | None:
    """Say that no rung was measured yet."""
    return None


def _tell_nobody(_event: TrainEvent) -> None:
    """Take an event of a training and do nothing."""


def _nothing_does(_text: str) -> bool:
    """Say that nothing held out is near a text."""
    return False


def _never() -> bool:
    """Say that a training need not stop."""
    return False


def _alone(_training: str) -> AbstractContextManager[None]:
    """Train in this process alone."""
    return nullcontext()


@dataclass(frozen=True)
class Tools:
    """Everything a rung may use.

    A rung that trains tells `on_training` of every event, and asks `should_stop` between steps. With
    `after` it starts from `start()` and holds on to `after.past` as well; general ability is still
    that of `base()`. A text that `resembles_held_out` must not be trained on: that much of the held-out
    splits a rung may know.

    `preferences` are the user's own. `built(name)` returns another rung, built where it was not yet;
    `best_measured()` the measured rung that is best on dev, None where none was measured. `scorer` is the task's.
    A training runs within `meet(name)`, which gives the processes that train it together, once all are
    there, or None for this one alone.
    """

    task: Task
    train: TrainSplit
    passages: tuple[Passage, ...]
    store: Store
    models: Models
    clock: Callable[[], float]
    on_progress: OnProgress
    kept_embeddings: dict[str, tuple[Floats, float]] = field(
        default_factory=dict[str, tuple[Floats, float]]
    )
    on_training: OnTraining = _tell_nobody
    should_stop: Callable[[], bool] = _never
    after: Continuation | None = None
    resembles_held_out: Callable[[str], bool] = _nothing_does
    preferences: tuple[Preference, ...] = ()
    built: Callable[[RungName], Standing] = _no_other_rung
    best_measured: Callable[[], Standing | None] = _nothing_measured
    scorer: Scorer | None = None
    meet: Callable[[str], AbstractContextManager[Processes | None]] = _alone
    documents: tuple[Document, ...] = ()

    def base(self) -> Model:
        """Return the task's base model."""
        return self.models.base(self.task.base)

    def start(self) -> Model:
        """Return the weights that a training starts from: the base, or with `after` its adapter on it."""
        if self.after is None:
            return self.base()
        spec = self.task.base.model_copy(update={"adapter": str(self.after.adapter)})
        return self.models.base(spec)

    def score_train(self, example: Example, raw: str) -> float | None:
        """Return the task's score of an answer to a training example; None where it could not be scored.

        Raises:
            ValueError: these tools have no scorer.
        """
        if self.scorer is None:
            raise ValueError("nothing can be scored here")
        answer = Answer(raw=raw, value=extract(raw, self.task.output))
        outcome = self.scorer.score(example, answer)
        return outcome.score if isinstance(outcome, Scored) else None

    def embed(self, texts: Sequence[str]) -> Floats:
        """Return one unit vector per text, float32 [n, d]. Nothing is kept."""
        return self.models.embedder(self.task.embedder).encode(texts)

    def embed_kept(self, texts: Sequence[str]) -> tuple[Floats, float]:
        """Return the vectors of texts to build with, and the seconds spent on them before this call.

        Vectors that are made now cost 0 earlier seconds: their time is part of the build under way.
        """
        embedder = self.models.embedder(self.task.embedder)
        key = digest_json("embeddings", [embedder.digest, *texts])
        if key in self.kept_embeddings:
            return self.kept_embeddings[key]
        entries = self.store.ledger.entries("embeddings", subject=key)
        body = json.loads(entries[-1].body) if entries else None
        if body is not None and body["blob"] in self.store.blobs:
            vectors = np.load(io.BytesIO(self.store.blobs.get(body["blob"])), allow_pickle=False)
            kept = (vectors, float(body["seconds"]))
        else:
            kept = self._embed_and_keep(embedder, texts, key)
            self.kept_embeddings[key] = kept
            return kept[0], 0.0
        self.kept_embeddings[key] = kept
        return kept

    def _embed_and_keep(
        self, embedder: Embedder, texts: Sequence[str], key: str
    ) -> tuple[Floats, float]:
        started = self.clock()
        parts: list[Floats] = []
        for start in range(0, len(texts), EMBED_BATCH):
            parts.append(embedder.encode(texts[start : start + EMBED_BATCH]))
            done = min(start + EMBED_BATCH, len(texts))
            self.on_progress(Progress("building", done, len(texts), "embedding examples"))
        vectors = np.concatenate(parts) if parts else np.zeros((0, embedder.dimension), np.float32)
        seconds = self.clock() - started
        file = io.BytesIO()
        np.save(file, vectors, allow_pickle=False)
        blob = self.store.blobs.put(file.getvalue())
        made = Thing(kind="embeddings", key=key, name=embedder.name)
        descend(self.store, made, Thing(kind="split", key=self.train.digest, name="train"))
        self.store.note("embeddings", key, {"blob": blob, "seconds": seconds})
        return vectors, seconds


def text_of(example: Example) -> str:
    """Return what is compared and embedded of an example: its context, earlier turns and input."""
    parts = [turn.content for turn in example.history]
    if example.context:
        parts.append(example.context)
    return "\n".join([*parts, example.input])
