# pyright: standard
"""Several processes train as one: who computes what, what is added up, and who writes.

Every process runs the same program and holds the same trained weights. A step of the plan is divided
by `share_of`, a pure function of the step, the process and how many there are. Losses are sums over
units (`objectives`), divided by the units of all processes; gradients are added up. Every process then
takes the same optimizer step on the same numbers, so the weights stay equal without being sent.

Whatever depends on a clock, on a file or on the user is decided by the first process and told to the
others (`from_first`): when to save, when to stop, what a dev check found. It alone checks the model,
tells events and writes files; a folder must be seen by all. A checkpoint holds whole weights, so a
run goes on with any other number of processes.

Weights lie in one of two ways. Copies: every process has the whole network, as with DDP; gradients
are added up in buckets, without a wrapper, as those of an adapter are small. Shards: every decoder layer,
and what is left as one more group, is divided over the processes by torch's `fully_shard` (FSDP 2,
Zhao et al. 2023, arXiv:2304.11277), which accelerate's FSDP plugin calls too; accelerate 1.15 knows the
plugin on accelerators alone (`AcceleratorState`), this works on a CPU as well. An adapter is not
sharded; only what is frozen is. With `full` the trained weights are shards themselves.

What samples answers while it trains draws other samples with another number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn
from torch.distributed import ReduceOp, all_gather, all_reduce, barrier
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from freehold.train.batching import Step
from freehold.train.objectives import Batch, Objective

Value = TypeVar("Value")

BUCKET_ELEMENTS = 1 << 24
"""Gradients that are sent together: 64 MiB in float32."""
PATIENCE = timedelta(hours=6)
"""How long a process waits for another: a dev check of the first one may take its time."""


def share_of(step: Step, *, rank: int, count: int) -> Step:
    """Return what one of `count` processes computes of a step: all shares together are the step.

    Whole micro batches while there is one for each process; the rest is cut row by row, so that no
    process is idle and none holds more rows at once than a process alone would. With more processes
    than rows some shares have fewer micro batches.

    Raises:
        ValueError: there is no process with this rank.
    """
    if not 0 <= rank < count:
        raise ValueError(f"there is no process {rank} among {count}")
    whole = len(step) // count * count
    cut = (indices[rank::count] for indices in step[whole:])
    return (*step[rank:whole:count], *(part for part in cut if part))


class _Root(nn.Module):
    """Holds a network so that decoder and head are called within one forward pass, as sharding needs."""

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, objective: Objective[Any], batch: Batch | None) -> Tensor:
        """Return the objective's loss."""
        return objective(self.network, batch)


@dataclass(frozen=True)
class Processes:
    """The processes of a training, seen from one of them; without a `state` it is alone.

    Every method but the properties is called by all of them, in the same order.
    """

    state: PartialState | None = None
    is_sharded: bool = False
    root: _Root | None = None

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        return 0 if self.state is None else self.state.process_index

    @property
    def count(self) -> int:
        """How many there are."""
        return 1 if self.state is None else self.state.num_processes

    @property
    def is_first(self) -> bool:
        """Whether this one decides, tells and writes."""
        return self.rank == 0

    def share(self, step: Step) -> Step:
        """Return what this process computes of a step."""
        return share_of(step, rank=self.rank, count=self.count)

    def from_first(self, make: Callable[[], Value]) -> Value:
        """Return what `make` gives on the first process; it is called nowhere else."""
        if self.count == 1:
            return make()
        told: list[Value | None] = [make() if self.is_first else None]
        return cast(Value, broadcast_object_list(told)[0])

    def gathered(self, value: Value) -> tuple[Value, ...]:
        """Return the value of each process, by rank."""
        return (value,) if self.count == 1 else tuple(gather_object([value]))

    def summed(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return the sums over all processes, value by value."""
        if self.state is None or self.count == 1:
            return tuple(values)
        totals = torch.tensor(values, dtype=torch.float64, device=self.state.device)
        all_reduce(totals, ReduceOp.SUM)
        return tuple(totals.tolist())

    def wait(self) -> None:
        """Return when every process is here."""
        if self.count > 1:
            barrier()

    def leave(self) -> None:
        """Part from the other processes, when all are here; nothing can be told afterwards."""
        if self.state is not None and self.count > 1:
            self.wait()
            self.state.destroy_process_group()

    def spread(self, network: PreTrainedModel) -> Processes:
        """Lay the frozen weights of `network` over the processes where that was asked for.

        What is trained is sharded where it is the network's own weights, and left whole where it is an
        adapter. `gather` undoes it.
        """
        if not self.is_sharded or self.state is None or self.count == 1:
            return self
        return replace(self, root=_sharded(network, self.count))

    def gather(self) -> None:
        """Make the network whole again on every process, bit for bit."""
        if self.root is not None:
            _gather(self.root)

    def loss(self, network: nn.Module, objective: Objective[Any], batch: Batch) -> Tensor:
        """Return the summed loss of a batch; its gradients add up to those of all processes."""
        if self.root is None:
            return objective(cast(PreTrainedModel, network), batch)
        return self.root(objective, batch)

    @property
    def gradient_factor(self) -> float:
        """What a loss is multiplied by: sharded gradients come out of the backward pass as a mean."""
        return float(self.count) if self.root is not None and _trains_shards(self.root) else 1.0

    @property
    def passes_are_shared(self) -> bool:
        """Whether every process must do as many passes as the others."""
        return self.root is not None

    def add_up(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the gradients of whole parameters by their sums over all processes."""
        if self.count == 1:
            return
        whole = [parameter for parameter in parameters if not isinstance(parameter, DTensor)]
        bucket: list[nn.Parameter] = []
        for parameter in whole:
            if bucket and sum(p.numel() for p in [*bucket, parameter]) > BUCKET_ELEMENTS:
                _add_up(bucket)
                bucket = []
            bucket.append(parameter)
        if bucket:
            _add_up(bucket)

    def clip(self, parameters: Sequence[nn.Parameter], most: float) -> float:
        """Scale gradients down to a norm of `most` over all of them; return the norm before."""
        shards = [p.grad.to_local() for p in parameters if isinstance(p.grad, DTensor)]
        if not shards:
            return float(nn.utils.clip_grad_norm_(parameters, most))
        (squares,) = self.summed([float(nn.utils.get_total_norm(shards)) ** 2])
        norm = math.sqrt(squares) if math.isfinite(squares) else squares
        if most < norm:
            for shard in shards:
                shard.mul_(most / norm)
        return norm

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Hold the weights whole on every process, so that one of them can ask the model by itself."""
        modules = _shards(self.root)
        for module in modules:
            module.set_reshard_after_forward(False, recurse=False)
            module.unshard()
        try:
            yield
        finally:
            for module in modules:
                module.set_reshard_after_forward(module is not self.root, recurse=False)
                module.reshard()
                if module is self.root:
                    module.reset_iter_state()  # what one process alone has passed is no order for all


ALONE = Processes()
"""One process, which is all there is unless a launcher started several."""


def joined(*, shards: bool = False) -> Processes:
    """Return the processes that `torchrun` or `accelerate launch` started, this one among them.

    accelerate reads from the environment which ones, connects them (gloo on a CPU, nccl on GPUs) and
    makes this process's own GPU the current one, so call this before a model is opened.

    Args:
        shards: whether frozen and full weights lie in shards (FSDP) instead of copies (DDP).
    """
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    return Processes(state, is_sharded=shards)


def whole(tensor: Tensor) -> Tensor:
    """Return a copy of a tensor in main memory, whole where it is a shard."""
    plain = tensor.detach()
    return (joined_shards(plain) if isinstance(plain, DTensor) else plain).to("cpu", copy=True)


@torch.no_grad()
def joined_shards(tensor: DTensor) -> Tensor:
    """Return the whole of a tensor that is sharded by its first dimension, in chunks of equal size."""
    count, rows = tensor.device_mesh.size(), tensor.shape[0]
    local = tensor.to_local()
    chunk = local.new_zeros((-(-rows // count), *tensor.shape[1:]))
    chunk[: len(local)] = local
    parts = [torch.empty_like(chunk) for _ in range(count)]
    all_gather(parts, chunk)
    return torch.cat(parts)[:rows]


def laid_out_as(parameter: Tensor, tensor: Tensor) -> Tensor:
    """Return a whole tensor (same on every process) on the device of `parameter`, sharded as it is."""
    moved = tensor.to(parameter.device, copy=True)
    if not isinstance(parameter, DTensor):
        return moved
    each = -(-parameter.shape[0] // parameter.device_mesh.size())
    first = min(parameter.device_mesh.get_rank() * each, parameter.shape[0])
    return DTensor.from_local(
        moved[first : first + each].contiguous(),
        parameter.device_mesh,
        parameter.placements,
        run_check=False,
        shape=parameter.shape,
        stride=parameter.stride(),
    )


def _add_up(parameters: Sequence[nn.Parameter]) -> None:
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    all_reduce(flat, ReduceOp.SUM)
    parts = flat.split([gradient.numel() for gradient in gradients])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)


def _sharded(network: PreTrainedModel, count: int) -> _Root:
    """Shard each decoder layer, and the rest as one group; adapters stay whole."""
    root = _Root(network)
    mesh = DeviceMesh(network.device.type, list(range(count)))
    parameters = list(network.parameters())
    is_full = all(parameter.requires_grad for parameter in parameters)
    kept = {p for p in parameters if not is_full and (p.requires_grad or not p.is_floating_point())}
    names = set(network._no_split_modules or ())
    layers = [module for module in network.modules() if type(module).__name__ in names]
    for layer in layers:
        fully_shard(layer, mesh=mesh, ignored_params=kept)
    fully_shard(root, mesh=mesh, ignored_params=kept)
    root(_nothing, None)  # whichever group runs first would take itself for the root
    for module in _shards(root):
        module.reshard()
    return root


def _nothing(_network: PreTrainedModel, _batch: object, /) -> Tensor:
    return torch.zeros(())


def _shards(root: nn.Module | None) -> list[FSDPModule]:
    modules = () if root is None else root.modules()
    return [module for module in modules if isinstance(module, FSDPModule)]


def _trains_shards(root: nn.Module) -> bool:
    return any(isinstance(p, DTensor) and p.requires_grad for p in root.parameters())


def _gather(root: _Root) -> None:
    """Undo `fully_shard`, for which torch 2.13 has no function: weights, hooks and classes."""
    for module in _shards(root):
        module.reshard()
    made: dict[nn.Parameter, nn.Parameter] = {}
    for owner in root.modules():
        for name, parameter in owner.named_parameters(recurse=False, remove_duplicate=False):
            if isinstance(parameter, DTensor):
                if parameter not in made:
                    made[parameter] = nn.Parameter(
                        joined_shards(parameter), requires_grad=parameter.requires_grad
                    )
                owner._parameters[name] = made[parameter]
    for module in _shards(root):
        for handle in _hooks(module):
            handle.remove()
        cast(Any, module).__class__ = type(module).__mro__[module._orig_cls_mro_index]
    for module in root.modules():
        for mark in ("_is_fsdp_managed_module", "_fsdp_use_orig_params"):
            module.__dict__.pop(mark, None)


def _hooks(module: FSDPModule) -> Iterator[RemovableHandle]:
    state = module._get_fsdp_state()
    yield state._pre_forward_hook_handle
    yield state._post_forward_hook_handle
    for group in state._fsdp_param_groups:
        yield from group._module_to_pre_save_state_dict_hook_handle.values()
        yield from group._module_to_pre_load_state_dict_hook_handle.values()
        yield from (parameter._post_load_hook_handle for parameter in group.fsdp_params)
