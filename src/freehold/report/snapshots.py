"""Snapshots as they are drawn: the splits of one, the list of all, and what changed between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from freehold.core.record import Record, short
from freehold.core.snapshot import Snapshot
from freehold.report import numbers
from freehold.report.lines import Line, Look, Span, clean, elide, labelled, line, wrap

SPLITS = ("train", "dev", "test", "audit")
_COLUMN = 13


class SnapshotRow(Record):
    """One snapshot in the list: its name, when, its digest, its files, rows by split, what uses it, what was forgotten."""

    name: str
    at: str
    key: str
    sources: tuple[str, ...]
    sizes: dict[str, int]
    used_by: tuple[str, ...] = ()
    forgotten: int = 0


def split_lines(
    snapshot: Snapshot, look: Look, *, digests: Mapping[str, str], grouped_by: str | None
) -> list[Line]:
    """Return the splits of a snapshot: rows, share, groups, digest; then what keeps rows together, and drops."""
    splits = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    total = sum(len(split) for split in splits)
    has_groups = grouped_by is not None
    head = f"  {'split':<9}{'rows':>9}{'share':>8}" + (f"{'groups':>9}" if has_groups else "")
    lines: list[Line] = [line(Span(f"{head}   digest", "muted"))]
    for split in splits:
        share = numbers.percent(round(len(split) / total, 3)) if total else "–"
        row = f"  {split.split:<9}{numbers.count(len(split)):>9}{share:>8}"
        if has_groups:
            groups = {e.group or e.id for e in split.examples}
            row += f"{numbers.count(len(groups)):>9}"
        lines.append(line(f"{row}   {short(digests.get(split.split, ''))}"))
    together = (
        f"{numbers.count(snapshot.duplicates)} repeat and"
        f" {numbers.count(snapshot.near_duplicates)} nearly repeat others"
    )
    if grouped_by is not None:
        together += f"; {clean(grouped_by)} groups the rest"
    lines.extend(labelled("together", together, look=look, column=_COLUMN))
    for reason, count in snapshot.drops_by_reason.items():
        text = f"{numbers.plural(count, 'row')}: {clean(reason)}"
        lines.extend(labelled("left out", text, look=look, column=_COLUMN))
    return lines


def source_lines(snapshot: Snapshot, look: Look) -> list[Line]:
    """Return one line for each file of a snapshot: rows, format, digest."""
    lines: list[Line] = []
    for source in snapshot.sources:
        text = f"{numbers.plural(source.rows, 'row')} · {clean(source.format)} · {short(source.sha256)}"
        lines.extend(labelled(clean(source.name), text, look=look, indent=0, column=27))
    return lines


def list_lines(rows: Sequence[SnapshotRow], look: Look) -> list[Line]:
    """Return the list of snapshots, newest first. A narrow terminal drops the digest, then the splits."""
    is_wide = look.width >= 80
    head = f"{'':<5}{'frozen':<18}{'rows':>8}"
    head += f"{'train':>8}{'dev':>6}{'test':>6}{'audit':>6}" if is_wide else ""
    lines: list[Line] = [line(Span(head + "   digest", "muted"))]
    for row in rows:
        total = sum(row.sizes.get(split, 0) for split in SPLITS)
        text = f"{row.name:<5}{row.at[:16].replace('T', ' '):<18}{numbers.count(total):>8}"
        if is_wide:
            for split, room in (("train", 8), ("dev", 6), ("test", 6), ("audit", 6)):
                text += f"{numbers.count(row.sizes.get(split)):>{room}}"
        lines.append(line(elide(f"{text}   {short(row.key)}", look.width)))
        lines.extend(_details(row, look))
    return lines


def _details(row: SnapshotRow, look: Look) -> list[Line]:
    lines: list[Line] = []
    facts = ", ".join(clean(name) for name in row.sources)
    used = f"   used by {', '.join(row.used_by)}" if row.used_by else ""
    lines.extend(line("     " + part) for part in wrap(facts + used, look.width - 5))
    if row.forgotten:
        noun = "row was" if row.forgotten == 1 else "rows were"
        text = f"{numbers.count(row.forgotten)} {noun} forgotten from it since"
        lines.append(line("     ", Span("! ", "warning"), text))
    return lines
