"""Rung 0: no language model. Majority, TF-IDF or embeddings with a linear head, nearest neighbour.

If one of these meets the bar, the task never needed a language model. Linear heads need a closed
list of labels; the other two copy an answer and work for every task.
"""

from __future__ import annotations

import io
import json
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from freehold.core.measure import Answer
from freehold.core.message import Message
from freehold.core.sections import BaselineName
from freehold.core.snapshot import Example
from freehold.core.task import LabelOutput
from freehold.ladder.prompts import answer_text
from freehold.ladder.rung import (
    Built,
    DevScores,
    Files,
    OnAnswer,
    Rung,
    Variant,
    nothing_is_missing,
)
from freehold.ladder.tools import Floats, Tools, text_of
from freehold.models.door import Model

#: Inverse regularisation of the two linear heads (scikit-learn's C), chosen once on held-out parts
#: of public intent data; both are flat within half a point over a factor of three.
TFIDF_C = 10.0
EMBEDDING_C = 20.0
MAX_ITERATIONS = 1000
ANSWER_BATCH = 64


class Predictor(Protocol):
    """Says one target for each example."""

    def __call__(self, examples: Sequence[Example]) -> Sequence[JsonValue]:
        """Return one target per example."""
        ...


@dataclass(frozen=True)
class LabelScores:
    """A linear head: its labels, and their scores for examples [n, labels]."""

    labels: tuple[str, ...]
    score: Callable[[Sequence[Example]], NDArray[Any]]

    def probabilities(self, examples: Sequence[Example]) -> NDArray[Any]:
        """Return the probability of each label for each example [n, labels]; rows add up to 1.

        Two labels stand as the scores -z and z of one logistic regression, which gives the second 1 / (1 + e^-z).
        """
        scores = self.score(examples) / (2 if len(self.labels) == 2 else 1)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class PredictorAnswerer:
    """Answers with a predictor, in batches."""

    predict: Predictor

    @property
    def model(self) -> Model | None:
        """None: no model is asked."""
        return None

    def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
        """Answer each example."""
        for start in range(0, len(examples), ANSWER_BATCH):
            targets = self.predict(examples[start : start + ANSWER_BATCH])
            for offset, target in enumerate(targets):
                on_answer(start + offset, Answer(raw=answer_text(target), value=target))

    def messages(self, example: Example) -> tuple[Message, ...] | None:
        """Return None: no model is asked."""
        del example


@dataclass(frozen=True)
class Baseline:
    """One way to answer without a model: build its files, and read them back.

    `scores` reads the linear head alone; None where there is none.
    """

    needs_labels: bool
    build: Callable[[Tools], Built]
    load: Callable[[Files, Tools], Predictor]
    scores: Callable[[Files, Tools], LabelScores] | None = None


def _build_majority(tools: Tools) -> Built:
    counts = Counter(json.dumps(e.target, sort_keys=True) for e in tools.train.examples)
    most = min(counts, key=lambda text: (-counts[text], text))
    return Built(files={"answer.json": most.encode()})


def _load_majority(files: Files, tools: Tools) -> Predictor:
    del tools
    target: JsonValue = json.loads(files["answer.json"])
    return lambda examples: [target] * len(examples)


def _build_tfidf(tools: Tools) -> Built:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [text_of(example) for example in tools.train.examples]
    vectorizer = cast(Any, TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True))
    head, labels = fit_head(vectorizer.fit_transform(texts), _labels(tools), TFIDF_C)
    vocabulary = {word: int(index) for word, index in vectorizer.vocabulary_.items()}
    arrays = {"idf": vectorizer.idf_, **head}
    return Built(
        files={
            "vocabulary.json": json.dumps(vocabulary, ensure_ascii=False).encode(),
            "labels.json": json.dumps(labels, ensure_ascii=False).encode(),
            "head.npz": pack_arrays(arrays),
        }
    )


def _load_tfidf(files: Files, tools: Tools) -> Predictor:
    return _best_label(_tfidf_scores(files, tools))


def _tfidf_scores(files: Files, tools: Tools) -> LabelScores:
    from sklearn.feature_extraction.text import TfidfVectorizer

    del tools
    vocabulary = json.loads(files["vocabulary.json"])
    head = unpack_arrays(files["head.npz"])
    vectorizer = cast(
        Any, TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, vocabulary=vocabulary)
    )
    vectorizer.idf_ = head["idf"]

    def score(examples: Sequence[Example]) -> NDArray[Any]:
        features = vectorizer.transform([text_of(example) for example in examples])
        return np.asarray(features @ head["weights"].T) + head["bias"]

    return LabelScores(tuple(json.loads(files["labels.json"])), score)


def _build_embedding(tools: Tools) -> Built:
    vectors, seconds = tools.embed_kept([text_of(example) for example in tools.train.examples])
    head, labels = fit_head(vectors, _labels(tools), EMBEDDING_C)
    files = {
        "labels.json": json.dumps(labels, ensure_ascii=False).encode(),
        "head.npz": pack_arrays(head),
    }
    return Built(files=files, earlier_seconds=seconds)


def _load_embedding(files: Files, tools: Tools) -> Predictor:
    return _best_label(_embedding_scores(files, tools))


def _embedding_scores(files: Files, tools: Tools) -> LabelScores:
    head = unpack_arrays(files["head.npz"])

    def score(examples: Sequence[Example]) -> NDArray[Any]:
        vectors = tools.embed([text_of(example) for example in examples])
        return np.asarray(vectors @ head["weights"].T) + head["bias"]

    return LabelScores(tuple(json.loads(files["labels.json"])), score)


def _build_nearest(tools: Tools) -> Built:
    vectors, seconds = tools.embed_kept([text_of(example) for example in tools.train.examples])
    targets = [example.target for example in tools.train.examples]
    files = {
        "targets.json": json.dumps(targets, ensure_ascii=False).encode(),
        "vectors.npz": pack_arrays({"vectors": vectors}),
    }
    return Built(files=files, earlier_seconds=seconds)


def _load_nearest(files: Files, tools: Tools) -> Predictor:
    targets = json.loads(files["targets.json"])
    vectors = unpack_arrays(files["vectors.npz"])["vectors"].astype(np.float32)

    def predict(examples: Sequence[Example]) -> list[JsonValue]:
        queries = tools.embed([text_of(example) for example in examples])
        nearest = (queries @ vectors.T).argmax(axis=1)
        return [targets[int(index)] for index in nearest]

    return predict


#: Every way to answer without a model. A new one is a pair of functions and a line here.
BASELINES: Mapping[BaselineName, Baseline] = {
    "majority": Baseline(False, _build_majority, _load_majority),
    "tfidf": Baseline(True, _build_tfidf, _load_tfidf, _tfidf_scores),
    "embedding": Baseline(True, _build_embedding, _load_embedding, _embedding_scores),
    "nearest": Baseline(False, _build_nearest, _load_nearest),
}


def _variants(tools: Tools) -> tuple[Variant, ...]:
    has_labels = isinstance(tools.task.output, LabelOutput)
    return tuple(
        Variant(name, {"baseline": name})
        for name in tools.task.ladder.baseline.tried
        if has_labels or not BASELINES[name].needs_labels
    )


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    del dev_scores
    return BASELINES[cast(BaselineName, variant.spec["baseline"])].build(tools)


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> PredictorAnswerer:
    return PredictorAnswerer(BASELINES[cast(BaselineName, spec["baseline"])].load(files, tools))


RUNG = Rung(
    name="baseline",
    missing=nothing_is_missing,
    variants=_variants,
    build=_build,
    load=_load,
    uses_model=False,
)


def _labels(tools: Tools) -> list[str]:
    return [str(example.target) for example in tools.train.examples]


def fit_head(
    features: Any, labels: list[str], inverse_penalty: float
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Fit multinomial logistic regression; one weight row per label, also when there are two."""
    from sklearn.linear_model import LogisticRegression

    known = sorted(set(labels))
    if len(known) == 1:
        zeros = np.zeros((1, features.shape[1]), np.float32)
        return {"weights": zeros, "bias": np.zeros(1, np.float32)}, known
    model = cast(Any, LogisticRegression(C=inverse_penalty, max_iter=MAX_ITERATIONS))
    with warnings.catch_warnings():
        # Few rows for many labels: scikit-learn wonders whether the labels are numbers. They are names.
        warnings.filterwarnings("ignore", message="The number of unique classes")
        model.fit(features, labels)
    weights, bias = model.coef_, model.intercept_
    if len(known) == 2:
        weights, bias = np.vstack([-weights, weights]), np.concatenate([-bias, bias])
    classes = [str(name) for name in model.classes_]
    return {"weights": weights.astype(np.float32), "bias": bias.astype(np.float32)}, classes


def _best_label(linear: LabelScores) -> Predictor:
    def predict(examples: Sequence[Example]) -> list[JsonValue]:
        best = linear.score(examples).argmax(axis=1)
        return [linear.labels[int(index)] for index in best]

    return predict


def head_probabilities(features: Any, head: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return the probability of each label of a fitted head for each row, [rows, labels]."""
    scores = np.asarray(features @ head["weights"].T, dtype=np.float64) + head["bias"]
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def pack_arrays(arrays: Mapping[str, NDArray[Any] | Floats]) -> bytes:
    """Return named arrays as the bytes of an .npz file."""
    file = io.BytesIO()
    np.savez(file, **cast(dict[str, Any], arrays))
    return file.getvalue()


def unpack_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Read named arrays from the bytes of an .npz file; pickled objects are refused."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
