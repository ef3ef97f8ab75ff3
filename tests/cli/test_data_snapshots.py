"""The verbs of data that freeze, list, compare, add, clean and forget, typed as people type them."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import ticket_rows, write_rows

from freehold.cli.main import main
from freehold.cli.verbs.data_snapshot_view import show_snapshot
from freehold.store.lineage import Thing, descend
from freehold.store.store import Store

MAIL = "jane.doe@example.org"
QUICK = ("-s", "ladder.rungs=[baseline]", "-s", "ladder.baseline.try=[tfidf]")
TASK = """\
task: tickets     # ours
data: examples.jsonl   # the first half
bar: {quality: 0.5}
"""


@pytest.fixture
def task(project: Path) -> Path:
    (project / "task.yaml").write_text(TASK)
    return project


def out_of(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    found = main(list(words))
    out, err = capsys.readouterr()
    assert found == code, err
    return out + (err if code else "")


def json_of(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    text = out_of(capsys, *words, "--json", code=code)
    assert text.count("\n") == 1
    return json.loads(text)


def test_a_split_freezes_once_and_says_so_again(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = out_of(capsys, "data", "split")
    assert first.startswith("s1   snapshot ")
    assert "train" in first and "together" in first
    assert first.splitlines()[-1] == "next   freehold climb"
    assert "Frozen before as s1" in out_of(capsys, "data", "split")
    shape = json_of(capsys, "data", "split")
    assert (shape["snapshot"], shape["is_new"]) == ("s1", False)
    assert sum(split["rows"] for split in shape["splits"].values()) == 120


def test_a_file_is_added_to_the_task_and_frozen(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**row, "text": "more of " + row["text"]} for row in ticket_rows(30)]
    write_rows(task / "more.jsonl", rows)
    before = (task / "task.yaml").read_text()
    out = out_of(capsys, "data", "add", "more.jsonl", "--dry-run")
    assert "nothing was written" in out
    assert (task / "task.yaml").read_text() == before
    assert not (task / ".freehold").exists()
    out = out_of(capsys, "data", "add", "more.jsonl")
    assert "text/label · 30 rows" in out
    assert "more of I was charged twice" in out
    assert "frozen as s1" in out
    assert (task / "task.yaml").read_text() == before.replace(
        "data: examples.jsonl   # the", "data: [examples.jsonl, more.jsonl] # the"
    )
    assert "already; nothing was changed" in out_of(capsys, "data", "add", str(task / "more.jsonl"))
    assert json_of(capsys, "data", "add", "more.jsonl")["already"] == ["more.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("absent.jsonl", None, "DAT-001"),
        ("bad.jsonl", '{"text": "a"}\n', "DAT-043"),
        ("other.jsonl", '{"question": "a", "answer": "b"}\n', "DAT-008"),
        ("empty.jsonl", "", "DAT-002"),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(
    task: Path, capsys: pytest.CaptureFixture[str], name: str, content: str | None, problem: str
) -> None:
    if content is not None:
        (task / name).write_text(content)
    assert problem in out_of(capsys, "data", "add", name, code=2)
    assert (task / "task.yaml").read_text() == TASK
    assert not (task / ".freehold").exists()


def test_snapshots_are_listed_shown_and_compared(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "No snapshot yet" in out_of(capsys, "data", "ls")
    assert "no snapshot yet" in out_of(capsys, "data")
    out_of(capsys, "climb", *QUICK)
    rows = ticket_rows(121)
    rows[5]["label"] = "tech" if rows[5]["label"] != "tech" else "billing"
    write_rows(task / "examples.jsonl", rows[1:])
    out_of(capsys, "data", "split")
    listed = out_of(capsys, "data", "ls")
    assert "used by c1" in listed
    assert listed.splitlines()[-1] == "next   freehold data diff s1 s2"
    shape = json_of(capsys, "data", "ls")
    assert [row["name"] for row in shape["snapshots"]] == ["s2", "s1"]
    found = json_of(capsys, "data", "diff", "s1", "s2")
    assert (len(found["added"]), len(found["removed"]), len(found["changed"])) == (1, 1, 1)
    assert found["same"] + len(found["moved"]) == 118
    drawn = out_of(capsys, "data", "diff", "s1", "s2")
    assert drawn.startswith("s1 → s2   1 added · 1 removed · 1 other answer")
    assert "hold the same rows" in out_of(capsys, "data", "diff", "s2", "@last")
    out_of(capsys, "data", "diff", "s1", "s2", "--strict", code=3)
    assert "USE-002" in out_of(capsys, "data", "diff", "s1", "s9", code=2)
    assert json_of(capsys, "data")["snapshots"][0]["name"] == "s2"


def test_one_snapshot_is_shown_with_what_descends_from_it(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from freehold.cli.console import open_console
    from freehold.cli.environment import read_environment
    from freehold.cli.parse import parse
    from freehold.cli.session import Session

    out_of(capsys, "climb", *QUICK)
    invocation, environment = parse(["data", "ls"]), read_environment({})
    session = Session(invocation, open_console(invocation, environment), environment)
    assert show_snapshot(session, "s1") == 0
    out = capsys.readouterr().out
    assert out.startswith("s1   frozen ")
    assert "c1/baseline" in out


def test_work_of_an_older_freehold_gets_its_place(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out_of(capsys, "climb", *QUICK)
    import sqlite3

    with sqlite3.connect(task / ".freehold/ledger.db") as ledger:
        ledger.execute("DROP TRIGGER entries_are_never_deleted")
        ledger.execute("DELETE FROM entries WHERE kind = 'descends'")
        ledger.execute("DELETE FROM handles WHERE prefix = 's'")
    ledger.close()
    [row] = json_of(capsys, "data", "ls")["snapshots"]
    assert (row["name"], row["used_by"]) == ("s1", ["c1"])


def test_a_clean_copy_is_written_beside_and_every_drop_has_its_reason(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ticket_rows(40)
    rows += [rows[0], {**rows[1], "label": "other"}, {"text": "", "label": "tech"}]
    write_rows(task / "examples.jsonl", rows)
    before = (task / "examples.jsonl").read_bytes()
    out = out_of(capsys, "data", "clean", "--drops")
    assert "repeats an earlier row with the same answer (row 41)" in out
    assert "empty input (row 43)" in out
    assert "examples.jsonl:2, examples.jsonl:42 ask the same" in out
    assert "data: {examples: clean.jsonl}" in out
    assert (task / "examples.jsonl").read_bytes() == before
    shape = json_of(capsys, "data", "clean", "-s", "data.examples=clean.jsonl")
    assert (shape["wrote"], shape["rows"], shape["drops"]) == ("clean-2.jsonl", 41, [])


def test_a_person_is_forgotten_and_everything_says_so(
    task: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ticket_rows(60)
    for place in (4, 17, 31, 40, 52):
        rows[place]["text"] = f"I am {MAIL} {rows[place]['text']} {place * 7717} {'xyz'[place % 3]}"
    write_rows(task / "examples.jsonl", rows)
    out_of(capsys, "climb", *QUICK)
    with Store.open(task, clock=_clock) as store:
        [candidate, *_] = [
            e.subject for e in store.ledger.entries("descends") if '"candidate"' in e.body
        ]
        child = Thing(kind="training", key="a training", name="t1")
        descend(store, child, Thing(kind="candidate", key=candidate, name="baseline"))
        (store.folder / "adapters/t1").mkdir(parents=True)
    words = ("data", "forget", "--match", MAIL.upper())
    shown = out_of(capsys, *words, "--dry-run")
    assert "examples.jsonl" in shown
    assert "5 rows (row 5, 18, 32, 41, 53)" in shown
    assert MAIL in (task / "examples.jsonl").read_text()
    assert "nobody can answer here" in out_of(capsys, *words, code=2)
    done = json_of(capsys, *words, "-y")
    assert (done["rows"], done["still_in"]) == (5, [])
    assert done["descends"]["climb"] == ["c1"]
    for path in task.rglob("*"):
        assert not path.is_file() or MAIL.encode() not in path.read_bytes(), path
    assert "c1 was measured with 5 rows that were forgotten" in out_of(capsys)
    assert "5 rows were forgotten from it since" in out_of(capsys, "data", "ls")
    capsys.readouterr()
    assert main(["report", "c1"]) == 0
    assert "DAT-081" in capsys.readouterr().err
    assert (task / ".freehold/adapters/t1/forgotten.json").is_file()
    assert "Nothing to forget" in out_of(capsys, *words, "-y")
    out_of(capsys, "climb", *QUICK)
    assert "forgotten" not in out_of(capsys)


def _clock() -> Any:
    from datetime import UTC, datetime

    return datetime(2026, 11, 25, tzinfo=UTC)


def test_what_freehold_does_not_know_is_named_and_left(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ticket_rows(30)
    rows[3]["text"] += MAIL
    write_rows(task / "examples.jsonl", rows)
    (task / "notes.txt").write_text(f"call {MAIL}\n")
    capsys.readouterr()
    assert main(["data", "forget", "--match", MAIL, "-y"]) == 3
    err = capsys.readouterr().err
    assert "still in notes.txt" in err
    assert (task / "notes.txt").read_text() == f"call {MAIL}\n"


@pytest.mark.parametrize(
    "words", [(), ("--match", "a", "--id", "b"), ("--match", " "), ("--filter", "nope == 1")]
)
def test_a_forget_that_says_not_whom_is_refused(
    task: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    before = (task / "examples.jsonl").read_bytes()
    out_of(capsys, "data", "forget", *words, "-y", code=2)
    assert (task / "examples.jsonl").read_bytes() == before
