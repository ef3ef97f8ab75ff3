"""A rung's prompts as files: what is written says byte for byte what the rung asks."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from freehold.core.message import Message, assistant, system, user
from freehold.core.sections import MetricSpec
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, Output, Task, TextOutput
from freehold.ladder.asked import text_digest
from freehold.ladder.prompt_export import (
    EXPORTS,
    ExportedRow,
    PromptExport,
    export_files,
    proof,
    rows_of,
)
from freehold.ladder.prompts import Asker
from freehold.ladder.zero_shot import FixedPromptAnswerer
from freehold.models.scripted import ScriptedModel

LABELS = LabelOutput(labels=("red", "green"))
SHOTS = (
    Example(id="s1", input="a 'rose' {{x}}?", target="red"),
    Example(id="s2", input="leaf {% if %}\n", target="green", context="In a wood."),
)
ROWS = (
    Example(id="e1", input="moss, NO: on?", target="green"),
    Example(id="e2", input='a "ruby" → ü 😀', target="red", context="A stone."),
)


def exported(
    examples: tuple[Example, ...] = ROWS,
    *,
    shots: tuple[Example, ...] = SHOTS,
    output: Output = LABELS,
    text: str = "Name {# the #} colour.",
) -> PromptExport:
    task = Task(
        name="colours", instruction=text, output=output, metric=MetricSpec(primary="exact_match")
    )
    model = ScriptedModel({}, default="red")
    asker = Asker(model, output, max_tokens=4)
    answerer = FixedPromptAnswerer(asker=asker, system=text, shots=shots)
    rows = rows_of(answerer, examples)
    assert rows is not None
    return PromptExport(
        name="c1/few_shot",
        rung="few_shot",
        variant="k=2",
        task=task,
        model=model.name,
        model_digest=model.digest,
        candidate_digest="sha256:c",
        snapshot_digest="sha256:s",
        split="test",
        rows=rows,
        fixed=answerer,
        max_tokens=4,
    )


def read_yaml(content: bytes) -> Any:
    return YAML(typ="safe").load(content.decode())  # pyright: ignore[reportUnknownMemberType]


def test_every_format_is_proven_and_a_changed_byte_is_found() -> None:
    export = exported()
    for to in EXPORTS:
        files = export_files(export, to)
        assert proof(files, export, rows=export.rows) == ()
    files = export_files(export, "folder")
    for name, wrong in (
        ("messages.jsonl", "messages.jsonl"),
        ("fewshot.jsonl", "system.md"),
        ("dspy.json", "dspy.json"),
        ("prompt.json", "promptfooconfig.yaml"),
    ):
        changed = {**files, name: files[name].replace(b"rose", b"r0se")}
        assert wrong in proof(changed, export, rows=export.rows)


def test_a_rung_that_asks_something_else_the_second_time_is_not_proven() -> None:
    export, other = exported(), exported(text="Name the color.")
    assert "messages.jsonl" in proof(export_files(export, "messages"), export, rows=other.rows)
    assert "messages.jsonl" in proof(export_files(export, "messages"), export, rows=())


def test_messages_carry_the_text_and_its_digest() -> None:
    export = exported()
    lines = [
        json.loads(one) for one in export_files(export, "messages")["messages.jsonl"].splitlines()
    ]
    assert [line["id"] for line in lines] == ["e1", "e2"]
    assert lines[0]["messages"][-1] == {"role": "user", "content": "moss, NO: on?"}
    assert lines[1]["messages"][-1]["content"].startswith("Context: A stone.")
    assert all(line["sha256"] == text_digest(line["prompt"]) for line in lines)


def test_the_python_snippet_makes_the_same_messages(tmp_path: Path) -> None:
    export = exported()
    for name, content in export_files(export, "folder").items():
        (tmp_path / name).write_bytes(content)

    def says(*words: str) -> object:
        command = [sys.executable, str(tmp_path / "ask.py"), "--messages", *words]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    wanted = [turn.to_json() for turn in export.rows[0].asked.messages]
    assert says("moss, NO: on?") == wanted
    assert says("--id", "e1") == wanted
    curl = (tmp_path / "curl.sh").read_text()
    body = json.loads(curl[curl.index("-d '") + 4 : curl.rindex("'")])
    assert body["messages"] == wanted


def test_promptfoo_tests_hold_the_question_and_what_is_right() -> None:
    config = read_yaml(export_files(exported(), "promptfoo")["promptfooconfig.yaml"])
    assert config["prompts"] == ["file://prompt.json"]
    first = config["tests"][0]
    assert first["vars"] == {"question": "moss, NO: on?"}
    assert first["assert"] == [{"type": "equals", "value": "green"}]
    schema: JsonOutput = JsonOutput(json_schema={"type": "object"})
    rows = (Example(id="j", input="x", target={"a": 1}),)
    as_json = export_files(exported(rows, shots=(), output=schema), "promptfoo")
    asserts = read_yaml(as_json["promptfooconfig.yaml"])["tests"][0]["assert"]
    assert asserts == [
        {"type": "is-json", "value": {"type": "object"}},
        {"type": "equals", "value": {"a": 1}},
    ]


def test_turns_that_differ_by_example_become_variables_and_shapes_files_of_their_own() -> None:
    chat = Example(id="h", input="and now?", target="red", history=(user("hi"), assistant("ho")))
    export = exported((*ROWS, chat), shots=())
    files = export_files(export, "promptfoo")
    assert {"promptfooconfig.yaml", "promptfooconfig-2.yaml", "prompt-2.json"} <= set(files)
    assert proof(files, export, rows=export.rows) == ()
    varying = replace(export, rows=_with_other_shots(export), fixed=None)
    assert "system.md" not in export_files(varying, "folder")
    assert list(export_files(varying, "dspy")) == ["freehold.json"]
    assert proof(export_files(varying, "folder"), varying, rows=varying.rows) == ()


def _with_other_shots(export: PromptExport) -> tuple[ExportedRow, ...]:
    rows: list[ExportedRow] = []
    for number, row in enumerate(export.rows[:2]):
        shot: tuple[Message, ...] = (user(f"near {number}"), assistant("red"))
        turns = (system("S"), *shot, row.asked.messages[-1])
        rows.append(replace(row, asked=row.asked.model_copy(update={"messages": turns})))
    return tuple(rows)


@pytest.mark.parametrize("text", ["ends in a newline\n", "file://etc", "has {{braces}}"])
def test_what_promptfoo_would_change_is_left_to_the_messages_and_counted(text: str) -> None:
    export = exported((*ROWS, Example(id="odd", input=text, target="red")))
    config = export_files(export, "promptfoo")["promptfooconfig.yaml"].decode()
    assert "# 1 examples that promptfoo would change" in config
    assert '"odd"' not in config


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@settings(max_examples=30, deadline=None)
@given(_TEXTS, _TEXTS, _TEXTS)
def test_any_text_comes_back_byte_for_byte(instruction: str, shot: str, question: str) -> None:
    export = exported(
        (Example(id="e", input=question, target="red"),),
        shots=(Example(id="s", input=shot, target=question),),
        output=TextOutput(),
        text=instruction,
    )
    assert proof(export_files(export, "folder"), export, rows=export.rows) == ()
