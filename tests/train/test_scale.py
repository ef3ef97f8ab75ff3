# pyright: standard
"""The size of an update, and the sum of two: against the weights themselves and against PEFT."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from freehold.core.errors import ModelError
from freehold.core.message import user
from freehold.core.sections import BaseModelSpec, TunedKind, TuneSpec
from freehold.models.local import LocalModel, open_local
from freehold.train.adapters import ADAPTERS
from freehold.train.join import join_lora
from freehold.train.scale import scaled

OpenTiny: TypeAlias = Callable[..., LocalModel]
TOKENS_BT = torch.arange(5, 45).reshape(2, 20)
KINDS: tuple[TunedKind, ...] = ("lora", "rslora", "dora", "ia3", "osf", "full")


def logits_of(model: LocalModel | PreTrainedModel) -> torch.Tensor:
    network = model.loaded.network.module if isinstance(model, LocalModel) else model
    with torch.no_grad():
        return network(input_ids=TOKENS_BT).logits.float()


def close(found: torch.Tensor, wanted: torch.Tensor, *, within: float = 1e-4) -> None:
    torch.testing.assert_close(found, wanted, atol=within, rtol=min(within, 0.05))


def weights_of(network: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def trained(
    base: LocalModel, kind: TunedKind, folder: Path, *, spread: float = 0.05, seed: int = 11
) -> torch.Tensor:
    """Leave an update in `folder`; return the logits of the network while it was there."""
    network = base.loaded.network.module
    tuned = ADAPTERS[kind](
        network, TuneSpec(kind=kind, r=4, alpha=6.0, targets="all_linear"), "float32"
    )
    draw = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data += spread * torch.randn(parameter.shape, generator=draw).to(parameter)
    logits = logits_of(network)
    tuned.save(folder, base="acme/tiny", base_digest=base.digest, tokenizer=base.files.folder)
    tuned.undo()
    return logits


def opened(base: LocalModel, folder: Path) -> LocalModel:
    if (folder / "adapter_config.json").is_file():
        spec = BaseModelSpec(id=str(base.files.folder), adapter=str(folder))
    else:
        spec = BaseModelSpec(id=str(folder))
    return open_local(spec, cache=folder)


@pytest.mark.parametrize("kind", KINDS)
def test_the_ends_are_the_base_and_the_trained_and_the_base_comes_back(
    kind: TunedKind, open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    network = base.loaded.network.module
    before, weights = logits_of(base), weights_of(network)
    at_one = trained(base, kind, tmp_path / "t")
    with scaled(base, tmp_path / "t") as update:
        assert update.is_continuous
        assert torch.equal(logits_of(update.at(0.0)), before)
        close(logits_of(update.at(1.0)), at_one)
        assert not torch.allclose(logits_of(update.at(0.5)), at_one, atol=1e-3)
        assert torch.equal(logits_of(update.at(0.0)), before)
    after = weights_of(network)
    assert list(after) == list(weights)
    assert all(torch.equal(after[name], weights[name]) for name in weights)
    assert torch.equal(logits_of(base), before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.0, 0.35, 1.0, 1.1])
def test_a_saved_size_loads_and_answers_as_it_was_asked(
    kind: TunedKind, scale: float, open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    trained(base, kind, tmp_path / "t")
    with scaled(base, tmp_path / "t") as update:
        asked = logits_of(update.at(scale))
        update.save(scale, tmp_path / "s")
    loaded = opened(base, tmp_path / "s")
    close(logits_of(loaded), asked)
    noted = json.loads((tmp_path / "s" / "freehold.json").read_text())
    assert noted.get("scale", 1) == scale


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_lies_on_the_line_between_the_ends(
    kind: TunedKind, open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("qwen3")
    network = base.loaded.network.module
    trained(base, kind, tmp_path / "t")
    first = weights_of(network)
    last = weights_of(opened(base, tmp_path / "t").loaded.network.module)
    changed = [name for name in first if not torch.equal(first[name], last[name])]
    assert changed
    with scaled(base, tmp_path / "t") as update:
        update.save(0.3, tmp_path / "s")
    found = weights_of(opened(base, tmp_path / "s").loaded.network.module)
    for name in first:
        wanted = first[name] + 0.3 * (last[name] - first[name])
        torch.testing.assert_close(found[name], wanted, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora", "ia3", "osf", "full"])
def test_narrow_weights_keep_the_adapter_beside_them(
    kind: TunedKind, open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    network = base.loaded.network.module.bfloat16()
    before = logits_of(base)
    at_one = trained(base, kind, tmp_path / "t")
    near = 0.05 * float(at_one.std())
    with scaled(base, tmp_path / "t") as update:
        assert torch.equal(logits_of(update.at(0.0)), before)
        close(logits_of(update.at(1.0)), at_one, within=near)
        half = logits_of(update.at(0.5))
        assert torch.equal(logits_of(update.at(0.0)), before)
    assert torch.equal(logits_of(base), before)
    assert network.dtype == torch.bfloat16
    exact = open_tiny("llama")
    with scaled(exact, tmp_path / "t") as update:
        close(half, logits_of(update.at(0.5)), within=near)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_half_of_a_lora_is_pefts_own_half(open_tiny: OpenTiny, tmp_path: Path) -> None:
    from peft.helpers import rescale_adapter_scale

    base = open_tiny("llama")
    trained(base, "lora", tmp_path / "t")
    plain = AutoModelForCausalLM.from_pretrained(base.files.folder)
    theirs = PeftModel.from_pretrained(plain, tmp_path / "t")
    with rescale_adapter_scale(theirs, 0.5), torch.no_grad():
        wanted = theirs(input_ids=TOKENS_BT).logits
    with scaled(base, tmp_path / "t") as update:
        close(logits_of(update.at(0.5)), wanted)


def test_each_size_has_a_digest_of_its_own_and_only_the_last_view_answers(
    open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    trained(base, "lora", tmp_path / "t")
    trained(base, "lora", tmp_path / "u", seed=12)
    with scaled(base, tmp_path / "t") as update:
        views = [update.at(scale) for scale in (0.0, 0.5, 0.6, 1.0, 0.5)]
        digests = [view.digest for view in views]
        assert len(set(digests)) == 4
        assert digests[1] == digests[4]
        assert base.digest not in digests
        with pytest.raises(AttributeError):
            views[0].generate([[user("thing 3")]], max_tokens=2)
        answers = views[-1].generate([[user("thing 3")]], max_tokens=2)
        assert len(answers) == 1
    with scaled(base, tmp_path / "u") as update:
        assert update.at(0.5).digest not in digests
    assert base.generate([[user("thing 3")]], max_tokens=2)


def test_a_prefix_is_there_or_not(open_tiny: OpenTiny, tmp_path: Path) -> None:
    base = open_tiny("llama")
    before, context = logits_of(base), base.context_tokens
    at_one = trained(base, "prefix", tmp_path / "t", spread=0.5)
    with scaled(base, tmp_path / "t") as update:
        assert not update.is_continuous
        whole = update.at(1.0)
        assert whole.context_tokens == context - 4
        close(logits_of(whole), at_one)
        with pytest.raises(ValueError, match="whole"):
            update.at(0.5)
        assert torch.equal(logits_of(update.at(0.0)), before)
        update.save(1.0, tmp_path / "s")
    close(logits_of(opened(base, tmp_path / "s")), at_one)
    assert torch.equal(logits_of(base), before)


def test_a_negative_size_is_refused(open_tiny: OpenTiny, tmp_path: Path) -> None:
    base = open_tiny("llama")
    trained(base, "lora", tmp_path / "t")
    with scaled(base, tmp_path / "t") as update:
        for scale in (-0.1, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="scale"):
                update.at(scale)


def test_an_update_of_another_base_is_refused(open_tiny: OpenTiny, tmp_path: Path) -> None:
    trained(open_tiny("llama"), "lora", tmp_path / "adapter")
    trained(open_tiny("llama"), "full", tmp_path / "whole")
    other = open_tiny("qwen3")
    before = logits_of(other)
    for folder in ("adapter", "whole"):
        with pytest.raises(ModelError, match="MDL-021"), scaled(other, tmp_path / folder):
            pass
    assert torch.equal(logits_of(other), before)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("kinds", [("lora", "lora"), ("rslora", "osf")])
def test_two_adapters_joined_are_exactly_their_sum(
    kinds: tuple[TunedKind, TunedKind], open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    before = weights_of(base.loaded.network.module)
    trained(base, kinds[0], tmp_path / "one")
    trained(base, kinds[1], tmp_path / "two", seed=12)
    join_lora(tmp_path / "one", tmp_path / "two", tmp_path / "both")
    parts = [weights_of(opened(base, tmp_path / n).loaded.network.module) for n in ("one", "two")]
    joined = opened(base, tmp_path / "both")
    found = weights_of(joined.loaded.network.module)
    for name, weight in before.items():
        wanted = parts[0][name] + parts[1][name] - weight
        torch.testing.assert_close(found[name], wanted, atol=1e-5, rtol=0)
    plain = AutoModelForCausalLM.from_pretrained(base.files.folder)
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(plain, tmp_path / "both")(input_ids=TOKENS_BT).logits
    torch.testing.assert_close(theirs, logits_of(joined), atol=1e-5, rtol=1e-5)
    rank = load_file(tmp_path / "both" / "adapter_model.safetensors")
    assert max(min(tensor.shape) for tensor in rank.values()) == 8 if kinds[1] == "lora" else 12


def test_a_stage_on_top_of_a_stage_is_released_as_one_adapter(
    open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    trained(base, "lora", tmp_path / "one")
    second = opened(base, tmp_path / "one")
    at_end = trained(second, "lora", tmp_path / "two", seed=12)
    with pytest.raises(ModelError, match="MDL-021"):
        opened(base, tmp_path / "two")
    with scaled(second, tmp_path / "two") as update:
        close(logits_of(update.at(1.0)), at_end)
        half = logits_of(update.at(0.5))
        update.save(0.5, tmp_path / "half")
    join_lora(tmp_path / "one", tmp_path / "half", tmp_path / "both")
    close(logits_of(opened(base, tmp_path / "both")), half)


def test_layers_that_only_one_adapter_changes_are_changed_as_there(
    open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    network = base.loaded.network.module
    before = weights_of(network)
    stages: tuple[tuple[str, Literal["mlp", "attention"]], ...]
    stages = (("one", "mlp"), ("two", "attention"))
    for name, targets in stages:
        tuned = ADAPTERS["lora"](
            network, TuneSpec(r=4 if name == "one" else 2, targets=targets), "float32"
        )
        for parameter in network.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.1)
        tuned.save(tmp_path / name, base="acme/tiny")
        tuned.undo()
    join_lora(tmp_path / "one", tmp_path / "two", tmp_path / "both")
    one, two, both = (
        weights_of(opened(base, tmp_path / n).loaded.network.module) for n in ("one", "two", "both")
    )
    for name, weight in before.items():
        wanted = one[name] + two[name] - weight
        torch.testing.assert_close(both[name], wanted, atol=1e-5, rtol=0)


def test_what_does_not_add_up_is_refused(open_tiny: OpenTiny, tmp_path: Path) -> None:
    base = open_tiny("llama")
    for kind in ("lora", "dora", "ia3"):
        trained(base, kind, tmp_path / kind)
    for kind in ("dora", "ia3"):
        with pytest.raises(ModelError, match=str(tmp_path / kind)) as caught:
            join_lora(tmp_path / "lora", tmp_path / kind, tmp_path / "both")
        assert caught.value.problems[0].code == "TRN-026"
    assert not (tmp_path / "both").exists()
