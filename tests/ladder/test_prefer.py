# pyright: standard
"""The prefer rung: its pairs, what stops it before anything is spent, and the joined adapter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load
from tests.ladder.tiny_ladder import BARE, LORA, Place, missing

from freehold.core.errors import DataError
from freehold.core.measure import Verdict
from freehold.ladder.climb import ClimbOutcome
from freehold.ladder.tuning import local_model

PREFER = f"effort: quick, epochs: 1, r: 2, {BARE}"
PAIR = {"prompt": "what is snow?", "chosen": "blue", "rejected": "red"}


@pytest.fixture(scope="module")
def mined(place: Place) -> ClimbOutcome:
    return place.climb(place.task(f"rungs: [lora, prefer], {LORA}, prefer: {{{PREFER}, pairs: 5}}"))


def test_the_candidate_is_the_sum_of_lora_and_what_preferences_taught(
    place: Place, mined: ClimbOutcome
) -> None:
    assert mined.climb.rung("prefer").state == "measured"
    _, lora_files = place.candidate(mined, "lora")
    candidate, files = place.candidate(mined, "prefer")
    lora, both = (load(one["adapter_model.safetensors"]) for one in (lora_files, files))
    name = next(name for name in both if name.endswith("lora_A.weight"))
    up = name.replace("lora_A", "lora_B")
    assert len(both[name]) == 4
    assert torch.equal(both[name][:2], lora[name])
    assert torch.equal(both[up][:, :2], lora[up] * 2)  # alpha / r of lora's, folded in
    assert both[name][2:].abs().sum() > 0
    assert candidate.base_digest == place.candidate(mined, "lora")[0].base_digest


def test_the_base_is_untouched_and_kept_is_compared_with_it(
    place: Place, mined: ClimbOutcome
) -> None:
    kept = mined.climb.rung("prefer").kept
    before = mined.climb.rung("lora").kept
    assert kept is not None
    assert before is not None
    assert [family.before for family in kept.families] == [f.before for f in before.families]


@pytest.mark.usefixtures("narrow_weights")
def test_a_base_in_bfloat16_learns_preferences_on_top_of_lora_too(tmp_path: Path) -> None:
    place = Place(tmp_path)
    task = place.task(f"rungs: [lora, prefer], {LORA}, prefer: {{{PREFER}, pairs: 5}}")
    rung = place.climb(task).climb.rung("prefer")
    assert rung.state == "measured", rung.reason
    base = local_model(place.models.base(task.task.base))
    assert base.loaded.network.module.dtype == torch.bfloat16


def test_too_few_errors_skip_the_rung_with_their_number(place: Place) -> None:
    place.write(
        "free.jsonl", [{"text": f"row {n}", "answer": f"It is {n * n}."} for n in range(40)]
    )
    anything = "metric: {primary: regex, pattern: '(?s).+'}\n"
    free = place.task("rungs: [prefer]", examples="free.jsonl", more=anything)
    rows = len(free.snapshot.train)
    task = place.task(
        f"rungs: [prefer], {LORA}, prefer: {{{PREFER}, pairs: {rows}}}",
        examples="free.jsonl",
        more=anything,
    )
    rung = place.climb(task).climb.rung("prefer")
    assert rung.verdict is Verdict.SKIPPED
    found = re.fullmatch(
        rf"lora's errors on train gave (\d+) pairs, {rows} needed; add data.preferences",
        rung.reason or "",
    )
    assert found is not None
    assert int(found[1]) < rows


def test_a_training_split_that_could_never_give_enough_pairs_skips_at_once(
    place: Place, root: Path
) -> None:
    task = place.task(f"rungs: [prefer], {LORA}")
    rows = len(task.snapshot.train)
    assert missing(task, root, "prefer") == (
        f"missing input: {rows} training rows, 200 pairs needed; add data.preferences"
    )


def test_judged_answers_need_kto(place: Place, root: Path) -> None:
    judged = [{"prompt": "q", "completion": "a", "label": n % 2 == 0} for n in range(4)]
    place.write("judged.jsonl", judged)
    data = ", preferences: judged.jsonl"
    dpo = place.task(f"rungs: [prefer], {LORA}, prefer: {{method: dpo}}", data=data)
    assert "set ladder.prefer.method: kto" in (missing(dpo, root, "prefer") or "")
    kto = place.task(f"rungs: [prefer], {LORA}, prefer: {{method: kto}}", data=data)
    assert missing(kto, root, "prefer") is None


def test_answers_that_are_all_good_teach_kto_nothing(place: Place, root: Path) -> None:
    place.write("good.jsonl", [{"prompt": "q", "completion": "a", "label": True}] * 3)
    task = place.task(
        f"rungs: [prefer], {LORA}, prefer: {{method: kto}}", data=", preferences: good.jsonl"
    )
    assert missing(task, root, "prefer") == (
        "missing input: all 3 judged answers are good; add bad ones to data.preferences"
    )


@pytest.mark.parametrize("setting", ["lora: {kind: dora}", "prefer: {kind: ia3, pairs: 5}"])
def test_kinds_that_cannot_be_joined_are_refused_before_anything_is_trained(
    place: Place, root: Path, setting: str
) -> None:
    reason = missing(place.task(f"rungs: [prefer], {setting}"), root, "prefer") or ""
    assert "cannot be joined with another; set ladder." in reason


def test_files_whose_answers_are_all_the_same_stop_before_the_climb(place: Place) -> None:
    place.write("same.jsonl", [{**PAIR, "rejected": "blue"}] * 2)
    with pytest.raises(DataError, match="none of the 2 rows"):
        place.task("rungs: [prefer]", data=", preferences: same.jsonl")


def test_rows_without_a_judgement_are_told_of_before_the_climb(place: Place) -> None:
    place.write("some.jsonl", [PAIR, {"prompt": "q", "completion": "a"}])
    task = place.task("rungs: [prefer]", data=", preferences: some.jsonl")
    (problem,) = [one for one in task.problems if one.code == "DAT-028"]
    assert problem.cause == ("1 × no label that says whether the answer is good (row 2)",)
    assert problem.message in task.notes


def test_pairs_near_held_out_rows_are_not_learnt_from(place: Place) -> None:
    test_rows = place.task("rungs: [prefer]").snapshot.test.examples[:3]
    place.write("near.jsonl", [{**PAIR, "prompt": one.input} for one in test_rows])
    task = place.task(
        f"rungs: [prefer], {LORA}, prefer: {{{PREFER}}}", data=", preferences: near.jsonl"
    )
    rung = place.climb(task).climb.rung("prefer")
    assert rung.verdict is Verdict.SKIPPED
    assert rung.reason == (
        "all 3 rows of data.preferences resemble held-out rows; add preferences for other inputs"
    )


@pytest.mark.parametrize("method", ["orpo", "simpo", "kto"])
def test_given_pairs_are_learnt_from_by_every_method(place: Place, method: str) -> None:
    pairs = [{**PAIR, "prompt": f"{number}: what is snow?"} for number in range(6)]
    place.write("given.jsonl", pairs)
    task = place.task(
        f"rungs: [prefer], {LORA}, prefer: {{{PREFER}, method: {method}}}",
        data=", preferences: given.jsonl",
    )
    outcome = place.climb(task)
    rung = outcome.climb.rung("prefer")
    assert (rung.state, rung.variant) == ("measured", f"{method} quick")
