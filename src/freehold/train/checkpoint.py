# pyright: standard
"""A checkpoint is one file: tensors in safetensors, everything else as JSON in its header.

One file that is written beside, fsynced and renamed is either the old one or the new one, whole,
whenever the power fails.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.core.errors import UsageError
from freehold.store.blobs import no_space, write_durably

if TYPE_CHECKING:
    from torch import Tensor

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

PARTIAL_FILES = ".writing-*"
"""The pattern of files that are written beside the one they are to replace; a killed run leaves one."""


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
    """Write a checkpoint of the run that is named by `key`.

    Raises:
        MachineError: no space is left; `path` is as it was.
    """
    state = json.dumps(dict(checkpoint.state), allow_nan=False)
    write_tensors(path, checkpoint.tensors, metadata={"key": key, "state": state})


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]
) -> None:
    """Replace `path` by a safetensors file so that it survives a crash.

    The bytes go from the tensors to the disk: the content of the file is never in memory as well, which
    for all weights of a model with their optimizer would be several times the model.

    Raises:
        MachineError: no space is left; `path` is as it was.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".writing-{path.name}-{os.getpid()}")
    try:
        save_file(whole, partial, metadata=dict(metadata))
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        _fsync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        if not _says_full(error):
            raise
        size = sum(tensor.nbytes for tensor in whole.values())
        raise no_space(path, size) from error
    finally:
        partial.unlink(missing_ok=True)


def _says_full(error: Exception) -> bool:
    """Whether an error means a full disk. safetensors puts the number into its text."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return any(f"os error {number}" in str(error) for number in _FULL)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
