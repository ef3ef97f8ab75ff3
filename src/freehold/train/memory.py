# pyright: standard
"""This machine: the most memory that was seen in use, what is free, and how fast it multiplies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil
import torch

from freehold.train.effort import MICRO_TOKENS
from freehold.train.machines import Machine

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from freehold.train.records import Precision

PROBE_TOKENS = 128
PROBE_SECONDS = 0.5
CPU_WATTS = 65.0
CUDA_WATTS = 350.0
"""The power of a machine that nobody named: a desktop processor, or a large card, under load."""


def this_machine(
    network: PreTrainedModel, *, flops_per_second: float, precision: Precision
) -> Machine:
    """Return this machine as it stands with `network` loaded, for a plan that counts it once more.

    Its memory is what is free now, and what the process (on a CPU) or the network's tensors (on an
    accelerator) already take of it.

    Args:
        network: which device it is on, and what it takes there.
        flops_per_second: what it was measured to do; nothing is taken off for utilisation.
        precision: of the products in training.
    """
    is_cuda = network.device.type == "cuda"
    if is_cuda:
        memory = torch.cuda.mem_get_info(network.device)[0]
        memory += torch.cuda.memory_reserved(network.device)
    else:
        memory = psutil.virtual_memory().available + psutil.Process().memory_info().rss
    return Machine(
        name="this",
        device="cuda" if is_cuda else "cpu",
        memory_bytes=int(memory),
        flops_per_second=flops_per_second,
        utilisation=1.0,
        watts=CUDA_WATTS if is_cuda else CPU_WATTS,
        precision=precision,
    )


def operations_per_second(network: PreTrainedModel, *, clock: Callable[[], float]) -> float:
    """Return how many operations a second the network's products take here, from a short forward pass.

    The pass grows until it takes half a second or has the tokens of a training batch, so that a large
    network on a slow machine does not keep anyone waiting.
    """
    parameters, tokens = network.num_parameters(), PROBE_TOKENS
    with torch.inference_mode():
        while True:
            ids_BT = torch.zeros((1, tokens), dtype=torch.long, device=network.device)
            network.get_decoder()(input_ids=ids_BT.reshape(-1, PROBE_TOKENS), use_cache=False)
            began = clock()
            found = network.get_decoder()(
                input_ids=ids_BT.reshape(-1, PROBE_TOKENS), use_cache=False
            )
            float(found.last_hidden_state.sum())  # waits for an accelerator
            seconds = max(clock() - began, 1e-9)
            if seconds >= PROBE_SECONDS or tokens >= MICRO_TOKENS:
                return 2.0 * parameters * tokens / seconds
            tokens *= 4


class PeakMemory:
    """Looks at the memory whenever it is told to; the loop tells it between forward and backward.

    That is where activations are at their peak. On a CPU this is the resident memory of the whole
    process, the interpreter and its libraries included.
    """

    def __init__(self, device: torch.device) -> None:
        """Begin with what is in use now."""
        self._device = device
        self._process = psutil.Process()
        self._most = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self.look()

    def look(self) -> None:
        """Take the present use into account."""
        if self._device.type == "cuda":
            self._most = int(torch.cuda.max_memory_allocated(self._device))
        else:
            self._most = max(self._most, int(self._process.memory_info().rss))

    @property
    def bytes(self) -> int:
        """The most bytes seen."""
        return self._most
