"""The climb that experience.md draws, built from records: nine rungs, 400 test examples."""

from __future__ import annotations

import random

from freehold.core.measure import (
    Answer,
    Audit,
    Climb,
    Cost,
    Difference,
    Estimate,
    Kept,
    KeptFamily,
    Result,
    Run,
    RungResult,
    Verdict,
)
from freehold.core.outcome import Cause, Failed, Scored
from freehold.core.sections import Bar, MetricSpec, Prices, Volume
from freehold.core.snapshot import (
    AuditSplit,
    DevSplit,
    Drop,
    Example,
    Snapshot,
    Source,
    TestSplit,
    TrainSplit,
)
from freehold.core.task import LabelOutput, Task
from freehold.report.curve import Curves, Series
from freehold.report.view import ReportView, RungPrompt, build_view

SNAPSHOT_DIGEST = "sha256:" + "4be1" * 16

LABELS = ("billing", "refunds", "tech", "sales", "abuse")


def task() -> Task:
    return Task(
        name="ticket-routing",
        instruction="Route the support ticket to exactly one queue.",
        output=LabelOutput(labels=LABELS),
        metric=MetricSpec(primary="exact_match"),
        bar=Bar(quality=0.80, kept=0.97),
        volume=Volume(requests_per_month=200_000, horizon_months=6.0),
        prices=Prices(dollars_per_machine_hour=2.0),
    )


def estimate(mean: float, low: float, high: float, *, n: int = 400) -> Estimate:
    return Estimate(mean=mean, low=low, high=high, n=n, worst=mean, best=mean, method="wilson")


def difference(mean: float, low: float, high: float, *, p_value: float = 0.01) -> Difference:
    return Difference(mean=mean, low=low, high=high, n=400, p_value=p_value, test="mcnemar")


def cost(per_1k: float) -> Cost:
    return Cost(
        build_seconds=60.0,
        build_dollars=0.03,
        dollars_per_1k=per_1k,
        upkeep_dollars_per_month=0.1,
        total_dollars=per_1k * 1200,
    )


def families(lost: float) -> tuple[KeptFamily, ...]:
    rows = (("add", 0.62, 0.56 - lost), ("sort", 0.81, 0.80 - lost), ("copy", 0.98, 0.98))
    return tuple(
        KeptFamily(
            family=name,
            n=40,
            before=before,
            after=after,
            points_lost=difference(before - after, before - after - 0.04, before - after + 0.04),
        )
        for name, before, after in rows
    )


def kept(mean: float, low: float, high: float, *, lost: float = 0.0) -> Kept:
    ratio = Estimate(mean=mean, low=low, high=high, n=400, method="bootstrap")
    return Kept(ratio=ratio, families=families(lost), seed=11)


UNCHANGED = Kept(ratio=Estimate(mean=1.0, low=1.0, high=1.0, n=400, method="none"))


def rung(
    name: str,
    quality: Estimate,
    change: Difference | None,
    *,
    per_1k: float,
    p95: float,
    verdict: Verdict = Verdict.FAIL,
    kept: Kept | None = UNCHANGED,
    causes: dict[str, int] | None = None,
) -> RungResult:
    return RungResult(
        rung=name,
        state="measured",
        reason=None if verdict is Verdict.PASS else "quality",
        quality=quality,
        against_previous=change,
        cost=cost(per_1k),
        seconds_p50=p95 / 2,
        seconds_p95=p95,
        kept=kept,
        build_seconds=60.0,
        evaluated=quality.n + quality.failed,
        verdict=verdict,
        causes=causes or {"confused": 90, "format": 30},
        slices={
            "language=fi": estimate(0.55, 0.38, 0.71, n=34),
            "product=gift_card": estimate(0.41, 0.23, 0.61, n=22),
        },
    )


def _recommended() -> RungResult:
    result = rung(
        "distil",
        estimate(0.855, 0.817, 0.886),
        difference(-0.015, -0.036, 0.006, p_value=0.24),
        per_1k=0.31,
        p95=0.12,
        verdict=Verdict.PASS,
        kept=kept(0.981, 0.974, 0.988),
        causes={"confused": 49, "unstable": 5, "format": 4},
    )
    return result.model_copy(
        update={
            "confusions": (
                ("billing", "refunds", 12),
                ("refunds", "billing", 9),
                ("tech", "sales", 4),
            ),
            "slices": {
                "language=fi": estimate(0.706, 0.538, 0.832, n=34),
                "language=en": estimate(0.868, 0.829, 0.899, n=366),
                "product=gift_card": estimate(0.682, 0.473, 0.836, n=22),
            },
        }
    )


def climb() -> Climb:
    passing = Verdict.PASS
    rungs = (
        rung("baseline", estimate(0.645, 0.597, 0.690), None, per_1k=0.01, p95=0.01, kept=None),
        rung(
            "zero_shot",
            estimate(0.615, 0.566, 0.661),
            difference(-0.030, -0.077, 0.017),
            per_1k=0.90,
            p95=0.42,
            causes={"confused": 60, "format": 84, "refused": 10},
        ),
        rung(
            "few_shot",
            estimate(0.690, 0.643, 0.733),
            difference(0.075, 0.043, 0.107),
            per_1k=1.6,
            p95=0.55,
        ),
        rung(
            "structured",
            estimate(0.705, 0.659, 0.748),
            difference(0.015, -0.012, 0.042),
            per_1k=1.5,
            p95=0.51,
        ),
        rung(
            "retrieve",
            estimate(0.745, 0.700, 0.785),
            difference(0.040, 0.011, 0.069),
            per_1k=3.1,
            p95=0.93,
        ),
        rung(
            "lora",
            estimate(0.870, 0.834, 0.900),
            difference(0.125, 0.088, 0.162),
            per_1k=1.0,
            p95=0.44,
            verdict=passing,
            kept=kept(0.985, 0.978, 0.992),
            causes={"confused": 48, "format": 4},
        ),
        RungResult(
            rung="prefer",
            state="skipped",
            reason="lora's errors gave 61 pairs, 200 needed; add data.preferences",
            verdict=Verdict.SKIPPED,
        ),
        _recommended(),
        rung(
            "full",
            estimate(0.885, 0.850, 0.913),
            difference(0.030, 0.007, 0.053),
            per_1k=1.0,
            p95=0.44,
            kept=kept(0.902, 0.886, 0.918, lost=0.12),
            causes={"confused": 44, "format": 2},
        ),
    )
    return Climb(
        task="ticket-routing",
        task_digest="sha256:" + "7a" * 32,
        snapshot_digest=SNAPSHOT_DIGEST,
        rungs=rungs,
        recommended="distil",
        why=(
            "distil is the cheapest rung that meets the bar: .817 ≥ 0.80, kept .974 ≥ 0.97",
            "vs lora: 1.5 points lower [-3.6 +0.6] p=.24, 69 % cheaper a request, 3.7× faster",
            "volume: 200k/month for 6 months: distil $376, lora $1,204; break-even at 320",
        ),
        audit=Audit(rung="distil", estimate=estimate(0.860, 0.805, 0.901, n=200), agrees=True),
        looks={"test": 3, "audit": 1},
        versions={"freehold": "0.1.0", "python": "3.11.2", "torch": "2.13.0"},
        seconds=3520.0,
        notes=("4 rows were left out: no assistant turn.",),
    )


TICKETS = (
    "I was charged twice for my subscription this month, please check",
    "My parcel never arrived and I would like my money back",
    "The app closes itself whenever I open the settings page",
    "Do you offer a discount for schools with more than 200 pupils?",
    "Another customer keeps sending me threats through your chat",
)


def examples(size: int, *, start: int = 0, tail: str = "") -> tuple[Example, ...]:
    return tuple(
        Example(
            id=f"ex-{number:04d}",
            input=f"{TICKETS[number % 5]} (ticket {number}){tail}",
            target=LABELS[number % 5],
            source="data/examples.jsonl",
            row=number + 1,
        )
        for number in range(start, start + size)
    )


def snapshot(test: int = 400, *, tail: str = "") -> Snapshot:
    return Snapshot(
        sources=(
            Source(
                name="data/examples.jsonl", sha256="9f3c" * 16, rows=5124, format="OpenAI messages"
            ),
        ),
        train=TrainSplit(examples=examples(40, start=20_000)),
        dev=DevSplit(examples=examples(20, start=30_000)),
        test=TestSplit(examples=examples(test, tail=tail)),
        audit=AuditSplit(examples=examples(20, start=40_000)),
        drops=tuple(
            Drop(source="data/examples.jsonl", row=row, reason="no assistant turn")
            for row in (17, 902, 903, 4001)
        ),
        duplicates=61,
        near_duplicates=204,
    )


def run(result: RungResult, data: Snapshot, *, seed: int) -> Run:
    """Answers that are right as often as the rung's mean; each hundredth of zero_shot fails."""
    rng = random.Random(seed)
    mean = result.quality.mean if result.quality and result.quality.mean is not None else 0.0
    results: list[Result] = []
    for number, example in enumerate(data.test.examples):
        right = rng.random() < mean
        value = (
            str(example.target) if right else LABELS[(LABELS.index(str(example.target)) + 1) % 5]
        )
        raw = f"The ticket should go to **{value}**." if result.rung == "zero_shot" else value
        failed = result.rung == "zero_shot" and number % 100 == 99
        outcome = (
            Failed(cause=Cause.TOO_LONG, message="the input has 5,000 tokens")
            if failed
            else Scored(score=float(right), cause=None if right else Cause.CONFUSED)
        )
        answer = None if failed else Answer(raw=raw, value=value, seconds=0.1)
        results.append(Result(example_id=example.id, answer=answer, outcome=outcome))
    return Run(
        candidate_digest="sha256:" + "11" * 32,
        split="test",
        split_digest="sha256:" + "22" * 32,
        results=tuple(results),
    )


def curves() -> Curves:
    dev = tuple((float(step), 0.9 - 0.5 / (1 + step / 60)) for step in range(0, 910, 50))
    kept_points = tuple((float(step), 1.0 - step / 50_000) for step in range(0, 910, 50))
    return Curves(
        title="lora: quality on dev and kept ability",
        x_label="training steps",
        y_label="share",
        series=(Series(name="dev quality", points=dev), Series(name="kept", points=kept_points)),
        best_x=600.0,
    )


def view(test: int = 400, *, tail: str = "", rungs: int = 8) -> ReportView:
    """The view of the drawn climb, with answers of its last `rungs` measured rungs."""
    data = snapshot(test, tail=tail)
    measured = [result for result in climb().rungs if result.state == "measured"][-rungs:]
    return build_view(
        climb(),
        task(),
        climb_id="c12",
        snapshot=data,
        runs={result.rung: run(result, data, seed=i) for i, result in enumerate(measured)},
        prompts=[
            RungPrompt(
                rung=result.rung,
                example_id="ex-0001",
                text=f"<|system|>\nRoute the support ticket to exactly one queue.\n<|user|>\n"
                f"{TICKETS[1]}\n<|assistant|>\n",
            )
            for result in measured
            if result.rung != "baseline"
        ],
        curves=[curves()],
    )
