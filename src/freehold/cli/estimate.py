"""What each rung will need, from asking the real model a few of the task's own examples.

No table of machines: the shortest and longest prompts differ too much between tasks for that. Rungs
that need no training are built in memory and answer `SAMPLE` development examples; the seconds are
scaled to the splits. Training is estimated from the same speed of reading.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from freehold.cli.workplace import monotonic
from freehold.core.errors import FreeholdError, ModelError
from freehold.core.snapshot import Example
from freehold.report.intake import PlanRow
from freehold.store.store import Store

if TYPE_CHECKING:
    from freehold.ladder.events import Progress
    from freehold.ladder.prepare import Prepared
    from freehold.ladder.rung import OnAnswer, Rung
    from freehold.ladder.tools import Models, Tools

SAMPLE = 4
EMBEDDED = 64
GIB = 1024**3
SECONDS_PER_HOUR = 3600.0
#: Tokens of an answer, where the memory of the loss is estimated.
ANSWER_TOKENS = 8


@dataclass(frozen=True)
class _Needs:
    seconds: float
    memory_gib: float | None


def plan_rows(prepared: Prepared, *, models: Models) -> tuple[PlanRow, ...]:
    """Return the plan of every rung, measured in a throw-away store: the project is not touched.

    Raises:
        ModelError: the base model cannot be opened.
    """
    from freehold.ladder.rungs import RUNGS
    from freehold.ladder.tools import Tools

    with tempfile.TemporaryDirectory(prefix="freehold-plan-") as folder, _scratch(folder) as store:
        tools = Tools(
            task=prepared.task,
            train=prepared.snapshot.train,
            passages=prepared.passages,
            store=store,
            models=models,
            clock=monotonic,
            on_progress=_ignore,
        )
        names = prepared.task.ladder.rungs
        return tuple(_row(RUNGS[name], tools, prepared) for name in names)


def _scratch(folder: str) -> Store:
    return Store.open(Path(folder), clock=lambda: datetime.now(UTC))


def _row(rung: Rung, tools: Tools, prepared: Prepared) -> PlanRow:
    missing = rung.missing(tools)
    if missing:
        return PlanRow(rung=rung.name, state="skipped", note=missing)
    try:
        needs = _needs(rung, tools, prepared)
    except FreeholdError as error:
        return PlanRow(rung=rung.name, state="skipped", note=error.problems[0].message)
    dollars = needs.seconds / SECONDS_PER_HOUR * prepared.task.prices.dollars_per_machine_hour
    return PlanRow(
        rung=rung.name, seconds=needs.seconds, dollars=dollars, memory_gib=needs.memory_gib
    )


def _needs(rung: Rung, tools: Tools, prepared: Prepared) -> _Needs:
    snapshot = prepared.snapshot
    if rung.name == "baseline":
        texts = [example.input for example in snapshot.train.examples[:EMBEDDED]]
        tools.embed(texts[:1])  # loading the embedder is not paid for by every text
        started = monotonic()
        tools.embed(texts)
        each = (monotonic() - started) / max(len(texts), 1)
        questions = len(snapshot.train) + len(snapshot.dev) + len(snapshot.test)
        return _Needs(each * questions, None)
    sample = snapshot.dev.examples[:SAMPLE] or snapshot.train.examples[:SAMPLE]
    if rung.changes_weights:
        return _training_needs(tools, prepared, sample)
    variants = rung.variants(tools)
    longest = variants[-1]
    built = rung.build(longest, tools, lambda _: 0.0)
    answerer = rung.load({**longest.spec, **built.spec}, built.files, tools)
    each = _seconds_each(answerer.answer, sample)
    asked = len(snapshot.test) + len(snapshot.dev) * (len(variants) if len(variants) > 1 else 0)
    return _Needs(each * asked, _resident_gib())


def _training_needs(tools: Tools, prepared: Prepared, sample: Sequence[Example]) -> _Needs:
    """Return what training an adapter needs, from the config and the measured speed of reading."""
    from freehold.ladder.prompts import answer_text, conversation, system_text
    from freehold.models.local import LocalModel
    from freehold.train.plan import RowSizes, plan_lora

    base = tools.base()
    if not isinstance(base, LocalModel):
        raise ModelError("MDL-020", f"{base.name} has no weights in this process")
    system = system_text(tools.task, list_labels=False)
    prompts = [conversation(system, example) for example in sample]
    answers = [answer_text(example.target) for example in sample]
    lengths = [base.count_tokens(prompt) for prompt in prompts]
    base.answer_logprobs(prompts[:1], answers[:1])
    started = monotonic()
    base.answer_logprobs(prompts, answers)
    reading = max(monotonic() - started, 1e-6)
    module = base.loaded.network.module
    parameters = sum(parameter.numel() for parameter in module.parameters())
    rows = len(prepared.snapshot.train)
    mean = sum(lengths) / len(lengths)
    plan = plan_lora(
        module.config,
        prepared.task.ladder.lora,
        RowSizes(
            rows=rows,
            tokens=round(rows * mean),
            answer_tokens=max(1, rows * ANSWER_TOKENS),
            longest=max(lengths),
        ),
        flops_per_second=2.0 * parameters * sum(lengths) / reading,
    )
    asked = len(prepared.snapshot.test) + len(prepared.snapshot.dev)
    answering = asked * reading / len(sample)
    return _Needs((plan.seconds or 0.0) + answering, plan.memory_bytes / GIB)


def _seconds_each(
    answer: Callable[[Sequence[Example], OnAnswer], None], sample: Sequence[Example]
) -> float:
    answer(sample[:1], lambda _index, _answer: None)
    started = monotonic()
    answer(sample, lambda _index, _answer: None)
    return (monotonic() - started) / max(len(sample), 1)


def _resident_gib() -> float:
    return psutil.Process().memory_info().rss / GIB


def _ignore(step: Progress) -> None:
    del step
