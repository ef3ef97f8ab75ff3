"""Machines that a training can be planned for, by name: memory, speed and power.

Speeds are the makers' dense rates of matrix products in the type that is trained in (no sparsity).
What a training reaches of them is the utilisation, which is an assumption of ours, on the careful side:
short rows and small batches keep no machine busy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from freehold.core.record import Record
from freehold.train.records import Precision

Device: TypeAlias = Literal["cpu", "cuda"]

GIB = 2**30
CUDA_CONTEXT_BYTES = 700 * 2**20
"""What a CUDA process holds besides its tensors: context, kernels, workspaces."""


class Machine(Record):
    """A machine. `memory_bytes` is that of the accelerator, or main memory where there is none.

    `watts` is the power that the accelerator (or the whole computer, without one) draws in training.
    `context_bytes` of the memory are not for tensors.
    """

    name: str
    device: Device
    memory_bytes: Annotated[int, Field(gt=0)]
    flops_per_second: Annotated[float, Field(gt=0)]
    utilisation: Annotated[float, Field(gt=0, le=1)]
    watts: Annotated[float, Field(gt=0)]
    precision: Precision
    context_bytes: Annotated[int, Field(ge=0)] = 0

    @property
    def usable_bytes(self) -> int:
        """The memory that is left for weights and training."""
        return self.memory_bytes - self.context_bytes


def _card(name: str, *, gib: int, teraflops: float, watts: float) -> Machine:
    return Machine(
        name=name,
        device="cuda",
        memory_bytes=gib * GIB,
        flops_per_second=teraflops * 1e12,
        utilisation=0.3,
        watts=watts,
        precision="bfloat16",
        context_bytes=CUDA_CONTEXT_BYTES,
    )


MACHINES: Mapping[str, Machine] = {
    # Eight cores with AVX2 at 3 GHz: 8 x 32 x 3e9 float32 operations a second; 45 W under load.
    "laptop-cpu": Machine(
        name="laptop-cpu",
        device="cpu",
        memory_bytes=16 * GIB,
        flops_per_second=0.77e12,
        utilisation=0.4,
        watts=45,
        precision="float32",
    ),
    # NVIDIA Ampere GA102 whitepaper v2, appendix on GA10x; the 3060's own rate from its 112 tensor cores
    # at 1.78 GHz with float32 sums: 25.5. Board power 170 W.
    "rtx-3060-12gb": _card("rtx-3060-12gb", gib=12, teraflops=25.5, watts=170),
    # NVIDIA Ada GPU architecture whitepaper, table of the RTX 4090: bfloat16 with float32 sums, dense.
    "rtx-4090-24gb": _card("rtx-4090-24gb", gib=24, teraflops=165.2, watts=450),
    # NVIDIA A100 datasheet: SXM, bfloat16 dense.
    "a100-80gb": _card("a100-80gb", gib=80, teraflops=312, watts=400),
    # NVIDIA H100 datasheet: SXM, bfloat16; half of the rate that is stated with sparsity.
    "h100-80gb": _card("h100-80gb", gib=80, teraflops=989.5, watts=700),
}
"""`this` is no line here: what this machine is, is measured where it is asked for."""
