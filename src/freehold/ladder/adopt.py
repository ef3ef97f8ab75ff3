"""Work of an older Freehold, given its place in the lineage: snapshots their handles, candidates their splits.

What was noted when it was made is left as it is; typing a verb twice adds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from freehold.core.candidate import Candidate
from freehold.core.errors import FreeholdError
from freehold.core.measure import Climb
from freehold.core.snapshot import Snapshot
from freehold.ladder.training import PREFIX as TRAINING_PREFIX
from freehold.ladder.training import Training
from freehold.store.ledger import Handle
from freehold.store.lineage import (
    SNAPSHOT_PREFIX,
    Thing,
    descend,
    lineage,
    register_snapshot,
)
from freehold.store.store import Store

CLIMB_PREFIX = "c"


def adopt(store: Store) -> None:
    """Note what finished climbs and trainings were made of, where that was not noted yet."""
    graph = lineage(store.ledger)
    for handle in store.ledger.handles(CLIMB_PREFIX):
        if not graph.parents(handle.key):
            _adopt_climb(store, handle)
    for handle in store.ledger.handles(TRAINING_PREFIX):
        if not graph.parents(handle.key):
            _adopt_training(store, handle)


def snapshots_of(store: Store) -> Iterator[tuple[Handle, Snapshot]]:
    """Yield every snapshot that can still be read, with its handle, oldest first."""
    for handle in store.ledger.handles(SNAPSHOT_PREFIX):
        try:
            yield handle, store.get(handle.key, Snapshot)
        except (FreeholdError, KeyError):
            continue


def _adopt_climb(store: Store, handle: Handle) -> None:
    found = store.recall(handle.key, Climb)
    if found is None:
        return
    child = Thing(kind="climb", key=handle.key, name=handle.name)
    snapshot = _adopt_snapshot(store, found.snapshot_digest, child)
    if snapshot is None:
        return
    for result in found.rungs:
        if result.candidate_digest is not None:
            _adopt_candidate(store, result.candidate_digest, snapshot)


def _adopt_training(store: Store, handle: Handle) -> None:
    found = store.recall(handle.key, Training)
    if found is None:
        return
    child = Thing(kind="training", key=handle.key, name=handle.name)
    snapshot = _adopt_snapshot(store, found.snapshot_digest, None)
    if snapshot is not None:
        _adopt_candidate(store, found.candidate_digest, snapshot)
    descend(store, child, Thing(kind="candidate", key=found.candidate_digest, name=found.rung))
    if found.after is not None:
        before = Thing(kind="training", key=found.after, name=found.after_name or "")
        descend(store, child, before)


def _adopt_snapshot(store: Store, digest: str, child: Thing | None) -> Snapshot | None:
    try:
        snapshot = store.get(digest, Snapshot)
    except (FreeholdError, KeyError):
        return None
    handle = register_snapshot(store, snapshot, digest=digest)
    if child is not None:
        descend(store, child, Thing(kind="snapshot", key=digest, name=handle.name))
    return snapshot


def _adopt_candidate(store: Store, digest: str, snapshot: Snapshot) -> None:
    if store.ledger.entries("descends", subject=digest):
        return
    try:
        candidate = store.get(digest, Candidate)
    except (FreeholdError, KeyError):
        return
    parents = [Thing(kind="split", key=candidate.train_digest, name="train")]
    if len(snapshot.dev):
        parents.append(Thing(kind="split", key=snapshot.dev.digest, name="dev"))
    descend(store, Thing(kind="candidate", key=digest, name=candidate.rung), *parents)


def candidates_of(store: Store) -> Iterator[tuple[str, Candidate]]:
    """Yield every candidate that was ever built here, with its digest."""
    for entry in store.ledger.entries("record"):
        if json.loads(entry.body).get("kind") == Candidate.__name__:
            try:
                yield entry.subject, store.get(entry.subject, Candidate)
            except (FreeholdError, KeyError):
                continue
