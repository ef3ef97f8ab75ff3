"""The look at a judge: how far it agrees with people, how it treats what comes first, and what it costs."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from freehold.cli.seen import Seen
from freehold.cli.workplace import has_state, open_models, open_store
from freehold.report.judge import judge_facts

if TYPE_CHECKING:
    from freehold.cli.session import Session
    from freehold.core.judging import JudgeFigures
    from freehold.ladder.prepare import Prepared


def judge(prepared: Prepared, session: Session) -> Seen:
    """What is known of the judge. It is asked only with `--ask-judge`: that takes time, and may cost money."""
    spec = prepared.task.judge
    if spec is None or prepared.task.metric.primary != "judge":
        return Seen()
    is_asked = session.invocation.has("ask-judge")
    found = _measured(prepared, session) if is_asked else _known(prepared, session)
    if found is None:
        from freehold.ladder.judging import named

        line = f"{named(spec)}, not measured yet; freehold check --ask-judge asks it about what people scored"
        return Seen(figures={"name": named(spec), "measured": None}, lines=(line,))
    (_, first), *others = judge_facts(found)
    lines = (first, *(f"{label} {text}".strip() for label, text in others))
    return Seen(figures={"name": found.name, "measured": found.to_json()}, lines=lines)


def _known(prepared: Prepared, session: Session) -> JudgeFigures | None:
    from freehold.ladder.judging import kept_figures

    if not has_state(session):
        return None
    with open_store(session) as store:
        return kept_figures(store, prepared.task)


def _measured(prepared: Prepared, session: Session) -> JudgeFigures | None:
    from freehold.ladder.judging import keep_figures, open_judge

    with ExitStack() as stack:
        store = stack.enter_context(open_store(session))
        models = stack.enter_context(open_models(session))
        opened = open_judge(
            prepared.task,
            root=prepared.root,
            store=store,
            models=models,
            snapshot=prepared.snapshot,
        )
        if opened is None:
            return None
        figures = opened.figures()
        keep_figures(store, prepared.task, figures)
        return figures
