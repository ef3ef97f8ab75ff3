# pyright: standard
"""Every loss against TRL's own code on the same batch, and the laws that it must keep."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from freehold.models.network import Network
from freehold.train import losses
from freehold.train.answers import AnswersRow, collate_answers, reference_logprobs
from freehold.train.objectives import (
    OBJECTIVES,
    AnswersBatch,
    Dpo,
    Grpo,
    Kto,
    Orpo,
    RewardedBatch,
    Simpo,
    collate,
    dft,
    sft,
)
from freehold.train.rows import TokenRow

CPU = torch.device("cpu")
SEEDS = st.integers(0, 2**31)


@contextmanager
def quiet() -> Iterator[None]:
    """TRL and accelerate warn of things that a test of their arithmetic does not meet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def of_trl(name: str, module: str = "trl") -> Any:
    """Return something of TRL, which is loaded only by the tests that compare with it."""
    with quiet():
        return getattr(importlib.import_module(module), name)


def settings_of(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "gradient_checkpointing": False,
        "disable_tqdm": True,
    }


def dummy_pairs() -> Any:
    """Rows that let a trainer of TRL be made; the batches of the tests are handed to it directly."""
    from datasets import Dataset

    return Dataset.from_list(
        [{"prompt": f"thing {n}", "chosen": "red", "rejected": "blue"} for n in range(4)]
    )


def token_rows(seed: int, count: int) -> list[TokenRow]:
    draw = torch.Generator().manual_seed(seed)

    def between(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=draw))

    rows: list[TokenRow] = []
    for _ in range(count):
        prompt, answer = between(2, 9), between(1, 7)
        ids = torch.randint(5, 300, (prompt + answer,), generator=draw).tolist()
        rows.append(TokenRow(ids=tuple(ids), answer_start=prompt))
    return rows


def answers_rows(seed: int, count: int) -> list[AnswersRow]:
    """Prompts with two answers, mostly of different lengths."""
    first, second = token_rows(seed, count), token_rows(seed + 1, count)
    return [
        AnswersRow(
            one.ids[: one.answer_start],
            (one.ids[one.answer_start :], other.ids[other.answer_start :]),
        )
        for one, other in zip(first, second, strict=True)
    ]


def different(network: PreTrainedModel, seed: int) -> PreTrainedModel:
    """The same architecture with other weights, large enough to have opinions."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return network


@pytest.fixture
def policy(network_of: Callable[[str], PreTrainedModel]) -> PreTrainedModel:
    return different(network_of("llama"), 1)


@pytest.fixture
def base(network_of: Callable[[str], PreTrainedModel]) -> PreTrainedModel:
    return different(network_of("llama"), 2)


def answers_batch(
    rows: Sequence[AnswersRow], policy: PreTrainedModel, base: PreTrainedModel | None = None
) -> AnswersBatch:
    batch = collate_answers(rows, ["" for _ in rows], Network(policy))
    if base is None:
        return batch
    reference = reference_logprobs(Network(base), rows, batch_tokens=64)
    return replace(batch, reference_S=reference.flatten())


def assert_same(
    policy: PreTrainedModel, ours: Callable[[], Tensor], theirs: Callable[[], Tensor]
) -> None:
    """Compare value and gradient of two mean losses."""
    found: list[tuple[float, Tensor]] = []
    for loss_of in (ours, theirs):
        policy.zero_grad()
        with quiet():
            loss = loss_of()
            loss.backward()
        gradient = policy.get_input_embeddings().weight.grad
        assert isinstance(gradient, Tensor)
        found.append((float(loss.detach()), gradient.clone()))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    assert float(found[0][1].abs().max()) > 1e-4
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("name", "ours"), [("nll", sft), ("dft", dft)])
def test_sft_and_dft_are_those_of_trl(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    name: str,
    ours: Callable[..., Tensor],
) -> None:
    from datasets import Dataset

    rows = token_rows(5, 6)
    listed = [
        {
            "input_ids": list(row.ids),
            "completion_mask": [0] * row.answer_start + [1] * (len(row.ids) - row.answer_start),
        }
        for row in rows
    ]
    with quiet():
        trainer = of_trl("SFTTrainer")(
            model=policy,
            args=of_trl("SFTConfig")(
                **settings_of(tmp_path), loss_type=name, completion_only_loss=True
            ),
            train_dataset=Dataset.from_list(listed),
            processing_class=tokenizer,
        )
    inputs = trainer.data_collator(list(trainer.train_dataset))
    batch = collate(rows, ["" for _ in rows], CPU)
    assert_same(
        policy,
        lambda: ours(policy, batch) / batch.units,
        lambda: trainer.compute_loss(policy, dict(inputs)),
    )


@pytest.mark.parametrize("sft_weight", [0.0, 0.7])
@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_dpo_is_that_of_trl(
    policy: PreTrainedModel,
    base: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    *,
    beta: float,
    sft_weight: float,
) -> None:

    with quiet():
        trainer = of_trl("DPOTrainer")(
            model=policy,
            ref_model=base,
            args=of_trl("DPOConfig")(
                **settings_of(tmp_path),
                beta=beta,
                loss_type=["sigmoid", "sft"],
                loss_weights=[1.0, sft_weight],
            ),
            train_dataset=dummy_pairs(),
            processing_class=tokenizer,
        )
    rows = answers_rows(3, 4)
    listed = [
        {
            "prompt_ids": list(row.prompt),
            "chosen_ids": list(row.answers[0]),
            "rejected_ids": list(row.answers[1]),
        }
        for row in rows
    ]
    # TRL takes the mean over the tokens of all chosen answers together, we that of each answer; both
    # are the same for one pair, and without this term for a whole batch.
    parts = [slice(i, i + 1) for i in range(4)] if sft_weight else [slice(0, 4)]
    for part in parts:
        inputs = of_trl("DataCollatorForPreference", "trl.trainer.dpo_trainer")(pad_token_id=0)(
            listed[part]
        )
        batch = answers_batch(rows[part], policy, base)
        objective = Dpo(beta=beta, sft_weight=sft_weight)
        assert_same(
            policy,
            lambda objective=objective, batch=batch: objective(policy, batch) / batch.units,
            lambda inputs=inputs: trainer.compute_loss(policy, dict(inputs)),
        )


def test_kto_is_that_of_trl(
    policy: PreTrainedModel,
    base: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    from datasets import Dataset

    weights = (1.3, 0.8)
    with quiet():
        trainer = of_trl("KTOTrainer")(
            model=policy,
            ref_model=base,
            args=of_trl("KTOConfig")(
                **settings_of(tmp_path),
                beta=0.3,
                desirable_weight=weights[0],
                undesirable_weight=weights[1],
                train_sampling_strategy="sequential",
            ),
            train_dataset=Dataset.from_list(
                [
                    {"prompt": f"thing {n}", "completion": "red", "label": n % 2 == 0}
                    for n in range(8)
                ]
            ),
            processing_class=tokenizer,
        )
    rows = answers_rows(11, 5)
    is_good = [True, False, False, True, True]
    inputs = of_trl("DataCollatorForUnpairedPreference", "trl.trainer.kto_trainer")(pad_token_id=0)(
        [
            {
                "prompt_ids": list(row.prompt),
                "completion_ids": list(row.answers[0]),
                "KL_completion_ids": list(row.answers[1]),
                "label": good,
            }
            for row, good in zip(rows, is_good, strict=True)
        ]
    )
    for _ in range(2):
        batch = replace(answers_batch(rows, policy, base), is_good_P=torch.tensor(is_good))
        assert_same(
            policy,
            lambda batch=batch: Kto(beta=0.3, weights=weights)(policy, batch) / batch.units,
            lambda: trainer.compute_loss(policy, dict(inputs)),
        )
        exchange(policy, base)
    baselines = trainer._metrics["eval"]["kl"]
    assert min(baselines) == 0 < max(baselines)  # z was cut off at zero in one order


def exchange(one: PreTrainedModel, other: PreTrainedModel) -> None:
    """Let two networks change weights."""
    held = {name: value.clone() for name, value in one.state_dict().items()}
    one.load_state_dict(other.state_dict())
    other.load_state_dict(held)


def concatenated(rows: Sequence[AnswersRow]) -> dict[str, Tensor]:
    """The batch that TRL's ORPO and CPO trainers read."""
    batch: dict[str, Tensor] = {}
    for side, kind in enumerate(("chosen", "rejected")):
        texts = [torch.tensor([*row.prompt, *row.answers[side]]) for row in rows]
        masks = [torch.tensor([-100] * len(row.prompt) + [*row.answers[side]]) for row in rows]
        pad = torch.nn.utils.rnn.pad_sequence
        batch[f"{kind}_input_ids"] = pad(texts, batch_first=True, padding_value=0)
        batch[f"{kind}_labels"] = pad(masks, batch_first=True, padding_value=-100)
        ones = [torch.ones_like(text) for text in texts]
        batch[f"{kind}_attention_mask"] = pad(ones, batch_first=True, padding_value=0)
    return batch


@pytest.mark.parametrize("sft_weight", [0.0, 0.6])
def test_simpo_is_that_of_trl(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    sft_weight: float,
) -> None:
    with quiet():
        trainer = of_trl("CPOTrainer", "trl.experimental.cpo")(
            model=policy,
            args=of_trl("CPOConfig", "trl.experimental.cpo")(
                **settings_of(tmp_path),
                loss_type="simpo",
                beta=2.0,
                simpo_gamma=0.8,
                cpo_alpha=sft_weight,
            ),
            train_dataset=dummy_pairs(),
            processing_class=tokenizer,
        )
    rows = answers_rows(21, 4)
    parts = [rows[i : i + 1] for i in range(4)] if sft_weight else [rows]
    for part in parts:
        batch = answers_batch(part, policy)
        objective = Simpo(beta=2.0, margin=0.4, sft_weight=sft_weight)
        assert_same(
            policy,
            lambda objective=objective, batch=batch: objective(policy, batch) / batch.units,
            lambda part=part: trainer.get_batch_loss_metrics(policy, concatenated(part))[0],
        )


def test_orpo_is_that_of_trl(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    with quiet():
        trainer = of_trl("ORPOTrainer", "trl.experimental.orpo")(
            model=policy,
            args=of_trl("ORPOConfig", "trl.experimental.orpo")(**settings_of(tmp_path), beta=0.4),
            train_dataset=dummy_pairs(),
            processing_class=tokenizer,
        )
    # TRL's cross-entropy is over prompt and answer. With prompts of one token, which nothing precedes,
    # that is the answer; without the term, any prompt will do.
    for row in answers_rows(31, 4):
        short = AnswersRow(row.prompt[:1], row.answers)
        batch = answers_batch([short], policy)
        assert_same(
            policy,
            lambda batch=batch: Orpo(beta=0.4)(policy, batch),
            lambda short=short: trainer.get_batch_loss_metrics(policy, concatenated([short]))[0],
        )
    rows = answers_rows(41, 5)

    def odds_alone() -> Tensor:
        found = trainer.concatenated_forward(policy, concatenated(rows))
        return -trainer.odds_ratio_loss(found[0], found[1])[0].mean()

    batch = answers_batch(rows, policy)
    assert_same(
        policy, lambda: Orpo(beta=0.4, sft_weight=0.0)(policy, batch) / batch.units, odds_alone
    )


@dataclass(frozen=True)
class Scored:
    """TRL's trainer, and the rewards that it was given."""

    trainer: Any
    rewards: list[float]


@pytest.fixture
def grpo(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Scored:
    from datasets import Dataset

    seen: list[float] = []

    def reward(completions: list[str], **_: Any) -> list[float]:
        seen.extend(float(len(text) % 5) for text in completions)
        return seen[-len(completions) :]

    with quiet():
        trainer = of_trl("GRPOTrainer")(
            model=policy,
            reward_funcs=reward,
            args=of_trl("GRPOConfig")(
                **settings_of(tmp_path),
                num_generations=4,
                per_device_train_batch_size=8,
                max_completion_length=6,
                epsilon=0.2,
                epsilon_high=0.3,
            ),
            train_dataset=Dataset.from_list([{"prompt": f"thing {n}"} for n in range(4)]),
            processing_class=tokenizer,
        )
    return Scored(trainer, seen)


@pytest.mark.parametrize("is_old", [False, True])
def test_grpo_is_that_of_trl_with_its_default_settings(
    policy: PreTrainedModel, grpo: Scored, is_old: bool
) -> None:
    assert grpo.trainer.loss_type == "dapo"
    assert grpo.trainer.beta == 0
    policy.eval()
    rows = token_rows(51, 4)
    advantages = torch.tensor([1.2, -0.4, -0.9, 0.5])
    prompts = max(row.answer_start for row in rows)
    answers = max(len(row.ids) - row.answer_start for row in rows)
    inputs: dict[str, Any] = {
        key: torch.zeros((4, width), dtype=torch.long)
        for key, width in (
            ("prompt_ids", prompts),
            ("prompt_mask", prompts),
            ("completion_ids", answers),
            ("completion_mask", answers),
        )
    }
    for i, row in enumerate(rows):
        start, length = row.answer_start, len(row.ids) - row.answer_start
        inputs["prompt_ids"][i, prompts - start :] = torch.tensor(row.ids[:start])
        inputs["prompt_mask"][i, prompts - start :] = 1
        inputs["completion_ids"][i, :length] = torch.tensor(row.ids[start:])
        inputs["completion_mask"][i, :length] = 1
    mask = inputs["completion_mask"].bool()
    inputs |= {"advantages": advantages, "num_items_in_batch": mask.sum()}
    counts_B = mask.sum(1)
    plain = collate(rows, ["" for _ in rows], CPU)
    old_N = None
    if is_old:
        old_N = -2 - torch.rand(plain.units, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            own_N = -torch.nn.functional.cross_entropy(
                policy(input_ids=plain.tokens_BT).logits.flatten(0, 1)[plain.places_N],
                plain.targets_N,
                reduction="none",
            )
        old_N = own_N + (old_N + 2.5)  # ratios from 0.6 to 1.6: some are clipped, some are not
        old_BT = torch.zeros(mask.shape)
        old_BT[mask] = old_N
        inputs["old_per_token_logps"] = old_BT
    batch = RewardedBatch(
        tokens_BT=plain.tokens_BT,
        places_N=plain.places_N,
        targets_N=plain.targets_N,
        names=plain.names,
        tokens=plain.tokens,
        advantages_N=advantages.repeat_interleave(counts_B),
        old_N=old_N,
    )
    assert_same(
        policy,
        lambda: Grpo(clip=(0.2, 0.3))(policy, batch) / batch.units,
        lambda: grpo.trainer._compute_loss(policy, inputs),
    )


def test_advantages_are_those_of_trl(grpo: Scored) -> None:
    prompts = [{"prompt": f"thing {n}"} for n in range(2) for _ in range(4)]
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(3)
        theirs = grpo.trainer._generate_and_score_completions(prompts)["advantages"]
    rewards = torch.tensor(grpo.rewards).view(2, 4)
    assert len(set(rewards.flatten().tolist())) > 2
    torch.testing.assert_close(losses.group_advantages(rewards).flatten(), theirs)


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.5, 1.0])
def test_divergences_are_those_of_trl(beta: float) -> None:
    trainer = of_trl("GKDTrainer", "trl.experimental.gkd")
    draw = torch.Generator().manual_seed(8)
    teacher, student = (3 * torch.randn(1, 7, 50, generator=draw) for _ in range(2))
    theirs = trainer.generalized_jsd_loss(student, teacher, beta=beta, reduction="sum")
    p, q = torch.log_softmax(teacher[0], -1), torch.log_softmax(student[0], -1)
    assert float(losses.jsd(p, q, beta=beta).sum()) == pytest.approx(float(theirs), abs=1e-5)
    direct = {0.0: losses.forward_kl, 1.0: losses.reverse_kl}.get(beta)
    if direct is not None:
        assert float(direct(p, q).sum()) == pytest.approx(float(theirs), abs=1e-5)


def drawn(seed: int, *shape: int, scale: float = 2.0) -> Tensor:
    """Log-probabilities over the last dimension."""
    draw = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(*shape, generator=draw, dtype=torch.float64)
    return torch.log_softmax(logits, dim=-1)


@given(SEEDS, st.floats(0.01, 5))
def test_dpo_of_a_policy_that_is_its_reference_is_log_two(seed: int, beta: float) -> None:
    chosen, rejected = drawn(seed, 2, 6) * 10
    loss = losses.dpo(
        chosen, rejected, reference_chosen_P=chosen, reference_rejected_P=rejected, beta=beta
    )
    torch.testing.assert_close(loss, torch.full_like(loss, math.log(2)))


@given(SEEDS)
def test_exchanging_the_sides_of_a_pair_exchanges_sigmoid_and_its_complement(seed: int) -> None:
    one, other, own, theirs = drawn(seed, 4, 5)
    there = losses.dpo(one, other, reference_chosen_P=own, reference_rejected_P=theirs, beta=0.7)
    back = losses.dpo(other, one, reference_chosen_P=theirs, reference_rejected_P=own, beta=0.7)
    torch.testing.assert_close((-there).exp() + (-back).exp(), torch.ones_like(there))


@given(SEEDS)
def test_orpo_is_the_odds_ratio_of_probabilities(seed: int) -> None:
    p, q = drawn(seed, 2, 5).exp()
    ratio = (p / (1 - p)) / (q / (1 - q))
    wanted = -0.3 * torch.log(ratio / (1 + ratio))
    torch.testing.assert_close(losses.orpo(p.log(), q.log(), beta=0.3), wanted)


@given(SEEDS, st.floats(0.1, 5), st.floats(0, 3))
def test_simpo_of_equal_answers_is_that_of_its_margin(seed: int, beta: float, gamma: float) -> None:
    (one,) = drawn(seed, 1, 5)
    loss = losses.simpo(one, one, beta=beta, gamma=gamma)
    torch.testing.assert_close(loss, torch.full_like(loss, math.log1p(math.exp(gamma))))


@given(SEEDS, st.floats(0.01, 3))
def test_kto_is_a_half_without_a_difference_and_falls_for_good_answers_only(
    seed: int, beta: float
) -> None:
    (reference,) = drawn(seed, 1, 6)
    is_good = torch.tensor([True, False] * 3)

    def loss(moved: float) -> Tensor:
        return losses.kto(
            reference + moved,
            is_good,
            reference_S=reference,
            baseline=torch.zeros(()),
            beta=beta,
        )

    torch.testing.assert_close(loss(0), torch.full_like(reference, 0.5))
    assert bool((loss(1)[is_good] < 0.5).all())
    assert bool((loss(1)[~is_good] > 0.5).all())
    torch.testing.assert_close(loss(1)[is_good], loss(-1)[~is_good])


@given(SEEDS)
def test_the_baseline_of_kto_is_never_negative_and_takes_no_gradient(seed: int) -> None:
    answers, reference = drawn(seed, 2, 5)
    answers.requires_grad_(True)
    found = [losses.kto_baseline(answers + shift, reference_S=reference) for shift in (-9, 0, 9)]
    assert all(float(one) >= 0 and not one.requires_grad for one in found)
    assert float(found[0]) == 0 < float(found[2])


@given(SEEDS, st.integers(2, 40))
def test_divergences_are_at_least_zero_and_zero_at_equality(seed: int, width: int) -> None:
    p, q = drawn(seed, 2, width)[:, None]
    for divergence in (losses.forward_kl, losses.reverse_kl, losses.jsd):
        assert float(divergence(p, q)) >= -1e-12
        assert float(divergence(p, p)) == pytest.approx(0, abs=1e-12)


@given(SEEDS, st.integers(2, 40))
def test_at_equality_no_divergence_pulls(seed: int, width: int) -> None:
    (p,) = drawn(seed, 1, width)
    for divergence in (losses.forward_kl, losses.reverse_kl, losses.jsd):
        for form in (lambda x: x, losses.with_tail):
            logits = p.clone().requires_grad_(True)
            divergence(form(p), form(torch.log_softmax(logits, -1))).backward()
            assert logits.grad is not None
            assert float(logits.grad.abs().max()) < 1e-9


@given(SEEDS, st.floats(0.05, 0.95))
def test_jsd_is_the_same_from_both_sides_once_the_weights_are_exchanged(
    seed: int, beta: float
) -> None:
    p, q = drawn(seed, 2, 9)
    torch.testing.assert_close(losses.jsd(p, q, beta=beta), losses.jsd(q, p, beta=1 - beta))
    assert float(losses.jsd(p, q)) <= math.log(2)


@given(SEEDS, st.integers(2, 20), st.data())
def test_top_k_is_a_lower_bound_of_the_divergence_that_rises_with_k(
    seed: int, width: int, data: st.DataObject
) -> None:
    p, q = drawn(seed, 2, width)
    k = data.draw(st.integers(1, width - 1))
    order = p.argsort(descending=True)
    for divergence in (losses.forward_kl, losses.reverse_kl, losses.jsd):
        some, more = (
            float(divergence(*(losses.with_tail(x[order[:n]]) for x in (p, q)))) for n in (k, k + 1)
        )
        assert some <= more + 1e-6
        assert more <= float(divergence(p, q)) + 1e-6


@given(SEEDS, st.integers(2, 40))
def test_with_every_token_kept_top_k_is_the_full_divergence(seed: int, width: int) -> None:
    p, q = drawn(seed, 2, width).float()
    for divergence in (losses.forward_kl, losses.reverse_kl, losses.jsd):
        whole = float(divergence(losses.with_tail(p), losses.with_tail(q)))
        assert whole == pytest.approx(float(divergence(p, q)), abs=1e-5)


@given(SEEDS, st.integers(1, 19))
def test_a_tail_holds_what_is_left(seed: int, k: int) -> None:
    (p,) = drawn(seed, 1, 20)
    found = losses.with_tail(p[:k]).exp()
    torch.testing.assert_close(found[:k], p[:k].exp())
    assert float(found.sum()) == pytest.approx(1, abs=1e-6)


@given(SEEDS)
def test_dft_has_the_gradient_of_the_probability_itself(seed: int) -> None:
    (logits,) = drawn(seed, 1, 7)
    gradients: list[Tensor] = []
    for of in (losses.dft, lambda logprobs: -logprobs.exp()):
        own = logits.clone().requires_grad_(True)
        of(torch.log_softmax(own, -1)[2]).backward()
        assert own.grad is not None
        gradients.append(own.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


@given(SEEDS)
def test_grpo_right_after_sampling_has_the_plain_policy_gradient(seed: int) -> None:
    logprobs, advantages = drawn(seed, 2, 6)
    own = logprobs.clone().requires_grad_(True)
    loss = losses.grpo(own, advantages)
    torch.testing.assert_close(loss.detach(), -advantages)
    loss.sum().backward()
    assert own.grad is not None
    torch.testing.assert_close(own.grad, -advantages)


@given(SEEDS)
def test_advantages_of_a_group_add_up_to_nothing_and_of_equals_are_nothing(seed: int) -> None:
    rewards = drawn(seed, 3, 5)
    found = losses.group_advantages(rewards)
    torch.testing.assert_close(found.sum(-1), torch.zeros(3, dtype=found.dtype))
    assert bool((losses.group_advantages(torch.ones(2, 4)) == 0).all())


def test_every_loss_has_its_name_in_the_mapping() -> None:
    named = set(losses.LOSSES)
    assert named == {
        *("sft", "dft", "dpo", "orpo", "simpo", "kto"),
        *("forward_kl", "reverse_kl", "jsd", "grpo"),
    }
    assert all(name == loss.__name__ for name, loss in losses.LOSSES.items())
    assert set(OBJECTIVES) == named
