# pyright: standard
"""Lessons from the student's own samples: a teacher scores every token, or the task's scorer the whole.

Samples are drawn when a step asks for its batch, from the weights as they are then. They depend on
those weights, the seed and the step alone, so that a resumed run draws the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from pydantic import JsonValue

from freehold.core.errors import DataError
from freehold.core.record import digest_json
from freehold.core.sections import DistilSpec, TuneSpec
from freehold.core.snapshot import Drop, Example
from freehold.models.local import LocalModel
from freehold.models.sample import Sampled, Sampling, sample
from freehold.train.answers import AnswersRow, collate_answers, encode_prompts
from freehold.train.batching import Indices
from freehold.train.losses import group_advantages
from freehold.train.objectives import (
    Divergence,
    DivergenceName,
    Grpo,
    Objective,
    RewardedBatch,
    SoftBatch,
)
from freehold.train.rows import TokenRow
from freehold.train.sft import Render, SftLesson, name_of, no_row_left, sft_lesson
from freehold.train.soft import collate_soft, soft_rows
from freehold.train.teacher import TEACHER_TOKENS, teacher_of

SPARE_ANSWER_TOKENS = 8
"""A student's sample may be longer by so many tokens than the longest answer that it is taught."""


@dataclass(frozen=True)
class Reward:
    """What an answer to an example is worth; higher is better. The task's scorer is one.

    `digest` names the scorer with its settings, so that no run goes on under another one.
    """

    digest: str
    worth: Callable[[Example, str], float]


@dataclass(frozen=True)
class OnPolicyLesson:
    """A divergence from the teacher on answers of which a share is the student's own.

    The other answers are the taught ones. See `on_policy_distil_lesson`.
    """

    name: str
    digest: str
    objective: Objective[Any]
    taught: SftLesson
    student: LocalModel
    teacher: LocalModel
    how: Sampling
    share: float
    top_k: int
    seed: int

    @property
    def dropped(self) -> tuple[Drop, ...]:
        """The examples that were left out, each with its reason."""
        return self.taught.dropped

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each row, at the most that a sample may have."""
        return tuple(self._length(index) for index in range(len(self.taught.rows)))

    @property
    def loss_tokens(self) -> int:
        """Positions that carry loss; of the taught answers, as the samples are not known yet."""
        return self.taught.loss_tokens

    def passed_tokens(self, indices: Indices) -> int:
        """Return the tokens that pass the model when these rows are one batch, at the most."""
        return sum(self._length(index) for index in indices)

    def batch(self, indices: Indices, *, step: int) -> SoftBatch:
        """Return these rows, a share of them with samples of the student as it is now."""
        seed = seed_of("on policy", indices, seed=self.seed, step=step)
        rng = Random(seed)
        own = [index for index in indices if rng.random() < self.share]
        prompts = [self.taught.rows[i].ids[: self.taught.rows[i].answer_start] for i in own]
        drawn = dict(zip(own, sample_from(self.student, prompts, self.how, seed=seed), strict=True))
        end = self.student.loaded.chat.end_id
        rows = [_sampled_row(self.taught.rows[i], drawn.get(i), end) for i in indices]
        soft = soft_rows(
            self.teacher.loaded.network.module, rows, top_k=self.top_k, batch_tokens=TEACHER_TOKENS
        )
        return collate_soft(soft, [self.taught.names[i] for i in indices], self.taught.device)

    def _length(self, index: int) -> int:
        row = self.taught.rows[index]
        return max(len(row.ids), row.answer_start + self.how.max_tokens + 1)


def on_policy_distil_lesson(
    examples: Sequence[Example],
    *,
    render: Render,
    student: LocalModel,
    teacher: LocalModel,
    spec: DistilSpec,
) -> OnPolicyLesson:
    """Return the lesson in which the teacher scores what the student itself says.

    It is generalised knowledge distillation (arXiv:2306.13649) with `spec.on_policy` as the share of
    samples at temperature 1 and, where `spec.divergence` says nothing of tokens, the reverse
    divergence of on-policy distillation. No gradient passes through the sampling.

    Args:
        examples: what is asked.
        render: from an example to what the student is asked and what the teacher answered.
        student: the model whose network is trained; the lesson keeps it.
        teacher: with the student's tokenizer; the lesson keeps it, in memory of its own.
        spec: share, divergence, the longest row, how many of the teacher's tokens count, the seed.

    Raises:
        DataError: no row is left to train on.
        ModelError: the teacher has another tokenizer, or the chat template refuses a row.
    """
    teacher_of(student, teacher, spec)
    taught = sft_lesson(examples, base=student, render=render, max_length=spec.max_length)
    most = max(len(row.ids) - row.answer_start for row in taught.rows) + SPARE_ANSWER_TOKENS
    prompt = max(row.answer_start for row in taught.rows)
    how = Sampling(
        max_tokens=max(1, min(most, student.context_tokens - prompt - 1)),
        stop_ids=student.loaded.chat.stop_ids,
    )
    kind: DivergenceName = "reverse_kl" if spec.divergence == "sequence" else spec.divergence
    top_k = spec.retention.top_k
    settings = [kind, spec.on_policy, top_k, how.max_tokens, spec.seed]
    return OnPolicyLesson(
        name=f"on_policy_{kind}",
        digest=digest_json("on policy", [taught.digest, teacher.digest, *settings]),
        objective=Divergence(kind),
        taught=taught,
        student=student,
        teacher=teacher,
        how=how,
        share=spec.on_policy,
        top_k=top_k,
        seed=spec.seed,
    )


@dataclass(frozen=True)
class GrpoLesson:
    """Prompts, and what answers to them are worth; see `grpo_lesson`."""

    name: str
    digest: str
    objective: Objective[Any]
    dropped: tuple[Drop, ...]
    student: LocalModel
    examples: tuple[Example, ...]
    prompts: tuple[tuple[int, ...], ...]
    reward: Reward
    group: int
    how: Sampling
    seed: int

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each prompt with a whole group of the longest answers."""
        return tuple(self._length(index) for index in range(len(self.prompts)))

    @property
    def loss_tokens(self) -> int:
        """Positions that carry loss, at the most, as the samples are not known yet."""
        return len(self.prompts) * self.group * (self.how.max_tokens + 1)

    def passed_tokens(self, indices: Indices) -> int:
        """Return the tokens that pass the model when these rows are one batch, at the most."""
        return sum(self._length(index) for index in indices)

    def batch(self, indices: Indices, *, step: int) -> RewardedBatch:
        """Return a group of samples for each prompt, from the student as it is now, with advantages.

        Raises:
            DataError: the reward of an answer is not finite.
        """
        seed = seed_of("grpo", indices, seed=self.seed, step=step)
        prompts = [self.prompts[i] for i in indices for _ in range(self.group)]
        drawn = sample_from(self.student, prompts, self.how, seed=seed)
        chat = self.student.loaded.chat
        examples = [self.examples[i] for i in indices for _ in range(self.group)]
        rewards = torch.tensor(
            [self._worth(e, chat.decode(s.ids)) for e, s in zip(examples, drawn, strict=True)]
        )
        rows = [
            AnswersRow(
                self.prompts[index],
                tuple(
                    _whole(one, chat.end_id)
                    for one in drawn[place * self.group : (place + 1) * self.group]
                ),
            )
            for place, index in enumerate(indices)
        ]
        names = [name_of(self.examples[i]) for i in indices]
        plain = collate_answers(rows, names, self.student.loaded.network)
        advantages_S = group_advantages(rewards.view(-1, self.group)).flatten()
        return RewardedBatch(
            tokens_BT=plain.tokens_BT,
            places_N=plain.places_N,
            targets_N=plain.targets_N,
            names=plain.names,
            tokens=plain.tokens,
            sight=plain.sight,
            start=plain.start,
            advantages_N=advantages_S.to(plain.answers_N.device)[plain.answers_N],
        )

    def _length(self, index: int) -> int:
        prompt, most = len(self.prompts[index]), self.how.max_tokens + 1
        if self.student.loaded.network.mask_form is None:
            return self.group * (prompt + most)
        return prompt + self.group * most

    def _worth(self, example: Example, answer: str) -> float:
        value = float(self.reward.worth(example, answer))
        if not math.isfinite(value):
            raise DataError(
                "TRN-025",
                f"the reward of the answer {answer!r} to {name_of(example)} is {value}",
                help="check the metric on one answer with `freehold eval`",
            )
        return value


def grpo_lesson(
    examples: Sequence[Example],
    *,
    render: Render,
    student: LocalModel,
    reward: Reward,
    spec: TuneSpec,
    group: int = 8,
    max_tokens: int | None = None,
) -> GrpoLesson:
    """Return the lesson in which answers that the scorer likes become likelier (arXiv:2402.03300).

    For each prompt a group of answers is sampled at temperature 1; what is better than the group's mean
    is raised, what is worse is lowered. A group of equals teaches nothing. Each sample serves one
    step, so that no ratio is clipped.

    Args:
        examples: what is asked, with what the reward needs to judge.
        render: from an example to what the student is asked; the longest answer is the measure for
            `max_tokens`.
        student: the model whose network is trained; the lesson keeps it.
        reward: from an example and an answer to its worth.
        spec: the longest row and the seed.
        group: answers to each prompt, at least 2.
        max_tokens: of an answer; None: a little more than the longest one that `render` gives.

    Raises:
        DataError: no prompt is left.
        ModelError: the chat template refuses a prompt.
        ValueError: `group` is below 2, or `max_tokens` below 1.
    """
    if group < 2 or (max_tokens is not None and max_tokens < 1):
        raise ValueError(f"a group of {group} answers of {max_tokens} tokens teaches nothing")
    chat = student.loaded.chat
    rendered = [render(example) for example in examples]
    most = max_tokens or SPARE_ANSWER_TOKENS + max(
        (len(chat.answer_ids(row.answer)) for row in rendered), default=1
    )
    context = min(spec.max_length or student.context_tokens, student.context_tokens)
    prompts = encode_prompts(chat, [row.prompt for row in rendered])
    kept: dict[int, tuple[int, ...]] = {}
    dropped: list[Drop] = []
    for index, (example, prompt) in enumerate(zip(examples, prompts, strict=True)):
        if prompt and len(prompt) + most < context:
            kept[index] = prompt
        else:
            reason = f"longer than {context} tokens with an answer" if prompt else "no prompt"
            dropped.append(Drop(source=example.source, row=example.row, reason=reason))
    if not kept:
        raise no_row_left(len(examples), dropped)
    content: list[JsonValue] = [[*prompt] for prompt in kept.values()]
    return GrpoLesson(
        name="grpo",
        digest=digest_json("grpo", [content, reward.digest, group, most, spec.seed]),
        objective=Grpo(),
        dropped=tuple(dropped),
        student=student,
        examples=tuple(examples[index] for index in kept),
        prompts=tuple(kept.values()),
        reward=reward,
        group=group,
        how=Sampling(max_tokens=most, stop_ids=chat.stop_ids),
        seed=spec.seed,
    )


def sample_from(
    student: LocalModel, prompts: Sequence[Sequence[int]], how: Sampling, *, seed: int
) -> tuple[Sampled, ...]:
    """Return an answer of the student, as it is now, to each prompt; its mode is left as it was."""
    network = student.loaded.network
    was_training = network.module.training
    network.module.eval()
    try:
        return sample(network, prompts, how, seed=seed)
    finally:
        network.module.train(was_training)


def seed_of(what: str, indices: Indices, *, seed: int, step: int) -> int:
    """Return the seed of one batch: the same for the same rows at the same step."""
    digest = digest_json(what, [seed, step, *indices])
    return int(digest.removeprefix("sha256:")[:8], 16)


def _sampled_row(taught: TokenRow, drawn: Sampled | None, end: int) -> TokenRow:
    if drawn is None:
        return taught
    prompt = taught.ids[: taught.answer_start]
    return TokenRow(ids=(*prompt, *_whole(drawn, end)), answer_start=len(prompt))


def _whole(drawn: Sampled, end: int) -> tuple[int, ...]:
    """Return the tokens that a sample is judged by: with its end, unless it was cut off."""
    return (*drawn.ids, end) if drawn.is_whole else drawn.ids
