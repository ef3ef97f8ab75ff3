"""A training in a terminal: the drawing of experience.md 6.4, its end, its JSON, and narrow places."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.report import sample, training_sample

from freehold.report.frontier import kept_out_words
from freehold.report.live_training import (
    LiveTraining,
    flat_checks,
    live_training,
    plain_training,
    training_paused,
)
from freehold.report.spark import BARS, spark_over
from freehold.report.training_page import training_html
from freehold.report.training_text import training_json, training_summary
from freehold.report.training_view import TrainingCurves


def live() -> LiveTraining:
    view = training_sample.running()
    return LiveTraining(
        view=view.model_copy(update={"quality": sample.estimate(0.867, 0.795, 0.916, n=120)}),
        facts=("r=16", "4,400 train + 440 replay", "3 epochs", "909 steps"),
        memory="memory 1.4 GB",
        tokens_per_second=5_700.0,
        eta_seconds=282.0,
        learning_rate=1.1e-4,
        patience=3,
        page="reports/t7.html",
    )


DRAWN = """\
t7 lora r=16 · 4,400 train + 440 replay · 3 epochs · 909 steps             memory 1.4 GB
step 436/909  ━━━━━━━━━━━━━╸━━━━━━━━━━━━━━━━  47 %  5,700 tok/s  eta 4:42
loss   █▇▅▄▄▃▃▂▂▂▂▁▁▁▁▁▁▁▁▁  0.417                         lr 1.1e-04
dev    ▁▁▄▄▆▆▇▇▇▇▇█████████  0.867 [.795 .916] n=120       best at step 300
kept   ███████████▇▇▇▇▇▇▇▇▇  0.987 [.970 1.00]             guard: stop if < 0.97 twice
! dev quality flat for 2 checks: early stop after 1 more                 reports/t7.html"""


def test_the_running_training_is_the_drawing() -> None:
    assert live_training(live()) == DRAWN


@pytest.mark.parametrize("width", [48, 60, 72, 88])
def test_no_line_is_wider_than_the_terminal_and_no_interval_is_lost(width: int) -> None:
    drawn = live_training(live(), width=width)
    assert max(len(row) for row in drawn.splitlines()) <= width
    assert "0.867 [.795 .916]" in drawn
    assert "0.987 [.970 1.00]" in drawn
    finished = training_summary(training_sample.third(), width=width)
    assert max(len(row) for row in finished.splitlines()) <= width
    assert "0.867 [.795 .916]" in finished


def test_what_happens_besides_steps_is_said_with_its_count() -> None:
    asking = live().model_copy(update={"work": "replay prompts", "done": 40, "total": 160})
    assert "replay prompts 40/160  ━━━━━━━╸━━━━" in live_training(asking)
    assert plain_training(asking) == "t7 replay prompts 40/160"
    opening = LiveTraining(
        view=training_sample.running().model_copy(
            update={"step": 0, "curves": TrainingCurves(steps=0)}
        )
    )
    assert live_training(opening) == "t7 lora\nopening the model"
    nameless = opening.view.model_copy(update={"training_id": ""})
    unnamed = opening.model_copy(update={"view": nameless})
    assert live_training(unnamed) == "opening the model"


def test_a_log_gets_one_line() -> None:
    assert plain_training(live()) == (
        "t7 step 436/909 (47 %), loss 0.417, dev 0.864, kept 0.987 [.970 1.00], eta 4:42"
    )
    assert plain_training(live(), ascii=True).isascii()
    assert live_training(live(), ascii=True).isascii()


def test_flat_checks_count_from_the_best_step_that_rose_above_the_start() -> None:
    view = training_sample.running()
    assert flat_checks(view) == 2
    start = view.curves.model_copy(update={"best_step": 0})
    assert flat_checks(view.model_copy(update={"curves": start})) == 0


def test_a_pause_says_where_and_how_to_go_on() -> None:
    paused = training_paused(training_sample.running(), "freehold train lora")
    assert paused == ("Paused at step 436/909 of t7. Nothing is lost. Resume: freehold train lora")
    assert (
        training_paused(None, "freehold train") == "Paused. Nothing is lost. Resume: freehold train"
    )


SUMMARY = """\
t7 lora done in 9:42                         step 436/909: the dev metric stopped rising
  quality      0.867 [.795 .916] n=120 on dev, before 0.600 [.510 .683]
  kept         0.986 [.978 .994] n=400; worst: add 0.62 → 0.56
               ✓ keeps at least 0.97: .978 ≥ 0.97
  scale        s=0.7: the largest gain whose upper bound of general loss is within 1
               point
  forgotten    9 probes
  compute      6·N·D = 3.6e+13 operations, 3.6 % of the base's
  memory       1.4 GB at its peak"""


def test_a_finished_training_says_what_it_reached_kept_and_spent() -> None:
    assert training_summary(training_sample.view()) == SUMMARY


def test_what_the_limits_kept_out_is_said_with_the_settings_that_let_it_in() -> None:
    view = training_sample.view()
    assert view.frontier is not None
    small = view.frontier.model_copy(update={"chosen": 0.35})
    words = " ".join(training_summary(view.model_copy(update={"frontier": small})).split())
    assert (
        "kept out s=0.8 is 12 points better on dev, and loses up to 1.5 points of general ability on"
        " average and 1.8 points in add; to allow that: -s ladder.lora.retention.points=1.5 forgotten"
    ) in words
    ends = {point.scale: point for point in small.points}
    wide = small.model_copy(update={"points": (ends[0.35], ends[1.0])})
    page = training_html(view.model_copy(update={"frontier": wide}))
    assert "-s ladder.lora.retention.points=3.4 -s ladder.lora.retention.family_points=6.5" in page


@pytest.mark.parametrize(("chosen", "why"), [(0.7, "little more"), (1.0, "itself beyond them")])
def test_nothing_is_said_of_limits_that_kept_out_little_or_nothing(chosen: float, why: str) -> None:
    found = training_sample.frontier().model_copy(update={"chosen": chosen})
    assert kept_out_words(found, "lora") is None, why


def test_a_sequence_shows_every_domain_after_every_stage() -> None:
    drawn = training_summary(training_sample.third())
    assert "t9 lora after t8 done in 9:42" in drawn
    assert "  t7 snips      0.910 [.860 .950]  0.140 [.090 .180]  –" in drawn
    assert "backward transfer   -1.8 [-3.4 -0.2] points" in drawn
    narrow = training_summary(training_sample.third(), width=48)
    assert "not shown    snips, banking77" in narrow


def test_the_json_of_a_training_is_finite_and_whole() -> None:
    shape = training_json(training_sample.third(), report_path="reports/t9.html")
    text = json.dumps(shape, allow_nan=False)
    assert json.loads(text)["quality"]["mean"] == 0.867
    assert shape["scale"] == 0.7
    assert shape["after"] == "t8"
    transfer = shape["transfer"]
    assert isinstance(transfer, dict)
    assert transfer["backward"] == {"value": -1.8, "low": -3.4, "high": -0.2}
    domains = shape["domains"]
    assert isinstance(domains, list) and len(domains) == 11
    running = training_json(training_sample.running(), report_path=None)
    assert running["kept"] is None and running["frontier"] == []


points = st.lists(st.tuples(st.integers(0, 500), st.floats(-5, 5)), min_size=1, max_size=60).map(
    sorted
)


@given(points, st.integers(1, 40))
def test_rows_of_bars_share_one_axis(found: list[tuple[int, float]], width: int) -> None:
    drawn = spark_over(found, last_step=500, width=width)
    assert len(drawn) == width
    assert set(drawn) <= {" ", *BARS}
    assert len(drawn.lstrip()) == width - found[0][0] * width // 500 or found[0][0] == 500
