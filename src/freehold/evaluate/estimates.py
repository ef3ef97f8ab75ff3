"""From a run to what may be claimed of its quality: the estimate, its worst case, its p-value.

Mean metrics go through `freehold.evaluate.statistics` as they are. Macro-F1 is no mean of examples:
its interval, its p-value and its paired difference come from resampling whole splits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from freehold.core.measure import Answer, Difference, Estimate, HumanJudged, Result, Run
from freehold.core.outcome import Scored
from freehold.core.snapshot import Example
from freehold.evaluate.judge import Judge
from freehold.evaluate.judged import Assessed, ScoredAnswers, assess, judged_difference
from freehold.evaluate.scorers import Scorer, as_text
from freehold.evaluate.statistics import (
    SEQUENTIAL_SHARE,
    betting_p_value,
    binomial_p_value,
    bootstrap_interval,
    estimate,
    paired_difference,
    raced_difference,
    raced_estimate,
    raced_p_value,
    resample,
)

FAILED_SHARE = 0.01
"""Above this share of failures a verdict uses the worst case (decide.md 3)."""

_UNREADABLE = -1  # no label, or one that no target has
_SWAPS = 1_999
_Codes: TypeAlias = NDArray[np.intp]
_PValue: TypeAlias = Callable[[float], float]
"""The p-value of "quality is below the bar", for any bar."""


@dataclass(frozen=True)
class Evidence:
    """What a run says about quality.

    `quality` is what is shown. `judged` is what a verdict uses: the same, or the estimate with every
    failure counted as wrong where more than 1 % failed. `p_value` is the one-sided p-value of
    "quality is below the bar", from `judged`. `last_share` is the share of the error that is left for
    the test of all planned examples: below 1 where the rest was spent on stopping early. Where a judge gave the scores, `rests_on`
    says what the estimate rests on, and `withheld` why no verdict may follow from it, None where one may.
    """

    quality: Estimate
    judged: Estimate
    p_value: float
    last_share: float = 1.0
    rests_on: HumanJudged | None = None
    withheld: str | None = None

    @property
    def is_worst_case(self) -> bool:
        """Whether the verdict counts failures as wrong answers."""
        return self.judged is not self.quality


@dataclass(frozen=True)
class Claim:
    """What is to be shown: quality of at least `bar`, with intervals of this confidence.

    `planned` is the number of examples of a race, which is looked at while the results come in; None
    where all results were waited for.
    """

    bar: float
    confidence: float = 0.95
    planned: int | None = None


def evidence(
    results: Sequence[Result],
    examples: Sequence[Example],
    *,
    scorer: Scorer,
    claim: Claim,
    rng: np.random.Generator,
) -> Evidence:
    """Return what `results` say about quality.

    Binary scores: Wilson's interval and the exact binomial p-value. Scores in [0, 1]: the betting
    interval and p-value, in the order of the results. Macro-F1: the percentile bootstrap, with
    p = (1 + resamples below the bar) / (1 + resamples). In a race `raced_estimate` and
    `raced_p_value`, which stay true when they are looked at after every batch; macro-F1 is no mean and
    has no such sequence, so that it may be judged only once all planned examples are there. A judge's scores: what
    people would give, see `freehold.evaluate.judged`.

    Args:
        results: of one run or of a slice of it, in split order.
        examples: of the split; more than the results name do no harm.
        scorer: that scored the results.
        claim: the bar and the confidence.
        rng: for the bootstrap of macro-F1; other metrics draw nothing.
    """
    return evidence_by_bar(results, examples, scorer=scorer, claim=claim, rng=rng)(claim.bar)


def evidence_by_bar(
    results: Sequence[Result],
    examples: Sequence[Example],
    *,
    scorer: Scorer,
    claim: Claim,
    rng: np.random.Generator,
) -> Callable[[float], Evidence]:
    """Return what `results` say about quality for any bar, estimated once; see `evidence`.

    The bar of `claim` itself is not used.
    """
    if scorer.judge is not None:
        return _by_judge(results, examples, judge=scorer.judge, confidence=claim.confidence)
    targets = {example.id: example.target for example in examples}
    scored = [result for result in results if isinstance(result.outcome, Scored)]
    failed = len(results) - len(scored)
    if claim.planned is not None and len(results) >= claim.planned:
        claim = replace(claim, planned=0)  # The last look: nothing is to come.
    share = _last_share(claim, scorer)
    quality, p_value = _assess(scored, targets, scorer=scorer, claim=claim, rng=rng)
    if failed == 0:
        return lambda bar: Evidence(quality, quality, p_value(bar), share)
    pessimistic = [_as_wrong(result) for result in results]
    judged, worst_p = _assess(pessimistic, targets, scorer=scorer, claim=claim, rng=rng)
    optimistic = [_as_right(result, targets[result.example_id]) for result in results]
    shown = Estimate(
        **quality.model_dump(exclude={"failed", "worst", "best"}),
        failed=failed,
        worst=judged.mean,
        best=_mean(optimistic, targets, scorer=scorer),
    )
    if failed > FAILED_SHARE * len(results):
        return lambda bar: Evidence(shown, judged, worst_p(bar), share)
    return lambda bar: Evidence(shown, shown, p_value(bar), share)


def _last_share(claim: Claim, scorer: Scorer) -> float:
    races = claim.planned is not None and scorer.is_binary and scorer.aggregate == "mean"
    return 1.0 - SEQUENTIAL_SHARE if races else 1.0


def compare(
    first: Run,
    second: Run,
    examples: Sequence[Example],
    *,
    scorer: Scorer,
    confidence: float,
    rng: np.random.Generator,
    raced: bool = False,
) -> Difference:
    """Return the paired difference, first minus second, over the examples that both scored.

    Mean metrics: `paired_difference`, or `raced_difference` where the results decided when to stop. Macro-F1: the percentile bootstrap over examples, and the
    approximate randomisation test that swaps the two answers of an example (Yeh 2000, More accurate
    tests for the statistical significance of result differences, COLING), the sign-flip test of
    aggregate metrics. A judge's scores: the prediction-powered difference where people scored enough
    answers of both, else the difference as the judge alone sees it.
    """
    if scorer.judge is not None:
        found = _difference_by_judge(
            first, second, examples, judge=scorer.judge, confidence=confidence
        )
        if found is not None:
            return found
    if scorer.aggregate == "mean" and raced:
        return raced_difference(first.scores, second.scores, confidence=confidence)
    if scorer.aggregate == "mean":
        return paired_difference(
            first.scores,
            second.scores,
            binary=scorer.is_binary,
            confidence=confidence,
            rng=rng,
        )
    targets = {example.id: example.target for example in examples}
    shared = first.scores.keys() & second.scores.keys()
    ours = [result for result in first.results if result.example_id in shared]
    by_id = {result.example_id: result for result in second.results}
    theirs = [by_id[result.example_id] for result in ours]
    truth, guess = _codes(ours, targets)
    _, other = _codes(theirs, targets)

    def difference(chosen: _Codes) -> float:
        return macro_f1(truth[chosen], guess[chosen]) - macro_f1(truth[chosen], other[chosen])

    count = len(truth)
    mean = difference(np.arange(count, dtype=np.intp)) if count else 0.0
    low, high = bootstrap_interval(difference, count, rng=rng, confidence=confidence)
    return Difference(
        mean=mean,
        low=low if count else -1.0,
        high=high,
        n=count,
        p_value=_swap_test(truth, guess, other, rng=rng) if count else 1.0,
        test="sign_flip",
    )


def _by_judge(
    results: Sequence[Result], examples: Sequence[Example], *, judge: Judge, confidence: float
) -> Callable[[float], Evidence]:
    """Return what a judge's scores and people's say together; failures count as in `evidence`."""
    answers = _scored_answers(results, examples, judge=judge)
    standing = judge.standing
    count, total = len(answers.judge), len(results)

    def assessed(bar: float) -> Assessed:
        return assess(
            answers,
            elsewhere=(standing.human, standing.judge),
            withheld=standing.withheld,
            bar=bar,
            confidence=confidence,
        )

    def found_at(bar: float) -> Evidence:
        found = assessed(bar)
        if count == total or found.quality.mean is None:
            shown = found.quality.model_copy(update={"failed": total - count})
            return Evidence(
                shown, shown, found.p_value, rests_on=found.rests_on, withheld=found.withheld
            )
        return _with_failures(found, assessed, bar=bar, scored=count, total=total)

    return found_at


def _with_failures(
    found: Assessed,
    assessed: Callable[[float], Assessed],
    *,
    bar: float,
    scored: int,
    total: int,
) -> Evidence:
    """Return what a judge's scores say where some answers have none."""
    share = scored / total
    mean = found.quality.mean or 0.0
    worst, best = mean * share, mean * share + 1.0 - share
    quality = found.quality.model_copy(
        update={"failed": total - scored, "worst": worst, "best": best}
    )
    judged, p_value = quality, found.p_value
    if total - scored > FAILED_SHARE * total:
        # With the failures at 0, the mean of all meets the bar where that of the scored meets bar / share.
        judged = found.quality.model_copy(
            update={
                "mean": worst,
                "low": found.quality.low * share,
                "high": found.quality.high * share,
                "n": total,
                "worst": worst,
                "best": worst,
            }
        )
        p_value = assessed(min(1.0, bar / share)).p_value
    return Evidence(quality, judged, p_value, rests_on=found.rests_on, withheld=found.withheld)


def _scored_answers(
    results: Sequence[Result], examples: Sequence[Example], *, judge: Judge
) -> ScoredAnswers:
    by_id = {example.id: example for example in examples}
    given = [
        (result.outcome.score, _people_gave(result, by_id[result.example_id], judge))
        for result in results
        if isinstance(result.outcome, Scored)
    ]
    return ScoredAnswers(tuple(one for one, _ in given), tuple(human for _, human in given))


def _people_gave(result: Result, example: Example, judge: Judge) -> float | None:
    return None if result.answer is None else judge.human_score(example, result.answer)


def _difference_by_judge(
    first: Run, second: Run, examples: Sequence[Example], *, judge: Judge, confidence: float
) -> Difference | None:
    shared = first.scores.keys() & second.scores.keys()
    order = [result.example_id for result in first.results if result.example_id in shared]
    sides: list[ScoredAnswers] = []
    for run in (first, second):
        by_id = {result.example_id: result for result in run.results}
        sides.append(_scored_answers([by_id[name] for name in order], examples, judge=judge))
    return judged_difference(*sides, confidence=confidence)


def macro_f1(truth: _Codes, guess: _Codes) -> float:
    """Return the mean of the labels' F1 over the labels that `truth` holds.

    A label is a number from 0; in `guess`, -1 is an answer that is no label. An answer outside the
    labels of `truth` counts against the label that was wanted, and makes no label of its own.
    """
    size = int(truth.max()) + 1
    guess = np.where(guess < size, guess, _UNREADABLE)
    support = np.bincount(truth, minlength=size)
    claimed = np.bincount(guess[guess >= 0], minlength=size)
    hits = np.bincount(truth[truth == guess], minlength=size)
    wanted = support > 0
    return float(np.mean(2.0 * hits[wanted] / (support + claimed)[wanted]))


def _assess(
    results: Sequence[Result],
    targets: Mapping[str, JsonValue],
    *,
    scorer: Scorer,
    claim: Claim,
    rng: np.random.Generator,
) -> tuple[Estimate, _PValue]:
    """Return the estimate and the p-value of results that all have a score."""
    outcomes = [result.outcome for result in results]
    scores = [outcome.score for outcome in outcomes if isinstance(outcome, Scored)]
    if scorer.aggregate == "macro_f1" and results:
        return _assess_macro(*_codes(results, targets), confidence=claim.confidence, rng=rng)
    binary = scorer.is_binary
    if claim.planned is not None:
        is_last = len(scores) >= claim.planned
        found = raced_estimate(scores, binary=binary, confidence=claim.confidence, is_last=is_last)
        return found, lambda bar: raced_p_value(scores, bar, binary=binary, is_last=is_last)
    found = estimate(outcomes, binary=binary, confidence=claim.confidence)
    if binary:
        right = round(sum(scores))
        return found, lambda bar: binomial_p_value(right, len(scores), bar=bar)
    return found, lambda bar: betting_p_value(scores, bar)


def _assess_macro(
    truth: _Codes, guess: _Codes, *, confidence: float, rng: np.random.Generator
) -> tuple[Estimate, _PValue]:
    def chosen_f1(chosen: _Codes) -> float:
        return macro_f1(truth[chosen], guess[chosen])

    mean = macro_f1(truth, guess)
    values = resample(chosen_f1, len(truth), rng=rng)
    tail = (1.0 - confidence) / 2.0
    low, high = (float(bound) for bound in np.quantile(values, [tail, 1.0 - tail]))

    def p_value(bar: float) -> float:
        return (1 + int(np.sum(values < bar))) / (1 + len(values))

    found = Estimate(
        mean=mean,
        # Rare labels drop out of resamples, so that the mean may lie outside their quantiles.
        low=min(low, mean),
        high=max(high, mean),
        n=len(truth),
        worst=mean,
        best=mean,
        method="bootstrap",
    )
    return found, p_value


def _swap_test(truth: _Codes, guess: _Codes, other: _Codes, *, rng: np.random.Generator) -> float:
    observed = abs(macro_f1(truth, guess) - macro_f1(truth, other)) - 1e-12
    extreme = 0
    for _ in range(_SWAPS):
        swap = rng.integers(0, 2, size=len(truth), dtype=np.int8) == 1
        ours, theirs = np.where(swap, other, guess), np.where(swap, guess, other)
        extreme += abs(macro_f1(truth, ours) - macro_f1(truth, theirs)) >= observed
    return (1 + extreme) / (1 + _SWAPS)


def _codes(results: Sequence[Result], targets: Mapping[str, JsonValue]) -> tuple[_Codes, _Codes]:
    """Return the wanted and the answered labels as numbers; -1 for an answer that no target has."""
    wanted = [as_text(targets[result.example_id]) for result in results]
    code = {label: number for number, label in enumerate(sorted(set(wanted)))}
    answered = [
        _UNREADABLE
        if result.answer is None or result.answer.value is None
        else code.get(as_text(result.answer.value), _UNREADABLE)
        for result in results
    ]
    truth = [code[label] for label in wanted]
    return np.asarray(truth, dtype=np.intp), np.asarray(answered, dtype=np.intp)


def _mean(results: Sequence[Result], targets: Mapping[str, JsonValue], *, scorer: Scorer) -> float:
    if scorer.aggregate == "macro_f1":
        return macro_f1(*_codes(results, targets))
    scores = [r.outcome.score for r in results if isinstance(r.outcome, Scored)]
    return sum(scores) / len(scores)


def _as_wrong(result: Result) -> Result:
    if isinstance(result.outcome, Scored):
        return result
    return Result(example_id=result.example_id, answer=None, outcome=Scored(score=0.0))


def _as_right(result: Result, target: JsonValue) -> Result:
    if isinstance(result.outcome, Scored):
        return result
    from_target = Answer(raw="", value=target)
    return Result(example_id=result.example_id, answer=from_target, outcome=Scored(score=1.0))
