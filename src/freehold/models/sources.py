# pyright: standard
"""Which files a model is made of: finds its folder, refuses what cannot be loaded safely, names it.

Nothing here loads a weight or an ML stack. What is wrong with a folder is said before minutes are
spent on reading it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from freehold.core.errors import ModelError
from freehold.core.record import digest_json
from freehold.core.sections import ACORN as ACORN
from freehold.core.sections import BaseModelSpec

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PROVENANCE = "freehold.json"
"""Beside an adapter that Freehold trained: its kind, its base, the base's digest, and its bits."""
UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
DOWNLOADED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")

_IN_FOUR_BITS = {"bits": "4"}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_CONVERT = (
    "convert it once with a copy of the model that you trust:"
    " `model.save_pretrained(folder, safe_serialization=True)`"
)


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model, checked: a folder, and an adapter folder on top of it or None.

    `bits` is how many bits a weight of the base has once it is open: 4, or 16 for the type that the
    machine computes in.
    """

    name: str
    folder: Path
    adapter: Path | None
    bits: Literal[4, 16] = 16

    def digest(self) -> str:
        """Return `sha256:` over every file that decides the answers; reads all of them, once."""
        names: dict[str, str] = {}
        if self.adapter is not None:
            for file in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
                names[f"adapter/{file}"] = file_sha256(self.adapter / file)
        if self.bits == 4:
            names |= _IN_FOUR_BITS
        return digest_json("Model", {**self._base_digests, **names})

    def base_digest(self, *, bits: Literal[4, 16] = 16) -> str:
        """Return `sha256:` over the files of the base alone, as if it were opened in `bits`."""
        extra = _IN_FOUR_BITS if bits == 4 else {}
        return digest_json("Model", {**self._base_digests, **extra})

    def with_adapter(self, folder: Path) -> ModelFiles:
        """Return these files with an adapter, which may have been trained on them as they are.

        Raises:
            ModelError: the folder is no PEFT adapter, or it was trained on other files.
        """
        _check_adapter(folder)
        name = f"{self.name} + {folder.name}"
        files = ModelFiles(name=name, folder=self.folder, adapter=folder, bits=self.bits)
        _check_base(files, folder, also=frozenset({self.digest()}))
        return files

    @cached_property
    def _base_digests(self) -> dict[str, str]:
        return {f"base/{file.name}": file_sha256(file) for file in self._base_files()}

    def _base_files(self) -> Iterator[Path]:
        settings = ("config.json", "generation_config.json", *TOKENIZER_FILES)
        yield from (self.folder / name for name in settings if (self.folder / name).is_file())
        yield from weight_files(self.folder)


def find_model(spec: BaseModelSpec, *, cache: Path, online: bool = False) -> ModelFiles:
    """Return the checked files of the model that `spec` names.

    Args:
        spec: the bundled model, a folder, or a Hugging Face id with its revision; and an adapter.
        cache: the folder of downloaded models. The Hugging Face cache of this machine is looked into
            as well.
        online: whether a missing model may be downloaded into `cache`.

    Raises:
        ModelError: the model is not here, is not a model, is not safe to load, or its download failed.
    """
    folder = (
        _bundled()
        if spec.id == ACORN
        else find_folder(spec.id, revision=spec.revision, cache=cache, online=online)
    )
    _check_model(folder)
    adapter = None
    if spec.adapter is not None:
        adapter = Path(spec.adapter).expanduser()
        _check_adapter(adapter)
    name = spec.id if adapter is None else f"{spec.id} + {adapter.name}"
    bits = spec.bits or (16 if adapter is None else _recorded_bits(adapter))
    files = ModelFiles(name=name, folder=folder, adapter=adapter, bits=bits)
    if adapter is not None:
        _check_base(files, adapter)
    return files


def bundled_folder() -> Path:
    """Return the folder of freehold/acorn in this installation; it may be empty in a bare checkout."""
    return Path(__file__).parent / "acorn"


def read_json(file: Path) -> dict[str, object]:
    """Return the JSON object in `file`.

    Raises:
        ModelError: it cannot be read, or holds something else.
    """
    try:
        value = cast(object, json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(
            "MDL-002",
            f"{file} cannot be read as JSON",
            help="copy the model folder again from where it came",
            cause=(str(error),),
        ) from error
    if not isinstance(value, dict):
        raise ModelError(
            "MDL-002",
            f"{file} holds a {type(value).__name__}, not a JSON object",
            help="copy the model folder again from where it came",
        )
    return cast("dict[str, object]", value)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the safetensors files that hold the weights: one, or the shards that the index names."""
    index = folder / WEIGHTS_INDEX
    if not index.is_file():
        return (folder / WEIGHTS,)
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict):
        raise ModelError(
            "MDL-004",
            f"{index} has no weight_map",
            help="copy the model folder again from where it came",
        )
    names = {str(name) for name in cast("dict[str, object]", shards).values()}
    return tuple(folder / Path(name).name for name in sorted(names))


def find_folder(name: str, *, revision: str | None, cache: Path, online: bool) -> Path:
    """Return the folder of a model that is named by its folder or its Hugging Face id.

    Raises:
        ModelError: there is no such folder, the id is not in a cache while offline, or its download
            failed.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise ModelError(
            "MDL-002",
            f"the model {name} is a file; Freehold loads Hugging Face model folders",
            help="name the folder that holds config.json and model.safetensors",
        )
    if name.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(name):
        raise ModelError(
            "MDL-001",
            f"there is no model folder {name}",
            help=f"mend the path, or use the bundled model: `model: {ACORN}`",
        )
    return _hub_folder(name, revision=revision, cache=cache, online=online)


def _bundled() -> Path:
    folder = bundled_folder()
    if not (folder / "config.json").is_file():
        raise ModelError(
            "MDL-001",
            f"the bundled model {ACORN} is not in this installation",
            help="install the freehold wheel again, or name a folder: `model: path/to/model`",
        )
    return folder


def _hub_folder(name: str, *, revision: str | None, cache: Path, online: bool) -> Path:
    from huggingface_hub import snapshot_download

    found = _cached_folder(name, revision=revision, cache=cache)
    if found is not None:
        return found
    what = f"the model {name}" + (f" at revision {revision}" if revision else "")
    if not online:
        raise ModelError(
            "MDL-008",
            f"{what} is not on this machine, and Freehold is offline",
            help="type the same command with --online to download it once, or name a folder",
        )
    try:
        return Path(
            snapshot_download(
                name, revision=revision, cache_dir=cache, allow_patterns=list(DOWNLOADED)
            )
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            "MDL-009",
            f"{what} could not be downloaded",
            help="check the id, the revision and the network, then type the same command again",
            cause=(str(error).strip().split("\n")[0],),
        ) from error


def _cached_folder(name: str, *, revision: str | None, cache: Path) -> Path | None:
    """Return the folder in `cache`, or in the Hugging Face cache of this machine, if it is there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for place in (cache, None):
        try:
            found = snapshot_download(
                name, revision=revision, cache_dir=place, local_files_only=True
            )
        except LocalEntryNotFoundError:
            continue
        except HFValidationError as error:
            raise ModelError(
                "MDL-001",
                f"{name} is neither a folder nor a Hugging Face id",
                help=f"mend the name, or use the bundled model: `model: {ACORN}`",
                cause=(str(error).split("\n")[0],),
            ) from error
        if (Path(found) / "config.json").is_file():
            return Path(found)
    return None


def _check_model(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        is_adapter = (folder / ADAPTER_CONFIG).is_file()
        raise ModelError(
            "MDL-002",
            f"{folder} is an adapter, not a whole model"
            if is_adapter
            else f"{folder} is not a model folder: it has no config.json",
            help="name its base model as `id`, and this folder as `adapter`"
            if is_adapter
            else "name the folder that holds config.json and model.safetensors",
        )
    read_json(folder / "config.json")
    _check_weights(folder)
    if not _has_tokenizer(folder):
        raise ModelError(
            "MDL-005",
            f"{folder} has no tokenizer: no tokenizer.json, tokenizer.model, or vocab.json with"
            " merges.txt",
            help="copy the tokenizer files of the model into the folder",
        )


def _has_tokenizer(folder: Path) -> bool:
    if any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        return True
    return all((folder / name).is_file() for name in ("vocab.json", "merges.txt"))


def _check_weights(folder: Path) -> None:
    has_weights = any((folder / name).is_file() for name in (WEIGHTS, WEIGHTS_INDEX))
    if not has_weights:
        _refuse_unsafe(folder)
        raise ModelError(
            "MDL-004",
            f"{folder} has no weights: neither {WEIGHTS} nor {WEIGHTS_INDEX}",
            help="copy the weights into the folder, or download the model again",
        )
    for file in weight_files(folder):
        check_safetensors(file)


def _refuse_unsafe(folder: Path) -> None:
    unsafe = sorted(file.name for file in folder.iterdir() if file.suffix in UNSAFE_SUFFIXES)
    if unsafe:
        raise ModelError(
            "MDL-003",
            f"{folder} has its weights as {unsafe[0]}; Freehold loads safetensors only, because"
            " loading a pickle can run any code",
            help=_CONVERT,
        )


def check_safetensors(file: Path) -> None:
    """Refuse a weight file that is missing or damaged; reads its header only.

    Raises:
        ModelError: the file is not a whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise ModelError(
            "MDL-004",
            f"the weight file {file} is missing",
            help="copy the model folder again, or download the model again",
        )
    try:
        with safe_open(file, framework="numpy") as opened:
            opened.keys()
    except (SafetensorError, OSError) as error:
        with file.open("rb") as stream:
            is_pointer = stream.read(40).startswith(b"version https://git-lfs")
        raise ModelError(
            "MDL-010",
            f"the weight file {file} is "
            + ("a Git LFS pointer, not the weights" if is_pointer else "damaged"),
            help="run `git lfs pull` in its folder" if is_pointer else "copy or download it again",
            cause=(str(error),),
        ) from error


def _recorded_bits(adapter: Path) -> Literal[4, 16]:
    """Return in how many bits the base was when the adapter was trained; 16 where nobody wrote it."""
    file = adapter / PROVENANCE
    return 4 if file.is_file() and read_json(file).get("bits") == 4 else 16


def _check_base(files: ModelFiles, adapter: Path, *, also: frozenset[str] = frozenset()) -> None:
    """Refuse an adapter of Freehold's that was trained on files whose digest is none that is known.

    A base in 4 bits has a digest of its own, and is still the same base.
    """
    if not (adapter / PROVENANCE).is_file():
        return
    written = read_json(adapter / PROVENANCE)
    wanted = written.get("base_digest")
    known = {files.base_digest(), files.base_digest(bits=4), *also}
    if wanted is None or wanted in known:
        return
    raise ModelError(
        "MDL-021",
        f"the adapter {adapter} was trained on {written.get('base') or 'another base'}"
        f" ({str(wanted)[7:15]}...), and {files.folder} has other files"
        f" ({files.base_digest()[7:15]}...)",
        help="name the base model that the adapter was trained on as `id`, or train it again",
    )


def _check_adapter(folder: Path) -> None:
    if not (folder / ADAPTER_CONFIG).is_file():
        raise ModelError(
            "MDL-011",
            f"the adapter {folder} has no {ADAPTER_CONFIG}",
            help="name a PEFT adapter folder, or leave `adapter` out",
        )
    read_json(folder / ADAPTER_CONFIG)
    if not (folder / ADAPTER_WEIGHTS).is_file():
        _refuse_unsafe(folder)
        raise ModelError(
            "MDL-011",
            f"the adapter {folder} has no {ADAPTER_WEIGHTS}",
            help="copy the adapter folder again from where it came",
        )
    check_safetensors(folder / ADAPTER_WEIGHTS)


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file's content as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
