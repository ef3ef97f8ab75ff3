# pyright: standard
"""One call of a local model: prompts become tokens, tokens become batches, results find their place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch

from freehold.core.errors import ModelError
from freehold.core.message import Message
from freehold.core.outcome import Cause, Failed
from freehold.models.batching import common_prefix, plan_batches
from freehold.models.chat import ChatFormat
from freehold.models.door import Choice, Generation, TextScore, TokenLogprobs, too_long
from freehold.models.loading import Loaded
from freehold.models.network import Prefix

Result = TypeVar("Result", Generation, Choice, TokenLogprobs, tuple[TextScore, ...])

# Cells are tokens of a batch with their padding. More of them keep a large device busy; on a CPU they
# only make the working set fall out of its caches.
CPU_CELLS, CUDA_CELLS = 8192, 131_072
# Where nothing is generated, weights are read once for many tokens anyway, and what a pass works on stays
# in the nearest cache. Measured in benchmarks/decide/throughput.
CPU_CELLS_TO_READ = 512
MOST_ROWS = 256
# A prefix that is shorter costs more in its own pass than it saves.
SHORTEST_PREFIX = 16


@dataclass(frozen=True)
class TokenRows:
    """Prompts that are tokens already."""

    rows: Sequence[list[int]]


class Work(Protocol):
    """Computes one batch: settles every place of it."""

    def __call__(self, batch: Sequence[int], prefix: Prefix | None) -> None:
        """Settle the places in `batch`, whose prompts start with `prefix`."""
        ...


class Call(Generic[Result]):
    """The prompts of one call, as tokens, and their results as they come in.

    Args:
        loaded: the model.
        prompts: the conversations, or tokens.
        answer_tokens: how many tokens each answer may take of the context.
        on_answer: told of each result as soon as it is there.
        clock: seconds.
    """

    def __init__(
        self,
        loaded: Loaded,
        prompts: Sequence[Sequence[Message]] | TokenRows,
        answer_tokens: Sequence[int],
        *,
        on_answer: Callable[[int, Result | Failed], None] | None,
        clock: Callable[[], float],
    ) -> None:
        self._loaded = loaded
        self._on_answer = on_answer
        self._clock = clock
        self._results: dict[int, Result | Failed] = {}
        before = clock()
        self._ids = (
            dict(enumerate(prompts.rows))
            if isinstance(prompts, TokenRows)
            else self._tokenize(loaded.chat, prompts)
        )
        for place, ids in self._ids.items():
            failure = too_long(len(ids), answer_tokens[place], context_tokens=loaded.context_tokens)
            if failure is not None:
                self.settle(place, failure)
        self._open = [place for place in self._ids if place not in self._results]
        self._shared = 0
        self._overhead = (clock() - before) / max(1, len(self._open))

    def rest(self, place: int) -> list[int]:
        """Return the tokens of a prompt after the prefix that all prompts share."""
        return self._ids[place][self._shared :]

    def costs(self, place: int, seconds: float) -> tuple[int, float]:
        """Return a prompt's tokens, and `seconds` with its share of what all prompts needed."""
        return len(self._ids[place]), seconds + self._overhead

    def settle(self, place: int, result: Result | Failed) -> None:
        """Keep a result and tell of it."""
        self._results[place] = result
        if self._on_answer is not None:
            self._on_answer(place, result)

    def run(
        self,
        work: Work,
        *,
        growth: int,
        most_rows: int = MOST_ROWS,
        own: Sequence[int] | None = None,
    ) -> None:
        """Settle every open prompt, in batches; each row grows by up to `growth` tokens.

        `own` says how many tokens are read with each prompt, where they differ. A batch that does not fit the memory of the device is halved; a prompt that does not fit
        alone is `Failed`.
        """
        if not self._open:
            return
        with torch.inference_mode():
            prefix = self._read_prefix()
            cells = CPU_CELLS if own is None else CPU_CELLS_TO_READ
            if self._loaded.network.device.type == "cuda":
                cells = CUDA_CELLS
            if self._loaded.network.mask_form is None:
                most_rows = 1
            planned = plan_batches(
                [len(self.rest(place)) + (own[place] if own else 0) for place in self._open],
                extra=growth + self._shared,
                budget=cells,
                most_rows=min(most_rows, MOST_ROWS),
            )
            batches = deque([self._open[place] for place in batch] for batch in planned)
            while batches:
                batch = batches.popleft()
                try:
                    work(batch, prefix)
                except torch.OutOfMemoryError as error:
                    batches.extendleft(self._split(batch, error))

    def results(self) -> tuple[Result | Failed, ...]:
        """Return all results in the order of the prompts."""
        return tuple(self._results[place] for place in range(len(self._results)))

    def _tokenize(
        self, chat: ChatFormat, prompts: Sequence[Sequence[Message]]
    ) -> dict[int, list[int]]:
        texts: dict[int, str] = {}
        for place, prompt in enumerate(prompts):
            try:
                texts[place] = chat.render(prompt)
            except ModelError as error:
                self.settle(place, Failed(cause=Cause.ENGINE, message=str(error)))
        return dict(zip(texts, chat.tokenize(list(texts.values())), strict=True))

    def _read_prefix(self) -> Prefix | None:
        """Read what all open prompts start with; each keeps at least one token of its own."""
        if self._loaded.network.mask_form is None:
            return None
        rows = [self._ids[place] for place in self._open]
        shared = min(common_prefix(rows), min(len(row) for row in rows) - 1)
        if shared < SHORTEST_PREFIX:
            return None
        before = self._clock()
        prefix = self._loaded.network.read_prefix(rows[0][:shared])
        self._shared = shared
        self._overhead += (self._clock() - before) / len(rows)
        return prefix

    def _split(self, batch: list[int], error: torch.OutOfMemoryError) -> list[list[int]]:
        left = [place for place in batch if place not in self._results]
        if len(batch) > 1:
            half = (len(left) + 1) // 2
            return [part for part in (left[half:], left[:half]) if part]
        message = (
            f"the device's memory is too small for this prompt: {str(error).split(chr(10))[0]}"
        )
        for place in left:
            self.settle(place, Failed(cause=Cause.ENGINE, message=message))
        return []
