"""`freehold data diff s3 s7`: rows that came, went, got another answer or moved; and what was left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from freehold.cli.session import Session
from freehold.cli.workplace import load_snapshot, open_store
from freehold.report import numbers
from freehold.report.lines import Line, Span, clean, elide, line, render

if TYPE_CHECKING:
    from freehold.data.changes import Change, Changes

SAME = 0
DIFFERENT = 3
SHOWN = 5


def run(session: Session) -> int:
    """Print what changed, and return 0; with --strict 3 where anything did."""
    from freehold.data.changes import changes

    first, second = session.invocation.arguments
    with open_store(session) as store:
        old, before = load_snapshot(store, first)
        new, after = load_snapshot(store, second)
    found = changes(before, after)
    if session.console.is_json:
        session.console.data(_json(found, (old.name, new.name)))
    else:
        _show(session, found, (old.name, new.name))
    is_strict = session.invocation.has("strict")
    return DIFFERENT if is_strict and not found.is_empty else SAME


def _show(session: Session, found: Changes, names: tuple[str, str]) -> None:
    look = session.console.look()
    most = None if session.invocation.has("rows") else SHOWN
    parts: list[tuple[str, str, Sequence[Change], Callable[[Change], str]]] = [
        ("+", "added", found.added, _plain),
        ("-", "removed", found.removed, _gone),
        ("~", "other answer", found.changed, _swapped),
        (">", "moved", found.moved, _moved),
    ]
    counts = " · ".join(f"{numbers.count(len(rows))} {word}" for _, word, rows, _ in parts)
    lines: list[Line] = [
        line(f"{names[0]} → {names[1]}   {counts} · {numbers.count(found.same)} same")
    ]
    for mark, _, rows, text in parts:
        for change in rows[:most]:
            place = f"{clean(change.source)}:{change.row}"
            shown = f"{mark} {place}  {elide(clean(change.id), 24)}  {text(change)}"
            lines.append(line(elide(shown, look.width)))
        if most is not None and len(rows) > most:
            lines.append(line(Span(f"  …{len(rows) - most:,} more", "muted")))
    for reason, (old, new) in found.drops.items():
        lines.append(line(elide(f"! left out {old:,} → {new:,}: {clean(reason)}", look.width)))
    if found.is_empty:
        lines = [line(f"{names[0]} and {names[1]} hold the same rows in the same splits.")]
    is_cut = most is not None and any(len(rows) > most for _, _, rows, _ in parts)
    following = f"freehold data diff {names[0]} {names[1]} --rows" if is_cut else "freehold climb"
    lines.append(line(f"next   {following}"))
    session.console.data(render(lines, look))


def _plain(change: Change) -> str:
    return change.split


def _gone(change: Change) -> str:
    return f"{change.split}, {change.reason}" if change.reason else change.split


def _swapped(change: Change) -> str:
    before, after = clean(change.before or ""), clean(change.after or "")
    return f"{elide(before, 24)} → {elide(after, 24)}"


def _moved(change: Change) -> str:
    return f"{change.before} → {change.after}"


def _json(found: Changes, names: tuple[str, str]) -> str:
    shape = {
        "before": names[0],
        "after": names[1],
        "same": found.same,
        "added": [change.to_json() for change in found.added],
        "removed": [change.to_json() for change in found.removed],
        "changed": [change.to_json() for change in found.changed],
        "moved": [change.to_json() for change in found.moved],
        "drops": {reason: list(counts) for reason, counts in found.drops.items()},
    }
    return json.dumps(shape, ensure_ascii=False)
