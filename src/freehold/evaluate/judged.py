"""What a judge's scores say of quality: nothing until it was measured, then what people would say.

Three cases, in this order (decision 017):

- the judge may not decide (`Standing.withheld`): its mean is shown, and no verdict follows;
- people scored enough of these very answers: prediction-powered inference, which assumes nothing of the
  judge;
- else: what is known of the judge from other answers that people scored is carried over, on the
  assumption that it errs here as it did there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.measure import Difference, Estimate, HumanJudged
from freehold.evaluate.prediction_powered import (
    Powered,
    calibrated_mean,
    prediction_powered_difference,
    prediction_powered_mean,
)
from freehold.evaluate.statistics import estimate_scores

LEAST_OWN = 30
"""Human scores of a candidate's own answers below which other answers have to speak for the judge."""


@dataclass(frozen=True)
class ScoredAnswers:
    """Answers of one candidate: the judge's score of each, and people's where there is one."""

    judge: tuple[float, ...]
    human: tuple[float | None, ...]

    def divided(self) -> tuple[list[float], list[float], list[float]]:
        """Return people's scores, the judge's of the same answers, and the judge's of the others."""
        both = [
            (human, judge)
            for human, judge in zip(self.human, self.judge, strict=True)
            if human is not None
        ]
        others = [
            judge for human, judge in zip(self.human, self.judge, strict=True) if human is None
        ]
        return [human for human, _ in both], [judge for _, judge in both], others


@dataclass(frozen=True)
class Assessed:
    """An estimate from a judge and people, its p-value against the bar, and what it rests on."""

    quality: Estimate
    p_value: float
    rests_on: HumanJudged
    withheld: str | None = None


def assess(
    answers: ScoredAnswers,
    *,
    elsewhere: tuple[Sequence[float], Sequence[float]],
    withheld: str | None,
    bar: float,
    confidence: float,
) -> Assessed:
    """Return what may be claimed of the mean score that people would give.

    Args:
        answers: of the candidate.
        elsewhere: people's scores and the judge's of all answers that both scored, in step.
        withheld: why the judge may not decide, None where it may.
        bar: what the mean is tested against.
        confidence: of the interval.
    """
    human, judge, others = answers.divided()
    shown = estimate_scores(answers.judge, binary=False, confidence=confidence)
    rests = HumanJudged(human=len(human), judged=len(answers.judge), judge_mean=shown.mean)
    if len(human) >= LEAST_OWN:
        alone = _estimate(
            prediction_powered_mean(human, judge, [], confidence=confidence), n=len(human)
        )
        rests = rests.model_copy(update={"human_only": alone})
    if withheld is not None or not answers.judge:
        return Assessed(shown, 1.0, rests, withheld=withheld)
    if len(human) >= LEAST_OWN:
        found = prediction_powered_mean(human, judge, others, bar=bar, confidence=confidence)
        rests = rests.model_copy(
            update={"how": "own", "worth": found.worth, "weight": found.weight}
        )
    elif len(answers.judge) < 3:
        return Assessed(shown, 1.0, rests, withheld="too few answers for the judge to speak of")
    else:
        found = calibrated_mean(*elsewhere, answers.judge, bar=bar, confidence=confidence)
        rests = rests.model_copy(update={"how": "elsewhere"})
    return Assessed(_estimate(found, n=len(answers.judge)), found.p_value, rests)


def judged_difference(
    first: ScoredAnswers, second: ScoredAnswers, *, confidence: float
) -> Difference | None:
    """Return the difference, first minus second, that people would see; None with too few of their scores.

    Both hold the same examples in the same order. Needed are human scores of both answers to at least
    `LEAST_OWN` of them.
    """
    human: list[float] = []
    judge: list[float] = []
    others: list[float] = []
    pairs = zip(first.judge, second.judge, first.human, second.human, strict=True)
    for one, two, seen_one, seen_two in pairs:
        if seen_one is None or seen_two is None:
            others.append(one - two)
        else:
            human.append(seen_one - seen_two)
            judge.append(one - two)
    if len(human) < LEAST_OWN:
        return None
    found = prediction_powered_difference(human, judge, others, confidence=confidence)
    return Difference(
        mean=found.mean,
        low=found.low,
        high=found.high,
        n=len(first.judge),
        p_value=found.p_value,
        test="prediction_powered",
    )


def _estimate(found: Powered, *, n: int) -> Estimate:
    return Estimate(
        mean=found.mean,
        low=found.low,
        high=found.high,
        n=n,
        worst=found.mean,
        best=found.mean,
        method="prediction_powered",
    )
