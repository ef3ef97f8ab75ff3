"""`freehold data synth`: a teacher writes rows, and what passes every filter goes to a new file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from freehold.cli import paths
from freehold.cli.new_rows import (
    ROWS_SHOWN,
    Target,
    command_with,
    setting_line,
    target_of,
    training_rows_beside,
    write_rows,
)
from freehold.cli.session import Session
from freehold.cli.workplace import monotonic, open_models, open_store, prepare_task
from freehold.core.errors import DataError, Problem, UsageError
from freehold.core.measure import Answer, Climb
from freehold.core.outcome import Failed, Scored
from freehold.core.sections import BaseModelSpec, SynthMethod
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, Output
from freehold.report import numbers
from freehold.report.lines import Line, clean, elide, labelled, line, render
from freehold.report.problems import warning_lines
from freehold.store.blobs import write_durably

if TYPE_CHECKING:
    from freehold.data.synthesis.agreement import Score
    from freehold.data.synthesis.filters import Bench, Judge
    from freehold.data.synthesis.material import Material
    from freehold.data.synthesis.synthesize import Step, Synthesis, SynthPlan
    from freehold.data.synthesis.teacher import Asked, Teacher
    from freehold.data.synthesis.terms import Terms
    from freehold.ladder.climb import ClimbOutcome
    from freehold.ladder.prepare import Prepared
    from freehold.ladder.tools import Models
    from freehold.store.store import Store

OUT = "data/synthetic.jsonl"
COUNT = 100
CALLS_PER_ROW = 10
WEAK = 0.2
"""Below this share of rows that pass, the verb says that the teacher is weak."""
PROGRESS_SHARE = 0.1
PROGRESS_SECONDS = 30.0
_COLUMN = 11


@dataclass(frozen=True)
class Work:
    """Everything that was decided before a call was paid for."""

    prepared: Prepared
    target: Target
    material: Material
    plan: SynthPlan
    spec: BaseModelSpec
    terms: Terms
    judge: str
    climb: ClimbOutcome | None


def run(session: Session) -> int:
    """Plan, ask, filter, write, and say what came of it."""
    from freehold.data.synthesis.teacher import Asked, Memory, work_name

    prepared = prepare_task(session, session.task(None), strict=session.invocation.has("strict"))
    with open_store(session) as store, open_models(session) as models:
        work = _work(session, prepared, store=store)
        if session.invocation.has("dry-run"):
            _show_plan(session, work)
            return 0
        teacher: Teacher = models.base(work.spec)
        name = work_name(teacher)
        memory = Memory(
            found=store.ledger.results(name),
            keep=lambda key, body: store.ledger.keep_result(name, key, body),
        )
        asked = Asked(teacher, work.plan.most_calls, memory)
        made = _synthesize(session, work, asked=asked, store=store, models=models)
    _keep_rejected(session, made, teacher=teacher.name)
    if not made.accepted:
        raise _nothing_passed(session, made, teacher=teacher.name)
    write_rows(session, work.target, made.accepted)
    if session.console.is_json:
        shape = synth_json(session, work, made, teacher=teacher)
        session.console.data(json.dumps(shape, ensure_ascii=False, allow_nan=False))
    else:
        _show(session, work, made, teacher=teacher)
    return 0


# Before anything is spent --------------------------------------------------------------------


def _work(session: Session, prepared: Prepared, *, store: Store) -> Work:
    from freehold.data.synthesis.material import Material, usable_seeds
    from freehold.data.synthesis.synthesize import SynthPlan

    wish = prepared.task_file.data.synth
    judge = session.invocation.text("judge") or "teacher"
    climb = _last_climb(store, is_needed=judge == "best")
    target = target_of(session, OUT)
    material = Material(
        instruction=prepared.task.instruction,
        output=prepared.task.output,
        seeds=usable_seeds(prepared.snapshot.train.examples),
        passages=prepared.passages,
        pairs=_confused(climb),
    )
    spec = _teacher_spec(session, prepared)
    terms = _terms(session, spec, given=wish.licence)
    count = session.invocation.number("count") or COUNT
    plan = SynthPlan(
        methods=_methods(session, material, chosen=wish.methods),
        count=count,
        most_calls=session.invocation.number("most-calls") or CALLS_PER_ROW * count,
        answers=wish.answers if judge == "teacher" else 0,
        seed=wish.seed,
        licence=terms.licence,
    )
    if plan.most_calls <= plan.answers:
        raise UsageError(
            "USE-006",
            f"{numbers.plural(plan.most_calls, 'call')} cannot write and judge one row",
            help=f"--most-calls {CALLS_PER_ROW * count}, or --judge none",
        )
    return Work(prepared, target, material, plan, spec=spec, terms=terms, judge=judge, climb=climb)


def _teacher_spec(session: Session, prepared: Prepared) -> BaseModelSpec:
    named = session.invocation.text("teacher") or prepared.task_file.data.synth.teacher
    return prepared.task.base if named is None else BaseModelSpec(id=named)


def _terms(session: Session, spec: BaseModelSpec, *, given: str | None) -> Terms:
    """Read the terms of the teacher.

    Raises:
        ModelError: there is no such model.
    """
    from freehold.data.synthesis.terms import terms_of
    from freehold.models.sources import find_model

    files = find_model(spec, cache=paths.cache_folder(), online=session.is_online)
    return terms_of(files.folder, given=given)


def _methods(
    session: Session, material: Material, *, chosen: tuple[SynthMethod, ...] | None
) -> tuple[SynthMethod, ...]:
    """Return the methods that were asked for, else all that the data allows.

    Raises:
        UsageError: DAT-094 where one that was asked for, or each, lacks something.
    """
    from freehold.data.synthesis.methods import METHODS
    from freehold.data.synthesis.synthesize import usable_methods

    named = cast("tuple[SynthMethod, ...]", session.invocation.texts("method")) or chosen
    wanted = tuple(dict.fromkeys(named)) if named else usable_methods(material)
    for name in wanted or ("self_instruct",):
        missing = METHODS[name].missing(material)
        if missing is not None:
            raise UsageError(
                "DAT-094",
                f"the method `{name}` cannot be used: {missing}",
                help="freehold data synth    uses the methods that the data allows",
            )
    return wanted


def _last_climb(store: Store, *, is_needed: bool) -> ClimbOutcome | None:
    """Return the last climb, None where none is finished.

    Raises:
        UsageError: it is needed, and there is none.
    """
    from freehold.ladder.recall import finished_climb

    try:
        return finished_climb(store, "@last")
    except UsageError:
        if is_needed:
            raise
        return None


def _best_rung(climb: Climb) -> str | None:
    means = {
        result.rung: result.quality.mean
        for result in climb.rungs
        if result.candidate_digest and result.quality and result.quality.mean is not None
    }
    return max(means, key=lambda rung: means[rung], default=None)


def _confused(outcome: ClimbOutcome | None) -> tuple[tuple[str, str], ...]:
    """Return the pairs (wanted, said) that the best rung of a climb confuses: names, and no rows."""
    best = None if outcome is None else _best_rung(outcome.climb)
    if outcome is None or best is None:
        return ()
    return tuple((wanted, said) for wanted, said, _ in outcome.climb.rung(best).confusions)


# The work ------------------------------------------------------------------------------------


def _synthesize(
    session: Session, work: Work, *, asked: Asked, store: Store, models: Models
) -> Synthesis:
    from freehold.data.synthesis.filters import Bench
    from freehold.data.synthesis.synthesize import synthesize

    snapshot = work.prepared.snapshot
    held_out = (*snapshot.dev.examples, *snapshot.test.examples, *snapshot.audit.examples)
    embedder = work.prepared.task.embedder
    bench = Bench(
        material=work.material,
        real=training_rows_beside(work.prepared, work.target),
        held_out=held_out,
        valid=_validity(work.prepared.task.output),
        embed=lambda texts: models.embedder(embedder).encode(texts),
        agree=work.prepared.task_file.data.synth.agree,
    )
    _seat_judge(bench, work, asked=asked, store=store, models=models)
    progress = _Progress(session)
    return synthesize(work.plan, work.material, bench, asked=asked, on_step=progress.tell)


def _validity(output: Output) -> _Valid:
    if isinstance(output, LabelOutput):
        return _Valid(labels=frozenset(output.labels))
    return _Valid(schema=output if isinstance(output, JsonOutput) else None)


class _Valid:
    """Whether an answer is one that the task allows."""

    def __init__(
        self, *, labels: frozenset[str] | None = None, schema: JsonOutput | None = None
    ) -> None:
        from freehold.evaluate.schema import schema_check

        self._labels = labels
        self._fits = None if schema is None else schema_check(schema)

    def __call__(self, target: JsonValue) -> bool:
        if self._labels is not None:
            return target in self._labels
        if self._fits is not None:
            return self._fits(target)
        return isinstance(target, str) and bool(target.strip())


def _seat_judge(bench: Bench, work: Work, *, asked: Asked, store: Store, models: Models) -> None:
    from freehold.data.synthesis.agreement import teacher_judge
    from freehold.data.synthesis.teacher import answer_tokens

    score = _score(work)
    if work.judge == "teacher":
        bench.judge = teacher_judge(
            asked,
            work.material,
            answers=work.plan.answers,
            score=score,
            max_tokens=answer_tokens(asked.teacher, work.material),
        )
    elif work.judge == "best" and work.climb is not None:
        bench.judge = _best_judge(work.climb, score=score, store=store, models=models)


def _score(work: Work) -> Score:
    from freehold.evaluate.extract import extract
    from freehold.evaluate.scorers import scorer

    task = work.prepared.task
    judge = scorer(task.metric, task.output, root=work.prepared.root)

    def score(row: Example, raw: str, is_cut: bool) -> float | None:
        answer = Answer(raw=raw, value=extract(raw, task.output), truncated=is_cut)
        outcome = judge.score(row, answer)
        return outcome.score if isinstance(outcome, Scored) else None

    return score


def _best_judge(outcome: ClimbOutcome, *, score: Score, store: Store, models: Models) -> Judge:
    """Return a judge that lets the best rung of a climb answer the new inputs, once."""
    from freehold.ladder.recall import answerer_of, candidate_of

    best = _best_rung(outcome.climb)
    if best is None:
        raise UsageError("USE-005", f"{outcome.climb_id} measured no rung", help="freehold climb")
    candidate = candidate_of(store, outcome, best)
    answerer = answerer_of(candidate, outcome, store=store, models=models)

    def judge(rows: Sequence[Example]) -> list[float | None]:
        scores: list[float | None] = [None] * len(rows)

        def take(place: int, answer: Answer | Failed) -> None:
            if isinstance(answer, Answer):
                scores[place] = score(rows[place], answer.raw, answer.truncated)

        answerer.answer(rows, take)
        return scores

    return judge


class _Progress:
    """One line per 10 % of the calls or 30 s, on stderr; JSON lines with `--display json`."""

    def __init__(self, session: Session) -> None:
        self._console = session.console
        self._share = 0.0
        self._at = monotonic()

    def tell(self, step: Step) -> None:
        """Take how far the work is."""
        share, now = step.calls / max(1, step.most_calls), monotonic()
        is_due = share - self._share >= PROGRESS_SHARE or now - self._at >= PROGRESS_SECONDS
        if self._console.display == "json":
            event = {
                "event": "synth_progress",
                "calls": step.calls,
                "most_calls": step.most_calls,
                "accepted": step.accepted,
                "count": step.count,
            }
            self._console.complain(json.dumps(event))
        elif is_due and self._console.display != "none":
            self._share, self._at = share, now
            self._console.say(
                f"asked {numbers.count(step.calls)} of at most {numbers.count(step.most_calls)}"
                f" times, {numbers.count(step.accepted)} of {numbers.count(step.count)} rows pass"
            )


# Afterwards ----------------------------------------------------------------------------------


def _keep_rejected(session: Session, made: Synthesis, *, teacher: str) -> None:
    name = session.invocation.text("rejected")
    if name is None:
        return
    lines = [
        json.dumps(
            {**cast("dict[str, JsonValue]", row.to_json()), "teacher": teacher}, ensure_ascii=False
        )
        for row in made.rejected
    ]
    content = "".join(f"{text}\n" for text in lines)
    write_durably(Path(session.project / name), content.encode("utf-8", "surrogatepass"))


def _nothing_passed(session: Session, made: Synthesis, *, teacher: str) -> DataError:
    asked = sum(made.asked.values())
    keep = "" if session.invocation.has("rejected") else " --rejected rejected.jsonl"
    return DataError(
        "DAT-090",
        f"none of the {numbers.plural(asked, 'row')} that {teacher} wrote passed the filters",
        help=f"{session.again}{keep}    shows what it wrote; --teacher MODEL names a stronger one",
        cause=_reasons(made),
    )


def _reasons(made: Synthesis) -> tuple[str, ...]:
    return tuple(
        f"{numbers.count(count)} × {reason}" for reason, count in made.rejected_by_reason.items()
    )


def _problems(work: Work, made: Synthesis | None, *, teacher: str) -> tuple[Problem, ...]:
    found: list[Problem] = []
    if made is not None and made.passed_share < WEAK:
        found.append(
            Problem(
                code="DAT-092",
                message=f"{teacher} is a weak teacher here: {numbers.percent(made.passed_share)} of"
                " what it wrote passed",
                level="warning",
                help="freehold data synth --teacher MODEL    lets a stronger model write",
            )
        )
    if not work.terms.are_free:
        known = work.terms.licence if work.terms.are_known else "unknown"
        found.append(
            Problem(
                code="DAT-093",
                message=f"the terms of {teacher}'s outputs are {known}; whether you may train on them"
                " is yours to find out",
                level="warning",
                help="data: {synth: {licence: ...}} in task.yaml records it with every row",
            )
        )
    return tuple(found)


def _share_sentence(work: Work, rows: int) -> str:
    from freehold.data.synthesis.admission import is_synthetic, most_rows

    section = work.prepared.task_file.data
    real = [e for e in work.prepared.snapshot.train.examples if not is_synthetic(e)]
    most = most_rows(len(real), section.synthetic_share)
    kept = rows if most is None else min(rows, most)
    share = numbers.percent(kept / (kept + len(real)))
    cap = numbers.percent(section.synthetic_share)
    text = f"{numbers.count(kept)} of {numbers.plural(kept + len(real), 'training row')} ({share}), cap {cap}"
    left = f"; {numbers.plural(rows - kept, 'row')} over it will be left out" if rows > kept else ""
    return text + left


def _show_plan(session: Session, work: Work) -> None:
    plan = work.plan
    if session.console.is_json:
        shape: dict[str, JsonValue] = {
            "teacher": work.spec.id,
            "licence": work.terms.licence,
            "methods": list[JsonValue](plan.methods),
            "count": plan.count,
            "most_calls": plan.most_calls,
            "judge": work.judge,
            "seeds": len(work.material.seeds),
            "passages": len(work.material.passages),
            "pairs": [list[JsonValue](pair) for pair in work.material.pairs],
            "file": work.target.name,
        }
        session.console.data(json.dumps(shape, ensure_ascii=False))
        return
    look = session.console.look()
    rows: list[Line] = []
    for name, text in _plan_facts(work).items():
        rows.extend(labelled(name, text, look=look, indent=0, column=_COLUMN))
    session.console.data(render([line("Plan; nothing was asked or written."), *rows], look))


def _plan_facts(work: Work) -> dict[str, str]:
    plan, material = work.plan, work.material
    per_row = 1 + plan.answers
    pairs = ", ".join(f"{clean(a)}→{clean(b)}" for a, b in material.pairs[:5])
    return {
        "teacher": f"{clean(work.spec.id)} · {work.terms.licence} ({work.terms.source})",
        "from": f"{numbers.plural(len(material.seeds), 'training row')},"
        f" {numbers.plural(len(material.passages), 'passage')}"
        + (f", confused pairs {pairs}" if pairs else ""),
        "methods": ", ".join(plan.methods),
        "wanted": f"{numbers.plural(plan.count, 'row')}, with at most"
        f" {numbers.plural(plan.most_calls, 'call')} ({per_row} a row where it is judged)",
        "judge": _judge_text(work),
        "file": work.target.name,
        "share": _share_sentence(work, plan.count),
    }


def _judge_text(work: Work) -> str:
    if work.judge == "teacher":
        return f"the teacher answers each new input {work.plan.answers} times"
    if work.judge == "best" and work.climb is not None:
        return f"{work.climb.climb_id}/{_best_rung(work.climb.climb)} answers each new input"
    return "nobody confirms the answers"


def _show(session: Session, work: Work, made: Synthesis, *, teacher: Teacher) -> None:
    look = session.console.look()
    rows: list[Line] = []

    def fact(name: str, text: str) -> None:
        rows.extend(labelled(name, text, look=look, indent=0, column=_COLUMN))

    asked = sum(made.asked.values())
    fact("teacher", f"{clean(teacher.name)} · {work.terms.licence} ({work.terms.source})")
    fact(
        "wrote",
        f"{numbers.count(len(made.accepted))} of {numbers.plural(work.plan.count, 'row')}: "
        f"{numbers.percent(made.passed_share)} of {numbers.count(asked)} passed ({made.stopped})",
    )
    fact("calls", f"{numbers.count(made.calls)}, of which {numbers.count(made.paid)} now")
    passed = made.passed
    for name, count in made.asked.items():
        fact("", f"{name:<16} asked {count:>5,}   passed {passed.get(name, 0):>5,}")
    for place, reason in enumerate(_reasons(made)):
        fact("" if place else "left out", reason)
    for place, row in enumerate(made.accepted[:ROWS_SHOWN]):
        fact("" if place else "rows", _shown(row, limit=look.width - _COLUMN))
    fact("share", _share_sentence(work, len(made.accepted)))
    fact("file", work.target.name)
    fact("keep it", setting_line(work.prepared, work.target.name))
    session.console.data(render(rows, look))
    problems = _problems(work, made, teacher=teacher.name)
    if problems:
        session.console.data(warning_lines(problems, **session.console.drawn))
    session.console.data(
        render([line(f"{'next':<{_COLUMN}}{command_with(work.target.name)}")], look)
    )


def _shown(row: Example, *, limit: int) -> str:
    from freehold.data.synthesis.material import answer_text

    text = f"{clean(answer_text(row.target))} ← {clean(row.input)}"
    return elide(text, limit)


def synth_json(
    session: Session, work: Work, made: Synthesis, *, teacher: Teacher
) -> dict[str, JsonValue]:
    """Return what `data synth --json` prints."""
    passed = made.passed
    methods: Mapping[str, JsonValue] = {
        name: {"asked": count, "passed": passed.get(name, 0)} for name, count in made.asked.items()
    }
    return {
        "teacher": {
            "name": teacher.name,
            "digest": teacher.digest,
            "licence": work.terms.licence,
            "licence_source": work.terms.source,
        },
        "seed": work.plan.seed,
        "judge": work.judge,
        "wanted": work.plan.count,
        "written": len(made.accepted),
        "passed_share": made.passed_share,
        "stopped": made.stopped,
        "calls": made.calls,
        "paid": made.paid,
        "methods": dict(methods),
        "left_out": dict(made.rejected_by_reason),
        "file": work.target.name,
        "rejected": session.invocation.text("rejected"),
        "setting": setting_line(work.prepared, work.target.name),
        "problems": [
            {"code": problem.code, "message": problem.message, "help": problem.help}
            for problem in _problems(work, made, teacher=teacher.name)
        ],
    }
