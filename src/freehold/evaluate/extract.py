"""From the raw text of an answer to its value, or None where nothing can be read out of it.

The same function serves every rung, so that no rung is judged by a kinder reader than another.
"""

from __future__ import annotations

import json
import math
import re

from pydantic import JsonValue

from freehold.core.task import JsonOutput, LabelOutput, Output

_QUOTES = "\"'`“”‘’„«»"
_MOST_LEVELS = 64  # records refuse values that nest a few hundred levels
_FENCED = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)


def extract(raw: str, output: Output) -> JsonValue:
    """Return the value that `raw` states, in the form that `output` asks for.

    Labels: the label that equals the text, once white space, quotes around it and full stops after
    it are taken away; failing that, the only label that equals it but for case. JSON: the whole
    text, or its one fenced block, read strictly (no NaN or infinity, no key twice, at most 64 levels);
    whether it fits the schema is not asked here. Text: the text without surrounding white space.

    Returns:
        The canonical label, a JSON value or text. None where nothing could be read: the answer is
        then wrong by its form. A JSON `null` is None as well.
    """
    if isinstance(output, LabelOutput):
        return _label(raw, output.labels)
    if isinstance(output, JsonOutput):
        return _json(raw)
    return raw.strip() or None


def _label(raw: str, labels: tuple[str, ...]) -> str | None:
    text = raw.strip()
    while text:
        if text in labels:
            return text
        folded = [label for label in labels if label.casefold() == text.casefold()]
        if folded:
            return folded[0] if len(folded) == 1 else None
        peeled = _peel(text)
        if peeled == text:
            return None
        text = peeled
    return None


def _peel(text: str) -> str:
    if text.endswith("."):
        return text[:-1].strip()
    if len(text) >= 2 and text[0] in _QUOTES and text[-1] in _QUOTES:
        return text[1:-1].strip()
    return text


def _json(raw: str) -> JsonValue:
    whole = _strict_json(raw)
    if whole is not None:
        return whole
    blocks = _FENCED.findall(raw)
    return _strict_json(blocks[0]) if len(blocks) == 1 else None


def _strict_json(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique_keys,
        )
        # A lone surrogate has no UTF-8, so that the answer could not be kept.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # RecursionError: thousands of opening brackets
        return None
    return value if _is_shallow(value) else None


def _is_shallow(value: JsonValue) -> bool:
    """Return whether a value nests few enough levels to be kept and compared."""
    level = [value]
    for _ in range(_MOST_LEVELS):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number


def _unique_keys(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value
