# pyright: standard
"""Local models against transformers itself, for every proven architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
from tests.models import tiny

from freehold.core.message import Message, system, user
from freehold.core.outcome import Cause, Failed
from freehold.core.sections import BaseModelSpec
from freehold.models.door import Choice, Generation, TokenLogprobs
from freehold.models.local import LocalModel, open_local

SHARED = system("Read the question of a customer and answer with the label that fits it best.")
QUESTIONS = (
    "Why was my card payment declined?",
    "I lost it",
    "Top up failed",
    "Where is the refund for the cash withdrawal that I made on my last journey? " * 2,
    "What is the exchange rate today, and is there a fee for a transfer?",
)
PROMPTS = tuple((SHARED, user(question)) for question in QUESTIONS)
UNRELATED = ((user("card"),), (system("Be brief."), user("refund " * 20)))
OPTIONS = ("lost card", "lost", "top up failed", "refund not showing up", "lost card", "x")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: tiny.save_model(root / name, name) for name in tiny.ARCHITECTURES}


@pytest.fixture(scope="module", params=tiny.ARCHITECTURES)
def model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Iterator[LocalModel]:
    opened = open_local(BaseModelSpec(id=str(folders[request.param])), cache=Path("unused"))
    yield opened
    opened.close()


@torch.inference_mode()
def plain_tokens(model: LocalModel, prompt: tuple[Message, ...], max_tokens: int) -> list[int]:
    """Answer tokens by transformers' own loop, one prompt at a time."""
    chat, module = model.loaded.chat, model.loaded.network.module
    ids = chat.tokenizer(
        model.render(prompt), return_tensors="pt", add_special_tokens=False
    ).input_ids
    generate = cast(Callable[..., torch.Tensor], module.generate)
    made = generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=max_tokens,
        do_sample=False,
        eos_token_id=sorted(chat.stop_ids),
    )
    tokens = made[0, ids.shape[1] :].tolist()
    return tokens[:-1] if tokens[-1] in chat.stop_ids else tokens


def generations(results: Sequence[Generation | Failed]) -> list[Generation]:
    made = [result for result in results if isinstance(result, Generation)]
    assert len(made) == len(results)
    return made


@torch.inference_mode()
def plain_logprobs(model: LocalModel, prompt: tuple[Message, ...], answer: str) -> list[float]:
    chat, module = model.loaded.chat, model.loaded.network.module
    start = chat.tokenizer(model.render(prompt), add_special_tokens=False).input_ids
    whole = chat.tokenizer(model.render(prompt) + answer + "<|end|>", add_special_tokens=False)
    ids = torch.tensor([whole.input_ids])
    logprobs = torch.log_softmax(module(ids).logits[0].float(), dim=-1)
    return [float(logprobs[place - 1, ids[0, place]]) for place in range(len(start), ids.shape[1])]


@pytest.mark.parametrize("prompts", [PROMPTS, PROMPTS + UNRELATED], ids=["prefix", "mixed"])
def test_generating_in_batches_equals_transformers_one_by_one(
    model: LocalModel, prompts: tuple[tuple[Message, ...], ...]
) -> None:
    got = generations(model.generate(prompts, max_tokens=20))
    expected = [plain_tokens(model, prompt, 20) for prompt in prompts]
    assert [answer.text for answer in got] == [model.loaded.chat.decode(ids) for ids in expected]
    assert [answer.answer_tokens for answer in got] == [len(ids) for ids in expected]


def test_rows_that_finish_early_leave_the_batch_and_change_nothing(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = model.loaded.chat
    whole = [plain_tokens(model, prompt, 16) for prompt in PROMPTS]
    stop = {ids[step % len(ids)] for ids, step in zip(whole, (1, 9, 4, 13, 6), strict=True)}
    monkeypatch.setattr(chat, "stop_ids", frozenset(stop))
    heard: list[int] = []
    got = model.generate(PROMPTS, max_tokens=16, on_answer=lambda place, _: heard.append(place))
    expected = [plain_tokens(model, prompt, 16) for prompt in PROMPTS]
    assert [answer.text for answer in generations(got)] == [chat.decode(ids) for ids in expected]
    lengths = [len(ids) for ids in expected]
    assert len(set(lengths)) > 1
    assert [lengths[place] for place in heard] == sorted(lengths)


def test_choosing_equals_scoring_each_option_by_itself(model: LocalModel) -> None:
    assert model.scoring_path == "tree"
    for prompts in (PROMPTS, PROMPTS + UNRELATED):
        for prompt, choice in zip(prompts, model.choose(prompts, OPTIONS), strict=True):
            assert isinstance(choice, Choice)
            expected = [sum(plain_logprobs(model, prompt, option)) for option in OPTIONS]
            assert choice.logprobs == pytest.approx(expected, abs=1e-4)
            assert choice.index == expected.index(max(expected))
            assert choice.label == OPTIONS[choice.index]


def test_answer_logprobs_equal_a_plain_pass(model: LocalModel) -> None:
    answers = ("lost card", "x", "refund not showing up", "", "top up")
    for prompt, answer, scored in zip(
        PROMPTS, answers, model.answer_logprobs(PROMPTS, answers), strict=True
    ):
        assert isinstance(scored, TokenLogprobs)
        assert scored.logprobs == pytest.approx(plain_logprobs(model, prompt, answer), abs=1e-4)
        assert "".join(scored.tokens) == answer + "<|end|>"


def test_a_prompt_that_does_not_fit_fails_with_its_numbers_and_the_others_are_answered(
    model: LocalModel,
) -> None:
    prompts = (PROMPTS[0], (user("card " * 600),), PROMPTS[1])
    heard: dict[int, Generation | Failed] = {}
    results = model.generate(prompts, max_tokens=4, on_answer=heard.__setitem__)
    assert isinstance(results[0], Generation)
    assert isinstance(results[2], Generation)
    failed = results[1]
    assert isinstance(failed, Failed)
    assert failed.cause is Cause.TOO_LONG
    assert str(model.count_tokens(prompts[1])) in failed.message
    assert "512" in failed.message
    assert heard == dict(enumerate(results))
