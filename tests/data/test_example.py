"""The bundled example: what its README says of it is so, and its generator makes it again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import freehold
from freehold.core.sections import SplitSpec
from freehold.core.taskfile import read_task_file
from freehold.data.detect import detect
from freehold.data.duplicates import find_duplicates
from freehold.data.inspect import inspect
from freehold.data.read import Reading, read
from freehold.data.snapshot import freeze

FOLDER = Path(freehold.__file__).parent / "data" / "example" / "ticket-routing"
GENERATOR = Path(__file__).parents[2] / "benchmarks" / "example" / "make_ticket_routing.py"


def example() -> Reading:
    section = read_task_file(FOLDER / "task.yaml").data
    return read(section.examples, columns=section.columns, root=FOLDER)


def test_the_example_is_detected_and_split_as_the_first_minutes_are_drawn() -> None:
    reading = example()
    found = detect(reading)
    assert found.sentence == ("1,200 rows · text/queue · 6 labels → classification → exact_match")
    snapshot = freeze(reading, spec=SplitSpec())
    sizes = [len(s) for s in (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)]
    assert sizes == [840, 60, 200, 100]
    assert {p.code for p in inspect(snapshot)} == {"BAR-002"}
    assert set(reading.examples[0].fields) == {"product", "channel"}


def test_the_tickets_are_no_copies_of_each_other() -> None:
    found = find_duplicates(example().examples)
    assert found.duplicates + found.near_duplicates <= 6


def test_the_generator_writes_the_committed_tickets(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(GENERATOR), str(tmp_path)], check=True, capture_output=True)
    made = (tmp_path / "data" / "examples.jsonl").read_bytes()
    assert made == (FOLDER / "data" / "examples.jsonl").read_bytes()
