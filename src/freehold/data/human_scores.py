"""Read people's scores of answers: rows of `input`, `output`, and a `score` in [0, 1] or a `grade`.

A row that cannot be used is left out with its reason, and the others count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from freehold.core.errors import DataError, Where
from freehold.core.judging import HumanScore
from freehold.core.snapshot import Drop
from freehold.data.files import DataFile, find_files, open_file
from freehold.data.limits import LIMITS
from freehold.data.read import drops_as_causes
from freehold.data.readers import READERS
from freehold.data.rows import Unreadable

INPUTS = ("input", "question", "prompt")
OUTPUTS = ("output", "answer", "completion", "response")
NO_INPUT = "no `input`, and no `id` of an example"
NO_OUTPUT = "no `output`"
NOT_SCORED = "not scored yet"
NO_NUMBER = "`score` is no number in [0, 1], and `grade` none of the grades"


class _UnusableError(Exception):
    """A row says nothing; the message is the reason."""


@dataclass(frozen=True)
class HumanScores:
    """People's scores, and every row that was left out with its reason."""

    scores: tuple[HumanScore, ...]
    drops: tuple[Drop, ...]


def read_human_scores(
    source: str, *, root: Path, grades: int, inputs: Mapping[str, str] | None = None
) -> HumanScores:
    """Read people's scores from a file, a folder or a glob, in every type that examples may have.

    A row names the input (`input`, `question` or `prompt`, or the `id` of an example) and the answer that was
    scored (`output`, `answer`, `completion` or `response`), with a `score` in [0, 1], true or false, or a
    `grade` from 1 to `grades`. `scorer` says who scored. A row whose score is still empty is left out.

    Args:
        source: the file, relative to `root`.
        root: the project folder.
        grades: the number of grades, 1 being the worst.
        inputs: the input of each example by its id.

    Raises:
        DataError: JDG-001 where no row can be used; DAT codes where the file cannot be read.
    """
    found: list[HumanScore] = []
    drops: list[Drop] = []
    for file in find_files(source, root=root):
        _read_file(file, found, drops, grades=grades, inputs=inputs or {})
    if not found and drops:
        raise DataError(
            "JDG-001",
            f"none of the {len(drops):,} rows of `{source}` holds a score that can be used",
            where=Where(file=source, row=drops[0].row),
            cause=drops_as_causes(drops),
            help='write {"input": ..., "output": ..., "score": 0.75, "scorer": "ann"} a row',
        )
    return HumanScores(tuple(found), tuple(drops))


def _read_file(
    file: DataFile,
    found: list[HumanScore],
    drops: list[Drop],
    *,
    grades: int,
    inputs: Mapping[str, str],
) -> None:
    with open_file(file) as opened:
        for row in READERS[opened.suffix](opened.stream, opened.name, LIMITS):
            if isinstance(row, Unreadable):
                drops.append(Drop(source=opened.name, row=row.number, reason=row.reason))
                continue
            columns = {name.strip().casefold(): value for name, value in row.columns.items()}
            try:
                found.append(_score(columns, grades=grades, inputs=inputs))
            except _UnusableError as reason:
                drops.append(Drop(source=opened.name, row=row.number, reason=str(reason)))


def _score(
    columns: Mapping[str, JsonValue], *, grades: int, inputs: Mapping[str, str]
) -> HumanScore:
    asked = _text(columns, INPUTS) or inputs.get(str(columns.get("id")))
    answer = _text(columns, OUTPUTS)
    if not asked:
        raise _UnusableError(NO_INPUT)
    if answer is None:
        raise _UnusableError(NO_OUTPUT)
    return HumanScore(
        input=asked,
        output=answer,
        score=_number(columns.get("score"), columns.get("grade"), grades=grades),
        scorer=str(columns.get("scorer") or ""),
    )


def _text(columns: Mapping[str, JsonValue], names: Sequence[str]) -> str | None:
    return next((str(columns[name]) for name in names if isinstance(columns.get(name), str)), None)


def _number(score: JsonValue, grade: JsonValue, *, grades: int) -> float:
    if score in (None, "") and grade in (None, ""):
        raise _UnusableError(NOT_SCORED)
    given = grade if score in (None, "") else score
    try:
        number = float(str(given).strip()) if not isinstance(given, bool) else float(given)
    except ValueError:
        raise _UnusableError(NO_NUMBER) from None
    if given is grade and given is not score:
        number = (number - 1.0) / (grades - 1)
    if not 0.0 <= number <= 1.0:
        raise _UnusableError(NO_NUMBER)
    return number
