"""The climb as Markdown, for pull requests and model cards: the same words as the page."""

from __future__ import annotations

import re

from freehold.core.measure import Climb, RungResult
from freehold.core.record import short
from freehold.core.task import Task
from freehold.report import findings, numbers
from freehold.report.documents import figures_text
from freehold.report.markup import visible

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_AFTER_A_BREAK = re.compile(r"\s+")


def escape_markdown(text: str) -> str:
    """Return `text` as one line that Markdown shows as it is, without links, HTML or emphasis."""
    flat = _AFTER_A_BREAK.sub(" ", visible(text)).strip()
    return _SPECIAL.sub(r"\\\1", flat)


def climb_markdown(climb: Climb, task: Task, *, climb_id: str) -> str:
    """Return the climb as Markdown: recommendation, table, errors, weak slice, provenance."""
    lines = [
        f"## {escape_markdown(climb.task)} – climb {escape_markdown(climb_id)}",
        "",
        *_recommendation(climb),
        "",
        *_table(climb, task),
        "",
        f"Test {findings.test_size(climb)},"
        f" {numbers.count(findings.failed_count(climb))} failed. Intervals"
        f" {numbers.percent(task.bar.confidence)}. Bar: {findings.bar_text(task.bar)}."
        " ≈ marks a paired difference whose interval includes zero.",
        *_details(climb),
        "",
        f"Snapshot `{short(climb.snapshot_digest)}`, task `{short(climb.task_digest)}`,"
        f" base model {escape_markdown(task.base.id)}.",
    ]
    return "\n".join(lines) + "\n"


def _recommendation(climb: Climb) -> list[str]:
    if not climb.why:
        return ["Nothing was measured."]
    first, *others = climb.why
    star = "★ " if climb.recommended else ""
    lines = [f"**{star}{escape_markdown(first)}**"]
    if others or climb.audit:
        lines.append("")
    for sentence in others:
        label, text = findings.why_parts(sentence)
        shown = f"{escape_markdown(label)}: " if label else ""
        lines.append(f"- {shown}{escape_markdown(text)}")
    audit = findings.audit_text(climb)
    if audit:
        lines.append(f"- audit: {escape_markdown(audit)}")
    return lines


def _table(climb: Climb, task: Task) -> list[str]:
    lines = [
        "| | rung | quality | Δ vs previous | $/1k | p95 | kept≥ | verdict |",
        "|-:|:--|:--|:--|--:|--:|--:|:--|",
    ]
    for index, result in enumerate(climb.rungs):
        lines.append("| " + " | ".join((str(index), *_row(result, climb, task))) + " |")
    return lines


def _row(result: RungResult, climb: Climb, task: Task) -> tuple[str, ...]:
    best = result.rung == climb.recommended
    name = escape_markdown(result.rung)
    name = f"**{name}**" if best else name
    if result.state != "measured":
        reason = escape_markdown(f"{result.state}: {result.reason or 'no reason was recorded'}")
        return (name, reason, "", "", "", "", findings.verdict_text(result, None))
    change = result.against_previous
    mark = numbers.difference_mark(change).strip()
    notes = (
        findings.missed_bar(result, task.bar),
        findings.caveat(result, climb, task.bar),
        findings.stopped_text(result),
    )
    return (
        name,
        escape_markdown(numbers.estimate_n(result.quality)),
        escape_markdown(f"{mark} {numbers.difference(change)}"),
        numbers.amount(result.cost.dollars_per_1k if result.cost else None),
        numbers.latency(result.seconds_p95),
        numbers.share(result.kept.ratio.low if result.kept else None),
        escape_markdown(
            " ".join([findings.verdict_text(result, climb.recommended), *filter(None, notes)])
        ),
    )


def _details(climb: Climb) -> list[str]:
    result = findings.subject(climb)
    if result is None:
        return []
    lines: list[str] = []
    wrong = findings.wrong_count(result)
    name = escape_markdown(result.rung)
    if wrong:
        causes = escape_markdown(findings.causes_text(result))
        lines += ["", f"{numbers.count(wrong)} wrong of {name}: {causes}."]
    if result.documents is not None:
        shown = escape_markdown(figures_text(result.documents))
        lines += ["", f"Documents of {name}: {shown}."]
    weakest = findings.weakest_slice(result)
    if weakest is not None:
        lines += ["", f"Weak slice of {name}: {escape_markdown(findings.slice_text(*weakest))}."]
    return lines
