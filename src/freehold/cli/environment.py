"""The environment, read once into a value; nothing below this room sees `os.environ`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

PREFIX = "FREEHOLD_"
SHARDS = "ACCELERATE_USE_FSDP"
"""What `accelerate launch --use_fsdp` tells the processes that it starts."""

QUIET_LIBRARIES: Mapping[str, str] = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
}
OFFLINE_LIBRARIES: Mapping[str, str] = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
}


class Environment(NamedTuple):
    """What Freehold takes from the environment.

    `settings` maps a dotted key of the task file to its text and the variable that gave it.
    `rank` and `process_count` say which of the processes of a launcher (`torchrun`, `accelerate launch`)
    this one is; `has_shards`, that the weights which stay whole otherwise are to be divided among them (FSDP).
    """

    settings: Mapping[str, tuple[str, str]]
    is_ci: bool
    no_color: bool
    is_dumb_terminal: bool
    shell: str
    rank: int = 0
    process_count: int = 1
    has_shards: bool = False


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Understand the variables: `FREEHOLD_BAR__QUALITY=0.85` is the setting `bar.quality`."""
    settings = {
        name.removeprefix(PREFIX).lower().replace("__", "."): (value, name)
        for name, value in sorted(variables.items())
        if name.startswith(PREFIX) and len(name) > len(PREFIX)
    }
    rank, process_count = _place(variables)
    return Environment(
        settings=settings,
        is_ci=variables.get("CI", "").lower() not in {"", "0", "false"},
        no_color=bool(variables.get("NO_COLOR")),
        is_dumb_terminal=variables.get("TERM") == "dumb",
        shell=variables.get("SHELL", "").rpartition("/")[2],
        rank=rank,
        process_count=process_count,
        has_shards=variables.get(SHARDS, "").lower() == "true",
    )


def _place(variables: Mapping[str, str]) -> tuple[int, int]:
    """Return the rank of this process and how many there are; without a whole pair it is alone."""
    rank, count = variables.get("RANK", ""), variables.get("WORLD_SIZE", "")
    if rank.isdecimal() and count.isdecimal() and int(rank) < int(count):
        return int(rank), int(count)
    return 0, 1


def secret(name: str) -> str | None:
    """Return the value of the variable that holds a secret; it is read when it is needed, and kept nowhere."""
    return os.environ.get(name)


def prepare_libraries(*, online: bool) -> None:
    """Tell the libraries to be quiet and, unless `online`, to touch no network.

    Has to run before they are imported: they read these variables at import.
    """
    os.environ.update(QUIET_LIBRARIES)
    if online:
        for name in OFFLINE_LIBRARIES:
            os.environ.pop(name, None)
    else:
        os.environ.update(OFFLINE_LIBRARIES)
