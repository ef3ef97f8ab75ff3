"""Whether a JSON value fits a JSON Schema, with nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from pydantic import JsonValue
from referencing import Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY, Schema

from freehold.core.errors import ConfigError
from freehold.core.task import JsonOutput
from freehold.data.json_schema import endless_reference

Fits: TypeAlias = Callable[[JsonValue], bool]


def schema_check(output: JsonOutput) -> Fits:
    """Return the function that says whether a value fits the schema of `output`.

    The schema is checked once, here. A reference to another file or address is refused: jsonschema
    would fetch it, and a climb is offline.

    Raises:
        ConfigError: the schema is no JSON Schema, refers to something outside itself, or to itself in
            a circle.
    """
    schema = output.json_schema
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ConfigError(
            "CFG-004",
            f"`output.schema` is no JSON Schema: {error.message:.200}",
            help="https://json-schema.org/understanding-json-schema describes the keywords",
        ) from error
    resource: Resource[Schema] = Resource.from_contents(schema, default_specification=DRAFT202012)
    resolver = EMPTY_REGISTRY.with_resource("", resource).resolver("")
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable as error:
            raise ConfigError(
                "CFG-004",
                f"`output.schema` refers to {reference!r}, which is not inside the schema",
                help='move it under "$defs" and refer to it as "#/$defs/NAME"',
            ) from error
    endless = endless_reference(schema)
    if endless is not None:
        raise ConfigError(
            "CFG-004",
            f"`output.schema` refers to {endless!r} in a circle that goes into no part of the answer",
            help="refer to it inside properties or items, as a tree does",
        )
    validator = _offline_validator(schema)

    def fits(value: JsonValue) -> bool:
        try:
            return next(validator.iter_errors(value), None) is None
        except RecursionError:  # an answer nested hundreds of levels deep
            return False

    return fits


def _offline_validator(schema: dict[str, JsonValue]) -> Validator:
    return Draft202012Validator(schema, registry=EMPTY_REGISTRY)


def _references(schema: JsonValue) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    elif isinstance(schema, dict):
        for key, item in schema.items():
            if key in {"$ref", "$dynamicRef"} and isinstance(item, str):
                yield item
            else:
                yield from _references(item)
