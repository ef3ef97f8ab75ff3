"""Slices from columns and conditions, from task.yaml to every place that shows them."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import ticket_rows

from freehold.cli.main import main

TASK = """\
task: tickets
data:
  examples: examples.jsonl
  split: {test: 60, dev: 20, audit: 20}
  slices: [channel, {name: late, where: "ticket > 1000000 and channel == 'mail'"}]
bar: 0.5
ladder: {stop: full, rungs: [baseline], baseline: {try: [BASELINE]}}
"""


def written(project: Path, baseline: str) -> None:
    rows = ticket_rows(240)
    channels = ("mail", "mail", "web", "phone", "web", "mail", "web", "mail")
    for number, row in enumerate(rows):
        row["channel"] = "fax" if number % 23 == 0 else channels[number % 8]
        row["ticket"] = str(number * 7919)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (project / "examples.jsonl").write_text(text, encoding="utf-8")
    (project / "task.yaml").write_text(TASK.replace("BASELINE", baseline), encoding="utf-8")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) in {0, 3}
    return capsys.readouterr().out


def test_slices_stand_in_the_climb_the_report_eval_and_the_comparison(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(project, "tfidf")
    found = json.loads(told(capsys, "climb", "--json"))
    slices = {one["slice"]: one["quality"] for one in found["rungs"][0]["slices"]}
    assert {"channel=mail", "channel=web", "late"} <= set(slices)
    assert sum(q["n"] for name, q in slices.items() if name.startswith("channel=")) == 60
    assert 0 < slices["late"]["n"] < slices["channel=mail"]["n"]

    evaluated = json.loads(told(capsys, "eval", "c1/baseline", "--json"))
    assert {one["slice"]: one["quality"] for one in evaluated["slices"]} == slices
    shown = told(capsys, "eval", "c1/baseline")
    assert "slice" in shown and "late" in shown and "too few to judge" in shown

    page = (project / "reports" / "c1.html").read_text(encoding="utf-8")
    assert "Quality by slice, worst first" in page and "too few to judge" in page

    written(project, "majority")
    told(capsys, "climb", "--json")
    table = told(capsys, "report", "c2")
    assert "weak slice" in table
    compared = json.loads(told(capsys, "report", "c2", "--against", "c1", "--json"))
    worst = compared["worst_slice"]
    assert worst["difference"] < 0
    assert worst["n"] == slices[worst["name"]]["n"]
    words = told(capsys, "report", "c2", "--against", "c1")
    assert "worst slice" in words and worst["name"] in words


def test_a_what_if_is_printed_in_every_form_and_leaves_the_report_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(project, "tfidf")
    told(capsys, "climb", "--json")
    page = project / "reports" / "c1.html"
    before = page.read_bytes()
    settings = ("-s", "volume=1000000", "-s", "bar=0.97", "-s", "volume.horizon_months=6")
    shown = told(capsys, "report", "c1", *settings)
    assert "volume.requests_per_month 10,000 → 1,000,000" in shown
    assert "bar ≥ 0.97" in shown
    assert "next     freehold climb -s bar.quality=0.97" in shown
    as_json = json.loads(told(capsys, "report", "c1", *settings, "--json"))
    assert as_json["what_if"]["bar.quality"] == {"was": 0.5, "now": 0.97}
    assert as_json["bar"]["quality"] == 0.97 and as_json["report"] is None
    for form in ("html", "md", "csv", "junit", "lm-eval"):
        printed = told(capsys, "report", "c1", *settings, "--format", form)
        assert "what if" in printed or "what-if" in printed or form == "lm-eval"
    assert page.read_bytes() == before
    assert [file.name for file in (project / "reports").iterdir()] == ["c1.html"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("c1", "-s", "ladder.stop=full"), "USE-010"),
        (("c1", "-s", "bar.qualty=0.9"), "CFG-001"),
        (("c1", "-s", "bar=0.9", "--against", "c1"), "USE-011"),
        (("t1", "-s", "bar=0.9"), "USE-011"),
    ],
)
def test_what_cannot_be_asked_of_a_report_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str
) -> None:
    written(project, "majority")
    main(["climb", "--json"])
    capsys.readouterr()
    assert main(["report", *words]) == 2
    assert code in capsys.readouterr().err
