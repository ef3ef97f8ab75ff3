"""Bad input is told in one message with a way out; exit code 2, no traceback, no file touched."""

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from freehold.cli.main import main
from freehold.core.codes import CODES

Prepare = Callable[[Path], None]


def ticket_rows(count: int) -> list[dict[str, str]]:
    queues = ("billing", "refunds", "tech")
    return [
        {"text": f"about {queues[i % 3]}, case {i}", "label": queues[i % 3]} for i in range(count)
    ]


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


TASK = """\
task: tickets
instruction: Route it.
data: examples.jsonl
metric: exact_match
bar:
  quality: 0.8
"""


def text_file(name: str, content: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / name).write_text(content, encoding="utf-8")

    return prepare


def rows_file(rows: list[dict[str, str]]) -> Prepare:
    return lambda folder: write_rows(folder / "examples.jsonl", rows)


def binary_file(folder: Path) -> None:
    (folder / "examples.jsonl").write_bytes(bytes(range(256)) * 40)


def broken_archive(folder: Path) -> None:
    whole = gzip.compress(json.dumps({"text": "a", "label": "b"}).encode() * 100)
    (folder / "examples.jsonl.gz").write_bytes(whole[: len(whole) // 2])


def rows_without_input(folder: Path) -> None:
    write_rows(folder / "examples.jsonl", [{"text": "", "label": "x"}] * 40)


def mixed_formats(folder: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    lines = [json.dumps(row) for row in ticket_rows(30)] + [json.dumps(chat)] * 30
    (folder / "examples.jsonl").write_text("\n".join(lines))


def model_without_weights(folder: Path) -> None:
    (folder / "model").mkdir()
    (folder / "model/config.json").write_text(
        json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]})
    )


def model_with_pickle_weights(folder: Path) -> None:
    model_without_weights(folder)
    (folder / "model/pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))


def model_of_wrong_architecture(folder: Path) -> None:
    (folder / "model").mkdir()
    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
    (folder / "model/config.json").write_text(json.dumps(config))
    (folder / "model/model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (folder / "model/tokenizer.json").write_text("{}")


def nothing(folder: Path) -> None:
    del folder


DATA = ["climb", "examples.jsonl"]
MODEL = ["climb", "examples.jsonl", "-s", "model=model", "-s", "ladder.rungs=[zero_shot]"]
CASES: dict[str, tuple[Prepare, list[str], str, str]] = {
    "a missing file": (nothing, ["climb", "absent.jsonl"], "DAT-", "absent.jsonl"),
    "a file that is nearly there": (nothing, ["climb", "exmples.jsonl"], "DAT-", "examples.jsonl"),
    "an empty file": (text_file("examples.jsonl", ""), DATA, "DAT-", "examples.jsonl"),
    "a binary file": (binary_file, DATA, "DAT-", "examples.jsonl"),
    "a cut archive": (broken_archive, ["climb", "examples.jsonl.gz"], "DAT-", "examples.jsonl.gz"),
    "rows without input": (rows_without_input, DATA, "DAT-", "row"),
    "mixed formats": (mixed_formats, DATA, "DAT-", "row"),
    "five examples": (rows_file(ticket_rows(5)), DATA, "DAT-", "5"),
    "one label only": (
        rows_file([{**row, "label": "billing"} for row in ticket_rows(60)]),
        DATA,
        "DAT-",
        "billing",
    ),
    "duplicate ids": (
        rows_file([{**row, "id": "same"} for row in ticket_rows(60)]),
        DATA,
        "DAT-",
        "same",
    ),
    "no task and no data": (nothing, ["climb"], "USE-003", "freehold climb examples.jsonl"),
    "an unknown key": (
        text_file("task.yaml", TASK.replace("metric", "metrik")),
        ["climb"],
        "CFG-001",
        "did you mean `metric`?",
    ),
    "a wrong type": (
        text_file("task.yaml", TASK.replace("0.8", "high")),
        ["check"],
        "CFG-003",
        "task.yaml:6:12",
    ),
    "an impossible bar": (
        text_file("task.yaml", TASK.replace("0.8", "85")),
        ["check"],
        "CFG-004",
        "write 0.85 for 85 %",
    ),
    "a schema that goes in a circle": (
        text_file("task.yaml", TASK + 'output:\n  schema: {allOf: [{$ref: "#"}]}\n'),
        ["check"],
        "CFG-004",
        "circle",
    ),
    "a text that a schema refers to": (
        text_file("task.yaml", TASK + 'output:\n  schema: {$ref: "https://x.example/s"}\n'),
        ["check"],
        "CFG-004",
        "not inside the schema",
    ),
    "data on a hub": (nothing, ["check", "hf://org/name"], "DAT-041", "--online"),
    "rows of one text": (
        rows_file([{"text": f"only {n}"} for n in range(40)]),
        DATA,
        "DAT-043",
        "documents",
    ),
    "JSON that is called CSV": (
        text_file("x.csv", '{"text": "a", "label": "b"}\n'),
        ["check", "x.csv"],
        "DAT-042",
        "x.csv",
    ),
    "broken YAML": (text_file("task.yaml", "task: [a\nb: {"), ["check"], "CFG-002", "task.yaml"),
    "an impossible setting": (nothing, [*DATA, "-s", "bar.quality=85"], "CFG-004", "bar.quality"),
    "an unknown setting": (nothing, [*DATA, "-s", "bar.qualty=0.5"], "CFG-001", "quality"),
    "a missing model": (nothing, MODEL, "MDL-", "model"),
    "a model without weights": (model_without_weights, MODEL, "MDL-", "model"),
    "pickle weights": (model_with_pickle_weights, MODEL, "MDL-", "safetensors"),
    "a wrong architecture": (model_of_wrong_architecture, MODEL, "MDL-", "bert"),
    "an unknown climb": (nothing, ["report", "c7"], "USE-002", "freehold climb"),
    "a folder that is not there": (nothing, ["-C", "absent", "check"], "USE-006", "absent"),
    "a text that is not there": (
        nothing,
        ["train", "scratch", "out", "--text", "absent.txt"],
        "DAT-001",
        "absent.txt",
    ),
    "an unknown setting of a training": (
        nothing,
        ["train", "scratch", "out", "-s", "hiden=8"],
        "CFG-001",
        "did you mean `hidden`?",
    ),
    "an impossible setting of a training": (
        nothing,
        ["train", "scratch", "out", "-s", "layers=0"],
        "CFG-004",
        "layers",
    ),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".freehold" not in path.parts
    }


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_told_with_a_way_out(
    case: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, words, code, named = CASES[case]
    prepare(project)
    before = contents(project)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"error[{code}" in err
    assert named in err
    assert "help: " in err
    assert "Traceback" not in err
    assert contents(project) == before


@pytest.mark.parametrize("case", ["an impossible bar", "a missing file", "an unknown climb"])
def test_as_json_the_one_object_is_the_error(
    case: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, words, code, _ = CASES[case]
    prepare(project)
    assert main([*words, "--json"]) == 2
    out = capsys.readouterr().out
    error = json.loads(out)["error"]
    assert error["code"].startswith(code)
    assert error["code"] in CODES
    assert error["message"]
    assert error["help"]
    assert set(error) >= {"code", "message", "where", "cause", "help"}


def test_all_problems_of_a_file_are_told_at_once_in_file_order(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TASK.replace("metric:", "metrik:").replace("0.8", "85")
    (project / "task.yaml").write_text(text)
    assert main(["check"]) == 2
    err = capsys.readouterr().err
    assert err.index("CFG-001") < err.index("CFG-004")
    last = err.splitlines()[-1]
    assert last.startswith("2 problems in task.yaml")
    assert last.endswith("exit 2")


def test_a_bug_is_exit_code_1_with_a_saved_traceback(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(session: object) -> int:
        raise KeyError("no such thing")

    monkeypatch.setattr("freehold.cli.verbs.state.run", broken)
    (project / ".freehold").mkdir()
    assert main([]) == 1
    err = capsys.readouterr().err
    assert "error[BUG-001]" in err
    assert "Traceback" not in err
    [saved] = (project / ".freehold" / "mishaps").iterdir()
    assert saved.name in err
    assert "KeyError: 'no such thing'" in saved.read_text()


def test_a_label_that_only_test_rows_have_is_a_warning_with_its_name(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(
        project / "test.jsonl", [{"text": f"odd one {i}", "label": "legal"} for i in range(9)]
    )
    words = ["check", "examples.jsonl", "-s", "data.test=test.jsonl"]
    assert main(words) == 0
    assert "legal" in capsys.readouterr().out
    assert main([*words, "--strict"]) == 2
