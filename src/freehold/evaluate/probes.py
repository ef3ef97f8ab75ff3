"""Kept ability: procedural probes before and after training, on the same items (decide.md 7a).

The items come from the held-out side of the procedural world, which no training item draws from,
with a seed of their own: a model cannot have seen them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist

import numpy as np

from freehold.core.measure import Estimate, Kept, KeptFamily
from freehold.core.message import Message
from freehold.core.outcome import Failed, Outcome, Scored
from freehold.core.record import Record
from freehold.data.procedural import FAMILIES, probe_world
from freehold.evaluate.statistics import paired_difference, wilson, z_value
from freehold.models.door import Generation, Model

MAX_TOKENS = 96
"""More than the longest right answer of a probe needs."""


class Probe(Record):
    """One item: a conversation that ends with the user, and the one right answer."""

    id: str
    family: str
    messages: tuple[Message, ...]
    answer: str


class ProbeResult(Record):
    """One model on one probe."""

    probe_id: str
    family: str
    outcome: Outcome


def probe_items(items_per_family: int, seed: int) -> tuple[Probe, ...]:
    """Return `items_per_family` probes of every family, the same for the same seed.

    Every family has a generator of its own, so that a new family leaves the items of the others as
    they are.
    """
    world = probe_world()
    probes: list[Probe] = []
    for name, family in FAMILIES.items():
        rng = random.Random(f"probes/{name}/{seed}")
        for number in range(items_per_family):
            item = family(rng, world)
            messages = tuple(Message(role=role, content=text) for role, text in item.messages)
            probes.append(
                Probe(id=f"{name}-{number}", family=name, messages=messages, answer=item.answer)
            )
    return tuple(probes)


def measure_probes(
    model: Model,
    probes: Sequence[Probe],
    *,
    max_tokens: int = MAX_TOKENS,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[ProbeResult, ...]:
    """Return the score of `model` on each probe: 1 where its greedy answer is the right one.

    Compared exactly, without surrounding white space. What the engine could not compute, or what
    does not fit the context, is a failure.

    Args:
        model: is asked for free text, without constraint.
        probes: from `probe_items`.
        max_tokens: of one answer.
        on_progress: called with (answered, all) after each answer.
    """
    answered = 0

    def count(_position: int, _result: Generation | Failed) -> None:
        nonlocal answered
        answered += 1
        if on_progress is not None:
            on_progress(answered, len(probes))

    prompts = [probe.messages for probe in probes]
    generations = model.generate(prompts, max_tokens=max_tokens, on_answer=count)
    return tuple(
        ProbeResult(probe_id=probe.id, family=probe.family, outcome=_judge(probe, generation))
        for probe, generation in zip(probes, generations, strict=True)
    )


def _judge(probe: Probe, generation: Generation | Failed) -> Outcome:
    if isinstance(generation, Failed):
        return generation
    return Scored(score=float(generation.text.strip() == probe.answer.strip()))


def kept(
    before: Sequence[ProbeResult],
    after: Sequence[ProbeResult],
    *,
    confidence: float,
    seed: int,
    rng: np.random.Generator,
) -> Kept:
    """Return how much ability is kept: mean after over mean before, paired on the same items.

    An item that failed before is left out; one that failed only afterwards is an ability lost, and
    counts as 0. See `kept_ratio` for the interval. Families are worst first.

    Args:
        before: the untrained weights, the reference.
        after: the trained candidate on the same probes.
        confidence: of the intervals.
        seed: of the probes, for the record.
        rng: for permutation tests; binary probes draw nothing.
    """
    reference = _scores(before)
    later = {result.probe_id: _score_or_zero(result.outcome) for result in after}
    shared = [result for result in before if result.probe_id in reference.keys() & later.keys()]
    first = {result.probe_id: reference[result.probe_id] for result in shared}
    second = {result.probe_id: later[result.probe_id] for result in shared}
    families: list[KeptFamily] = []
    for family in dict.fromkeys(result.family for result in shared):
        ids = [result.probe_id for result in shared if result.family == family]
        old, new = {i: first[i] for i in ids}, {i: second[i] for i in ids}
        families.append(
            KeptFamily(
                family=family,
                n=len(ids),
                before=sum(old.values()) / len(ids),
                after=sum(new.values()) / len(ids),
                points_lost=paired_difference(
                    old, new, binary=True, confidence=confidence, rng=rng
                ),
            )
        )
    families.sort(key=lambda one: (one.after - one.before, one.family))
    return Kept(
        ratio=kept_ratio(list(first.values()), list(second.values()), confidence=confidence),
        points_lost=paired_difference(first, second, binary=True, confidence=confidence, rng=rng),
        families=tuple(families),
        seed=seed,
    )


def kept_ratio(
    before: Sequence[float], after: Sequence[float], *, confidence: float = 0.95
) -> Estimate:
    """Return the ratio of the means of paired scores, after over before, with its interval.

    The interval is ratio * exp(+-z se), where se^2 is the variance of a_i / mean(a) - b_i / mean(b)
    over n: the delta method on the logarithm. For binary scores se^2 is (lost + gained) / (right
    before * right after), in counts. Source: Desu and Raghavarao (2004), Nonparametric statistical
    methods for complete and censored data, p. 184; Bonett and Price (2006), Confidence intervals for
    a ratio of binomial proportions based on paired data, Statistics in Medicine 25, 3039-3047.

    Where no item moved, the ratio is 1 and so are its bounds. With nothing right before there is
    nothing to keep: the mean is None. With nothing right after, the upper bound is Wilson's bound
    of the mean after, over the mean before.
    """
    count = len(before)
    if count == 0 or not any(before):
        return Estimate(mean=None, low=0.0, high=1.0, n=0)
    old, new = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if np.array_equal(old, new):
        return Estimate(mean=1.0, low=1.0, high=1.0, n=count, method="delta")
    base, now = float(np.mean(old)), float(np.mean(new))
    if now == 0.0:
        high = wilson(0, count, confidence=confidence)[1] / base
        return Estimate(mean=0.0, low=0.0, high=high, n=count, method="delta")
    ratio = now / base
    spread = math.sqrt(float(np.mean((new / now - old / base) ** 2)) / count)
    factor = math.exp(z_value(confidence) * spread)
    return Estimate(mean=ratio, low=ratio / factor, high=ratio * factor, n=count, method="delta")


def kept_p_value(found: Kept, bar: float, *, confidence: float = 0.95) -> float:
    """Return the one-sided p-value of "less than `bar` is kept", at the level of the interval.

    From the normal distribution behind the interval of `kept_ratio`. Where no item moved it has no
    width, and p is the chance that none of the items that were right before is lost if each is kept
    with chance `bar`: bar ** right before. Without families (nothing was trained) that is no sample,
    and p is 0.
    """
    ratio = found.ratio
    if ratio.mean is None or ratio.low <= 0.0:
        return 1.0
    if bar <= 0.0:
        return 0.0
    spread = math.log(ratio.high / ratio.low) / (2.0 * z_value(confidence))
    distance = math.log(ratio.mean / bar)
    if spread > 0.0:
        return NormalDist().cdf(-distance / spread)
    if distance < 0.0:
        return 1.0
    right_before = sum(family.n * family.before for family in found.families)
    return math.pow(bar, right_before) if found.families else 0.0


def _scores(results: Sequence[ProbeResult]) -> Mapping[str, float]:
    return {r.probe_id: r.outcome.score for r in results if isinstance(r.outcome, Scored)}


def _score_or_zero(outcome: Outcome) -> float:
    return outcome.score if isinstance(outcome, Scored) else 0.0
