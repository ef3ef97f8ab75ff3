"""Look at the endpoint of a task: whether it answers, what it serves and asks for, and about what a climb costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from freehold.cli.environment import secret
from freehold.cli.seen import Seen
from freehold.core.errors import FreeholdError, Problem
from freehold.core.sections import RUNG_NAMES, RungName
from freehold.core.snapshot import Example
from freehold.report import numbers
from freehold.report.intake import PlanRow

if TYPE_CHECKING:
    from freehold.cli.session import Session
    from freehold.core.sections import UserEndpoint
    from freehold.ladder.prepare import Prepared

_SHOWN_MODELS = 6


@dataclass(frozen=True)
class ExpectedTokens:
    """About how many tokens asking one rung takes, in and out, and how many requests; mostly too many.

    Every row is asked, with the longest training examples in its prompt, and answered at full length. Requests
    that are sent again, and a search for a prompt, are not in it.
    """

    requests: int
    prompt_tokens: int
    answer_tokens: int


def endpoint(prepared: Prepared, session: Session) -> Seen:
    """Whether the base's endpoint answers, what it serves, its price, and about what a climb costs."""
    from freehold.models.endpoints import Endpoints, place_of

    name = prepared.task.base.endpoint
    if name is None:
        return Seen()
    spec = session.endpoints(prepared.task_file)[name]
    endpoints = Endpoints({name: spec}, secret=secret)
    problems: tuple[Problem, ...] = ()
    served: tuple[str, ...] = ()
    try:
        served = endpoints.open(name).served()
        said = _serves(spec, served)
    except FreeholdError as error:
        problems = tuple(p.model_copy(update={"level": "warning"}) for p in error.problems)
        said = "not reachable now"
    finally:
        endpoints.close()
    tokens, dollars = _most(prepared)
    priced = "no price is known" if dollars is None else f"about {numbers.money(dollars)}"
    lines = (
        f"{name}: {spec.url} ({place_of(spec.url)}), {said}",
        f"price: {_price(prepared)}",
        f"a whole climb: about {numbers.short_count(tokens)} tokens, {priced}, mostly less; {_budget(prepared)}",
    )
    return Seen(
        problems=problems,
        figures={
            "name": name,
            "url": spec.url,
            "place": place_of(spec.url),
            "reachable": not problems,
            "serves": list(served),
            "expected_tokens": tokens,
            "expected_dollars": dollars,
        },
        lines=lines,
    )


def endpoint_plan(prepared: Prepared) -> tuple[PlanRow, ...]:
    """Return the plan of every rung on an endpoint: about what its tokens cost. Nothing is asked."""
    rows: list[PlanRow] = []
    for name in RUNG_NAMES:
        if name not in prepared.task.ladder.rungs:
            continue
        wanted = expected_tokens(name, prepared)
        if wanted is None:
            note = "an endpoint has no weights here; name a local model in models.base.id"
            rows.append(PlanRow(rung=name, state="skipped", note=note))
            continue
        total = numbers.short_count(wanted.prompt_tokens + wanted.answer_tokens)
        note = (
            f"about {total} tokens in {numbers.count(wanted.requests)} requests"
            if wanted.requests
            else ""
        )
        rows.append(PlanRow(rung=name, dollars=_dollars(wanted, prepared), note=note))
    return tuple(rows)


def expected_tokens(name: RungName, prepared: Prepared) -> ExpectedTokens | None:
    """Return about how many tokens a rung takes; None where it cannot run on an endpoint.

    It is asked about dev where it has something to choose, test, audit, wrong answers in other words, and for the
    fixed prompts that tell who answers.
    """
    from freehold.ladder.stability import WORDINGS
    from freehold.models.endpoint_identity import PROBE_TOKENS, PROBES, probe_prompts
    from freehold.models.endpoint_wire import estimated_tokens

    ladder, snapshot = prepared.task.ladder, prepared.snapshot
    shots: dict[RungName, tuple[int, ...]] = {
        "zero_shot": (0,),
        "few_shot": ladder.few_shot.k,
        "structured": ladder.structured.k,
        "retrieve": ladder.retrieve.k,
    }
    if name == "baseline":
        return ExpectedTokens(0, 0, 0)
    if name not in shots:
        return None
    tried = [k for k in shots[name] if k <= len(snapshot.train)] or [0]
    asked = [(k, snapshot.dev.examples) for k in tried if len(tried) > 1]
    again = snapshot.test.examples[: prepared.task.diagnose.unstable]
    held = (snapshot.test.examples, snapshot.audit.examples, *[again] * WORDINGS)
    asked += [(max(tried), rows) for rows in held]
    passages = 3 * ladder.retrieve.chunk if name == "retrieve" and prepared.passages else 0
    answer = _answer_tokens(prepared)
    prompt = sum(_prompt_tokens(k, rows, prepared, passages=passages) for k, rows in asked)
    requests = sum(len(rows) for _, rows in asked)
    probes = len(PROBES)
    return ExpectedTokens(
        requests + probes,
        prompt + sum(estimated_tokens(one) for one in probe_prompts()),
        requests * answer + probes * PROBE_TOKENS,
    )


def _prompt_tokens(k: int, rows: Sequence[Example], prepared: Prepared, *, passages: int) -> int:
    """Return the most tokens of the prompts of some rows, with the `k` longest training examples in each."""
    from freehold.core import message
    from freehold.ladder.prompts import answer_text, question_text, system_text
    from freehold.models.endpoint_wire import estimated_tokens

    system = system_text(prepared.task, list_labels=True)
    sizes = sorted(
        (
            estimated_tokens(
                (message.user(question_text(e)), message.assistant(answer_text(e.target)))
            )
            for e in prepared.snapshot.train.examples
        ),
        reverse=True,
    )
    fixed = estimated_tokens((message.system(system),)) + sum(sizes[:k]) + passages
    return sum(fixed + estimated_tokens((*e.history, message.user(question_text(e)))) for e in rows)


def _answer_tokens(prepared: Prepared) -> int:
    from freehold.core import message
    from freehold.ladder.prompts import ANSWER_HEADROOM, answer_text
    from freehold.models.endpoint_wire import LIKELY_WRAPPING_TOKENS, estimated_tokens

    longest = max(
        estimated_tokens((message.assistant(answer_text(e.target)),))
        for e in prepared.snapshot.train.examples
    )
    return int(ANSWER_HEADROOM * longest) + LIKELY_WRAPPING_TOKENS


def _most(prepared: Prepared) -> tuple[int, float | None]:
    found = [expected_tokens(name, prepared) for name in prepared.task.ladder.rungs]
    known = [wanted for wanted in found if wanted is not None]
    total = ExpectedTokens(
        sum(wanted.requests for wanted in known),
        sum(wanted.prompt_tokens for wanted in known),
        sum(wanted.answer_tokens for wanted in known),
    )
    return total.prompt_tokens + total.answer_tokens, _dollars(total, prepared)


def _dollars(wanted: ExpectedTokens, prepared: Prepared) -> float | None:
    from freehold.ladder.spending import prices_of_tokens

    if not wanted.requests:
        return 0.0
    return prices_of_tokens(prepared.task.prices).dollars(
        prompt_tokens=wanted.prompt_tokens, answer_tokens=wanted.answer_tokens
    )


def _serves(spec: UserEndpoint, served: Sequence[str]) -> str:
    if not served:
        return "reachable, and keeps no list of models"
    shown = ", ".join(served[:_SHOWN_MODELS])
    more = f" and {len(served) - _SHOWN_MODELS} more" if len(served) > _SHOWN_MODELS else ""
    wanted = spec.model
    missing = (
        f"; {wanted} is not in its list" if wanted is not None and wanted not in served else ""
    )
    return f"reachable, serves {shown}{more}{missing}"


def _price(prepared: Prepared) -> str:
    prices = prepared.task.prices
    read, written = (
        prices.dollars_per_million_input_tokens,
        prices.dollars_per_million_output_tokens,
    )
    if read is None and written is None:
        return "not known; requests are priced by the time they take, as on an own machine"
    return (
        f"{numbers.money(read or 0.0)} in, {numbers.money(written or 0.0)} out per million tokens"
    )


def _budget(prepared: Prepared) -> str:
    budget = prepared.task.budget
    parts: list[str] = []
    if budget.dollars is not None:
        parts.append(numbers.money(budget.dollars))
    if budget.tokens is not None:
        parts.append(f"{numbers.short_count(budget.tokens)} tokens")
    return f"budget {' and '.join(parts)}" if parts else "no budget (budget.dollars, budget.tokens)"
