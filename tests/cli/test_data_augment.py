"""`freehold data augment` at the level of `main`: a new file, the user's own left as it is."""

import json
from pathlib import Path

import jsonschema
import pytest

from freehold.cli.console import open_console
from freehold.cli.environment import read_environment
from freehold.cli.looks import LOOKS
from freehold.cli.main import main
from freehold.cli.parse import parse
from freehold.cli.session import Session
from freehold.cli.shapes import AUGMENT_SCHEMA
from freehold.core.taskfile import read_task_file
from freehold.ladder.prepare import prepare

TASK = "task: tickets\ninstruction: Route it.\ndata: examples.jsonl\n"


@pytest.fixture
def task(project: Path) -> Path:
    (project / "task.yaml").write_text(TASK, encoding="utf-8")
    return project


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def test_copies_go_to_a_new_file_that_a_climb_trains_on(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (task / "examples.jsonl").read_bytes()
    assert main(["data", "augment", "--noise", "typos", "--noise", "casing", "--json"]) == 0
    shape = json.loads(capsys.readouterr().out)
    jsonschema.validate(shape, dict(AUGMENT_SCHEMA))
    assert shape["file"] == "data/augmented.jsonl"
    assert set(shape["kinds"]) == {"typos", "casing"}
    assert shape["setting"] == "data: {examples: examples.jsonl, synthetic: data/augmented.jsonl}"
    written = rows_of(task / "data/augmented.jsonl")
    assert len(written) == shape["written"] > 20
    assert (task / "examples.jsonl").read_bytes() == before

    given = ["-s", "data.synthetic=data/augmented.jsonl"]
    assert main(["check", *given, "--json"]) == 0
    with_copies = json.loads(capsys.readouterr().out)
    assert main(["check", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    for split in ("dev", "test", "audit"):
        assert with_copies["data"]["splits"][split] == alone["data"]["splits"][split]
    trained = alone["data"]["splits"]["train"] + shape["written"]
    assert with_copies["data"]["splits"]["train"] == trained
    assert main(["check", *given]) == 0
    out = capsys.readouterr().out
    assert "synthetic" in out
    assert "of the training rows (50 %): " in out

    quick = ["-s", "ladder.rungs=[baseline]", "-s", "ladder.baseline.try=[tfidf]"]
    assert main(["climb", *given, *quick, "--json"]) == 0
    capsys.readouterr()
    assert main(["report", "--format", "html"]) == 0
    assert "training rows (50.0 %) are synthetic" in capsys.readouterr().out


def test_the_cap_of_the_task_holds_and_is_said(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "augment"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("next       freehold climb -s data.synthetic=")
    given = ["-s", "data.synthetic=data/augmented.jsonl", "-s", "data.synthetic_share=0.25"]
    assert main(["check", *given]) == 0
    out = capsys.readouterr().out
    assert "DAT-091" in out
    assert "over data.synthetic_share" in out
    assert "DAT-018" not in out


def test_typed_again_it_is_the_same_and_other_rows_are_replaced_with_y_only(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "augment", "--count", "10"]
    assert main(words) == 0
    file = task / "data/augmented.jsonl"
    before = file.read_bytes()
    assert main(words) == 0
    assert file.read_bytes() == before
    assert main(["data", "augment", "--count", "12"]) == 2
    assert "USE-007" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert main(["data", "augment", "--count", "12", "-y"]) == 0
    assert len(rows_of(file)) == 12


def test_a_file_of_the_user_is_never_written_over(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (task / "examples.jsonl").read_bytes()
    assert main(["data", "augment", "--out", "examples.jsonl", "-y"]) == 2
    assert "error[USE-007]" in capsys.readouterr().err
    assert (task / "examples.jsonl").read_bytes() == before


def test_a_dry_run_writes_nothing(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "augment", "--dry-run"]) == 0
    assert "nothing was done" in capsys.readouterr().out
    assert not (task / "data").exists()


def test_inputs_that_cannot_change_are_an_error_with_its_reason(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": f"{n * 7919}", "label": "ab"[n % 2]} for n in range(60)]
    (task / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["data", "augment"]) == 2
    err = capsys.readouterr().err
    assert "error[DAT-095]" in err
    assert "nothing could be changed in it" in err


def test_the_look_of_check_has_the_figures_for_programs(
    task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "augment", "--count", "11"]) == 0
    capsys.readouterr()
    text = TASK.replace(
        "data: examples.jsonl", "data: {examples: examples.jsonl, synthetic: data/augmented.jsonl}"
    )
    (task / "task.yaml").write_text(text, encoding="utf-8")
    invocation = parse(["check"])
    session = Session(
        invocation, open_console(invocation, read_environment({})), read_environment({})
    )
    seen = LOOKS["synthetic"](prepare(read_task_file(task / "task.yaml"), root=task), session)
    assert seen.figures["rows"] == 11
    assert seen.figures["most_share"] == 0.5
    assert seen.lines == ()  # the share stands beside the splits already
