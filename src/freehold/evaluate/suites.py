"""Kept ability on suites that the user names: rows of a file as items, scored before and after training.

A row with choices is scored by how likely each choice is as the answer, per letter, so that long choices
are not at a disadvantage. A row without is answered, and compared whole; where the right answer is a
number, with the last number of the answer. The forms of well-known sets (docs/evaluate.md) are known.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, cast

import numpy as np
from pydantic import Field, JsonValue

from freehold.core.errors import DataError, Where
from freehold.core.measure import KeptFamily
from freehold.core.message import user
from freehold.core.outcome import Cause, Failed, Outcome, Scored
from freehold.core.record import Record, digest_json
from freehold.evaluate.instructions import CHECKS, Check, follows
from freehold.evaluate.probes import ProbeResult, kept_families
from freehold.models.door import Generation, Model, PlainText, TextScore

Left: TypeAlias = tuple[tuple[str, int], ...]

MAX_TOKENS: Mapping[str, int] = {"exact": 96, "number": 256, "instructions": 384}
"""Of one answer."""

CONTINUED = frozenset({"lambada"})
"""Files whose rows are texts to go on with, and no questions: known by the name of the file."""

_INPUTS, _TARGETS = ("input", "prompt", "question"), ("target", "answer", "answer_index")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_BLIND = "this model shows no probabilities of plain texts"


class ChoiceItem(Record):
    """The likeliest of `options` should be the one at `right`.

    Every option follows its own context, or all follow the one. `plain`: the context is text to go on
    with; else it is asked as a user's turn. `per_letter`: log-probabilities are divided by the letters.
    """

    kind: Literal["choice"] = "choice"
    id: str
    contexts: Annotated[tuple[str, ...], Field(min_length=1)]
    options: Annotated[tuple[str, ...], Field(min_length=2)]
    right: Annotated[int, Field(ge=0)]
    plain: bool = False
    per_letter: bool = True


class RestItem(Record):
    """The likeliest continuation of the text `context` should be `rest`, token by token."""

    kind: Literal["rest"] = "rest"
    id: str
    context: str
    rest: str


class AnswerItem(Record):
    """The answer to `prompt` should be `answer`, as a whole or by its last number."""

    kind: Literal["exact", "number"]
    id: str
    prompt: str
    answer: str


class InstructionItem(Record):
    """The answer to `prompt` should pass every check."""

    kind: Literal["instructions"] = "instructions"
    id: str
    prompt: str
    checks: tuple[Check, ...]


SuiteItem: TypeAlias = Annotated[
    ChoiceItem | RestItem | AnswerItem | InstructionItem, Field(discriminator="kind")
]


class Suite(Record):
    """The items of one suite; `left_out` says how many rows are none, by reason."""

    name: str
    items: tuple[SuiteItem, ...]
    left_out: Left = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """What the items ask, for comparing with what is trained on."""
        return tuple(text for item in self.items for text in _asked(item))


def read_suite(path: Path, *, name: str, items: int, seed: int = 0) -> Suite:
    """Return a suite of at most `items` rows of a JSON Lines file, drawn by `seed`, in their order.

    Raises:
        DataError: the file cannot be read (KPT-001), a row is no row of a suite (KPT-002), or no row
            can be scored (KPT-003).
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "KPT-001",
            f"the suite {path.name} cannot be read: {getattr(error, 'strerror', None) or error}",
            help="kept.suites names JSON Lines files beside task.yaml, or lm_eval:TASK",
            where=Where(file=str(path)),
        ) from error
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    read = [_read_row(line, number, path) for number, line in rows]
    usable = [item for item in read if not isinstance(item, str)]
    left_out = Counter(reason for reason in read if isinstance(reason, str))
    if not usable:
        reasons = "; ".join(f"{n} x {reason}" for reason, n in left_out.items()) or "it is empty"
        raise DataError(
            "KPT-003",
            f"the suite {name} has no row that can be scored: {reasons}",
            help='a row is {"input": ..., "choices": [...], "target": ...} or {"input": ..., "target": ...}',
            where=Where(file=str(path)),
        )
    drawn = random.Random(f"suites/{name}/{seed}").sample(
        range(len(usable)), min(items, len(usable))
    )
    return Suite(
        name=name,
        items=tuple(usable[place] for place in sorted(drawn)),
        left_out=tuple(sorted(left_out.items())),
    )


def suite_digest(suite: Suite) -> str:
    """Return the digest of everything that is asked and how it is scored."""
    return digest_json("Suite", suite.to_json())


def measure_suite(
    model: Model, suite: Suite, *, on_progress: Callable[[int, int], None] | None = None
) -> tuple[ProbeResult, ...]:
    """Return the score of `model` on each item: 1 where it is right, else 0.

    Args:
        model: a model; choices are compared by its probabilities.
        suite: the items.
        on_progress: called with (scored, all) after each kind of item.
    """
    outcomes: dict[str, Outcome] = {}
    for measure, kinds in (
        (_choices, {"choice"}),
        (_rests, {"rest"}),
        (_answers, {"exact", "number", "instructions"}),
    ):
        part = [item for item in suite.items if item.kind in kinds]
        if part:
            outcomes.update(measure(model, part))
            if on_progress is not None:
                on_progress(len(outcomes), len(suite.items))
    return tuple(
        ProbeResult(probe_id=item.id, family=suite.name, outcome=outcomes[item.id])
        for item in suite.items
    )


def kept_suites(
    before: Sequence[ProbeResult],
    after: Sequence[ProbeResult],
    *,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[KeptFamily, ...]:
    """Return each suite before and after, paired on the same items, worst first.

    What failed before is left out; what failed only afterwards counts as 0, as with probes.
    """
    return kept_families(before, after, confidence=confidence, rng=rng)


def _read_row(line: str, number: int, path: Path) -> SuiteItem | str:
    """Return an item, or the reason why a row that is whole is left out."""
    try:
        row: JsonValue = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError("it is no JSON object")
        # An id may come twice; the number of the row does not.
        return _item(row, f"{number}:{row.get('id', '')}", path.stem)
    except ValueError as error:
        raise DataError(
            "KPT-002",
            f"row {number} of {path.name} is no row of a suite: {error}",
            help='a row is {"input": ..., "choices": [...], "target": ...} or {"input": ..., "target": ...}',
            where=Where(file=str(path), row=number),
        ) from error


def _item(row: Mapping[str, JsonValue], name: str, stem: str) -> SuiteItem | str:
    if "good" in row and "bad" in row:
        options = (_text(row, "good"), _text(row, "bad"))
        return ChoiceItem(
            id=name, contexts=("", ""), options=options, right=0, plain=True, per_letter=False
        )
    if "instruction_id_list" in row:
        return _instructions(row, name)
    if row.get("choices") is not None:
        return _choice(row, name)
    asked, answer = _first(row, _INPUTS), _first(row, _TARGETS)
    if stem in CONTINUED:
        return RestItem(id=name, context=asked, rest=f" {answer}")
    is_number = _NUMBER.fullmatch(answer.strip()) is not None
    return AnswerItem(kind="number" if is_number else "exact", id=name, prompt=asked, answer=answer)


def _choice(row: Mapping[str, JsonValue], name: str) -> SuiteItem:
    found = row["choices"]
    if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
        raise ValueError("`choices` is no list of texts")
    choices = cast("list[str]", found)
    right = _right(row, choices)
    if "context_options" in row and "continuation" in row:
        contexts = cast("list[str]", row["context_options"])
        rest = f" {_text(row, 'continuation')}"
        return ChoiceItem(
            id=name,
            contexts=tuple(contexts),
            options=(rest,) * len(contexts),
            right=right,
            plain=True,
            per_letter=False,
        )
    return ChoiceItem(
        id=name, contexts=(_first(row, _INPUTS),), options=tuple(choices), right=right
    )


def _right(row: Mapping[str, JsonValue], choices: Sequence[str]) -> int:
    named = next((row[key] for key in _TARGETS if row.get(key) is not None), None)
    if isinstance(named, int) and not isinstance(named, bool) and 0 <= named < len(choices):
        return named
    if isinstance(named, str) and named in choices:
        return choices.index(named)
    raise ValueError(f"the target {named!r} is none of its choices")


def _instructions(row: Mapping[str, JsonValue], name: str) -> SuiteItem | str:
    kinds = cast("list[str]", row["instruction_id_list"])
    settings = cast("list[dict[str, JsonValue]]", row.get("kwargs") or [{}] * len(kinds))
    unknown = sorted(set(kinds) - CHECKS.keys())
    if unknown:
        return f"no check of {unknown[0]}"
    checks = tuple(Check(kind=k, settings=s) for k, s in zip(kinds, settings, strict=True))
    return InstructionItem(id=name, prompt=_first(row, _INPUTS), checks=checks)


def _first(row: Mapping[str, JsonValue], names: Sequence[str]) -> str:
    found = next((row[name] for name in names if row.get(name) is not None), None)
    if not isinstance(found, str | int | float) or isinstance(found, bool) or found == "":
        raise ValueError(f"it has no `{names[0]}`")
    return str(found)


def _text(row: Mapping[str, JsonValue], name: str) -> str:
    found = row[name]
    if not isinstance(found, str) or not found:
        raise ValueError(f"`{name}` is no text")
    return found


def _choices(model: Model, items: Sequence[SuiteItem]) -> dict[str, Outcome]:
    chosen = [item for item in items if isinstance(item, ChoiceItem)]
    pairs = [
        (item, item.contexts[min(place, len(item.contexts) - 1)], option)
        for item in chosen
        for place, option in enumerate(item.options)
    ]
    scores = iter(_score_pairs(model, pairs))
    return {item.id: _chosen(item, [next(scores) for _ in item.options]) for item in chosen}


def _score_pairs(
    model: Model, pairs: Sequence[tuple[ChoiceItem, str, str]]
) -> Sequence[TextScore | Failed]:
    if isinstance(model, PlainText):
        contexts = [
            context if item.plain else model.render((user(context),)) for item, context, _ in pairs
        ]
        return model.score_texts(contexts, [option for _, _, option in pairs])
    if any(item.plain for item, _, _ in pairs):
        return [Failed(cause=Cause.ENGINE, message=_BLIND)] * len(pairs)
    read = model.answer_logprobs(
        [(user(context),) for _, context, _ in pairs], [option for _, _, option in pairs]
    )
    return [
        one
        if isinstance(one, Failed)
        else TextScore(logprob=sum(one.logprobs), tokens=len(one.tokens), is_greedy=one.is_greedy)
        for one in read
    ]


def _chosen(item: ChoiceItem, scores: Sequence[TextScore | Failed]) -> Outcome:
    values: list[float] = []
    for option, score in zip(item.options, scores, strict=True):
        if isinstance(score, Failed):
            return score
        values.append(score.logprob / (len(option) if item.per_letter else 1))
    best = max(range(len(values)), key=lambda place: values[place])
    return Scored(score=float(best == item.right))


def _rests(model: Model, items: Sequence[SuiteItem]) -> dict[str, Outcome]:
    rests = [item for item in items if isinstance(item, RestItem)]
    if not isinstance(model, PlainText):
        return {item.id: Failed(cause=Cause.ENGINE, message=_BLIND) for item in rests}
    scores = model.score_texts([item.context for item in rests], [item.rest for item in rests])
    return {
        item.id: score if isinstance(score, Failed) else Scored(score=float(score.is_greedy))
        for item, score in zip(rests, scores, strict=True)
    }


def _answers(model: Model, items: Sequence[SuiteItem]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for kind, max_tokens in MAX_TOKENS.items():
        asked = [
            item
            for item in items
            if isinstance(item, AnswerItem | InstructionItem) and item.kind == kind
        ]
        made = model.generate([(user(item.prompt),) for item in asked], max_tokens=max_tokens)
        outcomes.update(
            (item.id, _judge(item, answer)) for item, answer in zip(asked, made, strict=True)
        )
    return outcomes


def _judge(item: AnswerItem | InstructionItem, made: Generation | Failed) -> Outcome:
    if isinstance(made, Failed):
        return made
    if isinstance(item, InstructionItem):
        return Scored(score=float(all(follows(made.text, check) for check in item.checks)))
    if item.kind == "exact":
        return Scored(score=float(made.text.strip() == item.answer.strip()))
    numbers = _NUMBER.findall(made.text)
    return Scored(score=float(bool(numbers) and _value(numbers[-1]) == _value(item.answer)))


def _value(number: str) -> float:
    return float(number.strip().replace(",", ""))


def _asked(item: SuiteItem) -> tuple[str, ...]:
    match item:
        case ChoiceItem():
            whole = item.options if not any(item.contexts) else item.contexts
            return whole if item.plain else item.contexts
        case RestItem():
            return (item.context,)
        case AnswerItem() | InstructionItem():
            return (item.prompt,)
