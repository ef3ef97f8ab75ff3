# pyright: standard
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from freehold.core.errors import DataError
from freehold.core.message import system, user
from freehold.core.sections import PreferSpec
from freehold.models.local import LocalModel
from freehold.train.answers import collate_answers
from freehold.train.objectives import Kto, answer_logprobs
from freehold.train.preference import (
    JudgedAnswer,
    PreferenceLesson,
    PreferencePair,
    preference_lesson,
)
from freehold.train.records import Watch
from freehold.train.tune import tune

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


def test_nothing_is_read_twice(open_tiny: OpenTiny) -> None:
    base = open_tiny()
    lesson = preference_lesson(pairs_of(4), base=base, spec=PreferSpec())
    apart = [sum(len(row.prompt) + len(a) for a in row.answers) for row in lesson.rows]
    assert all(one < other for one, other in zip(lesson.lengths, apart, strict=True))
    alone = lesson.batch((3,), step=0)
    assert alone.start is None
    assert alone.tokens == alone.tokens_BT.numel() == lesson.lengths[3]
    assert lesson.passed_tokens((3,)) == alone.tokens
    batch = lesson.batch((0, 1, 2, 3), step=0)
    assert batch.start is not None
    shared = batch.start.tokens_1P.shape[1]
    assert shared >= 16
    assert batch.tokens == sum(lesson.lengths) - 3 * shared
    assert lesson.passed_tokens((0, 1, 2, 3)) == batch.tokens
    assert batch.tokens_BT.shape == (4, max(lesson.lengths) - shared)
    assert len(batch.targets_N) == lesson.loss_tokens
    assert batch.units == 4


def test_dpo_before_any_step_is_log_two_for_each_pair(open_tiny: OpenTiny) -> None:
    base = open_tiny()
    lesson = preference_lesson(pairs_of(5), base=base, spec=PreferSpec(sft_weight=0.0))
    loss = lesson.objective(base.loaded.network.module, lesson.batch((1, 3, 4), step=0))
    assert float(loss) == pytest.approx(3 * 0.693147, abs=1e-4)


def losses_of(lesson: PreferenceLesson, base: LocalModel, *, steps: int) -> list[float]:
    """Train every weight on all rows at once, and return the loss before each step."""
    network = base.loaded.network.module
    network.requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    found: list[float] = []
    everything = tuple(range(len(lesson.rows)))
    for step in range(steps):
        batch = lesson.batch(everything, step=step)
        loss = lesson.objective(network, batch) / batch.units
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    return found


@pytest.mark.parametrize("method", ["dpo", "orpo", "simpo", "kto"])
def test_every_method_makes_the_better_answer_likelier_against_the_worse(
    open_tiny: OpenTiny, method: str
) -> None:
    base = open_tiny()
    pairs = pairs_of(6)

    def margins() -> list[float]:
        return [
            plain_logprob(base, pair.prompt, pair.chosen)
            - plain_logprob(base, pair.prompt, pair.rejected)
            for pair in pairs
        ]

    before = margins()
    spec = PreferSpec.model_validate({"method": method, "sft_weight": 0.0})
    losses = losses_of(preference_lesson(pairs, base=base, spec=spec), base, steps=12)
    assert losses[-1] < losses[0]
    assert all(after > earlier for after, earlier in zip(margins(), before, strict=True))


@pytest.mark.parametrize("method", ["dpo", "orpo", "simpo", "kto"])
def test_cross_entropy_beside_it_is_a_mean_over_each_good_answer(
    open_tiny: OpenTiny, method: str
) -> None:
    base = open_tiny()
    pairs = pairs_of(4)
    found: list[float] = []
    for weight in (0.0, 0.5):
        spec = PreferSpec.model_validate({"method": method, "sft_weight": weight})
        lesson = preference_lesson(pairs, base=base, spec=spec)
        batch = lesson.batch(tuple(range(len(lesson.rows))), step=0)
        with torch.no_grad():
            found.append(float(lesson.objective(base.loaded.network.module, batch)))
    chat = base.loaded.chat
    wanted = sum(
        -plain_logprob(base, pair.prompt, pair.chosen) / (len(chat.answer_ids(pair.chosen)) + 1)
        for pair in pairs
    )
    assert found[1] - found[0] == pytest.approx(0.5 * wanted, rel=1e-4)


def test_pairs_whose_answers_are_the_same_are_counted_and_named(open_tiny: OpenTiny) -> None:
    same = PreferencePair(prompt=PROMPT, chosen="red", rejected="red", source="p.jsonl", row=7)
    for method in ("dpo", "kto"):
        spec = PreferSpec.model_validate({"method": method})
        lesson = preference_lesson([*pairs_of(3), same], base=open_tiny(), spec=spec)
        assert {(d.source, d.row, d.reason) for d in lesson.dropped} == {
            ("p.jsonl", 7, "chosen and rejected are the same")
        }
        assert len(lesson.rows) == (3 if method == "dpo" else 6)


@pytest.mark.parametrize("method", ["dpo", "orpo", "simpo", "kto"])
def test_nothing_left_is_an_error_that_says_why(open_tiny: OpenTiny, method: str) -> None:
    same = PreferencePair(prompt=PROMPT, chosen="red", rejected="red")
    long = PreferencePair(prompt=PROMPT, chosen="red " * 200, rejected="blue " * 200)
    spec = PreferSpec.model_validate({"method": method})
    with pytest.raises(DataError, match="TRN-020") as caught:
        preference_lesson([same, long], base=open_tiny(), spec=spec)
    assert "chosen and rejected are the same; longer than 128 tokens" in str(caught.value)
    with pytest.raises(DataError, match="no preference is left of 0: there is none"):
        preference_lesson([], base=open_tiny(), spec=spec)


def test_rows_beyond_the_context_are_counted_never_cut(open_tiny: OpenTiny) -> None:
    long = PreferencePair(prompt=PROMPT, chosen="red", rejected="blue " * 200, row=9)
    lesson = preference_lesson([*pairs_of(2), long], base=open_tiny(), spec=PreferSpec())
    assert [(d.row, d.reason) for d in lesson.dropped] == [(9, "longer than 128 tokens")]
    # Both sides fit together into no context here, and each of them alone does.
    wide = PreferencePair(prompt=PROMPT, chosen="red " * 80, rejected="blue " * 50)
    lesson = preference_lesson([wide], base=open_tiny(), spec=PreferSpec())
    assert lesson.lengths[0] > 128
    assert lesson.reference is not None
    wanted = [plain_logprob(open_tiny(), PROMPT, text) for text in (wide.chosen, wide.rejected)]
    assert lesson.reference[0].tolist() == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(("is_good", "words"), [(True, "are good"), (False, "are bad")])
def test_kto_with_one_kind_of_answer_is_refused(
    open_tiny: OpenTiny, is_good: bool, words: str
) -> None:
    rows = [one.model_copy(update={"is_good": is_good}) for one in judged_of(4)]
    with pytest.raises(DataError, match=f"TRN-022: all 4 judged answers {words}"):
        preference_lesson(rows, base=open_tiny(), spec=PreferSpec(method="kto"))


@pytest.mark.parametrize("method", ["dpo", "orpo", "simpo"])
def test_judged_answers_are_for_kto_alone(open_tiny: OpenTiny, method: str) -> None:
    spec = PreferSpec.model_validate({"method": method})
    with pytest.raises(DataError, match="TRN-021") as caught:
        preference_lesson([*pairs_of(2), *judged_of(3)], base=open_tiny(), spec=spec)
    assert "3 of 5 rows" in str(caught.value)
    assert "method=kto" in caught.value.problems[0].help


def test_kto_measures_each_answer_by_one_to_another_prompt(open_tiny: OpenTiny) -> None:
    judged = judged_of(9)
    base = open_tiny()
    lesson = preference_lesson(judged, base=base, spec=PreferSpec(method="kto"))
    answers: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for row in lesson.rows:
        answers.setdefault(row.prompt, set()).add(row.answers[0])
    for row in lesson.rows:
        assert any(
            row.answers[1] in found for prompt, found in answers.items() if prompt != row.prompt
        )
    batch = lesson.batch((0, 1, 3), step=0)
    assert batch.is_good_P is not None
    assert batch.is_good_P.tolist() == [judged[i].is_good for i in (0, 1, 3)]
    assert isinstance(lesson.objective, Kto)
    good = sum(one.is_good for one in judged)
    weights = lesson.objective.weights
    assert weights[0] * good == pytest.approx(weights[1] * (9 - good))
    assert min(weights) == 1


def test_kto_without_another_prompt_has_no_measure(open_tiny: OpenTiny) -> None:
    rows = [
        JudgedAnswer(prompt=PROMPT, answer=answer, is_good=good)
        for answer, good in (("red", True), ("blue", False))
    ]
    with pytest.raises(DataError, match="no answer to another prompt"):
        preference_lesson(rows, base=open_tiny(), spec=PreferSpec(method="kto"))


def test_the_digest_names_rows_settings_and_base(open_tiny: OpenTiny) -> None:
    def digest(count: int = 3, family: str = "llama", **settings: object) -> str:
        spec = PreferSpec.model_validate(settings)
        return preference_lesson(pairs_of(count), base=open_tiny(family), spec=spec).digest

    named = {
        digest(),
        digest(count=4),
        digest(family="qwen3"),
        digest(beta=0.2),
        digest(sft_weight=0.3),
        *(digest(method=method) for method in ("orpo", "simpo", "kto")),
    }
    assert len(named) == 8
    assert digest() == digest()


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_training_prefers_the_chosen_answers_and_leaves_the_base_as_it_was(
    open_tiny: OpenTiny, tmp_path: Path, method: str
) -> None:
    base = open_tiny()
    pairs = pairs_of(8)

    def margin(model: LocalModel) -> float:
        return sum(
            plain_logprob(model, pair.prompt, pair.chosen)
            - plain_logprob(model, pair.prompt, pair.rejected)
            for pair in pairs
        )

    before = margin(base)
    spec = PreferSpec.model_validate(
        {"method": method, "r": 4, "epochs": 6.0, "batch_tokens": 256, "learning_rate": 1e-2}
    )
    tune(
        spec,
        preference_lesson(pairs, base=base, spec=spec),
        base=base,
        retention=None,
        examiner=None,
        folder=tmp_path,
        watch=Watch(clock=lambda: 0.0),
    )
    assert margin(base) == before
    assert margin(open_tiny(adapter=tmp_path / "adapter")) > before + 8
