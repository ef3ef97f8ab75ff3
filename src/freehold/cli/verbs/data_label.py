"""`freehold data label`: a page on this machine with a queue of rows; labels as JSON lines."""

from __future__ import annotations

import getpass
import json
import webbrowser
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from freehold.cli.labelling import Job, files_line, job_of, suggester_of
from freehold.cli.session import Session
from freehold.cli.workplace import open_models, open_store
from freehold.core.errors import DataError, UsageError
from freehold.core.task import JsonOutput, LabelOutput
from freehold.data.agreement import Agreement, agreement
from freehold.data.labelling import (
    LONGEST_NAME,
    DecisionLog,
    Exported,
    Standing,
    progress,
    read_decisions,
    standing,
    votes,
)
from freehold.report import numbers
from freehold.report.labelling import closing, opening, progress_line
from freehold.web.labelling.view import agreement_text

if TYPE_CHECKING:
    from freehold.data.labelling import Suggester

OK = 0


def run(session: Session) -> int:
    """Serve the page until ^C, or with --export or --json say what stands."""
    labeller = _labeller(session)
    job = job_of(session)
    if session.invocation.has("dry-run"):
        plan = f"Plan: {numbers.plural(len(job.items), 'row')} to label; nothing was done."
        session.console.data(plan)
        return OK
    if not (session.invocation.has("export") or session.console.is_json):
        job.refuse_foreign_file(overwrite=session.invocation.has("yes"))
        _serve(session, job, labeller)
    now = standing(read_decisions(job.log))
    written = _export(session, job, now)
    _show(session, job, now, written=written)
    return OK


def _labeller(session: Session) -> str | None:
    name = session.invocation.text("labeller")
    if name is None:
        return None
    name = " ".join(name.split())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise UsageError(
            "USE-006",
            f"`--labeller` is {name!r}; it must be a name of 1 to {LONGEST_NAME} characters",
            help="--labeller ann",
        )
    return name


def _serve(session: Session, job: Job, labeller: str | None) -> None:
    """Serve the page until ^C. What is decided is on disk at once."""
    from freehold.web.labelling.app import labelling_app
    from freehold.web.labelling.desk import Desk
    from freehold.web.listening import address_of, open_port, port_of, serve

    with ExitStack() as stack:
        log = stack.enter_context(DecisionLog(job.log))
        store = stack.enter_context(open_store(session))
        models = stack.enter_context(open_models(session))
        is_blind = session.invocation.has("blind")
        suggester = None if is_blind else suggester_of(session, job, store=store, models=models)
        desk = Desk(
            job.work,
            log=log,
            clock=session.clock,
            export=lambda now: job.write(now, overwrite=session.invocation.has("yes")),
            suggester=suggester,
        )
        listener = open_port()
        listener.listen()
        name = labeller or _user()
        app = labelling_app(desk, port=port_of(listener), labeller=labeller, suggested_name=name)
        address = address_of(listener)
        _open(session, job, suggester, address=address)
        with desk:
            serve(app, listener)


def _user() -> str:
    try:
        return getpass.getuser()[:LONGEST_NAME]
    except (OSError, KeyError):
        return ""


def _open(session: Session, job: Job, suggester: Suggester | None, *, address: str) -> None:
    said = ""
    if suggester is not None:
        order = "the most doubtful rows first"
        said = (
            f"{suggester.name}, {order}" if isinstance(job.output, LabelOutput) else suggester.name
        )
    session.console.data(
        opening(
            rows=len(job.items),
            source=files_line(job.sources),
            output=_output_words(job),
            suggestions=said,
            address=address,
            look=session.console.look(),
        )
    )
    if session.console.stdout.isatty() and not session.invocation.has("no-open"):
        webbrowser.open(address)


def _output_words(job: Job) -> str:
    if isinstance(job.output, LabelOutput):
        return numbers.plural(len(job.output.labels), "label")
    return "JSON answers" if isinstance(job.output, JsonOutput) else "free text"


def _export(session: Session, job: Job, now: Standing) -> Exported | None:
    """Write what stands, where anything does and it was not only asked about."""
    decided = progress(now, job.items)
    if not session.invocation.has("export") and (session.console.is_json or not decided.done):
        return None
    if not decided.done:
        raise DataError(
            "DAT-103",
            "nothing is labelled yet, so there is nothing to export",
            help=f"freehold data label {session.invocation.argument or ''}".rstrip(),
        )
    return job.write(now, overwrite=session.invocation.has("yes"))


def _show(session: Session, job: Job, now: Standing, *, written: Exported | None) -> None:
    found = agreement(votes(now, job.items), rng=np.random.default_rng(7))
    console = session.console
    if console.is_json:
        shape = label_json(job, now, found=found, written=written)
        console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
        return
    look = console.look()
    counts = progress(now, job.items)
    console.data(
        progress_line(counts.done, counts.total, agreement=agreement_text(found), look=look)
    )
    console.data(
        closing(
            exported=_exported_words(session, written),
            counts=(
                ("disputed", counts.disputed),
                ("flagged", counts.flagged),
                ("skipped", counts.skipped),
            ),
            following=job.following if written and written.rows else session.again,
            look=look,
        )
    )


def _exported_words(session: Session, written: Exported | None) -> str:
    if written is None:
        return ""
    words = f"{written.labels.source.name}   {numbers.plural(written.rows, 'row')}"
    if written.disputed is None:
        return words
    beside = written.disputed.relative_to(session.project).as_posix()
    return f"{words} · {numbers.count(written.disputed_rows)} apart in {beside}"


def label_json(
    job: Job, now: Standing, *, found: Agreement, written: Exported | None
) -> dict[str, JsonValue]:
    """Return the state of labelling as JSON values; an agreement that is undefined has `alpha` null."""
    counts = progress(now, job.items)
    keys = {item.key for item in job.items}
    labellers: list[JsonValue] = [
        {"name": name, "decided": len({d.item for d in mine} & keys)}
        for name, mine in sorted(now.history.items())
        if {d.item for d in mine} & keys
    ]
    measured = found.model_dump(mode="json", exclude={"labels", "labellers"})
    by_label: list[JsonValue] = [one.to_json() for one in found.labels]
    return {
        "label": {"sources": list[JsonValue](job.sources), "is_review": job.is_review},
        **counts.model_dump(mode="json"),
        "labellers": labellers,
        "agreement": {**measured, "labels": by_label} if found.items else None,
        "export": None
        if written is None
        else {
            "path": written.labels.source.name,
            "sha256": written.labels.source.sha256,
            "rows": written.rows,
            "disputed_path": written.disputed.relative_to(job.project).as_posix()
            if written.disputed
            else None,
            "disputed_rows": written.disputed_rows,
        },
    }
