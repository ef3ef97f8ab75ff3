"""Names, places and organisations by Presidio and an installed spaCy pipeline: the extra `presidio`.

Nothing is downloaded here: Presidio would fetch a pipeline that is missing, so it is looked for first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

from freehold.core.errors import DataError
from freehold.core.sections import PersonalKind
from freehold.data.personal.records import Found

PRESIDIO_KINDS: Mapping[str, PersonalKind] = {
    "PERSON": "name",
    "LOCATION": "place",
    "ORGANIZATION": "organisation",
    "NRP": "nationality",
}
_OF_PIPELINE: Mapping[str, str] = {
    "PER": "PERSON",
    "PERSON": "PERSON",
    "NORP": "NRP",
    "ORG": "ORGANIZATION",
    "LOC": "LOCATION",
    "GPE": "LOCATION",
    "FAC": "LOCATION",
    "DATE": "DATE_TIME",
    "TIME": "DATE_TIME",
}
_INSTALL = "pip install 'freehold[presidio]'"


class Recognised(Protocol):
    """What Presidio returns for one span."""

    entity_type: str
    start: int
    end: int
    score: float


class Analyzer(Protocol):
    """The part of Presidio's `AnalyzerEngine` that is used."""

    def analyze(
        self, text: str, *, language: str, entities: Sequence[str] | None = None
    ) -> Sequence[Recognised]:
        """Return every span that was recognised."""
        ...


def open_analyzer(model: str) -> Analyzer:
    """Open Presidio's analyzer with an installed spaCy pipeline, or one in a folder.

    Raises:
        DataError: DAT-073, Presidio or the pipeline is not installed.
    """
    if find_spec("presidio_analyzer") is None:
        raise DataError("DAT-073", "Presidio is not installed", help=_INSTALL)
    if find_spec(model) is None and not Path(model).is_dir():
        raise DataError(
            "DAT-073",
            f"there is no installed spaCy pipeline `{model}`",
            help="name one that `python -m spacy info` lists, or the folder of one",
        )
    # by name, as an environment without the extra has neither the package nor its types
    analyzers, engines = (
        import_module(name) for name in ("presidio_analyzer", "presidio_analyzer.nlp_engine")
    )
    provider = engines.NlpEngineProvider(
        nlp_configuration={
            "nlp_engine_name": "spacy",
            "models": [{"lang_code": "en", "model_name": model}],
            "ner_model_configuration": {
                "model_to_presidio_entity_mapping": dict(_OF_PIPELINE),
                "labels_to_ignore": [
                    *("CARDINAL", "EVENT", "LANGUAGE", "LAW", "MONEY", "ORDINAL", "PERCENT"),
                    *("PRODUCT", "QUANTITY", "WORK_OF_ART"),
                ],
            },
        }
    )
    # it warns of each recogniser of another language, of which none is used here
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    engine = analyzers.AnalyzerEngine(
        nlp_engine=provider.create_engine(), supported_languages=["en"]
    )
    return cast("Analyzer", engine)


def by_presidio(analyzer: Analyzer) -> Callable[[str], Iterator[Found]]:
    """Return the function that finds what the pipeline recognises, as Freehold's kinds."""
    entities = list(PRESIDIO_KINDS)

    def find(text: str) -> Iterator[Found]:
        for found in analyzer.analyze(text, language="en", entities=entities):
            kind = PRESIDIO_KINDS.get(found.entity_type)
            if kind is not None:
                yield Found(found.start, found.end, kind, found.score * 0.7, "presidio")

    return find
