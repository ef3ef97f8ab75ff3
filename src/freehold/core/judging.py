"""What people and a judge said of answers, and how far they agree: records."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from freehold.core.record import Record

Count = Annotated[int, Field(ge=0)]


class HumanScore(Record):
    """What one person gave one answer, in [0, 1]. `scorer` is who; empty where nobody said."""

    input: str
    output: str
    score: Annotated[float, Field(ge=0, le=1)]
    scorer: str = ""


class JudgeAgreement(Record):
    """Cohen's kappa of a judge with people over `n` answers that both scored, with its interval.

    `kappa` is None where it is undefined, and the interval is then everything. `equal` is the share of
    answers with the same grade, without any allowance for chance.
    """

    n: Count
    kappa: Annotated[float, Field(le=1)] | None
    low: float = -1.0
    high: Annotated[float, Field(le=1)] = 1.0
    equal: Annotated[float, Field(ge=0, le=1)] | None = None


class PositionBias(Record):
    """How a judge treats the answer that it is shown first, over `pairs` asked in both orders.

    `first` is the share of the decided askings that went to the answer shown first: 0.5 without a bias.
    `disagreed` is the share of pairs whose orders contradict each other; they count as ties. `right` is
    the share of people's preferences that the judge shares, ties counting half.
    """

    pairs: Count
    first: float | None = None
    low: float = 0.0
    high: float = 1.0
    disagreed: float | None = None
    right: float | None = None


class JudgeSpent(Record):
    """What a judge was asked and took. `known` answers were found and not asked again."""

    asked: Count = 0
    known: Count = 0
    failed: Count = 0
    prompt_tokens: Count = 0
    answer_tokens: Count = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0


class JudgeFigures(Record):
    """Everything that a reader must know of a judge. `withheld` says why it may decide no verdict.

    `seconds_per_1k`, tokens and dollars are per 1,000 answers, None before anything was asked.
    """

    name: str
    judge_digest: str
    grades: int
    agreement: JudgeAgreement
    minimum_kappa: float
    withheld: str | None = None
    position: PositionBias | None = None
    spent: JudgeSpent = JudgeSpent()
    seconds_per_1k: float | None = None
    tokens_per_1k: float | None = None
    dollars_per_1k: float | None = None
    warnings: tuple[str, ...] = ()
