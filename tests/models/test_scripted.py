"""The shipped test double keeps the promises of the door."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from freehold.core.message import Message, system, user
from freehold.core.outcome import Cause, Failed
from freehold.models.door import (
    Choice,
    Constraint,
    FitsSchema,
    Generation,
    Model,
    OneOf,
    TokenLogprobs,
)
from freehold.models.scripted import ScriptedModel

SCRIPT = {"where is my card?": "lost card", "hello": "one two three four"}


def ask(text: str) -> tuple[Message, ...]:
    return (system("Be brief."), user(text))


def test_it_is_a_model() -> None:
    model: Model = ScriptedModel(SCRIPT)
    assert model.context_tokens == 100_000


def test_it_answers_from_a_mapping_or_a_function() -> None:
    prompts = [ask("hello"), ask("where is my card?")]
    heard: dict[int, Generation | Failed] = {}
    mapped = ScriptedModel(SCRIPT).generate(prompts, max_tokens=9, on_answer=heard.__setitem__)
    assert [a.text for a in mapped if isinstance(a, Generation)] == list(SCRIPT.values())[::-1]
    assert heard == dict(enumerate(mapped))

    def shout(messages: Sequence[Message]) -> str:
        return messages[-1].content.upper()

    (loud,) = ScriptedModel(shout).generate([ask("hello")], max_tokens=9)
    assert isinstance(loud, Generation)
    assert loud.text == "HELLO"


def test_long_answers_are_cut_and_say_so() -> None:
    (cut,) = ScriptedModel(SCRIPT).generate([ask("hello")], max_tokens=2)
    assert isinstance(cut, Generation)
    assert (cut.text, cut.truncated, cut.answer_tokens) == ("one two", True, 2)


def test_a_question_outside_the_script_is_an_error_or_the_default() -> None:
    with pytest.raises(KeyError, match="what"):
        ScriptedModel(SCRIPT).generate([ask("what")], max_tokens=2)
    (answer,) = ScriptedModel(SCRIPT, default="no").generate([ask("what")], max_tokens=2)
    assert isinstance(answer, Generation)
    assert answer.text == "no"


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        (OneOf(labels=("refund", "lost card")), "lost card"),
        (OneOf(labels=("refund", "top up")), "refund"),
        (FitsSchema(json_schema={"type": "string"}), "lost card"),
    ],
)
def test_a_label_constraint_is_kept(constraint: Constraint, text: str) -> None:
    model = ScriptedModel(SCRIPT)
    (answer,) = model.generate([ask("where is my card?")], max_tokens=5, constraint=constraint)
    assert isinstance(answer, Generation)
    assert answer.text == text


def test_it_chooses_the_scripted_answer_or_as_it_is_told() -> None:
    prompt = ask("where is my card?")
    (choice,) = ScriptedModel(SCRIPT).choose([prompt], ["refund", "lost card"])
    assert isinstance(choice, Choice)
    assert (choice.index, choice.label, choice.logprobs[1]) == (1, "lost card", 0.0)
    (told,) = ScriptedModel(SCRIPT, choices=lambda _, options: [-2.0, -1.0, -1.0]).choose(
        [prompt], ["a", "b", "c"]
    )
    assert isinstance(told, Choice)
    assert told.label == "b"


def test_answers_have_log_probabilities() -> None:
    prompt = ask("where is my card?")
    right, wrong = ScriptedModel(SCRIPT).answer_logprobs([prompt, prompt], ["lost card", "refund"])
    assert isinstance(right, TokenLogprobs)
    assert isinstance(wrong, TokenLogprobs)
    assert right.tokens == ("lost", "card", "<end>")
    assert sum(right.logprobs) == 0.0
    assert sum(wrong.logprobs) < -10


def test_a_prompt_that_is_too_long_fails() -> None:
    model = ScriptedModel(SCRIPT, context_tokens=6)
    results = (
        *model.generate([ask("hello")], max_tokens=4),
        *model.choose([ask("hello")], ["one two three"]),
        *model.answer_logprobs([ask("hello")], ["one two three"]),
    )
    for result in results:
        assert isinstance(result, Failed)
        assert result.cause is Cause.TOO_LONG
        assert "6" in result.message


def test_its_name_depends_on_the_script() -> None:
    digests = {
        ScriptedModel(SCRIPT).digest,
        ScriptedModel({"a": "b"}).digest,
        ScriptedModel(SCRIPT, name="other").digest,
    }
    assert len(digests) == 3
    assert ScriptedModel(SCRIPT).digest == ScriptedModel(dict(SCRIPT)).digest
