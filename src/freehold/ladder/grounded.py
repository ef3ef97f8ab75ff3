"""What a rung that searches documents did with them: its figures, and the causes that they explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from freehold.core.measure import DocumentFigures, Run
from freehold.core.snapshot import Example
from freehold.core.task import Task
from freehold.evaluate.documents import explained, figures
from freehold.ladder.answerer import Answerer
from freehold.ladder.retrieve import searches


def grounded(
    run: Run,
    examples: Sequence[Example],
    answerer: Answerer,
    *,
    task: Task,
    rng: np.random.Generator,
) -> tuple[Run, DocumentFigures | None]:
    """Return a run with the causes `unsupported` and `unread`, and the figures of its documents.

    A rung that searches no documents gives back the run as it is, and None.
    """
    found = searches(answerer)
    if found is None:
        return run, None
    library = replace(found, document_column=task.document_column)
    shown = max((len(r.answer.passages) for r in run.results if r.answer is not None), default=0)
    told = explained(run, examples, library)
    return told, figures(told, examples, library, k=shown, confidence=task.bar.confidence, rng=rng)
