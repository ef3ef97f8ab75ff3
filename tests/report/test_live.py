from hypothesis import given
from hypothesis import strategies as st
from tests.report import sample

from freehold.core.measure import Estimate
from freehold.report.live import LiveClimb, LiveRow, live_rows, paused, plain_progress, strip

RUNNING = LiveRow(
    rung="retrieve", state="running", done=212, total=400, per_second=3.9, eta_seconds=48.0
)


def live() -> LiveClimb:
    rungs = sample.climb().rungs
    rows = [LiveRow(rung=r.rung, state="done", result=r) for r in rungs[:4]]
    rows += [
        RUNNING,
        LiveRow(rung="lora", state="queued"),
        LiveRow(rung="prefer", state="queued", note="if lora's errors on train give 200 pairs"),
        LiveRow(rung="distil", state="queued"),
        LiveRow(rung="full", state="queued"),
    ]
    return LiveClimb(
        climb_id="c12",
        task="ticket-routing",
        test_examples=400,
        stop="full",
        budget="$25",
        elapsed_seconds=229.0,
        eta_seconds=3720.0,
        rows=tuple(rows),
        cache_hits=188,
        dollars=0.13,
        url="http://127.0.0.1:7411/c12",
    )


# The drawing of experience.md 6.3, with strips over an axis from 0.5 to 1.
DRAWN = """\
c12 ticket-routing · 400 test · stop=full · budget $25          elapsed 3:49  eta 62 min
• 0 baseline    0.645 [.597 .690]  $0.01/1k  0.01s       ───●──     ┊             ✗ FAIL
• 1 zero_shot   0.615 [.566 .661]  $0.90/1k  0.42s      ──●───      ┊             ✗ FAIL
• 2 few_shot    0.690 [.643 .733]  $1.60/1k  0.55s          ──●───  ┊             ✗ FAIL
• 3 structured  0.705 [.659 .748]  $1.50/1k  0.51s           ──●──  ┊             ✗ FAIL
⠹ 4 retrieve    212/400  ━━━━━━━━━━━━━━━╸━━━━━━━━━━━━━━━  53 %  3.9 ex/s  eta 0:48
· 5 lora        queued
· 6 prefer      queued, if lora's errors on train give 200 pairs
· 7 distil      queued
· 8 full        queued
cache 188 hits · retries 0 · failed 0 · $0.13 · http://127.0.0.1:7411/c12 · ^C pauses"""


def test_the_running_climb_is_the_drawing() -> None:
    assert live_rows(live(), sample.task().bar, tick=2) == DRAWN


def test_the_bar_stands_in_one_column_whatever_the_verdicts() -> None:
    rows = tuple(LiveRow(rung=r.rung, state="done", result=r) for r in sample.climb().rungs)
    text = live_rows(live().model_copy(update={"rows": rows}), sample.task().bar)
    columns = {row.index("┊") for row in text.splitlines() if "┊" in row}
    assert len(columns) == 1
    assert "– 6 prefer      skipped: lora's errors gave 61 pairs" in text
    assert max(len(row) for row in text.splitlines()) <= 88


@given(st.integers(48, 120), st.integers(0, 400))
def test_no_line_is_wider_than_the_terminal(width: int, done: int) -> None:
    rows = (*live().rows[:4], RUNNING.model_copy(update={"done": done}), *live().rows[5:])
    state = live().model_copy(update={"rows": rows, "url": ""})
    text = live_rows(state, sample.task().bar, width=width)
    assert max(len(row) for row in text.splitlines()) <= width
    assert "0.645 [.597 .690]" in text


@given(st.integers(0, 399))
def test_a_bar_that_advances_is_never_drawn_shorter(done: int) -> None:
    def filled(count: int) -> int:
        row = RUNNING.model_copy(update={"done": count, "per_second": None, "eta_seconds": None})
        text = live_rows(live().model_copy(update={"rows": (row,)}), sample.task().bar, ascii=True)
        body = text.splitlines()[1]
        return body.index("-") if "-" in body else body.rindex("=") * (count > 200)

    assert filled(done) <= filled(done + 1) or done + 1 == 400


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(4, 60))
def test_a_strip_shows_mean_and_interval_in_their_order(
    one: float, other: float, third: float, width: int
) -> None:
    low, mean, high = sorted((one, other, third))
    drawn = strip(Estimate(mean=mean, low=low, high=high, n=10), 0.8, axis=(0.0, 1.0), width=width)
    assert len(drawn) == width
    assert drawn.count("●") == 1
    line = [i for i, c in enumerate(drawn) if c in "─●"]
    assert line[0] <= drawn.index("●") <= line[-1]


def test_a_log_without_a_terminal_gets_one_plain_line() -> None:
    assert plain_progress(RUNNING) == "retrieve 212/400 (53 %), 3.9 ex/s, eta 0:48"


def test_an_interrupt_says_how_to_resume() -> None:
    wanted = "Paused after 212/400 of retrieve. Nothing is lost. Resume: freehold climb"
    assert paused(RUNNING, "freehold climb") == wanted
    assert paused(None, "freehold climb").startswith("Paused. Nothing is lost.")
