from tests.report import sample

from freehold.core.measure import Difference
from freehold.report.compare import (
    Change,
    Comparison,
    OneAnswer,
    Side,
    SliceChange,
    comparison,
    eval_one_table,
)

FIXED = tuple(
    Change(example_id=f"ex-{i:04d}", wanted="tech", was="sales", now="tech") for i in range(41)
)
BROKEN = tuple(
    Change(example_id=f"ex-{71 + i:04d}", wanted="refunds", was="refunds", now="billing")
    for i in range(9)
)


def compared(**changes: object) -> Comparison:
    whole = Comparison(
        after=Side(name="c12/distil", quality=sample.estimate(0.855, 0.817, 0.886)),
        before=Side(name="c11/distil", quality=sample.estimate(0.775, 0.732, 0.813)),
        difference=Difference(
            mean=0.08, low=0.046, high=0.114, n=400, p_value=0.00001, test="mcnemar"
        ),
        fixed=FIXED,
        broken=BROKEN,
        worst_slice=SliceChange(name="product=gift_card", difference=-0.091, n=22),
    )
    return whole.model_copy(update=changes)


def test_the_comparison_of_two_climbs_is_the_drawing() -> None:
    # experience.md 6.3
    assert (
        comparison(compared())
        == """\
c12/distil 0.855 [.817 .886]    c11/distil 0.775 [.732 .813]      same 400 test examples
↑ 41 fixed   ↓ 9 broken   = 350 same      net +8.0 points [+4.6 +11.4]  p<.001
worst slice  product=gift_card -9.1 points (n=22, too few to judge)
broken       ex-0071   wanted refunds   was refunds   is billing
             …8 more                    next: freehold ui, Examples → Broken"""
    )


def test_a_net_difference_that_may_be_zero_is_marked() -> None:
    unclear = Difference(mean=0.0, low=-0.02, high=0.02, n=400, p_value=1.0, test="mcnemar")
    assert "net ≈ +0.0 points" in comparison(compared(difference=unclear))


def test_free_text_shows_a_word_difference_instead_of_was_and_is() -> None:
    change = Change(
        example_id="ex-1",
        wanted="pay in cash",
        was="pay by card",
        now="pay in cash",
        free_text=True,
    )
    text = comparison(compared(broken=(change,)))
    assert "pay [-by-] {+in+} [-card-] {+cash+}" in text
    assert "was" not in text


def test_a_narrow_comparison_stays_inside_the_terminal() -> None:
    assert max(len(row) for row in comparison(compared(), width=60).splitlines()) <= 60


def test_one_input_is_answered_by_every_rung_as_drawn() -> None:
    # experience.md 6.4
    answers = [
        OneAnswer(
            rung="baseline",
            state="answered",
            value="billing",
            raw="billing",
            seconds=0.01,
            correct=True,
        ),
        OneAnswer(
            rung="zero_shot",
            state="answered",
            value="billing",
            raw="The ticket should go to **billing** because…",
            seconds=0.41,
            correct=True,
            cause="format",
        ),
        OneAnswer(
            rung="retrieve",
            state="answered",
            value="refunds",
            raw="refunds",
            seconds=0.90,
            correct=False,
        ),
        OneAnswer(rung="prefer", state="skipped", reason="61 pairs, 200 needed"),
    ]
    assert (
        eval_one_table(answers)
        == """\
rung        answer       time   raw output
baseline    billing  ✓  0.01s   billing
zero_shot   billing  ✓  0.41s   "The ticket should go to **billing** because…"  ! format
retrieve    refunds  ✗  0.90s   refunds
prefer      – skipped: 61 pairs, 200 needed"""
    )


def test_without_an_expected_answer_there_are_no_verdict_marks() -> None:
    answer = OneAnswer(rung="lora", state="answered", value="tech", raw="tech", seconds=0.2)
    text = eval_one_table([answer])
    assert "✓" not in text and "✗" not in text
    assert text.splitlines()[0].index("raw output") == text.splitlines()[1].rindex("tech")


def test_a_long_raw_output_is_cut_to_the_line() -> None:
    answer = OneAnswer(
        rung="lora", state="answered", value="tech", raw="x" * 10_000, seconds=0.2, cause="format"
    )
    rows = eval_one_table([answer]).splitlines()
    assert len(rows[1]) <= 88
    assert rows[1].endswith('…"  ! format')
