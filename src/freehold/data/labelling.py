"""Labelling: which rows wait in which order, what each labeller decided, and what may be exported.

Every decision is one line of a log that only grows. What stands is worked out from the log alone, so that
a reload, a restart or a kill loses nothing that was acknowledged, and undo is a decision like any other.
The log names rows by a digest of what they ask: it holds answers and notes, and no inputs.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, JsonValue, ValidationError, model_validator

from freehold.core.errors import DataError, MachineError, Where
from freehold.core.record import Record, digest_json
from freehold.core.snapshot import Example
from freehold.data.agreement import Votes
from freehold.data.derived import Written, with_step, write_examples
from freehold.data.split import draw
from freehold.store.blobs import write_durably

Act: TypeAlias = Literal["accept", "edit", "skip", "flag", "undo"]
ANSWERS: tuple[Act, ...] = ("accept", "edit")
LONGEST_NAME = 40
LONGEST_NOTE = 2000


class Suggestion(Record):
    """What a model would answer to one row, and how probable it finds that; None where it cannot tell.

    `likely` are the labels it finds most probable, the first of them its answer. `by` names it.
    """

    answer: JsonValue
    by: str
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    likely: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Suggester:
    """What makes suggestions, in batches, as an iterator of row key and suggestion.

    `suggest(waiting, labelled)` is given the rows that need a suggestion and those that have an answer by
    now. One that `learns` is asked again when more is labelled.
    """

    name: str
    suggest: Callable[[Sequence[Example], Sequence[Example]], Iterable[tuple[str, Suggestion]]]
    learns: bool = False


class Decision(Record):
    """One decision of one labeller about one row.

    `item` is the key of the row (`item_key`). `answer` is there for accept and edit, `note` is what the
    labeller wrote beside it. `suggested` is what was shown as a suggestion, `suggested_by` who made it.
    `undoes` is the number of the decision that an undo takes back.
    """

    number: Annotated[int, Field(ge=1)]
    at: str
    labeller: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    item: str
    act: Act
    answer: JsonValue = None
    note: Annotated[str, Field(max_length=LONGEST_NOTE)] = ""
    suggested: JsonValue = None
    suggested_by: str | None = None
    undoes: int | None = None

    @model_validator(mode="after")
    def _holds_what_its_act_needs(self) -> Self:
        if (self.answer is not None) != (self.act in ANSWERS):
            raise ValueError(f"an answer belongs to accept and edit, not to {self.act}")
        if (self.undoes is not None) != (self.act == "undo"):
            raise ValueError(f"`undoes` belongs to undo, not to {self.act}")
        return self


@dataclass(frozen=True)
class Item:
    """One question to label. Rows that ask the same are one item; `example` is the first of them."""

    key: str
    example: Example
    rows: int = 1

    @property
    def given(self) -> JsonValue:
        """The answer that stands in the data, None where there is none."""
        return self.example.target


def item_key(example: Example) -> str:
    """Return the name of what a row asks: its input, context and earlier turns, not its answer."""
    history = [turn.to_json() for turn in example.history]
    asked: list[JsonValue] = [example.input, example.context, history]
    return digest_json("item", asked).removeprefix("sha256:")[:20]


def items_of(examples: Iterable[Example]) -> tuple[Item, ...]:
    """Return one item for each different question, in the order of the rows."""
    first: dict[str, Example] = {}
    counts = Counter[str]()
    for example in examples:
        key = item_key(example)
        first.setdefault(key, example)
        counts[key] += 1
    return tuple(Item(key, example, counts[key]) for key, example in first.items())


def answer_key(answer: JsonValue) -> str:
    """Return the text by which answers are compared: the same for equal JSON values."""
    return answer if isinstance(answer, str) else json.dumps(answer, sort_keys=True)


# The log --------------------------------------------------------------------------------------


class DecisionLog:
    """The file of decisions, one JSON line each. One process writes to it; anybody may read it."""

    def __init__(self, path: Path) -> None:
        """Open the log, made where it is missing. A last line that was cut off by a crash is dropped.

        Raises:
            DataError: DAT-100 where it is damaged, DAT-102 where another process writes to it.
        """
        if not path.exists():
            write_durably(path, b"")
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            _lock(self._descriptor, path)
            content = path.read_bytes()
            self._decisions = list(_decisions(content, path))
            os.ftruncate(self._descriptor, content.rfind(b"\n") + 1)
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Every decision, oldest first."""
        return tuple(self._decisions)

    @property
    def next_number(self) -> int:
        """The number of the decision that comes next."""
        return self._decisions[-1].number + 1 if self._decisions else 1

    def append(self, decision: Decision) -> None:
        """Add one decision; on return it is on disk.

        Raises:
            OSError: it could not be written, and is not part of the log.
        """
        line = decision.model_dump_json(exclude_defaults=True).encode("utf-8", "replace") + b"\n"
        end = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                raise OSError(f"{written} of {len(line)} bytes were written to {self._path}")
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, end)
            raise
        self._decisions.append(decision)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_decisions(path: Path) -> tuple[Decision, ...]:
    """Return the decisions of a log, none where there is no file.

    Raises:
        DataError: DAT-100 where it is damaged.
    """
    return tuple(_decisions(path.read_bytes(), path)) if path.is_file() else ()


def _decisions(content: bytes, path: Path) -> Iterator[Decision]:
    """Read the lines; numbers grow, with gaps where `data forget` took a line out."""
    whole = content[: content.rfind(b"\n") + 1]
    before = 0
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            decision = Decision.from_json(line)
        except ValidationError as error:
            raise _damaged(path, number, str(error.errors()[0]["msg"])) from error
        if decision.number <= before:
            raise _damaged(path, number, f"it is numbered {decision.number}, after {before}")
        before = decision.number
        yield decision


def _damaged(path: Path, line: int, reason: str) -> DataError:
    return DataError(
        "DAT-100",
        f"line {line} of the log of decisions is damaged: {reason}",
        where=Where(file=str(path), line=line),
        help=f"mend or delete that line of {path.name}; the lines are numbered",
    )


def _lock(descriptor: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # a system without it has no lock that ends with the process
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise MachineError(
            "DAT-102",
            f"another freehold process is labelling here and writes to {path}",
            help="go on in its page, or stop it with ^C; `--export` works meanwhile",
        ) from error


# What stands ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """What stands by now. `by_item` has the decision of each labeller on each item.

    `history` has each labeller's decisions that were not taken back, oldest first.
    """

    by_item: Mapping[str, Mapping[str, Decision]]
    history: Mapping[str, tuple[Decision, ...]]

    def of(self, item: str, labeller: str) -> Decision | None:
        """Return the decision of a labeller on an item."""
        return self.by_item.get(item, {}).get(labeller)

    def last(self, labeller: str) -> Decision | None:
        """Return the decision that an undo of this labeller takes back."""
        mine = self.history.get(labeller, ())
        return mine[-1] if mine else None

    def answers(self, item: str) -> dict[str, JsonValue]:
        """Return the answers to an item by labeller; skipped and flagged ones are absent."""
        given = self.by_item.get(item, {})
        return {name: d.answer for name, d in given.items() if d.act in ANSWERS}


def standing(decisions: Iterable[Decision]) -> Standing:
    """Return what stands: the last decision of each labeller on each item that was not undone."""
    mine: dict[str, dict[int, Decision]] = {}
    for decision in decisions:
        kept = mine.setdefault(decision.labeller, {})
        if decision.undoes is not None:
            kept.pop(decision.undoes, None)
        else:
            kept[decision.number] = decision
    by_item: dict[str, dict[str, Decision]] = {}
    for labeller, kept in mine.items():
        for decision in kept.values():
            by_item.setdefault(decision.item, {})[labeller] = decision
    history = {labeller: tuple(kept.values()) for labeller, kept in mine.items()}
    return Standing(by_item, history)


def votes(standing: Standing, items: Iterable[Item]) -> Votes:
    """Return the answers to the items as texts, for `agreement`."""
    return {
        item.key: {name: answer_key(answer) for name, answer in given.items()}
        for item in items
        if (given := standing.answers(item.key))
    }


class Progress(Record):
    """How far labelling is, in items. `done` have a decision of somebody, and are one of the others.

    `agreed` have answers that are all the same, `disputed` different ones; `flagged` were flagged by
    somebody; `skipped` were skipped and not answered.
    """

    total: int
    done: int
    agreed: int
    disputed: int
    flagged: int
    skipped: int


State: TypeAlias = Literal["waiting", "agreed", "disputed", "flagged", "skipped"]


def state_of(standing: Standing, item: str) -> State:
    """Return what became of an item. A flag outweighs answers, and an answer a skip."""
    given = standing.by_item.get(item, {})
    if any(decision.act == "flag" for decision in given.values()):
        return "flagged"
    answers = {answer_key(answer) for answer in standing.answers(item).values()}
    if answers:
        return "agreed" if len(answers) == 1 else "disputed"
    return "skipped" if given else "waiting"


def progress(standing: Standing, items: Sequence[Item]) -> Progress:
    """Return how far all labellers are together."""
    states = Counter(state_of(standing, item.key) for item in items)
    return Progress(
        total=len(items),
        done=len(items) - states["waiting"],
        agreed=states["agreed"],
        disputed=states["disputed"],
        flagged=states["flagged"],
        skipped=states["skipped"],
    )


# The queue ------------------------------------------------------------------------------------


def doubt(item: Item, suggestion: Suggestion | None) -> float | None:
    """Return how doubtful the answer is that would stand, in [0, 1]; None where nothing tells.

    Without an answer in the data it is that the suggestion is wrong. With one it is that the data is wrong:
    a model that is sure of another answer comes first, and one that is sure of the same comes last.
    """
    if suggestion is None or suggestion.probability is None:
        return None
    if item.given is None or answer_key(item.given) == answer_key(suggestion.answer):
        return 1 - suggestion.probability
    return max(suggestion.probability, 1 - suggestion.probability)


def ordered(
    items: Sequence[Item], suggestions: Mapping[str, Suggestion], *, seed: int = 7
) -> tuple[Item, ...]:
    """Return the items, the most doubtful first; those without a probability behind, in a fixed random order.

    The random order depends on the seed and on what is asked, not on the order of the rows.
    """

    def place(item: Item) -> tuple[bool, float, float]:
        known = doubt(item, suggestions.get(item.key))
        return known is None, -(known or 0.0), draw(seed, item.key)

    return tuple(sorted(items, key=place))


def queue_of(
    labeller: str, items: Sequence[Item], standing: Standing, *, answered_first: bool = True
) -> tuple[Item, ...]:
    """Return the items that wait for a labeller, in the order of `items`.

    With `answered_first`, those that another labeller has answered come first, so that two people meet on
    the same items and their agreement can be told.
    """
    waiting = [item for item in items if standing.of(item.key, labeller) is None]
    if not answered_first:
        return tuple(waiting)
    return tuple(sorted(waiting, key=lambda item: not standing.answers(item.key)))


# Export ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exported:
    """What was written: the labelled rows, and the rows on which people differ or that they flagged."""

    labels: Written
    disputed: Path | None
    rows: int
    disputed_rows: int


def labelled_rows(examples: Iterable[Example], standing: Standing) -> tuple[Example, ...]:
    """Return the rows whose question has one answer by everybody, with it, and a step that says who gave it."""
    found: list[Example] = []
    for example in examples:
        key = item_key(example)
        if state_of(standing, key) == "agreed":
            found.append(_answered(example, standing.answers(key)))
    return tuple(found)


def corrected_rows(examples: Iterable[Example], standing: Standing) -> tuple[Example, ...]:
    """Return all rows, those that were labelled with their new answer, without disputed and flagged ones."""
    found: list[Example] = []
    for example in examples:
        key = item_key(example)
        state = state_of(standing, key)
        if state == "agreed":
            found.append(_answered(example, standing.answers(key)))
        elif state in {"waiting", "skipped"}:
            found.append(example)
    return tuple(found)


def disputed_rows(
    examples: Iterable[Example], standing: Standing
) -> tuple[dict[str, JsonValue], ...]:
    """Return the rows on which labellers differ or that they flagged: every answer and note by labeller."""
    found: list[dict[str, JsonValue]] = []
    for example in examples:
        key = item_key(example)
        state = state_of(standing, key)
        if state in {"disputed", "flagged"}:
            found.append(_disputed(example, state, standing.by_item[key]))
    return tuple(found)


def export(
    *,
    answered: Sequence[Example],
    disputed: Sequence[Mapping[str, JsonValue]],
    path: Path,
    root: Path,
) -> Exported:
    """Write the labelled rows to `path`, and the disputed ones beside it as `NAME.disputed.jsonl`.

    Both are whole or not there at all; without disputed rows an earlier file of them is removed.

    Raises:
        OSError: a file cannot be written.
    """
    beside = path.with_name(f"{path.stem}.disputed.jsonl")
    if disputed:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in disputed)
        write_durably(beside, lines.encode("utf-8", "surrogatepass"))
    else:
        beside.unlink(missing_ok=True)
    return Exported(
        labels=write_examples(answered, path, root=root),
        disputed=beside if disputed else None,
        rows=len(answered),
        disputed_rows=len(disputed),
    )


def _answered(example: Example, answers: Mapping[str, JsonValue]) -> Example:
    answer = next(iter(answers.values()))
    names = " and ".join(sorted(answers))
    was = example.target
    if was is None or answer_key(was) == answer_key(answer):
        step = f"label: {answer_key(answer)!r} by {names}"
    else:
        step = f"label: {answer_key(answer)!r} by {names}, was {answer_key(was)!r}"
    return with_step(example.model_copy(update={"target": answer}), step)


def _disputed(
    example: Example, state: State, given: Mapping[str, Decision]
) -> dict[str, JsonValue]:
    row: dict[str, JsonValue] = {"id": example.id, "input": example.input, "state": state}
    if example.context is not None:
        row["context"] = example.context
    if example.history:
        row["history"] = [turn.to_json() for turn in example.history]
    row["answers"] = {n: d.answer for n, d in sorted(given.items()) if d.act in ANSWERS}
    row["flagged_by"] = [name for name, d in sorted(given.items()) if d.act == "flag"]
    row["notes"] = {name: d.note for name, d in sorted(given.items()) if d.note}
    if example.target is not None:
        row["was"] = example.target
    row["source"], row["row"] = example.source, example.row
    return row
