"""A judge in words: how far it agrees with people, what it costs, and what an estimate rests on."""

from __future__ import annotations

from freehold.core.judging import JudgeFigures, PositionBias
from freehold.core.measure import HumanJudged
from freehold.report import numbers


def judge_facts(figures: JudgeFigures) -> tuple[tuple[str, str], ...]:
    """Return labels and texts: the judge with its agreement, its bias of position, its cost, its warnings."""
    facts = [("judge", f"{figures.name}, {figures.grades} grades: {agreement_text(figures)}")]
    if figures.withheld is not None:
        facts.append(("", f"decides no verdict: {figures.withheld}"))
    facts.append(("position", position_text(figures.position)))
    cost = cost_text(figures)
    if cost:
        facts.append(("its cost", cost))
    facts.extend(("warning", sentence) for sentence in figures.warnings)
    return tuple(facts)


def agreement_text(figures: JudgeFigures) -> str:
    """Return `kappa 0.81 [0.70 0.88] n=60, 0.6 needed`."""
    found = figures.agreement
    needed = f"{figures.minimum_kappa:g} needed"
    if found.kappa is None:
        return f"kappa unknown, n={found.n}, {needed}"
    return f"kappa {found.kappa:.2f} [{found.low:.2f} {found.high:.2f}] n={found.n}, {needed}"


def position_text(found: PositionBias | None) -> str:
    """Return how the judge treats the answer that it is shown first."""
    if found is None or found.first is None or found.disagreed is None:
        return "not measured: people scored no two answers to one question differently"
    return (
        f"takes the first answer in {numbers.percent(found.first)} of {2 * found.pairs} askings"
        f" [{found.low:.2f} {found.high:.2f}]; {numbers.percent(found.disagreed)} of"
        f" {numbers.plural(found.pairs, 'pair')} flip with the order and count as ties"
    )


def cost_text(figures: JudgeFigures) -> str:
    """Return what 1,000 answers cost, and what was asked now; empty before anything was asked."""
    if figures.seconds_per_1k is None or figures.tokens_per_1k is None:
        return ""
    spent = figures.spent
    dollars = numbers.money_per_1k(figures.dollars_per_1k or 0.0)
    return (
        f"{dollars}, {numbers.count(round(figures.tokens_per_1k))} tokens and"
        f" {figures.seconds_per_1k:.0f} s per 1,000 answers;"
        f" asked {numbers.count(spent.asked)} now, {numbers.count(spent.known)} known,"
        f" {numbers.count(spent.failed)} failed"
    )


def rests_text(found: HumanJudged) -> str:
    """Return what an estimate rests on."""
    judge = "unknown" if found.judge_mean is None else f"{found.judge_mean:.3f}"
    counts = f"{numbers.count(found.human)} human and {numbers.count(found.judged)} judge scores"
    match found.how:
        case "own":
            alone = ""
            if found.human_only is not None:
                alone = f"; people alone {numbers.estimate_n(found.human_only)}"
            return f"{counts} (judge alone {judge}){alone}"
        case "elsewhere":
            return (
                f"{counts} (judge alone {judge}), corrected by other answers that people scored, as if"
                " the judge erred on these as on those"
            )
        case _:
            return f"{counts}; the judge alone says {judge}, which is no claim about quality"
