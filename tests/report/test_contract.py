import json
from typing import Any

import jsonschema
import pytest
from tests.report import sample

from freehold.core.measure import Climb, RungResult, Verdict
from freehold.core.sections import Bar
from freehold.report.contract import CLIMB_SCHEMA, climb_json


def validate(value: Any) -> None:
    validator: Any = jsonschema.Draft202012Validator(dict(CLIMB_SCHEMA))
    validator.validate(value)


def as_json(climb: Climb) -> dict[str, Any]:
    value = climb_json(climb, sample.task(), climb_id="c12", report_path="reports/c12.html")
    return json.loads(json.dumps(value, allow_nan=False))


def test_the_schema_is_a_schema_and_the_drawn_climb_fits_it() -> None:
    jsonschema.Draft202012Validator.check_schema(dict(CLIMB_SCHEMA))
    validate(as_json(sample.climb()))


def test_a_skipped_rung_is_the_object_of_the_contract() -> None:
    # experience.md 7.1
    rungs = climb_json(sample.climb(), sample.task(), climb_id="c12", report_path=None)["rungs"]
    assert isinstance(rungs, list)
    assert rungs[6] == {
        "rung": "prefer",
        "state": "skipped",
        "reason": "lora's errors gave 61 pairs, 200 needed; add data.preferences",
        "quality": None,
        "against_previous": None,
        "dollars_per_1k": None,
        "seconds_p50": None,
        "seconds_p95": None,
        "kept": None,
        "build_seconds": None,
        "evaluated": 0,
        "verdict": "SKIPPED",
        "need_more": None,
        "total_dollars": None,
        "causes": {},
        "slices": [],
        "planned": None,
        "stopped_because": None,
    }


def test_the_object_has_the_keys_of_the_contract_in_order() -> None:
    value = climb_json(sample.climb(), sample.task(), climb_id="c12", report_path=None)
    assert list(value) == [
        "climb",
        "task",
        "snapshot",
        "bar",
        "rungs",
        "recommended",
        "why",
        "audit",
        "report",
        "test_examples",
    ]
    assert value["bar"] == {"quality": 0.8, "kept": 0.97, "confidence": 0.95}
    assert value["audit"] == {
        "rung": "distil",
        "mean": 0.86,
        "low": 0.805,
        "high": 0.901,
        "n": 200,
        "failed": 0,
        "agrees": True,
    }


def test_a_pass_has_no_reason_and_a_fail_names_its_bar() -> None:
    value = as_json(sample.climb())
    rungs = {r["rung"]: r for r in value["rungs"]}
    assert rungs["distil"]["reason"] is None
    assert rungs["zero_shot"]["reason"] == "quality"


def test_bars_that_are_set_are_in_the_object() -> None:
    task = sample.task().model_copy(update={"bar": Bar(seconds_p95=1.0, dollars_per_1k=2.0)})
    value: dict[str, Any] = climb_json(sample.climb(), task, climb_id="c1", report_path=None)
    assert set(value["bar"]) == {
        "quality",
        "kept",
        "seconds_p95",
        "dollars_per_1k",
        "confidence",
    }
    validate(value)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("verdict", "MAYBE"),
        ("verdict", "SKIPPED"),
        ("evaluated", -1),
        ("quality", {"mean": 2.0, "low": 0, "high": 1, "n": 1, "failed": 0}),
        ("state", "skipped"),
    ],
)
def test_the_schema_refuses_what_contradicts_the_contract(key: str, wrong: object) -> None:
    value = as_json(sample.climb())
    value["rungs"][0][key] = wrong
    with pytest.raises(jsonschema.ValidationError):
        validate(value)


def test_a_rung_that_failed_and_a_climb_without_a_pass_fit_the_schema() -> None:
    failed = RungResult(
        rung="lora", state="failed", reason="out of memory", verdict=Verdict.ERROR, evaluated=3
    )
    climb = sample.climb().model_copy(
        update={"rungs": (failed,), "recommended": None, "audit": None}
    )
    value = as_json(climb)
    validate(value)
    assert value["rungs"][0]["evaluated"] == 3
