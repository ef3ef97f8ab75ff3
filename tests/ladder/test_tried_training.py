"""Settings of a trained rung that are tried, on a tiny random model."""

from pathlib import Path

from tests.ladder.tasks import at_noon
from tests.ladder.tiny_ladder import BARE, Place

from freehold.core.candidate import Candidate
from freehold.store.store import Store

START = f"effort: quick, epochs: 1, r: 2, {BARE}"


def specs(place: Place) -> list[dict[str, object]]:
    """The settings of every adapter that was trained, in order."""
    with Store.open(place.root, clock=at_noon) as store:
        found: list[dict[str, object]] = []
        for entry in store.ledger.entries("record"):
            kept = store.entry_of(entry.subject)
            if kept is not None and kept["kind"] == "Candidate":
                settings = store.get(entry.subject, Candidate).spec.get("lora")
                if isinstance(settings, dict):
                    found.append({**settings})
        return found


def test_four_settings_are_halved_over_epochs_and_another_rung_stands_on_the_best(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    tried = "try: {learning_rate: [1e-3, 2e-3, 4e-3, 8e-3]}"
    ladder = f"rungs: [lora, lora+retrieve], retrieve: {{k: [1]}}, lora: {{{START}, {tried}}}"
    ladder += ", halving: {seconds: 1000}"
    outcome = place.climb(place.task(ladder))
    rung = outcome.climb.rung("lora")
    assert rung.state == "measured", rung.reason
    assert len(rung.sweep) == 4
    assert [one.state for one in rung.sweep].count("dropped") == 2
    assert {one.share for one in rung.sweep} == {0.5, 1.0}
    trained = specs(place)
    assert sorted(float(str(one["epochs"])) for one in trained) == [0.5] * 4 + [1.0] * 2
    assert all("try" not in one for one in trained)
    best, _ = place.candidate(outcome, "lora")
    above, _ = place.candidate(outcome, "lora+retrieve")
    assert above.spec["training"] == best.spec["training"]


def test_a_search_over_settings_tries_them_beside_the_rungs_own(tmp_path: Path) -> None:
    place = Place(tmp_path)
    ladder = f"rungs: [lora], lora: {{{START}, search: {{trials: 2, learning_rate: [1e-3, 1e-2]}}}}"
    first = place.climb(place.task(ladder)).climb.rung("lora")
    assert first.state == "measured", first.reason
    assert len(first.sweep) == 3
    assert first.sweep[0].name == "r=2 quick"
    assert all("learning_rate=" in one.name for one in first.sweep[1:])
