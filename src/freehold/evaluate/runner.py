"""One candidate over one split: every answer scored and handed over as soon as it is known.

Resume falls out: results that are already known are taken as they are, and only the other examples
are asked. The runner knows neither models nor files; it is given a candidate that answers, a clock,
and a place to put results.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from freehold.core.measure import Answer, Result, Run
from freehold.core.outcome import Cause, Failed
from freehold.core.snapshot import Example, HeldOutSplit
from freehold.evaluate.scorers import Scorer

OnAnswer = Callable[[int, Answer | Failed], None]


class Answerer(Protocol):
    """Anything that answers examples: a built rung, ready to be asked."""

    def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
        """Answer every example; call `on_answer(position, answer)` once for each, in any order.

        The call comes as soon as the answer is known, so that a caller can keep what was paid for.
        """
        ...


def _keep_nothing(_result: Result) -> None:
    """Take a result and do nothing."""


@dataclass(frozen=True)
class Journal:
    """What is known already, and where new results go.

    `known` may hold results of other splits, and several of one example: the last one counts.
    `on_result` is called with each new result before the next one is waited for; it is called again
    for an example whose latency was measured afterwards.
    """

    known: Iterable[Result] = ()
    on_result: Callable[[Result], None] = _keep_nothing


@dataclass(frozen=True)
class Meter:
    """How time and memory are measured.

    `clock` gives seconds. `peak_memory_mib` is asked once, after the last answer. Latency is
    measured on `latency_examples` examples, chosen by `seed`, one at a time.
    """

    clock: Callable[[], float]
    peak_memory_mib: Callable[[], float | None] = lambda: None
    latency_examples: int = 20
    seed: int = 0


@dataclass
class _Progress:
    """The results so far by example id, and the time of the last answer."""

    scorer: Scorer
    journal: Journal
    clock: Callable[[], float]
    results: dict[str, Result]
    waiting: list[tuple[Example, Answer]] = field(default_factory=list[tuple[Example, Answer]])
    last: float = field(init=False)

    def __post_init__(self) -> None:
        self.last = self.clock()

    def take(self, example: Example, answer: Answer | Failed) -> None:
        """Score one answer, with the time since the one before, and hand it over.

        Answers of one batch arrive together: the first carries the time of all, and the sum over
        the answers is the wall time. The time of a failure goes to the next answer. Scoring and
        keeping are not counted.
        """
        if isinstance(answer, Failed):
            self._keep(Result(example_id=example.id, answer=None, outcome=answer))
            return
        seconds = max(0.0, self.clock() - self.last)
        self.waiting.append((example, answer.model_copy(update={"seconds": seconds})))
        if len(self.waiting) >= self.scorer.together:
            self.score_waiting()
        self.last = self.clock()

    def score_waiting(self) -> None:
        """Score what was answered and not scored yet. Most scorers let nothing wait."""
        waiting, self.waiting = self.waiting, []
        examples, answers = [one for one, _ in waiting], [one for _, one in waiting]
        for example, answer, outcome in zip(
            examples, answers, self.scorer.score_all(examples, answers), strict=True
        ):
            self._keep(Result(example_id=example.id, answer=answer, outcome=outcome))

    def _keep(self, result: Result) -> None:
        self.results[result.example_id] = result
        self.journal.on_result(result)


def run_candidate(
    candidate_digest: str,
    split: HeldOutSplit,
    answerer: Answerer,
    *,
    scorer: Scorer,
    journal: Journal,
    meter: Meter,
    versions: Mapping[str, str],
) -> Run:
    """Return the run of one candidate on `split`: results in split order, times and memory.

    An example that the candidate leaves without an answer is `Failed(Cause.ENGINE)`. Known failures
    stand; a caller that wants them retried leaves them out of `journal.known`.

    Args:
        candidate_digest: the name of the candidate that answers.
        split: the examples.
        answerer: the candidate, loaded.
        scorer: of the task's metric.
        journal: what is known already, and where results go.
        meter: clock, memory, and how many examples are timed alone.
        versions: of the libraries that answered.

    Raises:
        ValueError: the candidate answers a position that was not asked, or one twice.
    """
    ids = {example.id for example in split.examples}
    known = {r.example_id: r for r in journal.known if r.example_id in ids}
    progress = _Progress(scorer=scorer, journal=journal, clock=meter.clock, results=known)
    _answer_missing(split.examples, answerer, progress)
    latencies = _latencies(split.examples, answerer, progress=progress, meter=meter)
    results = tuple(progress.results[example.id] for example in split.examples)
    seconds = [result.answer.seconds for result in results if result.answer is not None]
    p50, p95 = np.percentile(latencies, [50, 95]) if latencies else (None, None)
    return Run(
        candidate_digest=candidate_digest,
        split=split.split,
        split_digest=split.digest,
        results=results,
        seconds_p50=None if p50 is None else float(p50),
        seconds_p95=None if p95 is None else float(p95),
        seconds_per_request=sum(seconds) / len(seconds) if seconds else None,
        peak_memory_mib=meter.peak_memory_mib(),
        versions=dict(versions),
    )


def _answer_missing(examples: Sequence[Example], answerer: Answerer, progress: _Progress) -> None:
    missing = [example for example in examples if example.id not in progress.results]
    if not missing:
        return
    answered: set[int] = set()

    def on_answer(position: int, answer: Answer | Failed) -> None:
        if position in answered or not 0 <= position < len(missing):
            raise ValueError(
                f"position {position} of {len(missing)} was answered twice or not asked"
            )
        answered.add(position)
        progress.take(missing[position], answer)

    answerer.answer(missing, on_answer)
    progress.score_waiting()
    for position, example in enumerate(missing):
        if position not in answered:
            silent = Failed(cause=Cause.ENGINE, message="the candidate gave no answer")
            progress.take(example, silent)


def _latencies(
    examples: Sequence[Example],
    answerer: Answerer,
    *,
    progress: _Progress,
    meter: Meter,
) -> list[float]:
    """Time examples one at a time; those that an earlier run has timed are not asked again."""
    answered = [e for e in examples if progress.results[e.id].answer is not None]
    count = min(meter.latency_examples, len(answered))
    latencies: list[float] = []
    for example in random.Random(meter.seed).sample(answered, count):
        result = progress.results[example.id]
        if result.answer is None:
            continue
        latency = result.answer.latency_seconds
        if latency is None:
            latency = _time_alone(example, answerer, clock=meter.clock)
            timed = result.answer.model_copy(update={"latency_seconds": latency})
            result = result.model_copy(update={"answer": timed})
            progress.results[example.id] = result
            progress.journal.on_result(result)
        latencies.append(latency)
    return latencies


def _time_alone(example: Example, answerer: Answerer, *, clock: Callable[[], float]) -> float:
    def ignore(_position: int, _answer: Answer | Failed) -> None:
        """Only the time counts: the answer is known."""

    start = clock()
    answerer.answer([example], ignore)
    return max(0.0, clock() - start)
