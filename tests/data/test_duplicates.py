from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.snapshot import Example
from freehold.data.duplicates import find_duplicates, near_pairs, normalise

WORDS = [
    "please",
    "send",
    "the",
    "parcel",
    "to",
    "my",
    "other",
    "address",
    "because",
    "i",
    "moved",
    "house",
    "last",
    "week",
    "thanks",
]


def examples_of(*texts: str, context: str | None = None) -> list[Example]:
    return [
        Example(id=str(n), input=text, target="a", context=context) for n, text in enumerate(texts)
    ]


def pieces(text: str) -> set[str]:
    text = text.ljust(5, "\x01")
    return {text[n : n + 5] for n in range(len(text) - 4)}


def jaccard(a: str, b: str) -> float:
    return len(pieces(a) & pieces(b)) / len(pieces(a) | pieces(b))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  Where's my CARD?! ", "where s my card"),
        ("a_b—c", "a b c"),
        ("What is 3+4?", "what is 3 + 4"),
        ("3 * 4", "3 * 4"),
        ("2020-21, well-known", "2020 - 21 well known"),
        (":-)", ""),
        ("😀", "😀"),
        ("Ünïted ΑΒΓ", "ünïted αβγ"),
    ],
)
def test_normalising_removes_capitals_punctuation_and_space(text: str, normal: str) -> None:
    assert normalise(text) == normal


@given(st.text())
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_repeats_after_normalising_are_counted_as_exact() -> None:
    found = find_duplicates(examples_of("My card?", "other", "my CARD", "3 + 4", "3 * 4"))
    assert found.exact_roots == found.roots == (0, 1, 0, 3, 4)
    assert (found.duplicates, found.near_duplicates) == (1, 0)
    assert found.groups == ((0, 2),)


def test_near_repeats_are_joined_in_chains() -> None:
    base = " ".join(WORDS * 3)
    a, b, c = base + " one", base + " one two", base + " one two 33"
    found = find_duplicates(examples_of("something else entirely", a, b, c, a.upper()))
    assert found.roots == (0, 1, 1, 1, 1)
    assert (found.duplicates, found.near_duplicates) == (1, 2)


def test_the_same_question_about_another_passage_is_no_repeat() -> None:
    examples = [
        Example(id=str(n), input="What is the main finding?", target="a", context=text)
        for n, text in enumerate(["first passage", "second passage", "First passage."])
    ]
    assert find_duplicates(examples).roots == (0, 1, 0)


def test_every_near_pair_is_found_and_no_other() -> None:
    """Compare with the similarity of all pairs, computed on plain sets."""
    rng = random.Random(3)
    texts: list[str] = []
    for _ in range(60):
        words = [rng.choice(WORDS) for _ in range(30)]
        texts.append(" ".join(words))
        for _ in range(rng.randrange(4)):
            changed = list(words)
            changed[rng.randrange(30)] = rng.choice(("x", *WORDS))
            texts.append(" ".join(changed))
    found = near_pairs(texts, threshold=0.9)
    assert all(jaccard(texts[a], texts[b]) >= 0.9 for a, b in found)
    roots = list(range(len(texts)))

    def root(row: int) -> int:
        return row if roots[row] == row else root(roots[row])

    for a, b in found:
        roots[max(root(a), root(b))] = min(root(a), root(b))
    near = [
        (a, b)
        for a in range(len(texts))
        for b in range(a + 1, len(texts))
        if jaccard(texts[a], texts[b]) >= 0.9
    ]
    assert len(near) > 30
    assert all(root(a) == root(b) for a, b in near)


def test_many_equal_texts_and_short_ones_do_no_harm() -> None:
    assert find_duplicates(examples_of(*["hi"] * 500, "", "a", "b")).duplicates == 499
    assert find_duplicates([]).groups == ()
    assert near_pairs(["one"]) == ()


@given(st.lists(st.text(alphabet="ab ", max_size=30), max_size=12), st.randoms())
def test_groups_do_not_depend_on_the_order_of_rows(texts: list[str], rng: random.Random) -> None:
    order = list(range(len(texts)))
    rng.shuffle(order)
    first = find_duplicates(examples_of(*texts))
    second = find_duplicates(examples_of(*[texts[row] for row in order]))
    straight = {frozenset(group) for group in first.groups}
    moved = {frozenset(order[row] for row in group) for group in second.groups}
    assert straight == moved
