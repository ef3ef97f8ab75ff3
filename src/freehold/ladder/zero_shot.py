"""Rung 1: the instruction alone, and the list of allowed answers where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from freehold.core.message import Message
from freehold.core.snapshot import Example
from freehold.ladder.prompts import Asker, answer_tokens, conversation, labels_fit, system_text
from freehold.ladder.rung import (
    Built,
    DevScores,
    Files,
    OnAnswer,
    Rung,
    Variant,
    nothing_is_missing,
)
from freehold.ladder.tools import Tools
from freehold.models.door import Model


@dataclass(frozen=True)
class FixedPromptAnswerer:
    """Asks every example with the same system turn and the same examples before it."""

    asker: Asker
    system: str
    shots: tuple[Example, ...] = ()

    @property
    def model(self) -> Model:
        """The model that is asked."""
        return self.asker.model

    def answer(self, examples: Sequence[Example], on_answer: OnAnswer) -> None:
        """Answer each example."""
        self.asker.ask([self.messages(example) for example in examples], on_answer)

    def messages(self, example: Example) -> tuple[Message, ...]:
        """Return the messages for an example."""
        return conversation(self.system, example, shots=self.shots)


def prompt_settings(tools: Tools) -> dict[str, JsonValue]:
    """Return what building a prompting rung decides: the length of answers, the list of labels."""
    model = tools.base()
    return {
        "max_tokens": answer_tokens(tools, model),
        "list_labels": labels_fit(tools.task, model),
    }


def _variants(tools: Tools) -> tuple[Variant, ...]:
    del tools
    return (Variant("instruction", {}),)


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    del variant, dev_scores
    return Built(spec=prompt_settings(tools))


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> FixedPromptAnswerer:
    del files
    return FixedPromptAnswerer(
        asker=Asker(tools.base(), tools.task.output, max_tokens=int(str(spec["max_tokens"]))),
        system=system_text(tools.task, list_labels=bool(spec["list_labels"])),
    )


RUNG = Rung(
    name="zero_shot",
    missing=nothing_is_missing,
    variants=_variants,
    build=_build,
    load=_load,
)
