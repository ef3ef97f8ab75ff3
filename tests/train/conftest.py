# pyright: standard
"""Tiny random models of every family, with a real byte-level tokenizer and a chat template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from freehold.core.message import system, user
from freehold.core.sections import BaseModelSpec
from freehold.models.chat import ChatFormat
from freehold.models.local import LocalModel, open_local
from freehold.train.rows import TrainingRow

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
COLOURS = ("red", "green", "blue", "dark grey")
SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}
FAMILIES: dict[str, tuple[type, type, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 8, "tie_word_embeddings": True}),
    "gemma3": (
        Gemma3TextConfig,
        Gemma3ForCausalLM,
        {
            "head_dim": 8,
            "sliding_window": 8,
            "final_logit_softcapping": 5.0,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": 8, "head_dim": 8}),
    "phi3": (Phi3Config, Phi3ForCausalLM, {"sliding_window": None}),
}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [f"The thing number {n} is {colour}" for n in range(20) for colour in COLOURS],
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        extra_special_tokens=SPECIAL[2:],
        chat_template=TEMPLATE,
    )


def tiny_network(family: str) -> PreTrainedModel:
    config_type, network_type, extra = FAMILIES[family]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = network_type(config_type(**(SHAPE | extra)))
    return network.float().eval()


def coloured_rows(count: int) -> list[TrainingRow]:
    return [
        TrainingRow(
            prompt=(system("Say its colour."), user(f"thing {n}" + " again" * (n % 4))),
            answer=COLOURS[n % len(COLOURS)],
        )
        for n in range(count)
    ]


@dataclass
class TickingClock:
    """A clock that goes on by a fixed time whenever it is read."""

    tick: float = 1.0
    now: float = 0.0

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


@pytest.fixture(scope="session")
def chat(tokenizer: PreTrainedTokenizerFast) -> ChatFormat:
    return ChatFormat(tokenizer, model_stop_ids=[1], where="the tiny model")


@pytest.fixture
def network_of() -> Callable[[str], PreTrainedModel]:
    return tiny_network


@pytest.fixture(params=sorted(FAMILIES))
def network(request: pytest.FixtureRequest) -> PreTrainedModel:
    return tiny_network(request.param)


@pytest.fixture
def rows_of() -> Callable[[int], Sequence[TrainingRow]]:
    return coloured_rows


@pytest.fixture
def clock() -> TickingClock:
    return TickingClock()


@pytest.fixture(scope="session")
def folder_of(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> Callable[[str], Path]:
    folders: dict[str, Path] = {}

    def of(family: str) -> Path:
        if family not in folders:
            folders[family] = tmp_path_factory.mktemp(family)
            tiny_network(family).save_pretrained(folders[family])
            tokenizer.save_pretrained(folders[family])
        return folders[family]

    return of


@pytest.fixture
def open_tiny(folder_of: Callable[[str], Path]) -> Callable[..., LocalModel]:
    def open_it(family: str = "llama", *, adapter: Path | None = None) -> LocalModel:
        folder = folder_of(family)
        named = None if adapter is None else str(adapter)
        return open_local(BaseModelSpec(id=str(folder), adapter=named), cache=folder)

    return open_it
