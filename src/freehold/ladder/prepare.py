"""From a task file to a task and a snapshot with nothing left to detect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import BinaryIO

from freehold import __version__
from freehold.core.errors import ConfigError, DataError, Problem, Where
from freehold.core.preference import Preference
from freehold.core.record import Record, digest_json
from freehold.core.sections import Columns, DataSection, JudgeSpec, MetricSpec, OutputSection
from freehold.core.snapshot import Snapshot
from freehold.core.task import JsonOutput, LabelOutput, Output, Task, TextOutput
from freehold.core.taskfile import TaskFile
from freehold.data.chunk import ChunkSpec, chunk
from freehold.data.collect import Collection, DocumentDrop, collect
from freehold.data.detect import Detected, detect
from freehold.data.documents import Document, Passage
from freehold.data.duplicates import Embed
from freehold.data.files import Fetch
from freehold.data.inspect import inspect
from freehold.data.personal.reading import scrub_readings, scrubber_of
from freehold.data.personal.scrub import Scrubber
from freehold.data.preferences import PreferenceReading, read_preferences
from freehold.data.read import Reading, Sample, drops_as_causes, read
from freehold.data.slices import slice_members
from freehold.data.snapshot import freeze
from freehold.data.sources import within_caps
from freehold.data.synthesis.admission import left_out, share_of
from freehold.data.terms import with_terms
from freehold.evaluate.schema import schema_check
from freehold.ladder.judging import every_example, human_scores, judge_problems

FILE_PREFIX = "file://"
VERSIONED = ("torch", "transformers", "peft", "sentence-transformers", "scikit-learn", "llguidance")


@dataclass(frozen=True)
class Prepared:
    """A task that can be climbed, and what was seen on the way.

    `problems` are warnings. `notes` are sentences that belong into the report. `slice_members`
    maps the name of a slice to the ids of its test examples.
    """

    root: Path
    task_file: TaskFile
    task: Task
    snapshot: Snapshot
    reading: Reading
    detected: Detected
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    passages: tuple[Passage, ...]
    slice_members: Mapping[str, frozenset[str]]
    versions: dict[str, str]
    preferences: tuple[Preference, ...] = ()
    documents: tuple[Document, ...] = ()
    document_drops: tuple[DocumentDrop, ...] = ()


def default_task_file(data: str) -> TaskFile:
    """Return the task file that stands in where there is none: defaults for everything."""
    name = Path(data).name.split(".")[0] if data != "-" else "stdin"
    return TaskFile(task=name or "task", data=DataSection(examples=data))


def prepare(
    task_file: TaskFile,
    *,
    root: Path,
    stdin: BinaryIO | None = None,
    strict: bool = False,
    limit: int | None = None,
    fetch: Fetch | None = None,
    embed: Embed | None = None,
) -> Prepared:
    """Read, detect, split and check: everything that happens before a rung is built.

    Args:
        task_file: what the user wrote, or the defaults.
        root: the project folder; relative paths start there.
        stdin: the bytes behind `data: -`.
        strict: warnings of the data become errors.
        limit: keep at most this many test examples, for a quick look.
        fetch: gives the file behind a dataset of a hub (`hf://`).
        embed: turns texts into vectors; needed where `data.split.paraphrase` is set.

    Raises:
        ConfigError: a file named in the task file is missing, or settings do not fit the data.
        DataError: the examples cannot be used.
    """
    section = task_file.data
    found = _read_all(section, root, stdin=stdin, fetch=fetch)
    reading, test = found.reading, found.test
    detected = detect(reading if test is None else _joined(reading, test))
    _check_columns(section, reading)
    snapshot = freeze(
        reading,
        spec=section.split,
        test=test,
        synthetic=found.synthetic,
        synthetic_share=section.synthetic_share,
        embed=embed,
    )
    if limit is not None:
        snapshot = _limited(snapshot, limit)
    collection = _documents(task_file, root, found.scrubber)
    passages = _passages(task_file, collection)
    preferred = _preferences(section.preferences, root)
    task = _task(task_file, detected, root).model_copy(
        update={
            "documents_digest": _digest("documents", passages),
            "preferences_digest": _digest("preferences", preferred.preferences),
        }
    )
    scored = human_scores(task, root=root, examples=every_example(snapshot))
    task = task.model_copy(update={"human_scores_digest": _digest("human scores", scored.scores)})
    problems = (
        *inspect(snapshot, bar_quality=task.bar.quality),
        *judge_problems(task, scored),
        *_left_out(preferred, section.preferences),
        *left_out(snapshot),
        *collection.problems,
    )
    if strict and problems:
        raise DataError.several(problems)
    return Prepared(
        root=root,
        task_file=task_file,
        task=task,
        snapshot=snapshot,
        reading=reading,
        detected=detected,
        problems=problems,
        notes=(
            *(problem.message for problem in problems),
            *_synthetic_note(snapshot),
            *found.notes,
        ),
        passages=passages,
        slice_members=slice_members(snapshot.test.examples, section.slices),
        versions=library_versions(),
        preferences=preferred.preferences,
        documents=collection.documents,
        document_drops=collection.drops,
    )


def _check_columns(section: DataSection, reading: Reading) -> None:
    """Refuse a column about documents that no row has: a slip of the pen would show nobody anything.

    Raises:
        ConfigError: CFG-024.
    """
    for name in ("access_column", "document_column"):
        column: str | None = getattr(section, name)
        if column is None or any(column in example.fields for example in reading.examples):
            continue
        known = ", ".join(sorted({field for e in reading.examples[:100] for field in e.fields}))
        raise ConfigError(
            "CFG-024",
            f"`data.{name}` is {column!r}, and no row has that column (columns: {known or 'none'})",
            help=f"name the column, or take `data.{name}` out of task.yaml",
        )


@dataclass(frozen=True)
class _Read:
    """Everything that was read for a snapshot, and sentences about what was changed on the way."""

    reading: Reading
    test: Reading | None
    synthetic: Reading | None
    scrubber: Scrubber | None
    notes: tuple[str, ...]


def _read_all(
    section: DataSection, root: Path, *, stdin: BinaryIO | None, fetch: Fetch | None
) -> _Read:
    """Read the examples, the user's test file and synthetic rows; cap sources, note terms, scrub."""
    sample = Sample(section.sample, section.split.seed) if section.sample else None
    reading = within_caps(
        read(
            section.examples,
            columns=section.columns,
            root=root,
            stdin=stdin,
            fetch=fetch,
            sample=sample,
        ),
        most=section.most_rows_of_a_source,
        column=section.source_column,
        seed=section.split.seed,
    )
    reading = with_terms(reading, licence=section.licence, consent=section.consent)
    test = (
        with_terms(
            read(section.test, columns=section.columns, root=root, fetch=fetch),
            licence=section.licence,
            consent=section.consent,
        )
        if section.test
        else None
    )
    synthetic = _synthetic(section, root)
    scrubber = scrubber_of(section, project=root)
    if scrubber is None:
        return _Read(reading, test, synthetic, scrubber=None, notes=())
    given = [one for one in (reading, test, synthetic) if one is not None]
    clean = scrub_readings(tuple(given), scrubber)
    left = iter(clean.readings)
    return _Read(
        reading=next(left),
        test=next(left) if test is not None else None,
        synthetic=next(left) if synthetic is not None else None,
        scrubber=scrubber,
        notes=clean.notes,
    )


def library_versions() -> dict[str, str]:
    """Return the versions of Freehold and of the libraries that decide answers."""
    found = {"freehold": __version__}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _task(task_file: TaskFile, detected: Detected, root: Path) -> Task:
    budget = task_file.budget
    if task_file.ladder.stop == "budget" and budget.dollars is None and budget.wall_hours is None:
        raise ConfigError(
            "CFG-010",
            "`ladder.stop: budget` has no budget to stop at",
            help="set budget.dollars or budget.wall_hours, or stop: first_pass",
        )
    output = _output(task_file.output, detected)
    metric = task_file.metric or _metric(output, detected)
    return Task(
        name=task_file.task,
        instruction=_instruction(task_file.instruction, detected, root),
        output=output,
        metric=metric,
        bar=task_file.bar,
        volume=task_file.volume,
        prices=task_file.prices,
        base=task_file.models.base,
        embedder=task_file.models.embedder,
        ladder=task_file.ladder,
        kept=task_file.kept,
        budget=task_file.budget,
        diagnose=task_file.diagnose,
        documents=task_file.data.documents,
        document_column=task_file.data.document_column,
        access=task_file.data.access,
        access_column=task_file.data.access_column,
        judge=_judge(task_file.models.judge, root),
    )


def _output(section: OutputSection | None, detected: Detected) -> Output:
    if section is None or section.unanswerable is None:
        return _form(section, detected)
    if section.labels is None and section.json_schema is None:
        # Who says what is said without an answer says that answers are text, whatever they look like.
        return TextOutput(unanswerable=section.unanswerable)
    kind = "labels" if section.labels is not None else "schema"
    raise ConfigError(
        "CFG-023",
        f"`output.unanswerable` is for answers of free text, and `output.{kind}` is given",
        help="keep one of them; a label, or a field of the schema, can say that there is no answer",
    )


def _form(section: OutputSection | None, detected: Detected) -> Output:
    if section is None:
        return detected.output
    if section.labels is not None and section.json_schema is not None:
        raise ConfigError(
            "CFG-007",
            "`output.labels` and `output.schema` contradict each other",
            help="keep the one that the answers have",
        )
    if section.labels is not None:
        return LabelOutput(labels=section.labels)
    if section.json_schema is not None:
        output = JsonOutput(json_schema=section.json_schema)
        schema_check(output)  # a schema that means nothing is said before anything is measured
        return output
    return detected.output


def _metric(output: Output, detected: Detected) -> MetricSpec:
    if output.kind == detected.output.kind:
        return detected.metric
    by_kind = {"labels": "exact_match", "json": "json_fields", "text": "token_f1"}
    return MetricSpec.model_validate({"primary": by_kind[output.kind]})


def _instruction(written: str | None, detected: Detected, root: Path) -> str:
    return detected.instruction if written is None else _text_of("instruction", written, root)


def _judge(spec: JudgeSpec | None, root: Path) -> JudgeSpec | None:
    """Return the judge with the text of its rubric, so that a stored task says what was judged by."""
    if spec is None or spec.rubric is None:
        return spec
    return spec.model_copy(update={"rubric": _text_of("rubric", spec.rubric, root)})


def _text_of(name: str, written: str, root: Path) -> str:
    """Return a text of the task file, or of the file that it names with file://."""
    if not written.startswith(FILE_PREFIX):
        return written
    path = root / written.removeprefix(FILE_PREFIX)
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "CFG-006",
            f"`{name}` names {written}, which cannot be read: {error}",
            help=f"write the {name} into {path.name}, or straight into task.yaml",
        ) from error


def _synthetic(section: DataSection, root: Path) -> Reading | None:
    """Read the rows that Freehold wrote; their columns are its own, whatever the user's are called."""
    if section.synthetic is None:
        return None
    return read(section.synthetic, columns=Columns(), root=root)


def _synthetic_note(snapshot: Snapshot) -> tuple[str, ...]:
    share = share_of(snapshot)
    return (share.sentence,) if share.rows else ()


def _documents(task_file: TaskFile, root: Path, scrubber: Scrubber | None) -> Collection:
    """Read the documents, those that can be used, and scrub them as the examples are."""
    if task_file.data.documents is None:
        return Collection(documents=())
    found = collect(root / task_file.data.documents)
    if scrubber is None:
        return found
    documents = tuple(
        document.model_copy(
            update={"title": scrubber.text(document.title), "text": scrubber.text(document.text)}
        )
        for document in found.documents
    )
    return found.model_copy(update={"documents": documents})


def _passages(task_file: TaskFile, collection: Collection) -> tuple[Passage, ...]:
    spec = ChunkSpec(
        size=task_file.ladder.retrieve.chunk, overlap=task_file.ladder.retrieve.overlap
    )
    return tuple(passage for document in collection.documents for passage in chunk(document, spec))


def _preferences(source: str | None, root: Path) -> PreferenceReading:
    return PreferenceReading((), ()) if source is None else read_preferences(source, root=root)


def _digest(kind: str, parts: Sequence[Record]) -> str | None:
    return digest_json(kind, [part.to_json() for part in parts]) if parts else None


def _left_out(reading: PreferenceReading, source: str | None) -> tuple[Problem, ...]:
    drops = reading.drops
    if not drops:
        return ()
    rows = len(drops) + len(reading.preferences)
    return (
        Problem(
            code="DAT-028",
            message=f"{len(drops):,} of {rows:,} preferences cannot be used and are left out",
            level="warning",
            where=Where(file=source, row=drops[0].row),
            help="mend these rows in the file and run the same command again",
            cause=drops_as_causes(drops),
        ),
    )


def _joined(first: Reading, second: Reading) -> Reading:
    return first.model_copy(update={"examples": (*first.examples, *second.examples)})


def _limited(snapshot: Snapshot, limit: int) -> Snapshot:
    """Keep the first test examples: a split is in random order already."""
    test = snapshot.test.model_copy(update={"examples": snapshot.test.examples[:limit]})
    return snapshot.model_copy(update={"test": test})
