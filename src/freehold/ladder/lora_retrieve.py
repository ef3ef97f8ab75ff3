"""Rung 6: the prompts of the retrieve rung, asked of the model that the lora rung trained.

Nothing is trained here, so that general ability is the lora rung's own. Examples and passages supply what
the adapter has not learnt, and may change without a training.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from freehold.ladder import lora, retrieve
from freehold.ladder.prompts import Asker
from freehold.ladder.retrieve import (
    RETRIEVED_FILES,
    RetrievingAnswerer,
    build_retrieving,
    retrieving,
)
from freehold.ladder.rung import Built, DevScores, Files, Rung, Variant
from freehold.ladder.structured import constrained_asker
from freehold.ladder.tools import Tools


def _missing(tools: Tools) -> str | None:
    return retrieve.RUNG.missing(tools) or lora.RUNG.missing(tools)


def _variants(tools: Tools) -> tuple[Variant, ...]:
    trained = lora.stood_on(tools)
    return tuple(
        Variant(variant.name, {**variant.spec, **trained})
        for variant in retrieve.RUNG.variants(tools)
    )


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    trained = tools.built("lora")

    def asker_of(spec: Mapping[str, JsonValue]) -> Asker:
        model = lora.lora_model({**spec, **trained.spec}, trained.files, tools)
        return constrained_asker(spec, tools).with_model(model)

    prompts = build_retrieving(variant, tools, dev_scores, asker_of=asker_of)
    return Built(
        files={**trained.files, **prompts.files},
        spec={**prompts.spec, "training": trained.spec["training"]},
        earlier_seconds=trained.earlier_seconds + prompts.earlier_seconds,
    )


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> RetrievingAnswerer:
    adapter = {name: data for name, data in files.items() if name not in RETRIEVED_FILES}
    model = lora.lora_model(spec, adapter, tools)
    return retrieving(spec, files, tools, asker=constrained_asker(spec, tools).with_model(model))


RUNG = Rung(
    name="lora+retrieve",
    missing=_missing,
    variants=_variants,
    build=_build,
    load=_load,
    changes_weights=True,
)
