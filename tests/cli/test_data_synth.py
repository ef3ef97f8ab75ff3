"""`freehold data synth` on the bundled model: a real teacher, and a weak one, as the verb says."""

import json
from pathlib import Path

import jsonschema
import pytest
from tests.models.tiny import save_model

from freehold.cli.main import main
from freehold.cli.shapes import SYNTH_SCHEMA

TASK = "task: tickets\ninstruction: Route it.\ndata: examples.jsonl\n"
TOPICS = {
    "billing": ("the invoice of {} is wrong", "{} was charged on my card twice"),
    "refunds": ("please give me my money back for {}", "{} was returned and nothing was paid"),
    "tech": ("the app stops when I open {}", "no page of {} loads on my phone"),
}
THINGS = (
    *("a kettle", "the blue lamp", "two garden chairs", "my bicycle", "the piano lessons"),
    *("an old camera", "the camping tent", "a box of tea", "the ferry to Turku", "a winter coat"),
)


@pytest.fixture
def task(project: Path) -> Path:
    rows = [
        {"text": form.format(thing) + end, "label": label}
        for label, forms in TOPICS.items()
        for form in forms
        for thing in THINGS
        for end in ("", ", can you help")
    ]
    (project / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "task.yaml").write_text(TASK, encoding="utf-8")
    return project


def test_a_plan_is_printed_before_anything_is_asked(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "synth", "--count", "7", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "freehold/acorn · Apache-2.0 (README.md)" in out
    assert "7 rows, with at most 70 calls (4 a row where it is judged)" in out
    assert main(["data", "synth", "--judge", "none", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["methods"] == ["self_instruct", "paraphrase", "evolve"]
    assert not (task / "data").exists()


def test_the_bundled_model_writes_some_rows_and_typed_again_pays_for_nothing(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "synth", "--count", "3", "--most-calls", "40", "--judge", "none"]
    words += ["--rejected", "rejected.jsonl", "-y"]
    before = (task / "examples.jsonl").read_bytes()
    assert main([*words, "--json"]) == 0
    shape = json.loads(capsys.readouterr().out)
    jsonschema.validate(shape, dict(SYNTH_SCHEMA))
    assert shape["teacher"]["licence"] == "Apache-2.0"
    assert shape["calls"] == shape["paid"] <= 40
    assert 1 <= shape["written"] <= 3
    lines = (task / "data/synthetic.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(text) for text in lines]
    assert len(rows) == shape["written"]
    made = rows[0]["freehold"]["synthetic"]
    assert made["teacher"] == "freehold/acorn"
    assert made["licence"] == "Apache-2.0"
    assert made["parents"]
    rejected = (task / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rejected) == sum(shape["left_out"].values())
    assert json.loads(rejected[0])["reason"]
    assert (task / "examples.jsonl").read_bytes() == before

    assert main([*words, "--json", "-s", "data.synthetic=data/synthetic.jsonl"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["paid"] == 0
    assert again["written"] == shape["written"]
    assert (task / "data/synthetic.jsonl").read_text(encoding="utf-8").splitlines() == lines

    assert main(words) == 0
    out = capsys.readouterr().out
    assert "self_instruct    asked" in out
    assert (
        out.splitlines()[-1] == "next       freehold climb -s data.synthetic=data/synthetic.jsonl"
    )


def test_a_teacher_that_can_write_nothing_is_an_error_with_the_reasons(
    task: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = save_model(tmp_path / "untrained")
    words = ["data", "synth", "--teacher", str(folder), "--judge", "none", "--most-calls", "8"]
    assert main([*words, "--rejected", "rejected.jsonl"]) == 2
    err = capsys.readouterr().err
    assert "error[DAT-090]: none of the 8 rows that" in err
    assert "cause: " in err
    assert len((task / "rejected.jsonl").read_text(encoding="utf-8").splitlines()) == 8
    assert not (task / "data").exists()
    assert main([*words, "--dry-run"]) == 0
    assert "unknown (nowhere)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--method", "counterexamples"), "DAT-094"),
        (("--method", "documents"), "DAT-094"),
        (("--judge", "best"), "USE-002"),
        (("--teacher", "no-such-folder"), "MDL-008"),
        (("--out", "examples.jsonl"), "USE-007"),
        (("--out", "rows.csv"), "USE-006"),
        (("--most-calls", "3"), "USE-006"),
    ],
)
def test_what_is_missing_is_said_before_a_call_is_paid_for(
    task: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str
) -> None:
    assert main(["data", "synth", *words]) == 2
    assert f"error[{code}]" in capsys.readouterr().err


def test_pairs_that_a_climb_confused_become_a_method_and_its_best_rung_a_judge(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["-s", "ladder.rungs=[baseline]", "-s", "ladder.baseline.try=[majority]"]
    main(["climb", *quick, "--json"])
    capsys.readouterr()
    assert main(["data", "synth", "--dry-run", "--judge", "best"]) == 0
    out = capsys.readouterr().out
    assert "counterexamples" in out
    assert "confused pairs refunds→billing, tech→billing" in out
    assert "c1/baseline answers each new input" in out
