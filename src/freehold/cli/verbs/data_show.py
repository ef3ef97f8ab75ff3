"""`freehold data show`: what is in the data and what is wrong with it, or one row byte for byte."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.cli import paths
from freehold.cli.looks import look_at
from freehold.cli.parse import nearest
from freehold.cli.session import Session
from freehold.cli.verbs.data_snapshot_view import show_snapshot
from freehold.cli.workplace import prepare_task
from freehold.core.errors import ModelError, Problem, UsageError
from freehold.core.snapshot import Example, Snapshot
from freehold.report.data_row import Part, origin_lines, rendered_lines
from freehold.report.data_show import look_lines
from freehold.report.intake import snapshot_lines
from freehold.report.problems import warning_lines

if TYPE_CHECKING:
    from freehold.cli.seen import Seen
    from freehold.ladder.prepare import Prepared
    from freehold.ladder.rendered import RenderedRow
    from freehold.models.loading import Outline

SNAPSHOT_ID = re.compile(r"s[1-9][0-9]*|@last")
ROWS_MEASURED = 2_000


@dataclass(frozen=True)
class Shown:
    """One row as the base model sees it, and how many tokens rows have.

    `missing` says why nothing could be rendered.
    """

    example: Example
    row: RenderedRow | None
    tokens: tuple[int, int, int] | None
    context_tokens: int | None
    missing: str = ""


def run(session: Session) -> int:
    """Show the present data, a snapshot, or one row."""
    asked = session.invocation.argument
    if asked is not None and SNAPSHOT_ID.fullmatch(asked):
        return show_snapshot(session, asked)
    prepared = prepare_task(session, session.task(None))
    if asked is not None:
        return _show_row(session, prepared, find_row(prepared.snapshot, asked))
    return _show_data(session, prepared)


def find_row(snapshot: Snapshot, asked: str) -> Example:
    """Return the example with an id, or at `file:row`, or at a row number of the only file.

    Raises:
        UsageError: no row is called so, or several files have that row (USE-002).
    """
    everything = _everything(snapshot)
    by_id = {example.id: example for example in everything}
    if asked in by_id:
        return by_id[asked]
    file, _, number = asked.rpartition(":")
    if number.isdigit():
        rows = [e for e in everything if e.row == int(number) and file in ("", e.source)]
        if len(rows) == 1:
            return rows[0]
        if rows:
            raise UsageError(
                "USE-002",
                f"row {number} is in several files",
                help=f"freehold data show {rows[0].source}:{number}",
            )
    meant = nearest(asked, tuple(by_id))
    drop = next((d for d in snapshot.drops if number.isdigit() and d.row == int(number)), None)
    why = f"; that row was left out: {drop.reason}" if drop is not None else ""
    raise UsageError(
        "USE-002",
        f"no row of the data is called {asked!r}{why}",
        help=f"freehold data show {meant or everything[0].id}",
    )


def _everything(snapshot: Snapshot) -> tuple[Example, ...]:
    from freehold.data.findings import everything_in

    return everything_in(snapshot)


def _split_of(snapshot: Snapshot, example: Example) -> str:
    splits = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    return next(split.split for split in splits if example.id in {e.id for e in split.examples})


# Rendering -----------------------------------------------------------------------------------


def _rendered(session: Session, prepared: Prepared, example: Example) -> Shown:
    from freehold.ladder.rendered import rendered_row, row_tokens

    try:
        outline = _outline(session, prepared)
        row = rendered_row(example, prepared.task, outline.chat)
        some = _everything(prepared.snapshot)[:ROWS_MEASURED]
        counts = sorted(row_tokens(some, prepared.task, outline.chat))
    except ModelError as error:
        return Shown(example, None, None, None, missing=error.problems[0].message)
    middle, high = counts[len(counts) // 2], counts[min(len(counts) - 1, int(0.95 * len(counts)))]
    return Shown(example, row, (middle, high, counts[-1]), outline.context_tokens)


def _outline(session: Session, prepared: Prepared) -> Outline:
    from freehold.models.opening import open_outline

    return open_outline(prepared.task.base, cache=paths.cache_folder(), online=session.is_online)


# One row -------------------------------------------------------------------------------------


def _show_row(session: Session, prepared: Prepared, example: Example) -> int:
    shown = _rendered(session, prepared, example)
    console = session.console
    split = _split_of(prepared.snapshot, example)
    if console.is_json:
        shape = {"row": example.to_json(), "split": split, "rendered": _row_json(shown)}
        console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
        return 0
    console.data(origin_lines(example, split=split, **console.drawn))
    _draw_row(session, prepared, shown, is_whole=True)
    console.data("next     freehold data show")
    return 0


def _draw_row(session: Session, prepared: Prepared, shown: Shown, *, is_whole: bool) -> None:
    console = session.console
    if shown.row is None:
        console.data(f"not rendered: {shown.missing}")
        return
    row, base = shown.row, prepared.task.base.id
    parts: list[Part] = [("prompt", row.prompt), ("answer", row.answer), ("end", row.end)]
    example = shown.example
    name = f"{example.source}:{example.row}" if example.row else example.id
    title = f"{name} as {base} sees it" if not is_whole else f"as {base} sees it, byte for byte"
    note = f"{row.prompt_tokens:,} + {row.answer_tokens:,} tokens"
    most = 1_000_000 if is_whole else 14
    console.data(rendered_lines(title, parts, note=note, most=most, **console.drawn))


def _row_json(shown: Shown) -> JsonValue:
    return None if shown.row is None else shown.row.to_json()


# All of it -----------------------------------------------------------------------------------


def _show_data(session: Session, prepared: Prepared) -> int:
    console = session.console
    seen = look_at(prepared, session)
    shown = _rendered(session, prepared, prepared.snapshot.train.examples[0])
    problems = (*prepared.problems, *(p for one in seen.values() for p in one.problems))
    if console.is_json:
        shape = _shape(prepared, seen, shown=shown, problems=problems)
        console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
        return 0
    console.data(snapshot_lines(prepared.snapshot, prepared.task, **console.drawn))
    lines = {name: one.lines for name, one in seen.items()}
    console.data(look_lines({"lengths": _lengths(prepared, shown), **lines}, **console.drawn))
    if problems:
        console.data(warning_lines(problems, **console.drawn))
    _draw_row(session, prepared, shown, is_whole=False)
    has_doubts = any(problem.code == "DAT-065" for problem in problems)
    console.data(f"next     freehold {'data label' if has_doubts else 'climb'}")
    return 0


def _lengths(prepared: Prepared, shown: Shown) -> tuple[str, ...]:
    if shown.tokens is None or shown.context_tokens is None:
        return ()
    middle, high, longest = shown.tokens
    fits = "fits" if longest <= shown.context_tokens else "does not fit"
    return (
        f"prompt and answer p50 {middle:,} tokens · p95 {high:,} · max {longest:,} "
        f"({fits} the {shown.context_tokens:,} of {prepared.task.base.id})",
    )


def _shape(
    prepared: Prepared,
    seen: dict[str, Seen],
    *,
    shown: Shown,
    problems: tuple[Problem, ...],
) -> dict[str, JsonValue]:
    snapshot = prepared.snapshot
    splits = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    tokens = shown.tokens
    return {
        "task": prepared.task.name,
        "snapshot": snapshot.digest,
        "sources": [source.to_json() for source in snapshot.sources],
        "splits": {split.split: len(split) for split in splits},
        "dropped": dict(snapshot.drops_by_reason),
        "tokens": None
        if tokens is None
        else {
            "p50": tokens[0],
            "p95": tokens[1],
            "longest": tokens[2],
            "fits": shown.context_tokens,
        },
        "looks": {name: dict(one.figures) for name, one in seen.items()},
        "problems": [problem.to_json() for problem in problems],
        "row": {"id": shown.example.id, "rendered": _row_json(shown)},
    }
