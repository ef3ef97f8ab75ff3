# pyright: standard
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias, cast

import pytest
import torch
from peft import LoraConfig, PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM, PreTrainedModel

from freehold.core.errors import ModelError
from freehold.core.message import user
from freehold.core.sections import BaseModelSpec, LoraSpec, TunedKind, TuneSpec
from freehold.models.local import LocalModel, open_local
from freehold.models.sources import find_model
from freehold.train.adapters import ADAPTERS, Beside, Tuned
from freehold.train.objectives import collate, logits_where_loss_is
from freehold.train.records import Precision
from freehold.train.rows import TokenRow

Targets: TypeAlias = Literal["all_linear", "mlp", "attention"]
OpenTiny: TypeAlias = Callable[..., LocalModel]
TOKENS_BT = torch.arange(5, 45).reshape(2, 20)
KINDS: tuple[TunedKind, ...] = ("lora", "rslora", "dora", "ia3", "prefix", "osf", "full")
CASES = [(kind, "llama") for kind in KINDS] + [
    ("lora", "gemma3"),
    ("dora", "qwen3"),
    ("ia3", "phi3"),
    ("prefix", "qwen3"),
    ("prefix", "phi3"),
    ("osf", "phi3"),
    ("full", "qwen3"),
    ("full", "gemma3"),
]
quiet_peft = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def wake(network: PreTrainedModel, spread: float = 0.05) -> None:
    """Move everything that is trained; a LoRA's B begins at zero."""
    draw = torch.Generator().manual_seed(11)
    for parameter in network.parameters():
        if parameter.requires_grad:
            step = torch.randn(parameter.shape, generator=draw).to(parameter)
            parameter.data += spread * step


def logits_of(network: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return network(input_ids=TOKENS_BT).logits


def batch_of_two():
    rows = [
        TokenRow(ids=tuple(range(5, 20)), answer_start=12),
        TokenRow(ids=tuple(range(30, 40)), answer_start=4),
    ]
    return collate(rows, ["a", "b"], torch.device("cpu"))


def snapshot(network: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize(("kind", "family"), CASES)
def test_what_was_trained_answers_the_same_after_saving_and_loading(
    kind: TunedKind, family: str, open_tiny: OpenTiny, folder_of: Callable, tmp_path: Path
) -> None:
    base = open_tiny(family)
    network = base.loaded.network.module
    before = logits_of(network)
    tuned = ADAPTERS[kind](network, TuneSpec(kind=kind, r=4, targets="all_linear"), "float32")
    wake(network)
    trained = logits_of(network)
    asked = base.generate([[user("thing 3")]], max_tokens=6)
    tuned.save(
        tmp_path / "out",
        base="acme/tiny",
        base_digest=base.files.base_digest(),
        tokenizer=base.files.folder,
    )
    tuned.undo()
    if kind == "full":
        loaded = open_local(BaseModelSpec(id=str(tmp_path / "out")), cache=tmp_path)
    else:
        loaded = open_tiny(family, adapter=tmp_path / "out")
    found = logits_of(loaded.loaded.network.module)
    torch.testing.assert_close(found, trained, atol=1e-4, rtol=1e-4)
    assert (found - before).abs().max() > 1e-2
    assert loaded.loaded.network.mask_form == base.loaded.network.mask_form
    again = loaded.generate([[user("thing 3")]], max_tokens=6)
    assert [answer.text for answer in again] == [answer.text for answer in asked]  # type: ignore[union-attr]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_undo_leaves_the_base_bit_for_bit_as_it_was(
    kind: TunedKind, precision: Literal["float32", "bfloat16"], network_of: Callable
) -> None:
    network = network_of("llama").requires_grad_(False)
    before, logits = snapshot(network), logits_of(network)
    modules = [type(module) for module in network.modules()]
    tuned = ADAPTERS[kind](network, TuneSpec(kind=kind, r=4, targets="all_linear"), precision)
    wake(network)
    logits_where_loss_is(network, batch_of_two()).square().sum().backward()
    tuned.undo()
    after = snapshot(network)
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert torch.equal(logits_of(network), logits)
    assert [type(module) for module in network.modules()] == modules
    assert not any(p.requires_grad for p in network.parameters())
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_the_objectives_path_through_the_decoder_meets_the_tuned_network(
    kind: TunedKind, network_of: Callable
) -> None:
    network = network_of("qwen3").requires_grad_(False)
    ADAPTERS[kind](network, TuneSpec(kind=kind, r=4, targets="all_linear"), "float32")
    wake(network)
    batch = batch_of_two()
    found = logits_where_loss_is(network, batch)
    whole = network(input_ids=batch.tokens_BT).logits.flatten(0, 1)[batch.places_N]
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-4)
    found.square().sum().backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora", "ia3", "full"])
def test_a_fresh_adapter_changes_nothing(kind: TunedKind, network: PreTrainedModel) -> None:
    before = logits_of(network)
    ADAPTERS[kind](network, TuneSpec(kind=kind, r=4, targets="all_linear"), "float32")
    assert torch.equal(logits_of(network), before)


@pytest.mark.parametrize("kind", KINDS)
def test_products_in_bfloat16_leave_weights_gradients_and_answers_in_float32(
    kind: TunedKind, network_of: Callable
) -> None:
    narrow, wide = network_of("llama"), network_of("llama")
    cases: tuple[tuple[PreTrainedModel, Precision], ...]
    cases = ((narrow, "bfloat16"), (wide, "float32"))
    for network, precision in cases:
        network.requires_grad_(False)
        torch.manual_seed(5)  # the factors of LoRA and the prefix are drawn
        ADAPTERS[kind](network, TuneSpec(kind=kind, r=4, targets="all_linear"), precision)
        wake(network)
        logits_where_loss_is(network, batch_of_two()).square().sum().backward()
    assert torch.equal(logits_of(narrow), logits_of(wide))
    for (name, found), (_, wanted) in zip(
        narrow.named_parameters(), wide.named_parameters(), strict=True
    ):
        if not wanted.requires_grad:
            continue
        assert found.dtype == torch.float32
        assert found.grad.dtype == torch.float32
        assert not torch.equal(found.grad, wanted.grad), name
        cosine = torch.cosine_similarity(found.grad.flatten(), wanted.grad.flatten(), dim=0)
        assert cosine > 0.99, name


def test_a_base_in_bfloat16_is_trained_in_full_by_narrow_products(network_of: Callable) -> None:
    narrow, wide = (network_of("llama").to(torch.bfloat16) for _ in range(2))
    cases: tuple[tuple[PreTrainedModel, Precision], ...]
    cases = ((narrow, "bfloat16"), (wide, "float32"))
    untouched = logits_of(narrow)
    gradients: list[torch.Tensor] = []
    for network, precision in cases:
        tuned = ADAPTERS["full"](network.requires_grad_(False), TuneSpec(kind="full"), precision)
        logits_where_loss_is(network, batch_of_two()).square().sum().backward()
        weight = network.get_parameter("model.layers.0.mlp.up_proj.weight")
        assert weight.dtype == torch.float32
        gradients.append(weight.grad.flatten())
        tuned.undo()
        assert torch.equal(logits_of(network), untouched)
    assert not torch.equal(gradients[0], gradients[1])
    assert torch.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_counted_apart_from_the_base(kind: TunedKind, network_of: Callable) -> None:
    network = network_of("llama").requires_grad_(False)
    whole = network.num_parameters()
    tuned: Tuned = ADAPTERS[kind](
        network, TuneSpec(kind=kind, r=4, targets="all_linear"), "float32"
    )
    assert tuned.base_parameters == whole
    expected = {
        "dora": 4096 + 2 * (32 + 16 + 16 + 32 + 64 + 64 + 32),  # a length for each row of W
        "ia3": 2 * (16 + 16 + 64),
        "prefix": 4 * 2 * 2 * 16,
        "osf": 4096 + 2 * 7 * 4,  # r singular values for each of 7 layers
        "full": whole,
    }
    assert tuned.trained_parameters == expected.get(kind, 4096)


@quiet_peft
@pytest.mark.parametrize("kind", ["lora", "rslora", "dora", "ia3", "osf", "prefix"])
def test_peft_alone_loads_the_folder(kind: TunedKind, open_tiny: OpenTiny, tmp_path: Path) -> None:
    base = open_tiny("llama")
    network = base.loaded.network.module
    tuned = ADAPTERS[kind](network, TuneSpec(kind=kind, r=4, targets="all_linear"), "float32")
    wake(network)
    trained = logits_of(network)
    tuned.save(tmp_path / "out", base="acme/tiny")
    tuned.undo()
    fresh = AutoModelForCausalLM.from_pretrained(base.files.folder)
    loaded = PeftModel.from_pretrained(fresh, tmp_path / "out")
    with torch.no_grad():
        found = loaded(input_ids=TOKENS_BT).logits
    torch.testing.assert_close(found, trained, atol=1e-4, rtol=1e-4)


def test_an_update_of_orthogonal_subspaces_is_saved_as_lora_of_twice_the_rank(
    network_of: Callable, tmp_path: Path
) -> None:
    network = network_of("llama")
    tuned = ADAPTERS["osf"](network, TuneSpec(kind="osf", r=4, targets="all_linear"), "float32")
    wake(network)
    tuned.save(tmp_path, base="acme/tiny")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 8, 8)
    assert json.loads((tmp_path / "freehold.json").read_text())["kind"] == "osf"


def test_the_most_important_directions_are_out_of_reach_of_osf(network_of: Callable) -> None:
    network = network_of("llama").requires_grad_(False)
    weight = network.model.layers[0].mlp.up_proj.weight.detach().clone()
    directions, _, _ = torch.linalg.svd(weight, full_matrices=False)
    ADAPTERS["osf"](network, TuneSpec(kind="osf", r=4, targets="all_linear"), "float32")
    logits_where_loss_is(network, batch_of_two()).square().sum().backward()
    factors = network.model.layers[0].mlp.up_proj.osf_svd_params["default"]
    gradient = factors["U_low"].grad
    assert gradient.norm() > 0
    assert (directions[:, :28].T @ gradient).norm() < 1e-4 * gradient.norm()


def test_the_embeddings_are_never_part_of_an_adapter(open_tiny: OpenTiny, tmp_path: Path) -> None:
    base = open_tiny("llama")
    tuned = ADAPTERS["lora"](
        base.loaded.network.module, LoraSpec(r=4, targets="all_linear"), "float32"
    )
    tuned.save(tmp_path, base=str(base.files.folder))
    with safe_open(tmp_path / "adapter_model.safetensors", framework="pt") as file:
        names = set(file.keys())
    assert not [name for name in names if "embed" in name or "lm_head" in name]
    assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in names
    assert len(names) == 2 * 7 * 2


def test_the_configuration_is_what_vllm_reads(network_of: Callable, tmp_path: Path) -> None:
    spec = LoraSpec(r=4, targets="attention")
    ADAPTERS["lora"](network_of("llama"), spec, "float32").save(tmp_path, base="acme/tiny")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert (config["r"], config["lora_alpha"], config["bias"]) == (4, 8, "none")
    assert config["target_modules"] == ["k_proj", "o_proj", "q_proj", "v_proj"]
    assert config["base_model_name_or_path"] == "acme/tiny"


@pytest.mark.parametrize("kind", ["lora", "dora", "osf"])
def test_equal_weights_are_saved_as_equal_bytes(
    kind: TunedKind, network_of: Callable, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        network = network_of("qwen3")
        torch.manual_seed(0)
        tuned = ADAPTERS[kind](network, TuneSpec(kind=kind, r=4, targets="all_linear"), "float32")
        wake(network)
        tuned.save(tmp_path / name, base="acme/tiny")
    for file in ("adapter_config.json", "adapter_model.safetensors", "freehold.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_an_adapter_is_refused_on_a_base_with_other_files(
    open_tiny: OpenTiny, folder_of: Callable, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    tuned = ADAPTERS["lora"](
        base.loaded.network.module, LoraSpec(r=2, targets="all_linear"), "float32"
    )
    tuned.save(tmp_path, base="acme/tiny", base_digest=base.files.base_digest())
    tuned.undo()
    assert open_tiny("llama", adapter=tmp_path).digest != base.digest
    other = BaseModelSpec(id=str(folder_of("mistral")), adapter=str(tmp_path))
    with pytest.raises(ModelError, match="was trained on acme/tiny") as caught:
        find_model(other, cache=tmp_path)
    assert caught.value.problems[0].code == "MDL-021"


def test_an_adapter_of_somebody_else_is_not_asked_for_its_base(
    open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    tuned = ADAPTERS["lora"](
        base.loaded.network.module, LoraSpec(r=2, targets="all_linear"), "float32"
    )
    tuned.save(tmp_path, base="acme/tiny", base_digest="sha256:" + "0" * 64)
    (tmp_path / "freehold.json").unlink()
    assert open_tiny("llama", adapter=tmp_path).name.endswith(tmp_path.name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing without a GPU")
def test_four_bits_without_a_gpu_are_refused_with_the_way_out(
    network_of: Callable, folder_of: Callable, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="a CUDA GPU") as caught:
        ADAPTERS["qlora"](network_of("llama"), TuneSpec(kind="qlora"), "float32")
    assert caught.value.problems[0].code == "MDL-022"
    assert caught.value.problems[0].help.endswith("ladder.lora.kind=lora")
    spec = BaseModelSpec(id=str(folder_of("llama")), bits=4)
    with pytest.raises(ModelError, match="MDL-022"):
        open_local(spec, cache=tmp_path)


def test_the_bits_of_a_base_are_part_of_its_name_and_follow_the_adapter(
    open_tiny: OpenTiny, tmp_path: Path
) -> None:
    base = open_tiny("llama")
    ADAPTERS["lora"](
        base.loaded.network.module, LoraSpec(r=2, targets="all_linear"), "float32"
    ).save(tmp_path, base="acme/tiny")
    note = json.loads((tmp_path / "freehold.json").read_text())
    (tmp_path / "freehold.json").write_text(json.dumps(note | {"bits": 4}))
    folder = str(base.files.folder)
    plain = find_model(BaseModelSpec(id=folder), cache=tmp_path)
    four = find_model(BaseModelSpec(id=folder, bits=4), cache=tmp_path)
    assert (plain.bits, four.bits) == (16, 4)
    assert plain.digest() != four.digest()
    assert plain.base_digest() == four.base_digest()
    adapter = str(tmp_path)
    assert find_model(BaseModelSpec(id=folder, adapter=adapter), cache=tmp_path).bits == 4
    wide = BaseModelSpec(id=folder, adapter=adapter, bits=16)
    assert find_model(wide, cache=tmp_path).bits == 16


@pytest.mark.parametrize("family", ["gemma3", "mistral"])
def test_a_prefix_is_refused_where_a_layer_would_lose_it(family: str, network_of: Callable) -> None:
    network = network_of(family)
    before = snapshot(network)
    with pytest.raises(ModelError, match="window of the last tokens") as caught:
        ADAPTERS["prefix"](network, TuneSpec(kind="prefix", r=4), "bfloat16")
    assert caught.value.problems[0].code == "MDL-023"
    assert list(snapshot(network)) == list(before)


def test_a_prefix_leaves_scoring_with_shared_prompts_and_trees_exact(open_tiny: OpenTiny) -> None:
    base = open_tiny("llama")
    network = base.loaded.network.module
    ADAPTERS["prefix"](network, TuneSpec(kind="prefix", r=4), "float32")
    wake(network, spread=0.5)
    prompts = [[user(f"Say its colour. thing {n}")] for n in range(3)]
    options = ["red", "green", "dark grey"]
    chosen = base.choose(prompts, options)
    for prompt, choice in zip(prompts, chosen, strict=True):
        alone = [base.answer_logprobs([prompt], [option])[0] for option in options]
        wanted = [sum(found.logprobs) for found in alone]  # type: ignore[union-attr]
        assert choice.logprobs == pytest.approx(wanted, abs=1e-4)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("family", "targets", "expected"),
    [
        ("llama", "mlp", {"gate_proj", "up_proj", "down_proj"}),
        ("phi3", "mlp", {"gate_up_proj", "down_proj"}),
        ("phi3", "attention", {"qkv_proj", "o_proj"}),
        ("phi3", "all_linear", {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}),
        ("gemma3", "attention", {"q_proj", "k_proj", "v_proj", "o_proj"}),
    ],
)
def test_targets_are_named_as_the_family_names_them(
    network_of: Callable, family: str, targets: Targets, expected: set[str]
) -> None:
    tuned = ADAPTERS["lora"](network_of(family), LoraSpec(r=2, targets=targets), "float32")
    config = cast(LoraConfig, cast(Beside, tuned).model.peft_config["default"])
    assert set(config.target_modules or ()) == expected


@pytest.mark.parametrize("kind", ["lora", "ia3"])
def test_a_model_without_such_layers_is_refused_by_name(kind: TunedKind) -> None:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        vocab_size=32,
    )
    with pytest.raises(ModelError, match="query_key_value") as caught:
        ADAPTERS[kind](GPTNeoXForCausalLM(config), TuneSpec(targets="mlp"), "float32")
    assert caught.value.problems[0].code == "TRN-001"
