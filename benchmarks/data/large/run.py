# pyright: standard
"""Ten million rows of 200 bytes: read, checked and searched for exact repeats by two processes.

The rows are made here, in a temporary folder (2 GB), with a known number of repeats (other capitals and
punctuation) and of broken rows, so that the counts of the survey can be held against the truth. Each run is
a process of its own; the peak is the largest sum of the resident memory of that process and its children,
looked at ten times a second, so that pages which they share are counted twice.

    nice -n 5 .venv/bin/python benchmarks/data/large/run.py
    .venv/bin/python benchmarks/data/large/run.py --rows 1000000 --workers 2 1 --no-table
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROW_BYTES = 200
REPEAT_EVERY = 20
BREAK_EVERY = 100_003
MIB = 1 << 20
SEED = 7
LABELS = ("billing", "refunds", "shipping", "returns", "account", "other")
OPENINGS = ("Hello, my order", "Good morning, parcel", "Hi there, invoice", "Please help: ticket")
MIDDLES = ("has not arrived", "came damaged", "was charged twice", "shows the wrong address")
ENDS = ("since Tuesday", "for three days now", "and nobody answers", "although I paid", "again")
RESULTS = Path(__file__).with_name("RESULTS.md")


@dataclass(frozen=True)
class Made:
    """What the file holds: its rows, and how many of them repeat others or are broken."""

    rows: int
    repeats: int
    broken: int
    bytes: int


def question(number: int) -> str:
    mixed = (number * 2_654_435_761) % (1 << 32)
    opening = OPENINGS[mixed % len(OPENINGS)]
    middle = MIDDLES[mixed // 7 % len(MIDDLES)]
    end = ENDS[mixed // 31 % len(ENDS)]
    return f"{opening} {number} {middle} {end}; what can you do about case {mixed}?"


def line(text: str, number: int) -> str:
    row = f'{{"text": "{text}", "label": "{LABELS[number % len(LABELS)]}", "note": "'
    return f'{row}{"x" * (ROW_BYTES - len(row) - 3)}"}}\n'


def lines(count: int, made: dict[str, int]) -> Iterator[str]:
    for number in range(count):
        if number % BREAK_EVERY == BREAK_EVERY - 1:
            made["broken"] += 1
            yield line(question(number), number)[:-4].ljust(ROW_BYTES - 1) + "\n"
        elif number % REPEAT_EVERY == REPEAT_EVERY - 1:
            earlier = number // 2
            is_fresh = earlier % BREAK_EVERY != BREAK_EVERY - 1
            while earlier % REPEAT_EVERY == REPEAT_EVERY - 1:
                earlier //= 2
                is_fresh = is_fresh and earlier % BREAK_EVERY != BREAK_EVERY - 1
            if is_fresh:
                made["repeats"] += 1
                yield line(question(earlier).upper().replace(";", " - "), number)
            else:
                yield line(question(number), number)
        else:
            yield line(question(number), number)


def make(path: Path, count: int) -> Made:
    made = {"broken": 0, "repeats": 0}
    with path.open("w", encoding="utf-8", buffering=MIB) as out:
        out.writelines(lines(count, made))
    return Made(count, made["repeats"], made["broken"], path.stat().st_size)


def measured(path: Path, workers: int) -> dict[str, Any]:
    """Survey the file in a process of its own; return its words, the seconds and the peak."""
    command = [sys.executable, __file__, "--survey", str(path), "--workers", str(workers)]
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    tree, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        peak = max(peak, resident(tree))
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = json.loads(process.stdout.read()) if process.stdout and process.returncode == 0 else {}
    return {"workers": workers, "seconds": seconds, "cpu": cpu, "peak_mib": peak / MIB, **said}


def resident(tree: psutil.Process) -> int:
    total = 0
    try:
        for process in (tree, *tree.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        return total
    return total


def survey_of(path: Path, workers: int) -> None:
    from freehold.core.sections import Columns
    from freehold.data.files import find_files
    from freehold.data.stream import survey

    (file,) = find_files(path.name, root=path.parent)
    found = survey(file, columns=Columns(), workers=workers).survey
    print(
        json.dumps(
            {
                "rows": found.source.rows,
                "usable": found.usable,
                "repeats": found.repeats,
                "broken": sum(drop.rows for drop in found.drops),
                "labels": len(found.labels),
                "longest": found.lengths.longest,
            }
        )
    )


def table(made: Made, runs: list[dict[str, Any]]) -> str:
    head = f"""# Ten million rows on a laptop

`benchmarks/data/large/run.py`: {made.rows:,} rows of {made.bytes / made.rows:.0f} bytes ({made.bytes / 1e9:.2f} GB) of JSON
lines, of which {made.repeats:,} ask what an earlier row asks (in capitals, with other punctuation) and {made.broken:,} are broken.
Every row is parsed, taken apart, checked, measured and compared after normalising; the SHA-256 of the file is taken as well.
Python {platform.python_version()}, {psutil.cpu_count()} cores. Other work ran on them at the same time, so the CPU seconds, of all processes
together, say more than the seconds on the clock: an idle machine needs about half of them, as two processes share the work.

    nice -n 5 .venv/bin/python benchmarks/data/large/run.py

| processes | seconds | CPU seconds | rows a CPU second | peak memory | asked | repeats found | broken found |
|---:|---:|---:|---:|---:|---|---:|---:|
"""
    rows = "".join(
        f"| {run['workers']} | {run['seconds']:.0f} | {run['cpu']:.0f} | {made.rows / run['cpu']:,.0f} | {run['peak_mib']:,.0f} MiB"
        f" | ≤ 2,048 MiB: {'met' if run['peak_mib'] <= 2048 else 'missed'}"
        f" | {run['repeats']:,} of {made.repeats:,} | {run['broken']:,} of {made.broken:,} |\n"
        for run in runs
    )
    return head + rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--no-table", action="store_true")
    parser.add_argument("--survey", type=Path)
    parser.add_argument("--workers", type=int, nargs="*", default=[2])
    given = parser.parse_args()
    if given.survey is not None:
        survey_of(given.survey, given.workers[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jsonl"
        made = make(path, given.rows)
        print(made, flush=True)
        runs = []
        for workers in given.workers:
            runs.append(measured(path, workers))
            print(runs[-1], flush=True)
            if not given.no_table:
                RESULTS.write_text(table(made, runs), encoding="utf-8")


if __name__ == "__main__":
    main()
