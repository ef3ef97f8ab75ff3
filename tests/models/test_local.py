# pyright: standard
"""Local models against transformers itself, for every proven architecture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import torch
from tests.models import tiny
from transformers import LlamaForCausalLM

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


@pytest.fixture(params=tiny.ARCHITECTURES)
def model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Iterator[LocalModel]:
    opened = open_local(BaseModelSpec(id=str(folders[request.param])), cache=Path("unused"))
    yield opened
    opened.close()


@torch.inference_mode()
def plain_generation(model: LocalModel, prompt: tuple[Message, ...], max_tokens: int) -> str:
    chat, module = model.loaded.chat, model.loaded.network.module
    ids = chat.tokenizer(
        model.render(prompt), return_tensors="pt", add_special_tokens=False
    ).input_ids
    made = cast(LlamaForCausalLM, module).generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_tokens, do_sample=False
    )
    assert isinstance(made, torch.Tensor)
    return chat.decode(made[0, ids.shape[1] :].tolist())


@torch.inference_mode()
def plain_logprobs(model: LocalModel, prompt: tuple[Message, ...], answer: str) -> list[float]:
    chat, module = model.loaded.chat, model.loaded.network.module
    start = chat.tokenizer(model.render(prompt), add_special_tokens=False).input_ids
    whole = chat.tokenizer(model.render(prompt) + answer + "<|end|>", add_special_tokens=False)
    ids = torch.tensor([whole.input_ids])
    logprobs = torch.log_softmax(module(ids).logits[0].float(), dim=-1)
    return [float(logprobs[place - 1, ids[0, place]]) for place in range(len(start), ids.shape[1])]


def test_generating_in_batches_equals_transformers_one_by_one(model: LocalModel) -> None:
    prompts = PROMPTS + UNRELATED
    got = model.generate(prompts, max_tokens=24)
    expected = [plain_generation(model, prompt, 24) for prompt in prompts]
    assert [answer.text for answer in got if isinstance(answer, Generation)] == expected


def test_generating_after_a_shared_prefix_equals_transformers(model: LocalModel) -> None:
    got = model.generate(PROMPTS, max_tokens=24)
    expected = [plain_generation(model, prompt, 24) for prompt in PROMPTS]
    assert [answer.text for answer in got if isinstance(answer, Generation)] == expected


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
