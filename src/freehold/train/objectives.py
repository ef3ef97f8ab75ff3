# pyright: standard
"""What a step lowers: functions from a model and a batch to a summed loss, in one mapping.

Shapes: B rows, T positions, N positions that carry loss, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from freehold.train.rows import TokenRow


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right.

    `places_N` are flat positions in [0, B*T) whose next token carries loss, `targets_N` those next
    tokens. There is no attention mask: with causal attention and padding on the right no real
    token sees padding. `names` say where the rows came from; `tokens` counts real tokens.
    """

    tokens_BT: Tensor
    places_N: Tensor
    targets_N: Tensor
    names: tuple[str, ...]
    tokens: int


Objective: TypeAlias = Callable[[PreTrainedModel, Batch], Tensor]


def collate(rows: Sequence[TokenRow], names: Sequence[str], device: torch.device) -> Batch:
    """Return rows as one padded batch on `device`. Padding is token 0; nothing ever reads it."""
    longest = max(len(row.ids) for row in rows)
    tokens_BT = torch.zeros((len(rows), longest), dtype=torch.long)
    places: list[int] = []
    targets: list[int] = []
    for index, row in enumerate(rows):
        tokens_BT[index, : len(row.ids)] = torch.tensor(row.ids)
        first = index * longest
        places.extend(range(first + row.answer_start - 1, first + len(row.ids) - 1))
        targets.extend(row.ids[row.answer_start :])
    return Batch(
        tokens_BT=tokens_BT.to(device),
        places_N=torch.tensor(places, device=device),
        targets_N=torch.tensor(targets, device=device),
        names=tuple(names),
        tokens=sum(len(row.ids) for row in rows),
    )


def logits_where_loss_is(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return logits_NV in float32, computed at `places_N` alone.

    The head is the widest layer of a small model: at 100 prompt tokens for 5 answer tokens, this
    saves 95% of it, and the memory of its logits.
    """
    hidden_BTH = model.get_decoder()(input_ids=batch.tokens_BT, use_cache=False).last_hidden_state
    hidden_NH = hidden_BTH.flatten(0, 1).index_select(0, batch.places_N)
    logits_NV = head_of(model)(hidden_NH)
    return _as_the_model_does(model, logits_NV).float()


def head_of(model: PreTrainedModel) -> nn.Module:
    """Return the layer from hidden states to logits.

    Raises:
        TypeError: the model is no causal language model.
    """
    head = model.get_output_embeddings()
    if head is None:
        raise TypeError(f"{type(model).__name__} has no output layer")
    return head


def _as_the_model_does(model: PreTrainedModel, logits_NV: Tensor) -> Tensor:
    """Apply what some families do after the head: Gemma caps, Granite divides, Cohere scales."""
    config = model.config
    cap = getattr(config, "final_logit_softcapping", None)
    divisor = getattr(config, "logits_scaling", None)
    scale = getattr(config, "logit_scale", None)
    if cap:
        logits_NV = torch.tanh(logits_NV / cap) * cap
    if divisor:
        logits_NV = logits_NV / divisor
    if scale:
        logits_NV = logits_NV * scale
    return logits_NV


def sft(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the cross-entropy in nats, summed over the N answer tokens of the batch."""
    logits_NV = logits_where_loss_is(model, batch)
    return torch.nn.functional.cross_entropy(logits_NV, batch.targets_N, reduction="sum")


OBJECTIVES: Mapping[str, Objective] = {"sft": sft}
