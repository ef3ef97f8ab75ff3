"""Rung 5: an adapter trained on the examples; the weights with the best dev metric are kept.

The prompt is the instruction and the question alone: what the other rungs say in the prompt, this
one has learnt. Decoding is held to the labels or the schema, as in the rungs below.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue

from freehold.core.sections import LoraSpec
from freehold.core.task import LabelOutput
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
    right_answers,
    said_settings,
    scored_by,
    settings_of,
    shorter_training,
    specs_tried,
    train_answers,
    trials_of,
)
from freehold.ladder.tuning import Order, local_model, tune_rung
from freehold.ladder.zero_shot import FixedPromptAnswerer
from freehold.models.door import Model


def _variants(tools: Tools) -> tuple[Variant, ...]:
    own = tools.task.ladder.lora
    return tuple(_variant(spec, said, tools) for said, spec in specs_tried(own))


def _variant(spec: LoraSpec, said: str, tools: Tools) -> Variant:
    settings: dict[str, JsonValue] = {"lora": settings_of(spec)}
    if spec.rewrite:
        settings |= scored_by(tools)
    return Variant(f"r={spec.r} {spec.effort}{said}", settings)


def _trials(tools: Tools) -> Trials | None:
    own = tools.task.ladder.lora
    return trials_of(
        own, lambda given: _variant(plain_spec(own, given), said_settings(given), tools)
    )


def stood_on(tools: Tools) -> dict[str, JsonValue]:
    """Return what names this rung in the spec of one that stands on it: its settings, all that are tried."""
    own = tools.task.ladder.lora
    if own.search is not None:
        return {"lora": settings_of(own), **scored_by(tools)}
    variants = _variants(tools)
    if len(variants) == 1:
        return variants[0].spec
    tried: list[JsonValue] = [variant.spec for variant in variants]
    return {"lora": tried}


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    from freehold.train.retention import watched_rows
    from freehold.train.sft import sft_lesson

    base = local_model(tools.start())
    max_tokens = answer_tokens(tools, base)
    spec = LoraSpec.from_json(json.dumps(variant.spec["lora"]))
    lesson = sft_lesson(
        tools.train.examples,
        base=base,
        render=renderer(tools, own_words(spec, tools, max_tokens)),
        max_length=spec.max_length,
        objective=spec.objective,
    )
    tuned = tune_rung(
        Order(
            name="lora",
            spec=spec,
            lesson=lesson,
            base=base,
            reference=local_model(tools.base()),
            answerer=lambda model: plain_answerer(tools, model, max_tokens),
            made_of=(variant.spec, tools.task.question_digest, tools.train.digest, base.digest),
            task_rows=watched_rows(lesson.rows, base, top_k=spec.retention.top_k),
        ),
        tools,
        dev_scores,
    )
    return Built(files=tuned.files, spec={"max_tokens": max_tokens, "training": tuned.name})


def own_words(spec: LoraSpec, tools: Tools, max_tokens: int) -> dict[str, str]:
    """Return the base's own right answers, by example id, where the spec wants them as targets.

    A model forgets less from its own words than from another's (arXiv:2409.04787). A label has one
    wording, so that there is nothing to rewrite.
    """
    if not spec.rewrite or isinstance(tools.task.output, LabelOutput):
        return {}
    base = tools.base()
    answerer = plain_answerer(tools, base, max_tokens)
    return right_answers(train_answers(answerer, tools, name=f"{base.digest} {max_tokens}"), tools)


def lora_model(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> Model:
    """Return the base with the adapter of a built candidate of this rung."""
    return opened(str(spec["training"]), files, tools, base=tools.task.base)


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> FixedPromptAnswerer:
    return plain_answerer(tools, lora_model(spec, files, tools), int(str(spec["max_tokens"])))


RUNG = Rung(
    name="lora",
    missing=weights_are_missing,
    variants=_variants,
    build=_build,
    load=_load,
    changes_weights=True,
    trials=_trials,
    shorter=shorter_training("lora"),
)
