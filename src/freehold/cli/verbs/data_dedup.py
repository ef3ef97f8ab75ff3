"""`freehold data dedup`: rows that repeat, nearly repeat or paraphrase others; a copy without them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from freehold.cli.session import Session
from freehold.cli.workplace import STDIN, embedding
from freehold.core.errors import Problem, UsageError
from freehold.core.record import canonical_json
from freehold.core.sections import SplitSpec
from freehold.core.snapshot import Drop, Example
from freehold.data.derived import Written, with_step, write_examples
from freehold.data.duplicates import PARAPHRASE, Duplicates, Group, Kind
from freehold.data.read import Reading, read
from freehold.data.snapshot import duplicates_of
from freehold.report import numbers
from freehold.report.lines import Line, Look, Span, clean, elide, line, render, spread
from freehold.report.problems import warning_lines

SHOWN_GROUPS = 20
_PLACES = 4
REASONS: Mapping[Kind, str] = {
    "exact": "repeats an earlier row",
    "near": "nearly repeats an earlier row",
    "paraphrase": "says the same as an earlier row in other words",
}


@dataclass(frozen=True)
class _Found:
    """What was read, what belongs together, and how it was looked for."""

    reading: Reading
    duplicates: Duplicates
    spec: SplitSpec

    def answers(self, group: Group) -> int:
        """How many different answers the rows of a group have."""
        targets = (self.reading.examples[row].target for row in group.rows)
        return len({canonical_json(target) for target in targets})


def run(session: Session) -> int:
    """Show the groups; with `--out` write the first row of each."""
    invocation = session.invocation
    resolved = session.task(invocation.argument)
    section = resolved.task_file.data
    spec = section.split
    if invocation.has("paraphrase") and spec.paraphrase is None:
        spec = spec.model_copy(update={"paraphrase": PARAPHRASE})
    out = _target(session)
    stdin = sys.stdin.buffer if section.examples == STDIN else None
    reading = read(section.examples, columns=section.columns, root=session.project, stdin=stdin)
    embed = embedding(session, resolved.task_file.models.embedder)
    duplicates = duplicates_of(reading.examples, spec=spec, embed=embed)
    found = _Found(reading, duplicates, spec)
    written = None
    if out is not None and not invocation.has("dry-run"):
        written = write_examples(_kept(found), out, root=session.project)
    if session.console.is_json:
        shape = _shape(found, written)
        session.console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
    else:
        _show(session, found, written)
    return 0


def _target(session: Session) -> Path | None:
    """Return the file to write; refuse one that is there.

    Raises:
        UsageError: USE-006 where it is no `.jsonl`, USE-007 where it is there and `-y` was not given.
    """
    name = session.invocation.text("out")
    if name is None:
        return None
    path = session.project / name
    if path.suffix != ".jsonl":
        raise UsageError(
            "USE-006",
            f"--out names `{name}`; JSON lines are written, in a file that ends in .jsonl",
            help=f"freehold data dedup --out {Path(name).with_suffix('.jsonl')}",
        )
    if path.exists() and not session.invocation.has("yes"):
        raise UsageError(
            "USE-007",
            f"`{name}` is there already",
            help=f"name another file, or: {session.again} -y",
        )
    return path


def _kept(found: _Found) -> tuple[Example, ...]:
    sizes = Counter(found.duplicates.roots)
    return tuple(
        with_step(example, f"dedup: kept as the first of {sizes[row]} rows")
        if sizes[row] > 1
        else with_step(example)
        for row, example in enumerate(found.reading.examples)
        if found.duplicates.roots[row] == row
    )


def drops_of(reading: Reading, duplicates: Duplicates) -> tuple[Drop, ...]:
    """Return the rows that are not the first of their group, each with its reason."""
    return tuple(
        Drop(source=example.source, row=example.row, reason=REASONS[duplicates.kind_of(row)])
        for row, example in enumerate(reading.examples)
        if duplicates.roots[row] != row
    )


# The terminal --------------------------------------------------------------------------------


def _show(session: Session, found: _Found, written: Written | None) -> None:
    console = session.console
    look = console.look()
    names = ", ".join(clean(source.name) for source in found.reading.sources)
    groups = found.duplicates.kinds
    lines: list[Line] = spread(
        line(elide(names, 50)),
        line(
            f"{numbers.plural(len(found.reading.examples), 'row')} · "
            f"{numbers.plural(len(groups), 'group')} of repeats"
        ),
        look.width,
    )
    lines.extend(_counts(found))
    if groups:
        lines.append(line())
        lines.extend(_table(found, look))
    console.data(render(lines, look))
    conflict = _conflict(found)
    if conflict is not None:
        console.data(warning_lines((conflict,), **console.drawn))
    console.data(render(_closing(session, found, written), look))


def _counts(found: _Found) -> list[Line]:
    duplicates, spec = found.duplicates, found.spec
    rows: list[Line] = [
        line(f"  exact       {numbers.count(duplicates.duplicates):>7}  {REASONS['exact']}"),
        line(
            f"  near        {numbers.count(duplicates.near_duplicates):>7}  nearly repeat one"
            f" (≥ {spec.near:g} of their five-character pieces)"
        ),
    ]
    if spec.paraphrase is None:
        rows.append(line("  paraphrase        –  not looked for; --paraphrase does"))
    else:
        rows.append(
            line(
                f"  paraphrase  {numbers.count(duplicates.paraphrases):>7}  say the same as one in"
                f" other words (cosine ≥ {spec.paraphrase:g})"
            )
        )
    return rows


def _table(found: _Found, look: Look) -> list[Line]:
    """Return the largest groups: kind, rows, the text of the first row, and where the rows are."""
    groups = sorted(found.duplicates.kinds, key=lambda group: (-len(group.rows), group.rows))
    place_width = 26 if look.width >= 70 else 0
    text_width = look.width - 20 - (place_width + 2 if place_width else 0)
    head = f"  {'kind':<11}{'rows':>5}  {'first row':<{text_width}}"
    lines: list[Line] = [line(Span(head + ("  where" if place_width else ""), "muted"))]
    for group in groups[:SHOWN_GROUPS]:
        first = found.reading.examples[group.rows[0]]
        text = elide(clean(first.input), text_width)
        row = f"  {group.kind:<11}{numbers.count(len(group.rows)):>5}  {text:<{text_width}}"
        if place_width:
            row += "  " + elide(_places(found, group), place_width)
        lines.append(line(row))
    if len(groups) > SHOWN_GROUPS:
        more = len(groups) - SHOWN_GROUPS
        lines.append(line(f"  … {numbers.plural(more, 'more group')}; --json lists all"))
    return lines


def _places(found: _Found, group: Group) -> str:
    """Return where the rows are: `data.jsonl:4, 18, 902`."""
    parts: list[str] = []
    source = None
    for row in group.rows[:_PLACES]:
        example = found.reading.examples[row]
        name = "" if example.source == source else f"{clean(Path(example.source).name)}:"
        source = example.source
        parts.append(f"{name}{example.row}")
    return ", ".join(parts) + (", …" if len(group.rows) > _PLACES else "")


def _conflict(found: _Found) -> Problem | None:
    """Warn of groups whose rows want different answers: of those only the first would be kept."""
    groups = [group for group in found.duplicates.kinds if found.answers(group) > 1]
    if not groups:
        return None
    noun, verb = ("group", "has") if len(groups) == 1 else ("groups", "have")
    return Problem(
        code="DAT-054",
        message=f"{len(groups):,} {noun} {verb} different answers, such as"
        f" {_places(found, groups[0])}",
        level="warning",
        help="decide which answer is right before you leave rows out: freehold data label",
    )


def _closing(session: Session, found: _Found, written: Written | None) -> list[Line]:
    again = " ".join(("freehold data dedup", *session.invocation.arguments))
    flag = " --paraphrase" if session.invocation.has("paraphrase") else ""
    if written is None:
        if not found.duplicates.groups:
            return [line("next   freehold data split")]
        return [line("next   ", Span(f"{again}{flag} --out data/dedup.jsonl", "strong"))]
    drops = drops_of(found.reading, found.duplicates)
    counts = Counter(drop.reason for drop in drops)
    left_out = " · ".join(f"{numbers.count(n)} × {reason}" for reason, n in counts.most_common())
    name = written.source.name
    return [
        line(f"Wrote {name} ({numbers.plural(written.source.rows, 'row')})"),
        line(f"  left out   {left_out or 'nothing'}"),
        line(f"  use it     data: {{examples: {name}}} in task.yaml"),
        line("next   ", Span(f"freehold check {name}", "strong")),
    ]


# For programs --------------------------------------------------------------------------------


def _shape(found: _Found, written: Written | None) -> dict[str, JsonValue]:
    examples, duplicates = found.reading.examples, found.duplicates
    counts = Counter(drop.reason for drop in drops_of(found.reading, duplicates))
    groups: list[JsonValue] = [
        {
            "kind": group.kind,
            "size": len(group.rows),
            "answers": found.answers(group),
            "text": examples[group.rows[0]].input,
            "rows": [
                {"file": examples[row].source, "row": examples[row].row, "id": examples[row].id}
                for row in group.rows
            ],
        }
        for group in duplicates.kinds
    ]
    return {
        "files": [source.name for source in found.reading.sources],
        "rows": len(examples),
        "near": found.spec.near,
        "paraphrase": found.spec.paraphrase,
        "counts": {
            "exact": duplicates.duplicates,
            "near": duplicates.near_duplicates,
            "paraphrase": duplicates.paraphrases if found.spec.paraphrase is not None else None,
        },
        "groups": groups,
        "written": None
        if written is None
        else {
            "file": written.source.name,
            "sha256": written.source.sha256,
            "rows": written.source.rows,
            "dropped": dict(counts),
        },
    }
