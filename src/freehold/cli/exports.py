"""A finished climb in the formats of other tools: Markdown, CSV, JUnit XML, lm-eval's table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from freehold.core.measure import Result, RungResult, Verdict
from freehold.core.outcome import Failed
from freehold.report import findings, numbers
from freehold.report.markdown import climb_markdown
from freehold.report.view import RIGHT

if TYPE_CHECKING:
    from freehold.ladder.climb import ClimbOutcome
    from freehold.store.store import Store

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
Exporter = Callable[["ClimbOutcome", "Store"], str]

CSV_COLUMNS = (
    "climb", "rung", "state", "verdict", "reason", "mean", "low", "high", "n", "failed",
    "difference", "difference_low", "difference_high", "dollars_per_1k", "seconds_p50",
    "seconds_p95", "kept", "kept_low", "kept_high", "build_seconds", "recommended",
)  # fmt: skip


def as_markdown(outcome: ClimbOutcome, store: Store) -> str:
    """Return the climb as Markdown."""
    del store
    return climb_markdown(outcome.climb, outcome.task, climb_id=outcome.climb_id)


def as_csv(outcome: ClimbOutcome, store: Store) -> str:
    """Return one line per rung; an unknown is an empty cell, never 0."""
    del store
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for result in outcome.climb.rungs:
        values = _cells(outcome, result)
        writer.writerow([csv_cell(values[name]) for name in CSV_COLUMNS])
    return text.getvalue()


def csv_cell(value: str | float | bool | None) -> str | float | bool:
    """Return a cell that no spreadsheet takes for a formula: such a text gets an apostrophe before it."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _cells(outcome: ClimbOutcome, result: RungResult) -> dict[str, str | float | bool | None]:
    quality, change, kept = result.quality, result.against_previous, result.kept
    return {
        "climb": outcome.climb_id,
        "rung": result.rung,
        "state": result.state,
        "verdict": result.verdict.value,
        "reason": result.reason,
        "mean": quality.mean if quality else None,
        "low": quality.low if quality else None,
        "high": quality.high if quality else None,
        "n": quality.n if quality else None,
        "failed": quality.failed if quality else None,
        "difference": change.mean if change else None,
        "difference_low": change.low if change else None,
        "difference_high": change.high if change else None,
        "dollars_per_1k": result.cost.dollars_per_1k if result.cost else None,
        "seconds_p50": result.seconds_p50,
        "seconds_p95": result.seconds_p95,
        "kept": kept.ratio.mean if kept else None,
        "kept_low": kept.ratio.low if kept else None,
        "kept_high": kept.ratio.high if kept else None,
        "build_seconds": result.build_seconds,
        "recommended": result.rung == outcome.climb.recommended,
    }


def as_junit(outcome: ClimbOutcome, store: Store) -> str:
    """Return a test suite for CI: a case per rung, and per test example of the rung shown.

    A rung fails where it does not meet the bar, is an error where it could not be measured, and is
    skipped where it was skipped or is UNDECIDED. An example fails where the answer is wrong.
    """
    suites = ElementTree.Element("testsuites", name="freehold")
    _suite(suites, f"{outcome.climb_id} rungs", [_rung_case(r) for r in outcome.climb.rungs])
    shown = findings.subject(outcome.climb)
    if shown is not None:
        cases = [
            _example_case(outcome.climb_id, shown.rung, result) for result in _results(shown, store)
        ]
        _suite(suites, f"{outcome.climb_id}/{shown.rung} examples", cases)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _results(shown: RungResult, store: Store) -> tuple[Result, ...]:
    from freehold.ladder.recall import run_of

    run = run_of(store, shown)
    return run.results if run is not None else ()


def _suite(suites: Element, name: str, cases: Sequence[Element]) -> None:
    suite = ElementTree.SubElement(suites, "testsuite", name=name, tests=str(len(cases)))
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(kind) is not None for case in cases)))
    suite.extend(cases)


def _rung_case(result: RungResult) -> Element:
    seconds = f"{result.build_seconds or 0.0:.3f}"
    case = ElementTree.Element("testcase", classname="rungs", name=result.rung, time=seconds)
    message = xml_text(f"{result.reason or ''} {numbers.estimate_n(result.quality)}".strip())
    match result.verdict:
        case Verdict.FAIL:
            ElementTree.SubElement(case, "failure", message=message)
        case Verdict.ERROR:
            ElementTree.SubElement(case, "error", message=message)
        case Verdict.SKIPPED | Verdict.UNDECIDED:
            ElementTree.SubElement(case, "skipped", message=f"{result.verdict.value} {message}")
        case Verdict.PASS:
            pass
    return case


def _example_case(climb_id: str, rung: str, result: Result) -> Element:
    seconds = f"{result.answer.seconds if result.answer else 0.0:.3f}"
    case = ElementTree.Element(
        "testcase", classname=f"{climb_id}.{rung}", name=xml_text(result.example_id), time=seconds
    )
    outcome = result.outcome
    if isinstance(outcome, Failed):
        message = xml_text(f"{outcome.cause.value}: {outcome.message}")
        ElementTree.SubElement(case, "error", message=message)
    elif outcome.score < RIGHT:
        cause = f", {outcome.cause.value}" if outcome.cause else ""
        ElementTree.SubElement(case, "failure", message=f"score {outcome.score:g}{cause}")
    return case


def xml_text(text: str) -> str:
    """Return text without the characters that XML 1.0 forbids."""
    return _NOT_XML.sub("�", text)


def as_lm_eval(outcome: ClimbOutcome, store: Store) -> str:
    """Return lm-eval's table: a row per measured rung, the rung in the Filter column.

    The standard error is that of the interval: half its width over z.
    """
    del store
    z = NormalDist().inv_cdf(0.5 + outcome.task.bar.confidence / 2)
    lines = [
        "|Tasks|Version|Filter|n-shot|Metric|   |Value |   |Stderr|",
        "|-----|------:|------|-----:|------|---|-----:|---|-----:|",
    ]
    name, metric = _cell(outcome.climb.task), outcome.task.metric.primary
    for result in findings.measured(outcome.climb):
        quality = result.quality
        if quality is None or quality.mean is None:
            continue
        error = (quality.high - quality.low) / 2 / z
        shots = _shots(result)
        lines.append(
            f"|{name}|1|{result.rung}|{shots}|{metric}|↑|{quality.mean:.4f}|±|{error:.4f}|"
        )
        name = ""
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _shots(result: RungResult) -> str:
    """Return the examples in the prompt, as the variant names them (`k=4`); 0 where there are none."""
    found = re.search(r"\bk=(\d+)", result.variant or "")
    return found[1] if found else "0"


def as_to_score(outcome: ClimbOutcome, store: Store) -> str:
    """Return the answers of every measured rung as JSON lines for people to score, in random order."""
    from freehold.ladder.judging import to_score
    from freehold.ladder.recall import run_of

    runs = {
        result.rung: run
        for result in findings.measured(outcome.climb)
        if (run := run_of(store, result)) is not None
    }
    return to_score(runs, outcome.snapshot.test)


FORMATS: Mapping[str, Exporter] = {
    "md": as_markdown,
    "csv": as_csv,
    "junit": as_junit,
    "lm-eval": as_lm_eval,
    "to-score": as_to_score,
}
