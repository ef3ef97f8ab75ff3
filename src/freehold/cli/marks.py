"""What is said where rows were forgotten: of a climb, of a training, and of an erasure that was not finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freehold.cli.session import Session
from freehold.cli.workplace import has_state, open_store
from freehold.core.errors import Problem
from freehold.report.problems import warning_lines

if TYPE_CHECKING:
    from freehold.store.store import Store


def say_if_marked(session: Session, name: str, *, store: Store, again: str) -> None:
    """Say that rows were forgotten from a climb or a training, where they were, and how it is made anew."""
    from freehold.ladder.descent import mark_of, marked_problem

    mark = mark_of(store, store.resolve(name, prefix=name[0]).key)
    if mark is not None:
        problem = marked_problem(mark, name=name, again=again)
        session.console.complain(warning_lines((problem,), **session.console.drawn))


def marked_problems(session: Session) -> tuple[Problem, ...]:
    """Return a warning for the last climb and the last training, where rows were forgotten from them."""
    if not has_state(session):
        return ()
    from freehold.ladder.descent import marked_problem
    from freehold.store.lineage import marks

    found: list[Problem] = []
    with open_store(session) as store:
        marked = marks(store.ledger)
        for prefix, again in (("c", "freehold climb"), ("t", "freehold train")):
            for handle in store.ledger.handles(prefix)[-1:]:
                if handle.key in marked:
                    mark = marked[handle.key]
                    found.append(marked_problem(mark, name=handle.name, again=again))
    return tuple(found)


def unfinished_problems(session: Session) -> tuple[Problem, ...]:
    """Return the warning that an erasure was begun and not finished, where one was."""
    if not has_state(session):
        return ()
    from freehold.ladder.forget import unfinished

    with open_store(session) as store:
        if not unfinished(store):
            return ()
    return (
        Problem(
            code="DAT-088",
            level="warning",
            message="an erasure was begun and not finished; what it was about is not kept",
            help="type the same freehold data forget again: it goes on where it stopped",
        ),
    )
