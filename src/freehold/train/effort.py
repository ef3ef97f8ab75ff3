"""From one dial to a recipe: what `effort` means for this model and these rows. Pure.

Every number that a spec leaves out is derived here, and shown in the `Recipe` of the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from freehold.core.sections import PreferSpec, TuneSpec
from freehold.train.records import Precision, Recipe

LEARNING_RATE_AT_1B = 2e-4
LEARNING_RATE_GROWTH = 0.6
LEARNING_RATE_MOST = 6e-3
FULL_SHARE = 0.1
"""The rate of training every weight, as a share of LoRA's (Schulman et al. 2025, "LoRA Without Regret")."""
PREFERENCE_SHARES: Mapping[str, float] = {"dpo": 0.05, "kto": 0.05, "simpo": 0.025, "orpo": 0.25}
"""The rate of each preference method as a share of supervised fine-tuning's, docs/retention.md."""
SMALL_PARAMETERS = 100_000_000
SMALL_BATCH_TOKENS = 1024
BATCH_TOKENS = 4096
WARMUP_SHARE = 0.03
MICRO_TOKENS = 2048
EVALUATION_SHARE = 0.5
LEAST_EVALUATIONS = 2


@dataclass(frozen=True)
class Effort:
    """One position of the dial.

    `least_steps` raises the epochs of a small training set (never above `most_epochs`): 200 rows
    are 20 steps an epoch, which teaches little. `evaluations` is how often the dev metric is
    measured at most.
    """

    epochs: float
    most_epochs: float
    least_steps: int
    evaluations: int


EFFORTS: Mapping[str, Effort] = {
    "quick": Effort(epochs=1, most_epochs=10, least_steps=100, evaluations=4),
    "normal": Effort(epochs=3, most_epochs=20, least_steps=300, evaluations=12),
    "thorough": Effort(epochs=6, most_epochs=40, least_steps=600, evaluations=24),
}


def learning_rate_for(parameters: int) -> float:
    """Return the peak learning rate of LoRA for a base of this size.

    2e-4 from one billion parameters on, growing with the power 0.6 of the ratio below: 4.8e-3 at
    five million. LoRA's best rate hardly depends on its rank (Schulman et al. 2025, "LoRA Without
    Regret"); the rate at five million was measured, see docs/train.md.
    """
    growth = (1e9 / max(parameters, 1)) ** LEARNING_RATE_GROWTH
    return min(LEARNING_RATE_AT_1B * max(growth, 1.0), LEARNING_RATE_MOST)


def peak_rate_for(spec: TuneSpec, parameters: int) -> float:
    """Return the peak learning rate of a training: the spec's, or what its kind and method take.

    At one billion parameters: 2e-4 for LoRA, 2e-5 for every weight; dpo and kto take 1e-5 with LoRA, simpo 5e-6,
    orpo 5e-5, which is ten times what their papers use for every weight.
    """
    if spec.learning_rate is not None:
        return spec.learning_rate
    rate = learning_rate_for(parameters)
    if isinstance(spec, PreferSpec):
        rate *= PREFERENCE_SHARES[spec.method]
    return rate * FULL_SHARE if spec.kind == "full" else rate


def batch_tokens_for(spec: TuneSpec, parameters: int) -> int:
    """Return the padded tokens of one optimizer step: small models learn more from more steps."""
    derived = SMALL_BATCH_TOKENS if parameters < SMALL_PARAMETERS else BATCH_TOKENS
    return spec.batch_tokens or derived


def micro_tokens_for(spec: TuneSpec, parameters: int) -> int:
    """Return the padded tokens that pass the model together; a larger step accumulates."""
    return min(batch_tokens_for(spec, parameters), MICRO_TOKENS)


def epochs_for(spec: TuneSpec, steps_per_epoch: int) -> float:
    """Return the epochs: the spec's, or the dial's, raised for a small training set."""
    if spec.epochs is not None:
        return spec.epochs
    effort = EFFORTS[spec.effort]
    wanted = effort.least_steps / max(steps_per_epoch, 1)
    return min(max(effort.epochs, float(math.ceil(wanted))), effort.most_epochs)


def recipe_for(
    spec: TuneSpec,
    *,
    parameters: int,
    steps_per_epoch: int,
    max_length: int,
    precision: Precision,
) -> Recipe:
    """Return every number of a run.

    Args:
        spec: what the user asked for.
        parameters: of the base model.
        steps_per_epoch: optimizer steps that one pass over the rows takes.
        max_length: tokens of the longest row that is used.
        precision: of the matrix products.
    """
    epochs = epochs_for(spec, steps_per_epoch)
    steps = max(1, round(epochs * steps_per_epoch))
    return Recipe(
        learning_rate=peak_rate_for(spec, parameters),
        epochs=epochs,
        steps=steps,
        warmup_steps=min(max(1, round(WARMUP_SHARE * steps)), steps - 1) if steps > 1 else 0,
        batch_tokens=batch_tokens_for(spec, parameters),
        micro_tokens=micro_tokens_for(spec, parameters),
        max_length=max_length,
        precision=precision,
        evaluate_at=evaluation_steps(steps, EFFORTS[spec.effort].evaluations),
    )


def evaluations_for(recipe: Recipe, *, train_tokens: int, check_tokens: int) -> Recipe:
    """Return the recipe with fewer dev checks where they would cost more than half of the training.

    A token that is generated costs about as much as one that is trained on. Decided before the first
    step and from counts alone, so that a run and its resumed twin check at the same steps.
    """
    affordable = round(EVALUATION_SHARE * train_tokens / max(check_tokens, 1))
    planned = len(recipe.evaluate_at) - 1
    if affordable >= planned:
        return recipe
    fewer = evaluation_steps(recipe.steps, max(affordable, LEAST_EVALUATIONS))
    return recipe.model_copy(update={"evaluate_at": fewer})


def evaluation_steps(steps: int, evaluations: int) -> tuple[int, ...]:
    """Return the steps after which the dev metric is measured: 0, evenly spaced ones, the last."""
    spaced = {round(steps * part / evaluations) for part in range(1, evaluations + 1)}
    return (0, *sorted(spaced - {0}))
