"""The learning rate as a pure function of the step, so that a resumed run needs no state for it."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

Shape: TypeAlias = Literal["cosine", "linear"]

LAST_SHARE = 0.1
"""A cosine ends at this share of the peak; a linear decay ends at zero."""


def learning_rate_at(
    step: int, *, peak: float, steps: int, warmup_steps: int, shape: Shape
) -> float:
    """Return the learning rate of a step in [0, steps): linear warm-up, then cosine or linear.

    Raises:
        ValueError: the step is outside the run.
    """
    if not 0 <= step < steps:
        raise ValueError(f"step {step} is outside a run of {steps} steps")
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(steps - warmup_steps, 1)
    if shape == "linear":
        return peak * (1 - progress)
    return peak * (LAST_SHARE + (1 - LAST_SHARE) * 0.5 * (1 + math.cos(math.pi * progress)))
