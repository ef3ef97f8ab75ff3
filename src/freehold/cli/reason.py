"""The reason test: which symptoms a task shows, with the figures, and which rungs can treat them. Pure.

It reads the examples, the passages and the metric: where the answers stand, how many there are and how
they are worded, whether inputs that are nearly the same have the same answer, and how often the task is
asked. It looks at no model's answers: a climb does that.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Literal, TypeAlias

from freehold.core.measure import Estimate
from freehold.core.task import JsonOutput, LabelOutput, Task, TextOutput
from freehold.report import numbers

if TYPE_CHECKING:
    from pydantic import JsonValue

    from freehold.core.snapshot import Example

Symptom: TypeAlias = Literal["facts", "form", "style", "consistency", "volume"]

#: Which rungs treat a symptom (decide.md 1), cheapest first.
TREATMENTS: Mapping[Symptom, tuple[str, ...]] = {
    "facts": ("retrieve", "lora+retrieve", "full"),
    "form": ("structured", "lora"),
    "style": ("few_shot", "retrieve", "lora", "prefer"),
    "consistency": ("baseline", "few_shot", "retrieve", "lora", "lora+retrieve"),
    "volume": ("baseline", "lora", "distil"),
}
MANY_REQUESTS_PER_MONTH = 1_000_000
FEW_REQUESTS_PER_MONTH = 100_000
MOST_ROWS = 5_000
"""More rows than this are drawn from: shares over so many are known to a point and a half."""
MANY_WORDS = 8
OFTEN, SELDOM = 0.5, 0.05
FEW_PAIRS = 30


@dataclass(frozen=True)
class Sign:
    """What one symptom rests on: a sentence with its figures, and whether it shows the symptom."""

    symptom: Symptom
    is_shown: bool
    text: str
    figures: Mapping[str, JsonValue]


@dataclass(frozen=True)
class Reason:
    """The symptoms that a task shows with what they rest on, what treats them, and what would not help.

    `ceiling` is about the most that any rung can reach, where rows that are nearly the same have
    different answers; None where too few are alike.
    """

    signs: tuple[Sign, ...]
    treated_by: tuple[str, ...]
    would_not_help: tuple[str, ...]
    ceiling: Estimate | None

    @property
    def symptoms(self) -> tuple[Symptom, ...]:
        """The symptoms that the task shows, each once."""
        return tuple(dict.fromkeys(sign.symptom for sign in self.signs if sign.is_shown))


def reason_of(task: Task, examples: Sequence[Example] = (), passages: Iterable[str] = ()) -> Reason:
    """Return the reason test of a task.

    Args:
        task: its output, volume and rungs are read.
        examples: to build with; of more than 5,000 so many are drawn, the same every time.
        passages: the texts of `data.documents`.
    """
    rows = _drawn(examples)
    agreement = _agreement(task, rows)
    known = [
        *_form(task),
        _facts(task, rows, list(passages)),
        _style(task, rows),
        _consistency(task, agreement),
        _volume(task),
    ]
    signs = tuple(sign for sign in known if sign is not None)
    treating = {rung for sign in signs if sign.is_shown for rung in TREATMENTS[sign.symptom]}
    return Reason(
        signs=signs,
        treated_by=tuple(rung for rung in task.ladder.rungs if rung in treating),
        would_not_help=tuple(_would_not_help(task, signs)),
        ceiling=(
            _ceiling(agreement) if agreement is not None and agreement.n >= FEW_PAIRS else None
        ),
    )


def _drawn(examples: Sequence[Example]) -> Sequence[Example]:
    if len(examples) <= MOST_ROWS:
        return examples
    places = sorted(random.Random(0).sample(range(len(examples)), MOST_ROWS))
    return [examples[place] for place in places]


def _share(count: int, of: int) -> Estimate:
    from freehold.evaluate.statistics import estimate_scores

    return estimate_scores([1.0] * count + [0.0] * (of - count), binary=True)


def _figures(found: Estimate) -> dict[str, JsonValue]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "n": found.n}


# Form ------------------------------------------------------------------------------------------


def _form(task: Task) -> tuple[Sign, ...]:
    match task.output:
        case LabelOutput(labels=labels):
            words = f"every answer is one of {numbers.plural(len(labels), 'label')}"
            return (Sign("form", True, words, {"labels": len(labels)}),)
        case JsonOutput():
            return (Sign("form", True, "every answer is a JSON value of one schema", {}),)
        case TextOutput():
            return ()


# Facts -----------------------------------------------------------------------------------------


def _facts(task: Task, rows: Sequence[Example], passages: Sequence[str]) -> Sign | None:
    """Say whether the answers stand in the row's own input, in the documents, or in neither."""
    if isinstance(task.output, LabelOutput) or not rows:
        return _documents_alone(task)
    answers = [(row, _leaves(row.target)) for row in rows]
    answers = [(row, [leaf for leaf in leaves if leaf]) for row, leaves in answers]
    answers = [(row, leaves) for row, leaves in answers if leaves]
    if not answers:
        return _documents_alone(task)
    own = [_holds(_normal(f"{row.input}\n{row.context or ''}"), leaves) for row, leaves in answers]
    inside = _share(sum(own), len(own))
    figures: dict[str, JsonValue] = {"in_own_input": _figures(inside)}
    if inside.low >= OFTEN:
        words = (
            f"the answer stands in the row's own input in {numbers.estimate_n(inside)} of the rows:"
            " it has to be read there, and nothing is missing"
        )
        return Sign("facts", False, words, figures)
    if not passages:
        return _documents_alone(task) or Sign(
            "facts",
            False,
            f"the answer stands in the row's own input in {numbers.estimate_n(inside)} of the rows,"
            " and there are no documents",
            figures,
        )
    text = _normal("\n".join(passages))
    found = [_holds(text, leaves) for _, leaves in answers]
    share = _share(sum(found), len(found))
    figures["in_documents"] = _figures(share)
    shown = share.high >= SELDOM
    words = f"the answer stands in the documents in {numbers.estimate_n(share)} of the rows"
    return Sign("facts", shown, words if shown else f"{words}: they hold other things", figures)


def _documents_alone(task: Task) -> Sign | None:
    if task.documents is None:
        return None
    return Sign("facts", True, "documents are given; whether they hold the answers is not seen", {})


def _leaves(value: JsonValue) -> list[str]:
    """Return the texts and numbers that an answer says, normalised; yes and no say no fact."""
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner)]
    if value is None or isinstance(value, bool):
        return []
    return [_normal(str(value))]


def _normal(text: str) -> str:
    from freehold.data.duplicates import normalise

    return f" {normalise(text)} " if text.strip() else ""


def _holds(text: str, leaves: Sequence[str]) -> bool:
    """Return whether most of what an answer says stands in `text`, word for word."""
    found = sum(leaf in text for leaf in leaves)
    return found >= math.ceil(len(leaves) / 2)


# Style -----------------------------------------------------------------------------------------


def _style(task: Task, rows: Sequence[Example]) -> Sign | None:
    """Say how long free answers are and how many there are: what is worded anew each time has a style."""
    if not isinstance(task.output, TextOutput):
        return None
    if not rows:
        return Sign("style", True, "answers are free text", {})
    answers = [str(row.target) for row in rows]
    words = median(len(answer.split()) for answer in answers)
    distinct = len(set(answers))
    figures: dict[str, JsonValue] = {
        "distinct_answers": distinct,
        "rows": len(rows),
        "median_words": words,
    }
    said = (
        f"answers are free text of {words:g} words in the median,"
        f" {numbers.count(distinct)} different ones in {numbers.plural(len(rows), 'row')}"
    )
    is_worded = words >= MANY_WORDS
    return Sign(
        "style", is_worded, said if is_worded else f"{said}: too short for a style", figures
    )


# Consistency -----------------------------------------------------------------------------------


def _agreement(task: Task, rows: Sequence[Example]) -> Estimate | None:
    """Return how often two inputs that are alike have the same answer; None where no two are alike.

    Alike are inputs of labels that share nine tenths of their pieces. Where an answer is made of the
    input, one other word in it may change the answer: there only the same input is alike.
    """
    from freehold.core.record import canonical_json
    from freehold.data.duplicates import near_pairs, question_key

    texts, contexts = [row.input for row in rows], [row.context or "" for row in rows]
    if isinstance(task.output, LabelOutput):
        pairs = near_pairs(texts, apart=contexts) if len(rows) > 1 else ()
    else:
        places: dict[tuple[str, str], list[int]] = {}
        for place, row in enumerate(rows):
            places.setdefault(question_key(row), []).append(place)
        pairs = tuple(pair for same in places.values() for pair in pairwise(same))
    if not pairs:
        return None
    answers = [canonical_json(row.target) for row in rows]
    return _share(sum(answers[one] == answers[other] for one, other in pairs), len(pairs))


def _ceiling(agreement: Estimate) -> Estimate:
    """Return about the most that can be right: two labels that agree by chance alone are both right in sqrt.

    Where each row is labelled wrongly on its own with chance e, and wrong labels seldom meet, two rows
    agree with chance (1 - e)^2, and 1 - e of the rows can be got right.
    """
    return agreement.model_copy(
        update={
            "mean": None if agreement.mean is None else math.sqrt(agreement.mean),
            "low": math.sqrt(agreement.low),
            "high": math.sqrt(agreement.high),
            "worst": None,
            "best": None,
        }
    )


def _consistency(task: Task, agreement: Estimate | None) -> Sign | None:
    is_closed = not isinstance(task.output, TextOutput)
    said = "what an answer means has to be the same every time"
    if agreement is None:
        unseen = f"{said}; no two inputs are alike, so that noise in the answers is not seen"
        return Sign("consistency", True, unseen, {}) if is_closed else None
    pairs = numbers.plural(agreement.n, "pair")
    said = f"of {pairs} of inputs that are alike {numbers.estimate(agreement)} have one answer"
    figures: dict[str, JsonValue] = {"agreement": _figures(agreement)}
    if agreement.n < FEW_PAIRS:
        return Sign("consistency", is_closed, f"{said}: too few to judge by", figures)
    is_noisy = agreement.mean is not None and agreement.mean < 1.0
    if is_noisy:
        ceiling = _ceiling(agreement)
        figures["ceiling"] = _figures(ceiling)
        said += f": no rung can be right on much more than {numbers.estimate(ceiling)}"
    return Sign("consistency", is_closed or is_noisy, said, figures)


# Volume ----------------------------------------------------------------------------------------


def _volume(task: Task) -> Sign:
    requests = task.volume.requests_per_month
    many = requests >= MANY_REQUESTS_PER_MONTH
    said = f"{numbers.count(requests)} requests a month"
    weight = "the cost of a request decides" if many else "the cost of a request decides little"
    is_between = FEW_REQUESTS_PER_MONTH <= requests < MANY_REQUESTS_PER_MONTH
    text = said if is_between else f"{said}: {weight}"
    return Sign("volume", many, text, {"requests_per_month": requests})


# What would not help ---------------------------------------------------------------------------


def _would_not_help(task: Task, signs: Sequence[Sign]) -> Iterable[str]:
    """Name rungs of this ladder, or parts of them, that treat what the task does not show."""
    rungs = set(task.ladder.rungs)
    shown = {sign.symptom for sign in signs if sign.is_shown}
    if "structured" in rungs and isinstance(task.output, TextOutput):
        yield "structured: free text has no form that decoding could be held to"
    if "prefer" in rungs and "style" not in shown:
        yield "prefer: nothing here is a matter of wording that pairs would show better than examples"
    if "facts" not in shown and rungs & {"retrieve", "full"}:
        yield f"documents: {_why_no_documents(task, signs)}"
    if "distil" in rungs and task.volume.requests_per_month < FEW_REQUESTS_PER_MONTH:
        yield "distil: at this volume a cheaper request saves little"


def _why_no_documents(task: Task, signs: Sequence[Sign]) -> str:
    if isinstance(task.output, LabelOutput):
        return "a label is no fact that a passage could hold"
    facts = next((sign for sign in signs if sign.symptom == "facts"), None)
    if facts is not None and "in_documents" in facts.figures:
        return "they hold few of the answers"
    if facts is not None and "nothing is missing" in facts.text:
        return "the facts stand in the input already"
    return "no sign that facts are missing"
