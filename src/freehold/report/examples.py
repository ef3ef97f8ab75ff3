"""The examples of a page: what was asked, wanted and answered, and the prompts that asked it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.record import digest_bytes
from freehold.core.task import TextOutput
from freehold.report import numbers
from freehold.report.documents import citations_part
from freehold.report.findings import clip, subject
from freehold.report.markup import Markup, element, join, shorten, visible
from freehold.report.page import paragraph, table
from freehold.report.view import KINDS, RIGHT, ExampleRow, Kind, ReportView, RungAnswer, RungPrompt
from freehold.report.words import Piece, answer_text, word_difference


@dataclass(frozen=True)
class Limits:
    """How much of the examples and prompts is shown, so that a page stays under its size."""

    examples: int = 200
    input: int = 1_200
    output: int = 400
    prompt: int = 40_000


SMALLER: tuple[Limits, ...] = (
    Limits(),
    Limits(200, 500, 160, 12_000),
    Limits(100, 300, 100, 6_000),
    Limits(50, 200, 80, 3_000),
    Limits(20, 100, 40, 1_000),
    Limits(0, 0, 0, 400),
)
"""From generous to bare: the first one with which the page fits is used."""

_FEW_ROWS = 8

_KIND_WORDS: dict[Kind, tuple[str, str]] = {
    "broken": ("↓ broken", "fail"),
    "fixed": ("↑ fixed", "pass"),
    "failed": ("! failed", "fail"),
    "disagree": ("≠ disagree", "muted"),
}


def examples_part(view: ReportView, limits: Limits) -> Markup:
    """Return the examples, each folded, broken ones first, and how many were left out."""
    rows = view.examples[: limits.examples]
    left_out = view.examples_left_out + len(view.examples) - len(rows)
    parts = [_summary(view, rows, left_out)]
    for kind in KINDS:
        of_kind = [row for row in rows if row.kind == kind]
        if of_kind:
            parts.append(_group(kind, of_kind, view, limits=limits))
    return join(parts)


def prompts_part(prompts: Sequence[RungPrompt], limits: Limits) -> Markup:
    """Return the exact prompt of every rung, folded, with its size and SHA-256."""
    return join(_prompt(prompt, limits) for prompt in prompts)


def _summary(view: ReportView, rows: Sequence[ExampleRow], left_out: int) -> Markup:
    counts = {kind: sum(row.kind == kind for row in rows) for kind in KINDS}
    words = ", ".join(f"{numbers.count(n)} {kind}" for kind, n in counts.items() if n)
    text = f"Shown: {words or 'none'}. " if rows or left_out else "No example to show. "
    if left_out:
        text += f"{numbers.count(left_out)} more were left out to keep this file small. "
    shown = subject(view.climb)
    if shown is not None and view.compared_with is not None:
        text += f"Broken and fixed compare {shown.rung} with {view.compared_with}."
    return paragraph(text.strip(), kind="note")


def _group(kind: Kind, rows: Sequence[ExampleRow], view: ReportView, *, limits: Limits) -> Markup:
    """Return the examples of one kind, folded where they are many."""
    word, role = _KIND_WORDS[kind]
    head = element(
        "summary",
        {},
        element("span", {"class": f"chip t-{role}"}, word),
        element("span", {"class": "preview"}, numbers.plural(len(rows), "example")),
    )
    inside = [_example(row, view, limits) for row in rows]
    return element(
        "details",
        {"class": "group", "open": len(rows) <= _FEW_ROWS, "data-testid": f"examples-{kind}"},
        head,
        element("div", {"class": "inside"}, *inside),
    )


def _example(row: ExampleRow, view: ReportView, limits: Limits) -> Markup:
    head = element(
        "summary", {}, element("bdi", {}, clip(visible(row.input[:400]), 100) or "(empty)")
    )
    wanted = shorten(answer_text(row.wanted), limits.input)
    inside: list[str] = [
        element("pre", {"dir": "auto"}, Markup("\n"), shorten(row.input, limits.input)),
    ]
    if row.context is not None:
        inside.append(paragraph("Context", kind="note"))
        context = shorten(row.context, limits.input)
        inside.append(element("pre", {"dir": "auto"}, Markup("\n"), context))
    inside.append(
        paragraph(
            f"Example {clip(visible(row.example_id), 80)}. Wanted: ",
            element("bdi", {}, element("strong", {}, wanted)),
        )
    )
    inside.append(_answers(row, limits))
    inside.extend(
        citations_part(answer.rung, answer.citations, most=limits.output) for answer in row.answers
    )
    inside.extend(_word_differences(row, view, limits))
    return element(
        "details",
        {"data-testid": f"example-{row.kind}"},
        head,
        element("div", {"class": "inside"}, *inside),
    )


def _answers(row: ExampleRow, limits: Limits) -> Markup:
    rows = [
        (answer.rung, _mark(answer), _extracted(answer, limits), _raw(answer, limits))
        for answer in row.answers
    ]
    headings = ("rung", "", "extracted answer", "raw output")
    return table(headings, rows, name="example-answers")


def _mark(answer: RungAnswer) -> Markup:
    cause = f" {answer.cause.replace('_', ' ')}" if answer.cause else ""
    if answer.score is None:
        return element("span", {"class": "t-fail"}, f"! no score{cause}")
    if answer.score >= 1:
        return element("span", {"class": "t-pass"}, "✓")
    if answer.score >= RIGHT:
        return element("span", {"class": "t-undecided"}, f"✓ {answer.score:.2f}")
    score = f" {answer.score:.2f}" if answer.score > 0 else ""
    return element("span", {"class": "t-fail"}, f"✗{score}{cause}")


def _extracted(answer: RungAnswer, limits: Limits) -> Markup:
    return element("bdi", {}, shorten(answer_text(answer.value), limits.output))


def _raw(answer: RungAnswer, limits: Limits) -> Markup:
    if answer.raw == answer.value:
        return element("span", {"class": "t-muted"}, "the same")
    shown = shorten(answer.raw, limits.output) if answer.raw else "(empty)"
    return element("bdi", {"class": "raw"}, shown)


def _word_differences(row: ExampleRow, view: ReportView, limits: Limits) -> list[Markup]:
    """Return, for free text, what each compared rung said against what was wanted, word by word."""
    shown = subject(view.climb)
    if not isinstance(view.task.output, TextOutput) or shown is None:
        return []
    parts: list[Markup] = []
    for answer in row.answers:
        if answer.rung not in (view.compared_with, shown.rung) or answer.value is None:
            continue
        wanted = answer_text(row.wanted)[: limits.input]
        pieces = word_difference(wanted, answer_text(answer.value)[: limits.input])
        note = f"wanted → {answer.rung}: "
        parts.append(paragraph(element("span", {"class": "t-muted"}, note), _marked(pieces)))
    return parts


def _marked(pieces: Sequence[Piece]) -> Markup:
    tags = {"removed": "del", "added": "ins"}
    return element(
        "bdi",
        {},
        *(
            piece.text if piece.kind == "same" else element(tags[piece.kind], {}, piece.text)
            for piece in pieces
        ),
    )


def _prompt(prompt: RungPrompt, limits: Limits) -> Markup:
    content = prompt.text.encode("utf-8", errors="surrogatepass")
    note = f" {prompt.note}" if prompt.note else ""
    facts = f"{len(content):,} bytes, {digest_bytes(content)}.{note}"
    head = element("summary", {}, f"{prompt.rung} on example {clip(prompt.example_id, 60)}")
    shown = shorten(prompt.text, limits.prompt)
    body = element("pre", {"data-testid": f"prompt-{prompt.rung}"}, Markup("\n"), _exact(shown))
    return element(
        "details",
        {},
        head,
        element("div", {"class": "inside"}, paragraph(facts, kind="note"), body),
    )


def _exact(text: str) -> Markup:
    """Return text so that a browser gives back every character: a bare CR would become LF."""
    return join(text.split("\r"), Markup("&#13;"))
