"""Read documents: one text each, with who may see it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from freehold.core.errors import DataError, Where
from freehold.core.record import Record
from freehold.data.document_text import EXTRACTORS, NoTextError
from freehold.data.files import DataFile, cannot_read, open_file, read_whole
from freehold.data.limits import LIMITS, Limits
from freehold.data.rows import Unreadable, read_jsonl

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
    `{id, title, text}` a line, of which `text` is needed. Other files in a folder are passed over; a
    README is a document like others.

    Raises:
        DataError: nothing is there, a file is no UTF-8, a line has no text, two documents share an id,
            or a file is locked, a scan or damaged (DAT-001, DAT-016, DAT-026, DAT-040, DAT-044).
    """
    documents = tuple(document for file in _files(path) for document in _read(file, path, limits))
    if not documents:
        raise _unusable(path.name, "it holds no documents")
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise _unusable(path.name, f"two documents have the id `{document.id}`")
        seen.add(document.id)
    return documents


def _files(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise _unusable(path.name, f"`{path.suffix}` is no type of documents")
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


def _unusable(name: str, reason: str, *, row: int | None = None) -> DataError:
    return DataError(
        "DAT-026",
        f"the documents `{name}` cannot be used: {reason}",
        where=Where(file=name, row=row),
        help="give .txt, .md, .html, .docx or .pdf files, or .jsonl with"
        ' {"id": ..., "title": ..., "text": ...} a line',
    )


def _read(file: Path, root: Path, limits: Limits) -> Iterator[Document]:
    name = file.name if file == root else file.relative_to(root).as_posix()
    if file.suffix.lower() in ROW_SUFFIXES:
        yield from _rows(file, name)
        return
    try:
        with file.open("rb") as stream:
            content = read_whole(stream, name, limits)
    except OSError as error:
        raise cannot_read(name, error) from error
    if not content.strip():
        return
    found = _extracted(content, file, name=name, limits=limits)
    if found.text.strip():
        yield found


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
        raise _unusable(name, f"it is not valid UTF-8 at byte {error.start}") from error
    return Document(id=name, title=_title(text, file), text=text)


def _title(text: str, file: Path) -> str:
    heading = _MARKDOWN_TITLE.search(text) if file.suffix.lower() == ".md" else None
    return heading.group(1) if heading else file.stem


def _rows(file: Path, name: str) -> Iterator[Document]:
    data = DataFile(name=name, path=file, suffix=".jsonl", packing="")
    with open_file(data) as opened:
        for row in read_jsonl(opened.stream, name):
            if isinstance(row, Unreadable):
                raise _unusable(name, row.reason, row=row.number)
            text, title = row.columns.get("text"), row.columns.get("title", "")
            id_ = row.columns.get("id", f"{name}:{row.number}")
            if not isinstance(text, str) or not text.strip():
                raise _unusable(name, f"row {row.number} has no `text`", row=row.number)
            if not isinstance(title, str) or not isinstance(id_, str | int):
                reason = f"row {row.number} has an `id` or a `title` that is no text"
                raise _unusable(name, reason, row=row.number)
            yield Document(id=str(id_), title=title, text=text)
