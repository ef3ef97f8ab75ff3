"""Precedence: -s over environment over task.yaml over the user file over the default."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.cli.environment import read_environment
from freehold.cli.settings import (
    Resolved,
    flat,
    read_value,
    resolve_file,
    settings_given,
    settings_of_environment,
    settings_of_user_file,
)
from freehold.core.errors import ConfigError, UsageError

TASK = """\
task: tickets
data: examples.jsonl
model: freehold/acorn
metric: exact_match
bar:
  quality: 0.7
"""


def resolve(
    folder: Path, *, user: str = "", environment: dict[str, str] | None = None, typed: str = ""
) -> Resolved:
    (folder / "task.yaml").write_text(TASK, encoding="utf-8")
    (folder / "config.yaml").write_text(user, encoding="utf-8")
    variables = read_environment(environment or {}).settings
    return resolve_file(
        folder / "task.yaml",
        below=settings_of_user_file(folder / "config.yaml"),
        above=(*settings_of_environment(variables), *settings_given(typed.split())),
    )


def source_of(resolved: Resolved, key: str) -> str:
    return {row.key: row.source for row in resolved.rows()}[key]


def test_each_layer_wins_over_the_ones_below(tmp_path: Path) -> None:
    user = "bar:\n  quality: 0.5\n  kept: 0.5\n"
    file_only = resolve(tmp_path, user=user)
    assert file_only.task_file.bar.quality == 0.7
    assert source_of(file_only, "bar.quality") == "task.yaml:6"
    assert file_only.task_file.bar.kept == 0.5
    assert source_of(file_only, "bar.kept") == str(tmp_path / "config.yaml")
    variables = {"FREEHOLD_BAR__QUALITY": "0.8", "PATH": "/bin"}
    from_environment = resolve(tmp_path, user=user, environment=variables)
    assert from_environment.task_file.bar.quality == 0.8
    assert source_of(from_environment, "bar.quality") == "FREEHOLD_BAR__QUALITY"
    typed = resolve(tmp_path, user=user, environment=variables, typed="bar.quality=0.9")
    assert typed.task_file.bar.quality == 0.9
    assert source_of(typed, "bar.quality") == "-s bar.quality"
    assert source_of(typed, "bar.confidence") == "default"


def test_short_forms_are_known_by_their_full_name(tmp_path: Path) -> None:
    resolved = resolve(tmp_path, user="model: other/model\n", typed="metric=macro_f1")
    assert resolved.task_file.models.base.id == "freehold/acorn"
    assert source_of(resolved, "models.base.id") == "task.yaml:3"
    assert source_of(resolved, "metric.primary") == "-s metric"
    assert resolved.task_file.metric is not None
    assert resolved.task_file.metric.primary == "macro_f1"


def test_an_error_names_the_source_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(
            tmp_path,
            user="prices:\n  utilisation: 7\n",
            environment={"FREEHOLD_BAR__QUALTY": "0.9"},
            typed="bar.kept=2",
        )
    places = [(p.where.file if p.where else None, p.code) for p in caught.value.problems]
    assert places == [
        (str(tmp_path / "config.yaml"), "CFG-004"),
        ("FREEHOLD_BAR__QUALTY", "CFG-001"),
        ("-s bar.kept", "CFG-004"),
    ]
    assert "quality" in caught.value.problems[1].help


@pytest.mark.parametrize("pair", ["bar.quality", "=3", " =3"])
def test_a_setting_without_key_or_value_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match="USE-006"):
        settings_given([pair])


def test_values_are_read_as_yaml_and_else_as_text() -> None:
    assert read_value("0.9") == 0.9
    assert read_value("2e-4") == 2e-4
    assert read_value("NO") == "NO"
    assert read_value("[4, 8]") == [4, 8]
    assert read_value("true") is True
    assert read_value("12:30") == "12:30"
    assert read_value("{broken") == "{broken"
    assert read_value("2026-11-22") == "2026-11-22"


@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    read_value(text)


def test_leaves_are_named_by_their_path() -> None:
    assert flat({"a": {"b": 1, "c": [2]}, "d": {}}) == {"a.b": 1, "a.c": [2], "d": {}}


def test_no_user_file_is_no_setting(tmp_path: Path) -> None:
    assert settings_of_user_file(tmp_path / "absent.yaml") == ()


def test_a_section_may_be_given_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(TASK, encoding="utf-8")
    resolved = resolve_file(
        tmp_path / "task.yaml",
        below=(),
        above=settings_given(["metric={primary: python, python: 'metrics/mine.py:score'}"]),
    )
    assert resolved.task_file.metric is not None
    assert resolved.task_file.metric.python == "metrics/mine.py:score"
    assert source_of(resolved, "metric.primary") == "-s metric"
