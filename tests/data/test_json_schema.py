"""Schemas that refer to themselves in a circle are found, and trees are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from freehold.core.errors import ConfigError
from freehold.core.task import JsonOutput
from freehold.data.json_schema import endless_reference
from freehold.evaluate.schema import schema_check

TREE: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "below": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name"],
}


@pytest.mark.parametrize(
    ("schema", "reference"),
    [
        ({"$ref": "#"}, "#"),
        (
            {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "type": "object"},
            "#/$defs/",
        ),
        ({"allOf": [{"type": "object"}, {"anyOf": [{"$ref": "#"}]}]}, "#"),
        ({"properties": {"x": {"$defs": {}, "not": {"$ref": "#/properties/x"}}}}, "#/properties/x"),
        ({"$anchor": "top", "if": {"$ref": "#top"}}, "#top"),
        ({"$defs": {"a/b ~": {"$ref": "#/$defs/a~1b%20~0"}}}, "#/$defs/a~1b%20~0"),
        ({"dependentSchemas": {"k": {"oneOf": [{"$ref": "#"}]}}}, "#"),
    ],
)
def test_a_reference_that_leads_back_to_itself_is_found(
    schema: dict[str, JsonValue], reference: str
) -> None:
    found = endless_reference(schema)
    assert found is not None
    assert found.startswith(reference)
    with pytest.raises(ConfigError, match="CFG-004") as caught:
        schema_check(JsonOutput(json_schema=schema))
    assert "circle" in caught.value.problems[0].message


@pytest.mark.parametrize(
    "schema",
    [
        TREE,
        {"$defs": {"node": TREE}, "$ref": "#/$defs/node"},
        {
            "$defs": {"a": {"type": "string"}},
            "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}],
        },
        {"$ref": "https://elsewhere.example/schema"},
        {"$ref": "#/none/such"},
        {"enum": [{"$ref": "x"}]},
        {},
    ],
)
def test_a_schema_that_goes_into_the_value_is_sound(schema: dict[str, JsonValue]) -> None:
    assert endless_reference(schema) is None


def test_a_tree_is_checked_and_one_that_is_too_deep_does_not_fit() -> None:
    fits = schema_check(JsonOutput(json_schema=TREE))
    assert fits({"name": "a", "below": [{"name": "b"}]})
    assert not fits({"name": "a", "below": [{}]})
    deep: JsonValue = {"name": "leaf"}
    for _ in range(5000):
        deep = {"name": "a", "below": [deep]}
    assert not fits(deep)


@given(
    st.recursive(
        st.sampled_from(["#", "#/a", "#/allOf/0", "#/items"]).map(lambda ref: {"$ref": ref}),
        lambda inner: st.dictionaries(
            st.sampled_from(["a", "allOf", "anyOf", "not", "items", "if"]),
            inner | st.lists(inner, max_size=2),
            max_size=3,
        ),
        max_leaves=8,
    )
)
def test_any_schema_is_looked_at_and_one_without_circles_ends(schema: dict[str, JsonValue]) -> None:
    endless_reference(schema)
