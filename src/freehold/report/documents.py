"""What rungs did with documents, as the same words and numbers on every surface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import JsonValue

from freehold.core.measure import Citation, Climb, DocumentFigures, Estimate
from freehold.report import numbers
from freehold.report.markup import Markup, element, shorten
from freehold.report.page import table

MEANINGS: Mapping[str, str] = {
    "recall": "a passage with the needed fact stood in the prompt",
    "ndcg": "how high it stood: 1 at the top, less below",
    "answer_f1": "words shared with the wanted answer, of questions that have one",
    "faithfulness": "share of an answer's claims that a passage supports, by their words",
    "unsupported": "share of all claims that no passage supports",
    "cited": "answers that wrote a citation themselves",
    "citations_right": "written citations that exist and hold their claim",
    "said_unanswerable": "questions without an answer that were answered as such",
    "wrongly_refused": "questions with an answer that were said to have none",
}
_NAMES: Mapping[str, str] = {
    "ndcg": "nDCG",
    "answer_f1": "answer F1",
    "citations_right": "citations right",
    "said_unanswerable": "said unanswerable",
    "wrongly_refused": "wrongly refused",
}


def figures_of(figures: DocumentFigures) -> dict[str, Estimate]:
    """Return the figures that were measured, by field, in the order of `MEANINGS`."""
    found: dict[str, Estimate] = {}
    for name in MEANINGS:
        value = cast("Estimate | None", getattr(figures, name))
        if value is not None:
            found[name] = value
    return found


def figure_name(name: str, figures: DocumentFigures) -> str:
    """Return what a figure is called: `recall@3`, `nDCG@3`, `faithfulness`."""
    shown = _NAMES.get(name, name)
    return f"{shown}@{figures.k}" if name in {"recall", "ndcg"} else shown


def figures_text(figures: DocumentFigures) -> str:
    """Return the main figures on one line: means with their intervals, one after the other."""
    wanted = ("recall", "faithfulness", "unsupported", "said_unanswerable", "wrongly_refused")
    found = figures_of(figures)
    return " · ".join(
        f"{figure_name(name, figures)} {numbers.estimate(found[name])}"
        for name in wanted
        if name in found
    )


def figures_json(figures: DocumentFigures) -> dict[str, JsonValue]:
    """Return the figures as JSON values; a figure without anything to measure is null."""
    found = figures_of(figures)
    shape: dict[str, JsonValue] = {"k": figures.k, "claims": figures.claims}
    for name in MEANINGS:
        value = found.get(name)
        shape[name] = (
            None
            if value is None
            else {"mean": value.mean, "low": value.low, "high": value.high, "n": value.n}
        )
    return shape


def figures_table(climb: Climb) -> Markup:
    """Return a table with a row for each figure of each rung that searched documents."""
    rows: list[tuple[str, str, str, str]] = []
    for result in climb.rungs:
        if result.documents is None:
            continue
        for name, value in figures_of(result.documents).items():
            rows.append(
                (
                    result.rung,
                    figure_name(name, result.documents),
                    numbers.estimate_n(value),
                    MEANINGS[name],
                )
            )
    if not rows:
        return Markup()
    return table(("rung", "figure", "measured", "what it says"), rows, name="documents")


def citation_text(citation: Citation) -> str:
    """Return a citation on one line: `[1] fees.md#2, written: "It takes two days."`."""
    if citation.passage is None:
        return f"[{citation.number}] written, and no such passage was shown"
    how = citation.by
    if citation.by == "written" and not citation.is_supported:
        how = f"written, and only {numbers.percent(citation.share)} of the claim's words are there"
    quote = f': "{citation.quote}"' if citation.quote else ""
    return f"[{citation.number}] {citation.passage}, {how}{quote}"


def citations_part(rung: str, citations: Sequence[Citation], *, most: int) -> Markup:
    """Return the citations of one answer as a paragraph for each."""
    shown = [
        element(
            "p",
            {"class": "note"},
            f"{rung} cites ",
            element("bdi", {}, shorten(citation_text(citation), most)),
        )
        for citation in citations
    ]
    return Markup("".join(shown))
