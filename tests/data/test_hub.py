"""Datasets of a hub: never without --online, kept as one file, read again offline.

The hub is a folder here: `datasets` looks for a folder of that name before it asks the network.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from freehold.core.errors import DataError
from freehold.core.sections import Columns
from freehold.data.files import find_files
from freehold.data.hub import fetch
from freehold.data.read import read


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub" / "org" / "tickets"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        rows = [{"text": f"{split} {n}", "label": n % 2} for n in range(4)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text)
    (folder / "README.md").write_text(
        "---\ndataset_info:\n  features:\n  - name: text\n    dtype: string\n  - name: label\n"
        "    dtype:\n      class_label:\n        names:\n          '0': billing\n          '1': refunds\n---\n"
    )
    monkeypatch.chdir(tmp_path / "hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return tmp_path / "hub"


@pytest.mark.filterwarnings("ignore")
def test_a_dataset_is_fetched_once_and_then_read_without_the_network(
    hub: Path, tmp_path: Path
) -> None:
    online = partial(fetch, cache=tmp_path / "cache", online=True)
    offline = partial(fetch, cache=tmp_path / "cache", online=False)
    with pytest.raises(DataError, match="DAT-041") as caught:
        read("hf://org/tickets", columns=Columns(), root=hub, fetch=offline)
    assert "--online" in caught.value.problems[0].help
    first = read("hf://org/tickets", columns=Columns(), root=hub, fetch=online)
    assert [(e.input, e.target) for e in first.examples] == [
        ("train 0", "billing"),
        ("train 1", "refunds"),
        ("train 2", "billing"),
        ("train 3", "refunds"),
    ]
    assert first.sources[0].name == "hf://org/tickets"
    again = read("hf://org/tickets", columns=Columns(), root=hub, fetch=offline)
    assert again == first
    test = read("hf://org/tickets:test", columns=Columns(), root=hub, fetch=online)
    assert [e.input for e in test.examples] == [f"test {n}" for n in range(4)]
    with pytest.raises(DataError, match="DAT-041") as caught:
        read("hf://org/tickets:none", columns=Columns(), root=hub, fetch=online)
    assert caught.value.problems[0].cause
    assert not list(tmp_path.rglob("*.unfinished"))


@pytest.mark.parametrize("name", ["hf://", "hf://../x", "hf://a/../b", "hf://a b/c", "hf://a/b:"])
def test_what_is_no_name_of_a_dataset_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="DAT-041"):
        fetch(name, cache=tmp_path, online=True)


def test_without_a_way_to_fetch_a_hub_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="DAT-041"):
        find_files("hf://org/tickets", root=tmp_path)
