"""What changed between two snapshots: rows that came, went, got another answer, or moved between splits. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from freehold.core.record import Record, canonical_json, digest_json
from freehold.core.snapshot import Example, Snapshot


class Change(Record):
    """One row in which two snapshots differ. `before` and `after` are answers or splits, where that differs.

    `source` and `row` are of the later snapshot; of the earlier one for a row that went, and `reason` says
    why it is no longer used, where the later snapshot dropped that very row.
    """

    id: str
    source: str
    row: int
    split: str
    before: str | None = None
    after: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Changes:
    """All changes, and the counts of drops by reason in both snapshots, where they differ."""

    added: tuple[Change, ...]
    removed: tuple[Change, ...]
    changed: tuple[Change, ...]
    moved: tuple[Change, ...]
    drops: dict[str, tuple[int, int]]
    same: int

    @property
    def is_empty(self) -> bool:
        """Whether the snapshots hold the same rows in the same splits, for the same reasons."""
        return not (self.added or self.removed or self.changed or self.moved or self.drops)


def changes(before: Snapshot, after: Snapshot) -> Changes:
    """Return what changed from one snapshot to another.

    Rows are the same by content, however they are named and ordered; repeats are matched one to one. A row
    whose question is the same and whose answer is not counts as changed, and not as gone and come.
    """
    old, new = list(_rows(before)), list(_rows(after))
    pairs, old_left, new_left = _matched(old, new, lambda example: example.content_digest)
    swapped, gone, come = _matched(old_left, new_left, _question)
    reasons = {(drop.source, drop.row): drop.reason for drop in after.drops}
    moved = tuple(
        _change(new_one, before=old_one[0], after=new_one[0])
        for old_one, new_one in pairs
        if old_one[0] != new_one[0]
    )
    return Changes(
        added=tuple(_change(one) for one in come),
        removed=tuple(
            _change(one, reason=reasons.get((one[1].source, one[1].row))) for one in gone
        ),
        changed=tuple(
            _change(new_one, before=_answer(old_one[1]), after=_answer(new_one[1]))
            for old_one, new_one in swapped
        ),
        moved=moved,
        drops=_drops(before, after),
        same=len(pairs) - len(moved),
    )


_Row = tuple[str, Example]


def _rows(snapshot: Snapshot) -> Iterator[_Row]:
    for split in (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit):
        for example in split.examples:
            yield split.split, example


def _question(example: Example) -> str:
    history = [turn.to_json() for turn in example.history]
    return digest_json("asked", [example.input, example.context, history])


def _matched(
    old: Sequence[_Row], new: Sequence[_Row], key: Callable[[Example], str]
) -> tuple[list[tuple[_Row, _Row]], list[_Row], list[_Row]]:
    """Pair rows of the same key, those of one split and one id first; return the pairs and both rests."""
    waiting: dict[str, list[_Row]] = {}
    for row in old:
        waiting.setdefault(key(row[1]), []).append(row)
    pairs: list[tuple[_Row, _Row]] = []
    rest: list[_Row] = []
    for row in new:
        candidates = waiting.get(key(row[1]), [])
        if not candidates:
            rest.append(row)
            continue
        best = max(candidates, key=lambda one: (one[0] == row[0], one[1].id == row[1].id))
        candidates.remove(best)
        pairs.append((best, row))
    left = {id(row) for rows in waiting.values() for row in rows}
    return pairs, [row for row in old if id(row) in left], rest


def _change(
    row: _Row, *, before: str | None = None, after: str | None = None, reason: str | None = None
) -> Change:
    split, example = row
    return Change(
        id=example.id,
        source=example.source,
        row=example.row,
        split=split,
        before=before,
        after=after,
        reason=reason,
    )


def _answer(example: Example) -> str:
    target = example.target
    return target if isinstance(target, str) else canonical_json(target).decode()


def _drops(before: Snapshot, after: Snapshot) -> dict[str, tuple[int, int]]:
    old, new = before.drops_by_reason, after.drops_by_reason
    return {
        reason: (old.get(reason, 0), new.get(reason, 0))
        for reason in sorted({*old, *new})
        if old.get(reason, 0) != new.get(reason, 0)
    }
