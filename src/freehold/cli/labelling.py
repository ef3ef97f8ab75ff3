"""What `freehold data label` works on: which rows, with which answers, and what is written of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from freehold.cli.session import Session
from freehold.cli.workplace import STDIN, has_state, monotonic, prepare_task
from freehold.core.errors import DataError, UsageError
from freehold.core.sections import Columns, MetricSpec
from freehold.core.snapshot import Example, TrainSplit
from freehold.core.task import JsonOutput, LabelOutput, Output, Task, TextOutput
from freehold.core.taskfile import TaskFile
from freehold.data.derived import ORIGIN_COLUMN, origin_of
from freehold.data.detect import output_of
from freehold.data.labelling import (
    Exported,
    Item,
    Standing,
    Suggester,
    corrected_rows,
    disputed_rows,
    export,
    items_of,
    labelled_rows,
)
from freehold.data.rows import parse_json
from freehold.data.unlabelled import read_unlabelled
from freehold.ladder.prepare import Prepared
from freehold.ladder.recall import finished_climb
from freehold.ladder.suggest import baseline_suggester, best_rung, candidate_suggester
from freehold.ladder.tools import Models, Tools
from freehold.store.store import STATE_FOLDER, Store
from freehold.web.labelling.desk import Work

LABELS_FILE = "data/labels.jsonl"
_LOG_FILE = "labels/decisions.jsonl"
_DEFAULT_INSTRUCTION = "Answer each row."


@dataclass(frozen=True)
class Job:
    """What is labelled.

    `rows` are those that are exported: with `is_review` all rows of the data, corrected; else the ones that
    had no answer. `sources` are their files. `known` are rows with answers to learn from.
    """

    project: Path
    name: str
    instruction: str
    output: Output
    items: tuple[Item, ...]
    rows: tuple[Example, ...]
    known: tuple[Example, ...]
    sources: tuple[str, ...]
    is_review: bool
    task: Task | None

    @property
    def work(self) -> Work:
        """The job as the page sees it."""
        return Work(self.name, self.instruction, self.output, self.items, self.known)

    @property
    def log(self) -> Path:
        """The file of decisions."""
        return self.project / STATE_FOLDER / _LOG_FILE

    @property
    def following(self) -> str:
        """The command that uses what was exported."""
        if self.is_review:
            return f"freehold climb -s data.examples={LABELS_FILE}"
        return f"freehold {'data add' if self.task is not None else 'climb'} {LABELS_FILE}"

    def refuse_foreign_file(self, *, overwrite: bool) -> None:
        """Refuse to write over a file that Freehold did not write, or that is being labelled.

        Raises:
            DataError: DAT-105.
        """
        if LABELS_FILE in self.sources or not (overwrite or _is_ours(self.project / LABELS_FILE)):
            raise DataError(
                "DAT-105",
                f"{LABELS_FILE} is a file of yours, and is left as it is",
                help=f"mv {LABELS_FILE} data/mine.jsonl",
            )

    def write(self, standing: Standing, *, overwrite: bool = False) -> Exported:
        """Write what stands to `data/labels.jsonl`, and disputed rows beside it.

        Raises:
            DataError: DAT-105 where that file is the user's own.
        """
        self.refuse_foreign_file(overwrite=overwrite)
        path = self.project / LABELS_FILE
        chosen = corrected_rows if self.is_review else labelled_rows
        return export(
            answered=chosen(self.rows, standing),
            disputed=disputed_rows(self.rows, standing),
            path=path,
            root=self.project,
        )


def _is_ours(path: Path) -> bool:
    """Return whether there is no file, or one whose rows Freehold wrote."""
    if not path.is_file():
        return True
    with path.open(encoding="utf-8", errors="replace") as lines:
        first = next(lines, "{}")
    if path.stat().st_size == 0:
        return True
    try:
        row = parse_json(first)
    except ValueError:
        return False
    return isinstance(row, dict) and origin_of(row.get(ORIGIN_COLUMN)) is not None


# Which rows -----------------------------------------------------------------------------------


def job_of(session: Session) -> Job:
    """Return what is to be labelled: the file that was named, or the training rows of the task.

    Raises:
        UsageError: USE-003 where there is neither.
        DataError: the rows or the task's data cannot be used; DAT-103 where no row is left to label.
    """
    source = session.invocation.argument
    asked = _asked_output(session)
    if not session.has_task_file:
        if source is None:
            raise UsageError(
                "USE-003",
                f"there is no task.yaml in {session.project}, and no file of rows was named",
                help="freehold data label inputs.jsonl --labels billing,refunds,tech",
            )
        return _job_of_file(session, source, columns=Columns(), output=asked)
    resolved = session.task(None)
    task_file = resolved.task_file
    if source is None:
        job = _review_of(session, prepare_task(session, resolved))
        return job if asked is None else replace(job, output=asked)
    given = asked or _output_of_file(task_file)
    try:
        prepared = prepare_task(session, resolved)
    except DataError:
        if given is None:
            raise
        job = _job_of_file(session, source, columns=task_file.data.columns, output=given)
        instruction = task_file.instruction or job.instruction
        return replace(job, name=task_file.task, instruction=instruction)
    return _job_of_file(
        session,
        source,
        columns=task_file.data.columns,
        output=asked or prepared.task.output,
        prepared=prepared,
    )


def _asked_output(session: Session) -> Output | None:
    text = session.invocation.text("labels")
    if text is None:
        return None
    labels = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if len(labels) < 2:
        raise UsageError(
            "USE-006",
            f"`--labels` is {text!r}; it must name two labels or more",
            help="--labels billing,refunds,tech",
        )
    return LabelOutput(labels=labels)


def _output_of_file(task_file: TaskFile) -> Output | None:
    section = task_file.output
    if section is None:
        return None
    if section.labels is not None:
        return LabelOutput(labels=section.labels)
    return JsonOutput(json_schema=section.json_schema) if section.json_schema is not None else None


def _review_of(session: Session, prepared: Prepared) -> Job:
    """Return the review of the task's training rows. The held-out rows stay unseen."""
    return Job(
        project=session.project,
        name=prepared.task.name,
        instruction=prepared.task.instruction,
        output=prepared.task.output,
        items=items_of(prepared.snapshot.train.examples),
        rows=prepared.reading.examples,
        known=(),
        sources=tuple(source.name for source in prepared.reading.sources),
        is_review=True,
        task=prepared.task,
    )


def _job_of_file(
    session: Session,
    source: str,
    *,
    columns: Columns,
    output: Output | None,
    prepared: Prepared | None = None,
) -> Job:
    stdin = sys.stdin.buffer if source == STDIN else None
    read = read_unlabelled(source, columns=columns, root=session.project, stdin=stdin)
    answered = tuple(e for e in read.examples if e.target is not None)
    waiting = tuple(e for e in read.examples if e.target is None)
    is_review = not waiting
    rows = answered if is_review else waiting
    trained = prepared.snapshot.train.examples if prepared is not None else ()
    if output is None:
        targets = [example.target for example in answered]
        output = output_of(targets) if targets else TextOutput()
    task = prepared.task if prepared is not None else None
    return Job(
        project=session.project,
        name=task.name if task is not None else Path(source).name.split(".")[0] or "rows",
        instruction=task.instruction if task is not None else _DEFAULT_INSTRUCTION,
        output=output,
        items=items_of(rows),
        rows=rows,
        known=() if is_review else (*answered, *trained),
        sources=tuple(one.name for one in read.sources),
        is_review=is_review,
        task=task,
    )


# Suggestions ----------------------------------------------------------------------------------


def suggester_of(session: Session, job: Job, *, store: Store, models: Models) -> Suggester | None:
    """Return what suggests: the best candidate of the last climb, else a baseline on what is labelled.

    Rows that were trained on are judged by a baseline that has not seen them; None where nothing can.
    """
    if job.is_review and not isinstance(job.output, LabelOutput):
        return None
    candidate = None if job.is_review else _candidate(session, job, store=store, models=models)
    if candidate is not None:
        return candidate
    task = job.task or Task(
        name=job.name,
        instruction=job.instruction,
        output=job.output,
        metric=MetricSpec(primary="exact_match"),
    )
    tools = Tools(
        task=task.model_copy(update={"output": job.output}),
        train=TrainSplit(examples=()),
        passages=(),
        store=store,
        models=models,
        clock=monotonic,
        on_progress=lambda _step: None,
    )
    return baseline_suggester(tools, out_of_fold=job.is_review)


def _candidate(session: Session, job: Job, *, store: Store, models: Models) -> Suggester | None:
    if job.task is None or not has_state(session) or not store.ledger.handles("c"):
        return None
    try:
        outcome = finished_climb(store, "@last")
    except UsageError:
        return None
    rung = best_rung(outcome)
    if rung is None or outcome.task.output != job.output:
        return None
    return candidate_suggester(outcome, rung, store=store, models=models)


def files_line(sources: Sequence[str]) -> str:
    """Return the names of the files, two at most."""
    more = f" and {len(sources) - 2} more" if len(sources) > 2 else ""
    return ", ".join(sources[:2]) + more
