"""`freehold train` in two processes, as `torchrun` and `accelerate launch` start them: one training."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import ticket_rows, write_rows
from tests.models.tiny import save_model

from freehold.cli.environment import read_environment
from freehold.cli.main import main

TASK = """\
task: tickets
instruction: Route it.
data: examples.jsonl
model: ./model
kept: {items: 1, seed: 5}
ladder: {lora: {effort: quick, epochs: 1, r: 2, retention: {prompts: 4, scale: false}}}
"""
FOLDER = ".freehold/adapters"


@pytest.fixture
def small(project: Path) -> Path:
    """The project with a task file, 60 rows, and a tiny model of its own."""
    write_rows(project / "examples.jsonl", ticket_rows(60))
    (project / "task.yaml").write_text(TASK, encoding="utf-8")
    save_model(project / "model")
    return project


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def in_two(project: Path, *words: str, told: tuple[str, ...] = ()) -> list[tuple[int, str, str]]:
    """Start a command as a launcher does; return exit code, stdout and stderr of each process."""
    shared = ["WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", f"MASTER_PORT={free_port()}", *told]
    started = [
        subprocess.Popen(
            [
                *("env", f"RANK={rank}", f"LOCAL_RANK={rank}", *shared, "OMP_NUM_THREADS=1"),
                *(sys.executable, "-m", "freehold", *words),
            ],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [one.communicate(timeout=250) for one in started]
    return [(one.returncode, *both) for one, both in zip(started, said, strict=True)]


def training(project: Path, name: str) -> dict[str, object]:
    return json.loads((project / FOLDER / name / "training.json").read_text())


@pytest.mark.skipif(sys.platform == "win32", reason="gloo and `env` are POSIX here")
def test_two_processes_end_with_one_training_of_as_many_tokens_as_one_process_passes(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = in_two(small, "train", "lora", "--json")
    assert first[0] == 0, first[2]
    assert second == (0, "", "")
    shown = json.loads(first[1])
    assert (shown["training"], shown["adapter"]) == ("t1", f"{FOLDER}/t1")
    assert [one.name for one in (small / FOLDER).iterdir()] == ["t1"]
    assert [one.name for one in (small / ".freehold/trainings").iterdir()] == ["t1"]
    assert [one.name for one in (small / "reports").iterdir()] == ["t1.html"]
    together = training(small, "t1")
    assert main(["train", "lora", "--json"]) == 0
    assert "finished before" in capsys.readouterr().err
    (small / ".freehold").rename(small / "earlier")
    assert main(["train", "lora", "--json"]) == 0
    alone = training(small, "t1")
    for counted in ("tokens", "replay_tokens", "steps", "trainable_parameters"):
        assert together[counted] == alone[counted] != 0, counted
    assert len(list((small / "earlier/training").iterdir())) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="gloo and `env` are POSIX here")
@pytest.mark.parametrize("rung", ["lora", "full"])
def test_what_accelerate_calls_fsdp_divides_the_weights_and_trains_the_same(
    small: Path, capsys: pytest.CaptureFixture[str], rung: str
) -> None:
    full = "ladder.full={effort: quick, epochs: 1, retention: {prompts: 4, scale: false}}"
    words = ("train", rung, "--json", "-s", full)
    first, second = in_two(small, *words, told=("ACCELERATE_USE_FSDP=true",))
    assert first[0] == 0, first[2]
    assert second == (0, "", "")
    assert "2 train together, each holds a share of the weights (FSDP)" in first[2]
    (small / ".freehold").rename(small / "earlier")
    assert main(list(words)) == 0
    assert "train together" not in capsys.readouterr().err
    ways = [
        json.loads(next((small / name).glob("*/t1/training.json")).read_text())
        for name in ("earlier", ".freehold")
    ]
    divided, alone = ([point["value"] for point in one["loss_curve"]] for one in ways)
    assert divided == pytest.approx(alone, rel=0.01)
    assert ways[0]["tokens"] == ways[1]["tokens"]


@pytest.mark.skipif(sys.platform == "win32", reason="gloo and `env` are POSIX here")
def test_what_cannot_be_trained_is_said_by_the_first_process_alone(small: Path) -> None:
    first, second = in_two(small, "train", "few_shot")
    assert first[0] == 2
    assert "error[USE-006]" in first[2]
    assert second == (0, "", "")
    assert not (small / ".freehold").exists()


@pytest.mark.parametrize("verb", ["climb", "eval", "check"])
def test_other_verbs_are_refused_once_before_anything_is_done(
    small: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    words = [verb, "c1"] if verb == "eval" else [verb]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert "error[USE-009]" in err
    assert f"`freehold {verb}` was started in 2 processes" in err
    assert "torchrun --nproc-per-node 2 -m freehold train lora" in err
    monkeypatch.setenv("RANK", "1")
    assert main(words) == 0
    assert capsys.readouterr() == ("", "")
    assert not (small / ".freehold").exists()


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, (0, 1)),
        ({"RANK": "1", "WORLD_SIZE": "4"}, (1, 4)),
        ({"WORLD_SIZE": "4"}, (0, 1)),
        ({"RANK": "4", "WORLD_SIZE": "4"}, (0, 1)),
        ({"RANK": "-1", "WORLD_SIZE": "many"}, (0, 1)),
    ],
)
def test_a_process_is_one_of_several_only_where_a_launcher_says_both(
    variables: dict[str, str], place: tuple[int, int]
) -> None:
    environment = read_environment(variables)
    assert (environment.rank, environment.process_count) == place
