"""The look `contamination`: what `check` and `data show` say of rows that stand on both sides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from freehold.cli.console import open_console
from freehold.cli.contamination import PROBES, benchmark_texts, look
from freehold.cli.environment import read_environment
from freehold.cli.parse import parse
from freehold.cli.session import Session
from freehold.cli.workplace import prepare_task
from freehold.core.errors import DataError

BENCHMARK = [
    "I was charged twice for invoice number 0, ticket 0",
    "an item that is in no training row at all, whatever it asks for",
]


def session_of(*words: str) -> Session:
    invocation = parse(list(words))
    environment = read_environment({})
    return Session(invocation, open_console(invocation, environment), environment)


def test_items_of_a_named_benchmark_are_looked_for_in_training_rows(project: Path) -> None:
    lines = "".join(json.dumps({"text": text}) + "\n" for text in BENCHMARK)
    (project / "suite.jsonl").write_text(lines, encoding="utf-8")
    (project / "faq.md").write_text("# FAQ\n\n" + BENCHMARK[1], encoding="utf-8")
    session = session_of("check", "examples.jsonl", "-s", "data.benchmarks=[suite.jsonl]")
    session = session_of(
        *("check", "examples.jsonl", "-s", "data.benchmarks=[suite.jsonl]"),
        *("-s", "data.documents=faq.md", "-s", "data.split.test=20"),
    )
    prepared = prepare_task(session, session.task("examples.jsonl"))
    seen = look(prepared, session)
    in_train = any(e.input == BENCHMARK[0] for e in prepared.snapshot.train.examples)
    comparisons = seen.figures["comparisons"]
    assert isinstance(comparisons, list)
    counts = {
        (one["held_out"], one["seen"]): one["count"] for one in comparisons if isinstance(one, dict)
    }
    assert counts[("suite.jsonl", "train")] == in_train
    assert counts[("suite.jsonl", "documents")] == 1
    assert counts[(PROBES, "train")] == 0
    assert "DAT-052" in {problem.code for problem in seen.problems}
    assert any(line.startswith("suite.jsonl in documents: 1 of 2") for line in seen.lines)


def test_a_benchmark_that_cannot_be_read_says_which_and_how(project: Path) -> None:
    with pytest.raises(DataError) as error:
        benchmark_texts("missing.jsonl", root=project)
    (problem,) = error.value.problems
    assert problem.code == "DAT-051" and "missing.jsonl" in problem.message
    assert "data.benchmarks" in problem.help
