"""A model behind an endpoint, against a real server on loopback that misbehaves in every way we know of."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.models.chat_server import Body, Handler, Served, completion, is_probe, serving

from freehold.core.errors import FreeholdError, ModelError
from freehold.core.message import Message, user
from freehold.core.outcome import Cause, Failed
from freehold.core.sections import BudgetSection
from freehold.models.door import Choice, FitsSchema, Generation, Model, OneOf, TokenLogprobs
from freehold.models.endpoint import EndpointModel
from freehold.models.endpoints import Endpoints
from freehold.models.remote import BudgetReachedError, EndpointStoppedError, Remote

QUESTION = (user("which colour?"),)
Trouble = Callable[[Handler, Body, int], bool]


@contextmanager
def opened(
    served: Served,
    *,
    file: Path | None = None,
    budget: BudgetSection | None = None,
    **changes: object,
) -> Generator[EndpointModel]:
    settings = {"retries": 0, "timeout_seconds": 20.0, **changes}
    endpoints = Endpoints({"far": served.spec(**settings)}, file=file, secret=lambda _: "s3cret")
    endpoints.spend_for("task", budget or BudgetSection())
    try:
        yield endpoints.open("far")
    finally:
        endpoints.close()


def questions(count: int) -> list[tuple[Message, ...]]:
    return [(user(f"question {number}"),) for number in range(count)]


def texts(results: Sequence[Generation | Failed]) -> list[str]:
    return [result.text if isinstance(result, Generation) else "failed" for result in results]


def test_it_answers_in_the_order_of_the_prompts_and_tells_of_each() -> None:
    def echo(body: Body) -> str:
        return str(body["messages"][-1]["content"]).upper()

    heard: dict[int, Generation | Failed] = {}
    with serving(Served(echo)) as served, opened(served, concurrency=3) as far:
        model: Model = far
        results = model.generate(questions(12), max_tokens=9, on_answer=heard.__setitem__)
        assert isinstance(model, Remote)
    assert texts(results) == [f"QUESTION {number}" for number in range(12)]
    assert heard == dict(enumerate(results))
    assert 1 <= served.most_at_once <= 3
    (first, *_) = results
    assert isinstance(first, Generation)
    assert (first.prompt_tokens, first.answer_tokens, first.truncated) == (10, 2, False)
    assert first.latency_seconds is not None
    assert all(body["temperature"] == 0 and "seed" in body for body in served.asked)


def test_equal_questions_are_paid_once_in_this_process_and_the_next(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.db"
    with serving(Served()) as served:
        for _ in range(2):
            with opened(served, file=file) as far:
                assert texts(far.generate([QUESTION, QUESTION], max_tokens=9)) == ["red", "red"]
        assert len(served.questions) == 1
        with opened(served, file=file) as far:
            far.generate([QUESTION], max_tokens=8)  # another request
        assert len(served.questions) == 2


def test_labels_and_schemas_are_asked_for_strictly_and_unwrapped() -> None:
    def obedient(body: Body) -> str:
        schema = body["response_format"]["json_schema"]["schema"]
        if "answer" not in schema["properties"]:
            return '{"queue": "tech"}'
        inner = schema["properties"]["answer"]
        return json.dumps({"answer": inner["enum"][1] if "enum" in inner else [1, 2]})

    def answer(body: Body) -> str:
        return obedient(body) if "response_format" in body else "free"

    listed = FitsSchema(json_schema={"type": "array"})
    object_ = FitsSchema(json_schema={"type": "object", "properties": {"queue": {}}})
    with serving(Served(answer)) as served, opened(served) as far:
        held = [
            texts(far.generate([QUESTION], max_tokens=9, constraint=constraint))[0]
            for constraint in (OneOf(labels=("red", "blue")), listed, object_)
        ]
        (choice,) = far.choose([QUESTION], ["red", "blue"])
    assert held == ["blue", "[1, 2]", '{"queue": "tech"}']
    assert isinstance(choice, Choice)
    assert (choice.label, choice.index, choice.logprobs) == ("blue", 1, ())
    forms = [body["response_format"] for body in served.asked if "response_format" in body]
    assert all(form["json_schema"]["strict"] is True for form in forms)


def test_what_a_server_refuses_is_left_out_and_said_once() -> None:
    def refuse(handler: Handler, body: Body, number: int) -> bool:
        for name in ("seed", "max_tokens", "response_format"):
            if name in body:
                handler.say_json(400, {"error": {"message": f"Unsupported parameter: '{name}'"}})
                return True
        return False

    with serving(Served(lambda body: "Red.", refuse)) as served:
        endpoints = Endpoints({"far": served.spec(retries=0)})
        far = endpoints.open("far")
        choices = far.choose(questions(4), ["red", "blue"])
        notes = endpoints.notes()
        endpoints.close()
    assert [choice.label for choice in choices if isinstance(choice, Choice)] == ["red"] * 4
    assert len(notes) == 3
    assert any("response_format" in note for note in notes)


def test_without_response_format_the_likeliest_first_token_may_choose() -> None:
    top = [{"token": "The", "logprob": -0.1}, {"token": " bl", "logprob": -1.0}]
    told = {"content": [{"token": "The", "logprob": -0.1, "top_logprobs": top}]}

    def refuse(handler: Handler, body: Body, number: int) -> bool:
        if "response_format" in body:
            handler.say_json(422, {"detail": "Unexpected fields: {'response_format'}"})
            return True
        if body.get("logprobs"):
            answer = completion("The sky")
            answer["choices"][0]["logprobs"] = told
            handler.say_json(200, answer)
            return True
        return False

    with serving(Served(lambda body: "nonsense", refuse)) as served, opened(served) as far:
        (off,) = far.choose([QUESTION], ["red", "blue"])
        (choice,) = far.choose([(user("again"),)], ["red", "blue"])
        (known,) = far.answer_logprobs([QUESTION], ["The sky"])
        (unknown,) = far.answer_logprobs([QUESTION], ["another"])
    assert isinstance(off, Failed)
    assert off.cause is Cause.FORMAT
    assert isinstance(choice, Choice)
    assert choice.label == "blue"
    assert isinstance(known, TokenLogprobs)
    assert known.logprobs == (-0.1,)
    assert isinstance(unknown, Failed)


def test_a_server_that_ignores_response_format_is_said() -> None:
    with serving(Served()) as served:
        endpoints = Endpoints({"far": served.spec(retries=0)})
        far = endpoints.open("far")
        labels = OneOf(labels=("red", "blue"))
        (written,) = far.generate([QUESTION], max_tokens=9, constraint=labels)
        (choice,) = far.choose([QUESTION], labels.labels)
        notes = endpoints.notes()
        endpoints.close()
    assert texts([written]) == ["red"]
    assert isinstance(choice, Choice)
    assert len(notes) == 1
    assert "ignores response_format" in notes[0]


def test_a_list_of_models_that_breaks_stops_only_who_needs_it() -> None:
    with serving(Served(models=None)) as served:
        with opened(served) as far:
            assert texts(far.generate([QUESTION], max_tokens=9)) == ["red"]
        with opened(served, model=None) as far, pytest.raises(ModelError, match="END-001"):
            far.generate([QUESTION], max_tokens=9)


def status(code: int, **headers: str) -> Trouble:
    def trouble(handler: Handler, body: Body, number: int) -> bool:
        handler.say_json(code, {"error": {"message": "overloaded"}}, **headers)
        return True

    return trouble


def content(body: bytes) -> Trouble:
    def trouble(handler: Handler, _: Body, number: int) -> bool:
        handler.say(200, body)
        return True

    return trouble


def dropped(start: bytes) -> Trouble:
    def trouble(handler: Handler, _: Body, number: int) -> bool:
        handler.drop(start)
        return True

    return trouble


def slow(handler: Handler, body: Body, number: int) -> bool:
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    try:
        for _ in range(40):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        pass
    handler.close_connection = True
    return True


def huge(handler: Handler, body: Body, number: int) -> bool:
    handler.send_response(200)
    handler.send_header("content-length", str(10**9))
    handler.end_headers()
    try:
        for _ in range(400):
            handler.wfile.write(b" " * 65536)
    except OSError:
        pass
    handler.close_connection = True
    return True


EMPTY = json.dumps({"choices": [], "usage": {}}).encode()
NULL = json.dumps(completion(None)).encode()


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (status(500), "status 500: overloaded"),
        (status(503), "status 503"),
        (status(429, retry_after="1000"), "asks to wait 1000 s"),
        (content(b"<html><title>Welcome</title></html>"), "an HTML page (Welcome)"),
        (content(b'{"choices": [{"mess'), "a JSON that is cut short"),
        (content(b""), "nothing"),
        (content(EMPTY), "without a choice"),
        (content(NULL), "no content"),
        (content(b"[1]"), "not an object"),
        (dropped(b""), "connection was lost"),
        (dropped(b'{"choices": ['), "connection was lost"),
        (slow, "no whole answer within"),
        (huge, "more than 16 MiB"),
        (status(400), "status 400"),
        (status(413), "status 413"),
    ],
)
def test_every_trouble_is_a_failure_with_its_reason_and_the_others_are_answered(
    trouble: Trouble, said: str
) -> None:
    def only_one(handler: Handler, body: Body, number: int) -> bool:
        is_it = body["messages"][-1]["content"] == "question 1"
        return is_it and trouble(handler, body, number)

    limit = 2.0 if trouble is slow else 20.0
    with serving(Served(trouble=only_one)) as served, opened(served, timeout_seconds=limit) as far:
        first, second, third = far.generate(questions(3), max_tokens=9)
    assert texts([first, third]) == ["red", "red"]
    assert isinstance(second, Failed)
    assert second.cause is Cause.ENGINE
    assert said in second.message


def test_what_passes_is_asked_again_and_what_does_not_is_not() -> None:
    tries: dict[str, int] = {}

    def twice(handler: Handler, body: Body, number: int) -> bool:
        if is_probe(body):
            return False
        text = str(body["messages"][-1]["content"])
        tries[text] = tries.get(text, 0) + 1
        if text == "question 0":
            return status(400)(handler, body, number)
        return tries[text] < 3 and (status(503), dropped(b"{"))[tries[text] - 1](
            handler, body, number
        )

    with serving(Served(trouble=twice)) as served, opened(served, retries=3) as far:
        refused, answered = far.generate(questions(2), max_tokens=9)
        assert far.retries == 2
    assert isinstance(refused, Failed)
    assert isinstance(answered, Generation)
    assert tries == {"question 0": 1, "question 1": 3}


def test_a_prompt_that_the_server_finds_too_long_says_so() -> None:
    def long(handler: Handler, body: Body, number: int) -> bool:
        if is_probe(body):
            return False
        handler.say_json(400, {"error": {"message": "This model's maximum context length is 10"}})
        return True

    with serving(Served(trouble=long)) as served, opened(served) as far:
        (result,) = far.generate([QUESTION], max_tokens=9, constraint=OneOf(labels=("red",)))
    assert isinstance(result, Failed)
    assert result.cause is Cause.TOO_LONG


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        (status(401), "END-002", "refuses access"),
        (status(404), "END-003", "does not serve"),
        (status(302, location="http://127.0.0.1:1/elsewhere"), "END-004", "redirects to"),
        (status(500), "END-001", "cannot be used"),
        (content(b"<html></html>"), "END-001", "an HTML page"),
    ],
)
def test_an_endpoint_that_cannot_be_used_at_all_is_an_error_before_anything_is_measured(
    trouble: Trouble, code: str, said: str
) -> None:
    with (
        serving(Served(trouble=trouble, models=("big", "small"))) as served,
        opened(served) as far,
        pytest.raises(ModelError) as caught,
    ):
        far.generate([QUESTION], max_tokens=9)
    problem = caught.value.problems[0]
    assert problem.code == code
    assert said in problem.message
    if code == "END-003":
        assert "big, small" in problem.help


def test_nothing_at_the_url_is_said_at_once() -> None:
    with serving(Served()) as served:
        pass
    with opened(served) as far, pytest.raises(ModelError) as caught:
        far.digest  # noqa: B018 - asking for it opens the endpoint
    assert caught.value.problems[0].code == "END-001"


def test_one_listed_model_needs_no_name_and_several_do() -> None:
    with serving(Served(models=("only",))) as served, opened(served, model=None) as far:
        assert texts(far.generate([QUESTION], max_tokens=9)) == ["red"]
        assert served.asked[-1]["model"] == "only"
    with (
        serving(Served(models=("a", "b"))) as served,
        opened(served, model=None) as far,
        pytest.raises(ModelError, match="END-003"),
    ):
        far.generate([QUESTION], max_tokens=9)


def test_many_failures_in_a_row_pause_and_are_told_of_nobody(tmp_path: Path) -> None:
    def down(handler: Handler, body: Body, number: int) -> bool:
        is_down = not is_probe(body) and number > 12
        return is_down and status(500)(handler, body, number)

    heard: dict[int, Generation | Failed] = {}
    file = tmp_path / "endpoints.db"
    with serving(Served(trouble=down)) as served:
        with (
            opened(served, file=file, concurrency=1, give_up_after=3) as far,
            pytest.raises(EndpointStoppedError) as caught,
        ):
            far.generate(questions(100), max_tokens=9, on_answer=heard.__setitem__)
        assert caught.value.problems[0].code == "END-005"
        assert heard
        assert all(isinstance(result, Generation) for result in heard.values())
        assert len(served.asked) < 25
        served.trouble = lambda handler, body, number: False
        before = len(served.questions)
        with opened(served, file=file) as far:
            assert texts(far.generate(questions(100), max_tokens=9)) == ["red"] * 100
        assert len(served.questions) == before + 100 - len(heard)


def test_a_budget_stops_before_it_is_passed_and_keeps_what_was_answered(tmp_path: Path) -> None:
    heard: dict[int, Generation | Failed] = {}
    budget = BudgetSection(tokens=900)
    file = tmp_path / "endpoints.db"
    with serving(Served()) as served:
        with opened(served, file=file, budget=budget) as far, pytest.raises(BudgetReachedError):
            far.generate(questions(100), max_tokens=9, on_answer=heard.__setitem__)
        assert 30 < len(heard) < 90
        paid = 11 * len(heard) + 11 * 8
        assert paid <= 900 < paid + 200
        # Typed again, the same budget is spent; a larger one goes on.
        with opened(served, file=file, budget=budget) as far, pytest.raises(BudgetReachedError):
            far.generate(questions(100), max_tokens=9)
        asked = len(served.questions)
        with opened(served, file=file, budget=BudgetSection(tokens=9000)) as far:
            assert texts(far.generate(questions(100), max_tokens=9)) == ["red"] * 100
        assert len(served.questions) - asked == 100 - len(heard)


def test_another_model_behind_the_same_name_is_noticed_and_never_mixed(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.db"
    with serving(Served()) as served:
        with opened(served, file=file) as far:
            first = far.digest
            far.generate([QUESTION], max_tokens=9)
            far.verify()
            served.answer = lambda body: "blue"
            with pytest.raises(ModelError, match="END-006"):
                far.verify()
            with pytest.raises(ModelError, match="END-006"):
                far.generate([QUESTION], max_tokens=9)
        with opened(served, file=file) as far:
            second = far.digest
            assert texts(far.generate([QUESTION], max_tokens=9)) == ["blue"]
        served.answer = lambda body: "red"
        with opened(served, file=file) as far:
            third = far.digest
    assert len({first, second, third}) == 3


def test_a_new_set_up_of_the_same_model_keeps_its_name_and_is_said(tmp_path: Path) -> None:
    with serving(Served(system_fingerprint="fp_1")) as served:
        endpoints = Endpoints({"far": served.spec(retries=0)}, file=tmp_path / "endpoints.db")
        far = endpoints.open("far")
        first = far.digest
        served.system_fingerprint = "fp_2"
        far.generate(
            [QUESTION], max_tokens=9
        )  # the response shows it, and the probes are asked again
        assert far.digest == first
        assert any("fp_2" in note for note in endpoints.notes())
        endpoints.close()


def test_the_key_is_sent_and_never_shown() -> None:
    def leaks(handler: Handler, body: Body, number: int) -> bool:
        key = handler.headers.get("authorization")
        handler.say_json(401, {"error": {"message": f"wrong key {key}"}})
        return True

    with (
        serving(Served(trouble=leaks)) as served,
        opened(served, key="env:FAR_KEY") as far,
        pytest.raises(FreeholdError) as caught,
    ):
        far.generate([QUESTION], max_tokens=9)
    assert served.keys[0] == "Bearer s3cret"
    assert "s3cret" not in str(caught.value.problems)


def test_a_missing_key_and_a_missing_price_are_said_before_anything_is_sent() -> None:
    served = Served(url="http://127.0.0.1:1/v1")
    endpoints = Endpoints({"far": served.spec(key="env:FAR_KEY"), "dear": served.spec()})
    with pytest.raises(FreeholdError, match="CFG-017"):
        endpoints.open("far")
    with pytest.raises(FreeholdError, match="CFG-016"):
        endpoints.open("near")
    endpoints.spend_for("task", BudgetSection(dollars=5.0))
    with pytest.raises(FreeholdError, match="END-008"):
        endpoints.open("dear")
    endpoints.close()
