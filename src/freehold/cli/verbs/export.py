"""`freehold export c1/few_shot`: a rung's prompts as files for other tools, proven byte-equal."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from freehold.cli.session import Session
from freehold.cli.workplace import open_models, open_store
from freehold.core.errors import MachineError, UsageError
from freehold.core.snapshot import Example, Snapshot
from freehold.report import findings, numbers
from freehold.report.lines import Line, labelled, line, render
from freehold.store.blobs import write_durably

if TYPE_CHECKING:
    from freehold.core.candidate import Candidate
    from freehold.ladder.climb import ClimbOutcome
    from freehold.ladder.prompt_export import PromptExport
    from freehold.ladder.tools import Models
    from freehold.store.store import Store

EXPORTS = "exports"
CANDIDATE = re.compile(r"(c\d+|@last)(?:/(.+))?")
OK = 0


def run(session: Session) -> int:
    """Write the prompts of a rung, once they are proven equal to what the rung asks."""
    from freehold.ladder.prompt_export import export_files, proof, rows_of
    from freehold.ladder.recall import answerer_of

    to = session.invocation.text("to") or "folder"
    split = session.invocation.text("split") or "test"
    with open_store(session) as store, open_models(session) as models:
        outcome, candidate = _candidate(session, store)
        examples = _examples(outcome.snapshot, split, session.invocation.number("limit"))
        export = _export(outcome, candidate, examples, split=split, store=store, models=models)
        folder = session.project / EXPORTS / _folder_name(export, to)
        if session.invocation.has("dry-run"):
            where = f"{EXPORTS}/{folder.name}/"
            session.console.data(
                f"Plan: {len(export.rows)} {split} examples of {export.name} as {to} into {where};"
                " nothing was done."
            )
            return OK
        _require_ours(folder, session)
        files = export_files(export, to)
        if len(files) == 1:
            raise _cannot(export, to)
        staged = _staged(folder, files)
        try:
            # The candidate is loaded and asked a second time: what is compared was not made by the same call.
            again = rows_of(answerer_of(candidate, outcome, store=store, models=models), examples)
            read = {path.name: path.read_bytes() for path in staged.iterdir()}
            wrong = proof(read, export, rows=again or ())
            if wrong or read != files:
                raise _not_equal(export, wrong)
            _give_name(staged, folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        if split == "audit":
            _count_look(store, outcome, export)
    _show(session, export, folder=folder, to=to, files=files)
    return OK


def _candidate(session: Session, store: Store) -> tuple[ClimbOutcome, Candidate]:
    from freehold.ladder.recall import candidate_of, finished_climb

    name = session.invocation.arguments[0]
    match = CANDIDATE.fullmatch(name)
    if match is None:
        raise UsageError(
            "USE-006",
            f"`{name}` is no rung of a climb",
            help="freehold export c1/few_shot",
        )
    outcome = finished_climb(store, match[1])
    rung = match[2] or outcome.climb.recommended
    if rung is None:
        measured = [result.rung for result in findings.measured(outcome.climb)]
        raise UsageError(
            "USE-006",
            f"{outcome.climb_id} recommends no rung; it measured {', '.join(measured) or 'none'}",
            help=f"freehold export {outcome.climb_id}/{measured[0] if measured else 'RUNG'}",
        )
    return outcome, candidate_of(store, outcome, rung)


def _examples(snapshot: Snapshot, split: str, limit: int | None) -> tuple[Example, ...]:
    """Return the rows that are exported; those of audit only where that split was named."""
    splits = {
        "train": snapshot.train,
        "dev": snapshot.dev,
        "test": snapshot.test,
        "audit": snapshot.audit,
    }
    examples = splits[split].examples[:limit]
    if not examples:
        filled = [name for name, rows in splits.items() if len(rows) and name != "audit"]
        raise UsageError(
            "USE-016",
            f"the {split} split has no rows",
            help=f"--split {filled[0]}" if filled else "freehold data split",
        )
    return examples


def _export(
    outcome: ClimbOutcome,
    candidate: Candidate,
    examples: tuple[Example, ...],
    *,
    split: str,
    store: Store,
    models: Models,
) -> PromptExport:
    from freehold.ladder.prompt_export import PromptExport, rows_of
    from freehold.ladder.recall import answerer_of
    from freehold.ladder.zero_shot import FixedPromptAnswerer

    answerer = answerer_of(candidate, outcome, store=store, models=models)
    rows = rows_of(answerer, examples) if answerer.model is not None else None
    name = f"{outcome.climb_id}/{candidate.rung}"
    if rows is None or answerer.model is None:
        asking = [
            result.rung
            for result in findings.measured(outcome.climb)
            if result.rung not in {candidate.rung, "baseline"}
        ]
        raise UsageError(
            "USE-013",
            f"{name} asks no model, so it has no prompt to export",
            help=f"freehold export {outcome.climb_id}/{asking[0] if asking else 'RUNG'}",
        )
    return PromptExport(
        name=name,
        rung=candidate.rung,
        variant=outcome.climb.rung(candidate.rung).variant or "",
        task=outcome.task,
        model=answerer.model.name,
        model_digest=answerer.model.digest,
        candidate_digest=candidate.digest,
        snapshot_digest=outcome.snapshot.digest,
        split=split,
        rows=rows,
        fixed=answerer if isinstance(answerer, FixedPromptAnswerer) else None,
        max_tokens=int(str(candidate.spec["max_tokens"])),
    )


def _folder_name(export: PromptExport, to: str) -> str:
    name = export.name.replace("/", "-")
    return name if to == "folder" else f"{name}-{to}"


def _require_ours(folder: Path, session: Session) -> None:
    """Refuse to replace a folder that no export wrote.

    Raises:
        UsageError: USE-014, unless `-y` was given.
    """
    from freehold.ladder.prompt_export import RECORD

    is_ours = (folder / RECORD).is_file() or not folder.exists()
    if not is_ours and not session.invocation.has("yes"):
        raise UsageError(
            "USE-014",
            f"{EXPORTS}/{folder.name} is there, and no export wrote it",
            help=f"move it away, or: {session.again} -y",
        )


def _staged(folder: Path, files: dict[str, bytes]) -> Path:
    """Write the files beside their final folder, and return where."""
    staged = folder.parent / f".writing-{secrets.token_hex(8)}"
    try:
        for name, content in files.items():
            write_durably(staged / name, content)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        raise MachineError(
            "MAC-005",
            f"{folder} cannot be written: {error.strerror}",
            help="run in a folder of your own, or use -C DIR",
        ) from error
    return staged


def _give_name(staged: Path, folder: Path) -> None:
    """Move a staged folder to its final name; an earlier export leaves in the same moment."""
    old = staged.with_name(staged.name + ".old")
    if folder.exists():
        folder.rename(old)
    try:
        staged.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _cannot(export: PromptExport, to: str) -> UsageError:
    return UsageError(
        "USE-006",
        f"{export.name} has prompts that depend on the example: {to} cannot hold them",
        help=f"freehold export {export.name} --to messages",
    )


def _not_equal(export: PromptExport, wrong: tuple[str, ...]) -> UsageError:
    return UsageError(
        "USE-015",
        f"{', '.join(wrong) or 'a file'} of the export of {export.name} is not byte for byte what the rung"
        " asks; nothing was written",
        help=f"freehold export {export.name} --to messages",
    )


def _count_look(store: Store, outcome: ClimbOutcome, export: PromptExport) -> None:
    """Note that audit rows were looked at, once for each candidate."""
    digest = outcome.snapshot.audit.digest
    entries = store.ledger.entries("look at audit", subject=digest)
    if not any(f"export {export.candidate_digest}" in entry.body for entry in entries):
        store.note("look at audit", digest, {"by": f"export {export.candidate_digest}"})


def _show(
    session: Session, export: PromptExport, *, folder: Path, to: str, files: dict[str, bytes]
) -> None:
    where = f"{EXPORTS}/{folder.name}/"
    if session.console.is_json:
        names: list[JsonValue] = [*sorted(files)]
        shape: dict[str, JsonValue] = {
            "export": export.name,
            "to": to,
            "split": export.split,
            "examples": len(export.rows),
            "proven": True,
            "folder": where,
            "files": names,
        }
        session.console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
        return
    look = session.console.look()
    size = sum(len(content) for content in files.values())
    varies = "" if export.fixed is not None else "; it depends on the example"
    facts = {
        "rung": f"{export.name} · {export.variant or export.rung} · {export.model}",
        "prompts": f"{numbers.count(len(export.rows))} {export.split} examples{varies}",
        "parity": f"read back and asked anew: {numbers.count(len(export.rows))}/"
        f"{numbers.count(len(export.rows))} prompts byte-equal ✓",
        "wrote": f"{where}  {', '.join(sorted(files))} ({numbers.size(size)})",
        "next": f"python {where}ask.py --messages --id {export.rows[0].example.id}"
        if "ask.py" in files
        else f"freehold eval {export.name.split('/')[0]} -i TEXT --messages",
    }
    lines: list[Line] = []
    for label, text in facts.items():
        if label == "next":
            lines.append(line(f"next     {text}"))
        else:
            lines.extend(labelled(label, text, look=look))
    session.console.data(render(lines, look))
