"""What was tried inside a rung, in words."""

from freehold.core.measure import (
    Difference,
    Estimate,
    PromptGain,
    RungResult,
    TriedVariant,
    Verdict,
)
from freehold.report.tried import gain_words, tried_words

ZERO = Difference(mean=0.0, low=-0.02, high=0.02, n=80, p_value=1.0, test="mcnemar")
MORE = Difference(mean=0.125, low=0.031, high=0.219, n=80, p_value=0.01, test="mcnemar")


def variant(name: str, **more: object) -> TriedVariant:
    estimate = Estimate(mean=0.5, low=0.4, high=0.6, n=90)
    return TriedVariant.model_validate({"name": name, "estimate": estimate, **more})


def gain(found: str, difference: Difference) -> PromptGain:
    return PromptGain(
        found=found, start="k=4", difference=difference, seen=80, held=80, calls=1986, seconds=9.0
    )


def result(**more: object) -> RungResult:
    base = {"rung": "few_shot", "state": "measured", "verdict": Verdict.FAIL}
    return RungResult.model_validate({**base, **more})


def test_every_variant_has_its_interval_and_says_whether_it_was_dropped() -> None:
    sweep = (variant("k=4", state="chosen"), variant("k=8", state="dropped", share=0.5))
    assert tried_words(result(sweep=sweep, tried=(("k=4", 0.5), ("k=8", 0.5)))) == (
        "k=4 0.500 [.400 .600] n=90, k=8 0.500 [.400 .600] n=90, trained shorter, dropped"
    )


def test_results_of_before_show_the_scores_alone() -> None:
    assert tried_words(result(tried=(("k=4", 0.5), ("k=8", 0.25)))) == "k=4 0.500, k=8 0.250"
    assert tried_words(result()) == ""


def test_a_prompt_search_says_what_it_gained_where_it_did_not_look() -> None:
    assert gain_words(gain("search k=4", MORE)) == (
        "prompt search: +12.5 points [+3.1 +21.9] against k=4 on 80 dev examples that it did not see"
        " (1,986 calls)"
    )
    nothing = "prompt search: nothing better than k=4 on 80 dev examples (1,986 calls)"
    assert gain_words(gain("k=4", ZERO)) == nothing
    assert tried_words(result(prompt_gain=gain("k=4", ZERO))) == nothing
