"""Debian's Chromium as an independent reader of what this room draws."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
)
"""Of every browser that a test starts."""
_SHOT = ("--headless", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND")


def chromium() -> str:
    """The path of Chromium; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    return found


def browse(page: Path, *options: str, scripts: bool = True) -> str:
    """Open a local page with the options, in a profile of its own; return what is printed."""
    profile = page.parent / ("profile" if scripts else "profile-without-scripts")
    preferences = profile / "Default" / "Preferences"
    if not scripts and not preferences.exists():
        preferences.parent.mkdir(parents=True)
        off = {"profile": {"default_content_setting_values": {"javascript": 2}}}
        preferences.write_text(json.dumps(off), encoding="utf-8")
    command = [chromium(), *SWITCHES, *_SHOT, f"--user-data-dir={profile}", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode(errors="replace")[-2000:])
    return done.stdout.decode(errors="replace")
