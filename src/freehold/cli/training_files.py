"""The files of a training that a person looks at: its page, and what happened so far, for a resume."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from freehold.cli.files import REPORTS, Written
from freehold.core.errors import MachineError
from freehold.report.training_page import training_html
from freehold.report.training_view import TrainingView
from freehold.store.blobs import write_durably
from freehold.train.records import Started, Stepped, TrainEvent

EVENTS_FILE = "events.jsonl"
TRAININGS = "trainings"
MOST_STEPS = 400
"""Of all steps about so many are written down: the curve needs no more."""

_EVENT: TypeAdapter[TrainEvent] = TypeAdapter(TrainEvent)


def page_path(training_id: str) -> str:
    """Return where the page of a training is, relative to the project."""
    return f"{REPORTS}/{training_id}.html"


def write_page_if_possible(project: Path, view: TrainingView) -> tuple[Written | None, str]:
    """Write `reports/t7.html`, whole or not at all; return it, or None with why it cannot be written.

    No training stops for its page.
    """
    content = training_html(view).encode("utf-8", "replace")
    relative = page_path(view.training_id)
    try:
        write_durably(project / relative, content)
    except (OSError, MachineError) as error:
        return None, f"{relative} cannot be written: {error}"
    return Written(relative, len(content)), ""


class EventLog:
    """What a training told so far, one JSON object a line. A log that cannot be written is silent."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._every = 1

    def earlier(self) -> tuple[TrainEvent, ...]:
        """Return what was told before; a line that was cut short by a crash ends it."""
        try:
            lines = self._file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return ()
        events: list[TrainEvent] = []
        for line in lines:
            try:
                events.append(_EVENT.validate_json(line))
            except ValidationError:
                break
        return tuple(events)

    def add(self, event: TrainEvent) -> None:
        """Write one event down, and of the steps every so many."""
        if isinstance(event, Started):
            self._every = max(1, event.recipe.steps // MOST_STEPS)
        if isinstance(event, Stepped) and event.step % self._every:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(event.model_dump_json() + "\n")
        except OSError:
            return
