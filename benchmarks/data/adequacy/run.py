# pyright: basic
"""Does the interval of an extrapolated learning curve hold what more rows really give? banking77 and a simulation.

    OMP_NUM_THREADS=1 python benchmarks/data/adequacy/run.py --data ../shared/data

RESULTS.md beside this file is written by this script.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from freehold.core.sections import Columns
from freehold.data.adequacy import Measured, PowerLaw, expected_gain
from freehold.data.read import read
from freehold.ladder.learning_curve import learning_curve
from freehold.ladder.out_of_fold import drawn_rows

LAWS = (
    PowerLaw(0.05, 3, 0.5),
    PowerLaw(0.0, 2, 0.3),
    PowerLaw(0.15, 10, 1.0),
    PowerLaw(0.1, 5, 0.7),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--simulations", type=int, default=40)
    arguments = parser.parse_args()
    simulated = simulation(arguments.simulations)
    print("\n".join(simulated), flush=True)
    real = banking(arguments.data)
    (Path(__file__).parent / "RESULTS.md").write_text(
        page(simulated, real, arguments.simulations), encoding="utf-8"
    )


def simulated_curve(rng, law: PowerLaw, *, largest: int, rows: int) -> Measured:
    """Rows of one difficulty at all sizes but for 30 %, and the luck of each of four draws."""
    sizes = tuple(int(largest / 2 ** (step / 2)) for step in range(6, -1, -1))
    draws = np.repeat(np.arange(4), rows // 4)
    difficulty = rng.random(len(draws))
    right = np.empty((len(draws), len(sizes)), bool)
    for step, size in enumerate(sizes):
        luck = rng.normal(0, 0.01, 4)[draws]
        fresh = np.where(rng.random(len(draws)) < 0.3, rng.random(len(draws)), difficulty)
        right[:, step] = fresh > np.clip(law.error(size) + luck, 0, 1)
    return Measured(sizes, right, draws)


def simulation(times: int) -> list[str]:
    rng = np.random.default_rng(0)
    rows = []
    for law in LAWS:
        for largest, validation in ((400, 400), (2000, 2000)):
            truth = law.error(largest) - law.error(1.5 * largest)
            held = widths = 0.0
            for _ in range(times):
                measured = simulated_curve(rng, law, largest=largest, rows=validation)
                gain = expected_gain(
                    measured, now=largest, more=largest // 2, rng=rng, resamples=300
                )
                assert gain is not None
                held += gain.low <= truth <= gain.high
                widths += gain.high - gain.low
            rows.append(
                f"| {law.floor} + {law.scale} n^-{law.exponent} | {largest:,} | {validation:,} | {100 * truth:.1f} | "
                f"{held / times:.2f} | {100 * widths / times:.1f} |"
            )
    return rows


def banking(data: Path) -> list[str]:
    examples = read("banking77/train.jsonl", columns=Columns(), root=data).examples
    full = learning_curve(examples)
    assert full is not None
    truth = full.right_RS[:, -1].mean()
    rows = []
    for share in (0.25, 0.5):
        for seed in range(4):
            some = [
                examples[row]
                for row in drawn_rows(examples, round(share * len(examples)), seed=seed)
            ]
            started = time.process_time()
            measured = learning_curve(some, seed=seed)
            assert measured is not None
            gain = expected_gain(
                measured,
                now=measured.sizes[-1],
                more=full.sizes[-1] - measured.sizes[-1],
                rng=np.random.default_rng(seed),
            )
            assert gain is not None
            holds = gain.then_low <= truth <= gain.then_high
            now = measured.right_RS[:, -1].mean()
            rows.append(
                f"| {share:g} | {seed} | {measured.sizes[-1]:,} | {now:.3f} | {gain.share_then:.3f} "
                f"[{gain.then_low:.3f} {gain.then_high:.3f}] | {truth:.3f} at {full.sizes[-1]:,} | "
                f"{'yes' if holds else 'no'} | {time.process_time() - started:.0f} |"
            )
            print(rows[-1], flush=True)
    return rows


def page(simulated: list[str], real: list[str], times: int) -> str:
    held = sum("| yes |" in row for row in real)
    return "\n".join(
        [
            "# What more rows would give: does the interval hold?",
            "",
            "    OMP_NUM_THREADS=1 python benchmarks/data/adequacy/run.py --data ../shared/data",
            "",
            f"## banking77: fitted on a part, held against the whole ({held} of {len(real)} intervals of 95 % hold)",
            "",
            "Four draws of a quarter and of half of the 10,003 rows; the words head of the baseline rung, judged on rows"
            " that it did not see; sizes are what is left to train on.",
            "",
            "| share | draw | trained on | right there | extrapolated | measured | holds | CPU s |",
            "|---|---|---|---|---|---|---|---|",
            *real,
            "",
            f"## Simulation: a known power law, {times} curves each",
            "",
            "The share of 95 % intervals for the gain of half as many rows more that hold the true gain.",
            "",
            "| error(n) | largest size | validation rows | true gain, points | held | mean width, points |",
            "|---|---|---|---|---|---|",
            *simulated,
            "",
        ]
    )


if __name__ == "__main__":
    main()
