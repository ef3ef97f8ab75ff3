"""What a measuring verb works with: the project's store, the models, and the time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.cli import paths
from freehold.cli.environment import secret
from freehold.cli.session import Session
from freehold.cli.settings import Resolved
from freehold.core.errors import UsageError
from freehold.store.ledger import Handle
from freehold.store.lineage import SNAPSHOT_PREFIX
from freehold.store.store import STATE_FOLDER, Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from freehold.core.snapshot import Snapshot
    from freehold.data.duplicates import Embed
    from freehold.ladder.prepare import Prepared
    from freehold.ladder.tools import Models

STDIN = "-"
LAST = "@last"


def monotonic() -> float:
    """Return seconds that never run backwards."""
    return time.monotonic()


@contextmanager
def open_store(session: Session) -> Generator[Store]:
    """Open the state of the project, made where it is missing."""
    with Store.open(session.project, clock=session.clock) as store:
        yield store


def has_state(session: Session) -> bool:
    """Return whether anything was kept in this project."""
    return (session.project / STATE_FOLDER / "ledger.db").is_file()


def load_snapshot(store: Store, name: str) -> tuple[Handle, Snapshot]:
    """Return a snapshot by its name (`s3`, or `@last`), with its handle.

    Raises:
        UsageError: USE-002 when there is none of that name, or it can no longer be read.
    """
    from freehold.core.snapshot import Snapshot
    from freehold.ladder.adopt import adopt

    adopt(store)
    handles = store.ledger.handles(SNAPSHOT_PREFIX)
    found = [handle for handle in handles if handle.name == name]
    found = list(handles[-1:]) if name == LAST else found
    if not found:
        known = ", ".join(handle.name for handle in handles[-5:]) or "none yet"
        raise UsageError(
            "USE-002",
            f"there is no snapshot `{name}` in this project (known: {known})",
            help="freehold data ls" if handles else "freehold data split    freezes the data",
        )
    return found[0], store.get(found[0].key, Snapshot)


@contextmanager
def open_models(session: Session, *, reads_task: bool = True) -> Generator[Models]:
    """Open the place that opens models, and let go of them afterwards.

    `reads_task` False: task.yaml, which may be about to be written anew, names no endpoint.
    """
    from freehold.ladder.tools import Models
    from freehold.models.endpoint_memory import FILE as ENDPOINT_MEMORY
    from freehold.models.endpoints import Endpoints

    endpoints = Endpoints(
        session.endpoints() if reads_task else {},
        file=session.project / STATE_FOLDER / ENDPOINT_MEMORY,
        secret=secret,
    )
    models = Models(cache=paths.cache_folder(), online=session.is_online, endpoints=endpoints)
    try:
        yield models
    finally:
        models.close()


def prepare_task(
    session: Session, resolved: Resolved, *, strict: bool = False, limit: int | None = None
) -> Prepared:
    """Read the data of the task, and freeze it.

    Args:
        session: gives the folder.
        resolved: the task file with its layers.
        strict: warnings of the data are errors.
        limit: at most so many test examples.
    """
    from freehold.ladder.prepare import prepare

    is_stdin = resolved.task_file.data.examples == STDIN
    return prepare(
        resolved.task_file,
        root=session.project,
        stdin=sys.stdin.buffer if is_stdin else None,
        strict=strict,
        limit=limit,
        fetch=fetch_of(session),
        embed=embedding(session, resolved.task_file.models.embedder),
    )


def fetch_of(session: Session) -> Callable[[str], Path]:
    """Return what gives the file behind a dataset of a hub: from the cache, or with --online fetched."""
    from freehold.data.hub import fetch

    return partial(fetch, cache=paths.cache_folder(), online=session.is_online)


def embedding(session: Session, name: str) -> Embed:
    """Return what turns texts into vectors by the embedder `name`, which is opened at the first use."""

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        with open_models(session) as models:
            return models.embedder(name).encode(texts)

    return embed
