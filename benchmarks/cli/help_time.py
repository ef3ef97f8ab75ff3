# pyright: basic
"""How long `freehold --help` takes, as a ratio against `python -c pass` in the same run.

    python benchmarks/cli/help_time.py            prints, and writes help_time.json beside this file

Both commands are started alternately, so that a busy machine slows both; the medians are compared.
Only the ratio may be compared between machines.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

REPEATS = 31
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "freehold --help": [str(Path(sys.executable).with_name("freehold")), "--help"],
    "freehold completion": [
        str(Path(sys.executable).with_name("freehold")),
        "__complete",
        "report",
        "",
    ],
}


class Taken(NamedTuple):
    """What one start took: on the clock, and of the processor alone."""

    wall_seconds: float
    cpu_seconds: float


def start(command: list[str]) -> Taken:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Taken(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    taken: dict[str, list[Taken]] = {name: [] for name in COMMANDS}
    for _ in range(REPEATS):
        for name, command in COMMANDS.items():
            taken[name].append(start(command))
    wall = {name: statistics.median(t.wall_seconds for t in every) for name, every in taken.items()}
    cpu = {name: statistics.median(t.cpu_seconds for t in every) for name, every in taken.items()}
    base = wall["python -c pass"]
    result = {
        "command": "python benchmarks/cli/help_time.py",
        "python": platform.python_version(),
        "repeats": REPEATS,
        "load_of_the_machine": os.getloadavg()[0],
        "processors": os.cpu_count(),
        "wall_milliseconds": {name: round(1000 * value, 1) for name, value in wall.items()},
        "cpu_milliseconds": {name: round(1000 * value, 1) for name, value in cpu.items()},
        "ratio_to_python": {name: round(value / base, 2) for name, value in wall.items()},
    }
    text = json.dumps(result, indent=2)
    Path(__file__).with_name("help_time.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
