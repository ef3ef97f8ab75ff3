"""What a teacher can be asked for, in one literal mapping: each method makes a prompt and reads its answer.

self_instruct: new rows in the manner of the seeds (Wang et al. 2023). documents: a question, its answer
and the sentence that supports it, from a passage. paraphrase: a seed in other words, with its answer.
counterexamples: rows of one answer that look like another that a climb confused it with. evolve: a seed
made harder (Xu et al. 2023, Evol-Instruct).

Everything here is pure: the same material and the same random numbers give the same prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from freehold.core.message import Message, assistant, system, user
from freehold.core.sections import SynthMethod
from freehold.core.snapshot import Example
from freehold.core.task import LabelOutput, Output
from freehold.data.synthesis.material import (
    Draft,
    Material,
    Order,
    answer_text,
    has_free_answers,
    leaves,
    read_answer,
)

SHOTS = 3
SHOTS_WITH_CONTEXT = 1
LONGEST_SHOT = 600
"""Characters of a seed or context that are shown in a prompt; a longer one is not chosen while others are."""

TONES = (
    "Keep it about as long.",
    "Make it shorter.",
    "Write it as a hurried chat message.",
    "Write it politely and formally.",
    "Begin with another part of it.",
    "Write it as somebody would say it aloud.",
    "Use everyday words.",
    "Write it as two sentences.",
)
HARDER = (
    "let it mention a second thing that is beside the point",
    "say it less directly, so that the answer must be worked out",
    "add a detail or a condition that changes nothing in the answer",
    "use rarer words for the main things",
    "let it come up in the middle of a longer story",
    "leave out the most telling word",
)

Ordering: TypeAlias = Callable[[Material, Random], Order]
Reading: TypeAlias = Callable[[str, Order, Output], Draft | None]


@dataclass(frozen=True)
class Method:
    """One way to ask for a row.

    `missing(material)` says what it lacks, with the line that supplies it; None where it can be used.
    `order` makes the prompt, and `read` the row from what was written; None where none can be read.
    """

    about: str
    missing: Callable[[Material], str | None]
    order: Ordering
    read: Reading


# Prompts -------------------------------------------------------------------------------------


def _self_instruct(material: Material, rng: Random) -> Order:
    wanted = _answer(material, rng)
    model = _short(material.by_answer[wanted], 1, rng)[0]
    pool = material.by_answer[wanted] if wanted and _is_closed(material) else material.seeds
    count = SHOTS_WITH_CONTEXT if model.context else SHOTS
    shots = _short([seed for seed in pool if seed is not model] or [model], count, rng)
    turns: list[Message] = []
    for shot in shots:
        turns.append(user(_wish(material, shot)))
        turns.append(assistant(_as_written(material, shot)))
    return Order(
        method="self_instruct",
        messages=(system(_role(material)), *turns, user(_wish(material, model))),
        seeds=_distinct((*shots, model)) if model.context else tuple(shots),
        target=model.target if _is_closed(material) else None,
        context=model.context,
    )


def _documents(material: Material, rng: Random) -> Order:
    passage = rng.choice(material.passages)
    shots = _short(material.seeds, SHOTS, rng)
    asked = "\n".join(f"- {shot.input}" for shot in shots)
    text = (
        f"Questions are asked in this manner:\n{asked}\n\nPassage: {passage.text}\n\n"
        "Write one new question that this passage answers, its short answer, and the sentence of the "
        "passage that supports it, copied word for word. Use exactly this form:\n"
        "Question: ...\nAnswer: ...\nSupport: ..."
    )
    return Order(
        method="documents",
        messages=(system(_role(material)), user(text)),
        seeds=shots,
        passage=passage,
        context=passage.text if any(seed.context for seed in material.seeds) else None,
    )


def _paraphrase(material: Material, rng: Random) -> Order:
    seed = _short(material.seeds, 1, rng)[0]
    kept = _kept(material, seed)
    keep = f" These stay exactly as they are: {'; '.join(kept)}." if kept else ""
    role = (
        "Say the text in other words: the same meaning, the same names and numbers."
        f"{keep} Write nothing but the new text."
    )
    return Order(
        method="paraphrase",
        messages=(system(role), user(f"{rng.choice(TONES)}\n\nText: {seed.input}")),
        seeds=(seed,),
        target=seed.target,
        context=seed.context,
        kept=kept,
    )


def _counterexamples(material: Material, rng: Random) -> Order:
    known = [pair for pair in material.pairs if _has_both(material, pair)]
    wanted, said = rng.choice(known)
    right = _short(material.by_answer[wanted], SHOTS, rng)
    wrong = _short(material.by_answer[said], SHOTS, rng)
    text = (
        f"These texts are answered with {said}:\n{_listed(wrong)}\n\n"
        f"These texts are answered with {wanted}:\n{_listed(right)}\n\n"
        f"Write one new text that is answered with {wanted}, although a hasty reader would say {said}."
    )
    return Order(
        method="counterexamples",
        messages=(system(_role(material)), user(text)),
        seeds=(*right, *wrong),
        target=right[0].target,
    )


def _evolve(material: Material, rng: Random) -> Order:
    seed = _short(material.seeds, 1, rng)[0]
    ways = " and ".join(rng.sample(HARDER, rng.choice((1, 1, 2))))
    form = _form_wish(material)
    if _is_closed(material):
        form = f"It must still be answered with: {answer_text(seed.target)}. Write nothing but the text."
    context = f"Context: {seed.context}\n\n" if seed.context else ""
    text = f"{context}{_as_written(material, seed)}\n\nMake this harder: {ways}. {form}"
    return Order(
        method="evolve",
        messages=(system(_role(material)), user(text)),
        seeds=(seed,),
        target=seed.target if _is_closed(material) else None,
        context=seed.context,
    )


# Reading -------------------------------------------------------------------------------------

_LABELLED = re.compile(r"^\s*(?:new\s+)?(?:text|input|example|paraphrase)\s*:\s*", re.IGNORECASE)
_LIST_MARK = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+")
_PARTS = re.compile(
    r"^\s*\**(input|question|answer|support)\**\s*:\s*", re.IGNORECASE | re.MULTILINE
)
_QUOTES = (('"', '"'), ("“", "”"), ("'", "'"), ("`", "`"), ("«", "»"))


def read_text(raw: str, order: Order, output: Output) -> Draft | None:
    """Read a new input whose answer is known: the first paragraph, without quotes and list marks."""
    if order.target is None:
        return read_pair(raw, order, output)
    first = raw.strip().split("\n\n", 1)[0]
    text = _LIST_MARK.sub("", _LABELLED.sub("", first)).strip()
    for opening, closing in _QUOTES:
        inner = text[1:-1]
        if len(text) > 1 and text[0] == opening and text[-1] == closing and opening not in inner:
            text = inner.strip()
    return Draft(input=text, target=order.target)


def read_pair(raw: str, order: Order, output: Output) -> Draft | None:
    """Read a new input and its answer, after `Input:` (or `Question:`), `Answer:` and `Support:`."""
    del order
    parts: dict[str, str] = {}
    marks = list(_PARTS.finditer(raw))
    ends = [*(mark.start() for mark in marks[1:]), len(raw)]
    for mark, end in zip(marks, ends, strict=False):
        parts.setdefault(mark.group(1).lower(), raw[mark.end() : end].strip())
    asked = parts.get("input", parts.get("question"))
    if asked is None or "answer" not in parts:
        return None
    answer = read_answer(parts["answer"], output)
    return None if answer is None else Draft(asked, answer, support=parts.get("support"))


# The mapping ---------------------------------------------------------------------------------


def _needs_seeds(material: Material) -> str | None:
    return None if material.seeds else "there are no training rows without earlier turns"


def _needs_documents(material: Material) -> str | None:
    if not has_free_answers(material.output):
        return "answers from documents are free text, and this task has a closed form of answers"
    if not material.passages:
        return "data.documents: FOLDER in task.yaml gives it passages"
    return _needs_seeds(material)


def _needs_pairs(material: Material) -> str | None:
    if not _is_closed(material):
        return "only labels are confused in pairs"
    if not any(_has_both(material, pair) for pair in material.pairs):
        return "`freehold climb` finds the pairs that are confused"
    return _needs_seeds(material)


#: What a teacher can be asked for. A new method is two functions and a line here.
METHODS: Mapping[SynthMethod, Method] = {
    "self_instruct": Method(
        about="new rows in the manner of the seeds",
        missing=_needs_seeds,
        order=_self_instruct,
        read=read_text,
    ),
    "documents": Method(
        about="question, answer and supporting sentence from a passage",
        missing=_needs_documents,
        order=_documents,
        read=read_pair,
    ),
    "paraphrase": Method(
        about="a seed in other words, with its answer",
        missing=_needs_seeds,
        order=_paraphrase,
        read=read_text,
    ),
    "counterexamples": Method(
        about="rows of one label that look like another it is confused with",
        missing=_needs_pairs,
        order=_counterexamples,
        read=read_text,
    ),
    "evolve": Method(
        about="a seed made harder",
        missing=_needs_seeds,
        order=_evolve,
        read=read_text,
    ),
}


# Parts of prompts ----------------------------------------------------------------------------


def _role(material: Material) -> str:
    return (
        f"You write new examples for this task: {material.instruction}\n"
        "Each is realistic, new in content and no copy of another."
    )


def _wish(material: Material, seed: Example) -> str:
    """Return the turn that asks for a row like `seed`, whose text is the answer to it."""
    context = f"Context: {seed.context}\n\n" if seed.context else ""
    if _is_closed(material):
        return f"{context}Write a text that is answered with: {answer_text(seed.target)}"
    return f"{context}Write a new example. {_form_wish(material)}"


def _form_wish(material: Material) -> str:
    kind = "the text" if has_free_answers(material.output) else "JSON"
    return f"Use exactly this form:\nInput: ...\nAnswer: ... ({kind})"


def _as_written(material: Material, seed: Example) -> str:
    if _is_closed(material):
        return seed.input
    return f"Input: {seed.input}\nAnswer: {answer_text(seed.target)}"


def _is_closed(material: Material) -> bool:
    return isinstance(material.output, LabelOutput)


def _has_both(material: Material, pair: tuple[str, str]) -> bool:
    return pair[0] in material.by_answer and pair[1] in material.by_answer


def _answer(material: Material, rng: Random) -> str:
    """Draw an answer: labels are equally likely, so that rare ones get as many rows as frequent ones."""
    if _is_closed(material):
        return rng.choice(tuple(material.by_answer))
    return answer_text(rng.choice(material.seeds).target)


def _short(pool: Sequence[Example], count: int, rng: Random) -> tuple[Example, ...]:
    """Draw different rows, of those that are short enough to be shown where there are any."""
    shown = [seed for seed in pool if len(seed.input) + len(seed.context or "") <= LONGEST_SHOT]
    pool = shown or pool
    return tuple(rng.sample(list(pool), min(count, len(pool))))


def _kept(material: Material, seed: Example) -> tuple[str, ...]:
    """Return the values of the answer that stand in the input, and must do so in other words too."""
    if _is_closed(material):
        return ()
    return tuple(dict.fromkeys(value for _, value in leaves(seed.target) if value in seed.input))


def _listed(seeds: Sequence[Example]) -> str:
    return "\n".join(f"- {seed.input}" for seed in seeds)


def _distinct(seeds: Sequence[Example]) -> tuple[Example, ...]:
    return tuple({seed.id: seed for seed in seeds}.values())
