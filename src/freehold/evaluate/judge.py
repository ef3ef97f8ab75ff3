"""A model that scores free text against a rubric, asked through the one door.

No answer is judged twice: what the judge said is kept by the digest of everything that it was shown.
Kept are numbers, never text. What the judge cannot do is `Failed(Cause.SCORER)`, never a score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from pydantic import JsonValue

from freehold.core.judging import HumanScore, JudgeFigures, JudgeSpent, PositionBias
from freehold.core.measure import Answer
from freehold.core.outcome import Cause, Failed
from freehold.core.record import Record, digest_json
from freehold.core.sections import JudgeSpec
from freehold.core.snapshot import Example
from freehold.evaluate.judge_prompts import (
    FIRST,
    PROMPT_FORM,
    SECOND,
    JudgedItem,
    JudgedPair,
    Winner,
    criteria_schema,
    criteria_score,
    expected_score,
    grade_labels,
    grading_prompt,
    pair_prompt,
    winner,
)
from freehold.evaluate.kappa import further_scores, judge_agreement
from freehold.evaluate.similarity import plain_text
from freehold.evaluate.statistics import wilson
from freehold.models.door import Choice, FitsSchema, Generation, Model

MOST_PAIRS = 40
"""So many pairs show the bias of position; each is asked twice."""

_TOKENS_PER_CRITERION = 24


class JudgeReply(Record):
    """What is kept of one asking: a score in [0, 1] (a grade, or 1 where A was chosen), or why there is none."""

    score: float | None = None
    failed: str | None = None
    prompt_tokens: int = 0
    answer_tokens: int = 0
    seconds: float = 0.0


class JudgeMemory(Protocol):
    """Where replies are kept between commands."""

    def known(self, judge: str) -> Mapping[str, str]:
        """Return what one judge said before: the JSON of replies by key."""
        ...

    def keep(self, judge: str, key: str, body: str) -> None:
        """Keep a reply."""
        ...


@dataclass
class Forgetful:
    """A memory of this process alone."""

    kept: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def known(self, judge: str) -> Mapping[str, str]:
        """Return what was kept so far."""
        return dict(self.kept.get(judge, {}))

    def keep(self, judge: str, key: str, body: str) -> None:
        """Keep a reply until the process ends."""
        self.kept.setdefault(judge, {})[key] = body


@dataclass(frozen=True)
class Standing:
    """Whether a judge may decide: what it and people said of the same answers.

    `human` and `judge` are their scores, in step. `own` holds people's score of each answer, by question
    and answer. `withheld` is why it may not decide, None where it may.
    """

    human: tuple[float, ...]
    judge: tuple[float, ...]
    own: Mapping[tuple[str, str], float]
    figures: JudgeFigures

    @property
    def withheld(self) -> str | None:
        """Why the judge may decide no verdict; None where it may."""
        return self.figures.withheld


class Judge:
    """A judge with its rubric, people's scores to measure it by, and its memory.

    Args:
        open_model: opens the judge's model when it is first asked something that is not known.
        spec: the rubric's text, grades and criteria, and what is asked of its agreement with people.
        scores: people's scores; several of one answer are averaged.
        memory: where replies are kept.
        warnings: sentences that stand beside whatever it says.
        examples: of the task, so that what people scored is shown with its passage and its reference.
        dollars_per_second: of the machine that the judge runs on.
    """

    def __init__(
        self,
        open_model: Callable[[], Model],
        spec: JudgeSpec,
        *,
        scores: Sequence[HumanScore] = (),
        memory: JudgeMemory | None = None,
        warnings: Sequence[str] = (),
        examples: Iterable[Example] = (),
        dollars_per_second: float = 0.0,
    ) -> None:
        self._open = open_model
        self.spec = spec
        self._memory = memory or Forgetful()
        self._warnings = tuple(warnings)
        self._examples = {plain_text(example.input): example for example in examples}
        self._dollars_per_second = dollars_per_second
        self.spent = JudgeSpent()
        self.own = _averaged(scores)

    @cached_property
    def model(self) -> Model:
        """The judge's model."""
        return self._open()

    @cached_property
    def digest(self) -> str:
        """The name of this judge: the model, what it is told, and how it is read. Not people's scores."""
        spec = self.spec
        told: list[JsonValue] = [
            spec.rubric,
            spec.grades,
            [*spec.criteria],
            spec.shows_target,
            PROMPT_FORM,
        ]
        return digest_json("judge", [self.model.digest, *told])

    def compare(self, example: Example, answer: Answer) -> float | Failed:
        """Score one answer to an example: what a scorer calls."""
        return self.grade([self.item(example, answer)])[0]

    def compare_all(
        self, examples: Sequence[Example], answers: Sequence[Answer]
    ) -> tuple[float | Failed, ...]:
        """Score answers together, so that the engine can batch them."""
        pairs = zip(examples, answers, strict=True)
        return self.grade([self.item(example, answer) for example, answer in pairs])

    def item(self, example: Example, answer: Answer) -> JudgedItem:
        """Return what the judge is shown of an answer."""
        return JudgedItem(
            question=question_of(example), answer=text_of(answer), target=self._reference(example)
        )

    def human_score(self, example: Example, answer: Answer) -> float | None:
        """Return what people gave this very answer, None where nobody scored it."""
        return self.own.get((plain_text(example.input), plain_text(text_of(answer))))

    def grade(self, items: Sequence[JudgedItem]) -> tuple[float | Failed, ...]:
        """Return a score in [0, 1] for each item; what is known is not asked again."""
        keys = [digest_json("grade", item.to_json()) for item in items]
        replies = self._replies(keys, lambda places: self._grade([items[p] for p in places]))
        return tuple(_outcome(reply) for reply in replies)

    def prefer(self, pairs: Sequence[JudgedPair]) -> tuple[Winner | Failed, ...]:
        """Return the better answer of each pair, asked in both orders; where they differ it is a tie."""
        return tuple(
            one if isinstance(one, Failed) else winner(*one) for one in self._both_orders(pairs)
        )

    def position_bias(self) -> PositionBias | None:
        """Return how the judge treats what is shown first, on answers that people scored differently.

        None where people scored no question's answers apart.
        """
        chosen = _pairs_apart(self.own)[:MOST_PAIRS]
        if not chosen:
            return None
        pairs = [self._pair(question, answers) for question, answers, _ in chosen]
        found = [
            (labels, better)
            for labels, (_, _, better) in zip(self._both_orders(pairs), chosen, strict=True)
            if not isinstance(labels, Failed)
        ]
        if not found:
            return PositionBias(pairs=0)
        first = sum(label == FIRST for labels, _ in found for label in labels)
        wins = [winner(*labels) for labels, _ in found]
        low, high = wilson(first, 2 * len(found))
        shared = sum(
            0.5 if win == "tie" else float(win == better)
            for win, (_, better) in zip(wins, found, strict=True)
        )
        return PositionBias(
            pairs=len(found),
            first=first / (2 * len(found)),
            low=float(low),
            high=float(high),
            disagreed=wins.count("tie") / len(found),
            right=shared / len(found),
        )

    @cached_property
    def standing(self) -> Standing:
        """Whether the judge may decide. The first use asks it about every answer that people scored."""
        scored = [*self.own.items()]
        items = [self._scored_item(question, answer) for (question, answer), _ in scored]
        replies = self.grade(items)
        both = [
            (human, reply)
            for (_, human), reply in zip(scored, replies, strict=True)
            if not isinstance(reply, Failed)
        ]
        human, judge = tuple(h for h, _ in both), tuple(j for _, j in both)
        position = self.position_bias()
        return Standing(human, judge, self.own, self._figures(human, judge, position))

    def figures(self) -> JudgeFigures:
        """Return the standing's figures with what was spent up to now."""
        return self.standing.figures.model_copy(update=self._cost())

    def _figures(
        self, human: Sequence[float], judge: Sequence[float], position: PositionBias | None
    ) -> JudgeFigures:
        spec = self.spec
        agreement = judge_agreement(human, judge, grades=spec.grades)
        withheld: str | None = None
        if agreement.n < spec.minimum_scores:
            missing = spec.minimum_scores - agreement.n
            withheld = (
                f"the judge was compared with {agreement.n} human scores; {missing} more needed"
            )
        elif agreement.kappa is None:
            withheld = "the judge's agreement is unknown: all scores are one grade"
        elif agreement.low < spec.minimum_kappa:
            more = further_scores(agreement, spec.minimum_kappa)
            way = f"≈ {more:,} more human scores" if more else "a better judge or rubric"
            withheld = f"the judge's kappa may be {agreement.low:.2f}, {spec.minimum_kappa:g} needed: {way}"
        return JudgeFigures(
            name=self.model.name,
            judge_digest=self.digest,
            grades=spec.grades,
            agreement=agreement,
            minimum_kappa=spec.minimum_kappa,
            withheld=withheld,
            position=position,
            warnings=self._warnings,
        )

    def _cost(self) -> dict[str, object]:
        """Return what 1,000 answers cost, from all that was ever asked of this judge."""
        replies = [JudgeReply.from_json(body) for body in self._known.values()]
        asked = [reply for reply in replies if reply.failed is None]
        if not asked:
            return {"spent": self.spent}
        seconds = 1000.0 * sum(reply.seconds for reply in asked) / len(asked)
        tokens = sum(reply.prompt_tokens + reply.answer_tokens for reply in asked)
        return {
            "spent": self.spent,
            "seconds_per_1k": seconds,
            "tokens_per_1k": 1000.0 * tokens / len(asked),
            "dollars_per_1k": seconds * self._dollars_per_second,
        }

    def _reference(self, example: Example) -> str | None:
        is_shown = self.spec.shows_target and isinstance(example.target, str)
        return str(example.target) if is_shown else None

    def _shown(self, question: str) -> tuple[str, str | None]:
        """Return the question of a human score as the judge is shown it, and its reference."""
        example = self._examples.get(question)
        return (
            (question, None)
            if example is None
            else (question_of(example), self._reference(example))
        )

    def _scored_item(self, question: str, answer: str) -> JudgedItem:
        shown, target = self._shown(question)
        return JudgedItem(question=shown, answer=answer, target=target)

    def _pair(self, question: str, answers: tuple[str, str]) -> JudgedPair:
        shown, target = self._shown(question)
        return JudgedPair(question=shown, answers=answers, target=target)

    @cached_property
    def _known(self) -> dict[str, str]:
        return dict(self._memory.known(self.digest))

    def _replies(
        self, keys: Sequence[str], ask: Callable[[Sequence[int]], Sequence[JudgeReply]]
    ) -> list[JudgeReply]:
        """Return the replies of these keys; those that are not known, or failed before, are asked."""
        found: dict[str, JudgeReply] = {}
        for key in keys:
            body = self._known.get(key)
            reply = None if body is None else JudgeReply.from_json(body)
            if reply is not None and reply.failed is None:
                found[key] = reply
        places = {key: place for place, key in enumerate(keys) if key not in found}
        known = sum(key in found for key in keys)
        asked = ask([*places.values()]) if places else ()
        for key, reply in zip(places, asked, strict=True):
            found[key] = reply
            self._known[key] = reply.model_dump_json()
            self._memory.keep(self.digest, key, self._known[key])
        self._count(asked, known=known)
        return [found[key] for key in keys]

    def _count(self, asked: Sequence[JudgeReply], *, known: int) -> None:
        spent = self.spent
        self.spent = JudgeSpent(
            asked=spent.asked + len(asked),
            known=spent.known + known,
            failed=spent.failed + sum(reply.failed is not None for reply in asked),
            prompt_tokens=spent.prompt_tokens + sum(reply.prompt_tokens for reply in asked),
            answer_tokens=spent.answer_tokens + sum(reply.answer_tokens for reply in asked),
            seconds=spent.seconds + sum(reply.seconds for reply in asked),
        )

    def _grade(self, items: Sequence[JudgedItem]) -> list[JudgeReply]:
        spec = self.spec
        prompts = [
            grading_prompt(item, rubric=spec.rubric, grades=spec.grades, criteria=spec.criteria)
            for item in items
        ]
        if not spec.criteria:
            chosen = self.model.choose(prompts, grade_labels(spec.grades))
            return [_of_choice(one, lambda c: expected_score(c, spec.grades)) for one in chosen]
        written = self.model.generate(
            prompts,
            max_tokens=_TOKENS_PER_CRITERION * (1 + len(spec.criteria)),
            constraint=FitsSchema(json_schema=criteria_schema(spec.criteria, spec.grades)),
        )
        return [_of_text(one, spec) for one in written]

    def _both_orders(self, pairs: Sequence[JudgedPair]) -> list[tuple[str, str] | Failed]:
        """Return the labels chosen as given and swapped."""
        asked = [(pair, swapped) for pair in pairs for swapped in (False, True)]
        keys = [digest_json("pair", [pair.to_json(), swapped]) for pair, swapped in asked]

        def ask(places: Sequence[int]) -> list[JudgeReply]:
            prompts = [
                pair_prompt(asked[p][0], rubric=self.spec.rubric, swapped=asked[p][1])
                for p in places
            ]
            chosen = self.model.choose(prompts, (FIRST, SECOND))
            return [_of_choice(one, lambda choice: float(choice.label == FIRST)) for one in chosen]

        outcomes = [_outcome(reply) for reply in self._replies(keys, ask)]
        found: list[tuple[str, str] | Failed] = []
        for given, swapped in zip(outcomes[::2], outcomes[1::2], strict=True):
            failed = next((one for one in (given, swapped) if isinstance(one, Failed)), None)
            labels = (FIRST if given == 1.0 else SECOND, FIRST if swapped == 1.0 else SECOND)
            found.append(failed or labels)
        return found


def question_of(example: Example) -> str:
    """Return the question as a judge is shown it: the passage of the example, earlier turns, the input."""
    before = [f"{turn.role}: {turn.content}" for turn in example.history]
    passage = [example.context] if example.context else []
    return plain_text("\n\n".join([*passage, *before, example.input]))


def text_of(answer: Answer) -> str:
    """Return the answer as people and judge read it: as it was written."""
    return plain_text(answer.raw)


def _averaged(scores: Sequence[HumanScore]) -> dict[tuple[str, str], float]:
    given: dict[tuple[str, str], list[float]] = {}
    for one in scores:
        given.setdefault((plain_text(one.input), plain_text(one.output)), []).append(one.score)
    return {answer: sum(each) / len(each) for answer, each in given.items()}


def _pairs_apart(
    own: Mapping[tuple[str, str], float],
) -> list[tuple[str, tuple[str, str], Winner]]:
    """Return pairs of answers to one question that people scored differently, and the better one.

    Each question gives the two furthest apart, in the order of their texts, so that the better one is
    not always shown first.
    """
    by_question: dict[str, dict[str, float]] = {}
    for (question, answer), score in own.items():
        by_question.setdefault(question, {})[answer] = score
    found: list[tuple[str, tuple[str, str], Winner]] = []
    for question, answers in by_question.items():
        ranked = sorted(answers, key=lambda answer: (answers[answer], answer))
        if answers[ranked[0]] == answers[ranked[-1]]:
            continue
        first, second = sorted((ranked[0], ranked[-1]))
        found.append((question, (first, second), "first" if first == ranked[-1] else "second"))
    return found


def _of_choice(chosen: Choice | Failed, read: Callable[[Choice], float]) -> JudgeReply:
    if isinstance(chosen, Failed):
        return JudgeReply(failed=chosen.message)
    return JudgeReply(
        score=read(chosen), prompt_tokens=chosen.prompt_tokens, seconds=chosen.seconds
    )


def _of_text(written: Generation | Failed, spec: JudgeSpec) -> JudgeReply:
    if isinstance(written, Failed):
        return JudgeReply(failed=written.message)
    score = criteria_score(written.text, spec.criteria, spec.grades)
    return JudgeReply(
        score=score,
        failed=None if score is not None else "its reply holds no grade for each criterion",
        prompt_tokens=written.prompt_tokens,
        answer_tokens=written.answer_tokens,
        seconds=written.seconds,
    )


def _outcome(reply: JudgeReply) -> float | Failed:
    if reply.score is None:
        return Failed(cause=Cause.SCORER, message=f"the judge gave no score: {reply.failed}")
    return reply.score
