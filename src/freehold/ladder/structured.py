"""Rung 3: decoding held to the labels or the JSON schema, with and without examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import JsonValue

from freehold.core.task import TextOutput
from freehold.ladder.few_shot import build_with_shots, load_with_shots, search_with
from freehold.ladder.prompts import Asker, constraint_of
from freehold.ladder.rung import Built, DevScores, Exam, Files, Found, Rung, Variant
from freehold.ladder.tools import Tools
from freehold.ladder.zero_shot import FixedPromptAnswerer


def constrained_asker(spec: Mapping[str, JsonValue], tools: Tools) -> Asker:
    """Return an asker that can only answer with a label, or with JSON that fits the schema."""
    return Asker(
        tools.base(),
        tools.task.output,
        max_tokens=int(str(spec["max_tokens"])),
        constraint=constraint_of(tools.task.output),
        score_labels=True,
    )


def _missing(tools: Tools) -> str | None:
    if isinstance(tools.task.output, TextOutput):
        return "missing input: answers are free text; add output.labels or output.schema"
    return None


def _variants(tools: Tools) -> tuple[Variant, ...]:
    return tuple(
        Variant(f"k={k}", {"k": k})
        for k in tools.task.ladder.structured.k
        if k <= len(tools.train.examples)
    )


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    del dev_scores
    return build_with_shots(variant, tools)


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> FixedPromptAnswerer:
    return load_with_shots(spec, files, tools, asker=constrained_asker(spec, tools))


def _search(tools: Tools, exam: Callable[[float], Exam]) -> Found | None:
    return search_with(
        tools.task.ladder.structured.search,
        tools,
        exam,
        rung="structured",
        variants=_variants(tools),
        asker=lambda spec: constrained_asker(spec, tools),
    )


RUNG = Rung(
    name="structured",
    missing=_missing,
    variants=_variants,
    build=_build,
    load=_load,
    search=_search,
)
