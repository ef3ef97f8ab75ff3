"""The project's secret: made once, for its owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from freehold.core.errors import MachineError
from freehold.data.personal.key import KEY_FILE, keyed, project_key
from freehold.store.store import STATE_FOLDER


def test_it_is_made_once_and_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    key = project_key(tmp_path)
    path = tmp_path / STATE_FOLDER / KEY_FILE
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert project_key(tmp_path) == key
    assert (tmp_path / STATE_FOLDER / ".gitignore").read_text() == "*\n"
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".writing")] == []
    assert project_key(tmp_path / "other") != key


@pytest.mark.skipif(os.name != "posix", reason="rights of files are those of POSIX")
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    project_key(tmp_path)
    path = tmp_path / STATE_FOLDER / KEY_FILE
    path.chmod(0o644)
    with pytest.raises(MachineError) as caught:
        project_key(tmp_path)
    assert caught.value.problems[0].code == "DAT-074"
    assert "chmod 600" in caught.value.problems[0].help


def test_a_damaged_secret_is_refused_without_being_shown(tmp_path: Path) -> None:
    project_key(tmp_path)
    path = tmp_path / STATE_FOLDER / KEY_FILE
    path.write_text("not a key")
    with pytest.raises(MachineError) as caught:
        project_key(tmp_path)
    assert caught.value.problems[0].code == "DAT-074"
    assert "not a key" not in str(caught.value)


def test_parts_are_kept_apart() -> None:
    assert keyed(b"k", "a", "bc") != keyed(b"k", "ab", "c")
    assert keyed(b"k", "a") != keyed(b"o", "a")
