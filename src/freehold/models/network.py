# pyright: standard
"""One pass of a decoder over packed rows, with positions and masks of our own.

Shapes: B rows, T tokens read in this pass, S slots of the key/value cache, V vocabulary, H heads,
D head width, K positions whose logits are wanted.

Every cache slot carries the position of its token in its own row, or -1 for padding. What a token may
look at follows from positions alone, so a prefix that was computed once, padding anywhere, rows that
leave, sliding windows and trees of continuations are all one rule.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import torch
from transformers.cache_utils import Cache, DynamicLayer

from freehold.models.lean import LeanDecoder, lean_decoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MaskForm: TypeAlias = Literal["single", "by_layer_type"]
KeysAndValues: TypeAlias = tuple[torch.Tensor, torch.Tensor]

SPARE_SLOTS = 64
_KNOWN_LAYER_TYPES = {"full_attention", "sliding_attention"}
_REFUSALS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


class RoomyLayer(DynamicLayer):
    """Keys and values of one layer, in buffers with spare room.

    transformers' own layer copies the whole cache at every token; this one writes in place, starts
    from a prefix that rows share, and lets rows leave by moving one row into each hole. Buffers are
    made when a second pass comes: what is read in one pass is not copied.
    """

    def __init__(self, prefix: KeysAndValues | None = None) -> None:
        super().__init__()
        self._prefix = prefix
        self._length = 0 if prefix is None else prefix[0].shape[-2]
        self._buffers: list[torch.Tensor] = []

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *_args: object,
        **_kwargs: object,
    ) -> KeysAndValues:
        """Append T slots of [B, H, T, D]; return keys and values of all slots, [B, H, S, D]."""
        start, end = self._length, self._length + key_states.shape[-2]
        if not self._buffers:
            if not start:
                self._prefix, self._length = (key_states, value_states), end
                self.dtype, self.device = key_states.dtype, key_states.device
                self.is_initialized = True
                return self._show()
            self._allocate(key_states, value_states)
        self._reserve(end)
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = new
        self._length = end
        return self._show()

    def get_seq_length(self) -> int:
        """Return S, the slots in use."""
        return self._length

    def shared(self) -> KeysAndValues:
        """Return keys and values of the slots in use."""
        return cast("KeysAndValues", (self.keys, self.values))

    def keep_rows(self, order: Sequence[int]) -> None:
        """Keep the rows `order`, where `order[i] >= i`: only rows that change place are copied."""
        if self._prefix is not None and not self._buffers:
            keys, values = self._prefix
            self._prefix = keys[list(order)], values[list(order)]
        for buffer in self._buffers:
            for place, row in enumerate(order):
                if row != place:
                    buffer[place, :, : self._length] = buffer[row, :, : self._length]
        self._buffers = [buffer[: len(order)] for buffer in self._buffers]
        self._show()

    def rewind(self, length: int) -> None:
        """Forget the slots from `length` on."""
        self._length = length
        self._show()

    def _allocate(self, *states: torch.Tensor) -> None:
        self.dtype, self.device = states[0].dtype, states[0].device
        self.is_initialized = True
        prefix = self._prefix or (None, None)
        for state, start in zip(states, prefix, strict=True):
            rows, heads, new, width = state.shape
            buffer = state.new_empty((rows, heads, self._length + new + SPARE_SLOTS, width))
            if start is not None:
                buffer[:, :, : self._length] = start[:, :, : self._length]
            self._buffers.append(buffer)
        self._prefix = None

    def _reserve(self, slots: int) -> None:
        if slots <= self._buffers[0].shape[2]:
            return
        for place, buffer in enumerate(self._buffers):
            rows, heads, _, width = buffer.shape
            larger = buffer.new_empty((rows, heads, 2 * slots, width))
            larger[:, :, : self._length] = buffer[:, :, : self._length]
            self._buffers[place] = larger

    def _show(self) -> KeysAndValues:
        held = self._buffers or self._prefix or ()
        self.keys, self.values = (buffer[:, :, : self._length] for buffer in held)
        return self.keys, self.values


@dataclass(frozen=True)
class Prefix:
    """The cache of the tokens that every row of a call starts with."""

    length: int
    layers: tuple[KeysAndValues, ...]


class Reading:
    """Rows that are being read: their cache and the position of every slot."""

    def __init__(self, network: Network, *, rows: int, prefix: Prefix | None = None) -> None:
        self._network = network
        self._lean = network.lean()
        layers = prefix.layers if prefix else (None,) * network.layers
        self._layers = [RoomyLayer(start) for start in layers]
        self._cache = Cache(layers=list(self._layers))
        length = prefix.length if prefix else 0
        self._positions_BS = torch.arange(length, device=network.device).repeat(rows, 1)

    def read(
        self,
        tokens_BT: torch.Tensor,
        positions_BT: torch.Tensor,
        *,
        keep: int,
        among_TT: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Read T tokens of each row.

        Args:
            tokens_BT: the tokens; any token where there is padding.
            positions_BT: the place of each token in its row, -1 for padding.
            keep: K, how many of the last tokens predict something that is wanted.
            among_TT: which of the last of these tokens see each other, where position alone does not
                decide it; [B, W, W] where rows differ.

        Returns:
            Logits after each of the last K tokens, float32 [B, K, V].
        """
        self._positions_BS = torch.cat([self._positions_BS, positions_BT], dim=1)
        mask = self._network.mask(self._positions_BS, positions_BT, among_TT=among_TT)
        if self._lean is not None:
            return self._lean.logits(
                tokens_BT, positions_BT.clamp(min=0), mask=mask, cache=self._layers, keep=keep
            )
        return self._network.forward(
            tokens_BT, positions_BT, mask=mask, cache=self._cache, keep=keep
        )

    def keep_rows(self, order: Sequence[int]) -> None:
        """Go on with the rows `order`, where `order[i] >= i`."""
        for layer in self._layers:
            layer.keep_rows(order)
        self._positions_BS = self._positions_BS[list(order)]

    def rewind(self, slots: int) -> None:
        """Forget what the last `slots` tokens of each row said."""
        length = self._positions_BS.shape[1] - slots
        for layer in self._layers:
            layer.rewind(length)
        self._positions_BS = self._positions_BS[:, :length]

    def as_prefix(self) -> Prefix:
        """Return this single row as the start of others."""
        shared = tuple(layer.shared() for layer in self._layers)
        return Prefix(length=self._positions_BS.shape[1], layers=shared)


class LoneReading:
    """One row, read without any mask of ours: for networks that do not take such masks."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._cache: Cache | None = None

    def read(
        self,
        tokens_BT: torch.Tensor,
        positions_BT: torch.Tensor,
        *,
        keep: int,
        among_TT: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Read T tokens of the one row; as `Reading.read`, without a tree."""
        if among_TT is not None or len(tokens_BT) != 1:
            raise ValueError("this network reads one plain row at a time")
        output = self._network.call(
            tokens_BT, position_ids=positions_BT, past_key_values=self._cache, keep=keep
        )
        self._cache = output.past_key_values
        return output.logits[:, -keep:].float()

    def keep_rows(self, order: Sequence[int]) -> None:
        """Nothing to do: the one row stays or the reading ends."""


class Network:
    """A causal decoder, and how it takes attention masks.

    Attributes:
        mask_form: how masks of ours are handed over, as `prove_masks` found; None where the network
            does not honour them, and rows are read one at a time.
        window: how many tokens back a sliding layer sees, None without such layers.
        layers: how many layers keep keys and values.
    """

    def __init__(self, module: PreTrainedModel) -> None:
        config = module.config.get_text_config()
        self.module = module
        self.device = module.device
        self.vocabulary = int(config.vocab_size)
        self.layers = int(config.num_hidden_layers)
        self.window = cast("int | None", getattr(config, "sliding_window", None))
        self.mask_form: MaskForm | None = None
        self._layer_types = set(getattr(config, "layer_types", None) or ())
        self._is_additive = config._attn_implementation != "sdpa"
        self._lean: LeanDecoder | None = None
        self._takes_keep = "logits_to_keep" in inspect.signature(module.forward).parameters

    def reading(self, rows: int, *, prefix: Prefix | None = None) -> Reading | LoneReading:
        """Return empty rows, or rows that start with `prefix`."""
        if self.mask_form is None:
            return LoneReading(self)
        return Reading(self, rows=rows, prefix=prefix)

    def read_prefix(self, tokens: Sequence[int]) -> Prefix:
        """Return the cache of `tokens`, computed once."""
        reading = Reading(self, rows=1)
        tokens_BT = torch.tensor([list(tokens)], device=self.device)
        positions_BT = torch.arange(len(tokens), device=self.device)[None]
        reading.read(tokens_BT, positions_BT, keep=1)
        return reading.as_prefix()

    def prove_masks(self) -> None:
        """Set `mask_form` to the form whose results equal plain passes, None where none does.

        Two continuations of one text are read plainly, and as a tree with padding in front. It costs
        two short passes, and holds for architectures that nobody tried before.
        """
        for form in self._candidate_forms():
            self.mask_form = form
            try:
                if self._tree_equals_plain():
                    return
            except _REFUSALS:
                continue
        self.mask_form = None

    def quicken(self) -> None:
        """Read with the lean form of the module from now on, where it has one that gives the same.

        For a module that is ready: weights move together in memory, and gradients are not computed.
        """
        if self.mask_form is None:
            return
        self._lean = lean_decoder(self.module)
        if self._lean is not None and not self._tree_equals_plain():
            self._lean = None

    def lean(self) -> LeanDecoder | None:
        """Return the lean form where it may be used now: the module is as it was, without gradients."""
        if self._lean is None or torch.is_grad_enabled() or not self._lean.is_current():
            return None
        return self._lean

    def mask(
        self,
        positions_BS: torch.Tensor,
        positions_BT: torch.Tensor,
        *,
        among_TT: torch.Tensor | None = None,
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """Return who sees whom: a token sees itself and its row's tokens before it."""
        seen_BTS = (positions_BS[:, None] <= positions_BT[..., None]) & (positions_BS >= 0)[:, None]
        width = positions_BT.shape[1]
        if among_TT is not None:
            last = among_TT.shape[-1]
            seen_BTS[..., -last:, -last:] &= among_TT
        # Padding sees itself: a token that sees nothing would be NaN, and spread.
        seen_BTS[..., -width:].diagonal(dim1=-2, dim2=-1).fill_(True)
        near_BTS = seen_BTS
        if self.window is not None:
            near_BTS = seen_BTS & (positions_BT[..., None] - positions_BS[:, None] < self.window)
        if self.mask_form == "by_layer_type":
            full, near = self._shape(seen_BTS), self._shape(near_BTS)
            return {"full_attention": full, "sliding_attention": near}
        return self._shape(near_BTS)

    def forward(
        self,
        tokens_BT: torch.Tensor,
        positions_BT: torch.Tensor,
        *,
        mask: torch.Tensor | dict[str, torch.Tensor],
        cache: Cache,
        keep: int,
    ) -> torch.Tensor:
        """Return float32 logits of the last `keep` tokens, [B, K, V]; `cache` grows by T slots."""
        output = self.call(
            tokens_BT,
            attention_mask=mask,
            position_ids=positions_BT.clamp(min=0),
            past_key_values=cache,
            keep=keep,
        )
        return output.logits[:, -keep:].float()

    def call(
        self,
        tokens_BT: torch.Tensor,
        *,
        position_ids: torch.Tensor,
        past_key_values: Cache | None,
        keep: int,
        attention_mask: torch.Tensor | dict[str, torch.Tensor] | None = None,
    ):
        """Call the module; where it can, it computes logits for the last `keep` tokens only."""
        extra = {"logits_to_keep": keep} if self._takes_keep else {}
        return self.module(
            input_ids=tokens_BT,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=True,
            **extra,
        )

    def _shape(self, seen_BTS: torch.Tensor) -> torch.Tensor:
        mask = seen_BTS[:, None]
        if not self._is_additive:
            return mask
        dtype = self.module.dtype
        hidden = torch.tensor(torch.finfo(dtype).min, dtype=dtype, device=self.device)
        return torch.where(mask, hidden.new_zeros(()), hidden)

    def _candidate_forms(self) -> tuple[MaskForm, ...]:
        if self._layer_types - _KNOWN_LAYER_TYPES:
            return ()
        return ("by_layer_type", "single") if self._layer_types else ("single",)

    @torch.inference_mode()
    def _tree_equals_plain(self) -> bool:
        # Texts of two continuations: 3 shared tokens, then (4th, 5th) or (6th, 7th).
        draw = torch.Generator().manual_seed(0)
        ids = torch.randint(self.vocabulary, (7,), generator=draw).to(self.device)
        texts_BT = torch.stack([ids[[0, 1, 2, 3, 4]], ids[[0, 1, 2, 5, 6]]])
        plain = self.call(
            texts_BT,
            position_ids=torch.arange(5, device=self.device).repeat(2, 1),
            past_key_values=None,
            keep=5,
        ).logits.float()
        wanted = torch.stack([plain[0, 2], plain[0, 3], plain[0, 4], plain[1, 3], plain[1, 4]])
        reading = Reading(self, rows=1)
        order = [0, 0, 0, 1, 2, 3, 4, 5, 6]
        positions = [-1, -1, 0, 1, 2, 3, 4, 3, 4]
        among_TT = torch.ones(7, 7, dtype=torch.bool, device=self.device)
        among_TT[5:, 3:5] = among_TT[3:5, 5:] = False
        positions_BT = torch.tensor([positions], device=self.device)
        reading.read(ids[order[:2]][None], positions_BT[:, :2], keep=1)
        found = reading.read(ids[order[2:]][None], positions_BT[:, 2:], keep=5, among_TT=among_TT)[
            0
        ]
        share = 1e-3 if self.module.dtype == torch.float32 else 0.1
        difference = torch.log_softmax(found, -1) - torch.log_softmax(wanted, -1)
        return bool(difference.abs().mean() <= share * wanted.std() + 1e-6)
