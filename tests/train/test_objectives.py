# pyright: standard
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedModel

from freehold.models.chat import ChatFormat
from freehold.train.objectives import OBJECTIVES, Batch, collate, logits_where_loss_is
from freehold.train.rows import TokenRow, TrainingRow, encode_rows

RowsOf = Callable[[int], Sequence[TrainingRow]]


def batch_of(chat: ChatFormat, rows: Sequence[TrainingRow]) -> tuple[list[TokenRow], Batch]:
    encoded = list(encode_rows(chat, rows, max_length=128).rows.values())
    return encoded, collate(encoded, [str(i) for i in range(len(encoded))], torch.device("cpu"))


def labels_of(rows: Sequence[TokenRow], batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mask and labels as any other trainer makes them: -100 where no loss is carried."""
    labels = torch.full_like(batch.tokens_BT, -100)
    mask = torch.zeros_like(batch.tokens_BT)
    for i, row in enumerate(rows):
        labels[i, row.answer_start : len(row.ids)] = torch.tensor(row.ids[row.answer_start :])
        mask[i, : len(row.ids)] = 1
    return mask, labels


def test_sft_is_the_loss_of_a_plain_forward_on_every_family(
    network: PreTrainedModel, chat: ChatFormat, rows_of: RowsOf
) -> None:
    rows, batch = batch_of(chat, rows_of(7))
    mask, labels = labels_of(rows, batch)
    plain = network(input_ids=batch.tokens_BT, attention_mask=mask, labels=labels).loss
    ours = OBJECTIVES["sft"](network, batch) / len(batch.targets_N)
    assert abs(float(plain.detach()) - float(ours.detach())) < 1e-5


def test_its_gradients_are_those_of_a_plain_forward(
    network: PreTrainedModel, chat: ChatFormat, rows_of: RowsOf
) -> None:
    rows, batch = batch_of(chat, rows_of(5))
    mask, labels = labels_of(rows, batch)
    network(input_ids=batch.tokens_BT, attention_mask=mask, labels=labels).loss.backward()
    plain = {name: p.grad for name, p in network.named_parameters()}
    network.zero_grad(set_to_none=True)
    (OBJECTIVES["sft"](network, batch) / len(batch.targets_N)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, plain[name], rtol=1e-3, atol=1e-6)


def test_logits_exist_only_where_loss_is_carried(
    network_of: Callable[[str], PreTrainedModel], chat: ChatFormat, rows_of: RowsOf
) -> None:
    rows, batch = batch_of(chat, rows_of(4))
    logits_NV = logits_where_loss_is(network_of("llama"), batch)
    answer_tokens = sum(len(row.ids) - row.answer_start for row in rows)
    assert logits_NV.shape == (answer_tokens, 300)
    assert logits_NV.dtype == torch.float32


def test_padding_and_company_do_not_change_a_rows_loss(
    network: PreTrainedModel, chat: ChatFormat, rows_of: RowsOf
) -> None:
    rows, batch = batch_of(chat, rows_of(6))
    with torch.no_grad():
        together = float(OBJECTIVES["sft"](network, batch))
        single = [collate([row], ["row"], torch.device("cpu")) for row in rows]
        alone = sum(float(OBJECTIVES["sft"](network, one)) for one in single)
    assert abs(together - alone) < 1e-3


def test_a_batch_counts_real_tokens_and_keeps_the_names_of_its_rows(
    chat: ChatFormat, rows_of: RowsOf
) -> None:
    rows, batch = batch_of(chat, rows_of(5))
    assert batch.tokens == sum(len(row.ids) for row in rows)
    assert batch.names == ("0", "1", "2", "3", "4")
    assert batch.tokens_BT.numel() > batch.tokens
