# pyright: standard
"""Steps in coordinates of curvature, against a layer whose parameters are the coordinates themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import fractional_matrix_power
from torch import Tensor

from freehold.core.sections import LoraSpec
from freehold.models.local import LocalModel
from freehold.train.adapters import ADAPTERS, linear_layers
from freehold.train.curvature import Curvature, LayerCurvature, curvature
from freehold.train.preconditioner import DAMPING, POWER, CurvaturePreconditioner
from freehold.train.rows import TokenRow, TrainingRow, encode_rows

RowsOf = Callable[[int], Sequence[TrainingRow]]
OpenTiny = Callable[..., LocalModel]
LAYER = "model.layers.0.mlp.up_proj"
RATE, STEPS = 0.01, 5


@pytest.fixture
def base(open_tiny: OpenTiny) -> LocalModel:
    return open_tiny()


@pytest.fixture
def sides(base: LocalModel, rows_of: RowsOf) -> Curvature:
    encoded = encode_rows(base.loaded.chat, rows_of(16), max_length=base.context_tokens)
    rows = [TokenRow(ids=row.ids, answer_start=1) for row in encoded.rows.values()]
    return curvature(base.loaded.network.module, rows, batch_tokens=256)


def lengths(values: Tensor) -> Tensor:
    return (values.clamp(min=0) / values.mean() + DAMPING) ** (-POWER / 2)


def map_of(side: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(side)
    return vectors @ torch.diag(lengths(values))


def loss_of(down: Tensor, up: Tensor, wanted: Tensor) -> Tensor:
    return (up @ down - wanted).square().sum()


@pytest.mark.parametrize("is_wide", [False, True])
def test_steps_are_those_of_adam_on_the_coordinates_themselves(
    base: LocalModel, sides: Curvature, *, is_wide: bool
) -> None:
    network = base.loaded.network.module
    one = sides[LAYER]
    if is_wide:
        one = LayerCurvature(one.inputs.diagonal(), one.outputs.diagonal())
        maps = [torch.diag(lengths(side)) for side in (one.inputs, one.outputs)]
    else:
        maps = [map_of(side) for side in (one.inputs, one.outputs)]
    torch.manual_seed(3)
    tuned = ADAPTERS["lora"](network, LoraSpec(r=4), "float32")
    try:
        layer: Any = network.get_submodule(LAYER)
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        preconditioner = CurvaturePreconditioner(network, {LAYER: one}, weight=0.0)
        assert preconditioner.layers == 1
        drawn = down.detach().clone()
        preconditioner.begin()
        torch.testing.assert_close(down.detach(), drawn @ maps[0].T)
        wanted = 0.1 * torch.randn(len(up), down.shape[1])
        first = (down.detach().clone(), up.detach().clone())
        coordinates = [torch.zeros_like(part, requires_grad=True) for part in first]
        direct = torch.optim.AdamW(coordinates, lr=RATE, weight_decay=0.0)
        stepped = torch.optim.AdamW([down, up], lr=RATE, weight_decay=0.0, fused=True)
        for _ in range(STEPS):
            direct.zero_grad()
            at = (first[0] + coordinates[0] @ maps[0].T, first[1] + maps[1] @ coordinates[1])
            loss_of(*at, wanted).backward()
            direct.step()

            stepped.zero_grad()
            loss_of(down, up, wanted).backward()
            preconditioner.turn_gradients()
            preconditioner.step(stepped.step)
        torch.testing.assert_close(
            down.detach(), first[0] + coordinates[0].detach() @ maps[0].T, rtol=1e-3, atol=1e-4
        )
        torch.testing.assert_close(
            up.detach(), first[1] + maps[1] @ coordinates[1].detach(), rtol=1e-3, atol=1e-4
        )
    finally:
        tuned.undo()


def test_the_map_of_a_side_is_a_root_of_its_inverse_power(
    base: LocalModel, sides: Curvature
) -> None:
    """T T' = (S / mean eigenvalue + damping)^-power, against scipy; first weights that are 1 show T'."""
    network = base.loaded.network.module
    side = sides[LAYER].inputs
    tuned = ADAPTERS["lora"](network, LoraSpec(r=len(side)), "float32")
    try:
        layer: Any = network.get_submodule(LAYER)
        down = layer.lora_A["default"].weight
        down.data = torch.eye(len(side))
        CurvaturePreconditioner(network, {LAYER: sides[LAYER]}, weight=0.0).begin()
        found = down.detach().double()
    finally:
        tuned.undo()
    scaled = side.double() / float(side.trace() / len(side)) + DAMPING * torch.eye(len(side))
    expected = np.real(fractional_matrix_power(scaled.numpy(), -POWER))
    np.testing.assert_allclose((found.T @ found).numpy(), expected, rtol=1e-3, atol=1e-4)


def test_directions_that_general_prompts_do_not_use_are_taken_in_longer_steps(
    base: LocalModel,
) -> None:
    network = base.loaded.network.module
    up_proj = linear_layers(network)[LAYER]
    inputs = torch.ones(up_proj.in_features)
    inputs[: len(inputs) // 2] = 1e-6
    curved = {LAYER: LayerCurvature(inputs, torch.ones(up_proj.out_features))}
    tuned = ADAPTERS["lora"](network, LoraSpec(r=4), "float32")
    try:
        layer: Any = network.get_submodule(LAYER)
        down = layer.lora_A["default"].weight
        preconditioner = CurvaturePreconditioner(network, curved, weight=0.0)
        optimizer = torch.optim.AdamW([down], lr=RATE, weight_decay=0.0)
        before = down.detach().clone()
        down.grad = torch.ones_like(down)
        preconditioner.turn_gradients()
        preconditioner.step(optimizer.step)
        moved = (down.detach() - before).abs().mean(0)
        free, used = moved[: len(inputs) // 2].mean(), moved[len(inputs) // 2 :].mean()
        # a curvature of 0 against one of twice the mean
        expected = ((2 + DAMPING) / DAMPING) ** (POWER / 2)
        assert float(free / used) == pytest.approx(expected, rel=1e-3)
    finally:
        tuned.undo()


@pytest.mark.parametrize("kind", ["dora", "ia3", "full"])
def test_what_is_no_plain_low_rank_product_is_stepped_as_it_is(
    base: LocalModel, sides: Curvature, kind: Any
) -> None:
    network = base.loaded.network.module
    tuned = ADAPTERS[kind](network, LoraSpec(kind=kind, r=4), "float32")
    try:
        preconditioner = CurvaturePreconditioner(network, sides, weight=1.0)
        assert preconditioner.layers == 0
        assert preconditioner.turn_gradients() == 0.0
        assert all(p.grad is None for p in network.parameters())
    finally:
        tuned.undo()


@pytest.mark.parametrize("is_wide", [False, True])
@pytest.mark.parametrize("kind", ["lora", "rslora"])
def test_the_gradients_of_the_penalty_are_those_of_the_formula_in_coordinates(
    base: LocalModel, kind: Any, *, is_wide: bool
) -> None:
    """Against autograd on 1/2 tr(G D A D'), with D made whole from coordinates."""
    network = base.loaded.network.module
    curved = {
        name: some_sides(layer, is_wide=is_wide) for name, layer in linear_layers(network).items()
    }
    tuned = ADAPTERS[kind](network, LoraSpec(kind=kind, r=4), "float32")
    try:
        preconditioner = CurvaturePreconditioner(network, curved, weight=0.7)
        assert preconditioner.layers == len(curved)
        for name in curved:
            layer: Any = network.get_submodule(name)
            for factors in (layer.lora_A, layer.lora_B):
                torch.nn.init.normal_(factors["default"].weight, std=0.1)
        expected, wanted = torch.zeros(()), dict[str, tuple[Tensor, Tensor]]()
        for name, one in curved.items():
            layer = network.get_submodule(name)
            down, up = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight
            maps = [
                torch.diag(lengths(side)) if is_wide else map_of(side)
                for side in (one.inputs, one.outputs)
            ]
            at = (
                (down @ maps[0].T.inverse()).requires_grad_(),
                (maps[1].inverse() @ up.detach()).requires_grad_(),
            )
            moved = layer.scaling["default"] * (maps[1] @ at[1]) @ (at[0] @ maps[0].T)
            inputs, outputs = (
                torch.diag(side) if is_wide else side for side in (one.inputs, one.outputs)
            )
            part = 0.7 * 0.5 * ((outputs @ moved) * (moved @ inputs)).sum()
            gradients = torch.autograd.grad(part, at)
            wanted[name] = (gradients[0], gradients[1])
            expected = expected + part.detach()
        assert preconditioner.turn_gradients() == pytest.approx(float(expected), rel=1e-3)
        for name, (of_down, of_up) in wanted.items():
            layer = network.get_submodule(name)
            for factors, of_one in ((layer.lora_A, of_down), (layer.lora_B, of_up)):
                found = factors["default"].weight.grad
                torch.testing.assert_close(found, of_one, rtol=5e-3, atol=1e-5)
    finally:
        tuned.undo()


def some_sides(layer: torch.nn.Module, *, is_wide: bool) -> LayerCurvature:
    generator = torch.Generator().manual_seed(4)
    sizes = (int(layer.in_features), int(layer.out_features))  # type: ignore[arg-type]
    halves = [torch.randn(size, size, generator=generator) for size in sizes]
    inputs, outputs = (half @ half.T / len(half) for half in halves)
    if is_wide:
        return LayerCurvature(inputs.diagonal(), outputs.diagonal())
    return LayerCurvature(inputs, outputs)
