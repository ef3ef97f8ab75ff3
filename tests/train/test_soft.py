# pyright: standard
from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel

from freehold.train.rows import TokenRow
from freehold.train.soft import (
    SoftRow,
    collate_soft,
    kl_from_teacher,
    mean_divergence,
    sharpened,
    soft_rows,
)

VOCABULARY = 300
ROWS = tuple(
    TokenRow(ids=tuple(range(5 + n, 14 + 3 * n)), answer_start=start)
    for n, start in enumerate((1, 4, 6, 2))
)
NetworkOf = Callable[[str], PreTrainedModel]


def moved(network: PreTrainedModel) -> PreTrainedModel:
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return network


@torch.no_grad()
def full_divergence(teacher: PreTrainedModel, student: PreTrainedModel) -> float:
    """KL(teacher || student) over the whole vocabulary, row by row, by torch's own function."""
    total = 0.0
    for row in ROWS:
        ids = torch.tensor([row.ids])
        places = slice(row.answer_start - 1, len(row.ids) - 1)
        logits = [model(ids).logits[0, places].double() for model in (student, teacher)]
        own, wanted = (torch.log_softmax(one, -1) for one in logits)
        total += float(torch.nn.functional.kl_div(own, wanted, log_target=True, reduction="sum"))
    return total


def kept_divergence(rows: tuple[SoftRow, ...], student: PreTrainedModel) -> float:
    batch = collate_soft(rows, [""] * len(rows), torch.device("cpu"))
    return float(kl_from_teacher(student, batch).detach())


def test_with_every_token_kept_it_is_the_full_divergence(network_of: NetworkOf) -> None:
    teacher, student = network_of("llama"), moved(network_of("llama"))
    rows = soft_rows(teacher, ROWS, top_k=VOCABULARY, batch_tokens=40)
    assert kept_divergence(rows, student) == pytest.approx(
        full_divergence(teacher, student), rel=1e-3
    )


@pytest.mark.parametrize("top_k", [1, 4, 32])
def test_fewer_kept_tokens_give_a_lower_bound_that_is_never_negative(
    network_of: NetworkOf, top_k: int
) -> None:
    teacher, student = network_of("llama"), moved(network_of("llama"))
    some = kept_divergence(soft_rows(teacher, ROWS, top_k=top_k, batch_tokens=40), student)
    more = kept_divergence(soft_rows(teacher, ROWS, top_k=2 * top_k, batch_tokens=40), student)
    assert 0 < some < more < full_divergence(teacher, student) + 1e-3


def test_a_model_that_has_not_moved_diverges_by_nothing_and_has_no_gradient(
    network_of: NetworkOf,
) -> None:
    network = network_of("qwen3")
    rows = soft_rows(network, ROWS, top_k=16, batch_tokens=40)
    loss = kl_from_teacher(network, collate_soft(rows, [""] * 4, torch.device("cpu")))
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-5)
    loss.backward()
    gradients = [float(p.grad.abs().max()) for p in network.parameters() if p.grad is not None]
    assert max(gradients) < 1e-4


def test_rows_come_back_in_order_whatever_batches_they_were_read_in(network_of: NetworkOf) -> None:
    network = network_of("llama")
    one_by_one = soft_rows(network, ROWS, top_k=8, batch_tokens=1)
    together = soft_rows(network, ROWS, top_k=8, batch_tokens=10_000)
    for alone, row, source in zip(one_by_one, together, ROWS, strict=True):
        assert row.row is alone.row is source
        assert row.top_ids_NK.shape == (len(source.ids) - source.answer_start, 8)
        assert torch.equal(row.top_ids_NK, alone.top_ids_NK)
        torch.testing.assert_close(row.top_logprobs_NK, alone.top_logprobs_NK)


def test_the_mean_divergence_is_per_position_over_all_batches(network_of: NetworkOf) -> None:
    teacher, student = network_of("llama"), moved(network_of("llama"))
    rows = soft_rows(teacher, ROWS, top_k=VOCABULARY, batch_tokens=40)
    parts = [collate_soft(part, [""] * 2, torch.device("cpu")) for part in (rows[:2], rows[2:])]
    positions = sum(len(row.ids) - row.answer_start for row in ROWS)
    wanted = full_divergence(teacher, student) / positions
    assert mean_divergence(student, parts) == pytest.approx(wanted, rel=1e-3)
    assert mean_divergence(student, []) == 0.0
    assert math.isfinite(wanted)


@pytest.mark.parametrize("temperature", [0.25, 0.5, 1.0])
def test_sharpening_is_softmax_at_a_temperature_where_every_token_is_kept(
    network_of: NetworkOf, temperature: float
) -> None:
    teacher = network_of("llama")
    (row,) = soft_rows(teacher, ROWS[:1], top_k=VOCABULARY, batch_tokens=40)
    sharp = sharpened(row, first=3, temperature=temperature)
    assert torch.equal(sharp.top_logprobs_NK[:3], row.top_logprobs_NK[:3])
    own = sharp.top_logprobs_NK[3:]
    wanted = torch.log_softmax(row.top_logprobs_NK[3:] / temperature, -1)
    assert torch.allclose(own, wanted, atol=1e-4)


def test_sharpening_keeps_the_order_and_raises_the_first(network_of: NetworkOf) -> None:
    (row,) = soft_rows(network_of("llama"), ROWS[:1], top_k=8, batch_tokens=40)
    sharp = sharpened(row, first=0, temperature=0.5).top_logprobs_NK
    assert (sharp[:, :-1] >= sharp[:, 1:]).all()
    assert (sharp[:, 0] > row.top_logprobs_NK[:, 0]).all()
    assert torch.allclose(sharp.exp().sum(-1), row.top_logprobs_NK.exp().sum(-1))
