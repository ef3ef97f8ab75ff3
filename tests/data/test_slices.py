from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.errors import DataError
from freehold.core.sections import Slice
from freehold.core.snapshot import Example
from freehold.data.slices import compile_condition, slice_members

EXAMPLES = (
    Example(id="a", input="short", target="x", fields={"product": "card", "age": "12"}),
    Example(id="b", input="a longer text", target="y", fields={"product": "lamp", "age": "30"}),
    Example(id="c", input="no columns", target={"k": 1}, context="passage"),
)


def ids(where: str) -> str:
    holds = compile_condition(where, columns=("product", "age"))
    return "".join(e.id for e in EXAMPLES if holds(e))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("len(input) > 5", "bc"),
        ("5 <= len(input) < 13", "ac"),
        ("product == 'card'", "a"),
        ("product != 'card'", "b"),
        ("not product == 'card'", "bc"),
        ("age > 20", "b"),
        ("age == 12", "a"),
        ("age == 12.0 or target == 'y'", "ab"),
        ("product in ['card', 'lamp'] and age < 20", "a"),
        ("product not in ('card',)", "b"),
        ("'longer' in input", "b"),
        ("'pass' in context", "c"),
        ("'\"k\":1' in target", "c"),
        ("(product == 'card' or product == 'lamp') and not id == 'a'", "b"),
        ("age > -1", "ab"),
        ("input > 3", ""),
    ],
)
def test_conditions_hold_for_the_right_examples(where: str, expected: str) -> None:
    assert ids(where) == expected


@pytest.mark.parametrize(
    ("where", "column", "width"),
    [
        ("prodct == 'card'", 1, 6),
        ("len(input) > 5 and open('x') == 1", 20, 9),
        ("input.upper() == 'X'", 1, 13),
        ("age + 1 == 2", 1, 7),
        ("'é' == input and prodct == 'x'", 18, 6),
        ("len(input) >", 13, 1),
        ("product", 1, 7),
        ("[x for x in input]", 1, 18),
        ("lambda: 1", 1, 9),
        ("f'{input}' == 'x'", 1, 10),
        ("(1).__class__ == 1", 1, 13),
        ("age is 12", 1, 9),
        ("True and age > 1", 1, 4),
        ("", 1, 1),
        ("(" * 400, 1, 1),
        ("x" * 501, 1, 1),
    ],
)
def test_anything_else_is_refused_with_its_place(where: str, column: int, width: int) -> None:
    with pytest.raises(DataError) as caught:
        slice_members(EXAMPLES, [Slice(name="bad", where=where)])
    place = caught.value.problems[0].where
    assert caught.value.problems[0].code == "DAT-013"
    assert place is not None
    if where.strip("("):
        assert (place.column, place.width) == (column, width)


def test_a_misspelt_column_is_answered_with_its_neighbour() -> None:
    with pytest.raises(DataError) as caught:
        compile_condition("prodct == 'x'", columns=("product",))
    assert caught.value.problems[0].help == "did you mean `product`?"


@given(st.text(max_size=40))
def test_no_text_raises_anything_but_a_data_error(where: str) -> None:
    with contextlib.suppress(DataError):
        compile_condition(where, columns=("a",))(EXAMPLES[0])


def test_a_column_gives_one_slice_a_value_and_empty_slices_are_left_out() -> None:
    found = slice_members(EXAMPLES, ["product", Slice(name="none", where="age > 99"), "target"])
    assert dict(found) == {
        "product=card": frozenset("a"),
        "product=lamp": frozenset("b"),
        'target={"k":1}': frozenset("c"),
        "target=x": frozenset("a"),
        "target=y": frozenset("b"),
    }
    with pytest.raises(DataError, match="DAT-007"):
        slice_members(EXAMPLES, ["produkt"])


def test_rare_values_of_a_column_are_put_together() -> None:
    many = [
        Example(id=str(n), input="x", target="y", fields={"city": f"c{min(n, 59):02}"})
        for n in range(80)
    ]
    found = slice_members(many, ["city"])
    assert len(found) == 51
    assert len(found["city=c59"]) == 21
    assert len(found["city=other"]) == 10
