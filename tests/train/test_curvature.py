# pyright: standard
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from freehold.core.sections import LoraSpec
from freehold.models.local import LocalModel
from freehold.train import curvature as curved
from freehold.train.adapters import ADAPTERS, linear_layers
from freehold.train.curvature import (
    Curvature,
    CurvaturePenalty,
    LayerCurvature,
    curvature,
    joined,
    kept_curvature,
)
from freehold.train.objectives import collate, logits_where_loss_is
from freehold.train.rows import TokenRow, TrainingRow, encode_rows

RowsOf = Callable[[int], Sequence[TrainingRow]]
OpenTiny = Callable[..., LocalModel]
CPU = torch.device("cpu")


@pytest.fixture
def base(open_tiny: OpenTiny) -> LocalModel:
    return open_tiny()


@pytest.fixture
def rows(base: LocalModel, rows_of: RowsOf) -> list[TokenRow]:
    encoded = encode_rows(base.loaded.chat, rows_of(24), max_length=base.context_tokens)
    return [TokenRow(ids=row.ids, answer_start=1) for row in encoded.rows.values()]


def network_of(base: LocalModel) -> PreTrainedModel:
    return base.loaded.network.module


def measured(base: LocalModel, rows: Sequence[TokenRow], **more: Any) -> Curvature:
    return curvature(network_of(base), rows, batch_tokens=256, **more)


def full_divergence(network: PreTrainedModel, rows: Sequence[TokenRow], before: Tensor) -> float:
    now = logprobs(network, rows)
    return float((before.exp() * (before - now)).sum() / len(before))


@torch.no_grad()
def logprobs(network: PreTrainedModel, rows: Sequence[TokenRow]) -> Tensor:
    batch = collate(rows, [""] * len(rows), CPU)
    return torch.log_softmax(logits_where_loss_is(network, batch).double(), -1)


def test_the_inputs_are_second_moments_over_the_positions_that_reach_the_loss(
    base: LocalModel, rows: list[TokenRow]
) -> None:
    network = network_of(base)
    seen: dict[str, list[Tensor]] = {}
    # a query at the first position has one key only, and never gets a gradient
    names = ("gate_proj", "up_proj", "down_proj", "v_proj", "o_proj")
    layers = linear_layers(network, names)
    hooks = [
        layer.register_forward_hook(
            lambda _m, given, _o, name=name: seen.setdefault(name, []).append(given[0][0, :-1])
        )
        for name, layer in layers.items()
    ]
    with torch.no_grad():
        for row in rows:
            network(torch.tensor([row.ids]))
    for hook in hooks:
        hook.remove()
    found = measured(base, rows, layers=names)
    assert found.keys() == layers.keys()
    for name, parts in seen.items():
        inputs_NI = torch.cat(parts)
        expected = inputs_NI.T @ inputs_NI / len(inputs_NI)
        torch.testing.assert_close(found[name].inputs, expected, rtol=1e-4, atol=1e-6)


def test_it_says_how_far_a_small_update_moves_what_the_base_says(
    base: LocalModel, rows: list[TokenRow]
) -> None:
    """The product of two sides is an approximation: a third to three times, for most directions."""
    network, layers = network_of(base), linear_layers(network_of(base))
    before = logprobs(network, rows)
    # more draws than a training needs: the rows are few, and what is checked is the mean
    draws = [measured(base, rows, seed=seed) for seed in range(8)]
    generator = torch.Generator().manual_seed(5)
    ratios: list[float] = []
    for name, layer in layers.items():
        moved_OI = torch.randn(layer.weight.shape, generator=generator)
        inputs = draws[0][name].inputs
        outputs = torch.stack([one[name].outputs for one in draws]).mean(0)
        foretold = 0.5 * float(((outputs @ moved_OI) * (moved_OI @ inputs)).sum())
        step = (1e-4 / foretold) ** 0.5
        origin = layer.weight.detach().clone()
        with torch.no_grad():
            layer.weight.add_(step * moved_OI)
        ratios.append(full_divergence(network, rows, before) / 1e-4)
        with torch.no_grad():
            layer.weight.copy_(origin)
    assert sum(1 / 3 < ratio < 3 for ratio in ratios) >= 0.8 * len(ratios), ratios


def test_it_leaves_the_network_as_it_was(base: LocalModel, rows: list[TokenRow]) -> None:
    network = network_of(base)
    first = next(network.parameters())
    for parameter in network.parameters():
        parameter.requires_grad_(parameter is first)
    measured(base, rows)
    assert [p for p in network.parameters() if p.requires_grad] == [first]
    assert all(p.grad is None for p in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_the_same_rows_and_seed_give_the_same_bits(base: LocalModel, rows: list[TokenRow]) -> None:
    first, second, other = (measured(base, rows, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name].outputs, second[name].outputs) for name in first)
    assert not all(torch.equal(first[name].outputs, other[name].outputs) for name in first)


def test_it_says_how_far_it_is(base: LocalModel, rows: list[TokenRow]) -> None:
    told: list[tuple[int, int]] = []
    measured(base, rows, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(rows), len(rows))
    assert len(told) > 1
    assert told == sorted(told)


def test_only_the_layers_that_are_asked_for_are_measured(
    base: LocalModel, rows: list[TokenRow]
) -> None:
    found = measured(base, rows, layers=("gate_proj",))
    assert found and all(name.endswith(".gate_proj") for name in found)


def test_a_wide_side_is_the_diagonal_of_the_whole_one(
    base: LocalModel, rows: list[TokenRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured(base, rows)
    monkeypatch.setattr(curved, "MOST_SIDE", 40)
    narrow = measured(base, rows)
    for name, sides in whole.items():
        for side, less in (
            (sides.inputs, narrow[name].inputs),
            (sides.outputs, narrow[name].outputs),
        ):
            expected = side if len(side) <= 40 else side.diagonal()
            torch.testing.assert_close(less, expected, rtol=1e-5, atol=1e-9)


def some_sides(layer: torch.nn.Module, *, is_wide: bool) -> LayerCurvature:
    generator = torch.Generator().manual_seed(4)
    given, said = int(layer.in_features), int(layer.out_features)  # type: ignore[arg-type]

    def side(size: int) -> Tensor:
        if is_wide:
            return torch.rand(size, generator=generator)
        half = torch.randn(size, size, generator=generator)
        return half @ half.T / size

    return LayerCurvature(side(given), side(said))


def whole_side(side: Tensor) -> Tensor:
    return torch.diag(side) if side.dim() == 1 else side


@pytest.mark.parametrize("is_wide", [False, True])
def test_its_gradients_are_those_of_the_formula(base: LocalModel, *, is_wide: bool) -> None:
    """Against autograd on 1/2 tr(G D A D')."""
    network = network_of(base)
    origin = {name: layer.weight.detach().clone() for name, layer in linear_layers(network).items()}
    sides = {
        name: some_sides(layer, is_wide=is_wide) for name, layer in linear_layers(network).items()
    }
    torch.manual_seed(1)
    tuned = ADAPTERS["full"](network, LoraSpec(kind="full"), "float32")
    try:
        penalty = CurvaturePenalty(network, sides, weight=0.7)
        trained = [p for p in network.parameters() if p.requires_grad]
        with torch.no_grad():
            for parameter in trained:
                parameter.add_(0.1 * torch.randn_like(parameter))
        expected = torch.zeros(())
        for name, one in sides.items():
            layer: Any = network.get_submodule(name)
            moved = layer.weight - origin[name]
            inputs, outputs = whole_side(one.inputs), whole_side(one.outputs)
            expected = expected + 0.7 * 0.5 * ((outputs @ moved) * (moved @ inputs)).sum()
        gradients = torch.autograd.grad(expected, trained, allow_unused=True)
        assert penalty.layers == len(sides)
        assert penalty.add_gradients() == pytest.approx(float(expected.detach()), rel=1e-4)
        for parameter, wanted in zip(trained, gradients, strict=True):
            if wanted is None:
                assert parameter.grad is None
            else:
                assert parameter.grad is not None
                torch.testing.assert_close(parameter.grad, wanted, rtol=1e-3, atol=1e-5)
        once = [None if p.grad is None else p.grad.clone() for p in trained]
        penalty.add_gradients()
        for parameter, one in zip(trained, once, strict=True):
            if one is not None:
                torch.testing.assert_close(parameter.grad, 2 * one)
    finally:
        tuned.undo()


@pytest.mark.parametrize("kind", ["lora", "dora", "ia3"])
def test_layers_whose_own_weights_stay_are_not_held_here(
    base: LocalModel, rows: list[TokenRow], kind: Any
) -> None:
    network = network_of(base)
    sides = measured(base, rows)
    tuned = ADAPTERS[kind](network, LoraSpec(kind=kind, r=4), "float32")
    try:
        penalty = CurvaturePenalty(network, sides, weight=1.0)
        assert penalty.layers == 0
        assert penalty.add_gradients() == 0.0
        assert all(p.grad is None for p in network.parameters())
    finally:
        tuned.undo()


def test_weights_that_have_not_moved_cost_nothing(base: LocalModel, rows: list[TokenRow]) -> None:
    network = network_of(base)
    sides = measured(base, rows)
    tuned = ADAPTERS["full"](network, LoraSpec(kind="full"), "float32")
    try:
        assert CurvaturePenalty(network, sides, weight=3.0).add_gradients() == 0.0
    finally:
        tuned.undo()


def test_curvatures_on_the_same_inputs_are_one_whose_outputs_are_their_sum(
    base: LocalModel, rows: list[TokenRow]
) -> None:
    """tr(G1 D A D') + tr(G2 D A D') is tr((G1 + G2) D A D')."""
    network = network_of(base)
    first = measured(base, rows)
    second = {
        name: LayerCurvature(one.inputs, 3 * one.outputs.flip(0, 1)) for name, one in first.items()
    }
    tuned = ADAPTERS["full"](network, LoraSpec(kind="full"), "float32")
    try:
        apart = [CurvaturePenalty(network, one, weight=1.0) for one in (first, second)]
        together = CurvaturePenalty(network, joined([first, second]), weight=1.0)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        expected = sum(one.add_gradients() for one in apart)
        assert together.add_gradients() == pytest.approx(expected, rel=1e-4)
    finally:
        tuned.undo()


def test_a_curvature_is_made_once_and_read_afterwards(
    base: LocalModel, rows: list[TokenRow], tmp_path: Path
) -> None:
    file = tmp_path / "kept" / "one.safetensors"
    made = measured(base, rows)
    calls: list[int] = []

    def make() -> Curvature:
        calls.append(1)
        return made

    assert kept_curvature(file, make) is made
    again = kept_curvature(file, make)
    assert again.keys() == made.keys()
    assert all(torch.equal(again[name].outputs, made[name].outputs) for name in made)
    assert len(calls) == 1
    file.write_bytes(b"torn")
    assert kept_curvature(file, make) is made
    assert torch.equal(
        kept_curvature(file, make)["model.layers.0.mlp.up_proj"].inputs,
        made["model.layers.0.mlp.up_proj"].inputs,
    )
    assert len(calls) == 2
