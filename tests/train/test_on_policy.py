# pyright: standard
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from freehold.core.errors import DataError
from freehold.core.message import system, user
from freehold.core.sections import DistilSpec, LoraSpec, RetentionSpec
from freehold.core.snapshot import Example
from freehold.models.local import LocalModel
from freehold.train.distil import distil_lesson
from freehold.train.objectives import RewardedBatch, head_of
from freehold.train.on_policy import GrpoLesson, OnPolicyLesson, Reward, grpo_lesson
from freehold.train.records import Stepped, TrainEvent, Watch
from freehold.train.rows import TrainingRow
from freehold.train.tune import tune

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


def on_policy(student: LocalModel, teacher: LocalModel, *, share: float = 1.0) -> OnPolicyLesson:
    spec = DistilSpec(on_policy=share, retention=RetentionSpec(top_k=300))
    lesson = distil_lesson(
        examples_of(6), render=render, student=student, teacher=teacher, spec=spec
    )
    assert isinstance(lesson, OnPolicyLesson)
    return lesson


def vowels(_example: Example, answer: str) -> float:
    return float(sum(letter in "aeiou" for letter in answer))


def grpo(student: LocalModel, **settings: object) -> GrpoLesson:
    return grpo_lesson(
        examples_of(3),
        render=render,
        student=student,
        spec=LoraSpec(),
        **({"reward": Reward("vowels", vowels), "group": 4} | settings),  # pyright: ignore[reportArgumentType]
    )


def test_samples_are_the_same_for_the_same_step_and_others_at_another(open_tiny: OpenTiny) -> None:
    lesson = on_policy(open_tiny(), open_tiny("qwen3"))
    first, again = lesson.batch((0, 1, 2), step=5), lesson.batch((0, 1, 2), step=5)
    later = lesson.batch((0, 1, 2), step=6)
    assert torch.equal(first.tokens_BT, again.tokens_BT)
    assert torch.equal(first.top_logprobs_NK, again.top_logprobs_NK)
    assert first.tokens_BT.tolist() != later.tokens_BT.tolist()


def test_sampling_leaves_the_global_random_state_and_the_mode_alone(open_tiny: OpenTiny) -> None:
    student = open_tiny()
    lesson = on_policy(student, open_tiny("qwen3"))
    student.loaded.network.module.train()
    before = torch.get_rng_state()
    lesson.batch((0, 3), step=0)
    grpo(student).batch((0, 1), step=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert student.loaded.network.module.training


def test_samples_come_from_the_student_as_it_is_now(open_tiny: OpenTiny) -> None:
    student = open_tiny()
    lesson = on_policy(student, open_tiny("qwen3"))
    with torch.no_grad():  # so sure of itself that a sample is its likeliest answer
        head_of(student.loaded.network.module).get_parameter("weight").mul_(1e5)
    batch = lesson.batch((0,), step=0)
    prompt = render(examples_of(1)[0]).prompt
    (greedy,) = student.generate([prompt], max_tokens=lesson.how.max_tokens)
    assert student.loaded.chat.decode(batch.targets_N.tolist()) == greedy.text  # pyright: ignore[reportAttributeAccessIssue]


def test_a_share_of_the_answers_is_the_students_own(open_tiny: OpenTiny) -> None:
    student = open_tiny()
    lesson = on_policy(student, open_tiny("qwen3"), share=0.5)
    taught = lesson.taught
    own = 0
    for step in range(20):
        for index in range(6):
            targets = lesson.batch((index,), step=step).targets_N.tolist()
            row = taught.rows[index]
            own += targets != list(row.ids[row.answer_start :])
    assert 40 < own < 80  # 60 expected of 120, standard deviation 5.5


def test_the_teacher_scores_the_students_tokens_by_the_reverse_divergence(
    open_tiny: OpenTiny,
) -> None:
    student, teacher = open_tiny(), open_tiny("qwen3")
    lesson = on_policy(student, teacher)
    batch = lesson.batch((0, 1), step=3)
    loss = lesson.objective(student.loaded.network.module, batch)
    wanted = 0.0
    width = batch.tokens_BT.shape[1]
    with torch.no_grad():
        p, q = (
            torch.softmax(m.loaded.network.module(input_ids=batch.tokens_BT).logits.float(), -1)
            for m in (teacher, student)
        )
    for place in batch.places_N.tolist():
        row, column = divmod(place, width)
        wanted += float((q[row, column] * (q[row, column] / p[row, column]).log()).sum())
    assert float(loss) == pytest.approx(wanted, rel=1e-4)


def test_a_group_of_answers_is_rewarded_by_the_scorer_and_compared_within_itself(
    open_tiny: OpenTiny,
) -> None:
    student = open_tiny()
    seen: list[tuple[str, str]] = []

    def reward(example: Example, answer: str) -> float:
        seen.append((example.id, answer))
        return float(len(seen) ** 2)

    batch = grpo(student, reward=Reward("own", reward)).batch((2, 0), step=1)
    assert isinstance(batch, RewardedBatch)
    assert [name for name, _ in seen] == ["e2"] * 4 + ["e0"] * 4
    assert batch.units == len(batch.targets_N) == len(batch.advantages_N)
    wanted: list[float] = []
    for worth in (torch.tensor([1.0, 4, 9, 16]), torch.tensor([25.0, 36, 49, 64])):
        wanted += ((worth - worth.mean()) / (worth.std() + 1e-4)).tolist()
    texts: dict[float, list[int]] = {}  # every answer has an advantage that no other one has
    for advantage, token in zip(batch.advantages_N.tolist(), batch.targets_N.tolist(), strict=True):
        texts.setdefault(advantage, []).append(token)
    assert list(texts) == pytest.approx(wanted, abs=1e-5)
    chat = student.loaded.chat
    assert [chat.decode(ids) for ids in texts.values()] == [answer for _, answer in seen]


def test_steps_make_what_the_scorer_likes_likelier(open_tiny: OpenTiny) -> None:
    student = open_tiny()
    network = student.loaded.network.module
    network.requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    worth: list[float] = []

    def reward(example: Example, answer: str) -> float:
        worth.append(vowels(example, answer))
        return worth[-1]

    lesson = grpo(student, group=16, max_tokens=6, reward=Reward("own", reward))
    for step in range(15):
        batch = lesson.batch((0, 1, 2), step=step)
        loss = lesson.objective(network, batch) / batch.units
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert sum(worth[-48:]) > 2 * sum(worth[:48])


def test_no_sample_is_longer_than_was_said(open_tiny: OpenTiny) -> None:
    student = open_tiny()
    lesson = grpo(student, max_tokens=3)
    batch = lesson.batch((0, 1, 2), step=0)
    assert batch.tokens <= lesson.passed_tokens((0, 1, 2)) <= sum(lesson.lengths)
    assert batch.units <= 3 * 4 * 4
    taught = on_policy(student, open_tiny("qwen3"))
    drawn = taught.batch((0, 1, 2, 3, 4, 5), step=0)
    assert drawn.tokens_BT.shape[1] <= max(taught.lengths)


def test_a_reward_that_is_no_number_is_an_error_that_names_the_answer(open_tiny: OpenTiny) -> None:
    lesson = grpo(open_tiny(), reward=Reward("nan", lambda _example, _answer: float("nan")))
    with pytest.raises(DataError, match=r"TRN-025.*x\.csv row 2 is nan"):
        lesson.batch((1,), step=0)


def test_a_prompt_without_room_for_an_answer_is_counted(open_tiny: OpenTiny) -> None:
    lesson = grpo_lesson(
        [*examples_of(1), Example(id="long", input="again " * 200, target="red", row=7)],
        render=render,
        student=open_tiny(),
        reward=Reward("vowels", vowels),
        spec=LoraSpec(),
    )
    assert [drop.row for drop in lesson.dropped] == [7]
    assert len(lesson.prompts) == len(lesson.lengths) == 1
    with pytest.raises(DataError, match="TRN-002"):
        grpo(open_tiny(), max_tokens=127)


def test_a_group_of_one_is_refused(open_tiny: OpenTiny) -> None:
    with pytest.raises(ValueError, match="a group of 1"):
        grpo(open_tiny(), group=1)


@pytest.mark.parametrize("method", ["distil", "grpo"])
def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(
    open_tiny: OpenTiny, tmp_path: Path, method: str
) -> None:
    spec = LoraSpec(r=2, epochs=3, batch_tokens=128, learning_rate=1e-2)

    def run(folder: Path, *, stops: Sequence[int]) -> bytes:
        """Train, stopped after so many steps once each; every start makes its lesson anew."""
        for stop in (*stops, None):
            steps: list[Stepped] = []

            def note(event: TrainEvent, steps: list[Stepped] = steps) -> None:
                if isinstance(event, Stepped):
                    steps.append(event)

            student = open_tiny()
            lesson = (
                grpo(student)
                if method == "grpo"
                else on_policy(student, open_tiny("qwen3"), share=0.7)
            )
            watch = Watch(
                clock=lambda: 0.0,
                on_event=note,
                should_stop=lambda stop=stop, steps=steps: stop is not None and len(steps) >= stop,
            )
            with nullcontext() if stop is None else pytest.raises(KeyboardInterrupt):
                tune(
                    spec,
                    lesson,
                    base=student,
                    retention=None,
                    examiner=None,
                    folder=folder,
                    watch=watch,
                )
            assert steps
        return (folder / "adapter" / "adapter_model.safetensors").read_bytes()

    assert run(tmp_path / "stopped", stops=(1, 2)) == run(tmp_path / "whole", stops=())
