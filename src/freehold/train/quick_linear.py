# pyright: standard
"""Linear layers for training: a LoRA adapter in a few matrix products, and products in a narrower type.

PEFT's own layer leaves the arithmetic to autograd: a scaled copy, a sum and several casts of the
whole output, and each input kept again for every product. For a small model these cost as much as
the products. This subclass does the same arithmetic in one autograd function with nothing between
the products. PEFT still makes, names, saves, merges and loads the weights.

Shapes: N tokens, I inputs, O outputs, R rank.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import Tensor, nn

from freehold.models.standing import standing_update

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER_NAME = "default"


class LowRankProduct(torch.autograd.Function):
    """y = x W' + scale (x A') B' with W frozen (Hu et al. 2021, arXiv:2106.09685).

    Products are computed in the type of `weight_OI`; inputs and outputs keep the type of `x_NI`.
    """

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        """Return y_NO for x_NI, weight_OI, down_RI (A), up_OR (B) and the scale."""
        ctx, x_NI, weight_OI, down_RI, up_OR, scale = inputs
        kind = weight_OI.dtype
        narrow_NI, down, up = x_NI.to(kind), down_RI.to(kind), up_OR.to(kind)
        low_NR = torch.mm(narrow_NI, down.t()).mul_(scale)
        y_NO = torch.mm(narrow_NI, weight_OI.t()).addmm_(low_NR, up.t())
        ctx.save_for_backward(narrow_NI, weight_OI, down, up, low_NR)
        ctx.scale = scale
        ctx.x_kind, ctx.adapter_kind = x_NI.dtype, down_RI.dtype
        return y_NO.to(x_NI.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, A and B; the input of the first layer needs none."""
        narrow_NI, weight_OI, down, up, low_NR = ctx.saved_tensors
        y_gradient_NO = gradients[0].to(weight_OI.dtype)
        low_gradient_NR = torch.mm(y_gradient_NO, up).mul_(ctx.scale)
        x_gradient_NI = None
        if ctx.needs_input_grad[0]:
            x_gradient_NI = torch.mm(y_gradient_NO, weight_OI).addmm_(low_gradient_NR, down)
            x_gradient_NI = x_gradient_NI.to(ctx.x_kind)
        down_gradient_RI = torch.mm(low_gradient_NR.t(), narrow_NI).to(ctx.adapter_kind)
        up_gradient_OR = torch.mm(y_gradient_NO.t(), low_NR).to(ctx.adapter_kind)
        return x_gradient_NI, None, down_gradient_RI, up_gradient_OR, None


class QuickLinear(PeftLinear):
    """PEFT's LoRA layer, quick while gradients are computed and PEFT's own arithmetic otherwise."""

    product_dtype: torch.dtype | None = None
    """The type of the products in training; None: the type of the frozen weight."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the adapted product; see `LowRankProduct`."""
        base = self.base_layer
        if not (torch.is_grad_enabled() and not args and not kwargs and self._is_plain()):
            return super().forward(x, *args, **kwargs)
        weight_OI = cast(Tensor, base.weight)
        y_NO = LowRankProduct.apply(
            x.flatten(0, -2),
            weight_OI.to(self.product_dtype or weight_OI.dtype),
            self.lora_A[ADAPTER_NAME].weight,
            self.lora_B[ADAPTER_NAME].weight,
            self.scaling[ADAPTER_NAME],
        )
        y = y_NO.unflatten(0, x.shape[:-1])
        y = y if base.bias is None else y + base.bias
        earlier = standing_update(base)
        return y if earlier is None else earlier.added(y, x)

    def _is_plain(self) -> bool:
        """Whether this is one float32 LoRA adapter without dropout or variant on a plain layer."""
        return (
            type(self.base_layer) is nn.Linear
            and not self.disable_adapters
            and not self.merged
            and list(self.active_adapters) == [ADAPTER_NAME]
            and ADAPTER_NAME not in self.lora_variant
            and not self.lora_bias[ADAPTER_NAME]
            and isinstance(self.lora_dropout[ADAPTER_NAME], nn.Identity)
        )


class NarrowLinear(nn.Linear):
    """A linear layer that multiplies in a narrower type while gradients are computed.

    It shares the parameters of the layer that it stands for, under the same names, so that weights,
    gradients and optimizer stay in their own type. Without gradients it is the plain layer.
    """

    def __init__(self, layer: nn.Linear, product_dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.product_dtype = product_dtype

    def forward(self, input: Tensor) -> Tensor:
        """Return x W' + b in the type of `input`."""
        kind = self.product_dtype
        if not torch.is_grad_enabled():
            return super().forward(input)
        bias = None if self.bias is None else self.bias.to(kind)
        y = nn.functional.linear(input.to(kind), self.weight.to(kind), bias)
        return y.to(input.dtype)


def narrow_products(network: PreTrainedModel, kind: torch.dtype) -> Callable[[], None]:
    """Put a `NarrowLinear` in the place of every linear layer but the head; return how to undo it."""
    head = network.get_output_embeddings()
    found = [
        (network.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], module)
        for name, module in network.named_modules()
        if type(module) is nn.Linear and module is not head
    ]
    for parent, name, layer in found:
        setattr(parent, name, NarrowLinear(layer, kind))

    def undo() -> None:
        for parent, name, layer in found:
            setattr(parent, name, layer)

    return undo
