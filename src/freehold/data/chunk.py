"""Cut documents into passages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from freehold.core.record import Record
from freehold.data.documents import Document, Passage
from freehold.data.documents import chunk as _chunk


class ChunkSpec(Record):
    """How documents are cut: the longest passage, and what it repeats of the one before, in characters."""

    size: Annotated[int, Field(ge=1)] = 800
    overlap: Annotated[int, Field(ge=0)] = 0


def chunk(document: Document, spec: ChunkSpec) -> tuple[Passage, ...]:
    """Cut a document into passages of at most `spec.size` characters."""
    return _chunk(document, size_chars=spec.size)
