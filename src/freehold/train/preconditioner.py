# pyright: standard
"""Steps of an adapter in coordinates where general prompts feel every direction about alike.

Adam sizes the step of each coordinate by itself, whatever the coordinates are. In those of the weights a step
that teaches the task also moves what general prompts depend on, and the penalty of `curvature` then has to
pull it back. Here both factors of an adapter's update D = scale * B A are moved in other coordinates,

    A = Z_A T_in'      B = T_out Z_B      T = Q (L / mean(L) + DAMPING) ^ (-POWER / 2)

with Q L Q' the eigendecomposition of the curvature's side: of the layer's inputs, and of the gradients at its
outputs. Directions that general prompts hardly use are long in weights and short in coordinates, so that
the same steps learn more of the task for less divergence. It is K-FAC's preconditioning (Martens and Grosse
2015, arXiv:1503.05671; half of its power) by the curvature of what is to be kept instead of what is
learnt, with Adam in the eigenbasis as in SOAP (Vyas et al. 2024, arXiv:2409.11321).

Shapes: I inputs and O outputs of a layer, R rank, S a side of a layer (I or O).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from freehold.train.curvature import Curvature, lora_factors

POWER = 0.5
DAMPING = 0.1
"""Directions without any curvature are so long as those with this share of the mean."""


@dataclass(frozen=True)
class _Factor:
    """A factor of an adapter, and the map of its side: [S, S], or [S] of a diagonal."""

    parameter: nn.Parameter
    map: Tensor
    is_down: bool

    def gradient(self, gradient: Tensor) -> Tensor:
        """Return a gradient by weights as one by coordinates."""
        if self.map.dim() == 1:
            return gradient * (self.map if self.is_down else self.map[:, None])
        return gradient @ self.map if self.is_down else self.map.t() @ gradient

    def move(self, step: Tensor) -> Tensor:
        """Return a step in coordinates as one in weights."""
        if self.map.dim() == 1:
            return step * (self.map if self.is_down else self.map[:, None])
        return step @ self.map.t() if self.is_down else self.map @ step


class CurvaturePreconditioner:
    """Takes the optimizer's steps of LoRA factors in coordinates of their layers' curvature.

    It has no state of its own: an optimizer without weight decay adds a step that does not depend on
    where it is, so a step in coordinates is one in weights, and only the optimizer's moments are of coordinates.
    Layers without such factors, or without a known curvature, are stepped as they are.
    """

    def __init__(self, network: nn.Module, curvatures: Sequence[Curvature]) -> None:
        """Find the factors in `network`; of several curvatures (general, past domains) sides are added."""
        names = sorted({name for each in curvatures for name in each})
        self._factors: list[_Factor] = []
        for name in names:
            factors = lora_factors(network.get_submodule(name))
            if factors is None:
                continue
            down, up = factors
            sides = [each[name] for each in curvatures if name in each]
            self._factors.append(
                _Factor(down, _map_of([s.inputs for s in sides], down), is_down=True)
            )
            self._factors.append(
                _Factor(up, _map_of([s.outputs for s in sides], up), is_down=False)
            )
        self._weights: list[Tensor] = []

    @property
    def factors(self) -> int:
        """How many tensors are stepped in coordinates."""
        return len(self._factors)

    @torch.no_grad()
    def begin(self) -> None:
        """Let the first weights of every A, drawn as numbers of one size, be coordinates; B begins at zero."""
        for one in self._factors:
            one.parameter.copy_(one.move(one.parameter))

    @torch.no_grad()
    def enter(self) -> None:
        """Turn gradients into those of the coordinates, and put the weights aside: each becomes its step."""
        self._weights = [one.parameter.data for one in self._factors]
        for one in self._factors:
            gradient = one.parameter.grad
            if gradient is not None:
                one.parameter.grad = one.gradient(gradient)
            one.parameter.data = torch.zeros_like(one.parameter.data)

    @torch.no_grad()
    def leave(self) -> None:
        """Add the steps that the optimizer took to the weights."""
        for one, weight in zip(self._factors, self._weights, strict=True):
            weight.add_(one.move(one.parameter.data))
            one.parameter.data = weight
        self._weights = []


def _map_of(sides: Sequence[Tensor], parameter: nn.Parameter) -> Tensor:
    side = torch.stack([one.to(parameter.device) for one in sides]).sum(0)
    if side.dim() == 1:
        return _lengths(side)
    values_S, vectors_SS = torch.linalg.eigh(side)
    return vectors_SS * _lengths(values_S.clamp(min=0))


def _lengths(curvature_S: Tensor) -> Tensor:
    """Return how long a step of one is in each direction; one of mean curvature is about as long."""
    mean = curvature_S.mean().clamp(min=torch.finfo(curvature_S.dtype).tiny)
    return (curvature_S / mean + DAMPING) ** (-POWER / 2)
