# pyright: standard
"""Soft targets: what a model would have said at each position, kept as its k likeliest tokens.

They are computed once, on weights that are about to change, and then stand in for a second model in
memory. Shapes: N positions that carry loss, K kept tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from freehold.train.batching import longest_first
from freehold.train.objectives import (
    LOGIT_CELLS,
    Divergence,
    SoftBatch,
    collate,
    logits_where_loss_is,
)
from freehold.train.rows import TokenRow

_FORWARD = Divergence("forward_kl")


@dataclass(frozen=True)
class SoftRow:
    """A row with the log-probabilities that a teacher gave at each position that carries loss."""

    row: TokenRow
    top_ids_NK: Tensor
    top_logprobs_NK: Tensor


@torch.inference_mode()
def soft_rows(
    model: PreTrainedModel, rows: Sequence[TokenRow], *, top_k: int, batch_tokens: int
) -> tuple[SoftRow, ...]:
    """Return the rows with the model's own distribution at every position that carries loss.

    Args:
        model: as it is now, in evaluation mode.
        rows: whose answers carry loss.
        top_k: how many tokens are kept at a position.
        batch_tokens: padded tokens that pass the model together; fewer where the vocabulary is large.
    """
    vocabulary = int(model.config.get_text_config().vocab_size)
    batch_tokens = min(batch_tokens, max(1, LOGIT_CELLS // vocabulary))
    found: dict[int, SoftRow] = {}
    for indices in longest_first([len(row.ids) for row in rows], batch_tokens):
        batch = collate([rows[i] for i in indices], ["" for _ in indices], model.device)
        logprobs_NV = torch.log_softmax(logits_where_loss_is(model, batch), dim=-1)
        top_NK = logprobs_NV.topk(min(top_k, logprobs_NV.shape[-1]), dim=-1)
        counts = [len(rows[i].ids) - rows[i].answer_start for i in indices]
        ids = top_NK.indices.to("cpu", torch.int32).split(counts)
        values = top_NK.values.to("cpu").split(counts)
        for index, row_ids, row_values in zip(indices, ids, values, strict=True):
            found[index] = SoftRow(rows[index], row_ids.clone(), row_values.clone())
    return tuple(found[index] for index in range(len(rows)))


def sharpened(row: SoftRow, *, first: int, temperature: float) -> SoftRow:
    """Return the row with its kept tokens at p^(1/T), with the same mass together, from position `first` on.

    Below 1 the teacher is surer of what it says most, so that a student that moves a little still says
    the same. The tail stays as it is. With 1 nothing changes.

    Args:
        row: with soft targets at N positions.
        first: the first position that is sharpened, counted among the N.
        temperature: T, above 0.
    """
    if temperature == 1:
        return row
    own_NK = row.top_logprobs_NK[first:]
    mass_N1 = own_NK.logsumexp(-1, keepdim=True)
    sharp_NK = torch.log_softmax(own_NK / temperature, dim=-1) + mass_N1
    return replace(row, top_logprobs_NK=torch.cat([row.top_logprobs_NK[:first], sharp_NK]))


def collate_soft(rows: Sequence[SoftRow], names: Sequence[str], device: torch.device) -> SoftBatch:
    """Return soft rows as one padded batch on `device`."""
    plain = collate([row.row for row in rows], names, device)
    return SoftBatch(
        tokens_BT=plain.tokens_BT,
        places_N=plain.places_N,
        targets_N=plain.targets_N,
        names=plain.names,
        tokens=plain.tokens,
        top_ids_NK=torch.cat([row.top_ids_NK for row in rows]).to(device, torch.long),
        top_logprobs_NK=torch.cat([row.top_logprobs_NK for row in rows]).to(device),
    )


def kl_from_teacher(model: PreTrainedModel, batch: SoftBatch) -> Tensor:
    """Return the forward KL from the kept teacher to the model in nats, summed over the N positions.

    Over the teacher's k likeliest tokens one by one, and over all others as one outcome: a lower bound
    of the full divergence, with gradient zero where both agree. Formula: docs/retention.md.
    """
    return _FORWARD(model, batch)


@torch.inference_mode()
def mean_divergence(model: PreTrainedModel, batches: Sequence[SoftBatch]) -> float:
    """Return the mean forward KL from the kept teacher, in nats per token; 0 without batches."""
    positions = sum(batch.units for batch in batches)
    total = sum(float(kl_from_teacher(model, batch)) for batch in batches)
    return total / positions if positions else 0.0
