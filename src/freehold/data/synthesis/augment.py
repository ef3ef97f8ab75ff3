"""Noisy copies of training rows: the same answer, an input as it comes from hurried hands or a scanner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from freehold.core.record import Record, digest_json
from freehold.core.snapshot import Example, Origin, Synthetic
from freehold.core.task import Output
from freehold.data.duplicates import find_duplicates
from freehold.data.overlap import Overlap
from freehold.data.split import draw
from freehold.data.synthesis.noise import NOISES, NoiseName, guarded

NOTHING_CHANGED = "nothing could be changed in it"
REPEATS = "it repeats a row"
RESEMBLES_HELD_OUT = "it resembles a held-out row that its own row does not"


class NoisePlan(Record):
    """What is wanted: `count` copies by these kinds of noise in turn.

    `rate` is the chance that a word (or a space) is hit; each copy has one change at least.
    """

    kinds: tuple[NoiseName, ...]
    count: int
    rate: float = 0.1
    seed: int = 7


class Augmented(Record):
    """What came of it: the copies, how many of each kind, and how many were left out for what reason."""

    accepted: tuple[Example, ...]
    kinds: dict[str, int]
    left_out: dict[str, int]


def augment(
    plan: NoisePlan, rows: Sequence[Example], *, output: Output, held_out: Sequence[Example]
) -> Augmented:
    """Write noisy copies of training rows, each row once before any twice, and the kinds in turn.

    Args:
        plan: what is wanted.
        rows: real training rows; those of a chat keep their earlier turns.
        output: the form of the answers, which says what must stay in an input.
        held_out: dev, test and audit rows, which no copy may resemble.
    """
    pool = sorted(rows, key=lambda row: (draw(plan.seed, "augment", row.content_digest), row.id))
    overlap = Overlap(row.input for row in held_out)
    known = {(row.input, row.context) for row in (*rows, *held_out)}
    copies: list[Example] = []
    reasons: Counter[str] = Counter()
    tries = 0
    while pool and len(copies) < plan.count and tries < 2 * max(plan.count, len(pool)):
        time, place = divmod(tries, len(pool))
        row, kind = pool[place], plan.kinds[(place + time) % len(plan.kinds)]
        copy = _copy(row, kind, plan=plan, time=time, output=output)
        tries += 1
        if copy.input == row.input:
            reasons[NOTHING_CHANGED] += 1
        elif (copy.input, copy.context) in known:
            reasons[REPEATS] += 1
        elif overlap.resembles(copy.input) and not overlap.resembles(row.input):
            reasons[RESEMBLES_HELD_OUT] += 1
        else:
            known.add((copy.input, copy.context))
            copies.append(copy)
    kept, resembling = _away_from(held_out, copies)
    reasons[RESEMBLES_HELD_OUT] += resembling
    kinds = Counter(
        row.origin.synthetic.method for row in kept if row.origin and row.origin.synthetic
    )
    return Augmented(
        accepted=tuple(kept),
        kinds={kind: kinds[kind] for kind in plan.kinds},
        left_out={reason: count for reason, count in reasons.most_common() if count},
    )


def _copy(row: Example, kind: NoiseName, *, plan: NoisePlan, time: int, output: Output) -> Example:
    rng = Random(digest_json("noise", [plan.seed, kind, time, row.content_digest]))
    text = NOISES[kind](guarded(row.input, row.target, output), rng, plan.rate)
    before = row.origin or Origin(source=row.source, row=row.row)
    made = Synthetic(method=kind, seed=plan.seed, parents=(row.content_digest,))
    step = f"augment: {kind} at rate {plan.rate:g} of {row.id}"
    copy = row.model_copy(
        update={
            "input": text,
            "source": "",
            "row": 0,
            "group": None,
            "origin": before.model_copy(update={"steps": (*before.steps, step), "synthetic": made}),
        }
    )
    name = f"aug-{copy.content_digest.removeprefix('sha256:')[:12]}"
    return copy.model_copy(update={"id": name})


def _away_from(held_out: Sequence[Example], copies: Sequence[Example]) -> tuple[list[Example], int]:
    """Return the copies that nearly repeat no held-out row, and how many others there are."""
    roots = find_duplicates([*held_out, *copies]).roots[len(held_out) :]
    kept = [copy for copy, root in zip(copies, roots, strict=True) if root >= len(held_out)]
    return kept, len(copies) - len(kept)
