import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from tests.web.served import SECONDS, TEXTS, a_desk, rows, sure, wait_until

from freehold.core.errors import ModelError
from freehold.core.snapshot import Example
from freehold.data.labelling import Suggester, Suggestion, item_key
from freehold.web.labelling.desk import LEARN_AFTER

ANSWERS = [label for _, label in TEXTS]


def test_suggestions_come_in_the_background_and_order_the_queue(tmp_path: Path) -> None:
    gate = threading.Event()
    inner = sure(ANSWERS)

    def suggest(
        waiting: Sequence[Example], labelled: Sequence[Example]
    ) -> Iterable[tuple[str, Suggestion]]:
        gate.wait(SECONDS)
        return inner.suggest(waiting, labelled)

    with a_desk(tmp_path, suggester=Suggester(name="slow", suggest=suggest)) as desk:
        assert desk.see().suggestions == {}
        assert desk.see().note == "slow is making suggestions"
        first = desk.queue("ann")[0]
        desk.decide("ann", first.key, act="skip")
        gate.set()
        wait_until(desk, lambda d: d.see().note == "")
        places = [item.example.row for item in desk.queue("ann")]
        assert places == sorted(places)
        assert len(desk.see().suggestions) == 5


def test_a_suggester_that_learns_is_asked_again_when_ten_more_are_answered(tmp_path: Path) -> None:
    asked: list[int] = []

    def suggest(
        waiting: Sequence[Example], labelled: Sequence[Example]
    ) -> Iterable[tuple[str, Suggestion]]:
        asked.append(len(labelled))
        return [
            (item_key(row), Suggestion(answer="tech", by=f"m{len(labelled)}", probability=0.5))
            for row in waiting
        ]

    learning = Suggester(name="m", suggest=suggest, learns=True)
    with a_desk(tmp_path, examples=rows(30), suggester=learning) as desk:
        wait_until(desk, lambda _: asked == [0])
        for item in desk.queue("ann")[: LEARN_AFTER - 1]:
            desk.decide("ann", item.key, act="edit", answer="tech")
        assert asked == [0]
        desk.decide("ann", desk.queue("ann")[0].key, act="edit", answer="tech")
        wait_until(desk, lambda _: asked == [0, LEARN_AFTER])
        last = desk.queue("ann")[-1].key
        wait_until(desk, lambda d: d.see().suggestions[last].by == f"m{LEARN_AFTER}")


@pytest.mark.parametrize("error", [ModelError("MDL-004", "weights are missing"), ValueError("x")])
def test_suggestions_that_fail_are_said_and_labelling_goes_on(
    tmp_path: Path, error: Exception
) -> None:
    def suggest(
        waiting: Sequence[Example], labelled: Sequence[Example]
    ) -> Iterable[tuple[str, Suggestion]]:
        raise error

    with a_desk(tmp_path, suggester=Suggester(name="m", suggest=suggest)) as desk:
        wait_until(desk, lambda d: d.see().note.startswith("no suggestions: "))
        item = desk.queue("ann")[0]
        desk.decide("ann", item.key, act="edit", answer="tech")
        assert desk.see().progress.done == 1


def test_what_was_suggested_and_by_whom_is_kept_with_the_decision(tmp_path: Path) -> None:
    with a_desk(tmp_path, suggester=sure(ANSWERS)) as desk:
        wait_until(desk, lambda d: d.see().note == "")
        item = desk.queue("ann")[0]
        kept = desk.decide("ann", item.key, act="edit", answer="tech")
        assert (kept.suggested, kept.suggested_by) == ("billing", "c1/lora")


def test_a_second_start_goes_on_where_the_first_one_stopped(tmp_path: Path) -> None:
    with a_desk(tmp_path) as desk:
        first, second = desk.queue("ann")[:2]
        desk.decide("ann", first.key, act="edit", answer="tech")
        desk.decide("ann", second.key, act="skip")
    with a_desk(tmp_path) as desk:
        assert desk.see().progress.done == 2
        undone = desk.undo("ann")
        assert undone is not None
        assert undone.item == second.key
        assert desk.undo("ben") is None
        assert len(desk.queue("ann")) == 4


def test_two_who_decide_at_once_lose_nothing_to_each_other(tmp_path: Path) -> None:
    examples = rows(40)
    with a_desk(tmp_path, examples=examples) as desk:

        def label(name: str) -> None:
            for item in desk.work.items:
                desk.decide(name, item.key, act="edit", answer="tech")

        people = [threading.Thread(target=label, args=(name,)) for name in ("ann", "ben", "cem")]
        for person in people:
            person.start()
        for person in people:
            person.join()
        assert desk.see().progress.agreed == 40
        assert len(desk.see().standing.history["cem"]) == 40
