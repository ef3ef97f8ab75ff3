"""Ask again in other words: which wrong answers of a rung are unstable rather than confused (decide.md 6).

The answers to rewordings are a run of their own: scores, costs and verdicts of the rung know nothing of
it, and a climb that was stopped goes on in the middle of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from freehold.core.candidate import Candidate
from freehold.core.measure import Result, Run, Stability
from freehold.core.outcome import Cause, Scored
from freehold.core.snapshot import HeldOutSplit
from freehold.core.task import Output, TextOutput
from freehold.evaluate.rewordings import reworded
from freehold.ladder.answerer import Answerer
from freehold.ladder.work import Workshop

WORDINGS = 2
WRONG_SHARE = 0.75
"""The share of what is asked again that wrong answers get, where there are enough of both."""
RIGHT = 0.5


def ask_again(
    shop: Workshop, candidate: Candidate, answerer: Answerer, *, run: Run, split: HeldOutSplit
) -> Stability | None:
    """Ask wrong answers, and a sample of right ones, again in other words; None where nothing was asked.

    Args:
        shop: does the work once, and remembers it.
        candidate: of the rung that was measured.
        answerer: the same candidate, loaded.
        run: what it answered.
        split: the examples that it answered.
    """
    most = shop.tools.task.diagnose.unstable
    output = shop.tools.task.output
    wrong = [result for result in run.results if _is_confused(result, output)]
    right = [result for result in run.results if _is_right(result)]
    if most == 0 or not wrong:
        return None
    asked_wrong, asked_right = _sample(wrong, right, most)
    asked = [*asked_wrong, *asked_right]
    examples = {example.id: example for example in split.examples}
    again = {r.example_id: reworded(examples[r.example_id], count=WORDINGS) for r in asked}
    others = split.model_copy(
        update={"examples": tuple(example for words in again.values() for example in words)}
    )
    if not others.examples:
        return None
    second = shop.run(candidate, answerer, others, phase="other words")
    answered = {result.example_id: result for result in second.results}

    def is_changed(result: Result) -> bool:
        words = [answered[example.id] for example in again[result.example_id]]
        return any(_differs(result, one, output) for one in words)

    return Stability(
        wordings=WORDINGS,
        wrong=len(asked_wrong),
        wrong_in_all=len(wrong),
        unstable=tuple(r.example_id for r in asked_wrong if is_changed(r)),
        right=len(asked_right),
        right_changed=sum(is_changed(result) for result in asked_right),
    )


def _sample(
    wrong: Sequence[Result], right: Sequence[Result], most: int
) -> tuple[list[Result], list[Result]]:
    """Return at most `most` results, wrong ones first, drawn the same way every time, in split order."""
    for_wrong = max(round(most * WRONG_SHARE), most - len(right))
    drawn = random.Random(0)

    def some(of: Sequence[Result], count: int) -> list[Result]:
        places = sorted(drawn.sample(range(len(of)), min(count, len(of))))
        return [of[place] for place in places]

    chosen = some(wrong, for_wrong)
    return chosen, some(right, most - len(chosen))


def _is_confused(result: Result, output: Output) -> bool:
    """Return whether an answer has the right form and is wrong, for no reason that is known yet."""
    outcome = result.outcome
    if not isinstance(outcome, Scored) or outcome.cause not in {None, Cause.CONFUSED}:
        return False
    return outcome.score < (RIGHT if isinstance(output, TextOutput) else 1.0)


def _is_right(result: Result) -> bool:
    return isinstance(result.outcome, Scored) and result.outcome.score == 1.0


def _differs(first: Result, second: Result, output: Output) -> bool:
    """Return whether two answers differ. What failed says nothing.

    Of free text two wordings of one answer are no difference: it must turn from wrong to right, or back.
    """
    if not isinstance(first.outcome, Scored) or not isinstance(second.outcome, Scored):
        return False
    if isinstance(output, TextOutput):
        return (first.outcome.score >= RIGHT) != (second.outcome.score >= RIGHT)
    one, other = first.answer, second.answer
    return one is not None and other is not None and one.value != other.value
