"""Importing the door loads no ML stack, and using a local model opens no connection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.models import tiny

SCRIPT = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"the network was asked for: {arguments}")

sys.addaudithook(refuse)

import freehold.models.door, freehold.models.scripted, freehold.models.opening
import freehold.models.embed, freehold.models.sources

heavy = {"torch", "transformers", "peft", "sentence_transformers", "llguidance", "pandas"}
print("loaded:", sorted(heavy & set(sys.modules)))

from pathlib import Path
from freehold.core.message import user
from freehold.core.sections import BaseModelSpec
from freehold.models.door import OneOf
from freehold.models.opening import open_model

model = open_model(BaseModelSpec(id=sys.argv[1]), cache=Path(sys.argv[1]))
(answer,) = model.generate([(user("card"),)], max_tokens=9, constraint=OneOf(labels=("yes", "no")))
print("answered:", answer.text in ("yes", "no"))
"""


def test_the_door_is_light_and_a_local_model_stays_offline_and_silent(tmp_path: Path) -> None:
    folder = tiny.save_model(tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["loaded: []", "answered: True"]
    assert done.stderr == ""
