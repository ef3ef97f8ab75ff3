"""`freehold data scrub`: personal data and secrets by kind and row; masked, replaced or dropped on request."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from pydantic import JsonValue

from freehold.cli.parse import nearest, typed_again
from freehold.cli.session import Session
from freehold.cli.settings import TASK_FILE
from freehold.cli.workplace import STDIN
from freehold.core.errors import UsageError
from freehold.core.sections import PersonalKind, Treatment
from freehold.data.derived import ORIGIN_COLUMN, write_examples
from freehold.data.personal.key import project_key
from freehold.data.personal.records import DEFAULT_KINDS, KINDS
from freehold.data.personal.scrub import RowSpans, Scrubbed, Scrubber, findings_of
from freehold.data.personal.tally import tally
from freehold.data.read import Reading, drops_as_causes, read
from freehold.report import numbers
from freehold.report.lines import Line, labelled, render
from freehold.report.personal import KindCount, personal_table

if TYPE_CHECKING:
    from freehold.core.snapshot import Example
    from freehold.data.personal.find import Finder

As: TypeAlias = Literal["report", "mask", "surrogate", "drop"]
_MANY_ROWS = 50_000
_MOST_FINDINGS = 10_000
_BY_RULES = frozenset({"name", "address", "place", "organisation"})
_COLUMN = 9


def run(session: Session) -> int:
    """Report what is there, and with --as write a file without it."""
    invocation = session.invocation
    wanted = cast("As", invocation.text("as") or "report")
    kinds = chosen_kinds(invocation.text("kinds"))
    section = session.task(invocation.argument).task_file.data
    stdin = sys.stdin.buffer if section.examples == STDIN else None
    reading = read(section.examples, columns=section.columns, root=session.project, stdin=stdin)
    out = None if wanted == "report" else _out(session, reading, invocation.text("out"))
    if len(reading.examples) > _MANY_ROWS:
        session.console.say(f"Looking at {numbers.count(len(reading.examples))} rows …")
    treatment: Treatment = "mask" if wanted == "report" else wanted
    key = project_key(session.project)
    scrubber = Scrubber(
        dict.fromkeys(kinds, treatment),
        key=key,
        find=_find(invocation.text("presidio") or section.names_model, kinds),
        workers=os.cpu_count() or 1 if len(reading.examples) > _MANY_ROWS else 1,
        is_marked=True,
    )
    spans = scrubber.look(reading.examples)
    scrubbed = None
    if out is not None:
        scrubbed = scrubber.scrub_found(reading.examples, spans)
        _write(scrubbed, out, session)
    if session.console.is_json:
        shape = _shape(reading, spans, key=key, wanted=wanted, scrubbed=scrubbed)
        shape["written"] = None if out is None else _name(out, session)
        session.console.data(json.dumps(shape, ensure_ascii=False))
        return 0
    counts = tally(reading.examples, spans)
    _show(session, reading, counts, rows=sum(map(bool, spans)))
    if scrubbed is not None and out is not None:
        _show_written(session, scrubbed, out)
    _show_next(session, out, has_any=bool(counts))
    return 0


def chosen_kinds(text: str | None) -> tuple[PersonalKind, ...]:
    """Return the kinds of `--kinds`: the usual ones where it is left out, `all`, or a list by comma.

    Raises:
        UsageError: USE-006, there is no such kind.
    """
    if text is None:
        return DEFAULT_KINDS
    words = [word.strip().replace("-", "_") for word in text.split(",") if word.strip()]
    if words == ["all"]:
        return KINDS
    for word in words:
        if word not in KINDS:
            raise UsageError(
                "USE-006",
                f"`--kinds`: there is no kind `{word}`; there are {', '.join(KINDS)}",
                help=f"freehold data scrub --kinds {nearest(word, KINDS) or 'email'}",
            )
    if not words:
        raise UsageError(
            "USE-006", "`--kinds` names none", help="freehold data scrub --kinds email"
        )
    return tuple(kind for kind in KINDS if kind in words)


def _find(pipeline: str | None, kinds: Sequence[PersonalKind]) -> Finder | None:
    if pipeline is None:
        return None
    from freehold.data.personal.find import finder
    from freehold.data.personal.presidio import by_presidio, open_analyzer

    return finder(kinds, further=by_presidio(open_analyzer(pipeline)))


# The new file ------------------------------------------------------------------------------------


def _out(session: Session, reading: Reading, given: str | None) -> Path:
    """Return where to write: as was said, else beside the first file.

    Raises:
        UsageError: USE-007, the file is one that was read, or is there and not Freehold's own.
    """
    first = Path(reading.sources[0].name)
    stem = first.name.split(".")[0] if reading.sources[0].name != STDIN else "stdin"
    path = session.project / (given or first.with_name(f"{stem}.scrubbed.jsonl"))
    sources = {(session.project / source.name).resolve() for source in reading.sources}
    if path.resolve() in sources:
        raise UsageError(
            "USE-007",
            f"{_name(path, session)} is a file that is read; it is never written into",
            help=f"freehold data scrub{_argument(session)} --as mask --out {stem}.clean.jsonl",
        )
    if path.exists() and not session.invocation.has("yes") and not _is_own(path):
        raise UsageError(
            "USE-007",
            f"{_name(path, session)} is there already, and is left as it is",
            help=f"{session.again} -y",
        )
    return path


def _is_own(path: Path) -> bool:
    """Return whether a file begins with a row that Freehold wrote."""
    try:
        with path.open(encoding="utf-8") as file:
            row: object = json.loads(file.readline() or "null")
    except (OSError, ValueError):
        return False
    return isinstance(row, dict) and ORIGIN_COLUMN in row


def _write(scrubbed: Scrubbed, out: Path, session: Session) -> None:
    if not session.invocation.has("dry-run"):
        write_examples(scrubbed.examples, out, root=session.project)


def _name(path: Path, session: Session) -> str:
    is_inside = path.is_relative_to(session.project)
    return path.relative_to(session.project).as_posix() if is_inside else str(path)


# What is printed -----------------------------------------------------------------------------------


def _show(session: Session, reading: Reading, counts: Sequence[KindCount], *, rows: int) -> None:
    console = session.console
    names = ", ".join(source.name for source in reading.sources[:2])
    more = f" and {len(reading.sources) - 2} more files" if len(reading.sources) > 2 else ""
    held = (
        f"{numbers.plural(rows, 'row')} {'holds' if rows == 1 else 'hold'} personal data or secrets"
    )
    facts = f"{numbers.count(len(reading.examples))} rows · {held if rows else 'none is found'}"
    head = labelled(f"{names}{more}", facts, look=console.look(), indent=0, column=17)
    console.data(render(head, console.look()))
    if counts:
        console.data(personal_table(counts, **console.drawn))
    if any(count.kind in _BY_RULES for count in counts):
        note = (
            "names and addresses are found by rules: some are missed, some are none; look at a few"
        )
        console.data(
            render(labelled("note", note, look=console.look(), column=_COLUMN + 2), console.look())
        )


def _show_written(session: Session, scrubbed: Scrubbed, out: Path) -> None:
    console = session.console
    look = console.look()
    verb = "would write" if session.invocation.has("dry-run") else "wrote"
    facts = f"{_name(out, session)}   {numbers.count(len(scrubbed.examples))} rows · {numbers.count(scrubbed.rows)} changed"
    if scrubbed.drops:
        facts += f" · {numbers.count(len(scrubbed.drops))} dropped"
    lines: list[Line] = labelled(
        verb, facts, look=look, indent=0, column=max(_COLUMN, len(verb) + 2)
    )
    for cause in drops_as_causes(scrubbed.drops):
        lines.extend(labelled("dropped", cause, look=look, column=_COLUMN + 2))
    masked = sorted(kind for (kind, done) in scrubbed.spans if done == "mask")
    if masked and session.invocation.text("as") == "surrogate":
        note = f"masked, as they have no stand-ins: {', '.join(masked)}"
        lines.extend(labelled("note", note, look=look, column=_COLUMN + 2))
    console.data(render(lines, look))


def _show_next(session: Session, out: Path | None, *, has_any: bool) -> None:
    console = session.console
    if out is not None:
        name = _name(out, session)
        if session.has_task_file and session.invocation.argument is None:
            console.data(f"use      data: {name}   in {TASK_FILE}")
        console.data(f"next     freehold check {name}")
    elif has_any:
        words = [word for word in session.invocation.words if word not in {"--as", "report"}]
        again = typed_again(words)
        console.data(f"next     {again} --as mask   (or surrogate, or drop)")
    else:
        console.data(f"next     freehold check{_argument(session)}")


def _argument(session: Session) -> str:
    return f" {session.invocation.argument}" if session.invocation.argument else ""


def _shape(
    reading: Reading,
    spans: Sequence[RowSpans],
    *,
    key: bytes,
    wanted: As,
    scrubbed: Scrubbed | None,
) -> dict[str, JsonValue]:
    counts = tally(reading.examples, spans)
    findings = _findings(reading.examples, spans, key)
    dropped: dict[str, JsonValue] = {}
    for drop in scrubbed.drops if scrubbed is not None else ():
        dropped[drop.reason] = cast("int", dropped.get(drop.reason, 0)) + 1
    total = sum(len(found) for found in spans)
    return {
        "files": [source.name for source in reading.sources],
        "as": wanted,
        "rows": len(reading.examples),
        "rows_with": sum(map(bool, spans)),
        "rows_changed": 0 if scrubbed is None else scrubbed.rows,
        "dropped": dropped,
        "kinds": {
            count.kind: {"spans": count.spans, "rows": count.rows, "fields": list(count.fields)}
            for count in counts
        },
        "findings": findings,
        "findings_left_out": total - len(findings),
    }


def _findings(
    examples: Sequence[Example], spans: Sequence[RowSpans], key: bytes
) -> list[JsonValue]:
    shapes: list[JsonValue] = []
    for example, found in zip(examples, spans, strict=True):
        if len(shapes) >= _MOST_FINDINGS:
            break

        shapes.extend(finding.to_json() for finding in findings_of(example, found, key=key))
    return shapes[:_MOST_FINDINGS]
