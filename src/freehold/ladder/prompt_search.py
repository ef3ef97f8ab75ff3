"""A better prompt, looked for on train and a part of dev: wording, examples, order; within a budget of calls.

Wordings are fixed rewritings of the instruction and proposals of a model (as APE, Zhou et al. 2022, and OPRO,
Yang et al. 2023, let a model propose). Examples are chosen by influence: random sets of them are scored, and a
ridge regression says what each is worth (datamodels, Ilyas et al. 2022; for prompts Nguyen and Wong 2023, Chang
and Jia 2023): leaving one out or putting one in would take an evaluation for each of them in each set. Order
matters by itself (Lu et al. 2022). Every choice is a successive halving on the examples of `Exam.seen`; the
winner of many looks better than it is, so that the gain is measured on `Exam.held`, which nothing here reads.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from freehold.core import message
from freehold.core.errors import ConfigError
from freehold.core.record import Record, digest_json
from freehold.core.sections import BaseModelSpec, PromptSearchSpec
from freehold.core.snapshot import Example
from freehold.core.task import LabelOutput, Task
from freehold.ladder.events import Progress
from freehold.ladder.halving import Scores, halve, mean_of, stages
from freehold.ladder.prompts import answer_text, labels_fit, question_text, system_text
from freehold.ladder.rung import Answerer, Exam, Found, Variant
from freehold.ladder.tools import Tools
from freehold.models.door import Generation, Model

FEWEST_DEV = 20
"""With fewer dev examples nothing could be told apart, and the gain would be an interval of everything."""
FIRST_ROUND = 16
SET_ANSWERS = 12
PROPOSAL_TOKENS = 120
SHORTEST_PROPOSAL, LONGEST_PROPOSAL = 12, 800
RIDGE = 1.0
#: Shares of the budget of wordings, sets of examples, the best sets against each other, and orders.
WORDINGS, SETS, BEST_SETS, ORDERS = 0.3, 0.4, 0.15, 0.15
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+")


@dataclass(frozen=True)
class Prompt:
    """A system turn and the examples that follow it, in order."""

    system: str
    shots: tuple[Example, ...]

    @property
    def digest(self) -> str:
        """The name of what is asked."""
        shots: list[JsonValue] = [
            [question_text(shot), answer_text(shot.target)] for shot in self.shots
        ]
        return digest_json("prompt", [self.system, shots])


@dataclass(frozen=True)
class Ground:
    """What a rung gives a search to stand on.

    `start` is the variant without a search that it is compared with, and `shots` its examples; `pool` are the
    training examples that compete; `answerer(system, shots)` makes what answers; `rung` is part of the name.
    """

    rung: str
    start: Variant
    shots: tuple[Example, ...]
    pool: tuple[Example, ...]
    answerer: Callable[[str, tuple[Example, ...]], Answerer]


class FoundPrompt(Record):
    """What a search came to, kept in the store: the prompt, what it took, and what was done."""

    system: str
    shots: tuple[str, ...]
    is_start: bool
    calls: int
    seconds: float
    steps: tuple[str, ...]


def search_prompt(
    spec: PromptSearchSpec,
    tools: Tools,
    exam: Exam,
    *,
    ground: Ground,
) -> Found:
    """Return the best prompt that the search found, as a variant to be built, and what it took.

    What was found is kept: the same search is not made twice, and one that was stopped pays for no answer again.

    Args:
        spec: budget, and what is tried.
        tools: the task, its training examples, the models.
        exam: scores of an answerer on dev examples that the search may see.
        ground: the rung's own prompt, and what may take its place.

    Raises:
        ConfigError: CFG-018, dev is too small.
    """
    if len(exam.seen) + len(exam.held) < FEWEST_DEV:
        raise ConfigError(
            "CFG-018",
            f"ladder.{ground.rung}.search has {len(exam.seen) + len(exam.held)} dev examples to choose with, and"
            f" needs {FEWEST_DEV}",
            help="freehold climb -s data.split.dev=100",
        )
    model = tools.base()
    key = digest_json(
        "prompt search",
        [
            [
                ground.rung,
                spec.to_json(),
                ground.start.spec,
                model.digest,
                tools.task.question_digest,
            ],
            [tools.train.digest, tools.task.metric.to_json(), list(exam.seen), list(exam.held)],
        ],
    )
    kept = tools.store.recall(key, FoundPrompt)
    if kept is None:
        first = Prompt(
            system_text(tools.task, list_labels=labels_fit(tools.task, model)), ground.shots
        )
        kept = _Search(spec, tools, exam, first, ground).run()
        tools.store.remember(key, kept)
    shots: list[JsonValue] = list(kept.shots)
    settings: dict[str, JsonValue] = {
        "k": len(shots),
        "pick": "search",
        "system": kept.system,
        "shots": shots,
    }
    return Found(
        variant=None if kept.is_start else Variant(f"search k={len(shots)}", settings),
        start=ground.start,
        calls=kept.calls,
        seconds=kept.seconds,
        steps=kept.steps,
    )


@dataclass
class _Search:
    """One search under way: what was asked so far, and what it said."""

    spec: PromptSearchSpec
    tools: Tools
    exam: Exam
    start: Prompt
    ground: Ground
    spent: int = 0
    steps: list[str] = field(default_factory=list[str])
    known: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])

    def __post_init__(self) -> None:
        self.rng = random.Random(self.spec.seed)
        self.began = self.tools.clock()
        # The gain takes an answer of both prompts to every held example, and the last choice compares on all
        # that is seen: those are paid for first.
        self.most = max(self.spec.calls - 2 * len(self.exam.held), 0)
        self.budget = max(self.most - 2 * len(self.exam.seen), self.most // 2)

    def run(self) -> FoundPrompt:
        worded = self._wordings(self.start)
        chosen, worth = self._examples(worded)
        ordered = self._orders(chosen, worth)
        found, gain = self._last_choice([self.start, ordered, worded, chosen])
        is_start = found.digest == self.start.digest
        seen = len(self.exam.seen)
        self.steps.append(
            f"nothing better on the {seen} dev examples of the search"
            if is_start
            else f"{gain:+.3f} on the {seen} dev examples that chose it"
        )
        return FoundPrompt(
            system=found.system,
            shots=tuple(shot.id for shot in found.shots),
            is_start=is_start,
            calls=self.spent + 2 * len(self.exam.held),
            seconds=self.tools.clock() - self.began,
            steps=tuple(self.steps),
        )

    def _last_choice(self, prompts: Sequence[Prompt]) -> tuple[Prompt, float]:
        """Return the best of the winners of every step on all that may be seen, and its gain over the first.

        The first of equals wins. One that the budget no longer pays for is left out.
        """
        seen = self.exam.seen
        start = mean_of(self.scores(prompts[0], seen))
        best, most = prompts[0], start
        for prompt in prompts[1:]:
            known = self.known.get(prompt.digest, {})
            if self.spent + sum(one not in known for one in seen) > self.most:
                continue
            mean = mean_of(self.scores(prompt, seen))
            if mean > most:
                best, most = prompt, mean
        return best, most - start

    # Asking ----------------------------------------------------------------------------------

    def scores(self, prompt: Prompt, ids: Sequence[str]) -> dict[str, float]:
        """Return the scores of a prompt on dev examples that may be seen; each is asked once."""
        known = self.known.setdefault(prompt.digest, {})
        new = [one for one in ids if one not in known]
        if new:
            answerer = self.ground.answerer(prompt.system, prompt.shots)
            known |= self.exam.scores(answerer, prompt.digest, new)
            self.spent += len(new)
            done = min(self.spent, self.budget)
            self.tools.on_progress(Progress("building", done, self.budget, "searching a prompt"))
        return {one: known[one] for one in ids}

    def is_over(self) -> bool:
        limit = self.spec.seconds
        late = limit is not None and self.tools.clock() - self.began >= limit
        return late or self.spent >= self.budget

    def _best(self, prompts: Sequence[Prompt], share: float, what: str) -> Prompt:
        """Let prompts compete for a share of the budget; the first of equals wins."""
        different = list({prompt.digest: prompt for prompt in prompts}.values())
        if len(different) == 1 or self.is_over():
            return different[0]
        allowed = min(round(share * self.budget), self.budget - self.spent)
        different = different[: max(allowed, 1)]
        seen = self.exam.seen
        before = self.spent
        rounds = stages(len(different), len(seen), least=FIRST_ROUND, budget=max(allowed, 1))
        found = halve(
            len(different),
            rounds,
            lambda place, stage: self.scores(different[place], seen[: stage.examples]),
            is_forced=True,
            is_over=self.is_over,
        )
        attempt = found.attempts[found.best]
        which = "the first" if found.best == 0 else f"number {found.best + 1}"
        self.steps.append(
            f"{what}: {which} of {len(different)}, {attempt.mean:.3f} on {len(attempt.scores)}"
            f" ({self.spent - before} answers)"
        )
        return different[found.best]

    # Wordings --------------------------------------------------------------------------------

    def _wordings(self, start: Prompt) -> Prompt:
        task, model = self.tools.task, self.tools.base()
        texts = [*rewritings(task, list_labels=labels_fit(task, model)), *self._proposed(task)]
        prompts = [start, *(replace(start, system=text) for text in texts)]
        return self._best(prompts, WORDINGS, "wordings")

    def _proposed(self, task: Task) -> list[str]:
        """Return instructions that a model proposes, each with the list of labels where the start has it."""
        count = min(self.spec.instructions, self.budget)
        if not count:
            return []
        proposer = self._proposer()
        examples = list(self.tools.train.examples)
        prompts = [
            (
                message.user(
                    proposal_request(task, self.rng.sample(examples, min(5, len(examples))), n)
                ),
            )
            for n in range(count)
        ]
        said = proposer.generate(prompts, max_tokens=PROPOSAL_TOKENS)
        self.spent += count
        tail = self.start.system.removeprefix(task.instruction)
        inputs = {example.input for example in examples}
        kept: list[str] = []
        for one in said:
            text = instruction_of(one.text, inputs) if isinstance(one, Generation) else None
            if text is not None:
                kept.append(text + tail)
        self.steps.append(
            f"proposals: {len(set(kept))} of {count} by {proposer.name} could be used"
        )
        return kept

    def _proposer(self) -> Model:
        name = self.spec.proposer
        return self.tools.base() if name is None else self.tools.models.base(BaseModelSpec(id=name))

    # Examples --------------------------------------------------------------------------------

    def _examples(self, best: Prompt) -> tuple[Prompt, Mapping[str, float]]:
        """Return the prompt with the examples that help most, and what each of the pool is worth."""
        pool = self._pool()
        k = min(self.spec.k, len(pool))
        sets = self._sets(len(pool), k)
        if k == 0 or len(sets) < 2:
            return best, {}
        seen = self.exam.seen
        size = min(SET_ANSWERS, len(seen))
        scored: list[tuple[tuple[int, ...], Scores]] = []
        before = self.spent
        for number, chosen in enumerate(sets):
            if self.is_over():
                break
            part = [seen[(number * size + place) % len(seen)] for place in range(size)]
            prompt = replace(best, shots=tuple(pool[place] for place in chosen))
            scored.append((chosen, self.scores(prompt, part)))
        worth = influence(scored, len(pool))
        self.steps.append(
            f"influence: {len(scored)} random sets of {k} from {len(pool)} examples"
            f" ({self.spent - before} answers)"
        )
        ranked = sorted(range(len(pool)), key=lambda place: (-worth[place], place))
        entrants = [
            best.shots,
            tuple(pool[place] for place in reversed(ranked[:k])),
            tuple(pool[place] for place in reversed(one_of_each(ranked, pool, k))),
            *(
                tuple(pool[place] for place in chosen)
                for chosen, _ in sorted(scored, key=lambda one: -mean_of(one[1]))[:2]
            ),
        ]
        prompts = [replace(best, shots=shots) for shots in entrants]
        named = {pool[place].id: worth[place] for place in range(len(pool))}
        return self._best(prompts, BEST_SETS, "sets of examples"), named

    def _pool(self) -> list[Example]:
        """Return the training examples that compete, without those too long for a prompt of several."""
        model = self.tools.base()
        room = model.context_tokens // (2 * max(self.spec.k, 1))
        return [
            shot
            for shot in self.ground.pool
            if model.count_tokens((message.user(question_text(shot)),)) <= room
        ]

    def _sets(self, pool: int, k: int) -> list[tuple[int, ...]]:
        """Return as many random sets as their share of the budget pays, every example about equally often."""
        size = min(SET_ANSWERS, len(self.exam.seen))
        count = round(SETS * self.budget) // max(size, 1)
        sets: list[tuple[int, ...]] = []
        deck: list[int] = []
        while len(sets) < count and k:
            if len(deck) < k:
                fresh = [place for place in range(pool) if place not in deck]
                self.rng.shuffle(fresh)
                deck += fresh
            sets.append(tuple(deck[:k]))
            deck = deck[k:]
        return sets

    # Order -----------------------------------------------------------------------------------

    def _orders(self, best: Prompt, worth: Mapping[str, float]) -> Prompt:
        if len(best.shots) < 2 or not self.spec.orders:
            return best
        by_worth = sorted(best.shots, key=lambda shot: worth.get(shot.id, 0.0))
        orders = [best.shots, tuple(by_worth), tuple(reversed(by_worth))]
        for _ in range(self.spec.orders):
            shuffled = list(best.shots)
            self.rng.shuffle(shuffled)
            orders.append(tuple(shuffled))
        prompts = [replace(best, shots=shots) for shots in orders[: self.spec.orders + 1]]
        return self._best(prompts, ORDERS, "orders")


# What is pure ---------------------------------------------------------------------------------


def rewritings(task: Task, *, list_labels: bool) -> tuple[str, ...]:
    """Return system turns that say the same in another form: deterministic, in the task's own words.

    A small model proposes poorly; these ask nothing of it. The first sentence alone, the labels left out,
    or listed one to a line, or first, and a line that asks for the answer alone.
    """
    instruction, output = task.instruction.strip(), task.output
    listed = system_text(task, list_labels=list_labels)
    only = "Answer with the answer alone, and nothing else."
    texts = [f"{listed}\n{only}", _SENTENCE.split(instruction)[0]]
    if isinstance(output, LabelOutput) and list_labels:
        lines = "\n".join(f"- {label}" for label in output.labels)
        joined = ", ".join(output.labels)
        texts += [
            instruction,
            f"{instruction}\nThe possible answers are:\n{lines}",
            f"Answer with one of: {joined}.\n{instruction}",
            f"Answer with one of: {joined}.",
        ]
    return tuple(text for text in dict.fromkeys(texts) if text and text != listed)


_STYLES = (
    "Write it as one short sentence.",
    "Say what each kind of answer stands for.",
    "Write it as steps to follow.",
    "Say what to look at in the input, and what to ignore.",
    "Write it as you would to a new colleague.",
)


def proposal_request(task: Task, examples: Sequence[Example], number: int) -> str:
    """Return what a model is asked for an instruction: the present one, examples of train, and a style."""
    shown = "\n\n".join(
        f"Input: {example.input}\nAnswer: {answer_text(example.target)}" for example in examples
    )
    return (
        f"An assistant is given this instruction:\n{task.instruction}\n\nExamples of inputs and right answers:\n"
        f"{shown}\n\nWrite a better instruction for the same task. {_STYLES[number % len(_STYLES)]}"
        " Reply with the instruction alone."
    )


def instruction_of(text: str, inputs: frozenset[str] | set[str]) -> str | None:
    """Return a proposed instruction; None for one that is no instruction, or that repeats a training input."""
    said = text.strip().strip('"').strip()
    said = re.sub(r"^(new |better )?instruction:\s*", "", said, flags=re.IGNORECASE)
    if not SHORTEST_PROPOSAL <= len(said) <= LONGEST_PROPOSAL:
        return None
    return None if any(len(one) > SHORTEST_PROPOSAL and one in said for one in inputs) else said


def influence(scored: Sequence[tuple[tuple[int, ...], Scores]], pool: int) -> list[float]:
    """Return what each example of the pool adds to the score of a set that holds it.

    Ridge regression of each answer's score on which examples stood in the prompt, after the mean of its
    question is taken off, so that easy questions credit nobody.

    Args:
        scored: sets of places in the pool, each with its scores by question.
        pool: how many examples there are.
    """
    questions: dict[str, list[float]] = {}
    for _, scores in scored:
        for name, score in scores.items():
            questions.setdefault(name, []).append(score)
    means = {name: sum(scores) / len(scores) for name, scores in questions.items()}
    rows: list[list[float]] = []
    values: list[float] = []
    for chosen, scores in scored:
        row = [1.0 if place in chosen else 0.0 for place in range(pool)]
        for name, score in scores.items():
            rows.append(row)
            values.append(score - means[name])
    if not rows:
        return [0.0] * pool
    there = np.asarray(rows)
    there = there - there.mean(axis=0)
    penalty = RIDGE * len(rows) / max(len(scored), 1)
    square = there.T @ there + penalty * np.eye(pool)
    solved = cast(NDArray[np.float64], np.linalg.solve(square, there.T @ np.asarray(values)))
    return [float(solved[place]) for place in range(pool)]


def one_of_each(ranked: Sequence[int], pool: Sequence[Example], k: int) -> list[int]:
    """Return the k places of the highest rank with as many different answers as there are, best first."""
    taken: list[int] = []
    answers: set[str] = set()
    for place in ranked:
        answer = answer_text(pool[place].target)
        if answer not in answers:
            answers.add(answer)
            taken.append(place)
    rest = [place for place in ranked if place not in taken]
    return (taken + rest)[:k]
