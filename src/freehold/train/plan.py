# pyright: standard
"""What a training will need, from the model's config alone: no weights are read.

The model is built on PyTorch's meta device, where tensors have shapes and no storage, so every
architecture that transformers knows is counted exactly, and only activations are estimated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from freehold.core.record import Record
from freehold.core.sections import LoraSpec
from freehold.train.effort import batch_tokens_for, micro_tokens_for, recipe_for
from freehold.train.records import Precision, Recipe

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Device: TypeAlias = Literal["cpu", "cuda"]

FLOAT32_BYTES = 4
BFLOAT16_BYTES = 2
PROCESS_BYTES = 430 * 2**20
"""Python with torch, transformers and peft loaded, before any model; measured."""
CPU_ACTIVATION_FACTOR = 1.7
"""Measured over counted activations on a CPU: temporaries of backward, and memory the allocator keeps.

Seen at five million parameters: 1.6 at 2,048 tokens in both precisions, 1.9 at 8,192.
"""


class Plan(Record):
    """What a LoRA training will need.

    `memory_bytes` is the sum of the parts: the process, the frozen weights, the adapter with its
    gradients, optimizer and best copy, and the activations of the largest batch. `seconds` is None where no
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
    device: Device = "cpu",
    precision: Precision = "float32",
    flops_per_second: float | None = None,
) -> Plan:
    """Return what training `spec` on rows of these sizes will need.

    Args:
        config: of the base model.
        spec: what to train.
        sizes: of the training rows, as tokens.
        device: a CPU holds the weights in float32 and the process beside them, an accelerator holds
            them in bfloat16.
        precision: of the matrix products of adapted layers.
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
        ADAPTERS["lora"](network, spec, precision)
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    mean_length = sizes.tokens / sizes.rows
    step_tokens = max(batch_tokens_for(spec, base_parameters), sizes.longest)
    steps_per_epoch = max(1, round(sizes.rows * mean_length / step_tokens))
    recipe = recipe_for(
        spec,
        parameters=base_parameters,
        steps_per_epoch=steps_per_epoch,
        max_length=sizes.longest,
        precision=precision,
    )
    micro_tokens = max(min(micro_tokens_for(spec, base_parameters), sizes.tokens), sizes.longest)
    flops = lora_flops(
        base_parameters=base_parameters,
        adapter_parameters=trained,
        tokens=round(sizes.tokens * recipe.epochs),
    )
    return Plan(
        recipe=recipe,
        base_parameters=base_parameters,
        trainable_parameters=trained,
        process_bytes=PROCESS_BYTES if device == "cpu" else 0,
        weight_bytes=base_parameters * (FLOAT32_BYTES if device == "cpu" else BFLOAT16_BYTES),
        adapter_bytes=5 * trained * FLOAT32_BYTES,
        activation_bytes=_activation_bytes(
            config,
            micro_tokens=micro_tokens,
            loss_tokens=round(micro_tokens * sizes.answer_tokens / sizes.tokens),
            device=device,
            precision=precision,
        ),
        floating_point_operations=flops,
        seconds=None if flops_per_second is None else flops / flops_per_second,
    )


def _activation_bytes(
    config: PretrainedConfig,
    *,
    micro_tokens: int,
    loss_tokens: int,
    device: Device,
    precision: Precision,
) -> int:
    """Return what backward needs of forward, for one micro batch.

    Counted for a decoder layer with RMS norms, attention and a gated MLP under `LowRankProduct`: the
    input of each norm in float32; query, key and value of every head and the attention's output;
    gate, up and the activated gate. Each adapted product keeps its input, as a copy of its own where
    products are narrower than the network. At the positions that carry loss: logits,
    log-probabilities and their gradient in float32.
    """
    text = config.get_text_config()
    element = FLOAT32_BYTES if device == "cpu" else BFLOAT16_BYTES
    hidden = int(text.hidden_size)
    heads = int(text.num_attention_heads)
    attended = heads * int(getattr(text, "head_dim", None) or hidden // heads)
    inner = int(text.intermediate_size)
    norms = 2 * hidden * FLOAT32_BYTES
    between = (4 * attended + 3 * inner) * element
    if device == "cpu" and precision == "bfloat16":
        inputs = (5 * hidden + attended + inner) * BFLOAT16_BYTES
    else:
        inputs = (2 * hidden + inner) * element
    layers = int(text.num_hidden_layers) * (norms + between + inputs) * micro_tokens
    counted = layers + 3 * FLOAT32_BYTES * loss_tokens * int(text.vocab_size)
    return round(counted * (CPU_ACTIVATION_FACTOR if device == "cpu" else 1.0))
