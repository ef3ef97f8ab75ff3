"""The controller of replay: raises or lowers its weight and share so that a divergence budget holds. Pure.

Training starts at the base, where the divergence is zero, and every step may move away. Too much
movement costs general ability, none is learning nothing: the budget says how far (docs/retention.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from freehold.core.sections import RetentionSpec

RAISE = 1.3
LOWER = 0.8
LEAST_WEIGHT, MOST_WEIGHT = 0.3, 3.0
SHARE_STEP = 0.05
MOST_SHARE_FACTOR = 1.25
COMFORT = 0.5
"""Below this share of the budget the controller lets go."""


@dataclass
class ReplayController:
    """Weight and share of replay as they are now; it is the whole state, and part of a checkpoint."""

    spec: RetentionSpec
    weight: float
    share: float

    @classmethod
    def start(cls, spec: RetentionSpec) -> ReplayController:
        """Return the controller at the first step."""
        return cls(spec, weight=spec.weight, share=spec.replay)

    def adjust(self, divergence: float) -> None:
        """Take a measured divergence (nats per token, on general prompts that are not replayed) into account.

        Above the budget the weight grows by a third; at its most, the share grows instead. Below half of
        the budget the share goes back to what the spec says first, then the weight falls.
        """
        heaviest = max(MOST_WEIGHT, self.spec.weight)
        if divergence > self.spec.kl_budget:
            if self.weight >= heaviest:
                most = min(0.5, MOST_SHARE_FACTOR * self.spec.replay)
                self.share = min(self.share + SHARE_STEP, most)
            self.weight = min(self.weight * RAISE, heaviest)
        elif divergence < COMFORT * self.spec.kl_budget:
            if self.share > self.spec.replay:
                self.share = max(self.share - SHARE_STEP, self.spec.replay)
            else:
                self.weight = max(self.weight * LOWER, min(LEAST_WEIGHT, self.spec.weight))

    def state(self) -> dict[str, JsonValue]:
        """Return what a checkpoint keeps."""
        return {"weight": self.weight, "share": self.share}

    def restore(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from what a checkpoint kept."""
        self.weight = float(str(state["weight"]))
        self.share = float(str(state["share"]))
