# pyright: standard
"""A question and a passage read together, and how well they fit: slower than vectors, and often better. Offline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freehold.core.errors import ModelError
from freehold.models.quiet import quiet_transformers
from freehold.models.sources import UNSAFE_SUFFIXES, check_safetensors, find_folder

Rerank = Callable[[str, Sequence[str]], NDArray[np.float32]]
BATCH_ROWS = 32


def open_reranker(name: str, *, cache: Path, online: bool = False) -> Rerank:
    """Open a cross-encoder of sentence-transformers: a folder, or a Hugging Face id that was downloaded.

    Returns:
        A function from a question and texts to a score for each text; higher fits better.

    Args:
        name: what to open.
        cache: the folder of downloaded models.
        online: whether a missing model may be downloaded into `cache`.

    Raises:
        ModelError: it is missing, unsafe, or no cross-encoder with one score (MDL-003, MDL-004, DOC-008).
    """
    folder = find_folder(name, revision=None, cache=cache, online=online)
    weights = sorted(folder.rglob("*.safetensors"))
    if not weights:
        unsafe = sorted(file.name for file in folder.rglob("*") if file.suffix in UNSAFE_SUFFIXES)
        raise ModelError(
            "MDL-003" if unsafe else "MDL-004",
            f"the cross-encoder {name} has no weights as safetensors",
            help="use a model folder with safetensors",
        )
    for file in weights:
        check_safetensors(file)
    from sentence_transformers import CrossEncoder

    try:
        with quiet_transformers():
            model = CrossEncoder(
                str(folder),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise _none(name, f"{type(error).__name__}: {error}".split("\n")[0]) from error
    if model.num_labels != 1:
        raise _none(name, f"it gives {model.num_labels} scores, not one")

    def rerank(question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros(0, dtype=np.float32)
        pairs = [(question, text) for text in texts]
        scores = model.predict(pairs, batch_size=BATCH_ROWS, show_progress_bar=False)
        return np.asarray(scores, dtype=np.float32)

    return rerank


def _none(name: str, reason: str) -> ModelError:
    return ModelError(
        "DOC-008",
        f"{name} cannot be used as a cross-encoder",
        help="use a model folder that sentence-transformers saved as a CrossEncoder with one label",
        cause=(reason,),
    )
