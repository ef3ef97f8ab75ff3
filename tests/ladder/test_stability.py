"""Wrong answers asked again in other words: those that change are unstable, and no score moves."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.ladder.tasks import at_noon, colour_rows, truth

from freehold.core.measure import Climb, Run, Stability
from freehold.core.message import Message
from freehold.core.snapshot import Example
from freehold.core.taskfile import parse_task_file
from freehold.evaluate.rewordings import GREETING, REWORDINGS, reworded, row_id
from freehold.ladder.climb import climb
from freehold.ladder.prepare import prepare
from freehold.ladder.sweep import Gone, Sweep
from freehold.ladder.tools import Models
from freehold.models.scripted import ScriptedModel
from freehold.store.store import Store


def shaky(messages: Sequence[Message]) -> str:
    """Wrong on a third of the cases, on half of those only as the question is first worded."""
    question = messages[-1].content
    right = truth(messages)
    wrong = "red" if right != "red" else "green"
    plain = question.removeprefix(GREETING).strip().rstrip(".").replace("  ", " ")
    case = int(plain.partition("(case ")[2].rstrip(")"))
    if case % 6 == 0:
        return wrong
    as_first_worded = question == plain and question[:1].islower()
    return wrong if case % 6 == 3 and as_first_worded else right


def climbed(root: Path, more: str = "", *, stop_after: int | None = None) -> tuple[Climb, int]:
    (root / "colours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in colour_rows(150)))
    text = (
        "task: colours\ndata: {examples: colours.jsonl, split: {test: 60, dev: 10, audit: 20}}\n"
        f"bar: 0.5\nladder: {{stop: full, rungs: [zero_shot]}}\n{more}"
    )
    answered = 0

    def answer(messages: Sequence[Message]) -> str:
        nonlocal answered
        answered += 1
        if stop_after is not None and answered > stop_after:
            raise KeyboardInterrupt
        return shaky(messages)

    models = Models(cache=Path("nowhere"), open_base=lambda _spec: ScriptedModel(answer))
    with Store.open(root, clock=at_noon) as store:
        found = climb(
            prepare(parse_task_file(text), root=root), store=store, models=models, clock=lambda: 0.0
        )
    return found.climb, answered


def test_wrong_answers_that_change_are_unstable_and_the_others_stay_confused(
    tmp_path: Path,
) -> None:
    found, _ = climbed(tmp_path, "diagnose: {unstable: 60}\n")
    rung = found.rung("zero_shot")
    assert rung.stability is not None
    with Store.open(tmp_path, clock=at_noon) as store:
        run = store.get(str(rung.run_digest), Run)
    wrong = [result for result in run.results if run.scores[result.example_id] == 0.0]
    assert sum(rung.causes.values()) == len(wrong)
    assert rung.causes["unstable"] == len(rung.stability.unstable) > 0
    assert rung.causes["confused"] == len(wrong) - len(rung.stability.unstable) > 0
    assert {result.outcome.cause for result in wrong if result.outcome.cause} == {"confused"}
    assert sum(times for _, _, times in rung.confusions) == rung.causes["confused"]
    assert rung.stability.wrong == rung.stability.wrong_in_all == len(wrong)
    assert rung.stability.right == 60 - len(wrong) and rung.stability.right_changed == 0


def test_no_score_cost_or_verdict_depends_on_it(tmp_path: Path) -> None:
    asked, calls = climbed(tmp_path)
    (tmp_path / "off").mkdir()
    silent, fewer = climbed(tmp_path / "off", "diagnose: {unstable: 0}\n")
    one, other = asked.rung("zero_shot"), silent.rung("zero_shot")
    assert other.stability is None and "unstable" not in other.causes
    assert (one.quality, one.verdict, one.cost) == (other.quality, other.verdict, other.cost)
    assert fewer < calls <= fewer + 2 * 40


def test_at_most_as_many_examples_are_asked_again_as_the_setting_says(tmp_path: Path) -> None:
    found, _ = climbed(tmp_path, "diagnose: {unstable: 8}\n")
    stability = found.rung("zero_shot").stability
    assert stability is not None
    assert (stability.wrong, stability.right) == (6, 2)
    assert stability.wrong_in_all > 6


def test_a_climb_that_was_stopped_goes_on_in_the_middle_of_it(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, calls = climbed(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        climbed(tmp_path / "parts", stop_after=100)
    resumed, rest = climbed(tmp_path / "parts")
    assert resumed.rung("zero_shot").stability == whole.rung("zero_shot").stability
    assert rest < calls


@pytest.mark.parametrize(
    "text", ["I was charged twice", "USB is dead.", "où est mon colis ?", "a", "1"]
)
def test_rewordings_keep_every_word_and_are_the_same_every_time(text: str) -> None:
    example = Example(id="e7", input=text, target="x")
    for name, reword in REWORDINGS.items():
        words = reword(text).removeprefix(GREETING).lower().rstrip(" .!?…").split()
        assert words == text.lower().rstrip(" .!?…").split(), name
    found = reworded(example)
    assert found == reworded(example)
    assert len({one.input for one in found} | {text}) == len(found) + 1 == 3
    assert all(one.id.startswith("e7~") and one.target == "x" for one in found)


def test_what_has_no_letters_or_lines_of_its_own_is_left_whole() -> None:
    assert REWORDINGS["case"]("USB stick") == "USB stick"
    assert REWORDINGS["spacing"]("a\tb\nc") == "a\tb\nc"
    assert Stability(wordings=2, wrong=1, wrong_in_all=1).unstable == ()


def test_a_row_that_is_forgotten_is_forgotten_in_other_words_too(tmp_path: Path) -> None:
    with Store.open(tmp_path, clock=at_noon) as store:
        for name in ("e7", "e7~case", "e8~case"):
            store.ledger.keep_result("a run", name, "{}")
        Sweep(store, tmp_path, Gone(ids=frozenset({"e7"}))).run(lambda _step: None)
        assert set(store.ledger.results("a run")) == {"e8~case"}
    assert [row_id(name) for name in ("e7", "e7~case", "a~b")] == ["e7", "e7", "a~b"]
