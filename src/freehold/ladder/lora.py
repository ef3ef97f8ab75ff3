"""Rung 5: an adapter trained on the examples; the weights with the best dev metric are kept.

The prompt is the instruction and the question alone: what the other rungs say in the prompt, this
one has learnt. Decoding is held to the labels or the schema, as in the rungs below.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue

from freehold.core.sections import LoraSpec
from freehold.core.snapshot import Example
from freehold.ladder.prompts import (
    Asker,
    answer_text,
    answer_tokens,
    constraint_of,
    conversation,
    system_text,
)
from freehold.ladder.rung import Built, DevScores, Files, Rung, Variant, nothing_is_missing
from freehold.ladder.tools import Tools
from freehold.ladder.tuning import Order, local_model, tune_rung, unpacked
from freehold.ladder.zero_shot import FixedPromptAnswerer
from freehold.models.door import Model

ADAPTERS = "candidates"


def _variants(tools: Tools) -> tuple[Variant, ...]:
    spec = tools.task.ladder.lora
    settings = spec.to_json()
    if not isinstance(settings, dict):
        raise TypeError("a spec is a mapping")
    return (Variant(f"r={spec.r} {spec.effort}", {"lora": settings}),)


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    from freehold.train.retention import watched_rows
    from freehold.train.rows import TrainingRow
    from freehold.train.sft import sft_lesson

    base = local_model(tools.start())
    system = system_text(tools.task, list_labels=False)
    max_tokens = answer_tokens(tools, base)

    def render(example: Example) -> TrainingRow:
        prompt = conversation(system, example)
        return TrainingRow(prompt=prompt, answer=answer_text(example.target))

    spec = LoraSpec.from_json(json.dumps(variant.spec["lora"]))
    lesson = sft_lesson(
        tools.train.examples,
        base=base,
        render=render,
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
            answerer=lambda model: _answerer(tools, model, max_tokens),
            made_of=(variant.spec, tools.task.question_digest, tools.train.digest, base.digest),
            task_rows=watched_rows(lesson.rows, base, top_k=spec.retention.top_k),
        ),
        tools,
        dev_scores,
    )
    return Built(files=tuned.files, spec={"max_tokens": max_tokens, "training": tuned.name})


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> FixedPromptAnswerer:
    folder = unpacked(files, tools, where=ADAPTERS, name=str(spec["training"]))
    adapted = tools.task.base.model_copy(update={"adapter": str(folder)})
    return _answerer(tools, tools.models.base(adapted), int(str(spec["max_tokens"])))


def _answerer(tools: Tools, model: Model, max_tokens: int) -> FixedPromptAnswerer:
    asker = Asker(
        model,
        tools.task.output,
        max_tokens=max_tokens,
        constraint=constraint_of(tools.task.output),
    )
    return FixedPromptAnswerer(asker=asker, system=system_text(tools.task, list_labels=False))


RUNG = Rung(
    name="lora",
    missing=nothing_is_missing,
    variants=_variants,
    build=_build,
    load=_load,
    changes_weights=True,
)
