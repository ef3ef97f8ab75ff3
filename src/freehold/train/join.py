# pyright: standard
"""Two LoRA adapters as one: its update is exactly the sum of both, for a model that learns in stages.

A later stage trains a fresh adapter on the base with the earlier one. B1 A1 + B2 A2 = [B1 B2] [A1; A2],
so nothing is lost, the rank adds up, and the base stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig
from safetensors.torch import load_file
from torch import Tensor

from freehold.core.errors import ModelError
from freehold.models.sources import ADAPTER_CONFIG, ADAPTER_WEIGHTS, PROVENANCE, read_json
from freehold.train.adapters import Provenance, write_adapter

_DOWN = ".lora_A.weight"
_UP = ".lora_B.weight"
_INNER = "base_model.model."


@dataclass(frozen=True)
class _Update:
    """An adapter's update by layer: A, and B with the adapter's own scale in it."""

    down_RI: Mapping[str, Tensor]
    up_OR: Mapping[str, Tensor]
    config: Mapping[str, object]


def join_lora(first: Path, second: Path, folder: Path) -> None:
    """Write one LoRA adapter to `folder` whose update is the sum of those of `first` and `second`.

    A layer that only one of them changes is changed as there. The scales, alpha / r or
    alpha / sqrt(r), are folded into B, so that the joined adapter has the scale 1. It belongs to the
    base of `first`.

    Raises:
        ModelError: one of them is no plain LoRA adapter, or a layer differs in size.
        MachineError: no space is left.
    """
    parts = (_read(first), _read(second))
    layers = sorted({layer for part in parts for layer in part.down_RI})
    tensors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for layer in layers:
        holders = [part for part in parts if layer in part.down_RI]
        _check_sizes(layer, holders, second)
        down_RI = torch.cat([part.down_RI[layer] for part in holders])
        tensors[layer + _DOWN] = down_RI
        tensors[layer + _UP] = torch.cat([part.up_OR[layer] for part in holders], dim=1)
        ranks[layer.removeprefix(_INNER)] = len(down_RI)
    most = max(ranks.values())
    uneven = {layer: rank for layer, rank in ranks.items() if rank != most}
    config = LoraConfig(
        r=most,
        lora_alpha=most,
        rank_pattern=uneven,
        alpha_pattern=dict(uneven),
        target_modules=sorted({layer.rpartition(".")[2] for layer in layers}),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    write_adapter(folder, tensors, config.to_dict(), provenance=_provenance(first, parts[0]))


def _read(folder: Path) -> _Update:
    config = read_json(folder / ADAPTER_CONFIG)
    reason = _not_plain(config)
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    others = [name for name in tensors if not name.endswith((_DOWN, _UP))]
    if others and not reason:
        reason = f"it holds {others[0]}"
    if reason:
        raise ModelError(
            "TRN-026",
            f"the adapter {folder} cannot be joined with another: {reason}",
            help="train the stages with kind: lora, rslora or osf",
        )
    down = {name.removesuffix(_DOWN): t for name, t in tensors.items() if name.endswith(_DOWN)}
    up = {name.removesuffix(_UP): t for name, t in tensors.items() if name.endswith(_UP)}
    sized = {layer: up[layer] * _size(config, layer, len(down[layer])) for layer in down}
    return _Update(down_RI=down, up_OR=sized, config=config)


def _not_plain(config: Mapping[str, object]) -> str:
    if config.get("peft_type") != "LORA":
        return f"it is of the kind {config.get('peft_type')}"
    if config.get("use_dora"):
        return "the lengths of a DoRA adapter do not add up"
    if config.get("bias") not in (None, "none"):
        return "it changes biases"
    return ""


def _size(config: Mapping[str, object], layer: str, rank: int) -> float:
    """Return the factor of an adapter's update in one layer."""
    patterns = cast("Mapping[str, float]", config.get("alpha_pattern") or {})
    alpha = patterns.get(layer.removeprefix(_INNER), config["lora_alpha"])
    root = rank**0.5 if config.get("use_rslora") else rank
    return float(cast(Any, alpha)) / root


def _check_sizes(layer: str, holders: list[_Update], folder: Path) -> None:
    sizes = {(part.down_RI[layer].shape[1], part.up_OR[layer].shape[0]) for part in holders}
    if len(sizes) > 1:
        raise ModelError(
            "TRN-026",
            f"the adapter {folder} has another size in {layer} than the one that it is joined with",
            help="join adapters of one base model",
        )


def _provenance(folder: Path, part: _Update) -> Provenance:
    file = folder / PROVENANCE
    noted = read_json(file) if file.is_file() else {}
    digest = noted.get("base_digest")
    return Provenance(
        kind="qlora" if noted.get("bits") == 4 else "lora",
        base=str(noted.get("base") or part.config.get("base_model_name_or_path") or ""),
        digest=None if digest is None else str(digest),
        bits=4 if noted.get("bits") == 4 else 16,
    )
