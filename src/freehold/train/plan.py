# pyright: standard
"""What a training will need, from the model's config alone: no weights are read.

The network is built on PyTorch's meta device, where tensors have shapes and no storage, so every
architecture that transformers knows is counted exactly, and so is every kind of adapter
(`footprint`). Only what the memory allocator of a CPU keeps for itself is estimated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from freehold.core.errors import MachineError
from freehold.core.record import Record
from freehold.core.sections import TunedKind, TuneSpec
from freehold.train.compute import training_operations
from freehold.train.effort import batch_tokens_for, micro_tokens_for, recipe_for
from freehold.train.machines import GIB, Machine
from freehold.train.records import Recipe

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from freehold.train.footprint import Footprint, StepShape

FLOAT32_BYTES = 4
BFLOAT16_BYTES = 2
FOUR_BIT_BYTES = 0.516
"""Of a weight in NF4: 4 bits, and one 8-bit scale for 64 weights, with a second scale for 256 of those."""
PROCESS_BYTES = 460 * 2**20
"""Python with torch, transformers and peft loaded, and what the first step loads of them; measured."""
CPU_KEPT = 1.4
"""Resident bytes for one live byte of a step on a CPU: freed blocks that the allocator keeps; measured."""
LAUNCH_SECONDS = 2.5e-3
"""What one layer takes an accelerator at least, forward and backward, however small it is: an assumption."""
OPTIMIZER_BYTES = 2 * FLOAT32_BYTES
LEAST_BATCH_TOKENS = 128
LEAST_RANK = 4
LORA_LIKE: frozenset[TunedKind] = frozenset({"lora", "rslora", "dora"})


class RowSizes(Record):
    """How large a training set is. `answer_tokens` carry loss; all of them count once per epoch."""

    rows: Annotated[int, Field(gt=0)]
    tokens: Annotated[int, Field(gt=0)]
    answer_tokens: Annotated[int, Field(gt=0)]
    longest: Annotated[int, Field(gt=0)]


class Plan(Record):
    """What a training will need on a machine.

    `memory_bytes` is the sum of the parts: the process, the frozen weights, the trained ones with their
    optimizer and best copy, and the most that a step adds to them. `seconds` is training
    alone, without dev checks; `watt_hours` what the machine draws in that time.
    """

    kind: TunedKind
    machine: str
    recipe: Recipe
    base_parameters: int
    trained_parameters: int
    process_bytes: int
    weight_bytes: int
    trained_bytes: int
    step_bytes: int
    tokens: int
    operations: float
    seconds: float
    watt_hours: float

    @property
    def memory_bytes(self) -> int:
        """The predicted peak."""
        return self.process_bytes + self.weight_bytes + self.trained_bytes + self.step_bytes


@dataclass(frozen=True)
class Fit:
    """A spec that fits a machine: what was changed to get there, its plan, and its settings in words."""

    spec: TuneSpec
    plan: Plan
    changes: tuple[tuple[str, str], ...]

    @property
    def words(self) -> str:
        """What fits, such as `QLoRA r16, 4 x 1,024 tokens at a time`."""
        names = {"lora": "LoRA", "qlora": "QLoRA", "rslora": "rsLoRA", "dora": "DoRA", "ia3": "IA3"}
        name = names.get(self.spec.kind, self.spec.kind)
        rank = "" if self.spec.kind in ("ia3", "full") else f" r{self.spec.r}"
        recipe = self.plan.recipe
        length = min(recipe.max_length, recipe.micro_tokens)
        rows = max(1, recipe.micro_tokens // length)
        again = ", checkpointing" if self.spec.checkpointing else ""
        return f"{name}{rank}, {rows} x {length:,} tokens at a time{again}"


def plan_training(
    config: PretrainedConfig,
    spec: TuneSpec,
    sizes: RowSizes,
    *,
    machine: Machine,
    beside_bytes: int = 0,
) -> Plan:
    """Return what training `spec` on rows of these sizes will need.

    Args:
        config: of the base model.
        spec: what to train.
        sizes: of the training rows, as tokens; for pairs, of both their sides.
        machine: a CPU holds weights in float32 and the process beside them, an accelerator in bfloat16.
        beside_bytes: what else lies in the same memory, such as a teacher's weights.

    Raises:
        ModelError: the model has no layer that the spec means.
    """
    import torch

    from freehold.train.footprint import footprint

    is_cpu = machine.device == "cpu"
    parameters = parameters_of(config)
    step = _largest_step(spec, sizes, parameters)
    found = footprint(
        config,
        spec,
        step,
        dtype=torch.float32 if is_cpu else torch.bfloat16,
        precision=machine.precision,
    )
    recipe = _recipe(spec, sizes, parameters=parameters, machine=machine)
    share = spec.retention.replay
    tokens = round(sizes.tokens * recipe.epochs / (1 - share))
    operations = training_operations(
        spec.kind,
        base_parameters=parameters,
        trained_parameters=found.trained_parameters,
        tokens=tokens,
    )
    spent = (found.operations + _attention_operations(config, step)) / step.tokens * tokens
    seconds = spent / (machine.flops_per_second * machine.utilisation)
    if not is_cpu:
        layers = int(config.get_text_config().num_hidden_layers)
        passes = tokens / (step.rows * step.length)
        seconds = max(seconds, passes * layers * LAUNCH_SECONDS)
    return Plan(
        kind=spec.kind,
        machine=machine.name,
        recipe=recipe,
        base_parameters=parameters,
        trained_parameters=found.trained_parameters,
        process_bytes=beside_bytes + (PROCESS_BYTES if is_cpu else 0),
        weight_bytes=_weight_bytes(spec.kind, found, is_cpu=is_cpu),
        trained_bytes=_trained_bytes(found, is_cpu=is_cpu),
        step_bytes=_step_bytes(found, is_cpu=is_cpu),
        tokens=tokens,
        operations=operations,
        seconds=seconds,
        watt_hours=seconds / 3600 * machine.watts,
    )


def nearest_fit(
    config: PretrainedConfig,
    spec: TuneSpec,
    sizes: RowSizes,
    *,
    machine: Machine,
    beside_bytes: int = 0,
) -> Fit | None:
    """Return the first spec that fits the machine, from the one that is asked for to ever smaller ones.

    Fewer tokens at a time cost a little time and nothing else, so they come first; then layers that are
    computed again in the backward pass, a third more time; then LoRA in place of all weights, and on an
    accelerator the base in 4 bits; at last a smaller rank. None: nothing fits.

    Raises:
        ModelError: the model has no layer that the spec means.
    """
    for candidate in _candidates(spec, sizes, parameters=parameters_of(config), machine=machine):
        plan = plan_training(config, candidate, sizes, machine=machine, beside_bytes=beside_bytes)
        if plan.memory_bytes <= machine.usable_bytes:
            return Fit(spec=candidate, plan=plan, changes=_changes(spec, candidate))
    return None


def require_memory(
    config: PretrainedConfig,
    spec: TuneSpec,
    sizes: RowSizes,
    *,
    machine: Machine,
    rung: str,
    beside_bytes: int = 0,
) -> Plan:
    """Return the plan of a training that fits.

    Args:
        config: of the base model.
        spec: what to train.
        sizes: of the training rows.
        machine: its `memory_bytes` is what is free now, before the base is loaded.
        rung: whose settings the message names.
        beside_bytes: what else lies in the same memory.

    Raises:
        MachineError: it needs more memory than there is; the message has both figures, and the nearest
            setting that fits.
        ModelError: the model has no layer that the spec means.
    """
    plan = plan_training(config, spec, sizes, machine=machine, beside_bytes=beside_bytes)
    if plan.memory_bytes <= machine.usable_bytes:
        return plan
    fit = nearest_fit(config, spec, sizes, machine=machine, beside_bytes=beside_bytes)
    raise MachineError(
        "GPU-003" if machine.device == "cuda" else "MAC-008",
        f"{rung} needs ≈ {_gib(plan.memory_bytes)}, {_gib(machine.usable_bytes)} free",
        help=_way_out(rung, plan, fit),
    )


def weight_bytes(parameters: int, machine: Machine) -> int:
    """Return what a network takes that only answers: its weights, and on a CPU the process beside them."""
    if machine.device == "cpu":
        return FLOAT32_BYTES * parameters + PROCESS_BYTES
    return BFLOAT16_BYTES * parameters


def _way_out(rung: str, plan: Plan, fit: Fit | None) -> str:
    if fit is None:
        return "use a smaller base model, or leave this rung out of ladder.rungs"
    flags = " ".join(
        f"-s {key if key.startswith('models.') else f'ladder.{rung}.{key}'}={value}"
        for key, value in fit.changes
    )
    more = fit.plan.seconds / plan.seconds - 1
    time = f", {more:+.0%} time" if abs(more) >= 0.005 else ""
    return f"freehold climb {flags}    ≈ {_gib(fit.plan.memory_bytes)}{time}"


def _gib(size: int) -> str:
    gib = size / GIB
    return f"{gib:.0f} GiB" if gib >= 9.5 else f"{gib:.1f} GiB"


def parameters_of(config: PretrainedConfig) -> int:
    """Return how many parameters a network of this config has."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config).num_parameters()


def _recipe(spec: TuneSpec, sizes: RowSizes, *, parameters: int, machine: Machine) -> Recipe:
    step_tokens = max(batch_tokens_for(spec, parameters), _longest(spec, sizes))
    return recipe_for(
        spec,
        parameters=parameters,
        steps_per_epoch=max(1, round(sizes.tokens / step_tokens)),
        max_length=_longest(spec, sizes),
        precision=machine.precision,
    )


def _longest(spec: TuneSpec, sizes: RowSizes) -> int:
    return min(sizes.longest, spec.max_length or sizes.longest)


def _largest_step(spec: TuneSpec, sizes: RowSizes, parameters: int) -> StepShape:
    """Return the step with the longest rows: as many as pass together, twice where a step accumulates."""
    from freehold.train.footprint import StepShape

    longest = _longest(spec, sizes)
    micro, batch = micro_tokens_for(spec, parameters), batch_tokens_for(spec, parameters)
    rows = max(1, min(micro // longest, sizes.rows))
    answer = -(-sizes.answer_tokens // sizes.rows)
    share = spec.retention.replay
    replayed = share / (1 - share) * max(batch, longest)
    return StepShape(
        rows=rows,
        length=longest,
        loss_tokens=rows * min(answer, longest),
        passes=2 if batch > micro else 1,
        replay_rows=-(-round(min(replayed, max(micro, longest))) // longest) if share else 0,
    )


def _weight_bytes(kind: TunedKind, found: Footprint, *, is_cpu: bool) -> int:
    """Return what the untrained weights take; under `full` on an accelerator they lie in main memory."""
    if kind == "full":
        return found.base_parameters * FLOAT32_BYTES if is_cpu else 0
    if kind == "qlora":
        others = found.base_parameters - found.linear_parameters
        return round(FOUR_BIT_BYTES * found.linear_parameters) + BFLOAT16_BYTES * others
    width = FLOAT32_BYTES if is_cpu else BFLOAT16_BYTES
    return width * found.base_parameters + found.frozen_bytes


def _trained_bytes(found: Footprint, *, is_cpu: bool) -> int:
    """Return what trained weights take with their optimizer; the best copy lies in main memory."""
    best = FLOAT32_BYTES if is_cpu else 0
    return (FLOAT32_BYTES + OPTIMIZER_BYTES + best) * found.trained_parameters


def _step_bytes(found: Footprint, *, is_cpu: bool) -> int:
    """Return the most that is added at one time, by a step or (a copy of the weights) by a checkpoint.

    Gradients stay where they are; what passes through a step leaves holes in the memory of a CPU.
    """
    if not is_cpu:
        return found.held_bytes + found.alive_bytes
    gradients = FLOAT32_BYTES * found.trained_parameters
    passing = max(found.alive_bytes - gradients, 0)
    return found.held_bytes + gradients + round(CPU_KEPT * passing)


def _attention_operations(config: PretrainedConfig, step: StepShape) -> float:
    """Return the operations of causal attention scores: 2 products forward, 5 backward, half of them masked."""
    text = config.get_text_config()
    heads = int(text.num_attention_heads)
    width = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
    each = 7 * 2 * heads * width * step.length / 2
    return each * int(text.num_hidden_layers) * step.tokens


def _candidates(
    spec: TuneSpec, sizes: RowSizes, *, parameters: int, machine: Machine
) -> Iterator[TuneSpec]:
    """Yield the spec, and ever smaller ones in the order in which they hurt."""
    smallest = spec
    for kind in _kinds(spec.kind, machine):
        again = (spec.checkpointing,) if spec.checkpointing or kind == "prefix" else (False, True)
        for checkpointing in again:
            smallest = spec.model_copy(update={"kind": kind, "checkpointing": checkpointing})
            yield smallest
            for batch_tokens in _smaller_batches(smallest, parameters, sizes):
                smallest = smallest.model_copy(update={"batch_tokens": batch_tokens})
                yield smallest
    for rank in _smaller_ranks(smallest):
        yield smallest.model_copy(update={"r": rank})


def _kinds(kind: TunedKind, machine: Machine) -> Sequence[TunedKind]:
    smaller: tuple[TunedKind, ...] = (kind,)
    if kind in ("full", "osf"):
        smaller += ("lora",)
    if machine.device == "cuda" and (kind in LORA_LIKE or "lora" in smaller):
        smaller += ("qlora",)
    return smaller


def _smaller_ranks(spec: TuneSpec) -> Sequence[int]:
    if spec.kind in ("full", "ia3"):
        return ()
    return tuple(rank for rank in (8, LEAST_RANK) if rank < spec.r)


def _smaller_batches(spec: TuneSpec, parameters: int, sizes: RowSizes) -> Iterator[int]:
    tokens = micro_tokens_for(spec, parameters) // 2
    least = max(LEAST_BATCH_TOKENS, _longest(spec, sizes))
    while tokens >= least:
        yield tokens
        tokens //= 2


def _changes(asked: TuneSpec, found: TuneSpec) -> tuple[tuple[str, str], ...]:
    changed = [
        (key, str(getattr(found, key)).lower())
        for key in ("kind", "r", "batch_tokens", "checkpointing")
        if getattr(found, key) != getattr(asked, key)
    ]
    if found.kind == "qlora" and asked.kind != "qlora":
        changed.append(("models.base.bits", "4"))
    return tuple(dict.fromkeys(changed))


def lora_flops(*, base_parameters: int, adapter_parameters: int, tokens: int) -> float:
    """Return the operations of training an adapter on `tokens`; see `training_operations`."""
    return training_operations(
        "lora",
        base_parameters=base_parameters,
        trained_parameters=adapter_parameters,
        tokens=tokens,
    )
