# pyright: standard
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from freehold.core.message import system, user
from freehold.core.sections import PreferSpec
from freehold.models.local import LocalModel
from freehold.train.answers import collate_answers
from freehold.train.objectives import answer_logprobs
from freehold.train.preference import JudgedAnswer, PreferencePair, preference_lesson

OpenTiny = Callable[..., LocalModel]
PROMPT = (system("Say its colour."), user("thing 3"))


def pairs_of(count: int) -> list[PreferencePair]:
    return [
        PreferencePair(
            prompt=(system("Say its colour."), user(f"thing {n}" + " again" * (n % 4))),
            chosen="dark grey" if n % 2 else "red",
            rejected="blue" + " green" * (n % 3),
            source="pairs.jsonl",
            row=n + 1,
        )
        for n in range(count)
    ]


def judged_of(count: int) -> list[JudgedAnswer]:
    return [
        JudgedAnswer(prompt=pair.prompt, answer=pair.chosen, is_good=n % 3 != 0)
        for n, pair in enumerate(pairs_of(count))
    ]


def plain_logprob(model: LocalModel, prompt: tuple[Any, ...], answer: str) -> float:
    """The log-probability of an answer by the door of the model, one text at a time."""
    (found,) = model.answer_logprobs([prompt], [answer])
    return sum(found.logprobs)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3", "mistral", "phi3"])
def test_the_reference_is_what_the_untouched_base_says_of_each_answer_alone(
    open_tiny: OpenTiny, family: str
) -> None:
    base = open_tiny(family)
    pairs = pairs_of(6)
    lesson = preference_lesson(pairs, base=base, spec=PreferSpec())
    assert base.loaded.network.mask_form is not None
    assert lesson.reference is not None
    for pair, found in zip(pairs, lesson.reference.tolist(), strict=True):
        wanted = [plain_logprob(base, pair.prompt, text) for text in (pair.chosen, pair.rejected)]
        assert found == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3", "mistral", "phi3"])
def test_a_shared_prompt_changes_neither_log_probabilities_nor_gradients(
    open_tiny: OpenTiny, family: str
) -> None:
    base = open_tiny(family)
    network = base.loaded.network
    rows = preference_lesson(pairs_of(5), base=base, spec=PreferSpec(method="orpo")).rows
    names = [str(i) for i in range(len(rows))]
    network.module.requires_grad_(True)
    found: list[tuple[torch.Tensor, dict[str, torch.Tensor]]] = []
    for form in (network.mask_form, None):
        network.mask_form = form
        batch = collate_answers(rows, names, network)
        total_S, _ = answer_logprobs(network.module, batch)
        network.module.zero_grad()
        (total_S * torch.arange(1, len(total_S) + 1)).sum().backward()
        gradients = {
            n: p.grad.clone() for n, p in network.module.named_parameters() if p.grad is not None
        }
        found.append((total_S.detach(), gradients))
    (shared_S, shared), (apart_S, apart) = found
    torch.testing.assert_close(shared_S, apart_S, rtol=1e-5, atol=1e-5)
    assert shared.keys() == apart.keys()
    for name in shared:
        torch.testing.assert_close(shared[name], apart[name], rtol=1e-3, atol=1e-4)


def test_a_shared_prompt_costs_its_tokens_once(open_tiny: OpenTiny) -> None:
    base = open_tiny()
    lesson = preference_lesson(pairs_of(4), base=base, spec=PreferSpec())
    apart = [sum(len(row.prompt) + len(a) for a in row.answers) for row in lesson.rows]
    assert all(one < other for one, other in zip(lesson.lengths, apart, strict=True))
    batch = lesson.batch((0, 1, 2, 3), step=0)
    assert batch.tokens == sum(lesson.lengths)
    assert batch.tokens_BT.shape == (4, max(lesson.lengths))
    assert len(batch.targets_N) == lesson.loss_tokens
    assert batch.units == 4


def test_dpo_before_any_step_is_log_two_for_each_pair(open_tiny: OpenTiny) -> None:
    base = open_tiny()
    lesson = preference_lesson(pairs_of(5), base=base, spec=PreferSpec(sft_weight=0.0))
    loss = lesson.objective(base.loaded.network.module, lesson.batch((1, 3, 4), step=0))
    assert float(loss) == pytest.approx(3 * 0.693147, abs=1e-4)
