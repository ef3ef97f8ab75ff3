"""Kill one training at many random points, resume it each time, and compare it with one that was left alone.

    .venv/bin/python benchmarks/resume/run.py --kills 50

A tiny random model is trained with replay, its controller, dev checks, kept ability and divergence.
The trained process is killed (SIGKILL) after a random part of its run, wherever it is: in a pass, in a
check, while a checkpoint is written. The parent forks every training from a process that has loaded
the libraries, as loading them takes longer than training. Results go to RESULTS.md beside this file.
"""

# pyright: standard
from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))  # the tests' tiny models

from tests.train.conftest import coloured_rows, tiny_network, tiny_tokenizer  # noqa: E402
from tests.train.together import train  # noqa: E402

from freehold.core.sections import BaseModelSpec, LoraSpec  # noqa: E402
from freehold.models.local import open_local  # noqa: E402

SPEC = LoraSpec(r=4, epochs=4, learning_rate=1e-3, batch_tokens=256, effort="quick", seed=3)
COSTS = ("seconds", "evaluation_seconds", "peak_memory_bytes")


def start(base: Path, folder: Path) -> int:
    """Return the id of a process that trains, alone and from where the folder is."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        spec = BaseModelSpec(id=str(base))
        train(coloured_rows(24), open_local(spec, cache=base), folder, spec=SPEC)
        status = 0
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)


def ends_within(child: int, seconds: float) -> bool:
    """Wait so long, then kill; return whether it was done before."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                raise SystemExit(f"a training failed with status {status}")
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def left_by(folder: Path) -> tuple[bytes, dict[str, object]]:
    """Return the adapter's bytes, and the result without what a clock or a memory gauge decides."""
    result = json.loads((folder / "result.json").read_text())["result"]
    content = (folder / "adapter/adapter_model.safetensors").read_bytes()
    return content, {name: value for name, value in result.items() if name not in COSTS}


def main() -> None:
    """Measure, print and write RESULTS.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rng = random.Random(options.seed)
    began = time.monotonic()
    work = Path(tempfile.mkdtemp())
    base = work / "base"
    tiny_network("llama").save_pretrained(base)
    tiny_tokenizer().save_pretrained(base)
    whole_began = time.monotonic()
    if not ends_within(start(base, work / "whole"), 600):
        raise SystemExit("the training that is left alone took over ten minutes")
    length = time.monotonic() - whole_began
    wanted = left_by(work / "whole")
    kills = trainings = same = in_write = with_checkpoint = 0
    while kills < options.kills:
        folder = work / f"parts-{trainings}"
        killed = False
        while True:
            patience = rng.uniform(0.1, 1.0) * length if kills < options.kills else 600
            if ends_within(start(base, folder), patience):
                break
            kills, killed = kills + 1, True
            with_checkpoint += (folder / "checkpoint.safetensors").exists()
            in_write += any(folder.glob(".writing-*")) if folder.exists() else 0
        trainings += killed
        same += killed and left_by(folder) == wanted
        shutil.rmtree(folder)
    shutil.rmtree(work)
    steps, seconds = wanted[1]["steps"], time.monotonic() - began
    lines = [
        "# Killed and resumed",
        "",
        f"`.venv/bin/python benchmarks/resume/run.py --kills {options.kills} --seed {options.seed}`",
        "",
        "| | |",
        "|---|---|",
        f"| kills (SIGKILL, at a random time) | {kills} |",
        f"| of them with a checkpoint to go on from | {with_checkpoint} |",
        f"| of them with half a file beside it | {in_write} |",
        f"| trainings that were killed at least once | {trainings} |",
        f"| ended with the same bytes and the same result as one left alone | {same} |",
        f"| steps of a training | {steps} |",
        f"| all of it, seconds | {seconds:.0f} |",
        "",
        "Same result: everything in `result.json` but seconds and peak memory (loss, dev, kept and divergence",
        "curves, what the controller did, tokens, best step). One thread, CPU, tiny random llama, LoRA, replay, curvature.",
    ]
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")
    if same != trainings:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
