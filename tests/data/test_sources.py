from __future__ import annotations

import random

import pytest

from freehold.core.errors import DataError
from freehold.core.sections import Columns
from freehold.core.snapshot import Example, Origin, Source
from freehold.data.read import Reading
from freehold.data.sources import BEYOND_THE_CAP, source_of, source_shares, within_caps


def reading(examples: list[Example]) -> Reading:
    source = Source(name="x.jsonl", sha256="sha256:0", rows=len(examples), format="f")
    return Reading(
        examples=tuple(examples), drops=(), sources=(source,), format="f", columns=Columns()
    )


def rows(count: int) -> list[Example]:
    return [
        Example(
            id=f"r{n}",
            input=f"text {n}",
            target="a",
            source="x.jsonl",
            row=n + 1,
            fields={"author": "anna" if n % 4 else "feed"},
        )
        for n in range(count)
    ]


def test_a_source_is_the_column_else_the_users_own_file() -> None:
    example = rows(1)[0]
    assert source_of(example) == "x.jsonl"
    assert source_of(example, "author") == "feed"
    assert source_of(example, "absent") == "(not named)"
    written = example.model_copy(update={"origin": Origin(source="mine.csv", row=3)})
    assert source_of(written) == "mine.csv"
    assert [(s.name, s.rows, s.share) for s in source_shares(rows(8), "author")] == [
        ("anna", 6, 0.75),
        ("feed", 2, 0.25),
    ]


def test_rows_beyond_the_cap_are_dropped_whatever_their_order() -> None:
    capped = within_caps(reading(rows(40)), most=12, column="author", seed=7)
    assert {s.name: s.rows for s in source_shares(capped.examples, "author")} == {
        "anna": 12,
        "feed": 10,
    }
    assert {drop.reason for drop in capped.drops} == {BEYOND_THE_CAP}
    assert len(capped.drops) == 18
    shuffled = rows(40)
    random.Random(1).shuffle(shuffled)
    again = within_caps(reading(shuffled), most=12, column="author", seed=7)
    assert {e.id for e in again.examples} == {e.id for e in capped.examples}
    assert within_caps(reading(rows(40)), most=None, column=None, seed=7).drops == ()


def test_a_source_column_that_no_row_has_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        within_caps(reading(rows(4)), most=2, column="autor", seed=7)
    assert caught.value.problems[0].code == "DAT-007"
