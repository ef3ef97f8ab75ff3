# pyright: standard
"""A pass through a decoder of Llama's shape on a CPU, without what transformers does around its arithmetic.

Projections of the same input are one matrix product, the mask is made ready once for all layers, rotary
tables are looked up, and the last layer goes on with those tokens only whose logits are wanted. The weights
of a small network are kept a second time in the order in which oneDNN multiplies; those of a larger one
stay once, what is multiplied together lies together, and the module's own parameters are views of it.
Anything that changes the module (an adapter, a hook, other weights) is noticed, and the module is called
instead.

Shapes: B rows, T tokens read in this pass, S slots of the cache, H heads of queries and keys, D head
width, K positions whose logits are wanted, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ARCHITECTURES = frozenset(
    {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}
)
# Tables that do not depend on how long the longest row is.
_ROPE_TYPES = frozenset({"default", "linear", "llama3", "yarn"})
_FIRST_PLACES = 1024

# A second copy of more than this would be felt on a laptop.
MOST_PACKED_BYTES = 1 << 28
# The number of rows that the order is chosen for; others are multiplied as well.
_PACKED_FOR_ROWS = 16


class Product(Protocol):
    """A linear projection."""

    def __call__(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Return the projection of `x`, with `plus` added to it."""
        ...


class LayerCache(Protocol):
    """Keys and values of one layer."""

    def update(self, key_states: Tensor, value_states: Tensor) -> tuple[Tensor, Tensor]:
        """Append T slots of [B, H, T, D]; return keys and values of all slots."""
        ...


@dataclass(frozen=True)
class _Norm:
    weight: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        # Fewer passes over memory than functional.rms_norm makes on a CPU.
        sizes = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = sizes.square_().div_(x.shape[-1]).add_(self.epsilon).rsqrt_()
        return (x * scale).mul_(self.weight)


@dataclass(frozen=True)
class _Layer:
    before_attention: _Norm
    projections: tuple[Product, ...]
    query_norm: _Norm | None
    key_norm: _Norm | None
    mixed: Product
    before_feed_forward: _Norm
    gate_up: Product
    down: Product
    kind: str


class LeanDecoder:
    """The arithmetic of a causal decoder, on the weights of its module."""

    def __init__(self, module: PreTrainedModel) -> None:
        config = module.config
        decoder = cast(Any, module).model
        self._module = module
        self._width = int(decoder.layers[0].self_attn.head_dim)
        self._queries = int(config.num_attention_heads)
        self._keys = int(config.num_key_value_heads)
        self._embedding: Tensor = decoder.embed_tokens.weight
        self._rotary: nn.Module = decoder.rotary_emb
        kinds = getattr(config, "layer_types", None) or ("",) * len(decoder.layers)
        product = _product_maker(module)
        final = decoder.layers[-1]
        self._layers = [
            _layer(found, kind, product, is_last=found is final)
            for found, kind in zip(decoder.layers, kinds, strict=True)
        ]
        self._norm = _norm(decoder.norm)
        self._head = product(cast(Any, module).lm_head)
        self._tables = self._table(_FIRST_PLACES)
        self._modules = [
            (parent._modules, name, child)
            for parent in module.modules()
            for name, child in parent.named_children()
        ]
        self._weights = [
            (owner._parameters, name, weight, (weight.data_ptr(), weight._version))
            for owner in module.modules()
            for name, weight in owner.named_parameters(recurse=False)
        ]

    def is_current(self) -> bool:
        """Whether the module is still what was read: the same parts without hooks, the same memory."""
        if self._module.training or _has_hooks(self._module):
            return False
        for parts, name, part in self._modules:
            if parts.get(name) is not part or _has_hooks(part):
                return False
        return all(
            weights.get(name) is weight and (weight.data_ptr(), weight._version) == state
            for weights, name, weight, state in self._weights
        )

    def logits(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor,
        *,
        mask: Tensor | dict[str, Tensor],
        cache: Sequence[LayerCache],
        keep: int,
    ) -> Tensor:
        """Return logits of the last `keep` tokens, [B, K, V]; `cache` grows by T slots.

        Args:
            tokens_BT: the tokens.
            positions_BT: the place of each token in its row, not below 0.
            mask: who sees whom, by kind of layer where they differ.
            cache: one for each layer.
            keep: K.
        """
        x_BTM = functional.embedding(tokens_BT, self._embedding)
        turn = self._turn(positions_BT)
        masks = mask if isinstance(mask, dict) else {layer.kind: mask for layer in self._layers}
        masks = {kind: _additive(one) for kind, one in masks.items()}
        last = self._layers[-1]
        for layer, slots in zip(self._layers, cache, strict=True):
            wanted = min(keep, x_BTM.shape[1]) if layer is last else x_BTM.shape[1]
            x_BTM = self._through(
                layer, x_BTM, turn, mask=masks[layer.kind], slots=slots, wanted=wanted
            )
        return self._head(self._norm(x_BTM))

    def _through(
        self,
        layer: _Layer,
        x_BTM: Tensor,
        turn: tuple[Tensor, Tensor],
        *,
        mask: Tensor,
        slots: LayerCache,
        wanted: int,
    ) -> Tensor:
        """Return what leaves the layer at the last `wanted` tokens."""
        read_BTM = layer.before_attention(x_BTM)
        if len(layer.projections) == 1:
            all_BTHD = self._heads(layer.projections[0](read_BTM))
            queries, rest = all_BTHD[:, :, : self._queries], all_BTHD[:, :, self._queries :]
            if layer.query_norm is None:
                # Without norms of their own, queries and keys turn together.
                both = _turned(all_BTHD[:, :, : self._queries + self._keys], turn)
                queries, keys = both[:, :, : self._queries], both[:, :, self._queries :]
            else:
                queries = _turned(layer.query_norm(queries), turn)
                keys = _turned(_normed(rest[:, :, : self._keys], layer.key_norm), turn)
        else:
            x_BTM, mask = x_BTM[:, -wanted:], mask[..., -wanted:, :]
            queries = self._heads(layer.projections[0](read_BTM[:, -wanted:].contiguous()))
            rest = self._heads(layer.projections[1](read_BTM))
            late = tuple(part[:, -wanted:] for part in turn)
            queries = _turned(_normed(queries, layer.query_norm), late)
            keys = _turned(_normed(rest[:, :, : self._keys], layer.key_norm), turn)
        values = rest[:, :, self._keys :]
        all_keys, all_values = slots.update(keys.transpose(1, 2), values.transpose(1, 2))
        seen_BHTD = functional.scaled_dot_product_attention(
            queries.transpose(1, 2),
            all_keys,
            all_values,
            attn_mask=mask,
            enable_gqa=self._keys != self._queries,
        )
        x_BTM = layer.mixed(seen_BHTD.transpose(1, 2).flatten(2), x_BTM)
        gate, up = layer.gate_up(layer.before_feed_forward(x_BTM)).chunk(2, dim=-1)
        return layer.down(functional.silu(gate).mul_(up), x_BTM)

    def _heads(self, x_BTM: Tensor) -> Tensor:
        return x_BTM.view(*x_BTM.shape[:2], -1, self._width)

    def _turn(self, positions_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines, [B, T, 1, D] and [B, T, 1, D/2]."""
        most = int(positions_BT.max()) + 1
        if most > len(self._tables[0]):
            self._tables = self._table(2 * most)
        cosines, sines = self._tables
        return cosines[positions_BT][:, :, None], sines[positions_BT][:, :, None]

    def _table(self, places: int) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            positions = torch.arange(places)[None]
            cosines, sines = self._rotary(self._embedding[:1, None], positions)
        return cosines[0], sines[0, :, : self._width // 2].contiguous()


class _ProductMaker(Protocol):
    def __call__(self, *linears: nn.Linear) -> Product: ...


def lean_decoder(module: PreTrainedModel) -> LeanDecoder | None:
    """Return the lean form of a module; None where it is of another shape, type or device.

    The weights of a network that is not small move together in memory where they are multiplied with the
    same input. The module's parameters keep their names, shapes and values.
    """
    config = module.config
    rope = getattr(config, "rope_parameters", None) or {}
    is_plain = (
        type(module).__name__ in ARCHITECTURES
        and type(module).__module__.startswith("transformers.")
        and config.hidden_act == "silu"
        and rope.get("rope_type") in _ROPE_TYPES
        and config._attn_implementation == "sdpa"
        and all(
            weight.dtype == torch.float32 and weight.device.type == "cpu"
            for weight in module.parameters()
        )
        and not any(_has_hooks(part) for part in module.modules())
        and not module.training
    )
    if not is_plain or not all(_is_plain_layer(layer) for layer in cast(Any, module).model.layers):
        return None
    return LeanDecoder(module)


def _is_plain_layer(layer: Any) -> bool:
    attention, forward = layer.self_attn, layer.mlp
    return all(
        type(part) is nn.Linear
        for part in (
            *(attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj),
            *(forward.gate_proj, forward.up_proj, forward.down_proj),
        )
    )


def _layer(found: Any, kind: str, product: _ProductMaker, *, is_last: bool) -> _Layer:
    attention, forward = found.self_attn, found.mlp
    inputs = (attention.q_proj, attention.k_proj, attention.v_proj)
    return _Layer(
        before_attention=_norm(found.input_layernorm),
        # The last layer asks for fewer queries than keys.
        projections=(product(inputs[0]), product(*inputs[1:])) if is_last else (product(*inputs),),
        query_norm=_norm(attention.q_norm) if hasattr(attention, "q_norm") else None,
        key_norm=_norm(attention.k_norm) if hasattr(attention, "k_norm") else None,
        mixed=product(attention.o_proj),
        before_feed_forward=_norm(found.post_attention_layernorm),
        gate_up=product(forward.gate_proj, forward.up_proj),
        down=product(forward.down_proj),
        kind=kind,
    )


def _norm(found: Any) -> _Norm:
    return _Norm(found.weight, float(found.variance_epsilon))


def _product_maker(module: PreTrainedModel) -> _ProductMaker:
    """Return what makes a product of the projections of one input: packed where the network is small."""
    weights = {weight.data_ptr(): weight.nbytes for weight in module.parameters()}
    if sum(weights.values()) > MOST_PACKED_BYTES or not torch.backends.mkldnn.is_available():
        return _together
    try:
        probe = nn.Linear(16, 16, device="meta")  # without first weights from the global generator
        probe.weight, probe.bias = nn.Parameter(torch.zeros(16, 16)), nn.Parameter(torch.zeros(16))
        _packed(probe)(torch.zeros(1, 16), torch.zeros(1, 16))
    except (AttributeError, RuntimeError):
        return _together
    return _packed


def _packed(*linears: nn.Linear) -> Product:
    """Return the product with a copy of the weights, in the order in which oneDNN multiplies."""
    weight = torch.cat([linear.weight.detach() for linear in linears])
    biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
    bias = torch.cat(biases) if biases else None
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _PACKED_FOR_ROWS)
    multiply = torch.ops.mkldnn._linear_pointwise.default
    multiply_and_add = torch.ops.mkldnn._linear_pointwise.binary

    def product(x: Tensor, plus: Tensor | None = None) -> Tensor:
        if plus is None:
            return multiply(x, packed, bias, "none", [], "")
        return multiply_and_add(x, plus, packed, bias, "add")

    return product


def _together(*linears: nn.Linear) -> Product:
    """Return the product with one weight, of which the parameters of the layers become views."""
    if len(linears) == 1:
        weight, bias = linears[0].weight, linears[0].bias
    else:
        biases = [linear.bias for linear in linears if linear.bias is not None]
        weight = _joined([linear.weight for linear in linears])
        bias = _joined(biases) if biases else None

    def product(x: Tensor, plus: Tensor | None = None) -> Tensor:
        projected = functional.linear(x, weight, bias)
        return projected if plus is None else projected.add_(plus)

    return product


def _joined(parameters: Sequence[Tensor]) -> Tensor:
    whole = torch.cat([parameter.data for parameter in parameters])
    start = 0
    for parameter in parameters:
        parameter.data = whole[start : start + len(parameter)]
        start += len(parameter)
    return whole


def _normed(x_BTHD: Tensor, norm: _Norm | None) -> Tensor:
    return x_BTHD if norm is None else norm(x_BTHD)


def _turned(x_BTHD: Tensor, turn: tuple[Tensor, ...]) -> Tensor:
    """Return heads turned by their positions (rotary embedding in Llama's half-split form)."""
    cosines, sines = turn
    half = x_BTHD.shape[-1] // 2
    turned = x_BTHD * cosines
    turned[..., :half].addcmul_(x_BTHD[..., half:], sines, value=-1)
    turned[..., half:].addcmul_(x_BTHD[..., :half], sines)
    return turned


def _additive(mask: Tensor) -> Tensor:
    return torch.zeros(mask.shape).masked_fill_(~mask, -torch.inf)


def _has_hooks(part: nn.Module) -> bool:
    return bool(part._forward_hooks or part._forward_pre_hooks or "forward" in part.__dict__)
