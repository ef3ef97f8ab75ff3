# pyright: standard
"""The size of a finished update: the network anywhere on the line from the base to what was trained.

theta(s) = theta_0 + s (theta - theta_0), Wortsman et al. 2022 (WiSE-FT), arXiv:2109.01903. For LoRA
that is the adapter's scale, for IA3 1 + s (l - 1), and a DoRA adapter at a scale is a DoRA adapter again
(see `_dora_at`), so that every one of these is saved as an adapter of its own kind, without its base.

Where the network is in float32, weights are merged, as in loading, and interpolated: no adapter
slows the answers down. Narrower weights would round a small update away; there, and in 4 bits, the
adapter stays beside them, and its own tensors are replaced.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import torch
from peft import PeftModel, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import PreTrainedModel

from freehold.core.errors import ModelError
from freehold.core.record import digest_json
from freehold.models.loading import put_adapter
from freehold.models.local import LocalModel
from freehold.models.prefix import attach_prefix, prefix_places
from freehold.models.quiet import quiet_transformers
from freehold.models.sources import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    PROVENANCE,
    ModelFiles,
    file_sha256,
    read_json,
    weight_files,
)
from freehold.train.adapters import write_model
from freehold.train.checkpoint import write_whole

Tensors: TypeAlias = Mapping[str, Tensor]
_TINY = 1e-6


class Mover(Protocol):
    """Moves a network along the line, and puts it back."""

    def move(self, scale: float) -> None:
        """Make the network theta(scale)."""
        ...

    def undo(self) -> None:
        """Make the network what it was, bit for bit."""
        ...


class AtScale(LocalModel):
    """The base with the update at one size. It reads the base's own network and copies nothing.

    It is valid until another size is asked for; after that it raises instead of answering for another.
    """

    def __init__(self, base: LocalModel, *, name: str, digest: str) -> None:
        network = base.loaded.network
        context = base.loaded.context_tokens - prefix_places(network.module)
        super().__init__(
            base.files,
            replace(base.loaded, context_tokens=context),
            clock=time.perf_counter,
        )
        self.name = name
        self._own_digest = digest

    @property
    def digest(self) -> str:
        """The name of these weights: the base's, the update's, and the scale."""
        return self._own_digest


class Scaled:
    """A finished update on a base: `at(scale)` to ask it, `save(scale, folder)` to keep it.

    Attributes:
        is_continuous: whether there is anything between 0 and 1. A prefix is there or it is not.
    """

    def __init__(
        self, base: LocalModel, folder: Path, mover: Mover, *, is_continuous: bool
    ) -> None:
        self.is_continuous = is_continuous
        self._base = base
        self._folder = folder
        self._mover = mover
        self._update_digest = _digest_of(folder)
        self._view: AtScale | None = None

    def at(self, scale: float) -> LocalModel:
        """Return the model at theta_0 + scale (theta - theta_0); the one returned before ends.

        0 is the base and 1 what was trained, both exactly.

        Raises:
            ValueError: the scale is negative or no number, or the update is whole and it is neither 0 nor 1.
        """
        self._check(scale)
        self.end_view()
        self._mover.move(scale)
        self._view = AtScale(
            self._base,
            name=f"{self._base.name} + {self._folder.name} x {scale:g}",
            digest=digest_json("scaled", [self._base.digest, self._update_digest, scale]),
        )
        return self._view

    def save(self, scale: float, folder: Path) -> None:
        """Write a folder that loads and answers as `at(scale)` did, of the kind that the update has.

        LoRA has the scale in its B factors, so that every engine agrees; whole weights are written whole.

        Raises:
            ValueError: as in `at`.
            MachineError: no space is left.
        """
        self._check(scale)
        if scale == 1:
            _copy(self._folder, folder)
        elif (self._folder / ADAPTER_CONFIG).is_file():
            network = self._base.loaded.network.module
            _save_adapter(
                self._folder, folder, scale, weight_of=_base_weights(network, self._mover)
            )
        else:
            self.end_view()
            self._mover.move(scale)
            network = self._base.loaded.network.module
            write_model(network, folder, kind=network.dtype, tokenizer=self._base.files.folder)
            _note_scale(self._folder, folder, scale)

    def end_view(self) -> None:
        """End the model that was returned last: it would speak for other weights."""
        if self._view is not None:
            del self._view.loaded
            self._view = None

    def _check(self, scale: float) -> None:
        if not 0 <= scale < float("inf"):
            raise ValueError(f"the scale is {scale}; it is 0 or more")
        if not self.is_continuous and scale not in (0, 1):
            raise ValueError(f"the scale is {scale}; a prefix is whole (1) or absent (0)")


@contextmanager
def scaled(base: LocalModel, folder: Path) -> Iterator[Scaled]:
    """Open a finished update on its base, and leave the base bit for bit as it was.

    Memory: in float32 two further copies of what the update changes, in narrower types the adapter alone
    (for whole weights, both ends in main memory).

    Args:
        base: the model that the update was trained on; nobody else may use it meanwhile.
        folder: what a training left: a PEFT folder, or a whole model.

    Raises:
        ModelError: the folder does not fit the base.
    """
    network = base.loaded.network.module
    mover, is_continuous = _mover(network, base.files, folder)
    opened = Scaled(base, folder, mover, is_continuous=is_continuous)
    try:
        yield opened
    finally:
        opened.end_view()
        mover.undo()


def _mover(network: PreTrainedModel, files: ModelFiles, folder: Path) -> tuple[Mover, bool]:
    if not (folder / ADAPTER_CONFIG).is_file():
        return Line(network, *_ends_of_whole(network, folder)), True
    model = put_adapter(network, files.with_adapter(folder))
    if model.active_peft_config.is_prompt_learning:
        return Switch(network, model), False
    if network.dtype == torch.float32:
        return Line(network, *_ends_of_merge(model)), True
    return BesideWeights(model, load_file(folder / ADAPTER_WEIGHTS)), True


@dataclass(frozen=True)
class Line:
    """Interpolates weights between two ends by name. `first` are the network's own tensors."""

    network: PreTrainedModel
    first: Tensors
    last: Tensors

    def move(self, scale: float) -> None:
        """Set every weight; at the ends it is the end itself."""
        with (
            torch.no_grad()
        ):  # and not through `data`: whoever keeps a form of a weight must see it move
            for name, parameter in self.network.named_parameters():
                if name in self.first:
                    parameter.copy_(self._weight(name, scale, parameter.device))

    def undo(self) -> None:
        """Give every weight its own tensor back."""
        for name, parameter in self.network.named_parameters():
            if name in self.first:
                parameter.data = self.first[name].to(parameter.device)

    def _weight(self, name: str, scale: float, device: torch.device) -> Tensor:
        first, last = self.first[name], self.last[name]
        if scale in (0, 1):
            return last if scale else first
        return torch.lerp(first.to(device).float(), last.to(device).float(), scale)


class Switch:
    """A prefix: there or not."""

    def __init__(self, network: PreTrainedModel, model: PeftModel) -> None:
        self._network = network
        self._model = model
        self._detach: Callable[[], None] | None = None

    def move(self, scale: float) -> None:
        """Put the prefix in front, or take it away."""
        self.undo()
        if scale:
            self._detach = attach_prefix(self._network, self._model)

    def undo(self) -> None:
        """Take the prefix away."""
        if self._detach is not None:
            self._detach()
        self._detach = None


@dataclass(frozen=True)
class BesideWeights:
    """An adapter beside weights that are left alone: its tensors are replaced."""

    model: PeftModel
    tensors: Tensors

    def move(self, scale: float) -> None:
        """Set the adapter's tensors; at 0 it is switched off."""
        tuner = cast(Any, self.model.base_model)
        if not scale:
            tuner.disable_adapter_layers()
            return
        tuner.enable_adapter_layers()
        config = self.model.peft_config["default"].to_dict()
        layers = dict(self.model.named_modules())

        def weight_of(name: str) -> Tensor:
            return _plain_weight(cast(BaseTunerLayer, layers[name]).get_base_layer())

        tensors = rescaled(self.tensors, config, scale, weight_of=weight_of)
        set_peft_model_state_dict(self.model, dict(tensors))

    def undo(self) -> None:
        """Take the adapter out."""
        self.model.unload()  # pyright: ignore[reportCallIssue]


def rescaled(
    tensors: Tensors,
    config: Mapping[str, Any],
    scale: float,
    *,
    weight_of: Callable[[str], Tensor],
) -> dict[str, Tensor]:
    """Return an adapter's tensors such that its update is `scale` times what it was.

    Args:
        tensors: by the names of a PEFT folder.
        config: of the adapter.
        scale: 1 changes nothing.
        weight_of: from the name of a layer to the base's weight; DoRA needs it.
    """
    if config["peft_type"] == "IA3":
        return {name: 1 + scale * (tensor - 1) for name, tensor in tensors.items()}
    if not config.get("use_dora"):
        return {
            name: tensor * scale if ".lora_B." in name else tensor
            for name, tensor in tensors.items()
        }
    moved = dict(tensors)
    suffix = ".lora_magnitude_vector"
    for name in [name for name in tensors if suffix in name]:
        layer = name.partition(suffix)[0]
        up, down = f"{layer}.lora_B.weight", f"{layer}.lora_A.weight"
        moved[up], moved[name] = _dora_at(
            scale,
            weight_OI=weight_of(layer).float().cpu(),
            factors=(tensors[up].float(), tensors[down].float()),
            size=_lora_size(config, rank=len(tensors[down])),
            magnitude_O=tensors[name].float(),
        )
    return moved


def _dora_at(
    scale: float,
    *,
    weight_OI: Tensor,
    factors: tuple[Tensor, Tensor],
    size: float,
    magnitude_O: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return B' and m' of the DoRA adapter that stands at `scale` between W and the trained weight.

    With g = m / |W + size B A| row by row, W(s) = (1 - s + s g) W + s g size B A. That is c (W + size B' A)
    with c = 1 - s + s g and B' = (s g / c) B, and a DoRA weight with m' = c |W + size B' A|.
    """
    up_OR, down_RI = factors
    gain_O = magnitude_O / torch.linalg.norm(weight_OI + size * up_OR @ down_RI, dim=1)
    both_O = 1 - scale + scale * gain_O
    both_O = torch.where(both_O.abs() < _TINY, torch.full_like(both_O, _TINY), both_O)
    moved_OR = (scale * gain_O / both_O)[:, None] * up_OR
    length_O = torch.linalg.norm(weight_OI + size * moved_OR @ down_RI, dim=1)
    return moved_OR, both_O * length_O


def _lora_size(config: Mapping[str, Any], *, rank: int) -> float:
    alpha = float(config["lora_alpha"])
    return alpha / rank**0.5 if config.get("use_rslora") else alpha / rank


def _ends_of_merge(model: PeftModel) -> tuple[Tensors, Tensors]:
    """Merge the adapter; return the changed weights before and after, by their names in the network."""
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    kept: dict[int, Tensor] = {}
    for layer in layers:
        for parameter in layer.get_base_layer().parameters():
            kept[id(parameter)] = parameter.data
            parameter.data = parameter.data.clone()
    network = cast(PreTrainedModel, cast(Any, model).merge_and_unload())
    named = {name: p for name, p in network.named_parameters() if id(p) in kept}
    first = {name: kept[id(parameter)] for name, parameter in named.items()}
    return first, {name: parameter.data.clone() for name, parameter in named.items()}


def _ends_of_whole(network: PreTrainedModel, folder: Path) -> tuple[Tensors, Tensors]:
    """Read the trained weights; return both ends in main memory, by their names in the network."""
    with quiet_transformers():
        trained = type(network).from_pretrained(
            folder, dtype=network.dtype, local_files_only=True, use_safetensors=True
        )
    last = {name: parameter.data for name, parameter in trained.named_parameters()}
    first = {name: parameter.data for name, parameter in network.named_parameters()}
    shapes = [{name: tensor.shape for name, tensor in end.items()} for end in (first, last)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            "MDL-021",
            f"the weights in {folder} have other names or shapes than those of the base",
            help="name the base model that they were trained from",
        )
    for name, parameter in network.named_parameters():
        parameter.data = parameter.data.clone()
        first[name] = first[name].to("cpu")
    return first, last


def _plain_weight(layer: torch.nn.Module) -> Tensor:
    from peft.utils.integrations import dequantize_module_weight

    return dequantize_module_weight(layer)


def _base_weights(network: PreTrainedModel, mover: Mover) -> Callable[[str], Tensor]:
    """Return where the base's weight of an adapted layer is found, by its name in a PEFT folder."""
    modules = dict(network.named_modules())

    def weight_of(layer: str) -> Tensor:
        name = layer.removeprefix("base_model.model.")
        if isinstance(mover, Line):
            return mover.first[f"{name}.weight"]
        module = modules[name]
        plain = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
        return _plain_weight(plain)

    return weight_of


def _save_adapter(
    source: Path, folder: Path, scale: float, *, weight_of: Callable[[str], Tensor]
) -> None:
    tensors = load_file(source / ADAPTER_WEIGHTS)
    config = read_json(source / ADAPTER_CONFIG)
    moved = rescaled(tensors, config, scale, weight_of=weight_of)
    whole = {name: tensor.contiguous() for name, tensor in moved.items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / ADAPTER_WEIGHTS, save(whole, metadata={"format": "pt"}))
    _note_scale(source, folder, scale)
    write_whole(folder / ADAPTER_CONFIG, (source / ADAPTER_CONFIG).read_bytes())


def _note_scale(source: Path, folder: Path, scale: float) -> None:
    if (source / PROVENANCE).is_file():
        noted = read_json(source / PROVENANCE) | {"scale": scale}
        text = json.dumps(noted, indent=2, sort_keys=True) + "\n"
        write_whole(folder / PROVENANCE, text.encode())


def _copy(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    last = (ADAPTER_CONFIG, "config.json")
    for file in sorted(source.iterdir(), key=lambda file: file.name in last):
        if file.is_file():
            shutil.copyfile(file, folder / file.name)


def _digest_of(folder: Path) -> str:
    is_adapter = (folder / ADAPTER_CONFIG).is_file()
    files = (
        [folder / ADAPTER_CONFIG, folder / ADAPTER_WEIGHTS]
        if is_adapter
        else [folder / "config.json", *weight_files(folder)]
    )
    return digest_json("update", {file.name: file_sha256(file) for file in files})
