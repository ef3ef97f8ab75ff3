# pyright: standard
"""Caches, masks and tries below the door, and what happens when they cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
from tests.models import tiny

from freehold.core.message import user
from freehold.core.outcome import Cause, Failed
from freehold.core.sections import BaseModelSpec
from freehold.models.calls import Call
from freehold.models.choose import option_tries, score_options
from freehold.models.door import Choice, Generation, TokenLogprobs
from freehold.models.generate import fill_holes
from freehold.models.loading import context_tokens_of
from freehold.models.local import LocalModel, open_local
from freehold.models.network import Network, Prefix

PROMPTS = tuple((user(f"Which label has the text {text}?"),) for text in ("card", "I lost it", "x"))
OPTIONS = ("lost card", "lost", "top up failed", "refund not showing up", "")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModel]:
    folder = tiny.save_model(tmp_path_factory.mktemp("network") / "model", "gemma3")
    opened = open_local(BaseModelSpec(id=str(folder)), cache=folder)
    yield opened
    opened.close()


def test_a_network_that_does_not_take_masks_gives_the_same_answers_one_by_one(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = (
        [a.text for a in model.generate(PROMPTS, max_tokens=9) if isinstance(a, Generation)],
        [c.logprobs for c in model.choose(PROMPTS, OPTIONS) if isinstance(c, Choice)],
    )
    monkeypatch.setattr(model.loaded.network, "mask_form", None)
    assert model.scoring_path == "separate"
    texts = [a.text for a in model.generate(PROMPTS, max_tokens=9) if isinstance(a, Generation)]
    assert texts == packed[0]
    choices = [c.logprobs for c in model.choose(PROMPTS, OPTIONS) if isinstance(c, Choice)]
    assert len(choices) == len(PROMPTS)
    for alone, together in zip(choices, packed[1], strict=True):
        assert alone == pytest.approx(together, abs=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_eager_attention_takes_the_same_masks(architecture: str) -> None:
    module = tiny.module(architecture, vocabulary=340)
    module.set_attn_implementation("eager")
    network = Network(module)
    network.prove_masks()
    assert network.mask_form is not None


def test_a_network_that_ignores_masks_is_found_out() -> None:
    class Deaf(Network):
        def mask(
            self,
            positions_BS: torch.Tensor,
            positions_BT: torch.Tensor,
            *,
            among_TT: torch.Tensor | None = None,
        ) -> torch.Tensor | dict[str, torch.Tensor]:
            return super().mask(positions_BS, positions_BT)

    network = Deaf(tiny.module("llama", vocabulary=340))
    network.prove_masks()
    assert network.mask_form is None


@torch.inference_mode()
def test_tries_that_are_read_in_parts_score_as_one(model: LocalModel) -> None:
    chat, network = model.loaded.chat, model.loaded.network
    sequences = [(*chat.answer_ids(option), chat.end_id) for option in OPTIONS]
    prompts = [chat.prompt_ids(prompt) for prompt in PROMPTS]
    whole = option_tries(sequences, most_nodes=1000, device=network.device)
    parts = option_tries(sequences, most_nodes=3, device=network.device)
    assert len(whole) == 1
    assert len(parts) > 1
    assert sorted(option for part in parts for option in part.options) == list(range(len(OPTIONS)))
    one = score_options(network, prompts, whole, prefix=None)
    other = score_options(network, prompts, parts, prefix=None)
    assert torch.allclose(one, other, atol=1e-4)
    assert len(set(one[0].tolist())) == len(OPTIONS)


def test_an_answer_longer_than_the_spare_room_is_as_transformers_makes_it(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, module = model.loaded.chat, model.loaded.network.module
    monkeypatch.setattr(chat, "stop_ids", frozenset({tiny.SPECIAL.index("<pad>")}))
    ids = torch.tensor([chat.prompt_ids(PROMPTS[0])])
    generate = cast(Callable[..., torch.Tensor], module.generate)
    made = generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=150,
        do_sample=False,
        eos_token_id=sorted(chat.stop_ids),
    )
    (got, _) = model.generate(PROMPTS[:2], max_tokens=150)
    assert isinstance(got, Generation)
    assert got.answer_tokens == 150
    assert got.text == chat.decode(made[0, ids.shape[1] :].tolist())


def test_scores_that_are_not_numbers_are_failures_and_no_answers(
    tmp_path: Path,
) -> None:
    folder = tiny.save_model(tmp_path / "model")
    model = open_local(BaseModelSpec(id=str(folder)), cache=tmp_path)
    with torch.inference_mode():
        for parameter in model.loaded.network.module.parameters():
            parameter.fill_(torch.nan)
    results = (
        *model.generate(PROMPTS, max_tokens=4),
        *model.choose(PROMPTS, OPTIONS),
        *model.answer_logprobs(PROMPTS, ["a", "b", "c"]),
    )
    assert len(results) == 9
    for result in results:
        assert isinstance(result, Failed)
        assert result.cause is Cause.ENGINE


def test_a_batch_that_is_too_large_for_the_device_is_halved(model: LocalModel) -> None:
    call: Call[TokenLogprobs] = Call(
        model.loaded, PROMPTS * 3, [1] * 9, on_answer=None, clock=lambda: 0.0
    )
    sizes: list[int] = []

    def work(batch: Sequence[int], prefix: Prefix | None) -> None:
        sizes.append(len(batch))
        if len(batch) > 2 or 4 in batch:
            raise torch.OutOfMemoryError("CUDA out of memory\nand more")
        for place in batch:
            call.settle(place, TokenLogprobs(tokens=(str(place),), logprobs=(0.0,), is_greedy=True))

    call.run(work, growth=1)
    results = call.results()
    assert max(sizes) > 2
    for place, result in enumerate(results):
        if place == 4:
            assert isinstance(result, Failed)
            assert "memory" in result.message
        else:
            assert isinstance(result, TokenLogprobs)
            assert result.tokens == (str(place),)


def test_positions_that_stretch_with_the_longest_row_limit_the_context_to_the_first_training() -> (
    None
):
    module = tiny.module("phi3", vocabulary=340)
    assert context_tokens_of(module) == 512
    module.config.rope_parameters = {
        "rope_type": "longrope",
        "original_max_position_embeddings": 128,
    }
    assert context_tokens_of(module) == 128


def test_rows_that_stay_are_moved_into_holes_only() -> None:
    assert fill_holes([0, 2, 3, 6]) == [0, 6, 2, 3]
    assert fill_holes([]) == []
    assert fill_holes([5]) == [5]
    assert fill_holes([0, 1]) == [0, 1]


def test_shares_of_time_add_up_to_the_time_of_the_call(model: LocalModel) -> None:
    ticks = iter(range(10_000))
    timed = LocalModel(model.files, model.loaded, clock=lambda: float(next(ticks)))
    start = float(next(ticks))
    answers = timed.generate(PROMPTS, max_tokens=5)
    spent = sum(answer.seconds for answer in answers if isinstance(answer, Generation))
    assert 0 < spent <= float(next(ticks)) - start
