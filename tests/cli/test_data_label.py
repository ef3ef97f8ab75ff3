import json
import re
import signal
import subprocess
import sys
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.cli.conftest import ticket_rows, write_rows

from freehold.cli.labelling import LABELS_FILE
from freehold.cli.main import main
from freehold.core.sections import Columns
from freehold.data.labelling import Act, Decision, DecisionLog, items_of
from freehold.data.unlabelled import read_unlabelled

QUEUES = "billing,refunds,tech"


def inbox(project: Path, count: int = 6) -> None:
    write_rows(
        project / "inbox.jsonl", [{"text": row["text"] + " now"} for row in ticket_rows(count)]
    )


def task_of(project: Path) -> None:
    (project / "task.yaml").write_text("task: tickets\ndata: examples.jsonl\n", encoding="utf-8")


def decide(project: Path, source: str, *steps: tuple[str, int, Act, str | None]) -> None:
    """Write decisions about the items of a file, as the page would."""
    rows = read_unlabelled(source, columns=Columns(), root=project).examples
    items = items_of(rows)
    with DecisionLog(project / ".freehold/labels/decisions.jsonl") as log:
        for who, item, act, answer in steps:
            log.append(
                Decision(
                    number=len(log.decisions) + 1,
                    at="2026-01-01T00:00:00+00:00",
                    labeller=who,
                    item=items[item].key,
                    act=act,
                    answer=answer,
                )
            )


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["data", "label", *words]) == code
    return capsys.readouterr()[0 if code == 0 else 1]


def shape_of(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    out = said(capsys, *words, "--json")
    assert out.count("\n") == 1
    return json.loads(out)


def test_export_writes_agreed_rows_prints_the_two_lines_and_leaves_the_source_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox(project)
    before = (project / "inbox.jsonl").read_bytes()
    decide(
        project,
        "inbox.jsonl",
        ("ann", 0, "edit", "billing"),
        ("ben", 0, "edit", "billing"),
        ("ann", 1, "edit", "refunds"),
        ("ben", 1, "edit", "tech"),
        ("ann", 2, "edit", "tech"),
        ("ann", 3, "skip", None),
    )
    out = said(capsys, "inbox.jsonl", "--labels", QUEUES, "--export")
    first, second, third, fourth = out.splitlines()
    assert re.fullmatch(r"label 4/6   agreement 0\.\d\d \[.*\] n=2   a accept · .* u undo", first)
    assert second == "Export: data/labels.jsonl   2 rows · 1 apart in data/labels.disputed.jsonl"
    assert third == "apart   1 disputed · 1 skipped"
    assert fourth == "next    freehold climb data/labels.jsonl"
    rows = [json.loads(line) for line in (project / LABELS_FILE).read_text().splitlines()]
    assert [row["target"] for row in rows] == ["billing", "tech"]
    assert (project / "inbox.jsonl").read_bytes() == before


def test_json_is_one_object_with_counts_and_agreement_and_writes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox(project)
    words = ("inbox.jsonl", "--labels", QUEUES)
    empty = shape_of(capsys, *words)
    assert (empty["total"], empty["done"], empty["agreement"], empty["export"]) == (
        6,
        0,
        None,
        None,
    )
    decide(project, "inbox.jsonl", ("ann", 0, "edit", "tech"), ("ben", 0, "edit", "tech"))
    found = shape_of(capsys, *words)
    assert found["labellers"] == [{"name": "ann", "decided": 1}, {"name": "ben", "decided": 1}]
    assert found["agreement"]["items"] == 1
    assert found["agreement"]["alpha"] is None
    assert not (project / "data").exists()
    written = shape_of(capsys, *words, "--export")
    assert written["export"]["rows"] == 1
    assert written["export"]["sha256"].startswith("sha256:")


def test_the_training_rows_of_a_task_are_reviewed_and_the_held_out_ones_are_not_shown(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task_of(project)
    found = shape_of(capsys)
    assert found["label"] == {"sources": ["examples.jsonl"], "is_review": True}
    assert found["total"] == 48
    assert said(capsys, "--dry-run") == "Plan: 48 rows to label; nothing was done.\n"
    assert not (project / ".freehold").exists()


def test_a_review_is_exported_whole_with_its_corrections_and_used_by_the_printed_command(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task_of(project)
    decide(project, "examples.jsonl", ("ann", 0, "edit", "refunds"), ("ann", 1, "flag", None))
    out = said(capsys, "examples.jsonl", "--export")
    assert "Export: data/labels.jsonl   119 rows · 1 apart in data/labels.disputed.jsonl" in out
    assert out.splitlines()[-1] == f"next    freehold climb -s data.examples={LABELS_FILE}"
    first = json.loads((project / LABELS_FILE).read_text().splitlines()[0])
    assert first["target"] == "refunds"
    assert first["freehold"]["steps"] == ["label: 'refunds' by ann, was 'billing'"]
    assert main(["check", "-s", f"data.examples={LABELS_FILE}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["rows"] == 119


def test_new_rows_of_a_task_take_its_labels_and_are_added_by_the_printed_command(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task_of(project)
    inbox(project)
    decide(project, "inbox.jsonl", ("ann", 0, "edit", "tech"))
    out = said(capsys, "inbox.jsonl", "--export")
    assert out.splitlines()[-1] == "next    freehold data add data/labels.jsonl"


@pytest.mark.parametrize(
    ("words", "code", "help"),
    [
        ((), "USE-003", "freehold data label inputs.jsonl --labels billing,refunds,tech"),
        (("absent.jsonl",), "DAT-001", ""),
        (("inbox.jsonl", "--labels", "one"), "USE-006", "--labels billing,refunds,tech"),
        (("inbox.jsonl", "--labeller", " "), "USE-006", "--labeller ann"),
        (("inbox.jsonl", "--export"), "DAT-103", "freehold data label inbox.jsonl"),
    ],
)
def test_a_mistake_names_its_code_and_the_way_out(
    project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str, help: str
) -> None:
    inbox(project)
    err = said(capsys, *words, code=2)
    assert f"error[{code}]" in err
    assert help in err


def test_a_file_of_the_users_own_is_never_written_over(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox(project)
    decide(project, "inbox.jsonl", ("ann", 0, "edit", "tech"))
    mine = project / LABELS_FILE
    mine.parent.mkdir()
    mine.write_text('{"input": "mine", "target": "mine"}\n')
    words = ("inbox.jsonl", "--labels", QUEUES, "--export")
    assert "DAT-105" in said(capsys, *words, code=2)
    assert "DAT-105" in said(capsys, *words[:-1], "--no-open", code=2)
    assert mine.read_text() == '{"input": "mine", "target": "mine"}\n'
    said(capsys, *words, "-y")
    said(capsys, *words)
    assert "DAT-105" in said(capsys, LABELS_FILE, "--export", code=2)


class Browser:
    """Asks the served page as a browser does, with the standard library."""

    def __init__(self, address: str) -> None:
        self.address = address
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self.opener = urllib.request.build_opener(cookies)
        self.page = self.opener.open(address).read().decode()

    def press(self, act: str, answer: str) -> None:
        fields = {
            name: re.findall(f'name="{name}" value="([^"]*)"', self.page)[0]
            for name in ("token", "item")
        }
        item = re.findall('data-item="([^"]+)"', self.page)[0]
        body = urlencode({**fields, "item": item, "act": act, "answer": answer}).encode()
        request = urllib.request.Request(f"{self.address}/decide", body, {"Origin": self.address})
        self.page = self.opener.open(request).read().decode()


def test_the_page_is_served_until_interrupted_and_then_the_labels_are_on_disk(
    project: Path,
) -> None:
    inbox(project)
    words = ("inbox.jsonl", "--labels", QUEUES, "--labeller", "ann")
    command = [sys.executable, "-m", "freehold", "data", "label", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        head = [process.stdout.readline() for _ in range(3)]
        assert head[0] == "label 6 rows of inbox.jsonl · 3 labels\n"
        found = re.search(
            r"Page +(http://127\.0\.0\.1:\d+)  \(loopback only\)   \^C stops", head[2]
        )
        assert found is not None
        browser = Browser(found.group(1))
        assert ">ann</a>" in browser.page
        browser.press("edit", "tech")
        browser.press("edit", "billing")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    assert out.splitlines() == [
        "label 2/6   agreement –   a accept · e edit · s skip · u undo",
        "Export: data/labels.jsonl   2 rows",
        "next    freehold climb data/labels.jsonl",
    ]
    rows = [json.loads(line) for line in (project / LABELS_FILE).read_text().splitlines()]
    assert sorted(row["target"] for row in rows) == ["billing", "tech"]


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "--help")
    for flag in ("--labeller", "--labels", "--blind", "--export", "--no-open"):
        assert flag in out
