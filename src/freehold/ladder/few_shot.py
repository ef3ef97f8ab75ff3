"""Rung 2: k training examples before every question, the same ones; k is chosen on dev."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import JsonValue

from freehold.core.sections import PromptSearchSpec
from freehold.core.snapshot import Example
from freehold.ladder.prompt_search import Ground, search_prompt
from freehold.ladder.prompts import Asker, answer_text, shots_from_json, shots_to_json, system_text
from freehold.ladder.rung import (
    Built,
    DevScores,
    Exam,
    Files,
    Found,
    Rung,
    Variant,
    nothing_is_missing,
)
from freehold.ladder.tools import Tools
from freehold.ladder.zero_shot import FixedPromptAnswerer, prompt_settings


def pick_shots(tools: Tools, k: int, *, diverse: bool) -> tuple[Example, ...]:
    """Return k training examples: seeded by the training data, so that the choice is repeatable.

    `diverse` takes the answers in turn, the most frequent first, and of each the example of median
    length: labels are shown as evenly as k allows. Otherwise the choice is uniform.
    """
    rng = random.Random(tools.train.digest)
    examples = list(tools.train.examples)
    rng.shuffle(examples)
    if not diverse:
        return tuple(examples[:k])
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(answer_text(example.target), []).append(example)
    ordered = sorted(groups.values(), key=len, reverse=True)
    for group in ordered:
        median = sorted(len(example.input) for example in group)[len(group) // 2]
        group.sort(key=lambda example, median=median: abs(len(example.input) - median))
    picked: list[Example] = []
    for depth in range(k):
        picked.extend(group[depth] for group in ordered if depth < len(group))
        if len(picked) >= k:
            break
    shots = picked[:k]
    rng.shuffle(shots)
    return tuple(shots)


def build_with_shots(variant: Variant, tools: Tools) -> Built:
    """Build a candidate whose prompt holds `variant.spec["k"]` fixed examples, or those that a search named."""
    shots = shots_of(variant, tools)
    return Built(files={"shots.json": shots_to_json(shots)}, spec=prompt_settings(tools))


def shots_of(variant: Variant, tools: Tools) -> tuple[Example, ...]:
    """Return the examples in the prompt of a variant."""
    named = variant.spec.get("shots")
    if isinstance(named, list):
        by_id = {example.id: example for example in tools.train.examples}
        return tuple(by_id[str(name)] for name in named)
    k = int(str(variant.spec["k"]))
    return pick_shots(tools, k, diverse=variant.spec.get("pick", "diverse") == "diverse")


def search_with(
    spec: PromptSearchSpec | None,
    tools: Tools,
    exam: Callable[[float], Exam],
    *,
    rung: Literal["few_shot", "structured"],
    variants: Sequence[Variant],
    asker: Callable[[Mapping[str, JsonValue]], Asker],
) -> Found | None:
    """Return what the search of a rung with fixed examples finds; None where the task asks for none.

    It is compared with the rung's own variant of as many examples, the first one where there is none.
    """
    if spec is None or not variants:
        return None
    same = [variant for variant in variants if variant.spec["k"] == spec.k]
    start = (same or list(variants))[0]
    asks = asker(prompt_settings(tools))
    return search_prompt(
        spec,
        tools,
        exam(spec.held),
        ground=Ground(
            rung=rung,
            start=start,
            shots=shots_of(start, tools),
            pool=pick_shots(tools, spec.pool, diverse=True),
            answerer=lambda system, shots: FixedPromptAnswerer(
                asker=asks, system=system, shots=shots
            ),
        ),
    )


def load_with_shots(
    spec: Mapping[str, JsonValue], files: Files, tools: Tools, *, asker: Asker
) -> FixedPromptAnswerer:
    """Load a candidate with fixed examples; a prompt that was searched for has a system turn of its own."""
    system = spec.get("system")
    return FixedPromptAnswerer(
        asker=asker,
        system=system
        if isinstance(system, str)
        else system_text(tools.task, list_labels=bool(spec["list_labels"])),
        shots=shots_from_json(files),
    )


def _variants(tools: Tools) -> tuple[Variant, ...]:
    return tuple(
        Variant(f"k={k}", {"k": k, "pick": tools.task.ladder.few_shot.pick})
        for k in tools.task.ladder.few_shot.k
        if k <= len(tools.train.examples)
    )


def _build(variant: Variant, tools: Tools, dev_scores: DevScores) -> Built:
    del dev_scores
    return build_with_shots(variant, tools)


def _asker(spec: Mapping[str, JsonValue], tools: Tools) -> Asker:
    return Asker(tools.base(), tools.task.output, max_tokens=int(str(spec["max_tokens"])))


def _load(spec: Mapping[str, JsonValue], files: Files, tools: Tools) -> FixedPromptAnswerer:
    return load_with_shots(spec, files, tools, asker=_asker(spec, tools))


def _search(tools: Tools, exam: Callable[[float], Exam]) -> Found | None:
    return search_with(
        tools.task.ladder.few_shot.search,
        tools,
        exam,
        rung="few_shot",
        variants=_variants(tools),
        asker=lambda spec: _asker(spec, tools),
    )


RUNG = Rung(
    name="few_shot",
    missing=nothing_is_missing,
    variants=_variants,
    build=_build,
    load=_load,
    search=_search,
)
