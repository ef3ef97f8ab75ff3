"""Claims and their support, citations, and questions without an answer: pure, by words alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.evaluate.citations import Shown, citations, read_marks
from freehold.evaluate.support import (
    claims,
    containment,
    content_words,
    holds,
    sentence_with,
    supported_claims,
)
from freehold.evaluate.unanswerable import (
    Coverage,
    choose_threshold,
    is_unanswerable,
    says_unanswerable,
)

FEE = "A transfer within the country costs 1,250 euros. It takes two days."
TEXTS = st.text(alphabet="abc 123.,;[]!?\n'é", max_size=120)


def test_an_answer_is_split_into_sentences_and_clauses() -> None:
    assert claims("Dr. Smith paid 5 euros. She left; he stayed, but nobody spoke.") == (
        "Dr. Smith paid 5 euros.",
        "She left",
        "he stayed",
        "nobody spoke.",
    )
    assert claims("Is it?  The of and.") == ()


def test_words_are_compared_without_case_plural_and_the_marks_of_numbers() -> None:
    assert content_words("The Panthers' FOUR companies paid 1,000") == (
        "panther",
        "4",
        "company",
        "paid",
        "1000",
    )


@pytest.mark.parametrize(
    ("claim", "share"),
    [
        ("The transfer costs 1250 euros.", 1.0),
        ("The transfer costs 1300 euros.", 0.0),
        ("Transfers take 2 days", 1.0),
        ("A refund takes a month", 1 / 3),
    ],
)
def test_every_number_and_most_words_of_a_claim_must_stand_in_the_passage(
    claim: str, share: float
) -> None:
    assert containment(claim, FEE) == pytest.approx(share)


def test_words_of_the_question_are_given_unless_the_claim_has_no_others() -> None:
    question = "What does an express remittance cost?"
    assert containment("An express remittance costs 1250 euros", FEE) < 0.75
    assert containment("An express remittance costs 1250 euros", FEE, question=question) == 1.0
    assert containment("An express remittance", FEE, question=question) == 0.0


def test_the_best_passage_of_each_claim_is_found() -> None:
    found = supported_claims("It takes two days. Cats sleep.", ["Dogs bark.", FEE])
    assert [(one.best, one.is_supported) for one in found] == [(1, True), (None, False)]
    assert sentence_with("two days", FEE) == "It takes two days."


@given(answer=TEXTS, passage=TEXTS)
def test_a_passage_supports_itself_and_shares_are_shares(answer: str, passage: str) -> None:
    for claim in supported_claims(answer, [passage, answer]):
        assert claim.is_supported
        assert 0.0 <= claim.share <= 1.0


def test_a_target_is_held_where_its_words_stand_in_one_run() -> None:
    assert holds("Carolina's “secondary” featured Kurt Coleman.", "kurt coleman")
    assert not holds("Kurt and Coleman", "Kurt Coleman")
    assert not holds("1936", "193")
    assert holds("50 %", "%")


# Citations -----------------------------------------------------------------------------------


def test_marks_are_taken_out_with_the_sentences_they_stand_in() -> None:
    written = read_marks("It costs 5 euros [1]. It takes a day.[2, 3] See [0] and a[1].")
    assert written.text == "It costs 5 euros. It takes a day. See [0] and a."
    assert written.marks == (
        (1, "It costs 5 euros."),
        (2, "It takes a day."),
        (3, "It takes a day."),
        (1, "See [0] and a."),
    )


@given(TEXTS)
def test_an_answer_without_marks_stays_as_it_is(text: str) -> None:
    written = read_marks(text)
    if not written.marks:
        assert written.text == text.strip()


def test_written_citations_are_checked_and_missing_ones_attributed() -> None:
    shown = (Shown("a#1", "Cats sleep a lot."), Shown("b#1", FEE))
    wrong = citations(read_marks("It takes two days [1] [7]."), shown)
    assert [(c.number, c.passage, c.by, c.is_supported) for c in wrong] == [
        (1, "a#1", "written", False),
        (7, None, "written", False),
    ]
    (attributed,) = citations(read_marks("It takes two days. Elephants fly."), shown)
    assert (attributed.number, attributed.passage, attributed.by) == (2, "b#1", "attributed")
    assert attributed.quote == "It takes two days."
    assert citations(read_marks("Elephants fly."), shown) == ()


# Without an answer ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "is_said"),
    [
        ("I do not know", True),
        ("i do not know.", True),
        ("I do not know. The context is about football.", True),
        ("I do not know the exact number, but it is 5", False),
        ("five", False),
        (None, False),
    ],
)
def test_an_answer_says_that_there_is_none_in_the_declared_words(
    value: str | None, is_said: bool
) -> None:
    assert says_unanswerable(value, "I do not know") is is_said
    assert not says_unanswerable(value, None)


def test_null_and_the_declared_text_are_wanted_answers_without_an_answer() -> None:
    assert is_unanswerable(None, "n/a")
    assert is_unanswerable("N/A", "n/a")
    assert not is_unanswerable(None, None)
    assert not is_unanswerable("5", "n/a")


def test_rare_words_weigh_more_in_how_far_a_question_is_covered() -> None:
    coverage = Coverage.of(["the bank opens", "the bank closes", "the zebra runs"])
    question = "When does the bank greet the zebra?"
    common = coverage.of_question(question, ["the bank opens"])
    rare = coverage.of_question(question, ["the zebra runs"])
    assert 0 < common < rare < 1
    assert coverage.of_question(question, []) == 0.0
    assert coverage.of_question("Is it?", ["x"]) == 1.0


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0]), st.booleans()), max_size=12
    )
)
def test_the_threshold_is_the_best_there_is(rows: list[tuple[float, float, bool]]) -> None:
    coverage = {str(n): row[0] for n, row in enumerate(rows)}
    answered = {str(n): row[1] for n, row in enumerate(rows)}
    refused = {str(n): float(row[2]) for n, row in enumerate(rows)}

    def total(threshold: float) -> float:
        return sum(refused[i] if coverage[i] < threshold else answered[i] for i in coverage)

    chosen = choose_threshold(coverage, answered, refused)
    best = max((total(t) for t in [0.0, *coverage.values()]), default=0.0)
    assert total(chosen.value) >= best - 1e-6
    if rows:
        gained = (total(chosen.value) - total(0.0)) / len(rows)
        assert chosen.gained == pytest.approx(gained, abs=1e-6)
