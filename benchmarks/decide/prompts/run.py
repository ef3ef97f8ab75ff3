# pyright: basic
"""What a search for a prompt gains on dev and on test: acorn on subsets of snips and banking77.

    OMP_NUM_THREADS=1 python benchmarks/decide/prompts/run.py --data ../shared/data

RESULTS.md beside this file is written by this script. Finished cells are kept in cells.jsonl and not run again.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np

from freehold import __version__
from freehold.core.sections import RungName
from freehold.core.taskfile import parse_task_file
from freehold.evaluate.paired import paired_difference
from freehold.evaluate.scorers import scorer
from freehold.ladder.prepare import prepare
from freehold.ladder.rungs import RUNGS
from freehold.ladder.tools import Models, Tools
from freehold.ladder.work import Workshop
from freehold.report import numbers
from freehold.store.store import Store

HERE = Path(__file__).parent
COMMAND = "OMP_NUM_THREADS=1 python benchmarks/decide/prompts/run.py --data ../shared/data"
TEST, DEV, TRAIN = 200, 160, 600
CELLS = (("snips", "structured"), ("banking77", "structured"), ("snips", "few_shot"))
INSTRUCTIONS = {
    "snips": "Name the intent of the request to a voice assistant.",
    "banking77": "Name the intent of the customer's message to the bank.",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=1200)
    parser.add_argument(
        "--most", type=int, default=len(CELLS), help="cells to run; 0: write the page"
    )
    arguments = parser.parse_args()
    kept = HERE / "cells.jsonl"
    cells = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    (HERE / "RESULTS.md").write_text(page(cells, arguments.calls), encoding="utf-8")
    for data, rung in CELLS[: arguments.most]:
        if not any((one["data"], one["rung"]) == (data, rung) for one in cells):
            cells.append(cell(arguments.data, data, rung=rung, calls=arguments.calls))
            kept.write_text("".join(json.dumps(one) + "\n" for one in cells), encoding="utf-8")
        (HERE / "RESULTS.md").write_text(page(cells, arguments.calls), encoding="utf-8")


def rows_of(folder: Path, data: str) -> list[dict[str, str]]:
    """Rows of the training file, drawn with a fixed seed: text and intent."""
    rows = [json.loads(line) for line in (folder / data / "train.jsonl").open(encoding="utf-8")]
    random.Random(5).shuffle(rows)
    found = []
    for row in rows:
        target = row.get("target", row.get("label"))
        label = target["intent"] if isinstance(target, dict) else target
        found.append({"text": row.get("input", row.get("text")), "label": str(label)})
    return found[: TEST + DEV + TRAIN]


def cell(folder: Path, data: str, *, rung: str, calls: int) -> dict:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        lines = [json.dumps(row) + "\n" for row in rows_of(folder, data)]
        (root / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
        text = (
            f"task: {data}\ninstruction: {INSTRUCTIONS[data]}\n"
            f"data: {{examples: rows.jsonl, split: {{test: {TEST}, dev: {DEV}, audit: 0}}}}\n"
            f"ladder: {{rungs: [{rung}], {rung}: {{k: [4], search: {{calls: {calls}}}}}}}\n"
        )
        prepared = prepare(parse_task_file(text), root=root)
        with Store.open(root, clock=lambda: datetime.now(UTC)) as store:
            return measured(prepared, store, root=root, data=data, rung=RUNGS[cast(RungName, rung)])


def measured(prepared, store, *, root, data, rung) -> dict:
    task, snapshot = prepared.task, prepared.snapshot
    judge = scorer(task.metric, task.output, root=root)
    models = Models(cache=root)
    tools = Tools(
        task=task,
        train=snapshot.train,
        passages=(),
        store=store,
        models=models,
        clock=time.monotonic,
        on_progress=lambda _step: None,
        scorer=judge,
    )
    shop = Workshop(tools=tools, scorer=judge, dev=snapshot.dev, confidence=task.bar.confidence)
    began = time.monotonic()
    chosen = shop.choose(rung)
    seconds = time.monotonic() - began
    gain = chosen.prompt_gain
    assert gain is not None
    variants = [*rung.variants(tools)]
    found = rung.search(tools, shop._exam)  # found in the store: nothing is asked again
    variants.append(found.variant or variants[0])
    scores = []
    for variant in variants:
        built = shop.build(rung, variant).candidate
        run = shop.run(built, shop.load(rung, built), snapshot.test, phase="choosing on dev")
        scores.append({**{r.example_id: 0.0 for r in run.results}, **run.scores})
    test = paired_difference(
        scores[1], scores[0], binary=True, confidence=0.95, rng=np.random.default_rng(0)
    )
    seen = [step for step in gain.steps if "that chose it" in step]
    return {
        "data": data,
        "rung": rung.name,
        "labels": len(task.output.labels),
        "found": gain.found,
        "chosen": chosen.variant.name,
        "seen": gain.seen,
        "seen_gain": float(seen[0].split()[0]) if seen else 0.0,
        "dev": gain.difference.to_json(),
        "start_test": sum(scores[0].values()) / len(scores[0]),
        "test": test.to_json(),
        "calls": gain.calls,
        "seconds": seconds,
        "steps": list(gain.steps),
        "system": found.variant.spec["system"] if found.variant else None,
    }


def difference(one: dict) -> str:
    return (
        f"{numbers.signed_points(one['mean'])} [{100 * one['low']:+.1f} {100 * one['high']:+.1f}]"
        f" n={one['n']}"
    )


def page(cells: list[dict], calls: int) -> str:
    lines = [
        "# What a search for a prompt gains",
        "",
        f"Command: `{COMMAND}` (Freehold {__version__}; `calls: {calls}` for each search, the other settings as they"
        " are without being set; model freehold/acorn).",
        "",
        f"{TRAIN} training, {DEV} dev and {TEST} test rows of the public training file, drawn with a fixed seed."
        " Points are percentage points of exact match, the found prompt against the same rung without a search"
        " (k=4), paired on the same rows, with 95 % intervals. `seen dev` is the gain on the rows that chose the"
        " prompt: it has no interval, as it is the best of many looks. `held dev` are rows that no choice looked at,"
        " and the figure that a climb reports. Test was looked at once, here, after the search.",
        "",
        "| data | labels | rung | without search, test | seen dev | held dev | test | calls | minutes | chosen |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in cells:
        lines.append(
            f"| {one['data']} | {one['labels']} | {one['rung']} | {one['start_test']:.3f}"
            f" | {100 * one['seen_gain']:+.1f} n={one['seen']} | {difference(one['dev'])} | {difference(one['test'])}"
            f" | {one['calls']:,} | {one['seconds'] / 60:.1f} | {one['chosen']} |"
        )
    done = {(one["data"], one["rung"]) for one in cells}
    lines += [
        f"| {data} | | {rung} | not measured yet | | | | | | |"
        for data, rung in CELLS
        if (data, rung) not in done
    ]
    lines += ["", "What each search did:", ""]
    for one in cells:
        lines.append(f"- {one['data']}, {one['rung']}: " + "; ".join(one["steps"]) + ".")
    lines += [
        "",
        "Minutes were measured on two cores that other measurements shared. One seed each: a search with another"
        " seed finds another prompt. acorn has a few million parameters and hardly follows instructions, so that"
        " its own proposals are seldom of use; a larger base, or `proposer:`, was not measured here.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
