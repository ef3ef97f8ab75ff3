"""Training compute: what a training spends, and what that means for the one-third rule of the EU AI Act.

The Commission's guidelines on general-purpose AI models (July 2025): whoever modifies such a model
becomes a provider of one only where the modification takes more than a third of the compute that the
original took; where that is not known, more than a third of the 1e23 operations from which a model
counts as general-purpose. Compute is counted as 6 N D (Kaplan et al. 2020, arXiv:2001.08361).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from freehold.core.record import Record
from freehold.core.sections import TunedKind

GENERAL_PURPOSE_OPERATIONS = 1e23
ALLOWED_SHARE = 1 / 3

BASE_TOKENS: Mapping[str, float] = {
    "freehold/acorn": 33e6,  # docs/acorn.md
    "Qwen/Qwen3-": 36e12,  # Qwen3 technical report, arXiv:2505.09388
    "Qwen/Qwen2.5-": 18e12,  # Qwen2.5 technical report, arXiv:2412.15115
    "meta-llama/Llama-3": 15e12,  # The Llama 3 herd of models, arXiv:2407.21783
}
"""Tokens that a base was trained on, by how its name begins, where its makers say so."""


class Compute(Record):
    """The operations of a training beside those of its base. None: nobody says what the base took."""

    operations: Annotated[float, Field(ge=0)]
    base_operations: float | None
    share: float
    is_provider: bool

    @property
    def sentence(self) -> str:
        """One sentence for a report."""
        against = (
            f"the {self.base_operations:.1g} of the base"
            if self.base_operations is not None
            else f"{GENERAL_PURPOSE_OPERATIONS:.0e}, as the base's own is unknown"
        )
        verdict = (
            "above one third: whoever trains it counts as a provider of a general-purpose model"
            if self.is_provider
            else "below one third"
        )
        return (
            f"6 N D = {self.operations:.2g} operations, {self.share:.2g} of {against}; {verdict}"
            " (EU AI Act, guidelines of July 2025)"
        )


def six_n_d(*, parameters: int, tokens: float) -> float:
    """Return 6 N D: operations of training `parameters` weights on `tokens`, all of them counted.

    For an adapter this is an upper bound: N is the whole network, though most of it is frozen.
    """
    return 6.0 * parameters * tokens


def compute_of(*, parameters: int, tokens: float, base_tokens: float | None) -> Compute:
    """Return what a training took, beside its base.

    Args:
        parameters: of the whole network.
        tokens: that passed it in training.
        base_tokens: that the base was trained on; None where that is unknown.
    """
    operations = six_n_d(parameters=parameters, tokens=tokens)
    base = None if base_tokens is None else six_n_d(parameters=parameters, tokens=base_tokens)
    share = operations / (base or GENERAL_PURPOSE_OPERATIONS)
    return Compute(
        operations=operations, base_operations=base, share=share, is_provider=share > ALLOWED_SHARE
    )


def base_tokens_of(name: str, *, config: object = None) -> float | None:
    """Return how many tokens a base was trained on: `training_tokens` of its config, or `BASE_TOKENS`."""
    written = getattr(config, "training_tokens", None)
    if isinstance(written, int | float):
        return float(written)
    return next((tokens for start, tokens in BASE_TOKENS.items() if name.startswith(start)), None)


def training_operations(
    kind: TunedKind, *, base_parameters: int, trained_parameters: int, tokens: float
) -> float:
    """Return the operations of training on `tokens`, by what each weight costs.

    A frozen weight costs 2 forward and 2 for the gradient of its input, a trained one 2 more for its
    own gradient. Attention scores are left out, the embedding is counted as a product: together a small
    overestimate for short rows.
    """
    if kind == "full":
        return 6.0 * base_parameters * tokens
    return tokens * (4.0 * base_parameters + 6.0 * trained_parameters)
