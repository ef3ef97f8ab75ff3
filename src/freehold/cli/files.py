"""The files that a climb leaves in a project: the report, the JSON of the climb, the lock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from freehold.core.task import Task
from freehold.report.contract import climb_json
from freehold.report.html import climb_html
from freehold.store.blobs import write_durably
from freehold.store.store import STATE_FOLDER, Store

if TYPE_CHECKING:
    from freehold.core.snapshot import Snapshot
    from freehold.ladder.climb import ClimbOutcome
    from freehold.ladder.tools import Models

LOCK_FILE = "freehold.lock"
REPORTS = "reports"
CLIMBS = "climbs"


@dataclass(frozen=True)
class Written:
    """A file that was written: its path relative to the project, and its size."""

    path: str
    size_bytes: int


def report_path(climb_id: str) -> str:
    """Return where the report of a climb is, relative to the project."""
    return f"{REPORTS}/{climb_id}.html"


def write_report(project: Path, outcome: ClimbOutcome, *, store: Store, models: Models) -> Written:
    """Write `reports/c1.html`, and `climb.json` into the state folder; return the report."""
    from freehold.ladder.view import report_view

    relative = report_path(outcome.climb_id)
    view = report_view(outcome, store=store, models=models, root=project)
    page = climb_html(view).encode("utf-8", "replace")
    write_durably(project / relative, page)
    shape = climb_json(outcome.climb, outcome.task, climb_id=outcome.climb_id, report_path=relative)
    text = json.dumps(shape, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    kept = project / STATE_FOLDER / CLIMBS / outcome.climb_id / "climb.json"
    write_durably(kept, text.encode("utf-8", "replace"))
    return Written(relative, len(page))


def lock_of(
    task: Task, snapshot: Snapshot, *, versions: Mapping[str, str], base_digest: str | None
) -> dict[str, JsonValue]:
    """Return what was resolved: data digests, split seed, model digest, library versions."""
    return {
        "version": 1,
        "task": task.name,
        "data": {
            "sources": [
                {"name": source.name, "sha256": source.sha256, "rows": source.rows}
                for source in snapshot.sources
            ],
            "snapshot": snapshot.digest,
            "split_seed": snapshot.seed,
        },
        "models": {
            "base": {"id": task.base.id, "revision": task.base.revision, "digest": base_digest},
            "embedder": task.embedder,
        },
        "libraries": dict(versions),
    }


def write_lock(project: Path, lock: Mapping[str, JsonValue]) -> bool:
    """Write `freehold.lock`, and return whether it differs from what was there."""
    text = json.dumps(lock, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    path = project / LOCK_FILE
    if path.is_file() and path.read_text(encoding="utf-8", errors="replace") == text:
        return False
    write_durably(path, text.encode())
    return True


def read_lock(project: Path) -> dict[str, JsonValue]:
    """Return what `freehold.lock` holds; nothing where it is missing or damaged."""
    try:
        lock = cast(JsonValue, json.loads((project / LOCK_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
    return lock if isinstance(lock, dict) else {}


def changed_sources(lock: Mapping[str, JsonValue], snapshot: Snapshot) -> tuple[str, ...]:
    """Return the names of data files whose content is not the one that was locked."""
    data = lock.get("data")
    sources = data.get("sources") if isinstance(data, dict) else None
    if not isinstance(sources, list):
        return ()
    locked = {
        str(source.get("name")): source.get("sha256")
        for source in sources
        if isinstance(source, dict)
    }
    return tuple(
        source.name
        for source in snapshot.sources
        if source.name in locked and locked[source.name] != source.sha256
    )
