# pyright: standard
"""What is refused, and what a model's name is made of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tests.models import tiny

from freehold.core.codes import CODES
from freehold.core.errors import ModelError
from freehold.core.sections import BaseModelSpec
from freehold.models.local import open_local
from freehold.models.sources import find_model

# PEFT asks transformers by a name that the newest transformers calls old.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_model(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def refusal(spec: BaseModelSpec, cache: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        open_local(spec, cache=cache)
    problem = caught.value.problems[0]
    assert problem.code in CODES
    assert problem.help
    return caught.value


def edit_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickle_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def missing_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-2.safetensors"}
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def cut_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')


def no_end_token(folder: Path) -> None:
    words = tiny.tokenizer(template=None)
    words.eos_token = None
    words.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink()
    edit_config(folder, eos_token_id=None)
    (folder / "generation_config.json").write_text("{}")


def not_causal(folder: Path) -> None:
    edit_config(folder, architectures=["LlamaForSequenceClassification"])


def unknown_architecture(folder: Path) -> None:
    edit_config(folder, architectures=["NovelForCausalLM"], model_type="novel")


def own_code(folder: Path) -> None:
    edit_config(folder, model_type="novel", auto_map={"AutoModelForCausalLM": "novel.NovelLM"})


def missing_tensor(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def other_shape(folder: Path) -> None:
    edit_config(folder, hidden_size=64)


@pytest.mark.parametrize(
    ("damage", "code", "named"),
    [
        (no_folder, "MDL-001", "model"),
        (no_config, "MDL-002", "config.json"),
        (broken_config, "MDL-002", "config.json"),
        (no_weights, "MDL-004", "model.safetensors"),
        (pickle_weights, "MDL-003", "pytorch_model.bin"),
        (missing_shard, "MDL-004", "model-00002-of-2.safetensors"),
        (cut_weights, "MDL-010", "damaged"),
        (pointer, "MDL-010", "Git LFS"),
        (no_tokenizer, "MDL-005", "tokenizer.json"),
        (broken_tokenizer, "MDL-005", "tokenizer"),
        (no_end_token, "MDL-005", "ends an answer"),
        (not_causal, "MDL-006", "LlamaForSequenceClassification"),
        (unknown_architecture, "MDL-006", "novel"),
        (own_code, "MDL-007", "auto_map"),
        (missing_tensor, "MDL-010", "up_proj"),
        (other_shape, "MDL-010", "config"),
    ],
)
def test_a_folder_that_is_no_whole_safe_model_is_refused_with_the_reason(
    damage: Callable[[Path], None], code: str, named: str, folder: Path, tmp_path: Path
) -> None:
    damage(folder)
    error = refusal(BaseModelSpec(id=str(folder)), tmp_path)
    assert error.problems[0].code == code
    assert named in error.problems[0].message


def test_a_file_is_not_a_model(whole: Path, tmp_path: Path) -> None:
    error = refusal(BaseModelSpec(id=str(whole / "model.safetensors")), tmp_path)
    assert error.problems[0].code == "MDL-002"


def test_a_hugging_face_id_that_is_not_here_names_the_flag_that_downloads_it(
    tmp_path: Path,
) -> None:
    error = refusal(BaseModelSpec(id="nobody/no-such-model-7", revision="abc"), tmp_path)
    assert error.problems[0].code == "MDL-008"
    assert "--online" in error.problems[0].help
    assert "abc" in error.problems[0].message


def test_a_name_that_cannot_be_an_id_is_refused(tmp_path: Path) -> None:
    assert refusal(BaseModelSpec(id="a--b/c..d"), tmp_path).problems[0].code == "MDL-001"


def test_a_downloaded_model_is_found_by_its_id(whole: Path, tmp_path: Path) -> None:
    commit = "0" * 40
    place = tmp_path / "models--someone--tiny"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    shutil.copytree(whole, place / "snapshots" / commit)
    found = find_model(BaseModelSpec(id="someone/tiny"), cache=tmp_path)
    assert found.folder == place / "snapshots" / commit
    assert found.name == "someone/tiny"


def test_the_digest_follows_content_and_not_the_place(whole: Path, folder: Path) -> None:
    original = find_model(BaseModelSpec(id=str(whole)), cache=whole).digest()
    spec = BaseModelSpec(id=str(folder))
    assert find_model(spec, cache=folder).digest() == original
    (folder / "README.md").write_text("notes")
    assert find_model(spec, cache=folder).digest() == original
    for name in ("model.safetensors", "tokenizer.json", "config.json", "generation_config.json"):
        before = find_model(spec, cache=folder).digest()
        content = (folder / name).read_bytes()
        changed = content[:-1] + b" " if name == "model.safetensors" else content + b" "
        (folder / name).write_bytes(changed)
        assert find_model(spec, cache=folder).digest() != before


def save_adapter(folder: Path, base: Path, *, hidden: int = 32, seed: int = 1) -> Path:
    module = tiny.module("llama", vocabulary=len(tiny.tokenizer()), hidden=hidden)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=["q_proj", "up_proj"],
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    module.name_or_path = str(base)
    get_peft_model(module, config).save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def test_an_adapter_changes_the_answers_as_peft_itself_does(whole: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    from freehold.core.message import user
    from freehold.models.door import TokenLogprobs

    adapter = save_adapter(tmp_path / "t7", whole)
    tuned = open_local(BaseModelSpec(id=str(whole), adapter=str(adapter)), cache=tmp_path)
    base = open_local(BaseModelSpec(id=str(whole)), cache=tmp_path)
    assert tuned.name == f"{whole} + t7"
    assert tuned.digest != base.digest

    module = PeftModel.from_pretrained(base.loaded.network.module, str(adapter)).eval()
    prompt = (user("Where is my card?"),)
    answer = "lost card"
    got = tuned.answer_logprobs([prompt], [answer])[0]
    assert isinstance(got, TokenLogprobs)
    chat = tuned.loaded.chat
    start = chat.prompt_ids(prompt)
    ids = [*start, *chat.answer_ids(answer), chat.end_id]
    with torch.inference_mode():
        logprobs = torch.log_softmax(module(torch.tensor([ids])).logits[0], dim=-1)
    expected = [float(logprobs[at - 1, ids[at]]) for at in range(len(start), len(ids))]
    assert got.logprobs == pytest.approx(expected, abs=1e-4)


def adapter_without_config(adapter: Path) -> None:
    (adapter / "adapter_config.json").unlink()


def adapter_without_weights(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()


def adapter_as_pickle(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")


def adapter_with_a_missing_tensor(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, adapter / "adapter_model.safetensors")


def adapter_of_another_base(adapter: Path) -> None:
    save_adapter(adapter, Path("another-base"), hidden=64)


def adapter_of_another_kind(adapter: Path) -> None:
    module = tiny.module("llama", vocabulary=len(tiny.tokenizer()))
    module.name_or_path = "base"
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    get_peft_model(module, config).save_pretrained(str(adapter), save_embedding_layers=False)


@pytest.mark.parametrize(
    ("damage", "code", "named"),
    [
        (adapter_without_config, "MDL-011", "adapter_config.json"),
        (adapter_without_weights, "MDL-011", "adapter_model.safetensors"),
        (adapter_as_pickle, "MDL-003", "adapter_model.bin"),
        (adapter_with_a_missing_tensor, "MDL-011", "does not fit"),
        (adapter_of_another_base, "MDL-011", "another-base"),
        (adapter_of_another_kind, "MDL-011", "PROMPT_TUNING"),
    ],
)
def test_an_adapter_that_does_not_belong_is_refused_with_the_reason(
    damage: Callable[[Path], None], code: str, named: str, whole: Path, tmp_path: Path
) -> None:
    adapter = save_adapter(tmp_path / "adapter", whole)
    damage(adapter)
    error = refusal(BaseModelSpec(id=str(whole), adapter=str(adapter)), tmp_path)
    assert error.problems[0].code == code
    assert named in error.problems[0].message


def test_an_adapter_in_the_place_of_a_model_is_recognised(whole: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "adapter", whole)
    error = refusal(BaseModelSpec(id=str(adapter)), tmp_path)
    assert error.problems[0].code == "MDL-002"
    assert "adapter" in error.problems[0].message
