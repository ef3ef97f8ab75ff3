"""One snapshot as it was frozen, by its name: `freehold data show s3`."""

from __future__ import annotations

import json

from freehold.cli.session import Session
from freehold.cli.verbs.data_split import snapshot_shape
from freehold.cli.workplace import load_snapshot, open_store
from freehold.report import numbers
from freehold.report.lines import Line, labelled, line, render
from freehold.report.problems import warning_lines
from freehold.report.snapshots import source_lines, split_lines
from freehold.store.lineage import lineage


def show_snapshot(session: Session, name: str) -> int:
    """Print the sources, splits, terms, drops and descendants of a snapshot, and return 0.

    Raises:
        UsageError: USE-002 when there is none of that name.
    """
    from freehold.data.terms import terms_of
    from freehold.ladder.descent import by_word, mark_of, marked_problem

    with open_store(session) as store:
        handle, snapshot = load_snapshot(store, name)
        graph = lineage(store.ledger)
        below = by_word(graph.descendants([handle.key]), store)
        mark = mark_of(store, handle.key)
        digests = {t.name: t.key for t in graph.children(handle.key) if t.kind == "split"}
    terms = terms_of(snapshot)
    if session.console.is_json:
        shape = {
            **snapshot_shape(snapshot, name=handle.name),
            "digest": handle.key,
            "frozen": handle.at,
            "forgotten": mark.rows if mark is not None else 0,
            "terms": terms.to_json(),
            "descends": {word: list(names) for word, names in below.items()},
        }
        session.console.data(json.dumps(shape, ensure_ascii=False))
        return 0
    look = session.console.look()
    groups = "data.split.group_by" if any(e.group for e in snapshot.train.examples) else None
    lines: list[Line] = [
        line(f"{handle.name}   frozen {handle.at[:16].replace('T', ' ')}   seed {snapshot.seed}"),
        line(f"     {handle.key}"),
        *source_lines(snapshot, look),
        *split_lines(snapshot, look, digests=digests, grouped_by=groups),
    ]
    if terms.licences:
        parts = [f"{name} {numbers.count(count)}" for name, count in terms.licences.items()]
        text = " · ".join([*parts, f"none known {numbers.count(terms.without_licence)}"])
        lines.extend(labelled("licence", text, look=look, column=13))
    if terms.consents:
        parts = [f"{name} {numbers.count(count)}" for name, count in terms.consents.items()]
        text = " · ".join([*parts, f"none known {numbers.count(terms.without_consent)}"])
        lines.extend(labelled("consent", text, look=look, column=13))
    for word in ("climb", "adapter", "index", "release"):
        if word in below:
            lines.extend(labelled(word, ", ".join(below[word]), look=look, column=13))
    session.console.data(render(lines, look))
    if mark is not None:
        problem = marked_problem(mark, name=handle.name, again="freehold data split")
        problem = problem.model_copy(
            update={"message": f"{mark.rows:,} rows were forgotten from {handle.name} since"}
        )
        session.console.data(warning_lines((problem,), **session.console.drawn))
    session.console.data("next   freehold data ls")
    return 0
