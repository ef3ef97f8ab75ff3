"""A place with a tiny model, made once for the tests of a rung."""

from pathlib import Path

import pytest
from tests.ladder.tiny_ladder import Place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("ladder"))


@pytest.fixture
def root(tmp_path: Path, place: Place) -> Path:
    """A folder with the rows of the place and a state of its own, for what opens no model."""
    rows = (place.root / "colours.jsonl").read_bytes()
    (tmp_path / "colours.jsonl").write_bytes(rows)
    return tmp_path
