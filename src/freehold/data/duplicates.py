"""Find rows that repeat, nearly repeat or paraphrase others, so that no split divides them.

Exact: the same text after lower-casing, turning punctuation into spaces and collapsing white space.
Near: a Jaccard similarity of at least 0.9 between the sets of five-character pieces. Candidates come
from MinHash with banding (`minhash.py`), and each pair is checked on the true sets, so that no pair is
reported that is not near. Paraphrase, where it is asked for: a cosine of embeddings of at least so
much, by exact search among all pairs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from freehold.core.message import Message
from freehold.core.record import Record
from freehold.core.snapshot import Example
from freehold.data import minhash
from freehold.data.minhash import Pairs, Rows

NEAR = 0.9
PARAPHRASE = 0.94
"""A cosine of all-MiniLM-L6-v2 from which on two questions mostly ask the same."""
NEAREST = 16
"""So many paraphrases of one row are looked for, the nearest ones."""

Vectors: TypeAlias = NDArray[np.float32]
Embed: TypeAlias = Callable[[Sequence[str]], Vectors]
"""Returns a row of unit length for each text."""
Kind: TypeAlias = Literal["exact", "near", "paraphrase"]

_COMPARED_AT_ONCE = 1 << 10
_OPERATORS = re.compile(r"(?<=\d)\s*([-+*/%^=<>])\s*(?=\d)")
_PICTURES = "\u2600-\u27bf\U0001f000-\U0001faff"
_WORDS = re.compile(rf"[^\W_]+|(?<=\d )[-+*/%^=<>](?= \d)|[{_PICTURES}]")
_SPACES = str.maketrans({chr(n): " " for n in range(128) if not chr(n).isalnum()})


def normalise(text: str) -> str:
    """Return `text` in lower case with punctuation as spaces and white space collapsed.

    An operator between two numbers and a picture character stay, because they change what is
    asked: `3 + 4` is not `3 * 4`.
    """
    if text.isascii() and not _OPERATORS.search(text):  # the same, in half of the time
        return " ".join(text.lower().translate(_SPACES).split())
    return " ".join(_WORDS.findall(_OPERATORS.sub(r" \1 ", text.lower())))


class Group(NamedTuple):
    """Rows that belong together, in ascending order, and the weakest tie that was needed for it."""

    kind: Kind
    rows: tuple[int, ...]


class Duplicates(Record):
    """Which rows belong together, as the position of the first row of their group.

    `exact_roots[i]` is the first row with the same normalised text as row i; `near_roots[i]` the
    first row of its group when near duplicates are joined too; `roots[i]` when paraphrases are joined
    as well, where they were looked for. A row alone is its own root.
    """

    exact_roots: tuple[int, ...]
    near_roots: tuple[int, ...]
    roots: tuple[int, ...]

    @property
    def duplicates(self) -> int:
        """How many rows repeat an earlier one exactly, after normalising."""
        return _followers(self.exact_roots)

    @property
    def near_duplicates(self) -> int:
        """How many further rows nearly repeat an earlier one."""
        return _followers(self.near_roots) - self.duplicates

    @property
    def paraphrases(self) -> int:
        """How many further rows say what an earlier one says in other words."""
        return _followers(self.roots) - _followers(self.near_roots)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The groups with more than one row, as positions, in the order of their first rows."""
        return tuple(group.rows for group in self.kinds)

    @property
    def kinds(self) -> tuple[Group, ...]:
        """The groups with more than one row, each with what ties it."""
        members: dict[int, list[int]] = {}
        for row, root in enumerate(self.roots):
            members.setdefault(root, []).append(row)
        return tuple(
            Group(self._kind(rows), tuple(rows)) for rows in members.values() if len(rows) > 1
        )

    def kind_of(self, row: int) -> Kind:
        """Return how a row that is not the first of its group belongs to the rows before it."""
        if self.exact_roots[row] != row:
            return "exact"
        return "near" if self.near_roots[row] != row else "paraphrase"

    def _kind(self, rows: Sequence[int]) -> Kind:
        if len({self.exact_roots[row] for row in rows}) == 1:
            return "exact"
        return "near" if len({self.near_roots[row] for row in rows}) == 1 else "paraphrase"


def _followers(roots: Sequence[int]) -> int:
    """Return how many rows are not the first of their group."""
    return sum(root != row for row, root in enumerate(roots))


class Asked(Protocol):
    """A question: an example, or the content of a row on its way to one."""

    @property
    def input(self) -> str:
        """What is asked."""
        ...

    @property
    def context(self) -> str | None:
        """A passage that belongs to it."""
        ...

    @property
    def history(self) -> tuple[Message, ...]:
        """Earlier turns."""
        ...


def find_duplicates(
    examples: Sequence[Example],
    *,
    near: float = NEAR,
    paraphrase: float = PARAPHRASE,
    embed: Embed | None = None,
) -> Duplicates:
    """Group examples whose question repeats or nearly repeats; answers are not looked at.

    The question is the input with its context and history. Groups are closed: where a is near b
    and b near c, all three are one group. With `embed`, inputs whose embeddings have a cosine of at
    least `paraphrase` are joined too, where context and history are the same.
    """
    keys = [question_key(example) for example in examples]
    first: dict[tuple[str, str], int] = {}
    exact = np.array([first.setdefault(key, row) for row, key in enumerate(keys)], dtype=np.int64)
    distinct = np.fromiter(first.values(), dtype=np.int64, count=len(first))
    around = [context for _, context in first]
    found = near_roots([text for text, _ in first], threshold=near, apart=around)
    near_of = np.empty_like(exact)
    near_of[distinct] = distinct[found]
    near_of = near_of[exact]
    roots = near_of
    if embed is not None:
        chosen = np.flatnonzero(found == np.arange(len(found)))  # one row of a near group is enough
        rows = distinct[chosen]
        vectors = embed([examples[row].input for row in _numbers(rows)])
        pairs = paraphrase_pairs(
            vectors, threshold=paraphrase, apart=[around[row] for row in _numbers(chosen)]
        )
        roots = minhash.joined(near_of, Pairs(rows[pairs.first], rows[pairs.second]))
    return Duplicates(
        exact_roots=tuple(_numbers(exact)),
        near_roots=tuple(_numbers(near_of)),
        roots=tuple(_numbers(roots)),
    )


def question_key(asked: Asked) -> tuple[str, str]:
    """Return the normalised input, and the normalised context and history around it."""
    around = [asked.context or "", *(turn.content for turn in asked.history)]
    return normalise(asked.input), "\n".join(normalise(text) for text in around if text)


def with_groups(examples: Sequence[Example], duplicates: Duplicates) -> tuple[int, ...]:
    """Join the groups of duplicates with the groups of the user; return the root of every row."""
    forest = Forest(len(examples))
    first: dict[str, int] = {}
    for row, example in enumerate(examples):
        forest.join(duplicates.roots[row], row)
        if example.group is not None:
            forest.join(first.setdefault(example.group, row), row)
    return tuple(forest.root(row) for row in range(len(examples)))


class Forest:
    """Union-find over the positions of rows; the root of a group is its first row."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, row: int) -> int:
        """Return the first row of the group of `row`."""
        while self._parent[row] != row:
            self._parent[row] = self._parent[self._parent[row]]
            row = self._parent[row]
        return row

    def join(self, a: int, b: int) -> None:
        """Make one group of the groups of two rows."""
        low, high = sorted((self.root(a), self.root(b)))
        self._parent[high] = low


# Near ----------------------------------------------------------------------------------------


def near_pairs(
    texts: Sequence[str], *, threshold: float = NEAR, apart: Sequence[str] | None = None
) -> tuple[tuple[int, int], ...]:
    """Return pairs of positions whose Jaccard similarity is at least `threshold`.

    Enough pairs to join every group are returned, not each pair of a group. Texts with a different
    entry in `apart` (their context) are never paired.
    """
    pairs, _ = _near(texts, threshold=threshold, apart=apart)
    return tuple(zip(_numbers(pairs.first), _numbers(pairs.second), strict=True))


def near_roots(
    texts: Sequence[str], *, threshold: float = NEAR, apart: Sequence[str] | None = None
) -> Rows:
    """Return for each text the position of the first text of its group, joined by `near_pairs`."""
    _, roots = _near(texts, threshold=threshold, apart=apart)
    return roots


def _near(
    texts: Sequence[str], *, threshold: float, apart: Sequence[str] | None
) -> tuple[Pairs, Rows]:
    roots = np.arange(len(texts), dtype=np.int64)
    found: list[Pairs] = [Pairs(roots[:0], roots[:0])]
    if len(texts) > 1:
        plan = minhash.banding(threshold)
        sketches = minhash.sketches(texts, plan=plan)
        contexts = _numbered(apart)
        buckets = minhash.all_buckets(sketches, apart=contexts)
        for lags in minhash.lag_rounds():
            buckets = minhash.unresolved(buckets, roots, next_lag=lags.start)
            if not len(buckets.row):
                break
            pairs = _divided(minhash.candidates(buckets, lags), roots, contexts)
            pairs = minhash.likely(pairs, sketches.marks, plan=plan)
            is_near = minhash.similarities(texts, pairs) >= threshold
            found.append(Pairs(pairs.first[is_near], pairs.second[is_near]))
            roots = minhash.joined(roots, found[-1])
    first = np.concatenate([pairs.first for pairs in found])
    second = np.concatenate([pairs.second for pairs in found])
    return Pairs(first, second), roots


def _divided(pairs: Pairs, roots: Rows, contexts: minhash.Hashes | None) -> Pairs:
    """Return the pairs whose rows are not of one group yet, and may be."""
    keep = roots[pairs.first] != roots[pairs.second]
    if contexts is not None:
        keep &= contexts[pairs.first] == contexts[pairs.second]
    return Pairs(pairs.first[keep], pairs.second[keep])


def _numbers(rows: Rows) -> list[int]:
    return cast("list[int]", rows.tolist())


def _numbered(names: Sequence[str] | None) -> minhash.Hashes | None:
    """Return a number for each name that is the same where the names are; None where all are."""
    if not names:
        return None
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(name, len(numbers)) for name in names]
    return np.array(found, dtype=np.uint64) if len(numbers) > 1 else None


# Paraphrase ----------------------------------------------------------------------------------


def paraphrase_pairs(
    vectors: Vectors,
    *,
    threshold: float = PARAPHRASE,
    nearest: int = NEAREST,
    apart: Sequence[str] | None = None,
) -> Pairs:
    """Return the pairs of rows whose cosine is at least `threshold`: exact, all pairs are compared.

    Args:
        vectors: one row of unit length for each text, [n, dimension].
        threshold: the least cosine.
        nearest: at most so many partners are kept for one row, the nearest ones; enough of them are
            kept to join the groups of forms that were filled in a hundred times.
        apart: rows with different entries are never paired.

    The time grows with the square of the rows: 2 n² x dimension operations, a thousand rows against all
    at a time.
    """
    contexts = _numbered(apart)
    firsts: list[Rows] = []
    seconds: list[Rows] = []
    for start in range(0, len(vectors), _COMPARED_AT_ONCE):
        cosines = vectors[start : start + _COMPARED_AT_ONCE] @ vectors[start:].T
        place = np.arange(len(cosines))
        cosines[np.tri(*cosines.shape, dtype=np.bool_)] = -1.0  # itself, and those before it
        if contexts is not None:
            block = contexts[start : start + _COMPARED_AT_ONCE]
            cosines[block[:, None] != contexts[None, start:]] = -1.0
        kept = min(nearest, cosines.shape[1])
        best = np.argpartition(cosines, -kept, axis=1)[:, -kept:].astype(np.int64)
        is_near = np.take_along_axis(cosines, best, axis=1) >= threshold
        firsts.append(start + np.repeat(place, is_near.sum(axis=1)))
        seconds.append(start + best[is_near])
    if not firsts:
        return Pairs(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    return minhash.different(Pairs(np.concatenate(firsts), np.concatenate(seconds)))
