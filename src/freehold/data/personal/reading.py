"""Scrub what was read for a climb, as `data.scrub` says: once, in the same way for every file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from freehold.core.sections import DataSection
from freehold.data.personal.find import Finder, finder
from freehold.data.personal.key import project_key
from freehold.data.personal.presidio import by_presidio, open_analyzer
from freehold.data.personal.scrub import Scrubber
from freehold.data.read import Reading

_DONE = {"mask": "masked", "surrogate": "replaced"}


@dataclass(frozen=True)
class ScrubbedReadings:
    """Readings without personal data, and the sentences that say what was done."""

    readings: tuple[Reading, ...]
    notes: tuple[str, ...]


def scrubber_of(section: DataSection, *, project: Path) -> Scrubber | None:
    """Return what takes out the kinds of `data.scrub`; None where nothing is to be scrubbed.

    Raises:
        DataError: DAT-073, `data.names_model` is not installed.
        MachineError: DAT-074, the project's secret cannot be used.
    """
    treatments = section.treatments
    if not treatments:
        return None
    find: Finder | None = None
    if section.names_model is not None:
        further = by_presidio(open_analyzer(section.names_model))
        find = finder(frozenset(treatments), further=further)
    return Scrubber(
        treatments, key=project_key(project), find=find, distinct=section.split.group_by
    )


def scrub_readings(readings: Sequence[Reading], scrubber: Scrubber) -> ScrubbedReadings:
    """Return the readings without what the scrubber finds; dropped rows are among their drops.

    The same value gets the same stand-in in every reading.
    """
    looked = [scrubber.look(reading.examples) for reading in readings]
    everything = [example for reading in readings for example in reading.examples]
    scrubber.draw_for(everything, [spans for part in looked for spans in part])
    scrubbed = [
        scrubber.scrub_found(reading.examples, spans)
        for reading, spans in zip(readings, looked, strict=True)
    ]
    counts: dict[tuple[str, str], int] = {}
    for part in scrubbed:
        for (kind, treatment), count in part.spans.items():
            counts[kind, treatment] = counts.get((kind, treatment), 0) + count
    done = ", ".join(
        f"{count:,} {kind} {_DONE[treatment]}"
        for (kind, treatment), count in sorted(counts.items())
    )
    rows = sum(part.rows for part in scrubbed)
    return ScrubbedReadings(
        readings=tuple(
            reading.model_copy(
                update={"examples": part.examples, "drops": (*reading.drops, *part.drops)}
            )
            for reading, part in zip(readings, scrubbed, strict=True)
        ),
        notes=(f"personal data in {rows:,} rows: {done}",) if done else (),
    )
