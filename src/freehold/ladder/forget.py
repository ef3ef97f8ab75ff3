"""Forget a person's rows: in the user's files, in everything that Freehold kept, and say what learnt from them.

The order makes a kill harmless. What holds the rows beside the snapshots goes first, the snapshots after it,
the user's files last: as long as anything is left to do, the rows that say what to look for are there still.
From the first byte of the user's files on, a journal of file digests and row numbers tells what is left.
The ledger keeps the fact: how many rows, of which snapshots, when, and a keyed hash of what was asked for.
"""

from __future__ import annotations

import hmac
import json
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from freehold.core.errors import DataError
from freehold.core.record import Record, digest_bytes
from freehold.core.snapshot import Drop, Example, Snapshot
from freehold.data.erase import (
    Holds,
    Wanted,
    folded,
    read_whole,
    without_paragraphs,
    without_rows,
)
from freehold.data.files import find_files
from freehold.data.people import People, Place, find_people, others_say, telling_texts
from freehold.ladder.adopt import adopt, snapshots_of
from freehold.ladder.passages import KEPT_INDEXES
from freehold.ladder.sweep import Gone, Sweep, forget_superseded
from freehold.models.endpoint_memory import FILE as ENDPOINT_MEMORY
from freehold.models.endpoint_memory import forget_answers
from freehold.store.blobs import write_durably
from freehold.store.lineage import (
    DESCENDS,
    FORGETTING,
    FORGOTTEN,
    Edge,
    Fact,
    Lineage,
    Thing,
    lineage,
)
from freehold.store.store import Store

JOURNAL = "forgetting.json"
KEY_FILE = "forget.key"
MARKER = "forgotten.json"
REASON = "forgotten"
OnStep = Callable[[str], None]


@dataclass(frozen=True)
class Touched:
    """A snapshot that held wanted rows: how many in which split, and as which thing."""

    thing: Thing
    rows: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many rows in all splits."""
        return sum(self.rows.values())


@dataclass(frozen=True)
class Plan:
    """What forgetting will do. `marked` is what learnt from the rows, or was measured with them."""

    wanted: Wanted
    people: People
    snapshots: tuple[Touched, ...]
    marked: tuple[Thing, ...]
    gone: Gone
    rows: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing matches anywhere."""
        return not self.people.files and not self.snapshots


@dataclass(frozen=True)
class Forgotten:
    """What was forgotten: rows, files that were rewritten, what was removed, and what is to be built anew."""

    rows: int
    files: Mapping[str, int]
    snapshots: Mapping[str, Mapping[str, int]]
    marked: tuple[Thing, ...]
    removed: Mapping[str, int]
    at: str


class Rewritten(Record):
    """One file that is to lose rows: its digest before and after, and what is taken out."""

    name: str
    path: str
    before: str
    after: str
    numbers: tuple[int, ...]
    unit: Literal["row", "paragraph"]
    is_derived: bool


class Journal(Record):
    """What is left of a forgetting that has begun to write into files."""

    pattern: str
    files: tuple[Rewritten, ...]


def _say_nothing(_step: str) -> None:
    """Take the name of a step and do nothing."""


@dataclass(frozen=True)
class Forgetting:
    """Forgets in one project. `on_step` is told of every step after it was done."""

    place: Place
    store: Store
    on_step: OnStep = field(default=_say_nothing)

    def plan(self, wanted: Wanted) -> Plan:
        """Return what would be forgotten; nothing is changed but that old work gets its handles.

        Raises:
            DataError: a file cannot be read, or the condition cannot be computed.
        """
        adopt(self.store)
        place = self._with_known_files()
        people = find_people(place, wanted)
        graph = lineage(self.store.ledger)
        touched: list[Touched] = []
        matched: dict[str, Example] = {}
        for handle, snapshot in snapshots_of(self.store):
            examples = _wanted_examples(snapshot, wanted, people)
            if examples:
                matched.update((e.content_digest, e) for _, e in examples)
                counts: dict[str, int] = {}
                for split, _ in examples:
                    counts[split] = counts.get(split, 0) + 1
                thing = Thing(kind="snapshot", key=handle.key, name=handle.name)
                touched.append(Touched(thing, counts))
        ids = people.ids | {example.id for example in matched.values()}
        gone = Gone(
            ids=ids,
            contents=frozenset(matched),
            texts=self._telling(place, wanted, people=people, matched=matched),
            text=folded(wanted.text) if wanted.kind == "match" else None,
        )
        rows = max([people.rows, len(ids), *(one.total for one in touched)], default=0)
        marked = _marked(graph, touched)
        return Plan(wanted, people, tuple(touched), marked, gone, rows)

    def carry_out(self, plan: Plan) -> Forgotten:
        """Forget, and return what was done. Called again after a kill, it goes on.

        Raises:
            DataError: a file changed meanwhile, or cannot be rewritten.
            MachineError: another process is at work, or the disk is full.
        """
        pattern = self._pattern(plan.wanted)
        journal = self._journal(pattern, plan)  # refuses before anything is touched
        self._begin(pattern, plan)
        self._step("begun")
        sweep = Sweep(self.store, self.place.root, plan.gone, marked=plan.marked)
        removed = dict(sweep.run(self._step))
        for touched in plan.snapshots:
            self._redact(touched, plan)
            self._step("snapshot")
        removed["blobs"] = removed.get("blobs", 0) + sweep.blobs()
        forget_answers(self.store.folder / ENDPOINT_MEMORY)
        self._step("blobs")
        forget_indexes(self.store)
        self._mark_adapters(plan)
        self.store.ledger.compact()
        self._step("ledger")
        if journal.files:
            write_durably(self._journal_path, journal.model_dump_json().encode())
            self._step("journal")
        return self._finish(journal, removed=removed)

    def resume(self) -> Forgotten | None:
        """Finish a forgetting that was stopped while it wrote into files; None where none was.

        Raises:
            DataError: DAT-084 when a file was changed since.
        """
        if not self._journal_path.is_file():
            return None
        journal = Journal.from_json(self._journal_path.read_bytes())
        return self._finish(journal, removed={})

    def has_begun(self, wanted: Wanted) -> bool:
        """Say whether this was begun before and not finished: the rows may be gone, the fact not noted."""
        return bool(self._open_facts(self._pattern(wanted)))

    def finish(self, wanted: Wanted) -> Forgotten:
        """Note as forgotten what was begun before, when nothing more is found to do."""
        return self._finish(Journal(pattern=self._pattern(wanted), files=()), removed={})

    # Steps -----------------------------------------------------------------------------------

    def _begin(self, pattern: str, plan: Plan) -> None:
        """Note what is about to be forgotten, so that it is known after a kill."""
        fact = Fact(
            by=plan.wanted.kind,
            rows=plan.rows,
            contents=tuple(sorted(self._keyed("content", one) for one in plan.gone.contents)),
            files={found.name: len(found.numbers) for found in plan.people.files},
            snapshots={one.thing.name: dict(one.rows) for one in plan.snapshots},
            marked=plan.marked,
        )
        self.store.ledger.append(FORGETTING, pattern, body=fact.to_json(), at=self.store.now())

    def _redact(self, touched: Touched, plan: Plan) -> None:
        """Put the snapshot without the rows in its place, under the name that it always had."""
        digest = touched.thing.key
        snapshot = self.store.get(digest, Snapshot)
        gone = {(split, e.id) for split, e in _wanted_examples(snapshot, plan.wanted, plan.people)}
        self.store.replace(digest, _without(snapshot, gone))
        forget_superseded(self.store)

    def _mark_adapters(self, plan: Plan) -> None:
        """Leave a mark in the folder of every adapter that learnt from the rows: folders travel."""
        for thing in plan.marked:
            folder = self.store.folder / "adapters" / thing.name
            if thing.kind == "training" and thing.name and folder.is_dir():
                body = {"at": self.store.now(), "rows": plan.rows, "reason": REASON}
                write_durably(folder / MARKER, (json.dumps(body) + "\n").encode())

    def _journal(self, pattern: str, plan: Plan) -> Journal:
        removed: dict[str, tuple[int, ...]] = {
            found.name: found.numbers for found in plan.people.files if found.unit == "row"
        }
        files: list[Rewritten] = []
        for found in plan.people.files:
            path, before = found.path, digest_bytes(found.path.read_bytes())
            one = Rewritten(
                name=found.name,
                path=str(path),
                before=before,
                after=before,
                numbers=found.numbers,
                unit=found.unit,
                is_derived=found.is_derived,
            )
            files.append(one.model_copy(update={"after": digest_bytes(_content(one, removed))}))
        named = {found.path for found in plan.people.files}
        for path in sorted(plan.people.derived - named):
            one = Rewritten(
                name=path.name,
                path=str(path),
                before=digest_bytes(path.read_bytes()),
                after="",
                numbers=(),
                unit="row",
                is_derived=True,
            )
            files.append(one.model_copy(update={"after": digest_bytes(_content(one, removed))}))
        return Journal(
            pattern=pattern, files=tuple(one for one in files if one.before != one.after)
        )

    def _finish(self, journal: Journal, *, removed: Mapping[str, int]) -> Forgotten:
        numbers = {one.name: one.numbers for one in journal.files if one.unit == "row"}
        for one in journal.files:
            _rewrite(one, numbers)
            self._step("file")
        forget_superseded(self.store)
        self.store.ledger.compact()
        done = self._note(journal.pattern, removed)
        self._step("noted")
        self._journal_path.unlink(missing_ok=True)
        return done

    def _note(self, pattern: str, removed: Mapping[str, int]) -> Forgotten:
        """Note the fact once: everything that was begun for this pattern and not noted yet, together."""
        begun = self._open_facts(pattern)
        things = {thing.key: thing for fact in begun for thing in fact.marked}
        files: dict[str, int] = {}
        snapshots: dict[str, dict[str, int]] = {}
        for fact in begun:
            for name, count in fact.files.items():
                files[name] = max(count, files.get(name, 0))
            for name, rows in fact.snapshots.items():
                snapshots[name] = {**rows, **snapshots.get(name, {})}
        done = Forgotten(
            rows=max((fact.rows for fact in begun), default=0),
            files=files,
            snapshots=snapshots,
            marked=tuple(things.values()),
            removed=removed,
            at=self.store.now(),
        )
        if begun:
            fact = Fact(
                by=begun[-1].by,
                rows=done.rows,
                contents=tuple(sorted({one for fact in begun for one in fact.contents})),
                files=files,
                snapshots=snapshots,
                marked=done.marked,
                removed=dict(removed),
            )
            self.store.ledger.append(FORGOTTEN, pattern, body=fact.to_json(), at=done.at)
        return done

    # What is known ---------------------------------------------------------------------------

    @property
    def _journal_path(self) -> Path:
        return self.store.folder / JOURNAL

    def _with_known_files(self) -> Place:
        """Add the files of all snapshots: one may be read no longer and be there still."""
        entries = self.store.ledger.entries(DESCENDS)
        parents = [Edge.from_json(entry.body).parent for entry in entries]
        names = dict.fromkeys(parent.name for parent in parents if parent.kind == "file")
        return Place(self.place.root, self.place.section, tuple(names))

    def _telling(
        self, place: Place, wanted: Wanted, *, people: People, matched: Mapping[str, Example]
    ) -> frozenset[str]:
        """Return the texts that only the wanted rows hold."""
        texts = people.texts | telling_texts(matched.values())
        if not texts:
            return texts
        common = set(others_say(place, people, texts))
        for _, snapshot in snapshots_of(self.store):
            wanted_here = {e.id for _, e in _wanted_examples(snapshot, wanted, people)}
            for _, example in _examples(snapshot):
                if example.id not in wanted_here:
                    said = telling_texts([example])
                    common |= {t for t in texts - common if any(t in one for one in said)}
        return texts - common

    def _pattern(self, wanted: Wanted) -> str:
        text = folded(wanted.text) if wanted.kind == "match" else wanted.text
        return self._keyed(wanted.kind, text)

    def _keyed(self, kind: str, text: str) -> str:
        """Return a hash that tells nothing without the project's key, which never leaves it."""
        file = self.store.folder / KEY_FILE
        if not file.is_file():
            write_durably(file, secrets.token_bytes(32))
            file.chmod(0o600)
        message = f"{kind}\0{text}".encode("utf-8", "surrogatepass")
        return "hmac:" + hmac.new(file.read_bytes(), message, "sha256").hexdigest()

    def _open_facts(self, pattern: str) -> list[Fact]:
        done = self.store.ledger.entries(FORGOTTEN, subject=pattern)
        last = done[-1].number if done else 0
        begun = self.store.ledger.entries(FORGETTING, subject=pattern)
        return [Fact.from_json(entry.body) for entry in begun if entry.number > last]

    def _step(self, name: str) -> None:
        self.on_step(name)


def unfinished(store: Store) -> bool:
    """Say whether a forgetting was begun and not finished in this project."""
    if (store.folder / JOURNAL).is_file():
        return True
    done = {entry.subject: entry.number for entry in store.ledger.entries(FORGOTTEN)}
    begun = store.ledger.entries(FORGETTING)
    return any(entry.number > done.get(entry.subject, 0) for entry in begun)


def forget_indexes(store: Store) -> None:
    """Remove the kept indexes of documents, which may hold what was forgotten; the next climb makes them anew."""
    for file in sorted((store.folder / KEPT_INDEXES).glob("*.db")):
        file.unlink()


# Snapshots -----------------------------------------------------------------------------------


def _examples(snapshot: Snapshot) -> Iterator[tuple[str, Example]]:
    for split in (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit):
        for example in split.examples:
            yield split.split, example


def _wanted_examples(
    snapshot: Snapshot, wanted: Wanted, people: People
) -> tuple[tuple[str, Example], ...]:
    """Return the wanted rows of a snapshot with their splits, and those that Freehold made of them."""
    pairs = tuple(_examples(snapshot))
    try:
        holds: Holds = wanted.holds([example for _, example in pairs])
    except DataError:  # a column that this snapshot never had
        return tuple(pair for pair in pairs if pair[1].content_digest in people.contents)
    direct = {(e.source, e.row) for _, e in pairs if holds(e)}
    return tuple(
        (split, example)
        for split, example in pairs
        if holds(example)
        or example.content_digest in people.contents
        or (example.origin is not None and (example.origin.source, example.origin.row) in direct)
    )


def _without(snapshot: Snapshot, gone: set[tuple[str, str]]) -> Snapshot:
    """Return the snapshot without rows, named by split and id; that they were there is kept as a drop."""
    changed: dict[str, object] = {}
    drops = list(snapshot.drops)
    for split in (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit):
        left = tuple(e for e in split.examples if (split.split, e.id) not in gone)
        changed[split.split] = split.model_copy(update={"examples": left})
        drops += [
            Drop(source=e.source, row=e.row, reason=REASON)
            for e in split.examples
            if (split.split, e.id) in gone
        ]
    return snapshot.model_copy(update={**changed, "drops": tuple(drops)})


def _marked(graph: Lineage, touched: Sequence[Touched]) -> tuple[Thing, ...]:
    """Return the snapshots, the climbs that measured with them, and what was made of their touched splits."""
    found: dict[str, Thing] = {}
    for one in touched:
        found[one.thing.key] = one.thing
        children = graph.children(one.thing.key)
        splits = [t for t in children if t.kind == "split" and t.name in one.rows]
        others = [t for t in children if t.kind != "split"]
        below = graph.descendants([t.key for t in (*splits, *others)])
        found.update((t.key, t) for t in (*others, *below) if t.kind != "split")
    return tuple(found.values())


# Files ---------------------------------------------------------------------------------------


def _content(one: Rewritten, removed: Mapping[str, tuple[int, ...]]) -> bytes:
    path = Path(one.path)
    if one.unit == "paragraph":
        return without_paragraphs(path.read_bytes(), one.numbers)
    whole = read_whole(find_files(path.name, root=path.parent)[0])
    return without_rows(whole, one.numbers, renumber=removed if one.is_derived else None)


def _rewrite(one: Rewritten, removed: Mapping[str, tuple[int, ...]]) -> None:
    path = Path(one.path)
    now = digest_bytes(path.read_bytes()) if path.is_file() else None
    if now == one.after or now is None:
        return
    if now != one.before:
        raise DataError(
            "DAT-084",
            f"`{one.name}` was changed while rows were being forgotten",
            help=f"delete .freehold/{JOURNAL} and run the same command again: it looks for the rows anew",
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    write_durably(path, _content(one, removed))
    path.chmod(mode)
