# pyright: standard
"""Greedy generation of one batch: rows leave as soon as they are finished.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from freehold.models.constrain import Guide, GuideMaker
from freehold.models.network import LoneReading, Network, Prefix, Reading


@dataclass(frozen=True)
class Limits:
    """When an answer ends: at one of `stop_ids`, after `max_tokens`, or when its tokens are over."""

    max_tokens: int
    stop_ids: frozenset[int]
    is_over: Callable[[Sequence[int]], bool] | None = None


@dataclass(frozen=True)
class Finished:
    """One answer: its tokens without the ending one, and its share of the time of the batch.

    `error` says why there is no answer, where there is none.
    """

    place: int
    tokens: tuple[int, ...]
    truncated: bool
    seconds: float
    error: str | None = None


@dataclass
class _Row:
    place: int
    guide: Guide | None
    tokens: list[int] = field(default_factory=list)


def generate_batch(
    network: Network,
    prompts: Sequence[tuple[int, Sequence[int]]],
    limits: Limits,
    *,
    prefix: Prefix | None,
    new_guide: GuideMaker | None,
    clock: Callable[[], float],
) -> Iterator[Finished]:
    """Yield the answers to a batch of prompts as they are finished.

    Args:
        network: the network, whose cache takes all rows at once.
        prompts: pairs of a place, which comes back with the answer, and tokens without the prefix.
        limits: when an answer ends.
        prefix: what all prompts start with, already read.
        new_guide: makes the guide of each answer, for constrained decoding.
        clock: seconds, such as `time.perf_counter`.
    """
    reading = network.reading(len(prompts), prefix=prefix)
    rows = [_Row(place, new_guide() if new_guide else None) for place, _ in prompts]
    tokens_BT, positions_BT = pad_left(
        [ids for _, ids in prompts], start=prefix.length if prefix else 0, device=network.device
    )
    positions_B = positions_BT[:, -1]
    spent, before = 0.0, clock()
    while rows:
        tokens, errors = _next_tokens(reading, rows, tokens_BT=tokens_BT, positions_BT=positions_BT)
        now = clock()
        spent, before = spent + (now - before) / len(rows), now
        left: list[int] = []
        for place, (row, token) in enumerate(zip(rows, tokens, strict=True)):
            finished = _advance(row, token, limits, error=errors.get(place))
            if finished is None:
                left.append(place)
            else:
                yield Finished(row.place, *finished[:2], seconds=spent, error=finished[2])
        if len(left) < len(rows):
            order = fill_holes(left)
            if order:
                reading.keep_rows(order)
            rows = [rows[place] for place in order]
            tokens = [tokens[place] for place in order]
            positions_B = positions_B[order]
        positions_B = positions_B + 1
        tokens_BT = torch.tensor(tokens, device=network.device).view(-1, 1)
        positions_BT = positions_B[:, None]


def pad_left(
    rows: Sequence[Sequence[int]], *, start: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens and positions [B, T], padded on the left; positions count from `start`."""
    width = max(len(ids) for ids in rows)
    tokens_BT = torch.zeros((len(rows), width), dtype=torch.long)
    positions_BT = torch.full((len(rows), width), -1, dtype=torch.long)
    for place, ids in enumerate(rows):
        if ids:
            tokens_BT[place, -len(ids) :] = torch.tensor(ids)
            positions_BT[place, -len(ids) :] = torch.arange(start, start + len(ids))
    return tokens_BT.to(device), positions_BT.to(device)


def fill_holes(left: Sequence[int]) -> list[int]:
    """Return the rows `left`, each at its own place where it can be, and late ones in the holes."""
    stay = [place for place in left if place < len(left)]
    movers = iter(sorted(set(left) - set(stay), reverse=True))
    staying = set(stay)
    return [place if place in staying else next(movers) for place in range(len(left))]


def _next_tokens(
    reading: Reading | LoneReading,
    rows: Sequence[_Row],
    *,
    tokens_BT: torch.Tensor,
    positions_BT: torch.Tensor,
) -> tuple[list[int], dict[int, str]]:
    logits_BV = reading.read(tokens_BT, positions_BT, keep=1)[:, 0]
    errors: dict[int, str] = {}
    if any(row.guide is not None for row in rows):
        allowed_BV = np.zeros(logits_BV.shape, dtype=np.bool_)
        for place, row in enumerate(rows):
            if row.guide is None:
                continue
            try:
                row.guide.allow(allowed_BV[place])
            except RuntimeError as error:
                errors[place] = str(error)
        forbidden_BV = torch.from_numpy(~allowed_BV).to(logits_BV.device)
        logits_BV = logits_BV.masked_fill(forbidden_BV, -torch.inf)
    best_B, tokens_B = logits_BV.max(dim=-1)
    for place, is_number in enumerate(best_B.isfinite().tolist()):
        if not is_number:
            errors.setdefault(place, "the network's scores are not numbers")
    return tokens_B.tolist(), errors


def _advance(
    row: _Row, token: int, limits: Limits, *, error: str | None
) -> tuple[tuple[int, ...], bool, str | None] | None:
    """Return tokens, truncated and error where the row is finished with `token`, else None."""
    if error is not None:
        return tuple(row.tokens), False, error
    if token in limits.stop_ids:
        return tuple(row.tokens), False, None
    row.tokens.append(token)
    completion = None
    if row.guide is not None:
        try:
            completion = row.guide.take(token)
        except RuntimeError as problem:
            return tuple(row.tokens), False, str(problem)
    if completion is not None:
        whole = (*row.tokens, *completion)
        return whole[: limits.max_tokens], len(whole) > limits.max_tokens, None
    if limits.is_over is not None and limits.is_over(row.tokens):
        return tuple(row.tokens), False, None
    if len(row.tokens) >= limits.max_tokens:
        return tuple(row.tokens), True, None
    return None
