"""A finished training: in a terminal, and as one JSON object for programs."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from freehold.core.measure import Difference, Estimate, FrontierPoint
from freehold.core.transfer import Points, Transfer, TransferMatrix
from freehold.report import numbers
from freehold.report.frontier import kept_out_words
from freehold.report.heatmap import stage_words, summary_rows
from freehold.report.lines import (
    Line,
    Look,
    Role,
    Span,
    clean,
    elide,
    labelled,
    line,
    look_of,
    render,
    spread,
    wrap,
)
from freehold.report.training_page import compute_words, kept_verdict
from freehold.report.training_view import TrainingView

_ROLES: Mapping[str, Role] = {
    "pass": "pass",
    "fail": "fail",
    "undecided": "undecided",
    "muted": "muted",
}
_LONGEST_NAME = 16
_CELL = 17


def training_summary(
    view: TrainingView, *, width: int = 88, ascii: bool = False, color: bool = False
) -> str:
    """Return a finished training as text: what was reached, kept, chosen, forgotten and spent.

    Args:
        view: of the training.
        width: the columns of the terminal; fewer than 48 count as 48.
        ascii: whether symbols outside ASCII are replaced by their stand-ins.
        color: whether ANSI colours are used, besides the symbols.
    """
    look = look_of(width, ascii=ascii, color=color)
    lines = [*_heading(view, look)]
    role, words = kept_verdict(view)
    for label, text in _facts(view):
        lines.extend(labelled(label, clean(text), look=look))
        if label == "kept":
            parts = wrap(words, look.width - 15)
            lines.extend(line(" " * 15, Span(part, _ROLES[role])) for part in parts)
    if view.matrix is not None and view.transfer is not None and len(view.matrix.stages) > 2:
        lines.extend(_matrix(view.matrix, view.transfer, look))
    return render(lines, look)


def training_json(view: TrainingView, *, report_path: str | None) -> dict[str, JsonValue]:
    """Return a finished training as JSON values. An unknown is null, never 0.

    Args:
        view: of the training.
        report_path: where the page is, relative to the project folder; None without one.
    """
    kept, found, compute = view.kept, view.frontier, view.compute
    return {
        "training": view.training_id,
        "task": view.task,
        "rung": view.rung,
        "after": view.after,
        "state": view.state,
        "stopped": view.stopped,
        "steps": view.step,
        "planned_steps": view.curves.steps,
        "best_step": view.curves.best_step,
        "quality": _estimate(view.quality),
        "quality_before": _estimate(view.quality_before),
        "kept": _estimate(kept.ratio if kept else None),
        "points_lost": _difference(kept.points_lost if kept else None),
        "scale": found.chosen if found else None,
        "frontier": [_point(point) for point in found.points] if found else [],
        "forgotten": view.forgotten_count,
        "recipe": dict(view.recipe),
        "operations": compute.operations if compute else None,
        "operations_by_rule": compute.rule if compute else None,
        "share_of_base_operations": compute.share_of_base if compute else None,
        "seconds": view.seconds,
        "peak_memory_bytes": view.peak_memory_bytes,
        "domains": _domains(view.matrix),
        "transfer": _transfer(view.transfer),
        "adapter": view.folder or None,
        "report": report_path,
    }


def _heading(view: TrainingView, look: Look) -> list[Line]:
    after = f" after {view.after}" if view.after else ""
    took = f" done in {numbers.clock(view.seconds)}" if view.seconds is not None else ""
    left = line(Span(view.training_id, "strong"), f" {clean(view.rung)}{after}{took}")
    if view.stopped is None:
        return [left]
    steps = f"step {numbers.count(view.step)}/{numbers.count(view.curves.steps)}"
    return spread(left, line(f"{steps}: {clean(view.stopped)}"), look.width)


def _facts(view: TrainingView) -> list[tuple[str, str]]:
    quality = f"{numbers.estimate_n(view.quality)} on dev"
    if view.quality_before is not None:
        quality += f", before {numbers.estimate(view.quality_before)}"
    facts = [("quality", quality), ("kept", _kept_words(view))]
    if view.frontier is not None:
        facts.append(("scale", f"s={view.frontier.chosen:g}: {view.frontier.reason}"))
        kept_out = kept_out_words(view.frontier, view.rung)
        facts += [("kept out", kept_out)] if kept_out else []
    if view.forgotten_count:
        facts.append(("forgotten", _forgotten_words(view)))
    if view.compute is not None:
        facts.append(("compute", compute_words(view.compute)))
    if view.peak_memory_bytes is not None:
        facts.append(("memory", f"{numbers.size(view.peak_memory_bytes)} at its peak"))
    return [*facts, *(("note", note) for note in view.notes)]


def _kept_words(view: TrainingView) -> str:
    if view.kept is None or view.kept.ratio.mean is None:
        return numbers.UNKNOWN
    words = numbers.estimate_n(view.kept.ratio)
    worst = view.kept.families[0] if view.kept.families else None
    if worst is None:
        return words
    return f"{words}; worst: {worst.family} {worst.before:.2f} → {worst.after:.2f}"


def _forgotten_words(view: TrainingView) -> str:
    families = [f for f in view.kept.families if f.lost] if view.kept else []
    ordered = sorted(families, key=lambda family: (-family.lost, family.family))
    named = ", ".join(f"{f.family} {f.lost}" for f in ordered[:4])
    return numbers.plural(view.forgotten_count, "probe") + (f": {named}" if named else "")


def _matrix(matrix: TransferMatrix, found: Transfer, look: Look) -> list[Line]:
    """Return R[stage, domain]; domains that have no room are named in a line of their own."""
    names = [elide(clean(stage_words(matrix, s)), _LONGEST_NAME) for s in range(len(matrix.stages))]
    width = max(len(name) for name in [*names, "after"])
    most = max((look.width - 2 - width) // (_CELL + 2), 1)
    shown = matrix.domains[-most:]
    head = "  " + "after".ljust(width)
    head += "".join(f"  {elide(clean(domain), _CELL).ljust(_CELL)}" for domain in shown)
    lines: list[Line] = [line(), line(Span(head, "muted"))]
    for stage, name in enumerate(names):
        cells = [matrix.cell(stage, domain) for domain in shown]
        words = [numbers.estimate(c.quality if c else None).ljust(_CELL) for c in cells]
        lines.append(line("  " + name.ljust(width) + "".join(f"  {w}" for w in words)))
    if len(shown) < len(matrix.domains):
        left_out = ", ".join(clean(domain) for domain in matrix.domains[:-most])
        lines.extend(labelled("not shown", left_out, look=look))
    for name, words, meaning in summary_rows(found):
        lines.extend(labelled(name, f"{words} points, {meaning}", look=look, column=22))
    return lines


def _estimate(value: Estimate | None) -> JsonValue:
    if value is None:
        return None
    return {
        "mean": value.mean,
        "low": value.low,
        "high": value.high,
        "n": value.n,
        "failed": value.failed,
    }


def _difference(value: Difference | None) -> JsonValue:
    return None if value is None else {"mean": value.mean, "low": value.low, "high": value.high}


def _point(point: FrontierPoint) -> JsonValue:
    return {
        "scale": point.scale,
        "quality": _estimate(point.quality),
        "points_lost": _difference(point.points_lost),
        "worst_family": point.worst_family,
        "worst_points": _difference(point.worst_points),
        "within_limits": point.is_feasible,
    }


def _points(value: Points | None) -> JsonValue:
    return None if value is None else value.to_json()


def _domains(matrix: TransferMatrix | None) -> list[JsonValue]:
    if matrix is None:
        return []
    return [
        {
            "stage": matrix.stages[cell.stage],
            "domain": cell.column,
            "quality": _estimate(cell.quality),
        }
        for cell in matrix.cells
    ]


def _transfer(found: Transfer | None) -> JsonValue:
    if found is None:
        return None
    return {
        "overall": _points(found.overall),
        "backward": _points(found.backward),
        "forward": _points(found.forward),
        "forgetting": _points(found.forgetting),
        "general": [_points(value) for value in found.general],
    }
