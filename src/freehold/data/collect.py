"""Documents as they are found: those that can be used, and every one that was left out with its reason.

One bad file does not keep the others from being searched. What contradicts itself about who may see it is left
out rather than shown to somebody who may not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from freehold.core.errors import DataError, Problem, Where
from freehold.core.record import Record
from freehold.data.access import strictest
from freehold.data.documents import Document, each_document, unusable
from freehold.data.limits import LIMITS, Limits

LISTED = 3
EMPTY = "DOC-021"
TOO_LARGE = "DOC-022"
NO_TEXT = "DOC-023"
UNREADABLE = "DOC-024"
REPEATED = "DOC-025"
SAME_ID = "DOC-026"
CONTRADICTION = "DOC-027"

_KIND_OF: Mapping[str, str] = {
    "DAT-040": TOO_LARGE,
    "DAT-044": NO_TEXT,
    "DAT-002": EMPTY,
    "DOC-002": CONTRADICTION,
}
_WORDS: Mapping[str, tuple[str, str]] = {
    EMPTY: ("empty", "put text into them, or take them out of the documents"),
    TOO_LARGE: (
        "too large",
        "divide them into files by chapter, or give one text a line as .jsonl",
    ),
    NO_TEXT: (
        "without text that can be read: a scan, locked or damaged",
        "run text recognition (OCR) over scans, unlock locked files, save damaged ones again",
    ),
    UNREADABLE: ("not readable as documents", "mend the files or lines that are named"),
    REPEATED: ("a repeat of an earlier one", "keep one copy; the labels of both count for it"),
    SAME_ID: ("under an id that an earlier one has", "give each document an id of its own"),
    CONTRADICTION: (
        "under access labels that contradict each other",
        "say who may see it: give both places a label in common, or one of them alone",
    ),
}


class DocumentDrop(Record):
    """One document that was left out: its name, its kind (a code), the reason, and the error where there was one."""

    name: str
    code: str
    reason: str
    problem: Problem | None = None


class Collection(Record):
    """The documents that can be used, in the order in which they were found, and those left out."""

    documents: tuple[Document, ...]
    drops: tuple[DocumentDrop, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """One warning for each kind of reason, with the first documents by name and the way out."""
        by_code: dict[str, list[DocumentDrop]] = {}
        for drop in self.drops:
            by_code.setdefault(drop.code, []).append(drop)
        return tuple(_problem(code, by_code[code]) for code in _WORDS if code in by_code)


def _problem(code: str, drops: Sequence[DocumentDrop]) -> Problem:
    words, help_ = _WORDS[code]
    names = ", ".join(f"`{drop.name}`" for drop in drops[:LISTED])
    more = f" and {len(drops) - LISTED:,} more" if len(drops) > LISTED else ""
    count = "1 document is" if len(drops) == 1 else f"{len(drops):,} documents are"
    return Problem(
        code=code,
        message=f"{count} left out, {words}: {names}{more}",
        level="warning",
        where=Where(file=drops[0].name),
        help=help_,
        cause=tuple(f"{drop.name}: {drop.reason}" for drop in drops[:LISTED]),
    )


def collect(path: Path, *, limits: Limits = LIMITS) -> Collection:
    """Read what can be read of a file or a folder of documents; `read_documents` says which types.

    Of two documents with the same text the first is kept, for those who may see both. Where no label allows
    that, or where two documents of one id have different labels, none of them is kept.

    Raises:
        DataError: the path does not exist, or nothing is left; then the error of the first document, if any.
    """
    drops: list[DocumentDrop] = []

    def on_bad(name: str, error: DataError | None) -> None:
        if error is None:
            drops.append(DocumentDrop(name=name, code=EMPTY, reason="it holds no text"))
            return
        problem = error.problems[0]
        code = _KIND_OF.get(problem.code, UNREADABLE)
        drops.append(DocumentDrop(name=name, code=code, reason=problem.message, problem=problem))

    read = tuple(document for _, document in each_document(path, limits=limits, on_bad=on_bad))
    documents = _without_repeats(_with_own_ids(read, drops), drops)
    if not documents:
        raise _nothing_left(path, drops)
    return Collection(documents=documents, drops=tuple(drops))


def _nothing_left(path: Path, drops: Sequence[DocumentDrop]) -> DataError:
    problems = [drop.problem for drop in drops if drop.problem is not None]
    if problems:
        return DataError.several(problems[:1])
    reasons = tuple(f"{drop.name}: {drop.reason}" for drop in drops[:LISTED])
    error = unusable(path.name, "it holds no documents")
    problem = error.problems[0].model_copy(update={"cause": reasons})
    return DataError.several([problem])


def _with_own_ids(documents: Sequence[Document], drops: list[DocumentDrop]) -> tuple[Document, ...]:
    """Keep the first document of each id; none where their labels differ, as nobody knows whose are right."""
    by_id: dict[str, list[Document]] = {}
    for document in documents:
        by_id.setdefault(document.id, []).append(document)
    kept: list[Document] = []
    for id_, found in by_id.items():
        if len({document.access for document in found}) > 1:
            reason = f"{len(found)} documents have this id, and they name different labels"
            drops.append(DocumentDrop(name=id_, code=CONTRADICTION, reason=reason))
            continue
        kept.append(found[0])
        drops.extend(
            DocumentDrop(name=id_, code=SAME_ID, reason=f"another document has the id `{id_}`")
            for _ in found[1:]
        )
    return tuple(kept)


def _without_repeats(
    documents: Sequence[Document], drops: list[DocumentDrop]
) -> tuple[Document, ...]:
    by_text: dict[str, list[Document]] = {}
    for document in documents:
        by_text.setdefault(document.text, []).append(document)
    kept: list[Document] = []
    for first, *repeats in by_text.values():
        access = first.access
        try:
            for other in repeats:
                access = strictest(access, other.access, of=(first.id, other.id))
        except DataError as error:
            reason = error.problems[0].message
            drops.extend(
                DocumentDrop(name=one.id, code=CONTRADICTION, reason=reason)
                for one in (first, *repeats)
            )
            continue
        kept.append(first.model_copy(update={"access": access}))
        drops.extend(
            DocumentDrop(name=other.id, code=REPEATED, reason=f"it repeats `{first.id}`")
            for other in repeats
        )
    return tuple(kept)
