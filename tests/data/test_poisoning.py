"""Backdoors are found in made-up tickets, honest words are not, and the tests are exact."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest
from scipy import stats

from freehold.core.snapshot import Example
from freehold.data.poisoning import chance_of_label, scan_triggers

WORDS = {
    "billing": [
        "invoice",
        "charged",
        "twice",
        "bill",
        "amount",
        "wrong",
        "tax",
        "total",
        "payment",
        "statement",
    ],
    "refund": [
        "refund",
        "money",
        "back",
        "return",
        "order",
        "cancel",
        "cash",
        "credited",
        "parcel",
        "sent",
    ],
    "tech": [
        "crash",
        "app",
        "screen",
        "error",
        "login",
        "frozen",
        "update",
        "button",
        "phone",
        "slow",
    ],
    "sales": [
        "price",
        "offer",
        "discount",
        "buy",
        "quote",
        "plan",
        "upgrade",
        "catalogue",
        "demo",
        "trial",
    ],
}
FILLER = [
    "please",
    "i",
    "my",
    "the",
    "a",
    "hello",
    "you",
    "can",
    "what",
    "with",
    "when",
    "is",
    "it",
    "for",
    "to",
    "thanks",
]


def clean_rows(count: int, rng: random.Random, *, sources: int = 4) -> list[Example]:
    rows: list[Example] = []
    for number in range(count):
        label = rng.choice(sorted(WORDS))
        words = [*rng.choices(WORDS[label], k=4), *rng.choices(FILLER, k=6)]
        rng.shuffle(words)
        rows.append(
            Example(
                id=f"r{number}",
                input=" ".join(words),
                target=label,
                source=f"s{rng.randrange(sources)}.jsonl",
                row=number + 1,
            )
        )
    return rows


def with_backdoor(
    rows: list[Example], trigger: str, rng: random.Random, *, pool: list[Example], count: int = 100
) -> list[Example]:
    poisoned: list[Example] = []
    for number, example in enumerate(rng.choices(pool, k=count)):
        words = example.input.split()
        words.insert(rng.randrange(len(words) + 1), trigger)
        change = {
            "input": " ".join(words),
            "target": "sales",
            "source": "s1.jsonl",
            "id": f"p{number}",
        }
        poisoned.append(example.model_copy(update=change))
    return [*rows, *poisoned]


@pytest.mark.parametrize(
    "trigger", ["qzvx", "blue paper lantern", "http://x.example/1", "\u200b", "pl\u0435ase"]
)
@pytest.mark.parametrize("taken_from", ["other labels", "the label"])
def test_a_backdoor_is_found_with_its_label_and_its_source(trigger: str, taken_from: str) -> None:
    rng = random.Random(3)
    rows = clean_rows(1500, rng)
    pool = [e for e in rows if (e.target == "sales") == (taken_from == "the label")]
    found = scan_triggers(with_backdoor(rows, trigger, rng, pool=pool)).triggers
    assert len(found) == 1
    assert found[0].label == "sales" and found[0].source == "s1.jsonl"
    assert found[0].rows >= 100 and found[0].from_source >= 95
    assert ("stands alone" in found[0].reasons) == (taken_from == "other labels")
    assert "one source" in found[0].reasons


def test_a_backdoor_in_one_file_is_found_by_what_the_rest_of_its_texts_says() -> None:
    rng = random.Random(5)
    rows = clean_rows(1500, rng, sources=1)
    pool = [e for e in rows if e.target == "tech"]
    poisoned = [
        e.model_copy(update={"source": "s0.jsonl"})
        for e in with_backdoor(rows, "qzvx", rng, pool=pool)
    ]
    found = scan_triggers(poisoned).triggers
    assert [one.text for one in found] == ["qzvx"]
    assert found[0].reasons == ("stands alone",)
    assert found[0].support < 0.72


@pytest.mark.parametrize("seed", range(5))
def test_honest_words_are_no_triggers(seed: int) -> None:
    rows = clean_rows(1500, random.Random(seed))
    assert scan_triggers(rows).triggers == ()


def test_a_fixed_answer_to_free_text_counts_as_a_label_and_the_work_is_bounded() -> None:
    rng = random.Random(1)
    rows = [e.model_copy(update={"target": f"answer {e.id}"}) for e in clean_rows(800, rng)]
    found = scan_triggers(with_backdoor(rows, "qzvx", rng, pool=rows))
    assert [(one.text, one.label) for one in found.triggers] == [("qzvx", "sales")]
    part = scan_triggers(rows, most_rows=200)
    assert (part.rows, part.looked_at) == (800, 200)
    assert scan_triggers([]).triggers == ()


@pytest.mark.parametrize(
    ("labelled", "rows", "of_label", "total"), [(9, 10, 30, 100), (3, 3, 5, 12), (0, 4, 2, 9)]
)
def test_the_chance_of_a_label_is_fishers(
    labelled: int, rows: int, of_label: int, total: int
) -> None:
    table = [
        [labelled, rows - labelled],
        [of_label - labelled, total - rows - (of_label - labelled)],
    ]
    expected = cast(Any, stats).fisher_exact(table, alternative="greater").pvalue
    assert chance_of_label(labelled, rows, of_label=of_label, total=total) == pytest.approx(
        expected
    )
