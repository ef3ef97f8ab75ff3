"""What `check` and `data show` look for in the data beyond its form, in one mapping.

A look is one function from prepared data to what was seen: warnings for people, figures for `--json`,
and lines for the terminal. One that needs more than a few seconds bounds its work and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from freehold.cli.contamination import look as contamination
from freehold.cli.look_at_documents import documents
from freehold.cli.look_at_endpoint import endpoint
from freehold.cli.look_at_judge import judge
from freehold.cli.look_at_resolution import resolution
from freehold.cli.look_at_rights import personal, synthetic, terms
from freehold.cli.look_at_rows import adequacy, labels, poisoning, texts
from freehold.cli.seen import Look, Seen

if TYPE_CHECKING:
    from freehold.cli.session import Session
    from freehold.ladder.prepare import Prepared

LOOKS: Mapping[str, Look] = {
    "adequacy": adequacy,
    "contamination": contamination,
    "documents": documents,
    "endpoint": endpoint,
    "judge": judge,
    "labels": labels,
    "personal": personal,
    "poisoning": poisoning,
    "resolution": resolution,
    "synthetic": synthetic,
    "terms": terms,
    "texts": texts,
}


def look_at(prepared: Prepared, session: Session) -> dict[str, Seen]:
    """Return what every look saw, by its name."""
    return {name: look(prepared, session) for name, look in LOOKS.items()}
