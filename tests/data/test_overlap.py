from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from freehold.data.overlap import RUN_WORDS, Overlap

WORDS = st.lists(st.sampled_from([f"word{n}" for n in range(40)]), min_size=1, max_size=30)


@given(held=st.lists(WORDS, min_size=1, max_size=4), text=WORDS)
def test_it_resembles_exactly_what_shares_a_run_of_words(
    held: list[list[str]], text: list[str]
) -> None:
    """The oracle looks for each run as a piece of text, and for short texts as wholes."""

    def shares(one: list[str]) -> bool:
        if len(one) <= RUN_WORDS or len(text) <= RUN_WORDS:
            short_and_same = one == text
            runs = [w[i : i + RUN_WORDS] for w in (one,) for i in range(len(w) - RUN_WORDS + 1)]
            return (
                short_and_same
                or (len(text) == RUN_WORDS and text in runs)
                or (len(one) == RUN_WORDS and f" {' '.join(one)} " in f" {' '.join(text)} ")
            )
        joined = f" {' '.join(one)} "
        return any(
            f" {' '.join(text[i : i + RUN_WORDS])} " in joined
            for i in range(len(text) - RUN_WORDS + 1)
        )

    overlap = Overlap(" ".join(one) for one in held)
    assert overlap.resembles(" ".join(text)) == any(shares(one) for one in held)


@given(held=WORDS, before=WORDS, after=WORDS)
def test_a_text_that_quotes_a_long_one_whole_resembles_it(
    held: list[str], before: list[str], after: list[str]
) -> None:
    long = held + [f"own{n}" for n in range(RUN_WORDS)]
    assert Overlap([" ".join(long)]).resembles(" ".join([*before, *long, *after]))


def test_case_and_spacing_hide_nothing() -> None:
    overlap = Overlap(["Please book a table for two at seven tonight"])
    assert overlap.resembles("please  BOOK a table for\ttwo at seven tonight")
    assert not overlap.resembles("please book a table for three at seven tonight")


def test_a_short_text_is_found_only_as_a_whole() -> None:
    overlap = Overlap(["book a table"])
    assert overlap.resembles("Book a table")
    assert not overlap.resembles("book a table for two")
    assert not overlap.resembles("")
    assert not Overlap([""]).resembles("")
