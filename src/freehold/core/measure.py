"""What was measured, and what may be claimed: answers, runs, estimates, differences, verdicts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from freehold.core.judging import JudgeFigures
from freehold.core.outcome import Failed, Outcome, Scored
from freehold.core.record import Record

Method = Literal["wilson", "betting", "bootstrap", "score", "none", "prediction_powered"]


class Answer(Record):
    """What a candidate said to one example.

    `raw` is the text as it was generated; `value` is what was extracted from it, None where
    nothing could be. `seconds` is this request's share of wall time, `latency_seconds` the time
    alone, measured on a sample without batching (None where it was not sampled).
    """

    raw: str
    value: JsonValue = None
    seconds: Annotated[float, Field(ge=0)] = 0.0
    latency_seconds: Annotated[float, Field(ge=0)] | None = None
    prompt_tokens: Annotated[int, Field(ge=0)] = 0
    answer_tokens: Annotated[int, Field(ge=0)] = 0
    truncated: bool = False


class Result(Record):
    """One example of a run: the answer, where there is one, and the outcome."""

    example_id: str
    answer: Answer | None
    outcome: Outcome


class Run(Record):
    """One candidate on one split, raw."""

    candidate_digest: str
    split: Literal["train", "dev", "test", "audit", "probes"]
    split_digest: str
    results: tuple[Result, ...]
    seconds_p50: float | None = None
    seconds_p95: float | None = None
    seconds_per_request: float | None = None
    peak_memory_mib: float | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    stopped_because: str = "every example was evaluated"

    @property
    def scores(self) -> dict[str, float]:
        """The scores by example id, in order; failed examples are absent."""
        return {
            result.example_id: result.outcome.score
            for result in self.results
            if isinstance(result.outcome, Scored)
        }

    @property
    def failures(self) -> tuple[Failed, ...]:
        """The failed outcomes, in order."""
        return tuple(r.outcome for r in self.results if isinstance(r.outcome, Failed))


class Estimate(Record):
    """A mean with its interval over `n` scored examples; `failed` gave no score.

    `worst` and `best` are the mean if every failure had scored 0, or 1. With nothing scored the
    mean is None and the interval is everything.
    """

    mean: float | None
    low: float
    high: float
    n: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)] = 0
    worst: float | None = None
    best: float | None = None
    method: Method = "none"

    @model_validator(mode="after")
    def _is_an_interval(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if (self.mean is None) != (self.n == 0):
            raise ValueError("a mean exists exactly when something was scored")
        return self


class HumanJudged(Record):
    """What an estimate by a judge rests on.

    `human` of the `judged` answers were scored by people too. `how`: `own` where these made it valid
    whatever the judge is like, `elsewhere` where the judge is assumed to err as on other answers that
    people scored, `shown` where nothing may be claimed. `judge_mean` is what the judge alone says,
    `human_only` what people's scores alone say. `weight` is the trust in the judge that was measured, and
    `worth` how many human scores would be as sure by themselves.
    """

    human: Annotated[int, Field(ge=0)]
    judged: Annotated[int, Field(ge=0)]
    how: Literal["own", "elsewhere", "shown"] = "shown"
    judge_mean: float | None = None
    human_only: Estimate | None = None
    weight: float | None = None
    worth: float | None = None


class Difference(Record):
    """A paired difference of two rungs over the same `n` examples, with its interval."""

    mean: float
    low: float
    high: float
    n: Annotated[int, Field(ge=0)]
    p_value: Annotated[float, Field(ge=0, le=1)]
    test: Literal["mcnemar", "sign_flip", "prediction_powered"]

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


class Verdict(StrEnum):
    """What may be claimed of a rung."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    SKIPPED = "SKIPPED"
    ERROR = "ERROR"


class KeptFamily(Record):
    """Kept ability in one probe family: accuracy before and after on the same items.

    `lost` items were right before only, `gained` ones afterwards only.
    """

    family: str
    n: int
    before: float
    after: float
    lost: Annotated[int, Field(ge=0)] = 0
    gained: Annotated[int, Field(ge=0)] = 0
    points_lost: Difference | None = None


class Kept(Record):
    """Kept ability: the ratio of the means with its interval, and each family, worst first."""

    ratio: Estimate
    points_lost: Difference | None = None
    families: tuple[KeptFamily, ...] = ()
    seed: int = 0


class FrontierPoint(Record):
    """A trained candidate at one size of its update, on dev: task quality and what was lost.

    `points_lost` is the mean loss of general ability in points (0 to 100, negative: gained), paired
    with the base on the same probes; `worst_points` that of the family that lost most. `is_feasible`:
    their upper bounds are within the retention spec. `overall` is the mean quality over this domain and
    those learnt before it, None where there are none.
    """

    scale: Annotated[float, Field(ge=0)]
    quality: Estimate
    points_lost: Difference
    worst_family: str
    worst_points: Difference
    is_feasible: bool
    overall: float | None = None

    @property
    def worth(self) -> float:
        """What a choice compares: the quality, over all domains where there are several."""
        return (self.quality.mean or 0.0) if self.overall is None else self.overall


class Frontier(Record):
    """What every size of the update costs and gains, the chosen one, and why it was chosen.

    `most_points` and `most_family_points` are what may be lost, on average and in one family.
    """

    points: tuple[FrontierPoint, ...]
    most_points: float
    most_family_points: float
    chosen: float
    reason: str


class Cost(Record):
    """What a rung costs: building once, each request, and the total over the horizon.

    A request costs machine time, `seconds_per_request`, or what an endpoint asks for its tokens,
    `tokens_dollars_per_request`; the other one is None. Either is enough to say what it would cost at
    another price or volume.
    """

    build_seconds: float
    build_dollars: float
    dollars_per_1k: float
    upkeep_dollars_per_month: float
    total_dollars: float
    seconds_per_request: float | None = None
    tokens_dollars_per_request: float | None = None


class RungResult(Record):
    """One rung of a climb: everything that was measured, and the verdict."""

    rung: str
    state: Literal["measured", "skipped", "failed"]
    reason: str | None = None
    variant: str | None = None
    candidate_digest: str | None = None
    run_digest: str | None = None
    quality: Estimate | None = None
    against_previous: Difference | None = None
    previous: str | None = None
    cost: Cost | None = None
    seconds_p50: float | None = None
    seconds_p95: float | None = None
    peak_memory_mib: float | None = None
    kept: Kept | None = None
    build_seconds: float | None = None
    evaluated: int = 0
    verdict: Verdict
    need_more: int | None = None
    causes: dict[str, int] = Field(default_factory=dict)
    confusions: tuple[tuple[str, str, int], ...] = ()
    slices: dict[str, Estimate] = Field(default_factory=dict)
    frontier: Frontier | None = None
    tried: tuple[tuple[str, float], ...] = ()
    rests_on: HumanJudged | None = None


class Audit(Record):
    """The recommended rung, scored once on unseen rows."""

    rung: str
    estimate: Estimate
    agrees: bool


class Climb(Record):
    """All rungs measured, and what may be claimed.

    `looks` counts how often the test and audit splits were used for decisions, this climb
    included. `notes` are things the reader must know (defaults used, leaks, small splits).
    """

    task: str
    task_digest: str
    snapshot_digest: str
    rungs: tuple[RungResult, ...]
    recommended: str | None
    why: tuple[str, ...]
    audit: Audit | None = None
    looks: dict[str, int] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    judge: JudgeFigures | None = None

    def rung(self, name: str) -> RungResult:
        """Return the result of one rung.

        Raises:
            KeyError: the climb has no such rung.
        """
        for result in self.rungs:
            if result.rung == name:
                return result
        raise KeyError(name)
