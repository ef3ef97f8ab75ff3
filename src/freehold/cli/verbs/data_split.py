"""`freehold data split`: freeze the data now, and show its splits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.cli.session import Session
from freehold.cli.workplace import open_store, prepare_task
from freehold.report.lines import Line, line, render
from freehold.report.problems import warning_lines
from freehold.report.snapshots import source_lines, split_lines
from freehold.store.lineage import SNAPSHOT_PREFIX, keep_snapshot, split_things

if TYPE_CHECKING:
    from freehold.core.snapshot import Snapshot
    from freehold.ladder.prepare import Prepared
    from freehold.store.store import Store


def run(session: Session) -> int:
    """Freeze the data of the task, print its splits, and return 0."""
    prepared = prepare_task(
        session,
        session.task(session.invocation.argument),
        strict=session.invocation.has("strict"),
        limit=session.invocation.number("limit"),
    )
    if session.invocation.has("dry-run"):
        _show(session, prepared, name=None, is_new=True)
        return 0
    with open_store(session) as store:
        name, is_new = frozen(store, prepared.snapshot)
    _show(session, prepared, name=name, is_new=is_new)
    return 0


def frozen(store: Store, snapshot: Snapshot) -> tuple[str, bool]:
    """Keep a snapshot, and return its name and whether it is new."""
    known = {handle.key for handle in store.ledger.handles(SNAPSHOT_PREFIX)}
    handle = keep_snapshot(store, snapshot)
    return handle.name, handle.key not in known


def _show(session: Session, prepared: Prepared, *, name: str | None, is_new: bool) -> None:
    snapshot = prepared.snapshot
    console, look = session.console, session.console.look()
    if console.is_json:
        shape = {**snapshot_shape(snapshot, name=name), "is_new": is_new}
        console.data(json.dumps(shape, ensure_ascii=False))
        return
    if prepared.problems:
        console.say(warning_lines(prepared.problems, **console.drawn))
    digests = {split: thing.key for split, thing in split_things(snapshot).items()}
    head = (
        f"{name or 'not frozen (--dry-run)'}   snapshot {snapshot.digest.removeprefix('sha256:')}"
    )
    lines: list[Line] = [
        line(head),
        *source_lines(snapshot, look),
        *split_lines(
            snapshot, look, digests=digests, grouped_by=prepared.task_file.data.split.group_by
        ),
    ]
    if not is_new:
        lines.append(line(f"Frozen before as {name}; nothing has changed since."))
    lines.append(line("next   freehold climb"))
    console.data(render(lines, look))


def snapshot_shape(snapshot: Snapshot, *, name: str | None) -> dict[str, JsonValue]:
    """Return a snapshot as `--json` shows it: digests, sources, splits, drops by reason."""
    splits = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    return {
        "snapshot": name,
        "digest": snapshot.digest,
        "seed": snapshot.seed,
        "sources": [source.to_json() for source in snapshot.sources],
        "splits": {
            split.split: {
                "rows": len(split),
                "digest": split.digest,
                "groups": len({e.group or e.id for e in split.examples}),
            }
            for split in splits
        },
        "duplicates": snapshot.duplicates,
        "near_duplicates": snapshot.near_duplicates,
        "leaked": snapshot.leaked,
        "dropped": dict(snapshot.drops_by_reason),
    }
