"""Racing: when a rung needs no further test example (decide.md 5). Pure: results in, a reason out.

Examples come in batches, in one random order that is the same for every rung, so that two rungs
share a prefix and their difference is paired. After each batch the rung is judged as it stands
(`decide.judge`); it goes on while it is UNDECIDED and further examples could change that.

Why looking after every batch is honest: the p-value of a rung comes from capital that bets against the
bar (`freehold.evaluate.betting`). It is valid at every look at once, so that the moment to stop may
depend on the scores. All rungs that the ladder may come to are judged together by Holm, those not yet
looked at with a p-value of 1: a rung that passes is never judged anew because of the ones after it.
Decision 011 has the argument.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from freehold.core.measure import Estimate, Verdict
from freehold.core.sections import Bar
from freehold.core.snapshot import Example
from freehold.evaluate.estimates import Evidence
from freehold.ladder.decide import Contender, Judgement, judge

FIRST_BATCH = 20
_GROWTH = 8  # a batch is an eighth of what was evaluated, so that at most that much is too many

Stop: TypeAlias = Literal["passed", "failed", "kept ability is open", "every example was evaluated"]

_UNKNOWN = Estimate(mean=None, low=0.0, high=1.0, n=0)


@dataclass(frozen=True)
class Rules:
    """What a race is run by.

    `planned` is the number of test examples, `rungs` how many rungs may be looked at in all. `is_mean`
    is False for a metric that is no mean of examples: it can only be judged whole.
    """

    bar: Bar
    planned: int
    rungs: int
    is_mean: bool = True


def racing_order(examples: Sequence[Example], *, seed: int) -> tuple[Example, ...]:
    """Return the examples in the random order of a seed: by a digest of seed and id.

    It depends on nothing else, so that rows that are added later do not reorder the others.
    """

    def drawn(example: Example) -> bytes:
        return hashlib.sha256(f"{seed} {example.id}".encode("utf-8", "surrogatepass")).digest()

    return tuple(sorted(examples, key=drawn))


def after_next_batch(evaluated: int, planned: int) -> int:
    """Return how many examples are evaluated after one more batch: 20, or an eighth of those so far."""
    return min(planned, evaluated + max(FIRST_BATCH, evaluated // _GROWTH))


def looks(planned: int) -> tuple[int, ...]:
    """Return the numbers of examples at which a race is looked at, the last one being `planned`."""
    found: list[int] = []
    while not found or found[-1] < planned:
        found.append(after_next_batch(found[-1] if found else 0, planned))
    return tuple(found)


def reason_to_stop(
    racer: Contender, before: Sequence[Contender], *, rules: Rules, evaluated: int
) -> Stop | None:
    """Return why the racing rung needs no further example, or None where it goes on.

    Args:
        racer: the rung as it stands; kept ability was measured before the race.
        before: the rungs that were measured before it.
        rules: of this race.
        evaluated: how many examples were evaluated, failed ones included.
    """
    is_whole = evaluated >= rules.planned
    if not rules.is_mean and not is_whole:
        # Its interval means nothing yet; kept ability and ceilings can exclude the rung all the same.
        racer = replace(racer, evidence=Evidence(_UNKNOWN, _UNKNOWN, 1.0))
    verdict = _verdict(racer, before, rules)
    if verdict is Verdict.PASS:
        return "passed"
    if verdict is Verdict.FAIL and (is_whole or not _may_be_cheaper(racer, before, rules)):
        return "failed"
    if is_whole:
        return "every example was evaluated"
    quality_alone = replace(racer, kept=None, seconds_p95=0.0, dollars_per_1k=0.0)
    if verdict is Verdict.UNDECIDED and _verdict(quality_alone, before, rules) is Verdict.PASS:
        return "kept ability is open"
    return None


def _may_be_cheaper(racer: Contender, before: Sequence[Contender], rules: Rules) -> bool:
    """Return whether a FAIL rests on a price that a slow start explains."""
    if racer.least_dollars_per_1k is None:
        return False
    cheapest = replace(racer, dollars_per_1k=racer.least_dollars_per_1k)
    return _verdict(cheapest, before, rules) is not Verdict.FAIL


def _verdict(racer: Contender, before: Sequence[Contender], rules: Rules) -> Verdict:
    return judge([*before, racer], bar=rules.bar, rungs=rules.rungs)[-1].verdict


def stop_text(because: str, *, evaluated: int, planned: int) -> str:
    """Return why a run ended, for its record: `passed after 120 of 400`."""
    if evaluated >= planned:
        return "every example was evaluated"
    return f"{because} after {evaluated} of {planned}"


def with_unasked(
    found: Judgement, *, evaluated: int, planned: int, because: str | None
) -> Judgement:
    """Return an UNDECIDED as it reads where a budget left test examples unasked.

    `need_more` then counts examples beyond those that there are; None where those that there are would
    do. Other verdicts are returned as they are.
    """
    unasked = planned - evaluated
    if because is None or unasked == 0 or found.verdict is not Verdict.UNDECIDED:
        return found
    reason = f"{because}; {found.reason}" if found.reason else because
    further = found.need_more
    beyond = further - unasked if further is not None and further > unasked else None
    return Judgement(found.verdict, found.reason if "kept" in because else reason, beyond)
