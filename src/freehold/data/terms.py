"""Licence and consent of rows: from the row's own columns, else from its source; summed up, and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TypeAlias

from freehold.core.errors import Problem, Where
from freehold.core.record import Record
from freehold.core.snapshot import Example, Snapshot
from freehold.data.read import Reading, listed_rows

LICENCE_COLUMNS = ("licence", "license")
CONSENT_COLUMNS = ("consent",)
REFUSALS = frozenset({"no", "false", "0", "refused", "withdrawn", "revoked", "denied", "none"})
UNKNOWN = "unknown"
Given: TypeAlias = str | Mapping[str, str] | None


class Terms(Record):
    """How many rows have which licence and which consent, and how many have none that is known."""

    licences: dict[str, int]
    consents: dict[str, int]
    without_licence: int
    without_consent: int
    refused: int
    rows: int


def with_terms(reading: Reading, *, licence: Given, consent: Given) -> Reading:
    """Return what was read with the licence and consent of every row that has one.

    A column `licence` (or `license`) and `consent` of the row itself wins; then the terms of a row that a
    model wrote; then those of its source: one text for all files, or one for each file by name.
    """
    examples = tuple(
        _with(example, licence=_own(example, licence), consent=_consent(example, consent))
        for example in reading.examples
    )
    if examples == reading.examples:
        return reading
    return reading.model_copy(update={"examples": examples})


def terms_of(snapshot: Snapshot) -> Terms:
    """Return how many rows of all splits have which terms."""
    examples = _examples(snapshot)
    licences = Counter(e.licence for e in examples if e.licence is not None)
    consents = Counter(e.consent for e in examples if e.consent is not None)
    return Terms(
        licences=dict(sorted(licences.items(), key=lambda item: (-item[1], item[0]))),
        consents=dict(sorted(consents.items(), key=lambda item: (-item[1], item[0]))),
        without_licence=len(examples) - licences.total(),
        without_consent=len(examples) - consents.total(),
        refused=sum(_refuses(e) for e in examples),
        rows=len(examples),
    )


def licence_problems(snapshot: Snapshot, allowed: Collection[str]) -> tuple[Problem, ...]:
    """Return what a release must know: rows whose licence is not among `allowed`, or is not known.

    Names are compared without regard to case. `unknown` among `allowed` lets rows without a licence pass.
    """
    names = {name.casefold() for name in allowed}
    groups: dict[str, list[Example]] = {}
    for example in _examples(snapshot):
        licence = (example.licence or UNKNOWN).casefold()
        if licence not in names:
            groups.setdefault(example.licence or UNKNOWN, []).append(example)
    shown = ", ".join(allowed) or "none"
    return tuple(
        Problem(
            code="DAT-082",
            level="error",
            message=f"{_rows(len(rows))} have "
            + ("no known licence" if name == UNKNOWN else f"the licence `{name}`")
            + f"; allowed: {shown}",
            where=Where(file=rows[0].source, row=rows[0].row or None),
            help="leave them out, or name the licence: data.licence, or a column `licence`",
        )
        for name, rows in sorted(groups.items())
    )


def consent_problems(snapshot: Snapshot) -> tuple[Problem, ...]:
    """Return the warning about rows whose person refused or withdrew consent, where there are any."""
    rows = [example for example in _examples(snapshot) if _refuses(example)]
    if not rows:
        return ()
    return (
        Problem(
            code="DAT-083",
            level="warning",
            message=f"{_rows(len(rows))} of {rows[0].source} and its like say that consent was refused"
            f" or withdrawn: {listed_rows([example.row for example in rows])}",
            where=Where(file=rows[0].source, row=rows[0].row or None),
            help="leave them out of the file; freehold data forget removes what was made of them too",
        ),
    )


def _own(example: Example, given: Given) -> str | None:
    synthetic = example.origin.synthetic if example.origin is not None else None
    return (
        _column(example, LICENCE_COLUMNS)
        or (synthetic.licence if synthetic is not None else None)
        or _of_source(example, given)
    )


def _consent(example: Example, given: Given) -> str | None:
    return _column(example, CONSENT_COLUMNS) or _of_source(example, given)


def _column(example: Example, names: Collection[str]) -> str | None:
    for name, value in example.fields.items():
        if name.strip().casefold() in names and value.strip():
            return value.strip()
    return None


def _of_source(example: Example, given: Given) -> str | None:
    if given is None or isinstance(given, str):
        return given
    sources = [example.source]
    if example.origin is not None:
        sources.append(example.origin.source)
    return next((given[source] for source in sources if source in given), None)


def _with(example: Example, *, licence: str | None, consent: str | None) -> Example:
    if licence == example.licence and consent == example.consent:
        return example
    return example.model_copy(update={"licence": licence, "consent": consent})


def _refuses(example: Example) -> bool:
    return example.consent is not None and example.consent.strip().casefold() in REFUSALS


def _examples(snapshot: Snapshot) -> tuple[Example, ...]:
    splits = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    return tuple(example for split in splits for example in split.examples)


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"
