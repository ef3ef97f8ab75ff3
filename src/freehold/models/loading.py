# pyright: standard
"""Loads a checked model folder with transformers, and an adapter with PEFT. Nothing is run from it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from freehold.core.errors import ModelError
from freehold.models.chat import ChatFormat
from freehold.models.four_bits import four_bit_config
from freehold.models.network import Network
from freehold.models.prefix import attach_prefix, prefix_places
from freehold.models.quiet import quiet_transformers
from freehold.models.sources import ADAPTER_CONFIG, ModelFiles, read_json
from freehold.models.standing import stand_beside

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PretrainedConfig

# These rescale positions by the length of the longest row, so that a row's answer would depend on its
# neighbours beyond the length that the model was first trained with.
_LENGTH_DEPENDENT_ROPE = {"dynamic", "longrope"}
_UNKNOWN_CONTEXT = 2048


@dataclass(frozen=True)
class Loaded:
    """A network that is ready to read, its chat format, and how many tokens it reads."""

    network: Network
    chat: ChatFormat
    context_tokens: int


@dataclass(frozen=True)
class Outline:
    """What is known of a model without its weights: config, chat format, and how many tokens it reads."""

    config: PretrainedConfig
    chat: ChatFormat
    context_tokens: int


def read_outline(files: ModelFiles) -> Outline:
    """Read the config and the tokenizer of a model, and no weights.

    Raises:
        ModelError: the architecture is unknown, or the tokenizer cannot be used.
    """
    _check_architecture(files)
    config = AutoConfig.from_pretrained(
        files.folder, local_files_only=True, trust_remote_code=False
    )
    stop = getattr(config.get_text_config(), "eos_token_id", None)
    ids = (stop,) if isinstance(stop, int) else tuple(stop or ())
    chat = ChatFormat(_load_tokenizer(files), model_stop_ids=ids, where=str(files.folder))
    return Outline(config=config, chat=chat, context_tokens=_context_of(config))


def pick_device() -> torch.device:
    """Return the first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def weight_type(device: torch.device) -> torch.dtype:
    """Return the type that weights are loaded in on a device."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def load(files: ModelFiles, *, device: torch.device) -> Loaded:
    """Load a model: bfloat16 on CUDA, float32 on the CPU; in 4 bits where the files say so.

    Raises:
        ModelError: the architecture is unknown or no causal language model, needs code of its own,
            does not fit its weights, or the tokenizer or the adapter cannot be used.
    """
    _check_architecture(files)
    module = _load_module(files, device)
    tokenizer = _load_tokenizer(files)
    chat = ChatFormat(tokenizer, model_stop_ids=_stop_ids(module), where=str(files.folder))
    network = Network(module)
    network.prove_masks()
    network.quicken()
    context = context_tokens_of(module) - prefix_places(module)
    return Loaded(network=network, chat=chat, context_tokens=context)


def _check_architecture(files: ModelFiles) -> None:
    raw = read_json(files.folder / "config.json")
    model_type = str(raw.get("model_type", ""))
    named = cast("Sequence[str]", raw.get("architectures") or ())
    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type)
    if known is None and raw.get("auto_map"):
        raise ModelError(
            "MDL-007",
            f"{files.folder} (model_type {model_type!r}) needs code from its own folder (auto_map)",
            help="use a model whose architecture transformers knows by itself",
        )
    accepted = {known} if isinstance(known, str) else set(known or ())
    if known is not None and (not named or accepted & set(named)):
        return
    what = ", ".join(named) or "no architecture"
    raise ModelError(
        "MDL-006",
        f"{files.folder} is {what} (model_type {model_type!r}),"
        " not a causal language model that the installed transformers knows",
        help="use a model of the kind ...ForCausalLM, such as LlamaForCausalLM",
    )


def _load_module(files: ModelFiles, device: torch.device) -> PreTrainedModel:
    dtype = weight_type(device)
    quantization = four_bit_config() if files.bits == 4 else None
    try:
        config = AutoConfig.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False
        )
        with quiet_transformers():
            loaded = AutoModelForCausalLM.from_pretrained(
                files.folder,
                config=config,
                dtype=dtype,
                quantization_config=quantization,
                device_map=None if quantization is None else {"": device},
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
        module, report = cast("tuple[PreTrainedModel, Mapping[str, object]]", loaded)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            "MDL-010",
            f"the weights in {files.folder} cannot be loaded into the architecture of its config",
            help="copy or download the model again; config.json and weights must belong together",
            cause=(_first_line(error),),
        ) from error
    _check_complete(files, report)
    if getattr(module, "_is_stateful", False):
        raise ModelError(
            "MDL-006",
            f"{files.folder} ({type(module).__name__}) keeps a running state instead of attention"
            " keys and values, which this version cannot batch",
            help="use a model with attention in every layer",
        )
    if files.adapter is not None:
        module = _with_adapter(module, files)
    if quantization is None:
        torch.nn.Module.to(module, device)
    return module.eval().requires_grad_(False)


def _check_complete(files: ModelFiles, report: Mapping[str, object]) -> None:
    for kind, what in (("missing_keys", "lack"), ("mismatched_keys", "have another shape for")):
        keys = sorted(str(key) for key in cast("Sequence[object]", report.get(kind) or ()))
        if keys:
            raise ModelError(
                "MDL-010",
                f"the weights in {files.folder} {what} {len(keys)} of the tensors that the config"
                f" asks for, such as {keys[0]}",
                help="copy or download the model again; config.json and weights must belong together",
            )


def put_adapter(module: PreTrainedModel, files: ModelFiles) -> PeftModel:
    """Put the adapter of `files` into the network, whose layers are changed in place.

    Raises:
        ModelError: the adapter is of a kind that cannot be used, or does not fit the network.
    """
    from peft import PeftConfig, PeftModel

    folder = cast(Path, files.adapter)
    where = str(folder)
    try:
        config = PeftConfig.from_pretrained(where)
        if config.is_prompt_learning and config.peft_type != "PREFIX_TUNING":
            raise ModelError(
                "MDL-011",
                f"the adapter {where} is of the kind {config.peft_type}; of the kinds that put vectors"
                " before the prompt only PREFIX_TUNING is supported",
                help="use an adapter of a kind that changes weights, such as LORA",
            )
        with quiet_transformers(), warnings.catch_warnings():
            # PEFT reports adapter tensors that are missing as a warning, and goes on untrained.
            warnings.filterwarnings("error", message=".*missing adapter keys.*")
            # PEFT reads an attribute that transformers has renamed; nobody can act on that here.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
            return PeftModel.from_pretrained(module, where, is_trainable=False)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, UserWarning) as error:
        base = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
        raise ModelError(
            "MDL-011",
            f"the adapter {where} (made for {base or 'an unnamed base'}) does not fit the base"
            f" model {files.folder}",
            help="name the base model that the adapter was trained on as `id`",
            cause=(_first_line(error),),
        ) from error


def _with_adapter(module: PreTrainedModel, files: ModelFiles) -> PreTrainedModel:
    adapted = put_adapter(module, files)
    if adapted.active_peft_config.is_prompt_learning:
        attach_prefix(module, adapted)
        return module
    if module.dtype == torch.float32 and hasattr(adapted.base_model, "merge_and_unload"):
        return cast(PreTrainedModel, adapted.merge_and_unload())
    return stand_beside(adapted) or cast(PreTrainedModel, adapted.get_base_model())


def _load_tokenizer(files: ModelFiles):
    try:
        return AutoTokenizer.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise ModelError(
            "MDL-005",
            f"the tokenizer in {files.folder} cannot be read",
            help="copy the tokenizer files of the model into the folder again",
            cause=(_first_line(error),),
        ) from error


def _stop_ids(module: PreTrainedModel) -> tuple[int, ...]:
    settings = (module.generation_config, module.config.get_text_config())
    for found in (getattr(setting, "eos_token_id", None) for setting in settings):
        if isinstance(found, int):
            return (found,)
        if found:
            return tuple(found)
    return ()


def context_tokens_of(module: PreTrainedModel) -> int:
    """Return how many tokens the network reads, so that a row's answer never depends on other rows."""
    return _context_of(module.config)


def _context_of(whole: PretrainedConfig) -> int:
    config = whole.get_text_config()
    most = int(getattr(config, "max_position_embeddings", None) or _UNKNOWN_CONTEXT)
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kind = rope.get("rope_type") or rope.get("type") if isinstance(rope, dict) else None
    if kind in _LENGTH_DEPENDENT_ROPE:
        first = rope.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", None
        )
        most = min(most, int(first or most))
    return most


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
