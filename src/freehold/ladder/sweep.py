"""Sweep a project's state: results, records, files of candidates, caches and reports that hold forgotten rows.

What is known by its form is mended: a run loses the results of the rows, a buffer the rows themselves, any
other record the texts. Files of candidates that hold rows by their nature (indexes, few-shot examples,
nearest-example tables) are removed where they were made of the rows, weights stay and are marked. Everything
else is read as text, unpacked where it is packed, and removed where it holds what is to be forgotten.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import zstandard
from pydantic import JsonValue, ValidationError

from freehold.core.candidate import Candidate
from freehold.core.measure import Run
from freehold.data.erase import folded, readings_of, texts_of_example
from freehold.data.people import visible_files
from freehold.evaluate.rewordings import row_id
from freehold.ladder.adopt import candidates_of
from freehold.ladder.domains import BufferRow
from freehold.ladder.rungs import RUNGS
from freehold.models.sources import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from freehold.store.blobs import write_durably
from freehold.store.lineage import Thing, lineage
from freehold.store.store import Store
from freehold.store.tables import text_in

REDACTED = "(forgotten)"
_SQLITE_START = b"SQLite format 3\0"
REPORTS = "reports"
EMBEDDINGS = "embeddings"
OnStep = Callable[[str], None]
NEUTRAL_RECORDS = frozenset({"Pool", "ProbeRun", "ReadProbes"})
"""What a base model says to itself and to probes: made of no row of the user's."""
NEUTRAL_FILES = frozenset(
    {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}
    | {"vocab.json", "merges.txt", "chat_template.jinja", "config.json", "generation_config.json"}
    | {
        ADAPTER_CONFIG,
        ADAPTER_WEIGHTS,
        "training.json",
        "frontier.json",
        "freehold.json",
        "tokenizer.model",
    }
)
NEUTRAL_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".gguf"})
_LEFT_ALONE = frozenset({"blobs", "models"})
_OWN = frozenset(
    {
        "ledger.db",
        "ledger.db-wal",
        "ledger.db-shm",
        "forget.key",
        "forgetting.json",
        "forgotten.json",
    }
    | {"task.schema.json", "README.txt", ".gitignore"}
)


@dataclass(frozen=True)
class Gone:
    """What is to be forgotten: ids and digests of rows, texts that only they hold, and the text asked for.

    Texts are folded (`freehold.data.erase.folded`).
    """

    ids: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    text: str | None = None

    def is_in(self, content: bytes) -> bool:
        """Return whether bytes hold any of the texts, in any form of writing."""
        return any(self.is_said(reading) for reading in readings_of(content))

    def is_said(self, said: str) -> bool:
        """Return whether a folded text holds any of the texts."""
        if self.text is not None and self.text in said:
            return True
        return any(text in said for text in self.texts)


@dataclass
class Sweep:
    """One sweep through the state of a project."""

    store: Store
    root: Path
    gone: Gone
    marked: tuple[Thing, ...] = ()
    _kept: set[str] = field(default_factory=set[str])

    def run(self, on_step: OnStep) -> Mapping[str, int]:
        """Mend or remove everything but snapshots; return how much of each kind."""
        counts = {"results": self.store.ledger.scrub_results(self._is_result_gone)}
        on_step("results")
        counts["records"] = self._records(on_step)
        counts["files"] = self._candidate_files(on_step)
        counts["embeddings"] = self._embeddings()
        on_step("embeddings")
        counts["state"] = self._state_files(on_step)
        counts["reports"] = self._reports()
        on_step("reports")
        return counts

    def blobs(self) -> int:
        """Remove every blob that still holds a text; called when snapshots are mended. Return how many."""
        neutral = self._neutral_blobs()
        count = 0
        for digest in list(self.store.blobs.all()):
            if digest not in neutral and self._holds(self.store.blobs.path(digest).read_bytes()):
                self.store.blobs.forget(digest)
                count += 1
        return count

    # Results and records ---------------------------------------------------------------------

    def _is_result_gone(self, example: str, body: str) -> bool:
        return self._is_of_row(example) or self.gone.is_in(f"{example}\n{body}".encode())

    def _records(self, on_step: OnStep) -> int:
        count = 0
        for digest, kind in self._kinds().items():
            if kind == "Snapshot" or kind in NEUTRAL_RECORDS:
                continue
            entry = self.store.entry_of(digest) or {}
            blob = str(entry.get("blob"))
            if blob not in self.store.blobs:
                continue
            content = self.store.blobs.get(blob)
            mended = self._run_without(content) if kind == Run.__name__ else content
            mended = self._redacted(mended)
            if mended == content:
                continue
            self.store.note(
                "record",
                digest,
                {"kind": kind, "blob": self.store.blobs.put(mended), "redacted": True},
            )
            self.store.blobs.forget(blob)
            count += 1
            on_step("record")
        return count

    def _kinds(self) -> dict[str, str]:
        entries = self.store.ledger.entries("record")
        return {entry.subject: str(json.loads(entry.body)["kind"]) for entry in entries}

    def _run_without(self, content: bytes) -> bytes:
        """Return a run without the results of the rows; of a split that never held them, as it is."""
        run = Run.from_json(content)
        known = lineage(self.store.ledger).thing(run.split_digest)
        if known is not None and not self._touches(run.split_digest):
            return content
        left = tuple(result for result in run.results if not self._is_of_row(result.example_id))
        if len(left) == len(run.results):
            return content
        return run.model_copy(update={"results": left}).model_dump_json().encode()

    def _is_of_row(self, example_id: str) -> bool:
        """Return whether an example is one of the rows, as it is or in other words."""
        return example_id in self.gone.ids or row_id(example_id) in self.gone.ids

    def _touches(self, split: str) -> bool:
        marked = {thing.key for thing in self.marked}
        parents = lineage(self.store.ledger).parents(split)
        return any(parent.key in marked for parent in parents)

    def _redacted(self, content: bytes) -> bytes:
        """Return JSON with every text that holds one of the texts replaced; as it is where none does."""
        if not self.gone.is_in(content):
            return content
        value: JsonValue = json.loads(content)
        return json.dumps(self._value(value), ensure_ascii=False).encode("utf-8", "surrogatepass")

    def _value(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return REDACTED if self.gone.is_said(folded(value)) else value
        if isinstance(value, list):
            return [self._value(inner) for inner in value]
        if isinstance(value, dict):
            return {
                REDACTED if self.gone.is_said(folded(key)) else key: self._value(inner)
                for key, inner in value.items()
            }
        return value

    # Candidates ------------------------------------------------------------------------------

    def _candidate_files(self, on_step: OnStep) -> int:
        marked = {thing.key for thing in self.marked}
        needed: set[str] = set()
        doomed: set[str] = set()
        for digest, candidate in candidates_of(self.store):
            for name, blob in candidate.artefacts.items():
                keeps = digest not in marked or self._keeps(candidate, name)
                (needed if keeps else doomed).add(blob)
        count = 0
        for blob in sorted(doomed):
            if blob in self.store.blobs and (blob not in needed or self._blob_holds(blob)):
                self.store.blobs.forget(blob)
                count += 1
                on_step("candidate")
        return count

    def _keeps(self, candidate: Candidate, name: str) -> bool:
        """Return whether a file of a candidate that learnt from the rows stays: weights do, marked."""
        if is_neutral(Path(name)):
            return RUNGS[candidate.rung].changes_weights
        is_trained = RUNGS[candidate.rung].changes_weights and "+" not in candidate.rung
        return is_trained and not self._blob_holds(candidate.artefacts[name])

    def _blob_holds(self, blob: str) -> bool:
        return blob in self.store.blobs and self._holds(self.store.blobs.get(blob))

    def _embeddings(self) -> int:
        """Remove the vectors of the rows' texts; those of which nobody noted the rows go too."""
        marked = {thing.key for thing in self.marked}
        graph = lineage(self.store.ledger)
        count = 0
        for entry in self.store.ledger.entries(EMBEDDINGS):
            if entry.subject in marked or (marked and not graph.parents(entry.subject)):
                blob = str(json.loads(entry.body)["blob"])
                count += blob in self.store.blobs
                self.store.blobs.forget(blob)
        return count

    def _neutral_blobs(self) -> set[str]:
        neutral = {
            blob
            for _, candidate in candidates_of(self.store)
            for name, blob in candidate.artefacts.items()
            if is_neutral(Path(name))
        }
        for entry in self.store.ledger.entries("record"):
            body = json.loads(entry.body)
            if body["kind"] in NEUTRAL_RECORDS:
                neutral.add(str(body["blob"]))
        return neutral

    # Files of the state ----------------------------------------------------------------------

    def _state_files(self, on_step: OnStep) -> int:
        count = 0
        for path in list(_state_files(self.store.folder)):
            if path.name.startswith(".writing-"):
                path.unlink(missing_ok=True)
                continue
            if is_neutral(path) or path.name in _OWN:
                continue
            if self._mend(path):
                count += 1
                on_step("state")
        return count

    def _mend(self, path: Path) -> bool:
        content = path.read_bytes()
        if content.startswith(_SQLITE_START):
            return self._mend_database(path)
        if path.suffix == ".jsonl":
            lines = BytesIO(content)
            kept = b"".join(line for line in lines if not self._is_line_gone(line))
        elif not self._holds(content):
            return False
        else:
            kept = self._mended_json(content) if path.suffix == ".json" else b""
        if kept == content:
            return False
        if kept:
            write_durably(path, kept)
        else:
            path.unlink()
        return True

    def _mend_database(self, path: Path) -> bool:
        """Delete the rows of a database that hold a text, and leave no byte of them."""
        database = sqlite3.connect(path, isolation_level=None)
        try:
            tables = database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
            gone = sum(self._rows_deleted(database, str(name)) for (name,) in tables)
            if gone:
                database.execute("VACUUM")
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            database.close()
        return gone > 0

    def _rows_deleted(self, database: sqlite3.Connection, table: str) -> int:
        quoted = '"' + table.replace('"', '""') + '"'
        try:
            rows = database.execute(f"SELECT rowid, * FROM {quoted}").fetchall()
        except sqlite3.OperationalError:  # a table of another kind: it has no row ids
            return 0
        gone = [row[0] for row in rows if self.gone.is_in("\n".join(map(str, row[1:])).encode())]
        database.executemany(f"DELETE FROM {quoted} WHERE rowid = ?", [(row,) for row in gone])
        return len(gone)

    def _is_line_gone(self, line: bytes) -> bool:
        try:
            example = BufferRow.from_json(line).example
        except ValidationError:
            return self.gone.is_in(line)
        if example.content_digest in self.gone.contents:
            return True
        return any(self.gone.is_said(folded(text)) for text in texts_of_example(example))

    def _mended_json(self, content: bytes) -> bytes:
        try:
            return self._redacted(content)
        except ValueError:
            return b""

    def _reports(self) -> int:
        """Remove the pages of what was marked, and any other that holds a text: `report` writes them anew."""
        marked = [thing.name for thing in self.marked if thing.kind in {"climb", "training"}]
        names = {f"{name}{end}" for name in marked for end in (".html", ".what-if.html")}
        folder = self.root / REPORTS
        count = 0
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file() and (path.name in names or self._holds(path.read_bytes())):
                path.unlink()
                count += 1
        for thing in self.marked:
            if thing.kind == "climb" and thing.name:
                (self.store.folder / "climbs" / thing.name / "climb.json").unlink(missing_ok=True)
        return count

    def _holds(self, content: bytes) -> bool:
        return any(self.gone.is_in(part) for part in unpacked(content))


def leftovers(root: Path, gone: Gone) -> tuple[str, ...]:
    """Return the files of a project that still hold what was forgotten: Freehold does not know them."""
    return tuple(
        path.relative_to(root).as_posix()
        for path in visible_files(root)
        if not is_neutral(path) and any(gone.is_in(part) for part in unpacked(path.read_bytes()))
    )


def unpacked(content: bytes) -> Iterator[bytes]:
    """Yield bytes as they can be searched: of tables, archives and packed files what is inside."""
    try:
        if content.startswith(b"PAR1"):
            yield text_in(content).encode("utf-8", "surrogatepass")
        elif content.startswith(b"\x1f\x8b"):
            yield gzip.decompress(content)
        elif content.startswith(b"\x28\xb5\x2f\xfd"):
            with zstandard.ZstdDecompressor().stream_reader(BytesIO(content)) as stream:
                yield stream.read()
        elif content.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield archive.read(name)
        else:
            yield content
    except (ValueError, OSError, EOFError, zstandard.ZstdError, zipfile.BadZipFile):
        yield content


def is_neutral(path: Path) -> bool:
    """Return whether a file is of a model, and holds no row: weights, their config, a tokenizer."""
    return path.name in NEUTRAL_FILES or path.suffix in NEUTRAL_SUFFIXES


def forget_superseded(store: Store) -> None:
    """Remove the blobs of records that a mended one stands for: known from the ledger alone, after any kill."""
    latest: dict[str, set[str]] = {}
    earlier: dict[str, None] = {}
    for entry in store.ledger.entries("record"):
        body = json.loads(entry.body)
        if body.get("redacted"):
            earlier.update(dict.fromkeys(latest.get(entry.subject, ())))
        latest[entry.subject] = {str(body["blob"]), *map(str, body.get("parts", ()))}
    for blob in earlier.keys() - {blob for blobs in latest.values() for blob in blobs}:
        store.blobs.forget(blob)


def _state_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in _LEFT_ALONE:
            yield from (inner for inner in sorted(path.rglob("*")) if inner.is_file())
        elif path.is_file():
            yield path
    yield from (folder / "blobs").rglob(".writing-*")
