"""A climb: every rung measured, judged together, resumed without paying twice."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.ladder.tasks import at_noon, colour_rows, truth

from freehold.core.measure import Climb, Run, RungResult, Verdict
from freehold.core.message import Message
from freehold.core.outcome import Scored
from freehold.core.taskfile import parse_task_file
from freehold.ladder.climb import ClimbOptions, ClimbOutcome, climb
from freehold.ladder.events import ClimbEvent, RungFinished, RungProgress, ignore
from freehold.ladder.prepare import Prepared, prepare
from freehold.ladder.recall import answer_one, finished_climb
from freehold.ladder.tools import Models
from freehold.ladder.view import report_view
from freehold.models.scripted import ScriptedModel
from freehold.store.store import Store

Script = Callable[[Sequence[Message]], str]
PROMPTING = "[zero_shot, few_shot, structured, retrieve]"


class Ticks:
    """A clock that moves on by a hundredth of a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


def prepared(root: Path, *, ladder: str = "", bar: float = 0.5, more: str = "") -> Prepared:
    data = root / "colours.jsonl"
    if not data.exists():
        data.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(150)))
    text = (
        f"task: colours\ndata: colours.jsonl\nbar: {{quality: {bar}}}\nladder: {{{ladder}}}\n{more}"
    )
    return prepare(parse_task_file(text), root=root)


def models(script: Script = truth) -> tuple[Models, ScriptedModel]:
    model = ScriptedModel(script)
    return Models(cache=Path("nowhere"), open_base=lambda _spec: model), model


def run(
    root: Path,
    task: Prepared,
    *,
    script: Script = truth,
    on_event: Callable[[ClimbEvent], None] = ignore,
    options: ClimbOptions | None = None,
) -> tuple[ClimbOutcome, ScriptedModel]:
    opened, model = models(script)
    with Store.open(root, clock=at_noon) as store:
        outcome = climb(
            task, store=store, models=opened, clock=Ticks(), on_event=on_event, options=options
        )
    return outcome, model


def test_a_model_that_knows_the_task_passes_and_the_cheapest_pass_is_recommended(
    tmp_path: Path,
) -> None:
    outcome, _ = run(tmp_path, prepared(tmp_path, ladder=f"rungs: {PROMPTING}"))
    found = outcome.climb
    assert [rung.verdict for rung in found.rungs] == [Verdict.PASS] * 4
    cheapest = min(found.rungs, key=lambda r: r.cost.total_dollars if r.cost else 0)
    assert found.recommended == cheapest.rung
    assert found.audit is not None
    assert found.audit.agrees
    assert found.looks == {"test": 1, "audit": 1}
    assert found.rungs[1].previous == "zero_shot"
    assert found.rungs[1].against_previous is not None
    assert found.rungs[1].against_previous.mean == 0.0


def test_a_model_that_is_always_wrong_fails_and_nothing_is_recommended(tmp_path: Path) -> None:
    task = prepared(tmp_path, ladder="rungs: [zero_shot]", bar=0.8)
    outcome, _ = run(tmp_path, task, script=lambda _messages: "purple, I think")
    rung = outcome.climb.rung("zero_shot")
    assert rung.verdict is Verdict.FAIL
    assert rung.causes == {"format": rung.evaluated}
    assert outcome.climb.recommended is None
    assert outcome.climb.audit is None
    assert outcome.climb.why


def test_a_rung_that_cannot_run_is_skipped_and_one_that_breaks_is_an_error(tmp_path: Path) -> None:
    ladder = "rungs: [retrieve, lora], retrieve: {from: [documents]}"
    outcome, _ = run(tmp_path, prepared(tmp_path, ladder=ladder))
    skipped, broken = outcome.climb.rungs
    assert (skipped.state, skipped.verdict) == ("skipped", Verdict.SKIPPED)
    assert skipped.reason == "missing input: no documents; add data.documents"
    assert (broken.state, broken.verdict) == ("failed", Verdict.ERROR)
    assert "no weights in this process" in (broken.reason or "")


def test_first_pass_stops_after_the_first_rung_that_passes(tmp_path: Path) -> None:
    task = prepared(tmp_path, ladder=f"rungs: {PROMPTING}, stop: first_pass")
    outcome, _ = run(tmp_path, task)
    assert [rung.state for rung in outcome.climb.rungs] == ["measured"] + ["skipped"] * 3
    assert "stop reached: zero_shot passes" in (outcome.climb.rungs[1].reason or "")


def test_a_spent_budget_skips_what_is_left(tmp_path: Path) -> None:
    task = prepared(
        tmp_path, ladder=f"rungs: {PROMPTING}", more="budget: {wall_hours: 0.0000001}\n"
    )
    outcome, _ = run(tmp_path, task)
    assert {rung.state for rung in outcome.climb.rungs} == {"skipped"}
    assert "budget reached: budget.wall_hours" in (outcome.climb.rungs[0].reason or "")


def test_a_finished_climb_is_told_again_without_asking_the_model(tmp_path: Path) -> None:
    task = prepared(tmp_path, ladder=f"rungs: {PROMPTING}")
    first, _ = run(tmp_path, task)
    again: list[bool] = []

    def listen(event: ClimbEvent) -> None:
        if isinstance(event, RungFinished):
            again.append(event.from_store)

    second, model = run(tmp_path, task, on_event=listen)
    assert second == first
    assert model.calls == 0
    assert again == [True] * 4


def test_a_changed_bar_judges_anew_and_asks_nothing(tmp_path: Path) -> None:
    ladder = "rungs: [few_shot, structured]"
    easy, _ = run(tmp_path, prepared(tmp_path, ladder=ladder, bar=0.5))
    hard, model = run(tmp_path, prepared(tmp_path, ladder=ladder, bar=0.99))
    assert model.calls == 0
    assert easy.climb_id != hard.climb_id
    assert easy.climb.rung("few_shot").verdict is Verdict.PASS
    assert hard.climb.rung("few_shot").verdict is Verdict.UNDECIDED
    assert hard.climb.rung("few_shot").need_more
    assert hard.climb.looks["test"] == 2


class Stopped(Exception):
    """Stands for a kill in the middle of a run."""


def test_a_stopped_climb_goes_on_and_pays_for_no_example_twice(tmp_path: Path) -> None:
    task = prepared(tmp_path, ladder="rungs: [zero_shot, few_shot], few_shot: {k: [4]}")
    asked: list[str] = []

    def fragile(messages: Sequence[Message]) -> str:
        if len(asked) == 90:
            raise Stopped
        asked.append(messages[-1].content)
        return truth(messages)

    opened, _ = models(fragile)
    with Store.open(tmp_path, clock=at_noon) as store, pytest.raises(Stopped):
        climb(task, store=store, models=opened, clock=Ticks())
    outcome, model = run(tmp_path, task)
    untouched, whole = run(tmp_path / "apart", prepared_apart(tmp_path, task))
    assert model.calls + len(asked) <= whole.calls + 1
    assert plain(outcome.climb) == plain(untouched.climb)


def prepared_apart(root: Path, task: Prepared) -> Prepared:
    (root / "apart").mkdir()
    return task


def plain(found: Climb) -> list[tuple[str, object, object, Verdict]]:
    """A climb without what time decides."""
    return [(r.rung, r.quality, r.against_previous, r.verdict) for r in found.rungs]


def test_failures_stand_until_they_are_retried(tmp_path: Path) -> None:
    task = prepared(tmp_path, ladder="rungs: [zero_shot]", bar=0.3)
    narrow = ScriptedModel(truth, context_tokens=3)
    roomy = ScriptedModel(truth)
    at_hand = [narrow]
    opened = Models(cache=Path("nowhere"), open_base=lambda _spec: at_hand[0])
    with Store.open(tmp_path, clock=at_noon) as store:
        first = climb(task, store=store, models=opened, clock=Ticks())
    rung = first.climb.rung("zero_shot")
    assert rung.quality is not None
    assert rung.quality.mean is None
    assert (rung.quality.low, rung.quality.high) == (0.0, 1.0)
    assert rung.causes == {"too_long": rung.evaluated}
    assert narrow.digest == roomy.digest
    at_hand[0] = roomy
    opened = Models(cache=Path("nowhere"), open_base=lambda _spec: at_hand[0])
    with Store.open(tmp_path, clock=at_noon) as store:
        options = ClimbOptions(retry_failed=True)
        second = climb(task, store=store, models=opened, clock=Ticks(), options=options)
    quality = second.climb.rung("zero_shot").quality
    assert quality is not None
    assert quality.mean == 1.0


def test_too_many_failures_make_the_rung_an_error(tmp_path: Path) -> None:
    task = prepared(tmp_path, ladder="rungs: [zero_shot]")
    narrow = ScriptedModel(truth, context_tokens=3)
    opened = Models(cache=Path("nowhere"), open_base=lambda _spec: narrow)
    with Store.open(tmp_path, clock=at_noon) as store:
        options = ClimbOptions(max_failed=0.1)
        outcome = climb(task, store=store, models=opened, clock=Ticks(), options=options)
    rung = outcome.climb.rung("zero_shot")
    assert rung.verdict is Verdict.ERROR
    assert "allowed; the first:" in (rung.reason or "")


def test_an_audit_that_contradicts_takes_the_recommendation_back(tmp_path: Path) -> None:
    task = prepared(tmp_path, ladder="rungs: [zero_shot]", bar=0.8)
    unseen = {e.input for e in task.snapshot.audit.examples}

    def lucky(messages: Sequence[Message]) -> str:
        return "none" if messages[-1].content in unseen else truth(messages)

    outcome, _ = run(tmp_path, task, script=lucky)
    found = outcome.climb
    assert found.audit is not None
    assert not found.audit.agrees
    assert found.recommended is None
    assert found.rung("zero_shot").verdict is Verdict.UNDECIDED
    assert "audit contradicts" in found.why[0]


def test_progress_of_each_phase_only_grows(tmp_path: Path) -> None:
    seen: dict[tuple[str, str, str], list[int]] = {}

    def listen(event: ClimbEvent) -> None:
        if isinstance(event, RungProgress):
            seen.setdefault((event.rung, event.phase, event.detail), []).append(event.done)
            assert event.done <= event.total

    run(tmp_path, prepared(tmp_path, ladder=f"rungs: {PROMPTING}"), on_event=listen)
    assert {(rung, phase) for rung, phase, _ in seen} >= {
        ("retrieve", "choosing on dev"),
        ("retrieve", "test"),
        ("retrieve", "timing alone"),
    }
    for counts in seen.values():
        assert counts == sorted(counts)


def test_the_baseline_rung_needs_no_model_and_beats_a_majority(tmp_path: Path) -> None:
    task = prepared(tmp_path, ladder="rungs: [baseline]", bar=0.6)
    outcome, model = run(tmp_path, task)
    rung = outcome.climb.rung("baseline")
    assert model.calls == 0
    assert rung.kept is None
    assert rung.quality is not None
    assert rung.quality.mean is not None
    assert rung.quality.mean > 0.8
    assert dict(rung.tried)["majority"] < dict(rung.tried)["tfidf"]
    assert outcome.climb.recommended == "baseline"
    assert any("Do not fine-tune" in sentence for sentence in outcome.climb.why)


def test_the_test_split_is_never_shown_to_a_rung_as_an_example(tmp_path: Path) -> None:
    task = prepared(tmp_path, ladder="rungs: [few_shot, retrieve]")
    held_out = {e.input for e in (*task.snapshot.test.examples, *task.snapshot.audit.examples)}
    shown: set[str] = set()

    def script(messages: Sequence[Message]) -> str:
        shown.update(m.content for m in messages[:-1] if m.role == "user")
        return truth(messages)

    run(tmp_path, task, script=script)
    assert shown
    assert not shown & held_out


def test_what_was_measured_can_be_found_answered_and_drawn_again(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, prepared(tmp_path, ladder="rungs: [zero_shot, retrieve]"))
    opened, _ = models()
    with Store.open(tmp_path, clock=at_noon) as store:
        assert finished_climb(store, "@last") == outcome
        example = outcome.snapshot.test.examples[0]
        answers = answer_one(
            outcome,
            example,
            store=store,
            models=opened,
            clock=Ticks(),
            is_right=lambda answer: answer.value == example.target,
        )
        view = report_view(outcome, store=store, models=opened)
        runs = [store.get(str(rung.run_digest), Run) for rung in outcome.climb.rungs]
    assert [(a.rung, a.correct) for a in answers] == [("zero_shot", True), ("retrieve", True)]
    assert [prompt.rung for prompt in view.prompts] == ["zero_shot", "retrieve"]
    assert example.input in view.prompts[0].text
    for measured, rung in zip(runs, outcome.climb.rungs, strict=True):
        assert mean_of(measured) == rung_mean(rung)


def mean_of(measured: Run) -> float:
    scores = [r.outcome.score for r in measured.results if isinstance(r.outcome, Scored)]
    return sum(scores) / len(scores)


def rung_mean(rung: RungResult) -> float | None:
    return rung.quality.mean if rung.quality else None
