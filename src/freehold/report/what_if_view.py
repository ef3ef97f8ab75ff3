"""What the sliders of a report work on: verdicts at every bar, and what costs follow from."""

from __future__ import annotations

from collections.abc import Mapping

from freehold.core.measure import Verdict
from freehold.core.record import Record

LETTERS: Mapping[Verdict, str] = {Verdict.PASS: "P", Verdict.UNDECIDED: "U", Verdict.FAIL: "F"}
AUDIT_AGREES, AUDIT_DISAGREES = "y", "n"


class WhatIfRung(Record):
    """One measured rung: a letter of `LETTERS` for every bar, and what a request takes."""

    rung: str
    verdicts: str
    build_seconds: float
    seconds_per_request: float | None
    tokens_dollars_per_request: float | None


class CheapestRange(Record):
    """From `low` to `high` requests a month this rung costs the least in all; `high` None: and beyond."""

    rung: str
    low: float
    high: float | None


class WhatIfTable(Record):
    """Verdicts of all measured rungs at `bars`, and whether the audit rows agree with `audit_rung` there.

    `cheapest` says, for the rungs that pass at the task's own bar and prices, which one costs the least
    at which volume.
    """

    bars: tuple[float, ...]
    rungs: tuple[WhatIfRung, ...]
    revalidation_examples: int
    audit_rung: str | None
    audit: str
    cheapest: tuple[CheapestRange, ...] = ()
