"""What each rung will need, on this machine or on a named one.

On this machine rungs that need no training are built in memory and answer `SAMPLE` development
examples; the seconds are scaled to the splits: no table could know how long a task's prompts are. What
is trained is planned from the base's config and the measured speed of reading. For a named machine
nothing is measured and no weight is read: the table of `train.machines` has its speed.
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
from freehold.core.errors import FreeholdError
from freehold.core.sections import (
    RUNG_NAMES,
    BaseModelSpec,
    DistilSpec,
    LadderSection,
    PreferSpec,
    RungName,
    TuneSpec,
)
from freehold.core.snapshot import Example
from freehold.report import numbers
from freehold.report.intake import PlanRow
from freehold.store.store import Store

if TYPE_CHECKING:
    from freehold.ladder.events import Progress
    from freehold.ladder.prepare import Prepared
    from freehold.ladder.rung import OnAnswer, Rung
    from freehold.ladder.tools import Models, Tools
    from freehold.models.loading import Outline
    from freehold.train.machines import Machine
    from freehold.train.plan import RowSizes

SAMPLE = 4
EMBEDDED = 64
GIB = 1024**3
SECONDS_PER_HOUR = 3600.0
CHARACTERS_PER_TOKEN = 4
"""Of documents, whose tokens are not counted for a plan."""
TRAINED: tuple[RungName, ...] = ("lora", "lora+retrieve", "prefer", "distil", "full")

OpenOutline = Callable[[BaseModelSpec], "Outline"]


@dataclass(frozen=True)
class _Needs:
    """What one rung will need. `note` says under which condition."""

    seconds: float
    memory_gib: float | None
    watt_hours: float | None = None
    note: str = ""


@dataclass(frozen=True)
class _Ground:
    """What trained rungs are planned on: the base, its rows in tokens, and the machine.

    `prompt_tokens` and `answer_tokens` are means of one example, `longest` counts both.
    """

    outline: Outline
    open_outline: OpenOutline
    machine: Machine
    parameters: int
    prompt_tokens: float
    answer_tokens: float
    longest: int

    @property
    def row_tokens(self) -> float:
        """Prompt and answer of one example."""
        return self.prompt_tokens + self.answer_tokens

    def reading_seconds(self, tokens: float) -> float:
        """Return how long a forward pass over `tokens` takes."""
        speed = self.machine.flops_per_second * self.machine.utilisation
        return 2.0 * self.parameters * tokens / speed


def plan_rows(
    prepared: Prepared, *, models: Models, open_outline: OpenOutline, machine: str | None = None
) -> tuple[PlanRow, ...]:
    """Return the plan of every rung; the project is not touched.

    Args:
        prepared: the task and its data.
        models: opens the base; it is not asked to for a named machine.
        open_outline: from a model's name to its config and its tokenizer.
        machine: a name of `MACHINES`; None or `this`: the machine that this runs on.

    Raises:
        ModelError: the base model cannot be opened.
    """
    if machine is not None and machine != "this":
        return _named_rows(prepared, machine, open_outline)
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
        return _rows_here(prepared, tools, open_outline)


def _scratch(folder: str) -> Store:
    return Store.open(Path(folder), clock=lambda: datetime.now(UTC))


def _rows_here(prepared: Prepared, tools: Tools, open_outline: OpenOutline) -> tuple[PlanRow, ...]:
    from freehold.ladder.rungs import RUNGS

    grounds: list[_Ground] = []

    def ground() -> _Ground:
        if not grounds:
            grounds.append(_ground_here(tools, prepared, open_outline))
        return grounds[0]

    def needs(name: RungName) -> _Needs:
        return (
            _training_needs(name, prepared, ground())
            if name in TRAINED
            else _needs(RUNGS[name], tools, prepared)
        )

    def missing(name: RungName) -> str | None:
        return RUNGS[name].missing(tools) if name in RUNGS else None

    return tuple(_row(name, prepared, needs, missing=missing) for name in _shown(prepared))


def _named_rows(prepared: Prepared, machine: str, open_outline: OpenOutline) -> tuple[PlanRow, ...]:
    from freehold.train.machines import MACHINES

    ground = _ground_named(prepared, MACHINES[machine], open_outline)

    def needs(name: RungName) -> _Needs:
        return (
            _training_needs(name, prepared, ground)
            if name in TRAINED
            else _answering_needs(name, prepared, ground)
        )

    return tuple(_row(name, prepared, needs, missing=lambda _: None) for name in _shown(prepared))


def _shown(prepared: Prepared) -> tuple[RungName, ...]:
    """Return the rungs of the ladder, and those that are trained and could be added to it."""
    names = prepared.task.ladder.rungs
    return tuple(name for name in RUNG_NAMES if name in names or name in TRAINED)


def _row(
    name: RungName,
    prepared: Prepared,
    needs: Callable[[RungName], _Needs],
    *,
    missing: Callable[[RungName], str | None],
) -> PlanRow:
    reason = missing(name)
    if reason and name in prepared.task.ladder.rungs:
        return PlanRow(rung=name, state="skipped", note=reason)
    try:
        found = needs(name)
    except FreeholdError as error:
        return PlanRow(rung=name, state="skipped", note=error.problems[0].message)
    if name not in prepared.task.ladder.rungs:
        return PlanRow(rung=name, state="skipped", note=_left_out(found))
    dollars = found.seconds / SECONDS_PER_HOUR * prepared.task.prices.dollars_per_machine_hour
    return PlanRow(
        rung=name,
        seconds=found.seconds,
        dollars=dollars,
        memory_gib=found.memory_gib,
        watt_hours=found.watt_hours,
        note=found.note,
    )


def _left_out(found: _Needs) -> str:
    memory = f", {found.memory_gib:.1f} GiB" if found.memory_gib is not None else ""
    note = f"; {found.note}" if found.note else ""
    return f"not in ladder.rungs; {numbers.rough(found.seconds)}{memory}{note}"


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
    variants = rung.variants(tools)
    longest = variants[-1]
    built = rung.build(longest, tools, lambda _: {})
    answerer = rung.load({**longest.spec, **built.spec}, built.files, tools)
    each = _seconds_each(answerer.answer, _sample(prepared))
    asked = _tested(prepared) + len(snapshot.dev) * (len(variants) if len(variants) > 1 else 0)
    asked += _search_calls(rung.name, prepared)
    return _Needs(each * asked, _resident_gib())


def _tested(prepared: Prepared) -> int:
    """Return how often a rung is asked to be judged: the test, and some of it again in other words."""
    from freehold.ladder.stability import WORDINGS

    test = len(prepared.snapshot.test)
    return test + WORDINGS * min(prepared.task.diagnose.unstable, test)


def _search_calls(name: RungName, prepared: Prepared) -> int:
    """Return how many calls a search for a prompt may take in this rung."""
    ladder = prepared.task.ladder
    spec = {"few_shot": ladder.few_shot.search, "structured": ladder.structured.search}.get(name)
    return spec.calls if spec is not None else 0


def _answering_needs(name: RungName, prepared: Prepared, ground: _Ground) -> _Needs:
    """Return what asking needs on a machine that is not here: reading the prompts, at its speed."""
    from freehold.train.plan import weight_bytes

    if name == "baseline":
        return _Needs(0.0, None, note="not planned without measuring")
    ladder, snapshot = prepared.task.ladder, prepared.snapshot
    shots = {
        "few_shot": ladder.few_shot.k,
        "structured": ladder.structured.k,
        "retrieve": ladder.retrieve.k,
    }.get(name, (0,))
    most = ground.outline.context_tokens
    tokens = sum(
        count * min(ground.row_tokens * (1 + k), most)
        for k, count in zip(shots, [len(snapshot.dev)] * len(shots), strict=True)
    )
    tokens += _tested(prepared) * min(ground.row_tokens * (1 + shots[-1]), most)
    seconds = ground.reading_seconds(tokens)
    memory = weight_bytes(ground.parameters, ground.machine) / GIB
    return _Needs(seconds, memory, _watt_hours(seconds, ground.machine))


def _training_needs(name: RungName, prepared: Prepared, ground: _Ground) -> _Needs:
    """Return what a trained rung needs, from its spec and the base's config."""
    from freehold.train.plan import nearest_fit, plan_training

    spec = spec_of(prepared.task.ladder, name)
    outline, note = _trained_outline(spec, ground), _condition(spec)
    sizes = _sizes(name, prepared, ground)
    plan = plan_training(outline.config, spec, sizes, machine=ground.machine)
    questions = _tested(prepared) + len(prepared.snapshot.dev)
    asking = ground.reading_seconds(questions * ground.row_tokens)
    if plan.memory_bytes > ground.machine.usable_bytes:
        fit = nearest_fit(outline.config, spec, sizes, machine=ground.machine)
        note = (
            f"does not fit {ground.machine.usable_bytes / GIB:.0f} GiB"
            if fit is None
            else f"over {ground.machine.usable_bytes / GIB:.0f} GiB; fits: {fit.words}"
        )
    return _Needs(
        plan.seconds + asking,
        plan.memory_bytes / GIB,
        plan.watt_hours + _watt_hours(asking, ground.machine),
        note,
    )


def spec_of(ladder: LadderSection, name: RungName) -> TuneSpec:
    """Return the settings of a trained rung."""
    match name:
        case "prefer":
            return ladder.prefer
        case "distil":
            return ladder.distil
        case "full":
            return ladder.full
        case _:
            return ladder.lora


def _condition(spec: TuneSpec) -> str:
    match spec:
        case PreferSpec():
            return f"if lora's errors on train give {spec.pairs} pairs"
        case DistilSpec():
            student = spec.student or "the base itself"
            return f"student {student} · teacher: {spec.teacher or 'best rung so far'}"
        case _:
            return ""


def _trained_outline(spec: TuneSpec, ground: _Ground) -> Outline:
    if isinstance(spec, DistilSpec) and spec.student is not None:
        return ground.open_outline(BaseModelSpec(id=spec.student))
    return ground.outline


def _sizes(name: RungName, prepared: Prepared, ground: _Ground) -> RowSizes:
    """Return the rows that a rung trains on, in tokens."""
    from freehold.train.plan import RowSizes

    ladder, most = prepared.task.ladder, ground.outline.context_tokens
    rows, copies = len(prepared.snapshot.train), 1
    if name == "prefer":
        rows, copies = min(rows, ladder.prefer.pairs), 2
    if name == "lora+retrieve":
        copies = 1 + ladder.retrieve.k[-1]
    limit = 2 * most if name == "prefer" else most  # a pair is two rows, each as long as it may be
    read = sum(len(passage.text) for passage in prepared.passages) if name == "full" else 0
    documents = round(ladder.full.document_epochs * read / CHARACTERS_PER_TOKEN)
    answers = 2 if name == "prefer" else 1
    return RowSizes(
        rows=max(rows, 1),
        tokens=max(round(rows * min(copies * ground.row_tokens, limit)), 1) + documents,
        answer_tokens=max(round(rows * answers * ground.answer_tokens), 1) + documents,
        longest=min(copies * ground.longest, limit),
    )


def _ground_here(tools: Tools, prepared: Prepared, open_outline: OpenOutline) -> _Ground:
    """Return the ground of this machine: the base is open, and was timed while it read."""
    from freehold.ladder.tuning import local_model
    from freehold.models.loading import Outline
    from freehold.train.memory import operations_per_second, this_machine
    from freehold.train.tune import precision_for

    base = local_model(tools.base())
    module = base.loaded.network.module
    outline = Outline(
        config=module.config, chat=base.loaded.chat, context_tokens=base.context_tokens
    )
    machine = this_machine(
        module,
        flops_per_second=operations_per_second(module, clock=monotonic),
        precision=precision_for(module),
    )
    return _ground(outline, prepared, machine, open_outline=open_outline)


def _ground_named(prepared: Prepared, machine: Machine, open_outline: OpenOutline) -> _Ground:
    outline = open_outline(prepared.task.base)
    return _ground(outline, prepared, machine, open_outline=open_outline)


def _ground(
    outline: Outline, prepared: Prepared, machine: Machine, *, open_outline: OpenOutline
) -> _Ground:
    from freehold.ladder.prompts import answer_text
    from freehold.train.plan import parameters_of

    sample = _sample(prepared)
    prompts = [len(outline.chat.prompt_ids(turns)) for turns in _prompts(prepared, sample)]
    texts = [answer_text(example.target) for example in sample]
    answers = [len(outline.chat.answer_ids(text)) + 1 for text in texts]
    together = [sum(pair) for pair in zip(prompts, answers, strict=True)]
    return _Ground(
        outline=outline,
        open_outline=open_outline,
        machine=machine,
        parameters=parameters_of(outline.config),
        prompt_tokens=sum(prompts) / len(prompts),
        answer_tokens=sum(answers) / len(answers),
        longest=max(together),
    )


def _sample(prepared: Prepared) -> Sequence[Example]:
    snapshot = prepared.snapshot
    return snapshot.dev.examples[:SAMPLE] or snapshot.train.examples[:SAMPLE]


def _prompts(prepared: Prepared, sample: Sequence[Example]):
    from freehold.ladder.prompts import conversation, system_text

    system = system_text(prepared.task, list_labels=False)
    return [conversation(system, example) for example in sample]


def _watt_hours(seconds: float, machine: Machine) -> float:
    return seconds / SECONDS_PER_HOUR * machine.watts


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
