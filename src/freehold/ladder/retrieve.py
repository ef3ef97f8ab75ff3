"""Rung 4: the nearest training examples and the best passages of the documents in the prompt.

Examples are compared by the cosine of sentence embeddings, and the most similar one stands last, next to the
question. Passages are searched by words, by meaning or by both, and the best stands first. Decoding is held to
the labels or the schema where the task has one, so that this rung adds to `structured`. Where an input leaves too
little room, the least similar examples go first, then the last passages.

An answer of free text cites the passages that it rests on. Where the task declares what is said when there is
no answer, questions that the passages hardly cover get that text without asking the model. The labels of whoever
asks are part of every search: what they may not see can be in no prompt and in no answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pydantic import JsonValue

from freehold.core.measure import Answer
from freehold.core.message import Message
from freehold.core.outcome import Failed
from freehold.core.snapshot import Example
from freehold.core.task import Task, TextOutput
from freehold.data.chunk import ChunkSpec
from freehold.data.documents import Passage
from freehold.evaluate.citations import Shown, Written, citations, read_marks
from freehold.evaluate.documents import Library
from freehold.evaluate.extract import extract
from freehold.evaluate.unanswerable import Coverage, choose_threshold, says_unanswerable
from freehold.ladder.baseline import pack_arrays, unpack_arrays
from freehold.ladder.passages import (
    INDEX_FILE,
    Access,
    NearestPassages,
    Remembering,
    Search,
    build_index,
    nearest,
    open_search,
)
from freehold.ladder.prompts import (
    Asker,
    conversation,
    drop_far_shots,
    shots_from_json,
    shots_to_json,
    system_text,
)
from freehold.ladder.rung import Answerer, Built, DevScores, Files, OnAnswer, Rung, Variant
from freehold.ladder.structured import constrained_asker
from freehold.ladder.tools import Floats, Tools, text_of
from freehold.ladder.zero_shot import prompt_settings
from freehold.models.door import Model

COVERAGE_FILE = "coverage.json"
RETRIEVED_FILES = frozenset(
    {"shots.json", "vectors.npz", "passages.json", "passages.npz", INDEX_FILE, COVERAGE_FILE}
)
PASSAGES_BEFORE = 3
"""How many passages a candidate shows that was built before this could be chosen."""
CITE = "Cite the passages that you use by their numbers, such as [1]."


@dataclass(frozen=True)
class Grounds:
    """How answers rest on passages.

    With `is_numbered` the passages have numbers in the prompt and the answer is asked to cite them. `declared` is
    the text for questions without an answer; it is said without asking the model where the passages cover less of
    the question than `threshold`.
    """

    search: Search
    is_numbered: bool = False
    declared: str | None = None
    coverage: Coverage | None = None
    threshold: float = 0.0


@dataclass(frozen=True)
class Asked:
    """What is asked for one example: the messages, the passages in them, and how far they cover the question."""

    messages: tuple[Message, ...]
    passages: tuple[Passage, ...] = ()
    coverage: float = 1.0


@dataclass(frozen=True)
class RetrievingAnswerer:
    """Asks each example with its nearest examples and the best passages before it."""

    asker: Asker
    system: str
    embed: Remembering
    shots: tuple[Example, ...]
    shot_vectors: Floats
    k: int
    access: Access
    grounds: Grounds | None = None

    @property
    def model(self) -> Model:
        """The model that is asked."""
        return self.asker.model

    def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
        """Answer each example; those that the passages do not cover first, as no model is asked."""
        asked = self.asked(examples)
        open_places: list[int] = []
        for place, one in enumerate(asked):
            if self._is_refused(one):
                on_answer(place, self._refusal(one))
            else:
                open_places.append(place)

        def take(index: int, answer: Answer | Failed) -> None:
            place = open_places[index]
            on_answer(place, self._grounded(answer, examples[place], asked[place]))

        if open_places:
            self.asker.ask([asked[place].messages for place in open_places], take)

    def messages(self, example: Example) -> tuple[Message, ...]:
        """Return the messages for an example."""
        return self.asked([example])[0].messages

    @cached_property
    def library(self) -> Library | None:
        """The passages that are searched; None where none are."""
        if self.grounds is None:
            return None
        is_text = isinstance(self.asker.output, TextOutput)
        passages = self.grounds.search.passages
        return Library(passages, unanswerable=self.grounds.declared, is_text=is_text)

    def asked(self, examples: Sequence[Example]) -> list[Asked]:
        """Return what is asked for each example, with the passages that fit into the prompt."""
        texts = [text_of(example) for example in examples]
        shots = self._near(examples, texts)
        found: list[list[Passage]] = [[] for _ in examples]
        if self.grounds is not None:
            held = [self.access.of(example) for example in examples]
            found = self.grounds.search.find(texts, held)
        return [
            self._fitting(example, near, passages)
            for example, near, passages in zip(examples, shots, found, strict=True)
        ]

    def _near(self, examples: Sequence[Example], texts: Sequence[str]) -> list[list[Example]]:
        """Return the nearest training examples; only those whose asker held no label that this one lacks."""
        if not self.k or not self.shots or not texts:
            return [[] for _ in texts]
        vectors = self.embed(texts)
        if self.access.column is None:
            near = nearest(vectors, self.shot_vectors, self.k)
            return [[self.shots[index] for index in indexes] for indexes in near]
        wanted = [self.access.own(shot) for shot in self.shots]
        found: list[list[Example]] = []
        for example, vector in zip(examples, vectors, strict=True):
            held = self.access.of(example)
            rows = np.flatnonzero([labels <= held for labels in wanted])
            (indexes,) = nearest(vector[None, :], self.shot_vectors[rows], self.k)
            found.append([self.shots[rows[index]] for index in indexes])
        return found

    def _fitting(
        self, example: Example, shots: Sequence[Example], passages: Sequence[Passage]
    ) -> Asked:
        shown = tuple(passages)
        while True:
            prompt = self._prompt(example, shots, shown)
            if not shown or self._fits(prompt):
                return Asked(prompt, shown, self._coverage(example, shown))
            shown = shown[:-1]

    def _prompt(
        self, example: Example, shots: Sequence[Example], passages: Sequence[Passage]
    ) -> tuple[Message, ...]:
        texts = [passage.whole for passage in passages]
        if self.grounds is not None and self.grounds.is_numbered:
            texts = [f"[{number}] {text}" for number, text in enumerate(texts, 1)]
        return drop_far_shots(
            self.asker.model,
            conversation(self.system, example, shots=shots, passages=texts),
            system_turns=1 if self.system else 0,
            reserve=self.asker.max_tokens,
        )

    def _fits(self, prompt: tuple[Message, ...]) -> bool:
        model = self.asker.model
        return model.count_tokens(prompt) + self.asker.max_tokens <= model.context_tokens

    def _coverage(self, example: Example, passages: Sequence[Passage]) -> float:
        if self.grounds is None or self.grounds.coverage is None:
            return 1.0
        return self.grounds.coverage.of_question(example.input, [one.whole for one in passages])

    def _is_refused(self, asked: Asked) -> bool:
        grounds = self.grounds
        return (
            grounds is not None
            and grounds.declared is not None
            and asked.coverage < grounds.threshold
        )

    def _refusal(self, asked: Asked) -> Answer:
        declared = self.grounds.declared if self.grounds is not None else None
        return Answer(raw=declared or "", value=declared, passages=_ids(asked.passages))

    def _grounded(self, answer: Answer | Failed, example: Example, asked: Asked) -> Answer | Failed:
        """Return the answer with the passages of its prompt, and those that it cites taken out of its text."""
        if isinstance(answer, Failed) or self.grounds is None:
            return answer
        update: dict[str, object] = {"passages": _ids(asked.passages)}
        if isinstance(self.asker.output, TextOutput):
            is_numbered = self.grounds.is_numbered and bool(asked.passages)
            written = read_marks(answer.raw) if is_numbered else Written(answer.raw.strip(), ())
            update["value"] = extract(written.text, self.asker.output)
            if says_unanswerable(written.text, self.grounds.declared):
                update["value"] = self.grounds.declared
            else:
                shown = [Shown(one.id, one.whole) for one in asked.passages]
                update["citations"] = citations(written, shown, question=example.input)
        return answer.model_copy(update=update)


def _ids(passages: Sequence[Passage]) -> tuple[str, ...]:
    return tuple(passage.id for passage in passages)


# Variants ------------------------------------------------------------------------------------


def _missing(tools: Tools) -> str | None:
    wants = tools.task.ladder.retrieve.sources
    if "examples" not in wants and not tools.documents:
        return "missing input: no documents; add data.documents"
    return None


def _variants(tools: Tools) -> tuple[Variant, ...]:
    spec = tools.task.ladder.retrieve
    has_documents = bool(tools.documents) and "documents" in spec.sources
    passages: list[int] = [0, *spec.passages] if has_documents else [0]
    if "examples" not in spec.sources:
        return tuple(
            Variant(f"{count} passages", _settings(0, tools, passages=count))
            for count in spec.passages
        )
    found = tuple(
        Variant(_name(k, count), _settings(k, tools, passages=count))
        for k in spec.k
        if k <= len(tools.train.examples)
        for count in passages
        if k or count
    )
    return found or (Variant("k=1", _settings(1, tools, passages=0)),)


def _name(k: int, passages: int) -> str:
    return f"k={k}" + (f" + {passages} passages" if passages else "")


def _settings(k: int, tools: Tools, *, passages: int) -> dict[str, JsonValue]:
    """Return a variant's spec; the content of the documents is part of it, so that a change builds anew."""
    task, spec = tools.task, tools.task.ladder.retrieve
    settings: dict[str, JsonValue] = {"k": k, "documents": bool(passages)}
    if task.access or task.access_column:
        settings |= {"access": list(task.access), "access_column": task.access_column}
    if not passages:
        return settings
    again: dict[str, JsonValue] = {"rerank": spec.rerank} if spec.rerank is not None else {}
    return {
        **settings,
        **again,
        "passages": passages,
        "how": spec.how,
        "chunk": spec.chunk,
        "overlap": spec.overlap,
        "cite": spec.cite,
        "content": task.documents_digest,
    }


# Build and load ------------------------------------------------------------------------------


def build_retrieving(
    variant: Variant,
    tools: Tools,
    dev_scores: DevScores,
    *,
    asker_of: Callable[[Mapping[str, JsonValue]], Asker],
) -> Built:
    """Build a variant: the examples with their vectors, the index, and when a question is not answered.

    Args:
        variant: of this rung.
        tools: the task, the training rows and the documents.
        dev_scores: scores what is under construction, to choose the threshold.
        asker_of: returns what asks the model, from the spec.
    """
    files: dict[str, bytes] = {}
    vectors, seconds = tools.embed_kept([text_of(example) for example in tools.train.examples])
    files["shots.json"] = shots_to_json(tools.train.examples)
    files["vectors.npz"] = pack_arrays({"vectors": vectors})
    decided = prompt_settings(tools)
    if variant.spec["documents"]:
        built = build_index(tools, _chunk(variant.spec))
        files[INDEX_FILE] = built.content
        seconds += built.earlier_seconds
        declared = _declared(tools.task)
        if declared is not None:
            decided |= _threshold(variant, files, tools, dev_scores=dev_scores, asker_of=asker_of)
    return Built(files=files, spec=decided, earlier_seconds=seconds)


def _chunk(spec: Mapping[str, JsonValue]) -> ChunkSpec:
    return ChunkSpec(size=int(str(spec["chunk"])), overlap=int(str(spec["overlap"])))


def _threshold(
    variant: Variant,
    files: dict[str, bytes],
    tools: Tools,
    *,
    dev_scores: DevScores,
    asker_of: Callable[[Mapping[str, JsonValue]], Asker],
) -> dict[str, JsonValue]:
    """Choose on dev below which coverage a question is answered as unanswerable; `files` gets the word counts."""
    spec = {**variant.spec, **prompt_settings(tools)}
    files[COVERAGE_FILE] = b'{"passages":0,"counts":{}}'
    search = retrieving(spec, files, tools, asker=asker_of(spec)).grounds
    passages = search.search.passages if search is not None else ()
    files[COVERAGE_FILE] = Coverage.of([one.whole for one in passages]).model_dump_json().encode()
    watched = _Watched(retrieving(spec, files, tools, asker=asker_of(spec)), {})
    answered = dev_scores(watched)
    refused = dev_scores(_Refusing(str(_declared(tools.task))))
    chosen = choose_threshold(watched.coverage, answered, refused)
    return {"threshold": chosen.value, "threshold_gain": chosen.gained}


@dataclass(frozen=True)
class _Watched:
    """Answers as the answerer does, and notes how far each question is covered."""

    answerer: RetrievingAnswerer
    coverage: dict[str, float]

    @property
    def model(self) -> Model:
        return self.answerer.model

    def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
        asked = self.answerer.asked(examples)
        self.coverage.update(
            {example.id: one.coverage for example, one in zip(examples, asked, strict=True)}
        )
        self.answerer.answer(examples, on_answer)

    def messages(self, example: Example) -> tuple[Message, ...]:
        return self.answerer.messages(example)


@dataclass(frozen=True)
class _Refusing:
    """Says to everything that there is no answer."""

    declared: str
    model: None = None

    def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
        for place in range(len(examples)):
            on_answer(place, Answer(raw=self.declared, value=self.declared))

    def messages(self, example: Example) -> None:
        del example


def _declared(task: Task) -> str | None:
    return task.output.unanswerable if isinstance(task.output, TextOutput) else None


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    return build_retrieving(
        variant, tools, dev_scores, asker_of=lambda spec: constrained_asker(spec, tools)
    )


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> RetrievingAnswerer:
    return retrieving(spec, files, tools, asker=constrained_asker(spec, tools))


def retrieving(
    spec: Mapping[str, JsonValue], files: Files, tools: Tools, *, asker: Asker
) -> RetrievingAnswerer:
    """Return what a built candidate of this rung asks, asked by `asker`.

    Candidates of before the index are read as they were built: three passages, found by embedding alone.

    Raises:
        DataError: the index file is damaged, or was made with another embedder.
    """
    embed = Remembering(tools.embed)
    grounds = _grounds(spec, files, tools, embed=embed) if spec["documents"] else None
    system = system_text(tools.task, list_labels=bool(spec["list_labels"]))
    labels = spec.get("access")
    column = spec.get("access_column")
    return RetrievingAnswerer(
        asker=asker,
        system=_system(system, grounds),
        embed=embed,
        shots=shots_from_json(files),
        shot_vectors=unpack_arrays(files["vectors.npz"])["vectors"],
        k=int(str(spec["k"])),
        access=Access(
            fixed=frozenset(str(label) for label in labels)
            if isinstance(labels, list)
            else frozenset(),
            column=column if isinstance(column, str) else None,
        ),
        grounds=grounds,
    )


def _grounds(
    spec: Mapping[str, JsonValue], files: Files, tools: Tools, *, embed: Remembering
) -> Grounds:
    if INDEX_FILE not in files:
        texts: list[str] = json.loads(files["passages.json"])
        vectors = unpack_arrays(files["passages.npz"])["vectors"]
        return Grounds(NearestPassages(texts, vectors, k=PASSAGES_BEFORE, embed=embed))
    how, rerank = spec["how"], spec.get("rerank")
    search = open_search(
        files[INDEX_FILE],
        tools,
        k=int(str(spec["passages"])),
        how="words" if how == "words" else "meaning" if how == "meaning" else "hybrid",
        embed=embed,
        rerank=rerank if isinstance(rerank, str) else None,
    )
    is_text = isinstance(tools.task.output, TextOutput)
    coverage = files.get(COVERAGE_FILE)
    return Grounds(
        search=search,
        is_numbered=is_text and bool(spec["cite"]),
        declared=_declared(tools.task),
        coverage=Coverage.from_json(coverage) if coverage is not None else None,
        threshold=float(str(spec.get("threshold", 0.0))),
    )


def _system(system: str, grounds: Grounds | None) -> str:
    """Return the system turn with what answers from passages need: to cite, and what to say without an answer."""
    lines = [system]
    if grounds is not None and grounds.is_numbered:
        lines.append(CITE)
    if grounds is not None and grounds.declared is not None and grounds.declared not in system:
        lines.append(f"Where the passages hold no answer, answer: {grounds.declared}")
    return "\n".join(line for line in lines if line)


def searches(answerer: Answerer) -> Library | None:
    """Return the passages that an answerer searches; None where it searches none."""
    return answerer.library if isinstance(answerer, RetrievingAnswerer) else None


RUNG = Rung(name="retrieve", missing=_missing, variants=_variants, build=_build, load=_load)
