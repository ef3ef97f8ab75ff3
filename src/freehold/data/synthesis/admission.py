"""How rows that no person wrote enter a snapshot: training only, capped, and away from what is held out.

A synthetic row is known by its origin, in whatever file it stands; every row of a file of
`data.synthetic` counts as one. It is left out, with a reason, where it stands in the test file, where it
repeats or nearly repeats a held-out row, where one of its parents is not a training row now, where it
repeats a training row, and where the share of synthetic rows would be too large. Which rows a cap keeps
depends on the seed and on their content, and not on their order: with a larger cap, those that were kept
stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.errors import Problem, Where
from freehold.core.record import Record
from freehold.core.snapshot import Drop, Example, Origin, Snapshot, Source, Synthetic, TrainSplit
from freehold.data.duplicates import find_duplicates
from freehold.data.read import Reading, drops_as_causes, free_id
from freehold.data.split import draw

_NOUN = "a synthetic row "
IN_TEST = f"{_NOUN}in the test file"
REPEATS_HELD_OUT = f"{_NOUN}that repeats a held-out row"
NEARLY_REPEATS_HELD_OUT = f"{_NOUN}that nearly repeats a held-out row"
OF_HELD_OUT = f"{_NOUN}made from a row that is not for training"
REPEATS_TRAINING = f"{_NOUN}that repeats a training row"
OVER_SHARE = f"{_NOUN}over data.synthetic_share"
SYNTHETIC_DROPS = (
    *(IN_TEST, REPEATS_HELD_OUT, NEARLY_REPEATS_HELD_OUT),
    *(OF_HELD_OUT, REPEATS_TRAINING, OVER_SHARE),
)
GIVEN = "given"
"""The method of a row of `data.synthetic` that does not say how it came about."""


@dataclass(frozen=True)
class Apart:
    """What was read, with the synthetic rows apart: only `reading` and `test` may be divided."""

    reading: Reading
    test: Reading | None
    made: tuple[Example, ...]
    drops: tuple[Drop, ...] = ()
    sources: tuple[Source, ...] = ()


def is_synthetic(example: Example) -> bool:
    """Tell whether no person wrote the row."""
    return example.origin is not None and example.origin.synthetic is not None


def set_apart(reading: Reading, test: Reading | None, synthetic: Reading | None) -> Apart:
    """Take the synthetic rows out of what was read.

    Args:
        reading: the examples of the task.
        test: the test file of the user's own, where there is one. Its synthetic rows are left out.
        synthetic: the rows of `data.synthetic`; each is synthetic, whatever it says of itself.
    """
    made = [example for example in reading.examples if is_synthetic(example)]
    measured = [] if test is None else [e for e in test.examples if is_synthetic(e)]
    drops = [_drop(example, IN_TEST) for example in measured]
    if synthetic is not None:
        made.extend(_marked(example) for example in synthetic.examples)
        drops.extend(synthetic.drops)
    return Apart(
        reading=_only_real(reading),
        test=None if test is None else _only_real(test),
        made=tuple(made),
        drops=tuple(drops),
        sources=() if synthetic is None else synthetic.sources,
    )


def admit(snapshot: Snapshot, apart: Apart, *, most_share: float) -> Snapshot:
    """Return the snapshot with the synthetic rows that may be trained on, and a drop for each other.

    Args:
        snapshot: of the real rows alone.
        apart: what was set apart before they were divided.
        most_share: the largest share of the training rows that may be synthetic, in [0, 1].
    """
    if not (apart.made or apart.drops or apart.sources):
        return snapshot
    reasons = _reasons(snapshot, apart)
    may = [example for example, reason in zip(apart.made, reasons, strict=True) if not reason]
    kept, over = _capped(may, len(snapshot.train), most_share=most_share, seed=snapshot.seed)
    refused = [_drop(e, why) for e, why in zip(apart.made, reasons, strict=True) if why]
    refused.extend(_drop(example, OVER_SHARE) for example in over)
    refused.sort(key=lambda drop: (drop.source, drop.row))
    train = _in_order((*snapshot.train.examples, *_with_free_ids(kept, snapshot)), snapshot.seed)
    return snapshot.model_copy(
        update={
            "sources": (*snapshot.sources, *apart.sources),
            "train": TrainSplit(examples=train),
            "drops": (*snapshot.drops, *apart.drops, *refused),
        }
    )


class SyntheticShare(Record):
    """How much of the training rows no person wrote, by what, and what was left out."""

    rows: int
    training_rows: int
    methods: dict[str, int]
    teachers: dict[str, int]
    left_out: dict[str, int]

    @property
    def share(self) -> float:
        """The share of the training rows, in [0, 1]."""
        return self.rows / self.training_rows if self.training_rows else 0.0

    @property
    def sentence(self) -> str:
        """The share for people: `30 of 870 training rows (3.4 %) are synthetic: typos 30`."""
        how = ", ".join(f"{name} {count:,}" for name, count in self.methods.items())
        by = ", ".join(self.teachers)
        return (
            f"{self.rows:,} of {self.training_rows:,} training rows ({100 * self.share:.1f} %) are"
            f" synthetic: {how}{f'; teacher {by}' if by else ''}"
        )


def share_of(snapshot: Snapshot) -> SyntheticShare:
    """Return how much of the training rows of a snapshot no person wrote."""
    made = [
        example.origin.synthetic
        for example in snapshot.train.examples
        if example.origin is not None and example.origin.synthetic is not None
    ]
    reasons = Counter(drop.reason for drop in snapshot.drops if drop.reason in SYNTHETIC_DROPS)
    return SyntheticShare(
        rows=len(made),
        training_rows=len(snapshot.train),
        methods=dict(Counter(row.method for row in made).most_common()),
        teachers=dict(Counter(row.teacher for row in made if row.teacher).most_common()),
        left_out=dict(reasons.most_common()),
    )


def left_out(snapshot: Snapshot) -> tuple[Problem, ...]:
    """Return the warning about synthetic rows that were left out, where there are any."""
    drops = tuple(drop for drop in snapshot.drops if drop.reason in SYNTHETIC_DROPS)
    if not drops:
        return ()
    noun = "synthetic row is" if len(drops) == 1 else "synthetic rows are"
    help = "nothing needs to be done; a row that says what is held out would make figures too good"
    if any(drop.reason == OVER_SHARE for drop in drops):
        help = "data.synthetic_share in task.yaml sets the cap; 0.5 is half of the training rows"
    return (
        Problem(
            code="DAT-091",
            message=f"{len(drops):,} {noun} left out of training: {_shortly(drops)}",
            level="warning",
            where=Where(file=drops[0].source, row=drops[0].row or None),
            help=help,
            cause=drops_as_causes(drops),
        ),
    )


def _shortly(drops: Sequence[Drop]) -> str:
    """Return the reasons with their counts, without the words that all of them begin with."""
    counts = Counter(drop.reason.removeprefix(_NOUN) for drop in drops)
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())


def most_rows(training_rows: int, most_share: float) -> int | None:
    """Return how many synthetic rows may stand beside real ones; None where every share is allowed."""
    if most_share >= 1:
        return None
    most = int(training_rows * most_share / (1 - most_share))
    while most and most / (most + training_rows) > most_share:  # rounding of the division
        most -= 1
    return most


def _only_real(reading: Reading) -> Reading:
    if not any(is_synthetic(example) for example in reading.examples):
        return reading
    real = tuple(example for example in reading.examples if not is_synthetic(example))
    return reading.model_copy(update={"examples": real})


def _marked(example: Example) -> Example:
    if is_synthetic(example):
        return example
    before = example.origin or Origin(source=example.source, row=example.row)
    origin = before.model_copy(update={"synthetic": Synthetic(method=GIVEN, seed=0)})
    return example.model_copy(update={"origin": origin})


def _reasons(snapshot: Snapshot, apart: Apart) -> list[str]:
    """Return for every synthetic row why it may not be trained on; empty text where it may."""
    held_out = (*snapshot.dev.examples, *snapshot.test.examples, *snapshot.audit.examples)
    found = find_duplicates((*held_out, *apart.made))
    exact = set(found.exact_roots[: len(held_out)])
    trained = {example.content_digest for example in snapshot.train.examples}
    tests = () if apart.test is None else apart.test.examples
    real = {example.content_digest for example in (*apart.reading.examples, *tests)}
    seen = set(trained)
    reasons: list[str] = []
    for place, example in enumerate(apart.made, len(held_out)):
        reason = ""
        if found.roots[place] < len(held_out):
            is_exact = found.exact_roots[place] in exact
            reason = REPEATS_HELD_OUT if is_exact else NEARLY_REPEATS_HELD_OUT
        elif any(parent in real and parent not in trained for parent in _parents(example)):
            reason = OF_HELD_OUT
        elif example.content_digest in seen:
            reason = REPEATS_TRAINING
        seen.add(example.content_digest)
        reasons.append(reason)
    return reasons


def _parents(example: Example) -> tuple[str, ...]:
    made = example.origin.synthetic if example.origin is not None else None
    return () if made is None else made.parents


def _capped(
    made: Sequence[Example], training_rows: int, *, most_share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    drawn = sorted(made, key=lambda e: (draw(seed, "synthetic", e.content_digest), e.id))
    most = most_rows(training_rows, most_share)
    return (drawn, []) if most is None else (drawn[:most], drawn[most:])


def _with_free_ids(made: Sequence[Example], snapshot: Snapshot) -> list[Example]:
    splits = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    used = {example.id for split in splits for example in split.examples}
    renamed: list[Example] = []
    for example in made:
        id_ = free_id(example.id, used)
        used.add(id_)
        renamed.append(example if id_ == example.id else example.model_copy(update={"id": id_}))
    return renamed


def _in_order(examples: Sequence[Example], seed: int) -> tuple[Example, ...]:
    """Return the examples in the order that every split has: by seed and content."""
    return tuple(
        sorted(examples, key=lambda e: (draw(seed, e.content_digest), e.source, e.row, e.id))
    )


def _drop(example: Example, reason: str) -> Drop:
    return Drop(source=example.source, row=example.row, reason=reason)
