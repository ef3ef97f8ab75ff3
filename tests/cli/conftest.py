"""A project folder of its own for every test, and nothing left behind in the process."""

import json
import logging
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import pytest

from freehold.cli.environment import OFFLINE_LIBRARIES, QUIET_LIBRARIES

QUEUES = {
    "billing": "I was charged twice for invoice",
    "refunds": "please send my money back for order",
    "tech": "the app crashes when I open page",
}


def ticket_rows(count: int) -> list[dict[str, str]]:
    """Return rows of three queues with texts that tell them apart."""
    queues = list(QUEUES.items())
    return [
        {"text": f"{queues[i % 3][1]} number {i}, ticket {i * 7919}", "label": queues[i % 3][0]}
        for i in range(count)
    ]


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder: examples.jsonl with 120 rows, and no user file."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_rows(folder / "examples.jsonl", ticket_rows(120))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture(autouse=True)
def process_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """The command sets the environment and the logging of its process: undo both."""
    for name in (*QUIET_LIBRARIES, *OFFLINE_LIBRARIES):
        monkeypatch.setenv(name, "")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
