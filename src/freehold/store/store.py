"""The state of one project: `.freehold/` with its blobs and its ledger.

Everything that was paid for is found again by what it was made from: `remember` and `recall` map the
digest of a piece of work (a spec and its inputs) to the digest of its record. Nothing is keyed by
position or by "latest".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

from pydantic import JsonValue, ValidationError

from freehold.core.errors import MachineError, UsageError
from freehold.core.record import Record, canonical_json
from freehold.core.snapshot import Snapshot
from freehold.store.blobs import Blobs, write_durably
from freehold.store.ledger import Handle, Ledger
from freehold.store.tables import drops_table, head_of, rows_table, sizes_of, snapshot_of

R = TypeVar("R", bound=Record)
Clock = Callable[[], datetime]
STATE_FOLDER = ".freehold"
README = "State of Freehold: ledger, blobs and built candidates. Kept out of version control.\n"


class Store:
    """The blobs and the ledger of one project folder."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            write_durably(ignore, b"*\n")
            write_durably(folder / "README.txt", README.encode())
        self.blobs = Blobs(folder / "blobs")
        self.ledger = Ledger(folder / "ledger.db")

    @classmethod
    def open(cls, project: Path, *, clock: Clock) -> Self:
        """Open (or begin) the state of a project folder.

        Raises:
            MachineError: the folder cannot be written, or its state is newer than this Freehold.
        """
        try:
            return cls(project / STATE_FOLDER, clock=clock)
        except PermissionError as error:
            raise MachineError(
                "MAC-005",
                f"{project / STATE_FOLDER} cannot be written: {error.strerror}",
                help="run in a folder of your own, or use -C DIR",
            ) from error

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def put(self, record: Record) -> str:
        """Keep a record and return its digest.

        The blob is the record's JSON; it is found under the record's digest through the ledger, as
        the digest also covers the record's kind. The rows of a snapshot are in tables of their own.
        """
        digest = record.digest
        kept = self.entry_of(digest)
        if kept is None or kept.get("redacted") or str(kept["blob"]) not in self.blobs:
            self.note("record", digest, self._written(record))
        return digest

    def replace(self, digest: str, record: Record) -> None:
        """Keep `record` under the digest of another one, of which it is what may still be known."""
        self.note("record", digest, {**self._written(record), "redacted": True})

    def get(self, digest: str, kind: type[R]) -> R:
        """Return the record of this digest.

        Raises:
            KeyError: the store has no such record.
            MachineError: MAC-002 when it can no longer be read as `kind`.
        """
        kept = self.entry_of(digest)
        if kept is None:
            raise KeyError(digest)
        try:
            content = self.blobs.get(str(kept["blob"]))
            if "parts" in kept:
                whole = self._snapshot(content)
                if isinstance(whole, kind):
                    return whole
            return kind.from_json(content)
        except ValueError as error:
            cause = str(error)
            if isinstance(error, ValidationError):
                cause = str(error.errors(include_url=False)[0]["msg"])
            raise MachineError(
                "MAC-002",
                f"record {digest} cannot be read as {kind.__name__}",
                help="it was written by another version of Freehold; type the verb again",
                cause=[cause],
            ) from error

    def entry_of(self, digest: str) -> dict[str, JsonValue] | None:
        """Return the last entry about a record: its kind, its blob, and what else is known without reading it.

        An earlier entry stands for what the record was before rows of it were forgotten.
        """
        entries = self.ledger.entries("record", subject=digest)
        return _body(entries[-1].body) if entries else None

    def remember(self, work: str, record: Record) -> str:
        """Keep the record that a piece of work (named by a digest) came to; return its digest."""
        digest = self.put(record)
        self.note("done", work, {"record": digest})
        return digest

    def recall(self, work: str, kind: type[R]) -> R | None:
        """Return what a piece of work came to when it was done before, else None.

        What was forgotten since was never done.
        """
        entries = self.ledger.entries("done", subject=work)
        if not entries:
            return None
        digest = str(_body(entries[-1].body)["record"])
        kept = self.entry_of(digest)
        if kept is not None and self.blobs.is_forgotten(str(kept["blob"])):
            return None
        return self.get(digest, kind)

    def note(self, kind: str, subject: str, body: Mapping[str, JsonValue]) -> None:
        """Append a fact to the ledger, with the time."""
        self.ledger.append(kind, subject, body=dict(body), at=self.now())

    def handle(self, prefix: str, key: str) -> Handle:
        """Return the short name of a key, giving it one when it has none."""
        return self.ledger.handle(prefix, key, at=self.now())

    def resolve(self, name: str, *, prefix: str = "c") -> Handle:
        """Return the handle for `c12` or `@last`.

        Raises:
            UsageError: USE-002 when nothing has that name.
        """
        handles = self.ledger.handles(prefix)
        if name == "@last" and handles:
            return max(handles, key=lambda handle: (handle.at, len(handle.name), handle.name))
        for handle in handles:
            if handle.name == name:
                return handle
        known = ", ".join(handle.name for handle in handles[-5:]) or "none yet"
        raise UsageError(
            "USE-002",
            f"there is no `{name}` in this project (known: {known})",
            help="freehold climb" if not handles else f"freehold report {handles[-1].name}",
        )

    def _written(self, record: Record) -> dict[str, JsonValue]:
        """Write a record, and return the entry that finds it again."""
        kind = type(record).__name__
        if not isinstance(record, Snapshot):
            blob = self.blobs.put(record.model_dump_json().encode("utf-8", "surrogatepass"))
            return {"kind": kind, "blob": blob}
        rows, drops = (self.blobs.put(make(record)) for make in (rows_table, drops_table))
        head = {**head_of(record), "rows": rows, "drops": drops}
        return {
            "kind": kind,
            "blob": self.blobs.put(canonical_json(head)),
            "parts": [rows, drops],
            "sizes": sizes_of(record),
        }

    def _snapshot(self, content: bytes) -> Snapshot:
        head = _body(content.decode())
        rows, drops = (self.blobs.get(str(head.pop(name))) for name in ("rows", "drops"))
        return snapshot_of(head, rows=rows, drops=drops)

    def now(self) -> str:
        """Return the time as entries carry it: ISO 8601 in UTC."""
        return self._clock().isoformat(timespec="milliseconds")


def _body(text: str) -> dict[str, JsonValue]:
    return json.loads(text)
