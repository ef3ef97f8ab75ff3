# pyright: standard
from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.train.conftest import tiny_network
from transformers import PreTrainedModel

from freehold.core.sections import TuneSpec
from freehold.models.chat import ChatFormat
from freehold.models.network import Network
from freehold.train import objectives
from freehold.train.adapters import ADAPTERS
from freehold.train.answers import (
    AnswersRow,
    as_answers_row,
    collate_answers,
    collate_rows,
    passed_tokens,
)
from freehold.train.objectives import (
    OBJECTIVES,
    Batch,
    answer_logprobs,
    collate,
    head_of,
    logits_where_loss_is,
)
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


def gradients_of(network: PreTrainedModel, batch: Batch) -> tuple[float, dict[str, torch.Tensor]]:
    network.zero_grad(set_to_none=True)
    loss = OBJECTIVES["sft"](network, batch)
    loss.backward()
    found = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    return float(loss.detach()), found


@pytest.mark.parametrize("count", [1, 6])
def test_a_start_that_is_read_once_changes_neither_loss_nor_gradients(
    network: PreTrainedModel, chat: ChatFormat, rows_of: RowsOf, count: int
) -> None:
    encoded, plain = batch_of(chat, rows_of(count))
    door = Network(network)
    door.prove_masks()
    assert door.mask_form is not None
    shared = collate_rows(encoded, plain.names, door)
    assert (shared.start is not None) == (count > 1)
    assert passed_tokens([as_answers_row(row) for row in encoded], door) == shared.tokens
    if count > 1:
        assert shared.tokens < plain.tokens
    (loss, gradients), (wanted, plain_gradients) = (
        gradients_of(network, batch) for batch in (shared, plain)
    )
    assert loss == pytest.approx(wanted, rel=1e-5)
    assert gradients.keys() == plain_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, plain_gradients[name], rtol=1e-3, atol=1e-5)


def test_a_network_that_takes_no_masks_reads_every_row_whole(
    network_of: Callable[[str], PreTrainedModel], chat: ChatFormat, rows_of: RowsOf
) -> None:
    encoded, plain = batch_of(chat, rows_of(4))
    unproven = Network(network_of("llama"))
    assert unproven.mask_form is None
    found = collate_rows(encoded, plain.names, unproven)
    assert found.sight is None and found.start is None
    assert passed_tokens([as_answers_row(row) for row in encoded], unproven) == found.tokens
    assert torch.equal(found.tokens_BT, plain.tokens_BT)
    assert torch.equal(found.places_N, plain.places_N)
    assert torch.equal(found.targets_N, plain.targets_N)


def test_logits_in_parts_change_neither_loss_nor_gradients(
    network_of: Callable[[str], PreTrainedModel],
    chat: ChatFormat,
    rows_of: RowsOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = network_of("gemma3")
    _, batch = batch_of(chat, rows_of(6))
    whole, gradients = gradients_of(network, batch)
    widest: list[int] = []
    head_of(network).register_forward_hook(lambda _m, _i, out: widest.append(len(out)))
    monkeypatch.setattr(objectives, "LOGIT_CELLS", 4 * 300)
    parts, in_parts = gradients_of(network, batch)
    assert max(widest) == 4 < batch.units
    assert parts == pytest.approx(whole, rel=1e-6)
    for name, gradient in in_parts.items():
        torch.testing.assert_close(gradient, gradients[name], rtol=1e-4, atol=1e-6)


def test_dft_weighs_each_token_by_what_the_model_thinks_of_it(
    network_of: Callable[[str], PreTrainedModel], chat: ChatFormat, rows_of: RowsOf
) -> None:
    network = network_of("llama")
    _, batch = batch_of(chat, rows_of(5))
    with torch.no_grad():
        logprobs_NV = torch.log_softmax(logits_where_loss_is(network, batch), -1)
        found = float(OBJECTIVES["dft"](network, batch))
    own_N = logprobs_NV[torch.arange(batch.units), batch.targets_N]
    assert found == pytest.approx(float(-(own_N.exp() * own_N).sum()), rel=1e-5)


def test_an_objective_that_compares_with_the_base_says_so_where_nothing_was_computed(
    network_of: Callable[[str], PreTrainedModel], chat: ChatFormat, rows_of: RowsOf
) -> None:
    encoded, _ = batch_of(chat, rows_of(2))
    rows = [AnswersRow(row.ids[: row.answer_start], ((7, 1), (8, 1))) for row in encoded]
    network = network_of("llama")
    batch = collate_answers(rows, ("a", "b"), Network(network))
    for name, word in (("dpo", "reference"), ("kto", "judgement")):
        with pytest.raises(ValueError, match=word):
            OBJECTIVES[name](network, batch)


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora", "ia3", "prefix", "osf", "full"])
def test_a_start_that_is_read_once_is_the_same_under_every_adapter(
    network_of: Callable[[str], PreTrainedModel], chat: ChatFormat, rows_of: RowsOf, kind: str
) -> None:
    network = network_of("llama").requires_grad_(False)
    encoded, plain = batch_of(chat, rows_of(5))
    door = Network(network)
    door.prove_masks()
    torch.manual_seed(5)
    spec = TuneSpec.model_validate({"kind": kind, "r": 4})
    tuned = ADAPTERS[spec.kind](network, spec, "float32")
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape))
    shared = collate_rows(encoded, plain.names, door)
    assert shared.start is not None
    (loss, gradients), (wanted, plain_gradients) = (
        gradients_of(network, batch) for batch in (shared, plain)
    )
    tuned.undo()
    assert loss == pytest.approx(wanted, rel=1e-5)
    assert gradients.keys() == plain_gradients.keys() and gradients
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, plain_gradients[name], rtol=1e-3, atol=1e-5)


IDS = st.integers(5, 299)


@st.composite
def answers_rows(draw: st.DrawFn) -> list[AnswersRow]:
    """Rows with a common start of any length, prompts that are nothing else, and up to three answers."""
    start = tuple(draw(st.lists(IDS, min_size=0, max_size=24)))
    answers = draw(st.integers(1, 3))
    rows: list[AnswersRow] = []
    for _ in range(draw(st.integers(1, 5))):
        rest = tuple(draw(st.lists(IDS, min_size=0 if start else 1, max_size=5)))
        texts = draw(
            st.lists(
                st.lists(IDS, min_size=1, max_size=6).map(tuple),
                min_size=answers,
                max_size=answers,
            )
        )
        rows.append(AnswersRow((*start, *rest), tuple(texts)))
    return rows


@settings(max_examples=20)
@given(answers_rows())
def test_however_rows_are_laid_out_an_answer_has_the_same_probability(
    rows: list[AnswersRow],
) -> None:
    network = tiny_network("llama")
    shared, apart = Network(network), Network(network)
    shared.prove_masks()
    found: list[torch.Tensor] = []
    with torch.no_grad():
        for door in (shared, apart):
            batch = collate_answers(rows, ["" for _ in rows], door)
            assert batch.answers == sum(len(row.answers) for row in rows)
            found.append(answer_logprobs(network, batch)[0])
        alone = [
            answer_logprobs(network, collate_answers([AnswersRow(r.prompt, (a,))], [""], apart))[0]
            for r in rows
            for a in r.answers
        ]
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[0], torch.cat(alone), rtol=1e-5, atol=1e-5)
