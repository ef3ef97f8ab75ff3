# pyright: standard
"""The lean form of a decoder gives what transformers' module gives, and steps back where it could not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.models import tiny
from torch import nn
from transformers import PreTrainedModel

from freehold.models import lean
from freehold.models.network import Network, Reading

VOCABULARY = 80
ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")


def made(architecture: str) -> PreTrainedModel:
    module = tiny.module(architecture, vocabulary=VOCABULARY).requires_grad_(False)
    draw = torch.Generator().manual_seed(2)
    for name, weight in module.named_parameters():
        if name.endswith("bias"):
            weight.copy_(torch.randn(weight.shape, generator=draw))
    return module


def ready(architecture: str) -> Network:
    network = Network(made(architecture))
    network.prove_masks()
    network.quicken()
    return network


def read_all(network: Network) -> list[torch.Tensor]:
    """Logits with a prefix, padding, a tree, rows that leave, a rewind, and single tokens behind them."""
    draw = torch.Generator().manual_seed(1)
    found: list[torch.Tensor] = []
    with torch.inference_mode():
        prefix = network.read_prefix(torch.randint(VOCABULARY, (20,), generator=draw).tolist())
        for start in (None, prefix):
            first = start.length if start else 0
            reading = network.reading(3, prefix=start)
            assert isinstance(reading, Reading)
            tokens_BT = torch.randint(VOCABULARY, (3, 30), generator=draw)
            positions_BT = torch.arange(first, first + 30).repeat(3, 1)
            positions_BT[1] -= 4
            positions_BT[1, :4] = -1
            among_BTT = torch.ones(3, 6, 6, dtype=torch.bool)
            among_BTT[:, 3:, :3] = False
            found.append(reading.read(tokens_BT, positions_BT, keep=6, among_TT=among_BTT))
            reading.rewind(6)
            reading.keep_rows([0, 2])
            for step in range(3):
                new_BT = torch.randint(VOCABULARY, (2, 1), generator=draw)
                places_BT = torch.full((2, 1), first + 24 + step)
                found.append(reading.read(new_BT, places_BT, keep=1))
    return found


@pytest.mark.parametrize("most_packed", [0, lean.MOST_PACKED_BYTES])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_are_those_of_the_module(
    architecture: str, most_packed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lean, "MOST_PACKED_BYTES", most_packed)
    network = ready(architecture)
    plain = Network(made(architecture))
    plain.prove_masks()
    with torch.inference_mode():
        assert network.lean() is not None
        assert plain.lean() is None
    for got, wanted in zip(read_all(network), read_all(plain), strict=True):
        # Weights of these networks are large, and logits stand between -100 and 100.
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


def test_parameters_keep_their_values_and_can_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lean, "MOST_PACKED_BYTES", 0)
    network = ready("llama")
    wanted = tiny.module("llama", vocabulary=VOCABULARY)
    network.module.save_pretrained(tmp_path)
    again = type(wanted).from_pretrained(tmp_path).state_dict()
    for name, weight in wanted.state_dict().items():
        assert torch.equal(network.module.state_dict()[name], weight)
        assert torch.equal(again[name], weight)


@pytest.mark.parametrize("architecture", ["gemma3", "phi3"])
def test_other_architectures_are_read_by_their_module(architecture: str) -> None:
    network = ready(architecture)
    with torch.inference_mode():
        assert network.lean() is None


def test_other_numbers_and_attention_are_read_by_the_module() -> None:
    module = tiny.module("llama", vocabulary=VOCABULARY)
    module.set_attn_implementation("eager")
    assert lean.lean_decoder(module) is None
    assert lean.lean_decoder(tiny.module("llama", vocabulary=VOCABULARY).bfloat16()) is None


def test_a_module_that_was_changed_is_called_itself() -> None:
    network = ready("llama")
    layer = network.module.get_submodule("model.layers.0.mlp")
    assert network.lean() is None, "gradients are wanted"
    with torch.inference_mode():
        assert network.lean() is not None
        handle = layer.register_forward_hook(lambda *_: None)
        assert network.lean() is None
        handle.remove()
        assert network.lean() is not None
        network.module.train()
        assert network.lean() is None
        network.module.eval()
    own = layer.get_submodule("up_proj")
    layer.up_proj = nn.Sequential(own)
    with torch.inference_mode():
        assert network.lean() is None
    layer.up_proj = own
    with torch.no_grad():
        assert network.lean() is not None
        network.module.get_parameter("model.layers.1.mlp.up_proj.weight").mul_(2)
        assert network.lean() is None


def test_rows_longer_than_the_first_tables_are_turned_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lean, "_FIRST_PLACES", 8)
    network = ready("llama")
    plain = Network(network.module)
    plain.prove_masks()
    for got, wanted in zip(read_all(network), read_all(plain), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))
