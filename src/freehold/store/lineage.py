"""What was made of what: one entry of the ledger for every step from a file to what learnt from it.

    file -> snapshot -> split -> candidate, embeddings
                     -> climb, training;  training -> training that went on from it;  candidate -> climb

A split is a thing of its own, so that what was built from the training rows is told apart from what was
only measured on the test rows. An entry of kind `descends` names a child and one parent; entries of kind
`forgotten` name the things that rows were forgotten from. Nothing here holds the content of a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import Field

from freehold.core.record import Record
from freehold.core.snapshot import Snapshot
from freehold.store.ledger import Handle, Ledger
from freehold.store.store import Store

DESCENDS = "descends"
FORGOTTEN = "forgotten"
FORGETTING = "forgetting"
SNAPSHOT_PREFIX = "s"
LEARNS = frozenset({"candidate", "index", "training", "release", "export"})
"""What holds on to what it was made of: whatever is made of it has learnt the same."""
Kind: TypeAlias = Literal[
    "file",
    "snapshot",
    "split",
    "candidate",
    "index",
    "embeddings",
    "climb",
    "training",
    "release",
    "export",
]


class Thing(Record):
    """One thing that something may descend from. `key` is its digest; `name` is for people."""

    kind: Kind
    key: str
    name: str = ""


class Edge(Record):
    """`child` was made of `parent`."""

    child: Thing
    parent: Thing


class Fact(Record):
    """What an entry `forgetting` or `forgotten` holds: the fact, and nothing of what the rows said.

    `by` is how they were asked for; `contents` are keyed hashes of their digests. `files` and `snapshots`
    count rows, `removed` what was removed of each kind. `marked` is what is to be built anew.
    """

    by: str
    rows: int
    contents: tuple[str, ...] = ()
    files: dict[str, int] = Field(default_factory=dict)
    snapshots: dict[str, dict[str, int]] = Field(default_factory=dict)
    marked: tuple[Thing, ...] = ()
    removed: dict[str, int] = Field(default_factory=dict)


@dataclass(frozen=True)
class Mark:
    """A thing that learnt from rows that were forgotten later: when, and how many rows."""

    thing: Thing
    at: str
    rows: int
    number: int


class Lineage:
    """The graph of all edges. Things are told apart by their keys."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self._things: dict[str, Thing] = {}
        self._children: dict[str, dict[str, None]] = {}
        self._parents: dict[str, dict[str, None]] = {}
        for edge in edges:
            for thing in (edge.parent, edge.child):
                known = self._things.get(thing.key)
                if known is None or not known.name:
                    self._things[thing.key] = thing
            self._children.setdefault(edge.parent.key, {})[edge.child.key] = None
            self._parents.setdefault(edge.child.key, {})[edge.parent.key] = None

    def descendants(self, keys: Iterable[str]) -> tuple[Thing, ...]:
        """Return everything that was made of these, nearest first, each once; the keys are left out."""
        return self._reached(keys, self._children)

    def ancestors(self, keys: Iterable[str]) -> tuple[Thing, ...]:
        """Return everything that these were made of, nearest first, each once."""
        return self._reached(keys, self._parents)

    def parents(self, key: str) -> tuple[Thing, ...]:
        """Return what a thing was made of."""
        return tuple(self._things[parent] for parent in self._parents.get(key, ()))

    def children(self, key: str) -> tuple[Thing, ...]:
        """Return what was made of a thing at once."""
        return tuple(self._things[child] for child in self._children.get(key, ()))

    def thing(self, key: str) -> Thing | None:
        """Return the thing of this key, None where no edge names it."""
        return self._things.get(key)

    def _reached(
        self, keys: Iterable[str], steps: Mapping[str, Mapping[str, None]]
    ) -> tuple[Thing, ...]:
        waiting = list(dict.fromkeys(keys))
        seen = set(waiting)
        found: list[Thing] = []
        for key in waiting:  # grows while it is gone through
            for after in steps.get(key, ()):
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
                    found.append(self._things[after])
        return tuple(found)


def lineage(ledger: Ledger) -> Lineage:
    """Return the graph of a project."""
    return Lineage(Edge.from_json(entry.body) for entry in ledger.entries(DESCENDS))


def descend(store: Store, child: Thing, *parents: Thing) -> None:
    """Note what a thing was made of. Noting it again does nothing."""
    entries = store.ledger.entries(DESCENDS, subject=child.key)
    known = {Edge.from_json(entry.body).parent.key for entry in entries}
    for parent in parents:
        if parent.key not in known:
            known.add(parent.key)
            body = Edge(child=child, parent=parent).to_json()
            store.ledger.append(DESCENDS, child.key, body=body, at=store.now())


def keep_snapshot(store: Store, snapshot: Snapshot) -> Handle:
    """Keep a snapshot with what it was made of, and return its handle: s1, s2, ..."""
    digest = store.put(snapshot)
    return register_snapshot(store, snapshot, digest=digest)


def register_snapshot(store: Store, snapshot: Snapshot, *, digest: str) -> Handle:
    """Give a snapshot that is kept under `digest` its handle, and note its files and splits."""
    handle = store.handle(SNAPSHOT_PREFIX, digest)
    whole = Thing(kind="snapshot", key=digest, name=handle.name)
    files = [Thing(kind="file", key=s.sha256, name=s.name) for s in snapshot.sources]
    descend(store, whole, *files)
    for thing in split_things(snapshot).values():
        descend(store, thing, whole)
    return handle


def split_things(snapshot: Snapshot) -> dict[str, Thing]:
    """Return the splits that have rows, as things, by name."""
    splits = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    return {
        split.split: Thing(kind="split", key=split.digest, name=split.split)
        for split in splits
        if len(split)
    }


def marks(ledger: Ledger) -> Mapping[str, Mark]:
    """Return what rows were forgotten from, by key: what was named then, and what learnt from that since."""
    found: dict[str, Mark] = {}
    graph = lineage(ledger)
    for entry in ledger.entries(FORGOTTEN):
        fact = Fact.from_json(entry.body)
        learnt = [thing.key for thing in fact.marked if thing.kind in LEARNS]
        for thing in {t.key: t for t in (*graph.descendants(learnt), *fact.marked)}.values():
            known = found.get(thing.key)
            rows = fact.rows + (known.rows if known is not None else 0)
            found[thing.key] = Mark(thing, at=entry.at, rows=rows, number=entry.number)
    return found
