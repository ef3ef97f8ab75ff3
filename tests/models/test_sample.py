# pyright: standard
from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from tests.models import tiny
from transformers import PreTrainedModel

from freehold.models.network import Network
from freehold.models.sample import Sampled, Sampling, sample

PROMPTS = ((9, 40, 41, 42), (9, 50), (9, 60, 61, 62, 63, 64, 65), (9,))
NEVER = Sampling(max_tokens=6, stop_ids=frozenset())


def network_of(architecture: str) -> Network:
    network = Network(tiny.module(architecture, vocabulary=60 + 20))
    network.prove_masks()
    return network


@torch.no_grad()
def likeliest(module: PreTrainedModel, ids: Sequence[int], count: int) -> tuple[int, ...]:
    """Take the likeliest next token so many times, reading everything anew each time."""
    text = list(ids)
    for _ in range(count):
        text.append(int(module(torch.tensor([text])).logits[0, -1].argmax()))
    return tuple(text[len(ids) :])


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "qwen3"])
def test_at_temperature_zero_it_is_the_likeliest_text_row_by_row(architecture: str) -> None:
    network = network_of(architecture)
    drawn = sample(network, PROMPTS, Sampling(6, frozenset(), temperature=0.0), seed=1)
    assert drawn == tuple(
        Sampled(likeliest(network.module, ids, 6), is_whole=False) for ids in PROMPTS
    )


def test_a_stop_token_ends_its_row_alone_and_is_left_out() -> None:
    network = network_of("llama")
    texts = [likeliest(network.module, ids, 6) for ids in PROMPTS]
    stop = texts[0][2]
    drawn = sample(network, PROMPTS, Sampling(6, frozenset({stop}), temperature=0.0), seed=1)
    for one, text in zip(drawn, texts, strict=True):
        wanted = text[: text.index(stop)] if stop in text else text
        assert one == Sampled(wanted, is_whole=stop in text)


def test_the_seed_alone_decides_and_the_global_random_state_is_left_alone() -> None:
    network = network_of("llama")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = sample(network, PROMPTS, NEVER, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert sample(network, PROMPTS, NEVER, seed=5) == first
    assert sample(network, PROMPTS, NEVER, seed=6) != first


def test_tokens_are_drawn_as_often_as_the_model_says() -> None:
    network = network_of("llama")
    how = Sampling(max_tokens=1, stop_ids=frozenset(), temperature=2.0)
    drawn = sample(network, [PROMPTS[0]] * 4000, how, seed=3)
    counts = torch.bincount(torch.tensor([one.ids[0] for one in drawn]), minlength=80)
    with torch.no_grad():
        logits = network.module(torch.tensor([PROMPTS[0]])).logits[0, -1]
    wanted = torch.softmax(logits / 2.0, -1)
    spread = (wanted * (1 - wanted) / 4000).sqrt()
    assert bool(((counts / 4000 - wanted).abs() < 5 * spread + 1e-3).all())


def test_a_row_without_a_token_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        sample(network_of("llama"), [(9,), ()], NEVER, seed=1)
