"""A climb on a model behind an endpoint: a real server on loopback, a real store, and no weights anywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.ladder.tasks import at_noon, colour_rows, truth
from tests.models.chat_server import Body, Handler, Served, is_probe, serving

from freehold.core.measure import Climb, Verdict
from freehold.core.message import user
from freehold.core.taskfile import parse_task_file
from freehold.ladder.climb import ClimbOutcome, climb
from freehold.ladder.prepare import Prepared, prepare
from freehold.ladder.tools import Models
from freehold.models.endpoints import Endpoints
from freehold.models.remote import EndpointStoppedError
from freehold.store.store import Store

PRICES = (
    "prices: {dollars_per_million_input_tokens: 2.0, dollars_per_million_output_tokens: 10.0}\n"
)
RUNGS = "rungs: [zero_shot, few_shot, structured, retrieve], few_shot: {k: [2]}, structured: {k: [2]}, retrieve: {k: [2]}"
QUIET = "diagnose: {unstable: 0}\n"


def knows(body: Body) -> str:
    """The right colour, in the object that was asked for; a fixed text for the fixed prompts."""
    said = str(body["messages"][-1]["content"])
    if is_probe(body):
        return f"I read: {said[:20]}"
    colour = truth([user(said)])
    return json.dumps({"answer": colour}) if "response_format" in body else colour


def errs(body: Body) -> str:
    """Another model: it writes otherwise, and is always wrong."""
    return f"as another model, {len(str(body['messages'][-1]['content']))} letters"


@dataclass
class Place:
    """A project folder, and the server that its task names."""

    root: Path
    served: Served
    changes: dict[str, object] = field(default_factory=dict[str, object])

    def prepared(self, *, more: str = "", ladder: str = RUNGS) -> Prepared:
        data = self.root / "colours.jsonl"
        if not data.exists():
            data.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(120)))
        text = (
            "task: colours\ndata: {examples: colours.jsonl, split: {test: 20, dev: 10, audit: 8}}\n"
            f"bar: {{quality: 0.5}}\nladder: {{{ladder}}}\nmodels: {{base: {{endpoint: far}}}}\n"
            f"{PRICES}{QUIET}{more}"
        )
        return prepare(parse_task_file(text), root=self.root)

    def climb(self, **changes: str) -> ClimbOutcome:
        settings: dict[str, object] = {
            "retries": 0,
            "dollars_per_million_input_tokens": 2.0,
            "dollars_per_million_output_tokens": 10.0,
            **self.changes,
        }
        endpoints = Endpoints(
            {"far": self.served.spec(**settings)}, file=self.root / "endpoints.db"
        )
        models = Models(cache=Path("nowhere"), endpoints=endpoints)
        ticks = iter(range(10**9))
        with Store.open(self.root, clock=at_noon) as store:
            try:
                return climb(
                    self.prepared(**changes),
                    store=store,
                    models=models,
                    clock=lambda: next(ticks) / 100,
                )
            finally:
                models.close()


def states(found: Climb) -> list[str]:
    return [rung.state for rung in found.rungs]


def verdicts(found: Climb) -> list[Verdict]:
    return [rung.verdict for rung in found.rungs]


def said(found: Climb) -> str:
    return " ".join([*found.notes, *found.why])


def test_prompting_rungs_are_measured_and_priced_by_the_token_and_training_is_skipped(
    tmp_path: Path,
) -> None:
    ladder = RUNGS.replace("retrieve]", "retrieve, lora, full]")
    with serving(Served(knows)) as served:
        found = Place(tmp_path, served).climb(ladder=ladder).climb
        asked = len(served.asked)
    assert states(found) == ["measured"] * 4 + ["skipped"] * 2
    assert verdicts(found)[:4] == [Verdict.PASS] * 4
    for rung in found.rungs[4:]:
        assert "name a local model in models.base.id" in (rung.reason or "")
    cost = found.rungs[0].cost
    assert cost is not None
    # Ten tokens in and one out for each request of the server: 10 x $2 and 1 x $10 for a million.
    assert cost.tokens_dollars_per_request == pytest.approx(30e-6)
    assert cost.dollars_per_1k == pytest.approx(0.03, rel=0.01)
    assert f"endpoints: {asked} requests, " in said(found)
    assert found.audit is not None
    assert found.audit.agrees


def test_a_second_climb_asks_nothing_but_the_fixed_prompts(tmp_path: Path) -> None:
    with serving(Served(knows)) as served:
        place = Place(tmp_path, served)
        first = place.climb()
        paid = len(served.questions)
        assert place.climb() == first
        # A new bar judges anew; other data of the store deleted: the answers are still known.
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "endpoints.db").write_bytes(
            (tmp_path / "endpoints.db").read_bytes()
        )
        again = Place(tmp_path / "elsewhere", served).climb()
        assert len(served.questions) == paid
    assert verdicts(again.climb) == verdicts(first.climb)
    assert f"{paid} from the cache" in said(again.climb)


def test_a_budget_stops_the_climb_and_a_larger_one_goes_on_from_what_was_paid(
    tmp_path: Path,
) -> None:
    with serving(Served(knows)) as served:
        place = Place(tmp_path, served)
        small = place.climb(more="budget: {tokens: 900}\n").climb
        paid = len(served.questions)
        assert 11 * len(served.asked) <= 900
        assert small.rungs[-1].state == "skipped"
        assert "budget reached: budget.tokens is 900" in (small.rungs[-1].reason or "")
        again = place.climb(more="budget: {tokens: 900}\n").climb
        assert len(served.questions) == paid
        assert again == small
        # The ceiling counts what was spent under the former one, so that two commands do not spend both.
        more = place.climb(more="budget: {tokens: 1000}\n").climb
        assert 11 * len(served.asked) <= 1000
        assert more.rungs[-1].state == "skipped"
        large = place.climb(more="budget: {tokens: 90000}\n").climb
        asked = served.questions
        assert states(large) == ["measured"] * 4
        assert len(asked) == len({json.dumps(b) for b in served.asked if not is_probe(b)})


def test_a_budget_in_dollars_is_not_passed(tmp_path: Path) -> None:
    with serving(Served(knows)) as served:
        found = Place(tmp_path, served).climb(more="budget: {dollars: 0.003}\n").climb
        assert len(served.asked) * 30e-6 <= 0.003
    assert states(found) == ["measured"] + ["skipped"] * 3
    assert "budget reached: budget.dollars is 0.003, " in (found.rungs[-1].reason or "")
    # The rung that passes cannot be checked on the audit rows any more, and that is said.
    assert (found.recommended, found.audit) == ("zero_shot", None)
    assert any("not checked on the audit rows: budget reached" in line for line in found.why)


def changes_after(served: Served, count: int) -> None:
    """Let another model answer after so many questions."""

    def answer(body: Body) -> str:
        return (knows if len(served.questions) <= count else errs)(body)

    served.answer = answer


def test_another_model_in_the_middle_fails_its_rung_and_is_never_mixed(tmp_path: Path) -> None:
    with serving(Served(knows)) as served:
        place = Place(tmp_path, served)
        changes_after(served, 5)
        found = place.climb().climb
        assert states(found) == ["failed"] * 4
        assert verdicts(found) == [Verdict.ERROR] * 4
        assert "the model behind far changed while it was measured" in (found.rungs[0].reason or "")
        assert "changed while it was measured" in said(found)
        assert found.recommended is None
        # The same command measures everything with the model that is there now.
        second = place.climb().climb
        assert states(second) == ["measured"] * 4
        assert Verdict.PASS not in verdicts(second)
        served.answer = knows
        third = place.climb().climb
        assert verdicts(third) == [Verdict.PASS] * 4
        assert third.rungs[0].run_digest not in {
            found.rungs[0].run_digest,
            second.rungs[0].run_digest,
        }


def test_nothing_is_recommended_where_another_model_answers_the_audit(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    ladder = "rungs: [zero_shot]"
    with serving(Served(knows)) as served:
        whole = Place(first, served).climb(ladder=ladder).climb
        before_the_audit = len(served.questions) - 8
    assert whole.recommended == "zero_shot"
    with serving(Served()) as served:
        changes_after(served, before_the_audit + 2)
        place = Place(second, served)
        found = place.climb(ladder=ladder).climb
        assert (found.recommended, found.audit) == (None, None)
        assert any("nothing is recommended: the model behind far changed" in w for w in found.why)
        assert verdicts(place.climb(ladder=ladder).climb) == [Verdict.FAIL]


def test_nothing_is_recommended_where_a_later_rung_met_another_model(tmp_path: Path) -> None:
    with serving(Served()) as served:
        changes_after(served, 24)
        found = Place(tmp_path, served).climb(ladder=RUNGS + ", stop: full").climb
    assert states(found) == ["measured"] + ["failed"] * 3
    assert found.recommended is None
    assert any("nothing is recommended" in line for line in found.why)


def test_an_endpoint_that_goes_down_pauses_the_climb_and_no_example_is_scored(
    tmp_path: Path,
) -> None:
    with serving(Served(knows)) as served:
        place = Place(tmp_path, served, {"give_up_after": 3, "concurrency": 1})

        def down(handler: Handler, body: Body, number: int) -> bool:
            if len(served.questions) <= 12:
                return False
            handler.say_json(503, {"error": {"message": "overloaded"}})
            return True

        served.trouble = down
        with pytest.raises(EndpointStoppedError, match="END-005"):
            place.climb()
        served.trouble = lambda handler, body, number: False
        found = place.climb().climb
    assert verdicts(found) == [Verdict.PASS] * 4
    assert all(not rung.causes for rung in found.rungs)


def test_single_failures_are_failures_of_their_examples_and_never_score_zero(
    tmp_path: Path,
) -> None:
    hit: list[str] = []

    def once(handler: Handler, body: Body, number: int) -> bool:
        text = str(body["messages"][-1]["content"])
        if is_probe(body) or len(hit) >= 2 or text in hit:
            return False
        hit.append(text)
        handler.say(200, b'{"choices": [{"mess')
        return True

    with serving(Served(knows, once)) as served:
        found = Place(tmp_path, served, {"concurrency": 1}).climb(
            ladder="rungs: [zero_shot], stop: full"
        )
    rung = found.climb.rungs[0]
    assert rung.evaluated == 20
    assert rung.quality is not None
    assert rung.quality.mean == 1.0
    assert rung.quality.n == 18
    assert "2 answers lost on the way" in said(found.climb)
