"""Kept ability: procedural probes before and after training, on the same items (decide.md 7a).

The items come from the held-out side of the procedural world, which no training item draws from,
with a seed of their own: a model cannot have seen them.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from freehold.core.measure import Estimate, Kept, KeptFamily
from freehold.core.message import Message
from freehold.core.outcome import Failed, Outcome, Scored
from freehold.core.record import Record
from freehold.data.procedural import FAMILIES, probe_world
from freehold.evaluate.statistics import paired_difference, z_value
from freehold.models.door import Generation, Model

MAX_TOKENS = 96
"""More than the longest right answer of a probe needs."""

_BISECTIONS = 60


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


def read_probes(model: Model, probes: Sequence[Probe]) -> tuple[ProbeResult, ...]:
    """Return what `measure_probes` would, from one reading of each prompt with its right answer.

    Greedy decoding writes an answer exactly if each of its tokens is the likeliest after those before.
    To read is many times faster than to write, so that small losses can be seen; the rare answer that is
    right in other tokens counts as wrong, before and after alike. For choosing, not for verdicts.
    """
    read = model.answer_logprobs(
        [probe.messages for probe in probes], [probe.answer for probe in probes]
    )
    return tuple(
        ProbeResult(
            probe_id=probe.id,
            family=probe.family,
            outcome=one if isinstance(one, Failed) else Scored(score=float(one.is_greedy)),
        )
        for probe, one in zip(probes, read, strict=True)
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
    first, second = _paired(before, after)
    return Kept(
        ratio=kept_ratio(list(first.values()), list(second.values()), confidence=confidence),
        points_lost=paired_difference(first, second, binary=True, confidence=confidence, rng=rng),
        families=kept_families(before, after, confidence=confidence, rng=rng),
        seed=seed,
    )


def kept_families(
    before: Sequence[ProbeResult],
    after: Sequence[ProbeResult],
    *,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[KeptFamily, ...]:
    """Return each family before and after, paired on the same items, worst first; see `kept`."""
    first, second = _paired(before, after)
    shared = [result for result in before if result.probe_id in first]
    families: list[KeptFamily] = []
    for family in dict.fromkeys(result.family for result in shared):
        ids = [result.probe_id for result in shared if result.family == family]
        old, new = {i: first[i] for i in ids}, {i: second[i] for i in ids}
        binary = {*old.values(), *new.values()} <= {0.0, 1.0}
        families.append(
            KeptFamily(
                family=family,
                n=len(ids),
                before=sum(old.values()) / len(ids),
                after=sum(new.values()) / len(ids),
                lost=sum(old[i] > new[i] for i in ids),
                gained=sum(old[i] < new[i] for i in ids),
                points_lost=paired_difference(
                    old, new, binary=binary, confidence=confidence, rng=rng
                ),
            )
        )
    return tuple(sorted(families, key=lambda one: (one.after - one.before, one.family)))


def kept_ratio(
    before: Sequence[float], after: Sequence[float], *, confidence: float = 0.95
) -> Estimate:
    """Return the ratio of two paired proportions, after over before, with its score interval.

    The bounds are the ratios d at which the score test of "after = d before" is just significant,
    with the restricted maximum-likelihood estimate of the discordant share. Its lower side misses at
    most as often as it says; the simpler interval on the logarithm was seen to miss twice as often
    (docs/evaluate.md). Source: Tang, Tang and Chan (2003), On tests of equivalence via
    non-unity relative risk for matched-pair design, Statistics in Medicine 22, 1217-1233; Nam and
    Blackwelder (2002), Analysis of the ratio of marginal probabilities in a matched-pair setting,
    Statistics in Medicine 21, 689-699.

    Where no item moved, the ratio is 1 and so are its bounds; `kept_p_value` says how much that
    shows. With nothing right before there is nothing to keep: the mean is None.

    Raises:
        ValueError: a score is neither 0 nor 1.
    """
    moved = _Moved.between(before, after)
    if moved.before == 0:
        return Estimate(mean=None, low=0.0, high=1.0, n=0)
    if moved.lost == moved.gained == 0:
        return Estimate(mean=1.0, low=1.0, high=1.0, n=len(before), method="score")
    z = z_value(confidence)
    ratio = moved.after / moved.before
    low = _crossing(lambda d: moved.score(d) > z, ends=(0.0, ratio))
    above = 2.0 * ratio + 1.0
    while moved.score(above) > -z:
        above *= 2.0
    high = _crossing(lambda d: moved.score(d) < -z, ends=(above, ratio))
    return Estimate(mean=ratio, low=low, high=high, n=len(before), method="score")


def kept_p_value(found: Kept, bar: float) -> float:
    """Return the one-sided p-value of "less than `bar` is kept", by the score test of `kept_ratio`.

    Without families there is no sample, as nothing was trained: 0 where the ratio meets the bar.
    """
    ratio = found.ratio
    if ratio.mean is None:
        return 1.0
    if bar <= 0.0:
        return 0.0
    if not found.families:
        return 0.0 if ratio.low >= bar else 1.0
    moved = _Moved(
        both=sum(round(f.n * f.before) - f.lost for f in found.families),
        lost=sum(family.lost for family in found.families),
        gained=sum(family.gained for family in found.families),
    )
    return NormalDist().cdf(-moved.score(bar))


@dataclass(frozen=True)
class _Moved:
    """Items right before and after, before only, and afterwards only."""

    both: int
    lost: int
    gained: int

    @classmethod
    def between(cls, before: Sequence[float], after: Sequence[float]) -> _Moved:
        if any(score not in (0.0, 1.0) for score in (*before, *after)):
            raise ValueError("a probe's score is 0 or 1")
        pairs = Counter(zip(before, after, strict=True))
        return cls(both=pairs[1.0, 1.0], lost=pairs[1.0, 0.0], gained=pairs[0.0, 1.0])

    @property
    def before(self) -> int:
        return self.both + self.lost

    @property
    def after(self) -> int:
        return self.both + self.gained

    def score(self, ratio: float) -> float:
        """Return the score statistic of "after = ratio before": it falls as the ratio rises."""
        total = self.both + self.lost + self.gained
        a = total * (1.0 + ratio)
        b = self.before * ratio * ratio - (self.after + 2.0 * self.lost)
        c = self.lost * (1.0 - ratio)
        share = (math.sqrt(max(0.0, b * b - 4.0 * a * c)) - b) / (2.0 * a)
        variance = a * share + total * (ratio - 1.0)
        distance = self.after - self.before * ratio
        if variance <= 0.0:
            return 0.0 if distance == 0.0 else math.copysign(math.inf, distance)
        return distance / math.sqrt(variance)


def _crossing(is_outside: Callable[[float], bool], *, ends: tuple[float, float]) -> float:
    outside, inside = ends
    for _ in range(_BISECTIONS):
        middle = (outside + inside) / 2.0
        if is_outside(middle):
            outside = middle
        else:
            inside = middle
    return outside


def _paired(
    before: Sequence[ProbeResult], after: Sequence[ProbeResult]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the scores of the items that were scored before, then those after."""
    reference = _scores(before)
    later = {result.probe_id: _score_or_zero(result.outcome) for result in after}
    shared = [r.probe_id for r in before if r.probe_id in reference.keys() & later.keys()]
    return {i: reference[i] for i in shared}, {i: later[i] for i in shared}


def _scores(results: Sequence[ProbeResult]) -> Mapping[str, float]:
    return {r.probe_id: r.outcome.score for r in results if isinstance(r.outcome, Scored)}


def _score_or_zero(outcome: Outcome) -> float:
    return outcome.score if isinstance(outcome, Scored) else 0.0
