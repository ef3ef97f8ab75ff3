"""What was tried inside a rung, in words: every variant with its dev interval, and what a prompt search gained."""

from __future__ import annotations

from freehold.core.measure import PromptGain, RungResult, TriedVariant
from freehold.report import numbers


def tried_words(result: RungResult) -> str:
    """Return the variants that were compared on dev, in order, and the gain of a prompt search; may be empty.

    Results of before intervals were kept show the scores alone.
    """
    if result.sweep:
        words = ", ".join(_variant(one) for one in result.sweep)
    else:
        words = ", ".join(f"{name} {numbers.share(score)}" for name, score in result.tried)
    gain = result.prompt_gain
    return words if gain is None else f"{words}; {gain_words(gain)}".removeprefix("; ")


def gain_words(gain: PromptGain) -> str:
    """Return what a search for a prompt gained where nothing was chosen, and what it took."""
    calls = f"{numbers.count(gain.calls)} calls"
    if gain.found == gain.start:
        return (
            f"prompt search: nothing better than {gain.start} on {gain.seen} dev examples ({calls})"
        )
    return (
        f"prompt search: {numbers.points(gain.difference)} against {gain.start} on {gain.held} dev"
        f" examples that it did not see ({calls})"
    )


def _variant(one: TriedVariant) -> str:
    words = f"{one.name} {numbers.estimate_n(one.estimate)}"
    if one.share < 1:
        words += ", trained shorter"
    return f"{words}, dropped" if one.state == "dropped" else words
