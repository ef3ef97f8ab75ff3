"""Data that is read as a sample: `check` looks at all of its rows first, and says what is frozen."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from freehold.cli.session import Session
from freehold.cli.settings import Resolved
from freehold.cli.workplace import STDIN, fetch_of
from freehold.core.errors import Problem
from freehold.data.files import find_files
from freehold.data.limits import LIMITS, Limits
from freehold.data.read import listed_rows, plain_bytes
from freehold.report import numbers
from freehold.report.lines import Line, Look, clean, labelled, render

if TYPE_CHECKING:
    from freehold.data.stream import Survey
    from freehold.ladder.prepare import Prepared

SAMPLE_ROWS = 50_000
_COLUMN = 17
_SHOWN = 6
_REPEATS = 3


@dataclass(frozen=True)
class Surveys:
    """What all rows hold, file by file, and how many of them are drawn; nothing where all are read.

    `is_chosen` says that the user set the size of the sample.
    """

    surveys: tuple[Survey, ...] = ()
    sample: int | None = None
    is_chosen: bool = True


def look_at_all(
    session: Session, resolved: Resolved, *, limits: Limits = LIMITS
) -> tuple[Resolved, Surveys]:
    """Look at every row where only a sample will be frozen, and return the settings with that sample.

    Data that is larger than can be held gets a sample of 50,000 rows here; a climb asks the user for one.
    """
    section = resolved.task_file.data
    names = (section.examples,) if isinstance(section.examples, str) else section.examples
    if STDIN in names:
        return resolved, Surveys()
    files = tuple(
        file
        for name in names
        for file in find_files(name, root=session.project, fetch=fetch_of(session))
    )
    size = plain_bytes(files)
    if section.sample is None and size <= limits.held_bytes:
        return resolved, Surveys()
    from freehold.data.stream import survey

    session.console.say(f"Looking at all rows, {numbers.size(size)} …")
    workers = os.cpu_count() or 1
    found = tuple(survey(f, columns=section.columns, workers=workers).survey for f in files)
    sample = section.sample or SAMPLE_ROWS
    drawn = section.model_copy(update={"sample": sample})
    task_file = resolved.task_file.model_copy(update={"data": drawn})
    is_chosen = section.sample is not None
    return replace(resolved, task_file=task_file), Surveys(found, sample, is_chosen)


def with_warning(prepared: Prepared, surveys: Surveys) -> Prepared:
    """Say that a climb of this data needs the size of a sample, where the user gave none."""
    if surveys.is_chosen:
        return prepared
    rows = sum(survey.source.rows for survey in surveys.surveys)
    problem = Problem(
        code="DAT-045",
        level="warning",
        message=f"{rows:,} rows are more than can be frozen; here it is a sample of"
        f" {surveys.sample:,}, and a climb has to be told its size",
        help=f"write in task.yaml: data: {{sample: {surveys.sample}}}, or type: -s data.sample={surveys.sample}",
    )
    return replace(prepared, problems=(problem, *prepared.problems))


def survey_lines(surveys: Surveys, look: Look) -> str:
    """Return what all rows of each file hold, as text for the terminal."""
    lines: list[Line] = []
    for survey in surveys.surveys:
        lines.extend(_lines_of(survey, look))
    return render(lines, look)


def _lines_of(survey: Survey, look: Look) -> list[Line]:
    source, lengths = survey.source, survey.lengths
    head = f"{numbers.count(source.rows)} rows · {clean(source.format)} · every row was looked at"
    facts = {
        "left out": "; ".join(
            f"{drop.rows:,} × {clean(drop.reason)} ({_rows(drop.first, drop.rows)})"
            for drop in survey.drops
        ),
        "repeats": _repeats(survey),
        "lengths": f"p50 {lengths.p50:,} characters · p95 {lengths.p95:,} · max {lengths.longest:,}",
        "answers": _answers(survey.labels),
    }
    name = clean(source.name)
    lines = labelled(name, head, look=look, indent=0, column=max(_COLUMN, len(name) + 3))
    for label, text in facts.items():
        if text:
            lines.extend(labelled(label, text, look=look, column=_COLUMN))
    return lines


def _rows(first: tuple[int, ...], count: int) -> str:
    more = f" and {count - len(first):,} more" if count > len(first) else ""
    return f"{listed_rows(first)}{more}"


def _repeats(survey: Survey) -> str:
    if not survey.repeats:
        return "none"
    pairs = ", ".join(f"{pair.row:,} as {pair.first:,}" for pair in survey.first_repeats[:_REPEATS])
    more = ", …" if survey.repeats > _REPEATS else ""
    share = numbers.percent(survey.repeats / survey.usable)
    return f"{survey.repeats:,} rows ({share}) ask what an earlier row asks: {pairs}{more}"


def _answers(labels: dict[str, int]) -> str:
    if not labels:
        return ""
    shown = " · ".join(f"{clean(name)} {count:,}" for name, count in list(labels.items())[:_SHOWN])
    more = f" · …{len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return f"{len(labels):,}: {shown}{more}"
