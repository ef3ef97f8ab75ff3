"""What a climb would do, said before anything is done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from freehold.cli.settings import DEFAULT, Resolved
from freehold.report import findings
from freehold.report.intake import ladder_text
from freehold.report.lines import Line, Look, labelled, line, render

if TYPE_CHECKING:
    from freehold.ladder.prepare import Prepared


def plan_text(resolved: Resolved, prepared: Prepared, look: Look) -> str:
    """Return the resolved plan: what will be climbed, and every setting that is not a default."""
    task = prepared.task
    lines: list[Line] = [line(f"Plan for {task.name}; nothing was done.")]
    facts = {
        "instruction": findings.clip(task.instruction, 200),
        "base": task.base.id,
        "metric": task.metric.primary,
        "bar": findings.bar_text(task.bar),
        "rungs": ladder_text(task.ladder),
        "stop": task.ladder.stop,
        "test": f"{len(prepared.snapshot.test):,} examples",
    }
    for label, text in facts.items():
        lines.extend(labelled(label, text, look=look))
    for setting in resolved.rows():
        if setting.source != DEFAULT:
            value = json.dumps(setting.value, ensure_ascii=False)
            lines.extend(
                labelled("setting", f"{setting.key} = {value}  ({setting.source})", look=look)
            )
    return render(lines, look)
