from __future__ import annotations

import pytest

from freehold.core.measure import Cost, Difference, Estimate, Kept, RungResult, Verdict
from freehold.core.sections import Bar, Volume
from freehold.evaluate.statistics import estimate_scores
from freehold.ladder.recommend import Recommendation, recommend
from freehold.report.findings import why_parts

BAR = Bar(quality=0.80, kept=0.97)
VOLUME = Volume(requests_per_month=200_000, horizon_months=6.0)


def rung(
    name: str,
    right: int,
    verdict: Verdict,
    *,
    per_1k: float = 1.0,
    build: float = 0.0,
    p95: float = 0.4,
    kept: float | None = 1.0,
    need_more: int | None = None,
    reason: str | None = None,
) -> RungResult:
    return RungResult(
        rung=name,
        state="measured",
        quality=estimate_scores([1.0] * right + [0.0] * (400 - right), binary=True),
        cost=Cost(
            build_seconds=0.0,
            build_dollars=build,
            dollars_per_1k=per_1k,
            upkeep_dollars_per_month=0.0,
            total_dollars=build + 1200 * per_1k,
        ),
        seconds_p95=p95,
        kept=None if kept is None else Kept(ratio=Estimate(mean=kept, low=kept, high=kept, n=40)),
        evaluated=400,
        verdict=verdict,
        need_more=need_more,
        reason=reason,
    )


def skipped(name: str, reason: str) -> RungResult:
    return RungResult(rung=name, state="skipped", reason=reason, verdict=Verdict.SKIPPED)


def paired(first: str, second: str) -> Difference | None:
    """What the drawing of the documentation shows for distil against lora."""
    if (first, second) != ("distil", "lora"):
        return None
    return Difference(mean=-0.015, low=-0.036, high=0.006, n=400, p_value=0.24, test="mcnemar")


def advice(*rungs: RungResult, bar: Bar = BAR) -> Recommendation:
    return recommend(rungs, bar=bar, volume=VOLUME, paired=paired)


DRAWN = (
    rung("baseline", 258, Verdict.FAIL, per_1k=0.01, p95=0.01, kept=None),
    rung("lora", 348, Verdict.PASS, per_1k=1.00, build=0.32, p95=0.44, kept=0.978),
    skipped("prefer", "lora's errors gave 61 pairs, 200 needed"),
    rung("distil", 342, Verdict.PASS, per_1k=0.31, build=0.54, p95=0.12, kept=0.974),
    rung("full", 354, Verdict.FAIL, per_1k=1.00, build=1.37, p95=0.44, kept=0.886, reason="kept"),
)


def test_the_recommendation_reads_as_it_is_drawn() -> None:
    found = advice(*DRAWN)
    assert found.rung == "distil"
    headline, *lines = found.why
    assert headline == (
        "distil is the cheapest rung that meets the bar: .817 ≥ 0.80, kept .974 ≥ 0.97"
    )
    assert (
        "vs lora: 1.5 points lower [-3.6 +0.6] p=.24, 69 % cheaper a request, 3.7× faster" in lines
    )
    volume = next(line for line in lines if line.startswith("volume: "))
    assert volume.startswith("volume: 200k/month for 6 months: distil $373, lora $1,200")
    assert "break-even with lora at 320" in volume


def test_every_line_but_sentences_divides_into_a_label_and_a_text() -> None:
    labels = [why_parts(line)[0] for line in advice(*DRAWN).why]
    assert labels == ["", "vs lora", "vs baseline", "volume"]


def test_the_lowest_total_wins_and_the_lower_rung_on_a_tie() -> None:
    cheap = rung("zero_shot", 370, Verdict.PASS, per_1k=0.5)
    same = rung("few_shot", 380, Verdict.PASS, per_1k=0.5)
    dear = rung("structured", 390, Verdict.PASS, per_1k=0.6)
    assert advice(dear, cheap, same).rung == "zero_shot"
    assert advice(same, cheap).rung == "few_shot"


def test_a_high_volume_pays_for_building() -> None:
    prompt = rung("few_shot", 370, Verdict.PASS, per_1k=1.6)
    built = rung("lora", 370, Verdict.PASS, per_1k=1.0, build=100.0)
    assert advice(prompt, built).rung == "lora"
    rare = built.model_copy(
        update={
            "cost": Cost(
                build_seconds=0,
                build_dollars=100.0,
                dollars_per_1k=1.0,
                upkeep_dollars_per_month=0.0,
                total_dollars=101.0,
            )
        }
    )
    seldom = prompt.model_copy(
        update={
            "cost": Cost(
                build_seconds=0,
                build_dollars=0.0,
                dollars_per_1k=1.6,
                upkeep_dollars_per_month=0.0,
                total_dollars=1.6,
            )
        }
    )
    found = advice(seldom, rare)
    assert found.rung == "few_shot"
    assert any("break-even at 170k" in line for line in found.why)


@pytest.mark.parametrize("name", ["baseline", "few_shot", "retrieve"])
def test_where_no_training_is_needed_it_says_plainly_not_to_fine_tune(name: str) -> None:
    found = advice(
        rung(name, 370, Verdict.PASS, per_1k=0.1), rung("lora", 380, Verdict.PASS, per_1k=1.0)
    )
    assert found.why[1] == f"Do not fine-tune: {name} meets the bar without training a model"


def test_a_trained_rung_is_recommended_without_that_sentence() -> None:
    found = advice(rung("lora", 370, Verdict.PASS))
    assert not any("Do not fine-tune" in line for line in found.why)


def test_a_neighbour_about_which_nothing_is_known_gets_no_line() -> None:
    other = rung("lora", 380, Verdict.PASS).model_copy(update={"cost": None, "seconds_p95": None})
    found = advice(rung("few_shot", 370, Verdict.PASS), other)
    assert not any(line.startswith("vs ") for line in found.why)


def test_a_cheaper_rung_that_is_undecided_is_not_passed_over_in_silence() -> None:
    found = advice(
        rung("zero_shot", 330, Verdict.UNDECIDED, per_1k=0.2, need_more=3_100),
        rung("lora", 370, Verdict.PASS, per_1k=1.0),
    )
    assert "undecided: zero_shot costs less and needs ≈ 3,100 more test examples to be settled" in (
        found.why
    )


def test_ceilings_are_named_where_they_are_set() -> None:
    bar = Bar(quality=0.80, kept=0.97, seconds_p95=1.0, dollars_per_1k=2.0)
    found = advice(rung("lora", 370, Verdict.PASS, per_1k=0.5, p95=0.25), bar=bar)
    assert found.why[0].endswith("p95 0.25s ≤ 1.00s, $0.50/1k ≤ $2.00/1k")


def test_a_much_dearer_neighbour_is_named_in_times() -> None:
    found = advice(
        rung("baseline", 370, Verdict.PASS, per_1k=0.01, p95=0.004, kept=None),
        rung("lora", 380, Verdict.PASS, per_1k=2.0, p95=0.4),
    )
    assert "vs lora: 200× cheaper a request, 100× faster" in found.why


def test_without_a_pass_more_labels_are_asked_for_and_counted() -> None:
    found = advice(
        rung("few_shot", 250, Verdict.FAIL),
        rung("lora", 330, Verdict.UNDECIDED, need_more=1_400),
    )
    assert found.rung is None
    assert found.why[0] == (
        "No rung is shown to meet the bar: the best is lora, 0.825 [.785 .859] n=400 against 0.80"
    )
    assert (
        "labels: ≈ 1,400 more test examples show that lora meets the bar,"
        " if its quality stays at 0.825"
    ) in found.why
    assert "bar: the evidence supports quality ≥ 0.78, with lora" in found.why


def test_without_a_pass_far_from_the_bar_a_stronger_base_is_named() -> None:
    found = advice(rung("zero_shot", 200, Verdict.FAIL), rung("few_shot", 240, Verdict.FAIL))
    assert found.why[0].startswith("No rung meets the bar: the best is few_shot")
    assert any(line.startswith("base: few_shot is 20.0 points short") for line in found.why)
    assert not any(line.startswith("labels: ") for line in found.why)
    assert "bar: the evidence supports quality ≥ 0.55, with few_shot" in found.why


def test_a_lower_bar_is_not_offered_with_a_rung_that_misses_another_bar() -> None:
    forgetful = rung("lora", 380, Verdict.FAIL, kept=0.8, reason="kept")
    found = advice(rung("few_shot", 240, Verdict.FAIL), forgetful)
    assert "bar: the evidence supports quality ≥ 0.55, with few_shot" in found.why
    assert "(kept)" in found.why[0]


def test_where_no_rung_was_measured_the_first_reason_is_given() -> None:
    found = advice(skipped("lora", "needs 20 training examples, has 5"))
    assert found == Recommendation(
        None, ("No rung was measured: lora needs 20 training examples, has 5",)
    )
    assert advice().why == ("No rung was measured",)
