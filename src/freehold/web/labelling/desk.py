"""The desk: one queue, one log, everybody who labels, and a thread that makes suggestions meanwhile.

Requests change it one at a time. What it holds beside the log can all be worked out again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from pydantic import JsonValue

from freehold.core.errors import FreeholdError
from freehold.core.snapshot import Example
from freehold.core.task import Output
from freehold.data.agreement import Agreement, agreement
from freehold.data.labelling import (
    Act,
    Decision,
    DecisionLog,
    Exported,
    Item,
    Progress,
    Standing,
    Suggester,
    Suggestion,
    ordered,
    progress,
    queue_of,
    standing,
    state_of,
    votes,
)

_LOG = logging.getLogger(__name__)
LEARN_AFTER, LEARN_SHARE = 10, 0.25
"""A suggester that learns is asked again after ten more answers, and at least a quarter more."""
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Work:
    """What is labelled: the task in words, the form of the answers, and the items."""

    name: str
    instruction: str
    output: Output
    items: tuple[Item, ...]
    known: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Seen:
    """The desk at one moment. `order` has all items, the most doubtful first."""

    standing: Standing
    order: tuple[Item, ...]
    suggestions: Mapping[str, Suggestion]
    progress: Progress
    agreement: Agreement
    note: str
    revision: int


class Desk:
    """Takes decisions, remembers them in the log, and says what comes next."""

    def __init__(
        self,
        work: Work,
        *,
        log: DecisionLog,
        clock: Callable[[], datetime],
        export: Callable[[Standing], Exported],
        suggester: Suggester | None = None,
    ) -> None:
        """Take a desk.

        Args:
            work: what is labelled.
            log: where decisions are kept.
            clock: the time.
            export: writes what stands, and says where.
            suggester: None where nothing suggests.
        """
        self.work = work
        self.items: Mapping[str, Item] = {item.key: item for item in work.items}
        self._log = log
        self._clock = clock
        self._export = export
        self._suggester = suggester
        self._lock = threading.RLock()
        self._answered = threading.Condition(self._lock)
        self._suggestions: dict[str, Suggestion] = {}
        self._note = ""
        self._revision = 0
        self._is_stopping = False
        self._seen: Seen | None = None
        self._thread = threading.Thread(target=self._think, name="suggestions", daemon=True)

    def __enter__(self) -> Desk:
        if self._suggester is not None:
            self._note = f"{self._suggester.name} is making suggestions"
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._is_stopping = True
            self._answered.notify_all()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def see(self) -> Seen:
        """Return the desk as it is now."""
        with self._lock:
            if self._seen is None or self._seen.revision != self._revision:
                self._seen = self._look()
            return self._seen

    def queue(self, labeller: str) -> tuple[Item, ...]:
        """Return the items that wait for a labeller."""
        seen = self.see()
        return queue_of(labeller, seen.order, seen.standing)

    def decide(
        self, labeller: str, item: str, *, act: Act, answer: JsonValue = None, note: str = ""
    ) -> Decision:
        """Keep a decision; on return it is on disk.

        Raises:
            KeyError: there is no such item.
        """
        with self._lock:
            shown = self._suggestions.get(self.items[item].key)
            return self._keep(
                labeller,
                item,
                act=act,
                answer=answer,
                note=note,
                suggested=shown.answer if shown else None,
                suggested_by=shown.by if shown else None,
            )

    def undo(self, labeller: str) -> Decision | None:
        """Take back the last decision of a labeller about these items, and return it."""
        with self._lock:
            mine = self.see().standing.history.get(labeller, ())
            last = next((d for d in reversed(mine) if d.item in self.items), None)
            if last is not None:
                self._keep(labeller, last.item, act="undo", undoes=last.number)
            return last

    def export(self) -> Exported:
        """Write what stands."""
        with self._lock:
            return self._export(self.see().standing)

    def _keep(self, labeller: str, item: str, *, act: Act, **details: JsonValue) -> Decision:
        decision = Decision.model_validate(
            {
                "number": self._log.next_number,
                "at": self._clock().isoformat(timespec="milliseconds"),
                "labeller": labeller,
                "item": item,
                "act": act,
                **details,
            }
        )
        self._log.append(decision)
        self._change()
        return decision

    def _change(self) -> None:
        self._revision += 1
        self._answered.notify_all()

    def _look(self) -> Seen:
        items = self.work.items
        now = standing(self._log.decisions)
        given = votes(now, items)
        before = self._seen
        return Seen(
            standing=now,
            order=ordered(items, self._suggestions),
            suggestions=dict(self._suggestions),
            progress=progress(now, items),
            agreement=before.agreement
            if before is not None and votes(before.standing, items) == given
            else agreement(given, rng=np.random.default_rng(7)),
            note=self._note,
            revision=self._revision,
        )

    # Suggestions ------------------------------------------------------------------------------

    def _think(self) -> None:
        suggester = self._suggester
        if suggester is None:
            return
        try:
            while not self._is_stopping:
                labelled = self._labelled()
                self._suggest(suggester, labelled)
                if not suggester.learns or not self._wait_for(len(labelled)):
                    return
        except FreeholdError as error:
            self._say(f"no suggestions: {error.problems[0].message}")
        except Exception:  # noqa: BLE001 - labelling goes on without suggestions
            if not self._is_stopping:
                _LOG.exception("suggestions stopped")
                self._say("no suggestions: making them failed; labelling goes on without")

    def _suggest(self, suggester: Suggester, labelled: Sequence[Example]) -> None:
        with self._lock:
            now = self.see()
            waiting = [i.example for i in now.order if state_of(now.standing, i.key) == "waiting"]
        for key, suggestion in suggester.suggest(waiting, labelled):
            with self._lock:
                if self._is_stopping:
                    return
                self._suggestions[key] = suggestion
                self._revision += 1
        self._say("")

    def _labelled(self) -> tuple[Example, ...]:
        with self._lock:
            now = self.see().standing
            found = [
                item.example.model_copy(update={"target": answer})
                for item in self.work.items
                if state_of(now, item.key) == "agreed"
                for answer in list(now.answers(item.key).values())[:1]
            ]
        return (*found, *self.work.known)

    def _wait_for(self, before: int) -> bool:
        """Wait until much more is labelled than before; False where the desk is left."""
        enough = before + max(LEARN_AFTER, round(LEARN_SHARE * (before - len(self.work.known))))
        with self._lock:
            while not self._is_stopping and len(self._labelled()) < enough:
                self._answered.wait()
        return not self._is_stopping

    def _say(self, note: str) -> None:
        with self._lock:
            self._note = note
            self._revision += 1
