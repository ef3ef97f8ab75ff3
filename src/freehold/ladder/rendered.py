"""One row byte for byte as the base model will see it: the text of the prompt, of the answer, and the end."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.core.record import Record
from freehold.core.snapshot import Example
from freehold.core.task import Task
from freehold.ladder.prompts import answer_text, conversation, system_text
from freehold.models.chat import ChatFormat


class RenderedRow(Record):
    """One row as text. A model reads `prompt`, and learns or is asked for `answer`, then `end`.

    `template` says whose chat template made it: the model's own, or the plain fallback.
    """

    prompt: str
    answer: str
    end: str
    prompt_tokens: int
    answer_tokens: int
    template: str


def rendered_row(example: Example, task: Task, chat: ChatFormat) -> RenderedRow:
    """Return a row as training and asking render it, with the instruction and without examples.

    Raises:
        ModelError: the chat template refuses the turns of the row (MDL-013).
    """
    prompt = chat.render(conversation(system_text(task, list_labels=False), example))
    answer = answer_text(example.target)
    return RenderedRow(
        prompt=prompt,
        answer=answer,
        end="".join(chat.pieces([chat.end_id])),
        prompt_tokens=len(chat.tokenize([prompt])[0]),
        answer_tokens=len(chat.answer_ids(answer)) + 1,
        template=chat.template_source,
    )


def row_tokens(examples: Sequence[Example], task: Task, chat: ChatFormat) -> tuple[int, ...]:
    """Return how many tokens each row has: prompt, answer, and the token that ends it.

    Raises:
        ModelError: the chat template refuses the turns of a row (MDL-013).
    """
    system = system_text(task, list_labels=False)
    prompts = chat.tokenize([chat.render(conversation(system, example)) for example in examples])
    answers = (chat.answer_ids(answer_text(example.target)) for example in examples)
    return tuple(
        len(prompt) + len(answer) + 1 for prompt, answer in zip(prompts, answers, strict=True)
    )
