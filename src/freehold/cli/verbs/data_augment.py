"""`freehold data augment`: noisy copies of training rows go to a new file. No model is needed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from freehold.cli.new_rows import (
    ROWS_SHOWN,
    Target,
    command_with,
    setting_line,
    target_of,
    write_rows,
)
from freehold.cli.session import Session
from freehold.cli.workplace import prepare_task
from freehold.core.errors import DataError, UsageError
from freehold.report import numbers
from freehold.report.lines import Line, clean, elide, labelled, render

if TYPE_CHECKING:
    from freehold.data.synthesis.augment import Augmented, NoisePlan
    from freehold.data.synthesis.noise import NoiseName
    from freehold.ladder.prepare import Prepared

OUT = "data/augmented.jsonl"
RATE = 0.1
_COLUMN = 11


def run(session: Session) -> int:
    """Copy, change, write, and say what came of it."""
    from freehold.data.synthesis.admission import is_synthetic
    from freehold.data.synthesis.augment import augment

    prepared = prepare_task(session, session.task(None), strict=session.invocation.has("strict"))
    target = target_of(session, OUT)
    snapshot = prepared.snapshot
    rows = tuple(row for row in snapshot.train.examples if not is_synthetic(row))
    plan = _plan(session, prepared, rows=len(rows))
    if session.invocation.has("dry-run"):
        session.console.data(
            f"Plan: {numbers.plural(plan.count, 'copy').replace('copys', 'copies')} of"
            f" {numbers.plural(len(rows), 'training row')} by {', '.join(plan.kinds)} at rate"
            f" {plan.rate:g} to {target.name}; nothing was done."
        )
        return 0
    held_out = (*snapshot.dev.examples, *snapshot.test.examples, *snapshot.audit.examples)
    made = augment(plan, rows, output=prepared.task.output, held_out=held_out)
    if not made.accepted:
        raise _nothing_changed(made)
    write_rows(session, target, made.accepted)
    if session.console.is_json:
        shape = augment_json(prepared, plan, made, target=target)
        session.console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
    else:
        _show(session, prepared, made, target=target)
    return 0


def _plan(session: Session, prepared: Prepared, *, rows: int) -> NoisePlan:
    from freehold.data.synthesis.augment import NoisePlan
    from freehold.data.synthesis.noise import NOISES

    named = cast("tuple[NoiseName, ...]", session.invocation.texts("noise"))
    rate = session.invocation.share("rate")
    if isinstance(rate, int) and rate > 0:
        raise UsageError(
            "USE-006", f"`--rate {rate}` is no share", help="--rate 0.1 hits one word of ten"
        )
    return NoisePlan(
        kinds=tuple(dict.fromkeys(named)) or tuple(NOISES),
        count=session.invocation.number("count") or rows,
        rate=RATE if rate is None else float(rate),
        seed=prepared.task_file.data.synth.seed,
    )


def _nothing_changed(made: Augmented) -> DataError:
    return DataError(
        "DAT-095",
        "no copy could be written",
        help="freehold data augment --noise casing    changes the most; numbers and copied values stay",
        cause=_reasons(made),
    )


def _reasons(made: Augmented) -> tuple[str, ...]:
    return tuple(f"{numbers.count(count)} × {reason}" for reason, count in made.left_out.items())


def _show(session: Session, prepared: Prepared, made: Augmented, *, target: Target) -> None:
    look = session.console.look()
    rows: list[Line] = []

    def fact(name: str, text: str) -> None:
        rows.extend(labelled(name, text, look=look, indent=0, column=_COLUMN))

    kinds = " · ".join(f"{name} {numbers.count(count)}" for name, count in made.kinds.items())
    fact("wrote", f"{numbers.plural(len(made.accepted), 'row')}: {kinds}")
    for place, reason in enumerate(_reasons(made)):
        fact("" if place else "left out", reason)
    for place, row in enumerate(made.accepted[:ROWS_SHOWN]):
        fact("" if place else "rows", elide(clean(row.input), look.width - _COLUMN))
    fact("file", target.name)
    fact("keep it", setting_line(prepared, target.name))
    fact("next", command_with(target.name))
    session.console.data(render([*rows], look))


def augment_json(
    prepared: Prepared, plan: NoisePlan, made: Augmented, *, target: Target
) -> dict[str, JsonValue]:
    """Return what `data augment --json` prints."""
    return {
        "wanted": plan.count,
        "written": len(made.accepted),
        "rate": plan.rate,
        "seed": plan.seed,
        "kinds": dict(made.kinds),
        "left_out": dict(made.left_out),
        "file": target.name,
        "setting": setting_line(prepared, target.name),
    }
