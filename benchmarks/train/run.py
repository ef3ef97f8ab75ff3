# pyright: basic
"""Training throughput and memory of Freehold's loop against TRL, supervised or by preferences.

Both train the same rank and targets on the same base, the same rows once, the same rows per step, the
same number of steps, precision, optimizer, schedule and clipping. `sft` compares with SFTTrainer, loss
on the answers alone; `dpo` with DPOTrainer. Every training has a process of its own; the arms take
turns, and the order turns round at each repeat.

    OMP_NUM_THREADS=1 taskset -c 0 .venv/bin/python benchmarks/train/run.py dpo --data ../shared/data/snips

Time is the CPU time of the process on one core, because the machine is shared; wall time stands
beside it. Tokens are real tokens, padding left out: what a user has to train on.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from arms import ARMS, Measured
from setting import HELD_OUT, SPEC, add_arguments, setting_of

HELD_OUT_IS = {"sft": "held-out loss", "dpo": "held-out pairs preferred"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lesson", choices=tuple(ARMS))
    add_arguments(parser)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--only", nargs="+", help="these arms; `freehold` is the measure")
    parser.add_argument("--one", help="measure this arm once, in this process, and print JSON")
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(asdict(measure_one(arguments))))
        return
    print(heading(arguments), flush=True)
    for precision in arguments.precision:
        found = measure(arguments, precision)
        print("\n" + table(arguments.lesson, precision, found) + "\n", flush=True)


def measure_one(arguments: argparse.Namespace) -> Measured:
    warnings.filterwarnings("ignore", category=FutureWarning)
    with tempfile.TemporaryDirectory() as scratch:
        setting = setting_of(arguments, arguments.precision[0], Path(scratch))
        return ARMS[arguments.lesson][arguments.one](setting)


def measure(arguments: argparse.Namespace, precision: str) -> dict[str, list[Measured]]:
    """Return each arm's trainings; the arms take turns, in an order that turns round."""
    arms = arguments.only or list(ARMS[arguments.lesson])
    found: dict[str, list[Measured]] = {arm: [] for arm in arms}
    for repeat in range(arguments.repeats):
        for arm in arms[:: 1 if repeat % 2 == 0 else -1]:
            command = [sys.executable, *sys.argv, "--precision", precision, "--one", arm]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[arm].append(Measured(**json.loads(done.stdout.splitlines()[-1])))
            print(f"{precision:9} repeat {repeat + 1} {arm:30} {found[arm][-1]}", flush=True)
    return found


def heading(arguments: argparse.Namespace) -> str:
    base = "random, of acorn's shape" if arguments.random_base else arguments.base.name
    rows = arguments.steps * arguments.rows_per_step
    return (
        f"{arguments.lesson}, base {base}, LoRA r={SPEC.r} on {SPEC.layers}, {rows} rows of"
        f" {arguments.data.name if arguments.data else 'generated text'}"
        f" ({HELD_OUT} others held out), {arguments.rows_per_step} rows per step,"
        f" {arguments.steps} steps, {torch.get_num_threads()} thread(s), torch {torch.__version__},"
        f" {platform.machine()}, {time.strftime('%Y-%m-%d')}\n"
    )


def table(lesson: str, precision: str, found: Mapping[str, Sequence[Measured]]) -> str:
    ours = median(found["freehold"], "cpu_seconds") if "freehold" in found else None
    lines = [
        "| arm | precision | tokens/s (CPU time) | CPU s | wall s | Freehold is faster by | peak MiB"
        f" | MiB above the start | {HELD_OUT_IS[lesson]} |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for arm, runs in found.items():
        cpu = median(runs, "cpu_seconds")
        before = "" if runs[0].before is None else f" (from {runs[0].before:.3f})"
        ratio = "" if arm == "freehold" or ours is None else f"{cpu / ours:.2f}x"
        lines.append(
            f"| {arm} | {precision} | {runs[0].tokens / cpu:,.0f} | {cpu:.2f}"
            f" | {median(runs, 'wall_seconds'):.2f} | {ratio} | {median(runs, 'peak_mib'):,.0f}"
            f" | {median(runs, 'grown_mib'):,.0f} | {median(runs, 'after'):.3f}{before} |"
        )
    return "\n".join(lines)


def median(runs: Sequence[Measured], name: str) -> float:
    return statistics.median(getattr(run, name) for run in runs)


if __name__ == "__main__":
    main()
