"""Rung 5: an adapter trained on the examples; the weights with the best dev metric are kept.

The prompt is the instruction and the question alone: what the other rungs say in the prompt, this
one has learnt. Decoding is held to the labels or the schema, as in the rungs below.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from freehold.core.errors import ModelError
from freehold.core.record import digest_json, short
from freehold.core.sections import LoraSpec
from freehold.core.snapshot import Example
from freehold.ladder.events import Progress
from freehold.ladder.prompts import (
    Asker,
    answer_text,
    answer_tokens,
    constraint_of,
    conversation,
    system_text,
)
from freehold.ladder.rung import Built, DevScore, Files, Rung, Variant, nothing_is_missing
from freehold.ladder.tools import Tools
from freehold.ladder.zero_shot import FixedPromptAnswerer
from freehold.models.door import Model
from freehold.store.blobs import write_durably
from freehold.train.records import Stepped, TrainEvent, Watch

TRAINING = "training"
ADAPTERS = "adapters"
RESULT = "training.json"


def _variants(tools: Tools) -> tuple[Variant, ...]:
    spec = tools.task.ladder.lora
    settings = spec.to_json()
    if not isinstance(settings, dict):
        raise TypeError("a spec is a mapping")
    return (Variant(f"r={spec.r} {spec.effort}", {"lora": settings}),)


def _build(variant: Variant, tools: Tools, dev_score: DevScore) -> Built:
    from freehold.models.local import LocalModel
    from freehold.train.lora import ADAPTER_FOLDER, train_lora
    from freehold.train.rows import TrainingRow

    base = tools.start()
    if not isinstance(base, LocalModel):
        raise ModelError(
            "MDL-020",
            f"{base.name} has no weights in this process, so no adapter can be trained on it",
            help="name a local model in `model`, or leave lora out of ladder.rungs",
        )
    system = system_text(tools.task, list_labels=False)
    max_tokens = answer_tokens(tools, base)

    def render(example: Example) -> TrainingRow:
        prompt = conversation(system, example)
        return TrainingRow(prompt=prompt, answer=answer_text(example.target))

    def score_dev(model: Model) -> float:
        return dev_score(_answerer(tools, model, max_tokens))

    spec = LoraSpec.from_json(json.dumps(variant.spec["lora"]))
    made_of: list[JsonValue] = [
        variant.spec,
        tools.task.question_digest,
        tools.train.digest,
        base.digest,
    ]
    name = digest_json("lora", made_of)
    folder = tools.store.folder / TRAINING / short(name)
    result = train_lora(
        spec,
        tools.train,
        base=base,
        render=render,
        score_dev=score_dev,
        folder=folder,
        watch=Watch(
            clock=tools.clock,
            on_event=lambda event: _tell(tools, event),
            should_stop=tools.should_stop,
        ),
    )
    files = _files_under(folder / ADAPTER_FOLDER)
    files[RESULT] = result.model_dump_json().encode()
    return Built(files=files, spec={"max_tokens": max_tokens, "training": short(name)})


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> FixedPromptAnswerer:
    name = digest_json("adapter", [{name: len(files[name])} for name in sorted(files)])
    folder = tools.store.folder / ADAPTERS / f"{spec['training']}-{short(name)}"
    for file, content in files.items():
        path = folder / file
        if not path.exists() or path.read_bytes() != content:
            write_durably(path, content)
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


def _tell(tools: Tools, event: TrainEvent) -> None:
    tools.on_training(event)
    if isinstance(event, Stepped):
        detail = f"loss {event.loss:.3f}"
        tools.on_progress(Progress("building", event.step, event.steps, detail))


def _files_under(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


RUNG = Rung(
    name="lora",
    missing=nothing_is_missing,
    variants=_variants,
    build=_build,
    load=_load,
    changes_weights=True,
)
