"""Where things are: the project folder, the user's own file, caches and reports of mishaps."""

from __future__ import annotations

from pathlib import Path

import platformdirs

NAME = "freehold"


def user_file() -> Path:
    """Return the user's `config.yaml`; it need not exist."""
    return Path(platformdirs.user_config_dir(NAME)) / "config.yaml"


def cache_folder() -> Path:
    """Return where models are kept between projects."""
    return Path(platformdirs.user_cache_dir(NAME))


def mishap_folder(project: Path) -> Path:
    """Return where the report of a mishap goes: the project's state, else the user's log folder."""
    state = project / ".freehold"
    return state / "mishaps" if state.is_dir() else Path(platformdirs.user_log_dir(NAME))
