"""A model that answers from a script: the shipped test double. Deterministic, no ML stack."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from pydantic import JsonValue

from freehold.core.message import Message, user
from freehold.core.outcome import Failed
from freehold.core.record import digest_json
from freehold.models.door import (
    Choice,
    Constraint,
    Generation,
    OnChoice,
    OneOf,
    OnGeneration,
    OnText,
    TextScore,
    TokenLogprobs,
    cut,
    too_long,
)

Script: TypeAlias = Mapping[str, str] | Callable[[Sequence[Message]], str]
ChoiceScript: TypeAlias = Callable[[Sequence[Message], Sequence[str]], Sequence[float]]

# What an option that the script does not name gets: far below the other, but a number.
UNLIKELY = math.log(1e-9)


class ScriptedModel:
    """Answers from `answers`: the last message's content to its answer, or a function of the messages.

    A token is a word: text divided at white space. A label constraint gives the script's answer when
    it is one of the labels, else the first label; a schema constraint leaves the answer as it is.
    `choose` gives probability 1 to the option that equals the script's answer (the first option where
    none does), or the log-probabilities that `choices(messages, options)` returns.

    Args:
        answers: the script.
        choices: log-probabilities of options, for tests that need more than a winner.
        default: the answer to a prompt that a mapping does not hold; None makes it a KeyError.
        name: what the model is called; part of its digest.
        context_tokens: how many words prompt and answer may have together.
    """

    def __init__(
        self,
        answers: Script,
        *,
        choices: ChoiceScript | None = None,
        default: str | None = None,
        name: str = "scripted",
        context_tokens: int = 100_000,
    ) -> None:
        self._table: Mapping[str, str] | None = None if callable(answers) else answers
        self._function = answers if callable(answers) else None
        self._choices = choices
        self._default = default
        self.name = name
        self.context_tokens = context_tokens
        self.calls = 0

    @property
    def digest(self) -> str:
        """Over the name, and the script where it is a mapping."""
        script: JsonValue = None if self._table is None else {**self._table}
        return digest_json("ScriptedModel", [self.name, script, self._default])

    def generate(
        self,
        prompts: Sequence[Sequence[Message]],
        *,
        max_tokens: int,
        constraint: Constraint | None = None,
        on_answer: OnGeneration | None = None,
    ) -> tuple[Generation | Failed, ...]:
        """Answer each prompt from the script, cut to `max_tokens` words."""
        results: list[Generation | Failed] = []
        for position, prompt in enumerate(prompts):
            self.calls += 1
            result = self._generate(prompt, max_tokens, constraint)
            results.append(result)
            if on_answer is not None:
                on_answer(position, result)
        return tuple(results)

    def choose(
        self,
        prompts: Sequence[Sequence[Message]],
        options: Sequence[str],
        *,
        on_answer: OnChoice | None = None,
    ) -> tuple[Choice | Failed, ...]:
        """Choose as the script says."""
        results: list[Choice | Failed] = []
        for position, prompt in enumerate(prompts):
            self.calls += 1
            result = self._choose(prompt, options)
            results.append(result)
            if on_answer is not None:
                on_answer(position, result)
        return tuple(results)

    def answer_logprobs(
        self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]
    ) -> tuple[TokenLogprobs | Failed, ...]:
        """Give each word probability 1 where `answers[i]` is the script's answer, else nearly 0."""
        results: list[TokenLogprobs | Failed] = []
        for prompt, answer in zip(prompts, answers, strict=True):
            words = (*answer.split(), "<end>")
            is_greedy = answer == self._answer(prompt)
            logprob = 0.0 if is_greedy else UNLIKELY
            failure = too_long(
                self.count_tokens(prompt), len(words), context_tokens=self.context_tokens
            )
            scored = TokenLogprobs(
                tokens=words, logprobs=(logprob,) * len(words), is_greedy=is_greedy
            )
            results.append(failure or scored)
        return tuple(results)

    def score_texts(
        self,
        contexts: Sequence[str],
        continuations: Sequence[str],
        *,
        on_answer: OnText | None = None,
    ) -> tuple[TextScore | Failed, ...]:
        """Give probability 1 to what the script answers to the whole context, else nearly 0."""
        results: list[TextScore | Failed] = []
        for place, (context, rest) in enumerate(zip(contexts, continuations, strict=True)):
            self.calls += 1
            asked, words = len(context.split()), len(rest.split())
            is_greedy = rest.strip() == self._answer((user(context),))
            failure = too_long(asked, words, context_tokens=self.context_tokens)
            logprob = 0.0 if is_greedy else UNLIKELY * words
            result = failure or TextScore(logprob=logprob, tokens=words, is_greedy=is_greedy)
            results.append(result)
            if on_answer is not None:
                on_answer(place, result)
        return tuple(results)

    def continue_texts(
        self,
        texts: Sequence[str],
        *,
        max_tokens: int,
        until: Sequence[str] = (),
        on_answer: OnGeneration | None = None,
    ) -> tuple[Generation | Failed, ...]:
        """Answer each text as if it were a user's turn, up to the first of `until`."""
        made = self.generate(
            [(user(text),) for text in texts], max_tokens=max_tokens, on_answer=on_answer
        )
        return tuple(one if isinstance(one, Failed) else cut(one, until) for one in made)

    def render(self, messages: Sequence[Message]) -> str:
        """Return the turns as `role: content` lines."""
        return "".join(f"{turn.role}: {turn.content}\n" for turn in messages) + "assistant:\n"

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return how many words the rendered prompt has."""
        return len(self.render(messages).split())

    def close(self) -> None:
        """Nothing to give back."""

    def _answer(self, prompt: Sequence[Message]) -> str:
        if self._function is not None:
            return self._function(prompt)
        asked = prompt[-1].content
        if self._table is not None and asked in self._table:
            return self._table[asked]
        if self._default is None:
            raise KeyError(f"the script has no answer to {asked!r}")
        return self._default

    def _generate(
        self, prompt: Sequence[Message], max_tokens: int, constraint: Constraint | None
    ) -> Generation | Failed:
        prompt_tokens = self.count_tokens(prompt)
        failure = too_long(prompt_tokens, max_tokens, context_tokens=self.context_tokens)
        if failure is not None:
            return failure
        text = self._answer(prompt)
        if isinstance(constraint, OneOf) and text not in constraint.labels:
            text = constraint.labels[0]
        words = text.split()
        is_cut = len(words) > max_tokens
        return Generation(
            text=" ".join(words[:max_tokens]) if is_cut else text,
            prompt_tokens=prompt_tokens,
            answer_tokens=min(len(words), max_tokens),
            truncated=is_cut,
            seconds=0.0,
        )

    def _choose(self, prompt: Sequence[Message], options: Sequence[str]) -> Choice | Failed:
        if not options:
            raise ValueError("choose needs at least one option")
        prompt_tokens = self.count_tokens(prompt)
        longest = max(len(option.split()) + 1 for option in options)
        failure = too_long(
            prompt_tokens, longest, context_tokens=self.context_tokens, what="the longest option"
        )
        if failure is not None:
            return failure
        logprobs = tuple(self._option_logprobs(prompt, options))
        index = max(range(len(options)), key=lambda place: logprobs[place])
        return Choice(
            index=index,
            label=options[index],
            logprobs=logprobs,
            prompt_tokens=prompt_tokens,
            seconds=0.0,
        )

    def _option_logprobs(
        self, prompt: Sequence[Message], options: Sequence[str]
    ) -> Sequence[float]:
        if self._choices is not None:
            return self._choices(prompt, options)
        answer = self._answer(prompt)
        likeliest = options.index(answer) if answer in options else 0
        return [0.0 if place == likeliest else UNLIKELY for place in range(len(options))]
