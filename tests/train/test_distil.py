# pyright: standard
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from freehold.core.errors import DataError, FreeholdError, ModelError
from freehold.core.message import system, user
from freehold.core.sections import BaseModelSpec, DistilSpec, RetentionSpec
from freehold.core.snapshot import Example
from freehold.models.local import LocalModel, open_local
from freehold.train.distil import TaughtLesson, distil_lesson
from freehold.train.objectives import Divergence, SoftBatch
from freehold.train.rows import TrainingRow

OpenTiny = Callable[..., LocalModel]
COLOURS = ("red", "green", "blue", "dark grey")


def examples_of(count: int) -> list[Example]:
    return [
        Example(
            id=f"e{n}",
            input=f"thing {n}" + " again" * (n % 4),
            target=COLOURS[n % 4],
            source="x.csv",
            row=n + 1,
        )
        for n in range(count)
    ]


def render(example: Example) -> TrainingRow:
    return TrainingRow(
        prompt=(system("Say its colour."), user(example.input)), answer=str(example.target)
    )


def spec_of(divergence: str, *, top_k: int = 8, on_policy: float = 0.0) -> DistilSpec:
    return DistilSpec.model_validate(
        {"divergence": divergence, "on_policy": on_policy, "retention": RetentionSpec(top_k=top_k)}
    )


def full_distribution(model: LocalModel, example: Example, answer: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities over the vocabulary before each token of an answer, by one plain pass."""
    prompt = model.loaded.chat.prompt_ids(render(example).prompt)
    ids = torch.tensor([[*prompt, *answer]])
    with torch.no_grad():
        logits = model.loaded.network.module(input_ids=ids).logits[0]
    return torch.log_softmax(logits[len(prompt) - 1 : -1].float(), dim=-1)


def test_sequence_needs_no_teacher_and_is_cross_entropy_on_its_answers(open_tiny: OpenTiny) -> None:
    student = open_tiny()
    examples = examples_of(3)
    lesson = distil_lesson(
        examples, render=render, student=student, teacher=None, spec=spec_of("sequence")
    )
    loss = lesson.objective(student.loaded.network.module, lesson.batch((0, 1, 2), step=0))
    chat = student.loaded.chat
    wanted = 0.0
    for example in examples:
        answer = (*chat.answer_ids(str(example.target)), chat.end_id)
        logprobs_NV = full_distribution(student, example, answer)
        wanted -= float(logprobs_NV[torch.arange(len(answer)), list(answer)].sum())
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
def test_with_every_token_kept_it_is_the_divergence_of_the_two_models(
    open_tiny: OpenTiny, kind: str
) -> None:
    student, teacher = open_tiny("llama"), open_tiny("qwen3")
    (example,) = examples = examples_of(1)
    lesson = distil_lesson(
        examples, render=render, student=student, teacher=teacher, spec=spec_of(kind, top_k=300)
    )
    loss = lesson.objective(student.loaded.network.module, lesson.batch((0,), step=0))
    chat = student.loaded.chat
    answer = (*chat.answer_ids(str(example.target)), chat.end_id)
    p, q = (full_distribution(m, example, answer).exp() for m in (teacher, student))
    middle = (p + q) / 2
    wanted = {
        "forward_kl": (p * (p / q).log()).sum(),
        "reverse_kl": (q * (q / p).log()).sum(),
        "jsd": ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2,
    }[kind]
    assert float(loss) == pytest.approx(float(wanted), rel=1e-4)


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
def test_a_student_that_is_its_teacher_learns_nothing(open_tiny: OpenTiny, kind: str) -> None:
    student = open_tiny()
    network = student.loaded.network.module
    lesson = distil_lesson(
        examples_of(4), render=render, student=student, teacher=open_tiny(), spec=spec_of(kind)
    )
    network.requires_grad_(True)
    loss = lesson.objective(network, lesson.batch((0, 1, 2, 3), step=0))
    loss.backward()
    assert abs(float(loss.detach())) < 1e-4
    assert max(float(p.grad.abs().max()) for p in network.parameters() if p.grad is not None) < 1e-4


def test_steps_on_what_the_teacher_said_bring_the_student_nearer_to_it(open_tiny: OpenTiny) -> None:
    student, teacher = open_tiny("llama"), open_tiny("qwen3")
    network = student.loaded.network.module
    lesson = distil_lesson(
        examples_of(4), render=render, student=student, teacher=teacher, spec=spec_of("forward_kl")
    )
    network.requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    values: list[float] = []
    for step in range(15):
        loss = lesson.objective(network, lesson.batch((0, 1, 2, 3), step=step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < values[0] / 2


def test_no_more_of_the_teacher_is_kept_than_was_asked_for(open_tiny: OpenTiny) -> None:
    lesson = distil_lesson(
        examples_of(3),
        render=render,
        student=open_tiny(),
        teacher=open_tiny("qwen3"),
        spec=spec_of("jsd", top_k=5),
    )
    assert isinstance(lesson, TaughtLesson)
    batch = lesson.batch((0, 2), step=0)
    assert isinstance(batch, SoftBatch)
    assert batch.top_ids_NK.shape == (len(batch.targets_N), 5)
    assert lesson.objective == Divergence("jsd")
    assert lesson.loss_tokens == sum(len(soft.top_ids_NK) for soft in lesson.rows)
    assert lesson.passed_tokens((0, 1)) == lesson.batch((0, 1), step=0).tokens


def test_a_teacher_with_another_tokenizer_is_refused_with_the_way_out(
    open_tiny: OpenTiny, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    for file in folder_of("llama").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    one, other = [token for token in vocabulary if token.isalpha()][:2]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    teacher = open_local(BaseModelSpec(id=str(tmp_path)), cache=tmp_path)
    with pytest.raises(ModelError, match="TRN-024") as caught:
        distil_lesson(
            examples_of(2),
            render=render,
            student=open_tiny(),
            teacher=teacher,
            spec=spec_of("reverse_kl"),
        )
    assert "2 of 300 tokens differ" in str(caught.value)
    assert "divergence=sequence" in caught.value.problems[0].help


@pytest.mark.parametrize(("divergence", "share"), [("jsd", 0.0), ("sequence", 0.5)])
def test_without_a_teacher_in_this_process_only_its_answers_can_be_learnt(
    open_tiny: OpenTiny, divergence: str, share: float
) -> None:
    with pytest.raises(FreeholdError, match="TRN-023"):
        distil_lesson(
            examples_of(2),
            render=render,
            student=open_tiny(),
            teacher=None,
            spec=spec_of(divergence, on_policy=share),
        )


def test_rows_beyond_the_context_are_counted_and_an_empty_lesson_is_an_error(
    open_tiny: OpenTiny,
) -> None:
    student, teacher = open_tiny(), open_tiny("qwen3")
    long = Example(id="long", input="again " * 200, target="red", source="x.csv", row=9)
    lesson = distil_lesson(
        [*examples_of(2), long],
        render=render,
        student=student,
        teacher=teacher,
        spec=spec_of("jsd"),
    )
    assert [(drop.row, drop.reason) for drop in lesson.dropped] == [(9, "longer than 128 tokens")]
    assert len(lesson.lengths) == 2
    with pytest.raises(DataError, match="TRN-002"):
        distil_lesson([long], render=render, student=student, teacher=teacher, spec=spec_of("jsd"))


def test_the_digest_names_the_rows_the_teacher_and_the_divergence(open_tiny: OpenTiny) -> None:
    def digest(examples: int = 2, family: str = "qwen3", kind: str = "jsd", top_k: int = 8) -> str:
        return distil_lesson(
            examples_of(examples),
            render=render,
            student=open_tiny(),
            teacher=open_tiny(family),
            spec=spec_of(kind, top_k=top_k),
        ).digest

    named = {digest(), digest(3), digest(family="phi3"), digest(kind="forward_kl"), digest(top_k=9)}
    assert len(named) == 5
    assert digest() == digest()
