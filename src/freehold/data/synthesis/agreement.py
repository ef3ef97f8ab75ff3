"""Whether a teacher that is asked again gives the answer that a new row claims (self-consistency)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

from freehold.core.message import Message, assistant, system, user
from freehold.core.record import digest_json
from freehold.core.snapshot import Example
from freehold.core.task import LabelOutput
from freehold.data.synthesis.filters import Judge
from freehold.data.synthesis.material import Material, answer_text
from freehold.data.synthesis.teacher import Asked

Score: TypeAlias = Callable[[Example, str, bool], "float | None"]
"""The task's score of an answer: the row, the raw text, whether it was cut off; None: not scored."""

MOST_SHOTS = 8
SHOTS_WITH_CONTEXT = 2
LABEL_SHARE_OF_CONTEXT = 0.5
"""The list of labels may take this share of what the teacher reads; beyond it the list is left out."""


def teacher_judge(
    asked: Asked, material: Material, *, answers: int, score: Score, max_tokens: int
) -> Judge:
    """Return a judge that lets the teacher answer each new input `answers` times.

    The answers are greedy, so that each time other training rows stand before the question. It uses
    `answers` calls a row.
    """
    instruction = _instruction(asked, material)

    def judge(rows: Sequence[Example]) -> list[float | None]:
        prompts = [
            _question(material, row, instruction=instruction, time=time)
            for row in rows
            for time in range(answers)
        ]
        replies = asked.ask(prompts, max_tokens=max_tokens)
        means: list[float | None] = []
        for place, row in enumerate(rows):
            given = replies[place * answers : (place + 1) * answers]
            scores = [
                score(row, reply.text, reply.truncated) for reply in given if reply.failure is None
            ]
            known = [value for value in scores if value is not None]
            means.append(sum(known) / len(known) if known else None)
        return means

    return judge


def _question(
    material: Material, row: Example, *, instruction: str, time: int
) -> tuple[Message, ...]:
    rng = Random(digest_json("judge", [row.content_digest, time]))
    turns = [system(instruction)]
    for shot in _shots(material, rng, most=SHOTS_WITH_CONTEXT if row.context else MOST_SHOTS):
        turns.append(user(_asked(shot)))
        turns.append(assistant(answer_text(shot.target)))
    return (*turns, user(_asked(row)))


def _shots(material: Material, rng: Random, *, most: int) -> list[Example]:
    """Draw one row for each of some answers, in a random order."""
    answers = tuple(material.by_answer)
    chosen = rng.sample(answers, min(most, len(answers)))
    return [rng.choice(material.by_answer[answer]) for answer in chosen]


def _instruction(asked: Asked, material: Material) -> str:
    """Return the instruction, with the list of labels where it leaves room for rows."""
    output, teacher = material.output, asked.teacher
    if not isinstance(output, LabelOutput):
        return material.instruction
    listed = f"{material.instruction}\nAnswer with one of: {', '.join(output.labels)}."
    tokens = teacher.count_tokens((system(listed), user("")))
    fits = tokens <= LABEL_SHARE_OF_CONTEXT * teacher.context_tokens
    return listed if fits else material.instruction


def _asked(row: Example) -> str:
    return f"Context: {row.context}\n\nQuestion: {row.input}" if row.context else row.input
