"""What a rung does with documents: figures and causes from results alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from freehold.core.measure import Answer, Citation, Result, Run
from freehold.core.outcome import Cause, Failed, Scored
from freehold.core.snapshot import Example
from freehold.data.documents import Passage
from freehold.evaluate.documents import Library, explained, figures

TEXTS = {
    "a#1": "The Panthers gave up 308 points.",
    "a#2": "Kawann Short led the team.",
    "b#1": "The Broncos scored 308 points too.",
    "c#1": "Nothing of use.",
}
PASSAGES = tuple(
    Passage(id=id_, document_id=id_[0], title="", text=text, start=0) for id_, text in TEXTS.items()
)
NONE = "I do not know"
LIBRARY = Library(PASSAGES, document_column="document", unanswerable=NONE)


def asked(id_: str, target: str, document: str = "") -> Example:
    return Example(id=id_, input="Who or how many?", target=target, fields={"document": document})


def result(
    id_: str,
    value: str,
    *passages: str,
    score: float = 0.0,
    cause: Cause | None = None,
    citations: tuple[Citation, ...] = (),
) -> Result:
    answer = Answer(raw=value, value=value, passages=passages, citations=citations)
    return Result(example_id=id_, answer=answer, outcome=Scored(score=score, cause=cause))


def run(*results: Result) -> Run:
    digest = "sha256:" + "0" * 64
    return Run(candidate_digest=digest, split="test", split_digest=digest, results=results)


def test_the_needed_passages_are_those_of_the_named_document_that_hold_the_answer() -> None:
    assert LIBRARY.needed(asked("x", "308", "a")) == {"a#1"}
    assert LIBRARY.needed(asked("x", "308")) == {"a#1", "b#1"}
    assert LIBRARY.needed(asked("x", "in other words", "a")) == {"a#1", "a#2"}
    assert LIBRARY.needed(asked("x", "in other words")) == frozenset()
    assert LIBRARY.needed(asked("x", NONE, "a")) == frozenset()
    assert LIBRARY.needed(asked("x", "308", "c, b")) == {"b#1"}
    comma = (PASSAGES[0].model_copy(update={"document_id": "Fresno, California"}),)
    assert Library(comma, document_column="document").needed(
        asked("x", "308", "Fresno, California")
    ) == {"a#1"}
    labels = Library(PASSAGES, document_column="document", is_text=False)
    assert labels.needed(asked("x", "308")) == frozenset()


@pytest.mark.parametrize(
    ("one", "cause"),
    [
        (result("q", "five", "b#1", "c#1"), Cause.UNSUPPORTED),
        (result("q", "five", "c#1", "a#1"), Cause.UNREAD),
        (result("q", "308 or so", "a#1", score=0.6), None),
        (result("q", "308", "a#1", score=1.0), None),
        (result("q", "five"), None),
        (result("q", NONE, "a#1", cause=Cause.REFUSED), Cause.REFUSED),
        (result("q", NONE, "c#1", cause=Cause.REFUSED), Cause.UNSUPPORTED),
        (result("q", "fi", "c#1", cause=Cause.TRUNCATED), Cause.TRUNCATED),
    ],
)
def test_a_wrong_answer_is_explained_by_what_stood_in_its_prompt(
    one: Result, cause: Cause | None
) -> None:
    (told,) = explained(run(one), [asked("q", "308", "a")], LIBRARY).results
    assert isinstance(told.outcome, Scored)
    assert told.outcome.cause is cause


def test_a_failure_stays_a_failure() -> None:
    failed = Result(example_id="q", answer=None, outcome=Failed(cause=Cause.ENGINE, message="down"))
    assert explained(run(failed), [asked("q", "308", "a")], LIBRARY).results == (failed,)
    found = figures(
        run(failed), [asked("q", "308", "a")], LIBRARY, k=2, rng=np.random.default_rng(1)
    )
    assert found.recall is None
    assert found.faithfulness is None


def test_no_unsupported_claim_among_few_is_no_proof_that_there_are_none() -> None:
    only = run(result("1", "308", "a#1", score=1.0))
    rng = np.random.default_rng(1)
    found = figures(only, [asked("1", "308", "a")], LIBRARY, k=1, rng=rng).unsupported
    assert found is not None
    assert found.mean == 0.0
    assert found.high > 0.5


def test_the_figures_agree_with_counting_by_hand() -> None:
    examples = [
        asked("1", "308", "a"),
        asked("2", "Kawann Short", "a"),
        asked("3", "308", "a"),
        asked("4", NONE),
        asked("5", NONE),
    ]
    good = Citation(number=1, passage="a#1", by="written", share=1.0, is_supported=True)
    bad = Citation(number=9, by="written")
    results = (
        result("1", "308", "a#1", "c#1", score=1.0, citations=(good, bad)),
        result("2", "Kawann Short. Unicorns helped.", "c#1", "a#2"),
        result("3", NONE, "c#1", "b#1"),
        result("4", NONE, "c#1", score=1.0),
        result("5", "308", "c#1"),
    )
    found = figures(run(*results), examples, LIBRARY, k=2, rng=np.random.default_rng(1))
    assert found.recall is not None
    assert (found.recall.mean, found.recall.n) == (pytest.approx(2 / 3), 3)
    assert found.ndcg is not None
    assert found.ndcg.mean == pytest.approx((1 + 1 / math.log2(3)) / 3)
    assert found.answer_f1 is not None
    assert found.answer_f1.mean == pytest.approx((1 + 2 * 2 / 6 + 0) / 3)
    assert found.claims == 4
    assert found.unsupported is not None
    assert found.unsupported.mean == pytest.approx(2 / 4)
    assert found.unsupported.low <= 0.5 <= found.unsupported.high
    assert found.faithfulness is not None
    assert found.faithfulness.mean == pytest.approx((1 + 0.5 + 0) / 3)
    assert found.said_unanswerable is not None
    assert (found.said_unanswerable.mean, found.said_unanswerable.n) == (0.5, 2)
    assert found.wrongly_refused is not None
    assert (found.wrongly_refused.mean, found.wrongly_refused.n) == (pytest.approx(1 / 3), 3)
    assert found.cited is not None
    assert found.cited.mean == pytest.approx(1 / 5)
    assert found.citations_right is not None
    assert found.citations_right.mean == 0.5
