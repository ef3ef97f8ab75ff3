"""Find a person's rows in the files of a task: in the user's own, and in those that Freehold wrote of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

from pydantic import JsonValue

from freehold.core.errors import DataError
from freehold.core.sections import Columns, DataSection
from freehold.core.snapshot import Example, Origin
from freehold.data.derived import ORIGIN_COLUMN, origin_of
from freehold.data.erase import (
    FileContent,
    RawRow,
    Wanted,
    folded,
    paragraphs_with,
    raw_rows,
    read_whole,
    texts_of_example,
    texts_of_value,
)
from freehold.data.files import DataFile, find_files
from freehold.data.read import read

TEXT_DOCUMENTS = (".txt", ".md")
LEAST_TELLING = 12
"""A text of a row tells whose it is from so many characters on; a label does not."""
_HIDDEN_FOLDERS = frozenset({"node_modules", "__pycache__"})


@dataclass(frozen=True)
class Found:
    """What is wanted in one file: numbers of rows, or lines at which paragraphs begin."""

    name: str
    path: Path
    numbers: tuple[int, ...]
    unit: Literal["row", "paragraph"] = "row"
    is_derived: bool = False


@dataclass(frozen=True)
class People:
    """A person's rows in the files: where they are, their ids, what they say, and what others say.

    `contents` are the digests of rows that Freehold made of them, which need not hold the text itself.
    """

    files: tuple[Found, ...] = ()
    ids: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    derived: frozenset[Path] = frozenset()
    searched: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows and paragraphs there are in the user's own files."""
        return sum(len(found.numbers) for found in self.files if not found.is_derived)


@dataclass(frozen=True)
class Place:
    """The files of a task: `section` is None where there is no task file; `also` are names known otherwise."""

    root: Path
    section: DataSection | None
    also: tuple[str, ...] = ()


@dataclass
class _File:
    whole: FileContent
    rows: tuple[RawRow, ...]
    examples: dict[int, Example] = field(default_factory=dict[int, Example])
    numbers: set[int] = field(default_factory=set[int])
    origins: dict[int, Origin] = field(default_factory=dict[int, Origin])


def find_people(place: Place, wanted: Wanted) -> People:
    """Return the wanted rows of every file of the task.

    Raises:
        DataError: a file cannot be read, or the condition cannot be computed for any of them.
    """
    files = [_opened(file) for file in data_files(place)]
    _give_examples(files, place, wanted)
    problems: list[DataError] = []
    for one in files:
        try:
            one.numbers |= _wanted_rows(one, wanted)
        except DataError as error:
            problems.append(error)
    if problems and len(problems) == len(files):
        raise problems[0]
    _follow_origins(files)
    documents = _documents(place, wanted)
    matched = [e for f in files for number, e in f.examples.items() if number in f.numbers]
    derived = [f for f in files if f.origins]
    found = tuple(
        Found(
            name=one.whole.file.name,
            path=cast(Path, one.whole.file.path),
            numbers=tuple(sorted(one.numbers)),
            is_derived=bool(one.origins),
        )
        for one in files
        if one.numbers
    )
    return People(
        files=(*found, *documents),
        ids=frozenset(example.id for example in matched),
        contents=frozenset(
            one.examples[number].content_digest
            for one in derived
            for number in one.numbers & one.origins.keys() & one.examples.keys()
        ),
        texts=frozenset(_telling(text for f in files for text in _texts(f))),
        derived=frozenset(cast(Path, f.whole.file.path) for f in derived),
        searched=tuple(f.whole.file.name for f in files),
    )


def others_say(place: Place, wanted: People, texts: Iterable[str]) -> frozenset[str]:
    """Return those of `texts` that rows of others hold too, so that they tell of nobody."""
    left = set(texts)
    gone = {found.path: set(found.numbers) for found in wanted.files if found.unit == "row"}
    common: set[str] = set()
    for file in data_files(place):
        numbers = gone.get(cast(Path, file.path), set[int]())
        for row in raw_rows(read_whole(file)):
            if row.number not in numbers:
                said = [folded(text) for text in row.texts]
                common |= {text for text in left - common if any(text in one for one in said)}
    return frozenset(common)


def telling_texts(examples: Iterable[Example]) -> frozenset[str]:
    """Return the texts of examples that are long enough to tell whose they are, folded."""
    return frozenset(_telling(text for e in examples for text in texts_of_example(e)))


def data_files(place: Place) -> tuple[DataFile, ...]:
    """Return every file of rows: named by the task, known otherwise, or written by Freehold; each once."""
    names: list[str] = []
    if place.section is not None:
        examples = place.section.examples
        names += [examples] if isinstance(examples, str) else list(examples)
        names += [n for n in (place.section.test, place.section.preferences) if n is not None]
        names += _row_documents(place)
    found: dict[Path, DataFile] = {}
    for name in [*names, *(n for n in place.also if (place.root / n).is_file())]:
        if name == "-" or name.startswith("hf://"):
            continue
        for file in find_files(name, root=place.root):
            if file.path is not None:
                found.setdefault(file.path.resolve(), replace(file, path=file.path.resolve()))
    for path in _written_by_freehold(place.root):
        if path.resolve() not in found:
            name = path.relative_to(place.root).as_posix()
            found[path.resolve()] = DataFile(name, path.resolve(), ".jsonl", "")
    return tuple(found.values())


def _row_documents(place: Place) -> list[str]:
    if place.section is None or place.section.documents is None:
        return []
    root = place.root / place.section.documents
    paths = sorted(root.rglob("*.jsonl")) if root.is_dir() else [root]
    return [
        path.relative_to(place.root).as_posix() if path.is_relative_to(place.root) else str(path)
        for path in paths
        if path.suffix == ".jsonl" and path.is_file()
    ]


def visible_files(root: Path) -> Iterator[Path]:
    """Yield every file below a folder, without hidden folders and those of other tools."""
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name in _HIDDEN_FOLDERS or path.is_symlink():
            continue
        if path.is_dir():
            if not (path / "pyvenv.cfg").exists():
                yield from visible_files(path)
        elif path.is_file():
            yield path


def _written_by_freehold(root: Path) -> Iterator[Path]:
    mark = f'"{ORIGIN_COLUMN}":'.encode()
    for path in visible_files(root):
        if path.suffix == ".jsonl" and mark in path.read_bytes():
            yield path


def _opened(file: DataFile) -> _File:
    whole = read_whole(file)
    rows = raw_rows(whole)
    one = _File(whole, rows)
    for row in rows:
        origin = origin_of((row.columns or {}).get(ORIGIN_COLUMN))
        if origin is not None:
            one.origins[row.number] = origin
    return one


def _give_examples(files: Sequence[_File], place: Place, wanted: Wanted) -> None:
    """Read the files as examples too, as the task does, for ids and conditions."""
    by_name = {one.whole.file.name: one for one in files}
    columns = place.section.columns if place.section is not None else Columns()
    groups: list[tuple[str, ...]] = []
    if place.section is not None:
        examples = place.section.examples
        groups.append((examples,) if isinstance(examples, str) else examples)
        groups += [(place.section.test,)] if place.section.test is not None else []
    named = {file.name for group in groups for name in group for file in _found(name, place.root)}
    groups += [(name,) for name in by_name if name not in named]
    problems: list[DataError] = []
    for group in groups:
        try:
            reading = read(group, columns=columns, root=place.root)
        except DataError as error:
            problems.append(error)
            continue
        for example in reading.examples:
            if example.source in by_name:
                by_name[example.source].examples[example.row] = example
    if problems and wanted.kind != "match" and not any(one.examples for one in files):
        raise problems[0]


def _found(name: str, root: Path) -> tuple[DataFile, ...]:
    return () if name == "-" or name.startswith("hf://") else find_files(name, root=root)


def _wanted_rows(one: _File, wanted: Wanted) -> set[int]:
    examples = tuple(one.examples.values())
    holds = wanted.holds(examples)
    numbers = {example.row for example in examples if holds(example)}
    if wanted.kind == "match":
        needle = folded(wanted.text)
        numbers |= {r.number for r in one.rows if any(needle in folded(t) for t in r.texts)}
    return numbers


def _follow_origins(files: Sequence[_File]) -> None:
    """Add the rows that Freehold made of wanted ones: by the place they came from, or by the same id."""
    places = {(one.whole.file.name, number) for one in files for number in one.numbers}
    ids = {
        (one.whole.file.name, one.examples[number].id)
        for one in files
        for number in one.numbers
        if number in one.examples
    }
    for one in files:
        for number, origin in one.origins.items():
            own = one.examples.get(number)
            is_same = own is not None and (origin.source, own.id) in ids
            if (origin.source, origin.row) in places or is_same:
                one.numbers.add(number)


def _documents(place: Place, wanted: Wanted) -> tuple[Found, ...]:
    if wanted.kind != "match" or place.section is None or place.section.documents is None:
        return ()
    root = place.root / place.section.documents
    paths = sorted(root.rglob("*")) if root.is_dir() else [root]
    found: list[Found] = []
    for path in paths:
        if path.suffix not in TEXT_DOCUMENTS or not path.is_file():
            continue
        lines = paragraphs_with(path.read_bytes(), folded(wanted.text))
        if lines:
            inside = path.is_relative_to(place.root)
            name = path.relative_to(place.root).as_posix() if inside else str(path)
            found.append(Found(name, path.resolve(), lines, unit="paragraph"))
    return tuple(found)


def _texts(one: _File) -> Iterator[str]:
    for row in one.rows:
        if row.number not in one.numbers:
            continue
        for name, value in (row.columns or {}).items():
            if name != ORIGIN_COLUMN:
                yield from texts_of_value(value)
                yield from _texts_inside(value)


def _texts_inside(value: JsonValue) -> Iterator[str]:
    """Yield the texts of JSON that is written as text, as in a cell of a CSV file."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            yield from texts_of_value(cast(JsonValue, json.loads(value)))
        except ValueError:
            return


def _telling(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        short = folded(text)
        if len(short) >= LEAST_TELLING:
            yield short
