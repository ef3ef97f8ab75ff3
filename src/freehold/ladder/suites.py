"""The suites of kept ability that a task names, opened: what they ask, what a model scores on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from freehold.core.measure import KeptFamily, RungResult
from freehold.core.record import digest_json
from freehold.core.sections import KeptSection
from freehold.evaluate.probes import ProbeResult
from freehold.evaluate.suites import Suite, measure_suite, read_suite, suite_digest
from freehold.evaluate.suites_lm_eval import PREFIX, LmEvalSuite
from freehold.models.door import Model


@dataclass(frozen=True)
class NamedSuite:
    """One suite by the name that the task gives it, with the most items that are asked."""

    name: str
    items: int
    suite: Suite | LmEvalSuite

    @property
    def digest(self) -> str:
        """What decides the items and their scores."""
        return suite_digest(self.suite) if isinstance(self.suite, Suite) else self.suite.digest

    def texts(self) -> tuple[str, ...]:
        """Return what the items ask: none of it may be trained on."""
        return self.suite.texts if isinstance(self.suite, Suite) else self.suite.texts()

    def measure(self, model: Model) -> tuple[ProbeResult, ...]:
        """Return the score of `model` on each item."""
        if isinstance(self.suite, Suite):
            return measure_suite(model, self.suite)
        return self.suite.measure(model)


def open_suites(section: KeptSection, *, root: Path) -> tuple[NamedSuite, ...]:
    """Return the suites of a task, whose files are named relative to `root`.

    Raises:
        DataError: a file cannot be read or scored (KPT-001 to KPT-003).
    """
    return tuple(_open(name, section.suite_items, root) for name in section.suites)


def suites_digest(suites: Sequence[NamedSuite]) -> str | None:
    """Return one digest over all suites, None without any."""
    return digest_json("suites", [suite.digest for suite in suites]) if suites else None


def suite_notes(rungs: Sequence[RungResult], suites: Sequence[NamedSuite]) -> tuple[str, ...]:
    """Return what a reader must know: each suite before and after every trained rung, and rows left out."""
    notes = [
        f"{rung.rung}, suites, worst first: {'; '.join(_words(one) for one in rung.kept.suites)}"
        for rung in rungs
        if rung.kept is not None and rung.kept.suites
    ]
    for suite in suites:
        left_out = suite.suite.left_out if isinstance(suite.suite, Suite) else ()
        if left_out:
            reasons = "; ".join(f"{count} x {reason}" for reason, count in left_out)
            notes.append(f"suite {suite.name}: rows left out: {reasons}")
    return tuple(notes)


def _words(found: KeptFamily) -> str:
    words = f"{found.family} {found.before:.3f} before, {found.after:.3f} after"
    lost = found.points_lost
    if lost is None:
        return words
    bounds = f"{100 * lost.low:.1f} to {100 * lost.high:.1f}"
    return f"{words} (points lost {100 * lost.mean:.1f}, {bounds}; n {found.n})"


def _open(name: str, items: int, root: Path) -> NamedSuite:
    if name.startswith(PREFIX):
        task = name.removeprefix(PREFIX)
        return NamedSuite(name, items, LmEvalSuite(name=name, task=task, items=items, root=root))
    suite = read_suite(root / name, name=Path(name).stem, items=items)
    return NamedSuite(name, len(suite.items), suite)
