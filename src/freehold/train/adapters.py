# pyright: standard
"""What is trained: functions that put an adapter into a model, in one mapping; saving as a PEFT folder."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from pydantic import JsonValue
from safetensors.torch import save
from torch import nn
from transformers import PreTrainedModel

from freehold.core.errors import ModelError
from freehold.core.sections import LoraSpec
from freehold.train.checkpoint import write_whole
from freehold.train.quick_linear import ADAPTER_NAME, QuickLinear
from freehold.train.records import Precision

Adapter: TypeAlias = Callable[[PreTrainedModel, LoraSpec, Precision], PeftModel]

TARGETS: Mapping[str, tuple[str, ...]] = {
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj"),
    "mlp": ("gate_proj", "up_proj", "down_proj", "gate_up_proj"),
}
"""Layer names by the word a spec uses; Phi 3 joins qkv and gate_up, the other families do not."""


def target_modules(model: PreTrainedModel, targets: str) -> tuple[str, ...]:
    """Return the names of the linear layers that `all_linear`, `mlp` or `attention` means here.

    Raises:
        ModelError: the model has no layer with one of these names.
    """
    head = model.get_output_embeddings()
    found = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
    chosen = found if targets == "all_linear" else found & set(TARGETS[targets])
    if not chosen:
        raise ModelError(
            "TRN-001",
            f"the model has no linear layers that {targets!r} means; its linear layers are"
            f" {', '.join(sorted(found)) or 'none'}",
            help="freehold climb -s ladder.lora.targets=all_linear",
        )
    return tuple(sorted(chosen))


def lora(model: PreTrainedModel, spec: LoraSpec, precision: Precision) -> PeftModel:
    """Return `model` with a LoRA adapter in float32 beside its frozen linear layers.

    While gradients are computed, the products of the adapted layers are in `precision`; everything
    between them, and all of generation, stays in the model's own.

    The update is (alpha / r) * B A with A drawn from the global generator and B zero, so that the
    model is unchanged until the first step. alpha is 2 r where the spec leaves it out. No dropout.
    Source: Hu et al. 2021, arXiv:2106.09685.
    """
    config = LoraConfig(
        r=spec.r,
        lora_alpha=2 * spec.r if spec.alpha is None else spec.alpha,  # pyright: ignore[reportArgumentType]
        target_modules=list(target_modules(model, spec.targets)),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    config._register_custom_module({nn.Linear: QuickLinear})  # peft documents it as experimental
    with warnings.catch_warnings():
        # peft 0.21 reads an attribute that transformers 5 has renamed; nothing the user can act on
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        adapted = get_peft_model(model, config, adapter_name=ADAPTER_NAME)
    if not isinstance(adapted, PeftModel):
        raise TypeError(f"peft returned {type(adapted).__name__}")
    for layer in adapted.modules():
        if isinstance(layer, QuickLinear):
            layer.product_dtype = torch.bfloat16 if precision == "bfloat16" else None
    return adapted


ADAPTERS: Mapping[str, Adapter] = {"lora": lora}


def save_adapter(model: PeftModel, folder: Path, *, base: str) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json`, the same bytes for the same weights.

    `base` is the name under which others know the base model. PEFT and vLLM load the folder as it
    is. The configuration is written last: where it exists, the weights are whole.
    """
    tensors = {
        name: tensor.detach().to("cpu").contiguous()
        for name, tensor in get_peft_model_state_dict(model, adapter_name=ADAPTER_NAME).items()
    }
    config = _plain(model.peft_config[ADAPTER_NAME].to_dict())
    if not isinstance(config, dict):
        raise TypeError("an adapter configuration is a mapping")
    config |= {"base_model_name_or_path": base, "inference_mode": True}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "adapter_model.safetensors", save(tensors, metadata={"format": "pt"}))
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    write_whole(folder / "adapter_config.json", text.encode())


def _plain(value: object) -> JsonValue:
    """Return a configuration value as JSON; sets are sorted, so that equal runs write equal bytes."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case set() | frozenset():
            return list[JsonValue](sorted(map(str, value)))
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return str(value)
