# pyright: standard
"""A LoRA update that stands beside narrow weights as a part of their layers.

Merged into weights of 16 or 4 bits, a small update would be rounded away. Here it is taken out of PEFT's
layers and added to the output of each layer that it changes, so that the network has the layers of its
base again: a next update can be trained on it, and be put in and taken out, as on the base itself.

Shapes: N tokens, I inputs, O outputs, R rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

_NAME = "standing_update"


class StandingUpdate(nn.Module):
    """What a LoRA adapter adds to the output of one layer: scale * B A x, in the adapter's own type."""

    def __init__(self, down_RI: Tensor, up_OR: Tensor) -> None:
        """Keep copies of A, and of B with the scale in it; they are no parameters, and saved nowhere."""
        super().__init__()
        self.register_buffer("down_RI", down_RI.detach().clone(), persistent=False)
        self.register_buffer("up_OR", up_OR.detach().clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the addition for inputs [..., I], as [..., O]."""
        down_RI, up_OR = cast(Tensor, self.down_RI), cast(Tensor, self.up_OR)
        return (x.to(down_RI.dtype) @ down_RI.t()) @ up_OR.t()

    def added(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the layer's output [..., O] for inputs [..., I] with the addition, in the output's type."""
        return (output + self(x)).to(output.dtype)


def stand_beside(adapted: PeftModel) -> PreTrainedModel | None:
    """Take a LoRA adapter out of PEFT's layers and let its update stand beside the weights.

    Returns:
        The network with its own layers, or None, with nothing changed, where the adapter is of another
        kind (DoRA, IA3), trains biases, or changes what is no linear layer.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in adapted.modules() if isinstance(module, BaseTunerLayer)]
    parts = [_factors(layer) for layer in layers]
    found = [part for part in parts if part is not None]
    if not found or len(found) < len(parts):
        return None
    network = cast("PreTrainedModel", cast(Any, adapted).unload())
    for layer, down_RI, up_OR in found:
        layer.add_module(_NAME, StandingUpdate(down_RI, up_OR))
        layer.register_forward_hook(_add)
    return network


def standing_update(layer: nn.Module) -> StandingUpdate | None:
    """Return what stands beside the weight of this layer."""
    return cast("StandingUpdate | None", getattr(layer, _NAME, None))


def has_standing_update(network: nn.Module) -> bool:
    """Tell whether an update stands beside any weight of the network."""
    return any(isinstance(module, StandingUpdate) for module in network.modules())


def _factors(layer: nn.Module) -> tuple[nn.Linear, Tensor, Tensor] | None:
    """Return the layer below, A, and B with its scale; None where this is no plain LoRA of a linear layer."""
    from peft.tuners.lora.layer import LoraLayer

    if not isinstance(layer, LoraLayer) or not isinstance(layer.get_base_layer(), nn.Linear):
        return None
    (name,) = layer.active_adapters
    if name not in layer.lora_A or name in layer.lora_variant or layer.lora_bias[name]:
        return None
    up_OR = cast(Tensor, layer.lora_B[name].weight) * layer.scaling[name]
    return cast(nn.Linear, layer.get_base_layer()), cast(Tensor, layer.lora_A[name].weight), up_OR


def _add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return cast(StandingUpdate, standing_update(layer)).added(output, inputs[0])
