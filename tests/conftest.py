"""Fixtures that several rooms use."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright
from tests.report.chromium import SWITCHES

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


@pytest.fixture
def narrow_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load weights as on a GPU, in bfloat16, where an update is not merged into them."""
    import torch

    from freehold.models import loading

    def bfloat16(_device: torch.device) -> torch.dtype:
        return torch.bfloat16

    monkeypatch.setattr(loading, "weight_type", bfloat16)


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Debian's Chromium on the PATH, for the page tests of one file: a process can drive one at a time.

    Skips the test where there is none. Playwright's own download is never used.
    """
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=found, headless=True, args=list(SWITCHES)
        )
        yield started
        started.close()
