from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from freehold.core.measure import Answer, Result, Run
from freehold.core.outcome import Cause, Failed, Scored
from freehold.core.sections import MetricSpec
from freehold.core.snapshot import DevSplit, Example
from freehold.core.task import LabelOutput
from freehold.evaluate.runner import Answerer, Journal, Meter, OnAnswer, run_candidate
from freehold.evaluate.scorers import scorer

LABELS = LabelOutput(labels=("a", "b"))
JUDGE = scorer(MetricSpec(primary="exact_match"), LABELS, root=Path())
SPLIT = DevSplit(examples=tuple(Example(id=f"e{i}", input=str(i), target="a") for i in range(10)))


class Clock:
    """Time that passes only when something takes time."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Batched:
    """Answers two at a time, the last batch first; each batch takes a second for every example."""

    def __init__(self, clock: Clock, answer: Callable[[Example], Answer | Failed]) -> None:
        self.clock = clock
        self.one = answer
        self.asked: list[list[str]] = []

    def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
        self.asked.append([example.id for example in examples])
        for start in reversed(range(0, len(examples), 2)):
            batch = range(start, min(start + 2, len(examples)))
            self.clock.now += len(batch) if len(examples) > 1 else 3.0
            for position in batch:
                on_answer(position, self.one(examples[position]))


def right(_example: Example) -> Answer:
    return Answer(raw="a", value="a")


def measure(
    answerer: Answerer, clock: Clock, *, journal: Journal | None = None, latency_examples: int = 4
) -> Run:
    return run_candidate(
        "sha256:candidate",
        SPLIT,
        answerer,
        scorer=JUDGE,
        journal=journal or Journal(),
        meter=Meter(
            clock=clock, peak_memory_mib=lambda: 512.0, latency_examples=latency_examples, seed=3
        ),
        versions={"freehold": "0"},
    )


def test_results_stand_in_split_order_whatever_the_order_of_the_answers() -> None:
    clock = Clock()
    found = measure(Batched(clock, right), clock)
    assert [result.example_id for result in found.results] == [e.id for e in SPLIT.examples]
    assert all(result.outcome == Scored(score=1.0) for result in found.results)
    assert (found.split, found.split_digest) == ("dev", SPLIT.digest)
    assert (found.peak_memory_mib, found.versions) == (512.0, {"freehold": "0"})


def test_a_request_costs_its_share_of_the_wall_time_and_latency_is_timed_alone() -> None:
    clock = Clock()
    answerer = Batched(clock, right)
    found = measure(answerer, clock)
    assert found.seconds_per_request == pytest.approx(1.0)
    assert (found.seconds_p50, found.seconds_p95) == (3.0, 3.0)
    assert [len(asked) for asked in answerer.asked] == [10, 1, 1, 1, 1]
    timed = [r for r in found.results if r.answer and r.answer.latency_seconds is not None]
    assert {r.example_id for r in timed} == {asked[0] for asked in answerer.asked[1:]}


def test_every_result_is_handed_over_before_the_next_is_waited_for() -> None:
    clock = Clock()
    times: list[float] = []
    journal = Journal(on_result=lambda _result: times.append(clock.now))
    measure(Batched(clock, right), clock, journal=journal, latency_examples=0)
    assert times == [102.0, 102.0, 104.0, 104.0, 106.0, 106.0, 108.0, 108.0, 110.0, 110.0]


def test_an_interrupted_run_is_finished_without_asking_again() -> None:
    clock = Clock()
    kept: list[Result] = []

    class Killed(Exception):
        pass

    def keep_five(result: Result) -> None:
        kept.append(result)
        if len(kept) == 5:
            raise Killed

    with pytest.raises(Killed):
        measure(Batched(clock, right), clock, journal=Journal(on_result=keep_five))
    resumed = Batched(clock, right)
    journal = Journal(known=tuple(kept), on_result=kept.append)
    found = measure(resumed, clock, journal=journal)
    assert set(resumed.asked[0]) == {e.id for e in SPLIT.examples} - {
        r.example_id for r in kept[:5]
    }
    assert len(found.results) == 10
    again = Batched(clock, right)
    same = measure(again, clock, journal=Journal(known=tuple(kept)))
    assert again.asked == []
    assert same.results == found.results
    assert (same.seconds_p50, same.seconds_p95) == (found.seconds_p50, found.seconds_p95)


def test_a_failure_is_kept_beside_the_answers_and_stands_when_resumed() -> None:
    clock = Clock()
    too_long = Failed(cause=Cause.TOO_LONG, message="the prompt has 900 tokens")

    def some(example: Example) -> Answer | Failed:
        return too_long if example.id in {"e2", "e3"} else right(example)

    found = measure(Batched(clock, some), clock)
    assert [r.outcome for r in found.results[2:4]] == [too_long, too_long]
    assert found.failures == (too_long, too_long)
    answerer = Batched(clock, right)
    resumed = measure(answerer, clock, journal=Journal(known=found.results))
    assert resumed.failures == (too_long, too_long)
    assert answerer.asked == []


def test_the_time_of_failures_is_not_lost() -> None:
    clock = Clock()

    def odd_fail(example: Example) -> Answer | Failed:
        if int(example.input) >= 8:  # the first batch
            return Failed(cause=Cause.ENGINE, message="gone")
        return right(example)

    found = measure(Batched(clock, odd_fail), clock, latency_examples=0)
    assert found.seconds_per_request == pytest.approx(10 / 8)


def test_an_example_left_without_an_answer_is_an_engine_failure() -> None:
    class Silent:
        def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
            on_answer(1, Answer(raw="b", value="b"))

    found = measure(Silent(), Clock(), latency_examples=0)
    assert len(found.failures) == 9
    assert {failure.cause for failure in found.failures} == {Cause.ENGINE}
    assert found.results[1].outcome == Scored(score=0.0, cause=Cause.CONFUSED)


@pytest.mark.parametrize("positions", [(0, 0), (10,), (-1,)])
def test_an_answer_to_nothing_or_given_twice_is_a_bug_of_the_candidate(
    positions: tuple[int, ...],
) -> None:
    class Wrong:
        def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
            for position in positions:
                on_answer(position, Answer(raw="a", value="a"))

    with pytest.raises(ValueError, match="answered twice or not asked"):
        measure(Wrong(), Clock())


def test_the_latency_sample_is_the_same_for_the_same_seed_and_never_larger_than_the_split() -> None:
    clock = Clock()
    first, second = Batched(clock, right), Batched(clock, right)
    measure(first, clock)
    measure(second, clock)
    assert first.asked == second.asked
    many = Batched(clock, right)
    measure(many, clock, latency_examples=50)
    assert len(many.asked) == 1 + 10


def test_a_run_without_any_answer_has_no_times() -> None:
    clock = Clock()
    gone = Failed(cause=Cause.ENGINE, message="gone")
    found = measure(Batched(clock, lambda _example: gone), clock)
    assert (found.seconds_p50, found.seconds_p95, found.seconds_per_request) == (None, None, None)


def test_results_of_other_splits_in_the_journal_are_left_alone() -> None:
    clock = Clock()
    stranger = Result(
        example_id="other", answer=right(SPLIT.examples[0]), outcome=Scored(score=1.0)
    )
    found = measure(Batched(clock, right), clock, journal=Journal(known=(stranger,)))
    assert len(found.results) == 10
