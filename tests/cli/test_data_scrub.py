"""`freehold data scrub`, as people type it; and `data.scrub` of a task file."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import jsonschema
import pytest

from freehold.cli.looks import look_at
from freehold.cli.main import main
from freehold.cli.shapes import SCRUB_SCHEMA
from freehold.core.sections import DataSection, SplitSpec
from freehold.core.taskfile import TaskFile
from freehold.ladder.prepare import prepare

SECRETS = ("anna", "Schmidt", "1460", "4454794511390933", "hunter2")
PERSON = "I am Anna Schmidt, anna.schmidt@acme.com, call 618-226-1460"


def rows() -> list[dict[str, str]]:
    nouns = (
        "login",
        "export",
        "printer",
        "invoice",
        "colour",
        "window",
        "update",
        "report",
        "folder",
        "upload",
    )
    verbs = ("hangs", "blinks", "is gone", "is slow")
    texts = [
        f"the {noun} {verb} since the {i} o'clock backup"
        for i, (noun, verb) in enumerate(product(nouns, verbs))
    ]
    texts[3] = PERSON
    texts[8] = "card 4454794511390933, password: hunter2!"
    texts[20] = "write to anna.schmidt@acme.com"
    return [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(texts)]


@pytest.fixture
def data(project: Path) -> Path:
    path = project / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return path


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_the_report_names_kinds_and_rows_and_no_value(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = data.read_bytes()
    assert main(["data", "scrub", "rows.jsonl"]) == 0
    text = printed(capsys)
    assert "40 rows · 3 rows hold personal data or secrets" in text
    assert "email                 2       2  input               4, 21" in text
    assert (
        text.splitlines()[-1]
        == "next     freehold data scrub rows.jsonl --as mask   (or surrogate, or drop)"
    )
    assert not [value for value in SECRETS if value in text]
    assert max(map(len, text.splitlines())) <= 88
    assert data.read_bytes() == before
    assert sorted(p.name for p in data.parent.iterdir()) == [
        ".freehold",
        "examples.jsonl",
        "rows.jsonl",
    ]


def test_json_is_one_object_of_the_published_shape_without_values(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([], ["--as", "mask"], ["--as", "drop", "--kinds", "card"]):
        assert main(["data", "scrub", "rows.jsonl", "--json", *words]) == 0
        text = printed(capsys)
        shape = json.loads(text)
        jsonschema.validate(shape, SCRUB_SCHEMA)
        assert not [value for value in SECRETS if value in text]
    assert shape["dropped"] == {"holds personal data: card": 1}
    assert shape["written"] == "rows.scrubbed.jsonl"


def test_a_new_file_is_written_beside_and_reads_as_the_same_rows(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = data.read_bytes()
    assert main(["data", "scrub", "rows.jsonl", "--as", "mask"]) == 0
    text = printed(capsys)
    assert "wrote    rows.scrubbed.jsonl   40 rows · 3 changed" in text
    assert text.splitlines()[-1] == "next     freehold check rows.scrubbed.jsonl"
    written = [
        json.loads(x) for x in (data.parent / "rows.scrubbed.jsonl").read_text().splitlines()
    ]
    assert written[3]["input"] == "I am <NAME>, <EMAIL>, call <PHONE>"
    assert written[3]["freehold"]["source"] == "rows.jsonl"
    assert written[3]["freehold"]["row"] == 4
    assert written[3]["freehold"]["steps"][0] == "scrub: name masked at input 5-17"
    assert written[0]["freehold"]["steps"] == []
    assert data.read_bytes() == before
    assert main(["data", "scrub", "rows.jsonl", "--as", "mask"]) == 0  # typed again
    assert main(["data", "scrub", "rows.scrubbed.jsonl"]) == 0
    assert "none is found" in printed(capsys).splitlines()[-2]


def test_stand_ins_are_the_same_in_the_next_run_and_file(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data.parent / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()[20:]))
    for name in ("rows", "more"):
        assert main(["data", "scrub", f"{name}.jsonl", "--as", "surrogate"]) == 0
    one = (data.parent / "rows.scrubbed.jsonl").read_text().splitlines()
    two = (data.parent / "more.scrubbed.jsonl").read_text().splitlines()
    mail = json.loads(one[20])["input"]
    assert mail.endswith(".example.org")
    assert json.loads(two[0])["input"] == mail
    assert mail.removeprefix("write to ") in json.loads(one[3])["input"]


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--kinds", "emial"], "USE-006", "--kinds email"),
        (["--kinds", ","], "USE-006", "--kinds email"),
        (["--as", "mask", "--out", "rows.jsonl"], "USE-007", "--out"),
        (["--as", "mask", "--out", "examples.jsonl"], "USE-007", "-y"),
        (["--presidio", "no_such_pipeline"], "DAT-073", "spaCy"),
    ],
)
def test_a_mistake_names_the_way_out(
    data: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str, part: str
) -> None:
    assert main(["data", "scrub", "rows.jsonl", *words]) == 2
    error = capsys.readouterr().err
    assert code in error
    assert part in error or code == "DAT-073"
    assert "Traceback" not in error


def test_a_dry_run_writes_no_file(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "scrub", "rows.jsonl", "--as", "mask", "--dry-run"]) == 0
    assert "would write" in printed(capsys)
    assert not (data.parent / "rows.scrubbed.jsonl").exists()


def section(**settings: object) -> DataSection:
    return DataSection.model_validate({"examples": "rows.jsonl", **settings})


def test_the_task_file_masks_a_list_of_kinds_when_the_rows_are_read(data: Path) -> None:
    task = TaskFile(task="t", data=section(scrub=("email", "phone")))
    prepared = prepare(task, root=data.parent)
    inputs = {e.row: e.input for e in prepared.reading.examples}
    assert inputs[4] == "I am Anna Schmidt, <EMAIL>, call <PHONE>"
    assert inputs[21] == "write to <EMAIL>"
    assert "personal data in 2 rows: 2 email masked, 1 phone masked" in prepared.notes


def test_the_task_file_drops_rows_with_a_reason_and_keeps_test_and_train_alike(data: Path) -> None:
    (data.parent / "test.jsonl").write_text(
        "".join(json.dumps({**row, "text": row["text"] + " again"}) + "\n" for row in rows()[19:])
    )
    treat = {"card": "drop", "email": "surrogate"}
    task = TaskFile(task="t", data=section(scrub=treat, test="test.jsonl"))
    prepared = prepare(task, root=data.parent)
    assert prepared.snapshot.drops_by_reason["holds personal data: card"] == 1
    train = next(e.input for e in prepared.reading.examples if e.row == 21)
    test = next(e.input for e in prepared.snapshot.test.examples if "write to" in e.input)
    assert test == f"{train} again"
    assert train.endswith(".example.org")


def test_masking_the_column_that_groups_rows_keeps_the_groups_apart(data: Path) -> None:
    grouped = [{**row, "who": f"p{i % 20}@acme.com"} for i, row in enumerate(rows())]
    data.write_text("".join(json.dumps(row) + "\n" for row in grouped))
    split = SplitSpec(group_by="who")
    task = TaskFile(task="t", data=section(scrub=("email",), split=split))
    prepared = prepare(task, root=data.parent)
    groups = {e.group for e in prepared.snapshot.train.examples}
    assert len(groups) > 1


def test_a_task_without_scrub_makes_no_secret(data: Path) -> None:
    prepare(TaskFile(task="t", data=section()), root=data.parent)
    assert not (data.parent / ".freehold").exists()


def test_the_look_counts_and_warns_without_values(data: Path) -> None:
    from freehold.cli.console import open_console
    from freehold.cli.environment import read_environment
    from freehold.cli.parse import parse
    from freehold.cli.session import Session

    invocation = parse(["check", "rows.jsonl"])
    environment = read_environment({})
    session = Session(invocation, open_console(invocation, environment), environment)
    prepared = prepare(TaskFile(task="t", data=section()), root=data.parent)
    seen = look_at(prepared, session)["personal"]
    assert {p.code for p in seen.problems} == {"DAT-070", "DAT-071"}
    assert seen.figures["rows"] == 3
    assert (
        seen.problems[0].message
        == "the 40 rows hold personal data: 2 email, 1 card, 1 name, 1 phone"
    )
    assert "freehold data scrub rows.jsonl" in seen.problems[0].help
    assert not [v for v in SECRETS if v in repr(seen)]


@pytest.mark.parametrize("text", ["scrub: [emial]", "scrub: {email: hide}", "scrub: email"])
def test_a_wrong_setting_is_refused(
    data: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (data.parent / "task.yaml").write_text(f"task: t\ndata:\n  examples: rows.jsonl\n  {text}\n")
    assert main(["check"]) == 2
    assert "data.scrub" in capsys.readouterr().err
