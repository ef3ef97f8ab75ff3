"""The climb as one JSON object: what `freehold climb --json` prints and `climb.json` holds.

Fields may be added, never renamed, retyped or removed. Numbers are finite; an unknown is null,
never 0. `CLIMB_SCHEMA` is the JSON Schema (2020-12) of the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from pydantic import JsonValue

from freehold.core.measure import Climb, Difference, Estimate, Method, RungResult, Verdict
from freehold.core.sections import Bar
from freehold.core.task import Task
from freehold.report import findings
from freehold.report.documents import MEANINGS, figures_json


def climb_json(
    climb: Climb, task: Task, *, climb_id: str, report_path: str | None
) -> dict[str, JsonValue]:
    """Return the climb as JSON values.

    Args:
        climb: what was measured.
        task: the task it was measured for.
        climb_id: the handle, such as `c12`.
        report_path: where the report is, relative to the project folder; None without a report.
    """
    return {
        "climb": climb_id,
        "task": climb.task,
        "snapshot": climb.snapshot_digest,
        "bar": _bar(task.bar),
        "rungs": [_rung(result, task.bar) for result in climb.rungs],
        "recommended": climb.recommended,
        "why": list(climb.why),
        "audit": _audit(climb),
        "report": report_path,
        "test_examples": _test_examples(climb),
        **({} if climb.judge is None else {"judge": climb.judge.to_json()}),
    }


def _test_examples(climb: Climb) -> JsonValue:
    """Return how many answers were asked for over all rungs that were measured, and how many were planned."""
    measured = findings.measured(climb)
    evaluated = sum(result.evaluated for result in measured)
    return {
        "evaluated": evaluated,
        "planned": sum(result.planned or result.evaluated for result in measured),
    }


def _bar(bar: Bar) -> dict[str, JsonValue]:
    values: dict[str, JsonValue] = {
        "quality": bar.quality,
        "kept": bar.kept,
        "seconds_p95": bar.seconds_p95,
        "dollars_per_1k": bar.dollars_per_1k,
        "confidence": bar.confidence,
    }
    return {key: value for key, value in values.items() if value is not None}


def _rung(result: RungResult, bar: Bar) -> dict[str, JsonValue]:
    return {
        "rung": result.rung,
        "state": result.state,
        "reason": _reason(result, bar),
        "quality": _estimate(result.quality),
        "against_previous": _difference(result.against_previous),
        "dollars_per_1k": result.cost.dollars_per_1k if result.cost else None,
        "seconds_p50": result.seconds_p50,
        "seconds_p95": result.seconds_p95,
        "kept": _kept(result),
        "build_seconds": result.build_seconds,
        "evaluated": 0 if result.state == "skipped" else result.evaluated,
        "verdict": result.verdict.value,
        "need_more": result.need_more,
        **({"documents": figures_json(result.documents)} if result.documents else {}),
        "total_dollars": result.cost.total_dollars if result.cost else None,
        "causes": dict(result.causes),
        "slices": [
            {"slice": name, "quality": _estimate(value)} for name, value in result.slices.items()
        ],
        "planned": result.planned,
        "stopped_because": result.stopped_because,
        **({} if result.rests_on is None else {"rests_on": result.rests_on.to_json()}),
    }


def _reason(result: RungResult, bar: Bar) -> str | None:
    if result.verdict is Verdict.PASS:
        return None
    if result.reason:
        return result.reason
    if result.verdict is Verdict.FAIL:
        return findings.missed_bar(result, bar) or "quality"
    return None


def _estimate(value: Estimate | None) -> JsonValue:
    if value is None:
        return None
    return {
        "mean": value.mean,
        "low": value.low,
        "high": value.high,
        "n": value.n,
        "failed": value.failed,
        "method": value.method,
    }


def _difference(value: Difference | None) -> JsonValue:
    if value is None:
        return None
    return {"mean": value.mean, "low": value.low, "high": value.high}


def _kept(result: RungResult) -> JsonValue:
    if result.kept is None:
        return None
    ratio = result.kept.ratio
    return {"mean": ratio.mean, "low": ratio.low, "high": ratio.high}


def _audit(climb: Climb) -> JsonValue:
    audit = climb.audit
    if audit is None:
        return None
    value = audit.estimate
    return {
        "rung": audit.rung,
        "mean": value.mean,
        "low": value.low,
        "high": value.high,
        "n": value.n,
        "failed": value.failed,
        "agrees": audit.agrees,
    }


def _object(
    properties: Mapping[str, JsonValue], optional: tuple[str, ...] = ()
) -> dict[str, JsonValue]:
    required: list[JsonValue] = [key for key in properties if key not in optional]
    return {"type": "object", "properties": dict(properties), "required": required}


_TEXT: JsonValue = {"type": "string"}
_TEXT_OR_NULL: JsonValue = {"type": ["string", "null"]}
_NUMBER: JsonValue = {"type": "number"}
_NUMBER_OR_NULL: JsonValue = {"type": ["number", "null"]}
_COUNT: JsonValue = {"type": "integer", "minimum": 0}
_SHARE: JsonValue = {"type": "number", "minimum": 0, "maximum": 1}
_SHARE_OR_NULL: JsonValue = {"type": ["number", "null"], "minimum": 0, "maximum": 1}


def _or_null(schema: JsonValue) -> JsonValue:
    return {"anyOf": [schema, {"type": "null"}]}


_QUALITY: JsonValue = {
    **_object(
        {
            "mean": _SHARE_OR_NULL,
            "low": _SHARE,
            "high": _SHARE,
            "n": _COUNT,
            "failed": _COUNT,
            "method": {"enum": list(get_args(Method))},
        }
    )
}

_FIGURE: JsonValue = _or_null(
    _object({"mean": _SHARE_OR_NULL, "low": _SHARE, "high": _SHARE, "n": _COUNT})
)
DOCUMENTS: JsonValue = _object({"k": _COUNT, "claims": _COUNT, **dict.fromkeys(MEANINGS, _FIGURE)})
"""The figures of a rung that searched documents; absent for one that searched none."""

_RUNG: JsonValue = {
    **_object(
        {
            "rung": _TEXT,
            "state": {"enum": ["measured", "skipped", "failed"]},
            "reason": _TEXT_OR_NULL,
            "quality": _or_null(_QUALITY),
            "against_previous": _or_null(
                _object({"mean": _NUMBER, "low": _NUMBER, "high": _NUMBER})
            ),
            "dollars_per_1k": _NUMBER_OR_NULL,
            "seconds_p50": _NUMBER_OR_NULL,
            "seconds_p95": _NUMBER_OR_NULL,
            "kept": _or_null(_object({"mean": _NUMBER_OR_NULL, "low": _NUMBER, "high": _NUMBER})),
            "build_seconds": _NUMBER_OR_NULL,
            "evaluated": _COUNT,
            "verdict": {"enum": [verdict.value for verdict in Verdict]},
            "need_more": {"type": ["integer", "null"], "minimum": 1},
            "documents": DOCUMENTS,
            "total_dollars": _NUMBER_OR_NULL,
            "causes": {"type": "object", "additionalProperties": _COUNT},
            "slices": {
                "type": "array",
                "items": _object({"slice": _TEXT, "quality": _QUALITY}),
            },
            "planned": {"type": ["integer", "null"], "minimum": 0},
            "stopped_because": _TEXT_OR_NULL,
            "rests_on": {"type": "object"},
        },
        optional=("documents", "rests_on"),
    ),
    "oneOf": [
        {
            "properties": {
                "state": {"const": "measured"},
                "verdict": {"enum": ["PASS", "FAIL", "UNDECIDED"]},
            }
        },
        {
            "properties": {
                "state": {"const": "skipped"},
                "verdict": {"const": "SKIPPED"},
                "quality": {"type": "null"},
                "evaluated": {"const": 0},
            }
        },
        {"properties": {"state": {"const": "failed"}, "verdict": {"const": "ERROR"}}},
    ],
}

CLIMB_SCHEMA: Mapping[str, JsonValue] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `freehold climb --json` prints",
    **_object(
        {
            "climb": _TEXT,
            "task": _TEXT,
            "snapshot": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
            "bar": _object(
                {
                    "quality": _SHARE,
                    "kept": _SHARE,
                    "seconds_p95": _NUMBER,
                    "dollars_per_1k": _NUMBER,
                    "confidence": _SHARE,
                },
                optional=("seconds_p95", "dollars_per_1k"),
            ),
            "rungs": {"type": "array", "items": _RUNG},
            "recommended": _TEXT_OR_NULL,
            "why": {"type": "array", "items": _TEXT},
            "audit": _or_null(
                _object(
                    {
                        "rung": _TEXT,
                        "mean": _SHARE_OR_NULL,
                        "low": _SHARE,
                        "high": _SHARE,
                        "n": _COUNT,
                        "failed": _COUNT,
                        "agrees": {"type": "boolean"},
                    }
                )
            ),
            "report": _TEXT_OR_NULL,
            "what_if": {
                "type": "object",
                "additionalProperties": _object({"was": True, "now": True}),
            },
            "test_examples": _object({"evaluated": _COUNT, "planned": _COUNT}),
            "judge": {"type": "object"},
        },
        optional=("what_if", "judge"),
    ),
}
