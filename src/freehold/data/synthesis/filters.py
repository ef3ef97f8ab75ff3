"""What a new row must be before it may be trained on, in one literal mapping, cheapest filters first.

A filter takes the entries that the ones before it let through, and says which of them pass. What does not
is kept, with the filter's reason, for people to read. Filters that compare rows are greedy: of two new
rows that say the same, the first passes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from freehold.core.snapshot import Example
from freehold.core.task import LabelOutput
from freehold.data.duplicates import find_duplicates, normalise
from freehold.data.overlap import Overlap
from freehold.data.synthesis.material import (
    Draft,
    Material,
    Order,
    answer_text,
    given_text,
    is_in,
    leaves,
)

Floats: TypeAlias = NDArray[np.float32]
Embed: TypeAlias = Callable[[Sequence[str]], Floats]
Judge: TypeAlias = Callable[[Sequence[Example]], Sequence[float | None]]
"""How far independent answers to the new inputs agree with theirs, in [0, 1]; None: nothing was answered."""

SHORTEST = 0.5
LONGEST = 2.0
_EDGE = 0.02
MOST_STRANGE = 0.05
_BROKEN = frozenset({"Cn", "Co", "Cs"})
_REPLACED = "\ufffd"
LEAST_NEW = 0.3
"""The share of a row's runs of three words that no row before it has."""
RUN = 3
NAMED_SHARE = 0.05
"""Where fewer of a label's real inputs name the label, a new one that does gives it away."""
PARAPHRASE = 0.94
SAME = 0.97
_SUPPORTED_WORDS = 0.8
_REFUSAL = re.compile(
    r"\s*(i['’]m sorry|i am sorry|sorry,? but|i can(no|['’])t|i am (not able|unable) to|"
    r"i['’]m (not able|unable) to|as an ai\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Entry:
    """One answer of the teacher on its way through the filters.

    `draft` is None where no row could be read. `example` is the row as it would be written.
    """

    order: Order
    raw: str
    truncated: bool
    draft: Draft | None
    example: Example | None


@dataclass
class Bench:
    """What new rows are held against. `accepted` grows while rows pass.

    Args:
        material: the task and its seeds.
        real: the training rows that people wrote, and synthetic ones of earlier files.
        held_out: dev, test and audit rows; they are compared with and never shown.
        valid: whether an answer fits the task's schema; labels are looked up.
        embed: unit vectors of texts, for rows that say the same in other words; None compares words only.
        judge: answers the new inputs independently; None confirms nothing.
        agree: the least agreement.
    """

    material: Material
    real: Sequence[Example]
    held_out: Sequence[Example]
    valid: Callable[[JsonValue], bool]
    embed: Embed | None = None
    judge: Judge | None = None
    agree: float = 0.5
    accepted: list[Example] = field(default_factory=list[Example])

    @cached_property
    def overlap(self) -> Overlap:
        """The held-out inputs as runs of words."""
        return Overlap(example.input for example in self.held_out)

    @cached_property
    def scripts(self) -> frozenset[str]:
        """The scripts of the letters of real inputs: LATIN, GREEK, CJK, ..."""
        letters = {letter for seed in self.material.seeds for letter in seed.input}
        return frozenset(_script(letter) for letter in letters if letter.isalpha())

    @cached_property
    def lengths(self) -> tuple[float, float]:
        """The least and the most characters of an input: half of short real ones, twice long ones."""
        counts = sorted(len(seed.input) for seed in self.material.seeds)
        edge = int(_EDGE * len(counts))
        return SHORTEST * counts[edge], LONGEST * counts[-1 - edge]

    @cached_property
    def real_vectors(self) -> Floats:
        """The vectors of the real inputs."""
        return self._vectors(self.real)

    @cached_property
    def held_out_vectors(self) -> Floats:
        """The vectors of the held-out inputs."""
        return self._vectors(self.held_out)

    def _vectors(self, examples: Sequence[Example]) -> Floats:
        if self.embed is None or not examples:
            return np.zeros((0, 1), np.float32)
        return self.embed([example.input for example in examples])


Passes: TypeAlias = Callable[[Sequence[Entry], Bench], Sequence[bool]]


@dataclass(frozen=True)
class Filter:
    """One condition: the reason that people read where it does not hold, and which entries pass."""

    reason: str
    passes: Passes


def sift(
    entries: Sequence[Entry], bench: Bench, *, filters: Mapping[str, Filter] | None = None
) -> list[str | None]:
    """Return for every entry the reason it was left out for, None where it passed every filter.

    What passes is put to `bench.accepted`, in order.
    """
    reasons: list[str | None] = [None] * len(entries)
    left = list(range(len(entries)))
    for condition in (FILTERS if filters is None else filters).values():
        if not left:
            break
        passed = condition.passes([entries[place] for place in left], bench)
        for place, passes in zip(left, passed, strict=True):
            if not passes:
                reasons[place] = condition.reason
        left = [place for place in left if reasons[place] is None]
    bench.accepted.extend(_row(entries[place]) for place in left)
    return reasons


# One row by itself ---------------------------------------------------------------------------


def _draft(entry: Entry) -> Draft:
    if entry.draft is None:
        raise ValueError("no row was read; `readable` comes before this filter")
    return entry.draft


def _row(entry: Entry) -> Example:
    if entry.example is None:
        raise ValueError("no row was read; `readable` comes before this filter")
    return entry.example


def _complete(entry: Entry, _bench: Bench) -> bool:
    return not entry.truncated


def _willing(entry: Entry, _bench: Bench) -> bool:
    return not _REFUSAL.match(entry.raw)


def _readable(entry: Entry, _bench: Bench) -> bool:
    return entry.draft is not None


def _not_empty(entry: Entry, _bench: Bench) -> bool:
    return bool(normalise(_draft(entry).input))


def _legible(entry: Entry, bench: Bench) -> bool:
    """Hold back broken characters, and letters of scripts that real rows do not use."""
    text = _draft(entry).input
    if any(unicodedata.category(mark) in _BROKEN or mark == _REPLACED for mark in text):
        return False
    letters = [letter for letter in text if letter.isalpha()]
    strange = sum(_script(letter) not in bench.scripts for letter in letters)
    return strange <= MOST_STRANGE * len(letters)


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNNAMED").split()[0]


def _length(entry: Entry, bench: Bench) -> bool:
    shortest, longest = bench.lengths
    return shortest <= len(_draft(entry).input) <= longest


def _valid(entry: Entry, bench: Bench) -> bool:
    return bench.valid(_draft(entry).target)


def _not_telling(entry: Entry, bench: Bench) -> bool:
    """Hold back an input that names its own label where real inputs do not: a cue that never comes."""
    if not isinstance(bench.material.output, LabelOutput):
        return True
    label = answer_text(_draft(entry).target)
    if not _names(_draft(entry).input, label):
        return True
    seeds = bench.material.by_answer.get(label, ())
    return sum(_names(seed.input, label) for seed in seeds) >= NAMED_SHARE * max(1, len(seeds))


def _names(text: str, label: str) -> bool:
    return f" {normalise(label)} " in f" {normalise(text)} "


def _values(entry: Entry, bench: Bench) -> bool:
    """Hold values that answers copy from inputs: those of the seed, and those of the new answer."""
    draft = _draft(entry)
    if any(not is_in(value, draft.input) for value in entry.order.kept):
        return False
    text = given_text(draft.input, _row(entry).context)
    found = [value for path, value in leaves(draft.target) if path in bench.material.copied]
    return entry.order.passage is not None or all(is_in(value, text) for value in found)


def _supported(entry: Entry, _bench: Bench) -> bool:
    """Hold a question about a passage to it: the support is in it, and so are the answer's words."""
    passage = entry.order.passage
    if passage is None:
        return True
    draft, text = _draft(entry), f" {normalise(passage.text)} "
    support = normalise(draft.support or "")
    words = normalise(answer_text(draft.target)).split()
    held = sum(f" {word} " in text for word in words)
    return bool(support) and support in text and held >= _SUPPORTED_WORDS * max(1, len(words))


# Rows beside others --------------------------------------------------------------------------


def _new(entries: Sequence[Entry], bench: Bench) -> list[bool]:
    known = [*bench.real, *bench.accepted]
    rows = [_row(entry) for entry in entries]
    roots = find_duplicates([*known, *rows]).roots
    return [roots[place] == place for place in range(len(known), len(known) + len(rows))]


def _unlike_held_out(entries: Sequence[Entry], bench: Bench) -> list[bool]:
    """Keep away from held-out rows: near duplicates, eight words in a row, and paraphrases."""
    rows = [_row(entry) for entry in entries]
    return away_from(rows, bench)


def away_from(rows: Sequence[Example], bench: Bench) -> list[bool]:
    """Tell for every row whether it resembles no held-out row of the bench."""
    count = len(bench.held_out)
    roots = find_duplicates([*bench.held_out, *rows]).roots[count:]
    words = [
        root >= count and not bench.overlap.resembles(row.input)
        for root, row in zip(roots, rows, strict=True)
    ]
    if bench.embed is None or not count:
        return words
    nearest = (bench.embed([row.input for row in rows]) @ bench.held_out_vectors.T).max(axis=1)
    return [fine and float(near) < PARAPHRASE for fine, near in zip(words, nearest, strict=True)]


def _diverse(entries: Sequence[Entry], bench: Bench) -> list[bool]:
    """Keep rows that say something: new runs of words, and a place of their own among the vectors."""
    seen = {run for row in bench.accepted for run in _runs(row.input)}
    fresh: list[bool] = []
    for entry in entries:
        runs = _runs(_draft(entry).input)
        is_new = len(runs - seen) >= LEAST_NEW * len(runs)
        fresh.append(is_new)
        seen |= runs if is_new else set()
    if bench.embed is None:
        return fresh
    return _spread(entries, bench, fresh)


def _spread(entries: Sequence[Entry], bench: Bench, fresh: Sequence[bool]) -> list[bool]:
    if bench.embed is None:
        return list(fresh)
    texts = [row.input for row in bench.accepted] + [_draft(entry).input for entry in entries]
    vectors = bench.embed(texts)
    new = vectors[len(bench.accepted) :]
    taken = [*bench.real_vectors, *vectors[: len(bench.accepted)]]
    passed: list[bool] = []
    for vector, is_fresh in zip(new, fresh, strict=True):
        nearest = float(np.max(np.stack(taken) @ vector)) if taken else 0.0
        passed.append(is_fresh and nearest < SAME)
        if passed[-1]:
            taken.append(vector)
    return passed


def _runs(text: str) -> set[tuple[str, ...]]:
    words = normalise(text).split()
    return {tuple(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1))}


def _agreed(entries: Sequence[Entry], bench: Bench) -> list[bool]:
    if bench.judge is None:
        return [True] * len(entries)
    scores = bench.judge([_row(entry) for entry in entries])
    return [score is not None and score >= bench.agree for score in scores]


# The mapping ---------------------------------------------------------------------------------


def _each(passes: Callable[[Entry, Bench], bool]) -> Passes:
    return lambda entries, bench: [passes(entry, bench) for entry in entries]


#: What a new row must be, in the order in which it is asked. A new filter is a function and a line here.
FILTERS: Mapping[str, Filter] = {
    "complete": Filter("it was cut off before it ended", _each(_complete)),
    "willing": Filter("the teacher refused", _each(_willing)),
    "readable": Filter("no row could be read from it", _each(_readable)),
    "not_empty": Filter("the input is empty", _each(_not_empty)),
    "legible": Filter("broken characters, or letters that real rows do not use", _each(_legible)),
    "length": Filter("much shorter or longer than real rows", _each(_length)),
    "valid": Filter("the answer is not one that the task allows", _each(_valid)),
    "not_telling": Filter("it names its own answer, as real rows do not", _each(_not_telling)),
    "values": Filter("a value of the answer is not in the input", _each(_values)),
    "supported": Filter("the passage does not support it", _each(_supported)),
    "new": Filter("it repeats a real row or an earlier new one", _new),
    "held_out": Filter("it resembles a held-out row", _unlike_held_out),
    "diverse": Filter("it says too little that rows before it do not", _diverse),
    "agreed": Filter("independent answers do not confirm its answer", _agreed),
}


def without_agreement() -> Mapping[str, Filter]:
    """Return the filters that ask nobody."""
    return {name: condition for name, condition in FILTERS.items() if name != "agreed"}


def with_example(entry: Entry, example: Example) -> Entry:
    """Return the entry with the row as it would be written."""
    return replace(entry, example=example)
