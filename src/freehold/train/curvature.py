# pyright: standard
"""What each layer's weights mean to general prompts, as a curvature, and the penalty that it gives an update.

When the weight of a layer moves by D, the divergence from the base on general prompts grows by about

    KL(base || base + D) ~ 1/2 tr(G D A D')        per token, summed over the layers

A: second moment of the layer's inputs, G: of the gradients of -log p(y) at its outputs, with y drawn from
the base's own distribution (K-FAC: Martens and Grosse 2015, arXiv:1503.05671; as a penalty on forgetting:
Ritter, Botev and Barber 2018, arXiv:1805.07810). Replay shows a step a few general rows; this shows it all
of them at the price of a product of small matrices. It knows nothing of rows once it is made.

Shapes: N positions, I inputs and O outputs of a layer, R rank, S a side of a layer (I or O).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from freehold.train.adapters import linear_layers
from freehold.train.batching import longest_first
from freehold.train.checkpoint import write_whole
from freehold.train.objectives import LOGIT_CELLS, collate, logits_where_loss_is
from freehold.train.processes import joined_shards, laid_out_as, whole
from freehold.train.rows import TokenRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MOST_SIDE = 1024
"""A wider side of a layer keeps the diagonal alone: a whole one of 14,336 inputs would be 800 MB."""
ROWS = 1024
"""Rows that a curvature is measured on."""


@dataclass(frozen=True)
class LayerCurvature:
    """The two sides of a layer's curvature: [S, S], or [S] where the side is wide."""

    inputs: Tensor
    outputs: Tensor


Curvature = Mapping[str, LayerCurvature]
"""By name of the layer."""


def curvature_bytes(network: nn.Module, layers: Collection[str], *, moves_weights: bool) -> int:
    """Return the bytes that a curvature of these layers takes while it is a penalty, from shapes alone.

    Where the weights themselves move, a copy of where they began is held besides; where an adapter does, maps as
    large as the sides (`preconditioner`).
    """
    total = 0
    for layer in linear_layers(network, layers).values():
        sides = (layer.in_features, layer.out_features)
        held = sum(4 * size * (size if size <= MOST_SIDE else 1) for size in sides)
        total += held + (layer.weight.nbytes if moves_weights else held)
    return total


def curvature(
    network: PreTrainedModel,
    rows: Sequence[TokenRow],
    *,
    layers: Collection[str] | None = None,
    batch_tokens: int,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Curvature:
    """Return the curvature of a network as it is, on the positions of rows that carry loss.

    Args:
        network: untrained or trained, without an adapter. It is as it was afterwards.
        rows: general prompts with answers, or rows of a domain; the first `ROWS` are read.
        layers: last names of the layers; None: every linear layer but the head.
        batch_tokens: padded tokens that pass the network together; fewer where the vocabulary is large.
        seed: of the tokens that are drawn.
        on_progress: told the rows that are done, and all.
    """
    vocabulary = int(network.config.get_text_config().vocab_size)
    batch_tokens = min(batch_tokens, max(1, LOGIT_CELLS // vocabulary))
    sums = {
        name: _Sums(layer, network.device) for name, layer in linear_layers(network, layers).items()
    }
    generator = torch.Generator(network.device).manual_seed(seed)
    some, units, done = rows[:ROWS], 0, 0
    with torch.enable_grad(), _listening(network, sums):
        for indices in longest_first([len(row.ids) for row in some], batch_tokens):
            batch = collate([some[i] for i in indices], [""] * len(indices), network.device)
            logprobs_NV = torch.log_softmax(logits_where_loss_is(network, batch), dim=-1)
            drawn_N1 = torch.multinomial(logprobs_NV.detach().exp(), 1, generator=generator)
            (-logprobs_NV.gather(1, drawn_N1).sum()).backward()
            units += batch.units
            done += len(batch.tokens_BT)
            on_progress(done, len(some))
    return {name: one.over(units) for name, one in sums.items()}


def joined(curvatures: Sequence[Curvature]) -> Curvature:
    """Return one curvature for several (general prompts, past domains) on the same layers.

    Outputs are added and inputs averaged, which is exact where all have the same inputs (the sums of factors of
    Ritter, Botev and Barber 2018, arXiv:1805.07810); a layer that one of them lacks counts there as zero.
    """
    found: dict[str, LayerCurvature] = {}
    for each in curvatures:
        for name, sides in each.items():
            inputs = sides.inputs / len(curvatures)
            before = found.get(name)
            found[name] = (
                LayerCurvature(inputs, sides.outputs)
                if before is None
                else LayerCurvature(before.inputs + inputs, before.outputs + sides.outputs)
            )
    return found


def kept_curvature(file: Path, make: Callable[[], Curvature]) -> Curvature:
    """Return the curvature in a file; where there is none that can be read, it is made and written there.

    Raises:
        MachineError: no space is left.
    """
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError):
        made = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        parts = {f"inputs/{name}": sides.inputs for name, sides in made.items()}
        parts |= {f"outputs/{name}": sides.outputs for name, sides in made.items()}
        write_whole(file, save({name: part.cpu().contiguous() for name, part in parts.items()}))
        return made
    names = [name.removeprefix("inputs/") for name in tensors if name.startswith("inputs/")]
    return {
        name: LayerCurvature(tensors[f"inputs/{name}"], tensors[f"outputs/{name}"])
        for name in names
    }


@dataclass
class _Sums:
    """Sums of outer products of one layer, over the positions that reach the loss."""

    layer: nn.Linear
    device: torch.device
    positions: int = 0
    inputs: Tensor = field(init=False)
    outputs: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.inputs = _empty_side(self.layer.in_features, self.device)
        self.outputs = _empty_side(self.layer.out_features, self.device)

    def see(self, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Take the inputs of a pass, and wait for the gradient at its output."""
        output.register_hook(partial(self.feel, inputs[0].detach().flatten(0, -2)))

    def feel(self, inputs_NI: Tensor, gradient: Tensor) -> None:
        """Add what the pass says; a position without gradient is padding, or nothing follows from it."""
        gradient_NO = gradient.flatten(0, -2)
        is_felt_N = gradient_NO.abs().amax(1) > 0
        self.positions += int(is_felt_N.sum())
        _add_outer(self.inputs, inputs_NI[is_felt_N].float())
        _add_outer(self.outputs, gradient_NO[is_felt_N].float())

    def over(self, units: int) -> LayerCurvature:
        """Return the inputs as a mean over positions, the gradients as a sum per position with loss."""
        return LayerCurvature(
            inputs=self.inputs / max(self.positions, 1), outputs=self.outputs / max(units, 1)
        )


def _empty_side(size: int, device: torch.device) -> Tensor:
    return torch.zeros((size, size) if size <= MOST_SIDE else (size,), device=device)


def _add_outer(total: Tensor, rows_NS: Tensor) -> None:
    if total.dim() == 2:
        total.addmm_(rows_NS.t(), rows_NS)
    else:
        total.add_(rows_NS.square().sum(0))


@contextmanager
def _listening(network: PreTrainedModel, sums: Mapping[str, _Sums]) -> Iterator[None]:
    """Let every layer tell its inputs and gradients; no weight gets a gradient."""
    trained = [p for p in network.parameters() if p.requires_grad]
    embedding = cast(nn.Module, network.get_input_embeddings())

    def begin(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return output.requires_grad_()

    for parameter in trained:
        parameter.requires_grad_(False)
    hooks = [embedding.register_forward_hook(begin)]
    hooks += [one.layer.register_forward_hook(one.see) for one in sums.values()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for parameter in trained:
            parameter.requires_grad_(True)


class CurvaturePenalty:
    """weight * 1/2 tr(G D A D') of weights that are trained themselves, D being how far each has moved.

    An adapter's update has the same penalty in other coordinates (`preconditioner`); what is neither (DoRA, IA3,
    OSF) has no such D and is left to replay.
    """

    def __init__(self, network: nn.Module, curvature: Curvature, *, weight: float) -> None:
        """Find what is trained in `network`, and keep where it begins."""
        self.weight = weight
        # in one order on all processes, as shards are joined layer by layer
        self._layers = {
            name: layer
            for name in sorted(curvature)
            for layer in [network.get_submodule(name)]
            if isinstance(layer, nn.Linear) and layer.weight.requires_grad
        }
        self._sides = {
            name: LayerCurvature(
                curvature[name].inputs.to(layer.weight.device),
                curvature[name].outputs.to(layer.weight.device),
            )
            for name, layer in self._layers.items()
        }
        self._origins = {
            name: whole(layer.weight).to(layer.weight.device)
            for name, layer in self._layers.items()
        }

    @property
    def layers(self) -> int:
        """How many layers it holds."""
        return len(self._layers)

    @torch.no_grad()
    def add_gradients(self) -> float:
        """Add the gradients of the penalty to those of the parameters, and return its value in nats."""
        parts = [self._add_to_weight(name, layer) for name, layer in self._layers.items()]
        # read once for all layers: to read a number makes the host wait for an accelerator
        return self.weight * float(torch.stack(parts).sum()) if parts else 0.0

    def _add_to_weight(self, name: str, layer: nn.Linear) -> Tensor:
        weight, sides = cast(nn.Parameter, layer.weight), self._sides[name]
        now_OI = joined_shards(weight) if isinstance(weight, DTensor) else weight
        moved_OI = (now_OI - self._origins[name]).float()
        gradient_OI = _times(sides.outputs, _times(sides.inputs, moved_OI.t()).t())
        _add_gradient(weight, self.weight * gradient_OI)
        return 0.5 * (gradient_OI * moved_OI).sum()


def _times(side: Tensor, matrix_SK: Tensor) -> Tensor:
    """Return side @ matrix; a side of one dimension is a diagonal."""
    return side @ matrix_SK if side.dim() == 2 else side[:, None] * matrix_SK


def _add_gradient(parameter: nn.Parameter, gradient: Tensor) -> None:
    own = laid_out_as(parameter, gradient.to(parameter.dtype))
    if parameter.grad is None:
        parameter.grad = own
    elif isinstance(own, DTensor):
        cast(DTensor, parameter.grad).to_local().add_(own.to_local())
    else:
        parameter.grad.add_(own)
