"""`freehold data ls`: every snapshot, when it was frozen, what it holds, and what uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from freehold.cli.session import Session
from freehold.cli.workplace import has_state, open_store
from freehold.core.errors import FreeholdError
from freehold.core.snapshot import Snapshot
from freehold.report.lines import line, render
from freehold.report.snapshots import SnapshotRow, list_lines
from freehold.store.lineage import SNAPSHOT_PREFIX, Lineage, lineage, marks

if TYPE_CHECKING:
    from freehold.store.ledger import Handle
    from freehold.store.store import Store


def run(session: Session) -> int:
    """Print the list, newest first, and return 0."""
    rows = snapshot_rows(session)
    if session.console.is_json:
        shape = {"snapshots": [row.to_json() for row in rows]}
        session.console.data(json.dumps(shape, ensure_ascii=False))
        return 0
    look = session.console.look()
    if not rows:
        session.console.data(
            "No snapshot yet: a climb, a training or `data split` freezes the data."
        )
        session.console.data("next   freehold data split")
        return 0
    following = f"freehold data show {rows[0].name}"
    if len(rows) > 1:
        following = f"freehold data diff {rows[1].name} {rows[0].name}"
    drawn = [*list_lines(rows, look), line(f"next   {following}")]
    session.console.data(render(drawn, look))
    return 0


def snapshot_rows(session: Session) -> tuple[SnapshotRow, ...]:
    """Return every snapshot of the project, newest first."""
    if not has_state(session):
        return ()
    from freehold.ladder.adopt import adopt

    with open_store(session) as store:
        adopt(store)
        graph, marked = lineage(store.ledger), marks(store.ledger)
        rows = [
            SnapshotRow(
                name=handle.name,
                at=handle.at,
                key=handle.key,
                sources=tuple(t.name for t in graph.parents(handle.key) if t.kind == "file"),
                sizes=_sizes(store, handle),
                used_by=_users(graph, handle.key),
                forgotten=marked[handle.key].rows if handle.key in marked else 0,
            )
            for handle in store.ledger.handles(SNAPSHOT_PREFIX)
        ]
    return tuple(reversed(rows))


def _sizes(store: Store, handle: Handle) -> dict[str, int]:
    sizes = (store.entry_of(handle.key) or {}).get("sizes")
    if isinstance(sizes, dict):
        return {name: int(str(count)) for name, count in sizes.items()}
    try:
        snapshot = store.get(handle.key, Snapshot)
    except (FreeholdError, KeyError):
        return {}
    splits = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    return {**{split.split: len(split) for split in splits}, "drops": len(snapshot.drops)}


def _users(graph: Lineage, key: str) -> tuple[str, ...]:
    """Return the climbs, trainings and releases that stand on a snapshot."""
    below = graph.descendants([key])
    found = [thing.name for thing in below if thing.kind in {"climb", "training", "release"}]
    return tuple(dict.fromkeys(name for name in found if name))
