"""Rung 7: preference tuning on top of the lora rung, from given pairs or from its errors on train.

A fresh adapter is trained on the base with lora's, and both are joined exactly into one adapter for
the untouched base. An error of lora's on a training row, decoding held to nothing, is the rejected answer
to the row's own target.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue

from freehold.core.preference import JudgedAnswer, Preference, PreferencePair
from freehold.core.sections import PreferSpec, TunedKind
from freehold.core.snapshot import Example
from freehold.ladder import lora
from freehold.ladder.prompts import answer_text, conversation, system_text
from freehold.ladder.rung import Built, DevScores, Files, Rung, SkippedError, Trials, Variant
from freehold.ladder.tools import Standing, Tools
from freehold.ladder.trained import (
    FOLDER,
    RIGHT,
    joined,
    opened,
    plain_answerer,
    plain_spec,
    renderer,
    said_settings,
    scored_by,
    settings_of,
    shorter_training,
    specs_tried,
    train_answers,
    trials_of,
)
from freehold.ladder.tuning import Order, local_model, tune_rung, unpacked
from freehold.ladder.zero_shot import FixedPromptAnswerer

JOINABLE: frozenset[TunedKind] = frozenset({"lora", "rslora", "qlora", "osf"})
"""Kinds whose updates add up to one plain LoRA adapter."""


def _missing(tools: Tools) -> str | None:
    return lora.RUNG.missing(tools) or _kinds(tools) or _too_few(tools)


def _kinds(tools: Tools) -> str | None:
    """Say where the two updates cannot be joined: before anything is trained."""
    ladder = tools.task.ladder
    for name, kind in (("lora", ladder.lora.kind), ("prefer", ladder.prefer.kind)):
        if kind not in JOINABLE:
            return (
                f"missing input: an update of kind {kind} cannot be joined with another;"
                f" set ladder.{name}.kind: lora"
            )
    return None


def _too_few(tools: Tools) -> str | None:
    spec, given = tools.task.ladder.prefer, tools.preferences
    if not given:
        rows = len(tools.train.examples)
        if rows >= spec.pairs:
            return None
        return (
            f"missing input: {rows} training rows, {spec.pairs} pairs needed; add data.preferences"
        )
    judged = [one.is_good for one in given if isinstance(one, JudgedAnswer)]
    if judged and spec.method != "kto":
        return (
            f"missing input: {spec.method} compares pairs of answers, and {len(judged)} of {len(given)} rows"
            " of data.preferences are judged answers; set ladder.prefer.method: kto"
        )
    if len(judged) == len(given) and len(set(judged)) == 1:
        kinds = ("good", "bad") if judged[0] else ("bad", "good")
        return (
            f"missing input: all {len(judged)} judged answers are {kinds[0]};"
            f" add {kinds[1]} ones to data.preferences"
        )
    return None


def _variants(tools: Tools) -> tuple[Variant, ...]:
    own = tools.task.ladder.prefer
    return tuple(_variant(spec, said, tools) for said, spec in specs_tried(own))


def _variant(spec: PreferSpec, said: str, tools: Tools) -> Variant:
    settings: dict[str, JsonValue] = {
        "prefer": settings_of(spec),
        "preferences": tools.task.preferences_digest,
    }
    if not tools.preferences:
        settings |= scored_by(tools)
    return Variant(f"{spec.method} {spec.effort}{said}", {**lora.stood_on(tools), **settings})


def _trials(tools: Tools) -> Trials | None:
    own = tools.task.ladder.prefer
    return trials_of(
        own, lambda given: _variant(plain_spec(own, given), said_settings(given), tools)
    )


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    from freehold.train.preference import preference_lesson
    from freehold.train.retention import watched_rows
    from freehold.train.sft import sft_lesson

    spec = PreferSpec.from_json(json.dumps(variant.spec["prefer"]))
    before = tools.built("lora")
    start = local_model(lora.lora_model(before.spec, before.files, tools))
    reference = local_model(tools.base())
    max_tokens = int(str(before.spec["max_tokens"]))
    preferences = _given(tools) or _mined(before, spec, tools)
    task = sft_lesson(
        tools.train.examples, base=reference, render=renderer(tools), max_length=spec.max_length
    )
    tuned = tune_rung(
        Order(
            name="prefer",
            spec=spec,
            lesson=preference_lesson(preferences, base=start, spec=spec),
            base=start,
            reference=reference,
            answerer=lambda model: plain_answerer(tools, model, max_tokens),
            made_of=(variant.spec, tools.task.question_digest, tools.train.digest, before.digest),
            task_rows=watched_rows(task.rows, reference, top_k=spec.retention.top_k),
        ),
        tools,
        dev_scores,
    )
    folder = unpacked(before.files, tools, where=FOLDER, name=str(before.spec["training"]))
    return Built(
        files=joined(tuned.files, folder, tools),
        spec={"max_tokens": max_tokens, "training": tuned.name},
        earlier_seconds=before.earlier_seconds,
    )


def _given(tools: Tools) -> tuple[Preference, ...]:
    """Return the user's own preferences, asked as the rung asks, without what is near a held-out row."""
    system = system_text(tools.task, list_labels=False)
    kept: list[Preference] = []
    for one in tools.preferences:
        if tools.resembles_held_out(one.prompt[-1].content):
            continue
        asked = Example(id="", input=one.prompt[-1].content, target="", history=one.prompt[:-1])
        kept.append(one.model_copy(update={"prompt": conversation(system, asked)}))
    if tools.preferences and not kept:
        raise SkippedError(
            f"all {len(tools.preferences)} rows of data.preferences resemble held-out rows;"
            " add preferences for other inputs"
        )
    return tuple(kept)


def _mined(before: Standing, spec: PreferSpec, tools: Tools) -> tuple[PreferencePair, ...]:
    """Return lora's wrong answers on train, each beside the target that it missed.

    Raises:
        SkippedError: they are fewer than `spec.pairs`.
    """
    max_tokens = int(str(before.spec["max_tokens"]))
    model = lora.lora_model(before.spec, before.files, tools)
    free = plain_answerer(tools, model, max_tokens, is_held=False)
    said = train_answers(free, tools, name=f"free {model.digest} {max_tokens}")
    system = system_text(tools.task, list_labels=False)
    pairs = [
        PreferencePair(
            prompt=conversation(system, example),
            chosen=answer_text(example.target),
            rejected=said[example.id],
            source=example.source,
            row=example.row,
        )
        for example in tools.train.examples
        if example.id in said and _is_wrong(example, said[example.id], tools)
    ]
    if len(pairs) < spec.pairs:
        raise SkippedError(
            f"lora's errors on train gave {len(pairs)} pairs, {spec.pairs} needed;"
            " add data.preferences"
        )
    return tuple(pairs)


def _is_wrong(example: Example, raw: str, tools: Tools) -> bool:
    """Tell whether an answer is worth rejecting: scored, below right, and not the target itself."""
    score = tools.score_train(example, raw)
    return (
        score is not None and score < RIGHT and raw.strip() != answer_text(example.target).strip()
    )


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> FixedPromptAnswerer:
    model = opened(str(spec["training"]), files, tools, base=tools.task.base)
    return plain_answerer(tools, model, int(str(spec["max_tokens"])))


RUNG = Rung(
    name="prefer",
    missing=_missing,
    variants=_variants,
    build=_build,
    load=_load,
    changes_weights=True,
    trials=_trials,
    shorter=shorter_training("prefer"),
)
