"""Every verb at the level of `main`, on a task that needs no language model."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

import freehold
from freehold.cli.main import main
from freehold.cli.verbs.climb import exit_code
from freehold.core.measure import Climb, RungResult, Verdict
from freehold.core.taskfile import read_task_file

QUICK = ("-s", "ladder.rungs=[baseline]", "-s", "ladder.baseline.try=[tfidf]")


def run_json(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    capsys.readouterr()
    code = main([*words, "--json"])
    out, err = capsys.readouterr()
    assert out.count("\n") == 1, "exactly one line on stdout"
    return code, json.loads(out), err


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".freehold" not in path.parts
    }


def test_a_climb_without_a_task_file_says_its_defaults_and_writes_two_folders(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(project)
    assert main(["climb", "examples.jsonl", *QUICK]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("No task.yaml, so defaults: quality ≥ 0.80, kept ≥ 0.97, freehold/acorn")
    assert "120 rows" in err
    assert "split" in err
    assert "c1 done in" in out
    assert "★ PASS" in out
    assert "Report   reports/c1.html (" in out
    assert "freehold init examples.jsonl" in out.splitlines()[-1]
    after = files_of(project)
    assert after.keys() - before.keys() == {"reports/c1.html"}
    assert {name: after[name] for name in before} == before
    kept = json.loads((project / ".freehold/climbs/c1/climb.json").read_text())
    assert kept["climb"] == "c1"


def test_json_is_one_object_that_fits_its_schema_and_the_climb_is_found_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, first, _ = run_json(capsys, "climb", "examples.jsonl", *QUICK)
    assert code == 0
    assert first["recommended"] == "baseline"
    assert first["report"] == "reports/c1.html"
    main(["check", "--schema", "climb"])
    jsonschema.validate(first, json.loads(capsys.readouterr().out))
    code, again, err = run_json(capsys, "climb", "examples.jsonl", *QUICK)
    assert (code, again) == (0, first)
    assert "measured before" in err
    code, reported, _ = run_json(capsys, "report")
    assert (code, reported) == (0, first)


def test_a_bar_that_nothing_meets_is_exit_code_3(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("climb", "examples.jsonl", "-s", "ladder.rungs=[baseline]", "-s", "bar.quality=0.99")
    code, shape, _ = run_json(capsys, *words, "-s", "ladder.baseline.try=[majority]")
    assert code == 3
    assert shape["recommended"] is None


def test_a_test_that_is_too_small_is_undecided_and_4_only_with_strict(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("climb", "examples.jsonl", *QUICK, "-n", "10")
    code, shape, _ = run_json(capsys, *words)
    assert shape["rungs"][0]["verdict"] == "UNDECIDED"
    assert shape["rungs"][0]["evaluated"] == 10
    assert code == 0
    assert run_json(capsys, *words, "--strict")[0] == 4


@pytest.mark.parametrize(
    ("verdicts", "recommended", "strict", "code"),
    [
        (["FAIL", "PASS"], "b1", False, 0),
        (["FAIL", "PASS"], "b1", True, 0),
        (["FAIL", "UNDECIDED"], None, False, 0),
        (["FAIL", "UNDECIDED"], None, True, 4),
        (["FAIL", "UNDECIDED"], "b1", True, 4),
        (["FAIL", "FAIL"], None, False, 3),
        (["SKIPPED", "ERROR"], None, True, 3),
    ],
)
def test_exit_codes_follow_the_verdicts(
    verdicts: list[str], recommended: str | None, strict: bool, code: int
) -> None:
    states = {"SKIPPED": "skipped", "ERROR": "failed"}
    rungs = tuple(
        RungResult.model_validate(
            {"rung": f"b{i}", "state": states.get(v, "measured"), "verdict": Verdict(v)}
        )
        for i, v in enumerate(verdicts)
    )
    climb = Climb(
        task="t",
        task_digest="x",
        snapshot_digest="y",
        rungs=rungs,
        recommended=recommended,
        why=(),
    )
    assert exit_code(climb, strict=strict) == code


def test_a_dry_run_prints_the_plan_and_does_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(project)
    assert main(["climb", "examples.jsonl", "--dry-run", "-s", "bar.quality=0.9"]) == 0
    out = capsys.readouterr().out
    assert "nothing was done" in out
    assert "bar.quality = 0.9  (-s bar.quality)" in out
    assert files_of(project) == before
    assert not (project / ".freehold").exists()


def test_init_writes_nine_lines_that_mean_what_was_shown(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("init", "examples.jsonl", "-s", f"model={tmp_path / 'absent'}")
    assert main([*words, "-s", "bar.quality=0.9"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("Looking at examples.jsonl … 120 rows")
    assert "3 labels → classification" in err
    assert out.splitlines() == [
        "Wrote task.yaml (9 lines), freehold.lock, .freehold/",
        "next  freehold check",
    ]
    text = (project / "task.yaml").read_text()
    assert len(text.splitlines()) == 9
    assert text.startswith("# yaml-language-server: $schema=.freehold/task.schema.json\n")
    task_file = read_task_file(project / "task.yaml")
    assert task_file.task == "examples"
    assert task_file.data.examples == "examples.jsonl"
    assert task_file.bar.quality == 0.9
    lock = json.loads((project / "freehold.lock").read_text())
    assert lock["data"]["sources"][0]["rows"] == 120
    schema = json.loads((project / ".freehold/task.schema.json").read_text())
    assert schema["title"] == "Freehold task file"


def test_init_leaves_a_task_file_alone_unless_told_otherwise(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (project / "task.yaml").write_text("mine")
    words = ["init", "examples.jsonl", "-s", f"model={tmp_path / 'absent'}"]
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err
    assert (project / "task.yaml").read_text() == "mine"
    assert main([*words, "-y"]) == 0
    assert (project / "task.yaml").read_text() != "mine"


def test_a_task_file_is_climbed_checked_and_locked(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main(["init", "examples.jsonl", "-s", f"model={tmp_path / 'absent'}"])
    code, checked, _ = run_json(capsys, "check")
    assert code == 0
    assert checked["ok"] is True
    assert checked["data"]["splits"] == {"train": 48, "dev": 12, "test": 40, "audit": 20}
    assert checked["treated_by"]
    assert checked["plan"] is None
    code, climbed, _ = run_json(capsys, "climb", *QUICK)
    assert code == 0
    assert climbed["snapshot"] == checked["snapshot"]
    rows = (project / "examples.jsonl").read_text()
    (project / "examples.jsonl").write_text(rows + '{"text": "one more", "label": "tech"}\n')
    main(["climb", *QUICK])
    assert "examples.jsonl: changed since freehold.lock" in capsys.readouterr().err


def test_data_that_is_named_takes_the_place_of_the_task_files(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "task.yaml").write_text("task: mine\ndata: absent.jsonl\nbar: {quality: 0.5}\n")
    code, shape, err = run_json(capsys, "climb", "examples.jsonl", *QUICK)
    assert code == 0
    assert (shape["task"], shape["bar"]["quality"]) == ("mine", 0.5)
    assert "No task.yaml" not in err
    assert not (project / "freehold.lock").exists()
    assert main(["climb", *QUICK]) == 2


def test_a_dry_run_of_eval_measures_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["climb", "examples.jsonl", *QUICK])
    capsys.readouterr()
    assert main(["eval", "c1/baseline", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out == "Plan: c1/baseline on 40 test examples as baseline; nothing was done.\n"
    assert run_json(capsys, "eval", "c1/baseline")[1]["eval"] == "e1"


def test_two_climbs_are_compared_on_the_same_examples(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    majority = ("-s", "ladder.rungs=[baseline]", "-s", "ladder.baseline.try=[majority]")
    main(["climb", "examples.jsonl", *majority])
    main(["climb", "examples.jsonl", *QUICK])
    capsys.readouterr()
    assert main(["report", "c2", "--against", "c1"]) == 0
    out = capsys.readouterr().out
    assert "c2/baseline" in out
    assert "same 40 test examples" in out
    assert "fixed" in out
    _, shape, _ = run_json(capsys, "report", "c2", "--against", "c1")
    assert len(shape["fixed"]) > 0
    assert shape["broken"] == []
    assert shape["difference"]["low"] > 0


def test_a_climb_is_exported_to_other_tools(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["climb", "examples.jsonl", *QUICK])

    def exported(name: str) -> str:
        capsys.readouterr()
        assert main(["report", "--format", name]) == 0
        return capsys.readouterr().out

    rows = list(csv.DictReader(io.StringIO(exported("csv"))))
    assert [(row["rung"], row["n"], row["kept"]) for row in rows] == [("baseline", "40", "")]
    suites = ElementTree.fromstring(exported("junit"))
    assert [suite.get("tests") for suite in suites] == ["1", "40"]
    assert suites[0].get("failures") == "0"
    assert exported("md").startswith("## examples")
    table = exported("lm-eval").splitlines()
    assert table[0].startswith("|Tasks|Version|Filter|n-shot|Metric|")
    assert table[2].startswith("|examples|1|baseline|0|exact_match|")
    assert exported("html").lower().startswith("<!doctype html>")
    assert json.loads(exported("json"))["climb"] == "c1"


def test_the_bare_command_says_where_the_task_stands(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    assert "freehold climb examples.jsonl" in capsys.readouterr().out
    main(["climb", "examples.jsonl", *QUICK])
    capsys.readouterr()
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "last   c1 climb     baseline ★ PASS" in out
    assert 'next   freehold eval c1 -i "TEXT"' in out
    _, shape, _ = run_json(capsys)
    assert shape["last"] == {"climb": "c1", "recommended": "baseline"}


def test_one_rung_is_measured_and_asked_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["climb", "examples.jsonl", *QUICK])
    code, shape, _ = run_json(capsys, "eval", "c1/baseline")
    assert code == 0
    assert shape["evaluated"] == 40
    assert shape["quality"]["n"] == 40
    main(["check", "--schema", "eval"])
    schema = json.loads(capsys.readouterr().out)
    jsonschema.validate(shape, schema)
    assert run_json(capsys, "eval", "c1/baseline", "-n", "5")[1]["evaluated"] == 5
    question = ("eval", "c1", "-i", "please send my money back", "--expect", "refunds")
    code, asked, _ = run_json(capsys, *question)
    jsonschema.validate(asked, schema)
    assert [(a["rung"], a["answer"], a["correct"]) for a in asked["answers"]] == [
        ("baseline", "refunds", True)
    ]
    assert main(list(question)) == 0
    assert "refunds  ✓" in capsys.readouterr().out
    assert main(["eval", "c1"]) == 0
    assert "quality      1.000" in capsys.readouterr().out


def test_the_source_of_every_setting_is_shown(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREEHOLD_BAR__KEPT", "0.5")
    words = ("check", "examples.jsonl", "--where", "-s", "bar.quality=0.9")
    _, shape, _ = run_json(capsys, *words)
    sources = {row["key"]: (row["value"], row["source"]) for row in shape["settings"]}
    assert sources["bar.quality"] == (0.9, "-s bar.quality")
    assert sources["bar.kept"] == (0.5, "FREEHOLD_BAR__KEPT")
    assert sources["bar.confidence"] == (0.95, "default")


def test_codes_and_schemas_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--explain", "cfg-001"]) == 0
    assert capsys.readouterr().out.startswith("CFG-001\nThe task file holds a key")
    assert main(["check", "--schema", "task"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Freehold task file"
    assert main(["check", "--explain", "CFG-999"]) == 2


def test_a_bundled_example_is_copied_once(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--example", "ticket-routing"]) == 0
    assert "cd ticket-routing && freehold climb" in capsys.readouterr().out
    assert read_task_file(project / "ticket-routing" / "task.yaml").task == "ticket-routing"
    before = files_of(project)
    assert main(["init", "--example", "ticket-routing"]) == 2
    assert files_of(project) == before
    assert main(["init", "--example", "ticket-rooting"]) == 2
    assert "freehold init --example ticket-routing" in capsys.readouterr().err
    shutil.rmtree(project / "ticket-routing")


def test_completion_is_installed_where_the_shell_looks(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = project / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SHELL", "/bin/zsh")
    assert main(["--install-completion", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("#compdef freehold")
    assert not home.exists()
    assert main(["--install-completion", "bash"]) == 0
    script = home / ".local/share/bash-completion/completions/freehold"
    assert capsys.readouterr().out.strip() == str(script)
    assert "complete -o default -F _freehold freehold" in script.read_text()
    monkeypatch.setenv("SHELL", "/bin/csh")
    assert main(["--install-completion"]) == 2


def test_help_and_version_are_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"freehold {freehold.__version__}\n"
    for words in (["--help"], ["climb", "--help"], ["train", "scratch", "-h"], ["-h", "eval"]):
        assert main(words) == 0
        page = capsys.readouterr().out
        assert "usage: freehold" in page
        assert all(len(line) <= 88 for line in page.splitlines()), words


def test_progress_as_json_is_a_line_per_event(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["climb", "examples.jsonl", *QUICK, "--display", "json"]) == 0
    lines = capsys.readouterr().err.splitlines()
    events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    assert events[0] == "climb_started"
    assert events[-1] == "climb_finished"
    assert "rung_progress" in events


def test_quiet_says_only_the_result(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["climb", "examples.jsonl", *QUICK, "-q"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("c1 done")


def test_standard_input_is_data(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (project / "examples.jsonl").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    code, shape, _ = run_json(capsys, "climb", "-", *QUICK)
    assert code == 0
    assert shape["task"] == "stdin"
