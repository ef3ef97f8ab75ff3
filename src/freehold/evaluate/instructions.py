"""Checks of whether an answer follows an instruction, for the kinds that code can establish without a doubt.

The names are those of IFEval (Zhou et al. 2023, Instruction-following evaluation for large language models,
arXiv:2311.07911). The checks are our own, of the kinds whose meaning its prompts state fully. An item with
another kind is left out and counted: a check that guesses would score the guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from pydantic import JsonValue

from freehold.core.record import Record

_WORD = re.compile(r"\w+(?:['’-]\w+)*")


class Check(Record):
    """One instruction: its kind, a key of `CHECKS`, and what the kind needs to know."""

    kind: str
    settings: dict[str, JsonValue]


def follows(text: str, check: Check) -> bool:
    """Return whether `text` follows one instruction; an empty text follows none.

    Raises:
        KeyError: nothing checks instructions of this kind.
    """
    return bool(text.strip()) and CHECKS[check.kind](text, check.settings)


Settings = Mapping[str, JsonValue]


def _compare(found: int, settings: Settings, *, name: str) -> bool:
    wanted = _whole(settings, name)
    return found < wanted if settings.get("relation") == "less than" else found >= wanted


def _whole(settings: Settings, name: str) -> int:
    value = settings.get(name)
    if not isinstance(value, int | float):
        raise ValueError(f"`{name}` of an instruction is {value!r}, no number")
    return int(value)


def _texts(settings: Settings, name: str) -> list[str]:
    value = settings.get(name)
    return [str(one) for one in value] if isinstance(value, list) else []


def _number_words(text: str, settings: Settings) -> bool:
    return _compare(len(_WORD.findall(text)), settings, name="num_words")


def _existence(text: str, settings: Settings) -> bool:
    return all(_times(text, word) for word in _texts(settings, "keywords"))


def _forbidden(text: str, settings: Settings) -> bool:
    return not any(_times(text, word) for word in _texts(settings, "forbidden_words"))


def _frequency(text: str, settings: Settings) -> bool:
    return _compare(_times(text, str(settings.get("keyword"))), settings, name="frequency")


def _letter(text: str, settings: Settings) -> bool:
    times = text.casefold().count(str(settings.get("letter")).casefold())
    wanted = _whole(settings, "let_frequency")
    return times < wanted if settings.get("let_relation") == "less than" else times >= wanted


def _bullets(text: str, settings: Settings) -> bool:
    return len(re.findall(r"^\s*(?:\*(?!\*)|-)\s", text, re.MULTILINE)) == _whole(
        settings, "num_bullets"
    )


def _highlights(text: str, settings: Settings) -> bool:
    marked = re.findall(r"\*\*[^\n*]+\*\*|\*[^\n*]+\*", text)
    return sum(bool(one.strip("* ")) for one in marked) >= _whole(settings, "num_highlights")


def _title(text: str, _settings: Settings) -> bool:
    return any(title.strip() for title in re.findall(r"<<([^\n]+)>>", text))


def _json(text: str, _settings: Settings) -> bool:
    bare = re.sub(r"^```(?:json)?\s*|\s*```$", "", text.strip(), flags=re.IGNORECASE)
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        return False
    return True


def _placeholders(text: str, settings: Settings) -> bool:
    return len(re.findall(r"\[[^\[\]]+\]", text)) >= _whole(settings, "num_placeholders")


def _end(text: str, settings: Settings) -> bool:
    end = str(settings.get("end_phrase")).strip().casefold()
    return text.strip().strip('"').casefold().endswith(end)


def _quoted(text: str, _settings: Settings) -> bool:
    bare = text.strip()
    return len(bare) > 1 and bare.startswith('"') and bare.endswith('"')


def _times(text: str, phrase: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE))


CHECKS: Mapping[str, Callable[[str, Settings], bool]] = {
    "punctuation:no_comma": lambda text, _: "," not in text,
    "length_constraints:number_words": _number_words,
    "keywords:existence": _existence,
    "keywords:forbidden_words": _forbidden,
    "keywords:frequency": _frequency,
    "keywords:letter_frequency": _letter,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:title": _title,
    "detectable_format:json_format": _json,
    "detectable_content:number_placeholders": _placeholders,
    "change_case:english_lowercase": lambda text, _: text == text.lower(),
    "change_case:english_capital": lambda text, _: text == text.upper(),
    "startend:end_checker": _end,
    "startend:quotation": _quoted,
}
"""What checks each kind: (text, settings) to whether it is followed."""
