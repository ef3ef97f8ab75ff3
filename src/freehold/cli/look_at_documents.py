"""The look at documents: how many there are, which were left out, who may see them, and whether they hold the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from freehold.cli.seen import Seen
from freehold.core.errors import Problem
from freehold.core.task import TextOutput

if TYPE_CHECKING:
    from freehold.cli.session import Session
    from freehold.core.snapshot import Example
    from freehold.ladder.prepare import Prepared

_MOST_EXAMPLES = 2_000
_MOST_COMPARISONS = 20_000_000
_HELD_SHARE = 0.5
"""Where fewer of the wanted answers stand in the documents, something is missing."""
_FEWEST = 20


def documents(prepared: Prepared, session: Session) -> Seen:
    """Say what was read of the documents, what was left out and why, and who will find what."""
    del session
    if not prepared.documents:
        return Seen()
    drops: dict[str, int] = {}
    for drop in prepared.document_drops:
        drops[drop.code] = drops.get(drop.code, 0) + 1
    characters = sum(len(document.text) for document in prepared.documents)
    labelled = [document for document in prepared.documents if document.access]
    labels = sorted({label for document in labelled for label in document.access})
    lines = [
        f"{len(prepared.documents):,} documents · {characters:,} characters · "
        f"{len(prepared.passages):,} passages"
        + (f" · {len(prepared.document_drops):,} left out" if drops else "")
    ]
    if labelled:
        lines.append(
            f"{len(labelled):,} with access labels: {', '.join(labels[:5])}"
            + (f" and {len(labels) - 5:,} more" if len(labels) > 5 else "")
        )
    held, looked_at = _held(prepared)
    if looked_at:
        lines.append(f"{held:,} of {looked_at:,} wanted answers stand in a document")
    return Seen(
        problems=(*_unseen(prepared), *_missing(held, looked_at)),
        figures={
            "documents": len(prepared.documents),
            "passages": len(prepared.passages),
            "characters": characters,
            "left_out": dict(sorted(drops.items())),
            "labelled": len(labelled),
            "labels": list(labels),
            "answers_held": held,
            "answers_looked_at": looked_at,
        },
        lines=tuple(lines),
    )


def _unseen(prepared: Prepared) -> tuple[Problem, ...]:
    """Warn of documents whose labels nobody holds who asks."""
    from freehold.ladder.passages import labels_of

    task = prepared.task
    held = set(task.access)
    for example in _everything(prepared):
        if task.access_column is not None:
            held |= labels_of(example.fields.get(task.access_column, ""))
    unseen = [one for one in prepared.documents if one.access and held.isdisjoint(one.access)]
    if not unseen:
        return ()
    some = ", ".join(f"`{one.id}` ({', '.join(one.access[:3])})" for one in unseen[:3])
    count = "1 document has" if len(unseen) == 1 else f"{len(unseen):,} documents have"
    return (
        Problem(
            code="DOC-028",
            message=f"{count} access labels that nobody who asks holds: {some}",
            level="warning",
            help="give labels to everybody who asks: data: {access: [LABEL]}; or name the column with"
            " each row's own: data: {access_column: COLUMN}",
        ),
    )


def _held(prepared: Prepared) -> tuple[int, int]:
    """Return how many wanted answers stand in a document, and how many were looked for."""
    from freehold.evaluate.support import plain_words
    from freehold.evaluate.unanswerable import is_unanswerable

    output = prepared.task.output
    if not isinstance(output, TextOutput):
        return 0, 0
    texts = [f" {' '.join(plain_words(document.text))} " for document in prepared.documents]
    most = min(_MOST_EXAMPLES, max(1, _MOST_COMPARISONS // max(1, len(texts))))
    held = looked_at = 0
    for example in _everything(prepared)[:most]:
        target = example.target
        if not isinstance(target, str) or is_unanswerable(target, output.unanswerable):
            continue
        looked_at += 1
        wanted = f" {' '.join(plain_words(target))} "
        held += any(wanted in text for text in texts)
    return held, looked_at


def _missing(held: int, looked_at: int) -> tuple[Problem, ...]:
    if looked_at < _FEWEST or held >= _HELD_SHARE * looked_at:
        return ()
    return (
        Problem(
            code="DOC-029",
            message=f"{looked_at - held:,} of {looked_at:,} wanted answers stand in no document in these words",
            level="warning",
            help="look for documents that are missing from data.documents; answers in other words than the"
            " documents are no fault",
        ),
    )


def _everything(prepared: Prepared) -> Sequence[Example]:
    snapshot = prepared.snapshot
    splits = (snapshot.test, snapshot.dev, snapshot.train)
    return [example for split in splits for example in split.examples]
