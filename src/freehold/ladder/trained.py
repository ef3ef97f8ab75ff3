"""What the trained rungs share: how they are asked, what they say to the training rows, how they are opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from pydantic import JsonValue, TypeAdapter

from freehold.core.measure import Answer
from freehold.core.outcome import Failed
from freehold.core.record import digest_json
from freehold.core.sections import BaseModelSpec, TuneSpec
from freehold.core.snapshot import Example
from freehold.ladder.events import Progress
from freehold.ladder.prompts import Asker, answer_text, constraint_of, conversation, system_text
from freehold.ladder.rung import Answerer, Files, Trials, Variant
from freehold.ladder.tools import Tools
from freehold.ladder.tuning import unpacked
from freehold.ladder.zero_shot import FixedPromptAnswerer
from freehold.models.door import Model
from freehold.models.sources import ADAPTER_CONFIG, ADAPTER_WEIGHTS, PROVENANCE
from freehold.store.blobs import write_durably
from freehold.train.rows import TrainingRow

FOLDER = "candidates"
RIGHT = 0.9
"""An answer to a training row is right from this score on: exactly right where a score is 0 or 1."""
_TEXT = TypeAdapter(str)


def settings_of(spec: TuneSpec) -> dict[str, JsonValue]:
    """Return the settings of a trained rung as JSON."""
    settings = spec.to_json()
    if not isinstance(settings, dict):
        raise TypeError("a spec is a mapping")
    return settings


S = TypeVar("S", bound=TuneSpec)


def plain_spec(spec: S, settings: Mapping[str, object] | None = None) -> S:
    """Return a spec that trains one variant: with these settings, and nothing to try or search.

    Raises:
        pydantic.ValidationError: the settings do not fit the spec.
    """
    plain = spec.model_copy(update={"tried": None, "search": None, **(settings or {})})
    return type(spec).from_json(plain.model_dump_json())


def specs_tried(spec: S) -> tuple[tuple[str, S], ...]:
    """Return every combination of `try`, with what it sets as text; the spec alone where nothing is tried."""
    listed = {name: values for name, values in spec.tried or () if values}
    found: list[tuple[str, S]] = []
    for values in product(*listed.values()):
        settings = dict(zip(listed, values, strict=True))
        found.append((said_settings(settings), plain_spec(spec, settings)))
    return tuple(found)


def said_settings(settings: Mapping[str, object]) -> str:
    """Return settings for people, such as ` learning_rate=0.0001 r=8`; nothing for none."""
    return "".join(
        f" {name}={value:g}" if isinstance(value, float) else f" {name}={value}"
        for name, value in settings.items()
    )


def trials_of(
    spec: TuneSpec, variant: Callable[[Mapping[str, JsonValue]], Variant]
) -> Trials | None:
    """Return the search over settings that a spec asks for."""
    return None if spec.search is None else Trials(spec.search, variant)


def shorter_training(name: str) -> Callable[[Variant, float], Variant | None]:
    """Return how a variant whose settings stand under `name` is trained for less: for a share of its epochs.

    Epochs that the spec leaves out follow from its effort and the number of rows; then less is quick effort,
    and of that there is nothing less (None).
    """

    def shorter(variant: Variant, share: float) -> Variant | None:
        settings = variant.spec[name]
        if not isinstance(settings, dict):
            raise TypeError("the settings of a trained variant are a mapping")
        if settings["epochs"] is not None:
            less: dict[str, JsonValue] = {"epochs": float(str(settings["epochs"])) * share}
        elif settings["effort"] != "quick":
            less = {"effort": "quick"}
        else:
            return None
        return Variant(variant.name, {**variant.spec, name: {**settings, **less}})

    return shorter


def scored_by(tools: Tools) -> dict[str, JsonValue]:
    """Return the metric, for the spec of a variant whose training rows the task's scorer chooses."""
    return {"scored_by": tools.task.metric.to_json()}


def plain_answerer(
    tools: Tools, model: Model, max_tokens: int, *, is_held: bool = True
) -> FixedPromptAnswerer:
    """Return a model that is asked with the instruction and the input alone.

    Decoding is held to the labels or the schema, unless `is_held` is False.
    """
    output = tools.task.output
    asker = Asker(
        model,
        output,
        max_tokens=max_tokens,
        constraint=constraint_of(output) if is_held else None,
    )
    return FixedPromptAnswerer(asker=asker, system=system_text(tools.task, list_labels=False))


def renderer(
    tools: Tools, answers: Mapping[str, str] | None = None
) -> Callable[[Example], TrainingRow]:
    """Return how an example becomes a training row: the prompt that is asked later, and the wanted answer.

    `answers` stand in for the targets of the examples that they name by id.
    """
    system, others = system_text(tools.task, list_labels=False), answers or {}

    def render(example: Example) -> TrainingRow:
        answer = others.get(example.id)
        return TrainingRow(
            prompt=conversation(system, example),
            answer=answer_text(example.target) if answer is None else answer,
        )

    return render


def train_answers(answerer: Answerer, tools: Tools, *, name: str) -> dict[str, str]:
    """Return what `answerer` says to the training examples, as text by id; failures are left out.

    `name` is everything that decides the answers. Each answer is kept as soon as it is known.
    """
    ledger = tools.store.ledger
    made_of: list[JsonValue] = [name, tools.train.digest, tools.task.question_digest]
    key = digest_json("answers on train", made_of)
    said = {one: _TEXT.validate_json(body) for one, body in ledger.results(key).items()}
    examples = [example for example in tools.train.examples if example.id not in said]
    done, total = len(said), len(tools.train.examples)

    def on_answer(index: int, answer: Answer | Failed) -> None:
        nonlocal done
        done += 1
        if isinstance(answer, Answer):
            said[examples[index].id] = answer.raw
            ledger.keep_result(key, examples[index].id, _TEXT.dump_json(answer.raw).decode())
        tools.on_progress(Progress("building", done, total, "answering the training rows"))

    if examples:
        answerer.answer(examples, on_answer)
    return said


def right_answers(said: Mapping[str, str], tools: Tools) -> dict[str, str]:
    """Return the answers to training examples that the task's scorer calls right, by example id."""
    found: dict[str, str] = {}
    for example in tools.train.examples:
        raw = said.get(example.id)
        score = None if raw is None else tools.score_train(example, raw)
        if raw is not None and score is not None and score >= RIGHT:
            found[example.id] = raw
    return found


def opened(training: str, files: Files, tools: Tools, *, base: BaseModelSpec) -> Model:
    """Return the model of a training's files: an adapter on `base`, or a model of its own."""
    folder = str(unpacked(files, tools, where=FOLDER, name=training))
    if ADAPTER_CONFIG in files:
        return tools.models.base(base.model_copy(update={"adapter": folder}))
    return tools.models.base(BaseModelSpec(id=folder))


def joined(files: Files, before: Path, tools: Tools) -> dict[str, bytes]:
    """Return a training's files with its adapter replaced by the sum of it and the one in `before`.

    Raises:
        ModelError: the updates do not add up to a plain LoRA adapter.
    """
    from freehold.train.join import join_lora

    with TemporaryDirectory(prefix="joining-", dir=tools.store.folder) as place:
        second, both = Path(place) / "second", Path(place) / "joined"
        for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS, PROVENANCE):
            if name in files:
                write_durably(second / name, files[name])
        join_lora(before, second, both)
        return {**files, **{file.name: file.read_bytes() for file in sorted(both.iterdir())}}
