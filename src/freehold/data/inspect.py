"""Look at a snapshot for what would make its figures mislead. Nothing here stops a climb."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import NormalDist

from freehold.core.errors import Problem, Where
from freehold.core.record import Record
from freehold.core.snapshot import Example, Snapshot
from freehold.data.detect import closed_labels
from freehold.data.duplicates import question_key
from freehold.data.findings import answer_of, counted, everything_in, listed, warning
from freehold.data.read import drops_as_causes
from freehold.data.snapshot import (
    GROUP_OF_TEST,
    NEARLY_REPEATS_TEST,
    PARAPHRASES_TEST,
    REPEATS_TEST,
)
from freehold.data.sources import BEYOND_THE_CAP, rows_beyond_caps
from freehold.data.synthesis.admission import SYNTHETIC_DROPS

FEW_TRAIN_ROWS = 5
SETTLED_POINTS = 2.0
REPEATED_SHARE = 0.01
LARGEST_SHARE_OF_ONE_LABEL = 0.75
LARGEST_SHARE_OF_SEVERAL = 0.5
LONGEST_CHARACTERS = 20_000
_LEAKS = (REPEATS_TEST, NEARLY_REPEATS_TEST, PARAPHRASES_TEST, GROUP_OF_TEST)


class Lengths(Record):
    """How long texts are, in whatever the counting function counts."""

    p50: int
    p95: int
    longest: int


def lengths(examples: Sequence[Example], count: Callable[[str], int] = len) -> Lengths:
    """Return the median, the 95th percentile (nearest rank) and the maximum of all questions.

    A question is the input with its context and history. `count` counts characters unless the
    caller passes a tokenizer's count.
    """
    counted = sorted(_length(example, count) for example in examples)
    if not counted:
        return Lengths(p50=0, p95=0, longest=0)
    return Lengths(
        p50=counted[math.ceil(0.5 * len(counted)) - 1],
        p95=counted[math.ceil(0.95 * len(counted)) - 1],
        longest=counted[-1],
    )


def _length(example: Example, count: Callable[[str], int]) -> int:
    texts = (example.input, example.context or "", *(turn.content for turn in example.history))
    return sum(count(text) for text in texts if text)


def inspect(
    snapshot: Snapshot,
    *,
    bar_quality: float = 0.8,
    confidence: float = 0.95,
    count_tokens: Callable[[str], int] | None = None,
    longest_tokens: int | None = None,
) -> tuple[Problem, ...]:
    """Return the warnings about the data, the gravest first.

    Args:
        snapshot: the frozen data.
        bar_quality: the bar, for how well the test rows can tell a rung from it.
        confidence: the level of the intervals.
        count_tokens: counts the tokens of a text; characters are looked at without it.
        longest_tokens: what the model can read.
    """
    everything = everything_in(snapshot)
    labels = closed_labels([example.target for example in everything])
    found = (
        _leaks(snapshot),
        *(_labels(snapshot, everything) if labels else ()),
        _conflicts(everything) if labels or _all_json(everything) else None,
        _too_small(len(snapshot.test), bar_quality, confidence),
        _repeats(snapshot, len(everything)),
        _too_long(everything, count_tokens, longest_tokens),
        _left_out(snapshot),
        rows_beyond_caps(snapshot),
    )
    return tuple(problem for problem in found if problem is not None)


def settles_beyond(rows: int, *, quality: float, confidence: float) -> float:
    """Return the half width of the interval, in points, that `rows` give at `quality`.

    The normal approximation: z * sqrt(q * (1 - q) / n) * 100.
    """
    if rows == 0:
        return 100.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return 100 * z * math.sqrt(quality * (1 - quality) / rows)


def _leaks(snapshot: Snapshot) -> Problem | None:
    if not snapshot.leaked:
        return None
    drops = tuple(drop for drop in snapshot.drops if drop.reason in _LEAKS)
    verb = "repeats" if snapshot.leaked == 1 else "repeat"
    return Problem(
        code="DAT-014",
        message=f"{counted(snapshot.leaked, 'training row')} {verb} a test row and "
        f"{'is' if snapshot.leaked == 1 else 'are'} left out",
        level="warning",
        where=Where(file=drops[0].source, row=drops[0].row) if drops else None,
        help="nothing needs to be done; make the test file without them to be rid of this line",
        cause=drops_as_causes(drops),
    )


def _left_out(snapshot: Snapshot) -> Problem | None:
    others = (*_LEAKS, *SYNTHETIC_DROPS, BEYOND_THE_CAP)
    drops = tuple(d for d in snapshot.drops if d.reason not in others)
    if not drops:
        return None
    return Problem(
        code="DAT-018",
        message=f"{counted(len(drops))} cannot be used and {'is' if len(drops) == 1 else 'are'} "
        "left out",
        level="warning",
        where=Where(file=drops[0].source, row=drops[0].row),
        help="mend these rows in the file and run the same command again",
        cause=drops_as_causes(drops),
    )


def _repeats(snapshot: Snapshot, rows: int) -> Problem | None:
    count = snapshot.duplicates + snapshot.near_duplicates
    if count < max(1, REPEATED_SHARE * rows):
        return None
    return warning(
        "DAT-019",
        f"{counted(snapshot.duplicates)} repeat and {snapshot.near_duplicates:,} nearly repeat an "
        "earlier one; they stay on one side of every split",
        help="nothing needs to be done; repeats count more than once in every figure",
    )


def _labels(snapshot: Snapshot, everything: Sequence[Example]) -> tuple[Problem | None, ...]:
    trained = Counter(answer_of(example) for example in snapshot.train.examples)
    return (
        _only_held_out(snapshot, trained),
        _few_rows(trained),
        _imbalance(snapshot.test.examples or everything),
        _look_alike(everything),
    )


def _only_held_out(snapshot: Snapshot, trained: Counter[str]) -> Problem | None:
    held_out = (*snapshot.test.examples, *snapshot.audit.examples, *snapshot.dev.examples)
    unknown = [example for example in held_out if answer_of(example) not in trained]
    if not unknown:
        return None
    names = sorted({answer_of(example) for example in unknown})
    return warning(
        "DAT-021",
        f"{'the label' if len(names) == 1 else f'{len(names):,} labels:'} {listed(names)} "
        f"{'is' if len(names) == 1 else 'are'} in no training row, but in "
        f"{counted(len(unknown), 'held-out row')}; no rung can learn that",
        help="add training rows with these labels, or take them out of the test file",
        at=unknown[0],
    )


def _few_rows(trained: Counter[str]) -> Problem | None:
    few = sorted((n, label) for label, n in trained.items() if n < FEW_TRAIN_ROWS)
    if not few:
        return None
    names = [label for _, label in few]
    return warning(
        "DAT-022",
        f"{counted(len(few), 'label')} {'has' if len(few) == 1 else 'have'} fewer than "
        f"{FEW_TRAIN_ROWS} training rows: {listed(names)}",
        help=f"add rows for {names[0]!r} first; it has {few[0][0]}",
    )


def _imbalance(examples: Sequence[Example]) -> Problem | None:
    counts = Counter(answer_of(example) for example in examples)
    label, count = counts.most_common(1)[0]
    share = count / counts.total()
    limit = LARGEST_SHARE_OF_ONE_LABEL if len(counts) <= 2 else LARGEST_SHARE_OF_SEVERAL
    if share < limit:
        return None
    return warning(
        "DAT-023",
        f"{100 * share:.0f} % of the test rows have the label `{label}`; always saying it scores "
        f"{share:.3f}",
        help="compare with the majority baseline, or use metric: macro_f1",
    )


def _look_alike(examples: Sequence[Example]) -> Problem | None:
    forms: dict[str, dict[str, Example]] = {}
    for example in examples:
        label = answer_of(example)
        forms.setdefault(" ".join(label.casefold().split()), {}).setdefault(label, example)
    alike = [labels for labels in forms.values() if len(labels) > 1]
    if not alike:
        return None
    names = sorted(alike[0])
    return warning(
        "DAT-024",
        f"the labels {' and '.join(repr(name) for name in names)} differ only in capitals or "
        f"spaces{f', and {len(alike) - 1:,} more pairs do' if len(alike) > 1 else ''}",
        help="write them in one way in the file; as they are, they count as different answers",
        at=alike[0][names[-1]],
    )


def _all_json(examples: Sequence[Example]) -> bool:
    return all(isinstance(example.target, dict | list) for example in examples)


def _conflicts(examples: Sequence[Example]) -> Problem | None:
    answers: dict[tuple[str, str], dict[str, Example]] = {}
    for example in examples:
        answers.setdefault(question_key(example), {}).setdefault(answer_of(example), example)
    split = [found for found in answers.values() if len(found) > 1]
    if not split:
        return None
    first, second = list(split[0].values())[:2]
    return warning(
        "DAT-020",
        f"{counted(len(split), 'text')} {'has' if len(split) == 1 else 'have'} different answers, "
        f"such as row {first.row} of {first.source} and row {second.row} of {second.source}",
        help="decide which answer is right, and mend the other row",
        at=first,
    )


def _too_small(rows: int, quality: float, confidence: float) -> Problem | None:
    points = settles_beyond(rows, quality=quality, confidence=confidence)
    if points <= SETTLED_POINTS:
        return None
    return warning(
        "BAR-002",
        f"{counted(rows, 'test row')} cannot settle a rung within ±{points:.1f} points of the bar",
        help=f"{3 * rows:,} more test rows halve that; data.split.test sets how many are taken",
    )


def _too_long(
    examples: Sequence[Example],
    count_tokens: Callable[[str], int] | None,
    longest_tokens: int | None,
) -> Problem | None:
    if count_tokens is not None and longest_tokens is not None:
        count, limit, unit = count_tokens, longest_tokens, "tokens, which is what the model reads"
    else:
        count, limit, unit = len, LONGEST_CHARACTERS, "characters"
    long = [example for example in examples if _length(example, count) > limit]
    if not long:
        return None
    return warning(
        "DAT-025",
        f"{counted(len(long), 'input')} {'is' if len(long) == 1 else 'are'} longer than "
        f"{limit:,} {unit}",
        help="shorten them, or choose a base model that reads more",
        at=long[0],
    )
