"""The one door to any model: what every model can do, whatever runs it.

A rung, a probe or a page holds a `Model` and never asks what is behind it: weights in this process
(`local`), an endpoint, or a script of answers (`scripted`). Importing this module loads no ML stack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol, Self, TypeAlias, runtime_checkable

from pydantic import Field, JsonValue, model_validator

from freehold.core.message import Message
from freehold.core.outcome import Cause, Failed
from freehold.core.record import Record

Tokens: TypeAlias = Annotated[int, Field(ge=0)]
Seconds: TypeAlias = Annotated[float, Field(ge=0)]
Prompt: TypeAlias = Sequence[Message]


class Generation(Record):
    """An answer in free or constrained text, decoded greedily.

    `answer_tokens` leaves out the token that ends the turn. `truncated`: the answer reached
    `max_tokens` before it ended. `seconds` is this prompt's share of the wall time of its call: the
    time of each step is divided by the prompts that took part in it. `latency_seconds` is the time of
    the prompt's own request, where it had one.
    """

    text: str
    prompt_tokens: Tokens
    answer_tokens: Tokens
    truncated: bool
    seconds: Seconds
    latency_seconds: Seconds | None = None


class Choice(Record):
    """The most likely of the given options.

    `logprobs` has the natural log-probability of each option as the whole answer, the token that
    ends the turn included, in the order of the options. `index` is its argmax (the first of equals),
    and `label` the option there. An engine that cannot tell probabilities leaves `logprobs` empty: the
    option is then the one that it wrote. `answer_tokens` is how many tokens were written, 0 where the
    options were scored.
    """

    index: Tokens
    label: str
    logprobs: tuple[float, ...]
    prompt_tokens: Tokens
    seconds: Seconds
    answer_tokens: Tokens = 0
    latency_seconds: Seconds | None = None

    @model_validator(mode="after")
    def _has_the_index(self) -> Self:
        if self.logprobs and self.index >= len(self.logprobs):
            raise ValueError(f"index {self.index} is outside {len(self.logprobs)} options")
        return self


class TokenLogprobs(Record):
    """The tokens of a given answer as text, the ending token last, and their log-probabilities.

    `is_greedy`: each of them is the likeliest token at its place, so that greedy decoding without a
    constraint writes exactly this answer.
    """

    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]
    is_greedy: bool

    @model_validator(mode="after")
    def _pairs_up(self) -> Self:
        if len(self.tokens) != len(self.logprobs):
            raise ValueError(f"{len(self.tokens)} tokens, {len(self.logprobs)} log-probabilities")
        return self


class TextScore(Record):
    """The natural log-probability of a text that goes on from another, over its `tokens` tokens.

    `is_greedy`: each of them is the likeliest at its place. Where the text ends the turn is not asked.
    """

    logprob: float
    tokens: Tokens
    is_greedy: bool


class OneOf(Record):
    """The answer is exactly one of these labels."""

    labels: Annotated[tuple[str, ...], Field(min_length=1)]


class FitsSchema(Record):
    """The answer is JSON text that is valid under `json_schema` (JSON Schema 2020-12)."""

    json_schema: dict[str, JsonValue]


Constraint: TypeAlias = OneOf | FitsSchema
OnGeneration: TypeAlias = Callable[[int, Generation | Failed], None]
OnChoice: TypeAlias = Callable[[int, Choice | Failed], None]


class Model(Protocol):
    """What every model can do. Results come in the order of the prompts.

    A prompt that does not fit the context together with its longest possible answer is
    `Failed(Cause.TOO_LONG)`: nothing is cut silently. An answer that the engine could not compute is
    `Failed(Cause.ENGINE)`. `on_answer(position, result)` is called once for each prompt as soon as
    it is finished, in any order, so that a caller can keep what was paid for.
    """

    @property
    def name(self) -> str:
        """The name that people know it by."""
        ...

    @property
    def digest(self) -> str:
        """`sha256:` over everything that decides the answers: weights, config, tokenizer, adapter.

        Of an endpoint, over what can be known of these: its name and what it answers to fixed prompts.
        """
        ...

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        ...

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        constraint: Constraint | None = None,
        on_answer: OnGeneration | None = None,
    ) -> tuple[Generation | Failed, ...]:
        """Answer each prompt greedily, with at most `max_tokens` tokens.

        Raises:
            ModelError: the constraint's schema asks for something that cannot be enforced.
        """
        ...

    def choose(
        self,
        prompts: Sequence[Prompt],
        options: Sequence[str],
        *,
        on_answer: OnChoice | None = None,
    ) -> tuple[Choice | Failed, ...]:
        """Score every option as the whole answer to each prompt, and choose the likeliest.

        Raises:
            ValueError: there is no option.
        """
        ...

    def answer_logprobs(
        self, prompts: Sequence[Prompt], answers: Sequence[str]
    ) -> tuple[TokenLogprobs | Failed, ...]:
        """Return the log-probability of each token of `answers[i]` as the answer to `prompts[i]`."""
        ...

    def render(self, messages: Prompt) -> str:
        """Return the prompt text, byte for byte as it is given to the tokenizer.

        An endpoint has its tokenizer elsewhere: there it is the JSON of the messages as they are sent.

        Raises:
            ModelError: the model's chat template refuses these turns. (In the calls above such a prompt
                is `Failed(Cause.ENGINE)`, and the others are answered.)
        """
        ...

    def count_tokens(self, messages: Prompt) -> int:
        """Return how many tokens the rendered prompt has; of an endpoint an estimate, mostly too high."""
        ...

    def close(self) -> None:
        """Give back memory. The model answers nothing afterwards."""
        ...


OnText: TypeAlias = Callable[[int, TextScore | Failed], None]


@runtime_checkable
class PlainText(Protocol):
    """What a model that shows its probabilities can do with text as it stands.

    No chat template is applied; a beginning that the tokenizer gives every text is added where the text
    has none. A rendered prompt (`Model.render`) is such a text. Standard suites are scored in this way.
    """

    def score_texts(
        self,
        contexts: Sequence[str],
        continuations: Sequence[str],
        *,
        on_answer: OnText | None = None,
    ) -> tuple[TextScore | Failed, ...]:
        """Return how likely `continuations[i]` is after `contexts[i]`, without a token that ends it.

        The two are tokenized together, and spaces at the end of a context count as the beginning of
        what follows. What pairs share at their beginning is read once, so that all options of one
        question, and its repetitions, should come in one call.

        Raises:
            ValueError: the numbers of contexts and continuations differ.
        """
        ...

    def continue_texts(
        self,
        texts: Sequence[str],
        *,
        max_tokens: int,
        until: Sequence[str] = (),
        on_answer: OnGeneration | None = None,
    ) -> tuple[Generation | Failed, ...]:
        """Go on with each text greedily, up to the first of `until`, which is left out.

        Raises:
            ValueError: `max_tokens` is below 1, or one of `until` is empty.
        """
        ...


def too_long(
    prompt_tokens: int, answer_tokens: int, *, context_tokens: int, what: str = "the answer"
) -> Failed | None:
    """Return the failure of a prompt that does not fit the context, None where it fits."""
    if prompt_tokens + answer_tokens <= context_tokens:
        return None
    return Failed(
        cause=Cause.TOO_LONG,
        message=f"the prompt has {prompt_tokens} tokens and {what} up to {answer_tokens},"
        f" together {prompt_tokens + answer_tokens}; the model reads {context_tokens}",
    )


def cut(made: Generation, until: Sequence[str]) -> Generation:
    """Return the answer up to the first of `until`."""
    ends = [place for end in until if (place := made.text.find(end)) >= 0]
    return made.model_copy(update={"text": made.text[: min(ends)]}) if ends else made
