# pyright: basic
"""Whether rows that no person wrote help the baseline rung; writes RESULTS.md beside this file.

    python benchmarks/data/synthesis/run.py --data ../shared/data [--work build/synthesis]

On the bundled ticket-routing example (and on banking77, where --data has it) R real rows are drawn with
several seeds. Each draw is used alone, with noisy copies, with rows that the bundled acorn wrote, and with
as many more real rows, which is what a perfect teacher would write. Every arm is measured on the same test
rows as they are, and on noisy copies of them. Answers of the teacher are kept in --work: typed again, the
script pays for nothing twice.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import cast

import numpy as np

import freehold
from freehold import __version__
from freehold.core.sections import BaselineName, BaseModelSpec, MetricSpec
from freehold.core.snapshot import Example, TrainSplit
from freehold.core.task import LabelOutput, Task
from freehold.data.synthesis.agreement import teacher_judge
from freehold.data.synthesis.augment import NoisePlan, augment
from freehold.data.synthesis.filters import Bench
from freehold.data.synthesis.material import Material, answer_text
from freehold.data.synthesis.noise import NOISES
from freehold.data.synthesis.synthesize import Synthesis, SynthPlan, synthesize, usable_methods
from freehold.data.synthesis.teacher import Asked, Memory, answer_tokens, work_name
from freehold.ladder.baseline import BASELINES
from freehold.ladder.tools import Models, Tools
from freehold.store.store import Store

HERE = Path(__file__).parent
SEEDS = (1, 2, 3, 4, 5)
T_975 = {3: 4.303, 5: 2.776}
"""Quantiles of Student's t for an interval of 95 % over so many draws."""
CALLS = 128
TEST_ROWS = 300
RATE = 0.15


@dataclass(frozen=True)
class Setting:
    """One data set: its rows, how many are drawn, which heads are fitted, whether the teacher writes."""

    name: str
    instruction: str
    rows: tuple[Example, ...]
    real: int
    heads: tuple[str, ...]
    seeds: tuple[int, ...]
    teacher_writes: bool
    test: tuple[Example, ...] = ()


@dataclass
class Lab:
    """What the arms work with."""

    store: Store
    models: Models
    vectors: dict[str, np.ndarray] = field(default_factory=dict)

    def embed(self, texts: Sequence[str]):
        """Embed texts, each once in the whole run."""
        encoder = self.models.embedder("all-MiniLM-L6-v2")
        new = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        if new:
            self.vectors.update(zip(new, encoder.encode(new), strict=True))
        return np.stack([self.vectors[text] for text in texts])


def tickets() -> tuple[Example, ...]:
    file = Path(freehold.__file__).parent / "data/example/ticket-routing/data/examples.jsonl"
    rows = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
    return tuple(
        Example(
            id=row["id"], input=row["text"], target=row["queue"], source="examples.jsonl", row=n
        )
        for n, row in enumerate(rows, 1)
    )


def banking(folder: Path, name: str) -> tuple[Example, ...]:
    lines = (folder / "banking77" / name).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(text) for text in lines]
    return tuple(
        Example(id=f"{name}-{n}", input=row["input"], target=row["target"], source=name, row=n)
        for n, row in enumerate(rows, 1)
    )


# Arms ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """One draw of real rows: those that are had, as many more that are not, and the test rows."""

    had: tuple[Example, ...]
    more: tuple[Example, ...]
    test: tuple[Example, ...]


def drawn(setting: Setting, seed: int) -> Draw:
    """Draw rows in proportion; the test rows are the same for every seed."""
    order = list(setting.rows)
    random.Random("test").shuffle(order)
    test = setting.test or tuple(order[:TEST_ROWS])
    pool = order if setting.test else order[TEST_ROWS:]
    random.Random(seed).shuffle(pool)
    return Draw(tuple(pool[: setting.real]), tuple(pool[setting.real : 2 * setting.real]), test)


def noisy(
    setting: Setting, rows: Sequence[Example], *, count: int, seed: int
) -> tuple[Example, ...]:
    plan = NoisePlan(kinds=tuple(NOISES), count=count, rate=RATE, seed=seed)
    return augment(plan, rows, output=output_of(setting), held_out=()).accepted


def output_of(setting: Setting) -> LabelOutput:
    return LabelOutput(labels=tuple(sorted({answer_text(row.target) for row in setting.rows})))


def written(
    lab: Lab, setting: Setting, draw: Draw, *, seed: int
) -> tuple[Synthesis, tuple[Example, ...]]:
    """Return what acorn wrote that passed without a judge, and of it what its own answers confirm."""
    teacher = lab.models.base(BaseModelSpec())
    name = work_name(teacher)
    memory = Memory(
        found=lab.store.ledger.results(name),
        keep=lambda key, body: lab.store.ledger.keep_result(name, key, body),
    )
    output = output_of(setting)
    material = Material(setting.instruction, output, draw.had)
    plan = SynthPlan(
        methods=usable_methods(material), count=setting.real, most_calls=CALLS, seed=seed
    )
    bench = Bench(
        material=material,
        real=draw.had,
        held_out=draw.test,
        valid=lambda target: target in output.labels,
        embed=lab.embed,
    )
    asked = Asked(teacher, CALLS, memory)
    made = synthesize(plan, material, bench, asked=asked, on_step=lambda _step: None)
    judge = teacher_judge(
        Asked(teacher, 10**6, memory),
        material,
        answers=3,
        score=lambda row, raw, _cut: float(raw.strip().strip(".") == row.target),
        max_tokens=answer_tokens(teacher, material),
    )
    scores = judge(made.accepted) if made.accepted else []
    confirmed = tuple(
        row for row, score in zip(made.accepted, scores, strict=True) if score and score >= 0.5
    )
    return made, confirmed


def accuracy(
    lab: Lab, setting: Setting, head: str, *, train: Sequence[Example], test: Sequence[Example]
) -> float:
    """Fit one head of the baseline rung, and return the share of test rows that it answers rightly."""
    task = Task(
        name=setting.name,
        instruction=setting.instruction,
        output=output_of(setting),
        metric=MetricSpec(primary="exact_match"),
    )
    named = [row.model_copy(update={"id": f"{n}"}) for n, row in enumerate(train)]
    tools = Tools(
        task=task,
        train=TrainSplit(examples=tuple(named)),
        passages=(),
        store=lab.store,
        models=_Embedded(lab),
        clock=time.perf_counter,
        on_progress=lambda _step: None,
    )
    baseline = BASELINES[cast(BaselineName, head)]
    predict = baseline.load(baseline.build(tools).files, tools)
    said = predict(test)
    return fmean(answer == row.target for answer, row in zip(said, test, strict=True))


class _Embedded(Models):
    """Models whose embedder is the lab's, so that no text is embedded twice."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def embedder(self, name: str):
        lab, real = self._lab, self._lab.models.embedder(name)

        class Remembered:
            digest = real.digest
            dimension = real.dimension

            def encode(self, texts: Sequence[str]):
                return lab.embed(texts)

        return Remembered()


# Tables --------------------------------------------------------------------------------------

Scores = dict[tuple[str, str, str], list[float]]


@dataclass
class Measured:
    """Accuracies by (arm, head, test), the rows of each arm, and what the teacher came to."""

    scores: Scores = field(default_factory=dict)
    rows: dict[str, list[int]] = field(default_factory=dict)
    made: list[Synthesis] = field(default_factory=list)


def measure(lab: Lab, setting: Setting) -> Measured:
    measured = Measured()
    for seed in setting.seeds:
        draw = drawn(setting, seed)
        arms: dict[str, tuple[Example, ...]] = {
            "real rows alone": (),
            "+ noisy copies": noisy(setting, draw.had, count=setting.real, seed=seed),
        }
        if setting.teacher_writes:
            made, confirmed = written(lab, setting, draw, seed=seed)
            measured.made.append(made)
            arms["+ acorn, no judge"] = made.accepted
            arms["+ acorn, self-consistent"] = confirmed
        arms["+ as many more real rows"] = draw.more
        hard = noisy(setting, draw.test, count=len(draw.test), seed=900 + seed)
        for arm, extra in arms.items():
            measured.rows.setdefault(arm, []).append(len(extra))
            for head in setting.heads:
                for test_name, test in (("as they are", draw.test), ("noisy", hard)):
                    value = accuracy(lab, setting, head, train=(*draw.had, *extra), test=test)
                    measured.scores.setdefault((arm, head, test_name), []).append(value)
        print(
            setting.name, "seed", seed, {arm: len(extra) for arm, extra in arms.items()}, flush=True
        )
    return measured


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the half width of its interval of 95 % over the draws."""
    return fmean(values), T_975[len(values)] * stdev(values) / math.sqrt(len(values))


def table(measured: Measured) -> list[str]:
    lines = [
        "| arm | rows added | head | test rows | accuracy | against real rows alone, points |",
        "|---|---|---|---|---|---|",
    ]
    for (arm, head, test), values in measured.scores.items():
        mean, half = interval(values)
        alone = measured.scores[("real rows alone", head, test)]
        gains = [100 * (a - b) for a, b in zip(values, alone, strict=True)]
        gain, gain_half = interval(gains)
        is_clear = abs(gain) > gain_half
        shown = (
            ""
            if arm == "real rows alone"
            else (
                f"{gain:+.1f} [{gain - gain_half:+.1f} {gain + gain_half:+.1f}]"
                f"{'' if is_clear else ' ≈'}"
            )
        )
        added = round(fmean(measured.rows[arm]))
        lines.append(f"| {arm} | {added} | {head} | {test} | {mean:.3f} ± {half:.3f} | {shown} |")
    return lines


def teacher_lines(measured: Measured) -> list[str]:
    """Return what became of what the teacher wrote, over all draws."""
    asked: dict[str, int] = {}
    passed: dict[str, int] = {}
    reasons: dict[str, int] = {}
    for made in measured.made:
        _add(asked, made.asked)
        _add(passed, made.passed)
        _add(reasons, made.rejected_by_reason)
    lines = ["| method | asked | passed (no judge) |", "|---|---|---|"]
    lines += [f"| {name} | {count} | {passed.get(name, 0)} |" for name, count in asked.items()]
    lines += ["", "| left out because | rows |", "|---|---|"]
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    return [*lines, *(f"| {reason} | {count} |" for reason, count in ordered)]


def _add(totals: dict[str, int], counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        totals[name] = totals.get(name, 0) + count


def settings_of(data: Path | None) -> list[Setting]:
    route = "Route the support ticket to exactly one queue."
    rows = tickets()
    both = ("tfidf", "embedding")
    found = [
        Setting(
            "ticket-routing, 120 real rows", route, rows, 120, both, SEEDS, teacher_writes=True
        ),
        Setting(
            "ticket-routing, 420 real rows",
            route,
            rows,
            420,
            ("tfidf",),
            SEEDS,
            teacher_writes=False,
        ),
    ]
    if data is not None and (data / "banking77").is_dir():
        found.append(
            Setting(
                "banking77, 770 real rows",
                "Name the intent of this question of a bank's customer.",
                banking(data, "train.jsonl"),
                770,
                ("tfidf",),
                SEEDS[:3],
                teacher_writes=False,
                test=banking(data, "test.jsonl")[:1000],
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder of public data sets")
    parser.add_argument("--work", type=Path, default=Path("build/synthesis"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    sections: list[str] = []
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731
    with Store.open(options.work, clock=clock) as store:
        lab = Lab(store, Models(cache=options.work / "models"))
        for setting in settings_of(options.data):
            measured = measure(lab, setting)
            sections += ["", f"## {setting.name}", "", *table(measured)]
            if measured.made:
                sections += ["", "What the teacher wrote, all draws together:", ""]
                sections += teacher_lines(measured)
    minutes = (time.process_time() - began) / 60
    text = (HERE / "HEAD.md").read_text(encoding="utf-8").rstrip()
    facts = (
        f"freehold {__version__}, Python {platform.python_version()}; {len(SEEDS)} draws (3 for banking77);"
        f" {minutes:.1f} CPU minutes, fewer where answers of the teacher were kept."
    )
    (HERE / "RESULTS.md").write_text(
        "\n".join([text, "", facts, *sections]) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
