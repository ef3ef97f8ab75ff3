"""The verbs that need a language model, on the bundled one; the process imports torch once."""

import json
from pathlib import Path

import jsonschema
import pytest

from freehold.cli.main import main


def test_a_plan_is_measured_and_leaves_no_trace(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rungs = "ladder.rungs=[baseline, zero_shot, lora]"
    assert main(["check", "examples.jsonl", "--plan", "-s", rungs, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    by_name = {row["rung"]: row for row in plan}
    climbed = [by_name[name] for name in ("baseline", "zero_shot", "lora")]
    assert set(by_name) - {"baseline", "zero_shot", "lora"} <= {"prefer", "distil", "full"} | {
        "lora+retrieve"
    }
    assert all(row["state"] == "planned" for row in climbed)
    assert all(row["seconds"] > 0 and row["dollars"] > 0 for row in climbed)
    assert by_name["baseline"]["memory_gib"] is None
    assert by_name["lora"]["memory_gib"] > 0
    assert sorted(path.name for path in project.iterdir()) == ["examples.jsonl"]


def test_a_model_is_measured_with_the_instruction_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "task.yaml").write_text(
        "task: tickets\ninstruction: Route it.\ndata: examples.jsonl\n", encoding="utf-8"
    )
    assert main(["eval", "freehold/acorn", "-n", "4", "--json"]) == 0
    shape = json.loads(capsys.readouterr().out)
    assert shape["eval"] == "e1"
    assert shape["model"] == "freehold/acorn"
    assert shape["evaluated"] == 4
    assert shape["dollars_per_1k"] > 0
    main(["check", "--schema", "eval"])
    jsonschema.validate(shape, json.loads(capsys.readouterr().out))
    assert main(["eval", "freehold/acorn", "-n", "4"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("e1 freehold/acorn · 4 test examples · exact_match")
    assert "next     freehold climb -s model=freehold/acorn" in out


def test_a_small_model_is_trained_from_nothing_and_goes_on_when_typed_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ["hidden=32", "layers=1", "heads=2", "feed_forward=32", "vocabulary=400", "context=128"]
    run = ["batch_tokens=512", "micro_tokens=512", "warm_up_tokens=500"]
    words = ["train", "scratch", "tiny"]
    words += [word for setting in (*size, *run) for word in ("-s", setting)]
    assert main([*words, "-s", "tokens=6000", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["model"] == "tiny/model"
    assert first["tokens"] == 6000
    assert (project / "tiny/model/model.safetensors").is_file()
    assert main([*words, "-s", "tokens=12000"]) == 0
    out, err = capsys.readouterr()
    assert "Model    tiny/model" in out
    assert "loss" in out
    assert "tokens 12,000/12,000 (100 %)" in err
    assert main([*words, "-s", "hidden=64"]) == 2
    assert "error[" in capsys.readouterr().err
