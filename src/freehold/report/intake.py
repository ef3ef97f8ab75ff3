"""What Freehold saw before it measured anything: the data, the splits, the plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from freehold.core.record import Record, short
from freehold.core.sections import LadderSection
from freehold.core.snapshot import Snapshot
from freehold.core.task import JsonOutput, LabelOutput, Output, Task
from freehold.report import findings, numbers
from freehold.report.lines import (
    Line,
    Look,
    Span,
    clean,
    elide,
    labelled,
    line,
    look_of,
    render,
    spread,
    wrap,
)

_COLUMN = 13
_NOTE_COLUMN = 38


class Lengths(Record):
    """Lengths of the inputs in tokens of the base model, and the longest that fits its context."""

    p50: int
    p95: int
    longest: int
    fits: int | None = None


class PlanRow(Record):
    """What one rung will need. `memory_gib` None means no accelerator is used.

    `watt_hours` is what the machine draws in that time, where its power is known.
    """

    rung: str
    state: Literal["planned", "skipped"] = "planned"
    note: str = ""
    seconds: float | None = None
    dollars: float | None = None
    memory_gib: float | None = None
    watt_hours: float | None = None


def snapshot_lines(
    snapshot: Snapshot, task: Task, *, width: int = 88, ascii: bool = False, color: bool = False
) -> str:
    """Return the two lines that a climb starts with: what the data is, and how it was split."""
    look = look_of(width, ascii=ascii, color=color)
    rows = sum(source.rows for source in snapshot.sources)
    target = f"{_output(task.output)} → {task.metric.primary}"
    facts = " · ".join(
        part for part in (f"{numbers.count(rows)} rows", _format(snapshot), target) if part
    )
    names = _names(snapshot)
    column = max(17, len(names) + 3)
    column = column if column + len(facts) <= look.width else 17
    lines: list[Line] = labelled(names, facts, look=look, indent=0, column=column)
    dropped = _dropped(snapshot)
    if dropped:
        lines.extend(labelled("left out", dropped, look=look, column=17))
    sizes = f"{_sizes(snapshot)}   seed {snapshot.seed}   snapshot {short(snapshot.digest)[:4]}…"
    lines.extend(labelled("split", sizes, look=look, column=17))
    synthetic = _synthetic(snapshot)
    if synthetic:
        lines.extend(labelled("synthetic", synthetic, look=look, column=17))
    return render(lines, look)


def defaults_line(task: Task, *, width: int = 88, ascii: bool = False, color: bool = False) -> str:
    """Return the line that says which defaults hold where there is no task file."""
    look = look_of(width, ascii=ascii, color=color)
    text = (
        f"No task.yaml, so defaults: {findings.bar_text(task.bar)}, {clean(task.base.id)},"
        f" stop={task.ladder.stop}"
    )
    return render([line(part) for part in wrap(text, look.width)], look)


def init_lines(
    snapshot: Snapshot,
    task: Task,
    *,
    file_bytes: int,
    lengths: Lengths | None = None,
    width: int = 88,
    ascii: bool = False,
    color: bool = False,
) -> str:
    """Return what `init` saw: format, target, lengths, duplicates and split."""
    look = look_of(width, ascii=ascii, color=color)
    rows = sum(source.rows for source in snapshot.sources)
    facts: dict[str, str] = {}
    facts["format"] = " · ".join(part for part in (_format(snapshot), _dropped(snapshot)) if part)
    facts["target"] = f"{_output(task.output)} → metric {task.metric.primary}"
    if lengths is not None:
        facts["lengths"] = _lengths(lengths)
    facts["duplicates"] = _duplicates(snapshot)
    facts["split"] = f"{_sizes(snapshot)} (seed {snapshot.seed})"
    head = f"Looking at {_names(snapshot)} … {numbers.count(rows)} rows, {numbers.size(file_bytes)}"
    lines: list[Line] = [line(elide(head, look.width))]
    for label, text in facts.items():
        lines.extend(labelled(label, text, look=look, column=_COLUMN))
    return render(lines, look)


def plan_table(
    rows: Sequence[PlanRow],
    *,
    within: str = "",
    width: int = 88,
    ascii: bool = False,
    color: bool = False,
) -> str:
    """Return the plan: time, cost and memory for each rung, and the totals.

    `within` says what the totals were held against: `within budget $25`.
    """
    look = look_of(width, ascii=ascii, color=color)
    name_width = max([12, *(len(elide(clean(row.rung), 16)) + 1 for row in rows)])
    head = f"  {'rung'.ljust(name_width)}{'time':>6}{'cost':>9}    memory"
    lines: list[Line] = [line(Span(head, "muted"))]
    lines.extend(_plan_row(row, name_width, look) for row in rows)
    planned = [row for row in rows if row.state == "planned"]
    seconds = sum(row.seconds or 0.0 for row in planned)
    dollars = sum(row.dollars or 0.0 for row in planned)
    totals = f"≈ {numbers.rough(seconds)}   ≈ {numbers.money(round(dollars, 2))}"
    energy = sum(row.watt_hours or 0.0 for row in planned)
    if energy:
        totals += f"   ≈ {energy:,.0f} Wh" if energy >= 1 else "   < 1 Wh"
    total = f"  {'total'.ljust(name_width)}{totals}"
    lines.append(line(elide(f"{total.ljust(_NOTE_COLUMN + 10)}  {within}", look.width)))
    return render(lines, look)


def check_heading(
    name: str,
    *,
    errors: int,
    warnings: int,
    width: int = 88,
    ascii: bool = False,
    color: bool = False,
) -> str:
    """Return the first line of `check`: the file, and how many errors and warnings it has."""
    look = look_of(width, ascii=ascii, color=color)
    right = line(
        Span("✗ " if errors else "✓ ", "fail" if errors else "pass"),
        numbers.plural(errors, "error"),
        Span("   ! ", "warning" if warnings else "muted"),
        numbers.plural(warnings, "warning"),
    )
    return render(spread(line(clean(name)), right, look.width), look)


def ladder_text(ladder: LadderSection) -> str:
    """Return the rungs of a ladder in order: `baseline → zero_shot → lora`."""
    return " → ".join(ladder.rungs)


def _plan_row(row: PlanRow, name_width: int, look: Look) -> Line:
    name = elide(clean(row.rung), 16).ljust(name_width)
    if row.state == "skipped":
        return line(elide(f"  {name}– skipped: {clean(row.note)}", look.width))
    memory = "no GPU" if row.memory_gib is None else _gib(row.memory_gib)
    dollars = numbers.money(None if row.dollars is None else round(row.dollars, 2))
    text = f"  {name}{numbers.rough(row.seconds):>6}{dollars:>9}{memory:>10}"
    return line(elide(f"{text}   {clean(row.note)}" if row.note else text, look.width))


def _gib(value: float) -> str:
    return f"{value:.0f} GiB" if value >= 0.95 else f"{value:.1f} GiB"


def _names(snapshot: Snapshot) -> str:
    names = [clean(source.name) for source in snapshot.sources]
    if len(names) > 2:
        return f"{names[0]} and {len(names) - 1} more files"
    return ", ".join(names)


def _format(snapshot: Snapshot) -> str:
    return ", ".join(dict.fromkeys(clean(source.format) for source in snapshot.sources))


def _output(output: Output) -> str:
    if isinstance(output, LabelOutput):
        return f"{numbers.plural(len(output.labels), 'label')} → classification"
    if isinstance(output, JsonOutput):
        return "JSON answers → extraction"
    return "free text"


def _dropped(snapshot: Snapshot) -> str:
    rows: Mapping[str, list[int]] = _rows_by_reason(snapshot)
    parts: list[str] = []
    for reason, numbers_of_rows in rows.items():
        shown = ", ".join(str(row) for row in numbers_of_rows[:4])
        more = f", …{len(numbers_of_rows) - 4} more" if len(numbers_of_rows) > 4 else ""
        word = "row" if len(numbers_of_rows) == 1 else "rows"
        parts.append(f"{len(numbers_of_rows)} dropped: {clean(reason)} ({word} {shown}{more})")
    return " · ".join(parts)


def _rows_by_reason(snapshot: Snapshot) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {reason: [] for reason in snapshot.drops_by_reason}
    for drop in snapshot.drops:
        rows[drop.reason].append(drop.row)
    return rows


def _synthetic(snapshot: Snapshot) -> str:
    """Return how many training rows no person wrote, and how; nothing where there are none."""
    made = [
        example.origin.synthetic
        for example in snapshot.train.examples
        if example.origin is not None and example.origin.synthetic is not None
    ]
    if not made:
        return ""
    methods = Counter(clean(row.method) for row in made).most_common()
    how = " · ".join(f"{name} {numbers.count(count)}" for name, count in methods)
    share = numbers.percent(len(made) / len(snapshot.train))
    return f"{numbers.count(len(made))} of the training rows ({share}): {how}"


def _duplicates(snapshot: Snapshot) -> str:
    if not (snapshot.duplicates or snapshot.near_duplicates or snapshot.paraphrases):
        return "none"
    reworded = f", {numbers.count(snapshot.paraphrases)} paraphrase" if snapshot.paraphrases else ""
    return (
        f"{numbers.count(snapshot.duplicates)} exact, {numbers.count(snapshot.near_duplicates)} near"
        f"{reworded} → grouped, so they cannot straddle splits"
    )


def _lengths(lengths: Lengths) -> str:
    text = (
        f"p50 {numbers.count(lengths.p50)} tok · p95 {numbers.count(lengths.p95)}"
        f" · max {numbers.count(lengths.longest)}"
    )
    if lengths.fits is None:
        return text
    return f"{text} ({'fits' if lengths.longest <= lengths.fits else 'does not fit'} {numbers.short_count(lengths.fits)})"


def _sizes(snapshot: Snapshot) -> str:
    parts = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    return " · ".join(f"{part.split} {numbers.count(len(part))}" for part in parts)
