"""Where each setting comes from: flag, `-s`, environment, task.yaml, user file, default.

A layer is a mapping from dotted key to value with the name of its source. Layers are laid over the
task file one setting at a time, so that an error names the source that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import Field, JsonValue
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from freehold.core import strict_yaml
from freehold.core.errors import ConfigError, Problem, UsageError, Where
from freehold.core.record import Record
from freehold.core.sections import UserEndpoint
from freehold.core.taskfile import (
    SHORT_FORMS,
    TaskFile,
    expand_short_forms,
    read_task_file,
    with_settings,
)

TASK_FILE = "task.yaml"
DEFAULT = "default"
ENDPOINTS = "endpoints"
KEY = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")
PRICED = ("dollars_per_million_input_tokens", "dollars_per_million_output_tokens")


class UserEndpoints(Record):
    """The part of the user file that is no default of a task."""

    endpoints: dict[str, UserEndpoint] = Field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """One value with the place it was given at."""

    key: str
    value: JsonValue
    source: str


@dataclass(frozen=True)
class Resolved:
    """The task file with every layer laid over it, and the source of each setting given."""

    task_file: TaskFile
    sources: Mapping[str, str]

    def rows(self) -> tuple[Setting, ...]:
        """Return every setting, defaults too, in the order of the task file."""
        values = cast(JsonValue, self.task_file.model_dump(mode="json"))
        return tuple(Setting(key, value, self._source(key)) for key, value in flat(values).items())

    def _source(self, key: str) -> str:
        """Return the source of the setting itself or of the section that holds it."""
        steps = key.split(".")
        for length in range(len(steps), 0, -1):
            source = self.sources.get(".".join(steps[:length]))
            if source is not None:
                return source
        return DEFAULT


def flat(value: JsonValue, prefix: str = "") -> dict[str, JsonValue]:
    """Return the leaves of nested mappings by dotted key; a list is a leaf."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    leaves: dict[str, JsonValue] = {}
    for key, inner in value.items():
        leaves.update(flat(inner, f"{prefix}.{key}" if prefix else key))
    return leaves


def read_value(text: str) -> JsonValue:
    """Read the text of one setting as YAML 1.2: `0.9`, `true`, `[4, 8]`; else it is text."""
    try:
        value = cast(Any, YAML(typ="safe", pure=True)).load(text)  # ruamel's loader is untyped
    except YAMLError:
        return text
    is_plain = value is None or isinstance(value, str | int | float | bool | list | dict)
    return cast(JsonValue, value) if is_plain else text


def settings_given(pairs: Sequence[str]) -> tuple[Setting, ...]:
    """Return the settings of `-s key=value`.

    Raises:
        UsageError: USE-006 when a pair has no `=`.
    """
    given: list[Setting] = []
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(
                "USE-006", f"`-s {pair}` is not KEY=VALUE", help="write -s bar.quality=0.9"
            )
        given.append(Setting(key.strip(), read_value(text), f"-s {key.strip()}"))
    return tuple(given)


def settings_of_environment(
    variables: Mapping[str, tuple[str, str]],
) -> tuple[Setting, ...]:
    """Return the settings of `FREEHOLD_...` variables: dotted key to (text, variable)."""
    return tuple(
        Setting(key, read_value(text), variable) for key, (text, variable) in variables.items()
    )


def settings_of_user_file(file: Path) -> tuple[Setting, ...]:
    """Return the settings of the user file: keys of the task file, as defaults for every task.

    Raises:
        ConfigError: it cannot be read, or is not YAML.
    """
    document = _user_document(file)
    values = {key: value for key, value in document.values.items() if key != ENDPOINTS}
    leaves = flat(expand_short_forms(values)) if values else {}
    return tuple(Setting(key, value, str(file)) for key, value in leaves.items())


def endpoints_of_user_file(file: Path) -> dict[str, UserEndpoint]:
    """Return the endpoints of the user file, by name.

    Raises:
        ConfigError: the file cannot be read, a setting is wrong, or a secret stands in it.
    """
    document = _user_document(file)
    written = document.values.get(ENDPOINTS)
    if written is None:
        return {}
    for name, entry in written.items() if isinstance(written, dict) else ():
        key = entry.get("key") if isinstance(entry, dict) else None
        if key is not None and not (isinstance(key, str) and KEY.fullmatch(key)):
            raise ConfigError(
                "CFG-015",
                f"endpoints.{name}.key holds something else than env:NAME; secrets are not kept in files",
                help="write key: env:NAME, and export NAME with the secret as its value",
                where=replaced_text(document.where((ENDPOINTS, name, "key"))),
            )
    values: dict[str, JsonValue] = {ENDPOINTS: written}
    return strict_yaml.validate(document, UserEndpoints, values=values).endpoints


def with_endpoint(resolved: Resolved, endpoints: Mapping[str, UserEndpoint]) -> Resolved:
    """Return the settings with the base's endpoint found by its name, and with the prices of its tokens.

    Raises:
        ConfigError: CFG-016 when the task names an endpoint that nobody described.
    """
    from freehold.models.endpoints import unknown_endpoint

    base = resolved.task_file.models.base
    name = base.endpoint or (base.id if base.id in endpoints else None)
    if name is None:
        return resolved
    if name not in endpoints:
        raise unknown_endpoint(name, tuple(endpoints))
    task_file, sources = resolved.task_file, dict(resolved.sources)
    models = task_file.models.model_copy(
        update={"base": base.model_copy(update={"id": name, "endpoint": name})}
    )
    prices, spec = task_file.prices, endpoints[name]
    found = {
        field: value
        for field in PRICED
        if getattr(prices, field) is None and (value := getattr(spec, field)) is not None
    }
    for field in found:
        sources[f"prices.{field}"] = f"endpoints.{name}"
    return Resolved(
        task_file.model_copy(update={"models": models, "prices": prices.model_copy(update=found)}),
        sources,
    )


def replaced_text(where: Where) -> Where:
    """Return a place without the text that stands there, which must not be shown."""
    return where.model_copy(update={"text": None})


def _user_document(file: Path) -> strict_yaml.Document:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "CFG-006", f"the user file {file} cannot be read: {error}", help="save it as UTF-8 text"
        ) from error
    if not text.strip():
        return strict_yaml.Document(file=str(file), lines=(), values={}, positions={})
    return strict_yaml.read_yaml(text, file=str(file))


def resolve_file(path: Path, *, below: Sequence[Setting], above: Sequence[Setting]) -> Resolved:
    """Read a task file; `below` gives defaults for what it leaves out, `above` wins over it.

    Raises:
        ConfigError: problems of the file, or of the layers.
    """
    task_file = read_task_file(path)
    written = _written(path.read_text(encoding="utf-8-sig"), path.name)
    return _resolved(task_file, written, below=below, above=above)


def resolve_without_file(
    task_file: TaskFile, *, below: Sequence[Setting], above: Sequence[Setting]
) -> Resolved:
    """Lay the layers over a task file that was made up from a data file."""
    written = {"task": "DATA", "data.examples": "DATA"}
    return _resolved(task_file, written, below=below, above=above)


def _written(text: str, file: str) -> dict[str, str]:
    """Return `dotted key -> file:line` for every setting that the file holds."""
    document = strict_yaml.read_yaml(text, file=file)
    sources: dict[str, str] = {}
    for path in document.positions:
        keys = [step for step in path if isinstance(step, str)]
        if len(keys) < len(path):
            continue
        is_short = len(path) == 1 and not isinstance(document.values.get(keys[0]), dict)
        full = SHORT_FORMS.get(keys[0], path) if is_short else path
        name = ".".join(str(step) for step in full)
        sources[name] = f"{file}:{document.where(path).line}"
    return sources


def _resolved(
    task_file: TaskFile,
    written: Mapping[str, str],
    *,
    below: Sequence[Setting],
    above: Sequence[Setting],
) -> Resolved:
    sources = {key: source for key, source in written.items() if _is_leaf(key, written)}
    wanted = [setting for setting in below if not _is_written(_full_key(setting), written)]
    problems: list[Problem] = []
    for setting in (*wanted, *above):
        try:
            task_file = with_settings(task_file, {setting.key: setting.value})
        except ConfigError as error:
            problems.extend(_at(problem, setting.source) for problem in error.problems)
            continue
        full = _full_key(setting)
        sources = {key: source for key, source in sources.items() if not key.startswith(full + ".")}
        sources[full] = setting.source
    if problems:
        raise ConfigError.several(problems)
    return Resolved(task_file, sources)


def _full_key(setting: Setting) -> str:
    """Return the key without its short form: `model` is `models.base.id`."""
    if setting.key in SHORT_FORMS and not isinstance(setting.value, dict):
        return ".".join(str(step) for step in SHORT_FORMS[setting.key])
    return setting.key


def _is_leaf(key: str, written: Mapping[str, str]) -> bool:
    return not any(other.startswith(key + ".") for other in written)


def _is_written(key: str, written: Mapping[str, str]) -> bool:
    """Return whether the file sets the key, or something inside it."""
    return any(other == key or other.startswith(key + ".") for other in written)


def _at(problem: Problem, source: str) -> Problem:
    return problem.model_copy(update={"where": Where(file=source)})
