# pyright: standard
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoConfig, LlamaConfig, PreTrainedModel

from freehold.core.sections import LoraSpec
from freehold.train.adapters import lora
from freehold.train.plan import RowSizes, lora_flops, plan_lora

SIZES = RowSizes(rows=4400, tokens=4400 * 300, answer_tokens=4400 * 20, longest=900)
LARGE = LlamaConfig(
    vocab_size=151_936,
    hidden_size=2560,
    intermediate_size=9728,
    num_hidden_layers=36,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    tie_word_embeddings=True,
    dtype=torch.bfloat16,
)


def test_parameters_are_counted_as_the_real_network_has_them(network: PreTrainedModel) -> None:
    plan = plan_lora(network.config, LoraSpec(r=4), SIZES)
    before = network.num_parameters()
    lora(network, LoraSpec(r=4), "float32")
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert (plan.base_parameters, plan.trainable_parameters) == (before, trained)


def test_a_model_of_four_billion_parameters_is_planned_without_its_weights() -> None:
    plan = plan_lora(LARGE, LoraSpec(), SIZES, device="cuda", precision="bfloat16")
    assert 4.0e9 < plan.base_parameters < 4.1e9
    assert plan.weight_bytes == 2 * plan.base_parameters
    assert 8 * 2**30 < plan.memory_bytes < 24 * 2**30
    assert plan.recipe.learning_rate == 2e-4
    on_cpu = plan_lora(LARGE, LoraSpec(), SIZES, precision="bfloat16")
    assert on_cpu.weight_bytes == 2 * plan.weight_bytes


def test_more_rank_more_tokens_and_longer_rows_never_need_less_memory() -> None:
    plain = plan_lora(LARGE, LoraSpec(), SIZES)
    longer = SIZES.model_copy(update={"longest": 8000})
    for other in (
        plan_lora(LARGE, LoraSpec(r=64), SIZES),
        plan_lora(LARGE, LoraSpec(), SIZES.model_copy(update={"answer_tokens": 4400 * 200})),
        plan_lora(LARGE, LoraSpec(), longer),
    ):
        assert other.memory_bytes > plain.memory_bytes


def test_time_follows_from_the_operations_and_is_unknown_without_a_speed() -> None:
    plan = plan_lora(LARGE, LoraSpec(epochs=2.0), SIZES, flops_per_second=1e13)
    expected = lora_flops(
        base_parameters=plan.base_parameters,
        adapter_parameters=plan.trainable_parameters,
        tokens=2 * SIZES.tokens,
    )
    assert plan.floating_point_operations == expected
    assert plan.seconds == expected / 1e13
    assert plan_lora(LARGE, LoraSpec(), SIZES).seconds is None


def test_a_config_read_from_a_folder_is_enough(folder_of: Callable[[str], Path]) -> None:
    config = AutoConfig.from_pretrained(folder_of("phi3"))
    assert plan_lora(config, LoraSpec(targets="mlp"), SIZES).trainable_parameters > 0
