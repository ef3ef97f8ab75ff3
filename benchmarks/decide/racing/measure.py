# pyright: basic
"""Measure every rung on every test row of three data sets, and keep the score of each row.

    python benchmarks/decide/racing/measure.py --data ../shared/data [--work build/racing] [--only snips]

Each data set becomes a project folder under --work; `freehold climb` with `stop: full` does the rest, and
typed again it resumes. The scores go to outcomes.jsonl beside this file: one line per data set and
rung, in racing order, so that `run.py` can race over them again and again without a model.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from freehold.core.measure import Run
from freehold.ladder.race import racing_order
from freehold.ladder.recall import finished_climb
from freehold.store.store import Store

HERE = Path(__file__).parent
OUTCOMES = HERE / "outcomes.jsonl"
DEV_ROWS, AUDIT_ROWS, SEED = 200, 100, 7
RUNGS = "[baseline, zero_shot, few_shot, structured, retrieve]"


@dataclass(frozen=True)
class Problem:
    """One data set as a task: 1,000 rows to build with, `test_rows` to judge with."""

    name: str
    instruction: str
    metric: str
    test_file: str
    test_rows: int
    train_rows: int = 1_000


PROBLEMS = (
    Problem(
        "banking77",
        "Name the intent of this question of a bank's customer.",
        "exact_match",
        "test.jsonl",
        1_000,
    ),
    Problem(
        "clinc150",
        "Name the intent of this request to a voice assistant, or oos if it is none of them.",
        "exact_match",
        "test.jsonl",
        400,
    ),
    Problem(
        "snips",
        "Turn the request into JSON with its intent and slots.",
        "json_fields",
        "validation.jsonl",
        400,
    ),
)


def rows_of(path: Path) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{"input": row["input"], "target": row["target"]} for row in rows]


def make_project(problem: Problem, data: Path, work: Path, *, stop: str, bar: float) -> Path:
    """Write the rows and the task file of a data set, and return the project folder."""
    project = work / problem.name
    project.mkdir(parents=True, exist_ok=True)
    drawn = random.Random(SEED)
    train = rows_of(data / problem.name / "train.jsonl")
    train = drawn.sample(train, min(len(train), problem.train_rows + DEV_ROWS + AUDIT_ROWS))
    test = rows_of(data / problem.name / problem.test_file)
    test = drawn.sample(test, min(len(test), problem.test_rows))
    for name, rows in (("examples.jsonl", train), ("test.jsonl", test)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
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
bar: {{quality: {bar}}}
ladder:
  stop: {stop}
  rungs: {RUNGS}
  few_shot: {{k: [4]}}
  structured: {{k: [0]}}
  retrieve: {{k: [4]}}
""",
        encoding="utf-8",
    )
    return project


def climb(project: Path) -> dict[str, object]:
    """Climb a project with the product's own command, and return what it printed."""
    command = [sys.executable, "-m", "freehold", "climb", "--json", "--display", "plain"]
    done = subprocess.run(command, cwd=project, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 3, 4):
        raise SystemExit(f"{project.name}: freehold climb ended with {done.returncode}")
    return json.loads(done.stdout)


def outcomes(project: Path, climb_id: str) -> list[dict[str, object]]:
    """Return one line per measured rung: the scores in racing order, None where a row failed."""
    with Store.open(project, clock=lambda: datetime.now(UTC)) as store:
        found = finished_climb(store, climb_id)
        order = racing_order(found.snapshot.test.examples, seed=found.snapshot.seed)
        lines: list[dict[str, object]] = []
        for result in found.climb.rungs:
            if result.run_digest is None:
                continue
            scores = store.get(result.run_digest, Run).scores
            row = [scores.get(example.id) for example in order]
            lines.append(
                {
                    "data": project.name,
                    "rung": result.rung,
                    "scores": [None if s is None else round(s, 4) for s in row],
                }
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("build/racing"))
    parser.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    kept: list[dict[str, object]] = []
    if OUTCOMES.exists():
        kept = [json.loads(line) for line in OUTCOMES.read_text(encoding="utf-8").splitlines()]
    for problem in PROBLEMS:
        if given.only and problem.name not in given.only:
            continue
        project = make_project(problem, given.data, given.work, stop="full", bar=0.80)
        shape = climb(project)
        kept = [line for line in kept if line["data"] != problem.name]
        kept.extend(outcomes(project, str(shape["climb"])))
        names = [each.name for each in PROBLEMS]
        kept.sort(key=lambda line: names.index(str(line["data"])))
        OUTCOMES.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


if __name__ == "__main__":
    main()
