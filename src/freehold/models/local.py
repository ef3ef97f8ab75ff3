# pyright: standard
"""A model in this process: transformers weights behind the one door."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch

from freehold.core.message import Message
from freehold.core.outcome import Cause, Failed
from freehold.core.sections import BaseModelSpec
from freehold.models.batching import common_prefix
from freehold.models.calls import Call, TokenRows
from freehold.models.choose import (
    LOGIT_CELLS,
    OptionTrie,
    option_tries,
    score_answers,
    score_options,
)
from freehold.models.constrain import GuideMaker, SchemaGuides, labels_guide
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
)
from freehold.models.generate import Finished, Limits, generate_batch
from freehold.models.loading import Loaded, load, pick_device
from freehold.models.network import Prefix
from freehold.models.sources import ModelFiles, find_model
from freehold.models.texts import (
    TextPair,
    lone_rows,
    pair_tokens,
    score_rows,
    stop_texts,
    text_rows,
    unread,
)

Clock = Callable[[], float]


class LocalModel:
    """A causal language model with its weights in this process, for one caller at a time.

    Attributes:
        name: the id of its spec, with the adapter's folder where there is one.
        context_tokens: how many tokens prompt and answer may have together.
        files: what it was loaded from.
        loaded: the network and the chat format, for training and export.
    """

    def __init__(self, files: ModelFiles, loaded: Loaded, *, clock: Clock) -> None:
        self.name = files.name
        self.files = files
        self.loaded = loaded
        self.context_tokens = loaded.context_tokens
        self._clock = clock

    @property
    def digest(self) -> str:
        """`sha256:` over weights, config, tokenizer files and the adapter; read once, when asked."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return self.files.digest()

    @property
    def template_source(self) -> Literal["model", "fallback"]:
        """Whether prompts follow the model's own chat template, or the plain fallback."""
        return self.loaded.chat.template_source

    @property
    def scoring_path(self) -> Literal["tree", "separate"]:
        """Whether options are scored in one pass, or (where masks are not honoured) one by one."""
        return "separate" if self.loaded.network.mask_form is None else "tree"

    def generate(
        self,
        prompts: Sequence[Sequence[Message]],
        *,
        max_tokens: int,
        constraint: Constraint | None = None,
        on_answer: OnGeneration | None = None,
    ) -> tuple[Generation | Failed, ...]:
        """Answer each prompt greedily; see `Model.generate`.

        Raises:
            ModelError: the constraint's schema asks for something that cannot be enforced.
            ValueError: `max_tokens` is below 1.
        """
        if max_tokens < 1:
            raise ValueError(f"max_tokens is {max_tokens}; an answer has at least one token")
        new_guide, longest = self._guide(constraint, max_tokens)
        limits = Limits(max_tokens=max_tokens, stop_ids=self.loaded.chat.stop_ids)
        call: Call[Generation] = Call(
            self.loaded,
            prompts,
            [longest] * len(prompts),
            on_answer=on_answer,
            clock=self._clock,
        )

        def work(batch: Sequence[int], prefix: Prefix | None) -> None:
            for finished in generate_batch(
                self.loaded.network,
                [(place, call.rest(place)) for place in batch],
                limits,
                prefix=prefix,
                new_guide=new_guide,
                clock=self._clock,
            ):
                call.settle(finished.place, self._generation(finished, call))

        call.run(work, growth=longest)
        return call.results()

    def choose(
        self,
        prompts: Sequence[Sequence[Message]],
        options: Sequence[str],
        *,
        on_answer: OnChoice | None = None,
    ) -> tuple[Choice | Failed, ...]:
        """Score every option as the whole answer to each prompt; see `Model.choose`.

        Raises:
            ValueError: there is no option.
        """
        if not options:
            raise ValueError("choose needs at least one option")
        network = self.loaded.network
        sequences = [self._whole_answer(option) for option in options]
        longest = max(len(sequence) for sequence in sequences)
        tries = option_tries(
            sequences, most_nodes=max(64, LOGIT_CELLS // network.vocabulary), device=network.device
        )
        call: Call[Choice] = Call(
            self.loaded,
            prompts,
            [longest] * len(prompts),
            on_answer=on_answer,
            clock=self._clock,
        )

        def work(batch: Sequence[int], prefix: Prefix | None) -> None:
            before = self._clock()
            rests = [call.rest(place) for place in batch]
            scores = self._scores(rests, sequences, tries, prefix=prefix)
            seconds = (self._clock() - before) / len(batch)
            for place, logprobs in zip(batch, scores, strict=True):
                call.settle(place, _choice(options, logprobs, call.costs(place, seconds)))

        nodes = max(trie.nodes for trie in tries)
        call.run(work, growth=nodes, most_rows=self._rows_by_logits(nodes))
        return call.results()

    def answer_logprobs(
        self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]
    ) -> tuple[TokenLogprobs | Failed, ...]:
        """Return the log-probability of each token of `answers[i]` as the answer to `prompts[i]`.

        Raises:
            ValueError: the numbers of prompts and answers differ.
        """
        if len(prompts) != len(answers):
            raise ValueError(f"{len(prompts)} prompts, {len(answers)} answers")
        sequences = [self._whole_answer(answer) for answer in answers]
        lengths = [len(sequence) for sequence in sequences]
        call: Call[TokenLogprobs] = Call(
            self.loaded, prompts, lengths, on_answer=None, clock=self._clock
        )

        def work(batch: Sequence[int], prefix: Prefix | None) -> None:
            rows = [(call.rest(place), sequences[place]) for place in batch]
            scored = score_answers(self.loaded.network, rows, prefix=prefix)
            for place, (logprobs, is_greedy) in zip(batch, scored, strict=True):
                pieces = self.loaded.chat.pieces(sequences[place])
                call.settle(place, _token_logprobs(pieces, logprobs, is_greedy=is_greedy))

        longest = max(lengths, default=1)
        call.run(work, growth=longest, most_rows=self._rows_by_logits(longest))
        return call.results()

    def score_texts(
        self,
        contexts: Sequence[str],
        continuations: Sequence[str],
        *,
        on_answer: OnText | None = None,
    ) -> tuple[TextScore | Failed, ...]:
        """Return how likely each continuation is after its context; see `PlainText.score_texts`.

        Raises:
            ValueError: the numbers of contexts and continuations differ.
        """
        if len(contexts) != len(continuations):
            raise ValueError(f"{len(contexts)} contexts, {len(continuations)} continuations")
        pairs = pair_tokens(self.loaded.chat, contexts, continuations)
        results: dict[int, TextScore | Failed] = {}

        def settle(place: int, result: TextScore | Failed) -> None:
            results[place] = result
            if on_answer is not None:
                on_answer(place, result)

        open_places: list[int] = []
        for place, pair in enumerate(pairs):
            result = unread(pair, context_tokens=self.context_tokens)
            if result is None:
                open_places.append(place)
            else:
                settle(place, result)
        self._score_pairs([pairs[p] for p in open_places], lambda n, r: settle(open_places[n], r))
        return tuple(results[place] for place in range(len(pairs)))

    def continue_texts(
        self,
        texts: Sequence[str],
        *,
        max_tokens: int,
        until: Sequence[str] = (),
        on_answer: OnGeneration | None = None,
    ) -> tuple[Generation | Failed, ...]:
        """Go on with each text greedily; see `PlainText.continue_texts`.

        Raises:
            ValueError: `max_tokens` is below 1, or one of `until` is empty.
        """
        if max_tokens < 1 or not all(until):
            raise ValueError(
                f"max_tokens {max_tokens}, until {list(until)}: both must say something"
            )
        chat = self.loaded.chat
        rows = [ids or [chat.start_id] for ids in chat.plain_ids(texts)]
        stops = stop_texts(chat, until) if until else None
        limits = Limits(max_tokens=max_tokens, stop_ids=chat.stop_ids, is_over=stops)
        call: Call[Generation] = Call(
            self.loaded,
            TokenRows(rows),
            [max_tokens] * len(rows),
            on_answer=on_answer,
            clock=self._clock,
        )

        def work(batch: Sequence[int], prefix: Prefix | None) -> None:
            for finished in generate_batch(
                self.loaded.network,
                [(place, call.rest(place)) for place in batch],
                limits,
                prefix=prefix,
                new_guide=None,
                clock=self._clock,
            ):
                made = self._generation(finished, call)
                call.settle(finished.place, made if isinstance(made, Failed) else cut(made, until))

        call.run(work, growth=max_tokens)
        return call.results()

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt text, byte for byte as it is given to the tokenizer.

        Raises:
            ModelError: the chat template refuses these turns.
        """
        return self.loaded.chat.render(messages)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return how many tokens the rendered prompt has.

        Raises:
            ModelError: the chat template refuses these turns.
        """
        return len(self.loaded.chat.prompt_ids(messages))

    def close(self) -> None:
        """Drop the weights; on CUDA, give their memory back to other processes."""
        is_cuda = self.loaded.network.device.type == "cuda"
        del self.loaded
        if is_cuda:
            torch.cuda.empty_cache()

    def _score_pairs(
        self, pairs: Sequence[TextPair], settle: Callable[[int, TextScore | Failed], None]
    ) -> None:
        network = self.loaded.network
        if network.mask_form is None:
            rows = lone_rows(pairs)
        else:
            rows = text_rows(pairs, shared=common_prefix([pair.tokens for pair in pairs]))

        def on_row(place: int, scores: tuple[TextScore, ...] | Failed) -> None:
            members = rows[place].members
            each = (scores,) * len(members) if isinstance(scores, Failed) else scores
            for member, score in zip(members, each, strict=True):
                settle(member, score)

        call: Call[tuple[TextScore, ...]] = Call(
            self.loaded,
            TokenRows([list(row.root) for row in rows]),
            [0] * len(rows),
            on_answer=on_row,
            clock=self._clock,
        )

        def work(batch: Sequence[int], prefix: Prefix | None) -> None:
            scored = score_rows(network, [rows[place] for place in batch], prefix=prefix)
            for place, scores in zip(batch, scored, strict=True):
                is_number = all(-1e30 < score.logprob < 1e30 for score in scores)
                call.settle(place, scores if is_number else _not_numbers())

        nodes = [row.nodes for row in rows]
        most = max(nodes, default=0) + 1
        call.run(work, growth=0, most_rows=self._rows_by_logits(most), own=nodes)

    @cached_property
    def _schemas(self) -> SchemaGuides:
        return SchemaGuides(self.loaded.chat, vocabulary=self.loaded.network.vocabulary)

    def _whole_answer(self, text: str) -> tuple[int, ...]:
        return (*self.loaded.chat.answer_ids(text), self.loaded.chat.end_id)

    def _guide(
        self, constraint: Constraint | None, max_tokens: int
    ) -> tuple[GuideMaker | None, int]:
        """Return the maker of guides, None for free text, and how long an answer can become."""
        if constraint is None:
            return None, max_tokens
        if isinstance(constraint, OneOf):
            longest = max(len(self._whole_answer(label)) for label in constraint.labels)
            return labels_guide(self.loaded.chat, constraint.labels), min(longest, max_tokens)
        return self._schemas.guide(constraint.json_schema), max_tokens

    def _generation(self, finished: Finished, call: Call[Generation]) -> Generation | Failed:
        if finished.error is not None:
            return Failed(cause=Cause.ENGINE, message=finished.error)
        prompt_tokens, seconds = call.costs(finished.place, finished.seconds)
        return Generation(
            text=self.loaded.chat.decode(finished.tokens),
            prompt_tokens=prompt_tokens,
            answer_tokens=len(finished.tokens),
            truncated=finished.truncated,
            seconds=seconds,
        )

    def _scores(
        self,
        prompts: Sequence[Sequence[int]],
        sequences: Sequence[tuple[int, ...]],
        tries: Sequence[OptionTrie],
        *,
        prefix: Prefix | None,
    ) -> list[list[float]]:
        network = self.loaded.network
        if network.mask_form is not None:
            return score_options(network, prompts, tries, prefix=prefix).tolist()
        return [
            [
                sum(next(score_answers(network, [(prompt, sequence)], prefix=None))[0])
                for sequence in sequences
            ]
            for prompt in prompts
        ]

    def _rows_by_logits(self, positions: int) -> int:
        return max(1, LOGIT_CELLS // (positions * self.loaded.network.vocabulary))


def open_local(
    spec: BaseModelSpec, *, cache: Path, online: bool = False, clock: Clock = time.perf_counter
) -> LocalModel:
    """Open the model that `spec` names: on the first CUDA device in bfloat16, else on the CPU in float32.

    Args:
        spec: `freehold/acorn` (bundled), a folder, or a Hugging Face id; and an adapter folder.
        cache: the folder of downloaded models.
        online: whether a missing model may be downloaded.
        clock: seconds, for the times that results carry.

    Raises:
        ModelError: the model is missing, unsafe, damaged, or of a kind that cannot be used.
    """
    files = find_model(spec, cache=cache, online=online)
    return LocalModel(files, load(files, device=pick_device()), clock=clock)


def _choice(
    options: Sequence[str], logprobs: Sequence[float], costs: tuple[int, float]
) -> Choice | Failed:
    if not all(-1e30 < value < 1e30 for value in logprobs):
        return _not_numbers()
    index = max(range(len(options)), key=lambda place: logprobs[place])
    return Choice(
        index=index,
        label=options[index],
        logprobs=tuple(logprobs),
        prompt_tokens=costs[0],
        seconds=costs[1],
    )


def _token_logprobs(
    pieces: tuple[str, ...], logprobs: tuple[float, ...], *, is_greedy: bool
) -> TokenLogprobs | Failed:
    if not all(-1e30 < value < 1e30 for value in logprobs):
        return _not_numbers()
    return TokenLogprobs(tokens=pieces, logprobs=logprobs, is_greedy=is_greedy)


def _not_numbers() -> Failed:
    return Failed(cause=Cause.ENGINE, message="the network's scores are not numbers")
