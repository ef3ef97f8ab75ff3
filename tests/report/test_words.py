from hypothesis import given
from hypothesis import strategies as st

from freehold.report.words import answer_text, inline_difference, word_difference

WORDS = st.text(alphabet="ab \n", max_size=60)


@given(WORDS, WORDS)
def test_a_word_difference_puts_both_texts_together_again(before: str, after: str) -> None:
    pieces = word_difference(before, after)
    assert "".join(p.text for p in pieces if p.kind != "added") == before
    assert "".join(p.text for p in pieces if p.kind != "removed") == after


@given(WORDS)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert all(piece.kind == "same" for piece in word_difference(text, text))


def test_a_difference_in_one_line_shows_what_went_and_what_came() -> None:
    assert inline_difference("pay by card today", "pay in cash today") == (
        "pay [-by-] {+in+} [-card-] {+cash+} today"
    )


def test_very_long_texts_are_compared_as_a_whole() -> None:
    before, after = "a " * 5_000, "b " * 5_000
    assert [piece.kind for piece in word_difference(before, after)] == ["removed", "added"]


def test_answers_of_any_kind_have_a_text() -> None:
    assert answer_text(None) == "–"
    assert answer_text("billing") == "billing"
    assert answer_text({"queue": "tech", "name": "Ä"}) == '{"queue": "tech", "name": "Ä"}'
