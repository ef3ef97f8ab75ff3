from __future__ import annotations

import json
from pathlib import Path

import pytest

from freehold.core.errors import DataError
from freehold.data.human_scores import NO_INPUT, NO_NUMBER, NO_OUTPUT, NOT_SCORED, read_human_scores


def written(root: Path, rows: list[dict[str, object]]) -> str:
    (root / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "scores.jsonl"


def test_scores_grades_and_truth_values_are_read(tmp_path: Path) -> None:
    name = written(
        tmp_path,
        [
            {"input": "q", "output": "a", "score": 0.25, "scorer": "ann"},
            {"question": "q", "answer": "b", "grade": 4},
            {"id": "e7", "output": "c", "score": True},
            {"prompt": "q", "completion": "", "score": "0.5", "reference": "x", "rungs": ["lora"]},
        ],
    )
    found = read_human_scores(name, root=tmp_path, grades=5, inputs={"e7": "seven?"})
    assert [(s.input, s.output, s.score, s.scorer) for s in found.scores] == [
        ("q", "a", 0.25, "ann"),
        ("q", "b", 0.75, ""),
        ("seven?", "c", 1.0, ""),
        ("q", "", 0.5, ""),
    ]
    assert found.drops == ()


def test_rows_that_say_nothing_are_left_out_with_their_reason(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"input": "q", "output": "a", "score": 1},
        {"input": "q", "output": "a", "score": None},
        {"id": "nobody", "output": "a", "score": 1},
        {"input": "q", "score": 1},
        {"input": "q", "output": "a", "score": 4},
        {"input": "q", "output": "a", "grade": 6},
        {"input": "q", "output": "a", "score": "good"},
        {"input": "q", "output": "a", "score": "nan"},
    ]
    found = read_human_scores(written(tmp_path, rows), root=tmp_path, grades=5)
    assert len(found.scores) == 1
    reasons = [drop.reason for drop in found.drops]
    assert reasons == [NOT_SCORED, NO_INPUT, NO_OUTPUT, NO_NUMBER, NO_NUMBER, NO_NUMBER, NO_NUMBER]
    assert found.drops[0].row == 2


def test_a_file_without_a_usable_score_is_refused(tmp_path: Path) -> None:
    name = written(tmp_path, [{"input": "q", "output": "a", "score": None}])
    with pytest.raises(DataError) as refused:
        read_human_scores(name, root=tmp_path, grades=5)
    assert refused.value.problems[0].code == "JDG-001"
