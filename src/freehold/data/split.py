"""Divide examples into train, dev, test and audit: whole groups, answers in proportion.

The result depends on the seed and on the content of the rows, and not on their order.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from freehold.core.errors import DataError
from freehold.core.sections import SplitSpec

LEAST_EXAMPLES = 20
LEAST_TRAIN = 5
LARGEST_SHARE_OF_ONE_GROUP = 0.1


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many examples are held out; the others are for training."""

    test: int
    dev: int
    audit: int

    @property
    def held_out(self) -> int:
        """The sum of the three."""
        return self.test + self.dev + self.audit


@dataclass(frozen=True, slots=True)
class Item:
    """One example as the split sees it: its name, its group and its stratum (the answer)."""

    name: str
    group: int
    stratum: str


def sizes_for(examples: int, spec: SplitSpec, *, own_test: bool = False) -> Sizes:
    """Return how many of `examples` go where; the settings win over the rule.

    The rule: a third of the examples for test up to 50, then a sixth up to 400, from 20,000
    examples on 1 in 50 up to 2,000. Audit gets half of test, but nothing below 60 examples, where
    it would say nothing. Dev gets 3/10 of test, at least 8 or a fifth of the examples. So 1,200
    rows become 840 train, 60 dev, 200 test and 100 audit. With a test file of the user's own, test
    takes nothing, and audit is a quarter instead of half.

    Raises:
        DataError: fewer than 5 examples would be left to train on (DAT-012).
    """
    test = max(min(examples // 3, 50), min(examples // 6, 400), min(examples // 50, 2000))
    test_share = 4 if own_test else 2
    audit = (test // test_share) if examples >= 3 * LEAST_EXAMPLES else 0
    dev = max(round(test * 0.3), min(8, examples // 5))
    sizes = Sizes(
        test=0 if own_test else test if spec.test is None else spec.test,
        dev=dev if spec.dev is None else spec.dev,
        audit=audit if spec.audit is None else spec.audit,
    )
    if sizes.held_out + LEAST_TRAIN > examples:
        raise DataError(
            "DAT-012",
            f"test {sizes.test:,}, dev {sizes.dev:,} and audit {sizes.audit:,} leave "
            f"{max(0, examples - sizes.held_out):,} of {examples:,} examples to build with; "
            f"{LEAST_TRAIN} are the least",
            help="make data.split smaller, or leave the counts out",
        )
    return sizes


def assign(items: Sequence[Item], sizes: Sizes, *, seed: int, chosen_groups: bool) -> list[str]:
    """Return `train`, `dev`, `test` or `audit` for every item.

    Groups are put in one order in which every stretch holds each stratum in proportion; test is
    taken from the beginning, then audit, then dev; the last group of a stratum comes at the end,
    so that training has every answer. A group larger than a tenth of a split is left to training
    where others fill the split, unless the user chose the groups.

    Raises:
        DataError: the groups are too large for a split (DAT-012).
    """
    groups = _groups(items)
    left = [group for group, _ in _in_proportion(groups, seed)]
    place = dict.fromkeys(left, "train")
    for split, wanted in (("test", sizes.test), ("audit", sizes.audit), ("dev", sizes.dev)):
        largest = wanted if chosen_groups else max(1, int(wanted * LARGEST_SHARE_OF_ONE_GROUP))
        taken = _fill(left, groups, wanted=wanted, largest=largest)
        if sum(len(groups[group].members) for group in taken) < wanted:
            taken = _fill(left, groups, wanted=wanted, largest=wanted)
        if wanted and not taken:
            raise _groups_too_large(split, wanted, [len(groups[g].members) for g in left])
        place.update(dict.fromkeys(taken, split))
        left = [group for group in left if group not in taken]
    return [place[item.group] for item in items]


@dataclass(frozen=True, slots=True)
class _Group:
    members: tuple[str, ...]
    stratum: str


def _groups(items: Sequence[Item]) -> dict[int, _Group]:
    members: dict[int, list[Item]] = {}
    for item in items:
        members.setdefault(item.group, []).append(item)
    return {
        group: _Group(
            members=tuple(sorted(item.name for item in inside)),
            stratum=_most_common(item.stratum for item in inside),
        )
        for group, inside in members.items()
    }


def _most_common(values: Iterable[str]) -> str:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


def draw(seed: int, *names: str) -> float:
    """Return a number in [0, 1) that depends on the seed and the names alone."""
    text = "\0".join((str(seed), *names))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7]) / (1 << 56)


def _in_proportion(groups: Mapping[int, _Group], seed: int) -> list[tuple[int, float]]:
    """Order the groups by their place within their stratum, from 0 to 1 (systematic sampling)."""
    strata: dict[str, list[int]] = {}
    for number, group in groups.items():
        strata.setdefault(group.stratum, []).append(number)
    drawn = {number: draw(seed, *group.members) for number, group in groups.items()}
    places: dict[int, float] = {}
    for stratum, numbers in strata.items():
        start = draw(seed, "stratum", stratum)
        ranked = sorted(numbers, key=lambda number: (drawn[number], groups[number].members))
        for rank, number in enumerate(ranked):
            places[number] = (rank + start) / len(ranked)
        places[ranked[-1]] = 1.0
    order = sorted(groups, key=lambda n: (places[n], drawn[n], groups[n].members))
    return [(number, places[number]) for number in order]


def _fill(
    order: Sequence[int], groups: Mapping[int, _Group], *, wanted: int, largest: int
) -> dict[int, None]:
    taken: dict[int, None] = {}
    room = wanted
    for group in order:
        size = len(groups[group].members)
        if size <= min(room, largest):
            taken[group] = None
            room -= size
        if room == 0:
            break
    return taken


def _groups_too_large(split: str, wanted: int, sizes: Sequence[int]) -> DataError:
    smallest = min(sizes, default=0)
    return DataError(
        "DAT-012",
        f"rows of one group, or that repeat each other, stay together, and none of these groups "
        f"fits into {split} with its {wanted:,} examples; the smallest that is left has {smallest:,}",
        help=f"set data.split.{split} to {max(smallest, 1)} or more, or give more groups",
    )
