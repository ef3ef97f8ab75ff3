"""Slices: named parts of the examples, by a column or by a condition.

A condition is a small language of its own, `len(input) > 2000 and product != "gift_card"`, read
by Python's parser and computed by a list of allowed parts. It is never run as code.
"""

from __future__ import annotations

import ast
import difflib
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from freehold.core.errors import DataError, Where
from freehold.core.record import canonical_json
from freehold.core.sections import Slice
from freehold.core.snapshot import Example

LONGEST_CONDITION = 500
MOST_VALUES_OF_A_COLUMN = 50
OTHER_VALUES = "other"

Value: TypeAlias = "str | float | bool | tuple[Value, ...] | None"
Condition: TypeAlias = Callable[[Example], bool]
_Compute: TypeAlias = Callable[[Example], Value]

_NUMBER_TESTS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def slice_members(
    examples: Sequence[Example], slices: Sequence[str | Slice]
) -> Mapping[str, frozenset[str]]:
    """Return the ids of the examples of every slice, by the slice's name.

    A column gives one slice a value, called `column=value`; beyond the 50 most frequent values the
    rest is `column=other`. Slices without examples are left out.

    Raises:
        DataError: no example has the column (DAT-007), or a condition is wrong (DAT-013).
    """
    members: dict[str, frozenset[str]] = {}
    for part in slices:
        if isinstance(part, Slice):
            holds = compile_condition(part.where, columns=columns_of(examples))
            members[part.name] = frozenset(e.id for e in examples if holds(e))
        else:
            members.update(_by_value(examples, part))
    return {name: ids for name, ids in members.items() if ids}


def columns_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """Return the names of the other columns that any example has."""
    return tuple(sorted({name for example in examples for name in example.fields}))


def _by_value(examples: Sequence[Example], column: str) -> dict[str, frozenset[str]]:
    known = ("target", *columns_of(examples))
    if column not in known:
        raise DataError(
            "DAT-007",
            f"no example has the column `{column}` that `data.slices` names",
            help=_nearest(column, known),
        )
    ids: dict[str, set[str]] = {}
    for example in examples:
        value = example.fields.get(column)
        if column == "target" and value is None:
            value = _target_text(example)
        if value is not None:
            ids.setdefault(value, set()).add(example.id)
    ordered = sorted(ids, key=lambda value: (-len(ids[value]), value))
    kept, rest = ordered[:MOST_VALUES_OF_A_COLUMN], ordered[MOST_VALUES_OF_A_COLUMN:]
    named = {f"{column}={value}": frozenset(ids[value]) for value in sorted(kept)}
    others = frozenset(name for value in rest for name in ids[value])
    return {**named, f"{column}={OTHER_VALUES}": others} if others else named


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    listed = ", ".join(f"`{column}`" for column in known)
    return f"did you mean `{close[0]}`?" if close else f"the columns are {listed}"


def _target_text(example: Example) -> str:
    target = example.target
    return target if isinstance(target, str) else canonical_json(target).decode()


# Conditions ----------------------------------------------------------------------------------


def compile_condition(where: str, *, columns: Sequence[str]) -> Condition:
    """Return the test that `where` describes.

    Allowed are the names `input`, `target`, `context`, `id` and those of `columns`; text and
    numbers; `len(...)`; the comparisons `== != < <= > >=`, `in`, `not in`; `and`, `or`, `not`;
    lists and brackets. Columns are text; compared with a number, a column counts as the number it
    spells, and a row where it spells none is not in the slice, nor is one without the column.

    Raises:
        DataError: anything else (DAT-013), with the place in `where`.
    """
    tree = _parsed(where)
    return _Compiler(where, columns).truth(tree)


def _parsed(where: str) -> ast.expr:
    if len(where) > LONGEST_CONDITION:
        raise _wrong(where[:60], 0, f"a condition is at most {LONGEST_CONDITION} characters long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's advice on Python code, which this is not
            return ast.parse(where.strip(), mode="eval").body
    except SyntaxError as error:
        place = error.offset - 1 if error.offset else len(where)
        raise _wrong(where, place, "this is not a condition") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise _wrong(where, 0, "this is not a condition") from error


def _wrong(where: str, place: int, message: str, *, width: int = 1, help: str = "") -> DataError:
    return DataError(
        "DAT-013",
        f"the slice condition `{where}` cannot be used: {message}",
        where=Where(line=1, column=place + 1, text=where, width=max(1, width)),
        help=help
        or 'for example len(input) > 2000, or product == "card" and not channel == "mail"',
    )


class _Compiler:
    """Turn the parsed condition into a function, part by part; every part not named is refused."""

    def __init__(self, where: str, columns: Sequence[str]) -> None:
        self._where = where.strip()
        self._columns = columns

    def compute(self, node: ast.expr) -> _Compute:
        """Compile any part."""
        match node:
            case ast.BoolOp(op=op, values=values):
                return self._joined([self.truth(value) for value in values], op)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                holds = self.truth(operand)
                return lambda example: not holds(example)
            case ast.Compare():
                return self._compared(node)
            case ast.Name() | ast.Constant() | ast.List() | ast.Tuple() | ast.UnaryOp():
                return self._value(node)
            case ast.Call():
                return self._length(node)
            case _:
                raise self._refused(node, "this part is not allowed")

    def _joined(self, parts: Sequence[Condition], op: ast.boolop) -> _Compute:
        every = isinstance(op, ast.And)
        return lambda example: (all if every else any)(part(example) for part in parts)

    def truth(self, node: ast.expr) -> Condition:
        """Compile a part that holds or does not."""
        compute = self.compute(node)
        if not isinstance(node, ast.BoolOp | ast.Compare) and not _is_not(node):
            raise self._refused(node, "a comparison is needed here")
        return lambda example: compute(example) is True

    def _value(self, node: ast.expr) -> _Compute:
        match node:
            case ast.Name(id=name):
                return self._column(node, name)
            case ast.Constant(value=str() | int() | float() as value):
                return lambda _: value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return lambda _: -value
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                items = [self._value(part) for part in parts]
                return lambda example: tuple(item(example) for item in items)
            case _:
                raise self._refused(node, "text, a number, a column or a list is needed here")

    def _column(self, node: ast.expr, name: str) -> _Compute:
        if name in self._columns:
            return lambda example: example.fields.get(name)
        own: Mapping[str, _Compute] = {
            "input": lambda example: example.input,
            "target": _target_text,
            "context": lambda example: example.context,
            "id": lambda example: example.id,
        }
        if name not in own:
            near = _nearest(name, (*own, *self._columns))
            raise self._refused(node, f"there is no column `{name}`", help=near)
        return own[name]

    def _length(self, node: ast.Call) -> _Compute:
        is_len = isinstance(node.func, ast.Name) and node.func.id == "len"
        if not is_len or len(node.args) != 1 or node.keywords:
            raise self._refused(node, "the only function is len(...) of one column")
        part = self._value(node.args[0])

        def length(example: Example) -> Value:
            value = part(example)
            return len(value) if isinstance(value, str | tuple) else None

        return length

    def _compared(self, node: ast.Compare) -> _Compute:
        sides = [node.left, *node.comparators]
        values = [self._length(s) if isinstance(s, ast.Call) else self._value(s) for s in sides]
        for op in node.ops:
            if isinstance(op, ast.Is | ast.IsNot):
                raise self._refused(node, "use == and != to compare")

        def holds(example: Example) -> Value:
            found = [value(example) for value in values]
            triples = zip(found, node.ops, found[1:], strict=False)
            return all(_holds(left, op, right) for left, op, right in triples)

        return holds

    def _refused(self, node: ast.expr, message: str, *, help: str = "") -> DataError:
        end = node.end_col_offset or node.col_offset + 1
        start = len(self._where.encode()[: node.col_offset].decode(errors="ignore"))
        width = end - node.col_offset
        return _wrong(self._where, start, message, width=width, help=help)


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _holds(left: Value, op: ast.cmpop, right: Value) -> bool:
    if left is None or right is None:
        return False
    if isinstance(op, ast.In | ast.NotIn):
        return _is_inside(left, right) is isinstance(op, ast.In)
    if isinstance(op, ast.Eq | ast.NotEq):
        return _is_equal(left, right) is isinstance(op, ast.Eq)
    first, second = _number(left), _number(right)
    if first is None or second is None:
        return False
    return _NUMBER_TESTS[type(op)](first, second)


def _is_inside(left: Value, right: Value) -> bool:
    if isinstance(right, tuple):
        return any(_is_equal(left, item) for item in right)
    return isinstance(left, str) and isinstance(right, str) and left in right


def _is_equal(left: Value, right: Value) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    first, second = _number(left), _number(right)
    return first is not None and first == second


def _number(value: Value) -> float | None:
    if isinstance(value, tuple) or value is None:
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
