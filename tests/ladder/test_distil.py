# pyright: standard
"""The distil rung: who teaches, what the student learns, and whose ability is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.ladder.tasks import at_noon
from tests.ladder.tiny_ladder import BARE, Place, missing
from tests.models.tiny import save_model
from tests.train.conftest import tiny_network, tiny_tokenizer

from freehold.core.measure import Verdict
from freehold.core.sections import BaseModelSpec
from freehold.ladder.climb import ClimbOutcome
from freehold.store.store import Store

DISTIL = f"effort: quick, epochs: 1, {BARE}"


@pytest.fixture(scope="module")
def student(place: Place) -> Path:
    return save_model(place.root / "small", seed=4)


@pytest.fixture(scope="module")
def taught(place: Place, student: Path) -> ClimbOutcome:
    ladder = "rungs: [baseline, zero_shot, distil], baseline: {try: [tfidf]}"
    return place.climb(place.task(f"{ladder}, distil: {{student: {student}, {DISTIL}}}"))


def test_the_best_measured_rung_teaches_with_its_right_answers(
    place: Place, taught: ClimbOutcome
) -> None:
    rung = taught.climb.rung("distil")
    assert (rung.state, rung.variant) == ("measured", "from baseline")
    candidate, files = place.candidate(taught, "distil")
    assert 0 < int(str(candidate.spec["taught"])) <= int(str(candidate.spec["asked"]))
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files.keys()
    assert "adapter_config.json" not in files


def test_the_reference_of_kept_ability_is_the_untrained_student(
    place: Place, student: Path, taught: ClimbOutcome
) -> None:
    untrained = place.models.base(BaseModelSpec(id=str(student)))
    candidate, _ = place.candidate(taught, "distil")
    assert candidate.base_digest == untrained.digest
    assert candidate.base_digest != place.models.base(BaseModelSpec(id=f"{place.root}/base")).digest
    assert taught.climb.rung("distil").kept is not None


def test_the_teacher_s_building_is_part_of_the_cost(taught: ClimbOutcome) -> None:
    seconds = {rung.rung: rung.build_seconds or 0.0 for rung in taught.climb.rungs}
    assert seconds["distil"] > seconds["baseline"]


def test_without_a_student_it_says_which_line_enables_it(place: Place, root: Path) -> None:
    assert missing(place.task("rungs: [distil]"), root, "distil") == (
        "missing input: no student; set ladder.distil.student to a smaller model"
    )


def test_with_nothing_measured_it_needs_a_named_teacher(place: Place, student: Path) -> None:
    task = place.task(f"rungs: [distil], distil: {{student: {student}, {DISTIL}}}")
    rung = place.climb(task).climb.rung("distil")
    assert rung.verdict is Verdict.SKIPPED
    assert (rung.reason or "").endswith("set ladder.distil.teacher")


def test_a_teacher_that_is_never_right_teaches_nothing(place: Place, student: Path) -> None:
    ladder = f"rungs: [zero_shot, distil], distil: {{student: {student}, {DISTIL}}}"
    never = "metric: {primary: regex, pattern: '(?!)'}\n"
    rung = place.climb(place.task(ladder, more=never)).climb.rung("distil")
    assert rung.verdict is Verdict.SKIPPED
    assert "answers none of the" in (rung.reason or "")


def test_a_teacher_with_another_tokenizer_is_refused_before_it_is_asked(
    place: Place, student: Path
) -> None:
    other = place.root / "other"
    tiny_network("llama").save_pretrained(other)
    tiny_tokenizer().save_pretrained(other)
    ladder = f"rungs: [distil], distil: {{student: {student}, teacher: {other}, divergence: jsd}}"
    rung = place.climb(place.task(ladder)).climb.rung("distil")
    assert rung.verdict is Verdict.ERROR
    assert "has another tokenizer than the student" in (rung.reason or "")
    with Store.open(place.root, clock=at_noon) as store:
        assert not list((store.folder / "training").glob("*/checkpoint*"))


@pytest.mark.parametrize("setting", ["divergence: reverse_kl", "on_policy: 0.5"])
def test_a_teacher_of_the_student_s_tokens_scores_every_one(
    place: Place, student: Path, setting: str
) -> None:
    ladder = (
        f"rungs: [distil], distil: {{student: {student}, teacher: {place.root}/base,"
        f" {setting}, {DISTIL}}}"
    )
    rung = place.climb(place.task(ladder)).climb.rung("distil")
    assert rung.state == "measured", rung.reason


def test_teacher_and_student_in_the_same_memory_are_refused(place: Place, student: Path) -> None:
    ladder = f"rungs: [distil], distil: {{student: {student}, teacher: {student}, divergence: jsd}}"
    rung = place.climb(place.task(ladder)).climb.rung("distil")
    assert rung.verdict is Verdict.ERROR
    assert "same weights" in (rung.reason or "")


def test_a_rung_that_knows_by_its_prompt_cannot_be_imitated_token_by_token(
    place: Place, student: Path
) -> None:
    ladder = f"rungs: [zero_shot, distil], distil: {{student: {student}, divergence: jsd}}"
    rung = place.climb(place.task(ladder)).climb.rung("distil")
    assert rung.verdict is Verdict.ERROR
    assert "weights are not in this process" in (rung.reason or "")
