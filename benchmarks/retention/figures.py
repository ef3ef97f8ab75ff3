# pyright: basic
"""From lines to figures: pooled over seeds, with intervals from a bootstrap over seeds and paired items. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cells import ORDERS, PROBES, Found, first_of_each, unpack
from numpy.typing import NDArray

from freehold.core.measure import Estimate
from freehold.core.transfer import Cell as TransferCell
from freehold.core.transfer import Transfer, TransferMatrix
from freehold.evaluate.continual import transfer

Floats = NDArray[np.float64]
RESAMPLES = 2_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Figure:
    """A number with its interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ArmScores:
    """One arm on one domain: item scores by seed, in points. S seeds, I test rows, P probes."""

    quality_SI: Floats
    probes_SP: Floats


@dataclass(frozen=True)
class Compared:
    """An arm against the base, and against naive fine-tuning as it was trained."""

    gain: Figure
    gain_share: Figure
    loss: Figure
    worst_family: str
    worst_loss: Figure
    forgetting_removed: Figure


def probes_of(packed: Found, families: Sequence[str]) -> Floats:
    """Return the scores of the probes that tables are made from."""
    return np.array(first_of_each(unpack(packed), len(families), PROBES))


def scores_of(lines: Sequence[Found], variant: str, *, families: Sequence[str]) -> ArmScores:
    """Return the scores of lines of one arm; `variant` is `whole` or `chosen`."""
    measured = [
        line["measured"][f"{1.0 if variant == 'whole' else line['chosen']:g}"] for line in lines
    ]
    return ArmScores(
        quality_SI=100 * np.array([unpack(one["quality"]) for one in measured]),
        probes_SP=100 * np.array([probes_of(one["probes"], families) for one in measured]),
    )


def compare(
    arm: ArmScores,
    naive: ArmScores,
    *,
    base_quality_I: Floats,
    base_probes_P: Floats,
    families: Sequence[str],
    rng: np.random.Generator,
) -> Compared:
    """Return an arm's figures.

        gain                 M(arm) - M(base)
        gain share           gain(arm) / gain(naive)
        loss                 G(base) - G(arm), mean over the families
        forgetting removed   1 - loss(arm) / loss(naive)

    A resample draws seeds, test rows, and probes within each family anew, the same for every arm. The
    interval of the worst family is that of the family that was worst, not of a maximum.
    """
    seeds, rows, kinds = len(arm.quality_SI), len(base_quality_I), len(families)
    per = len(base_probes_P) // kinds
    draw = _Draws(
        seeds_BS=_weights(seeds, rng),
        rows_BI=_weights(rows, rng),
        probes_BP=np.concatenate([_weights(per, rng) for _ in families], axis=1) / kinds,
    )
    gain_B = draw.of_rows(arm.quality_SI - base_quality_I)
    naive_gain_B = draw.of_rows(naive.quality_SI - base_quality_I)
    lost_SP = base_probes_P - arm.probes_SP
    loss_B = draw.of_probes(lost_SP)
    naive_loss_B = draw.of_probes(base_probes_P - naive.probes_SP)
    worst = int(lost_SP.mean(axis=0).reshape(kinds, per).mean(axis=1).argmax())
    own = slice(worst * per, (worst + 1) * per)
    worst_B = ((draw.seeds_BS @ lost_SP[:, own]) * (kinds * draw.probes_BP[:, own])).sum(axis=1)
    return Compared(
        gain=_figure(gain_B),
        gain_share=_figure(_ratio(gain_B, naive_gain_B)),
        loss=_figure(loss_B),
        worst_family=families[worst],
        worst_loss=_figure(worst_B),
        forgetting_removed=_figure(1 - _ratio(loss_B, naive_loss_B)),
    )


@dataclass(frozen=True)
class _Draws:
    """Weights of B draws over seeds, rows and probes; draw 0 weighs all equally: it is the sample itself."""

    seeds_BS: Floats
    rows_BI: Floats
    probes_BP: Floats

    def of_rows(self, table_SI: Floats) -> Floats:
        return ((self.seeds_BS @ table_SI) * self.rows_BI).sum(axis=1)

    def of_probes(self, table_SP: Floats) -> Floats:
        return ((self.seeds_BS @ table_SP) * self.probes_BP).sum(axis=1)


def _weights(count: int, rng: np.random.Generator) -> Floats:
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
    return np.concatenate([np.full((1, count), 1 / count), drawn])


def _ratio(part_B: Floats, whole_B: Floats) -> Floats:
    """Return part / whole; undefined where the whole is not above zero."""
    return np.divide(part_B, whole_B, out=np.full_like(part_B, np.nan), where=whole_B > 0)


def _figure(draws_B: Floats) -> Figure:
    value = float(draws_B[0])
    if not np.isfinite(value):
        return Figure(None)
    low, high = np.nanquantile(draws_B[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Figure(value, float(low), float(high))


def removed_at_equal_gain(naive: Sequence[Found], arm: Sequence[Found]) -> float | None:
    """Return 1 - loss(arm) / loss(naive at the size with the arm's quality), on dev, pooled over the seeds whose sizes of naive were measured.

    Naive's sizes are joined by straight lines; None where naive never has the arm's quality, or loses
    nothing there.
    """
    lost, naive_lost = 0.0, 0.0
    by_seed = {line["seed"]: line for line in naive if "sizes" in line}
    for line in arm:
        if line["seed"] not in by_seed:
            continue
        chosen = next(size for size in line["sizes"] if size["scale"] == line["chosen"])
        equal = loss_at(by_seed[line["seed"]]["sizes"], chosen["quality"])
        if equal is None:
            return None
        lost, naive_lost = lost + chosen["loss"], naive_lost + equal
    return 1 - lost / naive_lost if naive_lost > 0 else None


def loss_at(sizes: Sequence[Mapping[str, float]], quality: float) -> float | None:
    """Return the general loss of the smallest size whose quality reaches `quality`, between sizes linear."""
    ordered = sorted(sizes, key=lambda size: size["scale"])
    for before, after in itertools.pairwise(ordered):
        if before["quality"] >= quality:
            return before["loss"]
        if after["quality"] >= quality:
            part = (quality - before["quality"]) / (after["quality"] - before["quality"])
            return before["loss"] + part * (after["loss"] - before["loss"])
    return None


def sequence(
    start: Found, stages: Sequence[Found], *, order: str, rng: np.random.Generator
) -> Transfer:
    """Return the transfer figures of one order and arm, item scores averaged over seeds.

    Intervals are over items, given these seeds.
    """
    domains = ORDERS[order]
    last = [[line for line in stages if line["stage"] == t] for t in range(1, len(domains) + 1)]
    count = {name: last[0][0]["quality"][name]["n"] for name in domains}
    cells = [
        _cell(0, name, np.array(unpack(start["test"][name]))[: count[name]]) for name in domains
    ]
    families = start["families"]
    first = probes_of(start["test_probes"], families)
    per = len(first) // len(families)
    general = _families(0, first, families=families, per=per)
    for stage, lines in enumerate(last, start=1):
        for name in domains:
            scores = np.mean([unpack(line["quality"][name]) for line in lines], axis=0)
            cells.append(_cell(stage, name, scores))
        probes = np.mean([probes_of(line["probes"], families) for line in lines], axis=0)
        general.extend(_families(stage, probes, families=families, per=per))
    matrix = TransferMatrix(
        stages=("base", *domains), domains=domains, cells=tuple(cells), general=tuple(general)
    )
    return transfer(matrix, rng=rng)


def _families(
    stage: int, probes: Floats, *, families: Sequence[str], per: int
) -> list[TransferCell]:
    return [
        _cell(stage, family, probes[place * per : (place + 1) * per])
        for place, family in enumerate(families)
    ]


def _cell(stage: int, column: str, scores: Floats) -> TransferCell:
    mean = float(scores.mean())
    return TransferCell(
        stage=stage,
        column=column,
        quality=Estimate(mean=mean, low=0.0, high=1.0, n=len(scores)),
        scores={str(item): float(score) for item, score in enumerate(scores)},
    )
