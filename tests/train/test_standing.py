# pyright: standard
"""A second update on a base whose weights are too narrow to merge the first one into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
import torch
from peft import PeftModel
from tests.train.test_quick_linear import gradients, set_weights
from tests.train.test_scale import TOKENS_BT, close, logits_of, opened, trained
from tests.train.test_tune import train
from transformers import AutoModelForCausalLM

from freehold.core.errors import ModelError
from freehold.core.sections import LoraSpec, TunedKind, TuneSpec
from freehold.models import loading
from freehold.models.local import LocalModel
from freehold.models.standing import has_standing_update
from freehold.train.adapters import ADAPTERS
from freehold.train.join import join_lora
from freehold.train.rows import TrainingRow
from freehold.train.scale import scaled

OpenTiny: TypeAlias = Callable[..., LocalModel]


@pytest.mark.usefixtures("narrow_weights")
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_it_answers_as_peft_does_beside_the_same_weights(
    open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    trained(base, "lora", tmp_path / "t")
    network = opened(base, tmp_path / "t").loaded.network.module
    peft = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base.files.folder, dtype=torch.bfloat16),
        tmp_path / "t",
    ).eval()
    assert has_standing_update(network)
    assert not hasattr(network, "peft_config")
    assert set(network.state_dict()) == set(base.loaded.network.module.state_dict())
    with torch.no_grad():
        assert torch.equal(logits_of(network), peft(input_ids=TOKENS_BT).logits.float())
    assert not torch.equal(logits_of(network), logits_of(base))


@pytest.mark.usefixtures("narrow_weights")
@pytest.mark.parametrize("kind", ["dora", "ia3"])
def test_what_is_no_plain_lora_stays_with_peft(
    kind: TunedKind, open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    trained(base, kind, tmp_path / "t")
    network = opened(base, tmp_path / "t").loaded.network.module
    assert hasattr(network, "peft_config")
    assert not has_standing_update(network)


def test_in_float32_it_is_merged(open_tiny: OpenTiny, tmp_path: Path) -> None:
    base = open_tiny("llama")
    trained(base, "lora", tmp_path / "t")
    assert not has_standing_update(opened(base, tmp_path / "t").loaded.network.module)


def test_gradients_of_the_next_update_are_those_on_merged_weights(
    open_tiny: OpenTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32 throughout, where both must be the same to rounding."""
    base = open_tiny("llama")
    trained(base, "lora", tmp_path / "t")
    merged = opened(base, tmp_path / "t").loaded.network.module
    monkeypatch.setattr(loading, "weight_type", lambda _device: torch.float64)
    beside = opened(base, tmp_path / "t").loaded.network.module.float()
    assert has_standing_update(beside)
    for network in (merged, beside):
        set_weights(
            ADAPTERS["lora"](network, TuneSpec(r=2, targets="all_linear"), "float32").network
        )
    wanted, got = gradients(merged), gradients(beside)
    assert set(got) == set(wanted)
    for name, gradient in got.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("narrow_weights")
def test_a_second_update_joins_the_first_and_the_base_comes_back(
    open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    trained(base, "lora", tmp_path / "first")
    start = opened(base, tmp_path / "first")
    before = logits_of(start)
    both = trained(start, "lora", tmp_path / "second", seed=12)
    assert torch.equal(logits_of(start), before)
    near = 0.05 * float(both.std())
    join_lora(tmp_path / "first", tmp_path / "second", tmp_path / "both")
    close(logits_of(opened(base, tmp_path / "both")), both, within=near)
    with scaled(start, tmp_path / "second") as update:
        assert torch.equal(logits_of(update.at(0.0)), before)
        close(logits_of(update.at(1.0)), both, within=near)
    assert torch.equal(logits_of(start), before)


@pytest.mark.usefixtures("narrow_weights")
@pytest.mark.parametrize("kind", ["dora", "osf", "full"])
def test_an_update_made_from_the_weights_alone_is_refused_on_it(
    kind: TunedKind,
    open_tiny: OpenTiny,
    rows_of: Callable[[int], Sequence[TrainingRow]],
    tmp_path: Path,
) -> None:
    base = open_tiny("llama")
    trained(base, "lora", tmp_path / "t")
    start = opened(base, tmp_path / "t")
    with pytest.raises(ModelError, match=f"TRN-006.*bfloat16.*{kind}"):
        train(start, rows_of(4), tmp_path / "next", spec=LoraSpec(kind=kind, r=2))
    assert not (tmp_path / "next").exists()
