# pyright: basic
"""Race over simulated ladders with known truth and over recorded answers, and write RESULTS.md and RECORDED.md.

    python benchmarks/decide/racing/run.py [--ladders 2000] [--recorded]

The answers are in outcomes.jsonl, which `measure.py` makes. No model is asked here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rules import (
    ALPHA,
    FAIL,
    PASS,
    answer,
    binary_crossings,
    bounded_crossings,
    exhaustive,
    race,
)
from scipy import stats

from freehold.core.measure import Verdict
from freehold.core.sections import Bar
from freehold.evaluate.estimates import Evidence
from freehold.evaluate.statistics import (
    SEQUENTIAL_SHARE,
    betting_p_value,
    binomial_p_value,
    estimate_scores,
    raced_estimate,
    raced_p_value,
    wilson,
)
from freehold.ladder.decide import Contender, judge
from freehold.ladder.race import Rules, after_next_batch, reason_to_stop

HERE = Path(__file__).parent
BARS, SIZES = (0.5, 0.65, 0.8, 0.9, 0.95), (3, 6, 9)
GAP, POWER, CHUNK, ORDERS, SEED = 0.05, 0.90, 200, 200, 11
SHARED = 0.5
RUNGS = ("baseline", "zero_shot", "few_shot", "structured", "retrieve")
CODES = {Verdict.PASS: PASS, Verdict.FAIL: FAIL, Verdict.UNDECIDED: 0}
Answers = NDArray[np.bool_]


# The fixed-n design ------------------------------------------------------------------------------


@cache
def fixed_power(n: int, bar: float, rungs: int) -> tuple[float, float]:
    """The power of the tests for a fixed n, 5 points above and below the bar."""
    counts = np.arange(n + 1)
    passes = stats.binom.sf(counts - 1, n, bar) <= ALPHA / rungs
    fails = np.array([wilson(int(k), n)[1] < bar for k in counts])
    above = float(stats.binom.pmf(counts, n, min(1.0, bar + GAP)) @ passes)
    return above, float(stats.binom.pmf(counts, n, bar - GAP) @ fails)


def fixed_n(bar: float, rungs: int, *, above: float, below: float) -> int:
    """The least n (in steps of 10) with at least this power on both sides."""
    for n in range(20, 20_000, 10):
        found = fixed_power(n, bar, rungs)
        if found[0] >= above and found[1] >= below:
            return n
    raise ValueError("no such n")


@dataclass(frozen=True)
class Design:
    """How many examples a race may use, its power 5 points off the bar, and the fixed n that matches it."""

    bar: float
    rungs: int
    planned: int
    above: float
    below: float
    fixed: int


def design(bar: float, rungs: int, rng: np.random.Generator) -> Design:
    planned = fixed_n(bar, rungs, above=POWER, below=POWER)
    draws = 4_000
    power = []
    for truth, wanted in ((min(1.0, bar + GAP), PASS), (bar - GAP, FAIL)):
        right = rng.random((draws, 1, planned)) < truth
        crossed = binary_crossings(right, bar, rungs)
        up, down = crossed.up[rungs - 1, :, 0], crossed.down[:, 0]
        hit = up < down if wanted == PASS else (down <= up) & (down < crossed.never)
        power.append(float(hit.mean()))
    return Design(
        bar, rungs, planned, *power, fixed=fixed_n(bar, rungs, above=power[0], below=power[1])
    )


# Simulated ladders -------------------------------------------------------------------------------


def answers(truths: NDArray[np.float64], n: int, rng: np.random.Generator) -> Answers:
    """Right and wrong [ladder, rung, example]; half of the difficulty is the example's own."""
    ladders, rungs = truths.shape
    shared = rng.standard_normal((ladders, 1, n), dtype=np.float32)
    own = rng.standard_normal((ladders, rungs, n), dtype=np.float32)
    difficulty = math.sqrt(SHARED) * shared + math.sqrt(1 - SHARED) * own
    return difficulty < stats.norm.ppf(truths)[:, :, None]


def at_the_bar(
    bar: float, shape: tuple[int, int], _rng: np.random.Generator
) -> NDArray[np.float64]:
    return np.full(shape, bar)


def up_to_the_bar(
    bar: float, shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    found = np.sort(rng.uniform(bar - 0.4, bar, shape), axis=1)
    found[:, -1] = bar
    return found


def clear(bar: float, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Every rung at least 5 points off: the first part 5 to 40 below, the last third 5 to 15 above."""
    below = bar - rng.uniform(GAP, 0.40, shape)
    above = bar + rng.uniform(GAP, max(GAP, min(0.15, 1 - bar)), shape)
    is_above = (
        np.arange(shape[1])[None, :]
        >= rng.integers(shape[1] * 2 // 3, shape[1] + 1, shape[0])[:, None]
    )
    return np.sort(np.where(is_above, np.minimum(above, 1.0), np.maximum(below, 0.01)), axis=1)


def anything(bar: float, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """From 30 points below to 10 above the bar, near the bar as often as anywhere."""
    return np.sort(rng.uniform(bar - 0.3, min(1.0, bar + 0.1), shape), axis=1)


SCENES = {"at the bar": at_the_bar, "up to the bar": up_to_the_bar, "5 off": clear, "any": anything}


@dataclass(frozen=True)
class Raced:
    """What one way of racing came to over the ladders of one setting."""

    false_pass: float
    share: float
    same: float


def chunks(total: int) -> Iterator[int]:
    return (min(CHUNK, total - start) for start in range(0, total, CHUNK))


def simulate(
    found: Design, scene: str, *, ladders: int, rng: np.random.Generator
) -> dict[str, Raced]:
    """Return, by the way of stopping: any false PASS, median share evaluated, agreement with everything."""
    kept: dict[str, list[list[NDArray[np.float64]]]] = {"first_pass": [], "budget": []}
    for size in chunks(ladders):
        truths = SCENES[scene](found.bar, (size, found.rungs), rng)
        right = answers(truths, found.planned, rng)
        crossed = binary_crossings(right, found.bar, found.rungs)
        whole = answer(exhaustive(right, found.bar))
        for how, rows in kept.items():
            verdicts, evaluated = race(crossed, found.planned, first_pass=how == "first_pass")
            is_false = ((verdicts == PASS) & (truths <= found.bar)).any(axis=1)
            same = np.where(whole == -2, np.nan, answer(verdicts) == whole)
            share = evaluated.sum(axis=1) / (found.rungs * found.fixed)
            rows.append([is_false.astype(float), share, same])
    results = {}
    for how, rows in kept.items():
        false, share, same = (np.concatenate(column) for column in zip(*rows, strict=True))
        agreed = float(np.nanmean(same)) if np.isfinite(same).any() else math.nan
        results[how] = Raced(float(false.mean()), float(np.median(share)), agreed)
    return results


def by_gap(found: Design, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Return (gap in points, median share of the fixed n, share settled) of single rungs."""
    rows = []
    for points in (-30, -20, -15, -10, -7.5, -5, 5, 7.5, 10, 15):
        truth = found.bar + points / 100
        if not 0 < truth <= 1:
            continue
        right = rng.random((2_000, 1, found.planned)) < truth
        crossed = binary_crossings(right, found.bar, found.rungs)
        at = np.array([*_looks(found.planned), found.planned])
        first = np.minimum(crossed.up[found.rungs - 1, :, 0], crossed.down[:, 0])
        settled = float((first < crossed.never).mean())
        rows.append((points, float(np.median(at[first])) / found.fixed, settled))
    return rows


def _looks(planned: int) -> tuple[int, ...]:
    found, n = [], 0
    while n < planned:
        n = after_next_batch(n, planned)
        found.append(n)
    return tuple(found)


# The product's own functions, one rung at a time ---------------------------------------------------


def contender(scores: list[float], bar: float, *, binary: bool, is_last: bool) -> Contender:
    shown = raced_estimate(scores, binary=binary, confidence=1 - ALPHA, is_last=is_last)
    p_value = raced_p_value(scores, bar, binary=binary, is_last=is_last)
    share = 1 - SEQUENTIAL_SHARE if binary else 1.0
    return Contender("rung", Evidence(shown, shown, p_value, share))


def product_race(
    ladder: NDArray[np.float64], bar: float, *, binary: bool, first_pass: bool
) -> tuple[list[int], list[int]]:
    rungs, n = ladder.shape
    rules = Rules(bar=Bar(quality=bar), planned=n, rungs=rungs)
    before: list[Contender] = []
    evaluated: list[int] = []
    for row in ladder:
        because, seen, racer = None, 0, contender([], bar, binary=binary, is_last=False)
        while because is None:
            seen = after_next_batch(seen, n)
            racer = contender(row[:seen].tolist(), bar, binary=binary, is_last=seen == n)
            because = reason_to_stop(racer, before, rules=rules, evaluated=seen)
        before.append(racer)
        evaluated.append(seen)
        if first_pass and because == "passed":
            break
    verdicts = [CODES[found.verdict] for found in judge(before, bar=rules.bar, rungs=rungs)]
    left = rungs - len(verdicts)
    return verdicts + [0] * left, evaluated + [0] * left


def product_whole(ladder: NDArray[np.float64], bar: float, *, binary: bool) -> list[int]:
    """The verdicts of `stop: full`."""
    contenders = []
    for row in ladder.tolist():
        shown = estimate_scores(row, binary=binary)
        p_value = (
            binomial_p_value(round(sum(row)), len(row), bar=bar)
            if binary
            else betting_p_value(row, bar)
        )
        contenders.append(Contender("rung", Evidence(shown, shown, p_value)))
    return [CODES[found.verdict] for found in judge(contenders, bar=Bar(quality=bar))]


def check(found: Design, rng: np.random.Generator) -> int:
    """Compare the arrays with the product on one ladder in each way; return how many were compared."""
    right = answers(anything(found.bar, (1, found.rungs), rng), found.planned, rng)
    crossed = binary_crossings(right, found.bar, found.rungs)
    ladder = right[0].astype(float)
    for first_pass in (True, False):
        verdicts, evaluated = race(crossed, found.planned, first_pass=first_pass)
        product = product_race(ladder, found.bar, binary=True, first_pass=first_pass)
        if product != (verdicts[0].tolist(), evaluated[0].tolist()):
            raise SystemExit(
                f"arrays and product differ: {found}, {product}, {verdicts}, {evaluated}"
            )
    if product_whole(ladder, found.bar, binary=True) != exhaustive(right, found.bar)[0].tolist():
        raise SystemExit(f"arrays and product differ on the whole: {found}")
    return 2


# Recorded answers --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    """One data set and bar over many orders."""

    data: str
    bar: float
    n: int
    answer: str
    share: dict[str, float]
    same: dict[str, float]


def recorded(lines: list[dict[str, object]], data: str, rng: np.random.Generator) -> list[Recorded]:
    rows = [line for line in lines if line["data"] == data]
    names = [str(line["rung"]) for line in rows]
    scores = np.array([line["scores"] for line in rows], dtype=float)
    binary = bool(np.isin(scores, (0.0, 1.0)).all())
    rungs, n = scores.shape
    orders = np.array([rng.permutation(n) for _ in range(ORDERS)])
    shuffled = np.stack([scores[:, order] for order in orders])
    found = []
    best = scores.mean(axis=1)
    bars = sorted(
        {
            round(float(b), 2)
            for b in (
                best.max() - 0.15,
                best.max() - 0.10,
                best.max() - 0.05,
                best.max() + 0.05,
                0.80,
            )
        }
    )
    for bar in bars:
        whole = product_whole(scores, bar, binary=binary)
        wanted = int(answer(np.array([whole]))[0])
        if binary:
            crossed = binary_crossings(shuffled == 1.0, bar, rungs)
        else:
            flat = bounded_crossings(shuffled.reshape(-1, n), bar, rungs)
            crossed = type(flat)(
                flat.up.reshape(rungs, ORDERS, rungs), flat.down.reshape(ORDERS, rungs), flat.never
            )
        share, same = {}, {}
        for how in ("first_pass", "budget"):
            verdicts, evaluated = race(crossed, n, first_pass=how == "first_pass")
            product = product_race(shuffled[0], bar, binary=binary, first_pass=how == "first_pass")
            if product != (verdicts[0].tolist(), evaluated[0].tolist()):
                raise SystemExit(f"arrays and product differ on {data} at {bar}")
            share[how] = float(np.median(evaluated.sum(axis=1))) / scores.size
            same[how] = float((answer(verdicts) == wanted).mean())
        said = {-1: "none", -2: "open"}.get(wanted, names[wanted] if wanted >= 0 else "")
        found.append(Recorded(data, bar, n, said, share, same))
    return found


# The page ----------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ladders", type=int, default=2_000)
    parser.add_argument("--recorded", action="store_true", help="only RECORDED.md")
    given = parser.parse_args()
    if (HERE / "outcomes.jsonl").exists():
        write_recorded()
    if given.recorded:
        return
    ladders = given.ladders
    began = time.perf_counter()
    rng = np.random.default_rng(SEED)
    designs = [design(bar, rungs, rng) for bar, rungs in itertools.product(BARS, SIZES)]
    compared = sum(check(found, rng) for found in designs)
    results = {}
    for found in designs:
        for scene in SCENES:
            results[found, scene] = simulate(found, scene, ladders=ladders, rng=rng)
            print(found, scene, results[found, scene], flush=True)
    gaps = [(found, by_gap(found, rng)) for found in designs if found.rungs == 6]
    text = page(designs, results, gaps, ladders=ladders, compared=compared)
    head = (HERE / "HEAD.md").read_text(encoding="utf-8")
    (HERE / "RESULTS.md").write_text(head + "\n" + text, encoding="utf-8")
    print(f"{time.perf_counter() - began:.0f} s")


def write_recorded() -> None:
    lines = [json.loads(t) for t in (HERE / "outcomes.jsonl").read_text("utf-8").splitlines()]
    rng = np.random.default_rng(SEED)
    names = list(dict.fromkeys(str(line["data"]) for line in lines))
    real = [row for name in names for row in recorded(lines, name, rng)]
    (HERE / "RECORDED.md").write_text(recorded_page(lines, real), encoding="utf-8")


def recorded_page(lines: list[dict[str, object]], real: list[Recorded]) -> str:
    """Races over the recorded answers of acorn and the baselines."""
    settled = [row for row in real if row.answer != "open"]
    shares = [row.share["first_pass"] for row in settled]
    same = [row.same["first_pass"] for row in settled]
    out = [
        "# Racing over recorded answers\n",
        "    python benchmarks/decide/racing/measure.py --data ../shared/data",
        "    python benchmarks/decide/racing/run.py --recorded\n",
        f"Every rung answered every test row once (outcomes.jsonl); then {ORDERS} random orders are raced at each bar:"
        " 15, 10 and 5 points below the best rung, 5 above it, and 0.80. The share is the median of all examples evaluated over"
        " rungs x test rows; `same` the share of orders that reach the exhaustive answer. `open`: the exhaustive climb leaves it"
        " UNDECIDED. The first order of each line was run with the product's own functions too, with equal outcome.\n",
        "| figure | asked | reached |",
        "|---|---|---|",
        f"| share evaluated, median of the {len(settled)} lines that are not open (`first_pass`) | ≤ 0.33 |"
        f" {float(np.median(shares)):.2f} (worst {max(shares):.2f}) |",
        f"| orders that reach the exhaustive answer, mean (`first_pass`) | - |"
        f" {float(np.mean(same)):.1%} (worst {min(same):.1%}) |",
        "",
        "| data | bar | test rows | exhaustive answer | `first_pass` | same | `budget` | same |",
        "|---|---|---|---|---|---|---|---|",
    ]
    out += [
        f"| {r.data} | {r.bar:.2f} | {r.n:,} | {r.answer} | {r.share['first_pass']:.2f} | {r.same['first_pass']:.1%} |"
        f" {r.share['budget']:.2f} | {r.same['budget']:.1%} |"
        for r in real
    ]
    for data in dict.fromkeys(str(line["data"]) for line in lines):
        left = [
            name for name in RUNGS if name not in {x["rung"] for x in lines if x["data"] == data}
        ]
        if left:
            out += [
                "",
                f"Not measured yet on {data}: {', '.join(left)}. `measure.py` goes on with them.",
            ]
    out += ["", "| data | rung | mean score | test rows |", "|---|---|---|---|"]
    for line in lines:
        scores = np.array(line["scores"], dtype=float)
        out.append(
            f"| {line['data']} | {line['rung']} | {np.nanmean(scores):.3f} | {len(scores):,} |"
        )
    return "\n".join(out) + "\n"


def page(designs, results, gaps, *, ladders: int, compared: int) -> str:  # type: ignore[no-untyped-def]
    def worst(scene: str, field: str, pick) -> float:  # type: ignore[no-untyped-def]
        return pick(
            getattr(results[d, scene][h], field) for d in designs for h in ("first_pass", "budget")
        )

    nulls = max(worst("at the bar", "false_pass", max), worst("up to the bar", "false_pass", max))
    agree = [
        results[d, s][h].same
        for d in designs
        for s in ("5 off", "any")
        for h in ("first_pass", "budget")
    ]
    out = [
        "## Asked and reached\n",
        "| figure | asked | reached |",
        "|---|---|---|",
        f"| chance that any rung at or below the bar is called PASS, worst of {4 * len(designs)} settings | ≤ 5 % | {nulls:.1%} |",
        f"| median examples evaluated / fixed n, every rung ≥ 5 points off, worst of {2 * len(designs)} settings | ≤ 0.33 |"
        f" {worst('5 off', 'share', max):.2f} |",
        f"| the exhaustive answer where it is not UNDECIDED, worst of {len(agree)} settings | ≥ 95 % | {min(agree):.1%} |",
        "",
        f"## Simulated ladders: {ladders:,} in each setting\n",
        f"The arrays were compared with the product's own functions on {compared} races: equal verdicts, equal numbers of examples.\n",
        "| bar | rungs | planned | power +5 / -5 | fixed n | false PASS at the bar | up to the bar | share `first_pass` | share `budget` |"
        " same, 5 off | same, any |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for d in designs:
        null = (
            max(r.false_pass for r in results[d, s].values())
            for s in ("at the bar", "up to the bar")
        )
        off, anywhere = results[d, "5 off"], results[d, "any"]
        cells = [
            f"{d.bar:.2f}",
            str(d.rungs),
            f"{d.planned:,}",
            f"{d.above:.2f} / {d.below:.2f}",
            f"{d.fixed:,}",
            *(f"{value:.1%}" for value in null),
            *(f"{off[how].share:.2f}" for how in ("first_pass", "budget")),
            *(
                " / ".join(f"{each[how].same:.1%}" for how in ("first_pass", "budget"))
                for each in (off, anywhere)
            ),
        ]
        out.append("| " + " | ".join(cells) + " |")
    out += [
        "",
        "### One rung of six by its distance from the bar: median examples / fixed n (share settled)\n",
    ]
    points = sorted({row[0] for _, rows in gaps for row in rows})
    out += [
        "| bar | " + " | ".join(f"{p:+g}" for p in points) + " |",
        "|---|" + "---|" * len(points),
    ]
    for d, rows in gaps:
        known = {row[0]: f"{row[1]:.2f} ({row[2]:.0%})" for row in rows}
        out.append(f"| {d.bar:.2f} | " + " | ".join(known.get(p, "-") for p in points) + " |")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    main()
