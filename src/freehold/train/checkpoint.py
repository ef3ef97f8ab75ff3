# pyright: standard
"""A checkpoint is one file: tensors in safetensors, everything else as JSON in its header.

One file that is written beside, fsynced and renamed is either the old one or the new one, whole,
whenever the power fails.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.core.errors import UsageError
from freehold.store.blobs import no_space, write_durably

if TYPE_CHECKING:
    from torch import Tensor

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to go on: `tensors` by name, and `state`, a JSON value."""

    tensors: Mapping[str, Tensor]
    state: Mapping[str, JsonValue]


def write_whole(path: Path, content: bytes) -> None:
    """Replace `path` by `content` so that it survives a crash: the old bytes or the new, never a part.

    Raises:
        MachineError: no space is left; `path` is as it was.
    """
    try:
        write_durably(path, content)
    except OSError as error:
        if error.errno in _FULL:
            raise no_space(path, len(content)) from error
        raise


def save_checkpoint(path: Path, checkpoint: Checkpoint, *, key: str) -> None:
    """Write a checkpoint of the run that is named by `key`."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().contiguous() for name, tensor in checkpoint.tensors.items()}
    state = json.dumps(dict(checkpoint.state), allow_nan=False)
    write_whole(path, save(tensors, metadata={"key": key, "state": state}))


def load_checkpoint(path: Path, *, key: str) -> Checkpoint | None:
    """Return the checkpoint of the run that is named by `key`; None where there is none.

    Raises:
        UsageError: the file belongs to another run; nothing is overwritten.
    """
    from safetensors import safe_open

    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        if metadata["key"] != key:
            raise another_training(path)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return Checkpoint(tensors=tensors, state=json.loads(metadata["state"]))


def another_training(path: Path) -> UsageError:
    """Return the error for a file that another run left."""
    return UsageError(
        "TRN-003",
        f"{path.name} belongs to a training with another base, spec or rows",
        help=f"train into another folder than {path.parent}, or delete it",
    )
