from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.snapshot import Example
from freehold.data.duplicates import (
    Forest,
    Vectors,
    find_duplicates,
    near_pairs,
    near_roots,
    normalise,
    paraphrase_pairs,
)
from freehold.data.minhash import MISSED, Pairs, banding, joined, similarities

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


def test_contexts_keep_equal_questions_apart_among_thousands() -> None:
    """The 64 rows that are compared in a bucket are rows of one context."""
    question = "what is the main finding of the study that is described here"
    texts = [f"{question} {'now' if n % 2 else 'then'}" for n in range(600)]
    found = near_roots(texts, threshold=0.8, apart=[str(n // 2) for n in range(600)])
    assert found.tolist() == [n - n % 2 for n in range(600)]


def test_a_thousand_copies_of_a_form_are_one_group() -> None:
    form = "thank you for your order, it will be sent within three working days, number"
    texts = [f"{form} {n}" for n in range(1000)]
    assert set(near_roots(texts, threshold=0.8).tolist()) == {0}


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_bands_miss_a_pair_at_the_threshold_once_in_10_000_times(threshold: float) -> None:
    plan = banding(threshold)
    assert (1 - threshold**plan.per_band) ** plan.bands <= MISSED
    assert plan.hashes <= 400


@given(st.integers(2, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
def test_joining_arrays_is_joining_one_by_one(size: int, edges: list[tuple[int, int]]) -> None:
    inside = [(a % size, b % size) for a, b in edges]
    forest = Forest(size)
    for a, b in inside:
        forest.join(a, b)
    pairs = np.array(inside or [(0, 0)], dtype=np.int64)
    roots = joined(np.arange(size), Pairs(pairs[:, 0], pairs[:, 1]))
    assert roots.tolist() == [forest.root(row) for row in range(size)]


def test_similarities_are_those_of_plain_sets() -> None:
    rng = random.Random(8)
    texts = ["", "a", "aaaaaaaaaaaa", *("".join(rng.choices("abc ", k=n)) for n in range(40))]
    chosen = [(a, b) for a in range(len(texts)) for b in range(a + 1, len(texts))]
    pairs = np.array(chosen, dtype=np.int64)
    found = similarities(texts, Pairs(pairs[:, 0], pairs[:, 1]))
    assert found.tolist() == pytest.approx([jaccard(texts[a], texts[b]) for a, b in chosen])


def meaning(texts: Sequence[str]) -> Vectors:
    """A stand-in for an embedder: what a text says is its last letter."""
    angles = np.array([ord(text[-1]) for text in texts], dtype=np.float32)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_paraphrases_are_a_third_kind_and_no_split_divides_them() -> None:
    texts = ["one way to say it a", "ONE way to say it: a", "quite another manner a", "else b"]
    found = find_duplicates(examples_of(*texts), embed=meaning)
    assert (found.exact_roots, found.roots) == ((0, 0, 2, 3), (0, 0, 0, 3))
    assert (found.duplicates, found.near_duplicates, found.paraphrases) == (1, 0, 1)
    assert [group.kind for group in found.kinds] == ["paraphrase"]
    assert [found.kind_of(row) for row in (1, 2)] == ["exact", "paraphrase"]
    assert find_duplicates(examples_of(*texts)).paraphrases == 0


@given(st.integers(1, 40), st.integers(1, 5))
def test_paraphrase_pairs_join_what_all_pairs_join(rows: int, dimension: int) -> None:
    vectors = np.random.default_rng(rows).normal(size=(rows, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = paraphrase_pairs(vectors, threshold=0.8, nearest=40)
    found = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    cosines = vectors @ vectors.T
    wanted = {(a, b) for a in range(rows) for b in range(a + 1, rows) if cosines[a, b] >= 0.8}
    assert all(abs(cosines[pair] - 0.8) < 1e-5 for pair in found ^ wanted)  # rounding alone
