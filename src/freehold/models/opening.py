"""Opens any model behind the door. The ML stack is loaded when a local model is opened, not before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from freehold.core.errors import ModelError
from freehold.core.sections import BaseModelSpec
from freehold.models.door import Model

if TYPE_CHECKING:
    from freehold.models.loading import Outline


def open_model(spec: BaseModelSpec, *, cache: Path, online: bool = False) -> Model:
    """Open the model that `spec` names.

    Args:
        spec: `freehold/acorn` (bundled), a folder, or a Hugging Face id; and an adapter folder.
        cache: the folder of downloaded models.
        online: whether a missing model may be downloaded into `cache`.

    Raises:
        ModelError: the model is missing, unsafe, damaged, or of a kind that cannot be used.
    """
    from freehold.models.local import open_local

    return open_local(spec, cache=cache, online=online)


def open_outline(spec: BaseModelSpec, *, cache: Path, online: bool = False) -> Outline:
    """Read the config and the tokenizer of the model that `spec` names, and no weights.

    Raises:
        ModelError: the model is missing, unsafe, of a kind that cannot be used, or behind an endpoint.
    """
    if spec.endpoint is not None:
        raise ModelError(
            "END-009",
            f"{spec.endpoint} is an endpoint: its config and its tokenizer are not here",
            help="name a local model in `model` to see its tokens and plan a training",
        )
    from freehold.models.loading import read_outline
    from freehold.models.sources import find_model

    return read_outline(find_model(spec, cache=cache, online=online))
