# pyright: standard
"""Steps of an adapter, and the penalty on its update, in coordinates where general prompts feel every direction about alike.

Adam sizes the step of each coordinate by itself, whatever the coordinates are. In those of the weights a step
that teaches the task also moves what general prompts depend on, and the penalty of `curvature` then has to
pull it back. Here both factors of an adapter's update D = scale * B A are moved in other coordinates,

    A = Z_A T_in'      B = T_out Z_B      T = Q diag(t)      t = (l / mean(l) + DAMPING) ^ (-POWER / 2)

with Q diag(l) Q' the eigendecomposition of the curvature's side: of the layer's inputs, and of the gradients at
its outputs. Directions that general prompts hardly use are long in weights and short in coordinates, so that
the same steps learn more of the task for less divergence. It is K-FAC's preconditioning (Martens and Grosse
2015, arXiv:1503.05671; half of its power) by the curvature of what is to be kept instead of what is
learnt, with Adam in the eigenbasis as in SOAP (Vyas et al. 2024, arXiv:2409.11321).

In these coordinates the sides of the penalty are diagonals, so that with P = A T_in and U = B' T_out

    1/2 tr(G D A_side D') = scale^2 / 2 * sum((P diag(l / t^2) P') * (U diag(l / t^2) U'))

and a step reads each map twice: once for the factor with its gradient, once to move. Products are in float32
whatever the training multiplies in: entries rounded to 8 bits leak long directions into short ones, and that
doubled the divergence that a training ended with (decision 021).

Shapes: I inputs and O outputs of a layer, R rank, S a side of a layer (I or O), K rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn

from freehold.train.curvature import Curvature, LayerCurvature

POWER = 0.5
DAMPING = 0.1
"""Directions without any curvature are so long as those with this share of the mean."""


@dataclass(frozen=True)
class _Side:
    """The coordinates of one side of a layer: the map T, [S, S] or [S] of a diagonal, l, and l / t^2."""

    map: Tensor
    curvature_S: Tensor
    by_length_S: Tensor

    @classmethod
    def of(cls, side: Tensor) -> _Side:
        if side.dim() == 1:
            values_S, vectors_SS = side, None
        else:
            values_S, vectors_SS = torch.linalg.eigh(side)
            values_S = values_S.clamp(min=0)
        mean = values_S.mean().clamp(min=torch.finfo(values_S.dtype).tiny)
        lengths_S = (values_S / mean + DAMPING) ** (-POWER / 2)
        map_ = lengths_S if vectors_SS is None else vectors_SS * lengths_S
        return cls(map_, values_S, values_S / lengths_S.square())

    def enter(self, rows_KS: Tensor) -> Tensor:
        """Return what rows of weights, or of gradients by them, are in coordinates: times T."""
        return rows_KS * self.map if self.map.dim() == 1 else rows_KS @ self.map

    def leave(self, rows_KS: Tensor) -> Tensor:
        """Return what rows of coordinates are in weights: times T'."""
        return rows_KS * self.map if self.map.dim() == 1 else rows_KS @ self.map.t()


@dataclass(frozen=True)
class _Layer:
    """An adapter's factors in a layer, and the coordinates of its sides."""

    down: nn.Parameter
    up: nn.Parameter
    scale: float
    inputs: _Side
    outputs: _Side

    def turn_gradients(self, weight: float) -> Tensor:
        """Turn gradients by weights into those by coordinates, with the penalty's; return its value."""
        factor = weight * self.scale**2
        down_RI, down_gradient_RI = self.inputs.enter(_with_gradient(self.down)).chunk(2)
        up_RO, up_gradient_RO = self.outputs.enter(_with_gradient(self.up, is_up=True)).chunk(2)
        down_RR = (down_RI * self.inputs.by_length_S) @ down_RI.t()
        up_RR = (up_RO * self.outputs.by_length_S) @ up_RO.t()
        down_gradient_RI = torch.addmm(
            down_gradient_RI, up_RR, down_RI * self.inputs.curvature_S, alpha=factor
        )
        up_gradient_RO = torch.addmm(
            up_gradient_RO, down_RR, up_RO * self.outputs.curvature_S, alpha=factor
        )
        self.down.grad = down_gradient_RI.to(self.down.dtype)
        self.up.grad = up_gradient_RO.t().to(self.up.dtype).contiguous()
        return 0.5 * factor * (down_RR * up_RR).sum()


class CurvaturePreconditioner:
    """Takes the optimizer's steps of LoRA factors in coordinates of their layers' curvature, under its penalty.

    It has no state of its own: an optimizer without weight decay adds a step that does not depend on
    where it is, so a step in coordinates is one in weights, and only the optimizer's moments are of coordinates.
    Layers without such factors, or without a known curvature, are stepped as they are.
    """

    def __init__(self, network: nn.Module, curvature: Curvature, *, weight: float) -> None:
        """Find the factors in `network`.

        Args:
            network: with its adapter.
            curvature: of what is held on to.
            weight: the factor of the penalty.
        """
        self._weight = weight
        found = [
            _layer_of(network.get_submodule(name), curvature[name]) for name in sorted(curvature)
        ]
        self._layers = [one for one in found if one is not None]

    @property
    def layers(self) -> int:
        """How many layers are stepped in coordinates."""
        return len(self._layers)

    @torch.no_grad()
    def begin(self) -> None:
        """Let the first weights of every A, drawn as numbers of one size, be coordinates; B begins at zero."""
        for one in self._layers:
            one.down.copy_(one.inputs.leave(one.down))

    @torch.no_grad()
    def turn_gradients(self) -> float:
        """Turn gradients into those of the coordinates, add the penalty's, and return its value in nats."""
        parts = [one.turn_gradients(self._weight) for one in self._layers]
        # read once for all layers: to read a number makes the host wait for an accelerator
        return float(torch.stack(parts).sum()) if parts else 0.0

    @torch.no_grad()
    def step(self, take: Callable[[], object]) -> None:
        """Let an optimizer step in coordinates, and add what it did to the weights.

        Args:
            take: the optimizer's step on the gradients as they are now.
        """
        factors = [(one.down, one.up) for one in self._layers]
        before = [(down.data, up.data) for down, up in factors]
        for down, up in factors:
            down.data, up.data = torch.zeros_like(down.data), torch.zeros_like(up.data)
        take()
        for one, (down, up) in zip(self._layers, before, strict=True):
            down.add_(one.inputs.leave(one.down.data))
            up.add_(one.outputs.leave(one.up.data.t()).t())
            one.down.data, one.up.data = down, up


def _layer_of(layer: nn.Module, curvature: LayerCurvature) -> _Layer | None:
    """Return the factors of an adapter whose update is scale * B A; None where there is no such adapter."""
    if not isinstance(layer, LoraLayer):
        return None
    names = list(layer.active_adapters)
    if len(names) != 1 or names[0] not in layer.lora_A or names[0] in layer.lora_variant:
        return None
    down, up = (cast(nn.Parameter, each[names[0]].weight) for each in (layer.lora_A, layer.lora_B))
    inputs, outputs = (
        _Side.of(side.to(down.device)) for side in (curvature.inputs, curvature.outputs)
    )
    return _Layer(down, up, layer.scaling[names[0]], inputs, outputs)


def _with_gradient(factor: nn.Parameter, *, is_up: bool = False) -> Tensor:
    """Return the rows of a factor with those of its gradient below, [2R, S]."""
    gradient = torch.zeros_like(factor) if factor.grad is None else factor.grad
    parts = (factor.t(), gradient.t()) if is_up else (factor, gradient)
    return torch.cat(parts).float()
