"""The lora+retrieve rung: retrieve's prompts, lora's model, nothing trained twice."""

import json

import pytest
from tests.ladder.tasks import THINGS, at_noon
from tests.ladder.tiny_ladder import LORA, Place

from freehold.core.measure import Verdict
from freehold.ladder.climb import ClimbOutcome
from freehold.ladder.view import exact_prompts, report_view
from freehold.store.store import Store

RUNGS = "rungs: [retrieve, lora, lora+retrieve]"


@pytest.fixture(scope="module")
def outcome(place: Place) -> ClimbOutcome:
    return place.climb(place.task(f"{RUNGS}, retrieve: {{k: [2]}}, {LORA}"))


def test_the_adapter_is_lora_s_byte_for_byte(place: Place, outcome: ClimbOutcome) -> None:
    _, own = place.candidate(outcome, "lora+retrieve")
    _, lora = place.candidate(outcome, "lora")
    _, retrieve = place.candidate(outcome, "retrieve")
    assert own == {**lora, **retrieve}


def test_it_asks_what_retrieve_asks(place: Place, outcome: ClimbOutcome) -> None:
    with Store.open(place.root, clock=at_noon) as store:
        prompts = {
            prompt.rung: prompt.text
            for prompt in exact_prompts(outcome, store=store, models=place.models)
        }
    assert prompts["lora+retrieve"] == prompts["retrieve"]
    assert prompts["lora+retrieve"] != prompts["lora"]


def test_general_ability_is_lora_s(outcome: ClimbOutcome) -> None:
    kept = outcome.climb.rung("lora+retrieve").kept
    assert kept is not None
    assert kept == outcome.climb.rung("lora").kept


def test_its_cost_holds_lora_s_training_and_retrieve_s_embedding(outcome: ClimbOutcome) -> None:
    seconds = {rung.rung: rung.build_seconds or 0.0 for rung in outcome.climb.rungs}
    assert seconds["lora+retrieve"] > seconds["lora"] + 0.9 * seconds["retrieve"]
    assert seconds["lora+retrieve"] < 2 * (seconds["lora"] + seconds["retrieve"])


def test_the_record_of_the_training_is_shown_once(place: Place, outcome: ClimbOutcome) -> None:
    with Store.open(place.root, clock=at_noon) as store:
        curves = report_view(outcome, store=store, models=place.models).curves
    assert [curve.title for curve in curves] == ["lora: dev metric", "lora: loss"]


def test_by_itself_it_builds_lora(place: Place) -> None:
    ladder = f"rungs: [lora+retrieve], retrieve: {{k: [2]}}, {LORA.replace('r: 2', 'r: 3')}"
    outcome = place.climb(place.task(ladder))
    assert outcome.climb.rung("lora+retrieve").state == "measured"
    _, files = place.candidate(outcome, "lora+retrieve")
    assert json.loads(files["adapter_config.json"])["r"] == 3


def test_an_error_of_lora_is_its_own_error(place: Place) -> None:
    ladder = (
        f"rungs: [lora+retrieve], retrieve: {{k: [2]}}, {LORA.replace('r: 2', 'max_length: 2')}"
    )
    rung = place.climb(place.task(ladder)).climb.rung("lora+retrieve")
    assert rung.verdict is Verdict.ERROR
    assert "no training row is left" in (rung.reason or "")


def test_with_documents_it_carries_the_index_and_chooses_when_to_refuse(place: Place) -> None:
    place.write("docs.jsonl", [{"id": colour, "text": f"It is {colour}."} for colour in THINGS])
    ladder = (
        "rungs: [lora+retrieve], retrieve: {from: [documents], passages: [1], chunk: 100}, "
        f"{LORA}"
    )
    task = place.task(
        ladder, data=", documents: docs.jsonl", more="output: {unanswerable: nothing}\n"
    )
    rung = place.climb(task).climb.rung("lora+retrieve")
    assert rung.state == "measured", rung.reason
    candidate, files = place.candidate(place.climb(task), "lora+retrieve")
    assert {"index.db", "coverage.json", "adapter_config.json"} <= files.keys()
    assert "threshold" in candidate.spec
    assert rung.documents is not None
    assert rung.documents.k <= 1
