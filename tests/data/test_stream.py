"""Files of any size: the same rows, counts and repeats as when they are read whole."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.errors import DataError
from freehold.core.sections import Columns
from freehold.data.duplicates import find_duplicates
from freehold.data.files import DataFile, find_files
from freehold.data.inspect import lengths
from freehold.data.limits import Limits
from freehold.data.read import Sample, read
from freehold.data.stream import Surveyed, survey, walk

WORDS = ("where", "is", "my", "parcel", "now", "ÄÖ", "3 + 4")


@st.composite
def a_line(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        return draw(
            st.sampled_from(
                ["", " ", "nonsense", "[]", '{"text": "x"}', '{"text": NaN, "label": "a"}']
            )
        )
    words = draw(st.lists(st.sampled_from(WORDS), max_size=3))
    label = draw(st.sampled_from(["a", "b", "", None]))
    row = {"text": " ".join(words), "label": label, "note": draw(st.integers(0, 3))}
    return json.dumps(row)


def one(folder: Path, content: bytes, name: str = "x.jsonl") -> DataFile:
    (folder / name).write_bytes(content)
    return find_files(name, root=folder)[0]


def rows_of(count: int) -> bytes:
    lines = (json.dumps({"text": f"question {n % 90}", "label": "ab"[n % 2]}) for n in range(count))
    return "".join(line + "\n" for line in lines).encode()


def same(found: Surveyed, folder: Path, name: str = "x.jsonl") -> None:
    reading = read(name, columns=Columns(), root=folder)
    seen = found.survey
    assert seen.source == reading.sources[0]
    assert seen.usable == len(reading.examples)
    assert {drop.reason: drop.rows for drop in seen.drops} == Counter(
        d.reason for d in reading.drops
    )
    first: dict[str, list[int]] = {}
    for drop in reading.drops:
        first.setdefault(drop.reason, []).append(drop.row)
    assert {drop.reason: list(drop.first) for drop in seen.drops} == {
        reason: rows[:5] for reason, rows in first.items()
    }
    assert seen.lengths == lengths(reading.examples)
    assert seen.labels == Counter(e.target for e in reading.examples)
    roots = find_duplicates(reading.examples).exact_roots
    repeated = [
        (reading.examples[at].row, reading.examples[root].row)
        for at, root in enumerate(roots)
        if root != at
    ]
    assert found.repeated_rows.tolist() == [row for row, _ in repeated]
    assert [(r.row, r.first) for r in seen.first_repeats] == repeated[:5]
    assert seen.repeats == len(repeated)


@settings(max_examples=80)
@given(lines=st.lists(a_line(), max_size=30))
def test_a_survey_says_what_reading_the_whole_file_says(lines: list[str]) -> None:
    content = "\n".join([*lines, '{"text": "where is it", "label": "a"}'])
    with TemporaryDirectory() as name:
        file = one(Path(name), content.encode())
        same(survey(file, columns=Columns()), Path(name))


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.csv"])
def test_other_types_are_surveyed_too(tmp_path: Path, name: str) -> None:
    content = rows_of(300)
    if name.endswith(".gz"):
        content = gzip.compress(content)
    else:
        content = b"text,label\n" + b"a question,a\n" * 7 + b"cell\n" + b"other,b\n"
    same(survey(one(tmp_path, content, name), columns=Columns()), tmp_path, name)


def test_several_processes_see_what_one_sees(tmp_path: Path) -> None:
    long_line = json.dumps({"text": "x" * 5000, "label": "a"}).encode() + b"\n"
    content = (
        b"\xef\xbb\xbf" + rows_of(500) + b"\n\xef\xbb\xbf{}\nbroken\n" + long_line + rows_of(40)
    )
    file = one(tmp_path, content)
    limits = Limits(line_bytes=4000)
    seen: list[int] = []
    alone = survey(file, columns=Columns(), limits=limits)
    together = survey(
        file, columns=Columns(), workers=2, limits=limits, range_bytes=3000, on_rows=seen.append
    )
    assert together.survey == alone.survey
    assert together.repeated_rows.tolist() == alone.repeated_rows.tolist()
    assert len(seen) > 5 and seen[-1] == alone.survey.source.rows == 543
    reasons = {drop.reason: drop.first for drop in alone.survey.drops}
    assert reasons == {"invalid JSON": (502, 503), "longer than a row may be": (504,)}


def test_a_survey_refuses_what_reading_refuses(tmp_path: Path) -> None:
    chat = b'{"messages": [{"role": "user", "content": "a"}]}\n'
    mixed = one(tmp_path, rows_of(3) + chat)
    with pytest.raises(DataError, match="DAT-008") as caught:
        survey(mixed, columns=Columns())
    assert "row 4 is `OpenAI messages`" in caught.value.problems[0].message
    empty = one(tmp_path, b'{"text": "", "label": "a"}\n' * 9, "y.jsonl")
    with pytest.raises(DataError, match="DAT-010") as caught:
        survey(empty, columns=Columns())
    assert "none of the 9 rows" in caught.value.problems[0].message


def test_answers_that_are_no_closed_list_are_not_counted(tmp_path: Path) -> None:
    rows = (json.dumps({"text": f"{n}", "label": f"answer {n}"}) for n in range(1001))
    found = survey(one(tmp_path, "\n".join(rows).encode()), columns=Columns())
    assert found.survey.labels == {}


def test_batches_hold_the_rows_of_the_file_in_order(tmp_path: Path) -> None:
    file = one(tmp_path, rows_of(25) + b"broken\n")
    batches = list(walk(file, columns=Columns(), rows_at_once=10))
    assert [(len(b.examples), len(b.drops)) for b in batches] == [(10, 0), (10, 0), (5, 1)]
    whole = read("x.jsonl", columns=Columns(), root=tmp_path)
    assert tuple(e for b in batches for e in b.examples) == whole.examples
    assert batches[2].drops == whole.drops


# Samples -------------------------------------------------------------------------------------


def test_a_sample_is_of_the_asked_size_and_the_same_every_time(tmp_path: Path) -> None:
    one(tmp_path, rows_of(2000))
    first = read("x.jsonl", columns=Columns(), root=tmp_path, sample=Sample(100))
    again = read("x.jsonl", columns=Columns(), root=tmp_path, sample=Sample(100))
    other = read("x.jsonl", columns=Columns(), root=tmp_path, sample=Sample(100, seed=8))
    assert first == again
    assert len(first.examples) == len(other.examples) == 100
    assert {e.row for e in first.examples} != {e.row for e in other.examples}
    assert [e.row for e in first.examples] == sorted(e.row for e in first.examples)
    assert first.rows == 2000
    assert first.format == first.sources[0].format == "text/label · a sample of 100 rows"


def test_a_sample_is_drawn_from_all_files_and_holds_their_broken_rows(tmp_path: Path) -> None:
    one(tmp_path, rows_of(900))
    one(tmp_path, rows_of(50) + b"broken\n" * 50, "y.jsonl")
    found = read(("x.jsonl", "y.jsonl"), columns=Columns(), root=tmp_path, sample=Sample(400))
    counts = Counter(item.source for item in (*found.examples, *found.drops))
    assert counts.total() == 400
    assert 20 <= counts["y.jsonl"] <= 60
    assert 0.25 <= len(found.drops) / counts["y.jsonl"] <= 0.75
    everything = read(("x.jsonl", "y.jsonl"), columns=Columns(), root=tmp_path, sample=Sample(5000))
    assert everything == read(("x.jsonl", "y.jsonl"), columns=Columns(), root=tmp_path)


@pytest.mark.parametrize("limits", [Limits(held_rows=50), Limits(held_bytes=500)])
def test_more_than_can_be_held_is_an_error_that_names_the_limit_and_the_way_out(
    tmp_path: Path, limits: Limits
) -> None:
    one(tmp_path, gzip.compress(rows_of(60)), "x.jsonl.gz")
    with pytest.raises(DataError, match="DAT-045") as caught:
        read("x.jsonl.gz", columns=Columns(), root=tmp_path, limits=limits)
    assert "data.sample=" in caught.value.problems[0].help
    drawn = read("x.jsonl.gz", columns=Columns(), root=tmp_path, limits=limits, sample=Sample(10))
    assert len(drawn.examples) == 10
