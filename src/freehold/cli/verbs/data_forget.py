"""`freehold data forget`: a person's rows out of the files and out of everything kept; what descends from them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.cli.session import Session
from freehold.cli.workplace import open_store
from freehold.core.errors import Problem, UsageError
from freehold.data.erase import Wanted, folded
from freehold.data.people import Found, Place
from freehold.data.read import LISTED_ROWS
from freehold.report import numbers
from freehold.report.lines import Line, Span, labelled, line, render
from freehold.report.problems import warning_lines

if TYPE_CHECKING:
    from freehold.ladder.forget import Forgetting, Forgotten, Plan
    from freehold.store.store import Store

OK = 0
STILL_THERE = 3
LEAST_CHARACTERS = 3
_COLUMN = 15
_KINDS = ("match", "id", "filter")


def run(session: Session) -> int:
    """Show what matches, ask, forget it, and return 0; 3 where a file that is not Freehold's holds it still."""
    from freehold.ladder.forget import Forgetting

    wanted = _wanted(session)
    section = session.task(None).task_file.data if session.has_task_file else None
    is_dry = session.invocation.has("dry-run")
    with open_store(session) as store:
        forgetting = Forgetting(Place(session.project, section), store)
        resumed = None if is_dry else forgetting.resume()
        if resumed is not None:
            session.console.say("Finished what was stopped before.")
        plan = forgetting.plan(wanted)
        if plan.is_empty:
            return _nothing_left(session, forgetting, wanted, before=resumed)
        if not session.console.is_json or is_dry:
            _show(session, plan, store)
        if is_dry:
            return OK
        _ask(session, plan)
        return _done(session, plan, forgetting.carry_out(plan), store=store)


def _wanted(session: Session) -> Wanted:
    given = [kind for kind in _KINDS if session.invocation.text(kind) is not None]
    if len(given) != 1:
        raise UsageError(
            "USE-006",
            "`freehold data forget` needs one of --match, --id and --filter"
            + (f", not {len(given)} of them" if given else ""),
            help="freehold data forget --match jane@example.org",
        )
    text = session.invocation.text(given[0]) or ""
    if not text.strip():
        raise UsageError(
            "USE-006", f"`--{given[0]}` is empty, which is in every row", help="write what to find"
        )
    if given[0] == "match" and len(folded(text)) < LEAST_CHARACTERS:
        raise UsageError(
            "USE-006",
            f"`--match {text}` is in too many rows: {LEAST_CHARACTERS} characters are the least",
            help="freehold data forget --match jane@example.org",
        )
    for kind in _KINDS:
        if kind == given[0]:
            return Wanted(kind, text)
    raise KeyError(given[0])


def _nothing_left(
    session: Session, forgetting: Forgetting, wanted: Wanted, *, before: Forgotten | None
) -> int:
    begun = forgetting.has_begun(wanted) and not session.invocation.has("dry-run")
    done = forgetting.finish(wanted) if begun else before
    if session.console.is_json:
        session.console.data(json.dumps({"rows": 0 if done is None else done.rows, "files": {}}))
        return OK
    if done is not None:
        session.console.data(
            f"{numbers.plural(done.rows, 'row')} forgotten; nothing is left to do."
        )
        session.console.data("next   freehold data ls")
        return OK
    searched = "no row of the data, and no snapshot, matches"
    session.console.data(f"Nothing to forget: {searched}.")
    return OK


def _show(session: Session, plan: Plan, store: Store) -> None:
    """Show where the rows are, and what descends from them; never what they say."""
    if session.console.is_json:
        session.console.data(json.dumps(_shape(plan, store), ensure_ascii=False))
        return
    look = session.console.look()
    lines: list[Line] = []
    for found in plan.people.files:
        lines.extend(labelled(found.name, _numbers(found), look=look, indent=0, column=26))
    if plan.snapshots:
        kept = " · ".join(f"{one.thing.name} {_splits(one.rows)}" for one in plan.snapshots)
        lines.extend(labelled("kept in", kept, look=look, indent=0, column=26))
    lines.extend(_descent(session, plan, store))
    session.console.data(render(lines, look))


def _descent(session: Session, plan: Plan, store: Store) -> list[Line]:
    from freehold.ladder.descent import by_word

    look = session.console.look()
    lines: list[Line] = []
    words = {
        "adapter": "learnt from them",
        "index": "holds them",
        "release": "released with them",
        "climb": "measured with them",
    }
    named = by_word(plan.marked, store)
    for word, label in words.items():
        if word in named:
            text = f"{_plural(word, len(named[word]))} {_listed(named[word])}"
            lines.extend(labelled(label, text, look=look, indent=0, column=26))
    return lines


def _plural(word: str, count: int) -> str:
    if count == 1:
        return word
    return "indexes" if word == "index" else f"{word}s"


def _numbers(found: Found) -> str:
    shown = ", ".join(str(number) for number in found.numbers[:LISTED_ROWS])
    left = len(found.numbers) - LISTED_ROWS
    more = f" and {left:,} more" if left > 0 else ""
    where = f" ({'line' if found.unit == 'paragraph' else 'row'} {shown}{more})"
    made = ", written by Freehold" if found.is_derived else ""
    return numbers.plural(len(found.numbers), found.unit) + where + made


def _splits(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {numbers.count(count)}" for split, count in rows.items())


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 12:,} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more


def _ask(session: Session, plan: Plan) -> None:
    if session.invocation.has("yes"):
        return
    if session.console.is_json or not sys.stdin.isatty():
        raise UsageError(
            "USE-006",
            "`freehold data forget` asks before it removes rows, and nobody can answer here",
            help=f"{session.again} -y",
        )
    files = len(plan.people.files)
    where = f" from {numbers.plural(files, 'file')}" if files else ""
    session.console.complain(
        f"Remove {numbers.plural(plan.rows, 'row')}{where}, and from everything that Freehold kept?"
        " This cannot be undone. [y/N]"
    )
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("USE-006", "nothing was removed", help=f"{session.again} -y")


def _done(session: Session, plan: Plan, done: Forgotten, *, store: Store) -> int:
    from freehold.ladder.sweep import leftovers

    left = leftovers(session.project, plan.gone)
    code = STILL_THERE if left else OK
    if session.console.is_json:
        shape = {
            **_shape(plan, store),
            "rows": done.rows,
            "at": done.at,
            "removed": dict(done.removed),
            "still_in": list(left),
        }
        session.console.data(json.dumps(shape, ensure_ascii=False))
        return code
    removed = {name: count for name, count in done.removed.items() if count}
    words = {
        "results": "result",
        "records": "record",
        "files": "candidate file",
        "embeddings": "embedding cache",
        "state": "state file",
        "reports": "report",
        "blobs": "blob",
    }
    parts = [numbers.plural(removed[name], words[name]) for name in words if name in removed]
    look = session.console.look()
    lines: list[Line] = [
        line(
            Span("✓ ", "pass"),
            f"{numbers.plural(done.rows, 'row')} forgotten in {numbers.plural(len(done.files), 'file')}"
            f" and {numbers.plural(len(done.snapshots), 'snapshot')}",
        )
    ]
    if parts:
        lines.extend(labelled("removed", " · ".join(parts), look=look, indent=2, column=_COLUMN))
    learnt = [thing for thing in done.marked if thing.kind in {"candidate", "training", "release"}]
    if learnt:
        text = "what learnt from them is marked until it is built anew (freehold data ls)"
        lines.extend(labelled("marked", text, look=look, indent=2, column=_COLUMN))
    session.console.data(render(lines, look))
    problems = _left_problems(session, left)
    if problems:
        session.console.complain(warning_lines(problems, **session.console.drawn))
    session.console.data(f"next   {_following(session, done)}")
    return code


def _following(session: Session, done: Forgotten) -> str:
    kinds = {thing.kind for thing in done.marked}
    if "climb" in kinds:
        return "freehold climb"
    if "training" in kinds:
        return "freehold train"
    return "freehold data split" if session.has_task_file else "freehold data ls"


def _left_problems(session: Session, left: Sequence[str]) -> list[Problem]:
    problems: list[Problem] = []
    if left:
        problems.append(
            Problem(
                code="DAT-086",
                level="warning",
                message=f"still in {_listed(left)}, which Freehold does not rewrite",
                help="take it out by hand, then type the same command again",
            )
        )
    if (session.project / ".git").exists():
        problems.append(
            Problem(
                code="DAT-086",
                level="warning",
                message="the history of this git repository keeps earlier versions of the files",
                help="rewrite the history, for example with git filter-repo, and its copies",
            )
        )
    return problems


def _shape(plan: Plan, store: Store) -> dict[str, JsonValue]:
    from freehold.ladder.descent import by_word

    files: list[JsonValue] = [
        {
            "file": found.name,
            "unit": found.unit,
            "numbers": list(found.numbers),
            "written_by_freehold": found.is_derived,
        }
        for found in plan.people.files
    ]
    named = by_word(plan.marked, store)
    return {
        "rows": plan.rows,
        "files": files,
        "snapshots": {one.thing.name: dict(one.rows) for one in plan.snapshots},
        "descends": {word: list(names) for word, names in named.items()},
    }
