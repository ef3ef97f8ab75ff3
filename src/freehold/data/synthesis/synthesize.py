"""Let a teacher write rows until enough of them pass, or it was asked often enough.

The n-th prompt depends on the seed, the method and n alone; rounds are of a size that depends on what
passed before. So the same task, teacher and seed give the same rows, also when the run was killed in
between, and what is remembered is not asked again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from pydantic import JsonValue

from freehold.core.record import Record, digest_json
from freehold.core.sections import SynthMethod
from freehold.core.snapshot import Example, Origin, Synthetic
from freehold.core.task import Output
from freehold.data.synthesis.filters import Bench, Entry, sift
from freehold.data.synthesis.material import Material, Order
from freehold.data.synthesis.methods import METHODS
from freehold.data.synthesis.teacher import Asked, Reply, answer_tokens

ROUND = 32
_LEAST_ROUND = 8
_TRIES = 40
NOT_ANSWERED = "the teacher could not answer"
ENOUGH = "it passed, and enough rows had passed before it"
LISTED_PARENTS = 4

Stopped: TypeAlias = Literal["enough rows", "most calls", "nothing new to ask"]


class SynthPlan(Record):
    """What is wanted: `count` rows by these methods in turn, with at most so many calls.

    `answers` are the calls that judging one row takes; 0 where nobody or somebody else judges.
    """

    methods: tuple[SynthMethod, ...]
    count: int
    most_calls: int
    answers: int = 0
    seed: int = 7
    licence: str = "unknown"


class Rejected(Record):
    """What did not pass: why, what was written, and the row that was read from it where there was one."""

    reason: str
    method: str
    raw: str
    prompt_digest: str
    input: str | None = None
    target: JsonValue = None


class Synthesis(Record):
    """What came of it. `asked` counts rows that were asked for, by method; `paid` the calls of now."""

    accepted: tuple[Example, ...]
    rejected: tuple[Rejected, ...]
    asked: dict[str, int]
    calls: int
    paid: int
    stopped: Stopped

    @property
    def passed(self) -> dict[str, int]:
        """How many rows passed, by method."""
        methods = [
            e.origin.synthetic.method for e in self.accepted if e.origin and e.origin.synthetic
        ]
        return dict(Counter(methods))

    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """How many did not pass, by reason, most frequent first."""
        counts = Counter(row.reason for row in self.rejected)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def passed_share(self) -> float:
        """The share of what was written that passed every filter, in [0, 1]."""
        rows = sum(self.asked.values())
        surplus = sum(row.reason == ENOUGH for row in self.rejected)
        return (len(self.accepted) + surplus) / rows if rows else 0.0


@dataclass(frozen=True)
class Step:
    """How far a synthesis is."""

    calls: int
    most_calls: int
    accepted: int
    count: int


OnStep: TypeAlias = Callable[[Step], None]


def usable_methods(material: Material) -> tuple[SynthMethod, ...]:
    """Return the methods that the material has everything for."""
    return tuple(name for name, method in METHODS.items() if method.missing(material) is None)


def synthesize(
    plan: SynthPlan, material: Material, bench: Bench, *, asked: Asked, on_step: OnStep
) -> Synthesis:
    """Ask, read and filter until `plan.count` rows pass.

    Args:
        plan: what is wanted.
        material: what is written from.
        bench: what new rows are held against; it is used up.
        asked: the teacher; the bench's judge may spend its calls too.
        on_step: called after every round.
    """
    tokens = answer_tokens(asked.teacher, material)
    orders = _orders(plan, material)
    accepted: list[Example] = []
    rejected: list[Rejected] = []
    counts: Counter[str] = Counter()
    stopped: Stopped = "enough rows"
    while len(accepted) < plan.count:
        size = _round_size(plan, accepted=len(accepted), calls_left=asked.calls_left)
        if size == 0:
            stopped = "most calls"
            break
        batch = [order for order, _ in zip(orders, range(size), strict=False)]
        if not batch:
            stopped = "nothing new to ask"
            break
        counts.update(order.method for order in batch)
        replies = asked.ask([order.messages for order in batch], max_tokens=tokens)
        passed, failed = _sorted_out(batch, replies, plan=plan, bench=bench, asked=asked)
        room = plan.count - len(accepted)
        accepted.extend(_row_of(entry) for entry in passed[:room])
        rejected.extend((*failed, *(_rejected(entry, ENOUGH) for entry in passed[room:])))
        on_step(Step(asked.calls, asked.most_calls, len(accepted), plan.count))
    return Synthesis(
        accepted=tuple(accepted),
        rejected=tuple(rejected),
        asked={name: counts[name] for name in plan.methods},
        calls=asked.calls,
        paid=asked.paid,
        stopped=stopped,
    )


def _round_size(plan: SynthPlan, *, accepted: int, calls_left: int) -> int:
    """Return how many rows to ask for: no more than the calls that are left can write and judge."""
    wanted = max(_LEAST_ROUND, 2 * (plan.count - accepted))
    return min(ROUND, wanted, calls_left // (1 + plan.answers))


def _orders(plan: SynthPlan, material: Material) -> Iterator[Order]:
    """Yield prompts, the methods in turn, none twice; a method that finds nothing new drops out."""
    seen: set[str] = set()
    methods = list(plan.methods)
    number = 0
    while methods:
        for method in tuple(methods):
            order = _new_order(plan, material, method=method, number=number, seen=seen)
            if order is None:
                methods.remove(method)
                continue
            seen.add(order.prompt_digest)
            yield order
        number += 1


def _new_order(
    plan: SynthPlan, material: Material, *, method: SynthMethod, number: int, seen: set[str]
) -> Order | None:
    for attempt in range(_TRIES):
        rng = Random(digest_json("order", [plan.seed, method, number, attempt]))
        order = METHODS[method].order(material, rng)
        if order.prompt_digest not in seen:
            return order
    return None


def _sorted_out(
    batch: Sequence[Order],
    replies: Sequence[Reply],
    *,
    plan: SynthPlan,
    bench: Bench,
    asked: Asked,
) -> tuple[list[Entry], list[Rejected]]:
    """Return the entries that pass and a record of each that does not, in the order of the prompts."""
    rejected: list[Rejected] = []
    entries: list[Entry] = []
    for order, reply in zip(batch, replies, strict=True):
        if reply.failure is None:
            output = bench.material.output
            entries.append(_entry(order, reply, plan=plan, asked=asked, output=output))
        else:
            unanswered = Entry(order, reply.failure, truncated=False, draft=None, example=None)
            rejected.append(_rejected(unanswered, NOT_ANSWERED))
    reasons = sift(entries, bench)
    passed = [entry for entry, reason in zip(entries, reasons, strict=True) if reason is None]
    for entry, reason in zip(entries, reasons, strict=True):
        if reason is not None:
            rejected.append(_rejected(entry, reason))
    return passed, rejected


def _entry(order: Order, reply: Reply, *, plan: SynthPlan, asked: Asked, output: Output) -> Entry:
    method = METHODS[_method_name(order.method)]
    draft = method.read(reply.text, order, output)
    entry = Entry(order, reply.text, truncated=reply.truncated, draft=draft, example=None)
    if draft is None:
        return entry
    example = Example(
        id="",
        input=draft.input,
        target=draft.target,
        context=order.context,
        history=order.seeds[0].history if order.seeds else (),
        origin=_origin(order, plan=plan, asked=asked),
    )
    name = f"syn-{example.content_digest.removeprefix('sha256:')[:12]}"
    return Entry(
        order,
        reply.text,
        truncated=reply.truncated,
        draft=draft,
        example=example.model_copy(update={"id": name}),
    )


def _method_name(text: str) -> SynthMethod:
    for name in METHODS:
        if name == text:
            return name
    raise ValueError(f"no method is called {text!r}")


def _origin(order: Order, *, plan: SynthPlan, asked: Asked) -> Origin:
    first = order.seeds[0] if order.seeds else None
    own = None if first is None else first.origin
    source, row = ("", 0) if first is None else (first.source, first.row)
    if own is not None:
        source, row = own.source, own.row
    return Origin(
        source=source,
        row=row if len(order.seeds) == 1 else 0,
        steps=(_step(order, asked.teacher.name),),
        synthetic=Synthetic(
            method=order.method,
            seed=plan.seed,
            teacher=asked.teacher.name,
            teacher_digest=asked.teacher.digest,
            prompt_digest=order.prompt_digest,
            licence=plan.licence,
            parents=tuple(dict.fromkeys(seed.content_digest for seed in order.seeds)),
        ),
    )


def _step(order: Order, teacher: str) -> str:
    shown = ", ".join(seed.id for seed in order.seeds[:LISTED_PARENTS])
    more = (
        f" and {len(order.seeds) - LISTED_PARENTS} more"
        if len(order.seeds) > LISTED_PARENTS
        else ""
    )
    passage = f", passage {order.passage.id}" if order.passage is not None else ""
    return f"synth: {order.method} by {teacher} after {shown}{more}{passage}"


def _row_of(entry: Entry) -> Example:
    if entry.example is None:
        raise ValueError("an entry without a row cannot have passed")
    return entry.example


def _rejected(entry: Entry, reason: str) -> Rejected:
    return Rejected(
        reason=reason,
        method=entry.order.method,
        raw=entry.raw,
        prompt_digest=entry.order.prompt_digest,
        input=None if entry.draft is None else entry.draft.input,
        target=None if entry.draft is None else entry.draft.target,
    )
