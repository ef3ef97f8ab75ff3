"""What was measured, and what may be claimed: answers, runs, estimates, differences, verdicts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from freehold.core.judging import JudgeFigures
from freehold.core.outcome import Failed, Outcome, Scored
from freehold.core.record import Record

Method = Literal["wilson", "betting", "bootstrap", "score", "none", "prediction_powered"]


class Citation(Record):
    """One passage that an answer rests on.

    `number` is the passage's own in the prompt, from 1, and `passage` its id: None where the answer cites a
    number that no passage has. `by` tells whether the answer wrote it, or code attributed it by overlap.
    `share` of the claim's content words stand in the passage, and `is_supported` says whether that is enough;
    `quote` is the sentence of the passage that shares most with the claim.
    """

    number: Annotated[int, Field(ge=1)]
    passage: str | None = None
    by: Literal["written", "attributed"]
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    is_supported: bool = False
    quote: str = ""


class Answer(Record):
    """What a candidate said to one example.

    `raw` is the text as it was generated; `value` is what was extracted from it, None where
    nothing could be. `seconds` is this request's share of wall time, `latency_seconds` the time
    alone, measured on a sample without batching (None where it was not sampled). `citations` are the
    passages that it rests on, and `passages` the ids of all that stood in the prompt, the best first.
    """

    raw: str
    value: JsonValue = None
    seconds: Annotated[float, Field(ge=0)] = 0.0
    latency_seconds: Annotated[float, Field(ge=0)] | None = None
    prompt_tokens: Annotated[int, Field(ge=0)] = 0
    answer_tokens: Annotated[int, Field(ge=0)] = 0
    truncated: bool = False
    citations: tuple[Citation, ...] = ()
    passages: tuple[str, ...] = ()


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
    """A paired difference of two rungs over the same `n` examples, with its interval.

    `discordance` is the share of examples on which the two scores differ, where scores are 0 or 1.
    """

    mean: float
    low: float
    high: float
    n: Annotated[int, Field(ge=0)]
    p_value: Annotated[float, Field(ge=0, le=1)]
    test: Literal["mcnemar", "sign_flip", "betting", "prediction_powered"]
    discordance: Annotated[float, Field(ge=0, le=1)] | None = None

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
    """Kept ability: the ratio of the means with its interval, and each family, worst first.

    `suites` are the suites that the task names, worst first; the ratio is that of the families alone.
    """

    ratio: Estimate
    points_lost: Difference | None = None
    families: tuple[KeptFamily, ...] = ()
    seed: int = 0
    suites: tuple[KeptFamily, ...] = ()


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


class DocumentFigures(Record):
    """What a rung that searches documents does with them, on the test examples. None: nothing to measure.

    `k` passages stand in a prompt at most. `recall` is the share of questions with a passage among them that
    holds the needed fact, and `ndcg` rates its place. `answer_f1` is SQuAD's F1 of the answers to answerable questions.
    `faithfulness` is the mean share of an answer's claims that a passage of its prompt supports, and
    `unsupported` the share of all `claims` that none supports. `cited` is the share of answers that wrote a
    citation themselves, and `citations_right` that of the written citations that exist and hold their claim.
    `said_unanswerable` is the share of unanswerable questions that were answered as such, `wrongly_refused` that of the
    answerable ones.
    """

    k: Annotated[int, Field(ge=0)]
    recall: Estimate | None = None
    ndcg: Estimate | None = None
    answer_f1: Estimate | None = None
    faithfulness: Estimate | None = None
    unsupported: Estimate | None = None
    claims: Annotated[int, Field(ge=0)] = 0
    cited: Estimate | None = None
    citations_right: Estimate | None = None
    said_unanswerable: Estimate | None = None
    wrongly_refused: Estimate | None = None


class Stability(Record):
    """What became of answers when their examples were asked again in other words.

    `wordings` is how many rewordings each example was asked in. `wrong` of the rung's `wrong_in_all`
    confused answers were asked again, and those of `unstable` changed; of `right` right answers
    `right_changed` did. The run itself, and every verdict, is as it was.
    """

    wordings: Annotated[int, Field(ge=1)]
    wrong: Annotated[int, Field(ge=0)]
    wrong_in_all: Annotated[int, Field(ge=0)]
    unstable: tuple[str, ...] = ()
    right: Annotated[int, Field(ge=0)] = 0
    right_changed: Annotated[int, Field(ge=0)] = 0


class TriedVariant(Record):
    """One variant that was tried inside a rung: its dev scores, a failure as 0, and how far it came.

    `share` is the share of a whole training that it had when it was last scored, 1 where nothing is trained.
    `against_chosen` is its paired difference from the chosen variant on the same examples, None for that one
    itself and where they share none. An estimate of the winner of many looks better than it is.
    """

    name: str
    estimate: Estimate
    rounds: Annotated[int, Field(ge=1)] = 1
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    state: Literal["chosen", "finished", "dropped"]
    against_chosen: Difference | None = None


class PromptGain(Record):
    """What a search for a better prompt came to, on the part of dev that the search did not see.

    `difference` is the found prompt against `start`, the prompt without a search, paired on `held` examples
    on which nothing was chosen. `calls` are the answers and proposals that the model was asked for.
    """

    found: str
    start: str
    difference: Difference
    seen: int
    held: int
    calls: int
    seconds: float
    steps: tuple[str, ...] = ()


class RungResult(Record):
    """One rung of a climb: everything that was measured, and the verdict.

    Of a rung that was raced, `planned` is the number of test examples that there were and
    `stopped_because` the reason for having evaluated no more of them; None without a race.
    """

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
    documents: DocumentFigures | None = None
    planned: int | None = None
    stopped_because: str | None = None
    stability: Stability | None = None
    sweep: tuple[TriedVariant, ...] = ()
    prompt_gain: PromptGain | None = None
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
    `slice_members` are the ids of the test examples in each slice. `endpoint_dollars` is what was paid
    for tokens on this task and data so far; 0 where nothing was, or nobody knows their price.
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
    slice_members: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    judge: JudgeFigures | None = None
    endpoint_dollars: float = 0.0

    def rung(self, name: str) -> RungResult:
        """Return the result of one rung.

        Raises:
            KeyError: the climb has no such rung.
        """
        for result in self.rungs:
            if result.rung == name:
                return result
        raise KeyError(name)
