"""Rung 9: every weight is trained; first on the documents, where there are any, then on the examples.

The candidate is a model of its own. Its size is chosen on the line from the base to what came out, both
trainings together, so that what the documents cost in general ability is weighed as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.core.sections import FullSpec
from freehold.ladder.prompts import answer_tokens
from freehold.ladder.rung import (
    Built,
    DevScores,
    Files,
    Rung,
    Trials,
    Variant,
    weights_are_missing,
)
from freehold.ladder.tools import Tools
from freehold.ladder.trained import (
    opened,
    plain_answerer,
    plain_spec,
    renderer,
    said_settings,
    settings_of,
    shorter_training,
    specs_tried,
    trials_of,
)
from freehold.ladder.tuning import Order, local_model, tune_rung
from freehold.ladder.zero_shot import FixedPromptAnswerer

if TYPE_CHECKING:
    from freehold.models.local import LocalModel


def _missing(tools: Tools) -> str | None:
    elsewhere = weights_are_missing(tools)
    if elsewhere:
        return elsewhere
    kind = tools.task.ladder.full.kind
    if kind != "full":
        return (
            f"missing input: ladder.full.kind is {kind}, and this rung trains every weight;"
            f" set ladder.lora.kind: {kind}"
        )
    return None


def _variants(tools: Tools) -> tuple[Variant, ...]:
    own = tools.task.ladder.full
    return tuple(_variant(spec, said, tools) for said, spec in specs_tried(own))


def _variant(spec: FullSpec, said: str, tools: Tools) -> Variant:
    settings: dict[str, JsonValue] = {"full": settings_of(spec)}
    if not _has_documents(spec, tools):
        return Variant(f"examples {spec.effort}{said}", settings)
    settings |= {"passages": tools.task.documents_digest}
    return Variant(f"documents + examples {spec.effort}{said}", settings)


def _trials(tools: Tools) -> Trials | None:
    own = tools.task.ladder.full
    return trials_of(
        own, lambda given: _variant(plain_spec(own, given), said_settings(given), tools)
    )


def _has_documents(spec: FullSpec, tools: Tools) -> bool:
    return bool(tools.passages) and spec.document_epochs > 0


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    from freehold.train.retention import watched_rows
    from freehold.train.sft import sft_lesson

    spec = FullSpec.from_json(json.dumps(variant.spec["full"]))
    base = local_model(tools.base())
    max_tokens = answer_tokens(tools, base)
    start = _after_documents(variant, tools, dev_scores) or base
    lesson = sft_lesson(
        tools.train.examples, base=base, render=renderer(tools), max_length=spec.max_length
    )
    tuned = tune_rung(
        Order(
            name="full",
            spec=spec,
            lesson=lesson,
            base=start,
            reference=base,
            answerer=lambda model: plain_answerer(tools, model, max_tokens),
            made_of=(variant.spec, tools.task.question_digest, tools.train.digest, start.digest),
            task_rows=watched_rows(lesson.rows, base, top_k=spec.retention.top_k),
        ),
        tools,
        dev_scores,
    )
    return Built(files=tuned.files, spec={"max_tokens": max_tokens, "training": tuned.name})


def _after_documents(variant: Variant, tools: Tools, dev_scores: DevScores) -> LocalModel | None:
    """Return the base after it has read the documents, None where there are none.

    The dev metric says nothing yet of weights that have not met the task, so the last ones are kept.
    """
    from freehold.train.documents import documents_lesson

    spec = FullSpec.from_json(json.dumps(variant.spec["full"]))
    if not _has_documents(spec, tools):
        return None
    base = local_model(tools.base())
    read = tune_rung(
        Order(
            name="documents",
            spec=spec.model_copy(update={"epochs": spec.document_epochs}),
            lesson=documents_lesson(tools.passages, base=base, max_length=spec.max_length),
            base=base,
            reference=base,
            answerer=lambda model: plain_answerer(tools, model, 1),
            made_of=(variant.spec, base.digest),
            is_examined=False,
        ),
        tools,
        dev_scores,
    )
    return local_model(opened(read.name, read.files, tools, base=tools.task.base))


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> FixedPromptAnswerer:
    model = opened(str(spec["training"]), files, tools, base=tools.task.base)
    return plain_answerer(tools, model, int(str(spec["max_tokens"])))


RUNG = Rung(
    name="full",
    missing=_missing,
    variants=_variants,
    build=_build,
    load=_load,
    changes_weights=True,
    trials=_trials,
    shorter=shorter_training("full"),
)
