"""What a rung does with documents: finding the passage, answering from it, and claiming no more.

Everything is established by code from the answers of a run, the passages of their prompts and the wanted
answers. Which passage is needed: those of the document that the data names, where it names one, and of
these the ones that hold the wanted answer where any does; else all passages that hold the wanted answer
(`holds`). A question without a needed passage is not counted where retrieval is rated, nor given a cause.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from freehold.core.measure import Answer, DocumentFigures, Estimate, Result, Run
from freehold.core.outcome import Cause, Failed, Scored
from freehold.core.snapshot import Example
from freehold.data.documents import Passage
from freehold.evaluate.similarity import token_f1
from freehold.evaluate.statistics import bootstrap_interval, estimate_scores
from freehold.evaluate.support import holds, supported_claims
from freehold.evaluate.unanswerable import is_unanswerable, says_unanswerable

WRONG_BELOW = 0.5
"""An answer with a lower score ignores the passage that was there; a better one has read some of it."""


@dataclass(frozen=True)
class Library:
    """The passages that were searched, and what the task says about its answers.

    `document_column` names the column of an example with the id of the document that it needs, or several ids,
    separated by commas. `unanswerable` is the declared text for questions that the documents do not answer. `is_text` says
    whether answers are free text: labels and JSON have no claims, and no passage holds them.
    """

    passages: tuple[Passage, ...]
    document_column: str | None = None
    unanswerable: str | None = None
    is_text: bool = True

    def needed(self, example: Example) -> frozenset[str]:
        """Return the ids of the passages that hold the needed fact; none where that cannot be told."""
        if is_unanswerable(example.target, self.unanswerable):
            return frozenset()
        documents = self._named(example.fields.get(self.document_column or "", "").strip())
        passages = [one for one in self.passages if not documents or one.document_id in documents]
        target = example.target
        if self.is_text and isinstance(target, str):
            holding = [one.id for one in passages if holds(one.text, target)]
            if holding:
                return frozenset(holding)
        return frozenset(one.id for one in passages) if documents else frozenset()

    def _named(self, written: str) -> frozenset[str]:
        """Return the ids that a column names; an id may itself hold commas."""
        if written in self._document_ids:
            return frozenset({written})
        return frozenset(part.strip() for part in written.split(",") if part.strip())

    @cached_property
    def _document_ids(self) -> frozenset[str]:
        return frozenset(passage.document_id for passage in self.passages)


def explained(run: Run, examples: Sequence[Example], library: Library) -> Run:
    """Return a run whose wrong answers have the causes `unsupported` and `unread`, where code can tell.

    `unsupported`: none of the needed passages stood in the prompt. `unread`: one did, and the score is
    below one half. An answer that was cut short or has no readable form keeps that cause; so does one that says that
    there is no answer although a needed passage stood there (`refused`).
    """
    by_id = {example.id: example for example in examples}
    return run.model_copy(
        update={
            "results": tuple(
                _explained(result, by_id[result.example_id], library) for result in run.results
            )
        }
    )


def _explained(result: Result, example: Example, library: Library) -> Result:
    outcome, answer = result.outcome, result.answer
    if isinstance(outcome, Failed) or answer is None or outcome.score >= 1.0:
        return result
    if not answer.passages or outcome.cause not in (None, Cause.CONFUSED, Cause.REFUSED):
        return result
    needed = library.needed(example)
    if not needed:
        return result
    if needed.isdisjoint(answer.passages):
        cause = Cause.UNSUPPORTED
    elif outcome.score < WRONG_BELOW and outcome.cause is not Cause.REFUSED:
        cause = Cause.UNREAD
    else:
        return result
    return result.model_copy(update={"outcome": Scored(score=outcome.score, cause=cause)})


def figures(
    run: Run,
    examples: Sequence[Example],
    library: Library,
    *,
    k: int,
    confidence: float = 0.95,
    rng: np.random.Generator,
) -> DocumentFigures:
    """Return what a run shows about finding, answering and claiming; failed examples are left out.

    recall@k: one where a needed passage is among the first k, else zero. nDCG@k with the first needed passage as the
    one relevant item: 1 / log2(1 + its place), as several passages with the same fact serve as one.

    Args:
        run: of the candidate, with the ids of the passages in each answer.
        examples: of the split.
        library: what was searched.
        k: how many passages stand in a prompt at most.
        confidence: of every interval.
        rng: draws the resamples of the share of unsupported claims.
    """
    by_id = {example.id: example for example in examples}
    pairs = [
        (by_id[result.example_id], result.answer)
        for result in run.results
        if result.answer is not None and not isinstance(result.outcome, Failed)
    ]
    places = [
        _place(answer.passages[:k], needed)
        for example, answer in pairs
        if (needed := library.needed(example))
    ]
    found = DocumentFigures(
        k=k,
        recall=_shares([float(place is not None) for place in places], confidence, binary=True),
        ndcg=_shares(
            [0.0 if place is None else 1.0 / math.log2(1.0 + place) for place in places], confidence
        ),
    )
    return (
        _with_text(found, pairs, library, confidence=confidence, rng=rng)
        if library.is_text
        else found
    )


def _place(shown: Sequence[str], needed: frozenset[str]) -> int | None:
    """Return the place, from 1, of the first needed passage."""
    return next((place for place, id_ in enumerate(shown, 1) if id_ in needed), None)


def _with_text(
    found: DocumentFigures,
    pairs: Sequence[tuple[Example, Answer]],
    library: Library,
    *,
    confidence: float,
    rng: np.random.Generator,
) -> DocumentFigures:
    """Add what only free text has: claims, citations, and questions without an answer."""
    declared = library.unanswerable
    texts = {passage.id: passage.text for passage in library.passages}
    claimed: list[tuple[int, int]] = []
    for example, answer in pairs:
        if isinstance(answer.value, str) and not says_unanswerable(answer.value, declared):
            shown = [texts[id_] for id_ in answer.passages if id_ in texts]
            claims = supported_claims(answer.value, shown, question=example.input)
            if claims:
                claimed.append((sum(claim.is_supported for claim in claims), len(claims)))
    answerable = [pair for pair in pairs if not is_unanswerable(pair[0].target, declared)]
    other = [pair for pair in pairs if is_unanswerable(pair[0].target, declared)]
    written = [
        citation for _, answer in pairs for citation in answer.citations if citation.by == "written"
    ]
    said = [float(any(c.by == "written" for c in answer.citations)) for _, answer in pairs]
    return found.model_copy(
        update={
            "answer_f1": _shares([_f1(*pair) for pair in answerable], confidence),
            "faithfulness": _shares([held / count for held, count in claimed], confidence),
            "unsupported": _unsupported(claimed, confidence, rng),
            "claims": sum(count for _, count in claimed),
            "cited": _shares(said, confidence, binary=True),
            "citations_right": _shares(
                [float(citation.is_supported) for citation in written], confidence, binary=True
            ),
            "said_unanswerable": _refusals(other, declared, confidence),
            "wrongly_refused": _refusals(answerable, declared, confidence),
        }
    )


def _f1(example: Example, answer: Answer) -> float:
    said = answer.value if isinstance(answer.value, str) else ""
    return token_f1(said, str(example.target))


def _refusals(
    pairs: Sequence[tuple[Example, Answer]], declared: str | None, confidence: float
) -> Estimate | None:
    if declared is None:
        return None
    said = [float(says_unanswerable(answer.value, declared)) for _, answer in pairs]
    return _shares(said, confidence, binary=True)


def _shares(scores: Sequence[float], confidence: float, *, binary: bool = False) -> Estimate | None:
    return estimate_scores(scores, binary=binary, confidence=confidence) if scores else None


def _unsupported(
    claimed: Sequence[tuple[int, int]], confidence: float, rng: np.random.Generator
) -> Estimate | None:
    """Return the share of all claims that no passage supports; whole answers are resampled.

    Where it is none or all, resampling shows no doubt: then it is Wilson's interval, each answer counted once.
    """
    if not claimed:
        return None
    held = np.asarray([one[0] for one in claimed], dtype=np.float64)
    count = np.asarray([one[1] for one in claimed], dtype=np.float64)
    mean = float(1.0 - held.sum() / count.sum())
    if mean in (0.0, 1.0):
        sure = [mean] * len(claimed)
        return estimate_scores(sure, binary=True, confidence=confidence)
    low, high = bootstrap_interval(
        lambda chosen: float(1.0 - held[chosen].sum() / count[chosen].sum()),
        len(claimed),
        rng=rng,
        confidence=confidence,
    )
    return Estimate(
        mean=mean, low=min(low, mean), high=max(high, mean), n=len(claimed), method="bootstrap"
    )
