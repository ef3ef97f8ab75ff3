"""The climb for other programs: CSV, JUnit XML, and the table of lm-evaluation-harness."""

from __future__ import annotations

import csv
import io
import math
import re
from xml.etree import ElementTree

from freehold.core.measure import Climb, Estimate, RungResult, Verdict
from freehold.core.record import short
from freehold.core.task import Task
from freehold.report import findings, numbers
from freehold.report.markup import visible

CSV_COLUMNS = (
    "rung",
    "state",
    "verdict",
    "reason",
    "quality_mean",
    "quality_low",
    "quality_high",
    "n",
    "failed",
    "difference_mean",
    "difference_low",
    "difference_high",
    "difference_p",
    "dollars_per_1k",
    "total_dollars",
    "seconds_p50",
    "seconds_p95",
    "kept_mean",
    "kept_low",
    "kept_high",
    "build_seconds",
    "evaluated",
    "need_more",
    "recommended",
)

_SHOTS = re.compile(r"\bk\s*=\s*(\d+)")


def climb_csv(climb: Climb) -> str:
    """Return one row a rung, in ladder order, in full precision; an unknown is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for result in climb.rungs:
        writer.writerow(_csv_row(result, climb))
    return text.getvalue()


def climb_junit(climb: Climb, task: Task, *, climb_id: str) -> str:
    """Return the climb as JUnit XML: one test case a rung.

    FAIL is a failure and ERROR an error. SKIPPED and UNDECIDED are skipped test cases, because
    neither says that the rung is wrong; the message of an UNDECIDED says what would settle it.
    Whether a climb as a whole succeeded is its exit code, not this file: a cheaper rung that fails
    is normal where a dearer one is recommended.
    """
    verdicts = [result.verdict for result in climb.rungs]
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": visible(f"freehold.{climb.task}.{climb_id}"),
            "tests": str(len(verdicts)),
            "failures": str(verdicts.count(Verdict.FAIL)),
            "errors": str(verdicts.count(Verdict.ERROR)),
            "skipped": str(verdicts.count(Verdict.SKIPPED) + verdicts.count(Verdict.UNDECIDED)),
            "time": f"{climb.seconds:.3f}",
        },
    )
    for result in climb.rungs:
        _junit_case(suite, result, climb, task=task)
    ElementTree.indent(suite)
    body = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def climb_lm_eval(climb: Climb, task: Task) -> str:
    """Return the Markdown table that lm-evaluation-harness prints, one row a measured rung.

    The rung stands in the Filter column and the snapshot in the Version column. The standard error
    is that of a mean of scores that are 0 or 1; for other scores it is N/A, as in the harness.
    n-shot is the number of examples that the rung's variant names, else 0.
    """
    header = ("Tasks", "Version", "Filter", "n-shot", "Metric", "", "Value", "", "Stderr")
    rows = [_lm_eval_row(result, climb, task) for result in findings.measured(climb)]
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    right = (1, 3, 6, 8)
    rule = [
        "-" * (width - 1) + ":" if i in right and width > 1 else "-" * max(width, 1)
        for i, width in enumerate(widths)
    ]
    lines = [_joined(header, widths, right=()), "|" + "|".join(rule) + "|"]
    lines += [_joined(row, widths, right=right) for row in rows]
    return "\n".join(lines) + "\n"


def _csv_row(result: RungResult, climb: Climb) -> list[object]:
    quality, change, kept = result.quality, result.against_previous, result.kept
    ratio = kept.ratio if kept else None
    cells: list[object] = [result.rung, result.state, result.verdict.value, result.reason]
    cells += [quality.mean, quality.low, quality.high] if quality else [None] * 3
    cells += [quality.n, quality.failed] if quality else [None] * 2
    cells += [change.mean, change.low, change.high, change.p_value] if change else [None] * 4
    cost = result.cost
    cells += [cost.dollars_per_1k, cost.total_dollars] if cost else [None] * 2
    cells += [result.seconds_p50, result.seconds_p95]
    cells += [ratio.mean, ratio.low, ratio.high] if ratio else [None] * 3
    cells += [result.build_seconds, result.evaluated, result.need_more]
    cells.append("yes" if result.rung == climb.recommended else "")
    return ["" if cell is None else cell for cell in cells]


def _junit_case(
    suite: ElementTree.Element, result: RungResult, climb: Climb, *, task: Task
) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {
            "classname": visible(climb.task),
            "name": visible(result.rung),
            "time": f"{result.build_seconds or 0.0:.3f}",
        },
    )
    tag = {
        Verdict.FAIL: "failure",
        Verdict.ERROR: "error",
        Verdict.SKIPPED: "skipped",
        Verdict.UNDECIDED: "skipped",
    }.get(result.verdict)
    if tag is not None:
        ElementTree.SubElement(case, tag, {"message": visible(_message(result, climb, task=task))})
    if result.quality is not None:
        output = ElementTree.SubElement(case, "system-out")
        output.text = f"quality {numbers.estimate_n(result.quality)}"


def _message(result: RungResult, climb: Climb, *, task: Task) -> str:
    if result.verdict is Verdict.UNDECIDED:
        return f"UNDECIDED: {findings.caveat(result, climb, task.bar) or 'no reason was recorded'}"
    if result.verdict is Verdict.FAIL:
        missed = findings.missed_bar(result, task.bar) or "quality"
        return f"{missed} misses the bar: {findings.bar_text(task.bar)}"
    return result.reason or "no reason was recorded"


def _lm_eval_row(result: RungResult, climb: Climb, task: Task) -> tuple[str, ...]:
    quality = result.quality
    shots = _SHOTS.search(result.variant or "")
    value = "N/A" if quality is None or quality.mean is None else f"{quality.mean:.4f}"
    return (
        _cell(climb.task),
        short(climb.snapshot_digest),
        _cell(result.rung),
        shots.group(1) if shots else "0",
        task.metric.primary,
        "↑",
        value,
        "±",
        _standard_error(quality),
    )


def _standard_error(quality: Estimate | None) -> str:
    if quality is None or quality.mean is None or quality.method != "wilson" or quality.n < 2:
        return "N/A"
    return f"{math.sqrt(quality.mean * (1 - quality.mean) / (quality.n - 1)):.4f}"


def _cell(text: str) -> str:
    return visible(" ".join(text.split())).replace("|", "\\|")


def _joined(row: tuple[str, ...], widths: list[int], *, right: tuple[int, ...]) -> str:
    cells = [
        cell.rjust(width) if i in right else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "|" + "|".join(cells) + "|"
