# pyright: standard
"""Batches for training from scratch: a pure function of the spec and the step, so that resuming needs no cursor.

A pool of items is drawn for every `POOL_STEPS` steps, encoded, sorted by length, cut into micro-batches of about
equal numbers of tokens and dealt out to the steps: rows of one micro-batch have nearly the same length, and every
step sees short and long items. One row is one conversation, so nothing attends across items.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from freehold.data.procedural import FAMILIES, Item, World, training_world
from freehold.train.tokenizer import ASSISTANT, END, PAD, special_id

POOL_STEPS: Final = 8
PROSE: Final = "prose"
PROSE_LENGTH: Final = 192
PROSE_WEIGHT: Final = 0.3


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the prompt's tokens and of worked examples' answers; the answer itself has weight 1."""

    prompt: float
    shown: float


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a pool is drawn from: the share of each family (or prose), the share of each scale, of made-up words and compounds, loss weights."""

    families: Mapping[str, float]
    scales: Mapping[int, float]
    weights: LossWeights
    made_up: float = 0.2
    compounds: float = 0.0


@dataclass(frozen=True, slots=True)
class PoolSize:
    """Tokens of one step and of one micro-batch, and the longest row."""

    step_tokens: int
    micro_tokens: int
    context: int


@dataclass(frozen=True, slots=True)
class Row:
    """One encoded conversation: `weights[i]` is the loss weight of predicting `tokens[i]`."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Tokens and, for each position, the next token and the weight of predicting it. All B x T."""

    tokens_BT: NDArray[np.int64]
    targets_BT: NDArray[np.int64]
    weights_BT: NDArray[np.float32]


def encoded(item: Item, tokenizer: Tokenizer, weights: LossWeights) -> Row:
    """Return the item as the chat template writes it, ending with its answer and the end token."""
    tokens: list[int] = []
    marks: list[float] = []
    end = special_id(tokenizer, END)
    shown = [(role, content, weights.shown) for role, content in item.messages]
    for role, content, weight in (*shown, ("assistant", item.answer, 1.0)):
        ids = tokenizer.encode(content, add_special_tokens=False).ids
        spoken = weight if role == "assistant" else weights.prompt
        tokens += [special_id(tokenizer, f"<|{role}|>"), *ids, end]
        marks += [0.0, *([spoken] * len(ids)), spoken if role == "assistant" else 0.0]
    return Row(tuple(tokens), tuple(marks))


def prose_row(
    rng: random.Random, texts: Sequence[str], tokenizer: Tokenizer, *, length: int
) -> Row:
    """Return a window of plain text, at most `length` tokens, as an assistant turn that has no end."""
    text = texts[rng.randrange(len(texts))]
    start = rng.randrange(max(1, len(text) - 6 * length))
    window = text[start : start + 6 * length]
    ids = tokenizer.encode(window, add_special_tokens=False).ids[:length]
    weights = (0.0, *([PROSE_WEIGHT] * len(ids)))
    return Row((special_id(tokenizer, ASSISTANT), *ids), weights)


class Batches:
    """Draws the micro-batches of a step; keeps the pool of the last step asked for."""

    def __init__(
        self, tokenizer: Tokenizer, *, texts: Sequence[str], sentences: Sequence[str]
    ) -> None:
        self._tokenizer = tokenizer
        self._texts = tuple(texts)
        self._sentences = tuple(sentences)
        self._pool: tuple[int, tuple[tuple[MicroBatch, ...], ...]] | None = None

    def step(
        self, number: int, *, seed: int, size: PoolSize, mixture: Mixture
    ) -> tuple[MicroBatch, ...]:
        """Return the micro-batches of one step, about `size.step_tokens` tokens together.

        `mixture` must be the same for all steps of one pool.
        """
        index = number // POOL_STEPS
        if self._pool is None or self._pool[0] != index:
            rng = random.Random(f"{seed}/{index}")
            rows = list(self._drawn(rng, mixture, size))
            pad = special_id(self._tokenizer, PAD)
            cut = micro_batches(rows, micro_tokens=size.micro_tokens, pad=pad)
            rng.shuffle(cut)
            self._pool = (index, tuple(tuple(cut[i::POOL_STEPS]) for i in range(POOL_STEPS)))
        return self._pool[1][number % POOL_STEPS]

    def _drawn(self, rng: random.Random, mixture: Mixture, size: PoolSize) -> Iterator[Row]:
        """Yield rows until a pool is full. An item longer than the context is drawn again."""
        names, shares = zip(*mixture.families.items(), strict=True)
        scales, scale_shares = zip(*mixture.scales.items(), strict=True)
        worlds = {
            scale: training_world(
                self._sentences,
                scale=scale,
                made_up=mixture.made_up,
                compounds=mixture.compounds,
            )
            for scale in scales
        }
        drawn = 0
        while drawn < size.step_tokens * POOL_STEPS:
            name = rng.choices(names, shares)[0]
            scale = rng.choices(scales, scale_shares)[0]
            row = self._row(
                rng, name, world=worlds[scale], context=size.context, weights=mixture.weights
            )
            if row is not None and len(row.tokens) <= size.context:
                drawn += len(row.tokens)
                yield row

    def _row(
        self, rng: random.Random, name: str, *, world: World, context: int, weights: LossWeights
    ) -> Row | None:
        if name != PROSE:
            return encoded(FAMILIES[name](rng, world), self._tokenizer, weights)
        if not self._texts:
            return None
        length = PROSE_LENGTH if world.scale < 2 else context - 1
        return prose_row(rng, self._texts, self._tokenizer, length=min(length, context - 1))


def bucket(length: int) -> int:
    """Return the padded length: a multiple of 16 up to 256, of 64 beyond.

    Few shapes, because the matrix library compiles a kernel for each new one.
    """
    unit = 16 if length <= 256 else 64
    return -(-length // unit) * unit


def micro_batches(rows: Sequence[Row], *, micro_tokens: int, pad: int) -> list[MicroBatch]:
    """Return the rows, longest first, in batches of one padded length of at most `micro_tokens` tokens or one row."""
    left = sorted(rows, key=lambda row: len(row.tokens), reverse=True)
    cut: list[MicroBatch] = []
    while left:
        length = bucket(len(left[0].tokens) - 1)
        count = max(1, micro_tokens // length)
        cut.append(_padded(left[:count], (count, length), pad))
        left = left[count:]
    return cut


def _padded(rows: Sequence[Row], size: tuple[int, int], pad: int) -> MicroBatch:
    tokens = np.full(size, pad, np.int64)
    targets = np.full(size, pad, np.int64)
    weights = np.zeros(size, np.float32)
    for i, row in enumerate(rows):
        n = len(row.tokens) - 1
        tokens[i, :n], targets[i, :n] = row.tokens[:-1], row.tokens[1:]
        weights[i, :n] = row.weights[1:]
    return MicroBatch(tokens, targets, weights)
