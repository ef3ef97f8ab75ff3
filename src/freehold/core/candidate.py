"""Anything that can answer, as a record: a rung, its spec, and the digests of what it was built from."""

from __future__ import annotations

from typing import Self

from pydantic import Field, JsonValue, model_validator

from freehold.core.record import Record
from freehold.core.sections import RungName


class Candidate(Record):
    """One built rung: a spec and files that can be moved and loaded elsewhere.

    `question_digest` names what was asked (`Task.question_digest`). `spec` is the chosen variant. `artefacts` maps a file name to the digest of its content in the
    store. `base_digest` names the base model's weights; None where no model is used.
    """

    rung: RungName
    question_digest: str
    spec: dict[str, JsonValue]
    train_digest: str
    base_digest: str | None = None
    artefacts: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_its_files_plainly(self) -> Self:
        for name in self.artefacts:
            if name.startswith("/") or ".." in name.split("/"):
                raise ValueError(f"artefact name {name!r} leaves the candidate's folder")
        return self
