"""Fixtures that several rooms use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: a slow machine is no failure.
settings.register_profile("freehold", deadline=None)
settings.load_profile("freehold")

_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets beside the repository; tests that need it skip without it."""
    folder = _ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the repository: public data sets are not committed")
    return folder
