"""Looks at whose rows these are: personal data and secrets, licences and consent, rows that no person wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.cli.seen import Seen
from freehold.core.errors import Problem

if TYPE_CHECKING:
    from freehold.cli.session import Session
    from freehold.core.snapshot import Example
    from freehold.ladder.prepare import Prepared

_MOST_ROWS = 20_000
_MOST_CHARACTERS = 5_000_000


def synthetic(prepared: Prepared, session: Session) -> Seen:
    """How much of the training rows no person wrote, and what was left out of them."""
    from freehold.data.synthesis.admission import share_of

    del session
    found = share_of(prepared.snapshot)
    if not found.rows and not found.left_out:
        return Seen()
    most = prepared.task_file.data.synthetic_share
    return Seen(
        figures={
            "rows": found.rows,
            "training_rows": found.training_rows,
            "share": found.share,
            "most_share": most,
            "methods": dict(found.methods),
            "teachers": dict(found.teachers),
            "left_out": dict(found.left_out),
        },
    )


def terms(prepared: Prepared, session: Session) -> Seen:
    """Licences and consent: shares of rows, those without, and those that refused."""
    from freehold.data.terms import consent_problems, terms_of

    del session
    found = terms_of(prepared.snapshot)
    names = [f"{name} {count:,}" for name, count in found.licences.items()]
    without = [f"none known {found.without_licence:,}"] if found.licences else []
    lines = (f"licence    {' · '.join([*names, *without])}",) if names else ()
    return Seen(
        problems=consent_problems(prepared.snapshot),
        figures={
            "licences": dict(found.licences),
            "without_licence": found.without_licence,
            "consents": dict(found.consents),
            "without_consent": found.without_consent,
            "refused": found.refused,
        },
        lines=lines,
    )


def personal(prepared: Prepared, session: Session) -> Seen:
    """Count personal data and secrets by kind, with their rows and without their values.

    At most 20,000 rows or five million characters are looked at; `rows` says how many were.
    """
    from freehold.data.personal.find import finder
    from freehold.data.personal.scrub import spans_of
    from freehold.data.personal.tally import tally
    from freehold.report.personal import counts_text

    examples = _first(prepared.reading.examples)
    find = finder()
    spans = [spans_of(example, find) for example in examples]
    counts = tally(examples, spans)
    rows = sum(bool(found) for found in spans)
    part = "" if len(examples) == len(prepared.reading.examples) else "first "
    secret = tuple(count for count in counts if count.kind in {"secret", "password"})
    other = tuple(count for count in counts if count not in secret)
    argument = session.invocation.argument
    command = "freehold data scrub" if argument is None else f"freehold data scrub {argument}"
    problems: list[Problem] = []
    for code, name, found in (("DAT-070", "personal data", other), ("DAT-071", "secrets", secret)):
        if found:
            message = f"the {part}{len(examples):,} rows hold {name}: {counts_text(found)}"
            first = found[0].first_rows[0]
            first = f"row {first}" if first.isdigit() else first
            help_ = f"{command}   names the rows, such as {first}"
            problems.append(Problem(code=code, message=message, level="warning", help=help_))
    figures: dict[str, JsonValue] = {
        "looked_at": len(examples),
        "rows": rows,
        "kinds": {count.kind: {"spans": count.spans, "rows": count.rows} for count in counts},
    }
    return Seen(problems=tuple(problems), figures=figures)


def _first(examples: Sequence[Example]) -> Sequence[Example]:
    characters = 0
    for place, example in enumerate(examples):
        characters += len(example.input) + len(example.context or "")
        if place >= _MOST_ROWS or characters > _MOST_CHARACTERS:
            return examples[: max(1, place)]
    return examples
