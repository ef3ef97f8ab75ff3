"""The task file: `task.yaml` as people write it, with its short forms, and nothing ignored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from freehold.core import strict_yaml
from freehold.core.errors import ConfigError, Problem
from freehold.core.record import Record
from freehold.core.sections import (
    Bar,
    BudgetSection,
    DataSection,
    DiagnoseSection,
    KeptSection,
    LadderSection,
    MetricSpec,
    ModelsSection,
    OutputSection,
    Prices,
    Volume,
)

#: `short key in the file -> the full path it stands for`, for keys whose value is no mapping.
SHORT_FORMS: Mapping[str, strict_yaml.Path] = {
    "data": ("data", "examples"),
    "model": ("models", "base", "id"),
    "metric": ("metric", "primary"),
    "bar": ("bar", "quality"),
    "volume": ("volume", "requests_per_month"),
}


class TaskFile(Record):
    """A task as written down. What is left out is detected from the data or has a default."""

    version: Literal[1] = 1
    task: str
    instruction: str | None = None
    data: DataSection
    output: OutputSection | None = None
    models: ModelsSection = ModelsSection()
    metric: MetricSpec | None = None
    bar: Bar = Bar()
    volume: Volume = Volume()
    prices: Prices = Prices()
    ladder: LadderSection = LadderSection()
    kept: KeptSection = KeptSection()
    budget: BudgetSection = BudgetSection()
    diagnose: DiagnoseSection = DiagnoseSection()


def read_task_file(path: Path, *, settings: Mapping[str, JsonValue] | None = None) -> TaskFile:
    """Read `task.yaml`, with `settings` (dotted key to value) laid over it.

    Raises:
        ConfigError: CFG-006 when the file cannot be read; else all problems, in file order.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(
            "CFG-006", f"there is no file {path.name} in {path.parent}", help="freehold init FILE"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "CFG-006", f"{path} cannot be read: {error}", help="save it as UTF-8 text"
        ) from error
    return parse_task_file(text, file=path.name, settings=settings)


def parse_task_file(
    text: str, *, file: str = "task.yaml", settings: Mapping[str, JsonValue] | None = None
) -> TaskFile:
    """Read the text of a task file; see `read_task_file`."""
    document = strict_yaml.read_yaml(text, file=file)
    values = expand_short_forms(document.values)
    problems = [*_contradictions(document), *_secrets(document)]
    if problems:
        raise ConfigError.several(problems)
    task_file = strict_yaml.validate(
        document, TaskFile, values=values, source_path=lambda path: _as_written(path, document)
    )
    return with_settings(task_file, settings or {})


def with_settings(task_file: TaskFile, settings: Mapping[str, JsonValue]) -> TaskFile:
    """Return the task file with settings (dotted key to value) laid over it.

    Raises:
        ConfigError: a key is unknown, or a value is impossible.
    """
    if not settings:
        return task_file
    values = json.loads(task_file.model_dump_json(exclude_none=True))
    for key, value in settings.items():
        _put(values, key, value)
    document = strict_yaml.Document(file="--set", lines=(), values=values, positions={})
    return strict_yaml.validate(document, TaskFile)


def expand_short_forms(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the values with `data: X`, `model: X`, `bar: 0.8` and the like in their full form."""
    full: dict[str, JsonValue] = {}
    for key, value in values.items():
        is_short = key in SHORT_FORMS and not isinstance(value, dict)
        if not is_short:
            full[key] = value
            continue
        _put(full, ".".join(str(step) for step in SHORT_FORMS[key]), value)
    return full


def task_schema() -> dict[str, JsonValue]:
    """Return the JSON Schema of the task file, short forms included, for editors."""
    schema: dict[str, JsonValue] = TaskFile.model_json_schema(by_alias=True)
    properties = schema["properties"]
    if isinstance(properties, dict):
        properties["data"] = {"anyOf": [{"type": "string"}, properties["data"]]}
        properties["metric"] = {"anyOf": [{"type": "string"}, properties["metric"]]}
        for name in ("bar", "volume"):
            properties[name] = {"anyOf": [{"type": "number"}, properties[name]]}
        properties["model"] = {"type": "string", "description": "short for models.base.id"}
    schema["title"] = "Freehold task file"
    return schema


def _put(values: dict[str, JsonValue], key: str, value: JsonValue) -> None:
    is_short = key in SHORT_FORMS and not isinstance(value, dict)
    steps = [str(step) for step in (SHORT_FORMS[key] if is_short else key.split("."))]
    current = values
    for step in steps[:-1]:
        inner = current.get(step)
        if not isinstance(inner, dict):
            inner = {}
            current[step] = inner
        current = inner
    current[steps[-1]] = value


def _contradictions(document: strict_yaml.Document) -> list[Problem]:
    values = document.values
    models = values.get("models")
    if "model" not in values or not isinstance(models, dict) or "base" not in models:
        return []
    return [
        Problem(
            code="CFG-007",
            message="`model` and `models.base` name the base model twice",
            where=document.where(("model",)),
            help="keep one of them",
        )
    ]


def _secrets(document: strict_yaml.Document) -> list[Problem]:
    """Return a problem for each key of an endpoint; what stands there is not shown."""
    models = document.values.get("models")
    endpoints = models.get("endpoints") if isinstance(models, dict) else None
    names = [
        name
        for name, entry in (endpoints.items() if isinstance(endpoints, dict) else ())
        if isinstance(entry, dict) and "key" in entry
    ]
    return [
        Problem(
            code="CFG-015",
            message=f"`models.endpoints.{name}.key` stands in the task file, which is shared",
            where=document.where(("models", "endpoints", name, "key")).model_copy(
                update={"text": None}
            ),
            help=f"describe {name} in the user file, with key: env:NAME",
        )
        for name in names
    ]


def _as_written(path: strict_yaml.Path, document: strict_yaml.Document) -> strict_yaml.Path:
    for short, full in SHORT_FORMS.items():
        written_short = (short,) in document.positions and not isinstance(
            document.values.get(short), dict
        )
        if written_short and path[: len(full)] == full:
            return (short,)
    return path
