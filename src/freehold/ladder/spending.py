"""What a climb spends on endpoints: the price of a request, and what it cost so far in words."""

from __future__ import annotations

from freehold.core.measure import Run
from freehold.core.record import digest_json
from freehold.core.sections import BudgetSection, Prices
from freehold.core.snapshot import Snapshot
from freehold.core.task import Task
from freehold.models.door import Model
from freehold.models.remote import Remote, Spending, TokenPrices
from freehold.report import numbers


def account_of(task: Task, snapshot: Snapshot) -> str:
    """Return the name that spending on endpoints is counted under: what is asked, and the data.

    Bar, prices and the budget itself are no part of it: a larger budget counts what was spent under the former one.
    """
    return digest_json("account", [task.name, task.question_digest, snapshot.digest])


def prices_of_tokens(prices: Prices) -> TokenPrices:
    """Return the prices of tokens among the prices of a task."""
    return TokenPrices(
        dollars_per_million_input_tokens=prices.dollars_per_million_input_tokens,
        dollars_per_million_output_tokens=prices.dollars_per_million_output_tokens,
    )


def tokens_dollars_per_request(run: Run, model: Model | None, *, prices: Prices) -> float | None:
    """Return what an endpoint asks for the tokens of one request, on the average of a run's answers.

    None where the model runs here, or nobody said what its tokens cost: machine time is then the price.
    """
    answers = [result.answer for result in run.results if result.answer is not None]
    if not isinstance(model, Remote) or not answers:
        return None
    return prices_of_tokens(prices).dollars(
        prompt_tokens=sum(answer.prompt_tokens for answer in answers) / len(answers),
        answer_tokens=sum(answer.answer_tokens for answer in answers) / len(answers),
    )


def spending_note(spending: Spending, budget: BudgetSection) -> str | None:
    """Return in one sentence what endpoints were asked and cost; None where none was."""
    if spending.is_nothing:
        return None
    parts = [
        f"{numbers.plural(spending.requests, 'request')}, {numbers.count(spending.from_cache)} from the cache",
        f"{numbers.count(spending.retries)} sent again",
        *_lost(spending),
        _so_far(spending, budget),
    ]
    if spending.dollars is None:
        parts.append("no price of tokens is known, so requests are priced by the time they take")
    return f"endpoints: {'; '.join(parts)}"


def _so_far(spending: Spending, budget: BudgetSection) -> str:
    """Return what all commands on this task and data spent, and the ceilings."""
    tokens = _of(numbers.count(spending.tokens), budget.tokens and numbers.count(budget.tokens))
    paid = f"{tokens} tokens"
    if spending.dollars is not None:
        ceiling = budget.dollars and numbers.money(budget.dollars)
        paid += f" and {_of(numbers.money(spending.dollars), ceiling)}"
    return f"{paid} on this task so far"


def _lost(spending: Spending) -> tuple[str, ...]:
    if not spending.lost:
        return ()
    lost = numbers.plural(spending.lost, "answer")
    return (f"{lost} lost on the way, each counted at the most that it can have cost",)


def _of(spent: str, ceiling: str | float | None) -> str:
    return f"{spent} of {ceiling}" if ceiling else spent
