# pyright: standard
"""Prefix tuning below the decoder's own interface: learnt keys and values before the first token.

PEFT keeps, names, saves and loads the prefix; its wrapper only works for callers that go through it,
and replaces any cache that they bring. Here the decoder itself sees the prefix, so that training,
scoring, generating and trees of continuations need not know of it.

Shapes: B rows, T tokens read in this pass, P places of the prefix, S slots of the caller's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache

from freehold.core.errors import ModelError

if TYPE_CHECKING:
    from peft import PeftModel

PREFIX_MODULE = "prefix_encoder"
"""The name of the prefix's weights in the network, while they are there."""


class BehindPrefix(CacheLayerMixin):
    """A layer's keys and values with the prefix in front; the caller's own layer never holds it."""

    is_sliding = False

    def __init__(self, keys: Tensor, values: Tensor, own: CacheLayerMixin) -> None:
        super().__init__()
        self._prefix = (keys, values)
        self._own = own
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the prefix is there from the beginning."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append T slots; return keys and values of the prefix and of all slots, [B, H, P + S, D]."""
        found = self._own.update(key_states, value_states, *args, **kwargs)
        rows = len(key_states)
        keys, values = (
            torch.cat([start.to(own.dtype).expand(rows, -1, -1, -1), own], dim=-2)
            for start, own in zip(self._prefix, found, strict=True)
        )
        return keys, values

    def get_seq_length(self) -> int:
        """Return P + S."""
        return self._prefix[0].shape[-2] + self._own.get_seq_length()

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many slots a mask over T more tokens has, and that it begins with the first."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """Return -1: it grows."""
        return -1


def prefix_places(network: PreTrainedModel) -> int:
    """Return P, how many places of the context a prefix takes; 0 where there is none."""
    encoder = getattr(network, PREFIX_MODULE, None)
    return 0 if encoder is None else int(encoder["default"].embedding.num_embeddings)


def attach_prefix(network: PreTrainedModel, tuned: PeftModel) -> Callable[[], None]:
    """Let the decoder of `network` read every row behind the prefix of `tuned`; return how to undo it.

    The weights of the prefix become part of the network, under `PREFIX_MODULE`. Tokens stand P places
    later, as in PEFT, whose answers these are.

    Raises:
        ModelError: a layer sees a window of the last tokens only, and would lose the prefix.
    """
    _refuse_windows(network)
    decoder = cast(torch.nn.Module, network.get_decoder())
    places = int(cast(Any, tuned.peft_config["default"]).num_virtual_tokens)
    network.add_module(PREFIX_MODULE, cast(torch.nn.Module, tuned.prompt_encoder))

    def before(_module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]):
        own: Cache | None = kwargs.get("past_key_values")
        tokens: Tensor = args[0] if args else _given(kwargs)
        start = cast(Cache, tuned.get_prompt(batch_size=1))
        inner = own or DynamicCache(config=network.config.get_text_config())
        layers = [
            BehindPrefix(cast(Tensor, prefix.keys), cast(Tensor, prefix.values), layer)
            for prefix, layer in zip(
                cast("list[CacheLayerMixin]", start.layers), _layers(inner, start), strict=True
            )
        ]
        positions = kwargs.get("position_ids")
        if positions is None:
            seen = inner.get_seq_length()
            positions = torch.arange(seen, seen + tokens.shape[1], device=tokens.device)[None]
        keeps = own is not None or kwargs.get("use_cache") is not False
        changed = {
            "past_key_values": _Wrapped(layers, inner if keeps else None),
            "position_ids": positions + places,
            "attention_mask": _widened(kwargs.get("attention_mask"), places),
        }
        return args, kwargs | changed

    def after(_module: torch.nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        wrapped = output.past_key_values
        if isinstance(wrapped, _Wrapped):
            output.past_key_values = wrapped.own

    handles = (
        decoder.register_forward_pre_hook(before, with_kwargs=True),
        decoder.register_forward_hook(after),
    )

    def undo() -> None:
        for handle in handles:
            handle.remove()
        delattr(network, PREFIX_MODULE)

    return undo


class _Wrapped(Cache):
    """Layers behind a prefix, and the cache that they were made from."""

    def __init__(self, layers: list[BehindPrefix], own: Cache | None) -> None:
        super().__init__(layers=cast("list[Any]", layers))
        self.own = own


def _given(kwargs: dict[str, Any]) -> Tensor:
    tokens = kwargs.get("input_ids")
    return kwargs["inputs_embeds"] if tokens is None else tokens


def _layers(cache: Cache, start: Cache) -> list[CacheLayerMixin]:
    """Return a layer for each layer of the prefix; a fresh cache may not have made its own yet."""
    layers = cast("list[CacheLayerMixin]", cache.layers)
    if cache.layer_class_to_replicate is not None:
        new = cache.layer_class_to_replicate
        layers.extend(cast(CacheLayerMixin, new()) for _ in range(len(start.layers) - len(layers)))
    return layers


def _widened(mask: Any, places: int) -> Any:
    """Return the mask with P columns in front that every token sees; None stays None."""
    if isinstance(mask, dict):
        return {kind: _widened(one, places) for kind, one in mask.items()}
    if mask is None:
        return None
    sees = True if mask.dtype == torch.bool else (0.0 if mask.ndim == 4 else 1)
    return torch.nn.functional.pad(mask, (places, 0), value=sees)


def _refuse_windows(network: PreTrainedModel) -> None:
    config = network.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    context = getattr(config, "max_position_embeddings", None)
    has_window = window is not None and (context is None or window < context)
    if (has_window and kinds != {"full_attention"}) or kinds - {
        "full_attention",
        "sliding_attention",
    }:
        raise ModelError(
            "MDL-023",
            f"{type(network).__name__} has layers that see a window of the last tokens only"
            f" ({window or 'not plain attention'}); they would lose a prefix",
            help="freehold climb -s ladder.lora.kind=lora",
        )
