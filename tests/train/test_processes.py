# pyright: standard
from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tests.train.together import in_float32, train

from freehold.core.sections import LoraSpec
from freehold.models.local import LocalModel
from freehold.train import tune as tuning
from freehold.train.processes import ALONE, share_of
from freehold.train.records import TrainingResult
from freehold.train.rows import TrainingRow

SPEC = LoraSpec(r=4, epochs=2, learning_rate=1e-3, batch_tokens=256, effort="quick", seed=3)
WAYS = {
    "copies-lora": ("copies", SPEC),
    "shards-lora": ("shards", SPEC),
    "copies-full": ("copies", SPEC.model_copy(update={"kind": "full"})),
    "shards-full": ("shards", SPEC.model_copy(update={"kind": "full"})),
    "stopped": ("copies", SPEC),
}
STOP = 9
STEPS = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=9).map(tuple), max_size=12).map(
    tuple
)


@given(step=STEPS, count=st.integers(1, 9))
def test_the_shares_of_all_processes_together_are_the_step(
    step: tuple[tuple[int, ...], ...], count: int
) -> None:
    shares = [share_of(step, rank=rank, count=count) for rank in range(count)]
    rows = sorted(row for share in shares for part in share for row in part)
    assert rows == sorted(row for part in step for row in part)
    assert all(part for share in shares for part in share)
    passes = [len(share) for share in shares]
    if all(len(part) >= count for part in step):
        assert max(passes) == min(passes)
    wholes = [part for share in shares for part in share if part in step]
    assert len(wholes) >= len(step) // count * count


def test_a_process_alone_gets_the_step_as_it_is() -> None:
    assert ALONE.share(((1, 2), (3,))) == ((1, 2), (3,))
    assert (ALONE.rank, ALONE.count, ALONE.is_first) == (0, 1, True)


def test_a_process_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="no process 2 among 2"):
        share_of((), rank=2, count=2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def run_two(plan: Path) -> list[str]:
    """Start two processes as a launcher does, and return what each said."""
    shared = ["WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", f"MASTER_PORT={free_port()}"]
    started = [
        subprocess.Popen(
            [
                *("env", f"RANK={rank}", f"LOCAL_RANK={rank}", *shared, "OMP_NUM_THREADS=1"),
                *(sys.executable, "-m", "tests.train.together", str(plan)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for rank in range(2)
    ]
    said = [one.communicate(timeout=250)[0] for one in started]
    assert [one.returncode for one in started] == [0, 0]
    return said


def result_of(folder: Path) -> TrainingResult:
    content = json.loads((folder / "result.json").read_text())
    return TrainingResult.from_json(json.dumps(content["result"]))


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = (folder / "adapter").glob("*.safetensors")
    return load_file(file)


def kill_after(plan: Path, events: int) -> bool:
    """Train in a process that is killed after so many events; return whether it was killed."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.train.together", str(plan)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as one:
        for count, _ in enumerate(one.stdout or ()):
            if count >= events:
                one.send_signal(signal.SIGKILL)
                break
    return one.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_a_training_that_is_killed_goes_on_and_ends_bit_identical(
    folder_of: Callable[[str], Path],
    open_tiny: Callable[..., LocalModel],
    rows_of: Callable[[int], Sequence[TrainingRow]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three random points; benchmarks/resume kills at fifty."""
    monkeypatch.setattr(tuning, "precision_for", in_float32)
    rows, rng = rows_of(24), random.Random(11)
    training = {"folder": str(tmp_path / "parts"), "way": "alone", "spec": SPEC.to_json()}
    plan = {
        "base": str(folder_of("llama")),
        "rows": [row.to_json() for row in rows],
        "trainings": [training],
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    for _ in range(3):
        assert kill_after(tmp_path / "plan.json", rng.randrange(2, 9))
        assert not (tmp_path / "parts" / "result.json").exists()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name in ("parts", "whole"):
            train(rows, open_tiny(), tmp_path / name, spec=SPEC)
    finally:
        torch.set_num_threads(threads)
    parts, whole = (
        result_of(tmp_path / name).model_copy(
            update={"seconds": 0.0, "evaluation_seconds": 0.0, "peak_memory_bytes": 0}
        )
        for name in ("parts", "whole")
    )
    assert parts == whole
    assert weights_bytes(tmp_path / "parts") == weights_bytes(tmp_path / "whole")
    assert not list((tmp_path / "parts").glob(".writing-*"))


def weights_bytes(folder: Path) -> bytes:
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo and `env` are POSIX here")
def test_two_processes_end_where_one_does_with_copies_and_with_shards_and_after_a_stop(
    folder_of: Callable[[str], Path],
    open_tiny: Callable[..., LocalModel],
    rows_of: Callable[[int], Sequence[TrainingRow]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One pair of processes runs all of it, as starting them costs more than the trainings."""
    monkeypatch.setattr(tuning, "precision_for", in_float32)
    rows = rows_of(24)
    trainings: list[dict[str, Any]] = [
        {"folder": str(tmp_path / name), "way": way, "spec": spec.to_json()}
        for name, (way, spec) in WAYS.items()
    ]
    trainings[-1]["stop_after"] = STOP
    plan = {
        "base": str(folder_of("llama")),
        "rows": [row.to_json() for row in rows],
        "trainings": trainings,
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    first, second = run_two(tmp_path / "plan.json")
    assert first.count("stopped") == len(WAYS)
    assert first.count("paused") == second.count("paused") == 1
    assert "stepped" not in second
    for kind in ("lora", "full"):
        spec = SPEC.model_copy(update={"kind": kind})
        alone = train(rows, open_tiny(), tmp_path / f"alone-{kind}", spec=spec)
        wanted = weights_of(tmp_path / f"alone-{kind}")
        if kind == "lora":
            train(rows, open_tiny(), tmp_path / "stopped", spec=spec)
        for name in (f"copies-{kind}", f"shards-{kind}", *(["stopped"] if kind == "lora" else [])):
            result, found = result_of(tmp_path / name), weights_of(tmp_path / name)
            assert found.keys() == wanted.keys()
            for part, tensor in wanted.items():
                torch.testing.assert_close(found[part], tensor, rtol=1e-5, atol=1e-5)
            for curve in ("loss_curve", "dev_curve", "divergence_curve"):
                ours = [point.value for point in getattr(result, curve)]
                theirs = [point.value for point in getattr(alone, curve)]
                assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5), (name, curve)
            assert [one.weight for one in result.steering] == [one.weight for one in alone.steering]
            assert result.steps == alone.steps > STOP
