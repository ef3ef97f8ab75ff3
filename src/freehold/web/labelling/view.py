"""What the labelling page shows to one labeller, worked out from the desk. Pure, and blind where it must be.

An answer of another labeller is part of a view only once this labeller has answered too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from freehold.core.task import LabelOutput
from freehold.data.agreement import Agreement
from freehold.data.labelling import (
    ANSWERS,
    Decision,
    Item,
    Suggestion,
    answer_key,
    queue_of,
    state_of,
)
from freehold.report import numbers
from freehold.web.labelling.answers import answer_text
from freehold.web.labelling.desk import Seen, Work

DIGITS = 9
_DONE = {"accept": "answered", "edit": "answered", "skip": "skipped", "flag": "flagged"}


@dataclass(frozen=True)
class Choice:
    """One label to choose: its digit where it has one, and how probable the suggestion finds it."""

    label: str
    digit: str
    percent: str
    is_suggested: bool
    is_mine: bool


@dataclass(frozen=True)
class Other:
    """Another labeller's answer to the item; `answer` is None while this labeller must not see it."""

    name: str
    answer: str | None
    is_same: bool


@dataclass(frozen=True)
class Card:
    """One item, as a labeller sees it.

    `proposal` is what accepting takes: the suggestion, else the answer in the data; None where there is
    neither. `typed` is what the editor holds. `mine` is the labeller's own answer, and `done` says what
    they did.
    """

    item: Item
    place: str
    choices: tuple[Choice, ...]
    proposal: str | None
    suggestion: str | None
    percent: str
    suggested_by: str
    given: str | None
    mine: str | None
    done: str
    note: str
    others: tuple[Other, ...]
    typed: str
    problem: str = ""


@dataclass(frozen=True)
class Head:
    """The line above: how far this labeller is, and how far all of them agree."""

    name: str
    done: int
    total: int
    agreement: str
    agreement_words: str
    flagged: int
    skipped: int
    disputed: int
    note: str


def head(work: Work, seen: Seen, labeller: str) -> Head:
    """Return the line above the card."""
    mine = [d for item in work.items if (d := seen.standing.of(item.key, labeller)) is not None]
    return Head(
        name=work.name,
        done=len(mine),
        total=len(work.items),
        agreement=agreement_text(seen.agreement),
        agreement_words=_agreement_words(seen.agreement),
        flagged=sum(d.act == "flag" for d in mine),
        skipped=sum(d.act == "skip" for d in mine),
        disputed=len(disputes(work, seen, labeller)),
        note=seen.note,
    )


def agreement_text(found: Agreement) -> str:
    """Return alpha with its interval and size, `0.91 [.84 .97] n=60`; `–` where it is undefined."""
    if found.alpha is None:
        return numbers.UNKNOWN
    shown = numbers.coefficient(found.alpha, found.low, found.high)
    return f"{shown} n={numbers.count(found.items)}"


def _agreement_words(found: Agreement) -> str:
    if found.items == 0:
        return "two people must answer the same rows"
    if found.alpha is None:
        return "only one answer was ever given"
    return "with its 95 % interval, over the rows that two people answered"


def steps(seen: Seen, labeller: str, items: Mapping[str, Item]) -> tuple[Item, ...]:
    """Return the items in the order in which a labeller moves: what is decided, then what waits."""
    decided: dict[str, None] = {}
    for decision in seen.standing.history.get(labeller, ()):
        if decision.item in items:
            decided.pop(decision.item, None)
            decided[decision.item] = None
    waiting = queue_of(labeller, seen.order, seen.standing)
    return (*(items[key] for key in decided), *waiting)


def card(work: Work, seen: Seen, *, labeller: str, item: Item, place: str) -> Card:
    """Return one item as a labeller sees it."""
    suggestion = seen.suggestions.get(item.key)
    decision = seen.standing.of(item.key, labeller)
    mine = decision.answer if decision is not None and decision.act in ANSWERS else None
    proposed = suggestion.answer if suggestion is not None else item.given
    held = mine if mine is not None else proposed
    return Card(
        item=item,
        place=place,
        choices=_choices(work, suggestion, mine),
        proposal=_text(proposed),
        suggestion=_text(suggestion.answer) if suggestion is not None else None,
        percent=_sureness(work, suggestion),
        suggested_by=suggestion.by if suggestion is not None else "",
        given=_text(item.given),
        mine=_text(mine),
        done=_DONE[decision.act] if decision is not None else "",
        note=decision.note if decision is not None else "",
        others=_others(seen.standing.answers(item.key), labeller, mine),
        typed=_text(held) or "",
    )


def _text(answer: JsonValue) -> str | None:
    return None if answer is None else answer_text(answer)


def _sureness(work: Work, suggestion: Suggestion | None) -> str:
    """Return how probable a suggestion is; nothing for free text, where it is that of a token on average."""
    if suggestion is None or work.output.kind == "text":
        return ""
    return _percent(suggestion.probability)


def _percent(probability: float | None) -> str:
    if probability is None:
        return ""
    if probability < 0.01:
        return "< 1 %"
    return "> 99 %" if probability > 0.99 else f"{probability * 100:.0f} %"


def _choices(work: Work, suggestion: Suggestion | None, mine: JsonValue) -> tuple[Choice, ...]:
    """Return the labels in the order of the task; of many, the nine likeliest come first, with digits."""
    if not isinstance(work.output, LabelOutput):
        return ()
    labels = work.output.labels
    likely = dict(suggestion.likely) if suggestion is not None else {}
    if len(labels) > DIGITS:
        first = [label for label in likely if label in set(labels)][:DIGITS]
        labels = (*first, *(label for label in labels if label not in set(first)))
    return tuple(
        Choice(
            label=label,
            digit=str(number) if number <= DIGITS else "",
            percent=_percent(likely.get(label)),
            is_suggested=suggestion is not None and suggestion.answer == label,
            is_mine=mine == label,
        )
        for number, label in enumerate(labels, start=1)
    )


def _others(answers: Mapping[str, JsonValue], labeller: str, mine: JsonValue) -> tuple[Other, ...]:
    return tuple(
        Other(
            name=name,
            answer=answer_text(answer) if mine is not None else None,
            is_same=mine is not None and answer_key(answer) == answer_key(mine),
        )
        for name, answer in sorted(answers.items())
        if name != labeller
    )


@dataclass(frozen=True)
class Dispute:
    """An item on which labellers differ: its input, and each answer by name."""

    item: Item
    answers: tuple[tuple[str, str], ...]


def disputes(work: Work, seen: Seen, labeller: str) -> tuple[Dispute, ...]:
    """Return the disputed items that this labeller has answered too."""
    found: list[Dispute] = []
    for item in work.items:
        answers = seen.standing.answers(item.key)
        if labeller in answers and state_of(seen.standing, item.key) == "disputed":
            texts = tuple((name, answer_text(a)) for name, a in sorted(answers.items()))
            found.append(Dispute(item, texts))
    return tuple(found)


def said(decision: Decision | None, *, undone: bool = False) -> str:
    """Return the sentence that tells a labeller what was kept."""
    if decision is None:
        return "Nothing to undo."
    if undone:
        return "Undone."
    if decision.act in ANSWERS:
        text = answer_text(decision.answer)
        shown = text if len(text) <= 40 and "\n" not in text else "your answer"
        return f"Saved {shown}. u takes it back."
    return f"{_DONE[decision.act].capitalize()}. u takes it back."
