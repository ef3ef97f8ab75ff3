"""The pace of the last ten seconds, as laws."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from freehold.cli.eta import BUCKETS, Pace

steps = st.lists(
    st.tuples(st.floats(0, 5, allow_nan=False), st.integers(0, 100)), min_size=1, max_size=60
)


def run(changes: list[tuple[float, int]]) -> tuple[Pace, float, int]:
    pace, at, done = Pace(), 0.0, 0
    for wait, more in changes:
        at, done = at + wait, done + more
        pace = pace.observe(done, at_seconds=at)
    return pace, at, done


@given(steps)
def test_the_window_holds_at_most_ten_buckets_of_a_second(changes: list[tuple[float, int]]) -> None:
    pace, at, done = run(changes)
    assert len(pace.marks) <= BUCKETS + 1
    assert pace.marks[-1] == (at, done)
    inner = [mark for mark, _ in pace.marks[:-1]]
    assert all(later - earlier >= 1 for earlier, later in pairwise(inner))


@given(steps, st.integers(0, 10_000))
def test_time_left_is_never_negative_and_zero_only_when_done(
    changes: list[tuple[float, int]], more: int
) -> None:
    pace, _, done = run(changes)
    left = pace.seconds_left(done + more)
    assert left is None or (left > 0) == (more > 0)


@given(steps)
def test_done_never_falls_whatever_is_observed(changes: list[tuple[float, int]]) -> None:
    pace, at, done = run(changes)
    assert pace.observe(done - 1, at_seconds=at + 1) == pace
    assert pace.observe(done + 1, at_seconds=at - 0.5) == pace


@given(st.integers(1, 50), st.integers(12, 40))
def test_a_steady_pace_is_measured_exactly(a_second: int, seconds: int) -> None:
    pace = Pace()
    for second in range(seconds):
        pace = pace.observe(a_second * second, at_seconds=float(second))
    measured = pace.per_second
    assert measured is not None
    assert abs(measured - a_second) < 1e-9


def test_old_seconds_are_forgotten() -> None:
    pace = Pace()
    for second in range(100):
        pace = pace.observe(second, at_seconds=float(second))
    for second in range(11):
        pace = pace.observe(99 + 50 * (second + 1), at_seconds=100.0 + second)
    left = pace.seconds_left(pace.marks[-1][1] + 100)
    assert left is not None
    assert abs(left - 2.0) < 0.01


def test_without_movement_the_pace_is_unknown() -> None:
    still = Pace().observe(5, at_seconds=0.0).observe(5, at_seconds=9.0)
    assert still.per_second is None
    assert still.seconds_left(10) is None
    assert still.seconds_left(5) == 0.0
    assert Pace().seconds_left(10) is None
