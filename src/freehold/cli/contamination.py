"""What `check` and `data show` say about rows that stand both in tests and in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import JsonValue

from freehold.core.errors import DataError, Problem, Where
from freehold.core.sections import Columns
from freehold.data.contamination import (
    Comparison,
    Contamination,
    Match,
    Text,
    contaminated,
    is_certain,
    texts_of,
)
from freehold.data.documents import read_documents
from freehold.data.read import read

if TYPE_CHECKING:
    from pathlib import Path

    from freehold.cli.session import Session
    from freehold.ladder.prepare import Prepared

MOST_ROWS_FOR_SUSPECTS = 50_000
PROBES = "probes of general ability"
_LISTED_PAIRS = 50
_CAUSES = 3


class Overlaps(NamedTuple):
    """Warnings for people, figures for programs, and a line for each comparison."""

    problems: tuple[Problem, ...]
    figures: dict[str, JsonValue]
    lines: tuple[str, ...]


def look(prepared: Prepared, session: Session) -> Overlaps:
    """Compare tests, probes and benchmarks with training rows and documents.

    Texts in other words are looked for up to 50,000 training rows, and by embeddings too where
    `data.split.paraphrase` is set.
    """
    found = contamination_of(prepared, session)
    problems = tuple(
        problem
        for comparison in found.comparisons
        for problem in (_certain(comparison), _suspected(comparison))
        if problem is not None
    )
    return Overlaps(
        problems=problems,
        figures=_figures(found),
        lines=tuple(_line(comparison) for comparison in found.comparisons),
    )


def contamination_of(prepared: Prepared, session: Session) -> Contamination:
    """Return the record of what stands on both sides, for a prepared task.

    Raises:
        DataError: a file of data.benchmarks cannot be read (DAT-051).
    """
    from freehold.cli.workplace import embedding
    from freehold.evaluate.probes import probe_items

    section, task = prepared.task_file.data, prepared.task
    named = (section.benchmarks,) if isinstance(section.benchmarks, str) else section.benchmarks
    probes = tuple(
        Text(PROBES, number, probe.messages[-1].content)
        for number, probe in enumerate(probe_items(task.kept.items, task.kept.seed or 0), 1)
    )
    passages = enumerate(prepared.passages, 1)
    return contaminated(
        prepared.snapshot,
        documents=tuple(Text(one.document_id, number, one.text) for number, one in passages),
        benchmarks={
            PROBES: probes,
            **{name: benchmark_texts(name, root=prepared.root) for name in named},
        },
        embed=embedding(session, task.embedder) if section.split.paraphrase is not None else None,
        suspects=len(prepared.snapshot.train) <= MOST_ROWS_FOR_SUSPECTS,
    )


def benchmark_texts(name: str, *, root: Path) -> tuple[Text, ...]:
    """Return the texts of a benchmark file: the inputs of its examples, or one `text` a line.

    Raises:
        DataError: it can be read as neither (DAT-051).
    """
    try:
        return texts_of(read(name, columns=Columns(), root=root).examples)
    except DataError as error:
        try:
            documents = read_documents(root / name)
        except DataError:
            raise DataError(
                "DAT-051",
                f"the benchmark `{name}` cannot be read",
                where=Where(file=name),
                cause=tuple(problem.message for problem in error.problems),
                help="check data.benchmarks in task.yaml: it names files of examples, or of one"
                ' {"text": ...} a line',
            ) from error
    return tuple(Text(name, number, one.text) for number, one in enumerate(documents, 1))


def _certain(comparison: Comparison) -> Problem | None:
    if not comparison.count:
        return None
    pairs = [match for match in comparison.pairs if is_certain(match.method)]
    verb = "stands" if comparison.count == 1 else "stand"
    return Problem(
        code="DAT-052",
        message=f"{_texts(comparison.count, comparison.held_out)} {verb} in {comparison.seen}",
        level="warning",
        where=Where(file=pairs[0].held_out.source, row=pairs[0].held_out.row or None),
        cause=tuple(_told(match) for match in pairs[:_CAUSES]),
        help="take them out of one side; data.split.near=0.7 keeps rows that are less alike together",
    )


def _suspected(comparison: Comparison) -> Problem | None:
    if not comparison.has_excess:
        return None
    pairs = [match for match in comparison.pairs if not is_certain(match.method)]
    natural = comparison.natural_share
    by_nature = "" if natural is None else f"; by nature {100 * natural:.0f} % would"
    return Problem(
        code="DAT-053",
        message=f"{_texts(comparison.suspects, comparison.held_out)} may stand in {comparison.seen}"
        f" in other words ({100 * comparison.suspect_share:.0f} %{by_nature})",
        level="warning",
        where=Where(file=pairs[0].held_out.source, row=pairs[0].held_out.row or None),
        cause=tuple(_told(match) for match in pairs[:_CAUSES]),
        help="read the pairs: freehold check --json",
    )


def _texts(count: int, name: str) -> str:
    noun = "text" if count == 1 else "texts"
    return f"{count:,} {noun} of {name}"


def _told(match: Match) -> str:
    return (
        f"{match.method} {match.overlap:.2f}: {match.held_out.source}:{match.held_out.row}"
        f" “{match.held_out.text[:60]}” is in {match.seen.source}:{match.seen.row}"
        f" “{match.seen.text[:60]}”"
    )


def _line(comparison: Comparison) -> str:
    suspects = f", {comparison.suspects:,} suspected" if comparison.has_excess else ""
    return (
        f"{comparison.held_out} in {comparison.seen}: {comparison.count:,} of"
        f" {comparison.held_out_texts:,}{suspects}"
    )


def _figures(found: Contamination) -> dict[str, JsonValue]:
    return {
        "count": found.count,
        "limits": found.limits.to_json(),
        "has_embeddings": found.has_embeddings,
        "comparisons": [
            {
                "held_out": one.held_out,
                "seen": one.seen,
                "held_out_texts": one.held_out_texts,
                "seen_texts": one.seen_texts,
                "count": one.count,
                "share": one.share,
                "suspects": one.suspects,
                "natural_share": one.natural_share,
                "pairs": [match.to_json() for match in one.pairs[:_LISTED_PAIRS]],
            }
            for one in found.comparisons
        ],
    }
