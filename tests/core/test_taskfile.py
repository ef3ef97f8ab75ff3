"""The task file: strict, every problem at once, each with line, column and a way out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.codes import CODES
from freehold.core.errors import ConfigError, Problem
from freehold.core.taskfile import (
    TaskFile,
    parse_task_file,
    read_task_file,
    task_schema,
    with_settings,
)

MINIMAL = """\
# yaml-language-server: $schema=.freehold/task.schema.json
task: ticket-routing
instruction: Route the support ticket to exactly one queue.
data: data/examples.jsonl
model: freehold/acorn
metric: exact_match
bar:
  quality: 0.80
  kept: 0.97
"""


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_task_file(text)
    assert all(problem.code in CODES for problem in caught.value.problems)
    return caught.value.problems


def test_the_nine_lines_are_enough() -> None:
    task = parse_task_file(MINIMAL)
    assert task.data.examples == "data/examples.jsonl"
    assert task.models.base.id == "freehold/acorn"
    assert task.metric is not None
    assert task.metric.primary == "exact_match"
    assert task.bar.kept == 0.97


def test_short_and_full_forms_say_the_same() -> None:
    full = "task: t\ndata: {examples: x.csv}\nmodels: {base: {id: m}}\nmetric: {primary: exact_match}\n"
    short = "task: t\ndata: x.csv\nmodel: m\nmetric: exact_match\n"
    assert parse_task_file(full).digest == parse_task_file(short).digest


def test_all_problems_are_reported_in_one_go_in_file_order() -> None:
    text = "task: a\ndata:\n  examples: x\n  documnts: docs/\nbar:\n  quality: 85\n"
    unknown, too_high = problems(text)
    assert (unknown.code, unknown.message) == ("CFG-001", "unknown key `data.documnts`")
    assert unknown.help == "did you mean `documents`?"
    assert unknown.where is not None
    assert (unknown.where.line, unknown.where.column, unknown.where.width) == (4, 3, 8)
    assert too_high.message == "`bar.quality` is 85; it must be at most 1"
    assert too_high.help == "write 0.85 for 85 %"
    assert too_high.where is not None
    assert (too_high.where.line, too_high.where.column, too_high.where.width) == (6, 12, 2)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("task: 3\ndata: d\n", "CFG-003", "`task` is 3; it must be text"),
        ("task: t\n", "CFG-005", "`data` is missing"),
        ("task: t\ndata: d\nmetric: exactmatch\n", "CFG-004", '`metric` is "exactmatch"'),
        ("task: t\ndata: d\nladder: {rungs: [lorra]}\n", "CFG-004", '`ladder.rungs[0]` is "lorra"'),
        ("task: t\ndata: d\nmodel: a\nmodels: {base: {id: b}}\n", "CFG-007", "twice"),
        ("task: [\n", "CFG-002", "not YAML"),
        ("- a\n", "CFG-003", "`key: value` lines"),
        ("task: t\ntask: u\ndata: d\n", "CFG-002", "duplicate key"),
        ("task: t\ndata: d\nbar: {quality: .nan}\n", "CFG-003", "a finite number"),
        ("task: t\ndata: d\ninstruction: 2020-01-01\n", "CFG-003", "must be text"),
    ],
)
def test_each_mistake_names_the_thing_and_the_value(text: str, code: str, message: str) -> None:
    first = problems(text)[0]
    assert first.code == code
    assert message in first.message
    assert first.help


def test_words_that_yaml_1_1_damages_stay_what_they_are() -> None:
    task = parse_task_file(
        "task: NO\ndata: d\ninstruction: 12:30\nladder: {lora: {learning_rate: 2e-4}}\n"
    )
    assert (task.task, task.instruction) == ("NO", "12:30")
    assert task.ladder.lora.learning_rate == 2e-4


@given(st.text(max_size=60))
def test_any_text_is_a_task_or_a_list_of_problems(text: str) -> None:
    try:
        assert isinstance(parse_task_file(text), TaskFile)
    except ConfigError as error:
        assert error.problems


def test_settings_are_laid_over_the_file_and_judged_like_it() -> None:
    task = with_settings(parse_task_file(MINIMAL), {"bar.quality": 0.5, "model": "other/model"})
    assert task.bar.quality == 0.5
    assert task.models.base.id == "other/model"
    with pytest.raises(ConfigError) as caught:
        with_settings(task, {"bar.qualty": 0.5})
    assert caught.value.problems[0].help == "did you mean `quality`?"


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_task_file(tmp_path / "task.yaml")
    assert caught.value.problems[0].help == "freehold init FILE"


def test_the_schema_for_editors_knows_the_short_forms() -> None:
    properties = task_schema()["properties"]
    assert isinstance(properties, dict)
    assert {"task", "data", "model", "metric", "bar", "ladder"} <= set(properties)


def test_a_bar_and_a_volume_may_be_one_number() -> None:
    found = parse_task_file("task: t\ndata: d.jsonl\nbar: 0.85\nvolume: 200000\n")
    assert (found.bar.quality, found.bar.kept) == (0.85, 0.97)
    assert found.volume.requests_per_month == 200_000
    with pytest.raises(ConfigError) as caught:
        parse_task_file("task: t\ndata: d.jsonl\nbar: 85\n")
    where = caught.value.problems[0].where
    assert where is not None and where.line == 3
