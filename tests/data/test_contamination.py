from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.sections import Columns, SplitSpec
from freehold.core.snapshot import AuditSplit, DevSplit, Example, Snapshot, TestSplit, TrainSplit
from freehold.data.contamination import (
    Comparison,
    Limits,
    Match,
    Text,
    compare,
    contaminated,
    texts_of,
)
from freehold.data.duplicates import Vectors
from freehold.data.read import read
from freehold.data.rewording import Rewording, natural_share
from freehold.data.snapshot import freeze

FOX = "the quick brown fox jumps over the lazy dog while seven grey wolves watch from the hill"


def texts(name: str, *lines: str) -> tuple[Text, ...]:
    return tuple(Text(name, row, line) for row, line in enumerate(lines, 1))


def compared(held_out: str, *seen: str, seen_name: str = "train") -> Comparison:
    return compare(
        texts("test", held_out), texts("train", *seen), names=("test", seen_name), limits=Limits()
    )


def only(comparison: Comparison) -> Match:
    (match,) = comparison.pairs
    return match


def test_a_repeat_is_found_whatever_its_capitals_and_points() -> None:
    match = only(compared("Where is my CARD?", "other words entirely", "where is my card"))
    assert (match.method, match.seen.row, match.overlap) == ("repeat", 2, 1.0)


def test_one_typing_slip_in_a_long_text_is_a_near_match() -> None:
    text = f"{FOX} where an old mill turns in the wind of the early morning"
    match = only(compared(text, text.replace("wolves", "wolvs")))
    assert match.method == "near" and 0.9 <= match.overlap < 1


def test_half_of_the_runs_of_eight_words_are_enough() -> None:
    words = FOX.split()  # 17 words: 10 runs
    assert (
        only(compared(FOX, " ".join(["so", *words[:12], "and", "then", "no", "more"]))).method
        == "run"
    )
    other = compared(FOX, " ".join(words[:11]) + " completely different end of this other sentence")
    assert other.count == 0


def test_a_question_quoted_in_a_document_is_found_there_and_not_among_rows() -> None:
    question, text = "how do I close my account", "FAQ. How do I close my account? Write to us."
    assert only(compared(question, text, seen_name="documents")).method == "run"
    assert compared(question, text).count == 0


def test_a_copy_with_half_of_its_words_replaced_is_a_suspect_and_not_counted() -> None:
    rng = random.Random(2)
    vocabulary = [f"word{number}" for number in range(500)]
    rows = [" ".join(rng.choices(vocabulary, k=12)) for _ in range(300)]
    copies: list[str] = []
    for row in rows[:100]:
        words = row.split()
        for place in rng.sample(range(12), 6):
            words[place] = rng.choice(vocabulary)
        copies.append(" ".join(words))
    found = compare(
        texts("test", *rows[:200]),
        texts("train", *copies),
        names=("test", "train"),
        limits=Limits(),
        natural_seed=1,
    )
    hit = {match.held_out.row for match in found.pairs}
    assert len(hit & set(range(1, 101))) >= 80  # recall
    assert len(hit - set(range(1, 101))) <= 5  # false positives of 100
    assert found.count == 0 and found.natural_share == 0.0 and found.has_excess


def test_what_is_natural_for_the_rows_is_no_excess() -> None:
    rng = random.Random(4)
    forms = ["how do i {} my {}", "please {} the {} for me", "i want to {} a {} today"]
    verbs, nouns = ["close", "open", "lock", "find", "change"], ["card", "account", "pin", "limit"]

    def row() -> str:
        return (
            rng.choice(forms).format(rng.choice(verbs), rng.choice(nouns)) + f" {rng.random():.3f}"
        )

    found = compare(
        texts("test", *(row() for _ in range(150))),
        texts("train", *(row() for _ in range(400))),
        names=("test", "train"),
        limits=Limits(),
        natural_seed=1,
    )
    assert found.natural_share is not None and found.natural_share > 0.5
    assert not found.has_excess


def embed(lines: Sequence[str]) -> Vectors:
    """A stand-in for an embedder that knows one synonym."""
    rows = [[1.0, 0.0] if "car" in line or "auto" in line else [0.0, 1.0] for line in lines]
    return np.array(rows, dtype=np.float32)


def test_embeddings_find_what_shares_no_words() -> None:
    found = compare(
        texts("test", "my car is broken now"),
        texts("train", "repair this auto", "good morning"),
        names=("test", "train"),
        limits=Limits(),
        embed=embed,
    )
    match = only(found)
    assert (match.method, match.seen.row, found.count, found.suspects) == ("embedding", 1, 0, 1)


def snapshot_of(train: list[str], test: list[str]) -> Snapshot:
    def rows(name: str, lines: list[str]) -> tuple[Example, ...]:
        return tuple(
            Example(id=f"{name}{n}", input=line, target="a", source=name, row=n)
            for n, line in enumerate(lines, 1)
        )

    return Snapshot(
        sources=(),
        train=TrainSplit(examples=rows("train", train)),
        dev=DevSplit(examples=()),
        test=TestSplit(examples=rows("test", test)),
        audit=AuditSplit(examples=()),
    )


def test_the_gate_counts_a_held_out_text_once_wherever_it_stands() -> None:
    words = FOX.split()
    snapshot = snapshot_of([" ".join(words[:14])], [FOX, "nothing of the kind stands anywhere"])
    record = contaminated(
        snapshot,
        documents=texts("faq.md", f"Intro. {FOX}. End."),
        replayed=texts("replay", "say something"),
        benchmarks={"suite": texts("suite.jsonl", " ".join(words[:14]), "unseen item")},
    )
    by_name = {(one.held_out, one.seen): one.count for one in record.comparisons}
    assert by_name[("dev, test and audit", "train")] == 1
    assert by_name[("dev, test and audit", "documents")] == 1
    assert by_name[("suite", "train")] == 1
    assert record.count == 2  # the test row, and the item of the suite
    assert type(record).from_json(record.model_dump_json()) == record


def test_nothing_on_one_side_is_no_comparison() -> None:
    record = contaminated(snapshot_of(["one text"], []))
    assert (record.count, record.comparisons) == (0, ())


WORDS = st.lists(st.sampled_from("abcdefgh"), min_size=3, max_size=9)


@settings(max_examples=40)
@given(WORDS, st.lists(WORDS, min_size=1, max_size=6))
def test_the_shared_share_is_a_share_and_whole_for_a_copy(
    words: list[str], others: list[list[str]]
) -> None:
    found = Rewording([*others, words]).best(words, least=0.0)
    if found is not None:
        assert 0.0 <= found.share <= 1.0 + 1e-9
    unique = [f"{word}{place}" for place, word in enumerate(words)]
    copy = Rewording([*others, unique]).best(unique, least=0.4)
    assert copy is not None and copy.place == len(others) and copy.share > 0.999


def test_words_in_another_order_share_less() -> None:
    rows = [f"alpha{n} beta{n} gamma{n} delta{n} epsilon{n}".split() for n in range(9)]
    index = Rewording(rows)
    turned = list(reversed(rows[3]))
    assert index.best(rows[3], least=0.9) is not None
    assert index.best(turned, least=0.4) is None
    assert natural_share(rows, least=0.4, seed=1) == 0.0


def test_all_25_rows_of_banking77_that_are_in_both_files_are_found(shared_data: Path) -> None:
    train = read("banking77/train.jsonl", columns=Columns(), root=shared_data)
    test = read("banking77/test.jsonl", columns=Columns(), root=shared_data)
    found = compare(
        texts_of(test.examples),
        texts_of(train.examples),
        names=("test", "train"),
        limits=Limits(),
        suspects=False,
    )
    assert sum(match.method == "repeat" for match in found.pairs) == 25
    record = contaminated(freeze(train, spec=SplitSpec(), test=test), suspects=False)
    assert not [match for match in record.pairs if match.method in ("repeat", "near")]
