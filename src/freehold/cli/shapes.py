"""The JSON Schemas of what verbs print with `--json` (experience.md 7.2)."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

_TEXT: JsonValue = {"type": "string"}
_TEXT_OR_NULL: JsonValue = {"type": ["string", "null"]}
_NUMBER_OR_NULL: JsonValue = {"type": ["number", "null"]}
_COUNT: JsonValue = {"type": "integer", "minimum": 0}
_SHARE: JsonValue = {"type": "number", "minimum": 0, "maximum": 1}


def _object(properties: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    required: list[JsonValue] = list(properties)
    return {"type": "object", "properties": dict(properties), "required": required}


_QUALITY: JsonValue = {
    **_object(
        {
            "mean": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
            "low": _SHARE,
            "high": _SHARE,
            "n": _COUNT,
            "failed": _COUNT,
            "method": _TEXT,
        }
    )
}
_KEPT: JsonValue = {
    "anyOf": [
        {
            **_object(
                {"mean": _NUMBER_OR_NULL, "low": {"type": "number"}, "high": {"type": "number"}}
            )
        },
        {"type": "null"},
    ]
}
_SLICE: JsonValue = {**_object({"slice": _TEXT, "quality": _QUALITY})}
_TURN: JsonValue = {
    **_object({"role": {"enum": ["system", "user", "assistant"]}, "content": _TEXT})
}
_PROMPT: JsonValue = {
    **_object(
        {
            "rung": _TEXT,
            "state": {"enum": ["asked", "no model", "skipped", "failed"]},
            "variant": _TEXT_OR_NULL,
            "reason": _TEXT_OR_NULL,
            "messages": {"type": "array", "items": _TURN},
            "prompt": _TEXT_OR_NULL,
            "sha256": _TEXT_OR_NULL,
            "tokens": {"type": ["integer", "null"]},
        }
    )
}
_ANSWER: JsonValue = {
    **_object(
        {
            "rung": _TEXT,
            "state": {"enum": ["answered", "skipped", "failed"]},
            "reason": _TEXT_OR_NULL,
            "answer": True,
            "raw": _TEXT,
            "seconds": _NUMBER_OR_NULL,
            "correct": {"type": ["boolean", "null"]},
            "citations": {"type": "array", "items": {"type": "object"}},
        }
    )
}

EVAL_SCHEMA: Mapping[str, JsonValue] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `freehold eval --json` prints; the second form with -i, the third with --messages",
    "oneOf": [
        {
            **_object(
                {
                    "eval": _TEXT,
                    "model": _TEXT,
                    "snapshot": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
                    "split": _TEXT,
                    "quality": _QUALITY,
                    "slices": {"type": "array", "items": _SLICE},
                    "kept": _KEPT,
                    "dollars_per_1k": _NUMBER_OR_NULL,
                    "seconds_p50": _NUMBER_OR_NULL,
                    "seconds_p95": _NUMBER_OR_NULL,
                    "evaluated": _COUNT,
                    "causes": {"type": "object", "additionalProperties": _COUNT},
                    "report": _TEXT_OR_NULL,
                }
            )
        },
        {
            **_object(
                {
                    "input": _TEXT,
                    "expected": True,
                    "answers": {"type": "array", "items": _ANSWER},
                }
            )
        },
        {**_object({"input": _TEXT, "prompts": {"type": "array", "items": _PROMPT}})},
    ],
}

EXPORT_SCHEMA: Mapping[str, JsonValue] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `freehold export --json` prints",
    **_object(
        {
            "export": _TEXT,
            "to": {"enum": ["folder", "messages", "promptfoo", "dspy"]},
            "split": {"enum": ["train", "dev", "test", "audit"]},
            "examples": _COUNT,
            "proven": {"const": True},
            "folder": _TEXT,
            "files": {"type": "array", "items": _TEXT},
        }
    ),
}

_COUNTS: JsonValue = {"type": "object", "additionalProperties": _COUNT}
_METHOD: JsonValue = {**_object({"asked": _COUNT, "passed": _COUNT})}
_FINDING: JsonValue = {**_object({"code": _TEXT, "message": _TEXT, "help": _TEXT})}

SYNTH_SCHEMA: Mapping[str, JsonValue] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `freehold data synth --json` prints",
    **_object(
        {
            "teacher": {
                **_object(
                    {"name": _TEXT, "digest": _TEXT, "licence": _TEXT, "licence_source": _TEXT}
                )
            },
            "seed": {"type": "integer"},
            "judge": {"enum": ["teacher", "best", "none"]},
            "wanted": _COUNT,
            "written": _COUNT,
            "passed_share": _SHARE,
            "stopped": {"enum": ["enough rows", "most calls", "nothing new to ask"]},
            "calls": _COUNT,
            "paid": _COUNT,
            "methods": {"type": "object", "additionalProperties": _METHOD},
            "left_out": _COUNTS,
            "file": _TEXT,
            "rejected": _TEXT_OR_NULL,
            "setting": _TEXT,
            "problems": {"type": "array", "items": _FINDING},
        }
    ),
}

AUGMENT_SCHEMA: Mapping[str, JsonValue] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `freehold data augment --json` prints",
    **_object(
        {
            "wanted": _COUNT,
            "written": _COUNT,
            "rate": _SHARE,
            "seed": {"type": "integer"},
            "kinds": _COUNTS,
            "left_out": _COUNTS,
            "file": _TEXT,
            "setting": _TEXT,
        }
    ),
}

_SPAN: JsonValue = {
    **_object(
        {
            "kind": _TEXT,
            "start": _COUNT,
            "end": _COUNT,
            "value_digest": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
            "score": _SHARE,
            "detector": _TEXT,
        }
    ),
    "additionalProperties": False,
}
_KIND: JsonValue = {
    **_object({"spans": _COUNT, "rows": _COUNT, "fields": {"type": "array", "items": _TEXT}})
}
SCRUB_SCHEMA: Mapping[str, JsonValue] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `freehold data scrub --json` prints: places and keyed digests, never a value",
    **_object(
        {
            "files": {"type": "array", "items": _TEXT},
            "as": {"enum": ["report", "mask", "surrogate", "drop"]},
            "rows": _COUNT,
            "rows_with": _COUNT,
            "rows_changed": _COUNT,
            "dropped": _COUNTS,
            "kinds": {"type": "object", "additionalProperties": _KIND},
            "findings": {
                "type": "array",
                "items": _object(
                    {
                        "source": _TEXT,
                        "row": _COUNT,
                        "field": _TEXT,
                        "spans": {"type": "array", "items": _SPAN},
                    }
                ),
            },
            "findings_left_out": _COUNT,
            "written": _TEXT_OR_NULL,
        }
    ),
}
