# pyright: standard
"""What a training will need, from the model's config alone: no weights are read.

The model is built on PyTorch's meta device, where tensors have shapes and no storage, so every
architecture that transformers knows is counted exactly, and only activations are estimated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from freehold.core.record import Record
from freehold.core.sections import LoraSpec
from freehold.train.effort import batch_tokens_for, micro_tokens_for, recipe_for
from freehold.train.records import Precision, Recipe

if TYPE_CHECKING:
    from transformers import PretrainedConfig

FLOAT32_BYTES = 4
BFLOAT16_BYTES = 2
PROCESS_BYTES = 500 * 2**20
"""Python with torch, transformers and peft loaded, before any model."""


class Plan(Record):
    """What a LoRA training will need.

    `memory_bytes` is the sum of the parts: the process, the frozen weights, the adapter with its
    gradients and optimizer, and the activations of the largest batch. `seconds` is None where no
    speed was given.
    """

    recipe: Recipe
    base_parameters: int
    trainable_parameters: int
    process_bytes: int
    weight_bytes: int
    adapter_bytes: int
    activation_bytes: int
    floating_point_operations: float
    seconds: float | None

    @property
    def memory_bytes(self) -> int:
        """The predicted peak."""
        return self.process_bytes + self.weight_bytes + self.adapter_bytes + self.activation_bytes


class RowSizes(Record):
    """How large a training set is. `answer_tokens` carry loss; all of them count once per epoch."""

    rows: int
    tokens: int
    answer_tokens: int
    longest: int


def lora_flops(*, base_parameters: int, adapter_parameters: int, tokens: int) -> float:
    """Return the floating-point operations of training on `tokens`.

    A frozen weight costs 2 forward and 2 for the gradient of its input, a trained one 2 more for
    its own gradient. Attention scores are left out, the embedding is counted as a product: together
    this is a small overestimate for short rows.
    """
    return float(tokens) * (4.0 * base_parameters + 6.0 * adapter_parameters)


def plan_lora(
    config: PretrainedConfig,
    spec: LoraSpec,
    sizes: RowSizes,
    *,
    precision: Precision = "float32",
    flops_per_second: float | None = None,
) -> Plan:
    """Return what training `spec` on rows of these sizes will need.

    Args:
        config: of the base model.
        spec: what to train.
        sizes: of the training rows, as tokens.
        precision: of the matrix products; weights keep the precision that the config names.
        flops_per_second: what this machine was measured to do in such a training.

    Raises:
        ModelError: the model has no layer that the spec's targets mean.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from freehold.train.adapters import ADAPTERS

    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
        base_parameters = network.num_parameters()
        stored_bytes = BFLOAT16_BYTES if config.dtype == torch.bfloat16 else FLOAT32_BYTES
        ADAPTERS["lora"](network, spec)
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    mean_length = sizes.tokens / sizes.rows
    step_tokens = max(batch_tokens_for(spec), sizes.longest)
    steps_per_epoch = max(1, round(sizes.rows * mean_length / step_tokens))
    recipe = recipe_for(
        spec,
        parameters=base_parameters,
        steps_per_epoch=steps_per_epoch,
        max_length=sizes.longest,
        precision=precision,
    )
    micro_tokens = max(min(micro_tokens_for(spec), sizes.tokens), sizes.longest)
    flops = lora_flops(
        base_parameters=base_parameters,
        adapter_parameters=trained,
        tokens=round(sizes.tokens * recipe.epochs),
    )
    return Plan(
        recipe=recipe,
        base_parameters=base_parameters,
        trainable_parameters=trained,
        process_bytes=PROCESS_BYTES,
        weight_bytes=base_parameters * stored_bytes,
        adapter_bytes=5 * trained * FLOAT32_BYTES,
        activation_bytes=_activation_bytes(
            config,
            micro_tokens=micro_tokens,
            loss_tokens=round(micro_tokens * sizes.answer_tokens / sizes.tokens),
            precision=precision,
        ),
        floating_point_operations=flops,
        seconds=None if flops_per_second is None else flops / flops_per_second,
    )


def _activation_bytes(
    config: PretrainedConfig, *, micro_tokens: int, loss_tokens: int, precision: Precision
) -> int:
    """Return what backward needs of forward, for one micro batch.

    Counted for a decoder layer with RMS norms, grouped attention and a gated MLP: each norm keeps
    its input and its normalised value in float32; attention keeps its input for each adapter, query,
    key, value and output; the gated MLP its input twice and four intermediates. At the positions
    that carry loss: logits, their float32 copy, log-probabilities and their gradient.
    """
    text = config.get_text_config()
    product = BFLOAT16_BYTES if precision == "bfloat16" else FLOAT32_BYTES
    hidden = int(text.hidden_size)
    heads = int(text.num_attention_heads)
    head_size = int(getattr(text, "head_dim", None) or hidden // heads)
    keys = int(getattr(text, "num_key_value_heads", None) or heads) * head_size
    inner = int(text.intermediate_size)
    norms = 2 * 2 * hidden * FLOAT32_BYTES
    attention = (3 * hidden + 2 * heads * head_size + 2 * keys) * product
    gated = (2 * hidden + 4 * inner) * product
    layers = int(text.num_hidden_layers) * (norms + attention + gated) * micro_tokens
    head = loss_tokens * int(text.vocab_size) * (product + 3 * FLOAT32_BYTES)
    return layers + head
