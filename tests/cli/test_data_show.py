"""`freehold data show` as people type it, on a task that needs no model's weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import ticket_rows, write_rows

from freehold.cli.main import main


def write_task(project: Path, more: str = "") -> None:
    (project / "task.yaml").write_text(
        f"task: tickets\ninstruction: Route the ticket.\ndata:\n  examples: examples.jsonl\n{more}"
    )


def test_the_data_is_shown_with_its_looks_and_one_row(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ticket_rows(120)
    rows[5]["label"] = "billing"
    write_rows(project / "examples.jsonl", [*rows, {**rows[8], "label": "refunds"}])
    write_task(project)
    before = (project / "examples.jsonl").read_bytes()
    assert main(["data", "show"]) == 0
    out = capsys.readouterr().out
    assert "121 rows" in out
    for start in ("lengths ", "adequacy ", "labels ", "poisoning ", "texts "):
        assert any(line.startswith(start) for line in out.splitlines()), start
    assert "DAT-065" in out and "examples.jsonl:6 billing → tech" in out
    assert "sources examples.jsonl 121 (100 %)" in out
    assert "<|system|>Route the ticket.<|end|>" in out
    assert out.splitlines()[-1] == "next     freehold data label"
    assert max(len(line) for line in out.splitlines()) <= 88
    assert (project / "examples.jsonl").read_bytes() == before


def test_json_is_one_object_with_figures_of_every_look(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_task(project)
    assert main(["data", "show", "--json"]) == 0
    out = capsys.readouterr().out
    shape = json.loads(out)
    assert out.count("\n") == 1
    assert {"adequacy", "labels", "poisoning", "texts"} <= shape["looks"].keys()
    assert shape["looks"]["labels"]["looked_at"] == 120
    assert shape["row"]["rendered"]["prompt"].endswith("<|assistant|>")
    assert shape["tokens"]["fits"] == 1024


def test_one_row_is_shown_byte_for_byte_by_id_and_by_place(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ticket_rows(60)
    rows[2]["text"] = "a tab\there, a hidden\u200b one, and\na second line"
    write_rows(project / "examples.jsonl", rows)
    write_task(project)
    assert main(["data", "show", "3"]) == 0
    out = capsys.readouterr().out
    assert "examples.jsonl, row 3" in out
    assert r"a tab\there, a hidden\u200b one, and" in out
    assert "byte for byte" in out
    assert main(["data", "show", "examples.jsonl:3", "--json"]) == 0
    shape = json.loads(capsys.readouterr().out)
    assert "a tab\there, a hidden\u200b one, and\na second line" in shape["rendered"]["prompt"]
    assert shape["rendered"]["answer"] == rows[2]["label"]
    assert main(["data", "show", shape["row"]["id"]]) == 0
    assert capsys.readouterr().out == out


def test_a_row_that_is_not_there_names_one_that_is(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_task(project)
    assert main(["data", "show", "9999"]) == 2
    err = capsys.readouterr().err
    assert "error[USE-002]" in err and "freehold data show ex-" in err


def test_a_cap_leaves_rows_of_a_source_out_and_traffic_is_compared(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(
        project / "traffic.jsonl", [{"text": f"bonjour, où est mon colis {n}"} for n in range(60)]
    )
    write_task(project, "  most_rows_of_a_source: 90\n  traffic: traffic.jsonl\n")
    assert main(["data", "show", "--json"]) == 0
    shape = json.loads(capsys.readouterr().out)
    assert shape["dropped"] == {"beyond the cap for its source": 30}
    assert {"DAT-066", "DAT-069"} <= {problem["code"] for problem in shape["problems"]}
    assert shape["looks"]["adequacy"]["traffic"]["area"] > 0.9
