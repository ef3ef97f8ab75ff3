"""Rung 4: the nearest training examples and the nearest passages of the documents in the prompt.

Similarity is the cosine of sentence embeddings. The most similar example stands last, next to the
question. Decoding is held to the labels or the schema where the task has one, so that this rung adds
to `structured`. Where an input leaves too little room, the least similar examples go first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from freehold.core.message import Message
from freehold.core.snapshot import Example
from freehold.ladder.baseline import pack_arrays, unpack_arrays
from freehold.ladder.prompts import (
    Asker,
    conversation,
    drop_far_shots,
    shots_from_json,
    shots_to_json,
    system_text,
)
from freehold.ladder.rung import Built, DevScores, Files, OnAnswer, Rung, Variant
from freehold.ladder.structured import constrained_asker
from freehold.ladder.tools import Floats, Tools, text_of
from freehold.ladder.zero_shot import prompt_settings
from freehold.models.door import Model

PASSAGES_PER_QUESTION = 3


@dataclass(frozen=True)
class RetrievingAnswerer:
    """Asks each example with its nearest examples and passages before it."""

    asker: Asker
    system: str
    tools: Tools
    shots: tuple[Example, ...]
    shot_vectors: Floats
    k: int
    passages: tuple[str, ...] = ()
    passage_vectors: Floats | None = None

    @property
    def model(self) -> Model:
        """The model that is asked."""
        return self.asker.model

    def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
        """Answer each example."""
        self.asker.ask(self._prompts(examples), on_answer)

    def messages(self, example: Example) -> tuple[Message, ...]:
        """Return the messages for an example."""
        return self._prompts([example])[0]

    def _prompts(self, examples: Sequence[Example]) -> list[tuple[Message, ...]]:
        vectors = self.tools.embed([text_of(example) for example in examples])
        shots = nearest(vectors, self.shot_vectors, self.k)
        passages: list[list[int]] = [[] for _ in examples]
        if self.passage_vectors is not None:
            passages = nearest(vectors, self.passage_vectors, PASSAGES_PER_QUESTION)
        return [
            drop_far_shots(
                self.asker.model,
                conversation(
                    self.system,
                    example,
                    shots=[self.shots[index] for index in near],
                    passages=[self.passages[index] for index in found],
                ),
                system_turns=1 if self.system else 0,
                reserve=self.asker.max_tokens,
            )
            for example, near, found in zip(examples, shots, passages, strict=True)
        ]


def nearest(queries: Floats, vectors: Floats, k: int) -> list[list[int]]:
    """Return, for each query, the k nearest rows of `vectors`, the most similar last.

    Args:
        queries: unit vectors, [q, d].
        vectors: unit vectors, [n, d].
        k: how many; fewer where n < k.
    """
    k = min(k, len(vectors))
    if k == 0:
        return [[] for _ in queries]
    similarity = queries @ vectors.T
    top = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    found: list[list[int]] = []
    for row, indexes in zip(similarity, top, strict=True):
        found.append([int(i) for i in sorted(indexes, key=lambda i: (row[i], -i))])
    return found


def _missing(tools: Tools) -> str | None:
    wants = tools.task.ladder.retrieve.sources
    if "examples" not in wants and not tools.passages:
        return "missing input: no documents; add data.documents"
    return None


def _variants(tools: Tools) -> tuple[Variant, ...]:
    spec = tools.task.ladder.retrieve
    documents = [False, True] if tools.passages and "documents" in spec.sources else [False]
    if "examples" not in spec.sources:
        return (Variant("documents", _settings(0, tools, with_documents=True)),)
    return tuple(
        Variant(f"k={k}" + (" + documents" if with_documents else ""), settings)
        for k in spec.k
        if k <= len(tools.train.examples)
        for with_documents in documents
        if (settings := _settings(k, tools, with_documents=with_documents))
    )


def _settings(k: int, tools: Tools, *, with_documents: bool) -> dict[str, JsonValue]:
    """Return a variant's spec; the content of the documents is part of it, so that a change builds anew."""
    settings: dict[str, JsonValue] = {"k": k, "documents": with_documents}
    return settings | {"passages": tools.task.documents_digest} if with_documents else settings


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    del dev_scores
    files: dict[str, bytes] = {}
    vectors, seconds = tools.embed_kept([text_of(example) for example in tools.train.examples])
    files["shots.json"] = shots_to_json(tools.train.examples)
    files["vectors.npz"] = pack_arrays({"vectors": vectors})
    if variant.spec["documents"]:
        texts = [passage.text for passage in tools.passages]
        passage_vectors, more_seconds = tools.embed_kept(texts)
        seconds += more_seconds
        files["passages.json"] = json.dumps(texts, ensure_ascii=False).encode()
        files["passages.npz"] = pack_arrays({"vectors": passage_vectors})
    return Built(files=files, spec=prompt_settings(tools), earlier_seconds=seconds)


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> RetrievingAnswerer:
    return retrieving(spec, files, tools, asker=constrained_asker(spec, tools))


def retrieving(
    spec: Mapping[str, JsonValue], files: Files, tools: Tools, *, asker: Asker
) -> RetrievingAnswerer:
    """Return what a built candidate of this rung asks, asked by `asker`."""
    has_documents = bool(spec["documents"])
    return RetrievingAnswerer(
        asker=asker,
        system=system_text(tools.task, list_labels=bool(spec["list_labels"])),
        tools=tools,
        shots=shots_from_json(files),
        shot_vectors=unpack_arrays(files["vectors.npz"])["vectors"],
        k=int(str(spec["k"])),
        passages=tuple(json.loads(files["passages.json"])) if has_documents else (),
        passage_vectors=unpack_arrays(files["passages.npz"])["vectors"] if has_documents else None,
    )


RUNG = Rung(name="retrieve", missing=_missing, variants=_variants, build=_build, load=_load)
