"""Rung 8: a smaller student learns the task from a teacher: a named model, or the best measured rung.

The student learns the teacher's answers to the training inputs, those alone that the scorer calls right.
With a teacher that speaks the student's tokens it may learn what the teacher says of every token, and on the
student's own samples. General ability is compared with that of the untrained student.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.core.errors import ModelError
from freehold.core.sections import BaseModelSpec, DistilSpec
from freehold.core.task import TextOutput
from freehold.ladder.prompts import Asker, answer_tokens, constraint_of, labels_fit, system_text
from freehold.ladder.rung import (
    Answerer,
    Built,
    DevScores,
    Files,
    Rung,
    SkippedError,
    Trials,
    Variant,
)
from freehold.ladder.tools import Standing, Tools
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

if TYPE_CHECKING:
    from freehold.models.local import LocalModel

KNOWS_BY_WEIGHTS = frozenset({"lora", "prefer", "full"})
"""Rungs whose knowledge is in their weights, so that their probabilities say it without a longer prompt."""


@dataclass(frozen=True)
class Teacher:
    """Who is imitated: how it answers, the name of everything that decides that, and its seconds so far.

    `weights` say of every token what the teacher does; None where its knowledge is in its prompts.
    """

    name: str
    digest: str
    answerer: Answerer
    weights: Model | None
    earlier_seconds: float = 0.0


def _missing(tools: Tools) -> str | None:
    if tools.task.ladder.distil.student is None:
        return "missing input: no student; set ladder.distil.student to a smaller model"
    return None


def _variants(tools: Tools) -> tuple[Variant, ...]:
    own = tools.task.ladder.distil
    return tuple(_variant(spec, said, tools) for said, spec in specs_tried(own))


def _variant(spec: DistilSpec, said: str, tools: Tools) -> Variant:
    settings: dict[str, JsonValue] = {"distil": settings_of(spec), **scored_by(tools)}
    if spec.teacher is None:
        best = _best(tools)
        settings |= {"teacher": {"rung": best.rung, "candidate": best.digest}}
        name = f"from {best.rung}"
    else:
        settings |= {"teacher": {"model": tools.models.base(BaseModelSpec(id=spec.teacher)).digest}}
        name = f"from {spec.teacher}"
    return Variant(f"{name}{said}", settings)


def _trials(tools: Tools) -> Trials | None:
    own = tools.task.ladder.distil
    return trials_of(
        own, lambda given: _variant(plain_spec(own, given), said_settings(given), tools)
    )


def _best(tools: Tools) -> Standing:
    best = tools.best_measured()
    if best is None:
        raise SkippedError(
            "missing input: no rung was measured that could teach; set ladder.distil.teacher"
        )
    return best


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    from freehold.train.distil import distil_lesson
    from freehold.train.retention import watched_rows
    from freehold.train.sft import sft_lesson

    spec = DistilSpec.from_json(json.dumps(variant.spec["distil"]))
    student = local_model(_student(tools))
    teacher = _teacher(spec, tools)
    weights = _scoring(spec, teacher, student)
    said = right_answers(train_answers(teacher.answerer, tools, name=teacher.digest), tools)
    examples = [example for example in tools.train.examples if example.id in said]
    if not examples:
        raise SkippedError(
            f"the teacher {teacher.name} answers none of the {len(tools.train.examples)} training rows"
            " rightly; set ladder.distil.teacher to a better one"
        )
    lesson = distil_lesson(
        examples, render=renderer(tools, said), student=student, teacher=weights, spec=spec
    )
    plain = sft_lesson(
        examples, base=student, render=renderer(tools, said), max_length=spec.max_length
    )
    max_tokens = answer_tokens(tools, student)
    tuned = tune_rung(
        Order(
            name="distil",
            spec=spec,
            lesson=lesson,
            base=student,
            reference=student,
            answerer=lambda model: plain_answerer(tools, model, max_tokens),
            made_of=(
                variant.spec,
                tools.task.question_digest,
                tools.train.digest,
                student.digest,
                lesson.digest,
            ),
            task_rows=watched_rows(plain.rows, student, top_k=spec.retention.top_k),
        ),
        tools,
        dev_scores,
    )
    return Built(
        files=tuned.files,
        spec={
            "max_tokens": max_tokens,
            "training": tuned.name,
            "taught": len(examples),
            "asked": len(tools.train.examples),
        },
        earlier_seconds=teacher.earlier_seconds,
    )


def _student(tools: Tools) -> Model:
    return tools.models.base(_student_spec(tools))


def _student_spec(tools: Tools) -> BaseModelSpec:
    student = tools.task.ladder.distil.student
    if student is None:
        raise SkippedError(str(_missing(tools)))
    return tools.task.base if student == tools.task.base.id else BaseModelSpec(id=student)


def _teacher(spec: DistilSpec, tools: Tools) -> Teacher:
    if spec.teacher is None:
        best = _best(tools)
        answerer = best.load()
        knows = best.rung in KNOWS_BY_WEIGHTS
        return Teacher(
            name=f"rung {best.rung}",
            digest=best.digest,
            answerer=answerer,
            weights=answerer.model if knows else None,
            earlier_seconds=best.earlier_seconds,
        )
    model = tools.models.base(BaseModelSpec(id=spec.teacher))
    return Teacher(
        name=spec.teacher, digest=model.digest, answerer=_untrained(model, tools), weights=model
    )


def _untrained(model: Model, tools: Tools) -> FixedPromptAnswerer:
    """Return a named teacher, asked as an untrained model is: with the list of labels where it fits."""
    output = tools.task.output
    asker = Asker(
        model,
        output,
        max_tokens=answer_tokens(tools, model),
        constraint=constraint_of(output),
        score_labels=not isinstance(output, TextOutput),
    )
    system = system_text(tools.task, list_labels=labels_fit(tools.task, model))
    return FixedPromptAnswerer(asker=asker, system=system)


def _scoring(spec: DistilSpec, teacher: Teacher, student: LocalModel) -> LocalModel | None:
    """Return the weights that score every token, None where answers are enough: before anything is asked.

    Raises:
        ModelError: the teacher cannot score the student's tokens.
    """
    from freehold.models.local import LocalModel
    from freehold.train.teacher import teacher_of

    if spec.divergence == "sequence" and spec.on_policy == 0:
        return None
    weights = teacher.weights
    if isinstance(weights, LocalModel) and weights.loaded is student.loaded:
        raise ModelError(
            "TRN-027",
            f"teacher and student are the same weights, {student.name}: they would change together",
            help="name a smaller model: freehold climb -s ladder.distil.student=FOLDER",
        )
    return teacher_of(student, weights if isinstance(weights, LocalModel) else None, spec)


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> FixedPromptAnswerer:
    model = opened(str(spec["training"]), files, tools, base=_student_spec(tools))
    return plain_answerer(tools, model, int(str(spec["max_tokens"])))


RUNG = Rung(
    name="distil",
    missing=_missing,
    variants=_variants,
    build=_build,
    load=_load,
    changes_weights=True,
    reference=_student,
    trials=_trials,
    shorter=shorter_training("distil"),
)
