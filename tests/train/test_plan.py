# pyright: standard
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoConfig, LlamaConfig, PreTrainedModel

from freehold.core.errors import MachineError
from freehold.core.sections import FullSpec, LoraSpec, RetentionSpec, TunedKind, TuneSpec
from freehold.train.adapters import ADAPTERS
from freehold.train.compute import (
    base_tokens_of,
    compute_of,
    six_n_d,
    training_operations,
)
from freehold.train.footprint import StepShape, footprint, of_depth, walk
from freehold.train.machines import GIB, MACHINES, Machine
from freehold.train.plan import Plan, RowSizes, nearest_fit, plan_training, require_memory

SIZES = RowSizes(rows=4400, tokens=4400 * 300, answer_tokens=4400 * 20, longest=900)
LAPTOP, H100, SMALL_CARD = (MACHINES[n] for n in ("laptop-cpu", "h100-80gb", "rtx-3060-12gb"))
KINDS: tuple[TunedKind, ...] = ("lora", "rslora", "dora", "ia3", "prefix", "osf", "full")
NO_REPLAY = RetentionSpec(replay=0)
LARGE = LlamaConfig(
    vocab_size=151_936,
    hidden_size=2560,
    intermediate_size=9728,
    num_hidden_layers=36,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    tie_word_embeddings=True,
    dtype=torch.bfloat16,
)
MIDDLE = LlamaConfig(
    vocab_size=8192,
    hidden_size=512,
    intermediate_size=1408,
    num_hidden_layers=4,
    num_attention_heads=8,
    num_key_value_heads=2,
    tie_word_embeddings=True,
)


def planned(spec: TuneSpec, machine: Machine = LAPTOP, sizes: RowSizes = SIZES) -> Plan:
    return plan_training(MIDDLE, spec, sizes, machine=machine)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_counted_as_the_real_network_has_them(
    kind: TunedKind, network_of: Callable[[str], PreTrainedModel]
) -> None:
    network = network_of("llama")
    spec = TuneSpec(kind=kind, r=4)
    plan = plan_training(network.config, spec, SIZES, machine=LAPTOP)
    before = network.num_parameters()
    tuned = ADAPTERS[kind](network, spec, "float32")
    assert (plan.base_parameters, plan.trained_parameters) == (before, tuned.trained_parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_every_family_and_kind_can_be_planned(kind: TunedKind, network: PreTrainedModel) -> None:
    if kind == "prefix" and network.config.model_type in ("gemma3_text", "mistral"):
        pytest.skip("a prefix is refused where a layer would lose it")
    plan = plan_training(network.config, TuneSpec(kind=kind, r=4), SIZES, machine=H100)
    assert plan.step_bytes > 0
    assert plan.seconds > 0


def test_what_is_alive_in_a_step_is_what_a_real_step_keeps() -> None:
    # saved for backward by one real linear layer chain, against the walk on shapes
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    one = StepShape(rows=2, length=64, loss_tokens=8)
    two = StepShape(rows=4, length=64, loss_tokens=16)
    spec = TuneSpec(kind="lora", r=4)
    found = [
        footprint(config, spec, step, dtype=torch.float32, precision="float32").alive_bytes
        for step in (one, two)
    ]
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    from transformers import LlamaForCausalLM

    from freehold.train.objectives import OBJECTIVES, Batch

    network = LlamaForCausalLM(config).requires_grad_(False)
    ADAPTERS["lora"](network, spec, "float32")
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    batch = Batch(
        tokens_BT=torch.zeros((2, 64), dtype=torch.long),
        places_N=torch.arange(8),
        targets_N=torch.zeros(8, dtype=torch.long),
        names=(),
        tokens=128,
    )
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        OBJECTIVES["sft"](network.train(), batch)
    saved = sum(size for place, size in kept.items() if place not in weights)
    assert saved <= found[0] < 2 * saved  # a step also has temporaries and gradients
    assert found[1] == pytest.approx(2 * found[0], rel=0.15)


@pytest.mark.parametrize("kind", ["lora", "dora", "ia3", "prefix", "osf"])
def test_a_deep_network_is_continued_from_shallow_ones(kind: TunedKind) -> None:
    deep = of_depth(MIDDLE, 12)
    step = StepShape(rows=2, length=128, loss_tokens=32, passes=2, replay_rows=1)
    spec = TuneSpec(kind=kind)
    continued = footprint(deep, spec, step, dtype=torch.float32, precision="bfloat16")
    whole = walk(deep, spec, step, dtype=torch.float32, precision="bfloat16")
    assert continued.alive_bytes == pytest.approx(whole.alive_bytes, rel=0.02)
    assert continued.operations == pytest.approx(whole.operations, rel=1e-6)
    assert replace(continued, alive_bytes=0, operations=0) == replace(
        whole, alive_bytes=0, operations=0
    )


def test_a_model_of_four_billion_parameters_is_planned_without_its_weights() -> None:
    plan = plan_training(LARGE, LoraSpec(), SIZES, machine=H100)
    assert 4.0e9 < plan.base_parameters < 4.1e9
    assert plan.weight_bytes == 2 * plan.base_parameters
    assert 12 * GIB < plan.memory_bytes < 26 * GIB
    assert plan.recipe.learning_rate == 2e-4


def test_each_kind_costs_what_it_must() -> None:
    plans = {kind: planned(TuneSpec(kind=kind), H100) for kind in (*KINDS, "qlora")}
    base = plans["lora"].base_parameters
    assert plans["qlora"].weight_bytes < 0.6 * plans["lora"].weight_bytes
    assert plans["full"].trained_bytes == 12 * base
    assert plans["full"].weight_bytes == 0  # the untrained weights lie in main memory
    assert (
        planned(TuneSpec(kind="full")).weight_bytes == 4 * base
    )  # and on a CPU that is the memory
    assert plans["dora"].step_bytes > plans["lora"].step_bytes
    assert plans["osf"].weight_bytes > plans["lora"].weight_bytes
    assert plans["full"].operations == pytest.approx(6.0 * base * plans["full"].tokens)


def test_more_rank_more_tokens_and_longer_rows_never_need_less_memory() -> None:
    spec = LoraSpec(retention=NO_REPLAY)
    plain = planned(spec)
    for other in (
        planned(spec.model_copy(update={"r": 64})),
        planned(spec, sizes=SIZES.model_copy(update={"answer_tokens": 4400 * 200})),
        planned(spec, sizes=SIZES.model_copy(update={"longest": 4000})),
        planned(spec.model_copy(update={"batch_tokens": 8192})),
        planned(LoraSpec()),
    ):
        assert other.memory_bytes > plain.memory_bytes


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_layers_that_are_computed_again_need_less_memory_and_more_time(kind: TunedKind) -> None:
    spec = TuneSpec(kind=kind, retention=NO_REPLAY)
    plain, again = (
        planned(spec.model_copy(update={"checkpointing": value})) for value in (False, True)
    )
    assert again.step_bytes < 0.8 * plain.step_bytes
    assert 1.1 * plain.seconds < again.seconds < 1.6 * plain.seconds


def test_time_and_energy_follow_from_the_machine() -> None:
    slow = planned(LoraSpec(epochs=2.0, retention=NO_REPLAY))
    fast_machine = LAPTOP.model_copy(update={"flops_per_second": 4 * LAPTOP.flops_per_second})
    fast = planned(LoraSpec(epochs=2.0, retention=NO_REPLAY), fast_machine)
    assert slow.tokens == 2 * SIZES.tokens
    assert slow.seconds == pytest.approx(4 * fast.seconds)
    assert slow.watt_hours == pytest.approx(slow.seconds / 3600 * LAPTOP.watts)
    speed = LAPTOP.flops_per_second * LAPTOP.utilisation
    assert slow.seconds * speed == pytest.approx(slow.operations, rel=0.3)
    replayed = planned(LoraSpec(epochs=2.0, retention=RetentionSpec(replay=0.2)))
    assert replayed.tokens == pytest.approx(slow.tokens / 0.8)


def test_what_does_not_fit_is_refused_with_the_figures_and_the_nearest_setting() -> None:
    config = of_depth(LARGE, 3)
    card = H100.model_copy(update={"memory_bytes": 8 * GIB, "context_bytes": 0})
    with pytest.raises(MachineError) as caught:
        require_memory(config, FullSpec(batch_tokens=900), SIZES, machine=card, rung="full")
    problem = caught.value.problems[0]
    assert problem.code == "GPU-003"
    needed = plan_training(config, FullSpec(batch_tokens=900), SIZES, machine=card).memory_bytes
    assert problem.message == f"full needs ≈ {needed / GIB:.0f} GiB, 8.0 GiB free"
    assert problem.help.startswith("freehold climb -s ladder.full.kind=lora    ≈ ")
    plan = require_memory(config, LoraSpec(), SIZES, machine=card, rung="lora")
    assert plan.memory_bytes <= card.usable_bytes


def test_on_a_cpu_it_is_main_memory_that_does_not_suffice() -> None:
    small = LAPTOP.model_copy(update={"memory_bytes": GIB // 4})
    with pytest.raises(MachineError, match="MAC-008") as caught:
        require_memory(MIDDLE, LoraSpec(), SIZES, machine=small, rung="lora")
    assert "smaller base model" in caught.value.problems[0].help


def test_a_card_that_cannot_hold_the_weights_is_offered_four_bits_and_what_is_offered_fits() -> (
    None
):
    card = SMALL_CARD.model_copy(update={"memory_bytes": 8 * GIB})
    asked = LoraSpec(batch_tokens=900)
    fit = nearest_fit(LARGE, asked, SIZES, machine=card)
    assert fit is not None
    assert fit.plan.memory_bytes <= card.usable_bytes
    assert fit.plan == plan_training(LARGE, fit.spec, SIZES, machine=card)
    assert fit.spec.kind == "qlora"
    assert {("kind", "qlora"), ("models.base.bits", "4")} <= set(fit.changes)
    assert fit.words.startswith("QLoRA r16, 1 x 900 tokens at a time")


def test_fewer_tokens_at_a_time_come_before_anything_else() -> None:
    asked, sizes = LoraSpec(), SIZES.model_copy(update={"longest": 300})
    whole = planned(asked, H100, sizes).memory_bytes
    tight = H100.model_copy(update={"memory_bytes": whole - 1, "context_bytes": 0})
    fit = nearest_fit(MIDDLE, asked, sizes, machine=tight)
    assert fit is not None
    assert [key for key, _ in fit.changes] == ["batch_tokens"]
    roomy = nearest_fit(MIDDLE, asked, sizes, machine=H100)
    assert roomy is not None
    assert roomy.changes == ()


def test_a_config_read_from_a_folder_is_enough(folder_of: Callable[[str], Path]) -> None:
    config = AutoConfig.from_pretrained(folder_of("phi3"))
    plan = plan_training(config, LoraSpec(targets="mlp"), SIZES, machine=LAPTOP)
    assert plan.trained_parameters > 0


def test_operations_count_a_frozen_weight_four_times_and_a_trained_one_six() -> None:
    lora = training_operations("lora", base_parameters=100, trained_parameters=10, tokens=7)
    assert lora == 7 * (4 * 100 + 6 * 10)
    full = training_operations("full", base_parameters=100, trained_parameters=100, tokens=7)
    assert full == six_n_d(parameters=100, tokens=7) == 7 * 600


def test_the_one_third_rule_is_held_against_the_base_or_against_the_line() -> None:
    # trust.md: 0.5 billion parameters on 10 million tokens are 3e16 operations
    small = compute_of(parameters=500_000_000, tokens=10e6, base_tokens=None)
    assert small.operations == pytest.approx(3e16)
    assert small.share == pytest.approx(3e-7)
    assert not small.is_provider
    assert "below one third" in small.sentence
    more = compute_of(parameters=5_000_000, tokens=12e6, base_tokens=33e6)
    assert more.share == pytest.approx(12 / 33)
    assert more.is_provider
    assert base_tokens_of("freehold/acorn") == 33e6
    assert base_tokens_of("acme/unknown") is None
    assert base_tokens_of("acme/unknown", config=SimpleNamespace(training_tokens=5)) == 5
