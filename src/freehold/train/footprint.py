# pyright: standard
"""How much memory one training step keeps alive at its worst moment, found by walking through it.

The step runs on PyTorch's meta device, where tensors have shapes and no storage: the real network of
the config, the real adapter, the real objective, forward and backward. What is alive at any time is
counted exactly, for every architecture and every kind, and nothing is computed.

Shapes: B rows, T positions, H heads, D head width.
"""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from freehold.core.sections import TunedKind, TuneSpec
from freehold.train.adapters import ADAPTERS, layers_with_known_update, linear_layers
from freehold.train.curvature import curvature_bytes
from freehold.train.objectives import OBJECTIVES, Batch
from freehold.train.records import Precision
from freehold.train.soft import SoftBatch, kl_from_teacher

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

WALKED = (3, 6)
"""The depths at which a deeper network is walked through."""
REPLAY_TOP = 32
_ATTENTION = "freehold_shapes_only"
_PRODUCTS: Mapping[Any, int] = {
    torch.ops.aten.mm.default: 0,
    torch.ops.aten.bmm.default: 0,
    torch.ops.aten.addmm.default: 1,
    torch.ops.aten.addmm_.default: 1,
    torch.ops.aten.baddbmm.default: 1,
}
"""Matrix products, and which argument's last dimension is summed over."""
_STAND_INS: Mapping[TunedKind, TunedKind] = {"qlora": "lora"}
"""Four bits exist on no meta device; the adapter beside them has the same shapes."""


@dataclass(frozen=True)
class Footprint:
    """What a step of one network and one adapter is made of.

    `linear_parameters` are the weights of the base's linear layers without the head, which four bits can
    hold. `frozen_bytes` is what the adapter brings besides its trained parameters, `held_bytes` the
    curvature that holds on. `alive_bytes` is the most
    that a step adds to all of these at one time: activations, temporaries and gradients.
    `operations` are the multiplications and additions of the matrix products of all passes together, without
    attention scores.
    """

    base_parameters: int
    linear_parameters: int
    trained_parameters: int
    frozen_bytes: int
    held_bytes: int
    alive_bytes: int
    operations: float


@dataclass(frozen=True)
class StepShape:
    """The largest step: `rows` of `length` tokens pass together, `loss_tokens` of them carry loss.

    `passes` is 2 where a step accumulates gradients: later batches then meet those of the first. A batch
    of `replay_rows` of the same length follows, with soft targets everywhere.
    """

    rows: int
    length: int
    loss_tokens: int
    passes: int = 1
    replay_rows: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of all passes, replay included."""
        return self.length * (self.passes * self.rows + self.replay_rows)


def footprint(
    config: PretrainedConfig,
    spec: TuneSpec,
    step: StepShape,
    *,
    dtype: torch.dtype,
    precision: Precision,
) -> Footprint:
    """Return the footprint of one step of `spec` on a network of `config`.

    A deep network is walked through at two small depths, and every figure continued in a straight line:
    all of its layers do the same. Under `full` the worst moment may change with the depth, so that
    there the whole network is walked through, which is quick without adapters.

    Args:
        config: of the base; no weights are read.
        spec: what is trained, and how.
        step: the largest step.
        dtype: of the frozen weights and of everything between the products.
        precision: of the products.

    Raises:
        ModelError: the network has no layers that the spec means.
    """
    depth = int(config.get_text_config().num_hidden_layers)
    if depth <= WALKED[1] or spec.kind == "full":
        return walk(config, spec, step, dtype=dtype, precision=precision)
    less, more = (
        walk(of_depth(config, layers), spec, step, dtype=dtype, precision=precision)
        for layers in WALKED
    )
    factor = (depth - WALKED[0]) / (WALKED[1] - WALKED[0])
    return Footprint(
        **{
            name: round(first + factor * (second - first))
            for (name, first), second in zip(
                asdict(less).items(), asdict(more).values(), strict=True
            )
        }
    )


def of_depth(config: PretrainedConfig, layers: int) -> PretrainedConfig:
    """Return the config of the same network with its first `layers` layers only."""
    shallow = copy.deepcopy(config)
    text = shallow.get_text_config()
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:layers]
    return shallow


def walk(
    config: PretrainedConfig,
    spec: TuneSpec,
    step: StepShape,
    *,
    dtype: torch.dtype,
    precision: Precision,
) -> Footprint:
    """Walk through one step of the whole network; see `footprint`."""
    network = shapes_of(config, dtype=dtype)
    base_parameters = network.num_parameters()
    linear_parameters = sum(layer.weight.numel() for layer in linear_layers(network).values())
    buffers_before = _buffer_bytes(network)
    held_bytes = _curvature_bytes(network, spec)
    kind = _STAND_INS.get(spec.kind, spec.kind)
    with torch.device("meta"):
        tuned = ADAPTERS[kind](network, spec, precision)
    network.train()
    if spec.checkpointing:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`gradient_checkpointing_", FutureWarning)
            network.gradient_checkpointing_enable(
                {"use_reentrant": False, "preserve_rng_state": False}  # no state on shapes
            )
    with _Alive() as alive, torch.device("meta"):
        for _ in range(step.passes):
            OBJECTIVES["sft"](network, _batch(step)).backward()
        if step.replay_rows:
            kl_from_teacher(network, _soft_batch(step)).backward()
    return Footprint(
        base_parameters=base_parameters,
        linear_parameters=linear_parameters,
        trained_parameters=tuned.trained_parameters,
        frozen_bytes=_buffer_bytes(network) - buffers_before,
        held_bytes=held_bytes,
        alive_bytes=alive.most,
        operations=alive.operations,
    )


def shapes_of(config: PretrainedConfig, *, dtype: torch.dtype) -> PreTrainedModel:
    """Return the network of a config on the meta device, with attention that keeps no scores."""
    from transformers import AttentionInterface, AutoModelForCausalLM

    # transformers makes no mask for an attention that it knows no mask for; a causal one needs none.
    AttentionInterface.register(_ATTENTION, _attend)
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation=_ATTENTION
        )
    return cast("PreTrainedModel", network.requires_grad_(False))


def _buffer_bytes(network: PreTrainedModel) -> int:
    return sum(buffer.nbytes for buffer in network.buffers())


def _curvature_bytes(network: PreTrainedModel, spec: TuneSpec) -> int:
    if spec.retention.curvature == 0 or spec.retention.replay == 0:
        return 0
    layers = layers_with_known_update(network, spec)
    return curvature_bytes(network, layers, moves_weights=spec.kind == "full")


def _batch(step: StepShape) -> Batch:
    return Batch(
        tokens_BT=torch.zeros((step.rows, step.length), dtype=torch.long),
        places_N=torch.zeros(step.loss_tokens, dtype=torch.long),
        targets_N=torch.zeros(step.loss_tokens, dtype=torch.long),
        names=(),
        tokens=step.rows * step.length,
    )


def _soft_batch(step: StepShape) -> SoftBatch:
    places = step.replay_rows * step.length
    return SoftBatch(
        tokens_BT=torch.zeros((step.replay_rows, step.length), dtype=torch.long),
        places_N=torch.zeros(places, dtype=torch.long),
        targets_N=torch.zeros(places, dtype=torch.long),
        names=(),
        tokens=places,
        top_ids_NK=torch.zeros((places, REPLAY_TOP), dtype=torch.long),
        top_logprobs_NK=torch.zeros((places, REPLAY_TOP)),
    )


class _Alive(TorchDispatchMode):
    """Counts the bytes of storages that were made while it is on and are still alive, and operations."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self.operations = 0.0
        self._now = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(  # noqa: PLR0917 - PyTorch calls it so
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation and take note of what it made."""
        del types
        before = {self._key(tensor) for tensor in tree_leaves([args, kwargs]) if _has_bytes(tensor)}
        result = func(*args, **(kwargs or {}))
        if func in _PRODUCTS:
            self.operations += 2.0 * result.numel() * args[_PRODUCTS[func]].shape[-1]
        for tensor in tree_leaves(result):
            if _has_bytes(tensor) and self._key(tensor) not in before:
                self._note(tensor.untyped_storage())
        return result

    def _key(self, tensor: Tensor) -> int:
        return tensor.untyped_storage()._cdata

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()

        def gone(_: object) -> None:
            self._now -= size
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, gone)
        self._now += size
        self.most = max(self.most, self._now)


def _has_bytes(value: object) -> bool:
    return isinstance(value, Tensor) and value.device.type == "meta"


class _Attention(torch.autograd.Function):
    """What a fused attention keeps for its backward: query, key, value, its output and a row of sums."""

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        """Return an output of the query's shape."""
        ctx, query_BHTD, key_BHTD, value_BHTD = inputs
        output_BHTD = torch.empty_like(query_BHTD)
        sums_BHT = torch.empty(query_BHTD.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query_BHTD, key_BHTD, value_BHTD, output_BHTD, sums_BHT)
        return output_BHTD

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, ...]:
        """Return gradients of the shapes of query, key and value."""
        del gradients
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])


def _attend(  # noqa: PLR0917 - transformers calls it so
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Stand in for fused attention, where transformers calls one."""
    del module, attention_mask, kwargs
    output = cast(Tensor, _Attention.apply(query, key, value))
    return output.transpose(1, 2).contiguous(), None
