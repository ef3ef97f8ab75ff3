"""`freehold check` about documents: bad ones by name, who may see what, and whether they hold the answers."""

import hashlib
import json
from pathlib import Path

import pytest

from freehold.cli.main import main

PLANETS = [hashlib.sha256(bytes([number])).hexdigest()[:24] for number in range(60)]


@pytest.fixture
def library(project: Path) -> Path:
    """A project with a folder of documents, some of them bad, and questions about the good ones."""
    docs = project / "docs"
    docs.mkdir()
    for number, planet in enumerate(PLANETS):
        (docs / f"{planet}.txt").write_text(f"{planet} has {number + 100} moons in all.")
    (docs / "empty.md").write_text("")
    (docs / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (docs / "again.txt").write_text(f"{PLANETS[0]} has 100 moons in all.")
    (docs / "rows.jsonl").write_text(
        json.dumps({"id": "pay", "text": "Salaries of all.", "access": ["hr"]})
        + "\n"
        + json.dumps({"id": "both", "text": "Secret plan.", "access": ["hr"]})
        + "\n"
        + json.dumps({"id": "also", "text": "Secret plan.", "access": ["board"]})
        + "\n"
    )
    rows = [
        {
            "input": f"Moons of {planet}?",
            "target": f"{number + 100} moons",
            "who": "guest",
        }
        for number, planet in enumerate(PLANETS)
    ]
    (project / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_task(project)
    return project


def write_task(project: Path, *, data: str = "", more: str = "") -> None:
    (project / "task.yaml").write_text(
        f"task: moons\ndata: {{examples: questions.jsonl, documents: docs{data}}}\n"
        f"ladder: {{rungs: [retrieve]}}\n{more}"
    )


def test_bad_documents_are_said_by_name_and_the_others_are_used(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--json"]) == 0
    shape = json.loads(capsys.readouterr().out)
    problems = {one["code"]: one for one in shape["problems"]}
    assert "`empty.md`" in problems["DOC-021"]["message"]
    assert "`broken.pdf`" in problems["DOC-023"]["message"]
    assert "1 document is left out, a repeat" in problems["DOC-025"]["message"]
    assert "`both`, `also`" in problems["DOC-027"]["message"]
    assert "`pay` (hr)" in problems["DOC-028"]["message"]
    assert "access_column" in problems["DOC-028"]["help"]
    look = shape["data"]["looks"]["documents"]
    assert look["documents"] == 61
    assert look["left_out"] == {"DOC-021": 1, "DOC-023": 1, "DOC-025": 1, "DOC-027": 2}
    assert look["labels"] == ["hr"]
    assert look["answers_held"] == look["answers_looked_at"] == 50
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert "documents    61 documents · " in out
    assert "5 left out" in out
    assert "50 of 50 wanted answers stand in a document" in out


def test_labels_that_somebody_holds_are_no_problem(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_task(library, data=", access: [hr]")
    assert main(["check", "--json"]) == 0
    codes = [one["code"] for one in json.loads(capsys.readouterr().out)["problems"]]
    assert "DOC-028" not in codes
    assert "DOC-027" in codes


def test_answers_that_no_document_holds_are_said(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for planet in PLANETS[:40]:
        (library / "docs" / f"{planet}.txt").unlink()
    (library / "docs" / "again.txt").unlink()
    assert main(["check", "--json"]) == 0
    problems = {one["code"]: one for one in json.loads(capsys.readouterr().out)["problems"]}
    assert "33 of 50 wanted answers stand in no document" in problems["DOC-029"]["message"]


@pytest.mark.parametrize(
    ("data", "more", "code"),
    [
        (", access_column: asker", "", "CFG-024"),
        (", document_column: page", "", "CFG-024"),
        ("", "output: {unanswerable: none, labels: [a, b]}\n", "CFG-023"),
    ],
)
def test_settings_that_fit_nothing_are_refused_with_the_way_out(
    library: Path, capsys: pytest.CaptureFixture[str], data: str, more: str, code: str
) -> None:
    write_task(library, data=data, more=more)
    assert main(["check"]) == 2
    assert code in capsys.readouterr().err


def test_labels_of_an_asker_belong_to_a_question(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert library.is_dir()
    assert main(["eval", "freehold/acorn", "--access", "hr"]) == 2
    assert "`--access` belongs to a question" in capsys.readouterr().err
