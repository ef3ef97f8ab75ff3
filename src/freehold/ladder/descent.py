"""Lineage for people: candidates by the names they have in climbs, what is marked, and how to build it anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from freehold.core.candidate import Candidate
from freehold.core.errors import FreeholdError, Problem
from freehold.core.measure import Climb
from freehold.ladder.forget import MARKER
from freehold.ladder.rungs import RUNGS
from freehold.store.lineage import Mark, Thing, marks
from freehold.store.store import Store

WORDS: Mapping[str, str] = {
    "training": "adapter",
    "candidate": "index",
    "release": "release",
    "export": "export",
    "climb": "climb",
    "snapshot": "snapshot",
    "embeddings": "embeddings",
}


def candidate_names(store: Store) -> dict[str, str]:
    """Return what people call each candidate, by digest: `c1/lora`; the first climb that measured it names it."""
    names: dict[str, str] = {}
    for handle in store.ledger.handles("c"):
        try:
            climb = store.recall(handle.key, Climb)
        except (FreeholdError, KeyError):
            continue
        for result in climb.rungs if climb is not None else ():
            if result.candidate_digest is not None:
                names.setdefault(result.candidate_digest, f"{handle.name}/{result.rung}")
    return names


def by_word(things: Sequence[Thing], store: Store) -> dict[str, tuple[str, ...]]:
    """Return the names of things by the word for what they are: snapshot, climb, adapter, index, ...

    A candidate whose weights were trained is an adapter. Candidates that no finished climb names, such as
    variants that were not chosen, are counted by their rung.
    """
    names = candidate_names(store)
    found: dict[str, dict[str, None]] = {}
    for thing in things:
        word = WORDS.get(thing.kind)
        if word is None:
            continue
        if thing.kind == "candidate" and _is_trained(thing, store):
            word = "adapter"
        name = names.get(thing.key, thing.name) or thing.key.removeprefix("sha256:")[:8]
        found.setdefault(word, {})[name] = None
    return {word: tuple(inner) for word, inner in found.items()}


def _is_trained(thing: Thing, store: Store) -> bool:
    try:
        rung = store.get(thing.key, Candidate).rung
    except (FreeholdError, KeyError):
        return thing.name in {"lora", "prefer", "distil", "full"}
    return RUNGS[rung].changes_weights


def mark_of(store: Store, key: str) -> Mark | None:
    """Return the mark of a climb, a training or a snapshot, None where nothing was forgotten from it."""
    return marks(store.ledger).get(key)


def marked_problem(mark: Mark, *, name: str, again: str) -> Problem:
    """Return the warning about something that learnt from, or measured with, rows that were forgotten.

    Args:
        mark: what is known of it.
        name: what people call it.
        again: the command that makes it anew.
    """
    verb = "was measured with" if mark.thing.kind in {"climb", "snapshot"} else "learnt from"
    noun = "row" if mark.rows == 1 else "rows"
    return Problem(
        code="DAT-081",
        message=f"{name} {verb} {mark.rows:,} {noun} that {'was' if mark.rows == 1 else 'were'}"
        f" forgotten on {mark.at[:10]}",
        level="warning",
        help=f"{again}    makes it anew, without them",
    )


def forgotten_problem(folder: Path) -> Problem | None:
    """Return the warning about an adapter folder, of any project, whose rows were forgotten; None where not."""
    file = folder / MARKER
    if not file.is_file():
        return None
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        rows, at = int(body["rows"]), str(body["at"])
    except (OSError, ValueError, KeyError, TypeError):
        rows, at = 0, "an unknown day"
    return Problem(
        code="DAT-081",
        level="warning",
        message=f"{folder.name} learnt from {rows:,} rows that were forgotten on {at[:10]}, and what goes on"
        " from it has learnt them too",
        help="freehold train    without --after, or --after one that was trained since",
    )
