"""`freehold train` from its words to its files, on a tiny random model."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from tests.cli.conftest import ticket_rows, write_rows
from tests.models.tiny import save_model

from freehold.cli.console import Console, DisplayMode
from freehold.cli.main import main
from freehold.cli.training_files import EventLog, write_page_if_possible
from freehold.cli.training_screen import Running, TrainingScreen, event_json
from freehold.core.sections import LadderSection, LoraSpec, MetricSpec
from freehold.core.task import Task, TextOutput
from freehold.ladder.events import Progress
from freehold.ladder.training import Trained, TrainingStarted
from freehold.ladder.training_view import Seen
from freehold.train.records import (
    Evaluated,
    Recipe,
    Started,
    Steered,
    Stepped,
    Stopped,
    StopReason,
    TrainEvent,
)

TASK = """\
task: tickets
instruction: Route it.
data: examples.jsonl
model: ./model
kept: {items: 1, seed: 5}
ladder: {lora: {effort: quick, epochs: 1, r: 2, retention: {prompts: 4, scale: false}}}
"""


@pytest.fixture
def small(project: Path) -> Path:
    """The project with a task file, 60 rows, and a tiny model of its own."""
    write_rows(project / "examples.jsonl", ticket_rows(60))
    (project / "task.yaml").write_text(TASK, encoding="utf-8")
    save_model(project / "model")
    return project


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    out, err = capsys.readouterr()
    return out, err


def test_a_training_is_announced_kept_shown_again_and_gone_on_from(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train"]) == 0
    out, err = said(capsys)
    assert out.startswith("t1 lora done in ")
    assert "the base answers no probe right" in out
    assert "Adapter  .freehold/adapters/t1/" in out
    assert out.splitlines()[-1] == "next     freehold climb"
    assert "t1 lora · tickets" in err
    page = (small / "reports/t1.html").read_text(encoding="utf-8")
    assert "Freehold · training t1" in page and "refresh" not in page
    assert main(["train", "lora", "--json"]) == 0
    again, err = said(capsys)
    assert json.loads(again)["training"] == "t1"
    assert json.loads(again)["adapter"] == ".freehold/adapters/t1"
    assert "finished before" in err
    assert main(["report", "t1"]) == 0
    assert said(capsys)[0].startswith("t1 lora done in ")
    assert main(["train", "--after", "t1", "-s", "task=later", "--json"]) == 0
    later = json.loads(said(capsys)[0])
    assert (later["training"], later["after"]) == ("t2", "t1")
    assert later["transfer"]["backward"] is not None
    assert {cell["domain"] for cell in later["domains"]} == {"tickets", "later"}


@pytest.mark.usefixtures("narrow_weights")
def test_a_base_in_bfloat16_goes_on_to_the_next_domain_too(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--json"]) == 0
    said(capsys)
    assert main(["train", "--after", "t1", "-s", "task=later", "--json"]) == 0
    later = json.loads(said(capsys)[0])
    assert (later["training"], later["after"]) == ("t2", "t1")
    assert {cell["domain"] for cell in later["domains"]} == {"tickets", "later"}
    config = json.loads((small / ".freehold/adapters/t2/adapter_config.json").read_text())
    assert config["r"] == 4


def test_a_dry_run_says_what_would_be_trained_and_leaves_nothing(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in small.iterdir())
    assert main(["train", "lora", "--dry-run"]) == 0
    out, _ = said(capsys)
    assert out.startswith("Plan for tickets; nothing was done.")
    assert "lora r=2, all linear layers" in out
    assert "≈" in out and "GiB" in out
    assert sorted(path.name for path in small.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["train", "few_shot"], "USE-006", "`few_shot` is no rung that is trained by itself"),
        (["train", "lroa"], "USE-006", "freehold train lora"),
        (["train", "--after", "t9"], "USE-002", "there is no training `t9`"),
        (["train", "--after", "model"], "TRN-040", "lineage.json"),
        (["train", "lora", "more"], "USE-006", "takes 1 argument"),
        (["train", "-s", "data=missing.jsonl"], "DAT-001", "missing.jsonl"),
        (["report", "t3"], "USE-002", "freehold climb"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_done(
    small: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: str,
    told: str,
) -> None:
    assert main(words) == 2
    _, err = said(capsys)
    assert f"error[{code}]" in err
    assert told in err
    assert not (small / "reports").exists()


def test_without_a_task_file_the_way_to_one_is_shown(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train"]) == 2
    assert "freehold climb examples.jsonl" in said(capsys)[1]


def test_a_page_that_cannot_be_written_does_not_cost_the_training(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (small / "reports").write_text("a file where the folder should be")
    assert main(["train", "--json"]) == 0
    out, err = said(capsys)
    assert json.loads(out)["report"] is None
    assert "reports/t1.html cannot be written" in err
    assert (small / ".freehold/adapters/t1/adapter_config.json").is_file()


# The screen, on events made by hand ------------------------------------------------------------


RECIPE = Recipe(
    learning_rate=1e-4,
    epochs=3.0,
    steps=1_000,
    warmup_steps=30,
    batch_tokens=1_024,
    micro_tokens=1_024,
    max_length=64,
    precision="float32",
    evaluate_at=(0, 500, 1_000),
)


def begun(resumed_at: int = 0) -> Started:
    return Started(
        recipe=RECIPE,
        rows=400,
        dropped=0,
        trainable_parameters=10,
        base_parameters=1_000,
        resumed_at=resumed_at,
    )


def step(number: int) -> Stepped:
    return Stepped(
        step=number,
        steps=1_000,
        loss=1.0 / number,
        learning_rate=1e-4,
        gradient_norm=1.0,
        tokens_per_second=5_700.0,
        seconds=float(number),
    )


def checked(number: int, score: float, best: int) -> Evaluated:
    return Evaluated(
        step=number,
        score=score,
        is_best=number == best,
        best_step=best,
        seconds=1.0,
        divergence=0.1,
    )


def seen() -> Seen:
    task = Task(
        name="tickets",
        instruction="Route it.",
        output=TextOutput(),
        metric=MetricSpec(primary="token_f1"),
        ladder=LadderSection(lora=LoraSpec(r=16)),
    )
    return Seen(training_id="t7", rung="lora", task=task)


def after(*events: TrainEvent) -> Seen:
    found = seen()
    for event in events:
        found = found.advance(event)
    return found


def test_events_become_curves_on_one_axis() -> None:
    looks = Steered(step=20, divergence=0.02, weight=1.5, replay=0.2)
    found = after(begun(), checked(0, 0.1, 0), step(1), looks, checked(500, 0.8, 500)).view()
    assert [point.value for point in found.curves.dev] == [0.1, 0.8]
    assert [point.value for point in found.curves.divergence] == [0.1, 0.1]
    assert [point.value for point in found.curves.weight] == [1.5]
    assert (found.curves.best_step, found.curves.steps, found.step) == (500, 1_000, 500)
    assert found.state == "running" and found.stopped is None
    ended = after(begun(), Stopped(step=9, reason=StopReason.PATIENCE)).view(is_paused=True)
    assert (ended.state, ended.stopped) == ("paused", "the dev metric stopped rising")


def test_what_lay_behind_a_checkpoint_is_seen_once_after_a_resume() -> None:
    lost = [begun(), *(step(n) for n in range(1, 31)), checked(30, 0.5, 30)]
    resumed = after(*lost, begun(resumed_at=20), step(21))
    assert [point.step for point in resumed.losses] == list(range(1, 22))
    assert resumed.checks == ()
    assert resumed.step == 21


def test_a_long_run_keeps_few_losses_and_the_last() -> None:
    found = after(begun(), *(step(n) for n in range(1, 5_000)))
    assert len(found.losses) <= 401
    assert found.losses[-1].step >= 4_980
    assert [p.step for p in found.losses] == sorted({p.step for p in found.losses})


def test_work_besides_steps_has_a_bar_of_its_own_and_steps_hide_it() -> None:
    asking = Progress("building", 40, 160, "general prompts, answered by the base")
    running = Running(seen()).advance(asking, at_seconds=0.0)
    shown = running.live(memory="", page="")
    assert (shown.work, shown.done, shown.total) == (
        "building general prompts, answered by the base",
        40,
        160,
    )
    running = running.advance(Trained(begun()), at_seconds=1.0).advance(asking, at_seconds=2.0)
    assert running.live(memory="", page="").work == ""
    stopped = Stopped(step=1_000, reason=StopReason.FINISHED)
    running = running.advance(Trained(stopped), at_seconds=3.0).advance(asking, at_seconds=4.0)
    assert running.live(memory="", page="").done == 40


def test_the_pace_is_that_of_the_last_seconds() -> None:
    running = Running(seen()).advance(Trained(begun()), at_seconds=0.0)
    for number in range(1, 21):
        running = running.advance(Trained(step(number)), at_seconds=number / 2)
    eta = running.live(memory="", page="").eta_seconds
    assert eta is not None and 480 <= eta <= 500


def screen(project: Path, console: Console) -> TrainingScreen:
    return TrainingScreen(console, seen(), project=project, clock=lambda: 0.0)


def console(display: DisplayMode, stream: StringIO) -> Console:
    return Console(
        stdout=stream,
        stderr=stream,
        width=88,
        ascii=False,
        color=False,
        display=display,
        is_json=False,
        is_quiet=False,
    )


def test_a_resumed_screen_remembers_what_was_seen_before(tmp_path: Path) -> None:
    place = console("none", StringIO())
    started = TrainingStarted("t7", "tickets", "lora", 400, is_known=False)
    first = screen(tmp_path, place)
    for event in (started, *map(Trained, (begun(), step(2), checked(2, 0.3, 2), step(4)))):
        first.show(event)
    first.write_paused_page()
    assert "paused" in (tmp_path / "reports/t7.html").read_text(encoding="utf-8")
    second = screen(tmp_path, place)
    second.show(started)
    assert not second.is_stepping
    second.show(Trained(begun(resumed_at=2)))
    assert [point.step for point in second.running.seen.losses] == [2]
    assert [check.score for check in second.running.seen.checks] == [0.3]
    assert second.is_stepping


def test_a_log_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "t7" / "events.jsonl")
    assert log.earlier() == ()
    for event in (begun(), *(step(n) for n in range(1, 11)), checked(10, 0.3, 10)):
        log.add(event)
    file = tmp_path / "t7" / "events.jsonl"
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole[:-20], encoding="utf-8")
    kinds = [event.kind for event in log.earlier()]
    assert kinds == ["started", *["stepped"] * 5]


def test_a_log_without_a_place_is_silent(tmp_path: Path) -> None:
    (tmp_path / "t7").write_text("a file")
    log = EventLog(tmp_path / "t7" / "events.jsonl")
    log.add(begun())
    assert log.earlier() == ()


def test_json_lines_hold_the_event_itself(tmp_path: Path) -> None:
    stream = StringIO()
    shown = screen(tmp_path, console("json", stream))
    shown.show(TrainingStarted("t7", "tickets", "lora", 400, is_known=False))
    shown.show(Trained(begun()))
    shown.show(Progress("building", 1, 2, "x"))
    kinds = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert kinds == ["training_started", "trained", "progress"]
    assert event_json(Trained(step(3)))["step"] == 3


def test_a_page_is_written_whole_or_told_why_not(tmp_path: Path) -> None:
    written, problem = write_page_if_possible(tmp_path, after(begun()).view())
    assert written is not None and problem == ""
    assert (tmp_path / written.path).stat().st_size == written.size_bytes
    (tmp_path / "x").write_text("")
    nothing, told = write_page_if_possible(tmp_path / "x", after(begun()).view())
    assert nothing is None and "reports/t7.html cannot be written" in told
