# pyright: standard
"""What a step lowers: functions from a model and a batch to a summed loss, in one mapping.

An objective passes a batch through the model and hands log-probabilities to a loss (`losses.py`). One
with settings is a small frozen dataclass that is called like a function.

Shapes: B rows, T positions, N positions that carry loss, S answers, P pairs, H hidden size, V
vocabulary, K of its tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from freehold.models.prefix import BehindPrefix
from freehold.train import losses
from freehold.train.rows import TokenRow

DivergenceName: TypeAlias = Literal["forward_kl", "reverse_kl", "jsd"]

LOGIT_CELLS = 1 << 26
"""Logits (positions x vocabulary) that are in memory together: 256 MiB in float32."""


@dataclass(frozen=True)
class Sight:
    """Who sees whom in rows that hold several answers to one prompt.

    `positions_BT` is the place of each token in its own text, -1 for padding. `mask` is in the form that
    the network takes (`models.network.Network.mask`).
    """

    positions_BT: Tensor
    mask: Tensor | dict[str, Tensor]


@dataclass(frozen=True)
class Start:
    """The tokens that all rows of a batch start with, read once: `tokens_1P`, and who sees whom."""

    tokens_1P: Tensor
    sight: Sight


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows padded on the right.

    `places_N` are flat positions in [0, B*T) whose next token carries loss, `targets_N` those next
    tokens. Where there is no `sight` there is no attention mask: with causal attention and padding on
    the right no real token sees padding. Where there is a `start`, the rows go on from it. `names` say
    where the rows came from; `tokens` counts the real tokens that pass the model.

    An objective that needs more than tokens has a batch of its own that inherits from this one. `units`
    is what the loss of a step is a mean over: positions here, pairs for a preference.
    """

    tokens_BT: Tensor
    places_N: Tensor
    targets_N: Tensor
    names: tuple[str, ...]
    tokens: int
    sight: Sight | None = None
    start: Start | None = None

    @property
    def units(self) -> int:
        """How many things the summed loss is over."""
        return len(self.targets_N)


@dataclass(frozen=True, kw_only=True)
class AnswersBatch(Batch):
    """Answers whose log-probabilities are wanted as wholes; `answers_N` says whose token each one is.

    Answers stand in twos, and a two is the unit of the loss: the chosen one and the rejected one; or one
    that was judged (`is_good_P`), and one to another prompt as the measure for it. `reference_S` are
    their log-probabilities under the untouched base, where a loss compares with it.
    """

    answers_N: Tensor
    answers: int
    reference_S: Tensor | None = None
    is_good_P: Tensor | None = None

    @property
    def units(self) -> int:
        """How many twos there are."""
        return self.answers // 2


@dataclass(frozen=True, kw_only=True)
class SoftBatch(Batch):
    """A batch with what a teacher said at each of `places_N`: its K likeliest tokens."""

    top_ids_NK: Tensor
    top_logprobs_NK: Tensor


@dataclass(frozen=True, kw_only=True)
class RewardedBatch(Batch):
    """Sampled tokens, each with the advantage of its answer.

    `old_N` are their log-probabilities under the weights that sampled, None where those are the present
    ones.
    """

    advantages_N: Tensor
    old_N: Tensor | None = None


AnyBatch = TypeVar("AnyBatch", bound=Batch, contravariant=True)


class Objective(Protocol[AnyBatch]):
    """From a model and a batch to a loss that is summed over the batch's units, to be lowered."""

    def __call__(self, model: PreTrainedModel, batch: AnyBatch, /) -> Tensor: ...


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
    return _logits(model, _hidden_where_loss_is(model, batch))


def logprobs_where_loss_is(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the log-probabilities of `targets_N` in float32.

    Where positions times vocabulary are many, logits are made part by part, and again for the
    gradient, so that no more than `LOGIT_CELLS` of them exist at a time.
    """
    hidden_NH = _hidden_where_loss_is(model, batch)
    vocabulary = int(model.config.get_text_config().vocab_size)
    most = max(1, LOGIT_CELLS // vocabulary)

    def of(part_NH: Tensor, targets_N: Tensor) -> Tensor:
        return -torch.nn.functional.cross_entropy(
            _logits(model, part_NH), targets_N, reduction="none"
        )

    if len(hidden_NH) <= most:
        return of(hidden_NH, batch.targets_N)
    parts = zip(hidden_NH.split(most), batch.targets_N.split(most), strict=True)
    again = partial(checkpoint, of, use_reentrant=False, preserve_rng_state=False)
    return torch.cat([cast(Tensor, again(*part)) for part in parts])


def answer_logprobs(model: PreTrainedModel, batch: AnswersBatch) -> tuple[Tensor, Tensor]:
    """Return the log-probability of each answer as a whole, and its mean per token: both [S]."""
    logprobs_N = logprobs_where_loss_is(model, batch)
    total_S = logprobs_N.new_zeros(batch.answers).index_add(0, batch.answers_N, logprobs_N)
    return total_S, total_S / batch.answers_N.bincount(minlength=batch.answers)


def _hidden_where_loss_is(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return hidden_NH, the input of the head at `places_N`."""
    decoder = model.get_decoder()
    if batch.sight is None:
        output = decoder(input_ids=batch.tokens_BT, use_cache=False)
    else:
        cache = None if batch.start is None else _read(decoder, batch.start, model)
        output = decoder(
            input_ids=batch.tokens_BT,
            attention_mask=batch.sight.mask,
            position_ids=batch.sight.positions_BT.clamp(min=0),
            past_key_values=cache,
            use_cache=cache is not None,
        )
    return output.last_hidden_state.flatten(0, 1).index_select(0, batch.places_N)


def _read(decoder: nn.Module, start: Start, model: PreTrainedModel) -> Cache:
    """Return keys and values of the shared start in front of whatever a row adds; gradients pass."""
    count = int(model.config.get_text_config().num_hidden_layers)
    read = Cache(layers=[DynamicLayer() for _ in range(count)])
    decoder(
        input_ids=start.tokens_1P,
        attention_mask=start.sight.mask,
        position_ids=start.sight.positions_BT,
        past_key_values=read,
        use_cache=True,
    )
    layers = cast("list[DynamicLayer]", read.layers)
    own = [(cast(Tensor, layer.keys), cast(Tensor, layer.values)) for layer in layers]
    return Cache(layers=[BehindPrefix(keys, values, DynamicLayer()) for keys, values in own])


def _logits(model: PreTrainedModel, hidden_NH: Tensor) -> Tensor:
    return _as_the_model_does(model, head_of(model)(hidden_NH)).float()


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
    return losses.sft(logprobs_where_loss_is(model, batch)).sum()


def dft(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the cross-entropy weighted by the model's own probability of each token, summed over N."""
    return losses.dft(logprobs_where_loss_is(model, batch)).sum()


@dataclass(frozen=True)
class Dpo:
    """Direct preference optimisation beside `sft_weight` times the cross-entropy of the chosen answers.

    That is a mean over the tokens of each chosen answer (arXiv:2404.19733), without which the
    probability of both answers may fall together.
    """

    beta: float = 0.1
    sft_weight: float = 0.0

    def __call__(self, model: PreTrainedModel, batch: AnswersBatch, /) -> Tensor:
        """Return the loss summed over P pairs.

        Raises:
            ValueError: the batch has no reference.
        """
        total_S, mean_S = answer_logprobs(model, batch)
        reference_S = _given(batch.reference_S, "reference")
        loss_P = losses.dpo(
            total_S[0::2],
            total_S[1::2],
            reference_chosen_P=reference_S[0::2],
            reference_rejected_P=reference_S[1::2],
            beta=self.beta,
        )
        return (loss_P + self.sft_weight * losses.sft(mean_S[0::2])).sum()


@dataclass(frozen=True)
class Orpo:
    """The odds ratio beside `sft_weight` times the cross-entropy of the chosen answers; no reference."""

    beta: float = 0.1
    sft_weight: float = 1.0

    def __call__(self, model: PreTrainedModel, batch: AnswersBatch, /) -> Tensor:
        """Return the loss summed over P pairs."""
        _, mean_S = answer_logprobs(model, batch)
        loss_P = losses.orpo(mean_S[0::2], mean_S[1::2], beta=self.beta)
        return (loss_P + self.sft_weight * losses.sft(mean_S[0::2])).sum()


@dataclass(frozen=True)
class Simpo:
    """SimPO beside `sft_weight` times the cross-entropy of the chosen answers; no reference.

    The margin that is asked for is `margin` * beta; the paper's best settings have 0.3 to 0.55.
    """

    beta: float = 2.5
    margin: float = 0.5
    sft_weight: float = 0.0

    def __call__(self, model: PreTrainedModel, batch: AnswersBatch, /) -> Tensor:
        """Return the loss summed over P pairs."""
        _, mean_S = answer_logprobs(model, batch)
        loss_P = losses.simpo(
            mean_S[0::2], mean_S[1::2], beta=self.beta, gamma=self.margin * self.beta
        )
        return (loss_P + self.sft_weight * losses.sft(mean_S[0::2])).sum()


@dataclass(frozen=True)
class Kto:
    """KTO on judged answers beside `sft_weight` times the cross-entropy of the good ones.

    `weights` are those of good and of bad answers; the paper wants them so that both kinds weigh about
    the same as a whole.
    """

    beta: float = 0.1
    weights: tuple[float, float] = (1.0, 1.0)
    sft_weight: float = 0.0

    def __call__(self, model: PreTrainedModel, batch: AnswersBatch, /) -> Tensor:
        """Return the loss summed over P judged answers.

        Raises:
            ValueError: the batch has no reference or no judgements.
        """
        total_S, mean_S = answer_logprobs(model, batch)
        is_good_P = _given(batch.is_good_P, "judgement")
        reference_S = _given(batch.reference_S, "reference")
        loss_P = losses.kto(
            total_S[0::2],
            is_good_P,
            reference_S=reference_S[0::2],
            baseline=losses.kto_baseline(total_S[1::2], reference_S=reference_S[1::2]),
            beta=self.beta,
            weights=self.weights,
        )
        return (loss_P + self.sft_weight * losses.sft(mean_S[0::2]) * is_good_P).sum()


@dataclass(frozen=True)
class Divergence:
    """How far a model is from a kept teacher: over its K likeliest tokens and all others as one.

    That is at most the divergence over the whole vocabulary, and the same where K is V. `jsd` weighs
    teacher and model alike. Where both agree, nothing pulls. Formula: docs/retention.md.
    """

    kind: DivergenceName = "forward_kl"

    def __call__(self, model: PreTrainedModel, batch: SoftBatch, /) -> Tensor:
        """Return the divergence in nats, summed over N positions."""
        logprobs_NV = torch.log_softmax(logits_where_loss_is(model, batch), dim=-1)
        own_NK = logprobs_NV.gather(-1, batch.top_ids_NK)
        teacher_NK = batch.top_logprobs_NK
        divergence = losses.LOSSES[self.kind]
        return divergence(losses.with_tail(teacher_NK), losses.with_tail(own_NK)).sum()


@dataclass(frozen=True)
class Grpo:
    """The clipped policy gradient on sampled tokens; see `losses.grpo`."""

    clip: tuple[float, float] = (0.2, 0.2)

    def __call__(self, model: PreTrainedModel, batch: RewardedBatch, /) -> Tensor:
        """Return the loss summed over N sampled tokens."""
        logprobs_N = logprobs_where_loss_is(model, batch)
        return losses.grpo(logprobs_N, batch.advantages_N, old_N=batch.old_N, clip=self.clip).sum()


def _given(tensor: Tensor | None, what: str) -> Tensor:
    if tensor is None:
        raise ValueError(f"this objective needs the {what} of each answer, and the batch has none")
    return tensor


OBJECTIVES: Mapping[str, Objective[Any]] = {
    "sft": sft,
    "dft": dft,
    "dpo": Dpo(),
    "orpo": Orpo(),
    "simpo": Simpo(),
    "kto": Kto(),
    "forward_kl": Divergence("forward_kl"),
    "reverse_kl": Divergence("reverse_kl"),
    "jsd": Divergence("jsd"),
    "grpo": Grpo(),
}
