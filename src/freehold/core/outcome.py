"""What happened to one example: a score, or a failure with its cause. A failure is never a number."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from freehold.core.record import Record


class Cause(StrEnum):
    """Why an answer is wrong or missing, as code can establish it (decide.md 6)."""

    FORMAT = "format"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"
    UNREAD = "unread"
    CONFUSED = "confused"
    UNSTABLE = "unstable"
    TOO_LONG = "too_long"
    SCORER = "scorer"
    ENGINE = "engine"


class Scored(Record):
    """The answer was scored, in [0, 1]; `cause` says why it is below 1, where code can tell."""

    kind: Literal["scored"] = "scored"
    score: Annotated[float, Field(ge=0, le=1)]
    cause: Cause | None = None


class Failed(Record):
    """No score exists: the engine, the scorer or the length of the input prevented it."""

    kind: Literal["failed"] = "failed"
    cause: Cause
    message: str


Outcome: TypeAlias = Annotated[Scored | Failed, Field(discriminator="kind")]
