"""A climb that races: it stops where verdicts are settled, goes on after a kill, and asks nothing twice."""

import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.ladder.tasks import at_noon, colour_rows, truth

from freehold.core.errors import ConfigError
from freehold.core.measure import Climb, Run, Verdict
from freehold.core.message import Message
from freehold.core.taskfile import parse_task_file
from freehold.ladder.climb import ClimbOutcome, climb
from freehold.ladder.events import ClimbEvent, RungProgress, ignore
from freehold.ladder.prepare import Prepared, prepare
from freehold.ladder.race import racing_order
from freehold.ladder.tools import Models
from freehold.ladder.view import report_view
from freehold.models.scripted import ScriptedModel
from freehold.report.html import climb_html
from freehold.report.markdown import climb_markdown
from freehold.report.terminal import climb_table
from freehold.store.store import Store

Script = Callable[[Sequence[Message]], str]
TEST = 200


def task(
    root: Path, *, stop: str, rungs: str = "zero_shot, structured", more: str = ""
) -> Prepared:
    data = root / "colours.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(330)))
    text = (
        "task: colours\n"
        f"data: {{examples: colours.jsonl, split: {{test: {TEST}, dev: 20, audit: 20}}}}\n"
        "bar: {quality: 0.8}\n"
        f"ladder: {{rungs: [{rungs}], stop: {stop}, structured: {{k: [0]}}}}\n"
        f"diagnose: {{unstable: 0}}\n{more}"
    )
    return prepare(parse_task_file(text), root=root)


def weak(messages: Sequence[Message]) -> str:
    """Wrong on most of the cases, whichever rung asks."""
    number = re.search(r"case (\d+)", messages[-1].content)
    is_wrong = number is not None and int(number.group(1)) % 10 < 6
    return "purple" if is_wrong else truth(messages)


def run(
    root: Path,
    prepared: Prepared,
    script: Script,
    *,
    on_event: Callable[[ClimbEvent], None] = ignore,
    tick: float = 0.01,
) -> tuple[ClimbOutcome, int]:
    model = ScriptedModel(script)
    opened = Models(cache=Path("nowhere"), open_base=lambda _spec: model)
    now = [0.0]

    def clock() -> float:
        now[0] += tick
        return now[0]

    with Store.open(root, clock=at_noon) as store:
        outcome = climb(prepared, store=store, models=opened, clock=clock, on_event=on_event)
    return outcome, model.calls


def shown(found: Climb) -> list[tuple[object, ...]]:
    """A climb without what time decides."""
    return [
        (r.rung, r.verdict, r.evaluated, r.stopped_because, r.quality, r.against_previous)
        for r in found.rungs
    ]


def test_a_race_ends_at_the_first_pass_after_a_part_of_the_examples(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, task(tmp_path, stop="first_pass"), truth)
    first, second = outcome.climb.rungs
    assert first.verdict is Verdict.PASS
    assert first.evaluated < TEST / 3
    assert first.planned == TEST
    assert first.stopped_because == f"passed after {first.evaluated} of {TEST}"
    assert first.quality is not None
    assert first.quality.method == "betting"
    assert second.state == "skipped"
    assert outcome.climb.recommended == "zero_shot"
    assert outcome.climb.looks == {"test": 1, "audit": 1}
    saved = TEST - first.evaluated
    assert (
        f"racing: {first.evaluated} of {TEST} test examples evaluated, {saved} saved"
        in "\n".join(outcome.climb.why)
    )
    assert outcome.climb.why[-1].endswith("1 rung not begun")


def test_rungs_that_fail_stop_early_and_share_a_prefix(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, task(tmp_path, stop="first_pass"), weak)
    first, second = outcome.climb.rungs
    assert [first.verdict, second.verdict] == [Verdict.FAIL, Verdict.FAIL]
    assert max(first.evaluated, second.evaluated) < TEST
    difference = second.against_previous
    assert difference is not None
    assert difference.test == "betting"
    assert difference.n == min(first.evaluated, second.evaluated)
    snapshot = outcome.snapshot
    order = [e.id for e in racing_order(snapshot.test.examples, seed=snapshot.seed)]
    with Store.open(tmp_path, clock=at_noon) as store:
        runs = [store.get(str(rung.run_digest), Run) for rung in (first, second)]
    for found in runs:
        ids = [result.example_id for result in found.results]
        assert ids == order[: len(ids)]
        assert found.stopped_because.startswith("failed after ")


def test_every_surface_says_how_many_were_evaluated_and_why_it_stopped(tmp_path: Path) -> None:
    prepared = task(tmp_path, stop="first_pass")
    outcome, _ = run(tmp_path, prepared, truth)
    because = f"stopped: passed after {outcome.climb.rungs[0].evaluated} of {TEST}"
    table = climb_table(outcome.climb, prepared.task, climb_id="c1")
    assert because in table
    assert f"test n≤{TEST}" in table
    assert "racing" in table
    assert all(len(line) <= 88 for line in table.splitlines())
    assert because in climb_markdown(outcome.climb, prepared.task, climb_id="c1")
    opened = Models(cache=Path("nowhere"), open_base=lambda _spec: ScriptedModel(truth))
    with Store.open(tmp_path, clock=at_noon) as store:
        assert because in climb_html(report_view(outcome, store=store, models=opened))


def test_while_it_races_progress_carries_the_estimate_so_far(tmp_path: Path) -> None:
    seen: list[RungProgress] = []

    def listen(event: ClimbEvent) -> None:
        if isinstance(event, RungProgress) and event.quality is not None:
            seen.append(event)

    run(tmp_path, task(tmp_path, stop="first_pass", rungs="zero_shot"), truth, on_event=listen)
    widths = [e.quality.high - e.quality.low for e in seen if e.quality is not None]
    assert len(widths) > 1
    assert widths == sorted(widths, reverse=True)
    assert all(event.total == TEST for event in seen)


@pytest.mark.parametrize("seed", range(4))
def test_a_race_that_is_killed_anywhere_goes_on_and_ends_the_same(
    tmp_path: Path, seed: int
) -> None:
    whole_folder, folder = tmp_path / "whole", tmp_path / "killed"
    whole_folder.mkdir()
    folder.mkdir()
    prepared = task(tmp_path, stop="first_pass")
    whole, calls = run(whole_folder, prepared, weak)
    chance = random.Random(seed)
    asked, kills = 0, 0
    while True:
        fuse = chance.randrange(1, 60)
        left = [fuse]

        def fragile(messages: Sequence[Message], left: list[int] = left) -> str:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return weak(messages)

        try:
            again, _ = run(folder, prepared, fragile)
        except KeyboardInterrupt:
            asked += fuse
            kills += 1
            continue
        asked += fuse - left[0]
        break
    assert kills >= 1
    # An example may be asked again where the kill came between its answer and the next line.
    assert asked <= calls + kills
    assert shown(again.climb) == shown(whole.climb)


def test_a_race_asks_for_nothing_that_a_full_climb_has_asked_and_the_other_way_round(
    tmp_path: Path,
) -> None:
    raced, first = run(tmp_path, task(tmp_path, stop="first_pass"), weak)
    full, second = run(tmp_path, task(tmp_path, stop="full"), weak)
    again, third = run(tmp_path, task(tmp_path, stop="budget", more="budget: {dollars: 9}\n"), weak)
    evaluated = sum(rung.evaluated for rung in raced.climb.rungs)
    assert evaluated < 2 * TEST
    # Beside the new examples only the twenty that are timed alone may be asked once more, for each rung.
    assert first <= evaluated + 2 * 20
    assert second <= 2 * TEST - evaluated + 2 * 20
    assert third == 0
    assert shown(again.climb) == shown(raced.climb)
    assert [r.verdict for r in full.climb.rungs] == [r.verdict for r in raced.climb.rungs]


def test_a_budget_races_every_rung_and_stops_before_it_would_be_passed(tmp_path: Path) -> None:
    rich = task(tmp_path, stop="budget", more="budget: {wall_hours: 9}\n")
    outcome, _ = run(tmp_path, rich, truth)
    assert [rung.verdict for rung in outcome.climb.rungs] == [Verdict.PASS, Verdict.PASS]
    folder = tmp_path / "poor"
    folder.mkdir()
    spent: list[float] = []
    poor = task(tmp_path, stop="budget", more="budget: {wall_hours: 0.001}\n")

    def unsure(messages: Sequence[Message]) -> str:
        number = re.search(r"case (\d+)", messages[-1].content)
        is_wrong = number is not None and int(number.group(1)) % 10 < 2
        return "purple" if is_wrong else truth(messages)

    outcome, _ = run(folder, poor, unsure, tick=0.02)
    first, second = outcome.climb.rungs
    spent.append(outcome.climb.seconds)
    assert first.verdict is Verdict.UNDECIDED
    assert 0 < first.evaluated < TEST
    assert first.stopped_because is not None
    assert first.stopped_because.startswith("budget reached: budget.wall_hours is 0.001 after")
    assert first.reason == first.stopped_because
    assert second.state == "skipped"
    assert second.reason == "budget reached: budget.wall_hours is 0.001"
    assert spent[0] <= 0.001 * 3600


def test_a_budget_without_a_ceiling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no budget to stop at") as refused:
        task(tmp_path, stop="budget")
    assert refused.value.problems[0].code == "CFG-010"
