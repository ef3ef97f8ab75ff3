# pyright: basic
"""Climb public data sets and write RESULTS.md beside this file.

    python benchmarks/climb/run.py --data ../shared/data [--work build/climb] [--only banking77-all ...]

Each data set becomes a project folder under --work with a task.yaml made here; `freehold climb --json`
does the rest. Typed again, it resumes.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
DEV_ROWS, AUDIT_ROWS, SEED = 200, 100, 7
Row = dict[str, object]


@dataclass(frozen=True)
class Problem:
    """One data set as a task."""

    name: str
    folder: str
    instruction: str
    metric: str
    bar: float
    prepare: Callable[[list[Row]], list[Row]]
    test_file: str = "test.jsonl"
    limit: int | None = None


def rows_of(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def everything(rows: list[Row]) -> list[Row]:
    return rows


def a_thousand(rows: list[Row]) -> list[Row]:
    """1,000 rows to train on, and dev and audit rows beside them."""
    return random.Random(SEED).sample(rows, 1000 + DEV_ROWS + AUDIT_ROWS)


def joined_context(rows: list[Row]) -> list[Row]:
    """The paragraphs of a context as one text; the long answer would give the answer away."""
    return [
        {
            "id": row["id"],
            "input": row["input"],
            "context": "\n".join(row["context"]),  # type: ignore[arg-type]
            "target": row["target"],
        }
        for row in rows
    ]


def intents_and_slots(rows: list[Row]) -> list[Row]:
    return [{"input": row["input"], "target": row["target"]} for row in rows]


BANKING = "Name the intent of this question of a bank's customer."
PROBLEMS = (
    Problem("banking77-all", "banking77", BANKING, "exact_match", 0.90, everything),
    Problem("banking77-1000", "banking77", BANKING, "exact_match", 0.80, a_thousand, limit=300),
    Problem(
        "clinc150",
        "clinc150",
        "Name the intent of this request to a voice assistant, or oos if it is none of them.",
        "exact_match",
        0.80,
        everything,
        limit=300,
    ),
    Problem(
        "snips",
        "snips",
        "Turn the request into JSON with its intent and slots.",
        "json_fields",
        0.80,
        intents_and_slots,
        test_file="validation.jsonl",
    ),
    Problem(
        "pubmedqa",
        "pubmedqa",
        "Answer the question from its context with yes, no or maybe.",
        "exact_match",
        0.60,
        joined_context,
    ),
)


def make_project(problem: Problem, data: Path, work: Path) -> Path:
    project = work / problem.name
    project.mkdir(parents=True, exist_ok=True)
    for name, source, rows in (
        ("examples.jsonl", "train.jsonl", problem.prepare),
        ("test.jsonl", problem.test_file, joined_context if problem.name == "pubmedqa" else None),
    ):
        found = rows_of(data / problem.folder / source)
        kept = rows(found) if rows else intents_and_slots(found)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
        (project / name).write_text(text, encoding="utf-8")
    (project / "task.yaml").write_text(
        f"""task: {problem.name}
instruction: {problem.instruction}
data:
  examples: examples.jsonl
  test: test.jsonl
  split: {{dev: {DEV_ROWS}, audit: {AUDIT_ROWS}, seed: {SEED}}}
model: freehold/acorn
metric: {problem.metric}
bar:
  quality: {problem.bar}
  kept: 0.97
ladder:
  stop: full
  few_shot: {{k: [4]}}
  structured: {{k: [0]}}
  lora: {{effort: quick}}
""",
        encoding="utf-8",
    )
    return project


def climb(project: Path, *more: str) -> dict[str, object]:
    command = [sys.executable, "-m", "freehold", "climb", "--json", "--display", "plain", *more]
    done = subprocess.run(command, cwd=project, stdout=subprocess.PIPE, check=False)
    if done.returncode not in {0, 3}:
        raise SystemExit(f"{project.name}: freehold climb ended with {done.returncode}")
    return json.loads(done.stdout)


def measure(problem: Problem, project: Path) -> dict[str, object]:
    """Climb; where test rows were limited, the baseline also answers all of them."""
    if problem.limit is None:
        return {"found": climb(project)}
    baseline = climb(project, "-s", "ladder.rungs=[baseline]")
    return {"found": climb(project, "-n", str(problem.limit)), "baseline": baseline}


def interval(value: dict[str, float] | None) -> str:
    if not value or value.get("mean") is None:
        return "-"
    return f"{value['mean']:.3f} [{value['low']:.3f} {value['high']:.3f}]"


def table(name: str, measured: dict[str, object]) -> str:
    found: dict[str, object] = measured["found"]  # type: ignore[assignment]
    took = f"{measured['minutes']:.1f} minutes in its last call"
    lines = [f"## {name}", "", f"recommended: **{found['recommended']}**, {took}", ""]
    lines.append("| rung | quality | n | failed | p95 s | $/1k | build s | kept | verdict |")
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for rung in found["rungs"]:  # type: ignore[union-attr]
        quality = rung["quality"]
        if quality is None:
            lines.append(f"| {rung['rung']} | {rung['reason']} | | | | | | | {rung['verdict']} |")
            continue
        cells = [
            rung["rung"],
            interval(quality),
            quality["n"],
            quality["failed"],
            f"{rung['seconds_p95']:.3f}" if rung["seconds_p95"] is not None else "-",
            f"{rung['dollars_per_1k']:.4f}" if rung["dollars_per_1k"] is not None else "-",
            f"{rung['build_seconds']:.0f}",
            interval(rung["kept"]),
            rung["verdict"] + (f" ({rung['reason']})" if rung["reason"] else ""),
        ]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    lines.append("")
    lines.extend(f"- {sentence}" for sentence in found["why"])  # type: ignore[union-attr]
    if found["audit"]:
        audit = found["audit"]
        agrees = "agrees" if audit["agrees"] else "contradicts"  # type: ignore[index]
        lines.append(f"- audit: {interval(audit)} on n={audit['n']}, {agrees}")  # type: ignore[index, arg-type]
    if "baseline" in measured:
        (rung,) = measured["baseline"]["rungs"]  # type: ignore[index]
        quality = rung["quality"]
        lines.append(f"- baseline on all test rows: {interval(quality)} n={quality['n']}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("build/climb"))
    parser.add_argument("--only", nargs="*", default=[problem.name for problem in PROBLEMS])
    parser.add_argument("--write", action="store_true", help="write RESULTS.md from what is there")
    arguments = parser.parse_args()
    tables: list[str] = []
    for problem in PROBLEMS:
        finished = arguments.work / problem.name / "result.json"
        if problem.name in arguments.only:
            project = make_project(problem, arguments.data, arguments.work)
            started = time.monotonic()
            measured = measure(problem, project)
            measured["minutes"] = (time.monotonic() - started) / 60
            finished.write_text(json.dumps(measured))
        if finished.exists():
            tables.append(table(problem.name, json.loads(finished.read_text())))
    if arguments.only and len(arguments.only) < len(PROBLEMS) and not arguments.write:
        return
    head = (HERE / "HEAD.md").read_text(encoding="utf-8")
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    day = datetime.now(UTC).date().isoformat()
    (HERE / "RESULTS.md").write_text(
        f"{head}\nMade on {day}, {machine}.\n\n" + "\n".join(tables), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
