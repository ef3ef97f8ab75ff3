"""Read documents: one text each, with who may see it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import JsonValue

from freehold.core.errors import DataError, Where
from freehold.core.record import Record
from freehold.data.access import folder_labels, front_matter, labels_in, strictest
from freehold.data.document_text import EXTRACTORS, NoTextError
from freehold.data.files import DataFile, cannot_read, open_file, read_whole
from freehold.data.limits import LIMITS, Limits
from freehold.data.rows import RowOrNot, Unreadable, read_jsonl

TEXT_SUFFIXES = (".txt", ".md")
ROW_SUFFIXES = (".jsonl", ".ndjson")
SUFFIXES = (*TEXT_SUFFIXES, *EXTRACTORS, *ROW_SUFFIXES)
_MARKDOWN_TITLE = re.compile(r"^#\s+(.+?)\s*#*$", re.MULTILINE)


class Document(Record):
    """One text to search in. `id` is the user's own, or the path below the folder.

    `access` are the labels of those who may see it: one of them is enough. None: everybody may.
    """

    id: str
    title: str
    text: str
    access: tuple[str, ...] = ()


class Passage(Record):
    """A part of a document: `text` is `document.text[start : start + len(text)]`.

    `section` are the headings that it stands under, as `Fees > Transfers`; `heading` is the heading of the
    table that it is a later part of. `access` are the labels of its document.
    """

    id: str
    document_id: str
    title: str
    text: str
    start: int
    section: str = ""
    heading: str = ""
    access: tuple[str, ...] = ()

    @property
    def whole(self) -> str:
        """The passage with what it cannot be understood without: title, section and heading of its table."""
        above = " > ".join(part for part in (self.title, self.section) if part)
        return "\n".join(part for part in (above, self.heading, self.text) if part)


def read_documents(path: Path, *, limits: Limits = LIMITS) -> tuple[Document, ...]:
    """Read a file, or all files of a folder and of those inside it, sorted by name.

    `.txt`, `.md`, `.html`, `.docx` and `.pdf` are one document each; `.jsonl` holds one
    `{id, title, text, access}` a line, of which `text` is needed. Other files in a folder are passed over;
    a README is a document like others. Who may see a document: `freehold.data.access`.

    Raises:
        DataError: nothing is there, a file is no UTF-8, a line has no text, two documents share an id,
            or a file is locked, a scan or damaged (DAT-001, DAT-016, DAT-026, DAT-040, DAT-044).
    """
    documents = tuple(document for _, document in each_document(path, limits=limits, on_bad=_raise))
    if not documents:
        raise unusable(path.name, "it holds no documents")
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise unusable(path.name, f"two documents have the id `{document.id}`")
        seen.add(document.id)
    return documents


OnBad = Callable[[str, DataError | None], None]
"""Is told the name of what cannot be read, and why; None: it holds no text."""


def _raise(_name: str, error: DataError | None) -> None:
    """Refuse what cannot be read, and pass over what holds nothing."""
    if error is not None:
        raise error


def each_document(path: Path, *, limits: Limits, on_bad: OnBad) -> Iterator[tuple[str, Document]]:
    """Yield the documents of a file or folder with the name of their file; `on_bad` is told of those that cannot be read.

    Raises:
        DataError: the path does not exist, or is no file of documents; and what `on_bad` raises.
    """
    for file in _files(path):
        name = file.name if file == path else file.relative_to(path).as_posix()
        try:
            of_folder = folder_labels(file.parent, path if path.is_dir() else file.parent)
            for document in _read(file, name, limits=limits, on_bad=on_bad):
                yield name, _within(document, of_folder, name=name)
        except DataError as error:
            on_bad(name, error)


def _within(document: Document, of_folder: tuple[str, ...], *, name: str) -> Document:
    if not of_folder:
        return document
    access = strictest(of_folder, document.access, of=(f"the folder of {name}", document.id))
    return document.model_copy(update={"access": access})


def _files(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise unusable(path.name, f"`{path.suffix}` is no type of documents")
        return (path,)
    if not path.is_dir():
        raise DataError(
            "DAT-001",
            f"the documents `{path.name}` do not exist",
            where=Where(file=path.name),
            help="check data.documents in task.yaml",
        )
    found = (
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    return tuple(found)


def unusable(name: str, reason: str, *, row: int | None = None) -> DataError:
    """Return the error of documents that cannot be used."""
    return DataError(
        "DAT-026",
        f"the documents `{name}` cannot be used: {reason}",
        where=Where(file=name, row=row),
        help="give .txt, .md, .html, .docx or .pdf files, or .jsonl with"
        ' {"id": ..., "title": ..., "text": ...} a line',
    )


def _read(file: Path, name: str, *, limits: Limits, on_bad: OnBad) -> Iterator[Document]:
    if file.suffix.lower() in ROW_SUFFIXES:
        yield from _rows(file, name, on_bad)
        return
    try:
        size = file.stat().st_size
    except OSError as error:
        raise cannot_read(name, error) from error
    if size > limits.document_bytes:
        raise DataError(
            "DAT-040",
            f"the document `{name}` has {size:,} bytes; one document has at most {limits.document_bytes:,}",
            where=Where(file=name),
            help="divide it into files by chapter, or give one text a line in a .jsonl file",
        )
    try:
        with file.open("rb") as stream:
            content = read_whole(stream, name, limits)
    except OSError as error:
        raise cannot_read(name, error) from error
    found = _extracted(content, file, name=name, limits=limits) if content.strip() else None
    if found is not None and found.text.strip():
        yield found
    else:
        on_bad(name, None)


def _extracted(content: bytes, file: Path, *, name: str, limits: Limits) -> Document:
    extractor = EXTRACTORS.get(file.suffix.lower())
    if extractor is not None:
        try:
            found = extractor(content, limits)
        except NoTextError as error:
            raise DataError(
                "DAT-044",
                f"the text of `{name}` cannot be read: {error}",
                where=Where(file=name),
                help=error.help or "open and save it again, or take it out of the documents",
            ) from error
        return Document(id=name, title=found.title or file.stem, text=found.text)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unusable(name, f"it is not valid UTF-8 at byte {error.start}") from error
    front = front_matter(text, name)
    return Document(
        id=name, title=front.title or _title(front.text, file), text=front.text, access=front.access
    )


def _title(text: str, file: Path) -> str:
    heading = _MARKDOWN_TITLE.search(text) if file.suffix.lower() == ".md" else None
    return heading.group(1) if heading else file.stem


def _rows(file: Path, name: str, on_bad: OnBad) -> Iterator[Document]:
    data = DataFile(name=name, path=file, suffix=".jsonl", packing="")
    with open_file(data) as opened:
        for row in read_jsonl(opened.stream, name):
            if not isinstance(row, Unreadable) and _is_blank(row.columns.get("text")):
                on_bad(f"{name}:{row.number}", None)
                continue
            try:
                yield _document(row, name)
            except DataError as error:
                on_bad(f"{name}:{row.number}", error)


def _is_blank(value: JsonValue) -> bool:
    return isinstance(value, str) and not value.strip()


def _document(row: RowOrNot, name: str) -> Document:
    """Return the document of one line.

    Raises:
        DataError: the line cannot be read, has no text, or has an id, title or labels that are none.
    """
    if isinstance(row, Unreadable):
        raise unusable(name, row.reason, row=row.number)
    text, title = row.columns.get("text"), row.columns.get("title", "")
    id_ = row.columns.get("id", f"{name}:{row.number}")
    if not isinstance(text, str):
        raise unusable(name, f"row {row.number} has no `text`", row=row.number)
    if not isinstance(title, str) or not isinstance(id_, str | int):
        reason = f"row {row.number} has an `id` or a `title` that is no text"
        raise unusable(name, reason, row=row.number)
    access = labels_in(row.columns.get("access"))
    if access is None:
        reason = f"row {row.number} has an `access` that is neither a label nor a list of labels"
        raise unusable(name, reason, row=row.number)
    return Document(id=str(id_), title=title, text=text, access=access)
