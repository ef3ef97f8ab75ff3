"""A climb whose scores a scripted judge gives, with people's scores beside it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.ladder.tasks import at_noon

from freehold.core.errors import ConfigError
from freehold.core.measure import Climb, Verdict
from freehold.core.message import Message
from freehold.core.sections import BaseModelSpec
from freehold.core.taskfile import parse_task_file
from freehold.ladder.climb import climb
from freehold.ladder.judging import kept_figures, to_score
from freehold.ladder.prepare import Prepared, prepare
from freehold.ladder.recall import finished_climb, run_of
from freehold.ladder.tools import Models
from freehold.models.scripted import ScriptedModel
from freehold.store.store import Store

TASK = """
task: capitals
instruction: Answer the question.
data: {examples: qa.jsonl, split: {test: 120, dev: 10, audit: 10}}
metric: judge
models:
  base: {id: base}
  judge: {id: other/judge, rubric: 'file://rubric.md', calibrate_with: human.jsonl, grades: 2}
bar: {quality: 0.6}
kept: {items: 1}
ladder: {rungs: [zero_shot]}
"""


def is_good(question: str) -> bool:
    """Whether the candidate answers a question well: four times of five."""
    return sum(map(ord, question)) % 5 != 0


def candidate(messages: Sequence[Message]) -> str:
    question = messages[-1].content
    return f"{'good' if is_good(question) else 'bad'} answer to: {question}"


def fair_judge(messages: Sequence[Message]) -> str:
    """Agrees with people but for one answer in ten."""
    text = messages[-1].content
    answer = text.split("<<< answer\n")[-1]
    is_wrong = sum(map(ord, answer)) % 10 == 3
    return "2" if ("good answer" in answer) != is_wrong else "1"


class Place:
    """A folder with questions, a rubric and people's scores, and a store of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.judge = ScriptedModel(fair_judge, name="other/judge")
        words = random.Random(1)
        rows = [
            {
                "input": f"question {i} about {words.randrange(10**9)}?",
                "target": f"it is {i} of course",
            }
            for i in range(200)
        ]
        self.write("qa.jsonl", rows)
        (root / "rubric.md").write_text("Good answers are good.\n")

    def write(self, name: str, rows: Sequence[object]) -> None:
        (self.root / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def prepared(self, text: str = TASK) -> Prepared:
        return prepare(parse_task_file(text), root=self.root)

    def climb(
        self, text: str = TASK, *, judge: Callable[[Sequence[Message]], str] | None = None
    ) -> Climb:
        if judge is not None:
            self.judge = ScriptedModel(judge, name="other/judge")

        def opened(spec: BaseModelSpec) -> ScriptedModel:
            return self.judge if spec.id == "other/judge" else ScriptedModel(candidate, name="base")

        models = Models(cache=self.root, open_base=opened)
        with Store.open(self.root, clock=at_noon) as store:
            return climb(self.prepared(text), store=store, models=models, clock=lambda: 0.0).climb

    def people_score(self, count: int) -> None:
        """Let people score the first `count` answers of the sheet, as they truly are."""
        with Store.open(self.root, clock=at_noon) as store:
            outcome = finished_climb(store, "@last")
            run = run_of(store, outcome.climb.rungs[0])
            assert run is not None
            sheet = to_score({"zero_shot": run}, outcome.snapshot.test)
        rows = [json.loads(row) for row in sheet.splitlines()]
        for row in rows[:count]:
            row.update(score=float(row["output"].startswith("good")), scorer="ann")
        self.write("human.jsonl", rows)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


WITHOUT = TASK.replace(", calibrate_with: human.jsonl", "")


def test_a_judge_that_nobody_checked_decides_nothing_and_is_shown(place: Place) -> None:
    found = place.climb(WITHOUT)
    (rung,) = found.rungs
    assert rung.verdict is Verdict.UNDECIDED
    assert rung.reason == "the judge was compared with 0 human scores; 30 more needed"
    assert rung.quality is not None and 0.5 < (rung.quality.mean or 0) < 0.95
    assert found.judge is not None and found.judge.agreement.n == 0
    assert [
        problem.code for problem in place.prepared(WITHOUT).problems if problem.code[:3] == "JDG"
    ] == ["JDG-004"]


def test_with_human_scores_of_its_answers_the_interval_is_people_and_judge_together(
    place: Place,
) -> None:
    place.climb(WITHOUT)
    before = place.judge.calls
    place.people_score(60)
    found = place.climb()
    (rung,) = found.rungs
    assert place.judge.calls == before + 10  # the audit rows; every test answer was judged already
    assert rung.verdict is Verdict.PASS
    assert rung.quality is not None and rung.rests_on is not None
    assert rung.quality.method == "prediction_powered"
    assert rung.rests_on.how == "own"
    assert (rung.rests_on.human, rung.rests_on.judged) == (60, 120)
    alone = rung.rests_on.human_only
    assert alone is not None
    assert rung.quality.high - rung.quality.low < alone.high - alone.low
    assert rung.quality.low < 0.8 < rung.quality.high
    assert found.judge is not None and found.judge.withheld is None
    assert (found.judge.agreement.kappa or 0) > 0.6
    with Store.open(place.root, clock=at_noon) as store:
        assert kept_figures(store, place.prepared().task) == found.judge


def test_a_judge_that_disagrees_with_people_decides_nothing(place: Place) -> None:
    def contrary(messages: Sequence[Message]) -> str:
        return "1" if fair_judge(messages) == "2" else "2"

    place.climb(WITHOUT, judge=contrary)
    place.people_score(60)
    (rung,) = place.climb(judge=contrary).rungs
    assert rung.verdict is Verdict.UNDECIDED
    assert rung.reason is not None and "a better judge or rubric" in rung.reason


def test_scores_of_other_answers_speak_for_the_judge_and_decide_nothing(place: Place) -> None:
    rows = [
        {"input": f"other {i}", "output": f"{word} answer {i}", "score": float(word == "good")}
        for i in range(100)
        for word in ("good", "bad")
    ]
    place.write("human.jsonl", rows)
    found = place.climb()
    (rung,) = found.rungs
    assert rung.rests_on is not None and rung.rests_on.how == "elsewhere"
    assert rung.verdict is Verdict.UNDECIDED
    assert rung.reason is not None and "score some of its answers" in rung.reason
    assert rung.quality is not None and rung.quality.low < 0.8 < rung.quality.high
    assert found.judge is not None and found.judge.position is not None


def test_a_judge_that_fails_leaves_examples_without_a_score(place: Place) -> None:
    def tired(messages: Sequence[Message]) -> str:
        return fair_judge(messages)

    place.judge = ScriptedModel(tired, name="other/judge", context_tokens=50)
    found = place.climb(WITHOUT.replace("grades: 2", "grades: 2, criteria: [right]"))
    (rung,) = found.rungs
    assert rung.quality is not None
    assert (rung.quality.mean, rung.quality.failed) == (None, 120)
    assert rung.causes == {"scorer": 120}


def test_a_judge_of_the_same_model_or_family_is_warned_of(place: Place) -> None:
    same = WITHOUT.replace("id: other/judge", "id: base")
    kin = WITHOUT.replace("id: base}", "id: some/Qwen3-4B}").replace(
        "other/judge", "more/qwen2.5-7b"
    )
    codes = [
        [p.code for p in place.prepared(text).problems if p.code[:3] == "JDG"]
        for text in (same, kin)
    ]
    assert codes == [["JDG-002", "JDG-004"], ["JDG-003", "JDG-004"]]


def test_a_judge_of_labels_or_without_a_model_is_refused(place: Place) -> None:
    with pytest.raises(ConfigError) as refused:
        place.climb(WITHOUT + "output: {labels: [a, b]}\n")
    assert refused.value.problems[0].code == "CFG-026"
    bare = WITHOUT.replace(
        "  judge: {id: other/judge, rubric: 'file://rubric.md', grades: 2}\n", ""
    )
    with pytest.raises(ConfigError) as refused:
        place.climb(bare)
    assert refused.value.problems[0].code == "CFG-027"


def test_a_missing_rubric_is_named(place: Place) -> None:
    with pytest.raises(ConfigError) as refused:
        place.prepared(WITHOUT.replace("rubric.md", "nothing.md"))
    assert refused.value.problems[0].code == "CFG-006"
    assert "`rubric` names file://nothing.md" in refused.value.problems[0].message


def test_rungs_that_say_the_same_share_a_row_of_the_sheet(place: Place) -> None:
    place.climb(WITHOUT)
    with Store.open(place.root, clock=at_noon) as store:
        outcome = finished_climb(store, "@last")
        run = run_of(store, outcome.climb.rungs[0])
        assert run is not None
        sheet = to_score({"zero_shot": run, "few_shot": run}, outcome.snapshot.test)
    rows = [json.loads(row) for row in sheet.splitlines()]
    assert len(rows) == 120
    assert rows[0]["rungs"] == ["zero_shot", "few_shot"]
    assert [row["input"] for row in rows] != [e.input for e in outcome.snapshot.test.examples]
