"""YAML 1.2 into records, with every problem of a file found at once, each with line and column.

ruamel.yaml reads (`NO` stays text, `2e-4` is a number) and remembers positions; pydantic judges;
difflib suggests. Nothing is guessed: an unknown key or a wrong type is an error.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, JsonValue, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from freehold.core.errors import ConfigError, Problem, Where
from freehold.core.record import Record

R = TypeVar("R", bound=Record)
Path = tuple[str | int, ...]
MISSING_KINDS = frozenset({"missing"})
RANGE_KINDS = frozenset(
    {
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "too_short",
        "too_long",
        "value_error",
        "finite_number",
    }
)


@dataclass(frozen=True)
class Document:
    """A YAML file that was read: its plain values, and where each key stands."""

    file: str
    lines: tuple[str, ...]
    values: dict[str, JsonValue]
    positions: Mapping[Path, tuple[int, int]]

    def where(self, path: Path, *, of_value: bool = False) -> Where:
        """Return the place of a key (or of its value), or of the nearest key above it."""
        found = path
        while found and found not in self.positions:
            found = found[:-1]
        if not found:
            return Where(file=self.file)
        line, column = self.positions[found]
        text = self.lines[line] if line < len(self.lines) else ""
        key = str(found[-1])
        if of_value and found == path:
            column, width = _value_span(text, column, key)
        else:
            width = len(key) if isinstance(found[-1], str) else 1
        return Where(
            file=self.file, line=line + 1, column=column + 1, text=text, width=max(width, 1)
        )


def read_yaml(text: str, *, file: str) -> Document:
    """Read YAML 1.2 text whose top level is a mapping.

    Raises:
        ConfigError: CFG-002 for text that is not YAML, CFG-003 for another top level.
    """
    yaml = cast(Any, YAML(typ="rt", pure=True))  # ruamel's loader is not typed
    yaml.allow_duplicate_keys = False
    lines = tuple(text.splitlines())
    try:
        loaded = yaml.load(StringIO(text))
    except MarkedYAMLError as error:
        raise _not_yaml(error, file, lines) from error
    except YAMLError as error:
        raise ConfigError("CFG-002", f"{file} is not YAML: {error}", help=f"edit {file}") from error
    if loaded is None:
        loaded = CommentedMap()
    if not isinstance(loaded, CommentedMap):
        raise ConfigError(
            "CFG-003",
            f"{file} must hold `key: value` lines at the top, not a {type(loaded).__name__}",
            help="freehold init FILE writes a complete task file",
            where=Where(file=file, line=1, column=1, text=lines[0] if lines else ""),
        )
    positions: dict[Path, tuple[int, int]] = {}
    values = _plain(loaded, (), positions)
    document = Document(file, lines, cast(dict[str, JsonValue], values), positions)
    problems = _non_json(values, (), document)
    if problems:
        raise ConfigError.several(problems)
    return document


def validate(
    document: Document,
    model: type[R],
    *,
    values: Mapping[str, JsonValue] | None = None,
    source_path: Callable[[Path], Path] = lambda path: path,
) -> R:
    """Return the record that `document` (or changed `values` of it) describes.

    Args:
        document: what was read.
        model: the record to make.
        values: the values to judge, where they differ from the document's own.
        source_path: maps a path in `values` to the path in the file (for short forms).

    Raises:
        ConfigError: all problems, in file order.
    """
    judged = dict(document.values if values is None else values)
    try:
        return model.model_validate_json(json.dumps(judged, ensure_ascii=False))
    except ValidationError as error:
        problems = _problems(error, model, document=document, source_path=source_path)
        raise ConfigError.several(problems) from error


def parse(text: str, model: type[R], *, file: str) -> R:
    """Read YAML text into a record.

    Raises:
        ConfigError: all problems of the file, in file order.
    """
    return validate(read_yaml(text, file=file), model)


def _problems(
    error: ValidationError,
    model: type[Record],
    *,
    document: Document,
    source_path: Callable[[Path], Path],
) -> list[Problem]:
    seen: dict[tuple[int, int, str], Problem] = {}
    for detail in error.errors(include_url=False):
        path = _without_branches(detail["loc"], model, document)
        problem = _problem(detail, path, shown=source_path(path), model=model, document=document)
        place = problem.where or Where()
        key = (place.line or 0, place.column or 0, problem.code)
        seen.setdefault(key, problem)
    return [seen[key] for key in sorted(seen)]


def _problem(
    detail: Any, path: Path, *, shown: Path, model: type[Record], document: Document
) -> Problem:
    kind = str(detail["type"])
    name = dotted(shown)
    if kind == "extra_forbidden":
        known = field_names(model, path[:-1])
        return Problem(
            code="CFG-001",
            message=f"unknown key `{name}`",
            where=document.where(shown),
            help=suggestion(str(shown[-1]), known),
        )
    value = detail.get("input")
    if kind in MISSING_KINDS:
        return Problem(
            code="CFG-005",
            message=f"`{name}` is missing",
            where=document.where(shown[:-1]),
            help=f"add a line `{shown[-1]}: ...`",
        )
    text = json.dumps(value, ensure_ascii=False, default=str)
    code = "CFG-004" if kind in RANGE_KINDS or kind.endswith("_error") else "CFG-003"
    return Problem(
        code=code,
        message=f"`{name}` is {text}; it must be {_wanted(detail)}",
        where=document.where(shown, of_value=True),
        help=_help_for(kind, value, detail),
    )


def _wanted(detail: Any) -> str:
    kind, context = str(detail["type"]), detail.get("ctx", {})
    bounds = {
        "greater_than": "above {gt}",
        "greater_than_equal": "at least {ge}",
        "less_than": "below {lt}",
        "less_than_equal": "at most {le}",
        "literal_error": "{expected}",
        "too_short": "a list of at least {min_length}",
        "value_error": "possible: {error}",
    }
    if kind in bounds:
        shown = {
            key: f"{value:g}" if isinstance(value, float) else value
            for key, value in context.items()
        }
        return bounds[kind].format(**shown)
    plain = {
        "string_type": "text",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "tuple_type": "a list",
        "dict_type": "a mapping",
        "model_type": "a mapping",
        "model_attributes_type": "a mapping",
        "finite_number": "a finite number",
    }
    return plain.get(kind, str(detail["msg"]).lower())


def _help_for(kind: str, value: object, detail: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "less_than_equal" and is_number and detail["ctx"].get("le") == 1:
        number = cast(float, value)
        return f"write {number / 100:g} for {number:g} %" if number <= 100 else "write a share"
    if kind == "literal_error":
        return suggestion(str(value), _quoted(str(detail["ctx"]["expected"])))
    if kind in {"string_type"}:
        return "put the value in quotes"
    return "freehold check --schema task    shows what is allowed"


def _quoted(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").replace("'", "").split(", ")


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return "did you mean" with the nearest known word, or the list of known words."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    if not known:
        return "leave it out"
    return "known here: " + ", ".join(known)


def field_names(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that a record knows at `path`, as they are written in a file."""
    current: type[BaseModel] | None = model
    for step in path:
        if current is None or isinstance(step, int):
            continue
        current = _model_of(current, step)
    if current is None:
        return []
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    for name, field in model.model_fields.items():
        if key in {name, field.alias}:
            return _first_model(field.annotation)
    return None


def _first_model(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in cast(tuple[object, ...], get_args(annotation)):
        found = _first_model(part)
        if found is not None:
            return found
    return None


def _without_branches(loc: tuple[str | int, ...], model: type[Record], document: Document) -> Path:
    """Drop the names of union branches that pydantic puts into a location."""
    path: list[str | int] = []
    current: type[BaseModel] | None = model
    for index, step in enumerate(loc):
        is_last = index == len(loc) - 1
        known = field_names(current, ()) if current is not None else []
        in_file = (*path, step) in document.positions
        if isinstance(step, int) or step in known or in_file or (is_last and current is not None):
            if isinstance(step, str) and "[" in step and not in_file:
                continue
            path.append(step)
            if isinstance(step, str):
                current = _model_of(current, step) if current is not None else None
    return tuple(path)


def dotted(path: Path) -> str:
    """Return `data.examples[0]` for a path."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else (f".{step}" if text else step)
    return text


def _plain(node: object, path: Path, positions: dict[Path, tuple[int, int]]) -> JsonValue:
    """Turn ruamel's nodes into plain values, and note where each stands."""
    if isinstance(node, CommentedMap):
        result: dict[str, JsonValue] = {}
        for key, value in cast(Mapping[object, object], node).items():
            name = str(key)
            line, column = cast(Any, node).lc.key(key)
            positions[(*path, name)] = (line, column)
            result[name] = _plain(value, (*path, name), positions)
        return result
    if isinstance(node, CommentedSeq):
        items: list[JsonValue] = []
        for index, value in enumerate(cast(Sequence[object], node)):
            line, column = cast(Any, node).lc.item(index)
            positions[(*path, index)] = (line, column)
            items.append(_plain(value, (*path, index), positions))
        return items
    if isinstance(node, bool) or node is None:
        return node
    for plain in (int, float, str):
        if isinstance(node, plain):
            return plain(node)
    return cast(JsonValue, node)


def _non_json(value: object, path: Path, document: Document) -> list[Problem]:
    """Return a problem for each value that JSON does not have (dates, infinity)."""
    if isinstance(value, dict):
        inner = [((*path, key), item) for key, item in cast(dict[str, object], value).items()]
        return [problem for place, item in inner for problem in _non_json(item, place, document)]
    if isinstance(value, list):
        items = [((*path, index), item) for index, item in enumerate(cast(list[object], value))]
        return [problem for place, item in items for problem in _non_json(item, place, document)]
    if isinstance(value, float) and not math.isfinite(value):
        return [_not_json(path, document, "a finite number")]
    if value is not None and not isinstance(value, str | int | float | bool):
        return [_not_json(path, document, "text, a number, true or false")]
    return []


def _not_json(path: Path, document: Document, wanted: str) -> Problem:
    return Problem(
        code="CFG-003",
        message=f"`{dotted(path)}` must be {wanted}",
        where=document.where(path, of_value=True),
        help="put the value in quotes",
    )


def _value_span(line: str, column: int, key: str) -> tuple[int, int]:
    """Return start and width of the value that follows a key (or a list dash) on its line."""
    rest = line[column:]
    colon = rest.find(":", rest.find(key) + len(key)) if key in rest else -1
    start = column + colon + 1 if colon >= 0 else column
    while start < len(line) and line[start] in " \t":
        start += 1
    text = line[start:].split(" #", 1)[0].rstrip()
    if not text:
        return column, len(key)
    return start, len(text)


def _not_yaml(error: MarkedYAMLError, file: str, lines: tuple[str, ...]) -> ConfigError:
    told = cast(Any, error)  # ruamel does not type its marks
    mark = told.problem_mark or told.context_mark
    problem = " ".join(str(told.problem or told.context or "it cannot be read").split())
    where = Where(file=file)
    if mark is not None:
        line = int(mark.line)
        text = lines[line] if line < len(lines) else ""
        where = Where(file=file, line=line + 1, column=int(mark.column) + 1, text=text)
    return ConfigError(
        "CFG-002", f"{file} is not YAML: {problem}", help=f"mend {file} at the caret", where=where
    )
