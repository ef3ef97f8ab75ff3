"""Data that is frozen as a sample: `check` looks at all of it and says so."""

import json
from pathlib import Path

import pytest

from freehold.cli.console import open_console
from freehold.cli.environment import read_environment
from freehold.cli.exports import FORMULA_STARTS, csv_cell
from freehold.cli.large import look_at_all, with_warning
from freehold.cli.main import main
from freehold.cli.parse import parse
from freehold.cli.session import Session
from freehold.cli.workplace import prepare_task
from freehold.data.limits import Limits


def test_check_looks_at_every_row_of_data_that_is_sampled(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (project / "examples.jsonl").read_text()
    (project / "many.jsonl").write_text(rows * 3 + "broken\n")
    assert main(["check", "many.jsonl", "-s", "data.sample=90"]) == 0
    out = capsys.readouterr().out
    assert "361 rows · text/label · every row was looked at" in out
    assert "left out       1 × invalid JSON (row 361)" in out
    words = " ".join(out.split())
    assert "240 rows (66.7 %) ask what an earlier row asks: 121 as 1, 122 as 2, 123 as 3" in words
    assert "3: billing 120 · refunds 120 · tech 120" in out
    assert "a sample of 90 rows" in out
    assert "freehold climb many.jsonl -s data.sample=90" in out
    assert max(map(len, out.splitlines())) <= 88


def test_as_json_the_survey_stands_beside_the_sample(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "examples.jsonl", "-s", "data.sample=60", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert (data["rows"], data["used"], data["sample"]) == (120, 60, 60)
    (survey,) = data["surveys"]
    assert survey["usable"] == survey["source"]["rows"] == 120
    assert main(["check", "examples.jsonl", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert (data["sample"], data["surveys"]) == (None, [])
    del project


def test_data_that_is_too_large_gets_a_sample_and_a_warning(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invocation, environment = parse(["check", "examples.jsonl"]), read_environment({})
    session = Session(invocation, open_console(invocation, environment), environment)
    resolved, surveys = look_at_all(
        session, session.task("examples.jsonl"), limits=Limits(held_bytes=1000)
    )
    assert (surveys.sample, surveys.is_chosen) == (50_000, False)
    prepared = with_warning(prepare_task(session, resolved), surveys)
    assert prepared.problems[0].code == "DAT-045"
    assert "data.sample=50000" in prepared.problems[0].help
    capsys.readouterr()
    del project


def test_a_formula_in_a_csv_that_freehold_writes_is_text() -> None:
    for start in FORMULA_STARTS:
        assert csv_cell(f"{start}1+1") == f"'{start}1+1"
    assert [csv_cell(value) for value in (None, -0.5, True, "a=b")] == ["", -0.5, True, "a=b"]
