# pyright: standard
"""What is trained: functions that make a network trainable in one way, in one mapping; saving and undoing.

PEFT makes, names, saves and loads the weights of every kind but `full`. What is trained is what has
`requires_grad` in the network; whoever calls the network or its decoder meets the tuned one.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import torch
from peft import (
    IA3Config,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PrefixTuningConfig,
    get_peft_model,
    get_peft_model_state_dict,
)
from peft.tuners.osf import OSFConfig
from peft.tuners.osf.layer import OSFLayer
from pydantic import JsonValue
from safetensors.torch import save
from torch import Tensor, nn
from transformers import PreTrainedModel

from freehold.core.errors import ModelError
from freehold.core.sections import TunedKind, TuneSpec
from freehold.models.prefix import attach_prefix
from freehold.models.quiet import quiet_transformers
from freehold.models.sources import ADAPTER_CONFIG, ADAPTER_WEIGHTS, PROVENANCE, TOKENIZER_FILES
from freehold.train.checkpoint import write_whole
from freehold.train.quick_linear import ADAPTER_NAME, QuickLinear, narrow_products
from freehold.train.records import Precision

TARGETS: Mapping[str, tuple[str, ...]] = {
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj"),
    "mlp": ("gate_proj", "up_proj", "down_proj", "gate_up_proj"),
}
"""Layer names by the word a spec uses; Phi 3 joins qkv and gate_up, the other families do not."""

IA3_TARGETS: Mapping[str, tuple[str, ...]] = {
    "attention": ("k_proj", "v_proj", "qkv_proj"),
    "mlp": ("down_proj",),
}
"""Which of them IA3 rescales: keys and values on their way out, the inner activation on its way in."""

RSLORA_ALPHA = 8
PREFIX_SPREAD = 0.02
"""The standard deviation of a fresh prefix: next to nothing, but no two places alike."""


class Tuned(Protocol):
    """A network that is made trainable in one way. Its trained weights are those with `requires_grad`."""

    @property
    def kind(self) -> TunedKind:
        """What is trained."""
        ...

    @property
    def network(self) -> PreTrainedModel:
        """The network that was given, changed in place: train, ask and measure this one."""
        ...

    @property
    def precision(self) -> Precision:
        """The type of the matrix products while gradients are computed."""
        ...

    @property
    def base_parameters(self) -> int:
        """How many parameters the network has without the adapter."""
        ...

    @property
    def trained_parameters(self) -> int:
        """How many parameters are trained."""
        ...

    def save(
        self,
        folder: Path,
        *,
        base: str,
        base_digest: str | None = None,
        tokenizer: Path | None = None,
    ) -> None:
        """Write what was trained, so that the base with this folder answers as the network does now.

        An adapter becomes a PEFT folder that PEFT loads as it is; `full` becomes a whole model folder.
        The configuration is written last: where it exists, the weights are whole.

        Args:
            folder: made where it is missing; files of an earlier save are replaced.
            base: the name under which others know the base model.
            base_digest: of the base's files; loading the adapter on another base is then refused.
            tokenizer: the base's folder, whose tokenizer files `full` needs a copy of.

        Raises:
            MachineError: no space is left.
        """
        ...

    def undo(self) -> None:
        """Make the network what it was, bit for bit, whatever was trained. It can be called once."""
        ...


Adapter: TypeAlias = Callable[[PreTrainedModel, TuneSpec, Precision], Tuned]


def linear_layers(network: nn.Module, names: Collection[str] | None = None) -> dict[str, nn.Linear]:
    """Return the linear layers but the head, by full name; only those whose last name is one of `names`."""
    head = cast("PreTrainedModel", network).get_output_embeddings()
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
        and module is not head
        and (names is None or name.rpartition(".")[2] in names)
    }


def target_modules(model: PreTrainedModel, targets: str) -> tuple[str, ...]:
    """Return the names of the linear layers that `all_linear`, `mlp` or `attention` means here.

    Raises:
        ModelError: the model has no layer with one of these names.
    """
    found = {name.rpartition(".")[2] for name in linear_layers(model)}
    chosen = found if targets == "all_linear" else found & set(TARGETS[targets])
    if not chosen:
        raise ModelError(
            "TRN-001",
            f"the model has no linear layers that {targets!r} means; its linear layers are"
            f" {', '.join(sorted(found)) or 'none'}",
            help="freehold climb -s ladder.lora.targets=all_linear",
        )
    return tuple(sorted(chosen))


def layers_with_known_update(network: PreTrainedModel, spec: TuneSpec) -> tuple[str, ...]:
    """Return the last names of the layers of which a training of `spec` shows by what matrix they moved.

    Those of a plain low-rank product, and every linear layer where the weights themselves are trained. There a
    curvature can hold on (`curvature`); DoRA, IA3, OSF and a prefix move layers in another way.
    """
    if spec.kind == "full":
        return target_modules(network, "all_linear")
    is_product = spec.kind in {"lora", "rslora", "qlora"}
    return target_modules(network, spec.layers) if is_product else ()


def lora(network: PreTrainedModel, spec: TuneSpec, precision: Precision) -> Tuned:
    """Put a LoRA adapter in float32 beside the frozen linear layers of `network`.

    While gradients are computed, the products of the adapted layers are in `precision`; everything
    between them, and all of generation, stays in the model's own.

    The update is (alpha / r) * B A with A drawn from the global generator and B zero, so that the
    model is unchanged until the first step. alpha is 2 r where the spec leaves it out. No dropout.
    Source: Hu et al. 2021, arXiv:2106.09685.
    """
    return _quick_lora(network, "lora", _lora_config(network, spec), precision=precision)


def rslora(network: PreTrainedModel, spec: TuneSpec, precision: Precision) -> Tuned:
    """Put a LoRA adapter beside the frozen layers whose update is (alpha / sqrt(r)) * B A.

    The size of the update then neither shrinks nor grows with the rank. alpha is 8 where the spec leaves
    it out, so that rank 16 has the scale of plain LoRA. Source: Kalajdzievski 2023, arXiv:2312.03732.
    """
    config = _lora_config(network, spec)
    config.use_rslora = True
    if spec.alpha is None:
        config.lora_alpha = RSLORA_ALPHA
    return _quick_lora(network, "rslora", config, precision=precision)


def dora(network: PreTrainedModel, spec: TuneSpec, precision: Precision) -> Tuned:
    """Train the direction of each weight by LoRA and the length of each of its rows apart.

    W' = m (W + (alpha / r) B A) / |W + (alpha / r) B A|, rows by rows, with m first the lengths of W.
    Source: Liu et al. 2024, arXiv:2402.09353.
    """
    config = _lora_config(network, spec)
    config.use_dora = True
    return _beside(network, "dora", config, precision=precision)


def qlora(network: PreTrainedModel, spec: TuneSpec, precision: Precision) -> Tuned:
    """Put a LoRA adapter beside layers whose frozen weights are in 4 bits (NF4).

    The base must have been opened so (`models.base.bits: 4`), which needs a CUDA device and
    bitsandbytes. Products are in bfloat16. Source: Dettmers et al. 2023, arXiv:2305.14314.

    Raises:
        ModelError: the base is not in 4 bits; the message says what is missing.
    """
    from freehold.models.four_bits import refuse_without_four_bits

    if not getattr(network, "is_loaded_in_4bit", False):
        refuse_without_four_bits()
        raise ModelError(
            "MDL-022",
            f"qlora needs the base in 4 bits, and {network.name_or_path or 'it'} was opened in"
            f" {str(network.dtype).removeprefix('torch.')}",
            help="set `models.base.bits: 4`, or use ladder.lora.kind=lora",
        )
    del precision
    return _beside(network, "qlora", _lora_config(network, spec), precision="bfloat16")


def ia3(network: PreTrainedModel, spec: TuneSpec, precision: Precision) -> Tuned:
    """Train one factor for each key, each value and each inner activation; all begin at 1.

    `targets` chooses keys and values (attention), inner activations (mlp) or both (all_linear).
    `r` and `alpha` mean nothing here. Source: Liu et al. 2022, arXiv:2205.05638.

    Raises:
        ModelError: the model has no layer with one of the names that are rescaled.
    """
    found = {name.rpartition(".")[2] for name in linear_layers(network)}
    parts = tuple(IA3_TARGETS) if spec.layers == "all_linear" else (spec.layers,)
    chosen = sorted({name for part in parts for name in IA3_TARGETS[part]} & found)
    if not chosen:
        raise ModelError(
            "TRN-001",
            f"the model has no layers that ia3 rescales; its linear layers are"
            f" {', '.join(sorted(found)) or 'none'}",
            help="freehold climb -s ladder.lora.kind=lora",
        )
    config = IA3Config(
        target_modules=chosen,
        feedforward_modules=[name for name in chosen if name in IA3_TARGETS["mlp"]],
        task_type="CAUSAL_LM",
    )
    return _beside(network, "ia3", config, precision=precision)


def prefix(network: PreTrainedModel, spec: TuneSpec, precision: Precision) -> Tuned:
    """Train keys and values of `r` places before the first token, in every layer.

    They begin near zero, so that a fresh prefix only takes a little attention away. `alpha` and
    `targets` mean nothing here. Source: Li and Liang 2021, arXiv:2101.00190.

    Raises:
        ModelError: a layer sees a window of the last tokens only.
    """
    config = PrefixTuningConfig(num_virtual_tokens=spec.r, task_type="CAUSAL_LM")
    with _quiet_peft():
        model = cast(PeftModel, get_peft_model(network, config, adapter_name=ADAPTER_NAME))
    for parameter in model.prompt_encoder.parameters():
        nn.init.normal_(parameter, std=PREFIX_SPREAD)
        parameter.requires_grad_(True)
    detach = attach_prefix(network, model)
    widen = _narrow(network, precision)

    def undo() -> None:
        detach()
        widen()

    return Beside("prefix", network, precision, model, undo)


def osf(network: PreTrainedModel, spec: TuneSpec, precision: Precision) -> Tuned:
    """Train the `r` directions of each weight that matter least, orthogonal to all the others.

    W = U S V by SVD; the largest singular directions are frozen, and gradients of the others are
    projected away from them. `alpha` means nothing here. The base's own weights are not touched.
    The folder holds the update as a LoRA adapter of rank 2 r, which it is exactly: U S V - U0 S0 V0 =
    [U S, -U0 S0] [V; V0]. It loads without an SVD, in every engine that loads LoRA.
    Source: Nayak et al. 2025, arXiv:2504.07097.
    """
    names = target_modules(network, spec.layers)
    ranks: dict[str, int | float] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in names:
            least = min(module.out_features, module.in_features)
            ranks[rf"(^|\.){name.replace('.', chr(92) + '.')}$"] = max(1, least - spec.r)
    config = OSFConfig(target_modules=list(names), rank_pattern=ranks, task_type="CAUSAL_LM")
    return _beside(network, "osf", config, precision=precision)


def full(network: PreTrainedModel, spec: TuneSpec, precision: Precision) -> Tuned:
    """Train every weight, in float32.

    The untrained weights are kept in main memory (in the type they were loaded in) and put back by
    `undo`, which is cheaper than reading and converting the folder again.
    """
    del spec
    kept: dict[str, Tensor] = {}
    # A base in bfloat16 is float32 from here on, so its products are narrowed as well.
    widen = narrow_products(network, torch.bfloat16) if precision == "bfloat16" else _nothing
    base_type = network.dtype
    for name, parameter in network.named_parameters():
        kept[name] = parameter.data
        parameter.data = parameter.data.to(torch.float32, copy=True)
        if parameter.device.type == "cuda":
            kept[name] = kept[name].to("cpu")
        parameter.requires_grad_(True)

    def undo() -> None:
        widen()
        for name, parameter in network.named_parameters():
            parameter.grad = None
            parameter.requires_grad_(False)
            parameter.data = kept[name].to(parameter.device)

    return Whole("full", network, precision, base_type, undo)


ADAPTERS: Mapping[TunedKind, Adapter] = {
    "lora": lora,
    "rslora": rslora,
    "dora": dora,
    "qlora": qlora,
    "ia3": ia3,
    "prefix": prefix,
    "osf": osf,
    "full": full,
}


@dataclass(frozen=True)
class Beside:
    """A PEFT adapter beside frozen weights; see `Tuned`."""

    kind: TunedKind
    network: PreTrainedModel
    precision: Precision
    model: PeftModel
    restore: Callable[[], None]

    @property
    def base_parameters(self) -> int:
        """How many parameters the network has without the adapter; a 4-bit weight counts as one."""
        added = sum(p.numel() for name, p in self.network.named_parameters() if _is_added(name))
        return self.network.num_parameters() - added

    @property
    def trained_parameters(self) -> int:
        """How many parameters are trained."""
        return _trained(self.network)

    def save(
        self,
        folder: Path,
        *,
        base: str,
        base_digest: str | None = None,
        tokenizer: Path | None = None,
    ) -> None:
        """Write a PEFT folder; see `Tuned.save`. An adapter needs no tokenizer files."""
        del tokenizer
        if self.kind == "osf":
            tensors, config = _osf_as_lora(self.model)
        else:
            tensors = get_peft_model_state_dict(
                self.model, adapter_name=ADAPTER_NAME, save_embedding_layers=False
            )
            config = self.model.peft_config[ADAPTER_NAME].to_dict()
        provenance = Provenance(
            kind=self.kind, base=base, digest=base_digest, bits=4 if self.kind == "qlora" else 16
        )
        write_adapter(folder, tensors, config, provenance=provenance)

    def undo(self) -> None:
        """Take the adapter out; the base's weights were never changed."""
        if not self.model.active_peft_config.is_prompt_learning:
            self.model.unload()  # pyright: ignore[reportCallIssue]
        self.restore()


@dataclass(frozen=True)
class Whole:
    """Every weight of the network is trained; see `Tuned`."""

    kind: TunedKind
    network: PreTrainedModel
    precision: Precision
    base_type: torch.dtype
    undo: Callable[[], None]

    @property
    def base_parameters(self) -> int:
        """How many parameters the network has: all of them."""
        return self.network.num_parameters()

    @property
    def trained_parameters(self) -> int:
        """How many parameters are trained."""
        return _trained(self.network)

    def save(
        self,
        folder: Path,
        *,
        base: str,
        base_digest: str | None = None,
        tokenizer: Path | None = None,
    ) -> None:
        """Write a whole model folder, in the type that the base was loaded in; see `Tuned.save`."""
        provenance = Provenance(kind=self.kind, base=base, digest=base_digest, bits=16)
        write_model(self.network, folder, kind=self.base_type, tokenizer=tokenizer)
        write_whole(folder / PROVENANCE, provenance.content())


@dataclass(frozen=True)
class Provenance:
    """Where an adapter comes from: what was trained, on which base, and in how many bits that was."""

    kind: TunedKind
    base: str
    digest: str | None
    bits: int

    def content(self) -> bytes:
        """Return the content of `freehold.json`."""
        value = {
            "kind": self.kind,
            "base": self.base,
            "base_digest": self.digest,
            "bits": self.bits,
        }
        return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def write_adapter(
    folder: Path,
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    *,
    provenance: Provenance,
) -> None:
    """Write `adapter_model.safetensors`, `freehold.json` and `adapter_config.json`, in this order.

    The same weights give the same bytes. PEFT and vLLM load the folder as it is. The configuration is
    written last: where it exists, the weights are whole.

    Raises:
        MachineError: no space is left.
    """
    plain = _plain(dict(config))
    if not isinstance(plain, dict):
        raise TypeError("an adapter configuration is a mapping")
    plain |= {"base_model_name_or_path": provenance.base, "inference_mode": True}
    whole = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / ADAPTER_WEIGHTS, save(whole, metadata={"format": "pt"}))
    write_whole(folder / PROVENANCE, provenance.content())
    text = json.dumps(plain, indent=2, sort_keys=True) + "\n"
    write_whole(folder / ADAPTER_CONFIG, text.encode())


def write_model(
    network: PreTrainedModel, folder: Path, *, kind: torch.dtype, tokenizer: Path | None
) -> None:
    """Write a whole model folder with its weights as `kind`; its config and files come last.

    Raises:
        MachineError: no space is left.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    state = {name: tensor.detach().to(kind) for name, tensor in network.state_dict().items()}
    before = network.config.dtype
    network.config.dtype = kind
    try:
        with quiet_transformers():
            network.save_pretrained(partial, state_dict=state)
    finally:
        network.config.dtype = before
    if tokenizer is not None:
        for name in TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, partial / name)
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(partial.iterdir(), key=lambda file: file.name == "config.json"):
        file.replace(folder / file.name)
    partial.rmdir()


def _lora_config(network: PreTrainedModel, spec: TuneSpec) -> LoraConfig:
    return LoraConfig(
        r=spec.r,
        lora_alpha=2 * spec.r if spec.alpha is None else spec.alpha,  # pyright: ignore[reportArgumentType]
        target_modules=list(target_modules(network, spec.layers)),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )


def _quick_lora(
    network: PreTrainedModel, kind: TunedKind, config: LoraConfig, *, precision: Precision
) -> Tuned:
    config._register_custom_module({nn.Linear: QuickLinear})  # peft documents it as experimental
    with _quiet_peft():
        model = cast(PeftModel, get_peft_model(network, config, adapter_name=ADAPTER_NAME))
    for layer in model.modules():
        if isinstance(layer, QuickLinear):
            layer.product_dtype = torch.bfloat16 if precision == "bfloat16" else None
    return Beside(kind, network, precision, model, _nothing)


def _beside(
    network: PreTrainedModel, kind: TunedKind, config: PeftConfig, *, precision: Precision
) -> Tuned:
    """Put an adapter in by PEFT's own layers; the frozen products are narrowed beneath them."""
    widen = _narrow(network, precision)
    try:
        with _quiet_peft():
            model = cast(PeftModel, get_peft_model(network, config, adapter_name=ADAPTER_NAME))
    except BaseException:
        widen()
        raise
    return Beside(kind, network, precision, model, widen)


def _narrow(network: PreTrainedModel, precision: Precision) -> Callable[[], None]:
    if precision == "float32" or network.dtype != torch.float32:
        return _nothing
    return narrow_products(network, torch.bfloat16)


def _nothing() -> None:
    """Undo nothing."""


@contextmanager
def _quiet_peft() -> Iterator[None]:
    """Hide what PEFT warns of while it reads an attribute that transformers has renamed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


def _is_added(name: str) -> bool:
    parts = name.split(".")
    return any(part.startswith(("lora_", "ia3_", "osf_", "prefix_encoder")) for part in parts)


def _trained(network: PreTrainedModel) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def _osf_as_lora(model: PeftModel) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights and the configuration of the LoRA adapter that an OSF update is."""
    tensors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    names: set[str] = set()
    for name, layer in model.named_modules():
        if not isinstance(layer, OSFLayer):
            continue
        now = cast("Mapping[str, Tensor]", layer.osf_svd_params[ADAPTER_NAME])
        up_OR, down_RI = _difference(
            (now["U_low"], now["S_low"], now["V_low"]),
            tuple(
                cast(Tensor, part[ADAPTER_NAME])
                for part in (layer._osf_U_low_init, layer._osf_S_low_init, layer._osf_V_low_init)
            ),
        )
        tensors[f"{name}.lora_A.weight"] = down_RI
        tensors[f"{name}.lora_B.weight"] = up_OR
        ranks[name.removeprefix("base_model.model.")] = len(down_RI)
        names.add(name.rpartition(".")[2])
    most = max(ranks.values())
    uneven = {name: rank for name, rank in ranks.items() if rank != most}
    config = LoraConfig(
        r=most,
        lora_alpha=most,
        target_modules=sorted(names),
        rank_pattern=uneven,
        alpha_pattern=dict(uneven),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    return tensors, config.to_dict()


def _difference(now: Sequence[Tensor], before: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return B and A with B A = U S V - U0 S0 V0."""
    (up, size, down), (up0, size0, down0) = (
        tuple(part.detach().float() for part in parts) for parts in (now, before)
    )
    return torch.cat([up * size, -(up0 * size0)], dim=1), torch.cat([down, down0])


def _plain(value: object) -> JsonValue:
    """Return a configuration value as JSON; sets are sorted, so that equal runs write equal bytes."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case set() | frozenset():
            return list[JsonValue](sorted(map(str, value)))
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return str(value)
