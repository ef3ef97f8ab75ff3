"""`freehold data dedup`, at the level of `main`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from freehold.cli.main import main
from freehold.core.sections import Columns
from freehold.data.read import read

TEXTS = (
    ("My card was charged twice for one order last week", "billing"),
    ("my CARD was charged twice, for one order last week!", "billing"),
    ("My card was charged twice for one order last weeks", "refunds"),
    ("Where do I change the address that my parcel goes to", "shipping"),
)


@pytest.fixture
def repeats(project: Path) -> Path:
    rows = [{"text": text, "label": label} for text, label in TEXTS]
    file = project / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_groups_are_shown_with_their_kind_their_rows_and_the_next_command(
    repeats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "dedup", "rows.jsonl"]) == 0
    out = capsys.readouterr().out
    assert "4 rows · 1 group of repeats" in out
    assert "exact             1" in out and "near              1" in out
    assert "rows.jsonl:1, 2, 3" in out
    assert "DAT-054" in out  # one of the three rows has another label
    assert out.splitlines()[-1] == "next   freehold data dedup rows.jsonl --out data/dedup.jsonl"
    assert all(len(line) <= 88 for line in out.splitlines())


def test_a_copy_keeps_the_first_of_each_group_and_the_file_stays_as_it_is(
    repeats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = repeats.read_bytes()
    assert main(["data", "dedup", "rows.jsonl", "--out", "data/kept.jsonl", "--json"]) == 0
    shape = json.loads(capsys.readouterr().out)
    assert repeats.read_bytes() == before
    assert shape["counts"] == {"exact": 1, "near": 1, "paraphrase": None}
    assert shape["written"]["dropped"] == {
        "repeats an earlier row": 1,
        "nearly repeats an earlier row": 1,
    }
    kept = read("data/kept.jsonl", columns=Columns(), root=repeats.parent).examples
    assert [example.input for example in kept] == [TEXTS[0][0], TEXTS[3][0]]
    origin = kept[0].origin
    assert origin is not None
    assert (origin.source, origin.row) == ("rows.jsonl", 1)
    assert origin.steps == ("dedup: kept as the first of 3 rows",)


def test_a_file_that_is_there_is_overwritten_after_y_only(
    repeats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "dedup", "rows.jsonl", "--out", "kept.jsonl"]
    assert main(words) == 0
    assert main(words) == 2
    assert "USE-007" in capsys.readouterr().err
    assert main([*words, "-y"]) == 0
    assert main(["data", "dedup", "rows.jsonl", "--out", "kept.csv"]) == 2
    assert "USE-006" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(repeats: Path) -> None:
    assert main(["data", "dedup", "rows.jsonl", "--out", "kept.jsonl", "--dry-run"]) == 0
    assert not (repeats.parent / "kept.jsonl").exists()


def test_paraphrases_are_joined_where_they_are_asked_for(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"text": "How do I cancel my subscription?", "label": "a"},
        {"text": "How can I cancel my subscription?", "label": "a"},
        {"text": "The printer on the second floor has no paper", "label": "b"},
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    (project / "rows.jsonl").write_text(content, encoding="utf-8")
    assert main(["data", "dedup", "rows.jsonl", "--paraphrase", "--json"]) == 0
    shape = json.loads(capsys.readouterr().out)
    assert shape["counts"] == {"exact": 0, "near": 0, "paraphrase": 1}
    assert [group["kind"] for group in shape["groups"]] == ["paraphrase"]
