"""Errors about the shape of rows: what is wrong with them, and the line that settles it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from freehold.core.errors import DataError, Where
from freehold.core.sections import Columns
from freehold.data.content import Columned
from freehold.data.formats import INPUTS, TARGETS, missing_column, names_of

_SAY_NOTHING = frozenset(
    {"id", "meta", "metadata", "source", "timestamp", "url", "added", "domain"}
)


def refuse_preferences(row: Columned, name: str, columns: Columns) -> None:
    """Refuse rows that compare or rate answers: a bad answer must not become a target.

    Raises:
        DataError: the row holds a pair of answers, a rated one, or one with rated steps (DAT-017).
    """
    if columns.target is not None:
        return
    found = _rated(row)
    if found is None:
        return
    what, wanted = found
    way_out = f"for the rung `prefer`, write in task.yaml: data: {{preferences: {name}}}"
    if wanted:
        way_out += (
            "\nor, to use one of the columns as the answer: "
            f"data: {{examples: {name}, columns: {{input: prompt, target: {wanted}}}}}"
        )
    else:
        way_out = 'write one wanted answer a row, for example {"input": "...", "target": "..."}'
    raise DataError(
        "DAT-017",
        f"`{name}` holds {what}, not one wanted answer a row",
        where=Where(file=name),
        help=way_out,
    )


def _rated(row: Columned) -> tuple[str, str] | None:
    """Return what the row compares or rates, and the column with the better answer, if it has one."""
    if {"chosen", "rejected"} <= row.keys():
        return "pairs of a better and a worse answer", "chosen"
    if "preferred_output" in row:
        return "pairs of a better and a worse answer", "preferred_output"
    if isinstance(row.get("completions"), list) and isinstance(row.get("labels"), list):
        return "answers whose steps are rated", ""
    is_judged = {"prompt", "completion"} <= row.keys() and _is_truth(row.get("label"))
    return ("answers rated good or bad", "completion") if is_judged or "kto_tag" in row else None


def _is_truth(value: JsonValue) -> bool:
    return isinstance(value, bool)


def unclear_columns(seen: Sequence[str], name: str, columns: Columns) -> DataError:
    """Return the error for rows whose input or target column cannot be told."""
    for setting in (*names_of(columns.input), *names_of(columns.target)):
        if setting not in seen:
            return missing_column(setting, seen, where=name)
    _refuse_text_only(seen, name, columns)
    listed = ", ".join(f"`{column}`" for column in seen) or "none"
    example = _suggested(seen)
    return DataError(
        "DAT-006",
        f"it is unclear which column of `{name}` is the input and which the target; "
        f"the columns are {listed}",
        where=Where(file=name),
        help=f"write in task.yaml: data: {{examples: {name}, columns: {example}}}",
    )


def _refuse_text_only(seen: Sequence[str], name: str, columns: Columns) -> None:
    """Refuse rows of one text each: there is nothing that an answer could be held against."""
    told = [column for column in seen if column.strip().casefold() not in _SAY_NOTHING]
    is_text = len(told) == 1 and told[0].strip().casefold() in INPUTS
    if columns.input or columns.target or not is_text:
        return
    raise DataError(
        "DAT-043",
        f"the rows of `{name}` hold a text (`{told[0]}`) and no wanted answer",
        where=Where(file=name),
        help="add a column with the wanted answer; texts to search in or to train on go under"
        f" data: {{documents: {name}}} in task.yaml",
    )


def _suggested(seen: Sequence[str]) -> str:
    lower = {column.strip().casefold(): column for column in seen}
    first = next((lower[name] for name in INPUTS if name in lower), None)
    second = next((lower[name] for name in TARGETS if name in lower), None)
    rest = [column for column in seen if column not in (first, second, "id")]
    first = first or (rest.pop(0) if rest else "INPUT_COLUMN")
    second = second or (rest.pop(0) if rest else "TARGET_COLUMN")
    return f"{{input: {first}, target: {second}}}"
