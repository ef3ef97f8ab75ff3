"""The byte-exact messages of every prompting rung, and the answers that a model gives to them.

One form for all: the task's instruction as the system turn, examples as turns of user and assistant,
the input as the last user turn. What a candidate sends is made here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from freehold.core import message
from freehold.core.measure import Answer
from freehold.core.message import Message
from freehold.core.outcome import Failed
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, Output, Task
from freehold.evaluate.extract import extract
from freehold.ladder.rung import OnAnswer
from freehold.ladder.tools import Tools
from freehold.models.door import Choice, Constraint, FitsSchema, Generation, Model, OneOf
from freehold.models.remote import Remote

#: The list of allowed answers may take this share of the context; beyond it the list is left out.
LABEL_SHARE_OF_CONTEXT = 0.5
ANSWER_HEADROOM = 1.5
ANSWER_MARGIN_TOKENS = 8


def answer_text(target: JsonValue) -> str:
    """Return a target as an assistant turn: text as it is, other values as compact JSON."""
    return target if isinstance(target, str) else json.dumps(target, ensure_ascii=False)


def question_text(example: Example, passages: Sequence[str] = ()) -> str:
    """Return the user turn: the passages and the example's own context, if any, then the input."""
    context = [*passages, *([example.context] if example.context else [])]
    if not context:
        return example.input
    return "Context: " + "\n\n".join(context) + "\n\nQuestion: " + example.input


def system_text(task: Task, *, list_labels: bool) -> str:
    """Return the system turn: the instruction, and the list of allowed answers where it fits."""
    if list_labels and isinstance(task.output, LabelOutput):
        return f"{task.instruction}\nAnswer with one of: {', '.join(task.output.labels)}."
    return task.instruction


def conversation(
    system: str, example: Example, *, shots: Sequence[Example] = (), passages: Sequence[str] = ()
) -> tuple[Message, ...]:
    """Return the whole prompt: system, examples with their answers, earlier turns, the question.

    An example may bring a system turn of its own. Templates take one: it is joined to the task's,
    unless it says the same.
    """
    own = [turn.content for turn in example.history if turn.role == "system"]
    system = "\n\n".join([system, *(text for text in own if text not in system)]).strip()
    turns = [message.system(system)] if system else []
    for shot in shots:
        turns.append(message.user(question_text(shot)))
        turns.append(message.assistant(answer_text(shot.target)))
    history = [turn for turn in example.history if turn.role != "system"]
    return (*turns, *history, message.user(question_text(example, passages)))


def labels_fit(task: Task, model: Model) -> bool:
    """Tell whether the list of labels leaves enough of the context to the examples."""
    if not isinstance(task.output, LabelOutput):
        return False
    system = message.system(system_text(task, list_labels=True))
    tokens = model.count_tokens((system, message.user("")))
    return tokens <= LABEL_SHARE_OF_CONTEXT * model.context_tokens


def answer_tokens(tools: Tools, model: Model) -> int:
    """Return how many tokens an answer may take: the longest training answer and some room."""
    targets = sorted({answer_text(e.target) for e in tools.train.examples}, key=len)[-50:]
    empty = model.count_tokens((message.user(""), message.assistant("")))
    longest = max(
        model.count_tokens((message.user(""), message.assistant(target))) - empty
        for target in targets
    )
    wanted = int(ANSWER_HEADROOM * longest) + ANSWER_MARGIN_TOKENS
    return min(wanted, model.context_tokens // 2)


def drop_far_shots(
    model: Model, prompt: tuple[Message, ...], *, system_turns: int, reserve: int
) -> tuple[Message, ...]:
    """Return the prompt without its first examples, as many as needed to fit the context."""
    while len(prompt) > system_turns + 2 and (
        model.count_tokens(prompt) + reserve > model.context_tokens
    ):
        prompt = (*prompt[:system_turns], *prompt[system_turns + 2 :])
    return prompt


def constraint_of(output: Output) -> Constraint | None:
    """Return what decoding is held to: the labels, the schema, or nothing."""
    if isinstance(output, LabelOutput):
        return OneOf(labels=output.labels)
    if isinstance(output, JsonOutput):
        return FitsSchema(json_schema=output.json_schema)
    return None


@dataclass(frozen=True)
class Asker:
    """Asks a model and turns what it says into answers.

    With `score_labels` the answer is the label whose whole text is most probable, in one pass; an
    endpoint, which scores nothing, writes it. Else the model writes, held to `constraint` where there is one.
    """

    model: Model
    output: Output
    max_tokens: int
    constraint: Constraint | None = None
    score_labels: bool = False

    def ask(self, prompts: Sequence[tuple[Message, ...]], on_answer: OnAnswer) -> None:
        """Ask every prompt; `on_answer` gets each answer as soon as it is known."""
        is_scored = self.score_labels and not isinstance(self.model, Remote)
        if is_scored and isinstance(self.output, LabelOutput):
            self.model.choose(
                prompts,
                self.output.labels,
                on_answer=lambda index, choice: on_answer(index, _chosen(choice)),
            )
            return
        self.model.generate(
            prompts,
            max_tokens=self.max_tokens,
            constraint=self.constraint,
            on_answer=lambda index, written: on_answer(index, self._written(written)),
        )

    def with_model(self, model: Model) -> Asker:
        """Return the same asker over another model."""
        return replace(self, model=model)

    def _written(self, written: Generation | Failed) -> Answer | Failed:
        if isinstance(written, Failed):
            return written
        return Answer(
            raw=written.text,
            value=extract(written.text, self.output),
            seconds=written.seconds,
            prompt_tokens=written.prompt_tokens,
            answer_tokens=written.answer_tokens,
            truncated=written.truncated,
            latency_seconds=written.latency_seconds,
        )


def _chosen(choice: Choice | Failed) -> Answer | Failed:
    if isinstance(choice, Failed):
        return choice
    return Answer(
        raw=choice.label,
        value=choice.label,
        seconds=choice.seconds,
        prompt_tokens=choice.prompt_tokens,
        answer_tokens=choice.answer_tokens,
        latency_seconds=choice.latency_seconds,
    )


def shots_from_json(files: Mapping[str, bytes]) -> tuple[Example, ...]:
    """Read the examples of a candidate's `shots.json`."""
    return tuple(
        Example.model_validate(item, strict=False) for item in json.loads(files["shots.json"])
    )


def shots_to_json(shots: Sequence[Example]) -> bytes:
    """Write examples as a candidate's `shots.json`."""
    return json.dumps([shot.to_json() for shot in shots], ensure_ascii=False).encode()
