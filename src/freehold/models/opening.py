"""Opens any model behind the door. The ML stack is loaded when a local model is opened, not before."""

from __future__ import annotations

from pathlib import Path

from freehold.core.sections import BaseModelSpec
from freehold.models.door import Model


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
