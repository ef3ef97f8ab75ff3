# pyright: standard
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias, cast

import pytest
import torch
from peft import LoraConfig, PeftModel
from safetensors import safe_open
from transformers import PreTrainedModel

from freehold.core.errors import ModelError
from freehold.core.sections import LoraSpec
from freehold.train.adapters import lora, save_adapter

Targets: TypeAlias = Literal["all_linear", "mlp", "attention"]
TOKENS_BT = torch.arange(5, 45).reshape(2, 20)


def wake(adapted: PeftModel) -> None:
    """Give the adapter weights that change the output; B begins at zero."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.2)


def test_a_fresh_adapter_changes_nothing_and_freezes_the_base(network: PreTrainedModel) -> None:
    with torch.no_grad():
        before = network(input_ids=TOKENS_BT).logits
        adapted = lora(network, LoraSpec(r=4), "float32")
        after = adapted(input_ids=TOKENS_BT).logits
    assert torch.equal(before, after)
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_a_saved_adapter_loads_with_peft_and_answers_the_same(
    network: PreTrainedModel, network_of: Callable[[str], PreTrainedModel], tmp_path: Path
) -> None:
    adapted = lora(network, LoraSpec(r=4, alpha=6.0), "float32")
    wake(adapted)
    save_adapter(adapted, tmp_path, base="acme/tiny")
    fresh = network_of(network.config.model_type.removesuffix("_text"))
    with torch.no_grad():
        plain = fresh(input_ids=TOKENS_BT).logits
        expected = adapted(input_ids=TOKENS_BT).logits
        found = PeftModel.from_pretrained(fresh, tmp_path)(input_ids=TOKENS_BT).logits
    assert torch.equal(found, expected)
    assert not torch.allclose(found, plain, atol=1e-3)


def test_the_folder_holds_what_vllm_reads(
    network_of: Callable[[str], PreTrainedModel], tmp_path: Path
) -> None:
    adapted = lora(network_of("llama"), LoraSpec(r=4, targets="attention"), "float32")
    save_adapter(adapted, tmp_path, base="acme/tiny")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert (config["r"], config["lora_alpha"], config["bias"]) == (4, 8, "none")
    assert config["target_modules"] == ["k_proj", "o_proj", "q_proj", "v_proj"]
    assert config["base_model_name_or_path"] == "acme/tiny"
    with safe_open(tmp_path / "adapter_model.safetensors", framework="pt") as file:
        names = set(file.keys())
    assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in names
    assert len(names) == 2 * 4 * 2


def test_equal_weights_are_saved_as_equal_bytes(
    network_of: Callable[[str], PreTrainedModel], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        adapted = lora(network_of("qwen3"), LoraSpec(r=4), "float32")
        wake(adapted)
        save_adapter(adapted, tmp_path / name, base="acme/tiny")
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize(
    ("family", "targets", "expected"),
    [
        ("llama", "mlp", {"gate_proj", "up_proj", "down_proj"}),
        ("phi3", "mlp", {"gate_up_proj", "down_proj"}),
        ("phi3", "attention", {"qkv_proj", "o_proj"}),
        ("phi3", "all_linear", {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}),
        ("gemma3", "attention", {"q_proj", "k_proj", "v_proj", "o_proj"}),
    ],
)
def test_targets_are_named_as_the_family_names_them(
    network_of: Callable[[str], PreTrainedModel],
    family: str,
    targets: Targets,
    expected: set[str],
) -> None:
    adapted = lora(network_of(family), LoraSpec(r=2, targets=targets), "float32")
    config = cast(LoraConfig, adapted.peft_config["default"])
    assert set(config.target_modules or ()) == expected


def test_a_model_without_such_layers_is_refused_by_name() -> None:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        vocab_size=32,
    )
    with pytest.raises(ModelError, match="query_key_value") as caught:
        lora(GPTNeoXForCausalLM(config), LoraSpec(targets="mlp"), "float32")
    assert caught.value.problems[0].code == "TRN-001"
