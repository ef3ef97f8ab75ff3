# pyright: standard
"""The quick layer against PEFT's own arithmetic, which autograd differentiates."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from freehold.core.sections import LoraSpec
from freehold.train.adapters import lora, target_modules
from freehold.train.quick_linear import LowRankProduct, QuickLinear

TOKENS_BT = torch.arange(5, 65).reshape(3, 20)


def set_weights(adapted: nn.Module) -> None:
    generator = torch.Generator().manual_seed(11)
    for _, parameter in sorted(adapted.named_parameters()):
        if parameter.requires_grad:
            with torch.no_grad():
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))


def gradients(network: PreTrainedModel) -> dict[str, torch.Tensor]:
    network(input_ids=TOKENS_BT, labels=TOKENS_BT).loss.backward()
    return {n: p.grad for n, p in network.named_parameters() if p.grad is not None}


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_loss_and_gradients_are_those_of_pefts_own_layer(
    network: PreTrainedModel, network_of: Callable[[str], PreTrainedModel]
) -> None:
    spec = LoraSpec(r=4, alpha=6.0, targets="all_linear")
    plain = network_of(network.config.model_type.removesuffix("_text"))
    config = LoraConfig(r=4, lora_alpha=6, target_modules=list(target_modules(plain, "all_linear")))
    set_weights(get_peft_model(plain, config))
    set_weights(lora(network, spec, "float32").network)
    assert any(isinstance(layer, QuickLinear) for layer in network.modules())
    expected, found = gradients(plain), gradients(network)
    assert set(found) == set(expected)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


def test_its_value_and_derivatives_are_those_of_the_plain_formula() -> None:
    generator = torch.Generator().manual_seed(2)
    shapes = ((5, 4), (6, 4), (2, 4), (6, 2))
    x, weight, down, up = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
    )

    def product(x: torch.Tensor, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return LowRankProduct.apply(x, weight, down, up, 1.5)

    for tensor in (x, down, up):
        tensor.requires_grad_(True)
    expected = x @ weight.t() + 1.5 * (x @ down.t()) @ up.t()
    torch.testing.assert_close(product(x, down, up), expected)
    product(x, down, up).square().sum().backward()
    found = [tensor.grad.clone() for tensor in (x, down, up) if tensor.grad is not None]
    for tensor in (x, down, up):
        tensor.grad = None
    expected.square().sum().backward()
    for tensor, gradient in zip((x, down, up), found, strict=True):
        torch.testing.assert_close(gradient, tensor.grad)


def test_bfloat16_products_stay_near_float32_and_leave_float32_outside(
    network_of: Callable[[str], PreTrainedModel],
) -> None:
    exact, narrow = network_of("llama"), network_of("llama")
    set_weights(lora(exact, LoraSpec(r=4, targets="all_linear"), "float32").network)
    set_weights(lora(narrow, LoraSpec(r=4, targets="all_linear"), "bfloat16").network)
    one, other = gradients(exact), gradients(narrow)
    for name, gradient in one.items():
        assert other[name].dtype == torch.float32
        cosine = torch.cosine_similarity(other[name].flatten(), gradient.flatten(), dim=0)
        assert cosine > 0.98
        assert not torch.equal(other[name], gradient)


def test_answers_are_computed_by_pefts_layer_in_the_models_own_precision(
    network_of: Callable[[str], PreTrainedModel],
) -> None:
    exact, narrow = network_of("llama"), network_of("llama")
    set_weights(lora(exact, LoraSpec(r=4, targets="all_linear"), "float32").network)
    set_weights(lora(narrow, LoraSpec(r=4, targets="all_linear"), "bfloat16").network)
    with torch.no_grad():
        assert torch.equal(exact(TOKENS_BT).logits, narrow(TOKENS_BT).logits)
    assert not torch.equal(exact(TOKENS_BT).logits, narrow(TOKENS_BT).logits)


def test_a_bias_of_the_frozen_layer_is_kept() -> None:
    layer = nn.Linear(4, 3)
    quick = QuickLinear(layer, "default", config=LoraConfig(r=2), r=2, lora_alpha=4)
    x = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    torch.testing.assert_close(quick(x), layer(x))
