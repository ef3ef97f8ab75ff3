"""Presidio as an extra: refused with the way out where it is missing, used where it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import pytest

from freehold.core.errors import DataError
from freehold.data.personal.find import finder
from freehold.data.personal.presidio import Recognised, by_presidio, open_analyzer


@dataclass
class Recognition:
    entity_type: str
    start: int
    end: int
    score: float


class Analyzer:
    """A stand-in with Presidio's own signature, which recognises one name."""

    def analyze(
        self, text: str, *, language: str, entities: Sequence[str] | None = None
    ) -> Sequence[Recognised]:
        assert language == "en" and entities is not None and "PERSON" in entities
        start = text.find("Zizi")
        found: list[Recognised] = (
            [] if start < 0 else [Recognition("PERSON", start, start + 4, 0.85)]
        )
        return [*found, Recognition("UNHEARD_OF", 0, 1, 1.0)]


def test_what_presidio_recognises_joins_what_the_rules_find() -> None:
    find = finder(["name", "email"], further=by_presidio(Analyzer()))
    text = "zizi? Zizi wrote to a@acme.com"
    spans = find(text)
    assert [(s.kind, text[s.start : s.end]) for s in spans] == [
        ("name", "Zizi"),
        ("email", "a@acme.com"),
    ]


def test_a_pipeline_that_is_not_installed_is_never_fetched() -> None:
    with pytest.raises(DataError) as caught:
        open_analyzer("en_core_web_nothing")
    problem = caught.value.problems[0]
    assert problem.code == "DAT-073"
    if find_spec("presidio_analyzer") is None:
        assert "freehold[presidio]" in problem.help
    else:
        assert "en_core_web_nothing" in problem.message
