# pyright: standard
"""The most memory that was seen: resident memory on a CPU, allocated memory on an accelerator."""

from __future__ import annotations

import psutil
import torch


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
