"""The live picture is a fold over events: monotone, and drawn as the report room draws it."""

from hypothesis import given
from hypothesis import strategies as st

from freehold.cli.curve import TrainProgress, drawing, plain_line
from freehold.cli.progress import Cadence, ClimbProgress, RungState
from freehold.core.measure import Estimate, RungResult, Verdict
from freehold.core.sections import BudgetSection, MetricSpec, Prices
from freehold.core.task import Task, TextOutput
from freehold.ladder.events import (
    ClimbEvent,
    ClimbStarted,
    RungFinished,
    RungProgress,
    RungStarted,
)
from freehold.report.lines import Look
from freehold.report.live import live_rows, plain_progress
from freehold.report.spark import spark

TASK = Task(
    name="tickets",
    instruction="Route.",
    output=TextOutput(),
    metric=MetricSpec(primary="exact_match"),
    prices=Prices(dollars_per_machine_hour=3.6),
    budget=BudgetSection(dollars=25.0),
)
STARTED = ClimbStarted("c1", "tickets", ("baseline", "retrieve"), 400, 0.8, resumed=False)


def climb(*events: ClimbEvent) -> ClimbProgress:
    progress = ClimbProgress(began_seconds=0.0)
    for second, event in enumerate((STARTED, *events)):
        progress = progress.advance(event, at_seconds=float(second))
    return progress


def measured(rung: str) -> RungResult:
    quality = Estimate(mean=0.9, low=0.86, high=0.93, n=398, failed=2)
    return RungResult(
        rung=rung, state="measured", quality=quality, evaluated=400, verdict=Verdict.PASS
    )


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30))
def test_progress_of_a_phase_never_runs_backwards(counts: list[int]) -> None:
    rung = RungState("retrieve", state="running")
    shown: list[int] = []
    for second, done in enumerate(counts):
        event = RungProgress("retrieve", "test", done, 400)
        rung = rung.advance(event, at_seconds=float(second))
        shown.append(rung.row().done)
    assert shown == sorted(shown)
    assert shown[-1] == max(counts)


def test_a_new_phase_begins_its_own_bar_and_pace() -> None:
    progress = climb(
        RungStarted("baseline"),
        RungProgress("baseline", "building", 90, 100),
        RungProgress("baseline", "test", 10, 400),
    )
    rung = progress.running
    assert rung is not None
    assert (rung.row().done, rung.row().total, rung.row().note) == (10, 400, "")
    assert rung.row().per_second is None


def test_a_short_detail_stands_beside_its_phase() -> None:
    def note(event: RungProgress) -> str:
        progress = climb(RungStarted(event.rung), event)
        assert progress.running is not None
        return progress.running.row().note

    assert note(RungProgress("retrieve", "choosing on dev", 1, 60, "k=4")) == "dev k=4"
    assert note(RungProgress("retrieve", "building", 1, 60, "embedding the examples")) == "building"
    assert note(RungProgress("retrieve", "test", 1, 400, "k=4")) == ""


def test_the_drawing_holds_the_running_rung_its_count_and_the_money() -> None:
    progress = climb(
        RungFinished(measured("baseline"), from_store=True),
        RungStarted("retrieve"),
        RungProgress("retrieve", "test", 112, 400),
        RungProgress("retrieve", "test", 212, 400),
    )
    text = live_rows(progress.live(TASK, at_seconds=3600.0), TASK.bar, ascii=True)
    assert "c1 tickets . 400 test . stop=full . budget $25" in text
    assert "212/400" in text
    assert "53 %" in text
    assert "eta 0:02" in text
    assert "cache 400 hits . retries 0 . failed 2 . $3.60" in text


def test_a_paused_rung_is_known_by_its_count() -> None:
    progress = climb(RungStarted("retrieve"), RungProgress("retrieve", "test", 212, 400))
    assert progress.running is not None
    assert plain_progress(progress.running.row()).startswith("retrieve 212/400 (53 %)")


def test_a_log_gets_a_line_every_tenth_or_thirty_seconds() -> None:
    cadence = Cadence()
    printed: list[int] = []
    for second, done in enumerate([0, 1, 2, 40, 41, 79, 80, 80]):
        rung = RungState("retrieve", state="running", phase="test", done=done, total=400)
        due = cadence.next(rung, at_seconds=float(second))
        if due is not None:
            cadence = due
            printed.append(done)
    assert printed == [0, 40, 80]
    still = RungState("retrieve", state="running", phase="test", done=80, total=400)
    assert cadence.next(still, at_seconds=cadence.at_seconds + 29.9) is None
    assert cadence.next(still, at_seconds=cadence.at_seconds + 30.0) is not None


def test_a_phase_that_is_over_in_a_moment_prints_one_line() -> None:
    cadence = Cadence().next(RungState("lora", done=1, total=10), at_seconds=0.0)
    assert cadence is not None
    for step in range(2, 11):
        rung = RungState("lora", done=step, total=10)
        assert cadence.next(rung, at_seconds=0.05 * step) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.integers(1, 60))
def test_a_curve_fits_its_width_and_spans_its_bars(losses: list[float], width: int) -> None:
    curve = spark(losses, width=width)
    assert 1 <= len(curve) <= width
    assert len(spark(losses, width=width, ascii=True)) == len(curve)


def test_a_falling_loss_is_a_falling_curve() -> None:
    assert spark([8, 7, 6, 5, 4, 3, 2, 1], width=8) == "█▇▆▅▄▃▂▁"
    assert spark([3, 3, 3], width=8) == "▁▁▁"


def test_a_training_shows_its_share_its_pace_and_its_last_loss() -> None:
    progress = TrainProgress(total=1000)
    for second in range(6):
        progress = progress.advance(
            100 * second, loss=5.0 - second, learning_rate=4e-3, at_seconds=float(second)
        )
    text = drawing(progress, Look(ascii=True))
    assert "tokens 500/1,000" in text or "tokens 500/1k" in text
    assert "50 %" in text
    assert "eta 0:05" in text
    assert "0.000" in text
    assert plain_line(progress) == "tokens 500/1,000 (50 %), loss 0.000, eta 0:05"
    back = progress.advance(10, loss=1.0, learning_rate=4e-3, at_seconds=9.0)
    assert back.done == 500
