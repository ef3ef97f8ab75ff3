"""Choosing inside a rung: halving on dev, a search for a prompt, settings of trained rungs."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.ladder.tasks import at_noon, colour_rows, truth

from freehold.core.candidate import Candidate
from freehold.core.measure import RungResult
from freehold.core.message import Message
from freehold.core.sections import LoraSpec
from freehold.core.taskfile import parse_task_file
from freehold.ladder.climb import ClimbOutcome, climb
from freehold.ladder.halving import mean_of
from freehold.ladder.prepare import Prepared, prepare
from freehold.ladder.prompt_search import (
    influence,
    instruction_of,
    one_of_each,
    rewritings,
)
from freehold.ladder.recall import answerer_of
from freehold.ladder.rung import SkippedError, Variant
from freehold.ladder.tools import Models
from freehold.ladder.trained import plain_spec, shorter_training, specs_tried
from freehold.ladder.trials import searched
from freehold.models.scripted import ScriptedModel
from freehold.store.store import Store


class Ticks:
    """A clock that moves on by a hundredth of a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


def prepared(root: Path, ladder: str, *, rows: int = 400, dev: int = 160) -> Prepared:
    data = root / "colours.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(rows)))
    text = (
        f"task: colours\ndata: {{examples: colours.jsonl, split: {{dev: {dev}, test: 40, audit: 0}}}}\n"
        f"instruction: Say which. Of three colours.\nladder: {{{ladder}}}\n"
    )
    return prepare(parse_task_file(text), root=root)


def climbed(root: Path, task: Prepared, model: ScriptedModel) -> ClimbOutcome:
    models = Models(cache=Path("nowhere"), open_base=lambda _spec: model)
    with Store.open(root, clock=at_noon) as store:
        return climb(task, store=store, models=models, clock=Ticks())


def knows_after(shots: int) -> ScriptedModel:
    """A model that is right for most questions from so many examples on, and for few before."""

    def say(messages: Sequence[Message]) -> str:
        seen = sum(turn.role == "assistant" for turn in messages)
        number = int(messages[-1].content.split("case ")[1].rstrip(")"))
        is_right = number % 10 < (9 if seen >= shots else 4)
        return truth(messages) if is_right else "purple"

    return ScriptedModel(say)


def test_variants_are_halved_and_what_became_of_each_is_kept(tmp_path: Path) -> None:
    task = prepared(tmp_path, "rungs: [few_shot], few_shot: {k: [1, 2, 3, 4, 5, 6, 7, 8]}")
    model = knows_after(7)
    rung = climbed(tmp_path, task, model).climb.rung("few_shot")
    assert rung.variant == "k=7"
    assert [name for name, _ in rung.tried] == [f"k={k}" for k in range(1, 9)]
    by_name = {one.name: one for one in rung.sweep}
    assert by_name["k=7"].state == "chosen"
    assert by_name["k=7"].estimate.n == 160
    assert by_name["k=8"].state == "finished"
    dropped = [one for one in rung.sweep if one.state == "dropped"]
    assert len(dropped) >= 4
    assert all(one.estimate.n < 160 for one in dropped)
    assert all(one.against_chosen and one.against_chosen.high < 0 for one in dropped)
    everything = 8 * 160 + len(task.snapshot.test) + 20
    assert model.calls < 0.75 * everything


def test_two_variants_are_compared_on_all_of_dev_as_ever(tmp_path: Path) -> None:
    task = prepared(tmp_path, "rungs: [few_shot], few_shot: {k: [2, 4]}", rows=150, dev=24)
    model = knows_after(4)
    rung = climbed(tmp_path, task, model).climb.rung("few_shot")
    assert rung.variant == "k=4"
    assert {one.estimate.n for one in rung.sweep} == {24}
    assert {one.state for one in rung.sweep} == {"chosen", "finished"}
    assert model.calls == 2 * 24 + 40 + 20


def test_a_budget_of_answers_is_kept(tmp_path: Path) -> None:
    ladder = "rungs: [few_shot], halving: {answers: 200}, few_shot: {k: [1, 2, 3, 4, 5, 6, 7, 8]}"
    model = knows_after(7)
    climbed(tmp_path, prepared(tmp_path, ladder), model)
    assert model.calls <= 200 + 40 + 20


def test_a_result_of_before_is_still_read() -> None:
    old = '{"rung": "few_shot", "state": "measured", "verdict": "PASS", "tried": [["k=4", 0.5]]}'
    assert RungResult.from_json(old).sweep == ()


# The search for a prompt ----------------------------------------------------------------------


def likes(word: str) -> ScriptedModel:
    """A model that is right more often when the system turn holds a word, and when red comes last."""

    def say(messages: Sequence[Message]) -> str:
        if messages[0].role == "user":
            return f"Instruction: {word} and name the colour."
        number = int(messages[-1].content.split("case ")[1].rstrip(")"))
        answers = [turn.content for turn in messages if turn.role == "assistant"]
        share = 3 + 4 * (word in messages[0].content) + 2 * (answers[-1:] == ["red"])
        return truth(messages) if number * 7 % 10 < share else "purple"

    return ScriptedModel(say)


SEARCH = "rungs: [few_shot], few_shot: {k: [4], search: {calls: 1500, pool: 9}}"


def test_a_search_finds_a_better_prompt_and_measures_it_where_it_did_not_look(
    tmp_path: Path,
) -> None:
    task = prepared(tmp_path, SEARCH)
    model = likes("Look closely")
    outcome = climbed(tmp_path, task, model)
    rung = outcome.climb.rung("few_shot")
    gain = rung.prompt_gain
    assert gain is not None
    assert (gain.found, gain.start) == ("search k=4", "k=4")
    assert gain.seen + gain.held == 160
    assert gain.difference.n == gain.held
    assert gain.difference.low > 0.2
    assert gain.calls <= 1500 + 1
    assert any("proposals" in step for step in gain.steps)
    assert rung.variant == "search k=4"
    assert {one.estimate.n for one in rung.sweep} == {gain.held}
    models = Models(cache=Path("nowhere"), open_base=lambda _spec: model)
    with Store.open(tmp_path, clock=at_noon) as store:
        candidate = store.get(str(rung.candidate_digest), Candidate)
        asked = answerer_of(candidate, outcome, store=store, models=models).messages(
            task.snapshot.test.examples[0]
        )
    assert asked is not None
    assert asked[0].content.startswith("Look closely and name the colour.")
    assert asked[-2].content == "red"


def test_a_search_is_resumed_without_asking_again(tmp_path: Path) -> None:
    task = prepared(tmp_path, SEARCH)
    first = likes("Look closely")
    rung = climbed(tmp_path, task, first).climb.rung("few_shot")
    (tmp_path / ".freehold").rename(tmp_path / "done")
    stopped = _Stops(700)
    with pytest.raises(KeyboardInterrupt):
        climbed(tmp_path, task, stopped)
    second = likes("Look closely")
    again = climbed(tmp_path, task, second).climb.rung("few_shot")
    assert again.candidate_digest == rung.candidate_digest
    assert again.prompt_gain is not None
    assert rung.prompt_gain is not None
    assert again.prompt_gain.difference == rung.prompt_gain.difference
    assert second.calls <= first.calls - 690


class _Stops(ScriptedModel):
    """The model of the search, stopped after so many calls."""

    def __init__(self, after: int) -> None:
        inner = likes("Look closely")

        def say(messages: Sequence[Message]) -> str:
            if self.calls > after:
                raise KeyboardInterrupt
            return inner._answer(messages)

        super().__init__(say)


def test_where_nothing_is_better_the_prompt_stays_and_the_gain_says_zero(tmp_path: Path) -> None:
    task = prepared(tmp_path, SEARCH)
    rung = climbed(tmp_path, task, ScriptedModel(truth)).climb.rung("few_shot")
    assert rung.variant == "k=4"
    assert rung.prompt_gain is not None
    assert rung.prompt_gain.found == "k=4"
    assert rung.prompt_gain.difference.mean == 0


def test_a_search_needs_enough_dev_examples(tmp_path: Path) -> None:
    rung = climbed(tmp_path, prepared(tmp_path, SEARCH, rows=100, dev=10), likes("x")).climb
    assert rung.rung("few_shot").state == "failed"
    assert "needs 20" in (rung.rung("few_shot").reason or "")


def test_rewritings_are_in_the_words_of_the_task(tmp_path: Path) -> None:
    task = prepared(tmp_path, "rungs: [few_shot]").task
    texts = rewritings(task, list_labels=True)
    assert len(set(texts)) == len(texts) == 6
    assert "Say which." in texts
    assert (
        "Say which. Of three colours.\nThe possible answers are:\n- blue\n- green\n- red" in texts
    )


def test_a_proposal_that_is_no_instruction_or_repeats_a_row_is_left_out() -> None:
    inputs = {"the whole text of a row"}
    assert instruction_of('"Name the colour of it."', inputs) == "Name the colour of it."
    assert instruction_of("New instruction: Name the colour.", inputs) == "Name the colour."
    assert instruction_of("ok", inputs) is None
    assert instruction_of("Answer blue to the whole text of a row!", inputs) is None


def test_influence_finds_the_examples_that_help_whatever_the_questions_are_worth() -> None:
    worth = [0.3, 0.0, -0.2, 0.0, 0.1]
    sets = [(a, b) for a in range(5) for b in range(5) if a != b]
    scored = [
        (chosen, {f"q{q}": 0.2 * q + sum(worth[one] for one in chosen) for q in range(3)})
        for chosen in sets
    ]
    found = influence(scored, 5)
    assert sorted(range(5), key=lambda place: -found[place])[:2] == [0, 4]
    assert min(found) == found[2]
    assert influence([], 3) == [0.0, 0.0, 0.0]


def test_one_of_each_answer_comes_before_a_second_one(tmp_path: Path) -> None:
    pool = prepared(tmp_path, "rungs: [few_shot]").snapshot.train.examples[:30]
    reds = [place for place, one in enumerate(pool) if one.target == "red"]
    others = [place for place, one in enumerate(pool) if one.target != "red"]
    taken = one_of_each([*reds, *others], pool, 3)
    assert len({str(pool[place].target) for place in taken}) == 3


# Trained rungs --------------------------------------------------------------------------------


def test_every_combination_of_try_is_a_spec_of_its_own() -> None:
    spec = LoraSpec.from_json('{"try": {"learning_rate": [1e-4, 2e-4], "r": [4, 8]}, "epochs": 2}')
    tried = specs_tried(spec)
    assert [said for said, _ in tried] == [
        f" learning_rate={rate} r={r}" for rate in ("0.0001", "0.0002") for r in (4, 8)
    ]
    assert all(one.tried is None and one.epochs == 2 for _, one in tried)
    assert specs_tried(LoraSpec()) == (("", LoraSpec()),)
    assert plain_spec(LoraSpec()).digest == LoraSpec().digest


def test_a_shorter_training_has_fewer_epochs_or_less_effort() -> None:
    shorter = shorter_training("lora")

    def settings(text: str) -> Variant:
        return Variant("v", {"lora": LoraSpec.from_json(text).to_json()})

    half = shorter(settings('{"epochs": 4}'), 0.5)
    quick = shorter(settings("{}"), 0.5)
    assert half is not None
    assert quick is not None
    assert LoraSpec.from_json(json.dumps(half.spec["lora"])).epochs == 2
    assert LoraSpec.from_json(json.dumps(quick.spec["lora"])).effort == "quick"
    assert shorter(settings('{"effort": "quick"}'), 0.5) is None


def test_a_setting_that_a_rung_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="beta, which this rung does not have"):
        LoraSpec.from_json('{"try": {"beta": [0.1]}}')
    with pytest.raises(ValueError, match="keep one"):
        LoraSpec.from_json('{"try": {"r": [4]}, "search": {"r": [4]}}')


def test_a_search_over_settings_is_the_same_every_time_and_learns() -> None:
    pytest.importorskip("optuna")
    spec = LoraSpec.from_json('{"search": {"trials": 12, "learning_rate": [1e-5, 1e-2]}}').search
    assert spec is not None

    def score(settings: object) -> float:
        assert isinstance(settings, dict)
        return -abs(settings["learning_rate"] - 1e-3)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]

    first, again = searched(spec, score), searched(spec, score)
    assert first == again
    rates = [float(str(one["learning_rate"])) for one in first]
    assert all(1e-5 <= rate <= 1e-2 for rate in rates)
    assert min(abs(rate - 1e-3) for rate in rates) < 1e-3
    assert mean_of({"a": 1.0}) == 1.0


def test_without_optuna_the_rung_is_skipped_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    spec = LoraSpec.from_json('{"search": {"r": [4, 8]}}').search
    assert spec is not None
    with pytest.raises(SkippedError, match=r"pip install 'freehold\[search\]'"):
        searched(spec, lambda _settings: 0.0)
