# pyright: standard
"""Random continuations of token rows, batched with a cache: the same for the same generator and weights.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from freehold.models.batching import plan_batches
from freehold.models.generate import fill_holes, pad_left
from freehold.models.network import Network

CELLS = {"cpu": 8192, "cuda": 131_072}
MOST_ROWS = 256


@dataclass(frozen=True)
class Sampling:
    """How continuations are drawn. `temperature` 0 takes the likeliest token; `stop_ids` end a row."""

    max_tokens: int
    stop_ids: frozenset[int]
    temperature: float = 1.0


@dataclass(frozen=True)
class Sampled:
    """A continuation without the token that ended it; `is_whole` says that one did."""

    ids: tuple[int, ...]
    is_whole: bool


@torch.inference_mode()
def sample(
    network: Network, rows: Sequence[Sequence[int]], how: Sampling, *, seed: int
) -> tuple[Sampled, ...]:
    """Return one continuation of each row, in order.

    Every batch draws from a generator of its own that is seeded by `seed` and the batch's number, so
    that the global random state is neither read nor changed.

    Raises:
        ValueError: a row is empty.
    """
    if any(not row for row in rows):
        raise ValueError("a row to go on from has at least one token")
    planned = plan_batches(
        [len(row) for row in rows],
        extra=how.max_tokens,
        budget=CELLS.get(network.device.type, CELLS["cpu"]),
        most_rows=MOST_ROWS if network.mask_form is not None else 1,
    )
    found: dict[int, Sampled] = {}
    for number, batch in enumerate(planned):
        generator = torch.Generator(device=network.device)
        generator.manual_seed(seed * 1_000_003 + number)
        drawn = _sample_batch(network, [rows[place] for place in batch], how, generator=generator)
        found.update(zip(batch, drawn, strict=True))
    return tuple(found[place] for place in range(len(rows)))


def _sample_batch(
    network: Network, rows: Sequence[Sequence[int]], how: Sampling, *, generator: torch.Generator
) -> list[Sampled]:
    reading = network.reading(len(rows))
    tokens_BT, positions_BT = pad_left(rows, start=0, device=network.device)
    places = list(range(len(rows)))
    written: list[list[int]] = [[] for _ in rows]
    whole = [False] * len(rows)
    for _ in range(how.max_tokens):
        logits_BV = reading.read(tokens_BT, positions_BT, keep=1)[:, 0]
        tokens = _draw(logits_BV, how.temperature, generator).tolist()
        left: list[int] = []
        for row, token in enumerate(tokens):
            if token in how.stop_ids:
                whole[places[row]] = True
            else:
                written[places[row]].append(token)
                left.append(row)
        if not left:
            break
        order = fill_holes(left)
        if len(left) < len(tokens):
            reading.keep_rows(order)
        places = [places[row] for row in order]
        tokens_BT = torch.tensor([tokens[row] for row in order], device=network.device)[:, None]
        positions_BT = positions_BT[order, -1:] + 1
    return [Sampled(tuple(ids), done) for ids, done in zip(written, whole, strict=True)]


def _draw(logits_BV: torch.Tensor, temperature: float, generator: torch.Generator) -> torch.Tensor:
    if temperature == 0:
        return logits_BV.argmax(dim=-1)
    probabilities_BV = torch.softmax(logits_BV / temperature, dim=-1)
    return torch.multinomial(probabilities_BV, 1, generator=generator)[:, 0]
