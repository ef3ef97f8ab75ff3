"""The judge from the command line, with the bundled model as a poor judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from freehold.cli.main import main

TASK = """
task: capitals
instruction: Answer in one sentence.
data: {examples: qa.jsonl, split: {test: 8, dev: 2, audit: 2}}
metric: judge
models:
  judge: {rubric: Name the capital., calibrate_with: human.jsonl, grades: 3, minimum_scores: 10}
ladder: {rungs: [baseline], baseline: {try: [nearest]}}
"""
CAPITALS = {
    "France": "Paris",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Japan": "Tokyo",
    "Norway": "Oslo",
}


@pytest.fixture
def judged(project: Path) -> Path:
    countries = list(CAPITALS)
    rows = [
        {
            "input": f"In case {n * 7919} you ask: which city governs {countries[n % 5]}?",
            "target": f"It is {CAPITALS[countries[n % 5]]}, said in case {n * 104729} of them.",
        }
        for n in range(40)
    ]
    scored = [
        {"input": row["input"], "output": answer, "score": score}
        for row in rows[:5]
        for answer, score in ((row["target"], 1.0), ("I do not know.", 0.0))
    ]
    for name, content in (("qa.jsonl", rows), ("human.jsonl", scored)):
        (project / name).write_text("".join(json.dumps(row) + "\n" for row in content))
    (project / "task.yaml").write_text(TASK)
    return project


def test_check_asks_the_judge_only_when_told_to_and_remembers(
    judged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "not measured yet; freehold check" in shown
    assert "JDG-002" in shown
    assert main(["check", "--ask-judge"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "kappa" in shown
    assert "n=10, 0.6 needed" in shown
    assert "tokens and" in shown
    assert main(["--json", "check"]) == 0
    figures = json.loads(capsys.readouterr().out)["data"]["looks"]["judge"]["measured"]
    assert figures["agreement"]["n"] == 10
    assert figures["position"]["pairs"] == 5


def test_a_climb_with_a_judge_shows_what_it_rests_on_and_gives_answers_to_score(
    judged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["climb", "--display", "none"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "UNDECIDED" in shown
    assert "rests on" in shown
    assert main(["report", "--format", "to-score"]) == 0
    rows = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert {"input", "output", "score", "scorer", "reference", "rungs"} == set(rows[0])
    assert rows[0]["rungs"] == ["baseline"]
    assert main(["--json", "report"]) == 0
    climbed = json.loads(capsys.readouterr().out)
    assert climbed["judge"]["withheld"]
    assert climbed["rungs"][0]["rests_on"]["how"] == "shown"
